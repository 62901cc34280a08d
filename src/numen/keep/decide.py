"""What must follow when something happens to a daemon: a pure function from a life to the next.

No clock, no I/O, no process and no randomness are in here: `now` is CLOCK_MONOTONIC, `chance` a number in [0, 1), and
both come from the supervisor, which writes the new life down before it carries out the actions.
"""

from __future__ import annotations

import signal
from typing import assert_never

from . import backoff, health, hooks, kernel
from .definitions.definition import ALWAYS, GO_ON, NEVER
from .life import (
    RESTING,
    Action,
    Adjusted,
    Answered,
    BecameReady,
    EndAsked,
    Ending,
    Event,
    Exited,
    FamilySeen,
    Life,
    LookCame,
    LookForFamily,
    Lost,
    MayStart,
    MayStop,
    MemorySeen,
    Notified,
    OthersTold,
    Release,
    ReloadAsked,
    RestartAsked,
    Resumed,
    RunAsked,
    SendSignal,
    ShutdownAsked,
    SignalAsked,
    SignalFamily,
    Spawn,
    Spawned,
    SpawnFailed,
    StartAsked,
    State,
    StopAsked,
    TimeCame,
    Waits,
    Withheld,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .definitions.definition import Definition

    Step = tuple[Life, tuple[Action, ...]]

ALIVE_AFTER = 0.2
"""Seconds after which a daemon of the kind `exec` is taken to be up, if it still lives."""

AGAIN_AFTER = 1.0
"""Seconds at least between the last signal of a stop and the same again: who is not gone then is stuck."""

STOPPED_BY_REQUEST, RESTARTED_BY_REQUEST, SHUT_DOWN = "stop", "restart", "shutdown"
NOT_READY, LOST = "not ready in time", "lost"
ENDED_WELL = "ended as it should"
"""Reasons for which a daemon is being stopped, or rests; an empty one means that it ended by itself.

One that is lost was about to be spawned when the supervisor was killed, or needs to be spawned no more.
"""

WITHHELD = "stopped because "
"""How the reason begins for which a daemon is stopped that is still wanted: one that it requires is not there."""


def decide(definition: Definition, life: Life, event: Event, now: float, chance: float) -> Step:
    """The next life, and what must follow."""
    return health.followed(definition, life, _decide(definition, life, event, now, chance), now, chance)


def _decide(definition: Definition, life: Life, event: Event, now: float, chance: float) -> Step:  # noqa: C901 - a case an event
    match event:
        case StartAsked():
            return on_start_asked(life, event, now)
        case StopAsked():
            return on_stop_asked(definition, life, event, now)
        case ShutdownAsked():
            return on_shutdown_asked(definition, life, now)
        case RestartAsked():
            return on_restart_asked(definition, life, event, now)
        case RunAsked():
            return on_run_asked(life, event, now)
        case EndAsked():
            return on_end_asked(definition, life, event, now)
        case ReloadAsked():
            return on_reload_asked(definition, life)
        case SignalAsked():
            return life, (SendSignal(number=event.number),) if life.has_main else ()
        case Spawned():
            return on_spawned(definition, life, event, now)
        case SpawnFailed():
            return on_spawn_failed(definition, life, event, now, chance)
        case BecameReady():
            return on_became_ready(life, now)
        case Notified():
            return on_notified(definition, life, event, now)
        case Exited():
            return on_exited(life, event, now)
        case FamilySeen():
            return on_family_seen(definition, life, event, now, chance)
        case Answered(kind=kernel.READY | kernel.ALIVE):
            return _judged(definition, health.on_answered(definition, life, event, now), now)
        case Answered():
            return on_command_ended(definition, life, event, now, chance)
        case LookCame():
            return _judged(definition, health.on_look_came(definition, life, now), now)
        case MemorySeen():
            return _judged(definition, health.on_memory_seen(definition, life, event), now)
        case TimeCame():
            return on_time_came(definition, life, now)
        case Adjusted() if life.state is State.RUNNING:
            return health.on_adjusted(definition, life, event.before, now, chance)
        case Adjusted():
            return on_adjusted(definition, life, event, now)
        case Lost():
            return on_lost(life, now)
        case Resumed():
            step = on_resumed(definition, health.on_resumed(definition, life, now, chance), now)
            return hooks.on_resumed(definition, step)
        case MayStart() | Waits() | MayStop() | Withheld() | OthersTold():
            return on_order(definition, life, event, now)
        case _:
            raise AssertionError(f"nobody has decided on {event}")


def on_start_asked(life: Life, event: StartAsked, now: float) -> Step:
    """Start what rests or waits; what is being stopped starts when it has ended."""
    asked = life.replace(wanted=True, by=event.by)
    match life.state:
        case State.STOPPED | State.EXITED | State.FAILED | State.BACKOFF | State.WAITING | State.SCHEDULED:
            return _spawn(_afresh(asked), now)
        case State.STOPPING:
            return asked.replace(reason=RESTARTED_BY_REQUEST, held_back=""), ()
        case State.STARTING | State.RUNNING:
            return life.replace(wanted=True, held_back=""), ()
        case _:
            assert_never(life.state)


def on_stop_asked(definition: Definition, life: Life, event: StopAsked, now: float) -> Step:
    """Stop what runs; what waits for its next try waits no longer."""
    asked = life.replace(wanted=False, by=event.by)
    match life.state:
        case State.STOPPED | State.EXITED | State.FAILED:
            return asked.replace(state=State.STOPPED, reason="", is_single=False), ()
        case State.BACKOFF | State.WAITING | State.SCHEDULED:
            return _rest(asked, State.STOPPED, reason="")
        case State.STARTING | State.RUNNING:
            return _stop(definition, asked, STOPPED_BY_REQUEST, now)
        case State.STOPPING:
            return asked, ()
        case _:
            assert_never(life.state)


def on_shutdown_asked(definition: Definition, life: Life, now: float) -> Step:
    """Stop it, and remember that it is wanted."""
    match life.state:
        case State.STOPPED | State.EXITED | State.FAILED:
            return life, ()
        case State.BACKOFF | State.WAITING | State.SCHEDULED:
            return _rest(life, State.STOPPED, reason="")
        case State.STARTING | State.RUNNING:
            return _stop(definition, life, SHUT_DOWN, now)
        case State.STOPPING:
            return life.replace(reason=SHUT_DOWN), ()
        case _:
            assert_never(life.state)


def on_restart_asked(definition: Definition, life: Life, event: RestartAsked, now: float) -> Step:
    """End what runs and start it again; what does not run is started."""
    match life.state:
        case State.STARTING | State.RUNNING:
            asked = life.replace(wanted=True, by=event.by)
            return _stop(definition, asked, RESTARTED_BY_REQUEST, now)
        case (
            State.STOPPED
            | State.EXITED
            | State.FAILED
            | State.BACKOFF
            | State.WAITING
            | State.SCHEDULED
            | State.STOPPING
        ):
            return on_start_asked(life, StartAsked(by=event.by), now)
        case _:
            assert_never(life.state)


def on_run_asked(life: Life, event: RunAsked, now: float) -> Step:
    """Let it run once, where it does not run; that does not mean that it is to run on."""
    match life.state:
        case State.STOPPED | State.EXITED | State.FAILED | State.BACKOFF | State.WAITING | State.SCHEDULED:
            starting, actions = _spawn(_afresh(life.replace(by=event.by)), now)
            return starting.replace(is_single=True), actions
        case State.STARTING | State.RUNNING | State.STOPPING:
            return life, ()
        case _:
            assert_never(life.state)


def on_end_asked(definition: Definition, life: Life, event: EndAsked, now: float) -> Step:
    """End the run of a task, which is not in itself unwanted."""
    match life.state:
        case State.STARTING | State.RUNNING:
            return _end(definition, life, event.reason, now)
        case State.WAITING:
            return _rest(life, State.FAILED, reason=event.reason)
        case State.STOPPING | State.STOPPED | State.EXITED | State.FAILED | State.BACKOFF | State.SCHEDULED:
            return life, ()
        case _:
            assert_never(life.state)


def on_order(
    definition: Definition, life: Life, event: MayStart | Waits | MayStop | Withheld | OthersTold, now: float
) -> Step:
    """Do what the order among daemons lets follow (`order`); nothing where the life has gone on meanwhile."""
    is_up = life.state in (State.STARTING, State.RUNNING)
    match event:
        case MayStart() if life.state is State.WAITING:
            starting, actions = _spawn(life, now)
            return starting.replace(is_single=life.is_single), actions
        case Waits() if life.state is State.WAITING:
            return life.replace(reason=event.reason, is_blocked=event.is_blocked), ()
        case MayStop() if is_up and life.held_back:
            return _stop(definition, life, life.held_back, now)
        case Withheld() if is_up:
            return _stop(definition, life, event.reason, now)
        case OthersTold():
            return life.replace(ends_all=False), ()
        case _:
            return life, ()


def on_reload_asked(definition: Definition, life: Life) -> Step:
    """Send the signal to one that is up: one that has set no handler yet might die of it; or run its command."""
    if definition.reload_command is not None and life.state is State.RUNNING:
        return hooks.on_reload_asked(definition, life)
    return life, (SendSignal(number=definition.reload),) if life.state is State.RUNNING else ()


def on_spawned(definition: Definition, life: Life, event: Spawned, now: float) -> Step:
    """Wait for readiness; or stop it, if that was asked while it was being spawned."""
    spawned = life.replace(process=event.process, started_at=now)
    match life.state:
        case State.STARTING:
            return spawned.replace(deadline=now + health.patience(definition, ALIVE_AFTER)), ()
        case State.STOPPING:
            return _next_signal(definition, spawned, now)
        case (
            State.STOPPED
            | State.EXITED
            | State.FAILED
            | State.BACKOFF
            | State.WAITING
            | State.SCHEDULED
            | State.RUNNING
        ):
            raise AssertionError(f"spawned, but {life.state.value}")
        case _:
            assert_never(life.state)


def on_spawn_failed(definition: Definition, life: Life, event: SpawnFailed, now: float, chance: float) -> Step:
    """Treat it as a run that ended at once."""
    ended = life.replace(ending=Ending(failure=event.failure), ended_at=now)
    match life.state:
        case State.STARTING | State.STOPPING:
            return _settle(definition, ended, now, chance)
        case (
            State.STOPPED
            | State.EXITED
            | State.FAILED
            | State.BACKOFF
            | State.WAITING
            | State.SCHEDULED
            | State.RUNNING
        ):
            raise AssertionError(f"not spawned, but {life.state.value}")
        case _:
            assert_never(life.state)


def on_became_ready(life: Life, now: float) -> Step:
    """It is up; what is being stopped, or is up already, may say so as often as it likes."""
    if life.state is State.STARTING and life.has_main:
        return life.replace(state=State.RUNNING, ready_at=now, deadline=None), ()
    return life, ()


def on_notified(definition: Definition, life: Life, event: Notified, now: float) -> Step:
    """Take over what a daemon says of itself."""
    changes: dict[str, object] = {}
    if event.status is not None:
        changes["status"] = event.status
    waits = life.state in (State.STARTING, State.STOPPING) and life.stop_step < len(definition.stop)
    if event.extend is not None and waits and life.deadline is not None:
        # More time, never less; and none once it is being killed.
        changes["deadline"] = max(life.deadline, now + event.extend)
    if event.main is not None and life.has_main:
        changes["process"] = event.main
    life = life.replace(**changes)
    if event.watchdog is None and event.watchdog_time is None:
        return life, ()
    return _judged(definition, health.on_notified(life, event, now), now)


def on_exited(life: Life, event: Exited, now: float) -> Step:
    """Remember how the main process ended, and look whom it left behind; a new run waits until they are gone."""
    if not life.has_main or event.process != life.process:
        return life, (LookForFamily(),) if life.state is State.STOPPING else ()
    ended = life.replace(ended_at=now, ending=Ending(status=event.status))
    match life.state:
        case State.STARTING | State.RUNNING:
            stopping = ended.replace(state=State.STOPPING, deadline=None, reason=life.held_back, held_back="")
            return stopping, (LookForFamily(),)
        case State.STOPPING:
            return ended, (LookForFamily(),)
        case State.STOPPED | State.EXITED | State.FAILED | State.BACKOFF | State.WAITING | State.SCHEDULED:
            raise AssertionError(f"a main process, but {life.state.value}")
        case _:
            assert_never(life.state)


def on_family_seen(definition: Definition, life: Life, event: FamilySeen, now: float, chance: float) -> Step:
    """Once the main process has ended: end whom it left behind, and go on when all are gone."""
    if life.state is not State.STOPPING or kernel.AFTER_EXIT in life.hooks:
        return life, ()
    seen = life.replace(members=event.members)
    if life.ended_at is None:  # it lives, or is being spawned
        return seen, ()
    if not event.members:
        if hooks.is_to_follow(definition, seen):
            return hooks.on_gone(definition, seen)
        return _settle(definition, seen, now, chance)
    if life.stop_step == 0:
        return _next_signal(definition, seen.replace(is_clearing=True), now)
    if life.is_clearing and set(event.members) <= set(life.members):
        return seen, ()
    # In the midst of its stop the schedule is the family's too: it ends when it was to end, and who was forked since
    # the last signal gets that one too.
    number, _wait = definition.stop[min(life.stop_step, len(definition.stop)) - 1]
    return seen.replace(is_clearing=True), (SignalFamily(number=number),)


def on_command_ended(definition: Definition, life: Life, event: Answered, now: float, chance: float) -> Step:
    """One of its other commands has ended; what waits for that goes on."""
    if event.kind not in life.hooks:
        return life, ()
    match event.kind, life.state:
        case kernel.BEFORE_START, State.STARTING if event.ok:
            return hooks.on_before_start(life)
        case kernel.BEFORE_START, State.STARTING:
            return on_spawn_failed(definition, life, SpawnFailed(failure=f"before_start: {event.message}"), now, chance)
        case kernel.BEFORE_START, _:
            return life, ()  # it is being stopped, and the command with it
        case kernel.AFTER_EXIT, State.STOPPING:
            return _settle(definition, life, now, chance)
        case _:
            return hooks.on_answered(life, event), ()


def on_time_came(definition: Definition, life: Life, now: float) -> Step:
    """The deadline has passed."""
    match life.state:
        case State.STARTING if health.is_up_by_time(definition):
            return on_became_ready(life, now)
        case State.STARTING if definition.ready_then == GO_ON and life.has_main:
            return on_became_ready(life.replace(health=life.health.replace(was_late=True)), now)
        case State.STARTING:
            said = f": {life.health.said}" if life.health.said else ""
            return _end(definition, life, f"{NOT_READY}{said}", now)
        case State.STOPPING:
            return _next_signal(definition, life, now)
        case State.BACKOFF:
            return _spawn(backoff.counted(definition, life, now), now)
        case State.STOPPED | State.EXITED | State.FAILED | State.WAITING | State.SCHEDULED | State.RUNNING:
            return life.replace(deadline=None), ()
        case _:
            assert_never(life.state)


def on_adjusted(definition: Definition, life: Life, event: Adjusted, now: float) -> Step:
    """Let what is waited for come when it would by the definition as it is now; more time that was given stays."""
    if life.deadline is None:
        return life, ()
    match life.state:
        case State.STARTING:
            is_timed = health.is_up_by_time(definition)
            later = 0.0 if is_timed else definition.ready_timeout - event.before.ready_timeout
        case State.BACKOFF:
            later = min(0.0, now + backoff.longest(definition, life) - life.deadline)
        case (
            State.STOPPED
            | State.EXITED
            | State.FAILED
            | State.WAITING
            | State.SCHEDULED
            | State.RUNNING
            | State.STOPPING
        ):
            later = 0.0
        case _:
            assert_never(life.state)
    return life.replace(deadline=life.deadline + later), ()


def on_lost(life: Life, now: float) -> Step:
    """Nothing came of the intention, or what came of it has ended unseen, and may have left somebody behind."""
    lost = life.replace(state=State.STOPPING, ended_at=now, deadline=None)
    match life.state:
        case State.STARTING:
            return lost.replace(reason=life.held_back or LOST, held_back=""), (LookForFamily(),)
        case State.STOPPING:
            return lost, (LookForFamily(),)
        case (
            State.STOPPED
            | State.EXITED
            | State.FAILED
            | State.BACKOFF
            | State.WAITING
            | State.SCHEDULED
            | State.RUNNING
        ):
            return life, ()
        case _:
            assert_never(life.state)


def on_resumed(definition: Definition, life: Life, now: float) -> Step:
    """Do again what may not have been done: a signal twice is better than none."""
    if life.state is not State.STOPPING or kernel.AFTER_EXIT in life.hooks:
        return life, ()
    if life.stop_step == 0:
        return life, (LookForFamily(),)
    number, wait = definition.stop[min(life.stop_step, len(definition.stop)) - 1]
    if life.deadline is not None and life.deadline <= now:
        # It may be only now that the signal reaches it: nobody was there for so long.
        life = life.replace(deadline=now + wait)
    return life, (LookForFamily(), *_signals(life, number))


def _spawn(life: Life, now: float) -> Step:
    starting = life.replace(
        state=State.STARTING,
        process=None,
        members=(),
        started_at=now,
        ready_at=None,
        ended_at=None,
        status="",
        deadline=None,
        stop_step=0,
        is_clearing=False,
        is_single=False,
        reason="",
        held_back="",
        is_blocked=False,
        previous_end=life.previous_end if life.ended_at is None else life.ended_at,
        ends_all=False,
        hooks=(),
    )
    return starting, (Spawn(),)


def _afresh(life: Life) -> Life:
    """A person's command: what went before is not counted."""
    return life.replace(restarts=0, failures=0, restarted_at=(), is_slow=False)


def _stop(definition: Definition, life: Life, reason: str, now: float) -> Step:
    stopping = life.replace(state=State.STOPPING, reason=reason, deadline=None, stop_step=0, held_back="")
    if kernel.BEFORE_START in life.hooks:
        return hooks.on_stopped_before_start(stopping, Ending(failure=hooks.ENDED), now)
    if life.process is None:
        return stopping, ()  # it is being spawned; the signal follows when it has a pid
    stopping, actions = _next_signal(definition, stopping, now)
    # Looked for before the signal, while it can be seen who descends from whom.
    return stopping, (LookForFamily(), *actions)


def _end(definition: Definition, life: Life, reason: str, now: float) -> Step:
    """Stop it at once, for a reason that lies in itself; what follows is as it was asked, where it was held back."""
    stopping, actions = _stop(definition, life, reason, now)
    return stopping.replace(held_back=life.held_back), actions


def _judged(definition: Definition, found: health.Found, now: float) -> Step:
    """What health has found, and what follows from its verdict."""
    life, actions, verdict = found
    if verdict is None:
        return life, actions
    if not verdict.reason:
        return on_became_ready(life, now)
    if not verdict.aborts:
        return _end(definition, life, verdict.reason, now)
    # Before the stop schedule, which begins when that has had its first wait.
    _, wait = definition.stop[0]
    stopping = life.replace(state=State.STOPPING, reason=verdict.reason, deadline=now + wait, stop_step=0)
    return stopping, (LookForFamily(), SendSignal(number=signal.SIGABRT), SendSignal(number=signal.SIGCONT))


def _next_signal(definition: Definition, life: Life, now: float) -> Step:
    """The next step of the stop schedule; after the last one, that again."""
    number, wait = definition.stop[min(life.stop_step, len(definition.stop) - 1)]
    if life.stop_step >= len(definition.stop):
        wait = max(wait, AGAIN_AFTER)
    step = life.replace(stop_step=life.stop_step + 1, deadline=now + wait)
    look = () if life.stop_step == 0 else (LookForFamily(),)
    return step, (*look, *_signals(life, number))


def _signals(life: Life, number: int) -> tuple[Action, ...]:
    if life.is_clearing or number == signal.SIGKILL:
        return (SignalFamily(number=number),)
    # A process that is suspended cannot act on a signal until it is resumed.
    return SendSignal(number=number), SendSignal(number=signal.SIGCONT)


def _settle(definition: Definition, life: Life, now: float, chance: float) -> Step:
    """The whole family is gone: rest, start again, or wait for the next try."""
    reason = life.held_back or life.reason
    if reason == SHUT_DOWN or not life.wanted:
        return _rest(life, State.STOPPED, reason="")
    if life.reason == LOST:
        return _spawn(life, now)
    if health.is_renewal(life):
        return _renew(definition, life, now, chance)
    ending = life.ending or Ending()
    is_failure = life.reason.startswith(NOT_READY) or health.is_failure(life) or ending.status not in definition.success
    end = State.FAILED if is_failure else State.EXITED
    if definition.is_task:
        return _rest(life, end, reason=life.reason)  # its schedule says what follows
    if reason in (STOPPED_BY_REQUEST, RESTARTED_BY_REQUEST) or reason.startswith(WITHHELD):
        return _spawn(_afresh(life), now)
    if ending.status is not None and ending.status in definition.final:
        return _rest(life, end, reason=_because(life, "it is final"))
    if health.is_for_good(definition, life):
        return _rest(life, State.FAILED, reason=life.reason)
    if definition.restart == NEVER or (definition.restart != ALWAYS and not is_failure):
        return _rest(life, end, reason=_because(life, f"restart is {definition.restart}" if is_failure else ENDED_WELL))
    return _restart(definition, backoff.judged(definition, life, now), now, chance)


def _renew(definition: Definition, life: Life, now: float, chance: float) -> Step:
    """It was too old, which is no failure; or too large, which is one if it becomes so at once."""
    if life.reason.startswith(health.TOO_OLD):
        return _spawn(life.replace(restarts=life.restarts + 1), now)
    return _restart(definition, backoff.judged(definition, life, now), now, chance)


def _restart(definition: Definition, life: Life, now: float, chance: float) -> Step:
    if backoff.is_given_up(definition, life, now):
        return _rest(life, State.FAILED, reason=_because(life, backoff.reason_for_giving_up(definition)))
    wait = backoff.wait(definition, life, chance)
    if wait == 0:
        return _spawn(backoff.counted(definition, life, now), now)
    waiting, actions = _rest(life, State.BACKOFF, reason=life.reason)
    return waiting.replace(deadline=now + wait), actions


def _because(life: Life, reason: str) -> str:
    """The reason, behind that for which it was stopped."""
    return f"{life.reason}; {reason}" if life.reason else reason


def _rest(life: Life, state: State, reason: str) -> Step:
    """Nothing of it runs."""
    resting = life.replace(
        state=state,
        process=None,
        members=(),
        status="",
        deadline=None,
        stop_step=0,
        is_clearing=False,
        reason=reason,
        held_back="",
        is_blocked=False,
        hooks=(),
    )
    return resting, (Release(),) if state in RESTING else ()
