"""`numen describe`: everything about one daemon that is kept."""

from __future__ import annotations

import json
import time

from ..settings.names import OWN_NAME
from . import asking, kept
from .main import say
from .options import Option, Table
from .outcomes import check_named
from .words import is_pattern, read_mixed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

TABLE = Table(
    command="describe",
    usage=("numen describe [--json] NAME...",),
    description="Say everything about daemons: how they stand, their processes, their definitions, their files.\n"
    "A name may be a shell pattern: 'web-*'; numen is the supervisor itself.",
    epilog="""examples:
  numen describe web
  numen describe --json 'worker-*'
  numen describe numen

exit statuses: 0 done, 1 the system failed, 2 bad option, 4 no permission, 6 no such daemon, 7 no supervisor runs""",
    options=(Option(flags=("--json",), help="print facts as JSON, a line for each daemon"),),
)

STANDS = {"failed": "has failed", "exited": "has exited", "backoff": "waits for its next try"}
"""How a daemon stands, where that is not said with `is`."""

WHY = {"asked": "asked for", "missed": "its time was missed", "start": "at its start"}
"""Why a run of a task was, where that is not that it was due."""


def run(arguments: Sequence[str]) -> int:
    """Run `numen describe`; the exit status. Raises DaemonError."""
    values, names = read_mixed(TABLE, arguments)
    check_named("describe", names)
    if names == [OWN_NAME]:
        return _describe_supervisor(as_json=values["json"])
    is_first = True
    for name in _meant(names):
        said = asking.ask("Describe", {"name": name})
        facts = kept.with_usage(said["daemon"])
        if values["json"]:
            say(json.dumps({**said, "daemon": kept.as_json(facts)}))
        else:
            say(("" if is_first else "\n") + "\n".join(_lines(said, facts)))
        is_first = False
    return 0


def _meant(names: Sequence[str]) -> Sequence[str]:
    """The names that are meant; one that is no pattern is asked for as it is."""
    if len(names) == 1 and not is_pattern(names[0]):
        return names
    return [one["name"] for one in asking.ask("Status", {"names": list(names)})["daemons"]]


def _describe_supervisor(*, as_json: bool) -> int:
    """What the supervisor is, and where it keeps things."""
    about = asking.ask("About")
    if as_json:
        say(json.dumps(about))
        return 0
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(about["since"]))
    rows = [("pid", str(about["pid"])), ("keeper", f"pid {about['keeper']}"), ("since", since)]
    say("\n".join(["the supervisor is running", *_columns([*rows, ("version", about["version"])]), "files"]))
    say("\n".join(_columns(sorted(about["home"].items()))))
    return 0


def _lines(said: dict[str, Any], facts: dict[str, Any]) -> Iterator[str]:
    state = facts["state"]
    yield f"{facts['name']} {STANDS.get(state, f'is {state}')}"
    targets = said["definition"].get("log", {}).get("to", ())
    yield from _columns([(word, text) for word, text in (*_standing(facts), ("logs to", ", ".join(targets))) if text])
    if said["processes"]:
        yield "processes"
        yield from _columns([(str(pid), _command_of(pid)) for pid in said["processes"]])
    if "next_runs" in said:
        yield "next runs"
        times = [time.strftime("%a %Y-%m-%d %H:%M:%S %Z", time.localtime(one)) for one in said["next_runs"]]
        yield from (f"  {one}" for one in times or ["none"])
    if said.get("history"):
        yield "last runs"
        yield from _columns([_past(one) for one in reversed(said["history"])])
    yield "definition"
    yield from _columns([(name, _written(value)) for name, value in _flat(said["definition"])])
    yield "files"
    yield from _columns([("definition", said["file"]), *(("log", log) for log in said["logs"])])


def _standing(facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    from ..settings.durations import format_duration
    from .kept_table import size

    now = time.time()
    yield "why", kept.why(facts, now)
    if facts["since"]:
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(facts["since"]))
        yield "since", f"{when} ({format_duration(max(0.0, now - facts['since']))})"
    if facts["pid"] is not None:
        yield "pid", str(facts["pid"])
    if facts["memory"] is not None:
        yield "memory", f"{size(facts['memory'])} in {facts['processes']} process{'es' * (facts['processes'] != 1)}"
        yield "cpu", f"{facts['cpu'] * 100:.1f}% ({facts['cpu_seconds']:.2f} seconds)"
    if facts["memory_limit"] is not None:
        yield "memory limit", size(facts["memory_limit"])
    yield "health", facts["health"] or ""
    yield "last bad answer", facts["last_failure"] or ""
    yield "says", facts["status"]
    yield "ready by", facts["ready"]
    yield "wanted", f"{'yes' if facts['wanted'] else 'no'}{', asked for by ' + facts['by'] if facts['by'] else ''}"
    yield "starts with the supervisor", "yes" if facts["start"] else "no"
    if facts["restarts"] or facts["failures"]:
        yield "restarts", f"{facts['restarts']}, {facts['failures']} of the last runs in a row were short"
    yield "last end", facts["ending"] or ""
    yield "run", facts["invocation"]


def _past(entry: dict[str, Any]) -> tuple[str, str]:
    """A line of a task's history: when, and what came of it."""
    from ..settings.durations import format_duration
    from ..settings.signals import signal_name

    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(entry["at"]))
    parts = [entry["outcome"] + (f" {entry['count']} times" if entry["count"] > 1 else "")]
    if (status := entry.get("status")) is not None:
        parts.append(f"exit status {status}" if status >= 0 else f"signal {signal_name(-status)}")
    if entry.get("duration") is not None:
        parts.append(f"took {format_duration(round(entry['duration'], 3))}")
    if entry["attempt"]:
        parts.append(f"retry {entry['attempt']}")
    elif entry["why"] != "due":
        parts.append(WHY.get(entry["why"], entry["why"]))
    return when, ", ".join([*parts, *([entry["reason"]] if entry["reason"] else [])])


def _columns(rows: Sequence[tuple[str, str]]) -> Iterator[str]:
    width = max((len(word) for word, _ in rows), default=0)
    for word, text in rows:
        yield f"  {word:<{width}}  {text}".rstrip()


def _flat(table: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The keys of a definition by their full names; each variable of the environment is a line of its own."""
    for name, value in table.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _written(value: Any) -> str:
    """The value as a file has it."""
    return json.dumps(value, ensure_ascii=False)


def _command_of(pid: int) -> str:
    """The command line of a process; its name where it has none."""
    from shlex import join

    from ..kernel import proc

    words = (proc.read(f"/proc/{pid}/cmdline") or b"").rstrip(b"\0").split(b"\0")
    text = join(word.decode(errors="backslashreplace") for word in words) if words != [b""] else ""
    found = proc.stat(pid)
    return text or ("has ended" if found is None else f"[{found.comm}]")
