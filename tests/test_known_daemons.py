"""What the audit says of daemons that everybody knows, as docs/audit-of-known-daemons.md shows it."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import observe
from known_daemons import CLEAN, KNOWN, Known, find_first, start, start_known
from numen.check.verdict import FAULT, UNKNOWN, WARNING
from processes import ROOT, Reaper, Terminal, numen_command, wait_for

PAGE = ROOT / "docs" / "audit-of-known-daemons.md"

pytestmark = pytest.mark.needs_root

COMMANDS = {"nginx-light": "nginx", "openssh-server": "sshd", "postgresql": "pg_ctlcluster", "rsyslog": "rsyslogd"}
"""Where the package has another name than its command."""


def found(find: Callable[[], int]) -> str:
    """The faults and warnings, as the page has them.

    A daemon that has just been started may still be the one before the last fork: then it is looked for again.
    """
    return wait_for(lambda: _found(pid) if (pid := find()) else "", 30, "a daemon that stays")


def _found(pid: int) -> str:
    """What is found, looked for where the daemon's own files are to be seen; empty where it has ended meanwhile."""
    inside = ["nsenter", f"--target={pid}", "--mount", "--net"]
    done = subprocess.run(
        [*inside, numen_command(), "audit", "--json", "--fail-on", "never", str(pid)],
        env={**CLEAN, "HOME": "/root"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if observe.is_zombie_or_gone(pid):
        return ""
    assert done.returncode == 0, done.stderr
    findings = json.loads(done.stdout)["audits"][0]["findings"]
    # Its parent is the suite, which adopts orphans: on a machine of its own it would be the first process.
    findings = [one for one in findings if (one["rule"], one["verdict"]) != ("launcher-gone", UNKNOWN)]
    told = [f"{one['verdict']}: {one['rule']}" for one in findings if one["verdict"] in (FAULT, WARNING, UNKNOWN)]
    return ", ".join(told) or "nothing"


def row_of(daemon: str) -> str:
    """What the page says that the audit finds."""
    row = re.search(rf"^\| {re.escape(daemon)} \|.*\| (.*) \|$", PAGE.read_text(), re.M)
    assert row, f"{PAGE.name} has no row for {daemon}"
    return row[1].replace("`", "")


@pytest.mark.parametrize(
    "known",
    [
        pytest.param(
            one,
            id=one.package,
            marks=pytest.mark.needs_package(one.package, command=COMMANDS.get(one.package, one.package)),
        )
        for one in KNOWN
    ],
)
def test_a_daemon_of_a_package(known: Known, public_path: Path, reaper: Reaper) -> None:
    assert found(start_known(known, public_path, reaper)) == row_of(known.comm)


SLEEP = ("/bin/sleep", "1000")

OWN_SLEEP = "./sleep"
"""A copy: start-stop-daemon starts no second process of the same program."""


@pytest.mark.parametrize(
    ("daemonizer", "command", "comm"),
    [
        pytest.param(
            "start-stop-daemon",
            ("start-stop-daemon", "--start", "--background", "--exec", OWN_SLEEP, "--", SLEEP[1]),
            "sleep",
            id="start-stop-daemon",
        ),
        pytest.param("daemonize", ("daemonize", *SLEEP), "sleep", marks=pytest.mark.needs_package("daemonize")),
        pytest.param(
            "daemon (libslack)", ("daemon", "--", *SLEEP), "daemon", marks=pytest.mark.needs_package("daemon")
        ),
    ],
)
def test_what_a_daemonizer_makes(
    daemonizer: str, command: tuple[str, ...], comm: str, public_path: Path, reaper: Reaper
) -> None:
    shutil.copy("/bin/sleep", public_path / "sleep")
    here = [str(public_path / "sleep") if word == OWN_SLEEP else word for word in command]

    assert found(start(here, comm, public_path, reaper)) == row_of(daemonizer)


def test_what_python_daemon_makes(public_path: Path, reaper: Reaper) -> None:
    pytest.importorskip("daemon")
    program = "import daemon, signal\nwith daemon.DaemonContext(): signal.pause()"

    find = start((sys.executable, "-c", program), Path(sys.executable).name, public_path, reaper)

    assert found(find) == row_of("python-daemon")


def test_what_nohup_makes(public_path: Path, reaper: Reaper) -> None:
    before = set(observe.descendants(os.getpid()))
    with Terminal(["sh", "-i"], env={**dict.fromkeys(os.environ), **CLEAN}, cwd=public_path) as terminal:
        terminal.type_in("nohup /bin/sleep 1000 &\n")

        assert found(lambda: find_first("sleep", before, reaper)) == row_of("nohup")
