"""A second reckoning of schedules, as plain and slow as can be: it looks at each minute's clock face in turn.

It shares nothing with `numen.schedule`, so that the two can be compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

BOUNDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
"""Of the minute, hour, day of the month, month and day of the week."""

MINUTE = timedelta(minutes=1)


def numbers(field: str, lowest: int, highest: int) -> set[int]:
    """What a field of numbers, lists, ranges and steps means."""
    found: set[int] = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        first, last = (lowest, highest) if span == "*" else map(int, (span.split("-") * 2)[:2])
        found.update(range(first, last + 1, int(step or 1)))
    return found


@cache
def shown(instant: datetime, zone: ZoneInfo) -> datetime:
    """What the clock of the zone shows."""
    return instant.astimezone(zone).replace(tzinfo=None, fold=0)


class Reckoning:
    """One expression in one zone."""

    def __init__(self, text: str, zone: str) -> None:
        fields = text.split()
        self.zone = ZoneInfo(zone)
        parts = [numbers(field, *bounds) for field, bounds in zip(fields, BOUNDS, strict=True)]
        self.minutes, self.hours, self.days, self.months, weekdays = parts
        self.weekdays = {day % 7 for day in weekdays}
        self.are_both_wanted = fields[2].startswith("*") or fields[4].startswith("*")
        self.is_frequent = fields[0].startswith("*") or fields[1].startswith("*")

    def matches(self, shown: datetime) -> bool:
        """Whether a clock face matches all of the fields."""
        if shown.minute not in self.minutes or shown.hour not in self.hours or shown.month not in self.months:
            return False
        is_day, is_weekday = shown.day in self.days, shown.isoweekday() % 7 in self.weekdays
        return (is_day and is_weekday) if self.are_both_wanted else (is_day or is_weekday)

    def runs(self, after: datetime, minutes: int) -> Iterator[float]:
        """When it runs within so many minutes after an instant that is a whole minute."""
        # The clock may have shown more before than it shows now.
        reached = max(shown(after - back * MINUTE, self.zone) for back in range(25 * 60))
        for step in range(1, minutes + 1):
            instant = after + step * MINUTE
            now = shown(instant, self.zone)
            if self.is_frequent:
                due = self.matches(now)
            else:
                due = False
                while reached < now:
                    reached += MINUTE
                    due = due or self.matches(reached)
            if due:
                yield instant.timestamp()


def at(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> datetime:
    """An instant, by UTC."""
    return datetime(year, month, day, hour, minute, tzinfo=UTC)
