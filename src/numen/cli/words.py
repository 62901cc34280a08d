"""Options and words in any order, for commands behind which no other program's command line stands; and words like
those that are known, for who has mistyped one."""

from __future__ import annotations

from .options import split

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
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


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """What a person may have meant, as the end of a sentence; nothing where nothing is like it."""
    from difflib import get_close_matches

    meant = get_close_matches(word, list(known), n=1)
    return f"; did you mean {meant[0]}?" if meant else ""


def is_pattern(name: str) -> bool:
    """Whether it is a shell pattern, which is no name."""
    return bool(set(name) & set("*?["))


def no_daemon(name: str, known: Iterable[str]) -> str:
    """That a name or a pattern means no daemon, in words."""
    if is_pattern(name):
        return f"no daemon matches {name!r}"
    return f"there is no daemon {name!r}{did_you_mean(name, known)}"
