"""Steps 1 and 2: what the rules say of the launcher, the session, the group and the terminal."""

import pytest

from numen.check.rules.detach import launcher_gone, no_leader, no_terminal, own_group, own_session
from numen.check.verdict import FAULT, NOT_APPLICABLE, OK, WARNING
from rule_facts import PID, TERMINAL, proper, stat

MANAGED = "it is in unit example.service"
SHELL = stat(300, comm="bash", parent=1, process_group=300, session=300)
LEADER = stat(session=PID, process_group=PID)


@pytest.mark.parametrize(
    ("changes", "verdict", "words"),
    [
        ({}, OK, "its parent is pid 1"),
        ({"parent": None}, OK, "orphaned"),
        ({"parent": SHELL, "stat": stat(parent=300)}, OK, "pid 300 (bash), is in another session"),
        ({"parent": SHELL, "stat": stat(parent=300, session=300)}, FAULT, "pid 300 (bash), lives in the same session"),
        (
            {"parent": SHELL, "stat": stat(parent=300, session=300), "new_style": MANAGED},
            NOT_APPLICABLE,
            "example.service",
        ),
    ],
)
def test_the_launcher_is_gone(changes: dict[str, object], verdict: str, words: str) -> None:
    said = launcher_gone(proper(**changes))

    assert said.verdict == verdict
    assert words in said.evidence


@pytest.mark.parametrize(
    ("changes", "verdict", "words"),
    [
        ({}, OK, "session 499, whose leader has exited"),
        ({"stat": LEADER, "leader": LEADER}, OK, "led by pid 500 (exampled)"),
        ({"stat": stat(session=300), "leader": SHELL, "ancestors": frozenset({1, 300})}, OK, "led by pid 300 (bash)"),
        ({"stat": stat(session=300), "leader": SHELL}, FAULT, "session 300 belongs to pid 300 (bash)"),
        ({"stat": stat(session=300), "leader": SHELL, "new_style": MANAGED}, NOT_APPLICABLE, "example.service"),
    ],
)
def test_the_session_is_its_own(changes: dict[str, object], verdict: str, words: str) -> None:
    said = own_session(proper(**changes))

    assert said.verdict == verdict
    assert words in said.evidence


@pytest.mark.parametrize(
    ("changes", "verdict", "words"),
    [
        ({}, OK, "process group 499"),
        ({"group": (SHELL,)}, WARNING, "also that of pid 300 (bash)"),
        ({"group": (SHELL,), "ancestors": frozenset({1, 300})}, OK, "process group 499"),
        ({"group": (SHELL,), "descendants": {300: SHELL}}, OK, "process group 499"),
        ({"group": (stat(501),)}, OK, "process group 499"),
        ({"group": (SHELL,), "new_style": MANAGED}, OK, "process group 499"),
    ],
)
def test_the_group_is_its_own(changes: dict[str, object], verdict: str, words: str) -> None:
    said = own_group(proper(**changes))

    assert said.verdict == verdict
    assert words in said.evidence


@pytest.mark.parametrize(
    ("changes", "verdict", "words"),
    [
        ({}, OK, "none controls it"),
        ({"stat": stat(terminal=TERMINAL)}, FAULT, "terminal 136:2 controls it"),
        ({"stat": stat(terminal=TERMINAL), "new_style": MANAGED}, FAULT, "terminal 136:2"),
    ],
)
def test_no_terminal_controls_it(changes: dict[str, object], verdict: str, words: str) -> None:
    said = no_terminal(proper(**changes))

    assert said.verdict == verdict
    assert words in said.evidence


@pytest.mark.parametrize(
    ("changes", "verdict", "words"),
    [
        ({}, OK, "session 499 is not led by it"),
        ({"stat": LEADER}, WARNING, "forked once and not twice"),
        ({"stat": LEADER, "new_style": MANAGED}, NOT_APPLICABLE, "example.service"),
    ],
)
def test_it_leads_no_session(changes: dict[str, object], verdict: str, words: str) -> None:
    said = no_leader(proper(**changes))

    assert said.verdict == verdict
    assert words in said.evidence
