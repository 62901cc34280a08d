"""`numen start`: keep any program running as a daemon; or start daemons that are defined."""

from __future__ import annotations

import os
import time

from ..errors import BadOption, DaemonError, Unusable
from . import asking, kept
from .definition_options import OPTIONS
from .main import say
from .options import Table, split
from .outcomes import ENDINGS, check_named, replies, tell_all
from .words import is_pattern, read_mixed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any

    from ..keep.definitions.definition import Definition

TABLE = Table(
    command="start",
    usage=("numen start [OPTIONS] -- COMMAND [ARG...]", "numen start [--quiet] [--json] NAME..."),
    description="Keep COMMAND running as a daemon: define it under a name, and start it. Or start daemons that are\n"
    "defined; a name may be a shell pattern: 'web-*'. The supervisor is started too, if none runs. Ends with 0\n"
    "only when each is up; else says why.",
    epilog=f"""examples:
  numen start --name web -- python3 -m http.server 8000
  numen start --name web --replace --user www-data --ready notify --timeout 30s -- ./server --port 80
  numen start --restart on-failure --give-up 5/10m -e TOKEN --log-size 50MB -- ./worker
  numen start web; numen start 'worker-*'

{ENDINGS}8 it is defined already (--replace),
9 died before it was ready, 14 somebody stopped it meanwhile, 124 not ready in time, 126 not executable,
127 command not found""",
    options=OPTIONS,
)


def run(arguments: Sequence[str]) -> int:
    """Run `numen start`; the exit status. Raises DaemonError."""
    options, command = split(TABLE.options, arguments)
    if len(options) + len(command) < len(arguments):  # there are two dashes
        values, _ = TABLE.read(options)
        return _define(command, values)
    _check_no_command(options, command)
    values, names = read_mixed(TABLE, arguments)
    _check_names_alone(values)
    check_named("start", names)
    try:
        return _ask("Start", {"names": names}, values)
    except Unusable as error:
        if error.values.get("name") == names[0] and not is_pattern(names[0]):
            raise _with_dashes(error, arguments) from None
        raise


def _check_no_command(options: Sequence[str], words: Sequence[str]) -> None:
    """Raise BadOption for a command without two dashes before it, whose options would be taken for ours."""
    known = {"-h", "--help", *(flag for option in TABLE.options for flag in option.flags)}
    strange = [one for one in words[1:] if one.startswith("-") and one.partition("=")[0] not in known]
    if strange and words[0] not in kept.defined():
        raise _with_dashes(BadOption(f"there is no option {strange[0]}"), [*options, *words])


def _with_dashes(error: DaemonError, arguments: Sequence[str]) -> DaemonError:
    """The error of who has written a command, it may be, without two dashes before it."""
    from shlex import join

    options, words = split(TABLE.options, arguments)
    how = join(["numen", "start", *options, "--", *words])
    return type(error)(f"{error}; to define one: {how}", **error.values)


def _check_names_alone(values: dict[str, Any]) -> None:
    for name, value in values.items():
        if name not in ("quiet", "json") and value not in (None, False, []):
            flag = f"--{name.replace('_', '-')}"
            raise BadOption(f"{flag} defines a daemon, so write its command after two dashes: -- ./server")


def _define(command: Sequence[str], values: dict[str, Any]) -> int:
    from ..keep.definitions.tables import to_table
    from .definition_options import callers_environment, definition_from, name_from

    if not command:
        raise BadOption("what is to be kept? Write it after two dashes: numen start --name web -- ./server")
    name = name_from(values, command)
    definition, taken = definition_from(values, command, callers_environment(), os.getcwd())
    if not values["replace"] and os.path.lexists(file := kept.definition_path(name)):
        _check_same(name, definition, file)
        return _ask("Start", {"names": [name]}, values)
    asked = {"name": name, "definition": to_table(definition), "replace": values["replace"]}
    return _ask("Define", asked, values, told=_taken(name, definition, taken))


def _check_same(name: str, wanted: Definition, file: str) -> None:
    """Raise AlreadyDefined where the definition in the file is another one: then nothing at all is done."""
    from ..keep.definitions.files import read
    from ..keep.definitions.tables import to_table

    try:
        before = read(file)
    except DaemonError as error:
        raise asking.AlreadyDefined(f"{name} is defined already, but: {error}; --replace replaces it") from None
    if before == wanted:
        return
    old, new = to_table(before), to_table(wanted)
    others = ", ".join(key for key in {**old, **new} if old.get(key) != new.get(key) and key != "source")
    how = f"numen start {name} starts it as it is, --replace replaces its definition"
    if before.source is not None:
        how = f"it comes from {before.source}: edit that, then numen apply; numen start {name} starts it as it is"
    raise asking.AlreadyDefined(f"{name} is defined already, with another {others}{_standing(name)}; {how}")


def _standing(name: str) -> str:
    """How a daemon stands, where a supervisor can tell."""
    try:
        ((daemon,), _) = kept.ask([name])
    except (DaemonError, ValueError):
        return ""
    pid = f", pid {daemon['pid']}" if daemon.get("pid") else ""
    return f"; it is {daemon['state']}{pid}"


def _taken(name: str, definition: Definition, taken: Sequence[str]) -> str:
    """What was made of the command line and of the caller's surroundings, in words."""
    from shlex import join

    return "\n".join([f"{name} is defined: {join(definition.command)}", *(f"  takes {one}" for one in taken)])


def _ask(method: str, parameters: dict[str, Any], values: dict[str, Any], told: str = "") -> int:
    """Ask, by starting the supervisor where none runs, and tell what comes of it."""
    while True:
        asking.start_supervisor()
        asked_at = time.time()
        try:
            found = _with_those_up(replies(method, parameters), asked_at)
            return tell_all("start", _told_first(found, told, values), values)
        except asking.Ending:
            asking.wait_for_end()


def _told_first(found: Iterable[dict[str, Any]], told: str, values: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The replies; when the first one is there, the definition has been taken, and that is told before."""
    for reply in found:
        if told and not values["quiet"] and not values["json"]:
            say(told)
            told = ""
        yield reply


def _with_those_up(found: Iterable[dict[str, Any]], asked_at: float) -> Iterator[dict[str, Any]]:
    """The replies; what ran before it was asked for is told as such."""
    for reply in found:
        for outcome in reply["outcomes"]:
            daemon = outcome.get("daemon") or {}
            if outcome["ok"] and daemon.get("state") == kept.RUNNING and daemon["since"] < asked_at:
                outcome["message"] = f"is up already: pid {daemon['pid']}"
        yield reply
