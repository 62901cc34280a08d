"""Signals by their numbers, as signal(7) has them.

The standard library's `signal` wraps the same functions and numbers in enumerations, which take 3.4 ms to
import: a fifth of what `numen detach` may take in all. Names are for people: see `settings.signals`.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from signal import (
        SIG_BLOCK,
        SIG_DFL,
        SIG_IGN,
        SIG_SETMASK,
        SIGCHLD,
        SIGCONT,
        SIGHUP,
        SIGINT,
        SIGKILL,
        SIGPIPE,
        SIGQUIT,
        SIGSTOP,
        SIGTERM,
        SIGUSR1,
        SIGUSR2,
        SIGWINCH,
        SIGXFSZ,
        getsignal,
        pidfd_send_signal,
        pthread_sigmask,
        raise_signal,
        set_wakeup_fd,
        signal,
        valid_signals,
    )
else:
    from _signal import (
        SIG_BLOCK,
        SIG_DFL,
        SIG_IGN,
        SIG_SETMASK,
        SIGCHLD,
        SIGCONT,
        SIGHUP,
        SIGINT,
        SIGKILL,
        SIGPIPE,
        SIGQUIT,
        SIGSTOP,
        SIGTERM,
        SIGUSR1,
        SIGUSR2,
        SIGWINCH,
        SIGXFSZ,
        getsignal,
        pidfd_send_signal,
        pthread_sigmask,
        raise_signal,
        set_wakeup_fd,
        signal,
        valid_signals,
    )

INTERRUPTS = (SIGINT, SIGTERM, SIGHUP, SIGQUIT)
"""The signals that end a program at its terminal, or whoever waits for it."""

__all__ = [
    "INTERRUPTS",
    "SIGCHLD",
    "SIGCONT",
    "SIGHUP",
    "SIGINT",
    "SIGKILL",
    "SIGPIPE",
    "SIGQUIT",
    "SIGSTOP",
    "SIGTERM",
    "SIGUSR1",
    "SIGUSR2",
    "SIGWINCH",
    "SIGXFSZ",
    "SIG_BLOCK",
    "SIG_DFL",
    "SIG_IGN",
    "SIG_SETMASK",
    "getsignal",
    "pidfd_send_signal",
    "pthread_sigmask",
    "raise_signal",
    "set_wakeup_fd",
    "signal",
    "valid_signals",
]
