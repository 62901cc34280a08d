"""Which file system a path stands on (/proc/self/mountinfo, proc(5))."""

from __future__ import annotations

import os

from ..record import Record
from . import proc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


class Mount(Record):
    """One line of mountinfo."""

    point: str
    kind: str
    """The file system's type: ext4, nfs4, tmpfs, fuse.sshfs."""
    device: str
    """MAJOR:MINOR."""
    source: str
    root: str = "/"
    """What of that file system is mounted."""


def parse_mountinfo(text: bytes) -> list[Mount]:
    """The mounts in the text of mountinfo, in its order; a line that is none is passed over."""
    mounts = []
    # A blank and a newline within a name are escaped; every other byte stands as it is.
    for line in text.split(b"\n"):
        before, separator, after = line.partition(b" - ")
        left, right = before.split(b" "), after.split(b" ")
        if separator and len(left) >= 5 and len(right) >= 2:
            mounts.append(
                Mount(
                    point=_unescape(left[4]),
                    kind=right[0].decode(errors="replace"),
                    device=left[2].decode(errors="replace"),
                    source=_unescape(right[1]),
                    root=_unescape(left[3]),
                )
            )
    return mounts


def mount_of(path: str) -> Mount | None:
    """The mount on which `path` stands; `None` where /proc does not tell."""
    return mount_over(os.path.realpath(path), mounts())


def mounts(pid: int | str = "self") -> list[Mount]:
    """The mounts that a process sees; none where /proc does not tell."""
    return parse_mountinfo(proc.read(f"/proc/{pid}/mountinfo") or b"")


def mount_over(real_path: str, mounts: Iterable[Mount]) -> Mount | None:
    """The one of these mounts on which a path without links stands."""
    over = [mount for mount in mounts if _is_below(real_path, mount.point)]
    # Of two mounts on one point the later one hides the earlier.
    return max(reversed(over), key=lambda mount: len(mount.point), default=None)


def is_removable(device: str) -> bool:
    """Whether the disk with that MAJOR:MINOR can be taken out (sysfs(5))."""
    # A partition has no file of its own: its disk's stands one directory up.
    for place in ("removable", "../removable"):
        text = proc.read(f"/sys/dev/block/{device}/{place}")
        if text is not None:
            return text.strip() == b"1"
    return False


def _is_below(path: str, point: str) -> bool:
    return point == "/" or path == point or path.startswith(point + "/")


def _unescape(field: bytes) -> str:
    """Undo the octal escapes by which mountinfo writes space, tab, newline and backslash."""
    for escaped, plain in ((b"\\040", b" "), (b"\\011", b"\t"), (b"\\012", b"\n"), (b"\\134", b"\\")):
        field = field.replace(escaped, plain)
    return os.fsdecode(field)
