"""Make confidences mean what they say: one temperature, and how far off they are.

Guo, Pleiss, Sun, Weinberger, "On Calibration of Modern Neural Networks" (2017).
"""

import numpy as np
from numpy.typing import NDArray

BINS = 15  # of equal width, as in the paper
TEMPERATURES = (0.05, 20.0)  # the search stays inside
SEARCH_STEPS = 60  # of a golden-section search: the bracket shrinks by 0.618 each

Floats = NDArray[np.floating]
Labels = NDArray[np.integer]


def softmax(logits: Floats, temperature: float = 1.0) -> NDArray[np.float64]:
    """Probabilities (n, classes) of logits (n, classes), divided by a temperature first."""
    scaled = np.asarray(logits, np.float64) / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    powers = np.exp(scaled)
    return powers / powers.sum(axis=1, keepdims=True)


def negative_log_likelihood(logits: Floats, labels: Labels, temperature: float = 1.0) -> float:
    """Mean negative log-likelihood, in nats, of labels (n,) under logits (n, classes)."""
    scaled = np.asarray(logits, np.float64) / temperature
    scaled -= scaled.max(axis=1, keepdims=True)
    return float(np.mean(np.log(np.exp(scaled).sum(axis=1)) - scaled[np.arange(len(labels)), labels]))


def fit_temperature(logits: Floats, labels: Labels) -> float:
    """The temperature that makes labels (n,) most likely under logits (n, classes).

    The likelihood has one optimum over the logarithm of the temperature: a golden-section search finds it.
    """
    golden = (np.sqrt(5) - 1) / 2
    low, high = np.log(TEMPERATURES)
    for _ in range(SEARCH_STEPS):
        left, right = high - golden * (high - low), low + golden * (high - low)
        if negative_log_likelihood(logits, labels, float(np.exp(left))) <= negative_log_likelihood(
            logits, labels, float(np.exp(right))
        ):
            high = right
        else:
            low = left
    return float(np.exp((low + high) / 2))


def reliability(probabilities: Floats, labels: Labels, bins: int = BINS) -> tuple[Floats, Floats, Labels]:
    """Mean confidence, accuracy and number of answers in each bin of confidence, (bins,) each; NaN for none."""
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    index = np.clip((confidence * bins).astype(int), 0, bins - 1)
    counts = np.bincount(index, minlength=bins)
    with np.errstate(invalid="ignore"):
        mean = np.bincount(index, confidence, minlength=bins) / counts
        accuracy = np.bincount(index, right, minlength=bins) / counts
    return mean, accuracy, counts


def expected_calibration_error(probabilities: Floats, labels: Labels, bins: int = BINS) -> float:
    """Mean distance, 0 to 1, between confidence and accuracy over the bins, weighted by their answers."""
    mean, accuracy, counts = reliability(probabilities, labels, bins)
    filled = counts > 0
    return float(np.sum(counts[filled] * np.abs(mean[filled] - accuracy[filled])) / counts.sum())
