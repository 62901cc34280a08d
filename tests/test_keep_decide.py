"""What must follow when something happens to a daemon: promises, the whole table, and random histories."""

from __future__ import annotations

import signal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from explored_lives import DEFINITIONS, EVENTS, KINDS, can_happen, transitions
from numen.keep import life as lives
from numen.keep.decide import (
    ALIVE_AFTER,
    LOST,
    NOT_READY,
    RESTARTED_BY_REQUEST,
    SHUT_DOWN,
    STOPPED_BY_REQUEST,
    WITHHELD,
    decide,
)
from numen.keep.definitions.definition import ALWAYS, NEVER, ON_FAILURE, Definition
from numen.keep.kept import is_being_spawned
from numen.keep.kernel import ALIVE
from numen.keep.life import (
    Adjusted,
    Answered,
    BecameReady,
    EndAsked,
    Ending,
    Exited,
    FamilySeen,
    Health,
    Life,
    LookForFamily,
    Lost,
    MayStart,
    MayStop,
    Notified,
    OthersTold,
    ProcessId,
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

pytestmark = pytest.mark.once

TERM, CONT, KILL, HUP = (int(one) for one in (signal.SIGTERM, signal.SIGCONT, signal.SIGKILL, signal.SIGHUP))

MAIN = ProcessId(pid=10, start_time=1)
STRAY = ProcessId(pid=12, start_time=1)
OTHER = ProcessId(pid=13, start_time=1)

WEB = Definition(command=("/srv/web",), stop=((TERM, 10.0), (KILL, 5.0)))
TOLD = WEB.replace(ready="notify", ready_timeout=30.0)

AT = 100.0

STARTING = Life(
    state=State.STARTING, wanted=True, process=MAIN, started_at=AT, deadline=AT + ALIVE_AFTER, invocation="a"
)
RUNNING = STARTING.replace(state=State.RUNNING, ready_at=AT, deadline=None)
ENDING = RUNNING.replace(state=State.STOPPING, ended_at=AT + 0.5, ending=Ending(status=1))
"""It has ended by itself, half a second after it was up; whom it left behind is not known yet."""


def happens(
    definition: Definition, life: Life, event: lives.Event, now: float = AT, chance: float = 0.5
) -> tuple[Life, tuple[lives.Action, ...]]:
    return decide(definition, life, event, now, chance)


# Start


@pytest.mark.parametrize("state", [State.STOPPED, State.EXITED, State.FAILED])
def test_a_daemon_that_rests_is_spawned_when_it_is_asked_for(state: State) -> None:
    started, actions = happens(WEB, Life(state=state), StartAsked(by="ann"))

    assert (started.state, started.wanted, started.by, actions) == (State.STARTING, True, "ann", (Spawn(),))


def test_one_that_waits_for_its_next_try_is_tried_at_once_and_what_went_before_is_not_counted() -> None:
    waiting = Life(state=State.BACKOFF, wanted=True, deadline=AT + 9, failures=4, restarts=4, restarted_at=(AT,))
    started, actions = happens(WEB, waiting, StartAsked(by="ann"))

    assert actions == (Spawn(),)
    assert (started.failures, started.restarts, started.restarted_at, started.deadline) == (0, 0, (), None)


def test_a_start_of_what_runs_changes_nothing() -> None:
    assert happens(WEB, RUNNING, StartAsked(by="ann")) == (RUNNING, ())


def test_a_start_during_a_stop_is_done_when_the_stop_is() -> None:
    stopping, _ = happens(WEB, RUNNING, StopAsked(by="bob"))
    asked, actions = happens(WEB, stopping, StartAsked(by="ann"))
    assert (asked.state, asked.wanted, actions) == (State.STOPPING, True, ())

    ended, actions = happens(WEB, asked, Exited(process=MAIN, status=-TERM))
    assert actions == (LookForFamily(),)
    started, actions = happens(WEB, ended, FamilySeen(members=()))
    assert (started.state, actions) == (State.STARTING, (Spawn(),))


def test_one_that_is_being_spawned_is_taken_to_be_up_if_it_lives_for_an_instant() -> None:
    spawned, actions = happens(WEB, STARTING.replace(process=None, deadline=None), Spawned(process=MAIN))
    assert (spawned.deadline, actions) == (AT + ALIVE_AFTER, ())

    running, actions = happens(WEB, spawned, TimeCame(), now=AT + ALIVE_AFTER)
    assert (running.state, running.ready_at, running.deadline, actions) == (State.RUNNING, AT + ALIVE_AFTER, None, ())


def test_one_that_tells_when_it_is_ready_is_up_when_it_tells() -> None:
    spawned, _ = happens(TOLD, STARTING.replace(process=None), Spawned(process=MAIN))
    assert spawned.deadline == AT + 30

    running, actions = happens(TOLD, spawned, BecameReady(), now=AT + 7)
    assert (running.state, running.ready_at, running.deadline, actions) == (State.RUNNING, AT + 7, None, ())


@pytest.mark.parametrize("is_unready", [True, False])
def test_one_that_is_ended_while_its_stop_waits_for_others_is_started_again_by_nobody(*, is_unready: bool) -> None:
    if is_unready:
        held = STARTING.replace(held_back=SHUT_DOWN)
        ended, _ = happens(TOLD, held, TimeCame(), now=AT + 30)
    else:
        held = RUNNING.replace(held_back=SHUT_DOWN, health=Health(asks_alive=True))
        probed = WEB.replace(alive_probe="tcp:80", alive_failures=1)
        ended, _ = happens(probed, held, Answered(kind=ALIVE, ok=False, message="refused"))
    assert ended.state is State.STOPPING

    exited, _ = happens(WEB, ended, Exited(process=MAIN, status=-TERM))
    assert happens(WEB, exited, FamilySeen(members=()))[0].state is State.STOPPED
    # But by the next supervisor.
    wanted, _ = happens(WEB, exited, StartAsked(by="ann"))
    assert happens(WEB, wanted, FamilySeen(members=()))[0].state is State.STARTING


def test_one_that_is_not_ready_in_time_is_stopped_and_counts_as_failed() -> None:
    stopping, actions = happens(TOLD, STARTING, TimeCame())
    assert (stopping.state, stopping.reason) == (State.STOPPING, NOT_READY)
    assert actions == (LookForFamily(), SendSignal(number=TERM), SendSignal(number=CONT))

    ended, _ = happens(TOLD, stopping, Exited(process=MAIN, status=0))
    waiting, _ = happens(TOLD, ended, FamilySeen(members=()))
    assert (waiting.state, waiting.failures, waiting.reason) == (State.BACKOFF, 1, NOT_READY)


def test_the_reason_tells_of_both_when_one_that_was_not_ready_is_not_started_again() -> None:
    ended = ENDING.replace(reason=NOT_READY, ready_at=None, ending=Ending(status=0))
    resting, _ = happens(TOLD.replace(restart=NEVER), ended, FamilySeen(members=()))

    assert (resting.state, resting.reason) == (State.FAILED, "not ready in time; restart is never")


def test_what_cannot_be_spawned_is_a_run_that_ended_at_once() -> None:
    waiting, actions = happens(WEB, STARTING.replace(process=None), SpawnFailed(failure="cannot execute /srv/web"))

    assert (waiting.state, waiting.failures, str(waiting.ending)) == (State.BACKOFF, 1, "cannot execute /srv/web")
    assert (waiting.deadline, actions) == (AT + 0.05, ())


# Stop


def test_a_daemon_that_ignores_sigterm_is_killed_with_its_family_when_its_patience_ends() -> None:
    stopping, actions = happens(WEB, RUNNING, StopAsked(by="bob"))
    assert (stopping.wanted, stopping.by, stopping.deadline) == (False, "bob", AT + 10)
    assert actions == (LookForFamily(), SendSignal(number=TERM), SendSignal(number=CONT))

    killed, actions = happens(WEB, stopping, TimeCame(), now=AT + 10)
    assert (killed.deadline, actions) == (AT + 15, (LookForFamily(), SignalFamily(number=KILL)))


def test_who_survives_sigkill_is_killed_again_but_never_in_a_loop() -> None:
    stuck = RUNNING.replace(state=State.STOPPING, wanted=False, stop_step=2, deadline=AT)
    again, actions = happens(WEB.replace(stop=((TERM, 0.0), (KILL, 0.0))), stuck, TimeCame())

    assert (again.deadline, actions) == (AT + 1, (LookForFamily(), SignalFamily(number=KILL)))


def test_a_daemon_is_stopped_when_its_whole_family_is_gone() -> None:
    stopping, _ = happens(WEB, RUNNING, StopAsked(by="bob"))
    ended, _ = happens(WEB, stopping, Exited(process=MAIN, status=-TERM))
    clearing, actions = happens(WEB, ended, FamilySeen(members=(STRAY,)))
    assert (clearing.state, clearing.deadline, actions) == (State.STOPPING, AT + 10, (SignalFamily(number=TERM),))

    still, actions = happens(WEB, clearing, Exited(process=STRAY, status=None))
    assert (still, actions) == (clearing, (LookForFamily(),))
    stopped, actions = happens(WEB, clearing, FamilySeen(members=()))
    assert (stopped.state, stopped.process, stopped.deadline, actions) == (State.STOPPED, None, None, (Release(),))


def test_a_member_that_is_forked_after_the_signal_gets_it_too() -> None:
    clearing = ENDING.replace(stop_step=2, is_clearing=True, members=(STRAY,), deadline=AT + 5)

    assert happens(WEB, clearing, FamilySeen(members=(STRAY,)))[1] == ()
    assert happens(WEB, clearing, FamilySeen(members=(STRAY, OTHER)))[1] == (SignalFamily(number=KILL),)


def test_a_stop_while_it_is_being_spawned_is_carried_out_when_it_has_a_pid() -> None:
    stopping, actions = happens(WEB, STARTING.replace(process=None, deadline=None), StopAsked(by="bob"))
    assert (stopping.state, stopping.deadline, actions) == (State.STOPPING, None, ())

    _, actions = happens(WEB, stopping, Spawned(process=MAIN))
    assert actions == (SendSignal(number=TERM), SendSignal(number=CONT))
    stopped, _ = happens(WEB, stopping, SpawnFailed(failure="cannot execute"))
    assert stopped.state is State.STOPPED


def test_a_stop_ends_the_waiting_for_the_next_try() -> None:
    stopped, actions = happens(WEB, Life(state=State.BACKOFF, wanted=True, deadline=AT + 9), StopAsked(by="bob"))

    assert (stopped.state, stopped.wanted, stopped.deadline, actions) == (State.STOPPED, False, None, (Release(),))


def test_a_stop_of_what_has_failed_forgets_why() -> None:
    failed = Life(state=State.FAILED, wanted=True, reason="restart is never")
    stopped, _ = happens(WEB, failed, StopAsked(by="bob"))

    assert (stopped.state, stopped.wanted, stopped.reason) == (State.STOPPED, False, "")


def test_a_daemon_may_ask_for_more_time_but_not_for_less_and_not_when_it_is_being_killed() -> None:
    def due(life: Life, extend: float) -> float | None:
        return happens(WEB, life, Notified(extend=extend))[0].deadline

    stopping, _ = happens(WEB, RUNNING, StopAsked(by="bob"))

    assert due(stopping, 60) == AT + 60
    assert due(stopping, 1) == AT + 10
    assert due(stopping.replace(stop_step=2), 60) == AT + 10
    assert due(RUNNING, 60) is None


# Restart


def test_one_that_was_healthy_is_started_again_at_once() -> None:
    started, actions = happens(WEB, ENDING.replace(ended_at=AT + 2), FamilySeen(members=()), now=AT + 2)

    assert (started.state, started.restarts, started.failures, actions) == (State.STARTING, 1, 0, (Spawn(),))


def test_one_that_was_up_for_an_instant_waits() -> None:
    waiting, actions = happens(WEB, ENDING, FamilySeen(members=()), now=AT + 1)

    assert (waiting.state, waiting.failures, actions) == (State.BACKOFF, 1, ())
    assert waiting.deadline == AT + 1 + 0.05
    started, actions = happens(WEB, waiting, TimeCame(), now=AT + 1.05)
    assert (started.state, started.restarts, started.restarted_at, actions) == (State.STARTING, 1, (), (Spawn(),))


def test_whom_it_left_behind_is_ended_before_it_is_started_again() -> None:
    clearing, actions = happens(WEB, ENDING, FamilySeen(members=(STRAY,)))
    assert (clearing.state, clearing.deadline, actions) == (State.STOPPING, AT + 10, (SignalFamily(number=TERM),))

    killed, actions = happens(WEB, clearing, TimeCame(), now=AT + 10)
    assert actions == (LookForFamily(), SignalFamily(number=KILL))
    assert happens(WEB, killed, FamilySeen(members=()), now=AT + 10)[0].state is State.BACKOFF


@pytest.mark.parametrize(
    ("restart", "status", "state"),
    [
        (ALWAYS, 0, State.BACKOFF),
        (ALWAYS, 1, State.BACKOFF),
        (ON_FAILURE, 0, State.EXITED),
        (ON_FAILURE, -TERM, State.EXITED),
        (ON_FAILURE, 1, State.BACKOFF),
        (ON_FAILURE, -KILL, State.BACKOFF),
        (ON_FAILURE, None, State.BACKOFF),
        (NEVER, 0, State.EXITED),
        (NEVER, 1, State.FAILED),
        (ALWAYS, 78, State.FAILED),
        (ALWAYS, 64, State.EXITED),
    ],
)
def test_the_policy_says_whether_it_is_started_again(restart: str, status: int | None, state: State) -> None:
    policy = WEB.replace(restart=restart, final=(78, 64), success=(0, -TERM, 64))

    assert happens(policy, ENDING.replace(ending=Ending(status=status)), FamilySeen(members=()))[0].state is state


def test_a_restart_that_was_asked_for_is_no_failure_and_starts_the_counting_anew() -> None:
    counted = RUNNING.replace(restarts=3, failures=2)
    stopping, actions = happens(WEB, counted, RestartAsked(by="ann"))
    assert actions == (LookForFamily(), SendSignal(number=TERM), SendSignal(number=CONT))

    ended, _ = happens(WEB, stopping, Exited(process=MAIN, status=-KILL))
    started, actions = happens(WEB, ended, FamilySeen(members=()))
    assert (started.state, started.restarts, started.failures, actions) == (State.STARTING, 0, 0, (Spawn(),))


def test_one_that_is_restarted_too_often_has_failed() -> None:
    policy = WEB.replace(give_up_restarts=2, give_up_within=60.0)
    often = ENDING.replace(restarted_at=(AT - 30, AT - 10), restarts=9)

    assert happens(policy, often, FamilySeen(members=()))[0].state is State.FAILED
    assert happens(policy, often, FamilySeen(members=()), now=AT + 40)[0].state is State.BACKOFF


# Shutdown, and a new supervisor


def test_a_shutdown_stops_and_remembers_what_is_wanted() -> None:
    stopping, _ = happens(WEB, RUNNING, ShutdownAsked())
    ended, _ = happens(WEB, stopping, Exited(process=MAIN, status=-TERM))
    stopped, actions = happens(WEB, ended, FamilySeen(members=()))

    assert (stopped.state, stopped.wanted, actions) == (State.STOPPED, True, (Release(),))


def test_what_was_to_be_spawned_is_spawned_by_the_next_supervisor_and_not_counted_twice() -> None:
    intended = Life(state=State.STARTING, wanted=True, restarts=3, failures=2, restarted_at=(AT - 1,))
    looking, actions = happens(WEB, intended, Lost())
    assert (looking.reason, actions) == (LOST, (LookForFamily(),))

    started, actions = happens(WEB, looking, FamilySeen(members=()))
    assert (started.state, actions) == (State.STARTING, (Spawn(),))
    assert (started.restarts, started.failures, started.restarted_at) == (3, 2, (AT - 1,))


def test_what_an_unrecorded_run_left_behind_is_ended_before_the_next_one() -> None:
    looking, _ = happens(WEB, Life(state=State.STARTING, wanted=True), Lost())
    clearing, actions = happens(WEB, looking, FamilySeen(members=(STRAY,)))

    assert (clearing.state, actions) == (State.STOPPING, (SignalFamily(number=TERM),))


def test_a_stop_goes_on_under_the_next_supervisor_with_the_signal_that_may_not_have_been_sent() -> None:
    stopping, _ = happens(WEB, RUNNING, StopAsked(by="bob"))
    resumed, actions = happens(WEB, stopping, Resumed(), now=AT + 3)

    assert resumed == stopping
    assert actions == (LookForFamily(), SendSignal(number=TERM), SendSignal(number=CONT))


def test_a_daemon_that_may_get_its_signal_only_now_has_its_patience_from_now_on() -> None:
    stopping, _ = happens(WEB, RUNNING, StopAsked(by="bob"))

    assert happens(WEB, stopping, Resumed(), now=AT + 100)[0].deadline == AT + 110


def test_the_next_supervisor_looks_whom_a_daemon_has_left_behind() -> None:
    assert happens(WEB, ENDING, Resumed()) == (ENDING, (LookForFamily(),))


# Signals


def test_a_reload_is_sent_to_what_is_up_alone() -> None:
    assert happens(WEB, RUNNING, ReloadAsked()) == (RUNNING, (SendSignal(number=HUP),))
    assert happens(WEB, STARTING, ReloadAsked()) == (STARTING, ())
    assert happens(WEB, ENDING, ReloadAsked()) == (ENDING, ())


def test_a_signal_is_sent_to_the_main_process_if_it_lives() -> None:
    assert happens(WEB, STARTING, SignalAsked(number=HUP)) == (STARTING, (SendSignal(number=HUP),))
    assert happens(WEB, ENDING, SignalAsked(number=HUP)) == (ENDING, ())


def test_the_end_of_a_former_main_process_is_not_the_daemons() -> None:
    heir, _ = happens(WEB, RUNNING, Notified(main=OTHER))

    assert happens(WEB, heir, Exited(process=MAIN, status=0)) == (heir, ())
    assert happens(WEB, heir, Exited(process=OTHER, status=0))[0].state is State.STOPPING


# The table


S, G, R, P, B, W, E, F = (
    State.STOPPED,
    State.STARTING,
    State.RUNNING,
    State.STOPPING,
    State.BACKOFF,
    State.WAITING,
    State.EXITED,
    State.FAILED,
)

ELSEWHERE = (State.SCHEDULED,)
"""The state of which `tasks` decides."""

NO: set[State] = set()

TABLE: dict[type[lives.Event], tuple[set[State], ...]] = {
    #               stopped starting          running stopping                 backoff waiting exited  failed
    StartAsked:    ({G, W}, {G},              {R},    {P},                     {G, W}, {G, W}, {G, W}, {G, W}),
    StopAsked:     ({S},    {G, P},           {R, P}, {P},                     {S},    {S},    {S},    {S}),
    RestartAsked:  ({G, W}, {P},              {P},    {P},                     {G, W}, {G, W}, {G, W}, {G, W}),
    RunAsked:      ({G, W}, {G},              {R},    {P},                     {G, W}, {G, W}, {G, W}, {G, W}),
    EndAsked:      ({S},    {P},              {P},    {P},                     {B},    {F},    {E},    {F}),
    ReloadAsked:   ({S},    {G},              {R},    {P},                     {B},    {W},    {E},    {F}),
    SignalAsked:   ({S},    {G},              {R},    {P},                     {B},    {W},    {E},    {F}),
    ShutdownAsked: ({S},    {G, P},           {R, P}, {P},                     {S},    {S},    {E},    {F}),
    Spawned:       (NO,     {G},              NO,     {P},                     NO,     NO,     NO,     NO),
    SpawnFailed:   (NO,     {S, G, B, W, F},  NO,     {S, G, B, W, F},         NO,     NO,     NO,     NO),
    BecameReady:   ({S},    {G, R},           {R},    {P},                     {B},    {W},    {E},    {F}),
    Notified:      ({S},    {G},              {R},    {P},                     {B},    {W},    {E},    {F}),
    Exited:        ({S},    {G, P},           {R, P}, {P},                     {B},    {W},    {E},    {F}),
    FamilySeen:    ({S},    {G},              {R},    {S, G, P, B, W, E, F},   {B},    {W},    {E},    {F}),
    Adjusted:      ({S},    {G},              {R},    {P},                     {B},    {W},    {E},    {F}),
    TimeCame:      (NO,     {R, P},           NO,     {P},                     {G, W}, NO,     NO,     NO),
    Lost:          (NO,     {P},              NO,     {P},                     NO,     NO,     NO,     NO),
    Resumed:       (NO,     {G},              {R},    {P},                     {B},    {W},    NO,     NO),
    MayStart:      (NO,     NO,               NO,     NO,                      NO,     {G},    NO,     NO),
    Waits:         (NO,     NO,               NO,     NO,                      NO,     {W},    NO,     NO),
    MayStop:       (NO,     {P},              {P},    NO,                      NO,     NO,     NO,     NO),
    Withheld:      (NO,     {G, P},           {R, P}, NO,                      NO,     NO,     NO,     NO),
    OthersTold:    ({S},    {G},              {R},    {P},                     {B},    {W},    {E},    {F}),
}  # fmt: skip
"""To which states each event leads from each state."""


OF_HEALTH = {lives.Answered, lives.LookCame, lives.MemorySeen}
"""Those that have tests of their own (test_keep_health.py)."""


def test_the_table_has_every_event_and_every_state() -> None:
    assert [state for state in State if state not in ELSEWHERE] == [S, G, R, P, B, W, E, F]
    assert set(TABLE) == set(lives.Event.__subclasses__()) - {lives.ScheduleEvent, *OF_HEALTH} == set(KINDS)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_event_leads_from_every_state_where_the_table_says_and_nowhere_else(kind: type[lives.Event]) -> None:
    reached: dict[State, set[State]] = {state: set() for state in State if state not in ELSEWHERE}
    for one in transitions():
        if type(one.event) is kind:
            reached[one.before.state].add(one.after.state)

    assert tuple(reached.values()) == TABLE[kind]


@pytest.mark.parametrize("kind", [Spawned, SpawnFailed])
@pytest.mark.parametrize("state", [S, R, B, E, F])
def test_what_nobody_may_tell_in_a_state_is_a_broken_promise(kind: type[lives.Event], state: State) -> None:
    event = next(event for event in EVENTS if type(event) is kind)

    with pytest.raises(AssertionError):
        happens(WEB, Life(state=state), event)


def test_an_event_that_nobody_has_decided_on_is_a_broken_promise() -> None:
    with pytest.raises(AssertionError):
        happens(WEB, Life(), lives.Event())


def breaches(life: Life, actions: tuple[lives.Action, ...]) -> list[str]:
    """What must never be so with a life, whatever has happened."""
    spawns = Spawn() in actions
    found = {
        "it rests, and waits": life.state in lives.RESTING and life.deadline is not None,
        "it rests, and runs": life.state in lives.RESTING and (life.process is not None or bool(life.members)),
        "it runs unwanted": not (
            life.wanted or life.is_single or life.held_back or life.state in (State.STOPPED, State.STOPPING)
        ),
        "it is wanted, and rests as if stopped": life.state is State.STOPPED and spawns,
        "it waits for no time": life.state is State.BACKOFF and life.deadline is None,
        "it is up, and nobody knows since when": life.state is State.RUNNING and life.ready_at is None,
        "it is up, and a timer runs": life.state is State.RUNNING and life.deadline is not None,
        "it is up without a process": life.state is State.RUNNING and not life.has_main,
        "it starts for ever": life.state is State.STARTING and life.has_main and life.deadline is None,
        "it stops for ever": life.state is State.STOPPING and life.has_main and life.deadline is None,
        "it is spawned while a process lives": spawns and life.process is not None,
        "it is spawned in another state": spawns and life.state is not State.STARTING,
        "nobody looks whom it left behind": (
            life.state is State.STOPPING
            and life.ended_at is not None
            and life.deadline is None
            and LookForFamily() not in actions
        ),
    }
    return [breach for breach, is_so in found.items() if is_so]


def test_no_event_in_any_state_brings_a_life_that_must_not_be() -> None:
    # A start, a stop or a look that is repeated while the first look is under way needs no second one.
    quiet: tuple[type[lives.Event], ...] = (
        lives.StartAsked,
        lives.StopAsked,
        lives.RestartAsked,
        lives.RunAsked,
        lives.EndAsked,
        lives.ReloadAsked,
        lives.SignalAsked,
    )
    quiet += (lives.ShutdownAsked, lives.BecameReady, lives.Notified, lives.Adjusted, OthersTold)
    found = {
        (breach, type(one.event).__name__)
        for one in transitions()
        for breach in breaches(one.after, one.actions)
        if not (breach.startswith("nobody looks") and isinstance(one.event, quiet))
    }

    assert found == set()


def test_no_event_but_a_persons_takes_back_what_was_wanted() -> None:
    asked = (StartAsked, StopAsked, RestartAsked)

    assert all(one.before.wanted == one.after.wanted for one in transitions() if not isinstance(one.event, asked))


def test_a_new_supervisor_changes_no_counter() -> None:
    kept = ("restarts", "failures", "restarted_at", "is_slow", "wanted", "ending")
    resumed = [one for one in transitions() if isinstance(one.event, (Resumed, Lost))]

    assert resumed
    assert all(getattr(one.before, name) == getattr(one.after, name) for one in resumed for name in kept)


def test_a_life_is_written_down_and_read_back_unchanged() -> None:
    assert all(Life.from_record(one.after.record()) == one.after for one in transitions()[::7])


@given(st.floats(0, 1, exclude_max=True), st.integers(0, 40))
def test_after_a_failed_run_a_part_of_the_longest_wait_is_waited_at_most(chance: float, failures: int) -> None:
    waiting, actions = happens(WEB, ENDING.replace(failures=failures), FamilySeen(members=()), chance=chance)

    assert waiting.state is State.BACKOFF
    assert waiting.deadline is not None
    assert AT <= waiting.deadline <= AT + WEB.backoff_longest
    assert actions == ()


# Random histories


class History(RuleBasedStateMachine):
    """A daemon to which anything happens that can happen, in any order, as it would under a supervisor."""

    def __init__(self) -> None:
        super().__init__()
        self.definition = DEFINITIONS[0]
        self.life = Life()
        self.now = 0.0
        self.pid = 100
        self.alive: set[ProcessId] = set()
        self.looks = 0
        self.last: tuple[lives.Action, ...] = ()

    def step(self, event: lives.Event, chance: float = 0.5) -> None:
        self.life, self.last = decide(self.definition, self.life, event, self.now, chance)
        for action in self.last:
            match action:
                case LookForFamily():
                    self.looks += 1
                case SignalFamily(number=number) if number == KILL:
                    # Whom the look that goes before has found is signalled too.
                    for process in [*self.alive]:
                        self.end(process, -KILL)
                case Spawn():
                    assert not self.alive, "a second copy"
                case _:
                    pass

    def end(self, process: ProcessId, status: int) -> None:
        self.alive.discard(process)
        self.step(Exited(process=process, status=status))

    def fork(self) -> ProcessId:
        self.pid += 1
        process = ProcessId(pid=self.pid, start_time=int(self.now))
        self.alive.add(process)
        return process

    @rule(seconds=st.sampled_from([0.01, 0.3, 6.0, 60.0]))
    def time_passes(self, seconds: float) -> None:
        until = self.now + seconds
        while self.life.deadline is not None and self.life.deadline <= until:
            self.now = max(self.now, self.life.deadline)
            self.step(TimeCame())
        self.now = until

    @rule(
        event=st.sampled_from(
            [StartAsked(by="ann"), StopAsked(by="bob"), RestartAsked(by="ann"), ReloadAsked(), SignalAsked(number=HUP)]
        )
    )
    def somebody_asks(self, event: lives.Event) -> None:
        self.step(event)

    @rule()
    def the_supervisor_is_replaced(self) -> None:
        if not is_being_spawned(self.life):
            if self.life.state not in lives.RESTING:
                self.step(Resumed())
        elif not self.alive:
            self.step(Lost())

    @precondition(lambda self: is_being_spawned(self.life))
    @rule(works=st.booleans())
    def the_spawn_is_over(self, works: bool) -> None:
        self.step(Spawned(process=self.fork()) if works else SpawnFailed(failure="cannot execute"))

    @precondition(lambda self: self.life.has_main)
    @rule(event=st.sampled_from([BecameReady(), Notified(extend=3.0), Notified(status="busy")]))
    def it_tells(self, event: lives.Event) -> None:
        self.step(event)

    @precondition(lambda self: self.life.has_main)
    @rule()
    def it_forks(self) -> None:
        self.fork()

    @precondition(lambda self: self.alive)
    @rule(data=st.data(), status=st.sampled_from([0, 1, 3, -TERM]))
    def a_process_ends(self, data: st.DataObject, status: int) -> None:
        self.end(data.draw(st.sampled_from(sorted(self.alive, key=lambda one: one.pid))), status)

    @precondition(lambda self: self.looks)
    @rule()
    def somebody_looks(self) -> None:
        self.looks = 0
        main = self.life.process if self.life.has_main else None
        self.step(FamilySeen(members=tuple(sorted(self.alive - {main}, key=lambda one: one.pid))))

    @invariant()
    def nothing_is_so_that_must_not_be(self) -> None:
        known = [one for one in breaches(self.life, self.last) if not one.startswith("nobody looks")]
        assert known == []
        assert self.life.state not in lives.RESTING or not self.alive
        assert self.life.state is not State.BACKOFF or not self.alive

    def teardown(self) -> None:
        """Whatever has happened: a stop comes to its end."""
        self.step(StopAsked(by="bob"))
        for _ in range(20):
            if is_being_spawned(self.life):
                self.step(Spawned(process=self.fork()))
            if self.looks:
                self.somebody_looks()
            self.time_passes(10.0)
        assert (self.life.state, self.alive) == (State.STOPPED, set())


TestHistory = History.TestCase
TestHistory.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_the_reasons_for_a_stop_are_five_and_those_of_a_schedule_and_of_the_order() -> None:
    reasons = {one.after.reason for one in transitions() if one.after.state is State.STOPPING}

    known = {"", STOPPED_BY_REQUEST, RESTARTED_BY_REQUEST, SHUT_DOWN, NOT_READY, LOST, "timeout"}
    assert reasons == {*known, f"{WITHHELD}db is"}


def test_whatever_can_happen_is_tried() -> None:
    assert all(any(can_happen(one.before, event) for one in transitions()) for event in EVENTS)
