"""Every life that `decide` can come to, found by trying every event on each; the state diagram of the manual is drawn
from it.

Lives that differ in nothing but numbers (times, pids, counts beyond the first few) are taken for one.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from functools import cache

from numen.keep import life as lives
from numen.keep.backoff import time_up
from numen.keep.decide import SHUT_DOWN, STOPPED_BY_REQUEST, WITHHELD, decide
from numen.keep.definitions.definition import ALWAYS, FAILED, NEVER, SLOWLY, Definition
from numen.keep.kept import is_being_spawned
from numen.keep.life import Event, Life, ProcessId, State
from numen.keep.order import Waits, held_start, held_stop
from numen.record import Record

TERM, KILL = int(signal.SIGTERM), int(signal.SIGKILL)

DEFINITIONS = tuple(
    Definition(
        command=("/bin/it",),
        ready=ready,
        restart=restart,
        final=(3,),
        healthy_after=5.0,
        forgiven_after=50.0,
        give_up_restarts=2,
        give_up_within=1000.0,
        give_up_then=then,
        stop=((TERM, 10.0), (KILL, 10.0)),
    )
    for ready, restart, then in (("exec", ALWAYS, FAILED), ("notify", ALWAYS, SLOWLY), ("fd:3", NEVER, FAILED))
)
"""Each differs from the others where a decision does."""

MAIN, HEIR, MEMBER = (ProcessId(pid=pid, start_time=1) for pid in (10, 11, 12))

EVENTS: tuple[Event, ...] = (
    lives.StartAsked(by="ann"),
    lives.StopAsked(by="bob"),
    lives.RestartAsked(by="ann"),
    lives.RunAsked(by="ann"),
    lives.EndAsked(reason="timeout"),
    lives.ReloadAsked(),
    lives.SignalAsked(number=int(signal.SIGUSR1)),
    lives.ShutdownAsked(),
    lives.Spawned(process=MAIN),
    lives.SpawnFailed(failure="cannot execute /bin/it"),
    lives.BecameReady(),
    lives.Notified(status="busy", extend=30.0),
    lives.Notified(main=HEIR),
    lives.Exited(process=MAIN, status=0),
    lives.Exited(process=MAIN, status=1),
    lives.Exited(process=MAIN, status=3),
    lives.Exited(process=MAIN, status=None),
    lives.Exited(process=HEIR, status=-11),
    lives.FamilySeen(members=()),
    lives.FamilySeen(members=(MEMBER,)),
    lives.TimeCame(),
    lives.Adjusted(before=DEFINITIONS[0].replace(ready_timeout=3.0)),
    lives.Lost(),
    lives.Resumed(),
    lives.MayStart(),
    lives.Waits(reason="requires db, which is not defined", is_blocked=True),
    lives.MayStop(),
    lives.Withheld(reason=f"{WITHHELD}db is"),
    lives.OthersTold(),
)

KINDS = tuple(dict.fromkeys(type(event) for event in EVENTS))

PAUSES = (0.01, 10.0, 100.0)
"""Seconds until a run ends: too short to be healthy, healthy, forgiven."""


class Transition(Record):
    """One thing that was tried."""

    definition: Definition
    before: Life
    event: Event
    now: float
    after: Life
    actions: tuple[lives.Action, ...]


def can_happen(life: Life, event: Event) -> bool:
    """Whether the supervisor ever brings this event to such a life."""
    match event:
        case lives.Spawned() | lives.SpawnFailed() | lives.Lost():
            return is_being_spawned(life)
        case lives.Resumed():
            return not is_being_spawned(life) and life.state not in lives.RESTING
        case lives.TimeCame():
            return life.deadline is not None
        case lives.MayStart() | lives.Waits():
            return life.state is State.WAITING
        case lives.MayStop():
            return life.state in (State.STARTING, State.RUNNING) and bool(life.held_back)
        case lives.Withheld():
            return life.state in (State.STARTING, State.RUNNING) and not life.held_back
        case _:
            return True


@cache
def transitions() -> tuple[Transition, ...]:
    """All of them."""
    return tuple(found for definition in DEFINITIONS for found in _explored(definition))


def _explored(definition: Definition) -> Iterator[Transition]:
    now = 1000.0
    start = Life()
    seen, left = {_shape(start)}, [(start, now)]
    while left:
        before, then = left.pop()
        for event in EVENTS:
            if not can_happen(before, event) or (type(event) is lives.Withheld and definition is not DEFINITIONS[0]):
                continue
            for now in _times(before, event, then):
                decided = decide(definition, before, event, now, 0.5)
                for after, actions in (decided, *_held(definition, before, event, *decided)):
                    yield Transition(
                        definition=definition, before=before, event=event, now=now, after=after, actions=actions
                    )
                    if (shape := _shape(after)) not in seen:
                        seen.add(shape)
                        left.append((after, now))


def _held(
    definition: Definition, before: Life, event: Event, after: Life, actions: tuple[lives.Action, ...]
) -> Iterator[tuple[Life, tuple[lives.Action, ...]]]:
    """What the step comes to where it has to wait for other daemons; a stop does so by every definition alike."""
    if lives.Spawn() in actions and not isinstance(event, lives.MayStart):
        yield held_start(after, actions, Waits(reason="waits for db to be ready", is_blocked=False))
    is_asked = after.reason in (STOPPED_BY_REQUEST, SHUT_DOWN) or after.reason.startswith(WITHHELD)
    is_stop = (
        definition is DEFINITIONS[0]
        and before.state in (State.STARTING, State.RUNNING)
        and after.state is State.STOPPING
    )
    if (
        definition is DEFINITIONS[0]
        and is_stop
        and is_asked
        and after.ended_at is None
        and not isinstance(event, lives.MayStop)
    ):
        yield held_stop(before, after)


def _times(life: Life, event: Event, then: float) -> tuple[float, ...]:
    match event:
        case lives.TimeCame():
            assert life.deadline is not None
            return (max(then, life.deadline),)
        case lives.Exited() if life.has_main:
            return tuple(then + pause for pause in PAUSES)
        case _:
            return (then + PAUSES[0],)


def _shape(life: Life) -> tuple[object, ...]:
    # What a run was like matters while it is being ended; what is counted, between the runs.
    common = (life.state, life.wanted, life.is_slow, len(life.restarted_at))
    if life.state in lives.RESTING or life.state is State.BACKOFF:
        return (*common, life.failures > 0)
    if life.state is not State.STOPPING:
        return (*common, life.process is None, life.process == HEIR, life.held_back, life.is_blocked)
    up = time_up(life) or 0.0
    run = (life.process is None, life.process == HEIR, life.ended_at is None, up >= 5.0, up >= 50.0)
    ending = None if life.ended_at is None or life.ending is None else life.ending.status
    stop = (
        life.deadline is None,
        min(life.stop_step, 3),
        life.is_clearing,
        bool(life.members),
        life.reason,
        life.held_back,
    )
    return (*common, *run, *stop, ending)


WORDS = {
    "StartAsked": "start",
    "StopAsked": "stop",
    "RestartAsked": "restart",
    "RunAsked": "run",
    "EndAsked": "end of a run",
    "ShutdownAsked": "shutdown",
    "SpawnFailed": "not spawned",
    "BecameReady": "ready",
    "Exited": "exited",
    "FamilySeen": "all gone",
    "TimeCame": "time came",
    "Lost": "lost",
    "MayStart": "others are up",
    "MayStop": "others are gone",
    "Withheld": "another is gone",
}
"""What the diagram calls the events that lead from one state to another."""


def diagram() -> str:
    """The states and what leads from one to another, as a mermaid diagram."""
    labels: dict[tuple[State, State], dict[str, None]] = {}
    for one in transitions():
        if one.before.state is not one.after.state:
            word = WORDS[type(one.event).__name__]
            labels.setdefault((one.before.state, one.after.state), {})[word] = None
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {State.STOPPED.value}"]
    order = list(State)
    for (before, after), words in sorted(labels.items(), key=lambda item: tuple(map(order.index, item[0]))):
        told = [word for word in WORDS.values() if word in words]
        lines.append(f"    {before.value} --> {after.value}: {', '.join(told)}")
    return "\n".join([*lines, "```"])
