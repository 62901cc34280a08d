"""Figures of many samples, as they are printed."""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING

from ..figures import NANOSECONDS, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

NOTHING = "-"


def median(values: Sequence[int]) -> float:
    """The median of nanoseconds, in milliseconds; infinite where nothing was measured."""
    return statistics.median(values) / NANOSECONDS if values else math.inf


def percentile(values: Sequence[int], percent: float) -> float:
    """What so many per cent of the nanoseconds do not exceed, in milliseconds."""
    if not values:
        return math.inf
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)] / NANOSECONDS


def cell(milliseconds: float) -> str:
    """A figure of a table."""
    return shown(milliseconds) if math.isfinite(milliseconds) else NOTHING


def pair(values: Sequence[int]) -> list[str]:
    """Median and 99th percentile, two figures of a table."""
    return [cell(median(values)), cell(percentile(values, 99))]
