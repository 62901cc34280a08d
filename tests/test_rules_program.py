"""The rules of the program."""

import pytest

from numen.check.rules import program
from rule_facts import UID, file, proper, status

Table = dict[str, object]
PATH = "/usr/sbin/exampled"
ROOT = status(uids=(0, 0, 0, 0))


def runs(**changes: object) -> Table:
    return {"executable": file(PATH, **changes)}


@pytest.mark.parametrize(
    ("changes", "verdict", "words"),
    [
        ({}, "ok", PATH),
        (runs(is_deleted=True), "warning", f"{PATH} was deleted"),
        ({"executable": file("/memfd:exampled", is_deleted=True)}, "ok", "from memory"),
        ({"executable": None}, "unknown", "may not be seen"),
    ],
)
def test_a_program_deleted_since_the_start_is_a_warning(changes: Table, verdict: str, words: str) -> None:
    judgement = program.program_current(proper(**changes))

    assert judgement.verdict == verdict
    assert words in judgement.evidence


@pytest.mark.parametrize(
    ("changes", "verdict", "words"),
    [
        ({}, "ok", PATH),
        (runs(uid=UID), "ok", PATH),
        (runs(mode=0o100757), "fault", "everybody (mode 0757)"),
        (runs(mode=0o100775, gid=50, uid=UID), "ok", PATH),
        ({**runs(mode=0o100775, gid=50), "status": ROOT}, "fault", "group 50"),
        ({**runs(mode=0o100775), "status": ROOT}, "ok", PATH),
        (runs(uid=1000), "fault", "belongs to uid 1000"),
        ({**runs(uid=UID), "status": ROOT}, "fault", f"belongs to uid {UID}, and uid 0 runs it"),
        (runs(changeable_in="/opt/x"), "fault", "in /opt/x"),
        ({"script": file("/opt/x.py")}, "ok", f"{PATH} and /opt/x.py"),
        ({"script": file("/opt/x.py", mode=0o100666)}, "fault", "/opt/x.py is writable"),
        ({"script": file("/opt/x.py", changeable_in="/opt")}, "fault", "/opt/x.py could be exchanged"),
        ({"is_script_hidden": True}, "unknown", "which script it runs cannot be told"),
        ({**runs(mode=0o100757), "is_script_hidden": True}, "fault", PATH),
        ({"executable": None}, "unknown", "may not be seen"),
    ],
)
def test_a_program_that_others_can_change_is_a_fault(changes: Table, verdict: str, words: str) -> None:
    judgement = program.program_safe(proper(**changes))

    assert judgement.verdict == verdict
    assert words in judgement.evidence


@pytest.mark.parametrize(
    ("changes", "verdict", "words"),
    [
        ({}, "ok", "mode 0755"),
        (runs(mode=0o104755), "warning", "setuid (mode 4755)"),
        (runs(mode=0o102755), "warning", "setgid (mode 2755)"),
        (runs(mode=0o101755), "ok", "mode 1755"),
        ({"executable": None}, "unknown", "may not be seen"),
    ],
)
def test_a_setuid_program_is_a_warning(changes: Table, verdict: str, words: str) -> None:
    judgement = program.no_setuid_program(proper(**changes))

    assert judgement.verdict == verdict
    assert words in judgement.evidence


@pytest.mark.parametrize(
    ("demand", "verdict", "words"),
    [
        (0.0, "ok", "0%"),
        (0.94, "ok", "94%"),
        (0.95, "warning", "95%"),
        (1.0, "warning", "100%"),
        (None, "unknown", "may not be seen"),
    ],
)
def test_a_thread_that_always_wants_a_processor_is_a_warning(demand: float | None, verdict: str, words: str) -> None:
    judgement = program.not_spinning(proper(demand=demand))

    assert judgement.verdict == verdict
    assert words in judgement.evidence
