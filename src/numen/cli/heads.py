"""What stands before a line of a log: the name of who wrote it, and when."""

from __future__ import annotations

import time
from itertools import cycle

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

COLOURS = (36, 33, 32, 35, 34, 31)
"""Of the names, in turn."""

STAMP = "%Y-%m-%d %H:%M:%S"


def heads(names: Sequence[str], *, has_colours: bool, mark: str = "|") -> dict[str, str]:
    """What stands before the lines of each: the names, equally long."""
    width = max(map(len, names), default=0)
    plain = {name: f"{name:<{width}} {mark} " for name in names}
    if not has_colours:
        return plain
    return {name: f"\x1b[{colour}m{plain[name]}\x1b[0m" for name, colour in zip(names, cycle(COLOURS))}


def stamp(when: float | None) -> str:
    """When a line was written, as far as that is known."""
    if when is None:
        return "-" * 23
    return f"{time.strftime(STAMP, time.localtime(when))}.{int(when * 1000) % 1000:03}"
