"""Who started the process is told by evidence, and what follows from it can be overridden."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import observe
from daemons import begin_script, pid_in, run_script, said_in, start_daemon, wait_until_said
from numen.become import evidence
from processes import Reaper

SERVING = """
with numen.DaemonContext(pidfile="pid"{options}) as daemon:
    say("pid", os.getpid(), "parent", os.getppid())
    daemon.ready("connected")
    daemon.ready("busy")
    rest()
"""

WITH_OWN_PID = ("sh", "-c", 'export "$1=$$"; shift; exec "$@"', "sh")
"""Sets the variable that is named next to the pid of the program which comes after."""


class Manager:
    """A service manager, as far as it is a socket to which daemons tell how they are."""

    def __init__(self, path: Path) -> None:
        self.address = str(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.address)
        self._socket.settimeout(30)

    def hear(self) -> list[str]:
        """The lines of the next message."""
        return self._socket.recv(4096).decode().split("\n")

    def close(self) -> None:
        """Hear no more."""
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    with closing(Manager(tmp_path / "notify")) as manager:
        yield manager


def is_the_daemon(process: subprocess.Popen[str], directory: Path) -> bool:
    """Whether that very process is the daemon, once it has said who is."""
    wait_until_said(directory, f"pid {process.pid} parent {os.getpid()}")
    return pid_in(directory / "pid") == process.pid


def test_nothing_is_evidence_for_a_process_that_a_person_started(tmp_path: Path) -> None:
    script = "from numen.become import evidence; print(evidence.why_not_detach(), evidence.listen_descriptors())"
    hints = {"INVOCATION_ID": "0" * 32, "SYSTEMD_EXEC_PID": "1", "LISTEN_PID": "1", "LISTEN_FDS": "1"}
    assert run_script(tmp_path, script, env=hints).stdout == "None []\n"


# A service manager


def test_under_a_service_manager_it_does_not_fork_and_speaks_sd_notify(
    tmp_path: Path, reaper: Reaper, manager: Manager
) -> None:
    process = begin_script(tmp_path, reaper, SERVING.format(options=""), env={"NOTIFY_SOCKET": manager.address})

    assert is_the_daemon(process, tmp_path)
    assert manager.hear() == ["READY=1", "STATUS=connected"]
    assert manager.hear() == ["STATUS=busy"]
    daemon = observe.look(process.pid)
    assert (daemon.cwd, daemon.umask) == ("/", 0o022)
    assert daemon.descriptors[2].target.startswith("pipe:"), "its output goes on to whoever started it"

    process.terminate()

    assert manager.hear() == ["STOPPING=1"]
    assert process.wait(30) == 0
    assert not (tmp_path / "pid").exists()


def test_what_goes_wrong_under_a_service_manager_is_told_where_its_output_goes(
    tmp_path: Path, manager: Manager
) -> None:
    script = """
        with numen.DaemonContext(pidfile="pid"):
            raise LookupError("lost")
    """
    done = run_script(tmp_path, script, env={"NOTIFY_SOCKET": manager.address})
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback")
    assert done.stderr.endswith("LookupError: lost\n")
    assert not (tmp_path / "pid").exists()


def test_systemd_is_known_by_the_pid_that_it_names(tmp_path: Path, reaper: Reaper) -> None:
    before = (*WITH_OWN_PID, "SYSTEMD_EXEC_PID")
    process = begin_script(tmp_path, reaper, SERVING.format(options=""), before=before)
    assert is_the_daemon(process, tmp_path)
    process.terminate()
    assert process.wait(30) == 0


def test_sockets_that_were_handed_over_are_kept(tmp_path: Path, reaper: Reaper) -> None:
    script = """
        import socket
        from numen.become import evidence
        with numen.DaemonContext(pidfile="pid") as daemon:
            say("pid", os.getpid(), "parent", os.getppid())
            daemon.ready()
            with socket.socket(fileno=evidence.listen_descriptors()[0]) as listening:
                listening.accept()[0].sendall(b"served")
    """
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = listening.getsockname()
        # sd_listen_fds(3) begins at 3; the shell moves it there.
        number = listening.fileno()
        handing_over = f'exec 3<&{number}; export "$1=$$" LISTEN_FDS=1; shift; exec "$@"'
        before = ("bash", "-c", handing_over, "bash", "LISTEN_PID")
        process = begin_script(tmp_path, reaper, script, before=before, pass_fds=[number])
    assert is_the_daemon(process, tmp_path)
    with socket.create_connection(address, timeout=30) as connection:
        assert connection.recv(100) == b"served"
    assert process.wait(30) == 0


def test_sockets_that_were_handed_over_are_kept_by_a_daemon_that_detaches_all_the_same(
    tmp_path: Path, reaper: Reaper
) -> None:
    script = """
        import socket
        from numen.become import evidence
        with numen.DaemonContext(pidfile="pid", stderr="err", detach=True) as daemon:
            daemon.ready()
            say(*evidence.listen_descriptors(), os.environ["LISTEN_FDNAMES"])
            with socket.socket(fileno=3) as listening:
                listening.accept()[0].sendall(b"served")
    """
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = listening.getsockname()
        number = listening.fileno()
        handing_over = f'exec 3<&{number}; export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=web; exec "$@"'
        before = ("bash", "-c", handing_over, "bash")
        daemon = start_daemon(tmp_path, reaper, script, before=before, pass_fds=[number])
    with socket.create_connection(address, timeout=30) as connection:
        assert connection.recv(100) == b"served"
    assert daemon.wait() == 0
    assert said_in(tmp_path) == ["3 web"]


@pytest.mark.parametrize(
    ("count", "expected"), [("2", [3, 4]), ("0", []), ("", []), ("many", []), ("-1", []), ("²", []), (None, [])]
)
def test_the_sockets_are_those_that_the_variables_count(
    count: str | None, expected: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    if count is not None:
        monkeypatch.setenv("LISTEN_FDS", count)
    assert evidence.listen_descriptors() == expected
    monkeypatch.setenv("LISTEN_PID", str(os.getppid()))
    assert evidence.listen_descriptors() == []


# inetd


def test_inetds_connection_is_kept_and_errors_are_not_sent_to_the_network(
    tmp_path: Path, reaper: Reaper, numen_home: Path
) -> None:
    script = """
        from numen.become import streams
        streams.JOURNAL_STREAM = "/nowhere"
        with numen.DaemonContext(pidfile="pid") as daemon:
            say("pid", os.getpid(), "parent", os.getppid())
            daemon.ready()
            print("you said", sys.stdin.readline().strip(), flush=True)
            print("for the log", file=sys.stderr)
    """
    with socket.create_server(("127.0.0.1", 0)) as listening:
        client = socket.create_connection(listening.getsockname(), timeout=30)
        accepted, _ = listening.accept()
    with client, accepted:
        process = begin_script(tmp_path, reaper, script, stdin=accepted, stdout=accepted, stderr=accepted)
        accepted.close()
        assert is_the_daemon(process, tmp_path)
        client.sendall(b"hello\n")
        with client.makefile() as answers:
            assert answers.read() == "you said hello\n"
    assert process.wait(30) == 0
    assert (numen_home / "log/program.log").read_text() == "for the log\n"


@pytest.mark.parametrize("family", [socket.AF_UNIX, socket.AF_INET, socket.AF_INET6])
def test_a_socket_that_listens_is_inetds_too(tmp_path: Path, family: socket.AddressFamily) -> None:
    script = "from numen.become import evidence; print(evidence.is_started_by_inetd())"
    with socket.socket(family) as listening:
        if family == socket.AF_UNIX:
            listening.bind(str(tmp_path / "socket"))
        listening.listen()
        assert run_script(tmp_path, script, stdin=listening).stdout == "True\n"


def test_a_pair_of_sockets_is_what_sshd_gives_and_no_sign_of_inetd(tmp_path: Path, reaper: Reaper) -> None:
    ours, theirs = socket.socketpair()
    with ours:
        script = SERVING.format(options=', stderr="err"')
        process = begin_script(tmp_path, reaper, script, stdin=theirs, stdout=theirs, stderr=theirs)
        theirs.close()
        # The end of the connection comes as soon as the launcher has ended: nothing of the daemon holds it.
        ours.settimeout(30)
        assert ours.recv(100) == b""
    assert process.wait(30) == 0
    daemon = reaper.track(pid_in(tmp_path / "pid"))
    assert daemon != process.pid
    assert observe.look(daemon).descriptors[0].target == "/dev/null"


# PID 1


@pytest.mark.needs_root
def test_pid_1_does_not_fork_and_ends_in_order(tmp_path: Path, reaper: Reaper) -> None:
    before = ("unshare", "--pid", "--fork", "--mount-proc")
    process = begin_script(tmp_path, reaper, SERVING.format(options=""), before=before)
    wait_until_said(tmp_path, "pid 1 parent 0")
    assert (tmp_path / "pid").read_text() == "1\n"
    (init,) = observe.children(process.pid)
    os.kill(init, signal.SIGTERM)
    assert process.wait(30) == 0
    assert not (tmp_path / "pid").exists()


@pytest.mark.needs_root
def test_that_the_parent_is_pid_1_proves_nothing(tmp_path: Path) -> None:
    script = """
        say("parent", os.getppid())
        with numen.DaemonContext(pidfile="pid", stderr="err", ready="open"):
            rest()
    """
    # The shell is PID 1, and stays because something follows.
    as_pid_1 = '"$@"; echo "launcher ended with $?"; test -s pid && kill -0 "$(cat pid)" && echo daemon runs'
    before = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", as_pid_1, "sh")
    done = run_script(tmp_path, script, before=before)
    assert said_in(tmp_path) == ["parent 1"]
    assert done.stdout == "launcher ended with 0\ndaemon runs\n", done.stderr


# The override


def test_it_detaches_from_a_service_manager_where_that_is_asked_for(
    tmp_path: Path, reaper: Reaper, manager: Manager
) -> None:
    script = SERVING.format(options=', stderr="err", detach=True')
    launcher = begin_script(tmp_path, reaper, script, env={"NOTIFY_SOCKET": manager.address})
    assert launcher.wait(30) == 0
    daemon = reaper.track(pid_in(tmp_path / "pid"))
    assert daemon != launcher.pid
    assert observe.look(daemon).cwd == "/"


def test_it_stays_in_the_foreground_where_that_is_asked_for(tmp_path: Path, reaper: Reaper) -> None:
    process = begin_script(tmp_path, reaper, SERVING.format(options=", detach=False"))
    assert is_the_daemon(process, tmp_path)
    process.terminate()
    assert process.wait(30) == 0


def test_descriptors_are_closed_in_the_foreground_too(tmp_path: Path, reaper: Reaper) -> None:
    script = """
        reader, writer = os.pipe()
        with numen.DaemonContext(detach=False, keep=[writer]) as daemon:
            say(*(number for number in (reader, writer) if os.path.exists(f"/proc/self/fd/{number}")), "of", writer)
    """
    assert run_script(tmp_path, script).returncode == 0
    kept, _, writer = said_in(tmp_path)[0].split()
    assert kept == writer


# What forbids a fork


def test_one_thread_and_no_loop_may_be_forked(tmp_path: Path) -> None:
    script = "from numen.become import evidence; print(evidence.why_not_fork())"
    assert run_script(tmp_path, script).stdout == "None\n"


def test_a_thread_that_has_ended_does_not_matter(tmp_path: Path) -> None:
    script = """
        from numen.become import evidence
        thread = threading.Thread(target=time.sleep, args=(0,))
        thread.start()
        thread.join()
        print(evidence.why_not_fork())
    """
    assert run_script(tmp_path, script).stdout == "None\n"
