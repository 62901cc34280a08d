"""Cron expressions: what they may say, and the next time that one matches in a time zone.

`cronsim` reads them and reckons on the calendar, as Debian's cron does; the clock's changes are reckoned here, by the
rules of cron(8):

- An expression for certain times runs at each of them once. A time that the clock leaves out runs at the instant of the
  change; one that the clock shows twice runs the first time.
- An expression whose minute or hour (or second) begins with `*` means whatever the clock shows: what it leaves out does
  not run, what it shows twice runs twice, so that `*/5 * * * *` runs every five minutes all the time.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from cronsim import CronSim, CronSimError

from ..errors import BadOption
from ..record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from zoneinfo import ZoneInfo

NAMES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
"""What may stand for a whole expression."""

_FIELDS = {
    "second": "seconds are 0-59",
    "minute": "minutes are 0-59",
    "hour": "hours are 0-23",
    "day-of-month": "days of the month are 1-31, or L for the last one",
    "month": "months are 1-12 or jan-dec",
    "day-of-week": "days of the week are 0-7 (0 and 7 are Sunday) or sun-sat, mon#1 for the first Monday, 5L for the"
    " last Friday",
}

_WITHIN_ONE = re.compile(r"(^|[\s,])0*([^\W_]+)-0*\2/0*[1-9][0-9]*(?=$|[\s,])")
"""A range of one with a step, `5-5/2`: that one alone, where cronsim takes it to go on to the end."""

_LONGEST_TEXT = 1000
_SOME_YEAR = datetime(2000, 1, 1)
"""Where the calendar is looked through for a day that matches."""
_SECOND = timedelta(seconds=1)


class Cron(Record):
    """An expression that was read."""

    expression: str
    """As cronsim takes it."""
    is_frequent: bool
    """Whether it means whatever the clock shows, instead of certain times."""


@lru_cache(maxsize=1024)
def parse_cron(text: str, *, seconds: bool = False) -> Cron:
    """The expression that the text means; six fields, the seconds first, where `seconds` is set. Raises BadOption."""
    whole = text.strip().lower()
    if whole.startswith("@"):
        if whole not in NAMES:
            raise _bad(text, f"the names are {', '.join(NAMES)}{_HINTS.get(whole.split()[0], '')}")
        whole = NAMES[whole]
    elif len(text) > _LONGEST_TEXT:
        raise _bad(text, "it is too long")
    else:
        _check_fields(text, whole.split(), seconds=seconds)
        whole = _WITHIN_ONE.sub(r"\1\2", whole)
    try:
        calendar = CronSim(whole, _SOME_YEAR)
    except CronSimError as error:
        raise _explained(text, whole.split(), str(error)) from None
    if next(calendar, None) is None:
        raise _bad(text, "no day in fifty years matches it")
    return Cron(expression=whole, is_frequent=any(one.startswith("*") for one in whole.split()[:-3]))


def next_match(cron: Cron, zone: ZoneInfo, after: float) -> float | None:
    """The first time past `after` at which it is due, both in seconds since the epoch; `None` where none comes."""
    try:
        start = datetime.fromtimestamp(after // 1, UTC).astimezone(zone)
        found = (_next_shown if cron.is_frequent else _next_certain)(cron, zone, start)
    except (OverflowError, ValueError, OSError):  # the year 9999 is the last
        return None
    return None if found is None else found.timestamp()


def _next_certain(cron: Cron, zone: ZoneInfo, after: datetime) -> datetime | None:
    """By the rule that each time runs once, as soon as the clock has reached or passed it."""
    start = _utc(after)
    reached = (_first_reached(shown, zone) for shown in _on_calendar(cron, _shown(after)))
    return next((instant for instant in reached if instant > start), None)


def _next_shown(cron: Cron, zone: ZoneInfo, after: datetime) -> datetime | None:
    """By the rule that it runs whenever the clock shows a time that matches."""
    start = _utc(after)
    found = next((instant for instant in _whenever(cron, zone, _shown(after)) if instant > start), None)
    set_back = _when_set_back(after, zone)
    if set_back is None or (found is not None and found < set_back):
        return found
    # From that instant on the clock shows once more what it had shown before `after`.
    again = _shown(set_back.astimezone(zone)) - _SECOND
    return next((instant for instant in _whenever(cron, zone, again) if instant >= set_back), None)


def _whenever(cron: Cron, zone: ZoneInfo, after: datetime) -> Iterator[datetime]:
    for shown in _on_calendar(cron, after):
        yield from _instants(shown, zone)


def _on_calendar(cron: Cron, after: datetime) -> Iterator[datetime]:
    """The times that match, whatever a clock may do with them."""
    return CronSim(cron.expression, after)


def _shown(local: datetime) -> datetime:
    """What the clock shows, without the zone."""
    return local.replace(tzinfo=None, fold=0)


def _first_reached(shown: datetime, zone: ZoneInfo) -> datetime:
    """The first instant at which the clock shows that time, or, where it leaves it out, a later one."""
    local = shown.replace(tzinfo=zone)
    before, since = _utc(local.replace(fold=1)), _utc(local)
    if before >= since:  # equal, but where a time is shown twice
        return since
    return _change_between(before, since, zone)


def _instants(shown: datetime, zone: ZoneInfo) -> list[datetime]:
    """When the clock shows that time: once, twice, or never."""
    local = shown.replace(tzinfo=zone)
    both = sorted({_utc(local), _utc(local.replace(fold=1))})
    return [one for one in both if _shown(one.astimezone(zone)) == shown]


def _when_set_back(at: datetime, zone: ZoneInfo) -> datetime | None:
    """The instant at which the clock is set back to what it shows at `at`, or before; `None` where it is not."""
    again = at.replace(fold=1)
    if at.fold == 1 or at.utcoffset() == again.utcoffset():
        return None
    return _change_between(_utc(at), _utc(again), zone)


def _change_between(earlier: datetime, later: datetime, zone: ZoneInfo) -> datetime:
    """The first instant after `earlier`, at `later` at the latest, at which the zone has another offset from UTC."""
    offset = earlier.astimezone(zone).utcoffset()
    while later - earlier > _SECOND:
        middle = (earlier + (later - earlier) / 2).replace(microsecond=0)
        if middle.astimezone(zone).utcoffset() == offset:
            earlier = middle
        else:
            later = middle
    return later


def _utc(local: datetime) -> datetime:
    return local.astimezone(UTC)


_HINTS = {
    "@reboot": "; what runs at each start is `at_start`",
    "@every": "; an interval is not written here, but as `every`",
}


def _check_fields(text: str, fields: list[str], *, seconds: bool) -> None:
    wanted = 6 if seconds else 5
    if len(fields) != wanted:
        names = ("second " if seconds else "") + "minute hour day-of-month month day-of-week"
        found = f"{len(fields)} field" if len(fields) == 1 else f"{len(fields)} fields"
        raise _bad(text, f"it has {found}, and {wanted} are wanted: {names}, like {'0 ' * seconds}*/5 8-18 * * mon-fri")


def _explained(text: str, fields: list[str], complaint: str) -> BadOption:
    """What was wrong with it, by the field that cronsim complains of."""
    named = complaint.removeprefix("Bad ")
    if named not in _FIELDS:
        return _bad(text, complaint)
    part = fields[list(_FIELDS).index(named) - 6]
    if named == "day-of-month" and _is_read([*fields[:-2], "*", fields[-1]]):
        return _bad(text, f"day {part} never comes in month {fields[-2]}")
    return _bad(text, f"{part!r} is no {named.replace('-', ' ').replace('day of', 'day of the')}; {_FIELDS[named]}")


def _is_read(fields: list[str]) -> bool:
    try:
        CronSim(" ".join(fields), _SOME_YEAR)
    except CronSimError:
        return False
    return True


def _bad(text: str, reason: str) -> BadOption:
    shown = text if len(text) <= 60 else f"{text[:57]}..."
    return BadOption(f"{shown!r} is no cron expression: {reason}")
