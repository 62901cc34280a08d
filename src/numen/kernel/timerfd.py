"""A descriptor that is readable when the wall clock shows a time, or was set (timerfd_create(2))."""

from __future__ import annotations

import ctypes
import errno
import os
from math import ceil

from .calls import check, libc

_CLOCK_REALTIME = 0
_ABSTIME, _CANCEL_ON_SET = 1, 2
_NANOSECONDS = 10**9


class _Time(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Timer(ctypes.Structure):
    _fields_ = (("interval", _Time), ("value", _Time))


def wall_timer() -> int:
    """A timer of the wall clock, not set yet: it does not block, and is closed on exec. Raises OSError."""
    descriptor = int(libc.timerfd_create(_CLOCK_REALTIME, os.O_NONBLOCK | os.O_CLOEXEC))
    check(descriptor, "timerfd_create")
    return descriptor


def set_timer(descriptor: int, wall: float | None) -> None:
    """Let it be readable once the wall clock shows this, or is set before that; or not at all. Raises OSError."""
    # A time of 0 would disarm it.
    due = 0 if wall is None else max(1, ceil(wall * _NANOSECONDS))
    value = _Time(*divmod(due, _NANOSECONDS))
    timer = _Timer(interval=_Time(0, 0), value=value)
    check(libc.timerfd_settime(descriptor, _ABSTIME | _CANCEL_ON_SET, ctypes.byref(timer), None), "timerfd_settime")


def was_clock_set(descriptor: int) -> bool:
    """Take out why it is readable: whether the clock was set; else the time has come. Raises OSError."""
    try:
        os.read(descriptor, 8)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno != errno.ECANCELED:
            raise
        return True
    return False
