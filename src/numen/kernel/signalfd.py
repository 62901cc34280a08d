"""Signals read from a descriptor (signalfd(2)): none interrupts anything, and a thousand of a kind are one."""

from __future__ import annotations

import ctypes
import os
import struct

from . import signals
from .calls import check, libc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

_SIGNAL_SET = 128
"""Bytes of sigset_t."""

_RECORD = 128
"""Bytes of struct signalfd_siginfo; the signal's number stands first."""


def signalfd(numbers: Collection[int]) -> int:
    """Block these signals in this thread and all that it starts, and return the descriptor that tells of them.

    It does not block, and is closed on exec. Raises OSError.
    """
    mask = ctypes.create_string_buffer(_SIGNAL_SET)
    libc.sigemptyset(mask)
    for number in numbers:
        libc.sigaddset(mask, number)
    # Blocked first: one that comes in between waits, and is told of.
    signals.pthread_sigmask(signals.SIG_BLOCK, numbers)
    descriptor = int(libc.signalfd(-1, mask, os.O_NONBLOCK | os.O_CLOEXEC))
    check(descriptor, "signalfd")
    return descriptor


def read_signals(descriptor: int) -> list[int]:
    """The signals that have come since the last time, each once."""
    found: dict[int, None] = {}
    while True:
        try:
            records = os.read(descriptor, 16 * _RECORD)
        except BlockingIOError:
            return list(found)
        for offset in range(0, len(records), _RECORD):
            found[struct.unpack_from("I", records, offset)[0]] = None
