"""Fourth table: what an audit of the whole machine takes, beside the tools that list what it reads."""

from __future__ import annotations

import shutil
import subprocess
import time
from typing import TYPE_CHECKING

from .figures import Goal, Series, shown, table
from .stage import end_orphans
from .workshop import clean_environment

if TYPE_CHECKING:
    from .stage import Stage

DAEMONS = 300
WITHIN = 1.0
"""Seconds for the audit of that many, on an idle machine."""

AUDIT, PS, LSOF = "numen audit --all", "ps aux", "lsof -n"


def tabulate(stage: Stage, rounds: int) -> tuple[str, list[Goal]]:
    """The table and its goal; a rival that is not installed is left out."""
    commands = {AUDIT: [stage.workshop.command("numen"), "audit", "--all", "--fail-on", "never"]}
    commands |= {name: name.split() for name in (PS, LSOF) if shutil.which(name.split()[0])}
    sleepers = [subprocess.Popen(["sleep", "1000"], start_new_session=True, cwd="/") for _ in range(DAEMONS)]
    try:
        taken: dict[str, list[int]] = {name: [] for name in commands}
        for _ in range(rounds):
            for name, command in commands.items():
                taken[name].append(_time(command))
    finally:
        for one in sleepers:
            one.kill()
        end_orphans(patience=1)
    series = {name: Series(values) for name, values in taken.items()}
    rows = [(name, str(one), f"{one.over(series[PS]):.2f}" if PS in series else "") for name, one in series.items()]
    heads = ("ms, median (min-max)", "", f"x {PS}")
    found = series[AUDIT].median / 1000
    goal = Goal(f"{DAEMONS} daemons audited within {WITHIN:g} s", f"{shown(found)} s", is_met=found <= WITHIN)
    return table(f"The audit of a machine with {DAEMONS} daemons", heads, rows), [goal]


def _time(command: list[str]) -> int:
    began = time.monotonic_ns()
    subprocess.run(command, env=clean_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    return time.monotonic_ns() - began
