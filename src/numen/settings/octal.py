"""Modes as people write them, in octal digits: `022`."""

from __future__ import annotations

from ..errors import BadOption


def octal(text: str) -> int:
    """A mask of file modes from its octal digits. Raises BadOption."""
    if not text or len(text) > 4 or text.strip("01234567") or int(text, 8) > 0o777:
        raise BadOption(f"{text!r} is no umask; write octal digits, such as 022")
    return int(text, 8)
