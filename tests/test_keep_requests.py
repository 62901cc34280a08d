"""When somebody who asked for something is answered, and with what."""

from __future__ import annotations

import pytest

from explored_lives import transitions
from numen.keep.decide import SHUT_DOWN, decide
from numen.keep.definitions.definition import Definition
from numen.keep.life import RESTING, Ending, Life, ProcessId, State, StopAsked
from numen.keep.notices import single_run
from numen.keep.requests import Asked, Kind, Outcome, answer

pytestmark = pytest.mark.once

WEB = Definition(command=("/srv/web",))
TOLD = WEB.replace(ready="notify", ready_timeout=30.0)

UP = Life(state=State.RUNNING, wanted=True, by="ann", invocation="new", process=ProcessId(pid=10, start_time=1))


def asks(kind: Kind, life: Life, definition: Definition = WEB) -> Outcome | None:
    return answer(definition, life, Asked(kind=kind, invocation="old"))


def error(outcome: Outcome | None) -> str | None:
    """The name of the error; empty where all went well, `None` where it is open."""
    return None if outcome is None else outcome.error


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (State.STOPPED, None),
        (State.STARTING, None),
        (State.RUNNING, ""),
        (State.STOPPING, None),
        (State.BACKOFF, "NotStarted"),
        (State.EXITED, ""),
        (State.FAILED, "NotStarted"),
    ],
)
@pytest.mark.parametrize("kind", [Kind.START, Kind.RESTART])
def test_a_start_is_answered_when_the_daemon_is_up_or_cannot_be(kind: Kind, state: State, expected: str | None) -> None:
    assert error(asks(kind, UP.replace(state=state))) == expected


@pytest.mark.parametrize(
    ("ready", "how"),
    [("exec", "it still lives after 200 ms"), ("notify", "it sent READY=1"), ("fd:3", "it wrote a newline")],
)
def test_the_answer_says_by_which_kind_of_readiness_it_is_up(ready: str, how: str) -> None:
    assert asks(Kind.START, UP, WEB.replace(ready=ready)) == Outcome(message=f"is up: pid 10 ({how})")


def test_the_answer_says_what_the_daemon_says_of_itself() -> None:
    up = asks(Kind.START, UP.replace(status="serving 3 sites"), TOLD)

    assert up is not None
    assert up.message == "is up: pid 10 (it sent READY=1; serving 3 sites)"


def test_a_restart_is_answered_by_the_successor() -> None:
    assert asks(Kind.RESTART, UP.replace(invocation="old")) is None
    assert error(asks(Kind.RESTART, UP.replace(invocation="new"))) == ""
    assert error(asks(Kind.START, UP.replace(invocation="old"))) == ""


def test_who_waits_for_a_start_is_told_if_somebody_stops_it() -> None:
    stopped = UP.replace(state=State.STOPPING, wanted=False, by="bob")

    assert asks(Kind.START, stopped) == Outcome(error="Superseded", message="was stopped before it was up: bob")
    assert error(asks(Kind.START, UP.replace(state=State.STOPPING, reason=SHUT_DOWN))) == "Superseded"


def test_who_waits_for_a_stop_is_told_if_somebody_starts_it() -> None:
    assert asks(Kind.STOP, UP) == Outcome(error="Superseded", message="is to run again: ann")


@pytest.mark.parametrize("kind", [Kind.STOP, Kind.REMOVE])
def test_a_stop_is_answered_when_nothing_of_it_runs(kind: Kind) -> None:
    for state in State:
        outcome = asks(kind, UP.replace(state=state, wanted=False))
        is_run_once_more = state in (State.STARTING, State.RUNNING, State.WAITING)
        assert (outcome is not None) == (state in RESTING or is_run_once_more)
        assert (error(outcome) == "Superseded") == is_run_once_more


def test_each_way_not_to_be_up_is_told_apart() -> None:
    waiting = UP.replace(state=State.BACKOFF, ending=Ending(status=-11))

    crashed = asks(Kind.START, waiting)
    absent = asks(Kind.START, waiting.replace(ending=Ending(failure="cannot execute /srv/web: Permission denied")))
    late = asks(Kind.START, waiting.replace(reason="not ready in time"), TOLD)
    final = asks(Kind.START, waiting.replace(state=State.FAILED, reason="not ready in time; restart is never"), TOLD)

    assert crashed == Outcome(
        error="NotStarted", message="ended before it was up: signal SIGSEGV; it will be tried again"
    )
    assert absent == Outcome(
        error="NotStarted", message="cannot execute /srv/web: Permission denied; it will be tried again"
    )
    assert late == Outcome(
        error="NotReadyInTime", message="was not ready within 30s, and was ended; it will be tried again"
    )
    assert final == Outcome(error="NotReadyInTime", message="was not ready within 30s, and was ended")


def test_who_waits_for_a_state_is_told_when_it_is_reached() -> None:
    running = {state for state in State if asks(Kind.WAIT_RUNNING, UP.replace(state=state)) is not None}
    stopped = {state for state in State if asks(Kind.WAIT_STOPPED, UP.replace(state=state)) is not None}

    assert running == {State.RUNNING}
    assert stopped == RESTING


def test_every_life_that_can_be_has_an_answer_or_something_to_wait_for() -> None:
    """Nobody waits for a daemon that rests."""
    resting = {one.after for one in transitions()[::5] if one.after.state in RESTING}
    open_still = {
        (life.state, life.wanted, kind)
        for life in resting
        for kind in (Kind.START, Kind.STOP, Kind.REMOVE, Kind.RESTART)
        if asks(kind, life) is None
    }

    # Wanted and stopped: the supervisor is ending, and answers itself.
    assert open_still <= {(State.STOPPED, True, Kind.START), (State.STOPPED, True, Kind.RESTART)}


def test_one_that_was_run_once_was_not_stopped_by_who_ran_it() -> None:
    ran = Life(is_single=True, by="root (pid 7)", ending=Ending(status=3))

    assert single_run(ran) == "was run: exit status 3"
    assert single_run(ran.replace(state=State.RUNNING)) == ""
    stopped, _ = decide(WEB, ran, StopAsked(by="root (pid 8)"), now=1.0, chance=0.5)
    assert single_run(stopped) == ""
