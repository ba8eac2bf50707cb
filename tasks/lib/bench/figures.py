"""What becomes of many measured values: percentiles, and whether something grows."""

from __future__ import annotations

import math
from collections.abc import Sequence

Summary = dict[str, float]


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share (0-1) of all do not exceed (nearest rank).

    With fewer than 100 values, the 99th percentile is the largest one. ValueError without values.
    """
    if not values:
        raise ValueError("no values")
    rank = math.ceil(share * len(values))
    return sorted(values)[max(rank, 1) - 1]


def summary(values: Sequence[float]) -> Summary:
    """Half and 99 % of the values do not exceed p50 and p99; count: how many there are."""
    return {"p50": percentile(values, 0.5), "p99": percentile(values, 0.99), "count": float(len(values))}


def slope(points: Sequence[tuple[float, float]]) -> float:
    """How much y grows with x: the least squares line's slope; 0 when all x are the same."""
    count = len(points)
    if count < 2:
        return 0.0
    mean_x = sum(x for x, _ in points) / count
    mean_y = sum(y for _, y in points) / count
    width = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / width if width else 0.0
