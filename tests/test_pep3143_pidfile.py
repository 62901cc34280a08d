"""The pidfile as a lock: who has it, what becomes of one whose process has ended, and what is refused."""

import errno
import fcntl
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from numen.become.identity import look_up
from numen.pep3143.locked_file import LockedFile
from numen.pep3143.pidfile import (
    AlreadyLocked,
    LockFailed,
    LockTimeout,
    NotLocked,
    NotMyLock,
    PIDLockFile,
    TimeoutPIDLockFile,
    remove_existing_pidfile,
    write_pid_to_pidfile,
)
from numen.pep3143.runner import DaemonRunner, DaemonRunnerStopFailureError, make_pidlockfile
from processes import Reaper, unprivileged


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "web.pid"


@pytest.fixture
def another(reaper: Reaper) -> int:
    """The pid of another process that lives."""
    return reaper.start(["sleep", "60"]).pid


def a_dead_pid() -> int:
    with subprocess.Popen(["true"]) as process:
        pass
    return process.pid


def test_a_lock_names_its_process_and_is_gone_when_it_is_released(path: Path) -> None:
    lock = TimeoutPIDLockFile(path)

    with lock as entered:
        assert entered is lock
        assert path.read_text() == f"{os.getpid()}\n"
        assert (lock.is_locked(), lock.i_am_locking(), lock.read_pid()) == (True, True, os.getpid())

    assert not path.exists()
    assert (lock.is_locked(), lock.i_am_locking(), lock.read_pid()) == (False, False, None)


@pytest.mark.parametrize("umask", [0, 0o022, 0o077, 0o177])
def test_the_mode_of_the_file_is_the_same_under_every_umask(path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        with PIDLockFile(path):
            assert stat.S_IMODE(path.stat().st_mode) == 0o644
    finally:
        os.umask(before)


@pytest.mark.parametrize("timeout", [None, 0, -1])
def test_without_a_time_to_wait_a_lock_that_another_has_is_refused_at_once(
    path: Path, another: int, timeout: float | None
) -> None:
    path.write_text(f"{another}\n")
    lock = TimeoutPIDLockFile(path, acquire_timeout=timeout)

    with pytest.raises(AlreadyLocked, match=str(another)):
        lock.acquire()
    with pytest.raises(AlreadyLocked):
        PIDLockFile(path, timeout=timeout).acquire()
    assert path.read_text() == f"{another}\n"


def test_the_wait_ends_at_the_timeout_that_is_nearest_to_the_call(path: Path, another: int) -> None:
    path.write_text(f"{another}\n")

    for lock, timeout in (
        (TimeoutPIDLockFile(path, acquire_timeout=3600), 0.05),
        (TimeoutPIDLockFile(path, acquire_timeout=0.05, timeout=3600), None),
        (TimeoutPIDLockFile(path, None, False, 0.05), None),
        (PIDLockFile(path, timeout=0.05), None),
    ):
        before = time.monotonic()
        with pytest.raises(LockTimeout):
            lock.acquire(timeout)
        assert time.monotonic() - before >= 0.05


def test_who_waits_has_the_lock_when_the_other_lets_it_go(path: Path) -> None:
    first, second = PIDLockFile(path), TimeoutPIDLockFile(path, acquire_timeout=60)
    first.acquire()
    waiting = threading.Thread(target=second.acquire)
    waiting.start()

    first.release()
    waiting.join(60)

    assert second.i_am_locking()
    second.release()


@pytest.mark.parametrize("text", ["", "\n", "\0\0\0\0\0", "garbage", "dead", "reused"])
def test_a_file_whose_process_has_ended_or_that_names_none_is_taken_over(path: Path, another: int, text: str) -> None:
    path.write_text({"dead": f"{a_dead_pid()}\n", "reused": f"{another}\n"}.get(text, text))
    if text == "reused":
        # Written long before the process of that number started.
        os.utime(path, (1_000_000_000, 1_000_000_000))
    lock = TimeoutPIDLockFile(path)
    assert not lock.is_locked()

    with lock:
        assert path.read_text() == f"{os.getpid()}\n"


def test_a_lock_is_not_had_twice_by_one_process_either(path: Path) -> None:
    with PIDLockFile(path) as lock:
        with pytest.raises(AlreadyLocked):
            lock.acquire()
        with pytest.raises(AlreadyLocked):
            PIDLockFile(path).acquire()
        assert lock.i_am_locking()


def test_only_who_has_the_lock_may_release_it(path: Path, another: int) -> None:
    lock = PIDLockFile(path)
    with pytest.raises(NotLocked):
        lock.release()

    path.write_text(f"{another}\n")
    with pytest.raises(NotMyLock, match=str(another)):
        lock.release()
    assert path.exists()


def test_anybody_may_break_a_lock_and_one_that_is_not_there(path: Path, another: int) -> None:
    path.write_text(f"{another}\n")

    PIDLockFile(path).break_lock()
    PIDLockFile(path).break_lock()

    assert not path.exists()


def test_a_lock_that_was_broken_and_taken_by_another_is_left_to_that(path: Path, another: int) -> None:
    lock = PIDLockFile(path)
    lock.acquire()
    path.unlink()
    path.write_text(f"{another}\n")

    with pytest.raises(NotMyLock):
        lock.release()
    lock.break_lock()

    assert path.read_text() == f"{another}\n"


def test_a_forked_child_does_not_have_its_parents_lock(path: Path) -> None:
    lock = PIDLockFile(path)
    lock.acquire()
    child = os.fork()
    if child == 0:
        try:
            lock.release()
        except NotMyLock:
            os._exit(7)
        os._exit(0)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert lock.i_am_locking()
    lock.release()


def test_a_child_that_is_left_over_does_not_keep_the_lock(path: Path, reaper: Reaper) -> None:
    program = (
        "import os, signal, sys\n"
        "from numen.pep3143.pidfile import PIDLockFile\n"
        "PIDLockFile(sys.argv[1]).acquire()\n"
        "if os.fork():\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "print(os.getpid(), flush=True)\n"
        "signal.pause()\n"
    )
    process = reaper.start([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    reaper.track(int(process.stdout.readline()))
    assert process.wait(60) == -signal.SIGKILL

    with PIDLockFile(path) as lock:
        assert lock.i_am_locking()


def test_of_many_who_start_at_once_one_has_the_lock(path: Path) -> None:
    path.write_text(f"{a_dead_pid()}\n")
    program = (
        "import sys\n"
        "from numen.pep3143.pidfile import AlreadyLocked, PIDLockFile\n"
        "sys.stdin.readline()\n"
        "try:\n"
        "    PIDLockFile(sys.argv[1]).acquire()\n"
        "except AlreadyLocked:\n"
        "    print('refused', flush=True)\n"
        "else:\n"
        "    print('had', flush=True)\n"
        "sys.stdin.read()\n"
    )
    starters = [
        subprocess.Popen(
            [sys.executable, "-c", program, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(20)
    ]
    answers = []
    for starter in starters:
        assert starter.stdin is not None
        starter.stdin.write("go\n")
        starter.stdin.flush()
    for starter in starters:
        assert starter.stdout is not None
        answers.append(starter.stdout.readline().strip())
    for starter in starters:
        starter.communicate(timeout=60)

    assert sorted(answers) == ["had"] + ["refused"] * 19


def test_a_lock_that_is_held_is_held_whatever_the_clock_says(path: Path) -> None:
    with PIDLockFile(path) as lock:
        # As if the clock had been set forward by decades since.
        os.utime(path, (1_000_000_000, 1_000_000_000))

        assert (lock.is_locked(), lock.i_am_locking()) == (True, True)
        with pytest.raises(AlreadyLocked):
            PIDLockFile(path).acquire()


def test_stop_leaves_a_lock_that_is_held_by_a_process_which_cannot_be_told(path: Path) -> None:
    runner = DaemonRunner.__new__(DaemonRunner)
    runner.pidfile = make_pidlockfile(str(path), None)
    with PIDLockFile(path):
        os.utime(path, (1_000_000_000, 1_000_000_000))

        with pytest.raises(DaemonRunnerStopFailureError, match="locked"):
            runner._terminate_daemon_process()

        assert path.exists()


@pytest.mark.parametrize("is_removed", [True, False])
def test_a_descriptor_that_the_program_has_closed_is_not_touched(path: Path, tmp_path: Path, is_removed: bool) -> None:
    locked = LockedFile.take(str(path))
    assert locked is not None
    number = locked.descriptor
    other = tmp_path / "other"
    other.write_text("precious")
    os.close(number)
    reused = os.open(other, os.O_RDWR)
    os.dup2(reused, number)
    if reused != number:
        os.close(reused)

    locked.remove() if is_removed else locked.release()

    assert other.read_text() == "precious"
    os.close(number)  # still open


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_where_there_are_no_locks_that_is_said_and_nothing_stays_open(
    path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def fail(_descriptor: int, _operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", fail)
    before = os.listdir("/proc/self/fd")

    with pytest.raises(LockFailed, match="cannot lock"):
        PIDLockFile(path).acquire()

    assert os.listdir("/proc/self/fd") == before


def test_what_cannot_be_a_pidfile_is_refused_and_left(path: Path, tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    (tmp_path / "letter").write_text("This is no pidfile but a letter, and far too long to be a torn one.\n")
    (tmp_path / "link").symlink_to(tmp_path / "letter")
    (tmp_path / "file").write_text("")
    os.mkfifo(tmp_path / "fifo")

    for name in ("directory", "letter", "link", "fifo", "missing/web.pid", "file/web.pid"):
        with pytest.raises(LockFailed, match=name.split("/")[0]):
            PIDLockFile(tmp_path / name).acquire()
    assert (tmp_path / "letter").read_text().startswith("This is no pidfile")


@pytest.mark.needs_root
def test_a_file_for_another_user_is_made_as_that_user_where_he_may_write_and_else_as_root(
    public_path: Path,
) -> None:
    user = unprivileged()
    account = look_up(user.uid, user.gid, [user.gid])
    (public_path / "own").mkdir()
    os.chown(public_path / "own", user.uid, user.gid)

    for directory, owner in ((public_path / "own", user.uid), (public_path, 0)):
        locked = LockedFile.take_for(str(directory / "web.pid"), account)
        assert locked is not None
        assert (directory / "web.pid").stat().st_uid == owner
        locked.remove()
        assert not (directory / "web.pid").exists()


@pytest.mark.needs_root
def test_root_makes_no_file_for_another_user_where_a_third_one_may_write(public_path: Path) -> None:
    user = unprivileged()
    os.chown(public_path, 12345, 12345)

    with pytest.raises(LockFailed, match="others"):
        LockedFile.take_for(str(public_path / "web.pid"), look_up(user.uid, user.gid, [user.gid]))


def test_the_functions_behind_the_lock_can_be_used_alone(path: Path) -> None:
    write_pid_to_pidfile(path)
    assert PIDLockFile(path).i_am_locking()
    with pytest.raises(FileExistsError):
        write_pid_to_pidfile(path)

    remove_existing_pidfile(path)
    remove_existing_pidfile(path)
    assert not path.exists()


@pytest.mark.parametrize("is_installed", [True, False])
def test_the_exceptions_are_those_of_lockfile_where_it_is_installed(tmp_path: Path, is_installed: bool) -> None:
    names = (
        "Error",
        "LockError",
        "LockTimeout",
        "AlreadyLocked",
        "LockFailed",
        "UnlockError",
        "NotLocked",
        "NotMyLock",
    )
    if is_installed:
        text = "".join(f"class {name}(Exception): pass\n" for name in names)
    else:
        text = "raise ImportError('as if it were not installed')\n"
    (tmp_path / "lockfile.py").write_text(text)
    program = "from numen.pep3143.pidfile import AlreadyLocked; print(AlreadyLocked.__module__)"

    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60
    )

    assert done.stdout.strip() == ("lockfile" if is_installed else "numen.pep3143.lock_errors")
