"""Whether definitions can be used: every mistake in a set, in a definition or in a directory of them, and its place."""

from __future__ import annotations

import os

from ...errors import BadDefinition, BadOption, DaemonError
from ...record import Record
from ...settings.names import check_kept_name
from ...settings.places import ENDING
from . import files, sets
from .source import Source
from .tables import Mistake, read_table
from .trust import untrusted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class Told(Record):
    """One mistake."""

    file: str
    line: int = 1
    column: int = 1
    """Both are 1 where it is the whole file."""
    key: str = ""
    message: str
    exit_status: int


class Checked(Record):
    """What came of a check."""

    daemons: tuple[str, ...] = ()
    """The names of those that are defined without a mistake."""
    mistakes: tuple[Told, ...] = ()


def check(path: str) -> Checked:
    """Look for mistakes in a file, or in a directory of definitions. Raises Unusable or NoPermission for the file."""
    if os.path.isdir(path):
        found = sets.found_in(path)
        if found is not None:
            return check(found)
        return _check_all(os.path.join(path, entry) for entry in files.entries(path))
    try:
        return Checked(daemons=tuple(_names(path)))
    except BadDefinition as error:
        return Checked(mistakes=tuple(_told(error, path)))


def _check_all(paths: Iterable[str]) -> Checked:
    daemons: list[str] = []
    mistakes: list[Told] = []
    for path in paths:
        try:
            daemons.append(_read_one(Source(files.read_content(path), path)))
        except DaemonError as error:
            mistakes += _told(error, path)
    return Checked(daemons=tuple(daemons), mistakes=tuple(mistakes))


def _names(path: str) -> Iterable[str]:
    """The daemons that a file defines, which is a set or a definition. Raises BadDefinition."""
    if sets.is_procfile(path):
        return sets.load(path).definitions
    source = Source(files.read_content(path, sets.LARGEST_FILE), path)
    table = source.table()
    if os.path.basename(path) == sets.FILE or sets.is_set(table):
        return sets.from_source(source, table).definitions
    return [_read_one(source)]


def _read_one(source: Source) -> str:
    """The name of the daemon that a file of its own defines. Raises BadDefinition."""
    name = os.path.basename(source.path).removesuffix(ENDING)
    definition, mistakes = read_table(source.table())
    try:
        check_kept_name(name)
    except BadOption as error:
        mistakes.append(Mistake(key="", message=str(error), path=()))
    if definition is not None:
        mistakes += untrusted(definition)
    if mistakes:
        raise source.refused(mistakes)
    return name


def _told(error: DaemonError, path: str) -> Iterator[Told]:
    if isinstance(error, BadDefinition):
        for (key, message), (file, line, column) in zip(error.mistakes, error.places, strict=True):
            status = error.exit_status
            yield Told(file=file, line=line, column=column, key=key, message=message, exit_status=status)
    else:
        yield Told(file=path, message=str(error), exit_status=error.exit_status)
