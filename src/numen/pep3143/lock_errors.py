"""The exceptions of the package lockfile: its own classes where it is installed, else the same names here.

A program that writes `except lockfile.AlreadyLocked` has that package; one that has it not can write
`from daemon.pidfile import AlreadyLocked`.
"""

from __future__ import annotations

from contextlib import suppress

__all__ = ["AlreadyLocked", "Error", "LockError", "LockFailed", "LockTimeout", "NotLocked", "NotMyLock", "UnlockError"]

TYPE_CHECKING = False


class Error(Exception):
    """The base of all that a lock raises."""


class LockError(Error):
    """The lock was not had."""


class LockTimeout(LockError):
    """It was not had in time."""


class AlreadyLocked(LockError):
    """Another live process has it."""


class LockFailed(LockError):
    """The file of the lock cannot be made."""


class UnlockError(Error):
    """The lock was not given back."""


class NotLocked(UnlockError):
    """Nobody has it."""


class NotMyLock(UnlockError):
    """Somebody else has it."""


if not TYPE_CHECKING:
    with suppress(ImportError):
        from lockfile import (
            AlreadyLocked,
            Error,
            LockError,
            LockFailed,
            LockTimeout,
            NotLocked,
            NotMyLock,
            UnlockError,
        )
