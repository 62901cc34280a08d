"""A definition as a table, which TOML and JSON can hold: read with every mistake in it told at once, and written."""

from __future__ import annotations

from ...errors import BadDefinition, BadOption
from ...record import Record
from ...settings.durations import format_duration
from ...settings.telling import clipped, nearest, shown
from .definition import Definition
from .keys import BY_NAME, GROUPS, KEYS, default_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Any

    from ...settings.toml_positions import Path
    from .keys import Key


_OTHER_WORDS = {
    "args": "command",
    "autostart": "start",
    "chdir": "directory",
    "cmd": "command",
    "cpus": "affinity",
    "cwd": "directory",
    "enabled": "start",
    "env": "environment",
    "env_file": "environment_files",
    "exec": "command",
    "gid": "group",
    "kill_signal": "stop",
    "priority": "nice",
    "rlimits": "limits",
    "rotate": "log.keep",
    "stop_signal": "stop",
    "timeout": "ready_timeout",
    "type": "ready",
    "uid": "user",
    "working_directory": "directory",
    "workdir": "directory",
}
"""What other programs call them."""


class Mistake(Record):
    """Something in a table that cannot be used."""

    key: str
    """The full name of the key, as `log.size`; empty where it is the whole table."""
    message: str
    path: Path
    """Where in the table it stands; for a variable of the environment that one's own place."""


def from_table(table: Mapping[str, Any]) -> Definition:
    """The definition that a table holds. Raises BadDefinition with every mistake in it."""
    definition, mistakes = read_table(table)
    if definition is None:
        raise bad_definition([(one.key, one.message) for one in mistakes])
    return definition


def read_table(table: Mapping[str, Any]) -> tuple[Definition | None, list[Mistake]]:
    """The definition that a table holds; `None` where there are mistakes, and these."""
    values, mistakes = read_values(table)
    mistakes += missing_keys(table)
    mistakes += contradictions(values)
    return None if mistakes else Definition(**values), mistakes


def _as_written(_name: str, value: Any) -> Any:
    return value


def read_values(
    table: Mapping[str, Any], prepare: Callable[[str, Any], Any] = _as_written
) -> tuple[dict[str, Any], list[Mistake]]:
    """The values that stand in a table, by the fields of Definition, and what is wrong with others.

    `prepare` makes of what is written, given the key's name, what the key takes; it may raise BadOption.
    """
    values: dict[str, Any] = {}
    mistakes: list[Mistake] = []
    if not isinstance(table, dict):
        return {}, [Mistake(key="", message=f"{shown(table)} is no table of keys and values", path=())]
    for path, written in _flat(table, mistakes):
        name = ".".join(path)
        key = BY_NAME.get(name)
        if key is None:
            mistakes.append(Mistake(key=name, message=unknown(name), path=path))
            continue
        try:
            values[key.field] = key.kind.parse(prepare(name, written))
        except BadOption as error:
            mistakes += _mistakes_in(key, path, written, error, prepare)
    return values, mistakes


def missing_keys(table: Mapping[str, Any]) -> list[Mistake]:
    """The mistake that there is no command, where there is none."""
    if not isinstance(table, dict) or "command" in table:
        return []
    return [Mistake(key="command", message="it is missing; write the program and its arguments", path=("command",))]


def _mistakes_in(
    key: Key, path: Path, written: Any, error: BadOption, prepare: Callable[[str, Any], Any]
) -> list[Mistake]:
    """What is wrong with a value: of a table each entry that is wrong by itself."""
    found: list[tuple[Path, str]] = []
    if isinstance(written, dict) and key.kind.schema.get("type") == "object":
        for name, one in written.items():
            try:
                key.kind.parse(prepare(key.name, {name: one}))
            except BadOption as wrong:
                found.append(((*path, str(name)), str(wrong)))
    return [
        Mistake(key=key.name, message=clipped(message, 300), path=where)
        for where, message in found or [(path, str(error))]
    ]


def to_table(definition: Definition) -> dict[str, Any]:
    """The definition as what TOML and JSON can hold: what differs from the defaults, and what is always told."""
    table: dict[str, Any] = {}
    for key, field, default in _WRITTEN:
        value = getattr(definition, field)
        if key.always or value != default:
            group, _, last = key.name.rpartition(".")
            (table.setdefault(group, {}) if group else table)[last] = key.kind.form(value)
    return table


_WRITTEN = tuple((key, key.field, default_value(key)) for key in KEYS)
"""Each key with its field and its default: a supervisor writes a thousand definitions at its start."""


def check(definition: Definition) -> None:
    """Raise BadDefinition where values contradict each other."""
    changed = {key.field: value for key in KEYS if (value := getattr(definition, key.field)) != default_value(key)}
    if mistakes := contradictions(changed):
        raise bad_definition([(one.key, one.message) for one in mistakes])


def bad_definition(
    mistakes: Sequence[tuple[str, str]], where: str = "the definition", places: Sequence[tuple[str, int, int]] = ()
) -> BadDefinition:
    """The error that tells them, a line for each where there are several; `places` are where they stand in files."""
    lines = [f"{clipped(name, 60)}: {message}" if name else message for name, message in mistakes]
    if places:
        lines = [f"{file}:{line}:{column}: {text}" for (file, line, column), text in zip(places, lines, strict=True)]
    if len(lines) > 1:
        told = "\n  ".join([f"cannot use {where}: there are {len(lines)} mistakes in it", *lines])
    else:
        told = f"cannot use {lines[0]}" if places else f"cannot use {where}: {lines[0]}"
    return BadDefinition(told, mistakes=tuple(mistakes), places=tuple(places))


def _flat(table: Mapping[str, Any], mistakes: list[Mistake]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every key with its value."""
    for name, value in table.items():
        if name not in GROUPS:
            yield (str(name),), value
        elif isinstance(value, dict):
            yield from (((name, str(inner)), one) for inner, one in value.items())
        else:
            keys = ", ".join(one.partition(".")[2] for one in BY_NAME if one.startswith(f"{name}."))
            message = f"{shown(value)} is no table; there are the keys {keys} in it"
            mistakes.append(Mistake(key=name, message=message, path=(name,)))


def unknown(name: str) -> str:
    """What to tell who has written a key that does not exist."""
    plain = name.lower().replace("-", "_")
    inner = {one.rpartition(".")[2]: one for one in BY_NAME if "." in one}
    meant = _OTHER_WORDS.get(plain) or inner.get(plain) or nearest(plain, BY_NAME)
    return "there is no such key" + (f"; did you mean {meant}?" if meant else "")


_ORDERED = (("backoff.first", "backoff.longest"), ("healthy_after", "forgiven_after"))
"""Pairs of which the second must not be below the first."""


def contradictions(values: Mapping[str, Any]) -> list[Mistake]:
    """What is wrong with values beside each other, by the fields of Definition."""
    mistakes = []
    for lower, upper in _ORDERED:
        low, high = _value(values, lower), _value(values, upper)
        if high < low:
            # Told where it can be mended: at the one that is written.
            if BY_NAME[upper].field in values:
                name, message = upper, f"{format_duration(high)} is below {lower}, {format_duration(low)}"
            else:
                name = lower
                message = f"{format_duration(low)} is above {upper}, {format_duration(high)}; write that one too"
            mistakes.append(Mistake(key=name, message=message, path=tuple(name.split("."))))
    return mistakes + _in_schedule(values)


def _in_schedule(values: Mapping[str, Any]) -> list[Mistake]:
    """What is wrong with the keys of a schedule beside each other."""
    written = {name.removeprefix(_SCHEDULE): value for name, value in values.items() if name.startswith(_SCHEDULE)}
    if not {"every", "cron"} & {name for name, value in written.items() if value is not None}:
        keys = [name for name, value in written.items() if value != getattr(Definition, f"{_SCHEDULE}{name}")]
        message = "it belongs to a task, which has `schedule.every` or `schedule.cron`"
        return [Mistake(key=f"schedule.{key}", message=message, path=("schedule", key)) for key in keys]
    from ...schedule.keys import mistakes_in
    from ...schedule.schedule import Schedule

    found = mistakes_in(Schedule(**written))
    return [Mistake(key=f"schedule.{key}", message=message, path=("schedule", key)) for key, message in found]


_SCHEDULE = "schedule_"


def _value(values: Mapping[str, Any], name: str) -> float:
    field = BY_NAME[name].field
    seconds: float = values.get(field, getattr(Definition, field))
    return seconds
