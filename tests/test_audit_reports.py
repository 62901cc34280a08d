"""What an audit has found, written as a table, as JSON and as SARIF."""

import json
import os
import re
from collections.abc import Mapping
from typing import Any

import pytest

from numen.check.audit import Audit, audit
from numen.check.report import counts, readable
from numen.check.report.as_json import as_json
from numen.check.report.sarif import as_sarif
from numen.check.report.table import Screen, many_processes, one_process
from numen.check.verdict import FAULT, NOT_APPLICABLE, OK, RULES, STEPS, UNKNOWN, VERDICTS, WARNING, Finding
from processes import ROOT

SCHEMA = json.loads((ROOT / "docs/audit.schema.json").read_text())


@pytest.fixture(scope="module")
def real() -> Audit:
    """The audit of the process that runs the tests."""
    return audit(os.getpid())


def made(real: Audit, *verdicts: str, pid: int = 4711, comm: str = "web", evidence: str = "the evidence") -> Audit:
    """An audit that found these verdicts, one a rule."""
    findings = [
        Finding(
            rule=rule, verdict=verdict, evidence=evidence, remedy=rule.remedy if verdict in (FAULT, WARNING) else ""
        )
        for rule, verdict in zip(RULES.values(), verdicts, strict=False)
    ]
    facts = real.facts.replace(stat=real.facts.stat.replace(pid=pid, comm=comm))
    return Audit(facts=facts, findings=tuple(findings))


# Words


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("web", "web"),
        ("wéb", "wéb"),
        ("\x1b[2Jweb", "\\x1b[2Jweb"),
        ("a\nb", "a\\nb"),
        ("\udcff", "\\udcff"),
        ("\u202eweb", "\\u202eweb"),
    ],
)
def test_what_would_control_a_terminal_is_escaped(text: str, shown: str) -> None:
    assert readable(text) == shown


def test_findings_are_counted_the_worst_first(real: Audit) -> None:
    found = counts(made(real, OK, FAULT, OK))

    assert list(found) == list(VERDICTS)
    assert found == {FAULT: 1, WARNING: 0, UNKNOWN: 0, OK: 2, NOT_APPLICABLE: 0}


# The table


def test_a_table_has_a_row_for_each_rule_below_its_step(real: Audit) -> None:
    text = one_process(real)

    titles = [line[3:] for line in text.splitlines() if re.match(r"[1-8-]  ", line)]
    assert titles == [title for step, title in STEPS.items() if any(one.step == step for one in RULES.values())]
    rows = re.findall(r"^   (?:FAULT|warning|unknown|ok|n/a) +\S.*$", text, re.M)
    assert len(rows) == len(RULES)


def test_below_what_is_wrong_stands_why_and_what_to_do(real: Audit) -> None:
    rule = next(iter(RULES.values()))

    text = one_process(made(real, FAULT))
    assert f"            why: {rule.why}\n            do: {rule.remedy}\n" in text
    assert "why:" not in one_process(made(real, OK))
    assert text.endswith("\n1 fault, 0 warnings, 0 unknown, 0 ok, 0 not applicable")


@pytest.mark.parametrize("has_colours", [True, False])
@pytest.mark.parametrize("width", [40, 79, 200])
def test_a_table_for_a_terminal_fits_it(real: Audit, width: int, has_colours: bool) -> None:
    screen = Screen(width=width, has_colours=has_colours)
    faulty = made(real, FAULT, WARNING, UNKNOWN, OK, NOT_APPLICABLE, evidence="words " * 40)

    for text in (one_process(real, screen), one_process(faulty, screen), many_processes([real, faulty], screen)):
        plain = re.sub(r"\x1b\[[\d;]*m", "", text)
        assert max(map(len, plain.splitlines())) <= width
        assert (plain != text) == has_colours


def test_a_table_says_the_same_on_a_terminal_as_in_a_pipe(real: Audit) -> None:
    screen = Screen(width=1000, has_colours=False)

    for_screen, for_pipe = (
        re.sub(r" \([\d. dhms]+\)\n", "\n", text) for text in (one_process(real, screen), one_process(real))
    )
    assert for_screen.split() == for_pipe.split()


def test_processes_stand_in_one_table_the_worst_first(real: Audit) -> None:
    audits = [
        made(real, OK, OK, pid=1001, comm="fine"),
        made(real, OK, WARNING, pid=1002, comm="warned"),
        made(real, FAULT, OK, pid=1003, comm="once"),
        made(real, UNKNOWN, OK, pid=1004, comm="hidden"),
        made(real, FAULT, FAULT, pid=1005, comm="twice"),
        made(real, FAULT, WARNING, pid=1006, comm="both"),
    ]

    lines = many_processes(audits).splitlines()
    assert [line.split()[1] for line in lines[1:7]] == ["twice", "both", "once", "warned", "hidden", "fine"]
    assert lines[3].endswith(f"{next(iter(RULES))}: the evidence")
    assert lines[-1] == "6 daemons, by the worst of each: 3 fault, 1 warning, 1 unknown, 1 ok"


def test_a_machine_without_a_daemon_has_an_empty_table() -> None:
    assert many_processes([]).endswith("no daemon was found")


def test_a_hostile_name_controls_no_terminal(real: Audit) -> None:
    hostile = made(real, FAULT, comm="\x1b[2J\n", evidence="\x1b]0;title\x07")
    hostile = hostile.replace(facts=hostile.facts.replace(command=("\x1b[31m", "\udcff")))

    for text in (one_process(hostile), many_processes([hostile]), as_json([hostile]), as_sarif([hostile])):
        assert "\x1b" not in text
        assert "\x07" not in text
        text.encode()


# JSON


def mistakes(value: Any, schema: Mapping[str, Any], place: str = "$") -> list[str]:
    """What in a value is not as the schema says; for those words of JSON Schema that ours uses."""
    if "$ref" in schema:
        schema = SCHEMA["$defs"][schema["$ref"].removeprefix("#/$defs/")]
    found = []
    if "const" in schema and value != schema["const"]:
        found.append(f"{place}: {value!r}")
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{place}: {value!r}")
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(is_of(value, kind) for kind in kinds):
        return [f"{place}: {value!r} is no {' or '.join(kinds)}"]
    if isinstance(value, dict):
        properties = schema["properties"]
        found += [f"{place}: no {name}" for name in schema["required"] if name not in value]
        found += [f"{place}: what is {name}?" for name in value if name not in properties]
        for name, one in value.items():
            found += mistakes(one, properties.get(name, {}), f"{place}.{name}")
    if isinstance(value, list):
        for number, one in enumerate(value):
            found += mistakes(one, schema["items"], f"{place}[{number}]")
    return found


def is_of(value: Any, kind: str) -> bool:
    types = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}
    if kind in ("integer", "number"):
        return isinstance(value, int if kind == "integer" else int | float) and not isinstance(value, bool)
    return isinstance(value, types[kind])


def test_the_json_is_as_its_schema_says(real: Audit) -> None:
    every = made(real, *VERDICTS)
    hidden = every.replace(facts=every.facts.replace(executable=None, command=(), person=None))

    for audits in ([real], [real, every, hidden], []):
        assert mistakes(json.loads(as_json(audits)), SCHEMA) == []


def test_the_schema_says_no_to_another_form(real: Audit) -> None:
    document = json.loads(as_json([real]))
    del document["audits"][0]["findings"][0]["rule"]
    document["audits"][0]["process"]["pid"] = "4711"
    document["verdict"] = "fine"
    document["more"] = 1

    assert len(mistakes(document, SCHEMA)) == 4


def test_the_json_has_the_values(real: Audit) -> None:
    document = json.loads(as_json([made(real, OK, WARNING)]))
    one = document["audits"][0]
    rule = list(RULES.values())[1]

    assert (document["verdict"], one["verdict"], one["process"]["pid"]) == ("warning", "warning", 4711)
    assert one["counts"] == {"fault": 0, "warning": 1, "unknown": 0, "ok": 1, "not applicable": 0}
    assert one["findings"][1] == {
        "rule": rule.name,
        "step": rule.step,
        "step_title": STEPS[rule.step],
        "title": rule.title,
        "verdict": "warning",
        "evidence": "the evidence",
        "why": rule.why,
        "remedy": rule.remedy,
    }


# SARIF


def test_sarif_has_every_rule_and_a_result_for_each_finding(real: Audit) -> None:
    document = json.loads(as_sarif([real]))
    (run,) = document["runs"]
    rules, results = run["tool"]["driver"]["rules"], run["results"]

    assert document["version"] == "2.1.0"
    assert [one["id"] for one in rules] == list(RULES)
    assert [one["ruleId"] for one in results] == [one.rule.name for one in real.findings]
    assert all(rules[one["ruleIndex"]]["id"] == one["ruleId"] for one in results)
    (place,) = results[0]["locations"]
    (logical,) = place["logicalLocations"]
    assert logical["fullyQualifiedName"].endswith(f"[{os.getpid()}]")
    assert place["physicalLocation"]["artifactLocation"]["uri"].startswith("file:///")


def test_sarif_has_the_verdicts_in_its_own_words(real: Audit) -> None:
    results = json.loads(as_sarif([made(real, *VERDICTS)]))["runs"][0]["results"]

    assert [(one["kind"], one["level"]) for one in results] == [
        ("fail", "error"),
        ("fail", "warning"),
        ("open", "none"),
        ("pass", "none"),
        ("notApplicable", "none"),
    ]
