"""What follows from answers of probes, from silence, age and memory: so many bad answers in a row, and only then."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from numen.keep import life as lives
from numen.keep.decide import NOT_READY, decide
from numen.keep.definitions.definition import GO_ON, STOP, TELL, Definition
from numen.keep.health import MEMORY_EVERY, NO_ANSWER, SILENT, TOO_LARGE, TOO_OLD
from numen.keep.kernel import ALIVE, READY
from numen.keep.life import Ask, Life, ProcessId, SendSignal, Spawn, State
from numen.keep.notices import notices

pytestmark = pytest.mark.once

MAIN = ProcessId(pid=10, start_time=1)

PROBE = "tcp://127.0.0.1:80"


class Told:
    """One daemon, and what is decided for it as time goes on."""

    def __init__(self, **options: Any) -> None:
        self.definition = Definition(command=("/bin/it",), **options)
        self.life = Life()
        self.now = 1000.0
        self.actions: tuple[lives.Action, ...] = ()
        self.kinds: list[str] = []
        self.happens(lives.StartAsked(by="ann"))
        self.happens(lives.Spawned(process=MAIN))

    def happens(self, event: lives.Event) -> None:
        before = self.life
        self.life, self.actions = decide(self.definition, before, event, self.now, 0.5)
        self.kinds += [one.kind for one in notices(self.definition, before, self.life, self.now)]

    def look(self) -> list[str]:
        """Let the next look come; what is asked then."""
        due = self.life.health.next_look()
        assert due is not None
        self.now = max(self.now, due)
        self.happens(lives.LookCame())
        return [one.kind for one in self.actions if isinstance(one, Ask)]

    def answer(self, kind: str, *, ok: bool) -> None:
        self.happens(lives.Answered(kind=kind, ok=ok, message="refused"))

    def ends(self, status: int) -> None:
        self.happens(lives.Exited(process=MAIN, status=status))
        self.happens(lives.FamilySeen(members=()))


def up(**options: Any) -> Told:
    one = Told(**options)
    one.now = one.life.deadline or one.now
    one.happens(lives.TimeCame())
    assert one.life.state is State.RUNNING
    return one


def test_one_that_is_asked_is_asked_until_the_answer_is_good() -> None:
    web = Told(ready=PROBE, ready_interval=2.0)
    for _ in range(5):
        assert web.look() == [READY]
        assert web.life.health.next_look() is None
        asked_at = web.now
        web.answer(READY, ok=False)
        assert (web.life.state, web.life.health.next_look()) == (State.STARTING, asked_at + 2.0)
    web.look()
    web.answer(READY, ok=True)

    assert (web.life.state, web.life.health.said) == (State.RUNNING, "")


def test_one_that_is_not_ready_in_time_is_ended_with_the_last_answer_or_taken_to_be_up() -> None:
    for then, state in (("end", State.STOPPING), (GO_ON, State.RUNNING)):
        web = Told(ready=PROBE, ready_timeout=5.0, ready_then=then)
        web.look()
        web.answer(READY, ok=False)
        web.now += 5.0
        web.happens(lives.TimeCame())

        assert web.life.state is state
        assert (web.life.reason, web.life.health.was_late) == (
            (f"{NOT_READY}: refused", False) if state is State.STOPPING else ("", True)
        )


def test_after_a_time_it_is_up_without_a_question() -> None:
    web = Told(ready="after:3s", ready_timeout=1.0)

    assert (web.life.deadline, web.life.health.next_look()) == (1003.0, None)
    web.now = 1003.0
    web.happens(lives.TimeCame())
    assert web.life.state is State.RUNNING


ANSWERS = st.lists(st.booleans(), max_size=30)


def longest_row(answers: Sequence[bool], bound: int) -> int | None:
    """After which answer so many in a row were bad, for the first time."""
    row = 0
    for place, is_good in enumerate(answers):
        row = 0 if is_good else row + 1
        if row == bound:
            return place
    return None


@given(answers=ANSWERS, bound=st.integers(1, 5))
def test_so_many_bad_answers_in_a_row_end_it_and_no_fewer(answers: list[bool], bound: int) -> None:
    web = up(alive_probe=PROBE, alive_failures=bound)
    last = longest_row(answers, bound)
    for place, is_good in enumerate(answers):
        assert web.look() == [ALIVE]
        web.answer(ALIVE, ok=is_good)
        assert (web.life.state is State.STOPPING) == (place == last)
        if place == last:
            assert web.life.reason == f"{NO_ANSWER}: refused"
            return


@given(answers=ANSWERS, bound=st.integers(1, 5))
def test_what_is_only_told_is_told_once_each_way(answers: list[bool], bound: int) -> None:
    web = up(alive_probe=PROBE, alive_failures=bound, alive_then=TELL)
    web.kinds.clear()
    row, is_silent, expected = 0, False, []
    for is_good in answers:
        web.look()
        web.answer(ALIVE, ok=is_good)
        row = 0 if is_good else row + 1
        if is_silent is (is_good if is_silent else row < bound):
            is_silent = not is_silent
            expected.append("silent" if is_silent else "answers")
        assert web.life.health.is_silent is is_silent

    assert web.kinds == expected


@given(answers=ANSWERS)
def test_one_that_is_up_no_longer_is_told_so_and_runs_on(answers: list[bool]) -> None:
    web = Told(ready=PROBE, ready_again=5.0, alive_failures=2)
    web.look()
    web.answer(READY, ok=True)
    row, is_not_ready = 0, False
    for is_good in answers:
        assert web.look() == [READY]
        web.answer(READY, ok=is_good)
        row = 0 if is_good else row + 1
        is_not_ready = not is_good and (is_not_ready or row >= 2)
        assert (web.life.state, web.life.health.is_not_ready) == (State.RUNNING, is_not_ready)


def test_one_that_does_not_answer_has_failed_whatever_its_exit_status() -> None:
    for then, restart, state in (("restart", "on-failure", State.STARTING), (STOP, "always", State.FAILED)):
        web = up(alive_probe=PROBE, alive_failures=1, alive_then=then, restart=restart)
        web.look()
        web.answer(ALIVE, ok=False)
        web.now += 5.0
        web.ends(0)

        assert web.life.state is state


def test_an_answer_that_comes_too_late_changes_nothing() -> None:
    web = up(alive_probe=PROBE, alive_failures=1)
    web.look()
    web.happens(lives.StopAsked(by="bob"))
    assert lives.ForgetQuestions(kinds=(ALIVE,)) in web.actions
    before = web.life
    web.answer(ALIVE, ok=False)

    assert web.life == before


def test_a_watchdog_that_hears_nothing_aborts_it_and_then_the_stop_goes_on() -> None:
    web = up(watchdog=10.0, stop=((signal.SIGTERM, 3.0), (signal.SIGKILL, 1.0)))
    web.now += 9.0
    web.happens(lives.Notified(watchdog="1"))
    assert web.life.health.next_look() == web.now + 10.0
    web.look()

    assert web.life.reason.startswith(SILENT)
    assert SendSignal(number=signal.SIGABRT) in web.actions
    assert web.life.deadline == web.now + 3.0
    web.now += 3.0
    web.happens(lives.TimeCame())
    assert SendSignal(number=signal.SIGTERM) in web.actions


def test_a_daemon_may_change_its_watchdog_or_ask_for_its_end() -> None:
    web = up(watchdog=10.0)
    web.happens(lives.Notified(watchdog_time=2.0))
    assert web.life.health.next_look() == web.now + 2.0
    web.happens(lives.Notified(watchdog="1"))
    assert web.life.health.next_look() == web.now + 2.0
    web.happens(lives.Notified(watchdog="trigger"))
    assert web.life.state is State.STOPPING

    deaf = up()
    deaf.happens(lives.Notified(watchdog="trigger"))
    assert deaf.life.state is State.RUNNING


def test_one_that_is_old_is_started_anew_and_that_is_no_failure() -> None:
    web = up(max_age=100.0, restart="never")
    began = web.now
    web.look()
    assert began + 100.0 <= web.now <= began + 110.0
    assert web.life.reason.startswith(TOO_OLD)
    web.ends(1)

    assert (web.life.state, web.life.failures, web.life.restarts) == (State.STARTING, 0, 1)
    assert Spawn() in web.actions


def test_one_that_is_large_is_started_anew() -> None:
    web = up(max_memory=2**20)
    web.look()
    assert web.now % MEMORY_EVERY == 0
    assert lives.LookAtMemory() in web.actions
    web.happens(lives.MemorySeen(used=2**20))
    assert (web.life.state, web.life.health.memory) == (State.RUNNING, 2**20)
    web.happens(lives.MemorySeen(used=2**20 + 1))
    assert web.life.reason.startswith(TOO_LARGE)
    web.ends(0)

    assert web.life.state is State.STARTING


def test_what_goes_well_is_not_written_down_and_the_next_supervisor_asks_anew() -> None:
    web = up(alive_probe=PROBE, watchdog=60.0, max_age=100.0)
    before = web.life
    for _ in range(3):
        web.now += 1.0
        web.happens(lives.Notified(watchdog="1"))
    web.look()
    web.answer(ALIVE, ok=False)
    assert not web.life.differs(before)

    web.look()
    web.life = Life.from_record(web.life.record())
    assert web.life.health.next_look() == before.health.age_at
    web.happens(lives.Resumed())
    health = web.life.health
    assert (health.watchdog_at, health.age_at, health.alive_failures) == (web.now + 60.0, before.health.age_at, 0)
    assert health.alive_at is not None
