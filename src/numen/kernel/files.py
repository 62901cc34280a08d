"""Files that must not be led astray: opened without following a link, in directories that others cannot change."""

from __future__ import annotations

import errno
import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

NOT_EXECUTED = {
    errno.ENOENT: "the interpreter in its first line, or its dynamic loader, is missing",
    errno.ENOEXEC: "it is neither a program nor a script with #! in its first line",
}
"""Why a file that is there cannot be executed, where the error's own words would mislead (execve(2))."""

MOST_LINKS = 40
"""Links that are followed on the way to one file: as many as the kernel follows (path_resolution(7))."""


def untrusted_part(path: str, *, uid: int | None = None, root: str = "") -> str | None:
    """A directory on the way to `path` that somebody else could exchange or fill; `None` where there is none.

    `uid` is the user who trusts, by default this process's; `root` is the root directory of the process for which
    the path is meant. Trusted is what belongs to root or to that user and is not writable by others; a sticky
    directory such as /tmp will do, because in it nobody can remove or rename another's file (inode(7)). A group may
    write in a user's directory, since on many systems everybody has a group of his own; in root's none but root's
    may. On the way are the directories in which a link to follow stands, too, and the link is as its directory: in
    /tmp anybody can have laid one.
    """
    uid = os.geteuid() if uid is None else uid
    try:
        for place, _entry, found in steps(path, root):
            is_laid_by_another = found is not None and stat.S_ISLNK(found.st_mode) and found.st_uid not in (0, uid)
            if is_laid_by_another or not _is_trusted(os.lstat(root + place), uid):
                return place
    except OSError as error:
        return str(error.filename).removeprefix(root)
    return None


def _is_trusted(directory: os.stat_result, uid: int) -> bool:
    owned = directory.st_uid in (0, uid)
    groups_matter = uid == 0 and directory.st_gid != 0
    others = stat.S_IWOTH | (stat.S_IWGRP if groups_matter else 0)
    return owned and bool(not directory.st_mode & others or directory.st_mode & stat.S_ISVTX)


def changeable(path: str, uid: int) -> str:
    """What others than root and that user can change of a file, in words; nothing of what is missing."""
    try:
        part = untrusted_part(path, uid=uid) or path
        found = os.stat(part)
    except (OSError, ValueError):
        return ""
    mode = stat.S_IMODE(found.st_mode)
    if part == path and not _is_open(found, uid):
        return ""
    whose = "root" if uid == 0 else f"root or to uid {uid}"
    return (
        f"others can change {part} (mode {mode:04o}, uid {found.st_uid}, gid {found.st_gid}); it must belong to"
        f" {whose}, and be writable by nobody else"
    )


def _is_open(found: os.stat_result, uid: int) -> bool:
    """Whether a file, no directory, is another's or can be written by others."""
    groups_matter = uid == 0 and found.st_gid != 0
    others = stat.S_IWOTH | (stat.S_IWGRP if groups_matter else 0)
    return stat.S_ISREG(found.st_mode) and (found.st_uid not in (0, uid) or bool(found.st_mode & others))


def steps(path: str, root: str = "") -> Iterator[tuple[str, str, os.stat_result | None]]:
    """The way to `path` as the kernel goes it: each directory, the entry looked up in it, and what that is.

    Links are followed, with `root` as they lead in a process that has that root directory; the names are those
    inside it. The last entry may be missing, then it is `None`. Raises OSError where the way does not lead on.
    """
    left = _names(path if os.path.isabs(path) else os.path.join(os.getcwd(), path))
    place, links = "/", 0
    while left:
        name = left.pop()
        if name == "..":
            place = os.path.dirname(place)
            continue
        entry = os.path.join(place, name)
        try:
            found = os.lstat(root + entry)
        except OSError:
            if left:
                raise
            found = None
        yield place, entry, found
        if found is None or not stat.S_ISLNK(found.st_mode):
            place = entry
            continue
        links += 1
        if links > MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), entry)
        target = os.readlink(root + entry)
        left += _names(target)
        if os.path.isabs(target):
            place = "/"


def _names(path: str) -> list[str]:
    """The names in a path, the first one last."""
    return [name for name in reversed(path.split("/")) if name not in ("", ".")]


def may_execute(path: str) -> bool:
    """Whether this process may execute the file, or enter the directory, as who it is now (access(2))."""
    # Only faccessat2(2) can ask by effective ids, and containers of its first years refuse it with EPERM, which
    # looks like a no. So it is used where it makes a difference.
    as_another = os.geteuid() != os.getuid() or os.getegid() != os.getgid()
    return os.access(path, os.X_OK, effective_ids=as_another)


def beside_path(path: str) -> str:
    """Where write_beside() writes: always the same name, so that what one who was killed has left does not stay."""
    return f"{path}.new"


def write_beside(path: str, content: bytes, mode: int = 0o644) -> None:
    """Write a file that readers see whole or not at all: beside it, then renamed over it. Raises OSError."""
    # Always a new file, because in a directory such as /tmp anybody may have put one there.
    beside = beside_path(path)
    if os.path.lexists(beside):
        os.unlink(beside)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "wb", buffering=0) as file:
            os.fchmod(descriptor, mode)
            file.write(content)
        os.rename(beside, path)
    except BaseException:
        os.unlink(beside)
        raise
