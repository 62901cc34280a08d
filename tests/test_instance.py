"""A running daemon, asked for by its name or by its pidfile."""

import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

import observe
from numen.become import pidfile
from numen.become.instance import Instance, all_instances, uptime
from numen.become.recipe import instance_path
from numen.errors import BadOption, NoPermission, NotRunning
from processes import Reaper, wait_for


def record(path: Path | str, pid: int, **changes: int | str | bool) -> Instance:
    """An instance whose pidfile names that process, with its record beside it."""
    path = str(path)
    known = pidfile.of_process(pid, command="it", log="somewhere").replace(**changes)
    Path(path).write_text(f"{known.pid}\n")
    Path(pidfile.record_path(path)).write_bytes(pidfile.format_record(known))
    return Instance(path, "it")


def sleeper(reaper: Reaper, *argv: str) -> subprocess.Popen[str]:
    """A process to be asked about."""
    return reaper.start(argv or ["sleep", "1000"])


def stubborn(reaper: Reaper, at_sigterm: str = ":") -> subprocess.Popen[str]:
    """A process that does not end at SIGTERM, but does that."""
    process = sleeper(reaper, "sh", "-c", f'trap "{at_sigterm}" TERM; while :; do sleep 0.01; done')
    wait_for(lambda: signal.SIGTERM in observe.look(process.pid).signals.caught, 30, "the trap")
    return process


def test_a_name_means_the_instance_of_this_user_and_a_path_its_pidfile(tmp_path: Path) -> None:
    assert Instance.find("web").path == instance_path("web")
    assert Instance.find("./web").path == os.path.abspath("web")
    assert Instance.find(str(tmp_path / "pid")).path == str(tmp_path / "pid")


@pytest.mark.parametrize("name", ["", ".hidden", "a b", "a\n", "x" * 101])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(BadOption):
        Instance.find(name)


def test_one_that_runs_is_told_from_one_that_is_dead_and_from_none(tmp_path: Path, reaper: Reaper) -> None:
    process = sleeper(reaper)
    running = record(tmp_path / "pid", process.pid)
    assert (running.running, running.pid, running.status) == (True, process.pid, 0)
    assert running.known is not None
    assert (running.known.command, running.known.log) == ("it", "somewhere")

    process.kill()
    assert running.wait(30)
    assert (running.running, running.pid, running.status) == (False, None, 1)
    process.wait()
    assert running.status == 1

    none = Instance(str(tmp_path / "other"), "none")
    assert (none.known, none.running, none.pid, none.status) == (None, False, None, 3)


@pytest.mark.parametrize(
    "changes", [{"start_time": 1}, {"boot_id": "another"}, {"pid_namespace": 1}, {"starting": True}]
)
def test_a_process_that_is_not_the_recorded_one_is_left_alone(
    tmp_path: Path, reaper: Reaper, changes: dict[str, int]
) -> None:
    process = sleeper(reaper)
    stranger = record(tmp_path / "pid", process.pid, **changes)

    assert not stranger.running
    with pytest.raises(NotRunning):
        stranger.signal(signal.SIGKILL)
    with pytest.raises(NotRunning):
        stranger.reload()
    assert stranger.stop(grace=0)
    assert process.poll() is None


def test_a_stale_pidfile_is_removed_by_stop(tmp_path: Path, reaper: Reaper) -> None:
    process = sleeper(reaper)
    one = record(tmp_path / "pid", process.pid)
    assert one.stop(grace=30)
    assert process.wait() == -signal.SIGTERM
    assert list(tmp_path.iterdir()) == []
    assert one.stop(), "one that does not run is a success"


def test_stop_kills_when_the_grace_ends(tmp_path: Path, reaper: Reaper) -> None:
    process = stubborn(reaper)
    assert record(tmp_path / "pid", process.pid).stop(grace=0.05)
    assert process.wait() == -signal.SIGKILL


def test_stop_follows_its_schedule_and_says_whether_it_has_ended(tmp_path: Path, reaper: Reaper) -> None:
    process = stubborn(reaper)
    one = record(tmp_path / "pid", process.pid)
    assert not one.stop(schedule=((signal.SIGTERM, 0.01), (signal.SIGTERM, 0.01)))
    assert one.running
    assert (tmp_path / "pid").exists()
    assert one.stop(schedule=((signal.SIGTERM, 0.01), (signal.SIGINT, 30)))
    assert process.wait() == -signal.SIGINT


def test_a_suspended_process_is_resumed_so_that_it_can_end(tmp_path: Path, reaper: Reaper) -> None:
    process = sleeper(reaper)
    process.send_signal(signal.SIGSTOP)
    wait_for(lambda: observe.look(process.pid).state == "T", 30, "the suspension")
    assert record(tmp_path / "pid", process.pid).stop(grace=30)
    assert process.wait() == -signal.SIGTERM


def test_stop_never_hits_one_that_was_started_meanwhile(tmp_path: Path, reaper: Reaper) -> None:
    told, path = tmp_path / "told", tmp_path / "pid"
    first, second = stubborn(reaper, f"touch '{told}'"), sleeper(reaper)
    one = record(path, first.pid)
    stopping = threading.Thread(target=one.stop, kwargs={"schedule": ((signal.SIGTERM, 0.2), (signal.SIGKILL, 30))})
    stopping.start()
    wait_for(told.exists, 30, "the first signal")
    record(path, second.pid)
    stopping.join()
    assert first.wait() == -signal.SIGKILL
    assert second.poll() is None
    assert one.pid == second.pid, "an instance that was found by its pidfile is the one that is named there now"


def test_wait_waits_for_the_end_and_not_longer_than_asked(tmp_path: Path, reaper: Reaper) -> None:
    process = sleeper(reaper)
    one = record(tmp_path / "pid", process.pid)
    begun = time.monotonic()
    assert not one.wait(0.05)
    assert time.monotonic() - begun >= 0.05
    process.kill()
    assert one.wait()
    assert Instance(str(tmp_path / "none"), "none").wait()


@pytest.mark.needs_user
def test_a_process_that_is_not_yours_is_a_matter_of_permission(tmp_path: Path) -> None:
    theirs = record(tmp_path / "pid", 1)
    assert theirs.running
    with pytest.raises(NoPermission):
        theirs.signal(signal.SIGHUP)
    with pytest.raises(NoPermission):
        theirs.stop()


def test_all_named_instances_are_listed_by_name(reaper: Reaper) -> None:
    assert all_instances() == []
    process = sleeper(reaper)
    record(instance_path("web"), process.pid)
    record(instance_path("api"), process.pid, start_time=1)
    assert [(one.name, one.running) for one in all_instances()] == [("api", False), ("web", True)]


def test_uptime_is_the_time_since_the_process_started(tmp_path: Path, reaper: Reaper) -> None:
    before = time.monotonic()
    known = record(tmp_path / "pid", sleeper(reaper).pid).known
    assert known is not None
    tick = 1 / os.sysconf("SC_CLK_TCK")
    assert 0 <= uptime(known) <= time.monotonic() - before + 2 * tick
    assert uptime(known.replace(start_time=None)) < 60
    assert uptime(known.replace(start_time=None, since=time.time() + 3600)) == 0
