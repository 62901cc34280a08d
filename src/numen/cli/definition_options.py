"""The options by which `numen start` defines a daemon, and the definition that they make.

Each stands for a key of a definition file, and takes its meaning and its checks from there. What a daemon gets of
its caller's surroundings is chosen here, once: a restart never takes anything from who asks for it.
"""

from __future__ import annotations

import os

from ..become.command import find, locale_is_pythons_own
from ..become.surroundings import DEFAULT_PATH
from ..errors import BadOption
from ..keep.definitions import keys, kinds, tables
from ..keep.definitions.definition import Definition
from ..settings.environment import set_or_kept
from ..settings.names import check_kept_name
from .options import Option, kept_capabilities

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

TAKEN = ("PATH", "LANG", "VIRTUAL_ENV", "TZ")
"""The variables that a daemon gets from its caller, beside LC_*: by them programs are found, and text and times are
understood. Others would tie it to a session that ends, or give secrets away; `-e` names them."""


def _for_key(
    name: str, flags: tuple[str, ...], metavar: str | None = None, *, group: str, repeated: bool = False
) -> Option:
    """An option that stands for a key."""
    key = keys.BY_NAME[name]
    default = keys.default(key)
    # A switch can only turn on what is off.
    note = "" if metavar is None or default in (None, [], {}) else f" ({_in_words(default)})"
    return Option(
        flags=flags,
        metavar=() if metavar is None else (metavar,),
        convert=key.kind.convert if metavar is not None else str,
        help=key.help.replace("`", "") + note,
        group=group,
        repeated=repeated,
    )


def _in_words(default: Any) -> str:
    return "/".join(map(str, default)) if isinstance(default, list) else str(default)


def _give_up(text: str) -> dict[str, Any]:
    restarts, slash, more = text.partition("/")
    within, _, then = more.partition("/")
    if not slash:
        raise BadOption(f"{text!r} is no bound for restarts; write RESTARTS/WITHIN, such as 5/10m, or 5/10m/slowly")
    parts = {"give_up.restarts": restarts, "give_up.within": within, **({"give_up.then": then} if then else {})}
    return {keys.BY_NAME[name].field: keys.BY_NAME[name].kind.convert(part) for name, part in parts.items()}


def _setting(text: str) -> dict[str, Any]:
    """The field and the value that `KEY=VALUE` sets; VALUE is TOML, or text as it stands."""
    name, equals, written = (one.strip() for one in text.partition("="))
    if not equals:
        raise BadOption(f"{text!r} sets nothing; write KEY=VALUE, such as vital=true")
    key = keys.BY_NAME.get(name)
    if key is None:
        raise BadOption(f"{name!r} is no key: {tables.unknown(name)}")
    if name == "command":
        raise BadOption("the command stands after two dashes: numen start --name web -- ./server")
    if key.machine:
        raise BadOption(f"numen alone writes {name}")
    try:
        return {key.field: _value(key.kind, written)}
    except BadOption as error:
        raise BadOption(f"{name}: {error}") from None


def _value(kind: kinds.Kind, written: str) -> Any:
    import tomllib

    try:
        found = tomllib.loads(f"it = {written}")
    except (ValueError, RecursionError):  # no TOML, but what an option of its own would take
        return kind.convert(written)
    if len(found) != 1 or not isinstance(found["it"], (str, int, float, list, dict)):
        return kind.convert(written)
    try:
        return kind.parse(found["it"])
    except BadOption:
        # To TOML, 77 is a number; as an umask it is text.
        if isinstance(found["it"], (int, float)) and not isinstance(found["it"], bool):
            return kind.convert(written)
        raise


OPTIONS = (
    Option(flags=("--name",), metavar=("NAME",), help="the daemon's name (that of the program)"),
    _for_key("ready", ("--ready",), "KIND", group="options"),
    _for_key("ready_timeout", ("--timeout",), "DURATION", group="options"),
    Option(
        flags=("--set",),
        metavar=("KEY=VALUE",),
        convert=_setting,
        repeated=True,
        help="set any key of a definition, stronger than other options: schedule.every=5m, vital=true, after=['db']",
    ),
    Option(flags=("--disabled",), help="do not bring it back when the supervisor starts (numen enable does)"),
    Option(flags=("--replace",), help="replace the definition of that name; if it runs, it is restarted"),
    Option(flags=("--quiet", "-q"), help="say nothing where all went well"),
    Option(flags=("--json",), help="print facts as JSON"),
    Option(
        group="surroundings",
        flags=("--directory",),
        metavar=("DIR",),
        help="the working directory (that of the caller)",
    ),
    _for_key("umask", ("--umask",), "MODE", group="surroundings"),
    Option(
        group="surroundings",
        flags=("--env", "-e"),
        metavar=("NAME[=VALUE]",),
        repeated=True,
        help=f"set a variable of the environment, or keep the caller's; {', '.join(TAKEN)} and LC_* are kept anyway",
    ),
    Option(
        group="surroundings",
        flags=("--env-file",),
        metavar=("FILE",),
        repeated=True,
        help="set the variables in a file, read at each start; --env-file=-FILE where it may be missing",
    ),
    _for_key("restart", ("--restart",), "WHEN", group="ends and restarts"),
    _for_key("success", ("--success",), "STATUS,...", group="ends and restarts"),
    _for_key("final", ("--final",), "STATUS,...", group="ends and restarts"),
    _for_key("backoff.first", ("--backoff-first",), "DURATION", group="ends and restarts"),
    _for_key("backoff.longest", ("--backoff-longest",), "DURATION", group="ends and restarts"),
    _for_key("healthy_after", ("--healthy-after",), "DURATION", group="ends and restarts"),
    _for_key("forgiven_after", ("--forgiven-after",), "DURATION", group="ends and restarts"),
    Option(
        group="ends and restarts",
        flags=("--give-up",),
        metavar=("RESTARTS/WITHIN[/THEN]",),
        convert=_give_up,
        help="so many restarts in so long are too many: then it has failed, or is tried slowly (never)",
    ),
    _for_key("stop", ("--stop",), "SCHEDULE", group="ends and restarts"),
    _for_key("reload", ("--reload",), "SIGNAL", group="ends and restarts"),
    _for_key("log.size", ("--log-size",), "SIZE", group="its log"),
    _for_key("log.keep", ("--log-keep",), "N", group="its log"),
    _for_key("log.compress", ("--log-compress",), group="its log"),
    _for_key("log.timestamps", ("--timestamps",), group="its log"),
    _for_key("log.separate_stderr", ("--separate-stderr",), group="its log"),
    _for_key("user", ("--user",), "USER", group="identity"),
    _for_key("group", ("--group",), "GROUP", group="identity"),
    _for_key("groups", ("--groups",), "GROUP,...", group="identity"),
    Option(
        group="identity",
        flags=("--capability",),
        metavar=("NAME",),
        repeated=True,
        help="keep just this capability, such as net_bind_service; none for none",
    ),
    _for_key("no_new_privileges", ("--no-new-privileges",), group="identity"),
    Option(
        group="limits",
        flags=("--limit",),
        metavar=("NAME=VALUE",),
        convert=kinds.LIMITS_TABLE.convert,
        repeated=True,
        help="set a resource limit: open-files=65536, processes=SOFT:HARD, locked-memory=unlimited",
    ),
    _for_key("nice", ("--nice",), "N", group="limits"),
    _for_key("oom_score", ("--oom-score",), "N", group="limits"),
    _for_key("affinity", ("--affinity",), "CPU,...", group="limits"),
)

_SHORTER = {"ready_timeout": "timeout", "log.timestamps": "timestamps", "log.separate_stderr": "separate_stderr"}
"""The options that are named otherwise than their keys."""


def definition_from(
    values: Mapping[str, Any], command: Sequence[str], environ: Mapping[str, str], cwd: str
) -> tuple[Definition, list[str]]:
    """The definition that options and a command ask for, and what was taken from the caller, in words.

    Raises BadOption, CommandNotFound, NotExecutable; BadDefinition where values contradict each other.
    """
    environment, taken = _environment(values["env"], environ)
    path = ":".join(os.path.join(cwd, one) for one in (environment.get("PATH") or DEFAULT_PATH).split(":"))
    words = _found(command, path, cwd)
    directory = os.path.normpath(os.path.join(cwd, values["directory"] or ""))
    if values["directory"] is None:
        taken.insert(0, f"the directory {directory}")
    if words[0] != command[0]:
        taken.insert(0, f"the program {words[0]}")
    wanted: dict[str, Any] = {key.field: values.get(_SHORTER.get(key.name, key.field)) for key in keys.KEYS}
    # What was not given; not by ==, for which 0 is False.
    wanted = {field: value for field, value in wanted.items() if value is not None and value is not False}
    wanted["command"] = _as_key("command", words)
    wanted["directory"] = _as_key("directory", directory)
    wanted["environment"] = environment
    wanted |= values["give_up"] or {}
    if values["disabled"]:
        wanted["start"] = False
    if values["env_file"]:
        wanted["environment_files"] = _as_key("environment_files", [_full(one, cwd) for one in values["env_file"]])
    if values["limit"]:
        wanted["limits"] = {name: limit for one in values["limit"] for name, limit in one.items()}
    if (names := kept_capabilities(values["capability"])) is not None:
        wanted["capabilities"] = _as_key("capabilities", names)
    for one in values["set"]:
        for field, value in one.items():
            before = wanted.get(field)
            wanted[field] = {**before, **value} if isinstance(value, dict) and isinstance(before, dict) else value
    definition = Definition(**wanted)
    tables.check(definition)
    return definition, taken


def name_from(values: Mapping[str, Any], command: Sequence[str]) -> str:
    """The name under which the daemon is kept. Raises BadOption."""
    name: str = os.path.basename(command[0]) if values["name"] is None else values["name"]
    check_kept_name(name)
    return name


def callers_environment() -> dict[str, str]:
    """The environment of who called numen, without what Python has put there."""
    environ = dict(os.environ)
    if locale_is_pythons_own():
        environ.pop("LC_CTYPE", None)
    return environ


def _as_key(name: str, value: Any) -> Any:
    """The value as a key of a file has it. Raises BadDefinition."""
    try:
        return keys.BY_NAME[name].kind.parse(value)
    except BadOption as error:
        raise tables.bad_definition([(name, str(error))]) from None


def _found(command: Sequence[str], path: str, cwd: str) -> list[str]:
    """The command with the full path of its program: what is executed later must not depend on who asks."""
    program = command[0]
    return [find(os.path.join(cwd, program) if "/" in program else program, path), *command[1:]]


def _full(path: str, cwd: str) -> str:
    """The full path of an environment file, behind the dash that lets it be missing."""
    bare = path.removeprefix("-")
    dash = path[: len(path) - len(bare)]
    return f"{dash}{os.path.normpath(os.path.join(cwd, bare))}" if bare else path


def _environment(asked: Sequence[str], environ: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """The daemon's environment, and what of it is the caller's, in words."""
    environment = {
        name: value
        for name, value in environ.items()
        if (name in TAKEN or name.startswith("LC_")) and _can_be_written(value)
    }
    kept = dict.fromkeys(environment)
    missing = []
    for one in asked:
        found = set_or_kept(one, environ)
        environment |= _as_key("environment", found)
        for name in found:
            if "=" in one:
                kept.pop(name, None)
            else:
                kept[name] = None
        if not found:
            missing.append(one)
    taken = [f"{', '.join(sorted(kept))} of the environment"] if kept else []
    taken += [f"no {name}, which the environment does not have" for name in missing]
    return dict(sorted(environment.items())), taken


def _can_be_written(value: str) -> bool:
    try:
        kinds.text_of(value)
    except BadOption:
        return False
    return True
