"""Variables whose values stand in files: read when a daemon is spawned, by the child that becomes it, and kept nowhere.

They are read as who keeps the daemon, root or a user, whoever the daemon runs as: so root's secrets can be readable by
root alone. What is said of a file never tells what is in it.
"""

from __future__ import annotations

import os
import stat

from ..errors import NoPermission, Unusable, from_os_error
from ..kernel.files import changeable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

LARGEST = 65536
"""Bytes; the kernel takes a variable of 128 KiB at most (execve(2))."""


def read_secrets(files: Mapping[str, str]) -> dict[str, str]:
    """The variables whose values stand in these files. It may wait for a disk. Raises a DaemonError naming the file."""
    return {name: _read(name, path) for name, path in files.items()}


def _read(name: str, path: str) -> str:
    what = f"read the secret {name} from {path}"
    try:
        content = _content(path, what)
    except OSError as error:
        raise from_os_error(error, what) from error
    if len(content) > LARGEST:
        raise Unusable(f"cannot {what}: it is larger than 64 KB")
    if b"\0" in content:
        raise Unusable(f"cannot {what}: a byte 0 is in it, which no variable can hold")
    return os.fsdecode(content.removesuffix(b"\n").removesuffix(b"\r"))


def _content(path: str, what: str) -> bytes:
    """What is in it, or so much of it that it is too large."""
    # A FIFO would be waited for, and a terminal become the controlling one.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise Unusable(f"cannot {what}: it is no regular file")
        if os.geteuid() == 0 and (message := changeable(path, 0)):
            raise NoPermission(f"cannot {what}: {message}")
        content = b""
        while len(content) <= LARGEST and (chunk := os.read(descriptor, LARGEST)):
            content += chunk
        return content
    finally:
        os.close(descriptor)
