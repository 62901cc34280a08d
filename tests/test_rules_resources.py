"""The rules of resources: core dumps, the oom score and limits."""

import os

import pytest

from numen.check.machine import TICKS
from numen.check.rules import resources
from rule_facts import LIMITS, UID, descriptor, directory, opened, proper, stat, status

Table = dict[str, object]
ROOT = status(uids=(0, 0, 0, 0))


def limited(limits: dict[str, int], **changes: object) -> Table:
    return {"limits": LIMITS | {name: (soft, -1) for name, soft in limits.items()}, **changes}


def dumping(soft: int = -1, **changes: object) -> Table:
    return limited({"core file size": soft}, **changes)


IN_ITS_OWN = directory("/var/lib/x", uid=UID)


@pytest.mark.parametrize(
    ("changes", "verdict", "words"),
    [
        ({}, "ok", "is 0"),
        ({"directory": IN_ITS_OWN}, "ok", "is 0"),
        (dumping(), "ok", "a core dump would go to /, where it may not write"),
        (dumping(core_pattern="|/bin/taker %p"), "ok", "|/bin/taker"),
        (dumping(core_pattern="/var/crash/core.%p"), "warning", "without a limit as /var/crash/core.%p"),
        (dumping(4096, directory=IN_ITS_OWN), "warning", "up to 4096 bytes as core in /var/lib/x"),
        (dumping(status=ROOT), "warning", "core in /"),
        (dumping(directory=directory("/x", uid=UID, mode=0o40555)), "ok", "may not write"),
        (dumping(directory=directory("/x", gid=UID, mode=0o40775)), "warning", "in /x"),
        (dumping(directory=directory("/x", gid=33, mode=0o40775)), "ok", "may not write"),
        (
            dumping(directory=directory("/x", gid=33, mode=0o40775), status=status(groups=frozenset({33}))),
            "warning",
            "",
        ),
        (dumping(directory=directory("/tmp", gid=33, mode=0o41777)), "warning", "in /tmp"),
        (dumping(core_pattern=""), "unknown", "core_pattern"),
        (dumping(directory=None), "unknown", "may not be seen"),
        ({"limits": None}, "unknown", "may not be seen"),
        ({"limits": {}}, "unknown", "may not be seen"),
    ],
)
def test_a_core_file_that_a_crash_would_leave_is_a_warning(changes: Table, verdict: str, words: str) -> None:
    judgement = resources.core_dumps(proper(**changes))

    assert judgement.verdict == verdict
    assert words in judgement.evidence


@pytest.mark.parametrize(
    ("score", "verdict", "words"),
    [
        (0, "ok", "0"),
        (-999, "ok", "-999"),
        (899, "ok", "899"),
        (-1000, "warning", "never killed"),
        (900, "warning", "first to be killed"),
        (1000, "warning", "first to be killed"),
        (None, "unknown", "may not be seen"),
    ],
)
def test_an_extreme_oom_score_is_a_warning(score: int | None, verdict: str, words: str) -> None:
    judgement = resources.oom_score(proper(oom_score=score))

    assert judgement.verdict == verdict
    assert words in judgement.evidence


def writing(size: int, flags: int = os.O_WRONLY) -> Table:
    return {"descriptors": opened(descriptor(5, "/var/lib/x/data", size=size, flags=flags))}


COMPUTED = stat(cpu_ticks=95 * TICKS)


@pytest.mark.parametrize(
    ("changes", "verdict", "words"),
    [
        ({}, "ok", "nearest is processes 1 of 3800"),
        (limited({"processes": -1}), "ok", "none is near"),
        (limited({"processes": 100}, of_user=89), "ok", "89 of 100"),
        (limited({"processes": 100}, of_user=90), "warning", "processes 90 of 100"),
        (limited({"processes": 100}, of_user=100), "fault", "processes 100 of 100"),
        (limited({"processes": 100}, of_user=100, status=ROOT), "ok", "none"),
        (limited({"processes": 0}), "fault", "processes 1 of 0"),
        (limited({"address space": 21 << 20}), "warning", "address space"),
        (limited({"address space": 20 << 20}), "fault", "address space 20971520 of 20971520"),
        (limited({"locked memory": 100}, status=status(locked=95)), "warning", "locked memory 95 of 100"),
        (limited({"locked memory": 0}), "ok", "processes"),
        (limited({"locked memory": 100}, status=ROOT.replace(locked=95)), "ok", "none"),
        (limited({"cpu time": 100}, stat=COMPUTED), "warning", "cpu time 95 of 100"),
        (limited({"cpu time": 95}, stat=COMPUTED), "fault", "cpu time"),
        (limited({"pending signals": 100}, status=status(queued_signals=(91, 100))), "warning", "pending signals 91"),
        (limited({"file size": 100}, **writing(95)), "warning", "file size 95 of 100"),
        (limited({"file size": 100}, **writing(101)), "fault", "file size 101 of 100"),
        (limited({"file size": 100}, **writing(101, os.O_RDONLY)), "ok", "processes"),
        (limited({"file size": 100}, descriptors=None), "unknown", "file size"),
        ({"descriptors": None}, "ok", "processes"),
        (limited({"file size": 100, "processes": 1}, descriptors=None), "fault", "processes"),
        (limited({"address space": 100}, status=status(memory=None)), "unknown", "address space"),
        ({"status": status(queued_signals=None)}, "unknown", "pending signals"),
        (limited({"processes": 100, "cpu time": 100}, of_user=100, stat=COMPUTED), "fault", "100 of 100, cpu time"),
        ({"limits": None}, "unknown", "may not be seen"),
    ],
)
def test_a_limit_that_is_near_is_a_warning_and_one_that_is_reached_a_fault(
    changes: Table, verdict: str, words: str
) -> None:
    judgement = resources.limits_left(proper(**changes))

    assert judgement.verdict == verdict
    assert words in judgement.evidence
