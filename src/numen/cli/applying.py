"""Applying a set, for the commands that do: its difference in words, and what comes of each daemon."""

from __future__ import annotations

import json
import os

from ..become.tail import printable
from . import asking
from .main import say
from .outcomes import tell_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

    from ..keep.definitions.definition import Definition

MOST_VALUE = 60
"""Characters of a value that are shown."""


def source_of(words: list[str], command: str) -> str:
    """The file that is meant, by its full path. Raises BadOption."""
    from ..errors import BadOption
    from ..keep.definitions.sets import FILE, found_in

    if len(words) > 1:
        raise BadOption(f"one file at a time: numen {command} numen.toml")
    path = words[0] if words else "."
    if os.path.isdir(path):
        path = found_in(path) or os.path.join(path, FILE)
    return os.path.abspath(path)


def apply(
    command: str,
    source: str | None,
    definitions: Mapping[str, Definition],
    values: dict[str, Any],
    only: Iterable[str] | None = None,
    *,
    restart: bool = True,
) -> int:
    """Let these be all the daemons of a source, and tell what comes of it; the exit status. Raises DaemonError.

    With `only`, others of it are not touched.
    """
    asked = call(source, definitions, only, dry_run=bool(values.get("dry_run")), restart=restart)
    while True:
        asking.start_supervisor()
        try:
            return tell_all(command, _told(_replies(asked), values, source), values)
        except asking.Ending:
            asking.wait_for_end()


def call(
    source: str | None,
    definitions: Mapping[str, Definition],
    only: Iterable[str] | None = None,
    *,
    dry_run: bool = False,
    restart: bool = True,
) -> dict[str, Any]:
    """The parameters of a call of Apply."""
    from ..keep.definitions.tables import to_table

    asked: dict[str, Any] = {
        "definitions": {name: to_table(one) for name, one in definitions.items()},
        "dry_run": dry_run,
        "restart": restart,
    }
    if source is not None:
        asked["source"] = source
    return asked if only is None else {**asked, "only": sorted(only)}


def _replies(asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The replies, of as many supervisors as it takes: what one has done is no difference to the next."""
    told: set[str] = set()
    begun: list[str] = []
    is_first = True
    for reply in asking.follow("Apply", asked):
        new = [one for one in reply["outcomes"] if one["name"] not in told]
        told |= {one["name"] for one in new}
        changes = reply.get("changes")
        if is_first and changes is not None and not asked["dry_run"]:
            begun = [*changes["added"], *(one["name"] for one in changes["changed"]), *changes["removed"]]
        yield {"outcomes": new, "changes": changes if is_first else None}
        is_first = False
    left = [name for name in begun if name not in told]
    if left:
        yield from _gone_on_with(left, set(asked["definitions"]))


def _gone_on_with(names: list[str], kept: set[str]) -> Iterator[dict[str, Any]]:
    """What comes of those that a supervisor that was killed had begun with, and its successor goes on with."""
    there = {one["name"]: one for one in asking.ask("Status", {"names": []})["daemons"]}
    removed = [(name, "is being removed" if name in there else "is removed") for name in names if name not in kept]
    yield {"outcomes": [_outcome(name, told) for name, told in removed]}
    awaited = [name for name in names if name in kept and there.get(name, {}).get("wanted")]
    # A task waits for its time, and what has ended has had its run.
    done = {name for name in awaited if there[name]["state"] in ("scheduled", "exited")}
    idle = [name for name in names if name in kept and (name not in awaited or name in done)]
    yield {"outcomes": [_outcome(name, f"is {there[name]['state']}") for name in idle if name in there]}
    if awaited := [name for name in awaited if name not in done]:
        yield from asking.follow("Wait", {"names": awaited, "for": "running"})


def _outcome(name: str, message: str) -> dict[str, Any]:
    return {"name": name, "ok": True, "message": message, "last_lines": []}


def _told(replies: Iterable[dict[str, Any]], values: dict[str, Any], source: str | None) -> Iterator[dict[str, Any]]:
    for reply in replies:
        changes = reply.get("changes")
        if changes is not None and values.get("json"):
            say(json.dumps({"changes": changes}))
        elif changes is not None and not values.get("quiet"):
            say("\n".join(lines(changes)) or f"no daemon comes from {printable(source or '')}")
        yield reply


def lines(changes: dict[str, Any]) -> Iterator[str]:
    """A difference in words, a line for each daemon and each key."""
    for name in changes["added"]:
        yield f"+ {name}"
    for one in changes["changed"]:
        yield f"~ {one['name']}{' (is restarted)' if one['restarts'] else ''}"
        for key in one["keys"]:
            yield f"    {key['key']}: {_values(key)}"
    for name in changes["removed"]:
        yield f"- {name} (is stopped and removed)"
    if count := changes["unchanged"]:
        yield f"{count} unchanged"


def _values(key: dict[str, Any]) -> str:
    if key.get("old") is None and key.get("new") is None:
        return "changed (not shown: it may hold secrets)"
    return f"{_clipped(key.get('old'))} → {_clipped(key.get('new'))}"


def _clipped(value: str | None) -> str:
    shown = printable(value or "none")
    return shown if len(shown) <= MOST_VALUE else f"{shown[: MOST_VALUE - 1]}…"
