"""Whether a daemon is up, and still in health: its probes, its watchdog, its age and its memory; pure, as `decide` is.

`decide` is the caller. A function here returns the next life and what must follow; what is for `decide` itself to do,
to take it to be up or to end it, is said by a verdict. What is due when stands in `life.health`.
"""

from __future__ import annotations

from ..record import Record
from ..settings.durations import format_duration
from .definitions.definition import STOP, TELL, Definition
from .kernel import ALIVE, READY
from .life import Ask, ForgetQuestions, Health, LookAtMemory, State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .life import Action, Answered, Life, MemorySeen, Notified

    Step = tuple[Life, tuple[Action, ...]]
    Found = tuple[Life, tuple[Action, ...], "Verdict | None"]

EXEC, AFTER, LOG = "exec", "after:", "log:"

ASKED_AGAIN = ("tcp:", "http:", "https:", "unix:", "exec:")
"""How the probes begin that are asked again and again."""

NO_ANSWER, SILENT, TOO_OLD, TOO_LARGE = "does not answer", "watchdog", "max_age", "max_memory"
"""How the reasons begin for which a daemon is ended here."""

UNSOUND = (NO_ANSWER, SILENT)
"""Those that make its end a failure, whatever its exit status."""

SPREAD = 0.1
"""By so much of itself an age is drawn out, so that what started together is not restarted together."""

MEMORY_EVERY = 5.0
"""Seconds between two looks at memory; they are taken at the same instants for all, in one look."""

SHORTEST_WATCHDOG = 0.001

MOST_SAID = 300
"""Characters of a bad answer that are kept."""


class Verdict(Record):
    """What is to follow from what was found."""

    reason: str = ""
    """Why it is to be ended; empty where it has turned out to be up."""
    aborts: bool = False
    """Whether SIGABRT is to come before the stop schedule, so that it can leave word of where it hangs."""


def is_asked(definition: Definition) -> bool:
    """Whether somebody asks whether it is up."""
    return definition.ready.startswith((*ASKED_AGAIN, LOG))


def patience(definition: Definition, alive_after: float) -> float:
    """Seconds from its spawn until it is up, or too late."""
    if definition.ready == EXEC:
        return alive_after
    return seconds_after(definition) if definition.ready.startswith(AFTER) else definition.ready_timeout


def is_up_by_time(definition: Definition) -> bool:
    """Whether it is known to be up by nothing but having lived for so long."""
    return definition.ready == EXEC or definition.ready.startswith(AFTER)


def seconds_after(definition: Definition) -> float:
    """The time of the kind `after:`."""
    from .definitions.probes import parse

    return parse(definition.ready).seconds


# When a life goes on


def followed(definition: Definition, before: Life, step: Step, now: float, chance: float) -> Step:
    """The step, with what follows from it here: a run that has begun is asked, one that is up watched, one that ends
    left in peace.
    """
    after, actions = step
    was_up, is_up = before.state is State.RUNNING, after.state is State.RUNNING
    if is_up and not was_up:
        return after.replace(health=watched(definition, after, now, chance)), (*actions, *_forgotten(after.health))
    has_begun = after.state is State.STARTING and after.process is not None
    if has_begun and before.process is None:
        return after.replace(health=Health(ready_at=now if is_asked(definition) else None)), actions
    if before.health != Health() and not (is_up or has_begun):
        return after.replace(health=Health()), (*actions, *_forgotten(before.health))
    return after, actions


def watched(definition: Definition, life: Life, now: float, chance: float) -> Health:
    """What is due of one that is up: it became so, or its definition has changed, or there is a new supervisor.

    What is known of it stays; what was being asked is asked anew.
    """
    health = life.health
    # Not all at once for those that came up together.
    spread = 0.5 + chance / 2
    can_be_asked_again = definition.ready.startswith(ASKED_AGAIN)
    again = definition.ready_again if can_be_asked_again else None
    watchdog = health.watchdog or definition.watchdog if definition.watchdog is not None else None
    since = now if life.ready_at is None else life.ready_at
    age = definition.max_age
    return Health(
        ready_at=None if again is None else now + again * spread,
        alive_at=None if definition.alive_probe is None else now + definition.alive_interval * spread,
        watchdog=watchdog,
        watchdog_at=None if watchdog is None else now + watchdog,
        age_at=None if age is None else max(now, since + age * (1 + SPREAD * chance)),
        memory_at=None if definition.max_memory is None else _next_look_at_memory(now),
        is_not_ready=health.is_not_ready and again is not None,
        is_silent=health.is_silent and definition.alive_probe is not None,
        was_late=health.was_late,
        said=health.said,
    )


def on_resumed(definition: Definition, life: Life, now: float, chance: float) -> Life:
    """Ask anew: what was asked died with the last supervisor, and the watchdog has its full time."""
    if life.state is State.RUNNING:
        renewed = watched(definition, life, now, chance)
        if life.health.age_at is not None and renewed.age_at is not None:
            renewed = renewed.replace(age_at=max(now, life.health.age_at))
        return life.replace(health=renewed)
    if life.state is State.STARTING and life.process is not None:
        return life.replace(health=Health(ready_at=now if is_asked(definition) else None, said=life.health.said))
    return life


def on_adjusted(definition: Definition, life: Life, before: Definition, now: float, chance: float) -> Step:
    """Another definition has taken hold of one that is up: where that concerns its health, all is begun anew."""
    if all(getattr(definition, name) == getattr(before, name) for name in _CONCERNED):
        return life, ()
    return life.replace(health=watched(definition, life, now, chance)), _forgotten(life.health)


_CONCERNED = tuple(name for name in Definition.fields() if name.startswith(("ready_", "alive_", "max_")))


# What happens


def on_look_came(definition: Definition, life: Life, now: float) -> Found:
    """The time of something has come."""
    health = life.health
    if _is_due(health.watchdog_at, now):
        assert health.watchdog is not None
        return life, (), Verdict(reason=f"{SILENT}: silent for {format_duration(health.watchdog)}", aborts=True)
    if _is_due(health.age_at, now):
        age = definition.max_age or 0.0
        return life, (), Verdict(reason=f"{TOO_OLD}: up for more than {format_duration(age)}")
    changes: dict[str, object] = {}
    actions: list[Action] = []
    if _is_due(health.ready_at, now):
        changes |= {"ready_at": None, "asks_ready": True}
        is_long = life.state is State.STARTING and definition.ready.startswith(LOG)
        timeout = definition.ready_timeout if is_long else definition.alive_timeout
        actions.append(Ask(kind=READY, timeout=timeout))
    if _is_due(health.alive_at, now):
        changes |= {"alive_at": None, "asks_alive": True}
        actions.append(Ask(kind=ALIVE, timeout=definition.alive_timeout))
    if _is_due(health.memory_at, now):
        changes["memory_at"] = _next_look_at_memory(now)
        actions.append(LookAtMemory())
    return life.replace(health=health.replace(**changes)), tuple(actions), None


def on_answered(definition: Definition, life: Life, event: Answered, now: float) -> Found:
    """A probe has its answer."""
    health = life.health
    if event.kind == READY and health.asks_ready:
        return _ready_answered(definition, life, event, now)
    if event.kind == ALIVE and health.asks_alive:
        return _alive_answered(definition, life, event, now)
    return life, (), None  # of an earlier state


def _ready_answered(definition: Definition, life: Life, event: Answered, now: float) -> Found:
    health = life.health.replace(asks_ready=False)
    if life.state is State.STARTING:
        if event.ok:
            return life.replace(health=health.replace(said="")), (), Verdict()
        health = health.replace(said=event.message[:MOST_SAID], ready_at=now + definition.ready_interval)
        return life.replace(health=health), (), None
    wait = definition.ready_interval if definition.ready_again is None else definition.ready_again
    health = health.replace(ready_at=now + wait)
    if event.ok:
        health = health.replace(ready_failures=0, is_not_ready=False, said="" if health.is_not_ready else health.said)
    else:
        failures = health.ready_failures + 1
        is_not_ready = health.is_not_ready or failures >= definition.alive_failures
        health = health.replace(ready_failures=failures, is_not_ready=is_not_ready, said=event.message[:MOST_SAID])
    return life.replace(health=health), (), None


def _alive_answered(definition: Definition, life: Life, event: Answered, now: float) -> Found:
    health = life.health.replace(asks_alive=False, alive_at=now + definition.alive_interval)
    if event.ok:
        health = health.replace(alive_failures=0, is_silent=False, said="" if health.is_silent else health.said)
        return life.replace(health=health), (), None
    failures = health.alive_failures + 1
    health = health.replace(alive_failures=failures, said=event.message[:MOST_SAID])
    if failures < definition.alive_failures:
        return life.replace(health=health), (), None
    if definition.alive_then == TELL:
        return life.replace(health=health.replace(is_silent=True)), (), None
    return life.replace(health=health), (), Verdict(reason=f"{NO_ANSWER}: {health.said}")


def on_notified(life: Life, event: Notified, now: float) -> Found:
    """It has spoken to its watchdog, or of it."""
    health = life.health
    watchdog = health.watchdog
    if watchdog is None or life.state is not State.RUNNING:
        return life, (), None
    if event.watchdog == "trigger":
        return life, (), Verdict(reason=f"{SILENT}: it asked for its end", aborts=True)
    if event.watchdog_time is not None:
        watchdog = max(event.watchdog_time, SHORTEST_WATCHDOG)
        health = health.replace(watchdog=watchdog, watchdog_at=now + watchdog)
    elif event.watchdog == "1":
        health = health.replace(watchdog_at=now + watchdog)
    return life.replace(health=health), (), None


def on_memory_seen(definition: Definition, life: Life, event: MemorySeen) -> Found:
    """So much is used by its family."""
    bound = definition.max_memory
    if life.state is not State.RUNNING or bound is None:
        return life, (), None
    if event.used <= bound:
        return life.replace(health=life.health.replace(memory=event.used)), (), None
    return life, (), Verdict(reason=f"{TOO_LARGE}: it uses {megabytes(event.used)}, more than {megabytes(bound)}")


# After the end


def is_failure(life: Life) -> bool:
    """Whether it was ended here because it was not in health."""
    return life.reason.startswith(UNSOUND)


def is_for_good(definition: Definition, life: Life) -> bool:
    """Whether it is not to be started again because of that."""
    return life.reason.startswith(NO_ANSWER) and definition.alive_then == STOP


def is_renewal(life: Life) -> bool:
    """Whether it was ended only to be started anew."""
    return life.reason.startswith((TOO_OLD, TOO_LARGE))


def megabytes(size: int) -> str:
    """For people."""
    return f"{size / 2**20:.1f} MiB"


def _is_due(time: float | None, now: float) -> bool:
    return time is not None and time <= now


def _next_look_at_memory(now: float) -> float:
    return (now // MEMORY_EVERY + 1) * MEMORY_EVERY


def _forgotten(health: Health) -> tuple[Action, ...]:
    kinds = [kind for kind, asks in ((READY, health.asks_ready), (ALIVE, health.asks_alive)) if asks]
    return (ForgetQuestions(kinds=tuple(kinds)),) if kinds else ()
