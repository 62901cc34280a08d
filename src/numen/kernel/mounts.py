"""Which file system a path stands on (/proc/self/mountinfo, proc(5))."""

from __future__ import annotations

import os

from ..record import Record
from . import proc


class Mount(Record):
    """One line of mountinfo."""

    point: str
    kind: str
    """The file system's type: ext4, nfs4, tmpfs, fuse.sshfs."""
    device: str
    """MAJOR:MINOR."""
    source: str


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
                )
            )
    return mounts


def mount_of(path: str) -> Mount | None:
    """The mount on which `path` stands; `None` where /proc does not tell."""
    real = os.path.realpath(path)
    mounts = parse_mountinfo(proc.read("/proc/self/mountinfo") or b"")
    over = [mount for mount in mounts if _is_below(real, mount.point)]
    # Of two mounts on one point the later one hides the earlier.
    return max(reversed(over), key=lambda mount: len(mount.point), default=None)


def _is_below(path: str, point: str) -> bool:
    return point == "/" or path == point or path.startswith(point + "/")


def _unescape(field: bytes) -> str:
    """Undo the octal escapes by which mountinfo writes space, tab, newline and backslash."""
    for escaped, plain in ((b"\\040", b" "), (b"\\011", b"\t"), (b"\\012", b"\n"), (b"\\134", b"\\")):
        field = field.replace(escaped, plain)
    return os.fsdecode(field)
