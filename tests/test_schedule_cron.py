"""Cron expressions: what they mean, on an ordinary day and where the clock is changed."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from numen.errors import BadOption
from numen.schedule.cron import NAMES, next_match, parse_cron
from schedule_reckoning import BOUNDS, Reckoning, at


def shown_runs(text: str, zone: str, after: datetime, count: int, *, seconds: bool = False) -> list[str]:
    """The next times, as the clock of the zone shows them, with its offset from UTC."""
    cron, place, shown = parse_cron(text, seconds=seconds), ZoneInfo(zone), []
    time: float | None = after.timestamp()
    for _ in range(count):
        assert time is not None
        time = next_match(cron, place, time)
        assert time is not None
        shown.append(datetime.fromtimestamp(time, place).isoformat())
    return shown


# Expressions


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("*/5 8-18 * * mon-fri", ["2026-11-27T18:55:00+00:00", "2026-11-30T08:00:00+00:00"]),
        ("0,30 0 1 jan *", ["2027-01-01T00:00:00+00:00", "2027-01-01T00:30:00+00:00"]),
        ("0 12 * * 7", ["2026-11-29T12:00:00+00:00", "2026-12-06T12:00:00+00:00"]),
        ("0 12 * * SUN", ["2026-11-29T12:00:00+00:00", "2026-12-06T12:00:00+00:00"]),
        ("0 0 13 * 5", ["2026-12-04T00:00:00+00:00", "2026-12-11T00:00:00+00:00", "2026-12-13T00:00:00+00:00"]),
        ("0 0 */10 * 2", ["2026-12-01T00:00:00+00:00", "2027-05-11T00:00:00+00:00"]),
        ("10-20/5 0 28 * *", ["2026-11-28T00:10:00+00:00", "2026-11-28T00:15:00+00:00", "2026-11-28T00:20:00+00:00"]),
        ("0-0/5,30 19-019/2 * 11-11/1 fri-fri/3", ["2026-11-27T19:00:00+00:00", "2026-11-27T19:30:00+00:00"]),
        ("50/4 19 * * *", ["2026-11-27T19:50:00+00:00", "2026-11-27T19:54:00+00:00"]),
        ("0 0 L * *", ["2026-11-30T00:00:00+00:00", "2026-12-31T00:00:00+00:00"]),
        ("0 0 * * mon#1", ["2026-12-07T00:00:00+00:00", "2027-01-04T00:00:00+00:00"]),
        ("0 0 * * 5L", ["2026-12-25T00:00:00+00:00", "2027-01-29T00:00:00+00:00"]),
        ("@hourly", ["2026-11-27T19:00:00+00:00", "2026-11-27T20:00:00+00:00"]),
        ("@daily", ["2026-11-28T00:00:00+00:00", "2026-11-29T00:00:00+00:00"]),
        ("@weekly", ["2026-11-29T00:00:00+00:00", "2026-12-06T00:00:00+00:00"]),
        ("@monthly", ["2026-12-01T00:00:00+00:00", "2027-01-01T00:00:00+00:00"]),
        ("@yearly", ["2027-01-01T00:00:00+00:00", "2028-01-01T00:00:00+00:00"]),
        ("0 0 29 2 *", ["2028-02-29T00:00:00+00:00", "2032-02-29T00:00:00+00:00"]),
        ("0 0 29 2 */7", ["2032-02-29T00:00:00+00:00", "2060-02-29T00:00:00+00:00"]),
    ],
)
def test_an_expression_means_its_times(text: str, expected: list[str]) -> None:
    friday_evening = at(2026, 11, 27, 18, 50)

    assert shown_runs(text, "UTC", friday_evening, len(expected)) == expected


def test_a_leap_day_is_left_out_in_a_century() -> None:
    assert shown_runs("0 0 29 2 *", "UTC", at(2096, 3, 1), 1) == ["2104-02-29T00:00:00+00:00"]


def test_the_seconds_stand_before_the_minutes_where_they_are_wanted() -> None:
    expected = ["2026-01-01T00:00:20+00:00", "2026-01-01T00:00:40+00:00", "2026-01-01T00:01:00+00:00"]

    assert shown_runs("*/20 * * * * *", "UTC", at(2026, 1, 1), 3, seconds=True) == expected


def test_a_match_is_past_the_time_that_is_asked_for() -> None:
    midnight = at(2026, 1, 1).timestamp()
    hourly = parse_cron("@hourly")

    assert next_match(hourly, ZoneInfo("UTC"), midnight - 0.001) == midnight
    assert next_match(hourly, ZoneInfo("UTC"), midnight) == midnight + 3600
    assert next_match(hourly, ZoneInfo("UTC"), midnight + 0.5) == midnight + 3600


def test_past_the_last_year_of_the_calendar_nothing_is_due() -> None:
    assert next_match(parse_cron("@yearly"), ZoneInfo("UTC"), at(9999, 6, 1).timestamp()) is None
    assert next_match(parse_cron("@yearly"), ZoneInfo("UTC"), 1e12) is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("61 * * * *", "'61' is no minute; minutes are 0-59"),
        ("* 8-25 * * *", "'8-25' is no hour; hours are 0-23"),
        ("* * 0 * *", "'0' is no day of the month; days of the month are 1-31"),
        ("* * * 13 *", "'13' is no month; months are 1-12 or jan-dec"),
        ("* * * * monday", "'monday' is no day of the week; days of the week are 0-7"),
        ("*/0 * * * *", "'\\*/0' is no minute"),
        ("20-10 * * * *", "'20-10' is no minute"),
        ("* * * *", "it has 4 fields, and 5 are wanted: minute hour"),
        ("0 * * * * *", "it has 6 fields, and 5 are wanted: minute hour"),
        ("daily", "it has 1 field, and 5 are wanted"),
        ("", "it has 0 fields"),
        ("0 0 30 2 *", "day 30 never comes in month 2"),
        ("0 0 31 4,jun *", "day 31 never comes in month 4,jun"),
        ("0 0 */20 * 1L", "no day in fifty years matches it"),
        ("@dayly", "the names are @hourly, @daily"),
        ("@reboot", "what runs at each start is `at_start`"),
        ("@every 5m", "an interval is not written here, but as `every`"),
        (f"{'1,' * 600}1 * * * *", "it is too long"),
        ("\u0663 * * * *", "is no minute"),
    ],
)
def test_what_is_no_expression_is_refused_with_the_field_and_its_bounds(text: str, told: str) -> None:
    with pytest.raises(BadOption, match=f"is no cron expression: .*{told}"):
        parse_cron(text)


@pytest.mark.fuzz
@given(st.text() | st.text("0123456789*/-,#L @monfeb") | st.lists(st.text("0159*/-,#LWsun"), min_size=5).map(" ".join))
def test_any_text_is_an_expression_or_refused(text: str) -> None:
    try:
        cron = parse_cron(text)
    except BadOption:
        return
    found = next_match(cron, ZoneInfo("UTC"), 0.0)
    assert found is not None
    assert found > 0


# The table of changes of the clock. What is on the right is what the clock shows, and its offset from UTC.

CHANGES = [
    # Berlin, 29 March 2026: at 02:00 the clock is set to 03:00.
    ("30 2 * * *", "Europe/Berlin", at(2026, 3, 28, 12), ["2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"]),
    ("0,30 2 * * *", "Europe/Berlin", at(2026, 3, 28, 12), ["2026-03-29T03:00:00+02:00", "2026-03-30T02:00:00+02:00"]),
    ("0 2,3 * * *", "Europe/Berlin", at(2026, 3, 28, 12), ["2026-03-29T03:00:00+02:00", "2026-03-30T02:00:00+02:00"]),
    ("30 3 * * *", "Europe/Berlin", at(2026, 3, 28, 12), ["2026-03-29T03:30:00+02:00", "2026-03-30T03:30:00+02:00"]),
    (
        "*/30 * * * *",
        "Europe/Berlin",
        at(2026, 3, 29, 0, 29),
        ["2026-03-29T01:30:00+01:00", "2026-03-29T03:00:00+02:00"],
    ),
    ("*/30 2 * * *", "Europe/Berlin", at(2026, 3, 28, 12), ["2026-03-30T02:00:00+02:00"]),
    ("0 */2 * * *", "Europe/Berlin", at(2026, 3, 28, 23), ["2026-03-29T04:00:00+02:00"]),
    # Berlin, 25 October 2026: at 03:00 the clock is set to 02:00.
    ("30 2 * * *", "Europe/Berlin", at(2026, 10, 24, 12), ["2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"]),
    ("0 3 * * *", "Europe/Berlin", at(2026, 10, 24, 12), ["2026-10-25T03:00:00+01:00", "2026-10-26T03:00:00+01:00"]),
    (
        "*/30 * * * *",
        "Europe/Berlin",
        at(2026, 10, 25, 0, 0),
        [
            "2026-10-25T02:30:00+02:00",
            "2026-10-25T02:00:00+01:00",
            "2026-10-25T02:30:00+01:00",
            "2026-10-25T03:00:00+01:00",
        ],
    ),
    ("30 * * * *", "Europe/Berlin", at(2026, 10, 25, 0, 0), ["2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00"]),
    ("30 2 * * *", "Europe/Berlin", at(2026, 10, 25, 1, 15), ["2026-10-26T02:30:00+01:00"]),
    # New York, 8 March and 1 November 2026, at 02:00.
    ("15 2 * * *", "America/New_York", at(2026, 3, 8, 1), ["2026-03-08T03:00:00-04:00", "2026-03-09T02:15:00-04:00"]),
    ("15 1 * * *", "America/New_York", at(2026, 11, 1, 1), ["2026-11-01T01:15:00-04:00", "2026-11-02T01:15:00-05:00"]),
    ("0 2 * * sun", "America/New_York", at(2026, 3, 7), ["2026-03-08T03:00:00-04:00", "2026-03-15T02:00:00-04:00"]),
    # Lord Howe changes by half an hour: 4 October 2026 from 02:00 to 02:30, 5 April 2026 from 02:00 to 01:30.
    (
        "15 2 * * *",
        "Australia/Lord_Howe",
        at(2026, 10, 3, 12),
        ["2026-10-04T02:30:00+11:00", "2026-10-05T02:15:00+11:00"],
    ),
    (
        "*/15 3 * * *",
        "Australia/Lord_Howe",
        at(2026, 10, 3, 12),
        ["2026-10-04T03:00:00+11:00", "2026-10-04T03:15:00+11:00"],
    ),
    (
        "45 1 * * *",
        "Australia/Lord_Howe",
        at(2026, 4, 4, 12),
        ["2026-04-05T01:45:00+11:00", "2026-04-06T01:45:00+10:30"],
    ),
    (
        "45 * * * *",
        "Australia/Lord_Howe",
        at(2026, 4, 4, 14),
        ["2026-04-05T01:45:00+11:00", "2026-04-05T01:45:00+10:30"],
    ),
    (
        "* 2 * * *",
        "Australia/Lord_Howe",
        at(2026, 4, 4, 12),
        ["2026-04-05T02:00:00+10:30", "2026-04-05T02:01:00+10:30"],
    ),
    # Samoa left out 30 December 2011.
    ("0 12 30 12 *", "Pacific/Apia", at(2011, 12, 1), ["2011-12-31T00:00:00+14:00", "2012-12-30T12:00:00+14:00"]),
    ("0 12 * * *", "Pacific/Apia", at(2011, 12, 30), ["2011-12-31T00:00:00+14:00", "2011-12-31T12:00:00+14:00"]),
    ("*/30 * 30 12 *", "Pacific/Apia", at(2011, 12, 1), ["2012-12-30T00:00:00+14:00"]),
    # São Paulo, 4 November 2018: there was no midnight; 17 February 2018: the last hour of the day came twice.
    ("@daily", "America/Sao_Paulo", at(2018, 11, 3, 12), ["2018-11-04T01:00:00-02:00", "2018-11-05T00:00:00-02:00"]),
    (
        "30 23 * * *",
        "America/Sao_Paulo",
        at(2018, 2, 17, 12),
        ["2018-02-17T23:30:00-02:00", "2018-02-18T23:30:00-03:00"],
    ),
    ("@daily", "America/Sao_Paulo", at(2018, 2, 17, 12), ["2018-02-18T00:00:00-03:00", "2018-02-19T00:00:00-03:00"]),
    # Kiribati's Line Islands left out 31 December 1994.
    ("0 6 31 12 *", "Pacific/Kiritimati", at(1994, 12, 1), ["1995-01-01T00:00:00+14:00", "1995-12-31T06:00:00+14:00"]),
    # In winter Dublin is an hour behind its standard time; only the sign of its "daylight saving" differs.
    ("30 1 * * *", "Europe/Dublin", at(2026, 3, 28, 12), ["2026-03-29T02:00:00+01:00", "2026-03-30T01:30:00+01:00"]),
    # 29 February.
    ("30 2 29 2 *", "Europe/Berlin", at(2025, 1, 1), ["2028-02-29T02:30:00+01:00", "2032-02-29T02:30:00+01:00"]),
]


@pytest.mark.parametrize(("text", "zone", "after", "expected"), CHANGES)
def test_where_the_clock_is_changed_it_runs_as_cron_does(
    text: str, zone: str, after: datetime, expected: list[str]
) -> None:
    assert shown_runs(text, zone, after, len(expected)) == expected


# Against a reckoning that looks at each minute

TURNS = [
    ("Europe/Berlin", at(2026, 3, 29, 1)),
    ("Europe/Berlin", at(2026, 10, 25, 1)),
    ("America/New_York", at(2026, 3, 8, 7)),
    ("America/New_York", at(2026, 11, 1, 6)),
    ("Australia/Lord_Howe", at(2026, 10, 3, 15, 30)),
    ("Australia/Lord_Howe", at(2026, 4, 4, 15)),
    ("Pacific/Apia", at(2011, 12, 30, 10)),
    ("America/Sao_Paulo", at(2018, 11, 4, 3)),
    ("America/Sao_Paulo", at(2018, 2, 18, 2)),
    ("Africa/Casablanca", at(2026, 2, 15, 2)),
    ("Antarctica/Troll", at(2026, 3, 29, 1)),
    ("Antarctica/Troll", at(2026, 10, 25, 1)),
    ("UTC", at(2028, 2, 29)),
]
"""Zones, and the instants of their changes: by an hour, by half of one, by two, by a day, to either side."""


@st.composite
def fields(draw: st.DrawFn, lowest: int, highest: int) -> str:
    parts = []
    for _ in range(draw(st.integers(1, 3))):
        first = draw(st.integers(lowest, highest))
        last = draw(st.integers(first, highest))
        step = draw(st.integers(1, 30))
        parts.append(draw(st.sampled_from(["*", f"*/{step}", f"{first}", f"{first}-{last}", f"{first}-{last}/{step}"])))
    return ",".join(parts)


EXPRESSIONS = st.one_of(
    st.tuples(fields(0, 59), fields(0, 4), st.just("*"), st.just("*"), st.just("*")),
    st.tuples(*(fields(*bounds) for bounds in BOUNDS)),
).map(" ".join)


@given(EXPRESSIONS, st.sampled_from(TURNS), st.integers(-900, 300))
def test_no_minute_is_skipped_and_none_is_made_up(text: str, turn: tuple[str, datetime], minutes: int) -> None:
    zone, change = turn
    after = datetime.fromtimestamp(change.timestamp() + 60 * minutes, UTC)
    try:
        cron = parse_cron(text)
    except BadOption as error:
        assert "never comes" in str(error) or "no day in fifty" in str(error)  # noqa: PT017 - one of these only
        return
    times: list[float] = []
    time = after.timestamp()
    end = time + 900 * 60
    while len(times) < 100 and (found := next_match(cron, ZoneInfo(zone), time)) is not None and found <= end:
        assert found > time
        times.append(found)
        time = found
    expected = []
    for found in Reckoning(text, zone).runs(after, 900):
        expected.append(found)
        if len(expected) == 100:
            break

    assert times == expected


@given(EXPRESSIONS, st.integers(0, 2**32))
def test_each_time_matches_all_fields_and_is_past_the_one_before(text: str, after: int) -> None:
    try:
        cron = parse_cron(text)
    except BadOption:
        return
    reckoning = Reckoning(text, "UTC")
    time: float | None = float(after)
    for _ in range(5):
        assert time is not None
        previous, time = time, next_match(cron, ZoneInfo("UTC"), time)
        assert time is not None
        assert time > previous
        assert reckoning.matches(datetime.fromtimestamp(time, UTC).replace(tzinfo=None))


@given(st.sampled_from(sorted(NAMES)), st.sampled_from(["Europe/Berlin", "Pacific/Apia"]), st.integers(0, 2**31))
def test_a_name_means_the_expression_that_it_stands_for(name: str, zone: str, after: int) -> None:
    place = ZoneInfo(zone)

    assert next_match(parse_cron(name), place, after) == next_match(parse_cron(NAMES[name]), place, after)
