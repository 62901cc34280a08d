"""Asking for a daemon that runs: status, signal, stop, list."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import observe
from detaching import (
    DEADLINE,
    SLEEPER,
    ask,
    ask_json,
    assert_nothing_is_left,
    log_of,
    named,
    python,
    start,
    wait_for_file,
)
from numen.become import pidfile
from processes import Reaper, environment, numen_command, run_numen, unprivileged, wait_for

RUNNING, DEAD, NOT_RUNNING = 0, 1, 3
"""The exit statuses of the Linux Standard Base for `status`."""


def stubborn(path: Path) -> list[str]:
    """A program that ignores SIGTERM, and has made the file when it does."""
    return ["sh", "-c", 'trap "" TERM; touch "$0"; while :; do sleep 0.05; done', str(path)]


# Status


def test_status_tells_since_when_it_runs_and_what(reaper: Reaper) -> None:
    pid = start(reaper, "--name", "web", "--", *SLEEPER)

    done = ask("--status", "web")

    assert done.returncode == RUNNING
    first, *rest = done.stdout.splitlines()
    assert first.startswith(f"web is running: pid {pid}, since ")
    assert rest == ["  command: sleep 1000", f"  log: {log_of('web')}"]


def test_status_tells_facts_as_json(reaper: Reaper) -> None:
    before = time.time()
    pid = start(reaper, "--name", "web", "--", *SLEEPER)

    facts = ask_json("--status", "web")

    assert before - 1 <= facts.pop("since") <= time.time()
    assert 0 <= facts.pop("uptime") < DEADLINE
    assert facts == {
        "name": "web",
        "state": "running",
        "pid": pid,
        "command": "sleep 1000",
        "log": str(log_of("web")),
        "last_pid": pid,
    }


def test_a_daemon_that_died_is_told_from_one_that_never_ran(reaper: Reaper) -> None:
    pid = start(reaper, "--name", "web", "--", *SLEEPER)
    os.kill(pid, signal.SIGKILL)
    observe.wait_until_gone(pid)

    dead, unknown = ask("--status", "web"), ask("--status", "other")

    # It is a zombie now, which nobody has reaped, and counts as dead.
    assert observe.look(pid).state == "Z"
    assert (dead.returncode, unknown.returncode) == (DEAD, NOT_RUNNING)
    assert dead.stdout.startswith(f"web is dead, its pidfile is left (it was pid {pid}, started ")
    assert f"  log: {log_of('web')}\n" in dead.stdout
    assert unknown.stdout == "other is not running\n"


def test_a_pidfile_may_be_asked_for_by_its_path(reaper: Reaper, tmp_path: Path) -> None:
    pid = start(reaper, "--pidfile", tmp_path / "pid", "--", *SLEEPER)

    assert run_numen("detach", "--quiet", "--status", "./pid", cwd=tmp_path).returncode == RUNNING
    assert ask_json("--status", tmp_path / "pid")["pid"] == pid


@pytest.mark.parametrize("text", ["", "garbage", "0", "-1", "9999999999", "\0"])
def test_an_empty_or_garbage_pidfile_names_nobody(tmp_path: Path, text: str) -> None:
    (tmp_path / "pid").write_text(text)

    for action in ("--status", NOT_RUNNING), ("--stop", 0):
        assert ask(action[0], tmp_path / "pid").returncode == action[1]
    assert ask("--signal", "HUP", tmp_path / "pid").returncode == 7


def test_a_pidfile_of_a_foreign_program_names_its_process(reaper: Reaper, tmp_path: Path) -> None:
    foreign = reaper.start(["sleep", "1000"])
    (tmp_path / "pid").write_text(f"{foreign.pid}\n")

    assert ask_json("--status", tmp_path / "pid")["pid"] == foreign.pid
    assert ask("--stop", tmp_path / "pid").returncode == 0
    assert foreign.wait(DEADLINE) == -signal.SIGTERM


def test_a_pid_that_was_given_to_another_process_is_not_taken_for_the_daemon(reaper: Reaper, tmp_path: Path) -> None:
    later = reaper.start(["sleep", "1000"])
    (tmp_path / "pid").write_text(f"{later.pid}\n")
    os.utime(tmp_path / "pid", (1_000_000_000, 1_000_000_000))

    assert ask("--status", tmp_path / "pid").returncode == NOT_RUNNING
    assert ask("--stop", tmp_path / "pid").returncode == 0
    assert later.poll() is None


def test_a_recorded_pid_that_another_process_has_now_is_not_taken_for_the_daemon(reaper: Reaper) -> None:
    pid = start(reaper, "--name", "web", "--", *SLEEPER)
    # The kernel counts start times in hundredths of a second, and uses no pid twice within one.
    wait_for(
        lambda: int(time.clock_gettime(time.CLOCK_BOOTTIME) * 100) > observe.start_time(pid),
        30,
        "the next hundredth of a second",
    )
    other = reaper.start(["sleep", "1000"])
    record = Path(pidfile.record_path(str(named("web"))))
    lines = [line for line in record.read_text().splitlines() if not line.startswith("pid ")]
    record.write_text("\n".join([f"pid {other.pid}", *lines]) + "\n")
    named("web").write_text(f"{other.pid}\n")

    assert ask("--status", "web").returncode == DEAD
    assert ask("--stop", "web").returncode == 0
    assert other.poll() is None


@pytest.mark.parametrize("changed", ["boot_id", "pid_namespace"])
def test_a_record_of_another_boot_or_container_names_nobody_here(reaper: Reaper, changed: str) -> None:
    pid = start(reaper, "--name", "web", "--", *SLEEPER)
    record = Path(pidfile.record_path(str(named("web"))))
    lines = [line for line in record.read_text().splitlines() if not line.startswith(changed)]
    record.write_text("\n".join([*lines, f"{changed} 1"]) + "\n")

    assert ask("--status", "web").returncode == DEAD
    assert not observe.is_zombie_or_gone(pid)


def test_a_start_that_is_under_way_is_not_running_yet_and_not_dead_either(reaper: Reaper, tmp_path: Path) -> None:
    path = tmp_path / "pid"
    path.touch()
    Path(pidfile.record_path(str(path))).write_bytes(
        pidfile.format_record(pidfile.of_process(os.getpid(), starting=True))
    )

    assert ask("--status", path).returncode == NOT_RUNNING
    assert ask("--signal", "HUP", path).returncode == 7


# Signal


def test_a_signal_reaches_the_daemon_and_is_told(reaper: Reaper, tmp_path: Path) -> None:
    script = 'trap "echo reloaded >$0" HUP; touch "$0.up"; while :; do sleep 0.02; done'
    start(reaper, "--name", "web", "--", "sh", "-c", script, tmp_path / "told")
    wait_for(lambda: (tmp_path / "told.up").exists(), DEADLINE, "the trap")

    done = ask("--signal", "hup", "web")

    assert (done.returncode, done.stdout) == (0, "sent SIGHUP to web\n")
    assert wait_for_file(tmp_path / "told") == "reloaded\n"


def test_a_signal_to_who_does_not_run_is_a_failure_of_its_own() -> None:
    done = ask("--signal", "HUP", "web")

    assert done.returncode == 7
    assert done.stderr == "numen detach: cannot send SIGHUP to web: it is not running\n"


@pytest.mark.needs_root
def test_a_signal_to_who_belongs_to_another_is_a_lack_of_permission(reaper: Reaper, public_path: Path) -> None:
    pid = start(reaper, "--pidfile", public_path / "pid", "--", *SLEEPER)
    nobody = unprivileged()
    # The capability is there because the interpreter may stand where only root may go.
    drop = ["setpriv", f"--reuid={nobody.uid}", f"--regid={nobody.gid}", "--clear-groups"]
    drop += ["--inh-caps=+dac_override,+dac_read_search", "--ambient-caps=+dac_override,+dac_read_search"]

    for action in (["--signal", "HUP"], ["--stop"]):
        command: list[str | Path] = [*drop, numen_command(), "detach", *action, public_path / "pid"]
        done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
        assert done.returncode == 4
        assert f"pid {pid}: it is not yours" in done.stderr


# Stop


def test_stop_ends_it_waits_for_that_and_leaves_nothing(reaper: Reaper) -> None:
    pid = start(reaper, "--name", "web", "--", *SLEEPER)

    done = ask("--stop", "web")

    assert (done.returncode, done.stdout) == (0, f"web has ended (pid {pid})\n")
    assert observe.is_zombie_or_gone(pid)
    assert_nothing_is_left()


def test_stop_of_what_does_not_run_is_a_success(reaper: Reaper) -> None:
    done = ask("--stop", "web")

    assert (done.returncode, done.stdout) == (0, "web was not running\n")


def test_stop_of_what_died_removes_its_pidfile(reaper: Reaper, tmp_path: Path) -> None:
    pid = start(reaper, "--pidfile", tmp_path / "pid", "--", *SLEEPER)
    os.kill(pid, signal.SIGKILL)
    observe.wait_until_gone(pid)

    assert ask("--stop", tmp_path / "pid").returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_who_ignores_sigterm_is_killed_when_its_time_is_over(reaper: Reaper, tmp_path: Path) -> None:
    pid = start(reaper, "--name", "web", "--", *stubborn(tmp_path / "up"))
    wait_for(lambda: (tmp_path / "up").exists(), DEADLINE, "the trap")

    done = ask("--stop", "web", "--retry", "TERM/200ms/KILL/5s")

    assert done.returncode == 0
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL


def test_a_schedule_that_ends_while_it_lives_is_told_and_leaves_all_as_it_was(reaper: Reaper, tmp_path: Path) -> None:
    pid = start(reaper, "--name", "web", "--", *stubborn(tmp_path / "up"))
    wait_for(lambda: (tmp_path / "up").exists(), DEADLINE, "the trap")

    done = ask("--stop", "web", "--retry", "TERM/100ms")
    as_json = ask_json("--stop", "web", "--retry", "TERM/100ms")

    assert (done.returncode, done.stdout) == (1, f"web is still running: pid {pid}\n")
    assert as_json == {"name": "web", "pid": pid, "ended": False}
    assert ask("--status", "web").returncode == RUNNING


def test_a_schedule_may_ask_for_days(reaper: Reaper) -> None:
    start(reaper, "--name", "web", "--", *SLEEPER)

    assert ask("--stop", "web", "--retry", "TERM/90d/KILL/90d").returncode == 0


def test_every_signal_of_a_schedule_is_sent_in_its_turn(reaper: Reaper, tmp_path: Path) -> None:
    script = 'trap "echo usr1 >>$0" USR1; trap "echo term >>$0; exit" TERM; touch "$0"; while :; do sleep 0.02; done'
    start(reaper, "--name", "web", "--", "sh", "-c", script, tmp_path / "told")
    wait_for(lambda: (tmp_path / "told").exists(), DEADLINE, "the traps")

    assert ask("--stop", "web", "--retry", "USR1/500ms/TERM/30s/KILL/5s").returncode == 0

    assert (tmp_path / "told").read_text() == "usr1\nterm\n"


def test_a_suspended_process_is_resumed_so_that_it_can_end(reaper: Reaper, tmp_path: Path) -> None:
    script = 'trap "echo in order >$0; exit" TERM; touch "$0.up"; while :; do sleep 0.02; done'
    pid = start(reaper, "--name", "web", "--", "sh", "-c", script, tmp_path / "told")
    wait_for(lambda: (tmp_path / "told.up").exists(), DEADLINE, "the trap")
    os.kill(pid, signal.SIGSTOP)
    wait_for(lambda: observe.look(pid).state == "T", DEADLINE, "that it is suspended")

    assert ask("--stop", "web", "--retry", "TERM/30s").returncode == 0

    assert (tmp_path / "told").read_text() == "in order\n"


def test_stop_does_not_touch_what_the_daemon_left_running(reaper: Reaper, tmp_path: Path) -> None:
    start(reaper, "--name", "web", "--", "sh", "-c", "sleep 1000 & echo $! >$0; exec sleep 1000", tmp_path / "child")
    child = reaper.track(int(wait_for_file(tmp_path / "child")))

    assert ask("--stop", "web").returncode == 0

    assert not observe.is_zombie_or_gone(child)


# List


def test_list_tells_every_named_one_by_name(reaper: Reaper) -> None:
    assert ask("--list").stdout == "no daemon has been detached under a name\n"
    web = start(reaper, "--name", "web", "--", *SLEEPER)
    clock = start(reaper, "--name", "clock", "--", "sleep", "2000")
    os.kill(clock, signal.SIGKILL)
    observe.wait_until_gone(clock)

    done = ask("--list")

    assert done.returncode == 0
    head, first, second = (line.split() for line in done.stdout.splitlines())
    assert head == ["NAME", "PID", "STATE", "UPTIME", "COMMAND"]
    assert first == ["clock", "-", "dead,", "its", "pidfile", "is", "left", "-", "sleep", "2000"]
    assert second[:3] == ["web", str(web), "running"]
    facts = ask_json("--list")
    assert [(one["name"], one["pid"]) for one in facts] == [("clock", None), ("web", web)]


def test_list_shows_a_command_that_is_no_text(reaper: Reaper) -> None:
    start(reaper, "--name", "odd", "--", "sh", "-c", "exec sleep 1000", os.fsdecode(b"gr\xfcn"))

    assert "gr\\udcfcn" in ask("--list").stdout
    assert os.fsencode(ask_json("--list")[0]["command"]).endswith(b"gr\xfcn")


@pytest.mark.needs_user
def test_what_cannot_be_read_is_told(numen_home: Path) -> None:
    (numen_home / "run").mkdir(mode=0o500)

    done = ask("--list")

    assert done.returncode == 4
    assert "Traceback" not in done.stderr


# What is recorded

TEXTS = st.binary().map(os.fsdecode)


@given(
    pid=st.integers(1, 2**22),
    start_time=st.none() | st.integers(0, 2**63),
    texts=st.tuples(TEXTS, TEXTS, TEXTS),
    namespace=st.integers(0, 2**32),
    since=st.floats(0, 1e11),
    starting=st.booleans(),
)
def test_a_record_is_read_back_as_it_was_written(
    pid: int, start_time: int | None, texts: tuple[str, str, str], namespace: int, since: float, starting: bool
) -> None:
    boot_id, command, log = (text.replace("\n", " ") for text in texts)
    known = pidfile.Known(
        pid=pid,
        start_time=start_time,
        boot_id=boot_id,
        pid_namespace=namespace,
        starting=starting,
        since=since,
        command=command,
        log=log,
    )

    assert pidfile.parse_record(pidfile.format_record(known)) == known


@given(TEXTS)
def test_no_command_can_forge_another_line_of_the_record(command: str) -> None:
    known = pidfile.parse_record(pidfile.format_record(pidfile.Known(pid=5, command=f"x\npid 7\n{command}\npid 8")))

    assert known is not None
    assert known.pid == 5


@pytest.mark.fuzz
@example(b"pid 99999999999\n")
@example(b"pid 5\nstart_time 99999999999999999999999\n")
@given(st.binary() | st.binary().map(b"pid 5\n".__add__))
def test_any_bytes_are_a_record_or_none(text: bytes) -> None:
    known = pidfile.parse_record(text)

    assert known is None or isinstance(known.is_alive(), bool)


@pytest.mark.parametrize(
    ("text", "pid"),
    [
        (b"42\n", 42),
        (b"42", 42),
        (b"  42  \n", 42),
        (b"\n\n42\nmore words\n", 42),
        (b"0042\n", 42),
        (b"", None),
        (b"0\n", None),
        (b"-42\n", None),
        (b"42 43\n", None),
        (b"4194305\n", None),
        (b"99999999999\n", None),
        (b"pid 42\n", None),
    ],
)
def test_a_pidfile_is_one_line_with_a_pid_and_read_flexibly(text: bytes, pid: int | None) -> None:
    assert pidfile.parse_pid(text) == pid


@pytest.mark.fuzz
@given(st.binary() | st.text("0123456789 \n").map(str.encode))
def test_any_bytes_are_a_pid_that_the_kernel_could_give_or_none(text: bytes) -> None:
    pid = pidfile.parse_pid(text)

    assert pid is None or 0 < pid <= 2**22


def test_json_is_one_line_for_each_answer(reaper: Reaper) -> None:
    start(reaper, "--name", "web", "--", *SLEEPER)

    for action in (["--status", "web"], ["--list"], ["--stop", "web"]):
        (line,) = ask("--json", *action).stdout.splitlines()
        json.loads(line)


def test_quiet_answers_by_the_exit_status_alone(reaper: Reaper) -> None:
    start(reaper, "--name", "web", "--", *python("import signal; signal.pause()"))

    for action, status in (["--status", "web"], 0), (["--signal", "CONT", "web"], 0), (["--stop", "web"], 0):
        done = ask("--quiet", *action)
        assert (done.returncode, done.stdout, done.stderr) == (status, "", "")


def test_what_one_who_was_killed_while_he_wrote_the_record_left_goes_with_the_pidfile(reaper: Reaper) -> None:
    start(reaper, "--name", "web", "--", *SLEEPER)
    Path(f"{pidfile.record_path(str(named('web')))}.new").touch()

    assert ask("--stop", "web").returncode == 0

    assert_nothing_is_left()
