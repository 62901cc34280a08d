"""What a rule is, and what it says: a verdict with its evidence."""

from __future__ import annotations

from ..record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .facts import Facts

FAULT, WARNING, UNKNOWN, OK, NOT_APPLICABLE = "fault", "warning", "unknown", "ok", "not applicable"

VERDICTS = (FAULT, WARNING, UNKNOWN, OK, NOT_APPLICABLE)
"""The worst one first."""

STEPS = {
    "1": "fork, the launcher exits",
    "2": "a session without a terminal",
    "3": "the working directory",
    "4": "the umask",
    "5": "descriptors",
    "6": "dead children",
    "7": "errors",
    "8": "signals",
    "instance": "one instance",
    "privileges": "privileges",
    "program": "the program",
    "resources": "resources",
    "network": "the network",
    "boot": "start and end with the machine",
}
"""The eight steps, and what practice has added to them, in the order in which they are shown."""


class Judgement(Record):
    """What a rule finds of one process."""

    verdict: str
    evidence: str
    """In words and values."""
    remedy: str = ""
    """What to do, where the evidence calls for something else than the rule's own remedy."""


class Rule(Record):
    """One thing that makes a process a proper daemon."""

    name: str
    step: str
    title: str
    why: str
    """Why it matters, in one or two sentences."""
    remedy: str
    """What to do where it is not so."""
    judge: Callable[[Facts], Judgement]


class Finding(Record):
    """What one rule says of one process."""

    rule: Rule
    verdict: str
    evidence: str
    remedy: str = ""
    """Empty where there is nothing to do."""


def ok(evidence: str) -> Judgement:
    """It is as it should be."""
    return Judgement(verdict=OK, evidence=evidence)


def warning(evidence: str, remedy: str = "") -> Judgement:
    """It works, and will hurt some day."""
    return Judgement(verdict=WARNING, evidence=evidence, remedy=remedy)


def fault(evidence: str, remedy: str = "") -> Judgement:
    """It is wrong."""
    return Judgement(verdict=FAULT, evidence=evidence, remedy=remedy)


def unknown(evidence: str) -> Judgement:
    """It cannot be seen; `evidence` says why."""
    return Judgement(verdict=UNKNOWN, evidence=evidence)


def not_applicable(evidence: str) -> Judgement:
    """The question does not arise; `evidence` says why."""
    return Judgement(verdict=NOT_APPLICABLE, evidence=evidence)


def worst(verdicts: list[str]) -> str:
    """The worst of them; `ok` where there is none."""
    return min(verdicts, key=VERDICTS.index, default=OK)


RULES: dict[str, Rule] = {}
"""Every rule by its name, in the order of the steps once `rules` has been imported."""


def rule(
    *, step: str, title: str, why: str, remedy: str
) -> Callable[[Callable[[Facts], Judgement]], Callable[[Facts], Judgement]]:
    """Make a rule of a function; it is known by the function's name, written with dashes."""

    def register(judge: Callable[[Facts], Judgement]) -> Callable[[Facts], Judgement]:
        name = judge.__name__.replace("_", "-")
        assert step in STEPS
        assert name not in RULES
        RULES[name] = Rule(name=name, step=step, title=title, why=why, remedy=remedy, judge=judge)
        return judge

    return register
