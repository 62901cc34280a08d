"""Applying a set, as data: what is there of its source, what it wants, and what follows; nothing is done here.

`control.applying` carries it out.
"""

from __future__ import annotations

import json

from ...errors import DaemonError
from ...record import Record
from . import references
from .comparison import difference
from .keys import BY_NAME
from .set_tables import order_of
from .tables import bad_definition

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from typing import Any

    from .comparison import Change
    from .definition import Definition
    from .kinds import Kind

SECRET = frozenset({"environment"})
"""Keys whose values are not shown where a difference is."""


class NameTaken(DaemonError):
    """A daemon of that name comes from elsewhere."""


class Standing(Record):
    """A daemon that is there."""

    definition: Definition
    in_use: Definition
    """That of the run; that which is wanted, where there is none."""
    is_up: bool
    """Whether it runs, or will by itself."""
    is_leaving: bool = False
    """Whether it is being removed, and not gone yet."""
    is_idle: bool = False
    """Whether none of it runs until its time comes, or what it waits for is started by somebody."""
    ended: bool = False
    """Whether it is wanted, and has ended by itself, for good or as it should."""


class Plan(Record):
    """What follows."""

    unchanged: tuple[str, ...]
    added: tuple[str, ...]
    changed: Mapping[str, Change]
    removed: tuple[str, ...]
    starts: tuple[str, ...]
    restarts: tuple[str, ...]
    """Those of the changed that run, or that have ended by themselves, and need a new run for it."""

    def said(self, standing: Mapping[str, Standing], wanted: Mapping[str, Definition]) -> dict[str, Any]:
        """The difference as the interface has it."""
        return {
            "added": list(self.added),
            "changed": [
                {
                    "name": name,
                    "restarts": name in self.restarts,
                    "keys": [_key(key, standing[name].in_use, wanted[name]) for key in change.keys],
                }
                for name, change in self.changed.items()
            ],
            "removed": list(self.removed),
            "unchanged": len(self.unchanged),
        }


def plan(
    source: str | None,
    standing: Mapping[str, Standing],
    wanted: Mapping[str, Definition],
    only: Collection[str] | None = None,
    *,
    restart: bool = True,
) -> Plan:
    """What follows where these daemons are there, and a source wants those; or, of its daemons, `only` these.

    Nobody is restarted without `restart`. Raises NameTaken where one that is there comes from elsewhere, BadDefinition
    for references that lead nowhere.
    """
    own = {name: one for name, one in standing.items() if one.definition.source == source}
    left = {} if only is None else {name: one.definition for name, one in own.items() if name not in only}
    # One that is wanted again while it is being removed is a new one.
    own = {name: one for name, one in own.items() if name not in left and not (one.is_leaving and name in wanted)}
    _check(source, standing, wanted, left)
    changed = {}
    for name, one in own.items():
        if name not in wanted:
            continue
        # A restart that was left undone is done now.
        change = difference(one.in_use if one.is_up else one.definition, wanted[name])
        if change is not None:
            changed[name] = change
    return Plan(
        unchanged=tuple(name for name in own if name in wanted and name not in changed),
        added=tuple(name for name in wanted if name not in own),
        changed=changed,
        removed=tuple(name for name in own if name not in wanted),
        starts=tuple(name for name, one in wanted.items() if name not in own and one.start),
        restarts=tuple(
            name
            for name, one in changed.items()
            if restart and one.needs_restart and (_is_to_run(own[name], wanted[name]) or own[name].ended)
        ),
    )


def _is_to_run(standing: Standing, wanted: Definition) -> bool:
    """Whether it has a run that knows the former definition; what is idle has the new one as soon as it runs."""
    return standing.is_up and not (standing.is_idle and standing.definition.is_task == wanted.is_task)


def _check(
    source: str | None,
    standing: Mapping[str, Standing],
    wanted: Mapping[str, Definition],
    left: Mapping[str, Definition],
) -> None:
    for name in wanted:
        if name in standing and (other := standing[name].definition.source) != source:
            whose = f"comes from {other}" if other else "was defined by numen start, or in a file of its own"
            raise NameTaken(f"nothing is changed: there is a daemon {name} already, which {whose}")
    if source is None:
        return  # each of these is alone in its file
    orders = {name: order_of(one.__dict__) for name, one in {**left, **wanted}.items()}
    if wrong := references.check(orders):
        told = [(f"daemon.{one.name}.{'.'.join(map(str, one.place))}", one.message) for one in wrong]
        raise bad_definition(told, source)


def _key(name: str, old: Definition, new: Definition) -> dict[str, Any]:
    key = BY_NAME[name]
    if name in SECRET:
        return {"key": name}
    before, after = (_written(key.kind, getattr(one, key.field)) for one in (old, new))
    return {"key": name, "old": before, "new": after}


def _written(kind: Kind, value: Any) -> str:
    return "" if value is None else json.dumps(kind.form(value), ensure_ascii=False)
