"""The last lines that passed the forwarder: the newest ones, and without waiting for silence."""

import os
import threading
import time
from collections.abc import Iterator

import pytest

from numen.become.tail import BYTES, PIPE_PATIENCE, PipeTail


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    os.close(reader)
    os.close(writer)


def test_a_pipe_that_is_drained_has_the_newest_lines(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    os.set_blocking(writer, False)
    tail = PipeTail(reader)
    assert tail.fileno() == reader

    for number in range(100):
        # Not drained, the pipe would be full long before the last one.
        os.write(writer, b"x" * BYTES + b"\nline %d\n" % number)
        assert tail.drain()

    assert tail.last_lines(0)[-1] == "line 99"


def test_a_pipe_that_is_empty_is_not_waited_for_when_it_is_drained(pipe: tuple[int, int]) -> None:
    assert PipeTail(pipe[0]).drain()


def test_who_drains_is_told_of_the_end() -> None:
    reader, writer = os.pipe()
    os.write(writer, b"words\n")
    os.close(writer)
    tail = PipeTail(reader)

    assert [tail.drain(), tail.drain()] == [True, False]
    assert tail.last_lines(0) == ("words",)
    os.close(reader)


def test_one_that_never_falls_silent_is_listened_to_for_a_limited_time(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    os.set_blocking(writer, False)
    heard = threading.Event()

    def chatter() -> None:
        while not heard.wait(0.001):
            try:
                os.write(writer, b"chatter\n" * 1000)
            except BlockingIOError:
                continue

    chatterer = threading.Thread(target=chatter)
    chatterer.start()
    before = time.monotonic()
    try:
        lines = PipeTail(reader).last_lines(0)
    finally:
        took = time.monotonic() - before
        heard.set()
        chatterer.join()

    assert lines[-2:] == ("chatter", "chatter")
    assert took < PIPE_PATIENCE + 5


def test_a_descriptor_above_1023_is_listened_to_as_well() -> None:
    import fcntl
    import resource

    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < 1100:
        pytest.skip("so many descriptors are not allowed here")
    low, writer = os.pipe()
    reader = fcntl.fcntl(low, fcntl.F_DUPFD_CLOEXEC, 1050)
    os.close(low)
    os.write(writer, b"words\n")
    os.close(writer)

    assert PipeTail(reader).last_lines(0) == ("words",)
    os.close(reader)
