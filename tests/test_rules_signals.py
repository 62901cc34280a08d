"""The rules of steps 6 and 8: zombies and signals."""

from signal import SIGCHLD, SIGHUP, SIGINT, SIGPIPE, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2

import pytest

from numen.check.rules import signals
from rule_facts import descriptor, opened, proper, socket, stat, status

Table = dict[str, object]
TAKEN = opened(descriptor(5, "anon_inode:[signalfd]", signals=frozenset({SIGCHLD, SIGHUP, SIGTERM, SIGUSR1})))
DEFAULTS = status(caught=frozenset(), ignored=frozenset())
IN_SYSTEM = status(caught=frozenset(), ignored=frozenset({SIGINT, SIGQUIT}))
CHILD = {501: stat(501, parent=500)}
LISTENING = {70: socket(70, port=80)}


def blocked(*numbers: int, **changes: object) -> Table:
    return {"blocked_everywhere": frozenset(numbers), **changes}


def zombies(count: int) -> Table:
    return {"zombies": tuple(stat(600 + number, state="Z") for number in range(count))}


@pytest.mark.parametrize(
    ("changes", "verdict", "words"),
    [
        ({}, "ok", "none"),
        (zombies(1), "warning", "pid 600"),
        (zombies(9), "warning", "9 of its children"),
        (zombies(10), "fault", "608, 609, died"),
        (zombies(11), "fault", "…"),
    ],
)
def test_a_child_that_nobody_waits_for_is_a_warning_and_many_are_a_fault(
    changes: Table, verdict: str, words: str
) -> None:
    judgement = signals.no_zombies(proper(**changes))

    assert judgement.verdict == verdict
    assert words in judgement.evidence


@pytest.mark.parametrize(
    ("changes", "verdict", "words"),
    [
        ({}, "ok", "SIGCHLD is caught"),
        ({"status": DEFAULTS}, "ok", "SIGCHLD is at its default"),
        ({"status": status(ignored=frozenset({SIGCHLD}))}, "ok", "ignored: the kernel reaps"),
        (blocked(SIGCHLD, status=status(ignored=frozenset({SIGCHLD}))), "ok", "ignored"),
        (blocked(SIGTERM), "ok", "SIGCHLD is caught"),
        (blocked(SIGCHLD), "warning", "every thread blocks SIGCHLD"),
        (blocked(SIGCHLD, descriptors=TAKEN), "ok", "signalfd"),
        (blocked(SIGCHLD, descendants=CHILD), "ok", "waits for a child"),
        (blocked(SIGCHLD, descendants=CHILD, status=IN_SYSTEM), "ok", "waits for a child"),
        (blocked(SIGCHLD, descendants=CHILD, status=DEFAULTS), "warning", "every thread blocks SIGCHLD"),
        (blocked(SIGCHLD, descendants=CHILD, **zombies(1)), "warning", "every thread blocks SIGCHLD"),
        (blocked(SIGCHLD, descendants=CHILD, status=status(pending=frozenset({SIGCHLD}))), "warning", "SIGCHLD"),
        (blocked(SIGCHLD, descriptors=None), "unknown", "may not be seen"),
    ],
)
def test_sigchld_is_not_to_be_held_back(changes: Table, verdict: str, words: str) -> None:
    judgement = signals.child_deaths_heard(proper(**changes))

    assert judgement.verdict == verdict
    assert words in judgement.evidence


@pytest.mark.parametrize(
    ("changes", "verdict", "words"),
    [
        ({}, "ok", "SIGTERM is caught"),
        ({"status": DEFAULTS}, "ok", "SIGTERM is at its default"),
        ({"status": status(caught=frozenset(), ignored=frozenset({SIGTERM}))}, "fault", "ignored"),
        (blocked(SIGTERM), "fault", "every thread blocks SIGTERM"),
        (blocked(SIGTERM, descriptors=TAKEN), "ok", "signalfd"),
        (blocked(SIGTERM, descriptors=None), "unknown", "may not be seen"),
        ({"status": DEFAULTS.replace(pids=(500, 1))}, "fault", "first process of a pid namespace"),
        ({"status": DEFAULTS.replace(pids=(500, 7))}, "ok", "at its default"),
        ({"status": status(pids=(500, 1))}, "ok", "caught"),
        (blocked(SIGTERM, status=DEFAULTS.replace(pids=(500, 1)), descriptors=TAKEN), "ok", "signalfd"),
    ],
)
def test_sigterm_must_do_something(changes: Table, verdict: str, words: str) -> None:
    judgement = signals.ends_at_sigterm(proper(**changes))

    assert judgement.verdict == verdict
    assert words in judgement.evidence


@pytest.mark.parametrize(
    ("changes", "verdict", "words"),
    [
        ({}, "ok", "SIGHUP is caught"),
        ({"status": DEFAULTS}, "ok", "SIGHUP is at its default"),
        ({"status": status(caught=frozenset(), ignored=frozenset({SIGHUP}))}, "ok", "ignored"),
        (blocked(SIGHUP), "warning", "every thread blocks SIGHUP"),
        (blocked(SIGHUP, descriptors=TAKEN), "ok", "signalfd"),
        (blocked(SIGHUP, descriptors=None), "unknown", "may not be seen"),
    ],
)
def test_sighup_may_be_ignored_and_not_held_back(changes: Table, verdict: str, words: str) -> None:
    judgement = signals.reloads_at_sighup(proper(**changes))

    assert judgement.verdict == verdict
    assert words in judgement.evidence


@pytest.mark.parametrize(
    ("changes", "verdict", "words"),
    [
        ({}, "ok", "ignored"),
        ({"sockets": LISTENING}, "ok", "ignored"),
        ({"sockets": LISTENING, "status": status(ignored=frozenset(), caught=frozenset({SIGPIPE}))}, "ok", "caught"),
        (blocked(SIGPIPE, sockets=LISTENING, status=DEFAULTS), "ok", "blocked"),
        ({"status": DEFAULTS}, "ok", "takes no connections"),
        ({"status": DEFAULTS, "sockets": {70: socket(70, "udp", port=53)}}, "ok", "takes no connections"),
        ({"status": DEFAULTS, "sockets": {70: socket(70, port=80, is_listening=False)}}, "ok", "takes no connections"),
        ({"status": DEFAULTS, "sockets": LISTENING}, "warning", "tcp port 80"),
        ({"status": DEFAULTS, "sockets": {70: socket(70, "unix", address="/run/x")}}, "warning", "on /run/x"),
        ({"status": DEFAULTS, "descriptors": None}, "unknown", "may not be seen"),
    ],
)
def test_who_takes_connections_must_survive_sigpipe(changes: Table, verdict: str, words: str) -> None:
    judgement = signals.survives_sigpipe(proper(**changes))

    assert judgement.verdict == verdict
    assert words in judgement.evidence


@pytest.mark.parametrize(
    ("changes", "verdict", "words"),
    [
        ({}, "ok", "none is pending"),
        ({"status": status(pending=frozenset({SIGUSR1}))}, "ok", "none"),
        (blocked(SIGUSR1), "ok", "none"),
        (blocked(SIGTERM, status=status(pending=frozenset({SIGTERM}))), "ok", "none"),
        (blocked(SIGUSR1, status=status(pending=frozenset({SIGUSR1}))), "warning", "SIGUSR1 was sent"),
        (blocked(40, status=status(pending=frozenset({40}))), "warning", "signal 40 was sent"),
        (blocked(SIGUSR1, status=status(pending=frozenset({SIGUSR1})), descriptors=TAKEN), "ok", "none"),
        (blocked(SIGUSR2, status=status(pending=frozenset({SIGUSR2})), descriptors=TAKEN), "warning", "SIGUSR2"),
        (blocked(SIGUSR1, status=status(pending=frozenset({SIGUSR1})), descriptors=None), "unknown", "may not be seen"),
    ],
)
def test_a_signal_that_waits_for_ever_is_a_warning(changes: Table, verdict: str, words: str) -> None:
    judgement = signals.takes_signals(proper(**changes))

    assert judgement.verdict == verdict
    assert words in judgement.evidence


@pytest.mark.parametrize(
    ("state", "verdict", "words"),
    [
        ("S", "ok", "sleeping"),
        ("R", "ok", "running"),
        ("t", "ok", "tracer"),
        ("W", "ok", "alive (state W)"),
        ("T", "fault", "stopped"),
    ],
)
def test_a_stopped_process_is_a_fault(state: str, verdict: str, words: str) -> None:
    judgement = signals.not_stopped(proper(stat=stat(state=state)))

    assert judgement.verdict == verdict
    assert words in judgement.evidence


@pytest.mark.parametrize(
    ("changes", "verdict", "words"),
    [
        ({}, "ok", "nobody"),
        ({"stat": stat(state="T")}, "ok", "nobody"),
        ({"status": status(tracer=77)}, "warning", "pid 77 traces it"),
        ({"stat": stat(state="t")}, "warning", "stopped it"),
    ],
)
def test_a_traced_process_is_a_warning(changes: Table, verdict: str, words: str) -> None:
    judgement = signals.not_traced(proper(**changes))

    assert judgement.verdict == verdict
    assert words in judgement.evidence
