"""Durations as people write them: `100ms`, `5s`, `2m`, `1h30m`, `90` (seconds)."""

from __future__ import annotations

from ..errors import BadOption

_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_FORMS = "like 500ms, 30s, 5m, 1h30m or 90 (seconds)"


def parse_duration(text: str) -> float:
    """The seconds that `text` means. Raises BadOption."""
    total, rest = 0.0, text.strip().lower()
    if not rest:
        raise _bad(text)
    while rest:
        number, rest = _split(rest, "0123456789.")
        unit, rest = _split(rest, "abcdefghijklmnopqrstuvwxyz")
        # A bare number stands alone: in `1h30` nobody can know what the 30 is.
        bare_alone = not unit and number == text.strip()
        if number.count(".") > 1 or number in ("", ".") or not (unit in _UNITS or bare_alone):
            raise _bad(text)
        total += float(number) * _UNITS[unit or "s"]
        rest = rest.lstrip(" ")
    return total


def format_duration(seconds: float) -> str:
    """The shortest exact-looking text for a duration: `1h 5m`, `30s`, `250ms`."""
    if seconds < 1:
        return f"{seconds * 1000:.0f}ms"
    if seconds < 60:
        return f"{seconds:.3g}s"
    parts = []
    left = round(seconds)
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{unit}")
    return " ".join(parts[:2])


def exact_duration(seconds: float) -> str | float:
    """What a file says for a duration: text such as `90s`, or the bare seconds where only they are exact."""
    for unit, size in (("d", 86400.0), ("h", 3600.0), ("m", 60.0), ("s", 1.0), ("ms", 1e-3)):
        count = round(seconds / size)
        if count and parse_duration(text := f"{count}{unit}") == seconds:
            return text
    return seconds if seconds else "0s"


def _split(text: str, allowed: str) -> tuple[str, str]:
    rest = text.lstrip(allowed)
    return text[: len(text) - len(rest)], rest


def _bad(text: str) -> BadOption:
    return BadOption(f"{text!r} is no duration; write one {_FORMS}")
