"""The supervisor's loop: it sleeps while nothing is due, hears signals, and is no worse for what it cannot hear."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

import observe
from houses import idle_for
from keeping import DEADLINE, about, facts, numen, pid_of, shell, start, wait_for_line, wait_until
from numen.settings import places
from processes import run_numen, wait_for


@pytest.fixture(autouse=True)
def supervisor_ended() -> Iterator[None]:
    """Whatever a test has started is ended with the supervisor."""
    yield
    assert run_numen("shutdown", "--quiet").returncode == 0


def switches(pid: int) -> dict[str, int]:
    """How often each thread of a process has gone to sleep of itself (proc_pid_status(5))."""
    found = {}
    for status in Path(f"/proc/{pid}/task").glob("*/status"):
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        found[status.parent.name] = int(lines["voluntary_ctxt_switches"])
    return found


def test_with_nothing_due_neither_supervisor_nor_keeper_wakes() -> None:
    for number in range(3):
        start(f"calm-{number}")
    start("helped", options=("--nice", "1"))
    start("told", *shell("echo once; exec sleep 1000"), options=("--timestamps",))
    wait_for_line("told", "once")
    who = about()
    # What was put off, such as the log's index, is done by then.
    idle_for(1.5)

    before = [switches(who[one]) for one in ("pid", "keeper")]
    idle_for(2)

    assert [switches(who[one]) for one in ("pid", "keeper")] == before


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1, signal.SIGPIPE, signal.SIGCHLD])
@pytest.mark.parametrize("whom", ["pid", "keeper"])
def test_signals_that_ask_for_no_end_end_nothing(whom: str, number: signal.Signals) -> None:
    pid = start("one")
    who = about()

    for _ in range(20):
        os.kill(who[whom], number)

    assert (about()["pid"], about()["keeper"], pid_of("one")) == (who["pid"], who["keeper"], pid)


def test_a_socket_file_that_was_removed_is_made_anew_at_sigusr1() -> None:
    start("one")
    keeper, path = about()["keeper"], Path(places.control_path())
    path.unlink()

    os.kill(keeper, signal.SIGUSR1)

    wait_for(path.is_socket, DEADLINE, "the socket")
    assert facts("one")["state"] == "running"
    wait_for_line("numen", "the control socket was gone, and is made anew")


def test_many_deaths_at_once_leave_no_zombie() -> None:
    script = "for n in $(seq 300); do (exit 0) & done; wait; exec sleep 1000"
    start("forks", *shell(script))
    # Orphans: each comes to the supervisor when its parent ends.
    start("orphans", *shell("for n in $(seq 200); do (sleep 0.2 &) ; done; exec sleep 1000"))
    pid = about()["pid"]

    def has_no_zombie() -> bool:
        return not any(observe.is_zombie_or_gone(one) for one in observe.children(pid))

    wait_for(has_no_zombie, DEADLINE, "no zombie")

    assert facts("forks")["state"] == facts("orphans")["state"] == "running"
    numen("stop", "*")
    wait_for(lambda: not observe.children(pid), DEADLINE, "nobody left")


def test_the_supervisors_own_events_are_in_its_log_in_their_order() -> None:
    pid = start("one")
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: pid_of("one") not in (0, pid), DEADLINE, "another process")
    wait_until("one", "running")
    numen("stop", "one")

    lines = wait_for_line("numen", "one: stopped").splitlines()
    kinds = [line.split("one: ")[1].split(":")[0] for line in lines if " one: " in line]
    assert kinds[:2] == ["defined", "starting"]
    assert kinds[-1] == "stopped"
    assert kinds.index("exited") < len(kinds) - 1 - kinds[::-1].index("running")
