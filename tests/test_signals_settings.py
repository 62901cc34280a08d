"""Signals and stop schedules as people write them."""

import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from numen.errors import BadOption
from numen.settings.signals import DEFAULT_SCHEDULE, parse_schedule, parse_signal, signal_name


@given(
    one=st.sampled_from(sorted(signal.Signals)),
    form=st.sampled_from([str.upper, str.lower, str.title]),
    prefix=st.sampled_from(["", "SIG"]),
)
def test_a_signal_may_be_named_with_and_without_sig_in_any_case(one: signal.Signals, form: type, prefix: str) -> None:
    assert parse_signal(form(prefix + one.name.removeprefix("SIG"))) == one


@given(st.sampled_from(sorted(signal.Signals)))
def test_a_signal_may_be_given_by_its_number_and_is_shown_by_its_name(one: signal.Signals) -> None:
    assert parse_signal(str(int(one))) == one
    assert signal_name(one) == one.name
    assert parse_signal(signal_name(one)) == one


@pytest.mark.parametrize("text", ["", "0", "-9", "99", "TERMINATE", "SIG", "SIGSIGTERM", "TERM HUP", "²", "SIG_IGN"])
def test_what_is_no_signal_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(BadOption, match="is no signal; write one like TERM"):
        parse_signal(text)


def test_a_signal_without_a_name_is_shown_by_its_number() -> None:
    assert signal_name(40) == "signal 40"


def test_a_schedule_is_signals_and_waits_in_turn() -> None:
    term, hup, kill = signal.SIGTERM, signal.SIGHUP, signal.SIGKILL

    assert parse_schedule("TERM/30s/KILL/5s") == ((term, 30), (kill, 5))
    assert parse_schedule("-HUP/1/15/500ms") == ((hup, 1), (term, 0.5))
    assert parse_schedule(DEFAULT_SCHEDULE)[-1][0] == kill


def test_one_duration_alone_means_term_and_then_kill() -> None:
    assert parse_schedule("7") == ((signal.SIGTERM, 7), (signal.SIGKILL, 7))


@pytest.mark.parametrize("text", ["", "TERM", "TERM/", "TERM/5s/KILL", "5s/TERM", "TERM/x", "X/5s", "/", "TERM//5s"])
def test_what_is_no_schedule_is_refused(text: str) -> None:
    with pytest.raises(BadOption):
        parse_schedule(text)


@pytest.mark.fuzz
@given(st.text() | st.lists(st.sampled_from(["TERM", "5s", "KILL", "1", "", "x"])).map("/".join))
def test_any_text_is_a_schedule_or_refused(text: str) -> None:
    try:
        steps = parse_schedule(text)
    except BadOption:
        return
    assert steps
    assert all(one in signal.Signals and wait >= 0 for one, wait in steps)
