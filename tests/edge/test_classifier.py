"""The classifier makes probabilities of glyphs, whatever the model's input and output look like."""

import statistics
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge import Classifier, MissingRuntimeError, ModelError, UsageError
from edge.classifier import RUNTIMES, load_runtime
from tests.edge.helpers import MODEL, ROOT, glyph, pack

MakeModel = Callable[..., Path]

OVERHEAD = 1.10  # of the runtime's own set, invoke and get, on LiteRT
ROUNDS = 2000
ATTEMPTS = 20  # a shared machine is rarely quiet: the best of so many tells what the code costs


def installed() -> list[str]:
    found = []
    for name in RUNTIMES:
        try:
            load_runtime(name)
        except MissingRuntimeError:
            continue
        found.append(name)
    return found


@pytest.fixture(params=list(RUNTIMES))
def runtime(request: pytest.FixtureRequest) -> str:
    if request.param not in installed():
        pytest.skip(f"{RUNTIMES[request.param][1]} is not installed")
    return str(request.param)


@pytest.fixture
def glyphs() -> np.ndarray:
    return np.stack([glyph(text) for text in "0123456789"])


def quiet_classifier(model: Path, runtime: str) -> Classifier:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Classifier(model, runtime)


def reference(model: Path, inputs: np.ndarray) -> np.ndarray:
    """What TensorFlow's own interpreter puts out for real inputs, one by one."""
    import tensorflow as tf

    interpreter = tf.lite.Interpreter(model_path=str(model))
    interpreter.allocate_tensors()
    there, back = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    rows = []
    for row in inputs:
        interpreter.set_tensor(there["index"], row.reshape(there["shape"]).astype(there["dtype"]))
        interpreter.invoke()
        rows.append(interpreter.get_tensor(back["index"]).ravel().astype(np.float64))
    return np.stack(rows)


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("precision", ["float32", "float16", "dynamic"])
def test_float_models_give_the_softmax_of_their_logits(
    make_model: MakeModel, glyphs: np.ndarray, runtime: str, precision: str
) -> None:
    model = make_model(precision=precision)
    given = quiet_classifier(model, runtime)(glyphs)
    assert given.shape == (10, 5)
    assert given.dtype == np.float32
    np.testing.assert_allclose(given, softmax(reference(model, glyphs / 255)), atol=0.01)
    assert np.ptp(given, axis=0).max() > 0.05, "the probe must tell glyphs apart to prove anything"


@pytest.mark.parametrize("dtype", ["uint8", "int8", "float32"])
def test_int8_models_agree_with_their_float_source(
    make_model: MakeModel, glyphs: np.ndarray, runtime: str, dtype: str
) -> None:
    exact = softmax(reference(make_model(), glyphs / 255))
    given = quiet_classifier(make_model(precision="int8", dtype=dtype), runtime)(glyphs)
    np.testing.assert_allclose(given, exact, atol=0.06)
    np.testing.assert_allclose(given.sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "float32"])
@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_a_softmax_in_the_model_is_not_applied_twice(
    make_model: MakeModel, glyphs: np.ndarray, runtime: str, precision: str, dtype: str
) -> None:
    if precision == "float32" and dtype != "float32":
        return
    classifier = quiet_classifier(make_model(softmax=True, precision=precision, dtype=dtype), runtime)
    assert classifier.info.output == "probabilities"
    exact = reference(make_model(softmax=True), glyphs / 255)
    np.testing.assert_allclose(classifier(glyphs), exact, atol=0.06 if precision == "int8" else 1e-4)


def test_logits_are_not_taken_for_probabilities(make_model: MakeModel, runtime: str) -> None:
    assert quiet_classifier(make_model(), runtime).info.output == "logits"


@pytest.mark.parametrize("side", [20, 32, 56])
def test_another_input_size_gets_resized_glyphs(
    make_model: MakeModel, glyphs: np.ndarray, runtime: str, side: int
) -> None:
    model = make_model(shape=(side, side, 1))
    method = cv2.INTER_AREA if side < 28 else cv2.INTER_LINEAR
    resized = np.stack([cv2.resize(one, (side, side), interpolation=method) for one in glyphs])
    expected = softmax(reference(model, resized / 255))
    np.testing.assert_allclose(quiet_classifier(model, runtime)(glyphs), expected, atol=1e-3)


def test_three_channels_all_get_the_glyph(make_model: MakeModel, glyphs: np.ndarray, runtime: str) -> None:
    model = make_model(shape=(28, 28, 3))
    expected = softmax(reference(model, np.repeat(glyphs[..., None], 3, axis=-1) / 255))
    np.testing.assert_allclose(quiet_classifier(model, runtime)(glyphs), expected, atol=1e-3)


@pytest.mark.parametrize("shape", [(784,), (28, 28)])
def test_flat_and_channelless_inputs(
    make_model: MakeModel, glyphs: np.ndarray, runtime: str, shape: tuple[int, ...]
) -> None:
    model = make_model(shape=shape)
    expected = softmax(reference(model, glyphs / 255))
    np.testing.assert_allclose(quiet_classifier(model, runtime)(glyphs), expected, atol=1e-3)


@pytest.mark.parametrize("batch", [None, 4])
def test_a_models_batch_does_not_matter(
    make_model: MakeModel, glyphs: np.ndarray, runtime: str, batch: int | None
) -> None:
    expected = quiet_classifier(make_model(batch=1), runtime)(glyphs)
    np.testing.assert_allclose(quiet_classifier(make_model(batch=batch), runtime)(glyphs), expected, atol=1e-5)


def test_a_model_for_pictures_of_any_size_gets_glyphs(make_model: MakeModel, glyphs: np.ndarray, runtime: str) -> None:
    expected = quiet_classifier(make_model(), runtime)(glyphs)
    model = make_model(any_size=True, batch=None)
    np.testing.assert_allclose(quiet_classifier(model, runtime)(glyphs), expected, atol=1e-5)


@pytest.mark.parametrize("input_range", [(0.0, 255.0), (-1.0, 1.0)])
@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_pixels_become_the_values_the_model_was_trained_on(
    make_model: MakeModel,
    glyphs: np.ndarray,
    runtime: str,
    tmp_path: Path,
    input_range: tuple[float, float],
    precision: str,
) -> None:
    model = make_model(precision=precision)  # calibrated on 0 to 1, so that int8 saturates in a known way
    packed = pack(model, tmp_path / "packed.tflite", input_range=input_range)
    low, high = input_range
    values = low + glyphs / 255 * (high - low)
    if precision == "int8":
        values = np.clip(values, 0, 1)
    expected = softmax(reference(make_model(), values))
    np.testing.assert_allclose(Classifier(packed, runtime)(glyphs), expected, atol=0.1 if precision == "int8" else 1e-3)


@pytest.mark.parametrize("softmax_inside", [False, True])
def test_the_temperature_divides_the_logits(
    make_model: MakeModel, glyphs: np.ndarray, runtime: str, tmp_path: Path, softmax_inside: bool
) -> None:
    output = "probabilities" if softmax_inside else "logits"
    model = pack(make_model(softmax=softmax_inside), tmp_path / "t.tflite", temperature=2.5, output=output)
    logits = reference(make_model(), glyphs / 255)
    np.testing.assert_allclose(Classifier(model, runtime)(glyphs), softmax(logits / 2.5), atol=1e-3)


def test_huge_logits_do_not_overflow(make_model: MakeModel, glyphs: np.ndarray, runtime: str, tmp_path: Path) -> None:
    model = pack(make_model(precision="int8", dtype="uint8"), tmp_path / "cold.tflite", temperature=1e-4)
    hot = pack(MODEL, tmp_path / "hot.tflite", temperature=1e-3)
    for path in (model, hot):
        classifier = Classifier(path, runtime)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            rows = [classifier(glyphs), *(classifier(glyphs[i : i + 1]) for i in range(10))]
        for row in rows:
            assert np.isfinite(row).all()
            np.testing.assert_allclose(row.sum(axis=1), 1, atol=1e-5)


def test_one_glyph_gets_the_same_answer_as_in_a_batch(glyphs: np.ndarray, runtime: str) -> None:
    classifier = quiet_classifier(MODEL, runtime)
    together = classifier(glyphs)
    alone = np.concatenate([classifier(glyphs[i : i + 1]) for i in range(len(glyphs))])
    np.testing.assert_allclose(alone, together, atol=1e-6)


def test_no_glyphs_give_no_rows(runtime: str) -> None:
    classifier = quiet_classifier(MODEL, runtime)
    assert classifier(np.zeros((0, 28, 28), np.uint8)).shape == (0, classifier.classes)


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((1, 28, 28), np.float32),
        np.zeros((28, 28), np.uint8),
        np.zeros((1, 27, 28), np.uint8),
        [[0]],
    ],
    ids=["float", "one dimension short", "wrong size", "list"],
)
def test_what_is_not_glyphs_is_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match="glyphs are uint8"):
        quiet_classifier(MODEL, installed()[0])(wrong)  # type: ignore[arg-type]


def test_many_threads_get_the_answers_of_one(glyphs: np.ndarray, runtime: str) -> None:
    classifier = quiet_classifier(MODEL, runtime)
    expected = [classifier(glyphs[i : i + 1]) for i in range(10)]
    wrong: list[str] = []
    barrier = threading.Barrier(8)

    def work(offset: int) -> None:
        barrier.wait()
        for round_ in range(200):
            index = (round_ + offset) % 10
            if not np.array_equal(classifier(glyphs[index : index + 1]), expected[index]):
                wrong.append(f"thread {offset}, glyph {index}")

    threads = [threading.Thread(target=work, args=(offset,)) for offset in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_labels_come_from_the_model(make_model: MakeModel, tmp_path: Path, runtime: str) -> None:
    model = pack(make_model(), tmp_path / "letters.tflite", labels=["a", "b", "c", "d", "é"])
    assert Classifier(model, runtime).labels == ("a", "b", "c", "d", "é")


def test_the_label_of_none_is_a_class_like_the_others(make_model: MakeModel, tmp_path: Path, runtime: str) -> None:
    model = pack(make_model(), tmp_path / "none.tflite", labels=["a", "b", "c", "none", "d"], none="none")
    classifier = Classifier(model, runtime)
    assert classifier.none_index == 3
    probabilities = classifier(np.stack([glyph("7")]))
    assert probabilities.shape == (1, 5) and probabilities.sum() == pytest.approx(1, abs=1e-5)
    assert Classifier(pack(make_model(), tmp_path / "all.tflite", labels=list("abcde")), runtime).none_index is None


def test_a_model_without_labels_numbers_its_classes(make_model: MakeModel, runtime: str) -> None:
    with pytest.warns(UserWarning, match="says nothing about itself") as caught:
        classifier = Classifier(make_model(), runtime)
    assert classifier.labels == ("0", "1", "2", "3", "4")
    assert len(caught) == 1


def test_labels_that_do_not_fit_the_outputs_are_refused(make_model: MakeModel, tmp_path: Path) -> None:
    model = pack(make_model(), tmp_path / "m.tflite", labels=["a", "b"])
    with pytest.raises(ModelError, match="5 outputs but 2 labels"):
        Classifier(model)


def test_a_model_from_another_preprocessing_is_refused(make_model: MakeModel, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="preprocessing 2"):
        Classifier(pack(make_model(), tmp_path / "m.tflite", preprocessing=2))


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ({"shape": (28, 28, 2)}, "its input has shape"),
        ({"outputs": 2}, "one output"),
        ({"classes": 1}, "its output has shape"),
    ],
)
def test_a_model_that_is_no_digit_classifier_is_refused_in_one_line(
    make_model: MakeModel, runtime: str, model: dict[str, object], reason: str
) -> None:
    path = make_model(**model)
    with pytest.raises(ModelError, match=reason) as raised:
        quiet_classifier(path, runtime)
    assert "\n" not in str(raised.value)
    assert str(path) in str(raised.value)


def test_an_unknown_runtime_is_a_usage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="litert or tflite"):
        Classifier(MODEL, "onnx")
    monkeypatch.setenv("EDGE_DIGITS_RUNTIME", "onnx")
    with pytest.raises(UsageError, match="litert or tflite"):
        Classifier(MODEL)


def test_the_environment_chooses_the_runtime(runtime: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGE_DIGITS_RUNTIME", runtime)
    assert load_runtime()[0] == runtime


def test_litert_comes_first_where_both_are_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EDGE_DIGITS_RUNTIME", raising=False)
    if len(installed()) < 2:
        pytest.skip("needs both runtimes")
    assert load_runtime()[0] == "litert"


def test_a_missing_runtime_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(MissingRuntimeError, match="pip install ai-edge-litert"):
        load_runtime("litert")


def test_the_runtimes_own_lines_stay_off_the_terminal(runtime: str) -> None:
    script = f"from edge import Classifier; Classifier({str(MODEL)!r}, {runtime!r})"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("", "")


def overhead(rounds: int) -> tuple[float, float, float]:
    """Microseconds of the bare runtime and of the classifier on one glyph, medians, and their ratio, interleaved."""
    classifier = quiet_classifier(MODEL, "litert")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _, interpreter_class = load_runtime("litert")
    interpreter = interpreter_class(model_path=str(MODEL), num_threads=1)
    interpreter.allocate_tensors()
    there, back = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]
    one = glyph()[None]
    tensor = one.reshape(1, 28, 28, 1)
    bare, ours = [], []
    for _ in range(rounds):
        start = time.perf_counter()
        interpreter.set_tensor(there, tensor)
        interpreter.invoke()
        interpreter.get_tensor(back)
        middle = time.perf_counter()
        classifier(one)
        end = time.perf_counter()
        bare.append((middle - start) * 1e6)
        ours.append((end - middle) * 1e6)
    return statistics.median(bare), statistics.median(ours), statistics.median(ours) / statistics.median(bare)


def test_one_glyph_costs_little_more_than_the_bare_runtime() -> None:
    if "litert" not in installed():
        pytest.skip("ai-edge-litert is not installed")
    overhead(100)
    ratios = []
    for _ in range(ATTEMPTS):
        ratios.append(overhead(ROUNDS)[2])
        if ratios[-1] <= OVERHEAD:
            return
    pytest.fail(f"classifier / bare runtime: {', '.join(f'{ratio:.3f}' for ratio in ratios)}, at most {OVERHEAD}")


if __name__ == "__main__":
    print("bare {:.1f} us, classifier {:.1f} us, ratio {:.3f}".format(*overhead(ROUNDS)))
