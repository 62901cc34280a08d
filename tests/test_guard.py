"""The guard: it stays while the start is undecided, goes when the launcher does, and is missed when it is killed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import observe
from daemons import pid_in, wait_for_exit, write_script
from numen.become.instance import Instance
from processes import Reaper, environment, numen_command, run_numen, wait_for

NOT_READY_YET = "sleep 1000 & sleep 1000 & wait"

ENDED_BEFORE_READY, SYSTEM_FAILED = 9, 1


class Start:
    """A start that is under way: the daemon has a family, and is not ready."""

    def __init__(self, directory: Path, reaper: Reaper, *options: str | Path, command: str = NOT_READY_YET) -> None:
        self.pidfile = directory / "pid"
        argv = ["detach", "--name", "x", "--pidfile", self.pidfile, "--ready", "notify", *options, "--", "sh", "-c"]
        self.launcher = reaper.start(
            [numen_command(), *argv, command],
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        self.guard = self._only_child(self.launcher.pid)
        self.daemon = self._only_child(self.guard)
        reaper.track(self.daemon)
        self.family = sorted(wait_for(self._whole_family, 30, "the daemon's family"))

    def _only_child(self, pid: int) -> int:
        (child,) = wait_for(lambda: observe.children(pid), 30, f"a child of {observe.describe(pid)}")
        return child

    def _whole_family(self) -> frozenset[int]:
        children = observe.children(self.daemon)
        return children if len(children) == 2 else frozenset()

    def result(self) -> tuple[int, str]:
        """The launcher's exit status, and what it said."""
        said = self.launcher.communicate(timeout=60)[1]
        return self.launcher.returncode, said


def test_it_goes_when_the_launcher_is_killed(tmp_path: Path, reaper: Reaper) -> None:
    start = Start(tmp_path, reaper)

    start.launcher.kill()

    observe.wait_until_gone(start.guard)
    # The daemon goes on, and is the instance.
    assert not observe.is_zombie_or_gone(start.daemon)
    assert pid_in(start.pidfile) == Instance.find("x").pid == start.daemon
    assert run_numen("detach", "--name", "x", "--", "true").returncode == 8


def test_when_it_is_killed_the_launcher_says_so_and_the_family_is_ended(tmp_path: Path, reaper: Reaper) -> None:
    start = Start(tmp_path, reaper)

    os.kill(start.guard, signal.SIGKILL)

    status, said = start.result()
    assert status == SYSTEM_FAILED
    assert "killed" in said
    assert all(observe.is_zombie_or_gone(pid) for pid in (start.daemon, *start.family))
    assert not start.pidfile.exists()
    assert Instance.find("x").status == 3


def test_a_killed_one_of_a_context_is_missed_too(tmp_path: Path, reaper: Reaper) -> None:
    script = """
        with numen.DaemonContext(name="x", pidfile="pid") as daemon:
            rest()
    """
    launcher = reaper.start(
        [sys.executable, write_script(tmp_path, script)],
        cwd=tmp_path,
        env=environment(),
        stderr=subprocess.PIPE,
    )
    daemon = int(wait_for(lambda: read(tmp_path / "pid"), 30, "the pidfile"))
    (guard,) = observe.children(launcher.pid)

    os.kill(guard, signal.SIGKILL)

    assert launcher.wait(60) == SYSTEM_FAILED
    assert observe.is_zombie_or_gone(daemon)
    assert not (tmp_path / "pid").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT])
def test_it_ends_the_family_when_the_launcher_is_interrupted(
    number: signal.Signals, tmp_path: Path, reaper: Reaper
) -> None:
    start = Start(tmp_path, reaper)

    start.launcher.send_signal(number)

    assert start.result()[0] == 128 + number
    assert all(observe.is_zombie_or_gone(pid) for pid in (start.guard, start.daemon, *start.family))
    assert not start.pidfile.exists()


def test_it_ends_a_stopped_family_when_the_time_is_over(tmp_path: Path, reaper: Reaper) -> None:
    start = Start(tmp_path, reaper, "--timeout", "2s")
    for pid in start.family:
        os.kill(pid, signal.SIGSTOP)

    assert start.result()[0] == 124
    assert all(observe.is_zombie_or_gone(pid) for pid in (start.guard, start.daemon, *start.family))


def test_it_tells_how_the_daemon_was_killed(tmp_path: Path, reaper: Reaper) -> None:
    start = Start(tmp_path, reaper)

    os.kill(start.daemon, signal.SIGKILL)

    status, said = start.result()
    assert status == ENDED_BEFORE_READY
    assert "SIGKILL" in said
    assert all(observe.is_zombie_or_gone(pid) for pid in (start.guard, *start.family))


def test_it_is_gone_when_the_launcher_has_ended(tmp_path: Path, reaper: Reaper) -> None:
    done = run_numen("detach", "--pidfile", tmp_path / "pid", "--", "sleep", "1000")
    assert done.returncode == 0, done.stderr
    pid = reaper.track(pid_in(tmp_path / "pid"))

    seen = observe.look(pid)

    assert seen.ppid == os.getpid()
    assert seen.sid not in (pid, os.getsid(0))
    assert observe.is_zombie_or_gone(seen.sid)


def test_it_does_not_outlive_a_launcher_whose_program_ignores_dead_children(tmp_path: Path, reaper: Reaper) -> None:
    script = """
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        with numen.DaemonContext(name="x", pidfile="pid") as daemon:
            daemon.ready()
            rest()
    """
    done = subprocess.run(
        [sys.executable, write_script(tmp_path, script)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert (done.returncode, done.stderr) == (0, "")
    daemon = reaper.track(pid_in(tmp_path / "pid"))
    assert observe.descendants(os.getpid()).keys() == {daemon}
    os.kill(daemon, signal.SIGTERM)
    assert wait_for_exit(daemon) == 0


def read(path: Path) -> str:
    return path.read_text() if path.exists() else ""
