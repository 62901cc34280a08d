"""What the commands around the supervisor import, and how long a status of a thousand daemons takes its client."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import observe
from numen.cli import kept, kept_table
from processes import numen_command, run_numen

COSTLY = (
    "argparse",
    "asyncio",
    "ctypes",
    "dataclasses",
    "inspect",
    "logging",
    "pathlib",
    "rich",
    "shutil",
    "subprocess",
    "tempfile",
    "threading",
    "typing",
)
"""Each takes a millisecond or more; a client needs socket and json, and what these bring."""

MODULES_OF_NUMEN = 25


@pytest.fixture
def supervisor() -> Iterator[None]:
    """A supervisor that keeps one daemon."""
    command = ("sh", "-c", "trap : HUP; while :; do sleep 1; done")
    assert run_numen("start", "--quiet", "--name", "web", "--", *command).returncode == 0
    yield
    assert run_numen("shutdown", "--quiet").returncode == 0


def imported_by(*argv: str | Path) -> set[str]:
    command = [sys.executable, "-X", "importtime", *argv]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True, timeout=60)
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip() for line in lines[1:]}


@pytest.mark.parametrize(
    "arguments",
    [("status",), ("stop", "web"), ("restart", "web"), ("reload", "web"), ("wait", "web"), ("events", "web")],
    ids=lambda arguments: arguments[0],
)
def test_an_order_imports_no_more_than_a_client_needs(supervisor: None, arguments: tuple[str, ...]) -> None:
    found = imported_by(numen_command(), *arguments) - imported_by("-c", "pass")

    assert found & set(COSTLY) == set()
    own = {name for name in found if name.partition(".")[0] == "numen"}
    assert "numen.wire.client" in own
    assert len(own) <= MODULES_OF_NUMEN, sorted(own)


def test_the_names_that_a_shell_completes_cost_no_connection(supervisor: None) -> None:
    found = imported_by(numen_command(), "status", "--names")

    assert found & {"socket", "numen.wire.client", *COSTLY} == set()


def test_a_thousand_daemons_are_read_and_told_in_a_fraction_of_a_tenth_of_a_second() -> None:
    report = {"state": "running", "since": time.time(), "wanted": True, "start": True, "pid": os.getpid()}
    report |= {"start_time": observe.start_time(os.getpid()), "invocation": "a" * 32, "restarts": 0, "failures": 0}
    report |= {"ready": "exec", "reason": "", "by": "ann (pid 7)", "status": ""}
    daemons = [report | {"name": f"web-{number}"} for number in range(1000)]

    def once() -> float:
        began = time.process_time()
        kept_table.plain([kept.with_usage(one) for one in daemons], time.time())
        return time.process_time() - began

    assert min(once() for _ in range(5)) < 0.08
