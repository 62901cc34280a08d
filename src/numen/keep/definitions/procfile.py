"""Procfiles, as foreman and honcho read them: `web: gunicorn app` on a line is the daemon web.

A shell runs each command, in the directory of the file, with what stands in `.env` there, and with a PORT of its own.
"""

from __future__ import annotations

import os
import re

from ...errors import BadOption
from ...settings.names import check_kept_name
from ...settings.places import absolute
from ...settings.telling import clipped
from .definition import ON_FAILURE, Definition
from .tables import bad_definition
from .trust import untrusted

FIRST_PORT, PORT_STEP = 5000, 100
"""The PORT of the first daemon, and how much higher that of the next is."""

SHELL = "/bin/sh"

_LINE = re.compile(r"(?P<name>[^\s:#][^:]*?)[ \t]*:(?P<gap>[ \t]*)(?P<command>.*)")

_SIMPLE = re.compile(r"(?P<program>[\w./+-]+)(?: [^;&|()`]*)?", re.ASCII)
"""One program with its arguments: no list, no pipeline, no assignment before it."""

_SHELLS_OWN = frozenset(
    {
        *("alias", "bg", "bind", "break", "builtin", "case", "cd", "command", "continue", "declare", "do", "done"),
        *("elif", "else", "esac", "eval", "exec", "exit", "export", "fc", "fg", "fi", "for", "function", "getopts"),
        *("hash", "if", "in", "jobs", "let", "local", "read", "readonly", "return", "select", "set", "shift"),
        *("source", "then", "time", "times", "trap", "type", "typeset", "ulimit", "umask", "unalias", "unset"),
        *("until", "wait", "while", "."),
    }
)
"""What a shell alone can carry out."""


def from_text(content: bytes, path: str) -> dict[str, Definition]:
    """The daemons in a file of this content, in its order. Raises BadDefinition with every mistake in it."""
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        place = (path, content.count(b"\n", 0, error.start) + 1, 1)
        raise bad_definition([("", "it is no UTF-8 text")], path, [place]) from None
    found: dict[str, Definition] = {}
    mistakes: list[tuple[int, int, str, str]] = []
    for number, written in enumerate(text.split("\n"), 1):
        line = written.rstrip()
        if line and not line.lstrip().startswith("#"):
            mistakes += ((number, *wrong) for wrong in _read_line(line, found, absolute(path)))
    if mistakes:
        told = [(key, clipped(message, 300)) for _, _, key, message in mistakes]
        raise bad_definition(told, path, [(path, line, column) for line, column, _, _ in mistakes])
    return found


def _read_line(line: str, found: dict[str, Definition], path: str) -> list[tuple[int, str, str]]:
    """Add the daemon of a line; column, name and message of each mistake in it."""
    match = _LINE.fullmatch(line)
    if match is None:
        return [(1, "", "it is no line of a Procfile; write one like web: gunicorn app")]
    name, command = match["name"], match["command"]
    wrong = []
    if name in found:
        wrong.append((1, name, "another daemon has that name"))
    try:
        check_kept_name(name)
    except BadOption as error:
        wrong.append((1, name, str(error)))
    if not command or "\0" in command:
        message = "a NUL is in its command" if command else "its command is missing; write one behind the colon"
        wrong.append((match.start("command") + 1, name, message))
    if wrong:
        return wrong
    found[name] = _definition(command, path, FIRST_PORT + PORT_STEP * len(found))
    return [(1, name, one.message) for one in untrusted(found[name])]


def _definition(command: str, path: str, port: int) -> Definition:
    directory = os.path.dirname(path)
    return Definition(
        command=(SHELL, "-c", f"exec {command}" if _is_simple(command) else command),
        directory=directory,
        environment={"PORT": str(port)},
        environment_files=(f"-{os.path.join(directory, '.env')}",),
        # So that `numen up` ends when all have done their work; foreman starts nothing again.
        restart=ON_FAILURE,
    )


def _is_simple(command: str) -> bool:
    """Whether the shell may become that program: it is then the daemon itself that gets the signals."""
    match = _SIMPLE.fullmatch(command)
    return match is not None and match["program"] not in _SHELLS_OWN
