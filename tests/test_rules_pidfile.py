"""The rules of the pidfile."""

import pytest

from numen.check.facts import Pidfile
from numen.check.rules import pidfile
from rule_facts import PID, UID, proper, status

Table = dict[str, object]
RIGHT = Pidfile(path="/run/exampled.pid", content=str(PID), mode=0o100644, uid=0)


def named(*pidfiles: Pidfile, **changes: object) -> Table:
    return {"pidfiles": pidfiles, **changes}


@pytest.mark.parametrize(
    ("changes", "verdict", "words"),
    [
        ({}, "not applicable", "no pidfile"),
        (named(RIGHT), "ok", "/run/exampled.pid names it"),
        (named(RIGHT.replace(content="17")), "fault", "'17' stands in /run/exampled.pid"),
        (named(RIGHT.replace(content="")), "fault", "nothing stands in"),
        (named(RIGHT.replace(content=f"{PID} garbage")), "fault", "garbage"),
        (named(RIGHT.replace(content="7"), status=status(pids=(PID, 7))), "ok", "names it"),
        (named(RIGHT, RIGHT.replace(path="/run/old.pid", content="17")), "fault", "/run/old.pid"),
    ],
)
def test_a_pidfile_that_names_another_process_is_a_fault(changes: Table, verdict: str, words: str) -> None:
    judgement = pidfile.pidfile_right(proper(**changes))

    assert judgement.verdict == verdict
    assert words in judgement.evidence


ROOT = status(uids=(0, 0, 0, 0))


@pytest.mark.parametrize(
    ("changes", "verdict", "words"),
    [
        ({}, "not applicable", "no pidfile"),
        (named(RIGHT), "ok", "others cannot write"),
        (named(RIGHT.replace(mode=0o100664)), "fault", "mode 0664"),
        (named(RIGHT.replace(mode=0o100646)), "fault", "mode 0646"),
        (named(RIGHT.replace(is_trusted_place=False)), "fault", "exchange"),
        (named(RIGHT.replace(uid=UID)), "fault", f"belongs to uid {UID}"),
        (named(RIGHT.replace(uid=UID, path="/var/run/exampled.pid")), "fault", "belongs to"),
        (named(RIGHT.replace(uid=UID, path="/run/user/110/exampled.pid")), "ok", "others cannot write"),
        (named(RIGHT.replace(uid=UID, path="/home/example/exampled.pid")), "ok", "others cannot write"),
        (named(RIGHT, status=ROOT), "ok", "others cannot write"),
        (named(RIGHT, RIGHT.replace(path="/run/other.pid", mode=0o100666)), "fault", "/run/other.pid"),
    ],
)
def test_a_pidfile_that_others_can_write_is_a_fault(changes: Table, verdict: str, words: str) -> None:
    judgement = pidfile.pidfile_safe(proper(**changes))

    assert judgement.verdict == verdict
    assert words in judgement.evidence
