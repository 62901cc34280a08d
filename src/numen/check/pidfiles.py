"""The pidfiles of the machine: which of them are meant for a process, by what stands in them or by their names."""

from __future__ import annotations

import os

from ..become.pidfile import parse_pid
from ..kernel.files import untrusted_part
from .facts import Pidfile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .machine import Machine

PLACES = ("/run", "/var/run")
"""Where the file hierarchy standard puts them, and one directory below."""


class Pidfiles:
    """Every pidfile in the usual places, read once."""

    def __init__(self, machine: Machine, more: tuple[str, ...] = ()) -> None:
        self._machine = machine
        self._by_pid: dict[int, list[str]] = {}
        self._by_name: dict[str, list[str]] = {}
        for path in dict.fromkeys(os.path.realpath(path) for path in (*_usual(), *more)):
            self.add(path)

    def add(self, path: str) -> None:
        """Know one more."""
        text = _first_bytes(path)
        if text is None:
            return
        pid = parse_pid(text)
        if pid is not None:
            self._by_pid.setdefault(pid, []).append(path)
        self._by_name.setdefault(os.path.basename(path).removesuffix(".pid"), []).append(path)

    def of(self, pid: int, comm: str, pids: tuple[int, ...] = ()) -> list[Pidfile]:
        """Those that name the process, by any of its pids; and one of its name that names nobody alive."""
        paths = [path for number in dict.fromkeys((pid, *pids[-1:])) for path in self._by_pid.get(number, ())]
        for path in self._by_name.get(comm, ()):
            named = parse_pid(_first_bytes(path) or b"")
            if named not in self._machine.processes and path not in paths:
                paths.append(path)
        return [one for path in paths if (one := look(path)) is not None]


def look(path: str) -> Pidfile | None:
    """One pidfile; `None` where there is none, or none that may be read."""
    text = _first_bytes(path)
    try:
        found = os.stat(path)
    except OSError:
        return None
    if text is None:
        return None
    # Anybody may have written it, and it is shown on a terminal.
    line = text.strip().split(b"\n")[0][:40].decode("latin-1").encode("unicode_escape").decode("ascii")
    trusted = untrusted_part(path, uid=found.st_uid) is None
    return Pidfile(path=path, content=line, mode=found.st_mode, uid=found.st_uid, is_trusted_place=trusted)


def _usual() -> Iterator[str]:
    places = [*PLACES, *(filter(None, [os.environ.get("XDG_RUNTIME_DIR")]))]
    for place in places:
        for directory in (place, *_directories(place)):
            try:
                names = os.listdir(directory)
            except OSError:
                continue
            yield from (os.path.join(directory, name) for name in names if name.endswith(".pid"))


def _directories(place: str) -> list[str]:
    try:
        with os.scandir(place) as entries:
            return [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def _first_bytes(path: str) -> bytes | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError:
        return None
    try:
        return os.read(descriptor, 64)
    except OSError:
        return None
    finally:
        os.close(descriptor)
