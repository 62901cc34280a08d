"""Time zones by their names. Their data comes from the system and is read once; this is all that `schedule` reads."""

from __future__ import annotations

from functools import lru_cache
from zoneinfo import ZoneInfo

from ..errors import BadOption

LOCAL = "/etc/localtime"
"""The machine's own zone (localtime(5)); a machine without it keeps UTC."""


@lru_cache(maxsize=256)
def zone(name: str) -> ZoneInfo:
    """The zone of that name; the machine's, after TZ or /etc/localtime, for an empty one. Raises BadOption."""
    if not name:
        return _local()
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):  # a directory, a path out of the data, no such zone
        raise _unknown(name) from None


def forget_zones() -> None:
    """Read zones anew when next asked: the machine's zone, or the data, may have changed."""
    zone.cache_clear()
    ZoneInfo.clear_cache()


def _local() -> ZoneInfo:
    import os

    try:
        if named := os.environ.get("TZ", "").removeprefix(":"):
            return ZoneInfo(named)
        with open(LOCAL, "rb") as data:
            return ZoneInfo.from_file(data, key="localtime")
    except (OSError, ValueError, KeyError):
        return _utc()


def _utc() -> ZoneInfo:
    try:
        return ZoneInfo("UTC")
    except KeyError:
        # Not even UTC is known where no data of zones is installed; these few bytes are its TZif file (RFC 8536).
        from io import BytesIO

        head = b"TZif2" + bytes(15)
        empty = head + b"\0\0\0\0" * 4 + b"\0\0\0\1\0\0\0\4" + bytes(6) + b"UTC\0"
        return ZoneInfo.from_file(BytesIO(empty + empty + b"\nUTC0\n"), key="UTC")


def _unknown(name: str) -> BadOption:
    from difflib import get_close_matches
    from zoneinfo import available_timezones

    known = available_timezones()
    if not known:
        return BadOption(f"cannot use the time zone {name[:60]!r}: this machine has no zones; install tzdata")
    shown = {one.lower(): one for one in known}
    close = get_close_matches(name.lower(), shown, n=1) if len(name) <= 60 else []
    hint = f"; did you mean {shown[close[0]]}?" if close else "; write one like Europe/Berlin or UTC"
    return BadOption(f"{name[:60]!r} is no time zone{hint}")
