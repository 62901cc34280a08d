"""`daemon.pidlockfile`: what `daemon.pidfile` was called up to python-daemon 1.5."""

from __future__ import annotations

from .pidfile import (
    PIDLockFile,
    TimeoutPIDLockFile,
    read_pid_from_pidfile,
    remove_existing_pidfile,
    write_pid_to_pidfile,
)

__all__ = [
    "PIDFileError",
    "PIDFileParseError",
    "PIDLockFile",
    "TimeoutPIDLockFile",
    "read_pid_from_pidfile",
    "remove_existing_pidfile",
    "write_pid_to_pidfile",
]


class PIDFileError(Exception):
    """The base of what was wrong with a pidfile; kept for `except` clauses."""


class PIDFileParseError(ValueError, PIDFileError):
    """A pidfile held no pid; kept for `except` clauses: such a file is read as `None` and taken over."""
