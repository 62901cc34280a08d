"""How a schedule is written: the parser of each key, and of all of them with every mistake told at once.

Definitions and programs have these keys; whoever holds them reads each by its parser here and checks the whole.
"""

from __future__ import annotations

from ..errors import BadDefinition, BadOption
from ..settings.durations import exact_duration, format_duration, parse_duration
from ..settings.telling import nearest, shown
from .schedule import MISSED, OVERLAP, Schedule
from .zones import zone

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    Mistakes = list[tuple[str, str]]

SHORTEST_INTERVAL = 0.01
"""Seconds; what should run more often than that is a loop of its own."""

LONGEST = 10 * 365 * 86400.0
"""Seconds; a longer duration is a slip."""

MOST_RETRIES = 1000


def parse_every(value: object) -> float:
    """An interval: `30s`, or seconds. Raises BadOption."""
    return _seconds(value, SHORTEST_INTERVAL)


def parse_cron_text(value: object) -> str:
    """A cron expression as it was written; whether it is one, `mistakes_in` tells. Raises BadOption."""
    return " ".join(_text(value, "a cron expression").split())


def parse_timezone(value: object) -> str:
    """A time zone's name. Raises BadOption."""
    name = _text(value, "a time zone")
    zone(name)
    return name


def parse_jitter(value: object) -> float:
    """The bound of a random delay. Raises BadOption."""
    return _seconds(value, 0.0)


def parse_missed(value: object) -> str:
    """What follows of missed runs. Raises BadOption."""
    return _choice(value, MISSED)


def parse_overlap(value: object) -> str:
    """What follows where a run is due while the last one goes on. Raises BadOption."""
    return _choice(value, OVERLAP)


def parse_timeout(value: object) -> float:
    """How long a run may take. Raises BadOption."""
    return _seconds(value, 0.01)


def parse_retries(value: object) -> int:
    """How often a failed run is tried again. Raises BadOption."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MOST_RETRIES:
        raise BadOption(f"{shown(value)} is no number of retries; write one from 0 to {MOST_RETRIES}")
    return value


def parse_wait(value: object) -> float:
    """The wait before a retry. Raises BadOption."""
    return _seconds(value, 0.01)


def parse_flag(value: object) -> bool:
    """True or false. Raises BadOption."""
    if not isinstance(value, bool):
        raise BadOption(f"{shown(value)} is neither true nor false")
    return value


PARSERS: Mapping[str, Callable[[Any], Any]] = {
    "every": parse_every,
    "cron": parse_cron_text,
    "cron_seconds": parse_flag,
    "timezone": parse_timezone,
    "jitter": parse_jitter,
    "missed": parse_missed,
    "overlap": parse_overlap,
    "timeout": parse_timeout,
    "retries": parse_retries,
    "retry_first": parse_wait,
    "retry_longest": parse_wait,
    "at_start": parse_flag,
}
"""The keys, each with what makes its value from what TOML, JSON or a program gives."""

DURATIONS = frozenset({"every", "jitter", "timeout", "retry_first", "retry_longest"})


def from_table(table: Mapping[str, object]) -> Schedule:
    """The schedule that the keys say. Raises BadDefinition with every mistake in them."""
    values: dict[str, Any] = {}
    mistakes: Mistakes = []
    for name, written in table.items():
        if name not in PARSERS:
            mistakes.append((name, _unknown(name)))
            continue
        try:
            values[name] = PARSERS[name](written)
        except BadOption as error:
            mistakes.append((name, error.message))
    schedule = Schedule(**values)
    # Two keys that were written and one of which cannot be read are not contradicting each other yet.
    mistakes += [(key, what) for key, what in mistakes_in(schedule) if not mistakes or key in values]
    if mistakes:
        told = "; ".join(f"{key}: {what}" for key, what in mistakes)
        raise BadDefinition(f"cannot use the schedule: {told}", mistakes=tuple(mistakes))
    return schedule


def to_table(schedule: Schedule) -> dict[str, Any]:
    """The schedule as what TOML and JSON can hold: what differs from the defaults."""
    changed = {name: value for name, value in schedule.values().items() if value != getattr(Schedule, name)}
    return {name: exact_duration(value) if name in DURATIONS else value for name, value in changed.items()}


def parse_schedule(text: str) -> Schedule:
    """The schedule that one text says: `30s`, `*/5 8-18 * * mon-fri`, `@daily`. Raises BadDefinition."""
    is_calendar = text.strip().startswith("@") or len(text.split()) >= 5
    return from_table({"cron" if is_calendar else "every": text})


def mistakes_in(schedule: Schedule) -> Mistakes:
    """What is wrong with the keys taken together, each with the key at which it can be mended."""
    found: Mistakes = []
    if schedule.every is None and schedule.cron is None:
        found.append(("every", "a schedule needs an interval (every) or a calendar (cron)"))
    if schedule.every is not None and schedule.cron is not None:
        found.append(("cron", "a schedule has an interval (every) or a calendar (cron), not both"))
    if schedule.cron is None:
        found += [(key, "it belongs to cron") for key in ("timezone", "cron_seconds") if getattr(schedule, key)]
    else:
        from .cron import parse_cron

        try:
            parse_cron(schedule.cron, seconds=schedule.cron_seconds)
        except BadOption as error:
            found.append(("cron", error.message))
    if schedule.every is not None and schedule.jitter > schedule.every:
        found.append(("jitter", f"{_long(schedule.jitter)} is longer than the interval, {_long(schedule.every)}"))
    if schedule.retry_longest < schedule.retry_first:
        found.append(("retry_longest", f"{_long(schedule.retry_longest)} is below retry_first"))
    return found


def _seconds(value: object, shortest: float) -> float:
    if isinstance(value, str):
        seconds = parse_duration(value)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        seconds = float(value) if abs(value) <= LONGEST else LONGEST + 1
    else:
        raise BadOption(f"{shown(value)} is no duration; write one like 500ms, 30s, 5m or 1h30m")
    # Compared so that what is no number (nan) is refused too.
    if not shortest <= seconds <= LONGEST:
        bounds = f"from {_long(shortest)} to ten years" if shortest else "up to ten years"
        raise BadOption(f"{shown(value)} is out of bounds; write a duration {bounds}")
    return seconds


def _text(value: object, what: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise BadOption(f"{shown(value)} is not the text of {what}")
    return value.strip()


def _choice(value: object, words: tuple[str, ...]) -> str:
    if not isinstance(value, str) or value not in words:
        raise BadOption(f"{shown(value)} is unknown; write {', '.join(words[:-1])} or {words[-1]}")
    return value


def _unknown(name: str) -> str:
    meant = nearest(str(name).lower().replace("-", "_"), PARSERS)
    return "there is no such key" + (f"; did you mean {meant}?" if meant else "")


def _long(seconds: float) -> str:
    return format_duration(seconds)
