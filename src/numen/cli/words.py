"""Options and words in any order, for commands behind which no other program's command line stands."""

from __future__ import annotations

from .options import split

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from .options import Table


def read_mixed(table: Table, arguments: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """The values of the options, and the words before, between and behind them; behind `--` all are words.

    Ends the process as Table.read() does. Raises BadOption.
    """
    options: list[str] = []
    words: list[str] = []
    rest = list(arguments)
    while rest:
        more, behind = split(table.options, rest)
        options += more
        if len(more) + len(behind) < len(rest):
            words += behind
            break
        words += behind[:1]
        rest = behind[1:]
    values, _ = table.read(options)
    return values, words
