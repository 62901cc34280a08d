"""The supervisor's own log: a line at a time, and never waited for."""

import os
from collections.abc import Callable, Iterator

import pytest

from numen.keep.own_log import MOST_TOLD, OwnLog


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    yield reader, writer
    os.close(reader)
    os.close(writer)


def fill(writer: int) -> None:
    for size in (4096, 1):
        try:
            while True:
                os.write(writer, b"x" * size)
        except BlockingIOError:
            pass


def empty(reader: int) -> bytes:
    found = b""
    try:
        while chunk := os.read(reader, 65536):
            found += chunk
    except BlockingIOError:
        pass
    return found


def test_what_has_no_room_is_written_in_order_when_there_is_some(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    log, put_off = OwnLog(writer), list[Callable[[], None]]()
    fill(writer)
    log.tell("first")
    log.write(lambda _seconds, again: put_off.append(again))
    log.tell("second")
    empty(reader)
    put_off.pop()()

    assert empty(reader) == b"first\nsecond\n"
    assert not put_off


def test_turns_without_room_put_off_one_writing_and_not_one_each(pipe: tuple[int, int]) -> None:
    _, writer = pipe
    log, put_off = OwnLog(writer), list[Callable[[], None]]()
    fill(writer)
    for number in range(100):
        log.tell(str(number))
        log.write(lambda _seconds, again: put_off.append(again))
    assert len(put_off) == 1

    put_off.pop()()
    assert len(put_off) == 1


def test_of_what_waits_too_long_the_oldest_is_dropped(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    log = OwnLog(writer)
    for number in range(MOST_TOLD + 1):
        log.tell(str(number))
    log.write(lambda _seconds, _again: None)

    assert empty(reader).startswith(b"1\n2\n")
