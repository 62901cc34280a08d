"""Sets of daemons: `numen.toml`, a table for each daemon and the defaults of all; or a Procfile.

A set is read whole or not at all: a file with a mistake anywhere defines nothing. Files of one daemon are those of
`files`.
"""

from __future__ import annotations

import os

from ...become.surroundings import DEFAULT_PATH
from ...errors import Unusable
from ...record import Record
from ...settings.places import absolute
from . import files
from .relative import Base
from .set_tables import DAEMON, DEFAULTS, Reading
from .source import Source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from .definition import Definition

FILE = "numen.toml"
"""How such a file is called in a project."""

PROCFILE = "Procfile"
"""What foreman, honcho and others read; `Procfile.dev` and the like are such files too."""

LARGEST_FILE = 2**24
"""Bytes; some ten thousand daemons."""


class DaemonSet(Record):
    """What a file defines."""

    definitions: Mapping[str, Definition]
    """By name, in the order of the file; all paths in them are full."""
    instances: Mapping[str, int] = {}
    """How many there are of each daemon that says so: of `worker` as many as there are of `worker@1` and so on."""


def load(path: str, search: str = DEFAULT_PATH) -> DaemonSet:
    """The set in a numen.toml or a Procfile, or in the one of a directory.

    Raises what read() and file_of() raise.
    """
    path = file_of(path)
    if not is_procfile(path):
        return read(path, search)
    from . import procfile

    return DaemonSet(definitions=procfile.from_text(files.read_content(path, LARGEST_FILE), path))


def file_of(path: str) -> str:
    """The file that is meant: of a directory its numen.toml, or its Procfile. Raises Unusable where it has none."""
    if not os.path.isdir(path):
        return path
    found = found_in(path)
    if found is None:
        raise Unusable(f"there is neither a {FILE} nor a {PROCFILE} in {absolute(path)}; numen init writes one")
    return found


def found_in(directory: str) -> str | None:
    """The set of a directory; `None` where it has none."""
    for name in (FILE, PROCFILE):
        path = os.path.normpath(os.path.join(directory, name))
        if os.path.lexists(path):
            return path
    return None


def is_procfile(path: str) -> bool:
    """Whether a file is one, by its name."""
    name = os.path.basename(path)
    return name == PROCFILE or name.startswith(f"{PROCFILE}.")


def read(path: str, search: str = DEFAULT_PATH) -> DaemonSet:
    """The set in a TOML file; `search` is where programs are looked for, as PATH has it, if the file says nothing.

    Raises BadDefinition with every mistake in it, Unusable where it is missing, too large or could have been written
    by somebody else, NoPermission.
    """
    return from_text(files.read_content(path, LARGEST_FILE), path, search)


def from_text(content: bytes, path: str, search: str = DEFAULT_PATH) -> DaemonSet:
    """The set that a file of this content holds. Raises BadDefinition."""
    source = Source(content, path)
    return from_source(source, source.table(), search)


def from_source(source: Source, table: Mapping[str, Any], search: str = DEFAULT_PATH) -> DaemonSet:
    """The set in the table that a source holds. Raises BadDefinition with the places of all mistakes."""
    base = Base(directory=os.path.dirname(absolute(source.path)), search=search)
    reading = Reading(table, base)
    if reading.mistakes:
        raise source.refused(reading.mistakes)
    return DaemonSet(definitions=reading.definitions, instances=reading.instances)


def is_set(table: Mapping[str, Any]) -> bool:
    """Whether a table is one of a set, and not that of one daemon."""
    return DEFAULTS in table or DAEMON in table
