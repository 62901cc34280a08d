"""The datagrams of RFC 3164 and RFC 5424, read by grammars written from those texts."""

import os
import re
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from log_receivers import any_text
from numen.become.syslog.entries import FACILITIES, LONGEST_IDENT, PRIORITIES, Entry, lines
from numen.become.syslog.messages import FORMATS, LONGEST, rfc3164, rfc5424

Encoder = Callable[[Entry], list[bytes]]

RFC_3164 = re.compile(
    rb"<(?P<pri>0|[1-9]\d{0,2})>"
    rb"(?P<month>Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) (?P<day>[ 12]\d|3[01]) "
    rb"(?P<clock>\d\d:\d\d:\d\d) (?P<ident>[!-~]+?)\[(?P<pid>\d+)\]: (?P<text>.*)",
    re.DOTALL,
)

# SYSLOG-MSG = HEADER SP STRUCTURED-DATA [SP MSG], section 6 of RFC 5424.
RFC_5424 = re.compile(
    rb"<(?P<pri>0|[1-9]\d{0,2})>1 "
    rb"(?P<when>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:\d\d)) "
    rb"(?P<host>[!-~]{1,255}) (?P<ident>[!-~]{1,48}) (?P<pid>[!-~]{1,128}) (?P<id>[!-~]{1,32}) - (?P<text>.*)",
    re.DOTALL,
)

GRAMMARS: list[tuple[Encoder, re.Pattern[bytes]]] = [(rfc3164, RFC_3164), (rfc5424, RFC_5424)]

idents = st.text(
    [chr(code) for code in range(0x21, 0x7F) if chr(code) not in "[]:"], min_size=1, max_size=LONGEST_IDENT
)


def entry(text: str, *, ident: str = "web", facility: int = 3, priority: int = 3, at: float = 0) -> Entry:
    return Entry(ident=ident, facility=facility, priority=priority, text=text, time=at, pid=123)


@pytest.mark.parametrize(("encode", "grammar"), GRAMMARS, ids=["3164", "5424"])
@given(
    text=any_text,
    ident=idents,
    facility=st.sampled_from(sorted(FACILITIES.values())),
    priority=st.integers(0, len(PRIORITIES) - 1),
    at=st.floats(min_value=0, max_value=4e9),
)
def test_any_text_is_valid_datagrams(
    encode: Encoder,
    grammar: re.Pattern[bytes],
    text: str,
    ident: str,
    facility: int,
    priority: int,
    at: float,
) -> None:
    datagrams = encode(entry(text, ident=ident, facility=facility, priority=priority, at=at))

    read = [grammar.fullmatch(datagram) for datagram in datagrams]
    assert all(read)
    found = [match for match in read if match is not None]
    assert [match["text"] for match in found] == lines(text)
    assert {match["ident"].decode() for match in found} == {ident}
    assert {match["pid"] for match in found} == {b"123"}
    assert {int(match["pri"]) for match in found} == {facility * 8 + priority}
    for match in found:
        assert not re.search(rb"[\x00-\x08\x0a-\x1f\x7f]", match["text"])
        match["text"].decode("utf-8")


def test_the_heads_are_those_of_the_rfcs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "XXX-1")
    time.tzset()
    try:
        (old,) = rfc3164(entry("down", at=5 * 86400 + 0.25))
        (new,) = rfc5424(entry("down", at=5 * 86400 + 0.25))
    finally:
        monkeypatch.undo()
        time.tzset()
    assert old == b"<27>Jan  6 01:00:00 web[123]: down"
    assert re.fullmatch(rb"<27>1 1970-01-06T01:00:00\.250000\+01:00 [!-~]+ web 123 - - down", new)


@pytest.mark.parametrize("encode", FORMATS.values(), ids=FORMATS)
def test_each_line_is_a_datagram_of_its_own(encode: Encoder) -> None:
    (head,) = encode(entry(""))
    datagrams = encode(entry("Traceback:\n\n  File x\r\n<0>Jan  1 00:00:00 root[1]: forged\n"))
    assert datagrams == [head + line for line in (b"Traceback:", b"  File x", b"<0>Jan  1 00:00:00 root[1]: forged")]


@pytest.mark.parametrize(("encode", "grammar"), GRAMMARS, ids=["3164", "5424"])
@given(lead=st.integers(0, 3), sign=st.sampled_from("aé€😀"))
def test_a_line_too_long_for_a_datagram_is_cut_between_characters(
    encode: Encoder, grammar: re.Pattern[bytes], lead: int, sign: str
) -> None:
    text = "x" * lead + sign * 20_000
    datagrams = encode(entry(text))
    assert len(datagrams) > 1
    assert all(len(datagram) <= LONGEST for datagram in datagrams)
    found = [grammar.fullmatch(datagram) for datagram in datagrams]
    assert "".join(match["text"].decode("utf-8") for match in found if match is not None) == text


def test_an_empty_message_is_one_datagram() -> None:
    assert [len(encode(entry(text))) for encode in FORMATS.values() for text in ("", "\n\n")] == [1, 1, 1, 1]


def test_a_host_without_a_valid_name_is_a_dash(monkeypatch: pytest.MonkeyPatch) -> None:
    nameless = os.uname_result(("Linux", "é é", "", "", ""))
    monkeypatch.setattr(os, "uname", lambda: nameless)
    (datagram,) = rfc5424(entry("down"))
    assert datagram.split()[2] == b"-"
