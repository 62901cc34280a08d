"""The messages that a syslog daemon understands: RFC 3164 as the C library writes it, and RFC 5424.

A message of several lines, a traceback say, becomes one datagram a line. Syslog files are files of lines,
and what a daemon does with a newline inside a message differs: rsyslogd writes `#012` and makes one long line
of it, others cut the message there. With a head of its own each line stays readable, can be filtered, and
cannot pass for another program's.
"""

from __future__ import annotations

from .entries import lines, timestamp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .entries import Entry

LONGEST = 8000
"""Bytes of one datagram. rsyslogd cuts at 8 KiB if it is not told otherwise."""

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
"""In English whatever the locale, as RFC 3164 wants them."""


def rfc3164(entry: Entry) -> list[bytes]:
    """The entry as `<27>Mar  1 08:00:00 web[123]: text`, one datagram a line.

    There is no host name, as in the C library's: on a local socket the daemon knows the host, and would take
    the name for the ident.
    """
    import time

    local = time.localtime(entry.time)
    when = f"{MONTHS[local.tm_mon - 1]} {local.tm_mday:2} {local.tm_hour:02}:{local.tm_min:02}:{local.tm_sec:02}"
    pid = f"[{entry.pid}]" if entry.pid else ""
    return _datagrams(f"<{_pri(entry)}>{when} {entry.ident}{pid}: ", entry.text)


def rfc5424(entry: Entry) -> list[bytes]:
    """The entry as `<27>1 2026-03-01T08:00:00.250000+01:00 host web 123 - - text`, one datagram a line.

    No byte order mark stands before the text, though the RFC has one for UTF-8: daemons write it into their
    files as it is, and without it the text counts as plain octets, which is as valid.
    """
    head = f"<{_pri(entry)}>1 {timestamp(entry.time)} {_host_name()} {entry.ident} {entry.pid or '-'} - - "
    return _datagrams(head, entry.text)


FORMATS = {"3164": rfc3164, "5424": rfc5424}


def _pri(entry: Entry) -> int:
    return entry.facility * 8 + entry.priority


def _host_name() -> str:
    import os

    return "".join(sign for sign in os.uname().nodename if "!" <= sign <= "~")[:255] or "-"


def _datagrams(head: str, text: str) -> list[bytes]:
    start = head.encode("ascii")
    return [start + part for line in lines(text) for part in _parts(line, LONGEST - len(start))]


def _parts(line: bytes, longest: int) -> list[bytes]:
    """The line in parts that each fit, cut between characters."""
    parts = []
    while len(line) > longest:
        end = longest
        while line[end] & 0xC0 == 0x80:  # in the middle of a character
            end -= 1
        parts.append(line[:end])
        line = line[end:]
    return [*parts, line]
