"""How a schedule is written, and what is told of mistakes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from numen.errors import BadDefinition
from numen.schedule.keys import DURATIONS, PARSERS, from_table, parse_schedule, to_table
from numen.schedule.schedule import MISSED, OVERLAP, TIMING, Schedule


def test_every_field_has_its_key() -> None:
    assert tuple(PARSERS) == Schedule.fields()
    assert set(PARSERS) >= DURATIONS
    assert set(PARSERS) >= set(TIMING)


def test_an_interval_is_a_duration_or_seconds() -> None:
    assert from_table({"every": "1h30m", "jitter": "5s"}) == Schedule(every=5400.0, jitter=5.0)
    assert (
        from_table({"every": 30}) == from_table({"every": "30"}) == from_table({"every": "30s"}) == Schedule(every=30.0)
    )


def test_a_calendar_has_a_zone_and_what_follows_of_missed_runs() -> None:
    table = {
        "cron": " */5  8-18 * * mon-fri ",
        "timezone": "Europe/Berlin",
        "missed": "run-once",
        "overlap": "queue",
        "timeout": "10m",
        "retries": 3,
        "at_start": True,
    }

    assert from_table(table) == Schedule(
        cron="*/5 8-18 * * mon-fri",
        timezone="Europe/Berlin",
        missed="run-once",
        overlap="queue",
        timeout=600.0,
        retries=3,
        at_start=True,
    )


def test_one_text_is_an_interval_or_a_calendar() -> None:
    assert parse_schedule("30s") == Schedule(every=30.0)
    assert parse_schedule("1h 30m") == Schedule(every=5400.0)
    assert parse_schedule("@daily") == Schedule(cron="@daily")
    assert parse_schedule("*/5 8-18 * * mon-fri") == Schedule(cron="*/5 8-18 * * mon-fri")


def mistakes(table: dict[str, object]) -> dict[str, str]:
    with pytest.raises(BadDefinition) as refused:
        from_table(table)
    return dict(refused.value.mistakes)


@pytest.mark.parametrize(
    ("table", "key", "told"),
    [
        ({}, "every", "needs an interval (every) or a calendar (cron)"),
        ({"every": "30s", "cron": "@daily"}, "cron", "not both"),
        ({"every": "soon"}, "every", "'soon' is no duration"),
        ({"every": 0}, "every", "0 is out of bounds; write a duration from 10ms to ten years"),
        ({"every": "-5"}, "every", "is no duration"),
        ({"every": float("nan")}, "every", "out of bounds"),
        ({"every": 10**400}, "every", "out of bounds"),
        ({"every": "9" * 400 + "d"}, "every", "out of bounds"),
        ({"every": True}, "every", "True is no duration"),
        ({"every": ["30s"]}, "every", "is no duration"),
        ({"every": "1m", "jitter": "2m"}, "jitter", "is longer than the interval"),
        ({"every": "1m", "timezone": "UTC"}, "timezone", "belongs to cron"),
        ({"every": "1m", "cron_seconds": True}, "cron_seconds", "belongs to cron"),
        ({"cron": "61 * * * *"}, "cron", "'61' is no minute"),
        ({"cron": 5}, "cron", "5 is not the text of a cron expression"),
        ({"cron": "@daily", "timezone": "Europe/Berlim"}, "timezone", "did you mean Europe/Berlin"),
        ({"cron": "0 * * * * *"}, "cron", "it has 6 fields"),
        ({"cron": "@daily", "missed": "run_once"}, "missed", "write run-once or skip"),
        ({"cron": "@daily", "overlap": None}, "overlap", "write skip, queue or replace"),
        ({"cron": "@daily", "retries": -1}, "retries", "write one from 0 to 1000"),
        ({"cron": "@daily", "retries": True}, "retries", "is no number of retries"),
        ({"cron": "@daily", "at_start": 1}, "at_start", "neither true nor false"),
        ({"cron": "@daily", "timeout": 0}, "timeout", "out of bounds"),
        ({"cron": "@daily", "retry_first": "2m"}, "retry_longest", "is below retry_first"),
        ({"cron": "@daily", "time_zone": "UTC"}, "time_zone", "did you mean timezone"),
        ({"cron": "@daily", "x" * 99: 1}, "x" * 99, "there is no such key"),
    ],
)
def test_a_mistake_is_told_at_its_key(table: dict[str, object], key: str, told: str) -> None:
    assert told in mistakes(table)[key]


def test_every_mistake_is_told_at_once() -> None:
    found = mistakes({"cron": "61 * * * *", "timezone": "Nowhere", "jitter": "x", "overlap": "stop", "retry": 1})

    assert sorted(found) == ["cron", "jitter", "overlap", "retry", "timezone"]


def test_the_error_tells_them_all_in_words() -> None:
    with pytest.raises(BadDefinition, match=r"^cannot use the schedule: every: .* is no duration.*; jitter: "):
        from_table({"every": "x", "jitter": "y"})


DURATION = st.floats(0.01, 1e8) | st.integers(1, 10**8)

TABLES = st.fixed_dictionaries(
    {},
    optional={
        "every": DURATION,
        "cron": st.sampled_from(["@daily", "*/5 * * * *", "0 2 * * mon", "0 0 2 * * *"]),
        "cron_seconds": st.booleans(),
        "timezone": st.sampled_from(["UTC", "Europe/Berlin"]),
        "jitter": DURATION,
        "missed": st.sampled_from(MISSED),
        "overlap": st.sampled_from(OVERLAP),
        "timeout": DURATION,
        "retries": st.integers(0, 1000),
        "retry_first": DURATION,
        "retry_longest": DURATION,
        "at_start": st.booleans(),
    },
)


@given(TABLES)
def test_what_is_written_is_read_back_as_the_same(table: dict[str, object]) -> None:
    try:
        schedule = from_table(table)
    except BadDefinition:
        return

    assert from_table(json.loads(json.dumps(to_table(schedule)))) == schedule


@pytest.mark.fuzz
@given(
    st.dictionaries(
        st.sampled_from(list(PARSERS)) | st.text(),
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers()),
    )
)
def test_any_table_is_a_schedule_or_refused(table: dict[str, object]) -> None:
    try:
        schedule = from_table(table)
    except BadDefinition as error:
        assert error.mistakes  # noqa: PT017 - it is refused, or it is not
        return
    assert from_table(to_table(schedule)) == schedule
