"""What daemon, guard and launcher tell each other: messages in a stream of bytes, cut anywhere."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from numen import errors
from numen.become import report

LETTERS = st.sampled_from(report.BORN + report.EXECUTING + report.READY + report.FAILED + report.ENDED)
FIELDS = st.lists(st.binary(max_size=50).filter(lambda field: b"\0" not in field).map(os.fsdecode), max_size=4)
MESSAGES = st.lists(st.tuples(LETTERS, FIELDS), max_size=6)


@contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    try:
        yield reader, writer
    finally:
        os.close(reader)
        os.close(writer)


def sent(messages: list[tuple[str, list[str]]]) -> bytes:
    """The bytes in which these messages are sent."""
    with pipe() as (reader, writer):
        for letter, fields in messages:
            report.send(writer, letter, *fields)
        os.set_blocking(reader, False)
        try:
            return os.read(reader, 1 << 20)
        except BlockingIOError:
            return b""


def received(chunks: list[bytes]) -> list[tuple[str, list[str]]]:
    """The messages in these bytes, when they come in these chunks."""
    found = []
    with pipe() as (reader, writer):
        inbox = report.Inbox(reader)
        for chunk in chunks:
            os.write(writer, chunk)
            found += list(inbox.read())
        assert not inbox.at_end
    return found


@given(MESSAGES, st.data())
def test_a_stream_that_is_cut_anywhere_gives_the_same_messages(
    messages: list[tuple[str, list[str]]], data: st.DataObject
) -> None:
    stream = sent(messages)
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=8).map(sorted))
    chunks = [stream[one:other] for one, other in zip([0, *cuts], [*cuts, len(stream)], strict=True)]

    # A message without fields reads as one with an empty field: nobody has to tell them apart.
    assert received([chunk for chunk in chunks if chunk]) == [(letter, fields or [""]) for letter, fields in messages]


def test_an_empty_status_is_still_a_status() -> None:
    pipes = report.Pipes()
    try:
        pipes.reporter().ready("")

        assert list(report.Inbox(pipes.report_reader).read()) == [(report.READY, [""])]
    finally:
        pipes.close()


def test_a_field_cannot_be_mistaken_for_two() -> None:
    assert received([sent([(report.READY, ["one\0two", "three"])])]) == [(report.READY, ["one two", "three"])]


def test_a_field_that_is_too_long_for_a_pipe_is_cut() -> None:
    ((_, (text,)),) = received([sent([(report.READY, ["x" * 100_000])])])

    assert text == "x" * report.MESSAGE_LIMIT


def test_the_end_of_the_stream_is_told_after_the_last_message() -> None:
    reader, writer = os.pipe()
    try:
        report.send(writer, report.ENDED, "0")
        os.close(writer)
        inbox = report.Inbox(reader)

        assert inbox.has_more()
        assert list(inbox.read()) == [(report.ENDED, ["0"])]
        assert (inbox.at_end, inbox.has_more()) == (False, False)
        assert list(inbox.read()) == []
        assert inbox.at_end
    finally:
        os.close(reader)


def test_nobody_is_told_when_nobody_reads() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        report.send(writer, report.ENDED, "0")
    finally:
        os.close(writer)


@pytest.mark.parametrize("kind", [errors.BadOption, errors.NotExecutable, errors.CommandNotFound, errors.Unusable])
def test_an_error_of_ours_arrives_as_what_it_was(kind: type[errors.DaemonError]) -> None:
    rebuilt = failure(kind("cannot do it"))

    assert type(rebuilt) is kind
    assert str(rebuilt) == "cannot do it"


def test_any_other_error_arrives_with_its_message_and_exit_status() -> None:
    rebuilt = failure(ValueError("odd"))

    assert type(rebuilt) is report.StartFailed
    assert (str(rebuilt), rebuilt.exit_status) == ("odd", 1)


def test_an_error_of_the_system_arrives_with_its_cause() -> None:
    rebuilt = failure(PermissionError(13, "Permission denied"))

    assert type(rebuilt) is errors.NoPermission
    assert str(rebuilt) == "cannot start: Permission denied"


def failure(error: BaseException) -> errors.DaemonError:
    pipes = report.Pipes()
    try:
        pipes.reporter().failed(error)
        ((letter, fields),) = report.Inbox(pipes.report_reader).read()
        assert letter == report.FAILED
        return report.rebuild_failure(fields)
    finally:
        pipes.close()


def test_the_pipes_stand_above_the_standard_streams_and_are_closed_by_an_exec() -> None:
    pipes = report.Pipes()
    try:
        ends = list(vars(pipes).values())

        assert len(set(ends)) == 6
        assert all(end > 2 and fcntl.fcntl(end, fcntl.F_GETFD) & fcntl.FD_CLOEXEC for end in ends)
    finally:
        pipes.close()


def test_the_writing_end_makes_room_for_a_descriptor_that_the_daemon_needs() -> None:
    with pipe() as (reader, writer):
        given_number = os.dup(writer)
        reporter = report.Reporter(given_number)

        reporter.move_away_from(given_number)

        assert reporter.descriptor != given_number
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(given_number)
        reporter.born(7)
        assert list(report.Inbox(reader).read()) == [(report.BORN, ["7"])]
        reporter.close()
