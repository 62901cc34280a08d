"""The keys of a definition: the one table from which files are read and written, checked and described.

A definition as a table is what TOML and JSON can hold: `from_table` reads one and tells every mistake in it at once,
`to_table` makes one. `docs/definition.md` and the options of `numen start` come from here too.
"""

from __future__ import annotations

from ...errors import BadDefinition, BadOption
from ...record import Record
from ...settings.durations import format_duration
from . import kinds
from .definition import ALWAYS, FAILED, NEVER, ON_FAILURE, SLOWLY, Definition

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from ...settings.toml_positions import Path
    from .kinds import Kind


class Key(Record):
    """One key of a definition."""

    name: str
    """As in a file; `log.size` is `size` in the table `log`."""
    kind: Kind
    help: str
    """What it means, in one sentence without its full stop."""
    example: str
    """A value as TOML."""
    always: bool = False
    """Whether it is written even where it has its default."""
    live: bool = False
    """Whether a change of it takes hold without a restart."""

    @property
    def field(self) -> str:
        """The field of Definition that holds its value."""
        return self.name.replace(".", "_")


# No wait between two starts may be so short that a program which always crashes keeps a processor busy.
SHORTEST_FIRST, SHORTEST_LONGEST, SHORTEST_HEALTH, SHORTEST_EVERY = 0.01, 1.0, 0.5, 1.0

KEYS = (
    Key(
        name="command",
        kind=kinds.COMMAND,
        help="the program by its full path, and its arguments; no shell reads it",
        example='["/usr/bin/python3", "-m", "http.server", "8000"]',
        always=True,
    ),
    Key(
        name="directory",
        kind=kinds.PATH,
        help="the working directory",
        example='"/srv/web"',
        always=True,
    ),
    Key(name="umask", kind=kinds.UMASK, help="the umask", example='"077"'),
    Key(
        name="user",
        kind=kinds.ACCOUNT,
        help="the user it runs as; HOME, USER, LOGNAME, SHELL and his groups follow",
        example='"www-data"',
    ),
    Key(name="group", kind=kinds.ACCOUNT, help="the group instead of the user's own", example='"adm"'),
    Key(
        name="groups",
        kind=kinds.GROUPS,
        help="the supplementary groups instead of the user's; an empty list for none",
        example='["ssl-cert"]',
    ),
    Key(
        name="ready",
        kind=kinds.READY,
        help="by what it is known to be up: it still lives after 200 ms (exec), it sent READY=1 (notify), it wrote"
        " a newline on descriptor N (fd:N)",
        example='"notify"',
    ),
    Key(
        name="ready_timeout",
        kind=kinds.duration(0.1),
        help="how long it may take to become ready; then it is ended, as a failure",
        example='"2m"',
        live=True,
    ),
    Key(
        name="restart",
        kind=kinds.choice(ALWAYS, ON_FAILURE, NEVER),
        help="when it is started again after it has ended by itself",
        example='"on-failure"',
        live=True,
    ),
    Key(
        name="success",
        kind=kinds.ENDINGS,
        help="exit statuses and signals that are no failure, instead of the default ones",
        example='[0, 75, "TERM"]',
        live=True,
    ),
    Key(
        name="final",
        kind=kinds.ENDINGS,
        help="exit statuses and signals after which it is not started again, whatever `restart` says",
        example="[64, 78]",
        live=True,
    ),
    Key(
        name="healthy_after",
        kind=kinds.duration(SHORTEST_HEALTH),
        help="up for that long past ready, it is started again at once when it ends; else after a wait",
        example='"5s"',
        live=True,
    ),
    Key(
        name="forgiven_after",
        kind=kinds.duration(SHORTEST_HEALTH),
        help="up for that long, its earlier failures are forgotten: the next wait is the first again;"
        " at least `healthy_after`",
        example='"10m"',
        live=True,
    ),
    Key(
        name="stop",
        kind=kinds.STOP,
        help="how it is stopped: signals, and how long to wait after each until all of its family is gone; KILL is"
        " added where it is not the last, and 10s after the last",
        example='["INT", "30s", "KILL"]',
        live=True,
    ),
    Key(
        name="reload",
        kind=kinds.RELOAD,
        help="the signal that lets it read its configuration again",
        example='"USR1"',
        live=True,
    ),
    Key(name="nice", kind=kinds.number(-20, 19), help="the nice value, -20 (first) to 19 (last)", example="10"),
    Key(
        name="oom_score",
        kind=kinds.number(-1000, 1000),
        help="how readily the kernel kills it for want of memory",
        example="500",
    ),
    Key(name="affinity", kind=kinds.AFFINITY, help="the processors it may run on", example='"0-3,8"'),
    Key(
        name="capabilities",
        kind=kinds.CAPABILITY_NAMES,
        help="just these are kept; an empty list for none",
        example='["net_bind_service"]',
    ),
    Key(
        name="no_new_privileges",
        kind=kinds.FLAG,
        help="let nothing that it executes gain privileges",
        example="true",
    ),
    Key(
        name="start",
        kind=kinds.FLAG,
        help="whether it is brought back when the supervisor starts, at boot for one (numen enable, numen disable)",
        example="false",
        live=True,
    ),
    Key(
        name="environment_files",
        kind=kinds.ENVIRONMENT_FILES,
        help="files of NAME=VALUE lines, read at each start and stronger than `environment`; with - before the path"
        " one may be missing",
        example='["/etc/default/web", "-/srv/web/.env"]',
    ),
    Key(
        name="environment",
        kind=kinds.ENVIRONMENT,
        help="the whole environment, but for what numen adds",
        example='{ PATH = "/usr/bin:/bin", PORT = "8000" }',
        always=True,
    ),
    Key(
        name="backoff.first",
        kind=kinds.duration(SHORTEST_FIRST),
        help="the bound of the first wait before it is started again; it doubles with each failure, and a random part"
        " of it is waited",
        example='"1s"',
        live=True,
    ),
    Key(
        name="backoff.longest",
        kind=kinds.duration(SHORTEST_LONGEST),
        help="the bound of the longest such wait; at least `backoff.first`",
        example='"5m"',
        live=True,
    ),
    Key(
        name="give_up.restarts",
        kind=kinds.number(0, 1000),
        help="so many restarts within `give_up.within` are too many; 0 never gives up",
        example="5",
        live=True,
    ),
    Key(
        name="give_up.within",
        kind=kinds.duration(1.0),
        help="the time in which restarts are counted",
        example='"10m"',
        live=True,
    ),
    Key(
        name="give_up.then",
        kind=kinds.choice(FAILED, SLOWLY),
        help="what follows then: nothing more, or a try every `give_up.every`",
        example='"slowly"',
        live=True,
    ),
    Key(
        name="give_up.every",
        kind=kinds.duration(SHORTEST_EVERY),
        help="the wait between tries where `give_up.then` is `slowly`",
        example='"15m"',
        live=True,
    ),
    Key(
        name="log.size",
        kind=kinds.size(4096),
        help="how large the log may grow before the next file is begun",
        example='"100MB"',
        live=True,
    ),
    Key(
        name="log.keep",
        kind=kinds.number(1, 1000),
        help="how many files there are in all, the one that is written among them",
        example="10",
        live=True,
    ),
    Key(
        name="log.compress", kind=kinds.FLAG, help="compress the files that are full (gzip)", example="true", live=True
    ),
    Key(name="log.timestamps", kind=kinds.FLAG, help="put the time before each line", example="true"),
    Key(
        name="log.separate_stderr",
        kind=kinds.FLAG,
        help="write standard error to a log of its own, NAME.err.log",
        example="true",
    ),
    Key(
        name="limits",
        kind=kinds.LIMITS_TABLE,
        help="resource limits, for each the value or the soft and the hard one",
        example='{ open-files = 65536, processes = [100, 200], locked-memory = "unlimited" }',
    ),
)
"""In the order in which they are written."""

BY_NAME = {key.name: key for key in KEYS}
GROUPS = frozenset(name.partition(".")[0] for name in BY_NAME if "." in name)
"""The tables that hold several keys."""

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


def read_values(table: Mapping[str, Any]) -> tuple[dict[str, Any], list[Mistake]]:
    """The values that stand in a table, by the fields of Definition, and what is wrong with others."""
    values: dict[str, Any] = {}
    mistakes: list[Mistake] = []
    if not isinstance(table, dict):
        return {}, [Mistake(key="", message=f"{kinds.shown(table)} is no table of keys and values", path=())]
    for path, written in _flat(table, mistakes):
        name = ".".join(path)
        key = BY_NAME.get(name)
        if key is None:
            mistakes.append(Mistake(key=name, message=_unknown(name), path=path))
            continue
        try:
            values[key.field] = key.kind.parse(written)
        except BadOption as error:
            mistakes += _mistakes_in(key, path, written, error)
    return values, mistakes


def missing_keys(table: Mapping[str, Any]) -> list[Mistake]:
    """The mistake that there is no command, where there is none."""
    if not isinstance(table, dict) or "command" in table:
        return []
    return [Mistake(key="command", message="it is missing; write the program and its arguments", path=("command",))]


def _mistakes_in(key: Key, path: Path, written: Any, error: BadOption) -> list[Mistake]:
    """What is wrong with a value: of a table each entry that is wrong by itself."""
    found: list[tuple[Path, str]] = []
    if isinstance(written, dict) and key.kind.schema.get("type") == "object":
        for name, one in written.items():
            try:
                key.kind.parse({name: one})
            except BadOption as wrong:
                found.append(((*path, str(name)), str(wrong)))
    return [
        Mistake(key=key.name, message=kinds.clipped(message, 300), path=where)
        for where, message in found or [(path, str(error))]
    ]


def to_table(definition: Definition) -> dict[str, Any]:
    """The definition as what TOML and JSON can hold: what differs from the defaults, and what is always told."""
    table: dict[str, Any] = {}
    for key in KEYS:
        value = getattr(definition, key.field)
        if key.always or value != _default(key):
            group, _, last = key.name.rpartition(".")
            (table.setdefault(group, {}) if group else table)[last] = key.kind.form(value)
    return table


def check(definition: Definition) -> None:
    """Raise BadDefinition where values contradict each other."""
    changed = {key.field: value for key in KEYS if (value := getattr(definition, key.field)) != _default(key)}
    if mistakes := contradictions(changed):
        raise bad_definition([(one.key, one.message) for one in mistakes])


def bad_definition(
    mistakes: Sequence[tuple[str, str]], where: str = "the definition", places: Sequence[tuple[str, int, int]] = ()
) -> BadDefinition:
    """The error that tells them, a line for each where there are several; `places` are where they stand in files."""
    lines = [f"{kinds.clipped(name, 60)}: {message}" if name else message for name, message in mistakes]
    if places:
        lines = [f"{file}:{line}:{column}: {text}" for (file, line, column), text in zip(places, lines, strict=True)]
    if len(lines) > 1:
        told = "\n  ".join([f"cannot use {where}: there are {len(lines)} mistakes in it", *lines])
    else:
        told = f"cannot use {lines[0]}" if places else f"cannot use {where}: {lines[0]}"
    return BadDefinition(told, mistakes=tuple(mistakes), places=tuple(places))


def default(key: Key) -> Any:
    """What holds where the key is not written, as TOML would hold it; `None` where that is nothing."""
    value = _default(key)
    return None if value is None else key.kind.form(value)


def _default(key: Key) -> Any:
    return getattr(Definition, key.field, None)


def _flat(table: Mapping[str, Any], mistakes: list[Mistake]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every key with its value."""
    for name, value in table.items():
        if name not in GROUPS:
            yield (str(name),), value
        elif isinstance(value, dict):
            yield from (((name, str(inner)), one) for inner, one in value.items())
        else:
            keys = ", ".join(one.partition(".")[2] for one in BY_NAME if one.startswith(f"{name}."))
            message = f"{kinds.shown(value)} is no table; there are the keys {keys} in it"
            mistakes.append(Mistake(key=name, message=message, path=(name,)))


def _unknown(name: str) -> str:
    plain = name.lower().replace("-", "_")
    inner = {one.rpartition(".")[2]: one for one in BY_NAME if "." in one}
    meant = _OTHER_WORDS.get(plain) or inner.get(plain) or nearest(plain, BY_NAME)
    return "there is no such key" + (f"; did you mean {meant}?" if meant else "")


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The word that was probably meant; `None` where none resembles it."""
    from difflib import get_close_matches

    # A long one resembles nothing, and comparing takes its time.
    close = get_close_matches(word, known, n=1) if len(word) <= 40 else []
    return close[0] if close else None


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
    return mistakes


def _value(values: Mapping[str, Any], name: str) -> float:
    field = BY_NAME[name].field
    seconds: float = values.get(field, getattr(Definition, field))
    return seconds
