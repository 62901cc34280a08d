"""Runs a command on what looks like an older kernel: `python seccomp.py ERRNO CALL,... -- COMMAND...`.

A seccomp filter answers the named system calls with that error, in the command and in all that descends from
it: ENOSYS as a kernel that has none of them, EPERM as the container engines of their day. It cannot be shaken
off.
"""

import ctypes
import errno
import os
import sys
from collections.abc import Sequence
from pathlib import Path

# From 424 on, every machine numbers its calls alike.
CALLS = {
    "pidfd_send_signal": 424,
    "io_uring_setup": 425,
    "pidfd_open": 434,
    "clone3": 435,
    "close_range": 436,
    "openat2": 437,
    "pidfd_getfd": 438,
    "faccessat2": 439,
    "epoll_pwait2": 441,
    "fchmodat2": 452,
}
"""The calls that came with Linux 5.1 or later, or that containers forbid, and that Python, libc or numen may try."""

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 38, 22, 2
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000


class _Instruction(ctypes.Structure):
    _fields_ = (("code", ctypes.c_uint16), ("yes", ctypes.c_uint8), ("no", ctypes.c_uint8), ("k", ctypes.c_uint32))


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.POINTER(_Instruction)))


def on_old_kernel(error: str, command: Sequence[str | Path]) -> list[str]:
    """The command line that runs the command under the filter; `error` is the errno's name."""
    return [sys.executable, "-S", __file__, error, ",".join(refused_calls(error)), "--", *map(str, command)]


def refused_calls(error: str) -> list[str]:
    """The calls that are answered so: without clone3 the C library can do where it is unknown, not where forbidden."""
    return [call for call in CALLS if (call, error) != ("clone3", "EPERM")]


def refuse(calls: Sequence[str], number: int) -> None:
    """Answer the calls with that errno, in this process from here on."""
    libc = ctypes.CDLL(None, use_errno=True)
    # The call's number stands first in struct seccomp_data.
    instructions = [_Instruction(_LOAD, 0, 0, 0)]
    for call in calls:
        instructions += [_Instruction(_JUMP_IF_EQUAL, 0, 1, CALLS[call]), _Instruction(_RETURN, 0, 0, _ERRNO | number)]
    instructions.append(_Instruction(_RETURN, 0, 0, _ALLOW))
    program = _Program(len(instructions), (_Instruction * len(instructions))(*instructions))
    zero = ctypes.c_ulong(0)
    for arguments in (
        (_PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), zero),
        (_PR_SET_SECCOMP, ctypes.c_ulong(_SECCOMP_MODE_FILTER), ctypes.byref(program)),
    ):
        if libc.prctl(*arguments, zero, zero) != 0:
            raise OSError(ctypes.get_errno(), "prctl")


def main() -> None:
    """Do what the command line says."""
    error, calls, _, *command = sys.argv[1:]
    refuse(calls.split(","), int(getattr(errno, error)))
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
