"""What a signal would do to a process that does nothing about it (signal(7))."""

from __future__ import annotations

import signal

from ...kernel.status import status
from ...settings.signals import signal_name

HARMLESS = (signal.SIGCHLD, signal.SIGCONT, signal.SIGURG, signal.SIGWINCH)
"""Those that by default do nothing to a process that runs."""

SUSPENDING = (signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)


def refusal(pid: int, number: int) -> str:
    """Why a process should not be sent a signal that is to tell it something; empty where it may be.

    One that is blocked is handled: by sigwait(3), by signalfd(2), or when it is unblocked.
    """
    found = status(pid)
    if found is None or number in HARMLESS or number in found.caught | found.ignored | found.blocked:
        return ""
    what = "suspend" if number in SUSPENDING else "end"
    return f"does not handle {signal_name(number)}, which would {what} it"
