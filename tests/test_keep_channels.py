"""What a daemon is connected to: opened, found again by the next supervisor, and made anew where a name is gone."""

import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

import observe
from numen.keep.channels import Channels, key
from numen.keep.definitions.definition import Definition
from numen.keep.life import ProcessId
from processes import Reaper, wait_for

DEADLINE = 30.0

SPLIT = Definition(command=("/bin/true",), log_separate_stderr=True)
JOINED = Definition(command=("/bin/true",))
NOTIFY = Definition(command=("/bin/true",), ready="notify")
BY_FD = Definition(command=("/bin/true",), ready="fd:3")

INVOCATION = "0123456789abcdef" * 2


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[list[Channels]]:
    """Channels that are closed with the test."""
    made: list[Channels] = []
    yield made
    for channels in made:
        channels.close_readiness()
        for descriptor in channels.descriptors():
            os.close(descriptor)


@pytest.fixture
def channels(tmp_path: Path, opened: list[Channels]) -> Channels:
    return another(tmp_path, opened)


def another(directory: Path, opened: list[Channels]) -> Channels:
    """As an other supervisor has them."""
    found = Channels(str(directory / "streams"), "web")
    opened.append(found)
    return found


def held(*descriptors: int) -> dict[tuple[int, int], int]:
    """What a keeper holds: descriptors of its own of the same."""
    copies = [os.dup(one) for one in descriptors]
    return {key(os.fstat(one)): one for one in copies}


def writer(reaper: Reaper, out: str) -> ProcessId:
    """A process that has a FIFO as its output."""
    process = reaper.start(["sh", "-c", f"exec sleep 1000 1<>{out}"])
    wait_for(lambda: observe.look(process.pid).comm == "sleep", DEADLINE, "a writer")
    return ProcessId(pid=process.pid, start_time=observe.start_time(process.pid))


def test_fifos_are_made_where_their_directory_is_missing_and_nobody_else_may_open_them(
    channels: Channels, tmp_path: Path
) -> None:
    channels.open_output(SPLIT, {})

    for name in ("web.out", "web.err"):
        found = (tmp_path / "streams" / name).stat()
        assert stat.S_ISFIFO(found.st_mode)
        assert stat.S_IMODE(found.st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "streams").stat().st_mode) == 0o700
    assert not any(os.get_inheritable(one) or os.get_blocking(one) for one in channels.descriptors())
    assert channels.streams(SPLIT).err == str(tmp_path / "streams" / "web.err")
    assert channels.streams(JOINED).err is None


def test_what_stands_in_a_fifo_is_found_by_the_next_supervisor_in_what_the_keeper_held(
    channels: Channels, tmp_path: Path, opened: list[Channels]
) -> None:
    channels.open_output(JOINED, {})
    os.write(channels.out, b"last words")
    kept = held(channels.out)
    os.close(channels.out)
    channels.out = -1

    next_one = another(tmp_path, opened)
    next_one.open_output(JOINED, kept)

    assert kept == {}
    assert os.read(next_one.out, 100) == b"last words"


def test_one_that_has_lost_its_name_is_found_by_its_writer(
    channels: Channels, tmp_path: Path, opened: list[Channels], reaper: Reaper
) -> None:
    channels.open_output(JOINED, {})
    process = writer(reaper, channels.streams(JOINED).out)
    os.unlink(channels.streams(JOINED).out)

    for kept in ({}, held(channels.out)):
        next_one = another(tmp_path, opened)
        next_one.open_output(JOINED, kept, process)
        assert os.path.samestat(os.fstat(next_one.out), os.fstat(channels.out))
        assert kept == {}
        assert not next_one.fit(JOINED)


def test_a_writer_that_writes_elsewhere_is_not_followed_there(
    channels: Channels, tmp_path: Path, reaper: Reaper
) -> None:
    elsewhere = tmp_path / "elsewhere"
    os.mkfifo(elsewhere)
    process = writer(reaper, str(elsewhere))

    channels.open_output(JOINED, {}, process)

    assert os.path.samestat(os.fstat(channels.out), (tmp_path / "streams" / "web.out").stat())


def test_what_is_open_fits_while_names_and_wishes_are_the_same(channels: Channels, tmp_path: Path) -> None:
    channels.open_output(JOINED, {})
    path = tmp_path / "streams" / "web.out"

    assert channels.fit(JOINED)
    assert not channels.fit(SPLIT)
    path.unlink()
    assert not channels.fit(JOINED)
    os.mkfifo(path)
    assert not channels.fit(JOINED)


def test_something_else_under_the_name_is_left_alone(channels: Channels, tmp_path: Path) -> None:
    (tmp_path / "streams").mkdir()
    path = tmp_path / "streams" / "web.out"
    path.write_text("a file")

    with pytest.raises(FileExistsError, match=r"there is something else.*web\.out"):
        channels.open_output(JOINED, {})
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match=r"web\.out"):
        channels.open_output(JOINED, {})
    assert not (tmp_path / "elsewhere").exists()


def test_where_the_second_fifo_cannot_be_opened_the_first_is_closed(channels: Channels, tmp_path: Path) -> None:
    (tmp_path / "streams" / "web.err").mkdir(parents=True)
    before = os.listdir("/proc/self/fd")

    with pytest.raises(FileExistsError):
        channels.open_output(SPLIT, {})

    assert channels.descriptors() == []
    assert os.listdir("/proc/self/fd") == before


def test_a_newline_on_the_descriptor_is_seen_and_stays_until_it_is_taken_out(channels: Channels) -> None:
    channels.open_readiness(BY_FD, INVOCATION, {})

    assert channels.said() == b""
    os.write(channels.ready, b"not yet")
    assert channels.said() == b"not yet"
    os.write(channels.ready, b"\n")
    assert channels.said() == channels.said() == b"not yet\n"
    assert channels.forget_readiness(3) == b"not"
    assert channels.said() == b" yet\n"
    channels.forget_readiness()
    assert channels.said() == b""
    assert channels.forget_readiness() == b""


def test_a_notification_socket_is_one_runs_own_and_is_found_among_what_was_held(
    channels: Channels, tmp_path: Path, opened: list[Channels]
) -> None:
    channels.open_readiness(NOTIFY, INVOCATION, {})
    assert channels.listener is not None
    address = channels.streams(NOTIFY).notify
    assert address == f"@numen/notify/{INVOCATION}"
    kept = held(channels.listener.fileno())
    channels.close_readiness()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"READY=1", address.replace("@", "\0", 1))

    next_one = another(tmp_path, opened)
    next_one.open_readiness(NOTIFY, INVOCATION, kept)

    assert kept == {}
    assert next_one.listener is not None
    heard = next_one.listener.receive()
    assert heard is not None
    assert heard.assignments == {"READY": "1"}
    heard.close()


def test_a_run_that_says_nothing_of_its_readiness_has_no_channel_for_it(channels: Channels) -> None:
    channels.open_readiness(NOTIFY, INVOCATION, {})
    channels.open_readiness(JOINED, INVOCATION, {})

    assert channels.descriptors() == []
