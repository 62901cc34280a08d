"""Whether a person looks at a terminal, how wide it is, and whether in colours."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..check.report.table import Screen

NARROWEST = 40
"""Columns below which lines are broken by the terminal: there is no room for ours."""

COLOURS = ("auto", "always", "never")
"""What --color takes."""


def screen(colour: str | None = None) -> Screen | None:
    """What is written for a terminal, and in which colours; `None` where plain lines are wanted."""
    if not is_terminal(sys.stdout) and colour != "always":
        return None
    from ..check.report.table import Screen

    return Screen(width=_width(), has_colours=colour == "always" or (colour != "never" and wants_colours()))


def wants_colours() -> bool:
    """Whether who looks at a terminal wants them: an empty NO_COLOR says nothing (no-color.org)."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _width() -> int:
    import shutil

    # The last column stays free: some terminals go on to the next line as soon as it is written.
    return max(shutil.get_terminal_size((100, 24)).columns - 1, NARROWEST)


def is_terminal(stream: Any) -> bool:
    """Whether it is one; a stream that is closed is none."""
    try:
        return stream is not None and bool(stream.isatty())
    except ValueError:
        return False
