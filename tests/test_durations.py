"""Durations as people write them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from numen.errors import BadOption
from numen.settings.durations import format_duration, parse_duration

SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 604800}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("0", 0),
        ("1.5", 1.5),
        ("100ms", 0.1),
        ("250us", 0.00025),
        ("5s", 5),
        ("2m", 120),
        ("2min", 120),
        ("1h", 3600),
        ("1h30m", 5400),
        ("1h 30m", 5400),
        (" 3s ", 3),
        ("1D", 86400),
        ("4w", 4 * 604800),
        (".5s", 0.5),
    ],
)
def test_a_duration_means_its_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    ["", " ", "s", "5x", "1.2.3s", ".", "-5", "+5", "1h30", "0h30", "30 1h", "5 5", "nan", "inf", "1e3", "٣s", "5s\0"],
)
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(BadOption, match="is no duration; write one like"):
        parse_duration(text)


@given(st.lists(st.tuples(st.integers(0, 10**6), st.sampled_from(sorted(SECONDS))), min_size=1, max_size=4))
def test_parts_of_a_duration_add_up(parts: list[tuple[int, str]]) -> None:
    text = " ".join(f"{number}{unit}" for number, unit in parts)

    assert parse_duration(text) == pytest.approx(sum(number * SECONDS[unit] for number, unit in parts))


@pytest.mark.fuzz
@given(st.text() | st.text("0123456789. smhdwuin"))
def test_any_text_is_a_duration_or_refused(text: str) -> None:
    try:
        seconds = parse_duration(text)
    except BadOption:
        return
    assert seconds >= 0
    assert not math.isnan(seconds)


@given(st.floats(0, 10**9))
def test_a_duration_that_is_shown_is_read_back_as_almost_the_same(seconds: float) -> None:
    shown = format_duration(seconds)

    # Two units are shown, so what is left out is less than one of the third.
    assert parse_duration(shown) == pytest.approx(seconds, rel=1 / 24, abs=0.0005)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0ms"), (0.25, "250ms"), (30, "30s"), (60, "1m"), (3900, "1h 5m"), (90061, "1d 1h"), (86400, "1d")],
)
def test_a_duration_is_shown_in_at_most_two_units(seconds: float, shown: str) -> None:
    assert format_duration(seconds) == shown
