"""Second table: who tells the truth about the daemon, and who leaves before there is one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .figures import Goal, table
from .launchers import CONTEXT, DETACH, READY

if TYPE_CHECKING:
    from .launchers import Launcher
    from .rounds import Runs
    from .stage import Stage

NOTE = f"""

  {DETACH} by itself is content with a program that was executed, and {CONTEXT} here with one
  that entered it (ready="open"). The row below each waits until the daemon says that it is ready."""


def tabulate(runs: Runs, stage: Stage, failures: int) -> tuple[str, list[Goal]]:
    """The table and its goals; every daemon that fails is started as often as that."""
    heads = ("", "returns before the daemon runs", "it cannot be executed", "it dies at once")
    rows = [
        (
            launcher.name,
            _leaves_early(launcher, runs),
            _ask(launcher.cannot_execute, stage, failures),
            _ask(launcher.fails, stage, failures),
        )
        for launcher in runs.launchers
        if launcher.starts_daemon
    ]
    early = sum(trial.returned_first for own in (DETACH, READY) for trial in runs.trials(own))
    goal = Goal(f"{DETACH} and {READY} never return before the daemon runs", f"{early} times", not early)
    title = "Who tells the truth: does the launcher wait, and what is its exit status when the daemon fails"
    return table(title, heads, rows) + NOTE, [goal]


def _leaves_early(launcher: Launcher, runs: Runs) -> str:
    if not launcher.is_timed:
        return "-"
    tried = runs.trials(launcher.name)
    count = sum(trial.returned_first for trial in tried)
    return f"{'yes' if count else 'no'}, {count} of {len(tried)}"


def _ask(argv: tuple[str, ...], stage: Stage, failures: int) -> str:
    """What the launcher says of a daemon that fails."""
    if not argv:
        return "-"
    statuses = [stage.start(argv, stage.limits[0], expects_daemon=False).status for _ in range(failures)]
    if untrue := statuses.count(0):
        return f"untrue: 0, {untrue} of {failures}"
    return f"{' or '.join(map(str, sorted(set(statuses))))}, {failures} of {failures}"
