"""When a daemon that has ended is started again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from numen.keep import backoff
from numen.keep.definitions.definition import SLOWLY, Definition
from numen.keep.life import Life

pytestmark = pytest.mark.once

WEB = Definition(command=("/srv/web",))
"""The waits grow from 100 ms to 30 s; healthy after a second, forgiven after a minute."""

FICKLE = WEB.replace(give_up_restarts=3, give_up_within=60.0)


def ran(seconds: float | None, **more: object) -> Life:
    """A life whose last run was up for so long; `None`: it was never ready."""
    return Life(ready_at=None if seconds is None else 100.0, ended_at=100.0 + (seconds or 0.0)).replace(**more)


def longest_wait(definition: Definition, life: Life) -> float:
    return backoff.wait(definition, life, chance=0.0)


def test_the_time_up_counts_from_readiness() -> None:
    assert backoff.time_up(ran(3.0)) == 3.0
    assert backoff.time_up(ran(None)) is None
    assert backoff.time_up(Life(ready_at=100.0)) is None


def test_after_a_healthy_run_there_is_no_wait() -> None:
    assert longest_wait(WEB, ran(1.0, failures=7)) == 0.0
    assert longest_wait(WEB, ran(0.99, failures=7)) > 0.0


def test_the_wait_is_doubled_with_each_failure_up_to_the_longest() -> None:
    waits = [longest_wait(WEB, ran(None, failures=failures)) for failures in range(1, 12)]

    assert waits == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0, 30.0]


def test_a_million_failures_are_no_arithmetic_error() -> None:
    assert longest_wait(WEB, ran(None, failures=1_000_000)) == 30.0


@given(st.floats(0, 1, exclude_max=True), st.integers(1, 100))
def test_a_wait_is_a_random_part_of_its_bound_and_never_nothing(chance: float, failures: int) -> None:
    life = ran(None, failures=failures)

    assert 0.0 < backoff.wait(WEB, life, chance) <= longest_wait(WEB, life)


def test_all_of_the_bound_can_be_drawn() -> None:
    assert backoff.wait(WEB, ran(None, failures=1), chance=0.0) == 0.1
    assert backoff.wait(WEB, ran(None, failures=1), chance=0.75) == pytest.approx(0.025)


def test_a_run_that_was_short_or_never_ready_is_one_failure_more() -> None:
    assert backoff.judged(WEB, ran(None, failures=2), now=200.0).failures == 3
    assert backoff.judged(WEB, ran(0.5, failures=2), now=200.0).failures == 3


def test_a_healthy_run_leaves_the_failures_as_they_are() -> None:
    assert backoff.judged(WEB, ran(30.0, failures=2), now=200.0).failures == 2


def test_a_minute_of_health_lets_the_failures_be_forgotten() -> None:
    assert (
        backoff.judged(WEB, ran(60.0, failures=9, is_slow=True), now=200.0).replace(ready_at=None, ended_at=None)
        == Life()
    )


def test_restarts_are_counted_within_the_time_of_giving_up() -> None:
    life = Life(restarted_at=(10.0, 150.0, 160.0))
    counted = backoff.counted(FICKLE, life, now=200.0)

    assert (counted.restarts, counted.restarted_at) == (1, (150.0, 160.0, 200.0))


def test_no_more_restarts_are_remembered_than_can_be_too_many() -> None:
    life = Life()
    for now in range(100):
        life = backoff.counted(FICKLE, life, now=float(now))

    assert (life.restarts, len(life.restarted_at)) == (100, 3)


def test_without_a_bound_no_restart_is_remembered() -> None:
    assert backoff.counted(WEB, Life(), now=1.0) == Life(restarts=1)


def test_it_is_given_up_after_too_many_restarts_in_too_short_a_time() -> None:
    often = Life(restarted_at=(150.0, 160.0, 170.0))

    assert backoff.is_given_up(FICKLE, often, now=200.0)
    assert not backoff.is_given_up(FICKLE, often, now=210.0)
    assert not backoff.is_given_up(FICKLE, Life(restarted_at=(160.0, 170.0)), now=200.0)
    assert not backoff.is_given_up(WEB, often, now=200.0)
    assert backoff.reason_for_giving_up(FICKLE) == "restarted 3 times within 1m"
    assert backoff.reason_for_giving_up(FICKLE.replace(give_up_restarts=1)) == "restarted once within 1m"


def test_one_that_is_not_given_up_is_tried_now_and_then_until_it_is_healthy() -> None:
    patient = FICKLE.replace(give_up_then=SLOWLY, give_up_every=300.0)
    often = ran(None, restarted_at=(150.0, 160.0, 170.0))
    slow = backoff.judged(patient, often, now=200.0)

    assert not backoff.is_given_up(patient, often, now=200.0)
    assert slow.is_slow
    assert backoff.wait(patient, slow, chance=0.9) == 300.0
    assert backoff.judged(patient, ran(None, is_slow=True), now=900.0).is_slow
    assert not backoff.judged(patient, ran(60.0, is_slow=True), now=900.0).is_slow


@given(st.lists(st.floats(0, 10), max_size=200), st.integers(1, 5), st.floats(1, 60))
def test_however_it_crashes_it_is_never_restarted_more_often_than_it_may(
    pauses: list[float], most: int, within: float
) -> None:
    policy = WEB.replace(give_up_restarts=most, give_up_within=within)
    life, now, restarts = Life(), 0.0, []
    for pause in pauses:
        now += pause
        if not backoff.is_given_up(policy, life, now):
            life = backoff.counted(policy, life, now)
            restarts.append(now)

    for last in restarts:
        assert sum(1 for one in restarts if one <= last and last - one < within) <= most
