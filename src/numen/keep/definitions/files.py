"""Definition files: NAME.toml, a file for each daemon, that a person may read and edit.

A file is read only if nobody else could have written it: who can write it can run any program as its owner. It is
written whole or not at all, and only the one line is touched where a daemon is enabled or disabled, so that what a
person wrote there stays.
"""

from __future__ import annotations

import os
import re
import stat
import time

from ...errors import BadDefinition, DaemonError, Unusable, from_os_error
from ...kernel.files import untrusted_part, write_beside
from ...record import Record
from ...settings.names import check_kept_name
from ...settings.places import ENDING
from .source import Source
from .tables import read_table, to_table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .definition import Definition

MODE = 0o600
"""A definition may hold secrets, in its environment."""

LARGEST_FILE = 2**20
"""Bytes; what is larger is no definition, and is not read."""


class Found(Record):
    """What a directory of definitions holds."""

    definitions: Mapping[str, Definition]
    mistakes: Mapping[str, DaemonError]
    """By the name of the file, why it cannot be used."""


def definition_path(directory: str, name: str) -> str:
    """Where the definition of a daemon stands. Raises BadOption for what is no name of one."""
    check_kept_name(name)
    return os.path.join(directory, f"{name}{ENDING}")


def read(path: str) -> Definition:
    """The definition in a file.

    Raises BadDefinition with every mistake in it and its place, Unusable where it is missing, too large or could have
    been written by somebody else, NoPermission.
    """
    return from_text(read_content(path), path)


def from_text(content: bytes, path: str) -> Definition:
    """The definition that a file of this content holds. Raises BadDefinition."""
    source = Source(content, path)
    definition, mistakes = read_table(source.table())
    if definition is None:
        raise source.refused(mistakes)
    return definition


def read_all(directory: str) -> Found:
    """Every definition in a directory; a file with a mistake changes nothing for the others.

    A directory that is missing holds none. Raises NoPermission or Unusable where it cannot be read.
    """
    definitions: dict[str, Definition] = {}
    mistakes: dict[str, DaemonError] = {}
    for entry in entries(directory):
        name = entry.removesuffix(ENDING)
        try:
            definitions[name] = read(definition_path(directory, name))
        except DaemonError as error:
            mistakes[entry] = error
    return Found(definitions=definitions, mistakes=mistakes)


def entries(directory: str) -> list[str]:
    """The files in a directory that define a daemon each; none where it is missing. Raises NoPermission or Unusable."""
    try:
        found = sorted(os.listdir(directory))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise from_os_error(error, f"read the definitions in {directory}") from error
    # What begins with a dot is an editor's, half written.
    return [entry for entry in found if entry.endswith(ENDING) and not entry.startswith(".")]


class Directory:
    """The definitions in a directory; each is read again only when its file has changed."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._read: dict[str, tuple[tuple[int, ...], Definition]] = {}

    def read(self, name: str) -> Definition | DaemonError:
        """The definition of a daemon, or why there is none."""
        path = definition_path(self.path, name)
        # Before it is read: a file that changes in between is read once more the next time.
        state = _state(path)
        known = self._read.get(name)
        if known is not None and known[0] == state:
            return known[1]
        try:
            definition = read(path)
        except DaemonError as error:
            return error
        if state:
            self._read[name] = state, definition
        return definition

    def remove(self, name: str) -> None:
        """Remove the file of that name, also one that is no name of a daemon. Raises OSError."""
        os.unlink(os.path.join(self.path, f"{name}{ENDING}"))

    def forget(self, name: str) -> None:
        """A daemon is removed, and its file."""
        self._read.pop(name, None)


def _state(path: str) -> tuple[int, ...]:
    """What is another when a file has been changed in content, owner or mode, or replaced; nothing if it is gone."""
    try:
        found = os.stat(path)
    except OSError:
        return ()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def unusable(directory: str, names: Iterable[str]) -> dict[str, str]:
    """Of these names those whose file cannot be used, and why, in few words: `9 mistakes in /srv/web.toml`."""
    found = {}
    for name in names:
        path = os.path.join(directory, f"{name}{ENDING}")
        try:
            read(definition_path(directory, name))
        except BadDefinition as error:
            count = len(error.mistakes)
            found[name] = f"{count} mistake{'s' * (count != 1)} in {path}"
        except DaemonError as error:
            found[name] = str(error)
    return found


def write(path: str, definition: Definition, heading: str) -> None:
    """Write a definition, whole or not at all, with a comment above it. Raises NoPermission or Unusable."""
    _write(path, to_text(definition, heading))


def to_text(definition: Definition, heading: str) -> bytes:
    """What a definition file says."""
    import tomli_w

    comment = "".join(f"# {_printable(line)}\n" for line in heading.split("\n"))
    return f"{comment}\n{_SPREAD_LIST.sub(_on_one_line, tomli_w.dumps(to_table(definition)))}".encode()


_SPREAD_LIST = re.compile(r"^(?P<key>\S+ = )\[\n(?P<items>(?:    .*,\n)+)\]$", re.MULTILINE)
"""A list as tomli_w writes it, a line for each item; within text a line end is always written as an escape."""

_LONGEST_LINE = 100


def _on_one_line(match: re.Match[str]) -> str:
    items = " ".join(line.strip() for line in match["items"].split("\n")).rstrip(", ")
    line = f"{match['key']}[{items}]"
    return line if len(line) <= _LONGEST_LINE else match[0]


def heading(name: str, command: str = "numen start") -> str:
    """The comment that says by what the file was written and when, and how a change of it takes effect."""
    now = time.strftime("%Y-%m-%d %H:%M:%S %z")
    return f"Written by {command} on {now}; edit it, then: numen restart {name}"


def set_start(path: str, start: bool) -> None:  # noqa: FBT001 - the key's value
    """Let a daemon be brought back when the supervisor starts, or not; all else in its file stays as it is.

    Raises what read() and write() raise.
    """
    content = read_content(path)
    changed = with_start(content, start, path)
    if changed != content:
        _write(path, changed)


def with_start(content: bytes, start: bool, path: str) -> bytes:  # noqa: FBT001 - the key's value
    """The content of a definition file with `start` set. Raises BadDefinition."""
    definition = from_text(content, path)
    if definition.start == start:
        return content
    wanted = definition.replace(start=start)
    value = "true" if start else "false"
    # A line in a text or in a list can look like a key or a table. So what comes of it is read again, and the file is
    # written anew where that is not what was wanted.
    changed = _with_line(content.decode(), value).encode()
    try:
        if from_text(changed, path) == wanted:
            return changed
    except BadDefinition:
        pass
    return to_text(wanted, f"Written by numen, which set start = {value}")


def _with_line(text: str, value: str) -> str:
    head, tables = text, ""
    if table := re.search(r"^[ \t]*\[", text, re.MULTILINE):
        head, tables = text[: table.start()], text[table.start() :]
    changed, count = re.subn(r"^([ \t]*start[ \t]*=[ \t]*)(?:true|false)\b", rf"\g<1>{value}", head, flags=re.MULTILINE)
    if not count:
        # Behind the last key, and before the blank line that parts it from a table.
        last = head.rstrip()
        changed = f"{last}\nstart = {value}{head[len(last) :] or chr(10)}"
    return changed + tables


def _write(path: str, content: bytes) -> None:
    try:
        # Who keeps his files elsewhere, and links to them, finds the link as it was.
        write_beside(os.path.realpath(path), content, MODE)
    except OSError as error:
        raise from_os_error(error, f"write the definition {path}") from error


def read_content(path: str, largest: int = LARGEST_FILE) -> bytes:
    """What stands in a file that nobody else could have written. Raises Unusable, NoPermission."""
    if part := untrusted_part(path):
        raise _not_trusted(path, part)
    try:
        # A FIFO that somebody left there must not keep anybody waiting.
        with open(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise Unusable(f"cannot read the definition {path}: it is no file", path=path)
            if found.st_uid not in (0, os.geteuid()) or found.st_mode & (stat.S_IWOTH | _group_bit(found)):
                raise _not_trusted(path, path)
            if found.st_size > largest:
                raise Unusable(f"cannot read the definition {path}: it has {found.st_size} bytes", path=path)
            return file.read(largest)
    except OSError as error:
        raise from_os_error(error, f"read the definition {path}") from error


def _group_bit(found: os.stat_result) -> int:
    # On many systems everybody has a group of his own; root's files none but root's group may write.
    return stat.S_IWGRP if os.geteuid() == 0 and found.st_gid != 0 else 0


def _not_trusted(path: str, part: str) -> DaemonError:
    try:
        found = os.stat(part)
    except OSError as error:
        return from_os_error(error, f"read the definition {path}")
    return Unusable(
        f"cannot use the definition {path}: others than its owner can change {part}"
        f" (mode {stat.S_IMODE(found.st_mode):04o}, uid {found.st_uid}, gid {found.st_gid});"
        f" it must belong to you or root, and be writable by nobody else",
        path=path,
        part=part,
        mode=stat.S_IMODE(found.st_mode),
    )


def _printable(line: str) -> str:
    return "".join(one if one.isprintable() else "?" for one in line)
