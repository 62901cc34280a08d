"""Sizes in bytes as people write them: `4096`, `10K`, `50MB`, `1GiB`; every K is 1024."""

from __future__ import annotations

from ..errors import BadOption

_PREFIXES = {"k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}
_UNITS = {"": 1, "b": 1, **{p + end: size for p, size in _PREFIXES.items() for end in ("", "b", "ib")}}

_MOST_DIGITS = 15
"""A petabyte in bytes; no resource of the kernel's is counted further."""


def parse_size(text: str) -> int:
    """The bytes that `text` means. Raises BadOption."""
    lowered = text.strip().lower()
    number = lowered.rstrip("bikmgt")
    unit = lowered[len(number) :]
    is_number = number.isascii() and number.isdigit() and len(number) <= _MOST_DIGITS
    if not is_number or unit not in _UNITS:
        raise BadOption(f"{text!r} is no size; write one like 4096, 64K, 50MB or 1GiB")
    return int(number) * _UNITS[unit]


def format_size(size: int) -> str | int:
    """What a file says for a size: the largest unit that is exact, `10MB`; bare bytes where none is."""
    for unit, bytes_in_it in (("TB", 2**40), ("GB", 2**30), ("MB", 2**20), ("KB", 2**10)):
        if size and not size % bytes_in_it and size // bytes_in_it < 10**_MOST_DIGITS:
            return f"{size // bytes_in_it}{unit}"
    return size
