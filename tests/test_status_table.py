"""The words and the table of `numen status`: what each state says of itself, in a pipe and on a terminal."""

import os
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from numen.check.report.table import Screen
from numen.cli import kept, kept_table
from numen.keep.life import State

NOW = 1_000_000.0
STATES = [*(state.value for state in State), kept.UNUSABLE]


def facts(**changes: Any) -> dict[str, Any]:
    """The facts of a daemon that runs, with these changes."""
    told = {
        "name": "web",
        "state": "running",
        "since": NOW - 100,
        "wanted": True,
        "start": True,
        "invocation": "a" * 32,
        "restarts": 0,
        "failures": 0,
        "ready": "exec",
        "reason": "",
        "by": "ann (pid 7)",
        "status": "",
    }
    return kept.with_usage(told | changes)


# Why


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, ""),
        ({"status": "serving 3"}, "serving 3"),
        ({"restarts": 2, "ending": "signal SIGSEGV"}, "restarted after signal SIGSEGV"),
        ({"state": "starting", "awaited": "its first 200 ms", "due": NOW + 0.2}, "must live 200 ms"),
        ({"state": "starting", "awaited": "being spawned"}, "being spawned"),
        (
            {"state": "starting", "ready": "notify", "awaited": "not ready in time", "due": NOW + 30},
            "waits for READY=1, ended in 30s",
        ),
        (
            {"state": "starting", "ready": "fd:3", "awaited": "not ready in time", "due": NOW + 30},
            "waits for a newline on fd:3, ended in 30s",
        ),
        (
            {
                "state": "starting",
                "ready": "tcp://[::1]:80",
                "awaited": "x",
                "due": NOW + 30,
                "last_failure": "refused",
            },
            "waits for tcp://[::1]:80, ended in 30s; refused",
        ),
        ({"health": "not ready: refused"}, "not ready: refused"),
        (
            {"state": "stopping", "reason": "stop", "awaited": "SIGKILL", "due": NOW + 8},
            "stop by ann (pid 7); SIGKILL in 8s",
        ),
        ({"state": "stopping", "ending": "exit status 0"}, "exit status 0, ends what it has left behind"),
        ({"state": "stopping", "reason": "not ready in time"}, "not ready in time"),
        (
            {"state": "backoff", "ending": "exit status 3", "awaited": "next try", "due": NOW + 2.5},
            "exit status 3; next try in 2.5s",
        ),
        (
            {"state": "backoff", "ending": "exit status 3", "awaited": "next try", "due": NOW - 1},
            "exit status 3; next try now",
        ),
        (
            {"state": "failed", "ending": "exit status 3", "reason": "5 restarts within 10m"},
            "exit status 3; 5 restarts within 10m",
        ),
        (
            {"state": "exited", "ending": "exit status 0", "reason": "restart is never"},
            "exit status 0; restart is never",
        ),
        ({"state": "stopped", "wanted": False}, "stopped by ann"),
        ({"state": "stopped", "wanted": False, "by": ""}, ""),
        ({"state": "stopped", "wanted": True}, ""),
    ],
)
def test_each_state_says_why(changes: dict[str, Any], words: str) -> None:
    assert kept.why(facts(**changes), NOW) == words


def test_every_state_has_an_exit_status_and_a_colour() -> None:
    assert set(kept.STATUSES) == set(STATES)
    assert set(kept_table.STYLES) == set(STATES)


@pytest.mark.parametrize(
    ("states", "unknown", "status"),
    [
        ([], [], 0),
        (["running"], [], 0),
        (["running", "stopped"], [], 3),
        (["starting"], [], 3),
        (["stopped", "backoff", "running"], [], 1),
        (["failed", "exited"], [], 1),
        (["failed"], ["nobody"], 4),
        ([], ["nobody"], 4),
    ],
)
def test_the_exit_status_is_that_of_the_worst(states: list[str], unknown: list[str], status: int) -> None:
    assert kept.exit_status([facts(state=state) for state in states], unknown) == status


# What its processes use


def test_what_a_daemon_uses_is_read_from_its_process() -> None:
    with open("/proc/self/stat", "rb") as file:
        start_time = int(file.read().rpartition(b")")[2].split()[19])

    found = facts(pid=os.getpid(), start_time=start_time)

    assert found["memory"] > 2**20
    assert found["cpu_seconds"] > 0
    assert found["processes"] >= 1
    assert found["cpu"] > 0
    assert set(kept.as_json(found)) == set(kept.FACTS)


def test_nothing_is_told_of_another_process_with_the_same_pid() -> None:
    found = facts(pid=os.getpid(), start_time=1)

    assert (found["memory"], found["cpu"]) == (None, None)


def test_a_share_of_the_processor_is_of_the_time_since_it_was_last_read() -> None:
    with open("/proc/self/stat", "rb") as file:
        start_time = int(file.read().rpartition(b")")[2].split()[19])
    report = {"pid": os.getpid(), "start_time": start_time}
    before = facts(**report)

    idle = kept.with_usage(facts(**report), before | {"cpu_seconds": 10.0**9})
    of_another_run = kept.with_usage(facts(**report), before | {"cpu_seconds": 10.0**9, "invocation": "b" * 32})

    assert idle["cpu"] == 0
    assert of_another_run["cpu"] > 0


# The table


def test_plain_columns_are_words_and_the_last_is_the_rest() -> None:
    text = kept_table.plain([facts(), facts(name="worker", state="failed", ending="exit status 3")], NOW)

    heading, web, worker = text.split("\n")
    assert heading.split() == list(kept_table.COLUMNS)
    assert web.split() == ["web", "running", *re.findall(r"\S+T\S+", web), "-", "0", "-", "-", "-"]
    assert worker.split(None, 7)[7] == "exit status 3"


@given(
    st.lists(st.tuples(st.text(min_size=1, max_size=100), st.sampled_from(STATES), st.text(max_size=200))),
    st.integers(40, 200),
    st.booleans(),
)
def test_no_line_is_wider_than_the_terminal(rows: list[tuple[str, str, str]], width: int, has_colours: bool) -> None:
    names = [name for name, _, _ in rows if name.isprintable()]
    daemons = [facts(name=name, state=state, status=text) for name, state, text in rows if name in names]

    drawn = kept_table.for_terminal(daemons, NOW, Screen(width=width, has_colours=has_colours))

    lines = re.sub(r"\x1b\[[\d;]*m", "", drawn).split("\n")
    assert len(lines) == 1 + len(daemons)
    assert all(kept_table.width_of(line) <= width for line in lines)
    assert has_colours or "\x1b" not in drawn


def test_what_a_daemon_says_of_itself_cannot_reach_the_terminal_as_a_command() -> None:
    evil = facts(status="\x1b]0;owned\x07\nfake  running")

    assert "\x1b" not in kept_table.plain([evil], NOW)
    assert len(kept_table.plain([evil], NOW).split("\n")) == 2


def test_of_more_daemons_than_lines_the_first_are_shown_and_the_others_counted() -> None:
    daemons = [facts(name=f"web-{number}") for number in range(100)]

    lines = kept_table.for_terminal(daemons, NOW, Screen(width=80, has_colours=False), most=10).split("\n")

    assert len(lines) == 10
    assert lines[-1] == "… and 92 more"
    assert lines[-2].startswith("web-7")


def test_all_are_shown_where_there_is_room() -> None:
    daemons = [facts(name=f"web-{number}") for number in range(9)]

    lines = kept_table.for_terminal(daemons, NOW, Screen(width=80, has_colours=False), most=10).split("\n")

    assert len(lines) == 10
    assert lines[-1].startswith("web-8")


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0B"), (1023, "1023B"), (1024, "1.0K"), (812 * 1024, "812K"), (13107200, "12.5M"), (2**30, "1.0G")],
)
def test_sizes_are_told_in_three_digits(number: int, text: str) -> None:
    assert kept_table.size(number) == text
