"""One instance: what a pidfile says, who may have it, and how it heals."""

import errno
import fcntl
import os
import signal
import stat
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import observe
from daemons import pid_in, start_daemon
from numen.become import pidfile
from numen.become.instance import Instance
from numen.become.pidfile import ABANDONED_AFTER, CLOCK_SLACK, Known, Pidfile
from numen.errors import AlreadyRunning, NoPermission, NotRunning, Unusable
from numen.kernel import proc
from processes import Reaper, end, reap, run_numen, unprivileged, wait_for

CONTEXT = """
with numen.DaemonContext(pidfile="pid") as daemon:
    daemon.ready()
    rest()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "pid"


def record_of(path: Path) -> Path:
    return Path(pidfile.record_path(str(path)))


def stranger(reaper: Reaper) -> int:
    """A living process that is no daemon of ours."""
    return reaper.start(["sleep", "1000"]).pid


def ended() -> int:
    """The pid of a process that has ended and was reaped."""
    with subprocess.Popen(["true"]) as process:
        process.wait()
    return process.pid


def name(path: Path, pid: int, **changes: object) -> Known:
    """Let the pidfile and its record name that process, apart from the changes."""
    known = pidfile.of_process(pid).replace(**changes)
    path.write_text(f"{pid}\n")
    record_of(path).write_bytes(pidfile.format_record(known))
    return known


def read_as(uid: int, path: Path) -> str:
    """The recorded command, as a reader of that uid, who may not be allowed to walk down to the file."""
    directory = os.open(path.parent, os.O_RDONLY)
    before = os.getcwd()
    try:
        os.fchdir(directory)
        os.seteuid(uid)
        known = pidfile.read(path.name)
        return known.command if known else "none"
    finally:
        os.seteuid(0)
        os.chdir(before)
        os.close(directory)


def is_locked(path: Path) -> bool:
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


# The file


@pytest.mark.parametrize("umask", [0, 0o022, 0o077, 0o777])
def test_everybody_may_read_it_and_only_its_owner_write_whatever_the_umask(umask: int, path: Path) -> None:
    before = os.umask(umask)
    try:
        claimed = Pidfile.claim(str(path))
        claimed.write(os.getpid())
    finally:
        os.umask(before)

    assert [stat.S_IMODE(one.stat().st_mode) for one in (path, record_of(path))] == [0o644, 0o644]
    claimed.remove()


def test_one_that_everybody_may_write_is_closed_to_others(path: Path) -> None:
    path.touch()
    path.chmod(0o666)

    claimed = Pidfile.claim(str(path))

    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    claimed.remove()


def test_it_holds_the_pid_and_a_newline_and_names_the_process_beside(path: Path) -> None:
    path.write_text("a longer text than any pid\n")
    claimed = Pidfile.claim(str(path))

    claimed.write(os.getpid(), command="some command", log="some log")

    assert path.read_text() == f"{os.getpid()}\n"
    known = pidfile.read(str(path))
    assert known is not None
    assert (known.pid, known.start_time) == (os.getpid(), observe.start_time(os.getpid()))
    assert (known.command, known.log, known.starting) == ("some command", "some log", False)
    assert known.is_alive()
    claimed.remove()
    assert list(path.parent.iterdir()) == []


def test_while_a_start_is_under_way_it_names_nobody(path: Path) -> None:
    claimed = Pidfile.claim(str(path))

    assert path.read_text() == ""
    instance = Instance(str(path), "x")
    assert (instance.pid, instance.running) == (None, False)
    with pytest.raises(NotRunning):
        instance.signal(signal.SIGKILL)
    claimed.remove()


def test_what_a_killed_start_has_left_beside_the_record_does_not_stay(path: Path) -> None:
    Path(f"{record_of(path)}.new").write_text("half a rec")

    Pidfile.claim(str(path)).remove()

    assert list(path.parent.iterdir()) == []


# Places that are refused


def test_a_link_is_not_followed(path: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    path.symlink_to(victim)

    with pytest.raises(Unusable):
        Pidfile.claim(str(path))

    assert victim.read_text() == "precious"


def test_a_link_laid_where_the_record_is_written_is_not_followed(path: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    for name in (record_of(path), Path(f"{record_of(path)}.new")):
        name.symlink_to(victim)

    claimed = Pidfile.claim(str(path))

    assert victim.read_text() == "precious"
    claimed.remove()
    assert list(tmp_path.iterdir()) == [victim]


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_something_else_of_that_name_is_refused(make: Callable[[Path], None], path: Path) -> None:
    make(path)

    with pytest.raises((Unusable, NoPermission)):
        Pidfile.claim(str(path))


def test_a_directory_in_which_others_write_is_refused_unless_it_is_sticky(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    with pytest.raises(Unusable, match="others may write"):
        Pidfile.claim(str(shared / "pid"))

    shared.chmod(0o1777)
    Pidfile.claim(str(shared / "pid")).remove()


@pytest.mark.needs_root
def test_the_file_of_another_user_is_refused(path: Path) -> None:
    path.touch()
    os.chown(path, unprivileged().uid, -1)

    with pytest.raises(Unusable, match="belongs to"):
        Pidfile.claim(str(path))


@pytest.mark.needs_user
def test_a_directory_that_may_not_be_written_is_no_place(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    closed.chmod(0o500)

    with pytest.raises(NoPermission):
        Pidfile.claim(str(closed / "pid"))


# Stale ones


def leave_nothing(path: Path) -> None:
    """There is none."""


def leave_an_empty_one(path: Path) -> None:
    path.touch()


def leave_garbage(path: Path) -> None:
    path.write_bytes(b"\xff\0garbage\n")
    record_of(path).write_bytes(b"\xff\0garbage\n")


def leave_too_high_a_number(path: Path) -> None:
    path.write_text("99999999999999999999\n")


def leave_zero(path: Path) -> None:
    path.write_text("0\n")


def leave_minus_one(path: Path) -> None:
    path.write_text("-1\n")


def leave_one_that_has_ended(path: Path) -> None:
    path.write_text(f"{ended()}\n")


def leave_one_that_has_ended_with_its_record(path: Path) -> None:
    name(path, ended())


def leave_a_start_that_was_killed(path: Path) -> None:
    name(path, ended(), starting=True)


@pytest.mark.parametrize(
    "leave",
    [
        leave_nothing,
        leave_an_empty_one,
        leave_garbage,
        leave_too_high_a_number,
        leave_zero,
        leave_minus_one,
        leave_one_that_has_ended,
        leave_one_that_has_ended_with_its_record,
        leave_a_start_that_was_killed,
    ],
)
def test_a_stale_one_heals_by_itself(leave: Callable[[Path], None], path: Path) -> None:
    leave(path)
    assert not Instance(str(path), "x").running

    claimed = Pidfile.claim(str(path))
    claimed.write(os.getpid())

    assert path.read_text() == f"{os.getpid()}\n"
    assert Instance(str(path), "x").pid == os.getpid()
    claimed.remove()


@pytest.mark.parametrize(
    "other",
    [
        {"start_time": 1},
        {"boot_id": "00000000-0000-0000-0000-000000000000"},
        {"pid_namespace": 1},
    ],
    ids=["start time", "boot", "pid namespace"],
)
def test_a_stranger_with_the_same_pid_is_not_the_instance(other: dict[str, object], path: Path, reaper: Reaper) -> None:
    pid = stranger(reaper)
    name(path, pid, **other)
    instance = Instance(str(path), "x")

    assert (instance.running, instance.status) == (False, 1)
    with pytest.raises(NotRunning):
        instance.signal(signal.SIGKILL)
    assert instance.wait(timeout=0)
    assert instance.stop()

    assert not observe.is_zombie_or_gone(pid)
    assert not path.exists()


def test_a_zombie_is_not_the_instance(path: Path) -> None:
    with subprocess.Popen(["sh", "-c", "read line"], stdin=subprocess.PIPE) as process:
        name(path, process.pid)
        assert Instance(str(path), "x").running
        assert process.stdin is not None
        process.stdin.close()
        wait_for(lambda: observe.is_zombie_or_gone(process.pid), 20, "the zombie")

        assert not Instance(str(path), "x").running
        Pidfile.claim(str(path)).remove()


def test_another_programs_file_is_respected_while_its_process_lives(path: Path, reaper: Reaper) -> None:
    pid = stranger(reaper)
    path.write_text(f" {pid}\nmore lines, as some write\n")

    with pytest.raises(AlreadyRunning) as refusal:
        Pidfile.claim(str(path))

    assert refusal.value.pid == pid
    assert Instance(str(path), "x").pid == pid


def test_another_programs_file_is_stale_when_its_process_is_younger(path: Path, reaper: Reaper) -> None:
    pid = stranger(reaper)
    path.write_text(f"{pid}\n")
    long_ago = time.time() - CLOCK_SLACK - 3600
    os.utime(path, (long_ago, long_ago))

    assert Instance(str(path), "x").pid is None
    Pidfile.claim(str(path)).remove()
    assert not observe.is_zombie_or_gone(pid)


def test_another_programs_file_is_not_stale_because_the_clock_was_set(path: Path, reaper: Reaper) -> None:
    pid = stranger(reaper)
    path.write_text(f"{pid}\n")
    before_the_step = time.time() - CLOCK_SLACK / 2
    os.utime(path, (before_the_step, before_the_step))

    assert Instance(str(path), "x").pid == pid
    with pytest.raises(AlreadyRunning):
        Pidfile.claim(str(path))


def test_a_file_whose_record_names_another_pid_names_nobody(path: Path, reaper: Reaper) -> None:
    name(path, os.getpid())
    path.write_text(f"{stranger(reaper)}\n")

    assert pidfile.read(str(path)) is None


@pytest.mark.needs_root
def test_a_record_is_believed_if_it_is_roots_the_readers_or_the_pidfiles_owners(path: Path, reaper: Reaper) -> None:
    path.parent.chmod(0o755)
    pid = stranger(reaper)
    name(path, pid, command="recorded")
    reader, other = unprivileged().uid, 12345

    def command(owner: int, record_owner: int) -> str:
        os.chown(path, owner, -1)
        os.chown(record_of(path), record_owner, -1)
        known = pidfile.read(str(path))
        assert known is not None
        assert known.pid == pid
        return known.command

    assert [command(0, 0), command(other, other), command(0, other)] == ["recorded", "recorded", ""]
    for record_owner, expected in ((0, "recorded"), (reader, "recorded"), (other, "")):
        os.chown(path, 0, -1)
        os.chown(record_of(path), record_owner, -1)
        assert read_as(reader, path) == expected


def test_a_living_instance_is_known_without_its_record(path: Path, reaper: Reaper) -> None:
    pid = stranger(reaper)
    name(path, pid)
    record_of(path).unlink()

    with pytest.raises(AlreadyRunning):
        Pidfile.claim(str(path))


def test_a_torn_record_is_none_or_is_one_of_the_same_pid(path: Path, reaper: Reaper) -> None:
    pid = stranger(reaper)
    whole = pidfile.format_record(name(path, pid))

    for length in range(len(whole)):
        record_of(path).write_bytes(whole[:length])

        known = pidfile.read(str(path))

        assert known is None or known.pid == pid


def test_a_record_comes_back_as_it_was_written() -> None:
    known = Known(
        pid=7, start_time=8, boot_id="boot", pid_namespace=9, since=1.5, starting=True, command="a b", log="/l"
    )

    assert pidfile.parse_record(pidfile.format_record(known)) == known
    broken = known.replace(command="two\nlines \udcff")
    assert pidfile.parse_record(pidfile.format_record(broken)) == known.replace(command="two lines \udcff")


# The lock


def test_a_second_start_is_refused_while_the_first_is_under_way(path: Path) -> None:
    claimed = Pidfile.claim(str(path))

    with pytest.raises(AlreadyRunning, match="under way") as refusal:
        Pidfile.claim(str(path))

    assert refusal.value.pid == os.getpid()
    claimed.remove()


def test_a_command_does_not_have_the_lock(path: Path, reaper: Reaper) -> None:
    done = run_numen("detach", "--pidfile", path, "--", "sleep", "1000")
    assert done.returncode == 0, done.stderr
    pid = reaper.track(pid_in(path))

    assert not is_locked(path)
    assert str(path) not in {one.target for one in observe.look(pid).descriptors.values()}
    assert run_numen("detach", "--pidfile", path, "--", "sleep", "1000").returncode == 8


def test_a_context_keeps_the_lock_to_itself(tmp_path: Path, path: Path, reaper: Reaper) -> None:
    daemon = start_daemon(tmp_path, reaper, CONTEXT)

    (held,) = [one for one in daemon.look().descriptors.values() if one.target == str(path)]
    assert held.cloexec
    assert is_locked(path)
    assert daemon.stop() == 0
    assert list(tmp_path.glob("*pid*")) == []


def test_what_a_context_forks_has_no_lock(tmp_path: Path, path: Path, reaper: Reaper) -> None:
    script = """
        with numen.DaemonContext(pidfile="pid") as daemon:
            child = os.fork()
            if not child:
                rest()
            say(child)
            daemon.ready()
            rest()
    """
    daemon = start_daemon(tmp_path, reaper, script)
    (child,) = map(int, (tmp_path / "said").read_text().split())
    reaper.track(child)
    wait_for(
        lambda: str(path) not in {one.target for one in observe.look(child).descriptors.values()},
        20,
        "the child to let go of the pidfile",
    )

    daemon.signal(signal.SIGKILL)
    daemon.wait()

    assert not is_locked(path)
    start = time.monotonic()
    Pidfile.claim(str(path)).remove()
    assert time.monotonic() - start < ABANDONED_AFTER
    assert not observe.is_zombie_or_gone(child)


def test_a_leftover_child_that_holds_the_lock_is_not_the_instance(tmp_path: Path, path: Path, reaper: Reaper) -> None:
    # A fork in a C library runs no hook of Python's, so that such a child keeps the lock.
    script = """
        import ctypes
        with numen.DaemonContext(pidfile="pid") as daemon:
            child = ctypes.PyDLL(None).fork()
            if not child:
                while True: signal.pause()
            say(child)
            daemon.ready()
            rest()
    """
    daemon = start_daemon(tmp_path, reaper, script)
    (child,) = map(int, (tmp_path / "said").read_text().split())
    reaper.track(child)
    daemon.signal(signal.SIGKILL)
    daemon.wait()
    assert is_locked(path)
    assert Instance(str(path), "x").status == 1

    start = time.monotonic()
    claimed = Pidfile.claim(str(path))
    # The rest is the machine's own slowness, which under load has no bound that a test could name.
    assert ABANDONED_AFTER <= time.monotonic() - start < ABANDONED_AFTER + 10
    claimed.write(os.getpid())

    assert Instance(str(path), "x").pid == os.getpid()
    assert not observe.is_zombie_or_gone(child)
    claimed.remove()


def test_a_stranger_who_locks_file_and_directory_keeps_nobody_from_starting(path: Path) -> None:
    # Whoever may read them can do that.
    path.touch()
    directory = os.open(path.parent, os.O_RDONLY)
    with path.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        fcntl.flock(directory, fcntl.LOCK_EX)

        claimed = Pidfile.claim(str(path))
        claimed.write(os.getpid())

    os.close(directory)
    assert Instance(str(path), "x").pid == os.getpid()
    claimed.remove()


def test_the_turn_at_naming_leaves_no_file_and_uses_one_that_is_left(path: Path) -> None:
    left = path.parent / f".{path.name}.lock"
    left.touch(0o600)

    claimed = Pidfile.claim(str(path))

    assert not left.exists()
    claimed.remove()
    assert list(path.parent.iterdir()) == []


@pytest.mark.needs_root
def test_a_turn_that_another_user_could_hold_is_refused(path: Path) -> None:
    laid_out = path.parent / f".{path.name}.lock"
    laid_out.touch()
    os.chown(laid_out, unprivileged().uid, -1)

    with pytest.raises(NoPermission, match="another user"):
        Pidfile.claim(str(path))


def test_a_start_whose_place_was_taken_does_not_name_its_daemon(path: Path) -> None:
    delayed = Pidfile.claim(str(path))
    path.unlink()
    winner = Pidfile.claim(str(path).replace("/pid", "/other"))
    os.rename(winner.path, path)
    os.rename(record_of(Path(winner.path)), record_of(path))

    with pytest.raises(AlreadyRunning):
        delayed.write(1)

    delayed.remove()
    assert path.exists()
    assert record_of(path).exists()
    winner.release()


# Removal


def test_a_file_that_was_replaced_meanwhile_is_left_alone(tmp_path: Path, path: Path, reaper: Reaper) -> None:
    daemon = start_daemon(tmp_path, reaper, CONTEXT)
    other = tmp_path / "other"
    other.write_text("1\n")
    other.rename(path)

    assert daemon.stop() == 0

    assert path.read_text() == "1\n"


def test_a_file_that_was_removed_meanwhile_is_no_failure(tmp_path: Path, path: Path, reaper: Reaper) -> None:
    daemon = start_daemon(tmp_path, reaper, CONTEXT)
    path.unlink()

    assert daemon.stop() == 0


@pytest.mark.parametrize("with_record", [True, False])
@pytest.mark.needs_root
def test_a_daemon_that_may_not_remove_it_any_more_leaves_a_stale_one(
    with_record: bool, tmp_path: Path, path: Path, reaper: Reaper
) -> None:
    script = f"""
        with numen.DaemonContext(pidfile="pid", user="{unprivileged().name}") as daemon:
            daemon.ready()
            rest()
    """
    daemon = start_daemon(tmp_path, reaper, script)
    assert daemon.look().uids == (unprivileged().uid,) * 4
    assert path.stat().st_uid == 0
    text = path.read_text()
    if not with_record:
        record_of(path).unlink()

    assert daemon.stop() == 0

    assert path.read_text() == text
    assert not Instance(str(path), "x").running
    Pidfile.claim(str(path)).remove()


def test_a_daemon_keeps_nothing_by_which_it_could_name_another_process(
    tmp_path: Path, path: Path, reaper: Reaper
) -> None:
    daemon = start_daemon(tmp_path, reaper, CONTEXT)

    (number,) = [number for number, one in daemon.look().descriptors.items() if one.target == str(path)]
    flags = Path(f"/proc/{daemon.pid}/fdinfo/{number}").read_text().split("flags:")[1].split()[0]

    assert int(flags, 8) & os.O_ACCMODE == os.O_RDONLY


def test_a_removal_that_a_signal_handler_asks_for_during_a_removal_does_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    claimed = Pidfile.claim(str(path))
    unlink = os.unlink

    def interrupted_unlink(name: str) -> None:
        claimed.remove()
        unlink(name)

    monkeypatch.setattr(os, "unlink", interrupted_unlink)
    claimed.remove()
    monkeypatch.undo()

    assert list(path.parent.iterdir()) == []


def test_a_turn_that_somebody_keeps_is_not_waited_for_for_ever(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pidfile, "TURN_PATIENCE", 0.05)
    with (path.parent / f".{path.name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)

        with pytest.raises(Unusable, match="is locked"):
            Pidfile.claim(str(path))


@pytest.mark.parametrize("is_reused", [True, False])
def test_a_descriptor_that_the_program_has_closed_is_not_touched(is_reused: bool, tmp_path: Path, path: Path) -> None:
    claimed = Pidfile.claim(str(path))
    other = tmp_path / "other"
    other.write_text("precious")
    number = claimed.descriptor
    os.close(number)
    if is_reused:
        reused = os.open(other, os.O_RDWR)
        os.dup2(reused, number)
        if reused != number:
            os.close(reused)

    claimed.remove()

    assert other.read_text() == "precious"
    if is_reused:
        os.close(number)  # still open


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_where_there_are_no_locks_that_is_said_and_nothing_stays_open(
    number: int, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_descriptor: int, _operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", fail)
    before = os.listdir("/proc/self/fd")

    with pytest.raises(Unusable, match="cannot lock"):
        Pidfile.claim(str(path))

    assert os.listdir("/proc/self/fd") == before


def test_stopping_removes_what_a_killed_daemon_left_and_nothing_that_lives(path: Path, reaper: Reaper) -> None:
    done = run_numen("detach", "--pidfile", path, "--", "sleep", "1000")
    assert done.returncode == 0, done.stderr
    pid = reaper.track(pid_in(path))
    pidfile.remove_stale(str(path))
    assert pid_in(path) == pid

    end({pid: observe.start_time(pid)})
    reap([pid])

    assert Instance(str(path), "x").stop()
    assert not path.exists()
    assert not record_of(path).exists()


def test_where_proc_cannot_be_read_the_pid_alone_must_do(
    path: Path, reaper: Reaper, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = stranger(reaper)
    monkeypatch.setattr(proc, "read", lambda _path: None)
    monkeypatch.setattr(proc, "pid_namespace", lambda: 0)
    path.write_text(f"{pid}\n")

    assert Instance(str(path), "x").pid == pid
    with pytest.raises(AlreadyRunning):
        Pidfile.claim(str(path))
