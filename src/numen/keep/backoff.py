"""When a daemon that has ended is started again: at once, after a wait that grows, now and then, or no more.

All of it is arithmetic on the life; `decide` is the caller. The wait has full jitter, so that what failed together does
not come back together.
"""

from __future__ import annotations

from ..settings.durations import format_duration
from .definitions.definition import SLOWLY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .definitions.definition import Definition
    from .life import Life

MOST_DOUBLINGS = 32
"""More would only make the number unwieldy: long before, the longest wait bounds it."""


def time_up(life: Life) -> float | None:
    """Seconds from ready to the end of the last run; `None` where it was never ready."""
    if life.ready_at is None or life.ended_at is None:
        return None
    return life.ended_at - life.ready_at


def judged(definition: Definition, life: Life, now: float) -> Life:
    """The life with its failures counted, after a run has ended; and whether it is slow from here on."""
    up = time_up(life)
    failures, is_slow = life.failures, life.is_slow
    if up is not None and up >= definition.forgiven_after:
        failures, is_slow = 0, False
    if up is None or up < definition.healthy_after:
        failures += 1
    if definition.give_up_then == SLOWLY and _is_too_often(definition, life, now):
        is_slow = True
    return life.replace(failures=failures, is_slow=is_slow)


def is_given_up(definition: Definition, life: Life, now: float) -> bool:
    """Whether it was restarted too often to be tried again."""
    return definition.give_up_then != SLOWLY and _is_too_often(definition, life, now)


def reason_for_giving_up(definition: Definition) -> str:
    """In words."""
    within = format_duration(definition.give_up_within)
    times = "once" if definition.give_up_restarts == 1 else f"{definition.give_up_restarts} times"
    return f"restarted {times} within {within}"


def wait(definition: Definition, life: Life, chance: float) -> float:
    """Seconds until the next try; 0 after a healthy run."""
    up = time_up(life)
    if not life.is_slow and up is not None and up >= definition.healthy_after:
        return 0.0
    doublings = min(max(life.failures - 1, 0), MOST_DOUBLINGS)
    # chance is in [0, 1): from the other end the wait is never 0, which would mean at once.
    grown = (1 - chance) * min(definition.backoff_first * 2.0**doublings, definition.backoff_longest)
    return max(grown, definition.give_up_every) if life.is_slow else grown


def longest(definition: Definition, life: Life) -> float:
    """Seconds that the wait for the next try can be at most."""
    return max(definition.backoff_longest, definition.give_up_every) if life.is_slow else definition.backoff_longest


def counted(definition: Definition, life: Life, now: float) -> Life:
    """The life with one restart more."""
    kept = definition.give_up_restarts
    recent = (*_recent(definition, life, now), now)[-kept:] if kept else ()
    return life.replace(restarts=life.restarts + 1, restarted_at=recent)


def _is_too_often(definition: Definition, life: Life, now: float) -> bool:
    bound = definition.give_up_restarts
    return bool(bound) and len(_recent(definition, life, now)) >= bound


def _recent(definition: Definition, life: Life, now: float) -> tuple[float, ...]:
    return tuple(one for one in life.restarted_at if now - one < definition.give_up_within)
