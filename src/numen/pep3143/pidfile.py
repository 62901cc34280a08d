"""`daemon.pidfile`: the pidfile as a lock, with the names and the exceptions of the package lockfile.

The lock is had by the process that the file names, as long as that lives. A file whose process has ended is
no lock: it is taken over.
"""

from __future__ import annotations

import os
import time

from ..become import pidfile as engine
from .lock_errors import AlreadyLocked, LockFailed, LockTimeout, NotLocked, NotMyLock
from .locked_file import LockedFile, is_held

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Self, TypeGuard

    from ..become.identity import Account

__all__ = ["AlreadyLocked", "LockFailed", "LockTimeout", "NotLocked", "NotMyLock", "PIDLockFile", "TimeoutPIDLockFile"]

LOOK_INTERVAL = 0.02
"""Seconds between two looks at a lock that another process has."""


class PIDLockFile:
    """A pidfile that one live process at a time can have.

    timeout: the seconds that acquire() waits; without one, or with one that is not above 0, it does not wait.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        threaded: bool = False,  # noqa: FBT001, FBT002 - the signature is lockfile's
        timeout: float | None = None,
    ) -> None:
        del threaded  # it is the process that has the lock, whichever thread asks
        self.path = path
        self.lock_file = os.path.abspath(path) + ".lock"
        self.hostname = os.uname().nodename
        self.pid = os.getpid()
        self.tname = ""
        self.unique_name = path
        self.timeout = timeout
        self._locked: LockedFile | None = None

    def acquire(self, timeout: float | None = None) -> None:
        """Make the file name this process. Raises AlreadyLocked, LockTimeout or LockFailed."""
        place = os.path.abspath(self.path)
        self.adopt(self._take(lambda: LockedFile.take(place), timeout if timeout is not None else self.timeout))

    def release(self) -> None:
        """Remove the file. Raises NotLocked, or NotMyLock where another process has the lock."""
        if not self.is_locked():
            raise NotLocked(f"{self.path} is not locked")
        if not self.i_am_locking():
            raise NotMyLock(f"{self.path} is locked by pid {self.read_pid()}, not by this process")
        self.break_lock()

    def break_lock(self) -> None:
        """Remove the file, whoever has the lock."""
        locked, self._locked = self._locked, None
        if locked is not None and locked.descriptor >= 0:
            locked.remove()
        else:
            remove_existing_pidfile(self.path)

    def is_locked(self) -> bool:
        """Whether the file names a live process."""
        return is_held(os.fspath(self.path))

    def i_am_locking(self) -> bool:
        """Whether it is this process that the file names."""
        return self.is_locked() and self.read_pid() == os.getpid()

    def read_pid(self) -> int | None:
        """The pid in the file, be it alive or not; `None` where there is none."""
        return read_pid_from_pidfile(self.path)

    def claim(self, outside: str, account: Account | None) -> LockedFile:
        """Take the lock for a daemon that is still to be forked; the file is at `outside` for now."""
        return self._take(lambda: LockedFile.take_for(outside, account), self._patience())

    def adopt(self, locked: LockedFile) -> None:
        """Have the lock that was taken, in this process and not in those that it forks."""
        self._locked = locked
        locked.let_go_in_children()

    def _patience(self) -> float | None:
        return self.timeout

    def _take(self, take: Callable[[], LockedFile | None], patience: float | None) -> LockedFile:
        deadline = time.monotonic() + patience if patience is not None and patience > 0 else None
        while (taken := take()) is None:
            if deadline is None:
                raise AlreadyLocked(f"{self.path} is already locked{self._by_whom()}")
            if time.monotonic() >= deadline:
                raise LockTimeout(f"{self.path} is still locked{self._by_whom()} after {patience:g} s")
            time.sleep(LOOK_INTERVAL)
        return taken

    def _by_whom(self) -> str:
        pid = self.read_pid()
        return f" by pid {pid}" if pid else ""

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.unique_name!r} -- {self.path!r}>"


class TimeoutPIDLockFile(PIDLockFile):
    """A PIDLockFile with a timeout of its own.

    acquire_timeout: the seconds that acquire() waits where it is given none itself; `None`, 0 and less are none.
    """

    def __init__(
        self, path: str | os.PathLike[str], acquire_timeout: float | None = None, *args: Any, **kwargs: Any
    ) -> None:
        self.acquire_timeout = acquire_timeout
        super().__init__(path, *args, **kwargs)

    def acquire(self, timeout: float | None = None, *args: Any, **kwargs: Any) -> None:
        """Make the file name this process. Raises AlreadyLocked, LockTimeout or LockFailed."""
        super().acquire(timeout if timeout is not None else self.acquire_timeout, *args, **kwargs)

    def _patience(self) -> float | None:
        return self.acquire_timeout if self.acquire_timeout is not None else self.timeout


def locks_as_usual(lock: object) -> TypeGuard[PIDLockFile]:
    """Whether it is a lock of this module, and entering and leaving it means what it means here."""
    if not isinstance(lock, PIDLockFile):
        return False
    usual = TimeoutPIDLockFile if isinstance(lock, TimeoutPIDLockFile) else PIDLockFile
    names = ("acquire", "release", "break_lock", "__enter__", "__exit__")
    return all(getattr(type(lock), name) is getattr(usual, name) for name in names)


def read_pid_from_pidfile(pidfile_path: str | os.PathLike[str]) -> int | None:
    """The pid in that file; `None` where there is none."""
    try:
        with open(pidfile_path, "rb", buffering=0) as file:
            return engine.parse_pid(file.read(256))
    except OSError:
        return None


def write_pid_to_pidfile(pidfile_path: str | os.PathLike[str]) -> None:
    """Make a file that names this process. Raises FileExistsError where there is one."""
    descriptor = os.open(pidfile_path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, engine.MODE)
    with open(descriptor, "wb", buffering=0) as file:
        os.fchmod(descriptor, engine.MODE)
        file.write(f"{os.getpid()}\n".encode())


def remove_existing_pidfile(pidfile_path: str | os.PathLike[str]) -> None:
    """Remove that file, if it is there."""
    try:
        os.unlink(pidfile_path)
    except FileNotFoundError:
        return
