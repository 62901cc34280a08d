"""System calls that Python lacks, by way of the C library (prctl(2), capset(2), close_range(2))."""

from __future__ import annotations

import ctypes
import os

PR_SET_KEEPCAPS = 8
PR_CAPBSET_DROP = 24
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2

_LINUX_CAPABILITY_VERSION_3 = 0x20080522

libc = ctypes.CDLL(None, use_errno=True)
"""The C library; `check` raises what a call of it has left in errno."""


class _CapabilityHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _CapabilityData(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


def check(result: int, call: str) -> None:
    """Raise the OSError of a call that has failed."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")


def prctl(option: int, *arguments: int) -> None:
    """Operate on the calling process (prctl(2)). Raises OSError."""
    padded = [ctypes.c_ulong(argument) for argument in (*arguments, 0, 0, 0, 0)[:4]]
    check(libc.prctl(option, *padded), "prctl")


def become_child_subreaper(wanted: bool = True) -> None:  # noqa: FBT001, FBT002 - the manual page's own argument
    """Be the parent of every descendant that is orphaned, as init would be. Raises OSError."""
    prctl(PR_SET_CHILD_SUBREAPER, int(wanted))


def set_no_new_privileges() -> None:
    """Let no exec from here on grant a privilege. Raises OSError."""
    prctl(PR_SET_NO_NEW_PRIVS, 1)


def capset(permitted: int, inheritable: int) -> None:
    """Set the permitted and effective capabilities, and the inheritable ones, as bit masks. Raises OSError."""
    header = _CapabilityHeader(_LINUX_CAPABILITY_VERSION_3, 0)
    halves = (_CapabilityData * 2)()
    for index in range(2):
        shift = 32 * index
        halves[index].effective = halves[index].permitted = permitted >> shift & 0xFFFFFFFF
        halves[index].inheritable = inheritable >> shift & 0xFFFFFFFF
    check(libc.capset(ctypes.byref(header), halves), "capset")


def close_range(first: int, last: int) -> None:
    """Close the descriptors from `first` to `last` at once. Raises OSError, ENOSYS before Linux 5.9."""
    number = {"x86_64": 436, "aarch64": 436}.get(os.uname().machine)
    if number is None:
        raise OSError(38, "close_range: unknown machine")
    check(libc.syscall(ctypes.c_long(number), ctypes.c_uint(first), ctypes.c_uint(last), 0), "close_range")
