"""journald's native protocol and its stream: read by a decoder of the tests' own, and by a real journald."""

import errno
import fcntl
import os
import re
import string
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from log_receivers import Journald, StreamReceiver, any_text, decode_entry, start_journald
from numen.become.syslog import journal
from numen.become.syslog.entries import Entry, readable
from numen.errors import BadOption, NoPermission, Unusable
from numen.syslog import SystemLog
from processes import Reaper

VALID_NAME = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
names = st.text(string.ascii_uppercase + string.digits + "_", min_size=1, max_size=64).filter(VALID_NAME.fullmatch)
values = st.one_of(any_text, st.integers(), st.binary())


def entry(text: str = "down", **extra: str | int | bytes) -> Entry:
    return Entry(ident="web", facility=16, priority=3, text=text, extra=extra, time=0.0, pid=123)


# The native protocol


@given(text=any_text, extra=st.dictionaries(names, values))
def test_any_fields_come_back_as_they_were(text: str, extra: dict[str, str | int | bytes]) -> None:
    extra = {name: value for name, value in extra.items() if name not in journal.OWN_FIELDS}
    (datagram,) = journal.encode(entry(text, **extra))

    read = decode_entry(datagram)
    assert read[:5] == [
        ("MESSAGE", readable(text)),
        ("PRIORITY", b"3"),
        ("SYSLOG_FACILITY", b"16"),
        ("SYSLOG_IDENTIFIER", b"web"),
        ("SYSLOG_PID", b"123"),
    ]
    assert [name for name, _ in read[5:]] == list(extra)
    for (_, found), value in zip(read[5:], extra.values(), strict=True):
        if isinstance(value, bytes):
            assert found == value
        else:
            assert found == str(value).encode("utf-8", "backslashreplace")


def test_a_value_of_several_lines_is_one_value() -> None:
    (datagram,) = journal.encode(entry("one\ntwo", OTHER="a\n\nb\n"))
    assert datagram.startswith(b"MESSAGE\n\x07\x00\x00\x00\x00\x00\x00\x00one\ntwo\n")
    assert decode_entry(datagram)[-1] == ("OTHER", b"a\n\nb\n")


@given(any_text)
def test_any_name_becomes_one_that_the_journal_takes(name: str) -> None:
    found = journal.field_name(name)
    assert VALID_NAME.fullmatch(found)
    assert found not in journal.OWN_FIELDS


@pytest.mark.parametrize(
    ("given_name", "field"),
    [
        ("request_id", "REQUEST_ID"),
        ("MESSAGE_ID", "MESSAGE_ID"),
        ("_PID", "PID"),
        ("2nd-try", "F_2ND_TRY"),
        ("", "F_"),
        ("priority", "F_PRIORITY"),
        ("message", "F_MESSAGE"),
        ("x" * 100, "X" * 64),
    ],
)
def test_names_are_made_valid_and_never_replace_our_own(given_name: str, field: str) -> None:
    assert journal.field_name(given_name) == field


# Entries in files


def test_a_file_for_a_large_entry_is_sealed() -> None:
    descriptor = journal.open_as_file(b"content")
    try:
        seals = fcntl.fcntl(descriptor, fcntl.F_GET_SEALS)
        assert seals == fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
        assert os.pread(descriptor, 100, 0) == b"content"
        assert not os.get_inheritable(descriptor)
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EPERM, None])
def test_without_memfd_the_file_is_one_without_a_name(monkeypatch: pytest.MonkeyPatch, number: int | None) -> None:
    if number is None:
        monkeypatch.delattr(os, "memfd_create")
    else:
        refused = OSError(number, os.strerror(number))
        monkeypatch.setattr(os, "memfd_create", lambda *_: (_ for _ in ()).throw(refused))
    descriptor = journal.open_as_file(b"content")
    try:
        # journald takes a file that is not sealed from there alone.
        assert re.fullmatch(r"/dev/shm/[^/]+ \(deleted\)", os.readlink(f"/proc/self/fd/{descriptor}"))
        assert os.pread(descriptor, 100, 0) == b"content"
    finally:
        os.close(descriptor)


def test_a_file_that_cannot_be_filled_is_not_left_open(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.ENOSPC, "no space")

    before = os.listdir("/proc/self/fd")
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", refuse)
        with pytest.raises(OSError, match="no space"):
            journal.open_as_file(b"content")
    assert os.listdir("/proc/self/fd") == before


# The stream


def test_a_journal_stream_begins_with_its_header_and_carries_lines(tmp_path: Path) -> None:
    with StreamReceiver(tmp_path / "stdout") as receiver:
        descriptor = journal.open_journal_stream("web", "warning", path=str(tmp_path / "stdout"))
        try:
            assert not os.get_inheritable(descriptor)
            assert os.get_blocking(descriptor)
            os.write(descriptor, b"<3>first line\n")
            receiver.accept()
            lines = [receiver.receive(b"\n") for _ in range(8)]
        finally:
            os.close(descriptor)
    # identifier, unit, priority, level prefix, forward to syslog, kmsg, console: sd_journal_stream_fd(3)
    assert lines == [b"web", b"", b"4", b"1", b"0", b"0", b"0", b"<3>first line"]


def test_a_stream_that_is_not_there_is_unusable(tmp_path: Path) -> None:
    path = str(tmp_path / "stdout")
    with pytest.raises(Unusable, match=re.escape(path)):
        journal.open_journal_stream("web", path=path)
    assert not journal.has_journal_stream(path)


def test_a_stream_that_nobody_listens_to_any_more_is_unusable(tmp_path: Path) -> None:
    receiver = StreamReceiver(tmp_path / "stdout")
    assert journal.has_journal_stream(str(receiver.path))
    receiver.path.rename(tmp_path / "kept")
    receiver.close()
    path = str(tmp_path / "kept")
    assert not journal.has_journal_stream(path)
    with pytest.raises(Unusable):
        journal.open_journal_stream("web", path=path)


def test_a_journald_that_accepts_nothing_does_not_hold_up_the_start(tmp_path: Path) -> None:
    path = str(tmp_path / "stdout")
    opened: list[int] = []

    def open_more_than_can_wait_to_be_accepted() -> None:
        while len(opened) < 10_000:
            opened.append(journal.open_journal_stream("web", path=path))

    with StreamReceiver(tmp_path / "stdout"):
        try:
            with pytest.raises(Unusable, match="busy"):
                open_more_than_can_wait_to_be_accepted()
        finally:
            for descriptor in opened:
                os.close(descriptor)


@pytest.mark.needs_user
def test_a_stream_that_is_closed_to_us_is_no_permission(tmp_path: Path) -> None:
    with StreamReceiver(tmp_path / "stdout") as receiver:
        receiver.path.chmod(0)
        with pytest.raises(NoPermission):
            journal.open_journal_stream("web", path=str(receiver.path))


@pytest.mark.parametrize(("ident", "priority"), [("two\nlines", "err"), ("web", "loud")])
def test_a_bad_value_is_told_before_anything_is_opened(tmp_path: Path, ident: str, priority: str) -> None:
    with pytest.raises(BadOption):
        journal.open_journal_stream(ident, priority, path=str(tmp_path / "stdout"))


# A real journald


@pytest.fixture
def journald(tmp_path: Path, reaper: Reaper) -> Journald:
    return start_journald(tmp_path, reaper)


@pytest.mark.needs_package("systemd", command="journalctl")
def test_a_real_journald_has_the_entry_with_its_fields(journald: Journald) -> None:
    with SystemLog("web", "local0", target="journal", journal_path=journald.native) as log:
        assert log.using == "journal"
        log.send("err", "first line\nsecond\tline \x1b[31m\0", request_id=17, note="a\nb", raw=b"\xff\xfe")
        (found,) = journald.wait_for_entries("web", 1)
    assert found["MESSAGE"] == "first line\nsecond\tline \\x1b[31m\\x00"
    assert (found["PRIORITY"], found["SYSLOG_FACILITY"]) == ("3", "16")
    assert (found["REQUEST_ID"], found["NOTE"], found["RAW"]) == ("17", "a\nb", [0xFF, 0xFE])
    assert found["_PID"] == found["SYSLOG_PID"] == str(os.getpid())
    assert found["_TRANSPORT"] == "journal"


@pytest.mark.needs_package("systemd", command="journalctl")
@pytest.mark.parametrize("with_memfd", [True, False])
def test_a_real_journald_takes_an_entry_that_is_too_large_for_a_datagram(
    journald: Journald, monkeypatch: pytest.MonkeyPatch, with_memfd: bool
) -> None:
    if not with_memfd:
        monkeypatch.delattr(os, "memfd_create")
    text = "much " * 500_000
    with SystemLog("web", target="journal", journal_path=journald.native) as log:
        log.send("err", text)
        log.send("err", "small")
        large, small = journald.wait_for_entries("web", 2)
    assert large["MESSAGE"] == text
    assert small["MESSAGE"] == "small"


@pytest.mark.needs_package("systemd", command="journalctl")
def test_a_real_journald_makes_an_entry_of_each_line_of_the_stream(journald: Journald) -> None:
    assert journal.has_journal_stream(journald.stream)
    descriptor = journal.open_journal_stream("web", "warning", path=journald.stream)
    try:
        os.write(descriptor, b"plain\n<3>with its priority\n")
        plain, marked = journald.wait_for_entries("web", 2)
    finally:
        os.close(descriptor)
    assert (plain["MESSAGE"], plain["PRIORITY"]) == ("plain", "4")
    assert (marked["MESSAGE"], marked["PRIORITY"]) == ("with its priority", "3")
