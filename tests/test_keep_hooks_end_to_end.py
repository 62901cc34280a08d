"""Real commands before and after real daemons, under supervisors that are killed; and a daemon in a terminal."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import keeping
import observe
from kept import DEADLINE, MARK, Kept, nothing_left
from processes import wait_for


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Kept]:
    with nothing_left():
        one = Kept(tmp_path / "numen")
        one.open()
        yield one


def defined(house: Kept, name: str, *command: str, **keys: Any) -> dict[str, Any]:
    """Define a daemon, and what came of its start."""
    environment = {"PATH": os.environ["PATH"], MARK: str(house.home)}
    definition = {"command": list(command), "directory": "/", "environment": environment, **keys}
    (outcome,) = house.call("Define", name=name, definition=definition)["outcomes"]
    assert isinstance(outcome, dict)
    return outcome


def script(text: str) -> list[str]:
    return ["/bin/sh", "-c", text]


SLEEP = ("/bin/sleep", "1000")


def test_commands_before_and_after_each_run_with_what_they_tell(house: Kept, tmp_path: Path) -> None:
    told, fine = tmp_path / "told", tmp_path / "fine"
    before = script(f"echo before >> {told}; test -e {fine} || {{ echo no table; exit 3; }}")
    after = script(f"echo $NUMEN_NAME $EXIT_CODE $EXIT_STATUS >> {told}; exit 1")
    keys = {"before_start": before, "after_exit": after, "backoff": {"longest": "1s"}}
    failed = defined(house, "web", *SLEEP, **keys)
    assert (failed["ok"], failed["error"]) == (False, "NotStarted")
    assert "before_start: exit status 3: no table" in failed["message"]

    fine.touch()
    up = house.wait_until("web", lambda one: one["state"] == "running", "runs")
    os.kill(up["pid"], signal.SIGKILL)
    house.wait_until("web", lambda one: one.get("pid") not in (None, up["pid"]) and one["state"] == "running", "is new")
    house.numen("stop", "web")

    lines = told.read_text().splitlines()
    assert lines[-4:] == ["before", "web killed KILL", "before", "web killed TERM"]
    assert "after_exit failed: exit status 1" in house.log("numen")


def test_what_runs_before_a_start_is_run_again_by_the_next_supervisor_and_ended_by_a_stop(
    house: Kept, tmp_path: Path
) -> None:
    told = tmp_path / "told"
    house.definitions.mkdir(parents=True, exist_ok=True)
    path = house.definitions / "web.toml"
    path.touch(mode=0o600)
    path.write_text(f"""
        command = ["/bin/sleep", "1000"]
        before_start = ["/bin/sh", "-c", "echo $$ >> {told}; exec sleep 1000"]
        environment = {{ {MARK} = "{house.home}" }}
    """)

    def pids() -> list[int]:
        return [int(line) for line in told.read_text().split()] if told.exists() else []

    os.kill(house.pid, signal.SIGKILL)
    wait_for(lambda: len(pids()) == 1, DEADLINE, "the command runs")
    assert house.status("web")["awaited"] == "before_start"
    os.kill(house.pid, signal.SIGKILL)
    wait_for(lambda: len(pids()) == 2, DEADLINE, "the command runs again")
    assert "runs its before_start" in house.run("status", "web").stdout
    house.numen("stop", "web")
    for pid in pids():
        observe.wait_until_gone(pid)
    assert house.status("web")["state"] == "stopped"


def test_on_failure_a_command_is_run_or_a_daemon_started(house: Kept, tmp_path: Path) -> None:
    told = tmp_path / "told"
    tell = script(f"echo $NUMEN_FAILED: $NUMEN_REASON > {told}.new; mv {told}.new {told}")
    defined(house, "a", *script("exit 3"), restart="never", on_failure=tell)
    wait_for(told.exists, DEADLINE, "the command has run")
    assert told.read_text() == "a: exit status 3; restart is never\n"

    defined(house, "rescue", *script("sleep 1000"), restart="never")
    house.numen("stop", "rescue")
    defined(house, "b", *script("exit 3"), restart="never", on_failure="rescue")
    assert house.wait_until("rescue", lambda one: one["state"] == "running", "runs")["by"] == "the failure of b"


def test_a_reload_by_a_command_is_answered_with_how_that_ended(house: Kept, tmp_path: Path) -> None:
    bad, told = tmp_path / "bad", tmp_path / "told"
    command = script(f"test ! -e {bad} || {{ echo line 3 is wrong; exit 2; }}; echo $MAINPID > {told}")
    pid = defined(house, "web", *SLEEP, reload_command=command)["daemon"]["pid"]
    assert house.numen("reload", "web") == "web has reloaded\n"
    assert told.read_text() == f"{pid}\n"

    bad.touch()
    done = house.run("reload", "web")
    assert done.returncode == 1
    assert "reload_command: exit status 2: line 3 is wrong" in done.stderr


IN_A_TERMINAL = """
import termios
def told(number, frame):
    say("caught", number)
signal.signal(signal.SIGHUP, told)
size = os.get_terminal_size(1)
say("terminal", all(os.isatty(one) for one in range(3)), os.getsid(0) == os.getpid(), size.columns, size.lines)
say("foreground", os.tcgetpgrp(0) == os.getpgrp(), os.environ["TERM"])
notify("READY=1")
rest()
"""


def test_a_daemon_in_a_terminal_is_signalled_told_and_ended_like_any_other(house: Kept) -> None:
    pid = defined(house, "web", *keeping.python(IN_A_TERMINAL), ready="notify", pty=True)["daemon"]["pid"]
    house.numen("reload", "web")
    wait_for(lambda: "caught 1" in house.log("web"), DEADLINE, "the signal has arrived")
    assert house.log("web") == "terminal True True 80 24\nforeground True xterm-256color\ncaught 1\n"
    os.kill(pid, signal.SIGTERM)
    after = house.wait_until("web", lambda one: one.get("pid") not in (None, pid), "is another")
    assert after["ending"] == "signal SIGTERM"

    defined(house, "last", *script("seq 10000; exit 7"), pty=True, restart="never")
    house.wait_until("last", lambda one: one["state"] == "failed", "has failed")
    assert house.status("last")["ending"] == "exit status 7"
    wait_for(lambda: house.log("last").endswith("\n10000\n"), DEADLINE, "all is in its log")
    assert len(house.lines("last")) == 10000
