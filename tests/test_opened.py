"""What is read of the descriptors that a process has open."""

import ctypes
import fcntl
import os
import pty
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import observe
import recorded_proc
from numen.kernel import opened
from processes import Reaper, wait_for


@pytest.fixture
def at_end() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def kept(stack: ExitStack, *descriptors: int) -> int:
    """The first of them; the stack closes them all."""
    for descriptor in descriptors:
        stack.callback(os.close, descriptor)
    return descriptors[0]


def own(number: int) -> opened.Descriptor:
    """A descriptor of this process, as it is read from outside."""
    found = opened.descriptors(os.getpid())
    assert found is not None
    return found[number]


def test_the_descriptors_of_a_process_are_the_ones_that_the_kernel_tells(reaper: Reaper, tmp_path: Path) -> None:
    with (tmp_path / "log").open("a") as log:
        child = reaper.start(["sleep", "1000"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log)
    wait_for(lambda: set(observe.look(child.pid).descriptors) == {0, 1, 2}, 30, "the end of the loader's work")
    seen = observe.look(child.pid).descriptors

    found = opened.descriptors(child.pid)

    assert found is not None
    assert {number: (one.target, one.flags, one.position) for number, one in found.items()} == {
        number: (one.target, one.flags, one.position) for number, one in seen.items()
    }
    assert [one.number for one in found.values()] == list(found)
    assert (found[0].is_null, found[1].is_pipe, found[2].is_file) == (True, True, True)
    assert found[2].flags & os.O_APPEND
    assert opened.targets(child.pid) == {number: one.target for number, one in seen.items()}


def test_a_file_is_told_with_its_size_owner_and_place(tmp_path: Path, at_end: ExitStack) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 100)
    path.chmod(0o640)
    number = kept(at_end, os.open(path, os.O_RDWR))
    os.lseek(number, 42, os.SEEK_SET)

    found = own(number)

    expected = path.stat()
    assert (found.target, found.path, found.position, found.size) == (str(path), str(path), 42, 100)
    assert (found.device, found.inode, found.mode) == (expected.st_dev, expected.st_ino, expected.st_mode)
    assert (found.uid, found.links) == (os.geteuid(), 1)
    assert found.is_file
    assert found.is_open_for_reading
    assert found.is_open_for_writing
    others = (found.is_inheritable, found.is_deleted, found.is_terminal, found.is_null, found.is_pipe)
    assert not any(others)


def test_a_deleted_file_keeps_its_path(tmp_path: Path, at_end: ExitStack) -> None:
    path = tmp_path / "file"
    number = kept(at_end, os.open(path, os.O_WRONLY | os.O_CREAT))
    path.unlink()

    found = own(number)

    assert found.target == f"{path} (deleted)"
    assert (found.is_deleted, found.path, found.links) == (True, str(path), 0)


def test_a_file_that_has_lost_the_name_it_was_opened_by_is_deleted(tmp_path: Path, at_end: ExitStack) -> None:
    path = tmp_path / "file"
    number = kept(at_end, os.open(path, os.O_WRONLY | os.O_CREAT))
    os.link(path, tmp_path / "other")
    path.unlink()

    found = own(number)

    assert (found.is_deleted, found.path, found.links) == (True, str(path), 1)


def test_a_file_whose_name_ends_like_a_deleted_one_has_its_own_path(tmp_path: Path, at_end: ExitStack) -> None:
    path = tmp_path / "file (deleted)"
    number = kept(at_end, os.open(path, os.O_WRONLY | os.O_CREAT))

    assert (own(number).path, own(number).is_deleted) == (str(path), False)


def test_the_ends_of_a_pipe_are_told_apart(at_end: ExitStack) -> None:
    reading, writing = os.pipe()
    kept(at_end, reading, writing)

    ends = own(reading), own(writing)

    assert [one.is_pipe for one in ends] == [True, True]
    assert ends[0].inode == ends[1].inode
    assert [one.is_open_for_reading for one in ends] == [True, False]
    assert [one.is_open_for_writing for one in ends] == [False, True]
    assert not ends[0].is_inheritable
    os.set_inheritable(reading, True)
    assert own(reading).is_inheritable


def test_a_descriptor_of_a_mere_path_can_be_neither_read_nor_written(at_end: ExitStack) -> None:
    found = own(kept(at_end, os.open("/", os.O_PATH)))

    assert not found.is_open_for_reading
    assert not found.is_open_for_writing


def test_a_terminal_is_one_and_its_master_is_not(at_end: ExitStack) -> None:
    master, slave = pty.openpty()
    kept(at_end, master, slave)

    assert own(slave).is_terminal
    assert not own(master).is_terminal


def test_a_socket_is_told_by_its_inode() -> None:
    with socket.socket(socket.AF_UNIX) as one:
        found = own(one.fileno())

        assert found.is_socket
        assert found.inode == os.fstat(one.fileno()).st_ino


def test_null_is_told_by_its_device_and_not_by_its_name(tmp_path: Path, at_end: ExitStack) -> None:
    assert own(kept(at_end, os.open(os.devnull, os.O_RDWR))).is_null
    assert not own(kept(at_end, os.open("/dev/zero", os.O_RDWR))).is_null
    assert not own(kept(at_end, os.open(tmp_path / "null", os.O_RDWR | os.O_CREAT))).is_null


def test_a_lock_names_its_kind_and_who_took_it(tmp_path: Path) -> None:
    with (tmp_path / "lock").open("w") as file:
        assert own(file.fileno()).locks == ()
        fcntl.flock(file, fcntl.LOCK_EX)
        fcntl.lockf(file, fcntl.LOCK_EX)

        locks = own(file.fileno()).locks

    assert {(lock.kind, lock.pid) for lock in locks} == {("FLOCK", os.getpid()), ("POSIX", os.getpid())}


def test_an_inherited_lock_names_who_took_it(tmp_path: Path, reaper: Reaper) -> None:
    with (tmp_path / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        number = file.fileno()
        child = reaper.start(["sleep", "1000"], pass_fds=[number])
        found = opened.descriptors(child.pid)

    assert found is not None
    assert found[number].locks == (opened.Lock(kind="FLOCK", pid=os.getpid()),)


def test_a_signalfd_tells_which_signals_it_takes(at_end: ExitStack) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    mask = ctypes.create_string_buffer(128)
    libc.sigemptyset(mask)
    for number in (signal.SIGUSR1, signal.SIGCHLD):
        libc.sigaddset(mask, number)
    descriptor = kept(at_end, libc.signalfd(-1, mask, os.O_CLOEXEC))

    found = own(descriptor)

    assert found.signals == {signal.SIGUSR1, signal.SIGCHLD}
    assert found.target == "anon_inode:[signalfd]"


def test_a_temporary_file_without_a_name_is_deleted() -> None:
    with tempfile.TemporaryFile() as file:
        assert own(file.fileno()).is_deleted


def test_a_process_that_is_gone_has_none() -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()

    assert opened.descriptors(gone.pid) is None
    assert opened.targets(gone.pid) == {}


@pytest.mark.needs_user
def test_the_descriptors_of_another_user_cannot_be_seen() -> None:
    assert opened.descriptors(1) is None
    assert opened.targets(1) == {}


def test_descriptors_that_come_and_go_are_no_error(reaper: Reaper) -> None:
    script = "import os\nos.write(1, b'!')\nwhile True:\n for n in [os.dup(1) for _ in range(50)]: os.close(n)"
    busy = reaper.start([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert busy.stdout is not None
    assert busy.stdout.read(1) == "!"

    for _ in range(50):
        found = opened.descriptors(busy.pid)
        assert found is not None
        assert {0, 1, 2} <= set(found)


# What kernels write, and what they do not


def test_the_recorded_texts_are_understood() -> None:
    file = opened.parse_fdinfo(recorded_proc.FDINFO_OF_FILE)
    taken = opened.parse_fdinfo(recorded_proc.FDINFO_OF_SIGNALFD)
    old = opened.parse_fdinfo(recorded_proc.FDINFO_2_6)

    assert (file.position, file.flags & os.O_CLOEXEC, file.flags & os.O_ACCMODE) == (4096, os.O_CLOEXEC, os.O_WRONLY)
    assert [(lock.kind, lock.pid) for lock in file.locks] == [("FLOCK", 574), ("POSIX", 575), ("OFDLCK", -1)]
    assert taken.signals == {signal.SIGTERM, signal.SIGCHLD}
    assert (old.flags & os.O_ACCMODE, old.locks, old.signals) == (os.O_RDWR, (), frozenset())
    assert opened.parse_fdinfo(recorded_proc.FDINFO_OF_EPOLL).flags == os.O_RDWR


@pytest.mark.fuzz
@given(st.binary() | recorded_proc.mutations("fdinfo"))
def test_any_bytes_are_fdinfo(text: bytes) -> None:
    assert isinstance(opened.parse_fdinfo(text), opened.Fdinfo)
