"""Figures as they are printed: medians with their spread, tables, goals."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

NANOSECONDS = 1_000_000
"""In a millisecond."""


@dataclass(frozen=True)
class Series:
    """What was measured once in every round, in nanoseconds."""

    values: list[int]

    @property
    def median(self) -> float:
        """The median, in milliseconds."""
        return statistics.median(self.values) / NANOSECONDS

    def __str__(self) -> str:
        low, high = (shown(value(self.values) / NANOSECONDS) for value in (min, max))
        return f"{shown(self.median)} ({low}-{high})"

    def over(self, other: Series) -> float:
        """How many times the other it takes: the median of the ratios, each within one round.

        So what else the machine does, which differs from round to round, is in both halves of a ratio.
        """
        return statistics.median(own / others for own, others in zip(self.values, other.values, strict=True))


@dataclass(frozen=True)
class Goal:
    """What numen wants of itself, and whether it is so."""

    wanted: str
    found: str
    is_met: bool

    def __str__(self) -> str:
        return f"{'met    ' if self.is_met else 'NOT MET'}  {self.wanted}: {self.found}"


def shown(number: float) -> str:
    """A figure with three digits."""
    return f"{number:.2f}" if number < 10 else f"{number:.1f}" if number < 100 else f"{number:.0f}"


def table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in columns: words to the left, figures to the right."""
    widths = [max(len(row[column]) for row in (heads, *rows)) for column in range(len(heads))]
    lines = [title, ""]
    for row in (heads, *rows):
        figures = (cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))
        lines.append("  " + "  ".join((row[0].ljust(widths[0]), *figures)))
    return "\n".join(lines)
