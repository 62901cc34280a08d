"""The rounds: in each, every launcher starts its daemon once at every limit.

So whatever else the machine does meanwhile, it does to all alike.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .figures import Series
from .launchers import ESSENTIAL
from .stage import NoDaemon

if TYPE_CHECKING:
    from collections.abc import Callable

    from .launchers import Launcher
    from .stage import Stage, Trial


class Runs:
    """All trials of all launchers."""

    def __init__(self, launchers: list[Launcher], limits: list[int]) -> None:
        self.launchers = launchers
        self.limits = limits
        self._trials: dict[tuple[str, int], list[Trial]] = {
            (launcher.name, limit): [] for launcher in launchers if launcher.is_timed for limit in limits
        }

    def add(self, launcher: Launcher, limit: int, trial: Trial) -> None:
        """Keep one."""
        self._trials[launcher.name, limit].append(trial)

    def trials(self, name: str, *limits: int) -> list[Trial]:
        """Those of one launcher, at some limits or at all."""
        return [trial for limit in limits or self.limits for trial in self._trials[name, limit]]

    def to_running(self, name: str, *limits: int) -> Series:
        """From the launcher's start to the daemon's first instruction."""
        return Series([trial.running - trial.started for trial in self.trials(name, *limits)])

    def to_return(self, name: str, *limits: int) -> Series:
        """From the launcher's start to its end."""
        return Series([trial.returned - trial.started for trial in self.trials(name, *limits)])

    def to_open(self, name: str, *limits: int) -> Series:
        """From before open() in the program to after it in the daemon."""
        return Series([trial.running - trial.opening for trial in self.trials(name, *limits)])

    def timed(self) -> list[str]:
        """Who starts a daemon and is timed."""
        return [launcher.name for launcher in self.launchers if launcher.is_timed and launcher.starts_daemon]

    def rivals(self, names: tuple[str, ...]) -> list[str]:
        """Those of the named that take part."""
        return [name for name in self.timed() if name in names]


def play(launchers: list[Launcher], stage: Stage, rounds: int, say: Callable[[str], object]) -> tuple[Runs, list[str]]:
    """Play the rounds, and say who had to stay out of them. Raises NoDaemon."""
    fit, notes = _rehearse(launchers, stage, say)
    runs = Runs(fit, stage.limits)
    timed = [launcher for launcher in fit if launcher.is_timed]
    for number in range(rounds):
        say(f"round {number + 1} of {rounds}")
        # Nobody always comes after the same one.
        turn = number % len(timed)
        for launcher in (*timed[turn:], *timed[:turn]):
            for limit in stage.limits:
                runs.add(launcher, limit, stage.start(launcher.argv, limit, expects_daemon=launcher.starts_daemon))
    return runs, notes


def _rehearse(
    launchers: list[Launcher], stage: Stage, say: Callable[[str], object]
) -> tuple[list[Launcher], list[str]]:
    """A round that does not count: it warms every cache, and shows which rival does not work here."""
    fit, notes = [], []
    for launcher in launchers:
        say(f"rehearsing {launcher.name}")
        try:
            for limit in stage.limits if launcher.is_timed else ():
                stage.start(launcher.argv, limit, expects_daemon=launcher.starts_daemon)
        except NoDaemon as error:
            if launcher.name in ESSENTIAL:
                raise
            notes.append(str(error).rstrip())
        else:
            fit.append(launcher)
    return fit, notes
