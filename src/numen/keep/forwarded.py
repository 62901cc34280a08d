"""What is forwarded, on disk: per log KEY.json, and KEY.TARGET with how far it has got.

The supervisor writes KEY.json, the forwarder KEY.TARGET, each alone: so a killed one's successor goes on where it was.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress

from ..errors import BadOption
from ..kernel.files import write_beside
from ..record import Record
from .logs.tailing import Place

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from ..become.syslog.sockets import Kind

TARGETS: tuple[Kind, ...] = ("syslog", "journal")
"""As `log.to` has them, too."""

ENDING = ".json"

_PLACE = b"%20d %20d %10d\n"


class Forwarded(Record):
    """One log that is forwarded."""

    path: str
    ident: str
    priority: int
    """That of lines that do not tell their own."""
    pid: int = 0
    """Of the present run; 0 where it is not known."""
    targets: Mapping[str, tuple[int, int]]
    """To where, and from which inode and offset on."""
    has_ended: bool = False
    """Whether nothing more comes: the daemon is removed."""

    @classmethod
    def read(cls, directory: str, key: str) -> Self | None:
        """That of a log; None where it is not forwarded."""
        try:
            with open(os.path.join(directory, key + ENDING), encoding="utf-8") as file:
                found = json.load(file)
            found["targets"] = {target: (inode, offset) for target, (inode, offset) in found["targets"].items()}
            return cls(**found)
        except (OSError, ValueError, TypeError, KeyError, AttributeError, BadOption):
            return None

    def write(self, directory: str, key: str) -> None:
        """Keep it. Raises OSError."""
        os.makedirs(directory, mode=0o700, exist_ok=True)
        values = {name: getattr(self, name) for name in ("path", "ident", "priority", "pid", "has_ended")}
        text = json.dumps({**values, "targets": dict(self.targets)})
        write_beside(os.path.join(directory, key + ENDING), text.encode(), 0o600)


def keys(directory: str) -> list[str]:
    """The logs that are forwarded."""
    try:
        return sorted(name.removesuffix(ENDING) for name in os.listdir(directory) if name.endswith(ENDING))
    except OSError:
        return []


def remove(directory: str, key: str, *endings: str) -> None:
    """Forget files of a log."""
    for ending in endings:
        with suppress(FileNotFoundError):
            os.unlink(os.path.join(directory, key + ending))


class PlaceFile:
    """How far one log was sent to one target."""

    def __init__(self, path: str, begin: tuple[int, int]) -> None:
        """`begin` is where it begins if it was not sent before. Raises OSError."""
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        inode, offset = begin
        self.place = Place(inode=inode, offset=offset)
        with suppress(ValueError):
            inode, offset, check = (int(word) for word in os.pread(self._descriptor, 100, 0).split())
            self.place = Place(inode=inode, offset=offset, check=check if check >= 0 else None)

    def write(self, place: Place) -> None:
        """Remember it, in one write. Raises OSError."""
        if place != self.place:
            check = -1 if place.check is None else place.check
            os.pwrite(self._descriptor, _PLACE % (place.inode, place.offset, check), 0)
            self.place = place

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)
