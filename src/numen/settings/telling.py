"""What was written, told to who has written it: short enough for a message, and what was probably meant."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any


def shown(value: Any) -> str:
    """The value as it was written, short enough for a message."""
    try:
        return clipped(repr(value), 60)
    except (ValueError, RecursionError):  # a number of thousands of digits, a thousand lists in each other
        return "what stands there"


def clipped(text: str, longest: int) -> str:
    """The text, or as much of its beginning as is allowed."""
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The word that was probably meant; `None` where none resembles it."""
    from difflib import get_close_matches

    # A long one resembles nothing, and comparing takes its time.
    close = get_close_matches(word, known, n=1) if len(word) <= 40 else []
    return close[0] if close else None
