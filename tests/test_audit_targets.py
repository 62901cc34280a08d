"""Whom an audit is of: by pid, name, pidfile, unit and port, and what the daemons of a machine are."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import detaching
from detaching import DEADLINE, SLEEPER, python, wait_for_file
from numen.check import targets
from numen.errors import BadOption, NotRunning, Unusable
from numen.kernel import proc
from processes import Reaper, Terminal, wait_for


def is_alone(pid: int) -> bool:
    return pid in targets.daemons()


# One process


def test_a_number_is_a_pid(reaper: Reaper) -> None:
    pid = detaching.start(reaper, "--", *SLEEPER)

    assert targets.by_word(str(pid)) == targets.Target(pid=pid)


def test_a_thread_s_number_means_its_process(reaper: Reaper, tmp_path: Path) -> None:
    snippet = """
        import pathlib, sys, threading
        def work():
            pathlib.Path(sys.argv[1]).write_text(f"{threading.get_native_id()} ")
            threading.Event().wait()
        threading.Thread(target=work).start()
    """
    pid = reaper.start(python(snippet, tmp_path / "thread")).pid
    thread = int(wait_for_file(tmp_path / "thread", lambda text: text.endswith(" ")))

    assert thread != pid
    assert targets.by_pid(thread).pid == pid


def test_every_thread_of_the_kernel_is_refused() -> None:
    for pid in (one.pid for one in proc.processes().values() if one.is_kernel_thread):
        with pytest.raises(NotRunning, match="a thread of the kernel"):
            targets.by_pid(pid)


def test_a_name_is_that_of_an_instance_and_its_pidfile_is_known(reaper: Reaper) -> None:
    pid = detaching.start(reaper, "--name", "web", "--", *SLEEPER)

    assert targets.by_word("web") == targets.Target(pid=pid, pidfile=str(detaching.named("web")))


def test_a_name_of_nobody_is_not_running(numen_home: Path) -> None:
    with pytest.raises(NotRunning, match="no daemon of that name runs"):
        targets.by_word("web")


def test_a_name_that_can_be_none_is_a_bad_option(numen_home: Path) -> None:
    with pytest.raises(BadOption):
        targets.by_word("..")


def test_a_pidfile_of_any_program_will_do(reaper: Reaper, tmp_path: Path) -> None:
    pid = reaper.start(SLEEPER).pid
    path = tmp_path / "other.pid"
    path.write_text(f"{pid}\n")

    assert targets.by_pidfile(str(path)) == targets.Target(pid=pid, pidfile=str(path))


@pytest.mark.parametrize("text", ["", "none\n", f"{2**22 - 1}\n"])
def test_a_pidfile_that_names_nobody_is_not_running(tmp_path: Path, text: str) -> None:
    path = tmp_path / "other.pid"
    path.write_text(text)

    with pytest.raises(NotRunning):
        targets.by_pidfile(str(path))


def test_a_pidfile_whose_number_another_process_has_by_now_is_not_running(reaper: Reaper) -> None:
    detaching.start(reaper, "--name", "web", "--", *SLEEPER)
    path, record = detaching.named("web"), detaching.named("web").with_name(".web.pid.instance")
    record.write_text(re.sub(r"^start_time .*$", "start_time 1", record.read_text(), flags=re.M))

    with pytest.raises(NotRunning, match="no running daemon"):
        targets.by_pidfile(str(path))


def test_a_missing_pidfile_is_unusable(tmp_path: Path) -> None:
    with pytest.raises(Unusable):
        targets.by_pidfile(str(tmp_path / "none.pid"))


# A unit


@pytest.fixture
def groups(tmp_path: Path) -> Path:
    """A tree as that of control groups, which the suite may not make everywhere."""
    (tmp_path / "cgroup/system.slice/web.service/workers").mkdir(parents=True)
    (tmp_path / "cgroup/system.slice/web.service/cgroup.procs").write_text("")
    return tmp_path / "cgroup"


def test_a_unit_s_main_process_is_the_oldest_that_came_from_outside(groups: Path, reaper: Reaper) -> None:
    main = reaper.start(["sh", "-c", "sleep 1000 & wait"]).pid
    children = wait_for(lambda: proc.descendants(main), DEADLINE, "the shell's child")
    other = reaper.start(SLEEPER).pid
    unit = groups / "system.slice/web.service"
    (unit / "cgroup.procs").write_text(f"{other}\n0\n")
    (unit / "workers/cgroup.procs").write_text("".join(f"{pid}\n" for pid in (*children, main)))

    assert targets.by_unit("web", str(groups)).pid == main
    assert targets.by_unit("web.service", str(groups)).pid == main


def test_a_unit_without_a_process_is_not_running(groups: Path) -> None:
    with pytest.raises(NotRunning, match=r"web\.service"):
        targets.by_unit("web", str(groups))


def test_an_unknown_unit_is_unusable(groups: Path) -> None:
    with pytest.raises(Unusable, match=r"mail\.service"):
        targets.by_unit("mail", str(groups))


# A port


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM], ids=["tcp", "udp"])
def test_a_port_is_its_listener_s_the_topmost_one_s(reaper: Reaper, kind: socket.SocketKind) -> None:
    snippet = """
        import os, socket, sys
        listener = socket.socket(socket.AF_INET, int(sys.argv[1]))
        listener.bind(("127.0.0.1", 0))
        if listener.type == socket.SOCK_STREAM:
            listener.listen()
        os.fork()
        print(listener.getsockname()[1], flush=True)
        sys.stdin.read()
    """
    arguments = python(snippet, str(int(kind)))
    server = reaper.start(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert server.stdout
    port = int(server.stdout.readline())

    assert targets.by_port(port).pid == server.pid


def test_a_port_on_which_nobody_listens_is_not_running() -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        with pytest.raises(NotRunning, match="nothing listens there"):
            targets.by_port(unheard.getsockname()[1])


# All of them


def test_a_detached_process_is_a_daemon(reaper: Reaper) -> None:
    assert is_alone(detaching.start(reaper, "--", *SLEEPER))


def test_who_forked_once_is_a_daemon(reaper: Reaper) -> None:
    assert is_alone(reaper.start(SLEEPER, start_new_session=True).pid)


def test_workers_and_jobs_of_a_daemon_are_left_out(reaper: Reaper) -> None:
    script = "sleep 1000 & setsid --wait sleep 1001 & wait"
    pid = detaching.start(reaper, "--", "sh", "-c", script)
    wait_for(lambda: len(sleepers_below(pid)) == 2, DEADLINE, "both sleepers")

    daemons = targets.daemons()
    assert pid in daemons
    assert set(proc.descendants(pid)).isdisjoint(daemons)


def sleepers_below(pid: int) -> list[int]:
    return [one.pid for one in proc.descendants(pid).values() if one.comm == "sleep"]


def test_who_was_started_by_a_daemon_and_forked_twice_is_one_itself(reaper: Reaper, tmp_path: Path) -> None:
    keeper = """
        import ctypes, subprocess, sys
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
        subprocess.run(["setsid", "sh", "-c", "sleep 1000 & echo $! >" + sys.argv[1]])
        sys.stdin.read()
    """
    path = tmp_path / "pid"
    argv = python(keeper, path)
    parent = reaper.start(argv, stdin=subprocess.PIPE, start_new_session=True).pid
    pid = int(wait_for_file(path, lambda text: text.endswith("\n")))
    wait_for(lambda: (one := proc.stat(pid)) and one.parent == parent, DEADLINE, "the adoption")
    wait_for(lambda: is_alone(pid), DEADLINE, "the session's leader to be reaped")


@pytest.fixture
def job(reaper: Reaper) -> int:
    """A process in the session of its launcher."""
    return reaper.start(SLEEPER).pid


def test_a_job_a_zombie_and_who_audits_are_no_daemons(job: int, reaper: Reaper) -> None:
    dead = reaper.start(["true"], start_new_session=True).pid
    wait_for(lambda: (one := proc.stat(dead)) and one.state == "Z", DEADLINE, "the zombie")

    assert {job, dead, os.getpid(), os.getppid()}.isdisjoint(targets.daemons())


def test_who_has_a_terminal_is_no_daemon() -> None:
    snippet = "import sys; print('up', flush=True); sys.stdin.read()"
    with Terminal([sys.executable, "-c", snippet]) as terminal:
        terminal.read_until("up")
        assert not is_alone(terminal.process.pid)
