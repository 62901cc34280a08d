"""What all processes of the machine share, as an audit reads it."""

import os
import pwd
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

import observe
from numen.check.facts import Person
from numen.check.machine import Machine, blocked_in_all_threads, demand, file_system, namespaces
from numen.kernel import mounts, proc
from processes import Reaper, wait_for


def python(reaper: Reaper, script: str) -> subprocess.Popen[str]:
    """A child that runs the script; it has written one character, and ends with its standard input."""
    script = f"import os, signal, threading, subprocess\n{script}\nos.write(1, b'!')\nos.read(0, 1)"
    child = reaper.start([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.read(1) == "!"
    return child


def test_everybody_is_known_with_his_children(reaper: Reaper) -> None:
    child = reaper.start(["sleep", "1000"])

    machine = Machine()

    assert child.pid in [one.pid for one in machine.children[os.getpid()]]
    assert machine.processes[child.pid].parent == os.getpid()
    assert os.getppid() in machine.ancestors(os.getpid())
    assert machine.ancestors(child.pid) >= {os.getpid()} | machine.ancestors(os.getpid())
    assert child.pid in machine.descendants(os.getpid())
    assert machine.descendants(child.pid) == {}


def test_what_is_gone_has_nobody_around_it() -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    machine = Machine()

    assert machine.ancestors(gone.pid) == frozenset()
    assert machine.descendants(gone.pid) == {}
    assert machine.mounts(gone.pid) == []
    assert machine.sockets(gone.pid) == {}
    assert namespaces(gone.pid) == {}


def test_the_boot_was_before_now() -> None:
    booted = Machine().booted
    said = next(line for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime"))

    assert abs(booted - int(said.split()[1])) < 5


# Pipes


def test_a_pipe_is_held_by_those_who_have_its_ends(reaper: Reaper) -> None:
    child = reaper.start(["sleep", "1000"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdin is not None
    assert child.stdout is not None
    machine = Machine()

    to_child = machine.pipe(os.fstat(child.stdin.fileno()).st_ino, without=child.pid)
    from_child = machine.pipe(os.fstat(child.stdout.fileno()).st_ino, without=os.getpid())

    assert (to_child.readers, to_child.writers) == (frozenset(), frozenset({os.getpid()}))
    assert (from_child.readers, from_child.writers) == (frozenset(), frozenset({child.pid}))


def test_both_ends_of_a_pipe_may_be_in_one_process() -> None:
    reading, writing = os.pipe()
    try:
        number = os.fstat(reading).st_ino
        machine = Machine()

        assert machine.pipe(number, without=0).readers == {os.getpid()}
        assert machine.pipe(number, without=0).writers == {os.getpid()}
        assert machine.pipe(number, without=os.getpid()).writers == frozenset()
    finally:
        os.close(reading)
        os.close(writing)


def test_a_pipe_that_nobody_has_is_held_by_nobody() -> None:
    found = Machine().pipe(1, without=0)

    assert (found.readers, found.writers) == (frozenset(), frozenset())


@pytest.mark.needs_root
def test_root_can_ask_everybody_about_a_pipe_unless_he_is_in_a_container() -> None:
    is_in_first = os.stat("/proc/self/ns/pid").st_ino == 0xEFFFFFFC
    script = "from numen.check.machine import Machine; print(Machine().pipe(1, without=0).is_complete)"
    command = ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", script]
    inside = subprocess.run(command, capture_output=True, text=True, check=True)

    assert Machine().pipe(1, without=0).is_complete is is_in_first
    assert inside.stdout == "False\n"


@pytest.mark.needs_user
def test_a_user_cannot_ask_everybody_about_a_pipe() -> None:
    assert not Machine().pipe(1, without=0).is_complete


def test_processes_that_end_while_pipes_are_read_are_no_error(reaper: Reaper) -> None:
    ending = [reaper.start(["cat"], stdin=subprocess.PIPE) for _ in range(10)]
    machine = Machine()
    for child in ending:
        assert child.stdin is not None
        child.stdin.close()
        child.wait()

    assert {child.pid for child in ending} <= set(machine.processes)
    assert machine.pipe(1, without=0).readers == frozenset()
    assert machine.tasks_of_users.get(os.geteuid(), 0) >= 1


# Users and places


def test_a_user_is_known_with_his_groups() -> None:
    entry = pwd.getpwnam("nobody")

    found = Machine().person(entry.pw_uid)

    assert found == Person(uid=entry.pw_uid, name="nobody", groups=found.groups)
    assert entry.pw_gid in found.groups


def test_a_user_whom_no_database_knows_has_no_name() -> None:
    assert Machine().person(4_000_000_001) == Person(uid=4_000_000_001)


def test_processes_and_threads_are_counted_by_user(reaper: Reaper) -> None:
    child = python(reaper, "[threading.Thread(target=os.read, args=(0, 1), daemon=True).start() for _ in range(20)]")

    machine = Machine()

    assert machine.processes[child.pid].threads == 21
    assert machine.tasks_of_users[os.geteuid()] >= 22


@pytest.mark.needs_root
def test_a_process_counts_for_its_real_user(reaper: Reaper) -> None:
    before = Machine().tasks_of_users.get(4_000_000, 0)
    child = python(reaper, "os.setresuid(4_000_000, 0, 0)")

    assert os.stat(f"/proc/{child.pid}").st_uid == 0
    assert Machine().tasks_of_users[4_000_000] == before + 1


def test_a_file_system_is_told_with_its_size(tmp_path: Path) -> None:
    mount = mounts.mount_of(str(tmp_path))
    assert mount is not None

    found = file_system(mount, str(tmp_path))

    said = os.statvfs(tmp_path)
    assert (found.point, found.kind, found.size) == (mount.point, mount.kind, said.f_blocks * said.f_frsize)
    assert 0 <= found.free <= found.size
    assert not found.is_removable


def test_the_file_system_of_an_open_file_is_found_by_its_device() -> None:
    machine = Machine()
    device = os.stat("/proc").st_dev

    found = machine.file_system(os.getpid(), "/proc/self/stat", device)

    assert found is not None
    assert (found.kind, found.size) == ("proc", 0)
    assert machine.file_system(os.getpid(), "/proc/self/stat", device) is found


def test_a_device_that_no_mount_has_is_told_by_the_path() -> None:
    found = Machine().file_system(os.getpid(), "/proc/version", os.makedev(4000, 4000))

    assert found is not None
    assert found.point == "/proc"


def test_namespaces_are_told_by_kind() -> None:
    found = namespaces("self")

    assert found["pid"] == os.stat("/proc/self/ns/pid").st_ino
    assert set(found) == {"pid", "mnt", "net", "user", "uts", "ipc"}
    assert Machine().namespaces == found


def test_sockets_are_read_once_for_a_namespace() -> None:
    machine = Machine()
    before = machine.sockets(os.getpid())

    with socket.create_server(("127.0.0.1", 0)) as server:
        assert machine.sockets(os.getpid()) is before
        assert os.fstat(server.fileno()).st_ino in Machine().sockets(os.getpid())


def test_the_core_pattern_is_a_line() -> None:
    assert Machine().core_pattern == Path("/proc/sys/kernel/core_pattern").read_text().rstrip("\n")


# Threads


def test_a_thread_that_computes_demands_its_time(reaper: Reaper) -> None:
    busy = reaper.start([sys.executable, "-c", "while True: pass"])
    idle = reaper.start(["sleep", "1000"])
    first, idle_first, since = demand(busy.pid), demand(idle.pid), time.monotonic()
    if first is None:
        return  # this kernel does not count them

    def has_computed() -> bool:
        now = demand(busy.pid)
        return now is not None and now[busy.pid] - first[busy.pid] > 200_000_000

    wait_for(has_computed, 60, "0.2 seconds of computing")
    then, passed = demand(idle.pid), time.monotonic() - since
    assert idle_first is not None
    assert then is not None
    assert then[idle.pid] - idle_first[idle.pid] < passed * 1e9


def test_every_thread_demands_for_itself(reaper: Reaper) -> None:
    child = python(reaper, "[threading.Thread(target=os.read, args=(0, 1), daemon=True).start() for _ in range(3)]")

    found = demand(child.pid)

    assert found is None or len(found) == 4


def test_who_is_gone_demands_nothing() -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()

    assert demand(gone.pid) is None
    assert blocked_in_all_threads(gone.pid, frozenset({15})) == {15}


def test_a_signal_that_one_thread_takes_is_not_blocked_everywhere(reaper: Reaper) -> None:
    child = python(
        reaper,
        """
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGHUP])
ready = threading.Event()
def take():
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGHUP])
    ready.set()
    os.read(0, 1)
threading.Thread(target=take, daemon=True).start()
ready.wait()""",
    )
    in_first = observe.look(child.pid).signals.blocked
    assert in_first == {signal.SIGTERM, signal.SIGHUP}

    assert blocked_in_all_threads(child.pid, in_first) == {signal.SIGTERM}


def test_threads_that_come_and_go_are_no_error(reaper: Reaper) -> None:
    child = reaper.start(
        [
            sys.executable,
            "-c",
            "import os, threading\nos.write(1, b'!')\nwhile True:\n t = threading.Thread(target=int)\n t.start()",
        ],
        stdout=subprocess.PIPE,
    )
    assert child.stdout is not None
    assert child.stdout.read(1) == "!"

    for _ in range(50):
        assert blocked_in_all_threads(child.pid, frozenset({1})) <= {1}
        demand(child.pid)


def test_kernel_threads_are_told() -> None:
    machine = Machine()
    # In a pid namespace of its own there is none to be seen.
    threads = [one for one in machine.processes.values() if one.is_kernel_thread]

    assert all(not Path(f"/proc/{one.pid}/cmdline").read_bytes() for one in threads if proc.stat(one.pid))
    assert not machine.processes[os.getpid()].is_kernel_thread
