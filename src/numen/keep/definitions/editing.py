"""One value in a person's file is changed: comments, order and blanks stay as they are.

What comes of it is read again before it is written: nothing but that value has changed, or nothing is written.
"""

from __future__ import annotations

import os
import re
import stat

from ...errors import Unusable, from_os_error
from ...kernel.files import write_beside
from . import files
from .sets import LARGEST_FILE
from .source import Source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any


def set_value(file: str, path: Sequence[str], value: Any) -> bool:
    """Let a key of a file have a value, such as `("daemon", "web", "start")`; whether that is a change.

    Raises BadDefinition where the file is no TOML, Unusable where it cannot be changed by a machine, NoPermission.
    """
    before = files.read_content(file, LARGEST_FILE)
    after = with_value(before, path, value, file)
    if after == before:
        return False
    write(file, after)
    return True


def write(file: str, content: bytes) -> None:
    """Let a person's file have this content, whole or not at all; its mode stays. Raises NoPermission, Unusable."""
    # Who keeps his files elsewhere, and links to them, finds the link as it was.
    place = os.path.realpath(file)
    try:
        write_beside(place, content, stat.S_IMODE(os.stat(place).st_mode))
    except OSError as error:
        raise from_os_error(error, f"write {file}") from error


def with_value(content: bytes, path: Sequence[str], value: Any, file: str) -> bytes:
    """The content of a file with a value that this path of keys leads to; it is added where it is missing.

    Raises BadDefinition where the content is no TOML, Unusable where just that cannot be changed.
    """
    import tomllib

    table = Source(content, file).table()
    try:
        wanted = _changed(table, path, value)
    except TypeError:
        wanted = None
    if wanted == table:
        return content
    for changed in _tries(content.decode(), path, value) if wanted is not None else ():
        try:
            if tomllib.loads(changed) == wanted:
                return changed.encode()
        except tomllib.TOMLDecodeError:
            continue
    *tables, key = path
    line = _line(key, value)
    raise Unusable(f"cannot change {file}: write `{line}` into the table [{'.'.join(tables)}] yourself", path=file)


def _changed(table: Mapping[str, Any], path: Sequence[str], value: Any) -> dict[str, Any]:
    """The table with the value. Raises TypeError where the path leads through what is no table."""
    first, *rest = path
    if not isinstance(table, dict):
        raise TypeError(first)
    return {**table, first: _changed(table.get(first, {}), rest, value) if rest else value}


def _tries(text: str, path: Sequence[str], value: Any) -> Iterator[str]:
    """The text with the value in it, by one way after the other; the last one knows all of TOML."""
    # Below the heading: behind the last key, it would stand below a comment on what follows, as tomlkit has it.
    for heading in _heading(path[:-1]).finditer(text):
        end = "\r\n" if "\r\n" in heading[0] else "\n"
        before = text[: heading.end()]
        break_before = "" if before.endswith("\n") else end
        yield f"{before}{break_before}{_line(path[-1], value)}{end}{text[heading.end() :]}"
    yield _by_tomlkit(text, path, value)


def _heading(tables: Sequence[str]) -> re.Pattern[str]:
    names = r"[ \t]*\.[ \t]*".join(rf"""["']?{re.escape(one)}["']?""" for one in tables)
    return re.compile(rf"^[ \t]*\[[ \t]*{names}[ \t]*\][ \t]*(?:#[^\n]*)?(?:\r?\n|\Z)", re.MULTILINE)


def _line(key: str, value: Any) -> str:
    import tomli_w

    return tomli_w.dumps({key: value}).removesuffix("\n")


def _by_tomlkit(text: str, path: Sequence[str], value: Any) -> str:
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    try:
        document = tomlkit.parse(text)
        table: Any = document
        for name in path[:-1]:
            if name not in table:
                table[name] = tomlkit.table()
            table = table[name]
        table[path[-1]] = value
        return tomlkit.dumps(document)
    except (TOMLKitError, TypeError, RecursionError):
        return text
