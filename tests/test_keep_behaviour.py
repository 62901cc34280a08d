"""What a supervisor does with what people ask of it, in the order in which they ask; and what it remembers of it."""

import json
import os
import pwd
import resource
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import observe
from keeping import (
    DEADLINE,
    SLEEPER,
    about,
    definition,
    edit,
    facts,
    kill_supervisor,
    log,
    numen,
    pid_of,
    python,
    shell,
    start,
    states,
    wait_for_line,
    wait_until,
)
from numen.keep.journal import Journal
from numen.settings import places
from processes import Reaper, numen_command, run_numen, wait_for

PATIENT = """
    def end(*_):
        while not os.path.exists("go"): time.sleep(0.005)
        sys.exit(0)
    signal.signal(signal.SIGTERM, end)
    say("here")
    rest()
"""
"""Ends after a SIGTERM only when there is a file `go` in its directory."""

DEAF = ("--stop", "TERM/30s/KILL")


@pytest.fixture(autouse=True)
def supervisor_ended() -> Iterator[None]:
    """Whatever a test has started is ended with the supervisor."""
    yield
    assert run_numen("shutdown", "--quiet").returncode == 0


def asked(reaper: Reaper, *arguments: str) -> subprocess.Popen[str]:
    """A command that was begun, and may not have an answer yet."""
    return reaper.start(
        [numen_command(), *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def answer(process: subprocess.Popen[str]) -> tuple[int, str]:
    """The exit status of a command that was begun, and all that it has said."""
    out, err = process.communicate(timeout=DEADLINE)
    assert "Traceback" not in err
    return process.returncode, out + err


def patient(name: str, place: Path) -> int:
    """Start one that ends when it is asked to and there is a file `go`; its pid."""
    pid = start(name, *python(PATIENT), options=(*DEAF, "--directory", place))
    wait_for_line(name, "here")
    return pid


# Requests that cross each other


def test_a_stop_during_a_start_ends_it_and_both_are_told(reaper: Reaper) -> None:
    command = ("start", "--name", "slow", "--ready", "notify", "--timeout", "30s", "--", *python("say('here'); rest()"))
    starting = asked(reaper, *command)
    wait_for_line("slow", "here")

    assert numen("stop", "slow") == "slow is stopped\n"

    status, said = answer(starting)
    assert status == 14
    assert "slow was stopped before it was up" in said
    assert facts("slow")["state"] == "stopped"
    assert not facts("slow")["wanted"]


def test_a_start_during_a_stop_starts_it_when_it_has_ended(reaper: Reaper, tmp_path: Path) -> None:
    pid = patient("one", tmp_path)
    stopping = asked(reaper, "stop", "one")
    wait_until("one", "stopping")
    starting = asked(reaper, "start", "one")

    status, said = answer(stopping)
    assert (status, "is to run again" in said) == (14, True)
    assert observe.look(pid).state != "Z"
    (tmp_path / "go").touch()
    status, said = answer(starting)
    assert (status, said.split(":")[0]) == (0, "one is up")
    assert pid_of("one") not in (0, pid)


def test_a_restart_during_a_stop_starts_it_when_it_has_ended(reaper: Reaper, tmp_path: Path) -> None:
    pid = patient("one", tmp_path)
    stopping = asked(reaper, "stop", "one")
    wait_until("one", "stopping")
    restarting = asked(reaper, "restart", "one")

    assert answer(stopping)[0] == 14
    (tmp_path / "go").touch()
    status, said = answer(restarting)
    assert (status, said.split(":")[0]) == (0, "one is up")
    assert facts("one")["pid"] not in (0, pid)


def test_a_stop_during_a_restart_lets_it_stay_stopped(reaper: Reaper, tmp_path: Path) -> None:
    patient("one", tmp_path)
    restarting = asked(reaper, "restart", "one")
    wait_until("one", "stopping")
    stopping = asked(reaper, "stop", "one")
    assert answer(restarting)[0] == 14

    (tmp_path / "go").touch()

    assert answer(stopping) == (0, "one is stopped\n")
    assert facts("one")["state"] == "stopped"


def test_two_stops_are_both_answered_when_it_is_gone(reaper: Reaper, tmp_path: Path) -> None:
    patient("one", tmp_path)
    both = [asked(reaper, "stop", "one"), asked(reaper, "stop", "one")]
    wait_until("one", "stopping")
    (tmp_path / "go").touch()

    assert [answer(one) for one in both] == [(0, "one is stopped\n")] * 2
    assert numen("stop", "one") == "one is stopped\n"


def test_a_start_of_what_runs_changes_nothing() -> None:
    pid = start("one")

    assert f"one is up already: pid {pid}" in numen("start", "one")
    assert pid_of("one") == pid


def test_what_is_removed_while_it_runs_is_ended_first_and_its_log_stays(reaper: Reaper, tmp_path: Path) -> None:
    pid = patient("one", tmp_path)
    removing = asked(reaper, "remove", "one")
    wait_until("one", "stopping")
    waiting = asked(reaper, "wait", "--for", "running", "one")
    assert definition("one").exists()
    (tmp_path / "go").touch()

    status, said = answer(removing)
    assert (status, said.partition(";")[0]) == (0, "one is removed")
    assert answer(waiting)[0] == 6
    assert observe.is_zombie_or_gone(pid)
    assert not definition("one").exists()
    assert "here" in log("one")
    assert "there is no daemon 'one'" in numen("stop", "one", status=6)
    start("one")


def test_a_start_during_a_removal_keeps_it(reaper: Reaper, tmp_path: Path) -> None:
    patient("one", tmp_path)
    removing = asked(reaper, "remove", "one")
    wait_until("one", "stopping")
    starting = asked(reaper, "start", "one")
    assert answer(removing)[0] == 14

    (tmp_path / "go").touch()

    assert answer(starting)[0] == 0
    assert definition("one").exists()


@pytest.mark.parametrize("order", [("reload",), ("signal", "HUP")])
def test_one_that_does_not_run_can_be_sent_nothing(order: tuple[str, ...]) -> None:
    start("one")
    numen("stop", "one")

    assert numen(*order, "one", status=7) == f"numen {order[0]}: one is not running\n"
    assert "there is no daemon 'two'" in numen(*order, "two", status=6)


def test_one_that_is_not_up_yet_is_not_told_to_reload(reaper: Reaper) -> None:
    command = ("start", "--name", "slow", "--ready", "notify", "--timeout", "30s", "--", *python("say('here'); rest()"))
    starting = asked(reaper, *command)
    wait_for_line("slow", "here")

    assert "slow is not running" in numen("reload", "slow", status=7)
    assert facts("slow")["state"] == "starting"
    # A signal of one's own choice is sent to whatever runs.
    assert numen("signal", "CONT", "slow") == "slow was sent SIGCONT\n"
    numen("stop", "slow")
    assert answer(starting)[0] == 14


def test_a_signal_to_one_that_waits_for_its_next_try_finds_nobody() -> None:
    options = ("--backoff-first", "1h", "--backoff-longest", "1h")
    numen("start", "--name", "crash", *options, "--", "false", status=9)

    assert "crash is not running" in numen("signal", "TERM", "crash", status=7)
    assert facts("crash")["state"] == "backoff"
    assert numen("stop", "crash") == "crash is stopped\n"
    # A start by hand does not wait.
    assert "ended before it was up" in numen("start", "crash", status=9)


def test_a_daemon_that_ends_by_a_signal_that_was_sent_is_restarted() -> None:
    pid = start("one")

    numen("signal", "KILL", "one")

    wait_for(lambda: pid_of("one") not in (0, pid), DEADLINE, "another process")
    assert facts("one")["ending"] == "signal SIGKILL"


def test_the_stop_of_many_takes_as_long_as_that_of_the_slowest() -> None:
    for number in range(8):
        script = """
            def end(*_):
                time.sleep(0.7)  # the length is the point
                sys.exit(0)
            signal.signal(signal.SIGTERM, end)
            say("here")
            rest()
        """
        start(f"slow-{number}", *python(script))
        wait_for_line(f"slow-{number}", "here")

    before = time.monotonic()
    numen("stop", "slow-*")

    assert 0.7 <= time.monotonic() - before < 8 * 0.7
    assert set(states().values()) == {"stopped"}


def test_a_pattern_names_those_that_it_fits() -> None:
    for name in ("web-1", "web-2", "mail"):
        start(name)

    assert numen("stop", "web-[12]", "web-1") == "web-1 is stopped\nweb-2 is stopped\n" or set(states().items()) == {
        ("web-1", "stopped"),
        ("web-2", "stopped"),
        ("mail", "running"),
    }
    assert "no daemon matches 'db-*'; nothing was done" in numen("stop", "mail", "db-*", status=6)
    assert facts("mail")["state"] == "running"


# Ends and restarts


@pytest.mark.parametrize(
    ("options", "script", "state", "status"),
    [
        (("--restart", "on-failure"), "exit 0", "exited", 0),
        (("--restart", "on-failure"), "kill -TERM $$", "exited", 0),
        (("--restart", "never"), "exit 0", "exited", 0),
        (("--restart", "never"), "exit 3", "failed", 9),
        (("--restart", "never", "--success", "3"), "exit 3", "exited", 0),
        (("--restart", "never", "--success", "3"), "exit 0", "failed", 9),
        (("--final", "64"), "exit 64", "failed", 9),
        (("--final", "KILL"), "kill -KILL $$", "failed", 9),
        (("--final", "0"), "exit 0", "exited", 0),
        (("--restart", "always"), "exit 0", "backoff", 9),
    ],
)
def test_how_it_ends_decides_whether_it_is_started_again(
    options: tuple[str, ...], script: str, state: str, status: int
) -> None:
    slowly = ("--backoff-first", "1h", "--backoff-longest", "1h")

    numen("start", "--quiet", "--name", "one", *slowly, *options, "--", *shell(script), status=status)

    assert facts("one")["state"] == state


def test_one_that_was_up_for_long_enough_is_restarted_at_once() -> None:
    options = ("--healthy-after", "500ms", "--backoff-first", "1h", "--backoff-longest", "1h")
    pid = start("one", options=options)
    wait_for(lambda: time.time() - facts("one")["since"] > 0.6, DEADLINE, "its health")

    os.kill(pid, signal.SIGKILL)

    wait_for(lambda: pid_of("one") not in (0, pid), DEADLINE, "another process")
    os.kill(pid_of("one"), signal.SIGKILL)
    told = wait_until("one", "backoff")
    assert told["due"] - time.time() > 1


def test_after_too_many_restarts_it_has_failed_and_can_be_started_again() -> None:
    options = ("--backoff-first", "10ms", "--give-up", "3/1m")
    numen("start", "--name", "one", *options, "--", *shell("echo run; exit 1"), status=9)

    told = wait_until("one", "failed")
    assert told["reason"] == "restarted 3 times within 1m"
    assert told["restarts"] == 3
    assert log("one").count("run") == 4
    assert run_numen("status", "one").returncode == 1
    numen("start", "one", status=9)
    wait_until("one", "failed")
    assert log("one").count("run") == 8


def test_a_program_that_is_gone_is_told_and_tried_again(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\nexec sleep 1000\n")
    program.chmod(0o755)
    start("one", str(program), options=("--backoff-first", "10ms", "--backoff-longest", "1s"))
    program.rename(tmp_path / "elsewhere")

    numen("stop", "one")
    said = numen("start", "one", status=9)

    assert str(program) in said
    assert "No such file" in said or "not found" in said
    (tmp_path / "elsewhere").rename(program)
    wait_until("one", "running")


def test_a_directory_that_is_gone_is_told(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    pid = start("one", options=("--directory", place))
    place.rmdir()

    assert str(place) in numen("restart", "one", status=6)
    assert pid_of("one") == pid
    numen("stop", "one")
    assert str(place) in numen("start", "one", status=9)


# Surroundings


def test_the_environment_is_what_was_taken_at_the_definition_and_never_another() -> None:
    session = {
        "SSH_AUTH_SOCK": "/tmp/agent",
        "SSH_CONNECTION": "1",
        "DISPLAY": ":0",
        "DBUS_SESSION_BUS_ADDRESS": "unix:",
        "GITHUB_TOKEN": "secret",
        "LD_PRELOAD": "",
        "PYTHONPATH": "/nowhere",
        "NOTIFY_SOCKET": "/nowhere",
    }
    mine = {"LC_TIME": "C", "TZ": "UTC", "VIRTUAL_ENV": "/venv", "COLOUR": "red", "LANG": "C.UTF-8"}
    first = start("one", env={**session, **mine}, options=("-e", "COLOUR", "-e", "FRUIT=pear"))
    before = observe.look(first).environ
    names = {"PATH", "LANG", "LC_TIME", "TZ", "VIRTUAL_ENV", "COLOUR", "FRUIT", "NUMEN_INVOCATION", "NUMEN_NAME"}
    own = {"HOME", "USER", "LOGNAME", "SHELL"}
    assert before.keys() - {"LC_ALL", "LC_CTYPE"} == names | own
    assert before["HOME"] == pwd.getpwuid(os.getuid()).pw_dir
    assert (before["COLOUR"], before["FRUIT"], before["NUMEN_NAME"]) == ("red", "pear", "one")

    numen("restart", "one", env={**session, "COLOUR": "blue", "LC_TIME": "xx", "PATH": f"{os.environ['PATH']}:/other"})
    numen("signal", "KILL", "one", env={"COLOUR": "green"})
    wait_for(lambda: facts("one")["restarts"] == 1 and pid_of("one"), DEADLINE, "another process")

    after = observe.look(pid_of("one")).environ
    assert after.pop("NUMEN_INVOCATION") != before.pop("NUMEN_INVOCATION")
    assert after == before
    for pid in (about()["pid"], about()["keeper"]):
        assert not session.keys() & observe.look(pid).environ.keys()


def test_environment_files_are_read_at_each_start(tmp_path: Path) -> None:
    file, missing = tmp_path / "variables", tmp_path / "missing"
    file.write_text('# colours\nCOLOUR="red"\nexport FRUIT=pear\n')
    pid = start("one", options=("--env-file", file, f"--env-file=-{missing}", "-e", "COLOUR=black"))
    assert observe.look(pid).environ["COLOUR"] == "red"
    assert observe.look(pid).environ["FRUIT"] == "pear"

    file.write_text("COLOUR=blue\n")
    missing.write_text("SHAPE=round\n")
    numen("restart", "one")

    environ = observe.look(pid_of("one")).environ
    assert (environ["COLOUR"], environ["SHAPE"], environ.get("FRUIT")) == ("blue", "round", None)
    file.write_text("no variable\n")
    assert f"{file}:1" in numen("restart", "one", status=6)
    numen("stop", "one")
    assert f"{file}:1" in numen("start", "one", status=9)


def test_an_environment_file_that_nobody_writes_to_holds_up_nobody_else(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)

    said = run_numen("start", "--name", "one", "--env-file", fifo, "--", *SLEEPER, deadline_seconds=DEADLINE)

    assert said.returncode != 0
    start("two")


def test_a_separate_stderr_has_a_log_of_its_own() -> None:
    start("one", *shell("echo out; echo err >&2; exec sleep 1000"), options=("--separate-stderr",))

    wait_for_line("one.err", "err")
    assert wait_for_line("one", "out") == "out\n"
    assert log("one.err") == "err\n"
    edit("one", "separate_stderr = true", "separate_stderr = false")
    numen("restart", "one")
    wait_for_line("one", "err")
    assert log("one.err") == "err\n"


UNPRIVILEGED = (
    "--umask",
    "027",
    "--limit",
    "open-files=100:200",
    "--nice",
    "7",
    "--oom-score",
    "321",
    "--affinity",
    "0",
)


def test_what_is_asked_for_is_so_in_the_daemon() -> None:
    seen = observe.look(start("one", options=(*UNPRIVILEGED, "--no-new-privileges", "--directory", "/usr")))

    assert (seen.umask, seen.nice, seen.oom_score_adj, seen.no_new_privs) == (0o027, 7, 321, True)
    assert seen.limits["open files"] == (100, 200)
    assert os.sched_getaffinity(seen.pid) == {0}
    assert seen.cwd == "/usr"
    numen("restart", "one")
    assert observe.look(pid_of("one")).nice == 7


def test_without_anything_asked_for_the_surroundings_are_those_of_a_daemon() -> None:
    with_umask = f"umask 0; exec {numen_command()} start --quiet --name one -- sleep 1000"
    subprocess.run(["sh", "-c", with_umask], check=True, timeout=DEADLINE, cwd="/usr")
    seen = observe.look(pid_of("one"))

    assert (seen.umask, seen.cwd, seen.tty_nr, seen.sid, seen.pgid) == (0o022, "/usr", 0, seen.pid, seen.pid)
    assert (seen.signals.blocked, seen.signals.ignored) == (frozenset(), frozenset())
    assert {number: one.target for number, one in seen.descriptors.items()} == {
        0: "/dev/null",
        1: f"{places.streams_directory()}/one.out",
        2: f"{places.streams_directory()}/one.out",
    }
    assert seen.limits["open files"] == resource.getrlimit(resource.RLIMIT_NOFILE)
    assert seen.limits["core file size"][0] == 0


@pytest.mark.needs_root
def test_with_a_user_all_that_is_his_follows() -> None:
    user = pwd.getpwnam("www-data")
    options = ("--user", "www-data", "--directory", "/usr")
    seen = observe.look(start("one", options=options, env={"HOME": "/root", "USER": "root", "SHELL": "/bin/zsh"}))

    assert set(seen.uids) == {user.pw_uid}
    assert set(seen.gids) == {user.pw_gid}
    assert seen.groups == frozenset(os.getgrouplist("www-data", user.pw_gid))
    his = {"HOME": user.pw_dir, "USER": "www-data", "LOGNAME": "www-data", "SHELL": user.pw_shell}
    assert seen.environ.items() >= his.items()
    assert not any(seen.capabilities.effective | seen.capabilities.permitted | seen.capabilities.ambient)


@pytest.mark.needs_root
def test_groups_and_capabilities_are_those_that_are_asked_for() -> None:
    options = ("--user", "nobody", "--group", "mail", "--groups", "adm,tty", "--capability", "net_bind_service")
    seen = observe.look(start("one", options=options))

    assert set(seen.gids) == {8}
    assert seen.groups <= frozenset({4, 5, 8})
    assert seen.groups >= frozenset({4, 5})
    assert seen.capabilities.effective == frozenset({10})
    assert seen.capabilities.ambient == frozenset({10})
    assert "'nosuchuser'" in numen("start", "--name", "two", "--user", "nosuchuser", "--", *SLEEPER, status=6)


@pytest.mark.needs_root
def test_a_directory_that_the_user_may_not_enter_is_told(public_path: Path) -> None:
    place = public_path / "closed"
    place.mkdir(mode=0o700)

    said = numen("start", "--name", "one", "--user", "nobody", "--directory", place, "--", *SLEEPER, status=9)

    assert str(place) in said
    assert "Permission denied" in said


# What is remembered


def test_after_a_shutdown_what_ran_is_back_and_what_was_stopped_is_not() -> None:
    running, stopped = start("running"), start("stopped")
    start("disabled", options=("--disabled",))
    numen("stop", "stopped")
    numen("start", "--name", "finished", "--restart", "never", "--", "true")

    numen("shutdown")

    assert observe.is_zombie_or_gone(running)
    assert observe.is_zombie_or_gone(stopped)
    assert run_numen("status", "running").returncode == 3
    numen("supervisor")
    wait_until("running", "running")
    assert states()["stopped"] == "stopped"
    assert states()["finished"] == "exited"


def reboot() -> None:
    """Let the journal be one of an earlier boot."""
    path = Path(places.state_directory(), "journal")
    lines = path.read_text().splitlines()
    assert "boot" in json.loads(lines[0])
    path.write_text("\n".join([json.dumps({**json.loads(lines[0]), "boot": "another"}), *lines[1:], ""]))


def test_after_a_reboot_what_ran_is_back_and_what_was_stopped_or_disabled_is_not() -> None:
    for name in ("running", "stopped", "disabled"):
        start(name)
    numen("stop", "stopped")
    numen("disable", "disabled")
    numen("shutdown")
    reboot()

    numen("supervisor")

    wait_until("running", "running")
    assert states() == {"running": "running", "stopped": "stopped", "disabled": "stopped"}
    numen("enable", "disabled")
    numen("start", "disabled")
    numen("shutdown")
    reboot()
    numen("supervisor")
    wait_until("disabled", "running")


def test_after_a_crash_of_the_machine_what_ran_is_back(reaper: Reaper) -> None:
    pid = start("running")
    start("stopped")
    numen("stop", "stopped")
    who = about()
    os.kill(who["keeper"], signal.SIGSTOP)
    for one in (who["pid"], pid, who["keeper"]):
        os.kill(one, signal.SIGKILL)
        observe.wait_until_gone(one)
    reboot()
    # Nothing of it is there but what stands on the disk.
    for name in ("endings", "control"):
        for path in Path(os.environ["NUMEN_HOME"], "run").rglob(name):
            path.unlink()

    numen("supervisor")

    wait_until("running", "running")
    assert pid_of("running") != pid
    assert states()["stopped"] == "stopped"


def test_a_definition_that_was_edited_by_hand_is_taken_up_by_a_restart(tmp_path: Path) -> None:
    pid = start("one")
    edit("one", '"1000"', '"2000"')
    definition("new").write_text(definition("one").read_text())
    definition("new").chmod(0o600)

    assert observe.look(pid).cmdline[1] == "1000"
    numen("restart", "one")

    assert observe.look(pid_of("one")).cmdline[1] == "2000"
    numen("start", "new")
    assert facts("new")["state"] == "running"


def test_a_bad_file_is_told_and_hurts_no_other() -> None:
    pid = start("good")
    start("bad")
    edit("bad", "command = ", "comand = ")

    said = numen("restart", "bad", status=2)
    assert "command" in said
    assert facts("bad")["state"] == "running"
    numen("shutdown", "--leave")
    definition("ugly").write_text("this is = no = toml")
    numen("supervisor")

    assert pid_of("good") == pid
    assert facts("bad")["state"] == "running"
    numen("restart", "good")
    assert "ugly" in numen("logs", "numen") or wait_for_line("numen", "ugly")


def test_one_whose_file_was_spoilt_is_what_it_was_until_the_file_is_mended() -> None:
    for name in ("running", "stopped", "spoilt"):
        start(name)
    numen("stop", "stopped")
    texts = {name: definition(name).read_text() for name in states()}
    for name in texts:
        definition(name).write_text("spoilt")

    kill_supervisor()
    assert states() == {"running": "running", "stopped": "stopped", "spoilt": "running"}
    numen("shutdown")
    reboot()
    numen("supervisor")
    assert states() == dict.fromkeys(texts, "unusable")
    numen("shutdown")
    for name, text in texts.items():
        definition(name).write_text(text)
    reboot()
    numen("supervisor")
    wait_until("running", "running")
    assert states()["stopped"] == "stopped"


@pytest.mark.parametrize("way", ["leave", "quit"])
def test_daemons_that_are_left_run_on_and_are_taken_back(way: str) -> None:
    pid = start("one", *shell("while :; do echo line; sleep 0.01; done"))
    start("two", options=("--nice", "3"))
    before = facts("one")
    keeper = about()["keeper"]

    if way == "leave":
        numen("shutdown", "--leave")
    else:
        os.kill(about()["pid"], signal.SIGQUIT)
    observe.wait_until_gone(keeper)

    assert not observe.is_zombie_or_gone(pid)
    numen("supervisor")
    after = facts("one")
    assert [after[key] for key in ("pid", "invocation", "restarts", "since", "state")] == [
        before[key] for key in ("pid", "invocation", "restarts", "since", "state")
    ]
    length = len(log("one"))
    wait_for(lambda: len(log("one")) > length, DEADLINE, "more lines")
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: pid_of("one") not in (0, pid), DEADLINE, "another process")
    # Nobody but a parent is told how a process has ended; where the kernel tells others, it is that.
    assert facts("one")["ending"] in ("signal SIGKILL", "exit status unknown")


@pytest.mark.parametrize("whom", ["pid", "keeper"])
def test_sigterm_stops_all_in_order(whom: str, tmp_path: Path) -> None:
    script = "signal.signal(signal.SIGTERM, lambda *_: (say('asked'), sys.exit(0))); say('here'); rest()"
    pid = start("one", *python(script))
    wait_for_line("one", "here")
    who = about()

    os.kill(who[whom], signal.SIGTERM)

    for process in (pid, who["pid"], who["keeper"]):
        observe.wait_until_gone(process)
    assert "asked" in log("one")
    assert run_numen("status", "one").returncode == 3
    numen("supervisor")
    wait_until("one", "running")


def test_a_start_while_the_supervisor_ends_is_the_next_ones_and_other_orders_are_refused(
    reaper: Reaper, tmp_path: Path
) -> None:
    pid = patient("one", tmp_path)
    ending = asked(reaper, "shutdown")
    wait_until("one", "stopping")

    assert "the supervisor is ending" in numen("restart", "one", status=1)
    assert "the supervisor is ending" in numen("stop", "one", status=1)
    starting = asked(reaper, "start", "one")
    (tmp_path / "go").touch()
    assert answer(ending)[0] == 0
    status, said = answer(starting)
    assert (status, said.split(":")[0]) == (0, "one is up")
    assert pid_of("one") not in (0, pid)


# Under a service manager, in a container


class Manager:
    """A service manager: what is sent to its NOTIFY_SOCKET."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(DEADLINE)

    def wait_for(self, assignment: str) -> list[str]:
        """Wait until that is told; all of the message."""
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline:
            told = self._socket.recv(4096).decode().split("\n")
            if assignment in told:
                return told
        raise AssertionError(f"never told: {assignment}")

    def close(self) -> None:
        self._socket.close()


def test_in_the_foreground_it_speaks_with_a_service_manager(reaper: Reaper, tmp_path: Path) -> None:
    manager = Manager(tmp_path / "notify")
    command = (numen_command(), "supervisor", "--foreground")
    env = {**os.environ, "NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": "200000"}
    with (tmp_path / "output").open("w") as output:
        running = reaper.start(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=env)

    assert "STATUS=0 daemons" in manager.wait_for("READY=1")
    manager.wait_for("WATCHDOG=1")
    pid = start("one")
    assert about()["keeper"] == running.pid
    assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC"} & observe.look(pid).environ.keys()
    kill_supervisor()
    manager.wait_for("WATCHDOG=1")
    running.terminate()
    manager.wait_for("STOPPING=1")
    assert running.wait(DEADLINE) == 0
    assert observe.is_zombie_or_gone(pid)
    assert "one: running" in (tmp_path / "output").read_text()
    manager.close()


def test_there_is_one_supervisor_in_the_foreground_or_in_the_background() -> None:
    numen("supervisor")

    assert "runs already" in numen("supervisor", "--foreground", status=8)
    assert "runs already" in numen("supervisor", status=8)


@pytest.mark.needs_root
@pytest.mark.needs_package("util-linux", command="unshare")
def test_as_the_first_process_of_a_container_it_reaps_and_ends_with_all(reaper: Reaper) -> None:
    command = (
        "unshare",
        "--pid",
        "--fork",
        "--mount-proc",
        "--kill-child",
        numen_command(),
        "supervisor",
        "--foreground",
    )
    container = reaper.start(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(lambda: run_numen("events").returncode == 0, DEADLINE, "a supervisor in the container")
    (first,) = observe.children(container.pid)
    assert about()["keeper"] == 1

    script = """
        if os.fork(): rest()
        os.setsid()
        if os.fork(): os._exit(0)
        say("stray")
        rest()
    """
    start("one", *python(script))
    wait_for_line("one", "stray")
    inside = set(observe.descendants(first))
    assert len(inside) >= 2
    os.kill(first, signal.SIGTERM)

    assert container.wait(DEADLINE) == 0
    assert all(observe.is_zombie_or_gone(pid) for pid in inside)


# The world around it


def test_a_runtime_directory_that_was_removed_is_made_anew_when_somebody_asks() -> None:
    pid = start("one", *python("while True: say('line'); time.sleep(0.02)"), options=("--ready", "exec"))
    who = about()["pid"]
    shutil.rmtree(places.runtime_directory())

    assert facts("one")["pid"] == pid
    assert about()["pid"] == who
    length = len(log("one"))
    wait_for(lambda: len(log("one")) > length, DEADLINE, "more lines")
    shutil.rmtree(places.runtime_directory())
    assert f"pid {pid}" in numen("start", "one")
    # A successor finds the output too, though it has no name any more.
    kill_supervisor()
    length = len(log("one"))
    wait_for(lambda: len(log("one")) > length, DEADLINE, "more lines after a kill")
    assert pid_of("one") == pid
    numen("restart", "one")
    length = len(log("one"))
    wait_for(lambda: len(log("one")) > length, DEADLINE, "more lines after a restart")
    start("two", *shell("echo two; exec sleep 1000"))
    wait_for_line("two", "two")


@pytest.fixture
def small_disk(numen_home: Path) -> Iterator[Path]:
    """A small file system of its own for what the supervisor writes down."""
    run = numen_home / "run"
    run.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k,mode=0700", "numen", run], check=True)
    yield run
    numen("shutdown")
    subprocess.run(["umount", run], check=True)


def written(name: str) -> dict[str, Any]:
    """The life of a daemon as it stands in the journal."""
    records = Journal(str(Path(places.state_directory(), "journal"))).read()
    found: list[dict[str, Any]] = [one["life"] for one in records if one.get("name") == name and "life" in one]
    return found[-1]


def fill(path: Path) -> None:
    """Leave no room on a small file system."""
    with path.open("wb", buffering=0) as file:
        for size in (4096, 1):
            with suppress(OSError):
                while True:
                    file.write(b"x" * size)


@pytest.mark.needs_root
def test_a_full_disk_under_the_journal_is_told_and_what_runs_goes_on(small_disk: Path) -> None:
    quickly = ("--backoff-first", "10ms", "--backoff-longest", "1s")
    calm, pid = start("calm"), start("one", options=quickly)
    numen("start", "--name", "crash", *quickly, "--", "false", status=9)
    fill(small_disk / "filler")

    # What the journal cannot hold must not be spawned: nobody could take it back.
    wait_for(lambda: "write down" in (facts("crash")["ending"] or ""), DEADLINE, "the reason why it is not started")
    os.kill(pid, signal.SIGKILL)
    assert "write down" in numen("restart", "one", status=9)
    assert pid_of("calm") == calm
    numen("stop", "crash")
    (small_disk / "filler").unlink()
    wait_until("one", "running")
    wait_for_line("numen", "cannot write to the journal: No space left on device")
    wait_for(lambda: "state" not in written("crash") and written("one")["state"] == "running", DEADLINE, "the journal")
    found = pid_of("one")
    kill_supervisor()
    assert (pid_of("one"), pid_of("calm")) == (found, calm)
    assert states() == {"calm": "running", "crash": "stopped", "one": "running"}


@pytest.mark.needs_root
def test_with_a_full_disk_a_stop_is_a_stop(small_disk: Path) -> None:
    pid = start("one")
    fill(small_disk / "filler")

    numen("stop", "one")

    assert observe.is_zombie_or_gone(pid)
    (small_disk / "filler").unlink()
    kill_supervisor()
    assert facts("one")["state"] == "stopped"
    assert numen("start", "one")


# Under audit


def audit_of(pid: int) -> list[str]:
    """What `numen audit` finds wrong with a process."""
    done = run_numen("audit", "--json", str(pid))
    findings: list[dict[str, Any]] = json.loads(done.stdout)["audits"][0]["findings"]
    return [f"{one['rule']}: {one['evidence']}" for one in findings if one["verdict"] in ("fault", "warning")]


@pytest.mark.parametrize(
    "options", [(), ("--nice", "1"), ("--separate-stderr",), ("--ready", "notify"), ("--ready", "fd:3")]
)
def test_the_audit_finds_nothing_wrong_with_what_is_kept(
    options: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    script = """
        if "NOTIFY_SOCKET" in os.environ: notify("READY=1")
        try: os.write(3, b"\\n")
        except OSError: pass
        rest()
    """
    pid = start("one", *python(script), options=("--directory", "/", *options))

    assert audit_of(pid) == []
    if not options:
        assert audit_of(about()["pid"]) == []
        assert audit_of(about()["keeper"]) == []


@pytest.mark.needs_root
def test_the_audit_finds_nothing_wrong_with_a_daemon_of_another_user() -> None:
    pid = start("one", options=("--directory", "/", "--user", "www-data"))

    assert audit_of(pid) == []


def test_one_that_is_suspended_by_a_signal_is_told_as_that() -> None:
    start("one")
    numen("signal", "STOP", "one")

    wait_for(
        lambda: "is suspended by a signal; numen signal CONT one continues it" in numen("status", "one"),
        DEADLINE,
        "its suspension",
    )
    numen("signal", "CONT", "one")
    wait_for(lambda: "suspended" not in numen("status", "one"), DEADLINE, "its going on")


def test_a_log_is_kept_as_the_file_says_now_and_nothing_is_restarted() -> None:
    pid = start("web", *shell("echo first; exec sleep 1000"))
    wait_for_line("web", "first")
    with definition("web").open("a") as file:
        file.write('\n[log]\nevery = "1s"\n')
    numen("start", "web")
    full = Path(places.log_directory(), "web.log.1")
    wait_for(full.exists, DEADLINE, "the log of the silent daemon is rotated")
    assert (full.read_text(), pid_of("web")) == ("first\n", pid)
