"""What is wanted of a scheduled task, as data: when it is due, and what follows where runs fail, overlap or are missed.

`keys` reads one and checks it; `times` tells when it is due; `decide` lets it happen.
"""

from __future__ import annotations

from ..record import Record

RUN_ONCE, SKIP = "run-once", "skip"
"""What follows of runs whose time passed while nobody was there: one run for all of them, or none."""

QUEUE, REPLACE = "queue", "replace"
"""What follows where a run is due while the last one goes on: it waits, or the last one is ended; or SKIP."""

MISSED = (RUN_ONCE, SKIP)
OVERLAP = (SKIP, QUEUE, REPLACE)

TIMING = ("every", "cron", "cron_seconds", "timezone", "jitter")
"""The fields that say when it is due."""


class Schedule(Record):
    """When something runs: either every so many seconds, or by a calendar; durations are seconds."""

    every: float | None = None
    """An interval, by the monotonic clock: its phase is kept however long a run takes."""
    cron: str | None = None
    """A calendar, by the wall clock: crontab(5)'s five fields, or a name as @daily."""
    cron_seconds: bool = False
    """Whether `cron` has a field for the seconds, before that of the minutes."""
    timezone: str = ""
    """The time zone of the calendar, as Europe/Berlin; empty for the machine's."""
    jitter: float = 0.0
    """The bound of a random delay of each run; no run is delayed past the time of the next one."""
    missed: str = SKIP
    overlap: str = SKIP
    timeout: float | None = None
    """How long a run may take; then it is ended, as a failure."""
    retries: int = 0
    """How often a run that failed is tried again."""
    retry_first: float = 1.0
    retry_longest: float = 60.0
    """The bound of the wait before a retry; it doubles with each, from the first to the longest."""
    at_start: bool = False
    """Whether it runs once as soon as the schedule begins."""
