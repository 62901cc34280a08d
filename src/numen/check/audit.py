"""The audit: facts are read, every rule judges them, and the findings are put in order."""

from __future__ import annotations

import time

from ..errors import NotRunning
from ..kernel import proc
from ..record import Record
from . import rules  # noqa: F401 - its modules register the rules
from .facts import Facts
from .machine import Machine, demand
from .pidfiles import Pidfiles
from .reading import read
from .services import Services
from .verdict import FAULT, NOT_APPLICABLE, RULES, STEPS, WARNING, Finding, worst

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

WINDOW = 0.2
"""Seconds over which it is watched whether a process wants a processor all the time."""


class Audit(Record):
    """What the rules say of one process."""

    facts: Facts
    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> str:
        """The worst verdict."""
        return worst([one.verdict for one in self.findings if one.verdict != NOT_APPLICABLE])


def judge(facts: Facts) -> Audit:
    """What every rule says of these facts, in the order of the steps."""
    order = list(STEPS)
    findings = []
    for rule in sorted(RULES.values(), key=lambda one: order.index(one.step)):
        judgement = rule.judge(facts)
        remedy = (judgement.remedy or rule.remedy) if judgement.verdict in (FAULT, WARNING) else ""
        findings.append(Finding(rule=rule, verdict=judgement.verdict, evidence=judgement.evidence, remedy=remedy))
    return Audit(facts=facts, findings=tuple(findings))


def audit(pid: int, pidfile: str | None = None) -> Audit:
    """Audit one process; `pidfile` is one that is meant for it. Raises NotRunning."""
    found = audit_all([pid], pidfiles=(pidfile,) if pidfile else ())
    if not found:
        raise NotRunning(why_not(pid))
    return found[0]


def why_not(pid: int) -> str:
    """Why there is nothing to audit."""
    found = proc.stat(pid)
    if found is None:
        return f"cannot audit pid {pid}: there is no such process, or none that may be seen"
    if found.state in proc.DEAD_STATES and found.threads > 1:
        return (
            f"cannot audit pid {pid} ({found.comm}): its first thread has ended, though {found.threads - 1} others run"
        )
    if found.state in proc.DEAD_STATES:
        parent = found.parent
        return f"cannot audit pid {pid} ({found.comm}): it is a zombie, which its parent, pid {parent}, has not reaped"
    if found.is_kernel_thread:
        return f"cannot audit pid {pid} ({found.comm}): it is a thread of the kernel, and no daemon"
    return f"cannot audit pid {pid} ({found.comm}): it ended meanwhile"


def audit_all(
    pids: Sequence[int],
    pidfiles: tuple[str, ...] = (),
    tell: Callable[[int, int], object] = lambda _done, _all: None,
) -> list[Audit]:
    """Audit many processes; those that have ended meanwhile are left out. `tell` is told how far it has come."""
    began, before = time.monotonic(), {pid: demand(pid) for pid in pids}
    machine, services = Machine(), Services()
    known = Pidfiles(machine, pidfiles)
    found: list[Facts] = []
    for count, pid in enumerate(pids):
        tell(count, len(pids))
        one = machine.processes.get(pid)
        facts = read(pid, machine, services, known.of(pid, one.comm)) if one else None
        if facts is not None:
            found.append(facts)
    tell(len(pids), len(pids))
    time.sleep(max(0.0, began + WINDOW - time.monotonic()))
    return [judge(one.replace(demand=_demanded(one, before.get(one.pid), began))) for one in found]


def _demanded(facts: Facts, before: dict[int, int] | None, began: float) -> float | None:
    """The part of the time since then in which the busiest thread ran or waited for a processor."""
    now = demand(facts.pid)
    if before is None or now is None:
        return None
    spent = max((now[thread] - before[thread] for thread in now if thread in before), default=0)
    return min(1.0, spent / 1e9 / max(time.monotonic() - began, 0.001))
