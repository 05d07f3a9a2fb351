"""Median and variance, without what `statistics` imports: the launcher starts in 100 ms."""

from collections.abc import Iterable, Sequence


def median(values: Iterable[float]) -> float:
    """Raises ValueError where there is no value."""
    ordered = sorted(values)
    if not ordered:
        raise ValueError("the median of nothing")
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def variance(values: Sequence[float]) -> float:
    mean = sum(values) / len(values)
    return sum((value - mean) ** 2 for value in values) / len(values)
