"""Priorities, facilities and idents by name, readable text, and the time."""

import re
import time
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from log_receivers import any_text
from numen.become.syslog import entries as log_entry
from numen.errors import BadOption


def test_the_numbers_are_those_of_syslog() -> None:
    import syslog

    for name in log_entry.PRIORITIES:
        assert log_entry.priority_number(name) == getattr(syslog, f"LOG_{name.upper()}")
        assert log_entry.priority_number(log_entry.priority_number(name)) == log_entry.priority_number(name)
    known = {name: getattr(syslog, f"LOG_{name.upper()}", None) for name in log_entry.FACILITIES}
    assert {name: log_entry.facility_number(name) << 3 for name in known if name != "ftp"} == {
        name: number for name, number in known.items() if name != "ftp"
    }
    assert log_entry.facility_number("ftp") == 11  # which Python's module does not have before 3.13


@pytest.mark.parametrize("priority", ["error", "ERR", "", 8, -1])
def test_a_bad_priority_is_told_with_the_valid_ones(priority: str | int) -> None:
    with pytest.raises(BadOption) as raised:
        log_entry.priority_number(priority)
    assert repr(priority) in raised.value.message
    assert all(name in raised.value.message for name in log_entry.PRIORITIES)
    assert raised.value.values == {"priority": priority}


@pytest.mark.parametrize("facility", ["kern", "local8", "Daemon", ""])
def test_a_bad_facility_is_told_with_the_valid_ones(facility: str) -> None:
    with pytest.raises(BadOption) as raised:
        log_entry.facility_number(facility)
    assert repr(facility) in raised.value.message
    assert all(name in raised.value.message for name in log_entry.FACILITIES)
    assert raised.value.values == {"facility": facility}


@pytest.mark.parametrize("ident", ["web", "postfix/smtpd", "a" * 48, "web-1.2_3@host"])
def test_a_good_ident_is_accepted(ident: str) -> None:
    log_entry.check_ident(ident)


@pytest.mark.parametrize("ident", ["", "a" * 49, "two words", "web[1]", "web:", "new\nline", "zoë", "nul\0"])
def test_a_bad_ident_is_told_with_what_is_valid(ident: str) -> None:
    with pytest.raises(BadOption) as raised:
        log_entry.check_ident(ident)
    assert repr(ident) in raised.value.message
    assert raised.value.values == {"ident": ident}


@given(any_text)
def test_any_text_is_readable_utf_8_without_control_characters(text: str) -> None:
    shown = log_entry.readable(text).decode("utf-8")
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", shown)
    if text.isprintable():
        assert shown == text


def test_what_is_not_text_is_written_out() -> None:
    assert log_entry.readable("a\0b\x1b[31m\tc\r\nd\re\x9b") == rb"a\x00b\x1b[31m" + b"\tc\nd" + rb"\x0de\x9b"
    assert log_entry.readable("file \udcff") == rb"file \udcff"


@given(any_text)
def test_lines_are_all_of_the_text_that_is_not_blank(text: str) -> None:
    lines = log_entry.lines(text)
    assert all(b"\n" not in line for line in lines)
    assert b"".join(lines).split() == log_entry.readable(text).split() or len(lines) > 1
    assert b" ".join(lines).split() == log_entry.readable(text).split()


@pytest.mark.parametrize("zone", ["UTC0", "XXX-5:30", "YYY+3:30", "ZZZ-14"])
@given(seconds=st.floats(min_value=0, max_value=4e9))
def test_the_time_is_that_of_rfc_3339(seconds: float, zone: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", zone)
        time.tzset()
        try:
            written = log_entry.timestamp(seconds)
            read = datetime.fromisoformat(written)
            assert abs(read.timestamp() - seconds) < 2e-6
            assert read.utcoffset() == datetime.fromtimestamp(seconds).astimezone().utcoffset()
        finally:
            patch.undo()
            time.tzset()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}[+-]\d\d:\d\d", written)
