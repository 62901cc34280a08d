"""The files of one log and their names: NAME.log, then NAME.log.1 and on, the newest first.

A kill between any two renames leaves a gap in the numbers, and no more: the next rotation moves files up to the
first gap alone, so that none is removed that should stay.
"""

from __future__ import annotations

import os
from contextlib import suppress

COMPRESSED = ".gz"


MOST_MISSING = 3
"""After so many numbers in a row that no file has, there are no more: a kill leaves one out, no more."""


def rotated(path: str) -> list[tuple[int, str]]:
    """The older files of the log with their numbers, the newest first. Raises OSError."""
    # The directory is not listed: there may be thousands of other logs in it.
    found: list[tuple[int, str]] = []
    number, missing = 1, 0
    while missing < MOST_MISSING:
        # In this order, because a compressed one is there before the other goes.
        names = [name for name in (f"{path}.{number}", f"{path}.{number}{COMPRESSED}") if os.path.lexists(name)]
        found += [(number, name) for name in names]
        missing = 0 if names else missing + 1
        number += 1
    return found


def inodes(path: str) -> set[int]:
    """The inodes of the log's files."""
    found = set()
    for name in [path, *(name for _, name in rotated(path))]:
        with suppress(FileNotFoundError):
            found.add(os.stat(name).st_ino)
    return found


def rotate(path: str, keep: int) -> None:
    """Give the log its first old name, the others the next ones, and remove what is more than `keep` files.

    Nothing stands at `path` then. Raises OSError.
    """
    files: dict[int, list[str]] = {}
    for number, name in rotated(path):
        files.setdefault(number, []).append(name)
    most = max(keep, 1) - 1
    for number in [number for number in files if number > most]:
        for name in files.pop(number):
            os.unlink(name)
    gap = next(number for number in range(1, most + 2) if number not in files)
    if gap > most:
        # The oldest goes before the others move: so there are never more files than were asked for.
        gap = most
        for name in files.get(most, ()):
            os.unlink(name)
    for number in range(gap - 1, 0, -1):
        for name in files[number]:
            ending = COMPRESSED if name.endswith(COMPRESSED) else ""
            os.rename(name, f"{path}.{number + 1}{ending}")
    if most:
        os.rename(path, f"{path}.1")
    else:
        os.unlink(path)


def settle(path: str) -> None:
    """Remove what a kill has left of a compression. Raises OSError."""
    with suppress(FileNotFoundError):
        os.unlink(compressing_path(path))
    files = rotated(path)
    names = {name for _, name in files}
    for _, name in files:
        # The compressed one was renamed when it was whole; the other was about to be removed.
        if name + COMPRESSED in names:
            os.unlink(name)


def compressing_path(path: str) -> str:
    """Where one of the log's older files is while it is being compressed."""
    return f"{path}{COMPRESSED}.new"
