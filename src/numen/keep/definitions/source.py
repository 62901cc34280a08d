"""A file that defines daemons: what TOML makes of it, and where in it a mistake stands.

Positions are looked for only when there is a mistake to tell.
"""

from __future__ import annotations

import re

from ...settings.toml_positions import Positions, deepest, position_of
from .tables import Mistake, bad_definition

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from ...errors import BadDefinition
    from ...settings.toml_positions import Path, Position


class Source:
    """The content of one file."""

    def __init__(self, content: bytes, path: str) -> None:
        self.path = path
        self._content = content
        self._positions = Positions("")

    def table(self) -> dict[str, Any]:
        """What stands in it. Raises BadDefinition where it is no TOML, with the place."""
        import tomllib

        try:
            text = self._content.decode()
        except UnicodeDecodeError as error:
            before = self._content[: error.start].decode()
            raise self._whole("it is no UTF-8 text", position_of(before, len(before))) from None
        self._positions = Positions(text)
        try:
            return tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise self._whole(*_told(str(error), text)) from None
        except RecursionError:
            # A thousand brackets, and a number of thousands of digits, are no TOML that anybody wrote by hand.
            raise self._whole("a value in it is nested too deeply", deepest(text)) from None
        except (ValueError, OverflowError):
            raise self._whole("a number in it is too long", _longest_number(text)) from None

    def place(self, path: Path) -> tuple[str, int, int]:
        """The file, the line and the column of what stands there; of what is missing, where it could stand."""
        return self.path, *self._positions.of(path)

    def refused(self, mistakes: Iterable[Mistake]) -> BadDefinition:
        """The error that tells the mistakes, in the order in which they stand in the file."""
        placed = sorted(((self.place(one.path), one) for one in mistakes), key=lambda pair: pair[0])
        told = [(one.key, one.message) for _, one in placed]
        return bad_definition(told, self.path, [place for place, _ in placed])

    def _whole(self, message: str, position: Position) -> BadDefinition:
        return bad_definition([("", message)], self.path, [(self.path, *position)])


_PLACE = re.compile(r" \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)$")


def _told(message: str, text: str) -> tuple[str, Position]:
    """The words of tomllib, and the place that stands behind them."""
    found = _PLACE.search(message)
    if found is None:
        return message, (1, 1)
    if found["line"] is None:
        # An editor shows no line behind the last line end.
        return f"{message[: found.start()]} at the end", position_of(text, len(text.rstrip("\r\n")))
    return message[: found.start()], (int(found["line"]), int(found["column"]))


def _longest_number(text: str) -> Position:
    longest = max(re.finditer(r"[0-9_]+", text), key=lambda match: len(match[0]), default=None)
    return position_of(text, longest.start() if longest else 0)
