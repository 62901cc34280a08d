"""The file of a PID lock: locked by flock(2) while its process lives, and judged by that and by what it names.

It differs from `become.pidfile`, on which it stands, in two things that programs rely on: it may lie wherever
the program wants it, in a directory too where others may write; and no record stands beside it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from contextlib import contextmanager

from ..become import pidfile
from ..become.pidfile import MODE, Pidfile
from ..errors import DaemonError
from ..kernel import files
from .lock_errors import LockFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..become.identity import Account

LONGEST_GARBAGE = 64
"""Bytes that a torn or empty pidfile may have; something longer without a pid is another file, and is left."""


class LockedFile(Pidfile):
    """A pidfile that this process has locked."""

    @classmethod
    def take(cls, place: str) -> LockedFile | None:
        """Lock the file at `place`, made where it is missing; `None` where another live process has it.

        One whose process has ended is taken over. Raises LockFailed where there can be no pidfile.
        """
        while True:
            descriptor = _open(place)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                return None
            except OSError as error:
                os.close(descriptor)
                raise LockFailed(f"cannot lock {place}: {error.strerror}") from error
            taken = cls(place, descriptor)
            # It may have been removed by its owner between the opening and the lock.
            if taken.is_in_place():
                break
            taken.release()
        if _names_a_live_process(place):
            taken.release()
            return None
        try:
            taken.write(os.getpid())
        except OSError as error:
            taken.remove()
            raise LockFailed(f"cannot write {place}: {error.strerror}") from error
        return taken

    @classmethod
    def take_for(cls, place: str, account: Account | None) -> LockedFile | None:
        """Lock the file for a daemon that will be `account`: as that user, else with the rights there are now.

        Where the user may not write, the file is root's, and the daemon empties it in the end, since it may not
        remove it.
        """
        if account is None or os.geteuid() != 0 or account.uid == 0:
            return cls.take(place)
        try:
            with _acting_as(account):
                return cls.take(place)
        except LockFailed as refusal:
            cause = refusal.__cause__
            if not isinstance(cause, OSError) or cause.errno not in (errno.EACCES, errno.EPERM):
                raise
            if part := files.untrusted_part(place):
                raise LockFailed(
                    f"cannot make {place}: uid {account.uid} may not, and root will not where others write ({part})"
                ) from cause
            return cls.take(place)

    def write(self, pid: int, *, command: str = "", log: str = "", also: str = "") -> None:  # noqa: ARG002 - there is no record
        """Name `pid` as the process that has the lock."""
        line = f"{pid}\n".encode()
        os.pwrite(self.descriptor, line, 0)
        os.ftruncate(self.descriptor, len(line))

    def remove(self) -> None:
        """Remove the file, if it is still this one, and let go of the lock; where that is forbidden, empty it."""
        _held.discard(self)
        # Taken first, so that a signal handler that ends the program meanwhile finds nothing left to do.
        descriptor = self._take_descriptor()
        if descriptor < 0:
            return
        try:
            if self.is_in_place():
                os.unlink(self.path)
        except OSError:
            os.ftruncate(descriptor, 0)
        finally:
            os.close(descriptor)

    def release(self) -> None:
        """Let go of the lock and leave the file."""
        _held.discard(self)
        super().release()

    def let_go_in_children(self) -> None:
        """Close it in every forked child from now on: one that is left over does not have the lock."""
        _held.add(self)


_held: set[LockedFile] = set()
"""The locks that are this process's alone."""


def _release_held() -> None:
    for held in list(_held):
        held.release()


os.register_at_fork(after_in_child=_release_held)


def is_held(path: str) -> bool:
    """Whether a live process has the lock at `path`, or is named there and can be the one that was meant."""
    return _is_locked(path) or _names_a_live_process(path)


def _is_locked(path: str) -> bool:
    """Whether somebody has the lock: whatever the clock says of the file, its process lives."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        # Shared, so that two who look do not see each other.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return False


def _names_a_live_process(path: str) -> bool:
    try:
        known = pidfile.read(path)
    except DaemonError:
        return False
    return known is not None and known.is_alive()


def _open(place: str) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
    try:
        descriptor = os.open(place, flags, MODE)
    except OSError as error:
        raise LockFailed(f"cannot make {place}: {error.strerror}") from error
    found = os.fstat(descriptor)
    text = os.pread(descriptor, LONGEST_GARBAGE + 1, 0) if stat.S_ISREG(found.st_mode) else b""
    is_other = len(text) > LONGEST_GARBAGE and pidfile.parse_pid(text) is None
    if is_other or not stat.S_ISREG(found.st_mode):
        os.close(descriptor)
        raise LockFailed(f"cannot make {place}: there is something else of that name")
    if found.st_uid == os.geteuid():
        os.fchmod(descriptor, MODE)  # whatever the umask
    return descriptor


@contextmanager
def _acting_as(account: Account) -> Iterator[None]:
    """Have the effective ids of another for a moment; for root alone."""
    gid = os.getegid()
    os.setegid(account.gid)
    os.seteuid(account.uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(gid)
