"""Definitions as JSON Schema describes them, so that an editor completes and checks what is written.

It takes whatever numen takes. What it cannot say, such as that a name means a user, numen alone refuses.
"""

from __future__ import annotations

from . import instances, keys, relative

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def schema() -> dict[str, Any]:
    """The schema of `numen.toml`; that of a file of one daemon is `$defs/definition` in it."""
    daemons = {"type": "object", "additionalProperties": _reference("daemon")}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "numen.toml",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "defaults": {**_reference("defaults"), "description": "what holds for each daemon that says nothing else"},
            "daemon": {**daemons, "description": "the daemons, each in a table of its name"},
        },
        "$defs": {
            "definition": {**_table(_properties()), "required": ["command"]},
            "defaults": _table(_properties(in_set=True)),
            "daemon": _table({**_properties(in_set=True), instances.KEY: instances.SCHEMA}),
            **{key.name: _described(key) for key in keys.KEYS},
            **{f"set.{key.name}": relative.relaxed(_described(key)) for key in keys.KEYS if _is_other(key)},
        },
    }


def _properties(*, in_set: bool = False) -> dict[str, Any]:
    """Each key, those with a dot in their name in the table that the name begins with."""
    found: dict[str, Any] = {}
    groups: dict[str, dict[str, Any]] = {group: {} for group in sorted(keys.GROUPS)}
    for key in keys.KEYS:
        group, _, last = key.name.rpartition(".")
        if not (key.machine and in_set):
            (groups[group] if group else found)[last] = _reference(
                f"set.{key.name}" if in_set and _is_other(key) else key.name
            )
    return found | {group: _table(inner) for group, inner in groups.items()}


def _is_other(key: keys.Key) -> bool:
    """Whether other values than in a file of one daemon are right in a set: paths that are not full."""
    return relative.is_path(key.name) and not key.machine


def _table(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _described(key: keys.Key) -> dict[str, Any]:
    default = keys.default(key)
    return {
        "description": key.help,
        **({} if default is None else {"default": default}),
        **key.kind.schema,
        "examples": [_example(key)],
    }


def _example(key: keys.Key) -> Any:
    import tomllib

    return tomllib.loads(f"it = {key.example}")["it"]


def _reference(name: str) -> dict[str, Any]:
    return {"$ref": f"#/$defs/{name}"}
