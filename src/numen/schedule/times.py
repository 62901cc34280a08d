"""When a schedule is due: arithmetic on seconds, by its own clock.

An interval's times are those of CLOCK_MONOTONIC, counted from an anchor, so that nothing is added up and nothing
drifts; a calendar's are those of the wall clock.
"""

from __future__ import annotations

from math import floor

from .zones import zone

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .schedule import Schedule


def next_run(schedule: Schedule, after: float, anchor: float = 0.0) -> float | None:
    """The first time past `after` at which it is due; `None` where none comes."""
    if schedule.every is not None:
        return _next_in_phase(schedule.every, anchor, after)
    if schedule.cron is None:
        return None
    # Not loaded for intervals alone.
    from .cron import next_match, parse_cron

    cron = parse_cron(schedule.cron, seconds=schedule.cron_seconds)
    return next_match(cron, zone(schedule.timezone), after)


def next_runs(schedule: Schedule, after: float, count: int, anchor: float = 0.0) -> tuple[float, ...]:
    """The next times past `after` at which it is due, so many of them, or as many as there are."""
    found: list[float] = []
    while len(found) < count:
        time = next_run(schedule, found[-1] if found else after, anchor)
        if time is None:
            break
        found.append(time)
    return tuple(found)


def is_frequent(schedule: Schedule) -> bool:
    """Whether its times are whatever the clock shows (`*/5 * * * *`), instead of certain ones (`30 2 * * *`)."""
    if schedule.cron is None:
        return False
    from .cron import parse_cron

    return parse_cron(schedule.cron, seconds=schedule.cron_seconds).is_frequent


def _next_in_phase(every: float, anchor: float, after: float) -> float:
    steps = floor((after - anchor) / every) + 1
    # The division may have been rounded over the edge, to either side.
    if anchor + (steps - 1) * every > after:
        steps -= 1
    while (time := anchor + steps * every) <= after:
        steps += 1
    return time
