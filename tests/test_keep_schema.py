"""The JSON schema of definitions: it takes what numen takes."""

import json
import re
import tomllib
from typing import Any

import pytest
from hypothesis import given, settings

from definitions import definitions
from numen.keep.definitions.definition import Definition
from numen.keep.definitions.keys import KEYS, Key, default
from numen.keep.definitions.schema import schema
from numen.keep.definitions.tables import to_table
from processes import ROOT

SCHEMA = schema()
TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "number": int | float}
UNDERSTOOD = {
    *("$ref", "type", "enum", "anyOf", "pattern", "minimum", "maximum", "items", "prefixItems", "minItems", "maxItems"),
    *("properties", "required", "additionalProperties", "description", "default", "examples"),
}


def mistakes(value: Any, schema: Any, place: str = "") -> list[str]:
    """What in a value is not as the schema says; for those words of JSON Schema that ours uses."""
    if schema is True or schema is False:
        return [] if schema else [f"{place} is not expected"]
    assert set(schema) <= UNDERSTOOD | {"$schema", "title", "$defs"}, schema
    if "$ref" in schema:
        return mistakes(value, SCHEMA["$defs"][schema["$ref"].removeprefix("#/$defs/")], place)
    if "anyOf" in schema and all(mistakes(value, one, place) for one in schema["anyOf"]):
        return [f"{place}: {value!r} is none of them"]
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(is_of(value, kind) for kind in kinds):
        return [f"{place}: {value!r} is no {kinds}"]
    if "enum" in schema and value not in schema["enum"]:
        return [f"{place}: {value!r} is none of them"]
    found = []
    if isinstance(value, str) and not re.search(schema.get("pattern", ""), value):
        found.append(f"{place}: {value!r}")
    if isinstance(value, int | float) and not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        found.append(f"{place}: {value!r}")
    if isinstance(value, dict):
        found += in_table(value, schema, place)
    if isinstance(value, list):
        found += in_list(value, schema, place)
    return found


def in_table(value: dict[str, Any], schema: dict[str, Any], place: str) -> list[str]:
    found = [f"{place}: no {name}" for name in schema.get("required", ()) if name not in value]
    for name, one in value.items():
        inner = schema.get("properties", {}).get(name, schema.get("additionalProperties", True))
        found += mistakes(one, inner, f"{place}.{name}")
    return found


def in_list(value: list[Any], schema: dict[str, Any], place: str) -> list[str]:
    if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
        return [f"{place}: {value!r}"]
    first = schema.get("prefixItems", [])
    inner = [*first[: len(value)], *[schema.get("items", True)] * (len(value) - len(first))]
    return [told for one, wanted in zip(value, inner, strict=True) for told in mistakes(one, wanted, f"{place}[]")]


def is_of(value: Any, kind: str) -> bool:
    return isinstance(value, TYPES[kind]) and (kind == "boolean") == isinstance(value, bool)


def in_definition(table: Any) -> list[str]:
    return mistakes(table, {"$ref": "#/$defs/definition"})


@settings(max_examples=200)
@given(definitions())
def test_each_definition_is_as_the_schema_says_in_its_own_file_and_in_a_set(definition: Definition) -> None:
    table = to_table(definition)

    assert in_definition(table) == []
    assert mistakes({"defaults": table, "daemon": {"web": {**table, "after": ["db"]}}}, SCHEMA) == []


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.name)
def test_each_example_and_default_is_as_the_schema_says(key: Key) -> None:
    assert in_definition({"command": ["/bin/true"], **tomllib.loads(f"{key.name} = {key.example}")}) == []
    if (value := default(key)) is not None:
        assert mistakes(value, {"$ref": f"#/$defs/{key.name}"}) == []


@pytest.mark.parametrize(
    "written",
    [
        'user = 1000\ngroups = ["adm", 4]',
        'ready = "fd:03"',
        "stop = 30",
        'stop = "TERM/10s/KILL"',
        'stop = ["INT", 1.5, "TERM"]',
        "reload = 10",
        'affinity = [8, "1-2"]',
        "environment = { PORT = 8000 }",
        'limits = { nofile = 5, RLIMIT_NPROC = "1:2", address-space = ["1GiB", "2GiB"] }',
        "ready_timeout = 0.25",
        'success = ["75", 0]',
    ],
)
def test_what_people_may_write_otherwise_is_as_the_schema_says_too(written: str) -> None:
    from numen.keep.definitions.tables import from_table

    table = {"command": ["/bin/true"], **tomllib.loads(written)}

    from_table(table)
    assert in_definition(table) == []


@pytest.mark.parametrize(
    "written",
    [
        "",
        "command = []",
        'command = "/bin/true"',
        'command = ["true"]',
        "comand = 1",
        "nice = 20",
        "nice = true",
        "log.sise = 1",
        'restart = "sometimes"',
        "start = 1",
        'ready = "soon"',
        "limits = { nofile = [1, 2, 3] }",
        "after = [3]",
    ],
)
def test_the_schema_says_no_to_what_numen_refuses(written: str) -> None:
    table = tomllib.loads(written)

    assert in_definition(table if "command" in table or not table else {"command": ["/bin/true"], **table})


def test_the_schema_knows_the_tables_and_references_of_a_set() -> None:
    web = {"command": ["/bin/true"], "requires": ["db", {"name": "migrate", "condition": "completed"}]}

    assert mistakes({"daemon": {"web": web}}, SCHEMA) == []
    no_sets: list[dict[str, Any]] = [
        {"daemons": {}},
        {"defaults": {"source": "/srv/numen.toml"}},
        {"daemon": {"web": {"source": "/srv/numen.toml"}}},
        {"daemon": {"web": {"after": [{"nam": "db"}]}}},
    ]
    for wrong in no_sets:
        assert mistakes(wrong, SCHEMA)


def test_the_file_for_editors_is_what_the_code_has_now() -> None:
    assert json.loads((ROOT / "docs/numen.schema.json").read_text()) == SCHEMA
