"""The connection to the log: found, full, gone, and never mistaken for another file."""

import errno
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import pytest

from log_receivers import Receiver, StreamReceiver
from numen.become.syslog import journal
from numen.become.syslog.sockets import LogSocket, connect


@contextmanager
def connected(kind: Literal["journal", "syslog"], path: Path) -> Iterator[LogSocket]:
    found = connect(kind, str(path))
    assert found is not None
    try:
        yield found
    finally:
        found.close()


def test_datagrams_are_taken_where_they_can_be(tmp_path: Path) -> None:
    with Receiver(tmp_path / "log") as receiver, connected("syslog", receiver.path) as found:
        assert (found.kind, found.is_stream) == ("syslog", False)
        assert found.transmit(b"message") == len(b"message")
        assert receiver.receive() == b"message"
        assert not os.get_inheritable(found.fileno())


def test_a_stream_is_taken_where_there_is_nothing_else(tmp_path: Path) -> None:
    with StreamReceiver(tmp_path / "log") as receiver, connected("syslog", receiver.path) as found:
        assert found.is_stream
        receiver.accept()
        assert found.transmit(b"message\0") == len(b"message\0")
        assert receiver.receive() == b"message"


def test_the_journal_speaks_datagrams_alone(tmp_path: Path) -> None:
    with StreamReceiver(tmp_path / "log") as receiver:
        assert connect("journal", str(receiver.path)) is None


def test_where_nobody_listens_there_is_no_connection(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    receiver = Receiver(tmp_path / "closed")
    receiver.path.rename(tmp_path / "stale")
    receiver.close()
    for name in ("missing", "file", "stale"):
        assert connect("syslog", str(tmp_path / name)) is None


def test_without_a_free_descriptor_there_is_no_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> socket.socket:
        raise OSError(errno.EMFILE, "Too many open files")

    with Receiver(tmp_path / "log") as receiver:
        monkeypatch.setattr(socket, "socket", refuse)
        assert connect("syslog", str(receiver.path)) is None
        monkeypatch.undo()


@pytest.mark.parametrize("is_stream", [False, True])
def test_a_full_log_takes_nothing_and_does_not_block(tmp_path: Path, is_stream: bool) -> None:
    receiver = (StreamReceiver if is_stream else Receiver)(tmp_path / "log")
    with receiver, connected("syslog", receiver.path) as found:
        while found.transmit(b"x" * 1000):
            pass
        assert found.transmit(b"x") == 0
        began = time.monotonic()
        found.wait_until_writable(0.1)
        assert time.monotonic() - began >= 0.1
        assert found.transmit(b"x") == 0


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM, errno.ETOOMANYREFS])
def test_a_kernel_without_room_is_a_log_that_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    with Receiver(tmp_path / "log") as receiver, connected("journal", receiver.path) as found:
        monkeypatch.setattr(socket.socket, "send", refuse)
        assert found.transmit(b"x") == 0
        monkeypatch.undo()
        monkeypatch.setattr(socket.socket, "sendmsg", refuse)
        assert found.transmit(b"x" * 10_000_000) == 0


def test_waiting_ends_as_soon_as_the_log_takes_more_or_is_gone(tmp_path: Path) -> None:
    receiver = Receiver(tmp_path / "log")
    with connected("syslog", receiver.path) as found:
        while found.transmit(b"x" * 1000):
            pass
        receiver.receive_all()
        found.wait_until_writable(3600)
        while found.transmit(b"x" * 1000):
            pass
        receiver.close()
        found.wait_until_writable(3600)
        with pytest.raises(OSError, match="refused"):
            found.transmit(b"x")


def test_a_piece_that_never_fits_is_told_apart_from_a_log_that_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_content: bytes) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    huge = b"x" * 10_000_000
    with Receiver(tmp_path / "log") as receiver:
        with (
            connected("syslog", receiver.path) as found,
            pytest.raises(OSError, match="too long") as raised,
        ):
            found.transmit(huge)
        assert raised.value.errno == errno.EMSGSIZE
        monkeypatch.setattr(journal, "open_as_file", refuse)
        with (
            connected("journal", receiver.path) as found,
            pytest.raises(OSError, match="fits neither") as raised,
        ):
            found.transmit(huge)
        assert raised.value.errno == errno.EMSGSIZE


def test_the_files_of_large_entries_are_not_left_open_when_the_log_is_full(tmp_path: Path) -> None:
    with Receiver(tmp_path / "log") as receiver, connected("journal", receiver.path) as found:
        while found.transmit(b"x"):
            pass
        before = os.listdir("/proc/self/fd")
        assert found.transmit(b"x" * 10_000_000) == 0
        assert os.listdir("/proc/self/fd") == before


@pytest.mark.parametrize("is_reused", [False, True])
def test_a_number_that_somebody_closed_is_not_ours_any_more(tmp_path: Path, is_reused: bool) -> None:
    with Receiver(tmp_path / "log") as receiver, connected("syslog", receiver.path) as found:
        number = found.fileno()
        assert found.is_ours()
        os.close(number)
        foreign = os.open("/dev/null", os.O_WRONLY) if is_reused else None
        try:
            assert foreign in (number, None)
            assert not found.is_ours()
            assert found.fileno() == -1
            found.wait_until_writable(3600)
            found.close()
            if foreign is not None:
                os.fstat(foreign)
        finally:
            if foreign is not None:
                os.close(foreign)


def test_a_log_never_gets_the_number_of_a_standard_stream(tmp_path: Path) -> None:
    snippet = """
import os, sys
from numen.become.syslog.files import LogFile
from numen.become.syslog.sockets import connect
os.closerange(0, 3)
held = [connect("syslog", sys.argv[1]), LogFile(sys.argv[2])]
fine = all(one.fileno() > 2 and not os.get_inheritable(one.fileno()) for one in held)
taken = held[0].transmit(b"message")
os._exit(0 if fine and taken == 7 else 1)
"""
    with Receiver(tmp_path / "log") as receiver:
        argv = [sys.executable, "-c", snippet, str(receiver.path), str(tmp_path / "file")]
        assert subprocess.run(argv, check=False, timeout=60).returncode == 0
        assert receiver.receive() == b"message"
