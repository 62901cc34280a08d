"""Third table: what numen adds to what Python itself takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .figures import Goal, table
from .launchers import BARE, CONTEXT, DETACH, PASS, PYTHON_RIVALS
from .start_to_running import AHEAD, FLAT

if TYPE_CHECKING:
    from .rounds import Runs

DETACH_WITHIN = 2.0
OPEN_WITHIN = 1.5


def tabulate(runs: Runs) -> tuple[str, list[Goal]]:
    """The two tables and their goals."""
    return f"{_of_the_command(runs)}\n\n{_of_the_library(runs)}", [_goal_of_the_command(runs), *_goals_of_open(runs)]


def _of_the_command(runs: Runs) -> str:
    rows = [
        (name, str(runs.to_return(name)), f"{runs.to_return(name).over(runs.to_return(PASS)):.2f}")
        for name in (PASS, DETACH)
    ]
    return table("The command, from its start to its end", ("ms, median (min-max)", "", f"x {PASS}"), rows)


def _of_the_library(runs: Runs) -> str:
    heads = ["ms, median (min-max)"]
    for limit in runs.limits:
        heads += [f"at {limit}", "x bare"]
    rows = []
    for name in (BARE, CONTEXT, *runs.rivals(PYTHON_RIVALS)):
        row = [name]
        for limit in runs.limits:
            series = runs.to_open(name, limit)
            row += [str(series), f"{series.over(runs.to_open(BARE, limit)):.2f}"]
        rows.append(row)
    return table("The library, from before open() in the program to after it in the daemon", heads, rows)


def _goal_of_the_command(runs: Runs) -> Goal:
    times = runs.to_return(DETACH).over(runs.to_return(PASS))
    return Goal(f"{DETACH} takes at most {DETACH_WITHIN:g} times {PASS}", f"{times:.2f} times", times <= DETACH_WITHIN)


def _goals_of_open(runs: Runs) -> list[Goal]:
    own = {limit: runs.to_open(CONTEXT, limit) for limit in runs.limits}
    bare = {limit: runs.to_open(BARE, limit) for limit in runs.limits}
    times = max(own[limit].over(bare[limit]) for limit in runs.limits)
    lead, rival, limit = min(
        (runs.to_open(rival, limit).over(own[limit]), rival, limit)
        for rival in runs.rivals(PYTHON_RIVALS)
        for limit in runs.limits
    )
    possible = runs.to_open(rival, limit).over(bare[limit])
    flat = own[runs.limits[-1]].over(own[runs.limits[0]])
    return [
        Goal(f"open() takes at most {OPEN_WITHIN:g} times a {BARE}", f"{times:.2f} times", times <= OPEN_WITHIN),
        Goal(
            f"open() is {AHEAD:g} times as fast as every Python rival's",
            f"{lead:.2f} times as fast as {rival}'s; a {BARE} {possible:.2f} times",
            lead >= AHEAD,
        ),
        Goal(f"open() is flat in RLIMIT_NOFILE, within {FLAT:g} times", f"{flat:.2f} times", flat <= FLAT),
    ]
