"""Readiness: the launcher returns with the truth, by each kind, and leaves nothing behind of what failed."""

import errno
import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import observe
from detaching import (
    DEADLINE,
    SLEEPER,
    ask_json,
    assert_nothing_is_left,
    named,
    python,
    refused,
    start,
    start_and_tell,
    wait_for_file,
)
from numen.become import listener as listening
from numen.become import readiness
from numen.errors import BadOption
from processes import Reaper, environment, numen_command, run_numen, wait_for

TELL = """
import os, signal, socket, subprocess, sys, time
def tell(text, descriptors=()):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
        one.connect(os.environ["NOTIFY_SOCKET"].replace("@", "\\0", 1))
        socket.send_fds(one, [text.encode()], descriptors)
def touch(path, text="."):
    with open(path + ".new", "w") as file: file.write(text)
    os.rename(path + ".new", path)
def wait_for(path):
    while not os.path.exists(path): time.sleep(0.001)
def rest():
    while True: signal.pause()
"""


def notifier(snippet: str, *arguments: str | Path) -> list[str]:
    """A program that speaks sd_notify(3) without numen's help."""
    return python(TELL + snippet, *arguments)


def launcher(reaper: Reaper, *arguments: str | Path) -> "subprocess.Popen[str]":
    """A launcher that is still at work."""
    command = [numen_command(), "detach", *arguments]
    return reaper.start(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment())


def succeed(reaper: Reaper, waiting: "subprocess.Popen[str]") -> dict[str, Any]:
    """What a launcher tells of the daemon that is up, which the reaper will end."""
    out, errors = waiting.communicate(timeout=DEADLINE)
    assert waiting.returncode == 0, errors
    told: dict[str, Any] = json.loads(out)
    reaper.track(told["pid"])
    return told


# What is asked for


@pytest.mark.parametrize("text", ["exec", "notify", "exit"])
def test_a_kind_is_known_by_its_name(text: str) -> None:
    assert readiness.parse(text) == readiness.Kind(name=text)


def test_a_descriptor_is_known_by_its_number() -> None:
    assert readiness.parse("fd:7") == readiness.Kind(name="fd", descriptor=7)


@pytest.mark.fuzz
@given(st.text() | st.text("fd:0123456789-").map("fd:".__add__))
def test_any_text_is_a_kind_or_refused(text: str) -> None:
    try:
        kind = readiness.parse(text)
    except BadOption:
        return
    assert kind.name in ("exec", "notify", "exit") or (kind.name == "fd" and kind.descriptor > 2)


# exec


def test_exec_means_that_the_program_runs_and_nothing_else_does(reaper: Reaper) -> None:
    pid = start(reaper, "--ready", "exec", "--", *SLEEPER)

    assert observe.look(pid).cmdline == SLEEPER
    assert set(observe.children(os.getpid())) == {pid}


# notify


def test_notify_waits_until_the_program_says_ready(reaper: Reaper, tmp_path: Path) -> None:
    waiting = launcher(
        reaper,
        "--ready=notify",
        "--json",
        "--",
        *notifier(
            "touch(sys.argv[1]); wait_for(sys.argv[2]); tell('READY=1'); rest()", tmp_path / "up", tmp_path / "go"
        ),
    )
    wait_for(lambda: (tmp_path / "up").exists(), DEADLINE, "the program's first act")
    assert waiting.poll() is None

    (tmp_path / "go").touch()

    assert succeed(reaper, waiting)["by"] == "it sent READY=1"


def test_the_state_that_it_told_is_shown(reaper: Reaper) -> None:
    told = start_and_tell(
        reaper, "--ready=notify", "--", *notifier("tell('STATUS=warming up'); tell('STATUS=at work\\nREADY=1'); rest()")
    )

    assert told["status"] == "at work"


def test_a_grandchild_may_speak_for_the_daemon(reaper: Reaper) -> None:
    snippet = """
    if os.fork() == 0:
        if os.fork() == 0:
            os.setsid()
            tell('READY=1')
        os._exit(0)
    rest()
    """

    pid = start(reaper, "--ready=notify", "--", *notifier(snippet.replace("\n    ", "\n")))

    assert not observe.is_zombie_or_gone(pid)


def test_a_foreign_process_cannot_make_it_ready_nor_make_it_fail(reaper: Reaper, tmp_path: Path) -> None:
    program = notifier(
        "touch(sys.argv[1], os.environ['NOTIFY_SOCKET']); wait_for(sys.argv[2]); tell('READY=1'); rest()",
        tmp_path / "address",
        tmp_path / "go",
    )
    waiting = launcher(reaper, "--ready=notify", "--json", "--", *program)
    address = wait_for_file(tmp_path / "address")

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as foreign:
        foreign.connect(address.replace("@", "\0", 1))
        for text in (b"READY=1\nSTATUS=false", b"ERRNO=5", b"MAINPID=1", b"EXTEND_TIMEOUT_USEC=0"):
            foreign.send(text)
        # The launcher closes its end of a barrier when it has read all before it, whoever sends it.
        reader, writer = os.pipe()
        socket.send_fds(foreign, [b"BARRIER=1"], [writer])
        os.close(writer)
        assert os.read(reader, 1) == b""
        os.close(reader)
    assert waiting.poll() is None

    (tmp_path / "go").touch()
    assert succeed(reaper, waiting)["status"] == ""


def test_a_barrier_is_passed_when_all_before_it_has_been_read(reaper: Reaper, tmp_path: Path) -> None:
    snippet = """
reader, writer = os.pipe()
tell('STATUS=before')
tell('BARRIER=1', [writer])
os.close(writer)
touch(sys.argv[1], repr(os.read(reader, 1)))
tell('READY=1')
rest()
"""
    start(reaper, "--ready=notify", "--", *notifier(snippet, tmp_path / "passed"))

    assert (tmp_path / "passed").read_text() == "b''"


def test_numens_own_barrier_is_passed_too(reaper: Reaper, tmp_path: Path) -> None:
    snippet = """
import os, signal, sys
from numen import notify
with open(sys.argv[1], "w") as file: file.write(str(notify.barrier()))
notify.ready("fine")
signal.pause()
"""
    told = start_and_tell(reaper, "--ready=notify", "--", python("")[0], "-c", snippet, tmp_path / "passed")

    assert (tmp_path / "passed").read_text() == "True"
    assert told["status"] == "fine"


def test_a_barrier_behind_ready_is_passed_though_the_launcher_has_gone(reaper: Reaper, tmp_path: Path) -> None:
    # As systemd-notify(1) does it: from a process of its own, each message on a socket of its own.
    snippet = """
if os.fork() == 0:
    tell('READY=1')
    if sys.argv[2]: wait_for(sys.argv[2])
    reader, writer = os.pipe()
    try:
        tell('BARRIER=1', [writer])
        os.close(writer)
        passed = repr(os.read(reader, 1))
    except OSError as error:
        passed = repr(error)
    touch(sys.argv[1], passed)
    os._exit(0)
rest()
"""
    for number in range(20):
        passed, go = tmp_path / f"passed{number}", tmp_path / f"go{number}"
        # Every second one waits until the launcher has gone.
        start(reaper, "--ready=notify", "--", *notifier(snippet, passed, go if number % 2 else ""))
        go.touch()

        assert wait_for_file(passed) == "b''"


def test_what_listens_on_holds_nothing_of_the_launchers_and_goes_with_the_daemon(
    reaper: Reaper, tmp_path: Path
) -> None:
    reader, writer = os.pipe()
    program = notifier("tell('READY=1'); rest()")
    before = observe.children(os.getpid())
    pid = start(reaper, "--ready=notify", "--name=web", "--", *program, pass_fds=[writer], cwd=tmp_path)
    os.close(writer)

    (lingering,) = observe.children(os.getpid()) - before - {pid}
    seen = observe.look(reaper.track(lingering))

    assert os.read(reader, 1) == b""
    os.close(reader)
    targets = {number: one.target for number, one in seen.descriptors.items()}
    assert [targets.pop(number) for number in (0, 1, 2)] == ["/dev/null"] * 3
    assert [target.partition(":")[0] for target in targets.values() if "pidfd" not in target] == ["socket"]
    assert seen.cwd == "/"
    wait_for(lambda: observe.look(lingering).sid == lingering, DEADLINE, "a session of its own")
    assert run_numen("detach", "--stop", "web").returncode == 0
    observe.wait_until_gone(lingering)


def test_what_listens_on_goes_after_a_while(reaper: Reaper) -> None:
    before = observe.children(os.getpid())
    pid = start(reaper, "--ready=notify", "--", *notifier("tell('READY=1'); rest()"))

    (lingering,) = observe.children(os.getpid()) - before - {pid}
    observe.wait_until_gone(reaper.track(lingering))

    assert not observe.is_zombie_or_gone(pid)


def test_another_process_of_the_family_may_be_named_the_daemon(reaper: Reaper) -> None:
    snippet = """
child = os.fork()
if child == 0: rest()
tell(f'MAINPID={child}')
tell('READY=1')
rest()
"""
    pid = start(reaper, "--ready=notify", "--name", "web", "--", *notifier(snippet))
    parent = reaper.track(observe.look(pid).ppid)

    assert parent != os.getpid()
    assert named("web").read_text() == f"{pid}\n"


def test_who_names_another_daemon_may_end_at_once(reaper: Reaper) -> None:
    snippet = """
child = os.fork()
if child == 0: rest()
tell(f'MAINPID={child}\\nREADY=1')
os._exit(0)
"""
    for _ in range(5):
        pid = start(reaper, "--ready=notify", "--name", "web", "--", *notifier(snippet))

        assert not observe.is_zombie_or_gone(pid)
        assert run_numen("detach", "--stop", "web").returncode == 0


def test_a_process_outside_the_family_cannot_be_named_the_daemon(reaper: Reaper) -> None:
    told = start_and_tell(reaper, "--ready=notify", "--", *notifier("tell('MAINPID=1\\nREADY=1'); rest()"))

    assert told["pid"] != 1


def test_the_time_can_be_extended_from_now_on(reaper: Reaper) -> None:
    late = "time.sleep(1.5)"  # the length is the point: longer than the timeout
    snippet = f"tell('EXTEND_TIMEOUT_USEC=60000000'); {late}; tell('READY=1'); rest()"

    pid = start(reaper, "--ready=notify", "--timeout", "1s", "--", *notifier(snippet))

    assert not observe.is_zombie_or_gone(pid)


@pytest.mark.parametrize(
    "message", ["EXTEND_TIMEOUT_USEC=9999999999999999999", "MAINPID=9999999999999999999", "=\\n\\0", "x" * 5000]
)
def test_odd_messages_do_no_harm(reaper: Reaper, message: str) -> None:
    start(reaper, "--ready=notify", "--", *notifier(f"tell('{message}'); tell('READY=1'); rest()"))


def test_what_it_says_of_itself_cannot_command_the_terminal(reaper: Reaper) -> None:
    told = start_and_tell(reaper, "--ready=notify", "--", *notifier("tell('STATUS=\\x1b[2Jup\\nREADY=1'); rest()"))

    assert told["status"] == "\N{REPLACEMENT CHARACTER}[2Jup"


def test_an_errno_is_a_failure_with_its_meaning() -> None:
    done = refused(
        9,
        "--ready=notify",
        "--name",
        "web",
        "--",
        *notifier(f"tell('STATUS=no room'); tell('ERRNO={errno.ENOSPC}'); rest()"),
    )

    assert (
        f"web reported errno {errno.ENOSPC} (No space left on device) before it was ready; it said: no room"
        in done.stderr
    )


def test_an_errno_that_the_system_does_not_know_is_a_failure_too() -> None:
    refused(9, "--ready=notify", "--", *notifier(f"tell('ERRNO={10**18}'); rest()"), saying="reported errno 1000000")


# fd:N


@pytest.mark.parametrize("number", [3, 4, 5, 6, 7, 8, 9])
def test_a_newline_on_any_descriptor_makes_it_ready(reaper: Reaper, number: int) -> None:
    script = f"echo >&{number}; exec {number}>&-; exec sleep 1000"

    pid = start(reaper, "--ready", f"fd:{number}", "--name", "web", "--", "sh", "-c", script)

    wait_for(
        lambda: set(observe.look(pid).descriptors) == {0, 1, 2}, DEADLINE, "that it holds nothing of the launcher's"
    )


def test_bytes_before_the_newline_are_not_readiness(reaper: Reaper, tmp_path: Path) -> None:
    script = 'printf 12 >&3; touch "$0"; while [ ! -e "$1" ]; do sleep 0.01; done; echo >&3; exec sleep 1000'
    waiting = launcher(reaper, "--ready=fd:3", "--json", "--", "sh", "-c", script, tmp_path / "up", tmp_path / "go")
    wait_for(lambda: (tmp_path / "up").exists(), DEADLINE, "the program's first words")
    assert waiting.poll() is None

    (tmp_path / "go").touch()

    succeed(reaper, waiting)


def test_a_descriptor_that_is_closed_without_a_newline_is_a_failure() -> None:
    refused(
        9,
        "--ready=fd:5",
        "--name=web",
        "--",
        *("sh", "-c", "printf 1 >&5; exec 5>&-; exec sleep 1000"),
        saying="web closed descriptor 5 without having written a newline to it before it was ready",
    )


# exit


def test_exit_means_that_a_one_shot_has_ended_well_and_nothing_is_left(tmp_path: Path) -> None:
    done = run_numen("detach", "--ready=exit", "--name=once", "--", "touch", tmp_path / "made")

    assert done.returncode == 0
    assert done.stdout.startswith("once is up: nothing is left running (it ended with exit status 0)")
    assert (tmp_path / "made").exists()
    assert_nothing_is_left()


def test_a_one_shot_that_ends_badly_is_a_failure_with_its_exit_status() -> None:
    refused(9, "--ready=exit", "--", "sh", "-c", "exit 3", saying="sh ended with exit status 3 before it was ready")


@pytest.mark.parametrize("forks", [1, 2])
def test_exit_finds_the_daemon_that_a_program_has_made_of_itself(reaper: Reaper, tmp_path: Path, forks: int) -> None:
    # As daemon(3) does it, or with a second fork after which the first child ends before its parent does.
    snippet = """
child = os.fork()
if child:
    if int(sys.argv[2]) == 2: os.waitpid(child, 0)
    os._exit(0)
os.setsid()
if int(sys.argv[2]) == 2 and os.fork(): os._exit(0)
touch(sys.argv[1], str(os.getpid()))
rest()
"""
    told = start_and_tell(reaper, "--ready=exit", "--name=old", "--", *notifier(snippet, tmp_path / "pid", str(forks)))

    pid = int(wait_for_file(tmp_path / "pid"))
    assert told["pid"] == pid
    assert named("old").read_text() == f"{pid}\n"
    assert observe.look(pid).ppid == os.getpid()


@pytest.mark.parametrize(
    ("kind", "ending"), [("exit", "os._exit(0)"), ("notify", "tell(f'MAINPID={child}\\nREADY=1'); os._exit(0)")]
)
@pytest.mark.parametrize("how", ["in place", "renamed"])
def test_a_daemon_that_was_written_into_the_pidfile_by_its_own_program_is_the_instance(
    reaper: Reaper, tmp_path: Path, kind: str, ending: str, how: str
) -> None:
    name = "sys.argv[1]" if how == "in place" else "sys.argv[1] + '.new'"
    snippet = f"""
child = os.fork()
if child == 0: rest()
with open({name}, "w") as file: file.write(f"{{child}}\\n")
os.rename({name}, sys.argv[1])
{ending}
"""
    pidfile = tmp_path / "self.pid"
    options: list[str | Path] = ["--ready", kind, "--pidfile", pidfile, "--name=self"]
    options += ["--", *notifier(snippet, pidfile)]

    pid = start(reaper, *options)

    assert pidfile.read_text() == f"{pid}\n"
    for asked in (pidfile, "self"):
        assert ask_json("--status", asked)["pid"] == pid
    assert run_numen("detach", *options).returncode == 8
    assert run_numen("detach", *options[:4], "--", "true").returncode == 8
    assert not observe.is_zombie_or_gone(pid)
    assert run_numen("detach", "--stop", pidfile).returncode == 0
    assert observe.is_zombie_or_gone(pid)


# Failures: why, with the last words


@pytest.mark.parametrize("kind", ["notify", "fd:3"])
def test_who_dies_before_it_is_ready_is_told_with_status_and_last_lines(kind: str) -> None:
    script = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do echo line $i >&2; done; exit 5"

    done = refused(9, "--ready", kind, "--name=web", "--", "sh", "-c", script)

    told, *lines = done.stderr.splitlines()
    assert told == "numen detach: web ended with exit status 5 before it was ready"
    assert lines == [f"  | line {number}" for number in range(3, 13)]


def test_who_is_killed_before_it_is_ready_is_told_with_the_signal() -> None:
    refused(
        9, "--ready=notify", "--", "sh", "-c", "kill -SEGV $$", saying="sh was killed by SIGSEGV before it was ready"
    )


def test_who_ends_well_before_it_is_ready_is_no_daemon_either() -> None:
    refused(9, "--ready=notify", "--", "true", saying="true ended with exit status 0 before it was ready")


def test_the_last_lines_are_those_of_this_start_and_cannot_harm_a_terminal(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("from another start\n")

    done = refused(9, "--ready=notify", "--stderr", log, "--", "sh", "-c", r"printf '\033[2J\377' >&2; exit 1")

    assert done.stderr.splitlines()[1:] == ["  | \N{REPLACEMENT CHARACTER}[2J\N{REPLACEMENT CHARACTER}"]


def test_the_last_lines_of_stdout_are_told_where_there_are_none_of_stderr(tmp_path: Path) -> None:
    done = refused(9, "--ready=notify", "--stdout", tmp_path / "out", "--", "sh", "-c", "echo words; exit 1")

    assert done.stderr.splitlines()[1:] == ["  | words"]


@pytest.mark.parametrize(
    ("kind", "saying"),
    [
        ("notify", "no READY=1 came from it"),
        ("fd:3", "it wrote no newline to descriptor 3"),
        ("exit", "it was still running"),
    ],
)
def test_who_is_not_ready_in_time_is_ended_and_told_with_its_last_lines(kind: str, saying: str) -> None:
    script = "echo 'waiting for the database' >&2; exec sleep 1000"

    done = refused(124, "--ready", kind, "--timeout=700ms", "--name=web", "--", "sh", "-c", script)

    assert done.stderr.splitlines() == [
        f"numen detach: web was not ready in 0.7 s: {saying}; it has been ended",
        "  | waiting for the database",
    ]


def test_the_whole_family_is_ended_with_those_who_left_its_session(reaper: Reaper, tmp_path: Path) -> None:
    snippet = """
def member(name, ignoring=False):
    if ignoring: signal.signal(signal.SIGTERM, signal.SIG_IGN)
    touch(os.path.join(sys.argv[1], name), str(os.getpid()))
    rest()
if os.fork() == 0: member('child')
if os.fork() == 0: os.setsid(); member('in its own session')
if os.fork() == 0:
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0: member('daemonized', ignoring=True)
        os._exit(0)
    os._exit(0)
if os.fork() == 0: os.kill(os.fork() or member('stopped'), signal.SIGSTOP) or rest()
member('first')
"""
    members = ["child", "in its own session", "daemonized", "first"]
    waiting = launcher(reaper, "--ready=notify", "--timeout=3s", "--name=web", "--", *notifier(snippet, tmp_path))
    pids = [int(wait_for_file(tmp_path / name)) for name in members]

    _, errors = waiting.communicate(timeout=DEADLINE)

    assert waiting.returncode == 124, errors
    assert [observe.describe(pid) for pid in pids if not observe.is_zombie_or_gone(pid)] == []
    assert_nothing_is_left()


def test_a_family_is_asked_before_it_is_killed(tmp_path: Path) -> None:
    script = 'trap "echo ended in order >$0; exit" TERM; while :; do sleep 0.05; done'

    refused(124, "--ready=notify", "--timeout=500ms", "--", "sh", "-c", script, tmp_path / "told")

    assert (tmp_path / "told").read_text() == "ended in order\n"


def test_a_time_of_zero_or_of_many_days_is_a_time(reaper: Reaper) -> None:
    refused(124, "--ready=notify", "--timeout=0", "--", *SLEEPER)
    start(reaper, "--timeout=52w", "--", *SLEEPER)


def test_what_failed_can_be_started_again_under_the_same_name(reaper: Reaper) -> None:
    refused(9, "--ready=notify", "--name=web", "--", "false")

    start(reaper, "--name=web", "--", *SLEEPER)


@pytest.mark.parametrize("kind", ["notify", "exit"])
def test_a_launcher_that_is_killed_leaves_the_daemon_to_itself(reaper: Reaper, tmp_path: Path, kind: str) -> None:
    program = notifier("touch(sys.argv[1], str(os.getpid())); rest()", tmp_path / "pid")
    waiting = launcher(reaper, "--ready", kind, "--name=web", "--", *program)
    pid = reaper.track(int(wait_for_file(tmp_path / "pid")))

    waiting.kill()
    waiting.wait(DEADLINE)

    wait_for(lambda: observe.look(pid).ppid == os.getpid(), DEADLINE, "the end of its guard")
    assert named("web").read_text() == f"{pid}\n"


def test_a_guard_that_is_killed_fails_the_start_and_its_daemon_does_not_outlive_it(
    reaper: Reaper, tmp_path: Path
) -> None:
    program = notifier("touch(sys.argv[1], str(os.getpid())); rest()", tmp_path / "pid")
    waiting = launcher(reaper, "--ready=notify", "--name=web", "--", *program)
    pid = reaper.track(int(wait_for_file(tmp_path / "pid")))

    os.kill(observe.look(pid).ppid, signal.SIGKILL)

    _, errors = waiting.communicate(timeout=DEADLINE)
    assert waiting.returncode == 1
    assert "the process that watched the start was killed" in errors
    observe.wait_until_gone(pid)
    assert_nothing_is_left()


# What comes in


@pytest.mark.fuzz
@given(st.binary())
def test_any_bytes_are_assignments_or_passed_over(data: bytes) -> None:
    found = listening.parse_assignments(data)

    assert all(name and "=" not in name and "\n" not in name + value for name, value in found.items())


def test_the_last_of_several_assignments_counts() -> None:
    assert listening.parse_assignments(b"A=1\nnothing\n=x\nB=x=y\nA=2\n") == {"A": "2", "B": "x=y"}


@pytest.mark.parametrize(
    ("text", "number"), [("0", 0), ("15", 15), ("-1", None), ("x", None), ("", None), ("1" * 20, None)]
)
def test_a_number_in_a_notification_is_a_number_or_none(text: str, number: int | None) -> None:
    found = listening.Notification(assignments={"N": text}, pid=1, uid=0, descriptors=())

    assert found.number("N") == number
    assert found.number("MISSING") is None


def test_the_listener_knows_who_speaks_and_closes_what_it_is_sent() -> None:
    listener = listening.Listener()
    reader, writer = os.pipe()
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
            one.connect(listener.address.replace("@", "\0", 1))
            socket.send_fds(one, [b"READY=1"], [writer])
        os.close(writer)

        found = listener.receive()

        assert found is not None
        assert (found.pid, found.uid, found.assignments) == (os.getpid(), os.geteuid(), {"READY": "1"})
        found.close()
        assert os.read(reader, 1) == b""
        assert listener.receive() is None
    finally:
        os.close(reader)
        listener.close()


def test_the_launcher_costs_nothing_while_it_waits(reaper: Reaper, tmp_path: Path) -> None:
    program = notifier(
        "touch(sys.argv[1]); wait_for(sys.argv[2]); tell('READY=1'); rest()", tmp_path / "up", tmp_path / "go"
    )
    waiting = launcher(reaper, "--ready=notify", "--json", "--", *program)
    wait_for(lambda: (tmp_path / "up").exists(), DEADLINE, "the program's first act")

    def switches() -> int:
        lines = Path(f"/proc/{waiting.pid}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("voluntary_ctxt")).split()[1])

    wait_for(lambda: observe.look(waiting.pid).state == "S", DEADLINE, "the launcher at rest")
    before = switches()
    time.sleep(0.3)  # the length is the point: how often it wakes in a while
    assert switches() - before <= 2
    (tmp_path / "go").touch()
    succeed(reaper, waiting)
