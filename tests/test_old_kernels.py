"""What numen does on a kernel, or in a container, that has none of the newer system calls.

Each test runs twice under a seccomp filter: once it answers ENOSYS, once EPERM.
"""

import errno
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import observe
from daemons import pid_in, write_script
from processes import Reaper, environment, numen_command, wait_for
from seccomp import CALLS, on_old_kernel, refused_calls

pytestmark = pytest.mark.parametrize("error", ["ENOSYS", "EPERM"])

TRY_ALL = """
import ctypes, sys
libc = ctypes.CDLL(None, use_errno=True)
for number in map(int, sys.argv[1:]):
    # Arguments with which a kernel that has the call answers otherwise.
    result = libc.syscall(ctypes.c_long(number), ctypes.c_long(-1), ctypes.c_long(-1), *[ctypes.c_long(0)] * 4)
    print(number, result, ctypes.get_errno())
"""


def run(error: str, command: Sequence[str | Path], **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        on_old_kernel(error, command),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        **options,
    )


def detach(error: str, *argv: str | Path) -> subprocess.CompletedProcess[str]:
    return run(error, [numen_command(), "detach", *argv], env=environment())


def test_the_filter_answers_with_that_error(error: str) -> None:
    numbers = [str(CALLS[call]) for call in refused_calls(error)]

    done = run(error, [sys.executable, "-c", TRY_ALL, *numbers])

    expected = getattr(errno, error)
    assert done.stdout.splitlines() == [f"{number} -1 {expected}" for number in numbers]


def test_a_command_is_detached_asked_for_and_stopped(error: str, reaper: Reaper, tmp_path: Path) -> None:
    pidfile = tmp_path / "pid"
    started = detach(error, "--name", "old", "--pidfile", pidfile, "--", "sleep", "1000")
    assert (started.returncode, started.stderr) == (0, "")
    pid = reaper.track(pid_in(pidfile))

    assert detach(error, "--status", "old").returncode == 0
    again = detach(error, "--name", "old", "--", "sleep", "1000")
    assert again.returncode == 8
    assert str(pid) in again.stderr
    assert detach(error, "--stop", "old").returncode == 0
    observe.wait_until_gone(pid)
    assert detach(error, "--status", "old").returncode == 3


def test_a_stop_kills_what_ignores_the_signal(error: str, reaper: Reaper, tmp_path: Path) -> None:
    stubborn = "trap '' TERM; echo >&3; exec 3>&-; while :; do sleep 1000 & wait; done"
    started = detach(
        error, "--name", "old", "--pidfile", tmp_path / "pid", "--ready", "fd:3", "--", "sh", "-c", stubborn
    )
    assert started.returncode == 0, started.stderr
    pid = reaper.track(pid_in(tmp_path / "pid"))
    family = observe.children(pid)
    for child in family:
        reaper.track(child)

    assert detach(error, "--stop", "old", "--retry", "TERM/50ms/KILL/30s").returncode == 0
    observe.wait_until_gone(pid)


def test_a_daemon_that_dies_is_seen_to_die(error: str) -> None:
    done = detach(error, "--name", "old", "--ready", "notify", "--", "sh", "-c", "echo sorry >&2; exit 3")

    assert done.returncode == 9
    assert "exit status 3" in done.stderr
    assert "sorry" in done.stderr


def test_a_daemon_that_is_not_ready_in_time_is_ended_with_its_family(error: str, tmp_path: Path) -> None:
    born = tmp_path / "born"
    family = f"sleep 1000 & echo $$ $! > {born}; wait"

    done = detach(error, "--name", "old", "--ready", "notify", "--timeout", "500ms", "--", "sh", "-c", family)

    assert done.returncode == 124, done.stderr
    for pid in map(int, born.read_text().split() if born.exists() else ()):
        assert observe.is_zombie_or_gone(pid)


def test_a_program_becomes_a_daemon_and_ends_in_order(error: str, reaper: Reaper, tmp_path: Path) -> None:
    script = """
        with numen.DaemonContext(name="old", pidfile="pid", keep=[open("/dev/zero")], stderr="err") as daemon:
            daemon.ready()
            rest()
    """
    inherited = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(inherited, True)
    try:
        done = run(
            error,
            [sys.executable, write_script(tmp_path, script)],
            cwd=tmp_path,
            env=environment(),
            pass_fds=[inherited],
        )
    finally:
        os.close(inherited)
    assert done.returncode == 0, done.stderr
    pid = reaper.track(pid_in(tmp_path / "pid"))
    seen = observe.look(pid)
    assert inherited not in seen.descriptors
    assert "/dev/zero" in {one.target for one in seen.descriptors.values()}

    assert detach(error, "--signal", "TERM", "old").returncode == 0
    observe.wait_until_gone(pid)
    wait_for(lambda: not (tmp_path / "pid").exists(), 10, "the pidfile's removal")


def test_descriptors_are_closed_where_there_is_no_proc(error: str) -> None:
    snippet = """
import os
from numen.become import descriptors
descriptors.open_descriptors = lambda: None
kept = os.open("/dev/null", os.O_RDONLY)
many = [os.open("/dev/null", os.O_RDONLY) for _ in range(100)]
descriptors.close_all([kept])
print([one for one in range(3, max(many) + 1) if descriptors.is_open(one)] == [kept])
"""
    done = run(error, [sys.executable, "-c", snippet])

    assert (done.stdout, done.stderr) == ("True\n", "")


def test_a_spawned_command_is_stopped_through_its_handle(error: str, tmp_path: Path) -> None:
    snippet = """
import numen
handle = numen.spawn(["sleep", "1000"], name="old")
assert handle.running
assert handle.stop(grace=10)
print(handle.running)
"""
    done = run(error, [sys.executable, "-c", snippet], env=environment())

    assert (done.stdout, done.stderr) == ("False\n", "")
