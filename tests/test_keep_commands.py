"""The commands around the supervisor: what each says, where, and with which exit status it ends."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from numen.cli import completion
from numen.cli.main import COMMANDS
from processes import Reaper, Terminal, numen_command, run_numen, unprivileged, wait_for

DEADLINE = 30.0

SLEEPER = ("--", "sleep", "1000")
CRASHER = ("--", "sh", "-c", "echo no licence; exit 3")
TALKER = ("--", "sh", "-c", "n=0; while :; do n=$((n + 1)); echo line $n; sleep 0.05; done")


@pytest.fixture(autouse=True)
def supervisor_ended(numen_home: Path) -> Iterator[None]:
    """Whatever a test has started is ended with the supervisor."""
    yield
    assert run_numen("shutdown", "--quiet").returncode == 0


def numen(*arguments: str | Path, status: int = 0, **options: Any) -> str:
    """Run the command, which must end with that status; what it prints."""
    done = run_numen(*arguments, **options)
    assert done.returncode == status, (arguments, done.returncode, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    return str(done.stdout)


def refused(status: int, *arguments: str | Path, **options: Any) -> str:
    """Run the command, which must fail with that status and print nothing but an error; the error."""
    done = run_numen(*arguments, **options)
    assert (done.returncode, done.stdout) == (status, ""), (arguments, done.returncode, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    return str(done.stderr)


def facts(name: str) -> dict[str, Any]:
    """What `numen status --json` tells of one daemon."""
    (told,) = json.loads(run_numen("status", "--json", name).stdout)
    assert isinstance(told, dict)
    return told


def start(name: str, *command: str) -> int:
    """Start a daemon; its pid."""
    numen("start", "--quiet", "--name", name, *(command or SLEEPER))
    return int(facts(name)["pid"])


# Starting


def test_start_starts_the_supervisor_and_tells_what_it_took_and_by_what_the_daemon_is_up(public_path: Path) -> None:
    printed = numen("start", "--name", "web", *SLEEPER, cwd=public_path, env={"SECRET": "x", "LC_TIME": "C"})

    first, *taken, last = printed.splitlines()
    assert first.startswith("web is defined: /")
    assert first.endswith("/sleep 1000")
    assert f"  takes the directory {public_path}" in taken
    assert any("LC_TIME" in line and "PATH" in line for line in taken)
    assert "SECRET" not in printed
    assert last == f"web is up: pid {facts('web')['pid']} (it still lives after 200 ms)"


def test_without_a_name_the_daemon_is_called_as_its_program() -> None:
    numen("start", *SLEEPER)

    assert facts("sleep")["state"] == "running"


def test_a_name_that_is_taken_is_not_defined_again_unless_that_is_said() -> None:
    pid = start("web")

    assert "--replace" in refused(8, "start", "--name", "web", "--", "sleep", "2000")
    assert facts("web")["pid"] == pid
    numen("start", "--name", "web", "--replace", "--", "sleep", "2000")
    assert facts("web")["pid"] != pid
    assert 'command           ["' in numen("describe", "web")
    assert '"2000"]' in numen("describe", "web")


def test_a_daemon_that_dies_at_once_is_told_with_its_last_lines() -> None:
    said = refused(9, "start", "--quiet", "--name", "dies", "--restart", "never", *CRASHER)

    assert said.startswith("numen start: dies ended before it was up: exit status 3")
    assert said.endswith("\n  | no licence\n")


def test_one_that_is_not_ready_in_time_is_told_as_such() -> None:
    arguments = ("--quiet", "--name", "late", "--ready", "notify", "--timeout", "100ms", "--restart", "never")

    assert "late was not ready within" in refused(124, "start", *arguments, *SLEEPER)


def test_a_command_that_is_not_there_defines_nothing() -> None:
    refused(127, "start", "--name", "web", "--", "no-such-program")

    assert "no supervisor runs" in run_numen("status").stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "whom?"),
        (("--",), "what is to be kept?"),
        (("--nice", "5", "web"), "--nice defines a daemon"),
        (("--name", "numen", *SLEEPER), "the supervisor's own"),
        (("--name", "a/b", *SLEEPER), "is no name"),
        (("--stop", "NO", *SLEEPER), "NO"),
    ],
)
def test_a_start_that_makes_no_sense_does_nothing(arguments: tuple[str, ...], words: str) -> None:
    assert words in refused(2, "start", *arguments)


def test_daemons_that_are_defined_are_started_by_patterns() -> None:
    for name in ("web-1", "web-2", "mail"):
        start(name)
    numen("stop", "*")

    printed = numen("start", "web-*")

    assert sorted(line.split(": ")[0] for line in printed.splitlines()) == ["web-1 is up", "web-2 is up"]
    assert facts("mail")["state"] == "stopped"


def test_one_that_runs_is_said_to_be_up_already_and_defined_again_as_it_is() -> None:
    pid = start("web")

    assert numen("start", "web") == f"web is up already: pid {pid}\n"
    assert numen("start", "--name", "web", *SLEEPER) == f"web is up already: pid {pid}\n"
    said = refused(8, "start", "--name", "web", "--nice", "3", "--", "sleep", "2000")
    assert f"with another command, nice; it is running, pid {pid}; numen start web" in said
    assert facts("web")["pid"] == pid


def test_a_name_that_is_taken_is_refused_before_the_supervisor_is_started() -> None:
    start("web")
    numen("shutdown")

    refused(8, "start", "--name", "web", "--", "sleep", "2000")

    assert "no supervisor runs" in refused(7, "stop", "web")


def test_a_command_without_two_dashes_is_told_with_them() -> None:
    said = refused(6, "start", "sleep", "1000")
    assert "there is no daemon 'sleep'; to define one: numen start -- sleep 1000" in said
    assert "numen start -- python3 -m http.server" in refused(2, "start", "python3", "-m", "http.server")
    assert refused(6, "start", "zz*") == "numen start: no daemon matches 'zz*'\n"
    start("web")
    assert "did you mean --quiet?" in refused(2, "start", "web", "--quite")


def test_a_kind_of_readiness_that_cannot_be_kept_is_not_offered() -> None:
    offered = refused(2, "start", "--ready", "foo", *SLEEPER).partition("there are ")[2]

    assert offered.startswith("exec, notify, fd:N with N above 2, ")
    assert "exit" not in offered


# Orders


def test_each_order_tells_what_it_did_and_ends_with_0() -> None:
    start("web", "--", "sh", "-c", "echo here; trap : HUP; while :; do sleep 0.05; done")

    assert numen("reload", "web").startswith("web ")
    before = facts("web")["pid"]
    assert numen("restart", "web").startswith("web is up: pid ")
    assert facts("web")["pid"] != before
    assert numen("signal", "CONT", "web").startswith("web ")
    assert numen("disable", "web").endswith(" (it runs on)\n")
    assert facts("web")["start"] is False
    assert numen("enable", "web").startswith("web ")
    assert facts("web")["start"] is True
    assert numen("stop", "web") == "web is stopped\n"
    log = Path(os.environ["NUMEN_HOME"], "log", "web.log")
    assert numen("remove", "web") == f"web is removed; its log stays: {log}\n"
    assert numen("status") == "no daemon is defined; numen start defines one\n"


def test_one_that_would_end_by_a_reload_is_not_sent_the_signal() -> None:
    pid = start("web")

    assert "does not handle SIGHUP" in refused(10, "reload", "web")
    assert facts("web")["pid"] == pid


def test_quiet_orders_say_nothing() -> None:
    start("web")

    for order in (("restart",), ("signal", "CONT"), ("disable",), ("enable",), ("stop",), ("start",), ("remove",)):
        assert numen(*order, "--quiet", "web") == ""


def test_as_json_each_outcome_is_a_line() -> None:
    start("web-1")
    start("web-2")

    told = [json.loads(line) for line in numen("stop", "--json", "web-*").splitlines()]

    assert sorted(one["name"] for one in told) == ["web-1", "web-2"]
    assert all(one["ok"] and one["message"] == "is stopped" for one in told)
    assert all(one["daemon"]["state"] == "stopped" for one in told)


def test_of_several_daemons_the_highest_exit_status_counts() -> None:
    start("web")
    start("rests")
    numen("stop", "rests")

    done = run_numen("signal", "CONT", "web", "rests")

    assert done.returncode == 7
    assert done.stdout.startswith("web ")
    assert done.stderr.startswith("numen signal: rests is not running")


def test_for_a_name_that_nobody_has_nothing_is_done() -> None:
    pid = start("web")

    assert "there is no daemon 'wbe'; did you mean web?; nothing was done" in refused(6, "stop", "web", "wbe")
    assert refused(6, "stop", "zz*") == "numen stop: no daemon matches 'zz*'\n"
    assert facts("web")["pid"] == pid
    assert "did you mean web?" in refused(4, "status", "wbe")


@pytest.mark.parametrize("command", ["stop", "restart", "reload", "remove", "enable", "disable", "wait", "describe"])
def test_an_order_wants_names(command: str) -> None:
    assert "'*' for all" in refused(2, command)


@pytest.mark.parametrize("command", ["stop", "restart", "reload", "remove", "enable", "disable", "events", "describe"])
def test_where_no_supervisor_runs_that_is_said_with_7(command: str) -> None:
    assert "no supervisor runs" in refused(7, command, *([] if command == "events" else ["web"]))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "which signal"),
        (("HUP",), "whom?"),
        (("NO", "web"), "no signal"),
        (("web", "HUP"), "did you mean: numen signal HUP web?"),
    ],
)
def test_a_signal_wants_its_name_and_whom(words: tuple[str, ...], said: str) -> None:
    assert said in refused(2, "signal", *words)


# Asking


def test_status_tells_the_state_in_columns_and_by_its_exit_status() -> None:
    pid = start("web")
    start("rests")
    numen("stop", "rests")
    run_numen("start", "--quiet", "--name", "dies", "--restart", "never", *CRASHER)

    heading, *rows = numen("status", status=1).splitlines()

    assert heading.split()[:4] == ["NAME", "STATE", "SINCE", "PID"]
    assert [row.split()[:2] for row in rows] == [["dies", "failed"], ["rests", "stopped"], ["web", "running"]]
    assert rows[2].split()[3] == str(pid)
    assert numen("status", "web").count("\n") == 2
    numen("status", "rests", "web", status=3)
    done = run_numen("status", "web", "nobody")
    assert (done.returncode, done.stdout.count("\n")) == (4, 2)
    assert "there is no daemon 'nobody'" in done.stderr


def test_quiet_status_tells_by_its_exit_status_alone() -> None:
    start("web")

    assert numen("status", "--quiet", "web") == ""
    numen("stop", "web")
    assert numen("status", "--quiet", "web", status=3) == ""


def test_without_a_supervisor_what_is_defined_is_stopped() -> None:
    start("web")
    numen("shutdown")

    done = run_numen("status", "--json")

    assert done.returncode == 3
    assert "no supervisor runs" in done.stderr
    (told,) = json.loads(done.stdout)
    assert (told["name"], told["state"]) == ("web", "stopped")
    assert run_numen("status", "web").returncode == 3
    assert run_numen("status", "nobody").returncode == 4


def test_status_on_a_terminal_is_fitted_to_its_width_and_coloured_unless_that_is_unwanted() -> None:
    start("web")

    def shown(**changes: str) -> str:
        with Terminal([numen_command(), "status"], env={"COLUMNS": "60", "TERM": "xterm", **changes}) as terminal:
            return terminal.finish(DEADLINE).stdout

    assert "\x1b[32mrunning\x1b[0m" in shown()
    assert "\x1b" not in shown(NO_COLOR="1")
    assert all(len(line) < 60 for line in shown(NO_COLOR="1").splitlines())


def test_a_watched_status_is_drawn_again_at_each_change(reaper: Reaper) -> None:
    start("web")

    with Terminal([numen_command(), "status", "--watch"], env={"TERM": "xterm"}) as terminal:
        terminal.read_until("running")
        numen("stop", "web")
        terminal.read_until("stopped")
        terminal.type_in("\x03")
        done = terminal.finish(DEADLINE)

    assert done.returncode == 130
    assert "Traceback" not in done.stdout
    assert done.stdout.endswith("\x1b[?1049l")


def test_a_watched_status_in_a_pipe_is_a_line_for_each_change(reaper: Reaper) -> None:
    start("web")
    process = reaper.start([numen_command(), "status", "--watch", "--json", "web"], stdout=subprocess.PIPE)
    assert process.stdout is not None

    assert json.loads(process.stdout.readline())["state"] == "running"
    numen("stop", "web")
    states = [json.loads(process.stdout.readline())["state"]]
    while states[-1] != "stopped":
        states.append(json.loads(process.stdout.readline())["state"])
    process.send_signal(signal.SIGINT)

    assert process.wait(DEADLINE) == 130


def test_describe_tells_everything() -> None:
    pid = start("web", "--nice", "3", *SLEEPER)

    printed, told = numen("describe", "web"), json.loads(numen("describe", "--json", "web"))

    for words in (
        "web is running",
        str(pid),
        "sleep 1000",
        "nice",
        "web.toml",
        "web.log",
        "starts with the supervisor  yes",
    ):
        assert words in printed
    assert told["daemon"]["pid"] == pid
    assert told["definition"]["nice"] == 3
    assert told["processes"] == [pid]
    assert "no daemon 'x'" in refused(6, "describe", "x")


def test_several_are_described_and_the_supervisor_itself() -> None:
    start("web")
    run_numen("start", "--quiet", "--name", "worker", "--restart", "never", *CRASHER)

    first, second = numen("describe", "w*").split("\n\n")
    assert first.startswith("web is running\n")
    assert second.startswith("worker has failed\n")
    assert [json.loads(line)["daemon"]["name"] for line in numen("describe", "--json", "*").splitlines()] == [
        "web",
        "worker",
    ]
    printed = numen("describe", "numen")
    assert printed.startswith(f"the supervisor is running\n  pid      {supervisor_pid()}\n")
    assert json.loads(numen("describe", "--json", "numen"))["pid"] == supervisor_pid()


# Waiting, events, logs


def test_wait_ends_when_it_is_so_and_in_time() -> None:
    start("web")

    assert numen("wait", "web").startswith("web is up")
    assert "not stopped within 100ms: web" in refused(124, "wait", "--for", "stopped", "--timeout", "100ms", "web")
    numen("stop", "web")
    assert numen("wait", "--for", "stopped", "web") == "web is stopped\n"
    assert "'up' is none of running, stopped" in refused(2, "wait", "--for", "up", "web")


def test_one_that_will_not_run_is_not_waited_for() -> None:
    run_numen("start", "--quiet", "--name", "dies", "--give-up", "1/10s", *CRASHER)
    run_numen("start", "--quiet", "--name", "ends", "--restart", "never", "--", "true")
    wait_for(lambda: facts("dies")["state"] == "failed", DEADLINE, "the end of all tries")

    assert refused(9, "wait", "dies").startswith("numen wait: dies has failed: exit status 3; ")
    assert refused(9, "wait", "ends").startswith("numen wait: ends has exited: exit status 0; ")
    assert numen("wait", "--for", "stopped", "dies", "ends").count("\n") == 2


def test_a_wait_names_those_that_it_was_in_vain_for_and_without_time_looks_once() -> None:
    pid = start("web")
    start("rests")
    numen("stop", "rests")

    done = run_numen("wait", "--timeout", "100ms", "*")
    assert (done.returncode, done.stdout) == (124, f"web is up: pid {pid}\n")
    assert done.stderr == "numen wait: not running within 100ms: rests\n"
    assert numen("wait", "--timeout", "0", "web") == f"web is up: pid {pid}\n"
    assert "not running within 0ms: rests" in refused(124, "wait", "--timeout", "0", "rests")
    refused(124, "wait", "--timeout", "1us", "rests")


def test_events_are_told_and_followed(reaper: Reaper) -> None:
    start("web")

    kinds = [line.split()[3] for line in numen("events", "web").splitlines()]
    assert (kinds[0], kinds[-1]) == ("defined", "running")
    assert [line.split()[3] for line in numen("events", "-n", "1").splitlines()] == kinds[-1:]
    assert numen("events", "-n", "0") == ""
    process = reaper.start([numen_command(), "events", "--follow", "--json"], stdout=subprocess.PIPE)
    assert process.stdout is not None
    told = [json.loads(process.stdout.readline()) for _ in kinds]
    assert [one["kind"] for one in told] == kinds
    numen("stop", "web")
    assert json.loads(process.stdout.readline())["kind"] == "stopping"
    process.send_signal(signal.SIGINT)
    assert process.wait(DEADLINE) == 130


def test_the_last_lines_of_a_log_are_shown_with_their_times_where_wanted() -> None:
    start("talks", *TALKER)
    wait_for(lambda: len(numen("logs", "talks").splitlines()) >= 5, DEADLINE, "five lines of output")
    numen("stop", "talks")

    lines = numen("logs", "talks").splitlines()

    assert lines == [f"line {number}" for number in range(1, len(lines) + 1)]
    assert numen("logs", "-n", "2", "talks").splitlines() == lines[-2:]
    assert numen("logs", "--since", "1h", "talks").splitlines() == lines
    assert numen("logs", "--since", "2200-01-01", "talks") == ""
    stamped = numen("logs", "-n", "1", "--timestamps", "talks").split()
    assert len(stamped[0]) == len("2026-11-22")
    told = json.loads(numen("logs", "-n", "1", "--json", "talks"))
    assert (told["name"], told["text"]) == ("talks", lines[-1])


def test_logs_of_several_are_told_apart() -> None:
    start("a", "--", "sh", "-c", "echo one; exec sleep 1000")
    start("bb", "--", "sh", "-c", "echo two; exec sleep 1000")
    wait_for(lambda: numen("logs").count("\n") == 2, DEADLINE, "a line of each")

    assert sorted(numen("logs").splitlines()) == ["a  | one", "bb | two"]


def test_a_separate_stderr_has_a_name_of_its_own() -> None:
    start("web", "--separate-stderr", "--", "sh", "-c", "echo out; echo err >&2; exec sleep 1000")
    wait_for(lambda: numen("logs", "web").count("\n") == 2, DEADLINE, "both lines")

    assert sorted(numen("logs", "web").splitlines()) == ["web     | out", "web.err | err"]


def test_a_log_is_followed_until_ctrl_c(reaper: Reaper) -> None:
    start("talks", *TALKER)
    process = reaper.start([numen_command(), "logs", "-f", "-n", "1", "talks"], stdout=subprocess.PIPE)
    assert process.stdout is not None

    numbers = [int(process.stdout.readline().split()[1]) for _ in range(5)]
    process.send_signal(signal.SIGINT)

    assert numbers == list(range(numbers[0], numbers[0] + 5))
    assert process.wait(DEADLINE) == 130


def test_a_follower_ends_when_nobody_reads_any_more(reaper: Reaper) -> None:
    start("talks", *TALKER)
    process = reaper.start([numen_command(), "logs", "-f", "talks"], stdout=subprocess.PIPE)
    assert process.stdout is not None

    process.stdout.readline()
    process.stdout.close()

    assert process.wait(DEADLINE) == 141


def test_the_supervisors_own_log_can_be_read_and_logs_of_nobody_are_refused() -> None:
    start("web")

    wait_for(lambda: "web: running" in numen("logs", "numen"), DEADLINE, "the event in the supervisor's own log")
    assert "no daemon 'nobody'" in refused(6, "logs", "nobody")
    assert "is no time" in refused(2, "logs", "--since", "soon", "web")


def test_what_a_daemon_writes_cannot_command_a_terminal_but_is_whole_in_a_pipe() -> None:
    start("web", "--", "sh", "-c", r"printf '\033[2Jx\n'; exec sleep 1000")
    wait_for(lambda: numen("logs", "web"), DEADLINE, "a line")

    with Terminal([numen_command(), "logs", "web"]) as terminal:
        shown = terminal.finish(DEADLINE).stdout

    assert "\x1b" not in shown
    assert numen("logs", "web") == "\x1b[2Jx\n"


def test_a_daemon_that_is_kept_is_not_asked_for_as_one_that_was_detached(reaper: Reaper) -> None:
    name = f"kept-{os.getpid()}"
    pid = start(name)

    done = run_numen("detach", "--status", name)
    assert (done.returncode, done.stderr) == (3, "")
    assert f"it is kept by the supervisor: numen status {name}" in done.stdout
    assert f"numen stop {name}" in refused(7, "detach", "--stop", name)
    assert f"numen signal HUP {name}" in refused(7, "detach", "--signal", "HUP", name)
    assert facts(name)["pid"] == pid
    assert numen("audit", name, "--fail-on", "never").startswith(f"sleep: pid {pid}\n")


# The supervisor


def test_the_supervisor_is_started_once_and_ended() -> None:
    assert numen("supervisor").startswith("the supervisor is up: pid ")
    assert "runs already" in refused(8, "supervisor")
    assert numen("shutdown") == "the supervisor has ended; all daemons are stopped\n"
    assert numen("shutdown") == "no supervisor runs\n"


def test_what_ran_at_a_shutdown_is_brought_back_and_what_was_stopped_is_not() -> None:
    start("web")
    start("rests")
    numen("stop", "rests")
    numen("shutdown")

    told = json.loads(numen("supervisor", "--json"))

    assert told["pid"] > 0
    numen("wait", "web")
    assert facts("rests")["state"] == "stopped"


def test_daemons_that_are_left_run_on_and_are_taken_back() -> None:
    pid = start("web")

    assert numen("shutdown", "--leave") == "the supervisor has ended; the daemons run on\n"
    done = run_numen("status", "--json", "web")
    (told,) = json.loads(done.stdout)
    assert (told["state"], told["pid"], done.returncode) == ("running", pid, 0)
    numen("supervisor")
    assert (facts("web")["pid"], facts("web")["restarts"]) == (pid, 0)


def test_without_a_supervisor_what_runs_on_is_not_said_to_be_gone() -> None:
    pid = start("web")
    run_numen("start", "--quiet", "--name", "dies", "--restart", "never", *CRASHER)
    numen("shutdown", "--leave")

    said = refused(1, "shutdown")
    assert said == (
        f"numen shutdown: no supervisor runs, but a daemon runs on: web (pid {pid});"
        " to end them: numen supervisor && numen shutdown\n"
    )
    assert "`numen supervisor` takes it back, then stop it" in refused(7, "stop", "web")
    told = json.loads(run_numen("status", "--json").stdout)
    assert [(one["name"], one["state"]) for one in told] == [("dies", "failed"), ("web", "running")]
    numen("supervisor")


@pytest.mark.needs_root
def test_another_users_supervisor_is_told_as_such(public_path: Path) -> None:
    theirs = public_path / "theirs"
    assert run_numen("status", env={"NUMEN_HOME": str(theirs)}).returncode == 0
    os.chown(theirs / "run" / "supervisor", unprivileged().uid, -1)

    said = refused(4, "stop", "web", env={"NUMEN_HOME": str(theirs)})

    assert said.startswith(f"numen stop: this supervisor belongs to {unprivileged().name}; ")


def supervisor_pid() -> int:
    """The pid of the supervisor, as it is told to who would start a second one."""
    return int(run_numen("supervisor").stderr.split()[-1])


def test_a_command_finds_the_supervisor_that_follows_one_that_was_killed() -> None:
    start("web")

    os.kill(supervisor_pid(), signal.SIGKILL)

    assert facts("web")["state"] == "running"


STUBBORN = ("--stop", "TERM/1s/KILL/1s", "--", "sh", "-c", "trap '' TERM; while :; do sleep 0.1; done")


def test_a_stop_goes_on_when_the_supervisor_is_killed_meanwhile(reaper: Reaper) -> None:
    start("stays", *STUBBORN)
    supervisor = supervisor_pid()

    stopping = reaper.start([numen_command(), "stop", "stays"], stdout=subprocess.PIPE)
    wait_for(lambda: facts("stays")["state"] == "stopping", DEADLINE, "the stop")
    os.kill(supervisor, signal.SIGKILL)

    assert stopping.wait(DEADLINE) == 0
    assert stopping.stdout is not None
    assert stopping.stdout.read() == "stays is stopped\n"


def test_a_start_during_a_shutdown_is_for_the_next_supervisor(reaper: Reaper) -> None:
    start("stays", *STUBBORN)
    first = supervisor_pid()

    ending = reaper.start([numen_command(), "shutdown"], stdout=subprocess.PIPE)
    wait_for(lambda: facts("stays")["state"] == "stopping", DEADLINE, "the shutdown")
    numen("start", "--name", "web", *SLEEPER)

    assert ending.wait(DEADLINE) == 0
    assert supervisor_pid() != first


def test_in_the_foreground_it_is_ended_by_a_signal(reaper: Reaper) -> None:
    process = reaper.start([numen_command(), "supervisor", "--foreground"], stderr=subprocess.PIPE)
    wait_for(lambda: "no supervisor runs" not in run_numen("status").stderr, DEADLINE, "the supervisor")
    pid = start("web")

    assert "runs already" in refused(8, "supervisor", "--foreground")
    process.terminate()

    assert process.wait(DEADLINE) == 0
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


# Help, and shells


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_gives_help_with_examples(command: str) -> None:
    printed = numen(command, "--help")

    assert printed.startswith(f"usage: numen {command}")
    assert "examples:\n" in printed
    assert "exit statuses" in printed
    assert max(map(len, printed.splitlines())) <= 120


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_of_each_shell_knows_every_command_and_option(shell: str) -> None:
    script = numen("completion", shell)

    for name, table in completion.tables().items():
        assert name in script
        for option in table.options:
            flag = option.flags[0]
            assert (f"-l {flag[2:]} " if shell == "fish" else flag) in script


def complete(*words: str) -> list[str]:
    """What bash makes of the words, the last of which is not complete."""
    script = """
        source <(numen completion bash)
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
        compopt() { :; }
        _numen numen
        printf '%s\\n' "${COMPREPLY[@]}"
    """
    env = {**os.environ, "PATH": f"{numen_command().parent}:{os.environ['PATH']}"}
    command = ["bash", "-c", script, "bash", "numen", *words]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout.split()


def test_bash_completes_commands_options_names_and_words() -> None:
    start("web-1")
    start("mail")

    assert complete("st") == ["start", "status", "stop"]
    assert complete("status", "--w") == ["--watch"]
    assert complete("stop", "w") == ["web-1"]
    assert sorted(complete("logs", "")) == ["mail", "numen", "web-1"]
    assert complete("signal", "US") == ["USR1", "USR2"]
    assert complete("signal", "USR1", "m") == ["mail"]
    assert complete("wait", "--for", "") == ["running", "stopped"]
    assert complete("completion", "f") == ["fish"]
    assert complete("check", "/pro") == ["/proc"]
    assert "true" in complete("start", "--", "tru")
    with suppress(FileNotFoundError):
        assert complete("detach", "--directory", "/pro") == ["/proc"]


def test_completion_of_an_unknown_shell_is_refused() -> None:
    assert "bash, zsh or fish" in refused(2, "completion", "csh")
