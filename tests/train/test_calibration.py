import numpy as np
import pytest

from train.calibration import expected_calibration_error, fit_temperature, softmax

SEED = 20


def answers(temperature: float, count: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """Logits whose labels are drawn from them at a known temperature."""
    rng = np.random.default_rng(SEED)
    logits = rng.normal(0, 4, (count, 10))
    probabilities = softmax(logits, temperature)
    labels = (probabilities.cumsum(axis=1) > rng.random((count, 1))).argmax(axis=1)
    return logits, labels


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_fitted_temperature_is_the_one_the_labels_were_drawn_at(temperature: float) -> None:
    assert fit_temperature(*answers(temperature)) == pytest.approx(temperature, rel=0.03)


def test_calibration_error_is_small_at_the_right_temperature_and_large_at_a_wrong_one() -> None:
    logits, labels = answers(3.0)
    assert expected_calibration_error(softmax(logits, 3.0), labels) < 0.02
    assert expected_calibration_error(softmax(logits, 0.5), labels) > 0.2


def test_calibration_error_of_answers_right_half_the_time_at_full_confidence_is_a_half() -> None:
    probabilities = np.tile([1.0, 0.0], (10, 1))
    labels = np.array([0, 1] * 5)
    assert expected_calibration_error(probabilities, labels) == pytest.approx(0.5)


def test_softmax_survives_huge_logits() -> None:
    assert softmax(np.array([[1e4, 0.0]]))[0].tolist() == [1.0, 0.0]
