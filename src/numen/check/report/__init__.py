"""What an audit has found, written down: a table for people, JSON and SARIF for programs."""

from __future__ import annotations

from ..verdict import VERDICTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..audit import Audit


def counts(audit: Audit) -> dict[str, int]:
    """How many findings there are of each verdict, the worst first."""
    found = dict.fromkeys(VERDICTS, 0)
    for one in audit.findings:
        found[one.verdict] += 1
    return found


def readable(text: str) -> str:
    """A text of any process's making as it may be shown: what controls a terminal, and what is no text, is escaped."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text)


def name_of(audit: Audit) -> str:
    """How the kernel calls the process."""
    return readable(audit.facts.stat.comm)


def user_of(audit: Audit) -> str:
    """The user as whom it acts, by name where he has one."""
    person = audit.facts.person
    return person.name if person and person.name else str(audit.facts.uid)
