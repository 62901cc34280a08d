"""What is read of one process for its audit."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import observe
import recorded_proc
from numen.check.facts import Facts, Pidfile
from numen.check.machine import Machine
from numen.check.reading import parse_inodes, parse_variables, read, script_of
from numen.check.services import Services
from numen.kernel import mounts, proc, status
from numen.kernel.files import untrusted_part
from processes import Reaper, environment, wait_for

PRELUDE = "import os, signal, socket, subprocess, sys, threading, time\n"


def facts_of(pid: int, **options: Any) -> Facts:
    found = read(pid, Machine(), Services(), **options)
    assert found is not None
    return found


def python(reaper: Reaper, script: str, **options: Any) -> subprocess.Popen[str]:
    """A child that runs the script; it has written one character, and ends with its standard input."""
    text = f"{PRELUDE}{script}\nos.write(1, b'!')\nos.read(0, 1)"
    child = reaper.start([sys.executable, "-c", text], stdin=subprocess.PIPE, stdout=subprocess.PIPE, **options)
    assert child.stdout is not None
    assert child.stdout.read(1) == "!"
    return child


def test_a_process_is_read_as_it_is(reaper: Reaper, tmp_path: Path) -> None:
    with (tmp_path / "log").open("a") as log:
        child = python(reaper, "os.umask(0o027)", cwd=tmp_path, stderr=log, env=environment({"EMPTY": "", "FULL": "1"}))
    seen = observe.look(child.pid)

    found = facts_of(child.pid)

    assert (found.pid, found.uid, found.command) == (child.pid, os.geteuid(), seen.cmdline)
    assert found.executable is not None
    assert found.executable.path == seen.exe
    assert abs(found.started - time.time()) < 600
    assert found.person is not None
    assert found.person.uid == os.geteuid()
    assert found.directory is not None
    assert (found.directory.path, found.directory.is_deleted) == (str(tmp_path), False)
    assert (found.root, found.is_outside_root) == (seen.root, False)
    assert found.status.umask == 0o027
    assert found.limits == seen.limits
    assert found.oom_score == seen.oom_score_adj
    assert found.of_user >= 2
    assert found.namespaces == ()
    assert found.descriptors is not None
    assert {number: one.target for number, one in found.descriptors.items()} == {
        number: one.target for number, one in seen.descriptors.items()
    }
    assert found.variables is not None
    assert "FULL" in found.variables
    assert "EMPTY" not in found.variables
    mount = mounts.mount_of(str(tmp_path))
    assert mount is not None
    assert found.directory_mount is not None
    assert found.directory_mount.point == mount.point
    assert found.file_systems[found.descriptors[2].device].kind == mount.kind


def test_who_is_around_it_is_known(reaper: Reaper) -> None:
    child = python(reaper, "b = subprocess.Popen(['sleep', '1000'])")
    wait_for(lambda: observe.children(child.pid), 30, "its child")
    (grandchild,) = observe.children(child.pid)

    found, below = facts_of(child.pid), facts_of(grandchild)

    assert found.parent is not None
    assert found.parent.pid == os.getpid()
    assert set(found.descendants) == {grandchild}
    assert found.family == {child.pid, grandchild}
    assert {os.getpid(), os.getppid()} <= found.ancestors
    assert {child.pid, os.getpid()} <= below.ancestors
    assert below.parent is not None
    assert below.parent.pid == child.pid
    assert child.pid in [one.pid for one in below.group]
    assert grandchild not in [one.pid for one in below.group]
    assert below.descendants == {}


def test_the_leader_of_a_session_is_known_while_it_lives(reaper: Reaper) -> None:
    leader = python(reaper, "b = subprocess.Popen(['sleep', '1000'])", start_new_session=True)
    wait_for(lambda: observe.children(leader.pid), 30, "its child")
    (member,) = observe.children(leader.pid)
    reaper.track(member)
    found = facts_of(member).leader
    assert found is not None
    assert found.pid == leader.pid

    leader.kill()
    leader.wait()

    assert facts_of(member).leader is None


def test_zombies_are_its_dead_children_that_stay(reaper: Reaper) -> None:
    child = python(reaper, "b = [subprocess.Popen(['true']) for _ in range(3)]")
    dead = observe.children(child.pid)
    wait_for(lambda: all(observe.is_zombie_or_gone(pid) for pid in dead), 30, "the end of its children")

    found = facts_of(child.pid)

    assert {one.pid for one in found.zombies} == dead
    assert len(dead) == 3


def test_a_zombie_that_has_been_reaped_since_is_none(reaper: Reaper) -> None:
    script = "b = subprocess.Popen(['true'])\nsignal.signal(signal.SIGUSR1, lambda *_: (b.wait(), os.write(1, b'.')))"
    child = python(reaper, script)
    (dead,) = observe.children(child.pid)
    wait_for(lambda: observe.is_zombie_or_gone(dead), 30, "the end of its child")
    machine = Machine()
    assert dead in machine.processes

    child.send_signal(signal.SIGUSR1)
    wait_for(lambda: proc.stat(dead) is None, 30, "the reaping")
    found = read(child.pid, machine, Services())

    assert found is not None
    assert found.zombies == ()


# Processes that are not there


def test_who_is_gone_or_a_zombie_has_no_facts(reaper: Reaper) -> None:
    child = reaper.start(["true"])
    wait_for(lambda: observe.is_zombie_or_gone(child.pid), 30, "the end of true")
    machine, services = Machine(), Services()
    assert read(child.pid, machine, services) is None
    child.wait()

    assert read(child.pid, machine, services) is None


def test_who_ends_while_he_is_read_has_facts_or_none(reaper: Reaper) -> None:
    machine, services = Machine(), Services()
    for _ in range(60):
        child = reaper.start(["sh", "-c", ":"], stdin=subprocess.DEVNULL)
        last = None
        while child.poll() is None:
            last = read(child.pid, machine, services)
            assert last is None or last.pid == child.pid
        assert read(child.pid, machine, services) is None


def test_every_process_of_the_machine_can_be_read() -> None:
    machine, services = Machine(), Services()
    for pid in machine.processes:
        found = read(pid, machine, services)
        assert found is None or found.pid == pid


@pytest.mark.needs_user
def test_of_another_users_process_what_cannot_be_seen_is_unknown() -> None:
    found = facts_of(1)

    assert (found.descriptors, found.variables, found.executable, found.directory, found.root) == (None,) * 5
    assert (found.directory_mount, found.is_outside_root) == (None, False)
    assert found.is_style_known == bool(found.keeper.kind)
    assert (found.pipes, found.sockets, found.file_systems) == ({}, {}, {})
    assert found.uid == 0
    assert found.parent is None
    assert found.limits is not None


@pytest.mark.needs_root
def test_of_another_users_process_root_sees_everything(reaper: Reaper) -> None:
    child = reaper.start(["sleep", "1000"], user=65534, group=65534, extra_groups=[], cwd="/")

    found = facts_of(child.pid)

    assert found.uid == 65534
    assert found.person is not None
    assert found.person.name == "nobody"
    assert found.descriptors is not None
    assert found.executable is not None


def test_a_kernel_thread_has_no_facts() -> None:
    machine = Machine()
    thread = next((one for one in machine.processes.values() if one.is_kernel_thread and one.pid == 2), None)
    if thread is None:
        return  # in a pid namespace of its own there is none to be seen

    assert read(thread.pid, machine, Services()) is None


# What it has


def test_a_deleted_directory_is_told(reaper: Reaper, tmp_path: Path) -> None:
    place = tmp_path / "gone"
    place.mkdir()
    child = python(reaper, "", cwd=place)
    place.rmdir()

    found = facts_of(child.pid)

    assert found.directory is not None
    assert (found.directory.path, found.directory.is_deleted) == (str(place), True)
    assert found.directory_mount is None


def test_a_deleted_program_is_told_by_its_former_name(reaper: Reaper, tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(Path("/bin/sleep").read_bytes())
    program.chmod(0o755)
    child = reaper.start([program, "1000"])
    program.unlink()

    found = facts_of(child.pid).executable

    assert found is not None
    assert (found.path, found.is_deleted, found.changeable_in) == (str(program), True, None)


def test_a_program_that_has_lost_one_of_its_names_is_deleted(reaper: Reaper, tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(Path("/bin/sleep").read_bytes())
    program.chmod(0o755)
    child = reaper.start([program, "1000"])
    os.link(program, tmp_path / "other")
    program.unlink()

    found = facts_of(child.pid).executable

    assert found is not None
    assert (found.path, found.is_deleted) == (str(program), True)


def test_a_program_that_others_can_exchange_is_told(reaper: Reaper, tmp_path: Path) -> None:
    place = tmp_path / "open"
    place.mkdir()
    program = place / "program"
    program.write_bytes(Path("/bin/sleep").read_bytes())
    program.chmod(0o755)
    child = reaper.start([program, "1000"])
    safe = facts_of(child.pid).executable
    place.chmod(0o777)

    found = facts_of(child.pid).executable

    assert safe is not None
    assert found is not None
    assert safe.changeable_in is None
    assert found.changeable_in == str(place)


def test_the_script_of_an_interpreter_is_told(reaper: Reaper, tmp_path: Path) -> None:
    script = tmp_path / "server.py"
    script.write_text("import os\nos.write(1, b'!')\nos.read(0, 1)\n")
    script.chmod(0o646)
    child = reaper.start(
        [sys.executable, "-I", "server.py"], cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    assert child.stdout.read(1) == "!"

    facts = facts_of(child.pid)

    assert facts.script is not None
    found = (facts.script.path, facts.script.mode & 0o777, facts.script.uid)
    assert (found, facts.is_script_hidden) == ((str(script), 0o646, os.geteuid()), False)


def test_a_script_that_is_not_where_its_name_leads_is_hidden(reaper: Reaper, tmp_path: Path) -> None:
    (tmp_path / "server").write_text("import os\nos.chdir('/')\nos.write(1, b'!')\nos.read(0, 1)\n")
    child = reaper.start([sys.executable, "server"], cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.read(1) == "!"

    found = facts_of(child.pid)

    assert (found.script, found.is_script_hidden) == (None, True)


def test_without_a_script_none_is_hidden(reaper: Reaper) -> None:
    assert not facts_of(python(reaper, "").pid).is_script_hidden


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (("/usr/bin/python3", "-u", "/opt/a.py", "x"), "/opt/a.py"),
        (("python3.11", "a.py"), "a.py"),
        (("python3", "-m", "http.server"), None),
        (("sh", "-c", "./a.sh"), None),
        (("perl", "-w", "./a"), "./a"),
        (("python3", "server", "x.py"), "server"),
        (("python3", "-I", "-S", "-c", "pass", "/x"), None),
        (("python3", "-IS", "-OO", "-W", "ignore", "-Xdev", "/opt/a"), "/opt/a"),
        (("python3", "-Ic", "pass"), None),
        (("python3", "--", "a"), "a"),
        (("python3", "-"), None),
        (("python3", "--check-hash-based-pycs", "never", "a.py"), ""),
        (("bash", "-eo", "pipefail", "-x", "run"), "run"),
        (("perl", "-e", "sleep", "/x"), None),
        (("perl", "-I", "lib", "/x"), ""),
        (("java", "-Xmx1g", "-Da=b", "-jar", "/opt/x.jar"), "/opt/x.jar"),
        (("java", "-cp", "/opt/lib", "Main"), ""),
        (("python3",), None),
        (("/usr/sbin/sshd", "/etc/x"), None),
        ((), None),
    ],
)
def test_a_script_is_found_in_a_command(command: tuple[str, ...], expected: str | None) -> None:
    assert script_of(command) == expected


@given(st.lists(st.text(max_size=10)).map(tuple))
def test_any_command_has_a_script_or_none(command: tuple[str, ...]) -> None:
    assert script_of(command) in (None, "", *command)
    assert script_of(("python3", *command)) in (None, "", *command)


def test_files_that_others_may_write_are_told(reaper: Reaper, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    script = f"os.umask(0); open('made', 'w').close(); x = open({str(tmp_path / 'elsewhere/opened')!r}, 'w')"
    (tmp_path / "cwd").mkdir()
    child = python(reaper, script, cwd=tmp_path / "cwd")

    assert facts_of(child.pid).exposed == tuple(sorted(["made", str(tmp_path / "elsewhere/opened")]))


def test_with_a_safe_umask_no_files_are_looked_for(reaper: Reaper, tmp_path: Path) -> None:
    child = python(reaper, "os.umask(0); open('made', 'w').close(); os.umask(0o022)", cwd=tmp_path)

    assert facts_of(child.pid).exposed == ()


def test_pipes_and_sockets_are_told_by_inode(reaper: Reaper, tmp_path: Path) -> None:
    script = "s = socket.create_server(('127.0.0.1', 0)); p = os.pipe()"
    child = python(reaper, script)

    found = facts_of(child.pid)

    assert found.descriptors is not None
    (listening,) = found.listening()
    assert (listening.family, listening.address, listening.is_listening) == ("tcp", "127.0.0.1", True)
    ends = [one for one in found.descriptors.values() if one.is_pipe]
    assert {one.inode for one in ends} == set(found.pipes)
    assert child.stdin is not None
    from_here = found.ends_of(found.descriptors[0])
    assert from_here is not None
    assert from_here.writers == {os.getpid()}
    assert from_here.readers == frozenset()
    own = [found.ends_of(one) for one in ends if one.number > 2]
    assert [(one.readers, one.writers) for one in own if one] == [(frozenset(), frozenset())] * 2
    with socket.socket() as other:
        assert os.fstat(other.fileno()).st_ino not in found.sockets


def test_in_the_same_network_no_socket_is_hidden(reaper: Reaper) -> None:
    script = (
        "s = [socket.socket(), socket.socket(socket.AF_UNIX), socket.socket(type=socket.SOCK_DGRAM)]\n"
        "s += [socket.socket(socket.AF_NETLINK, socket.SOCK_RAW), *socket.socketpair()]"
    )
    found = facts_of(python(reaper, script).pid)

    assert (found.foreign_sockets, found.hidden_sockets) == (frozenset(), 0)


@pytest.mark.needs_root
def test_a_socket_that_was_given_into_another_network_is_told(reaper: Reaper) -> None:
    script = "n = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW); n.bind((0, 0)); u = socket.socket(socket.AF_UNIX)"
    text = f"{PRELUDE}{script}\nos.write(1, b'!')\nos.read(0, 1)"
    with socket.create_server(("127.0.0.1", 0)) as given, socket.socket() as unbound:
        child = reaper.start(
            ["unshare", "--net", sys.executable, "-c", text],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=[given.fileno(), unbound.fileno()],
        )
        inode = os.fstat(given.fileno()).st_ino
    assert child.stdout is not None
    assert child.stdout.read(1) == "!"

    found = facts_of(child.pid)

    assert [one.inode for one in found.listening()] == [inode]
    assert (found.foreign_sockets, found.hidden_sockets) == (frozenset({inode}), 1)


def test_inodes_are_told_by_the_title_of_their_column() -> None:
    netlink = b"sk               Eth Pid        Groups   Inode\n000000006b0ef391 0   0          00000000 4\nx\n"
    raw = (
        b"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref\n"
        b"   1: 00000000:0001 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 77 2\n"
    )

    assert [sorted(parse_inodes(text)) for text in (netlink, raw, b"")] == [[4], [77], []]


@given(st.binary())
def test_any_bytes_tell_inodes(text: bytes) -> None:
    assert all(one >= 0 for one in parse_inodes(b"Inode\n" + text))


def test_signals_that_every_thread_blocks_are_told(reaper: Reaper) -> None:
    script = (
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])\n"
        "threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()"
    )
    child = python(reaper, script)

    assert facts_of(child.pid).blocked_everywhere == {signal.SIGTERM}


def test_what_is_given_is_kept() -> None:
    pidfile = Pidfile(path="/run/x.pid", content="1", mode=0o644, uid=0)

    found = facts_of(os.getpid(), pidfiles=[pidfile], demanded=0.5)

    assert (found.pidfiles, found.demand) == ((pidfile,), 0.5)


# Who keeps it


def test_a_process_that_systemd_started_is_new_style_by_its_own_pid(reaper: Reaper) -> None:
    own = reaper.start(["sh", "-c", "SYSTEMD_EXEC_PID=$$ exec sleep 1000"])
    wait_for(lambda: observe.look(own.pid).comm == "sleep", 30, "the exec of sleep")
    other = reaper.start(["sleep", "1000"], env=environment({"SYSTEMD_EXEC_PID": "1"}))

    assert "SYSTEMD_EXEC_PID" in facts_of(own.pid).new_style
    assert facts_of(other.pid).new_style == ""
    assert facts_of(other.pid).is_style_known


def test_a_process_that_numen_keeps_is_known(reaper: Reaper) -> None:
    child = reaper.start(["sleep", "1000"], env=environment({"NUMEN_INVOCATION": "1"}))

    found = facts_of(child.pid)

    assert (found.keeper.kind, found.boot.kind) == ("numen", "numen")
    assert found.new_style


@pytest.mark.needs_root
def test_a_process_in_namespaces_of_its_own_is_told(reaper: Reaper) -> None:
    command = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "sleep", "1000"]
    launcher = reaper.start(command)
    wait_for(lambda: observe.children(launcher.pid), 30, "the start in the namespaces")
    (child,) = observe.children(launcher.pid)
    wait_for(lambda: observe.look(child).comm == "sleep", 30, "the exec of sleep")

    found = facts_of(child)

    assert set(found.namespaces) == {"pid", "mnt", "net"}
    assert found.status.pids[-1] == 1
    assert found.keeper.kind == "container"
    assert found.executable is not None
    assert found.executable.changeable_in is None


@pytest.mark.needs_root
def test_a_program_that_only_its_own_namespace_has_is_not_looked_for_here(reaper: Reaper, tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    script = 'mount -t tmpfs none "$1" && mkdir "$1/bin" && cp /bin/sleep "$1/bin/server" && exec "$1/bin/server" 1000'
    child = reaper.start(["unshare", "--mount", "sh", "-c", script, "sh", place])
    wait_for(lambda: observe.look(child.pid).comm == "server", 30, "the exec of the server")

    found = facts_of(child.pid).executable

    assert found is not None
    assert found.path == str(place / "bin/server")
    assert not (place / "bin").exists()
    assert found.changeable_in is None


@pytest.mark.needs_root
def test_a_directory_outside_the_root_directory_is_told(reaper: Reaper, tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    outside = python(reaper, f"os.chdir('/'); os.chroot({str(tmp_path / 'root')!r})")
    inside = python(reaper, f"os.chroot({str(tmp_path / 'root')!r}); os.chdir('/')")

    assert facts_of(outside.pid).is_outside_root
    assert facts_of(outside.pid).root == str(tmp_path / "root")
    assert not facts_of(inside.pid).is_outside_root
    mount, seen = mounts.mount_of(str(tmp_path / "root")), facts_of(inside.pid).directory_mount
    assert mount is not None
    assert seen is not None
    assert seen.point == mount.point


def test_a_way_that_does_not_lead_on_is_named_as_the_process_names_it(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)

    assert untrusted_part("/no/such/program", root=str(tmp_path)) == "/no"


# Variables


def test_the_names_of_variables_are_kept_and_no_value() -> None:
    assert parse_variables(recorded_proc.ENVIRON) == {"PATH", "API_TOKEN", "NAME"}


@pytest.mark.fuzz
@given(st.binary() | recorded_proc.mutations("environ"))
def test_any_bytes_are_variables(text: bytes) -> None:
    names = parse_variables(text)

    assert all(os.fsencode(name) + b"=" in text for name in names)


@pytest.mark.fuzz
@given(recorded_proc.mutations("mountinfo"), st.text("/ab", max_size=6))
def test_a_path_stands_on_a_mount_or_on_none_whatever_is_told(text: bytes, path: str) -> None:
    mount = mounts.mount_over(f"/{path}", mounts.parse_mountinfo(text))

    assert mount is None or f"/{path}".startswith(mount.point)


def test_the_recorded_mounts_are_understood() -> None:
    told = mounts.parse_mountinfo(recorded_proc.MOUNTINFO)
    expected = {
        "/etc": ("/", "ext4", "254:1"),
        "/mnt/two words/x": ("/mnt/two words", "nfs4", "0:35"),
        "/media/stick": ("/media/stick", "vfat", "8:17"),
        "/home/abc": ("/", "ext4", "254:1"),
        "/home/a/b": ("/home/a", "fuse.sshfs", "0:36"),
    }

    over = {path: mounts.mount_over(path, told) for path in expected}

    assert {path: (one.point, one.kind, one.device) for path, one in over.items() if one} == expected
    assert status.parse_status(recorded_proc.MOUNTINFO) is None
