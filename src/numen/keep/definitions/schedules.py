"""The kinds of values of the keys of a schedule, each read as `numen.schedule` reads it.

What that needs is imported when one is written: most daemons are no tasks.
"""

from __future__ import annotations

from ...settings.durations import exact_duration
from .kinds import Kind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_DURATION = {"anyOf": [{"type": "string"}, {"type": "number", "minimum": 0}]}


def _read_as(name: str) -> Callable[[Any], Any]:
    def parse(value: Any) -> Any:
        from ...schedule.keys import PARSERS

        return PARSERS[name](value)

    return parse


def _parse_cron(value: Any) -> str:
    from ...schedule.cron import parse_cron
    from ...schedule.keys import parse_cron_text

    text = parse_cron_text(value)
    parse_cron(text)
    return text


def _duration(name: str, written: str) -> Kind:
    return Kind(parse=_read_as(name), form=exact_duration, written=written, schema=_DURATION)


EVERY = _duration("every", "a duration of at least 10ms")
CRON = Kind(
    parse=_parse_cron, written="the five fields of crontab(5), or a name such as `@daily`", schema={"type": "string"}
)
TIMEZONE = Kind(
    parse=lambda value: value if value == "" else _read_as("timezone")(value),
    written="a name of the time zone database; an empty one for the machine's",
    schema={"type": "string"},
)
JITTER = _duration("jitter", "a duration")
MISSED_RUNS = Kind(parse=_read_as("missed"), written="`run-once` or `skip`", schema={"enum": ["run-once", "skip"]})
OVERLAPS = Kind(
    parse=_read_as("overlap"), written="`skip`, `queue` or `replace`", schema={"enum": ["skip", "queue", "replace"]}
)
TIMEOUT = _duration("timeout", "a duration of at least 10ms")
RETRIES = Kind(
    parse=_read_as("retries"),
    written="a whole number from 0 to 1000",
    schema={"type": "integer", "minimum": 0, "maximum": 1000},
)
WAIT = _duration("retry_first", "a duration of at least 10ms")
