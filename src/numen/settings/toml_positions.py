"""Where in a TOML text each key is written: line and column, which no TOML library tells.

The text is one that tomllib has read, so that nothing is checked here: brackets, quotation marks and keys are
followed, and values passed over. For a text that is no TOML it tells what can be told.
"""

from __future__ import annotations

import re
from bisect import bisect_right

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    Path = tuple[str | int, ...]
    """The keys that lead to a value; a number is a place in a list, counted from 0."""
    Position = tuple[int, int]
    """Line and column, both counted from 1, the column in characters."""


class Positions:
    """The positions of all keys of a text; they are looked for when the first one is asked for."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._found: dict[Path, Position] | None = None

    def of(self, path: Path) -> Position:
        """Where that key is written first; for one that is not, where the nearest table around it is."""
        if self._found is None:
            self._found = locate(self._text)
        while path and path not in self._found:
            path = path[:-1]
        return self._found.get(path, (1, 1))


def locate(text: str) -> dict[Path, Position]:
    """Where each key, and each item of a list, is written first."""
    walk = _Walk()
    for kind, lexeme, offset in _tokens(text):
        walk.take(kind, lexeme, offset)
    starts = _line_starts(text)
    return {path: _position(starts, offset) for path, offset in walk.found.items()}


def deepest(text: str) -> Position:
    """Where the brackets are nested deepest."""
    depth = most = place = 0
    for _kind, lexeme, offset in _tokens(text):
        if lexeme in ("[", "{"):
            depth += 1
            if depth > most:
                most, place = depth, offset
        elif lexeme in ("]", "}"):
            depth -= 1
    return position_of(text, place)


def position_of(text: str, offset: int) -> Position:
    """The line and the column of a character."""
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)


def _line_starts(text: str) -> list[int]:
    return [0, *(match.end() for match in re.finditer("\n", text))]


def _position(starts: Sequence[int], offset: int) -> Position:
    line = bisect_right(starts, offset)
    return line, offset - starts[line - 1] + 1


_BARE, _QUOTED, _MARK, _END = "bare", "quoted", "mark", "end"

_TOKEN = re.compile(
    r'''(?P<quoted>"""(?:[^"\\]|\\.|"{1,2}(?!"))*"{3,5}|\'{3}.*?\'{3,5}|"(?:[^"\\\n]|\\.)*"|'[^'\n]*')'''
    r"""|(?P<mark>[\[\]{}=,.])|(?P<end>\n)|(?P<bare>[^\s\[\]{}=,."'#]+)|\#[^\n]*""",
    re.DOTALL,
)


def _tokens(text: str) -> Iterator[tuple[str, str, int]]:
    """The kind, the text and the offset of all that is neither a blank nor a comment."""
    for match in _TOKEN.finditer(text):
        if match.lastgroup:
            yield match.lastgroup, match[0], match.start()


class _Container:
    """A list or an inline table that is open."""

    def __init__(self, path: Path, *, is_list: bool) -> None:
        self.path = path
        self.is_list = is_list
        self.items = 0


class _Walk:
    """The way through the tokens: within which table, in which key or value."""

    def __init__(self) -> None:
        self.found: dict[Path, int] = {}
        self._table: Path = ()
        self._lists: dict[Path, int] = {}
        """How many tables each list of tables has so far."""
        self._open: list[_Container] = []
        self._parts: list[tuple[str, int]] = []
        """The parts of the key that is being read, each with its offset."""
        self._brackets = 0
        """How many have opened the header that is being read."""
        self._value: Path | None = None
        """Where the value belongs that is being read; `None` while a key is."""
        self._awaits_item = False

    def take(self, kind: str, lexeme: str, offset: int) -> None:
        """Go on by one token."""
        if self._value is not None:
            self._in_value(kind, lexeme, offset)
        elif kind in (_BARE, _QUOTED):
            self._parts.append((lexeme if kind == _BARE else _unquoted(lexeme), offset))
        elif kind == _MARK:
            self._in_key(lexeme)
        elif not self._open:
            self._end_of_line()

    def _in_key(self, mark: str) -> None:
        if mark == "=":
            self._value = self._record(self._open[-1].path if self._open else self._table, self._parts)
            self._parts = []
        elif mark == "[" and not self._open:
            self._brackets += 1
        elif mark == "]" and self._brackets:
            self._end_of_header()
        elif mark == "}" and self._open:
            self._close()

    def _record(self, base: Path, parts: Iterable[tuple[str, int]]) -> Path:
        """Note where each part of a key stands; the path that it means."""
        for part, offset in parts:
            base = (*base, part)
            self.found.setdefault(base, offset)
        return base

    def _end_of_header(self) -> None:
        if not self._parts:  # the second bracket of two
            return
        path: Path = ()
        for part in self._parts:
            path = self._record(self._in_last(path), [part])
        if self._brackets > 1:
            self._lists[path] = self._lists.get(path, 0) + 1
            self.found[self._in_last(path)] = self._parts[-1][1]
        self._table = self._in_last(path)
        self._parts = []

    def _in_last(self, path: Path) -> Path:
        """The path of the last table, where it is that of a list of tables."""
        return (*path, self._lists[path] - 1) if path in self._lists else path

    def _in_value(self, kind: str, lexeme: str, offset: int) -> None:
        if kind == _END:
            if not self._open:
                self._end_of_line()
            return
        if kind == _MARK and lexeme in "]}":
            self._close()
            return
        if kind == _MARK and lexeme == ",":
            self._next_item()
            return
        path = self._item(offset)
        if kind == _MARK and lexeme in "[{":
            self._open.append(_Container(path, is_list=lexeme == "["))
            self._next_item()

    def _item(self, offset: int) -> Path:
        """Where the value belongs that begins here, or goes on."""
        assert self._value is not None
        if self._awaits_item:
            within = self._open[-1]
            self._value = (*within.path, within.items)
            self.found.setdefault(self._value, offset)
            within.items += 1
            self._awaits_item = False
        return self._value

    def _next_item(self) -> None:
        if self._open:
            within = self._open[-1]
            self._awaits_item = within.is_list
            self._value = within.path if within.is_list else None

    def _close(self) -> None:
        # What follows is a comma, a bracket or the end of the line: the value around is read on.
        if self._open:
            self._value = self._open.pop().path
        self._parts = []
        self._awaits_item = False

    def _end_of_line(self) -> None:
        self._value = None
        self._parts = []
        self._brackets = 0


def _unquoted(lexeme: str) -> str:
    if lexeme.startswith("'") or "\\" not in lexeme:
        return lexeme[1:-1]
    import tomllib

    try:
        name: str = tomllib.loads(f"it = {lexeme}")["it"]
    except tomllib.TOMLDecodeError:
        return lexeme
    return name
