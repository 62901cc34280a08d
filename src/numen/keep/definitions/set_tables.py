"""The tables of a set as definitions, with every mistake in them: defaults, daemons, instances, and what they say of
each other.
"""

from __future__ import annotations

from functools import partial

from ...errors import BadOption
from ...settings.names import check_kept_name
from ...settings.telling import clipped, nearest, shown
from . import instances, references
from .definition import ALWAYS, Definition
from .keys import BY_NAME, KEYS
from .references import COMPLETED, Order
from .tables import Mistake, contradictions, missing_keys, read_values
from .trust import untrusted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from ...settings.toml_positions import Path
    from .relative import Base

DEFAULTS, DAEMON = "defaults", "daemon"
"""The tables of a set."""

MERGED = ("environment", "limits", "secret_files")
"""Keys whose tables are merged, entry by entry, with those of the defaults."""


class Reading:
    """What is found in one file: definitions, and mistakes."""

    def __init__(self, table: Mapping[str, Any], base: Base) -> None:
        self.mistakes: list[Mistake] = []
        self.definitions: dict[str, Definition] = {}
        self.instances: dict[str, int] = {}
        """How many there are of each daemon that says so."""
        self._base = base
        self._told: set[tuple[str, Path]] = set()
        self._groups: dict[str, list[str]] = {}
        """The names of these instances."""
        self._orders: dict[str, Order] = {}
        self._tables: dict[str, tuple[str, frozenset[str]]] = {}
        """For each daemon the name of its table, and the keys that stand there."""
        self._defaults = table.get(DEFAULTS, {})
        self._read_defaults()
        self.mistakes += [_unknown_table(name) for name in table if name not in (DEFAULTS, DAEMON)]
        daemons = table.get(DAEMON, {})
        if isinstance(daemons, dict):
            for name, one in daemons.items():
                self._read_table(name, one)
        else:
            message = f"{shown(daemons)} is no table of daemons; each has a table of its own, [daemon.NAME]"
            self.mistakes.append(Mistake(key=DAEMON, message=message, path=(DAEMON,)))
        self._check_references()
        self._expand_references()

    def _read_defaults(self) -> None:
        base = self._base.with_path(_environment(self._defaults))
        self._default_values, found = read_values(_without_instances(self._defaults), base.full)
        found += _machines(self._defaults)
        if isinstance(self._defaults, dict) and instances.KEY in self._defaults:
            message = "it belongs into the table of one daemon, [daemon.NAME]"
            found.append(Mistake(key=instances.KEY, message=message, path=(instances.KEY,)))
        self._default_values.setdefault("directory", self._base.directory)
        self._default_contradictions = contradictions(self._default_values)
        self._tell_once([_in_defaults(one) for one in (*found, *self._default_contradictions)])

    def _read_table(self, name: str, table: Any) -> None:
        """Read the table of one daemon, or of several instances."""
        try:
            check_kept_name(name)
            if not isinstance(table, dict) or instances.KEY not in table:
                self._read_daemon(name, name, table)
                return
        except BadOption as error:
            self._tell(name, [Mistake(key="", message=str(error), path=())])
            self._read_daemon(name, name, _without_instances(table))
            return
        self._read_instances(name, table)

    def _read_instances(self, name: str, table: Mapping[str, Any]) -> None:
        key = instances.KEY
        try:
            number = instances.number_of(table[key])
            check_kept_name(instances.names(name, max(number, 1))[-1])
        except BadOption as error:
            self._tell(name, [Mistake(key=key, message=str(error), path=(key,))])
            number = 0
        self.instances[name] = number
        self._groups[name] = instances.names(name, number)
        plain = _without_instances(table)
        for index, one in enumerate(self._groups[name], 1):
            self._read_daemon(one, name, plain, index)
        if not number:
            # None of them is kept, but each mistake is told.
            self._read_daemon(f"{name}\0", name, plain, 1)
            self.definitions.pop(f"{name}\0", None)

    def _read_daemon(self, name: str, table_name: str, table: Any, number: int | None = None) -> None:
        """Read one daemon; it is defined where there is no mistake in it."""
        if name in self._tables:
            message = f"there are two of the name {name}: one of them is of the {instances.KEY} of another table"
            self._tell(table_name, [Mistake(key="", message=message, path=())])
        self._tables[name] = table_name, frozenset(table) if isinstance(table, dict) else frozenset()
        values, found = self._values(table, number)
        found += _machines(table)
        merged = _merged(self._default_values, values)
        self._orders[name] = order_of(merged)
        if isinstance(self._defaults, dict) and isinstance(table, dict):
            found += missing_keys({**self._defaults, **table})
        # Told where it can be mended: among the defaults, and once, where it stands there.
        beside = [one for one in contradictions(merged) if one not in self._default_contradictions]
        self._tell(table_name, found)
        self._tell(table_name, [one for one in beside if BY_NAME[one.key].field in values])
        self._tell_once([_in_defaults(one) for one in beside if BY_NAME[one.key].field not in values])
        if "command" in merged and not found and not beside:
            self.definitions[name] = Definition(**merged)
            self._tell(table_name, untrusted(self.definitions[name]))

    def _values(self, table: Any, number: int | None) -> tuple[dict[str, Any], list[Mistake]]:
        own = _environment(table)
        if number is None:
            return read_values(table, self._base.with_path(_environment(self._defaults), own).full)
        try:
            own = instances.numbered(own, number)
        except BadOption:  # told below
            own = {}
        base = self._base.with_path(_environment(self._defaults), own)
        return read_values(table, partial(_of_instance, base, number))

    def _check_references(self) -> None:
        for wrong in references.check(self._orders, self._groups):
            self._wrong_reference(wrong)
        for name, order in self._orders.items():
            for place, one in order.waited_for():
                for other in self._groups.get(one.name, [one.name]):
                    if one.condition == COMPLETED and _never_completes(self.definitions.get(other)):
                        message = f"{one.name} never completes: its `restart` is always; make that on-failure or never"
                        self._wrong_reference(references.Wrong(name=name, place=place, message=message))
            if order.on_failure in self._groups:
                message = f"there are instances of {order.on_failure}; name one of them, {order.on_failure}@1"
                self._wrong_reference(references.Wrong(name=name, place=("on_failure",), message=message))

    def _wrong_reference(self, wrong: references.Wrong) -> None:
        key = str(wrong.place[0])
        mistake = Mistake(key=key, message=clipped(wrong.message, 600), path=wrong.place)
        table_name, keys = self._tables[wrong.name]
        # One among the defaults is told there, and once.
        if key in keys:
            self._tell(table_name, [mistake])
        else:
            self._tell_once([_in_defaults(mistake)])

    def _expand_references(self) -> None:
        for name, one in self.definitions.items() if self._groups else ():
            self.definitions[name] = one.replace(
                after=references.expanded(one.after, self._groups),
                requires=references.expanded(one.requires, self._groups),
                restart_with=tuple(
                    dict.fromkeys(each for other in one.restart_with for each in self._groups.get(other, (other,)))
                ),
            )

    def _tell(self, table_name: str, mistakes: list[Mistake]) -> None:
        self._tell_once([_within(one, DAEMON, table_name) for one in mistakes])

    def _tell_once(self, mistakes: list[Mistake]) -> None:
        """Add what is not told yet: all instances of a table have the mistakes of that table."""
        for one in mistakes:
            if (one.key, one.path) not in self._told:
                self._told.add((one.key, one.path))
                self.mistakes.append(one)


def _of_instance(base: Base, number: int, name: str, value: Any) -> Any:
    return base.full(name, instances.numbered(value, number))


def _environment(table: Any) -> Any:
    return table.get("environment") if isinstance(table, dict) else None


def _without_instances(table: Any) -> Any:
    return {name: one for name, one in table.items() if name != instances.KEY} if isinstance(table, dict) else table


def _never_completes(definition: Definition | None) -> bool:
    return definition is not None and definition.restart == ALWAYS and not definition.final


def order_of(values: Mapping[str, Any]) -> Order:
    """What a daemon says of others, from the values of its definition by their fields."""
    on_failure = values.get("on_failure")
    return Order(
        after=values.get("after", ()),
        requires=values.get("requires", ()),
        restart_with=values.get("restart_with", ()),
        on_failure=on_failure[1] if on_failure and not on_failure[0] else None,
    )


def _machines(table: Any) -> list[Mistake]:
    """What stands there and may not, because numen alone writes it."""
    written = [key.name for key in KEYS if key.machine and isinstance(table, dict) and key.name in table]
    message = "numen alone writes it, into the files of single daemons"
    return [Mistake(key=name, message=message, path=(name,)) for name in written]


def _merged(defaults: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    merged = {**defaults, **values}
    for field in MERGED:
        if field in defaults and field in values:
            merged[field] = {**defaults[field], **values[field]}
    return merged


def _unknown_table(name: str) -> Mistake:
    if name in BY_NAME:
        message = "it belongs into a table, that of one daemon, [daemon.NAME], or [defaults]"
    else:
        meant = nearest(name, (DEFAULTS, DAEMON))
        message = "there is no such table; " + (f"did you mean {meant}?" if meant else "there are defaults and daemon")
    return Mistake(key=name, message=message, path=(name,))


def _in_defaults(mistake: Mistake) -> Mistake:
    return _within(mistake, DEFAULTS)


def _within(mistake: Mistake, *outer: str) -> Mistake:
    prefix = ".".join(map(_as_key, outer))
    key = f"{prefix}.{mistake.key}" if mistake.key else prefix
    return mistake.replace(key=key, path=(*outer, *mistake.path))


def _as_key(name: str) -> str:
    """The name as a key of TOML has it: in quotation marks where there is a dot in it, for one."""
    return name if name and all(c.isascii() and (c.isalnum() or c in "-_") for c in name) else f'"{name}"'
