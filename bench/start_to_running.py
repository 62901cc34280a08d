"""First table: how long it takes from the start of a launcher until the daemon runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .figures import Goal, shown, table
from .launchers import BARE, CONTEXT, DETACH, IN_C, PYTHON_RIVALS

if TYPE_CHECKING:
    from .rounds import Runs

AHEAD = 2.0

FLAT = 1.1
"""What the highest limit may cost, times the lowest: less cannot be told from chance."""


def tabulate(runs: Runs) -> tuple[str, list[Goal]]:
    """The table and its goals."""
    heads = ["ms, median (min-max)"]
    for limit in runs.limits:
        heads += [f"at {limit}", "x C"]
    heads += [f"it returns at {limit}" for limit in runs.limits]
    rows = []
    for name in runs.timed():
        row = [name]
        for limit in runs.limits:
            series = runs.to_running(name, limit)
            row += [str(series), f"{series.over(runs.to_running(IN_C, limit)):.1f}"]
        row += [shown(runs.to_return(name, limit).median) for limit in runs.limits]
        rows.append(row)
    title = "From the launcher's start to the daemon's first instruction, by RLIMIT_NOFILE; and to the launcher's end"
    return table(title, heads, rows), [goal for own in (DETACH, CONTEXT) for goal in _goals(own, runs)]


def _goals(own: str, runs: Runs) -> list[Goal]:
    lead, rival, limit = min(
        (runs.to_running(rival, limit).over(runs.to_running(own, limit)), rival, limit)
        for rival in runs.rivals(PYTHON_RIVALS)
        for limit in runs.limits
    )
    possible = runs.to_running(rival, limit).over(runs.to_running(BARE, limit))
    flat = runs.to_running(own, runs.limits[-1]).over(runs.to_running(own, runs.limits[0]))
    return [
        Goal(
            f"{own} is {AHEAD:g} times as fast as every Python rival",
            f"{lead:.2f} times as fast as {rival}; a {BARE} {possible:.2f} times",
            lead >= AHEAD,
        ),
        Goal(f"{own} is flat in RLIMIT_NOFILE, within {FLAT:g} times", f"{flat:.2f} times", flat <= FLAT),
    ]
