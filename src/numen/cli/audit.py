"""`numen audit`: whether a running process is a proper daemon, step by step."""

from __future__ import annotations

import sys

from ..errors import BadOption
from .main import say
from .options import Option, Table, one_of, whole_number
from .screen import COLOURS, is_terminal, screen
from .words import read_mixed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from ..check.audit import Audit
    from ..check.targets import Target

STATUSES = {"fault": 13, "warning": 12, "unknown": 11}
"""The exit status for the worst verdict, where it counts."""

COUNTED = {
    "fault": ("fault",),
    "warning": ("fault", "warning"),
    "unknown": ("fault", "warning", "unknown"),
    "never": (),
}
"""The verdicts that count for each value of --fail-on."""


TABLE = Table(
    command="audit",
    usage=(
        "numen audit [OPTIONS] PID | NAME | --pidfile FILE | --unit NAME | --port N | --all",
        "numen audit --explain STEP",
    ),
    description="Say, step by step, whether a running process is a proper daemon. It is looked at, and not touched.",
    epilog="""examples:
  numen audit 4711
  numen audit --unit nginx
  numen audit --port 80 --json
  numen audit --all --fail-on fault
  numen audit --explain 2; numen audit --explain no-zombies

exit statuses: 0 nothing that counts (--fail-on), 13 a fault, 12 a warning at worst, 11 unknown at worst,
2 bad option, 4 no permission, 6 something named cannot be used, 7 not running""",
    options=(
        Option(
            group="whom",
            flags=("--pidfile",),
            metavar=("FILE",),
            help="the process that this pidfile names; the pidfile is audited too",
        ),
        Option(
            group="whom",
            flags=("--unit",),
            metavar=("NAME",),
            help="the main process of this systemd unit; .service need not be written",
        ),
        Option(
            group="whom",
            flags=("--port",),
            metavar=("N",),
            convert=whole_number(1, 65535),
            help="the process that listens on this port, tcp or udp",
        ),
        Option(group="whom", flags=("--all",), help="every daemon of the machine, in one table, the worst first"),
        Option(group="output", flags=("--json",), help="print the audit as JSON"),
        Option(group="output", flags=("--sarif",), help="print the audit as SARIF 2.1.0"),
        Option(
            group="output",
            flags=("--color",),
            metavar=("WHEN",),
            convert=one_of(*COLOURS),
            help="colours: auto (on a terminal, unless NO_COLOR is set; the default), always, never",
        ),
        Option(
            group="output",
            flags=("--fail-on",),
            metavar=("VERDICT",),
            convert=one_of(*COUNTED),
            help="fail from this verdict on: fault, warning (the default), unknown, or never",
        ),
        Option(
            group="teaching",
            flags=("--explain",),
            metavar=("STEP",),
            help="teach a step (1 to 8, or a group such as privileges) or a rule, by its name",
        ),
    ),
)

_TARGETS = ("pidfile", "unit", "port", "all")


def run(arguments: Sequence[str]) -> int:
    """Run `numen audit`; the exit status. Raises DaemonError."""
    values, words = read_mixed(TABLE, arguments)
    _check(values, words)
    if values["explain"] is not None:
        from ..check.lessons import explain

        say(explain(values["explain"]))
        return 0
    if values["all"]:
        return _audit_all(values)
    return _audit_one(_target(values, words), values)


def _check(values: dict[str, Any], words: list[str]) -> None:
    named = [f"--{name}" for name in _TARGETS if values[name] not in (None, False)] + words
    if values["json"] and values["sarif"]:
        raise BadOption("--json and --sarif do not go together")
    if values["explain"] is not None:
        if named or values["json"] or values["sarif"]:
            raise BadOption("--explain stands alone")
    elif not named:
        raise BadOption("whom? Write a pid or a name, or --pidfile, --unit, --port or --all")
    elif len(named) > 1:
        raise BadOption(f"{named[0]} and {named[1]} do not go together: one process is audited, or --all")


def _target(values: dict[str, Any], words: list[str]) -> Target:
    from ..check import targets

    if values["pidfile"] is not None:
        return targets.by_pidfile(values["pidfile"])
    if values["unit"] is not None:
        return targets.by_unit(values["unit"])
    if values["port"] is not None:
        return targets.by_port(values["port"])
    return targets.by_word(words[0])


def _audit_one(target: Target, values: dict[str, Any]) -> int:
    from ..check.audit import audit

    found = audit(target.pid, target.pidfile)
    if not _tell_programs([found], values):
        from ..check.report.table import one_process

        say(one_process(found, screen(values["color"])))
    return exit_status([found], values["fail_on"])


def _audit_all(values: dict[str, Any]) -> int:
    from ..check.audit import audit_all
    from ..check.targets import daemons

    found = audit_all(daemons(), tell=_tell_progress if is_terminal(sys.stderr) else _tell_nothing)
    if not _tell_programs(found, values):
        from ..check.report.table import many_processes

        say(many_processes(found, screen(values["color"])))
    return exit_status(found, values["fail_on"])


def _tell_programs(found: list[Audit], values: dict[str, Any]) -> bool:
    """Print what a program reads, where that was asked for; whether it was."""
    if values["json"]:
        from ..check.report.as_json import as_json

        say(as_json(found))
    elif values["sarif"]:
        from ..check.report.sarif import as_sarif

        say(as_sarif(found))
    return bool(values["json"] or values["sarif"])


def exit_status(found: Sequence[Audit], fail_on: str | None = None) -> int:
    """That of the worst verdict of all, from the one on that `fail_on` names; 0 where there is none."""
    verdicts = {one.verdict for audit in found for one in audit.findings}
    return next((STATUSES[verdict] for verdict in COUNTED[fail_on or "warning"] if verdict in verdicts), 0)


def _tell_nothing(_done: int, _all: int) -> None:
    """Progress is for people."""


def _tell_progress(done: int, number: int) -> None:
    # Written over itself, and at the end over with blanks.
    text = f"auditing {done} of {number}" if done < number else ""
    sys.stderr.write(f"\r{text:<40}\r")
    sys.stderr.flush()
