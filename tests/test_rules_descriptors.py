"""Step 5: what the rules say of open descriptors."""

import os

import pytest

from numen.check.facts import Facts, Pidfile, Service
from numen.check.rules.descriptors import (
    descriptors_left,
    inheritable_streams,
    no_deleted_file,
    no_inherited_lock,
    no_leaked_pipe,
    no_terminal_open,
    standard_streams,
)
from numen.check.verdict import FAULT, NOT_APPLICABLE, OK, UNKNOWN, WARNING
from numen.kernel.opened import Descriptor
from rule_facts import LIMITS, PID, descriptor, lock, log, opened, pipe, proper, read_end, stat, write_end

UNSEEN: dict[str, object] = {"descriptors": None}
STRANGER, CHILD, MANAGER = 900, 501, 450


def having(*changed: Descriptor, without: tuple[int, ...] = (), **changes: object) -> dict[str, object]:
    return {"descriptors": opened(*changed, without=without), **changes}


@pytest.mark.parametrize(
    ("changes", "verdict", "words"),
    [
        ({}, OK, "0 is /dev/null, 1 is /var/log/exampled.log"),
        (having(without=(0,)), FAULT, "not open: 0"),
        (having(without=(1, 2)), FAULT, "not open: 1, 2"),
        (UNSEEN, UNKNOWN, "may not be seen"),
    ],
)
def test_0_1_and_2_are_open(changes: dict[str, object], verdict: str, words: str) -> None:
    said = standard_streams(proper(**changes))

    assert said.verdict == verdict
    assert words in said.evidence


@pytest.mark.parametrize(
    ("changes", "verdict", "words"),
    [
        ({}, OK, "none"),
        (having(descriptor(0, "/dev/null", flags=os.O_RDWR | os.O_CLOEXEC)), WARNING, "0 (/dev/null)"),
        (having(descriptor(3, "/dev/null", flags=os.O_RDWR | os.O_CLOEXEC)), OK, "none"),
        (having(without=(0, 1, 2)), NOT_APPLICABLE, "none of them is open"),
        (UNSEEN, UNKNOWN, "may not be seen"),
    ],
)
def test_programs_that_it_starts_get_0_1_and_2(changes: dict[str, object], verdict: str, words: str) -> None:
    said = inheritable_streams(proper(**changes))

    assert said.verdict == verdict
    assert words in said.evidence


@pytest.mark.parametrize(
    ("changes", "verdict", "words"),
    [
        ({}, OK, "none is open"),
        (having(descriptor(2, "/dev/pts/3")), FAULT, "2 (/dev/pts/3)"),
        (having(descriptor(7, "/dev/tty")), FAULT, "7 (/dev/tty)"),
        (having(*(descriptor(number, "/dev/pts/3") for number in range(7))), FAULT, "4 (/dev/pts/3) and 2 more"),
        (having(descriptor(7, "/dev/ptmx", mode=0o020620, special=os.makedev(5, 2))), OK, "none is open"),
        (UNSEEN, UNKNOWN, "may not be seen"),
    ],
)
def test_no_terminal_is_open(changes: dict[str, object], verdict: str, words: str) -> None:
    said = no_terminal_open(proper(**changes))

    assert said.verdict == verdict
    assert words in said.evidence


@pytest.mark.parametrize(
    ("changes", "verdict", "words"),
    [
        ({}, OK, "no pipe"),
        (having(write_end(5, 77), pipes={77: pipe(readers=(STRANGER,))}), FAULT, "pid 900 waits"),
        (having(read_end(5, 77), pipes={77: pipe(writers=(STRANGER,))}), WARNING, "pid 900 writes"),
        (having(read_end(0, 77), pipes={77: pipe(writers=(STRANGER,))}), WARNING, "descriptor 0"),
        (having(write_end(2, 77), pipes={77: pipe(readers=(STRANGER,))}), OK, "no pipe"),
        (having(read_end(5, 77), write_end(6, 77), pipes={77: pipe()}), OK, "both ends"),
        (having(read_end(5, 77), write_end(6, 77), pipes={77: pipe(readers=(STRANGER,))}), OK, "both ends"),
        (having(descriptor(5, "pipe:[77]", flags=os.O_RDWR), pipes={77: pipe()}), OK, "both ends"),
        (
            having(write_end(5, 77), pipes={77: pipe(readers=(CHILD,))}, descendants={CHILD: stat(CHILD)}),
            OK,
            "pid 501 holds the other end",
        ),
        (
            having(write_end(5, 77), pipes={77: pipe(readers=(MANAGER,))}, ancestors=frozenset({1, MANAGER})),
            FAULT,
            "pid 450 waits",
        ),
        (
            having(
                write_end(5, 77),
                pipes={77: pipe(readers=(MANAGER,))},
                ancestors=frozenset({1, MANAGER}),
                new_style="its parent is pid 450 (runsv)",
            ),
            OK,
            "pid 450 holds",
        ),
        (having(write_end(5, 77), pipes={77: pipe()}), WARNING, "nobody holds the other"),
        (having(write_end(5, 77), pipes={77: pipe(is_complete=False)}), UNKNOWN, "nobody that may be seen"),
        (having(read_end(0, 77), pipes={77: pipe()}, keeper=Service(kind="container")), UNKNOWN, "may be seen"),
        (having(write_end(5, 77)), UNKNOWN, "cannot be told"),
        (
            having(read_end(5, 77), write_end(6, 78), pipes={77: pipe(), 78: pipe(readers=(STRANGER,))}),
            FAULT,
            "descriptor 6",
        ),
        (UNSEEN, UNKNOWN, "may not be seen"),
    ],
)
def test_no_pipe_of_a_stranger_is_left_open(changes: dict[str, object], verdict: str, words: str) -> None:
    said = no_leaked_pipe(proper(**changes))

    assert said.verdict == verdict
    assert words in said.evidence


@pytest.mark.parametrize(
    ("changes", "verdict", "words"),
    [
        ({}, OK, "none is open"),
        (having(descriptor(5, "/srv/data (deleted)", size=4096)), WARNING, "5 (/srv/data (deleted)), 4096 bytes"),
        (having(descriptor(5, "/srv/data", links=0)), WARNING, "5 (/srv/data)"),
        (having(log(5, "/var/log/x.log (deleted)")), OK, "none"),
        (having(log(2, "/var/log/x.log (deleted)")), OK, "none"),
        (having(descriptor(5, "/memfd:buffer (deleted)")), OK, "none"),
        (having(descriptor(5, "/SYSV00000000 (deleted)")), OK, "none"),
        (having(descriptor(5, "/tmp/tmp1234 (deleted)")), OK, "none"),
        (having(descriptor(5, "/dev/shm/sem.x (deleted)")), OK, "none"),
        (having(descriptor(5, "/srv/#1234 (deleted)")), OK, "none"),
        (having(descriptor(5, "/dev/x (deleted)", mode=0o020600)), OK, "none"),
        (UNSEEN, UNKNOWN, "may not be seen"),
    ],
)
def test_no_deleted_file_is_open(changes: dict[str, object], verdict: str, words: str) -> None:
    said = no_deleted_file(proper(**changes))

    assert said.verdict == verdict
    assert words in said.evidence


def locked(taker: int, target: str = "/srv/lock", kind: str = "FLOCK") -> dict[str, object]:
    return having(descriptor(5, target, locks=(lock(taker, kind),)))


@pytest.mark.parametrize(
    ("changes", "verdict", "words"),
    [
        ({}, OK, "no lock"),
        (locked(STRANGER), WARNING, "pid 900 took the lock on /srv/lock that descriptor 5 holds"),
        (locked(PID), OK, "locks held: 1"),
        ({**locked(CHILD), "descendants": {CHILD: stat(CHILD)}}, OK, "locks held: 1"),
        (locked(0), OK, "locks held: 1"),
        (locked(-1, kind="OFDLCK"), OK, "locks held: 1"),
        (locked(STRANGER, kind="POSIX"), OK, "locks held: 1"),
        (locked(STRANGER, "/run/exampled.pid"), OK, "locks held: 1"),
        (
            {
                **locked(STRANGER, "/run/lock"),
                "pidfiles": (Pidfile(path="/run/lock", content="500", mode=0o644, uid=0),),
            },
            OK,
            "locks held: 1",
        ),
        (UNSEEN, UNKNOWN, "may not be seen"),
    ],
)
def test_no_lock_of_a_stranger_is_held(changes: dict[str, object], verdict: str, words: str) -> None:
    said = no_inherited_lock(proper(**changes))

    assert said.verdict == verdict
    assert words in said.evidence


def with_many(count: int, soft: int) -> Facts:
    many = {number: descriptor(number, "/dev/null") for number in range(count)}
    return proper(descriptors=many, limits={**LIMITS, "open files": (soft, 4096)})


@pytest.mark.parametrize(
    ("facts", "verdict", "words"),
    [
        (proper(), OK, "3 of 1024"),
        (with_many(79, 100), OK, "79 of 100"),
        (with_many(80, 100), WARNING, "80 of 100"),
        (with_many(94, 100), WARNING, "94 of 100"),
        (with_many(95, 100), FAULT, "95 of 100"),
        (with_many(120, 100), FAULT, "120 of 100"),
        (with_many(95, -1), OK, "without a limit"),
        (proper(limits=None), UNKNOWN, "3 are open; the limit"),
        (proper(limits={}), UNKNOWN, "3 are open; the limit"),
        (proper(**UNSEEN), UNKNOWN, "may not be seen"),
    ],
)
def test_the_count_of_descriptors_is_far_from_the_limit(facts: Facts, verdict: str, words: str) -> None:
    said = descriptors_left(facts)

    assert said.verdict == verdict
    assert words in said.evidence
