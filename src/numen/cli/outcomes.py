"""Commands to daemons that are kept: one order to all that are named, and what comes of each as it comes."""

from __future__ import annotations

import json
import os

from ..become.tail import printable
from ..errors import BadOption, Unusable
from . import asking
from .main import complain, say
from .options import Option, Table
from .words import read_mixed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any

QUIET = Option(flags=("--quiet", "-q"), help="say nothing where all went well")
JSON = Option(flags=("--json",), help="print facts as JSON, a line for each daemon")

REPEATABLE = frozenset({"Start", "Stop", "Enable", "Disable", "Wait"})
"""What comes to the same if it is asked for twice."""

SENTENCES = frozenset({"BadDefinition", "SystemFailed"})
"""The failures that are told in a sentence of their own, not in what is said of the daemon."""

ENDINGS = """exit statuses, of several daemons the highest: 0 done, 1 the system failed, 2 bad option, 4 no permission,
6 no such daemon, """
"""How the list of exit statuses of each of these commands begins."""


def table(command: str, description: str, examples: Sequence[str], statuses: str, words: str = "NAME...") -> Table:
    """The options of a command that gives one order to daemons."""
    lines = "\n".join(f"  {example}" for example in examples)
    return Table(
        command=command,
        usage=(f"numen {command} [OPTIONS] {words}",),
        description=f"{description}\nA name may be a shell pattern: 'web-*'.",
        epilog=f"examples:\n{lines}\n\n{ENDINGS}{statuses}",
        options=(QUIET, JSON),
    )


def order(table: Table, method: str, arguments: Sequence[str]) -> int:
    """Read a command line that names daemons, and call the method for them; the exit status. Raises DaemonError."""
    values, names = read_mixed(table, arguments)
    return order_daemons(table.command, method, names, values)


def order_daemons(
    command: str,
    method: str,
    names: Sequence[str],
    values: dict[str, Any],
    also: Callable[[dict[str, Any]], None] = lambda _outcome: None,
    **parameters: Any,
) -> int:
    """Call a method for daemons, and tell what comes of it; the exit status. Raises DaemonError.

    `also` is called with each outcome before it is told.
    """
    check_named(command, names)
    try:
        found = replies(method, {"names": list(names), **parameters})
        return tell_all(command, _each_also(found, also), values)
    except asking.NoSupervisor as error:
        raise with_those_left(error, command, names) from None
    except Unusable as error:
        if len(names) > 1 and "name" in error.values:
            raise Unusable(f"{error}; nothing was done", **error.values) from None
        raise


def _each_also(found: Iterable[dict[str, Any]], also: Callable[[dict[str, Any]], None]) -> Iterator[dict[str, Any]]:
    for reply in found:
        for outcome in reply["outcomes"]:
            also(outcome)
        yield reply


def with_those_left(error: asking.NoSupervisor, command: str, names: Sequence[str]) -> asking.NoSupervisor:
    """The error of who asks for daemons that run on without a supervisor."""
    from ..settings.names import matching
    from .kept import left_running

    running = left_running()
    left, _ = matching(names, running)
    if not left:
        return error
    told = ", ".join(f"{name} (pid {running[name]})" for name in left)
    them = "it" if len(left) == 1 else "them"
    how = f"`numen supervisor` takes {them} back, then {command} {them}"
    return asking.NoSupervisor(f"no supervisor runs, but {told} run{'s' * (len(left) == 1)} on; {how}")


def replies(method: str, parameters: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The replies of the supervisor; of its successor, too, where it is killed and may be asked a second time."""
    if method not in REPEATABLE:
        with asking.connect() as connection:
            yield from asking.more(connection, method, parameters)
        return
    told: set[str] = set()
    for reply in asking.follow(method, parameters):
        new = [one for one in reply["outcomes"] if one["name"] not in told]
        told |= {one["name"] for one in new}
        yield {"outcomes": new}


def check_named(command: str, names: Sequence[str]) -> None:
    """Raise BadOption where no daemon is named: nobody should end all of them by a word that he forgot."""
    if not names:
        raise BadOption(f"whom? Write names, or '*' for all: numen {command} web")


def tell_all(command: str, replies: Iterable[dict[str, Any]], values: dict[str, Any]) -> int:
    """Tell each outcome as it comes; the highest of their exit statuses."""
    statuses = [0]
    for reply in replies:
        for outcome in reply["outcomes"]:
            tell(command, outcome, values)
            if not outcome["ok"]:
                statuses.append(asking.exit_status(outcome.get("error") or ""))
    return max(statuses)


def tell(command: str, outcome: dict[str, Any], values: dict[str, Any]) -> None:
    """Tell what came of an order for one daemon: what went well on stdout, what did not on stderr."""
    if values["json"]:
        say(json.dumps(outcome))
    elif not outcome["ok"]:
        first, *more = outcome["message"].split("\n")
        colon = ":" * (outcome.get("error") in SENTENCES)
        complain(f"numen {command}: {outcome['name']}{colon} {printable(first)}")
        for line in more:
            complain(printable(line))
        for line in outcome.get("last_lines", ()):
            complain(f"  | {printable(line)}")
    elif not values["quiet"]:
        say(f"{outcome['name']} {printable(outcome['message'])}{_remark(command, outcome)}")


def _remark(command: str, outcome: dict[str, Any]) -> str:
    """What an order has left as it was, where a person could think otherwise."""
    if command == "disable" and (outcome.get("daemon") or {}).get("pid"):
        return " (it runs on)"
    if command == "remove":
        from ..settings.places import log_directory

        log = os.path.join(log_directory(), f"{outcome['name']}.log")
        return f"; its log stays: {log}" if os.path.exists(log) else ""
    return ""
