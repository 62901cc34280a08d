"""One entry of the log: who says it, how urgent it is, when it was said, and the names for all that.

How an entry looks on its way is not known here: see `messages`, `journal` and `files`.
"""

from __future__ import annotations

from ...errors import BadOption
from ...record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PRIORITIES = ("emerg", "alert", "crit", "err", "warning", "notice", "info", "debug")
"""The names of syslog(3) without LOG_; the place of each is its number."""

FACILITIES = {
    "user": 1,
    "mail": 2,
    "daemon": 3,
    "auth": 4,
    "syslog": 5,
    "lpr": 6,
    "news": 7,
    "uucp": 8,
    "cron": 9,
    "authpriv": 10,
    "ftp": 11,
    **{f"local{number}": 16 + number for number in range(8)},
}
"""The names of syslog(3) without LOG_. `kern` is missing: only the kernel speaks for the kernel."""

LONGEST_IDENT = 48
"""What RFC 5424 allows for APP-NAME."""


class Entry(Record):
    """A message, with all that any kind of log wants to know of it."""

    ident: str
    facility: int
    priority: int
    text: str
    extra: Mapping[str, str | int | bytes] = {}
    """Further fields, which only the journal can hold."""
    time: float
    """Seconds since the epoch."""
    pid: int
    """0 where it is not known."""
    lost: int = 0
    """How many messages before this one were lost."""


def priority_number(priority: str | int) -> int:
    """The number of a priority that is given by name, or by number as syslog(3) has it."""
    if priority in PRIORITIES:
        return PRIORITIES.index(priority)
    if isinstance(priority, int) and 0 <= priority < len(PRIORITIES):
        return priority
    raise _not_among("priority", priority, PRIORITIES)


def facility_number(facility: str) -> int:
    """The number of a facility that is given by name."""
    if facility not in FACILITIES:
        raise _not_among("facility", facility, FACILITIES)
    return FACILITIES[facility]


def check_among(option: str, value: str, valid: Iterable[str]) -> None:
    """Raise BadOption where the value of that option is none of the valid ones."""
    if value not in valid:
        raise _not_among(option, value, valid)


def check_ident(ident: str) -> None:
    """Raise BadOption for an ident that would make the head of a message ambiguous."""
    # A space or a colon ends the tag of RFC 3164, a bracket begins the pid, and RFC 5424 wants ASCII.
    if not 0 < len(ident) <= LONGEST_IDENT or any(not "!" <= sign <= "~" or sign in "[]:" for sign in ident):
        raise BadOption(
            f"cannot log as {ident!r}: an ident is 1 to {LONGEST_IDENT} printable ASCII characters "
            "other than space, '[', ']' and ':'",
            ident=ident,
        )


def _not_among(option: str, value: object, valid: Iterable[str]) -> BadOption:
    return BadOption(f"no such {option}: {value!r}; it is one of {', '.join(valid)}", **{option: value})


def readable(text: str) -> bytes:
    """The text in UTF-8; every control character but tab and newline, and every lone surrogate, written out.

    A control character could cut the message short (NUL), change the terminal of the person who reads the
    log (ESC), or make journalctl show a number of bytes instead of the message.
    """
    return text.replace("\r\n", "\n").translate(_WRITTEN_OUT).encode("utf-8", "backslashreplace")


_WRITTEN_OUT = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0)) if code not in (0x09, 0x0A)}


def lines(text: str) -> list[bytes]:
    """The lines of a message in readable form, without the empty ones; at least one."""
    return [line for line in readable(text).split(b"\n") if line.strip()] or [b""]


def timestamp(seconds: float) -> str:
    """The local time in the form of RFC 3339, as `2026-03-01T08:00:00.250000+01:00`."""
    import time

    local = time.localtime(seconds)
    sign = "-" if local.tm_gmtoff < 0 else "+"
    offset = abs(local.tm_gmtoff) // 60
    return (
        f"{local.tm_year:04}-{local.tm_mon:02}-{local.tm_mday:02}"
        f"T{local.tm_hour:02}:{local.tm_min:02}:{local.tm_sec:02}.{int(seconds % 1 * 1_000_000):06}"
        f"{sign}{offset // 60:02}:{offset % 60:02}"
    )
