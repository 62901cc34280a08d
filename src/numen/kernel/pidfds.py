"""The exit status of a process that is no child, or no longer: from a pidfd, or while it is a zombie from /proc."""

from __future__ import annotations

import fcntl
import os
import struct

from . import proc

_GET_INFO = 0xC040FF0B
"""PIDFD_GET_INFO, _IOWR(0xFF, 11, struct pidfd_info) with the 64 bytes of its first edition."""

_INFO = struct.Struct("=QQ11Ii")
"""struct pidfd_info: the mask of what is asked and told, ids, and last the status."""

_INFO_EXIT = 1 << 3

_EXIT_CODE = 49
"""The field of /proc/PID/stat behind the name: the 52nd."""


def exit_status(pidfd: int) -> int | None:
    """The exit status, or the signal as a negative number, of the process that a pidfd stands for.

    `None` where it cannot be told: it has not ended, or nobody has reaped it yet, or the kernel does not tell
    (before Linux 6.15). The pidfd must have been opened before it was reaped.
    """
    asked = _INFO.pack(_INFO_EXIT, *(0,) * 13)
    try:
        told = _INFO.unpack(fcntl.ioctl(pidfd, _GET_INFO, asked))
    except OSError:
        return None
    return os.waitstatus_to_exitcode(told[-1]) if told[0] & _INFO_EXIT else None


def zombie_status(pid: int) -> int | None:
    """The exit status, or the signal as a negative number, of a zombie, whoever its parent is.

    `None` where it cannot be told: it is none, or the kernel says 0, which is also what it says to those who may
    not know (proc_pid_stat(5)).
    """
    text = proc.read(f"/proc/{pid}/stat") or b""
    fields = text[text.rfind(b")") + 1 :].split()
    if len(fields) <= _EXIT_CODE or fields[0] not in (b"Z", b"X") or fields[_EXIT_CODE] == b"0":
        return None
    return os.waitstatus_to_exitcode(int(fields[_EXIT_CODE]))
