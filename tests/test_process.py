"""One process: known by its pid and start time, seen, signalled and waited for without ever meeting another."""

import errno
import os
import signal
import subprocess
import sys
import time

import pytest

import observe
from numen.kernel import proc
from numen.kernel.process import Process
from processes import Reaper, wait_for


class WithoutPidfds:
    """The module `os` as it is on a kernel that has none."""

    def __getattr__(self, name: str) -> object:
        return getattr(os, name)

    def pidfd_open(self, _pid: int) -> int:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))


pytestmark = pytest.mark.usefixtures("with_or_without_pidfds")


@pytest.fixture(params=["pidfd", "no pidfd"])
def with_or_without_pidfds(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "no pidfd":
        monkeypatch.setattr("numen.kernel.process.os", WithoutPidfds())


def sleeping(reaper: Reaper) -> Process:
    return Process(reaper.start(["sleep", "1000"]).pid)


def zombie(reaper: Reaper) -> Process:
    process = Process(reaper.start(["true"]).pid)
    wait_for(lambda: observe.is_zombie_or_gone(process.pid), 20, "the zombie")
    return process


def test_a_running_one_is_alive(reaper: Reaper) -> None:
    process = sleeping(reaper)

    assert process.is_alive()
    assert process.start_time == observe.start_time(process.pid)


def test_a_zombie_is_dead(reaper: Reaper) -> None:
    process = zombie(reaper)

    assert not process.is_alive()
    assert process.wait(timeout=0)
    assert not process.send_signal(signal.SIGTERM)


def test_one_that_was_reaped_is_dead() -> None:
    with subprocess.Popen(["true"]) as child:
        process = Process(child.pid)
        child.wait()

    assert not process.is_alive()
    assert process.wait()
    assert not process.send_signal(signal.SIGTERM)


def test_another_of_the_same_pid_is_not_it(reaper: Reaper) -> None:
    other = sleeping(reaper)
    assert other.start_time is not None
    process = Process(other.pid, other.start_time - 1)

    assert not process.is_alive()
    assert process.open_pidfd() is None
    assert not process.send_signal(signal.SIGKILL)
    assert process.wait()
    assert other.is_alive()


@pytest.mark.parametrize("pid", [0, -1, -2])
def test_a_number_that_would_mean_many_means_none(pid: int) -> None:
    process = Process(pid)

    assert not process.is_alive()
    assert not process.send_signal(signal.SIGTERM)
    assert process.wait()


def test_a_signal_is_delivered(reaper: Reaper) -> None:
    process = sleeping(reaper)

    assert process.send_signal(signal.SIGTERM)

    observe.wait_until_gone(process.pid)
    ending = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert ending is not None
    assert ending.si_status == signal.SIGTERM


@pytest.mark.needs_user
def test_a_signal_to_another_users_process_is_not_permitted() -> None:
    # The null signal, which is checked alone. SIGCONT would be let through where init and the suite share a session
    # (kill(2)), and any other might reach an init that this machine lets us signal.
    with pytest.raises(PermissionError):
        Process(1).send_signal(0)


def test_waiting_ends_when_the_process_does(reaper: Reaper) -> None:
    process = Process(reaper.start(["sh", "-c", "read line"], stdin=subprocess.PIPE).pid)
    assert not process.wait(timeout=0)
    os.kill(process.pid, signal.SIGKILL)

    assert process.wait(timeout=30)


def test_waiting_ends_when_its_time_is_over(reaper: Reaper) -> None:
    process = sleeping(reaper)
    start = time.monotonic()

    assert not process.wait(timeout=0.05)

    assert time.monotonic() - start >= 0.05
    assert process.is_alive()


def test_no_descriptor_stays_open(reaper: Reaper) -> None:
    process = sleeping(reaper)
    before = observe.look(os.getpid()).descriptors.keys()

    process.send_signal(signal.SIGCONT)
    process.wait(timeout=0)
    Process(process.pid, 1).open_pidfd()

    assert observe.look(os.getpid()).descriptors.keys() == before


def test_proc_tells_a_forked_process_from_one_that_has_executed(reaper: Reaper) -> None:
    script = "import os, sys; pid = os.fork(); pid and print(pid, flush=True); sys.stdin.read()"
    parent = reaper.start([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())

    seen = {pid: proc.stat(pid) for pid in (parent.pid, child)}

    assert {pid: one and one.has_executed for pid, one in seen.items()} == {parent.pid: True, child: False}
