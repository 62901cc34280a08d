"""`numen detach --status, --stop, --signal, --list`: asking for a daemon that runs."""

from __future__ import annotations

import json
import os
import time

from ..become.instance import Instance, all_instances, uptime
from ..errors import NotRunning
from ..settings.durations import format_duration
from ..settings.signals import DEFAULT_SCHEDULE, parse_schedule
from .main import say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

STILL_ALIVE = 1
"""The exit status of a stop whose schedule ended before the daemon did."""

_STATES = {0: "running", 1: "dead, its pidfile is left", 3: "not running"}


def run(asked: str, values: dict[str, Any]) -> int:
    """Do what was asked; the exit status. Raises DaemonError."""
    if asked == "list":
        return _list(as_json=values["json"])
    if asked == "signal":
        number, name = values["signal"]
        instance = Instance.find(name)
        _check_not_kept(instance, f"numen signal {number.name.removeprefix('SIG')} {name}")
        instance.signal(number)
        if not values["quiet"]:
            say(f"sent {number.name} to {name}")
        return 0
    instance = Instance.find(values[asked])
    if asked == "status":
        return _status(instance, values)
    _check_not_kept(instance, f"numen stop {instance.name}")
    return _stop(instance, values)


def _check_not_kept(instance: Instance, instead: str) -> None:
    """Raise NotRunning for a daemon that is kept: who asks for it here would take it for ended."""
    if instance.pid is None and _is_kept(instance.name):
        raise NotRunning(f"{instance.name} has not been detached: it is kept by the supervisor; {instead}")


def _is_kept(name: str) -> bool:
    from . import kept

    return "/" not in name and (name in kept.defined() or name in kept.left_running())


def _facts(instance: Instance) -> dict[str, Any]:
    known, status = instance.known, instance.status
    facts: dict[str, Any] = {"name": instance.name, "state": _STATES[status], "pid": instance.pid}
    if known is not None:
        facts |= {"since": known.since, "command": known.command, "log": known.log, "last_pid": known.pid}
        if status == 0:
            facts["uptime"] = round(uptime(known), 1)
    return facts


def _status(instance: Instance, values: dict[str, Any]) -> int:
    facts = _facts(instance)
    if values["json"]:
        say(json.dumps(facts))
    elif not values["quiet"]:
        say(_sentence(facts))
    return instance.status


def _sentence(facts: dict[str, Any]) -> str:
    if facts["pid"] is None:
        if not facts.get("last_pid"):
            return f"{facts['name']} is {facts['state']}{_hint(facts['name'])}"
        began = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(facts["since"]))
        head = f"{facts['name']} is {facts['state']} (it was pid {facts['last_pid']}, started {began})"
        return "\n".join([head, *_details(facts)])
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(facts["since"]))
    head = f"{facts['name']} is running: pid {facts['pid']}, since {since} ({format_duration(facts['uptime'])})"
    return "\n".join([head, *_details(facts)])


def _details(facts: dict[str, Any]) -> list[str]:
    return [f"  {word}: {facts[word]}" for word in ("command", "log") if facts.get(word)]


def _hint(name: str) -> str:
    if _is_kept(name):
        return f" as one that was detached; it is kept by the supervisor: numen status {name}"
    is_file = "/" not in name and os.path.exists(name)
    return f"; there is a file of that name here: for a pidfile write ./{name}" if is_file else ""


def _stop(instance: Instance, values: dict[str, Any]) -> int:
    was_running = instance.pid
    ended = instance.stop(schedule=values["retry"] or parse_schedule(DEFAULT_SCHEDULE))
    if values["json"]:
        say(json.dumps({"name": instance.name, "pid": was_running, "ended": ended}))
    elif not ended:
        say(f"{instance.name} is still running: pid {was_running}")
    elif not values["quiet"]:
        say(
            f"{instance.name} has ended (pid {was_running})"
            if was_running
            else f"{instance.name} was not running{_hint(instance.name)}"
        )
    return 0 if ended else STILL_ALIVE


def _list(*, as_json: bool) -> int:
    # One that is emptied names nobody: its daemon had no right to remove it when it ended.
    rows = [_facts(instance) for instance in all_instances() if instance.known is not None]
    if as_json:
        say(json.dumps(rows))
        return 0
    if not rows:
        say("no daemon has been detached under a name")
        return 0
    cells = [("NAME", "PID", "STATE", "UPTIME", "COMMAND")]
    for row in rows:
        up = format_duration(row["uptime"]) if "uptime" in row else "-"
        cells.append((row["name"], str(row["pid"] or "-"), row["state"], up, row.get("command", "")))
    widths = [max(len(line[column]) for line in cells) for column in range(4)]
    for line in cells:
        say("  ".join([*(cell.ljust(width) for cell, width in zip(line, widths, strict=False)), line[4]]).rstrip())
    return 0
