"""A supervisor as a person uses it: commands of numen, and what they tell, with the daemons of a test."""

import json
import os
import shlex
import signal
import socket
import sys
import textwrap
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import observe
from numen.settings import places
from processes import run_numen, wait_for

DEADLINE = 30.0

SLEEPER = ("sleep", "1000")

SNIPPET = """\
import os, signal, socket, subprocess, sys, time
def say(*words): print(*words, flush=True)
def notify(text):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
        one.sendto(text.encode(), os.environ["NOTIFY_SOCKET"].replace("@", "\\0", 1))
def rest():
    while True: signal.pause()
"""
"""What every program of python() begins with."""


def python(script: str) -> tuple[str, ...]:
    """The command of a small program."""
    return (sys.executable, "-S", "-c", SNIPPET + textwrap.dedent(script))


def shell(script: str) -> tuple[str, ...]:
    """The command of a small shell script."""
    return ("sh", "-c", script)


def numen(*arguments: str | Path, status: int = 0, **options: Any) -> str:
    """Run the command, which must end with that status; what it prints, or its error where it is to fail."""
    done = run_numen(*arguments, **options)
    assert done.returncode == status, (shlex.join(map(str, arguments)), done.returncode, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    return str(done.stderr if status else done.stdout)


def start(name: str, *command: str, options: Sequence[str | Path] = (), **more: Any) -> int:
    """Define a daemon and start it; its pid."""
    numen("start", "--quiet", "--name", name, *options, "--", *(command or SLEEPER), **more)
    return pid_of(name)


def facts(name: str) -> dict[str, Any]:
    """What `numen status --json` tells of one daemon."""
    done = run_numen("status", "--json", name)
    assert done.stdout, done.stderr
    (told,) = json.loads(done.stdout)
    assert isinstance(told, dict)
    return told


def states() -> dict[str, str]:
    """The state of every daemon."""
    return {one["name"]: one["state"] for one in json.loads(run_numen("status", "--json").stdout)}


def pid_of(name: str) -> int:
    """The pid of the main process; 0 where none runs."""
    return facts(name)["pid"] or 0


def wait_until(name: str, state: str) -> dict[str, Any]:
    """Wait until a daemon is in that state; the facts of that moment."""
    found: dict[str, Any] = {}

    def is_so() -> bool:
        found.update(facts(name))
        return bool(found["state"] == state)

    wait_for(is_so, DEADLINE, f"{name} is {state}")
    return found


def log(name: str) -> str:
    """What stands in a daemon's log."""
    path = Path(places.log_directory(), f"{name}.log")
    return path.read_text(errors="replace") if path.exists() else ""


def wait_for_line(name: str, text: str) -> str:
    """Wait until a text is in a daemon's log; the whole log."""
    wait_for(lambda: text in log(name), DEADLINE, f"{text!r} in the log of {name}, where there is {log(name)[-500:]!r}")
    return log(name)


def definition(name: str) -> Path:
    """The definition file of a daemon."""
    return Path(places.definitions_directory(), f"{name}.toml")


def edit(name: str, old: str, new: str) -> None:
    """Change a definition file by hand."""
    path = definition(name)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def call(method: str, **parameters: Any) -> dict[str, Any]:
    """Call a method of the supervisor's by numen's own client."""
    from numen.cli import asking

    with asking.connect() as connection:
        return asking.call(connection, method, parameters)


def about() -> dict[str, Any]:
    """What the supervisor says of itself."""
    return call("About")


def kill_supervisor(number: int = signal.SIGKILL) -> int:
    """Kill the supervisor and wait for the next one; its pid."""
    before = int(about()["pid"])
    os.kill(before, number)
    observe.wait_until_gone(before)
    after = int(about()["pid"])
    assert after != before
    return after


def free_port() -> int:
    """A port of TCP that nobody uses."""
    with socket.create_server(("127.0.0.1", 0)) as one:
        return int(one.getsockname()[1])


def ask_port(port: int, text: str) -> str:
    """What a server answers to a line; empty where nobody listens."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=DEADLINE) as link:
        link.sendall(text.encode())
        return link.recv(65536).decode(errors="replace")
    return ""
