"""The audit as JSON, in the form that docs/audit.schema.json describes."""

from __future__ import annotations

import json

from ... import __version__
from ..verdict import STEPS, worst
from . import counts, name_of, readable, user_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from ..audit import Audit
    from ..facts import Facts

SCHEMA = 1
"""The number of the form; it changes where a field goes or means something else, not where one is added."""


def as_json(audits: Sequence[Audit]) -> str:
    """One object with the audits of all processes."""
    document = {
        "schema": SCHEMA,
        "numen": __version__,
        "verdict": worst([one.verdict for one in audits]),
        "audits": [_audit(one) for one in audits],
    }
    return json.dumps(document, indent=2)


def _audit(audit: Audit) -> dict[str, Any]:
    return {
        "process": {"name": name_of(audit), "user": user_of(audit), **_process(audit.facts)},
        "verdict": audit.verdict,
        "counts": counts(audit),
        "findings": [
            {
                "rule": one.rule.name,
                "step": one.rule.step,
                "step_title": STEPS[one.rule.step],
                "title": one.rule.title,
                "verdict": one.verdict,
                "evidence": readable(one.evidence),
                "why": one.rule.why,
                "remedy": readable(one.remedy),
            }
            for one in audit.findings
        ],
    }


def _process(facts: Facts) -> dict[str, Any]:
    return {
        "pid": facts.pid,
        "pids": list(facts.status.pids),
        "command": [readable(one) for one in facts.command],
        "executable": readable(facts.executable.path) if facts.executable else None,
        "uid": facts.uid,
        "since": round(facts.started, 2),
        "parent": facts.stat.parent,
        "session": facts.stat.session,
        "threads": facts.status.threads,
        "new_style": facts.new_style,
        "keeper": {"kind": facts.keeper.kind, "name": readable(facts.keeper.name)},
        "boot": {"kind": facts.boot.kind, "name": readable(facts.boot.name), "at_boot": facts.boot.at_boot},
        "namespaces": list(facts.namespaces),
        "pidfiles": [readable(one.path) for one in facts.pidfiles],
    }
