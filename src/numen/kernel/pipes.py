"""Pipes: how full one is and may get, and looking into one without taking anything (pipe(7), tee(2))."""

from __future__ import annotations

import array
import ctypes
import fcntl
import os
import termios

from .calls import check, libc

DEFAULT_CAPACITY = 65536
"""What a new pipe holds, if its user has not got too many (fs.pipe-user-pages-soft)."""

LARGEST_CAPACITY = 2**20
"""What one may ask for without a privilege (fs.pipe-max-size, if nobody has changed it)."""

SPLICE_F_NONBLOCK = 2

libc.tee.restype = ctypes.c_ssize_t
libc.tee.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_size_t, ctypes.c_uint)


def waiting_bytes(pipe: int) -> int:
    """How many bytes wait in the pipe to be read (FIONREAD of pipe(7)). Raises OSError."""
    answer = array.array("i", [0])
    fcntl.ioctl(pipe, termios.FIONREAD, answer, True)  # noqa: FBT003 - the standard library's own argument
    return answer[0]


def capacity(pipe: int) -> int:
    """How many bytes the pipe can hold (F_GETPIPE_SZ of fcntl(2)). Raises OSError."""
    return fcntl.fcntl(pipe, fcntl.F_GETPIPE_SZ)


def set_capacity(pipe: int, size: int) -> int:
    """Let the pipe hold that many bytes, and return how many it holds now.

    It stays as it is where the user has too many large ones, or where more than that is in it.
    """
    try:
        return fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, size)
    except OSError:
        return capacity(pipe)


def tee(source: int, target: int, size: int) -> int:
    """Duplicate up to that many bytes from pipe to pipe, and leave them in the source. Raises OSError."""
    copied: int = libc.tee(source, target, size, SPLICE_F_NONBLOCK)
    check(copied, "tee")
    return copied


class Look:
    """A private pipe, by which is seen what waits in another one."""

    def __init__(self) -> None:
        self._output, self._input = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        set_capacity(self._input, LARGEST_CAPACITY)

    def at(self, pipe: int, size: int) -> bytes:
        """The first bytes that wait in the pipe, up to `size`; fewer where they lie in too many small pieces."""
        try:
            copied = tee(pipe, self._input, size)
        except BlockingIOError:
            return b""
        return os.read(self._output, copied) if copied else b""

    def close(self) -> None:
        """Close the private pipe."""
        os.close(self._input)
        os.close(self._output)
