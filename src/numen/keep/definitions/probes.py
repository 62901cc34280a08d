"""Probes: by what a daemon is known to be up, and to be alive still.

A probe is one text in a definition. Those of the daemon's own (`exec`, `notify`, `fd:N`) wait for what it does itself;
the others ask, and are carried out in a process of their own (`keep.runner`).
"""

from __future__ import annotations

import re
import shlex

from ...become import readiness
from ...errors import BadOption
from ...record import Record
from ...settings.durations import parse_duration
from ...settings.telling import shown
from .kinds import LONGEST, Kind, text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

EXEC, NOTIFY, FD = readiness.EXEC, readiness.NOTIFY, readiness.FD
"""It still lives after 200 ms; it sent READY=1; it wrote a newline on a descriptor."""

TCP, HTTP, UNIX, COMMAND, LOG, AFTER = "tcp", "http", "unix", "command", "log", "after"
"""It accepts a connection; answers with a status below 400; accepts on a Unix socket; a command exits with 0; a line of
its log matches; it has lived for so long."""

ASKED = frozenset({TCP, HTTP, UNIX, COMMAND})
"""Those that are asked again and again until the answer is good."""

LONGEST_TEXT = 4096


class Probe(Record):
    """What is asked, and of whom."""

    kind: str
    host: str = ""
    port: int = 0
    url: str = ""
    path: str = ""
    command: tuple[str, ...] = ()
    pattern: str = ""
    """A regular expression that a whole line of the log, or a part of one, matches."""
    seconds: float = 0.0
    descriptor: int = -1


def parse(text: str) -> Probe:
    """The probe that a text means. Raises BadOption."""
    if len(text) > LONGEST_TEXT:
        raise BadOption(f"{shown(text)} is too long")
    head, colon, rest = text.partition(":")
    match head if colon else text:
        case "exec" if colon:
            return Probe(kind=COMMAND, command=_words(text, rest))
        case "tcp":
            host, port = _host_and_port(text, rest)
            return Probe(kind=TCP, host=host, port=port)
        case "http" | "https":
            return Probe(kind=HTTP, url=_url(text))
        case "unix" if rest.startswith("/"):
            return Probe(kind=UNIX, path=rest)
        case "log" if rest:
            return Probe(kind=LOG, pattern=_pattern(text, rest))
        case "after" if rest:
            seconds = parse_duration(rest)
            if not 0 <= seconds <= LONGEST:
                raise BadOption(f"{shown(text)} is too long")
            return Probe(kind=AFTER, seconds=seconds)
        case _:
            return _own(text)


def _own(text: str) -> Probe:
    try:
        kind = None if len(text) > len("fd:65535") else readiness.parse(text)
    except BadOption:
        kind = None  # its words name a kind that cannot be kept
    if kind is None or kind.name == readiness.EXIT or kind.descriptor > 65535:
        raise BadOption(
            f"{shown(text)} is unknown; there are exec, notify, fd:N with N above 2, tcp://HOST:PORT, http://…,"
            " unix:/PATH, exec:COMMAND, log:REGEX and after:DURATION"
        )
    return Probe(kind=kind.name, descriptor=kind.descriptor)


def _words(text: str, line: str) -> tuple[str, ...]:
    try:
        words = tuple(shlex.split(line))
    except ValueError as error:
        raise BadOption(f"{shown(text)} is no command: {error}") from None
    if not words or not words[0].startswith("/"):
        raise BadOption(f"the program of {shown(text)} is no full path; write one like exec:/usr/bin/redis-cli ping")
    return words


def _host_and_port(text: str, rest: str) -> tuple[str, int]:
    host, colon, port = rest.removeprefix("//").rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    is_number = port.isascii() and port.isdigit() and len(port) <= 5 and 0 < int(port) < 65536
    if not rest.startswith("//") or not colon or not host or not is_number or any(c in host for c in "/ @?#[]"):
        raise BadOption(f"{shown(text)} is no address; write one like tcp://127.0.0.1:8000 or tcp://[::1]:8000")
    return host, int(port)


def _url(text: str) -> str:
    if not re.fullmatch(r"https?://[\x21-\x7e]+", text):
        raise BadOption(f"{shown(text)} is no address; write one like http://127.0.0.1:8000/health")
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(text)
        is_good = bool(parts.hostname) and (parts.port is None or parts.port > 0) and parts.username is None
    except ValueError:  # no port, or no address in brackets
        is_good = False
    if not is_good:
        raise BadOption(f"{shown(text)} is no address; write one like http://127.0.0.1:8000/health")
    return text


def _pattern(text: str, rest: str) -> str:
    try:
        re.compile(rest)
    except (re.error, OverflowError, RecursionError) as error:
        raise BadOption(f"{shown(text)} is no regular expression: {error}") from None
    return rest


# How they are written


def _parse_ready(value: Any) -> str:
    text = text_of(value)
    probe = parse(text)
    return f"fd:{probe.descriptor}" if probe.kind == FD else text


def _parse_alive(value: Any) -> str:
    text = text_of(value)
    if parse(text).kind not in ASKED:
        raise BadOption(
            f"{shown(text)} cannot be asked again and again; there are tcp://HOST:PORT, http://…, unix:/PATH and"
            " exec:COMMAND"
        )
    return text


_ASKED = "`tcp://HOST:PORT`, `http://…`, `unix:/PATH`, `exec:COMMAND`"

READY = Kind(
    parse=_parse_ready,
    written=f"`exec`, `notify`, `fd:N` with N above 2, {_ASKED}, `log:REGEX` or `after:DURATION`",
    schema={"type": "string", "pattern": "^(exec$|notify$|fd:[0-9]+$|(tcp|https?)://|unix:/|(exec|log|after):.)"},
)
ALIVE = Kind(
    parse=_parse_alive, written=_ASKED, schema={"type": "string", "pattern": "^((tcp|https?)://|unix:/|exec:.)"}
)
