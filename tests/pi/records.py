"""Whether two machines say the same of a picture."""

from typing import Any

CONFIDENCE = 0.02  # by which confidences may differ: NEON and SSE round one grey level otherwise here and there
PIXELS = 1  # by which a box may

NUMBERS = {"confidence": CONFIDENCE, "box": PIXELS}
# Says a confidence, or lists further answers, which are equal or not with it.
LEFT_OUT = {"path", "reason", "top"}


def differences(one: Any, other: Any, where: str = "") -> list[str]:
    """What is not the same in two records, beyond the tolerances."""
    if isinstance(one, dict) and isinstance(other, dict):
        keys = [key for key in one | other if key not in LEFT_OUT]
        return [found for key in keys for found in differences(one.get(key), other.get(key), f"{where}.{key}")]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [
            found for n, pair in enumerate(zip(one, other, strict=True)) for found in differences(*pair, f"{where}.{n}")
        ]
    allowed = next((NUMBERS[key] for key in where.split(".") if key in NUMBERS), 0)
    if isinstance(one, int | float) and isinstance(other, int | float) and abs(one - other) <= allowed:
        return []
    return [] if one == other else [f"{where[1:]}: {one!r} and {other!r}"]


def furthest(one: Any, other: Any) -> float:
    """The largest difference between confidences."""
    if isinstance(one, dict) and isinstance(other, dict):
        own = abs(one["confidence"] - other["confidence"]) if "confidence" in one and "confidence" in other else 0.0
        return max([own, *(furthest(one[key], other.get(key)) for key in one if key != "top")])
    if isinstance(one, list) and isinstance(other, list):
        return max([0.0, *(furthest(*pair) for pair in zip(one, other, strict=False))])
    return 0.0
