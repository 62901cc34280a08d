"""Sets of daemons: `numen.toml`, a table for each daemon and the defaults of all.

A set is read whole or not at all: a file with a mistake anywhere defines nothing. Files of one daemon are those of
`files`.
"""

from __future__ import annotations

from ...errors import BadOption
from ...record import Record
from ...settings.names import check_kept_name
from . import files, references
from .definition import ALWAYS, Definition
from .keys import BY_NAME, KEYS
from .kinds import clipped, nearest, shown
from .references import COMPLETED, Order
from .source import Source
from .tables import Mistake, contradictions, missing_keys, read_values
from .trust import untrusted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

FILE = "numen.toml"
"""How such a file is called in a project."""

DEFAULTS, DAEMON = "defaults", "daemon"
"""The tables of a set."""

LARGEST_FILE = 2**24
"""Bytes; some ten thousand daemons."""

MERGED = ("environment", "limits")
"""Keys whose tables are merged, entry by entry, with those of the defaults."""


class DaemonSet(Record):
    """What a file defines."""

    definitions: Mapping[str, Definition]
    """By name, in the order of the file."""


def read(path: str) -> DaemonSet:
    """The set in a file.

    Raises BadDefinition with every mistake in it, Unusable where it is missing, too large or could have been written
    by somebody else, NoPermission.
    """
    return from_text(files.read_content(path, LARGEST_FILE), path)


def from_text(content: bytes, path: str) -> DaemonSet:
    """The set that a file of this content holds. Raises BadDefinition."""
    source = Source(content, path)
    return from_source(source, source.table())


def from_source(source: Source, table: Mapping[str, Any]) -> DaemonSet:
    """The set in the table that a source holds. Raises BadDefinition with the places of all mistakes."""
    reading = _Reading(table)
    if reading.mistakes:
        raise source.refused(reading.mistakes)
    return DaemonSet(definitions=reading.definitions)


def is_set(table: Mapping[str, Any]) -> bool:
    """Whether a table is one of a set, and not that of one daemon."""
    return DEFAULTS in table or DAEMON in table


class _Reading:
    """What is found in one file: definitions, and mistakes."""

    def __init__(self, table: Mapping[str, Any]) -> None:
        self.mistakes: list[Mistake] = []
        self.definitions: dict[str, Definition] = {}
        self._orders: dict[str, Order] = {}
        self._written: dict[str, frozenset[str]] = {}
        """The keys that each daemon has itself."""
        self._defaults = table.get(DEFAULTS, {})
        self._default_values, found = read_values(self._defaults)
        found += _machines(self._defaults)
        self._default_contradictions = contradictions(self._default_values)
        self.mistakes += [_in_defaults(one) for one in (*found, *self._default_contradictions)]
        self.mistakes += [_unknown_table(name) for name in table if name not in (DEFAULTS, DAEMON)]
        daemons = table.get(DAEMON, {})
        if isinstance(daemons, dict):
            for name, one in daemons.items():
                self._daemon(name, one)
        else:
            message = f"{shown(daemons)} is no table of daemons; each has a table of its own, [daemon.NAME]"
            self.mistakes.append(Mistake(key=DAEMON, message=message, path=(DAEMON,)))
        self._check_references()

    def _daemon(self, name: str, table: Any) -> None:
        """Read one daemon; it is defined where there is no mistake in it."""
        self._orders[name] = Order()
        self._written[name] = frozenset(table) if isinstance(table, dict) else frozenset()
        found: list[Mistake] = []
        try:
            check_kept_name(name)
        except BadOption as error:
            found.append(Mistake(key="", message=str(error), path=()))
        values, wrong = read_values(table)
        merged = _merged(self._default_values, values)
        self._orders[name] = order_of(merged)
        found += [*_machines(table), *wrong]
        if isinstance(self._defaults, dict) and isinstance(table, dict):
            found += missing_keys({**self._defaults, **table})
        # Told where it can be mended: among the defaults, and once, where it stands there.
        beside = [one for one in contradictions(merged) if one not in self._default_contradictions]
        self.mistakes += [_in_daemon(name, one) for one in found]
        self.mistakes += [
            _in_daemon(name, one) if BY_NAME[one.key].field in values else _in_defaults(one) for one in beside
        ]
        if "command" in merged and not found and not beside:
            self.definitions[name] = Definition(**merged)
            self.mistakes += [_in_daemon(name, one) for one in untrusted(self.definitions[name])]

    def _check_references(self) -> None:
        for wrong in references.check(self._orders):
            self._wrong_reference(wrong)
        for name, order in self._orders.items():
            for place, one in order.waited_for():
                other = self.definitions.get(one.name)
                if one.condition == COMPLETED and other and other.restart == ALWAYS and not other.final:
                    message = f"{one.name} never completes: its `restart` is always; make that on-failure or never"
                    self._wrong_reference(references.Wrong(name=name, place=place, message=message))

    def _wrong_reference(self, wrong: references.Wrong) -> None:
        key = str(wrong.place[0])
        mistake = Mistake(key=key, message=clipped(wrong.message, 600), path=wrong.place)
        # One among the defaults is told there, and once.
        told = _in_daemon(wrong.name, mistake) if key in self._written[wrong.name] else _in_defaults(mistake)
        if told not in self.mistakes:
            self.mistakes.append(told)


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


def _in_daemon(name: str, mistake: Mistake) -> Mistake:
    return _within(mistake, DAEMON, name)


def _within(mistake: Mistake, *outer: str) -> Mistake:
    prefix = ".".join(map(_as_key, outer))
    key = f"{prefix}.{mistake.key}" if mistake.key else prefix
    return mistake.replace(key=key, path=(*outer, *mistake.path))


def _as_key(name: str) -> str:
    """The name as a key of TOML has it: in quotation marks where there is a dot in it, for one."""
    return name if name and all(c.isascii() and (c.isalnum() or c in "-_") for c in name) else f'"{name}"'
