"""The signals of a run: which end it, which are passed on; and the reaping of strangers, as PID 1 has to."""

from __future__ import annotations

import os

from ...kernel import signals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

ENDING = (signals.SIGINT, signals.SIGTERM, signals.SIGQUIT)
"""End all in order."""

PASSED_ON = (signals.SIGUSR1, signals.SIGUSR2)
"""Sent on to the vital daemon, or else to all."""

INIT = 1
"""The pid of the first process of a pid namespace."""


def take(tell: Callable[[int], None]) -> Taken:
    """Have each of the signals told by its number; what they mean here."""
    meaning = Taken(has_terminal=_has_terminal(), is_init=os.getpid() == INIT)
    for number in (*ENDING, signals.SIGHUP, *meaning.passed_on, signals.SIGCHLD):
        # What nohup(1), or a shell for what runs in its background, has made us ignore stays so.
        if meaning.is_init or number == signals.SIGCHLD or signals.getsignal(number) != signals.SIG_IGN:
            signals.signal(number, lambda number, _frame: tell(number))
    return meaning


class Taken:
    """What the signals mean for this run."""

    def __init__(self, *, has_terminal: bool, is_init: bool) -> None:
        self.is_init = is_init
        self.hangup_ends = has_terminal and not is_init
        """Whether SIGHUP says that the terminal is gone; otherwise it asks to read the file again."""
        # A terminal sends it when its size changes, and nginx would take it for the order to end its workers.
        window = () if has_terminal else (signals.SIGWINCH,)
        self.passed_on = (*PASSED_ON, *window)

    def ends(self, number: int) -> bool:
        """Whether this signal ends the run."""
        return number in ENDING or (number == signals.SIGHUP and self.hangup_ends)


def reap() -> None:
    """Reap all children that have ended: strangers that were orphaned to us, and the keeper."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True
