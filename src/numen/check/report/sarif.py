"""The audit in the Static Analysis Results Interchange Format (SARIF 2.1.0), which code hosts and editors show."""

from __future__ import annotations

import json
from urllib.parse import quote

from ... import __version__
from ..verdict import FAULT, NOT_APPLICABLE, OK, RULES, STEPS, UNKNOWN, WARNING
from . import name_of, readable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from ..audit import Audit
    from ..verdict import Finding, Rule

KINDS = {
    FAULT: ("fail", "error"),
    WARNING: ("fail", "warning"),
    UNKNOWN: ("open", "none"),
    OK: ("pass", "none"),
    NOT_APPLICABLE: ("notApplicable", "none"),
}
"""The kind and the level of a result for each verdict; what does not fail has no level (3.27.9, 3.27.10)."""


def as_sarif(audits: Sequence[Audit]) -> str:
    """One run with a result for each finding."""
    driver = {"name": "numen audit", "version": __version__, "rules": [_rule(one) for one in RULES.values()]}
    numbers = {name: number for number, name in enumerate(RULES)}
    document = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": driver},
                "columnKind": "unicodeCodePoints",
                "results": [_result(audit, one, numbers) for audit in audits for one in audit.findings],
            }
        ],
    }
    return json.dumps(document, indent=2)


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.name,
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": rule.why},
        "help": {"text": rule.remedy},
        "properties": {"step": rule.step, "tags": [STEPS[rule.step]]},
    }


def _result(audit: Audit, finding: Finding, numbers: dict[str, int]) -> dict[str, Any]:
    kind, level = KINDS[finding.verdict]
    facts = audit.facts
    name = name_of(audit)
    place: dict[str, Any] = {
        "logicalLocations": [{"name": name, "fullyQualifiedName": f"{name}[{facts.pid}]", "kind": "process"}]
    }
    if facts.executable:
        # Viewers that know no processes show a result at its file.
        path = quote(facts.executable.path.encode("utf-8", "surrogateescape"))
        place["physicalLocation"] = {"artifactLocation": {"uri": f"file://{path}"}}
    remedy = f" {finding.remedy}" if finding.remedy else ""
    return {
        "ruleId": finding.rule.name,
        "ruleIndex": numbers[finding.rule.name],
        "kind": kind,
        "level": level,
        "message": {"text": readable(f"{finding.rule.title}: {finding.evidence}.{remedy}")},
        "locations": [place],
    }
