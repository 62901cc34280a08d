"""One instance: the pidfile, the lock that guards a start, and the record of which process is meant.

A pidfile is one line with a pid, as the field reads it (FHS 3.15). Beside `web.pid` stands `.web.pid.instance`,
which says which process of that number is meant: its start time, the boot, the pid namespace. A pid that
was given to another process, a reboot and a torn or empty file are told from a running instance by that.

The lock (flock(2)) is taken on the pidfile before the fork, and the daemon inherits it, so that of many who
start at once one wins. A program that is executed does not keep it: then the instance is the process that the
record names, and nothing else. A leftover child that holds the lock is no instance.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time

from ..errors import AlreadyRunning, DaemonError, Unusable, from_os_error
from ..kernel import files, proc
from ..kernel.process import Process
from ..record import Record

MODE = 0o644
"""Read by everybody, written by nobody but its owner: who can write a pidfile chooses whom root kills."""

HIGHEST_PID = 2**22
"""PID_MAX_LIMIT of the kernel (proc(5))."""

ABANDONED_AFTER = 1.0
"""Seconds after which a lock that is held by no starter and no instance is taken to be a leftover child's."""

LOOK_INTERVAL = 0.01
"""Seconds between two tries for a lock that somebody holds who is not known yet."""

TURN_PATIENCE = 5.0
"""Seconds to wait for a turn, which takes another starter a moment: one that is suspended must not hold up all."""

CLOCK_SLACK = 3600.0
"""Seconds by which a process may seem younger than the pidfile that names it.

A file's time is wall time, and the clock may have been set since, as at a boot without a battery or by an hour that
was wrong. To take a live instance for a stale one is worse than to take a stale one for live."""


class Known(Record):
    """What is recorded of an instance."""

    pid: int
    start_time: int | None = None
    boot_id: str = ""
    pid_namespace: int = 0
    starting: bool = False
    """Whether this is the launcher, at work on the start, and not the instance yet."""
    since: float = 0.0
    """Wall time of the start."""
    command: str = ""
    log: str = ""
    """Where its errors go."""
    also: str = ""
    """The other pidfile of the same instance, where it has both a name and a pidfile."""

    def process(self) -> Process | None:
        """That very process, where it can be the one that was recorded; `None` after a boot, or elsewhere."""
        if self.boot_id and self.boot_id != proc.boot_id():
            return None
        if self.pid_namespace and self.pid_namespace != proc.pid_namespace():
            return None
        return Process(self.pid, self.start_time)

    def is_alive(self) -> bool:
        """Whether that very process runs now."""
        process = self.process()
        return process is not None and process.is_alive()


def of_process(pid: int, *, starting: bool = False, command: str = "", log: str = "", also: str = "") -> Known:
    """What there is to record of a process that runs now."""
    found = proc.stat(pid)
    return Known(
        pid=pid,
        start_time=found.start_time if found else None,
        boot_id=proc.boot_id(),
        pid_namespace=proc.pid_namespace(),
        since=time.time(),
        starting=starting,
        command=command,
        log=log,
        also=also,
    )


def record_path(path: str) -> str:
    """Where the record of a pidfile stands."""
    directory, name = os.path.split(path)
    return os.path.join(directory, f".{name}.instance")


def format_record(known: Known) -> bytes:
    """The record as text: a field a line."""
    lines = [f"{name} {_written(value)}\n" for name, value in known.values().items() if value is not None]
    return "".join(lines).encode(errors="surrogateescape")


def parse_record(text: bytes) -> Known | None:
    """The record in a text; `None` where it is none, or torn. What is not known is passed over."""
    if not text.endswith(b"\n"):
        return None
    found: dict[str, str] = {}
    for line in text.decode(errors="surrogateescape").split("\n"):
        name, _, value = line.partition(" ")
        found[name] = value
    try:
        if not 0 < int(found["pid"]) <= HIGHEST_PID:
            return None
        return Known(
            pid=int(found["pid"]),
            start_time=int(found["start_time"]) if "start_time" in found else None,
            boot_id=found.get("boot_id", ""),
            pid_namespace=int(found.get("pid_namespace", 0)),
            starting=found.get("starting") == "True",
            since=float(found.get("since", 0)),
            command=found.get("command", ""),
            log=found.get("log", ""),
            also=found.get("also", ""),
        )
    except (KeyError, ValueError):
        return None


def _written(value: object) -> str:
    return str(value).replace("\n", " ")


def parse_pid(text: bytes) -> int | None:
    """The pid in a pidfile's text; `None` where there is none. Flexible in what it reads, as FHS asks."""
    first = text.strip().split(b"\n")[0].strip()
    if not first.isdigit() or len(first) > 10 or int(first) > HIGHEST_PID:
        return None
    return int(first) or None


def read(path: str) -> Known | None:
    """The instance that the pidfile at `path` names, alive or not; `None` where it names none.

    A pidfile without a record is another program's: then the process of that number is meant, if it started
    before the file was written. One whose record names another pid names nobody: whoever can write the one and not
    the other shall not choose whom we kill. Raises NoPermission or Unusable where the file cannot be read.
    """
    try:
        # Without waiting, should it be a FIFO.
        with open(path, "rb", buffering=0, opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            text, found = file.read(256) or b"", os.fstat(file.fileno())
    except FileNotFoundError:
        text, found = b"", None
    except OSError as error:
        raise from_os_error(error, f"read the pidfile {path}") from error
    pid = parse_pid(text)
    known = _read_record(record_path(path), {0, os.geteuid()} | ({found.st_uid} if found else set()))
    if known is not None:
        return known if known.pid == pid or known.starting else None
    if pid is None or found is None:
        return None
    process = proc.stat(pid)
    if process is not None and _started_at(process) > found.st_mtime + CLOCK_SLACK:
        return None
    return Known(pid=pid, start_time=process.start_time if process else None, since=found.st_mtime)


def is_own(path: str) -> bool:
    """Whether the pidfile names this very process."""
    known = read(path) if os.path.isfile(path) else None
    return known is not None and known.pid == os.getpid() and not known.starting and known.is_alive()


def _read_record(path: str, trusted: set[int]) -> Known | None:
    """The record at `path`; `None` where there is none, or a stranger's, as there may be in a directory like /tmp."""
    flags = os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        with open(path, "rb", buffering=0, opener=lambda name, mode: os.open(name, mode | flags)) as file:
            return parse_record(file.read() or b"") if os.fstat(file.fileno()).st_uid in trusted else None
    except OSError:
        return None


def check_trusted(path: str) -> None:
    """Raise Unusable where somebody else could have chosen whom the pidfile names: he would choose whom we kill."""
    try:
        found = os.stat(path)
    except OSError:
        return  # then it names nobody
    if found.st_uid not in (0, os.geteuid()):
        reason = f"it belongs to uid {found.st_uid}"
    elif found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        reason = f"others may write it (mode {stat.S_IMODE(found.st_mode):04o})"
    elif part := files.untrusted_part(path):
        reason = f"others may write in {part}"
    else:
        return
    raise Unusable(f"cannot trust the pidfile {path}: {reason}, so they could choose whom it names", path=path)


def _started_at(found: proc.Stat) -> float:
    """The wall time at which a process started."""
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - found.start_time / os.sysconf("SC_CLK_TCK")
    return time.time() - age


class Pidfile:
    """A pidfile that is locked by this process: to be written, handed on, and removed.

    The descriptor that has the lock can only be read from: the daemon keeps it when it has dropped its privileges,
    and shall not be able to name another process. To write, the file is opened anew by who has the right to.
    """

    def __init__(self, path: str, descriptor: int) -> None:
        self.path = path
        self.descriptor = descriptor
        self._identity = _identity(os.fstat(descriptor))

    @classmethod
    def claim(cls, path: str) -> Pidfile:
        """Lock the pidfile at `path`, made where it is missing, healed where it is stale.

        Raises AlreadyRunning with the pid where another process is that instance or is starting it; Unusable or
        NoPermission where there can be no safe pidfile at that path.
        """
        _check_place(path)
        deadline = time.monotonic() + ABANDONED_AFTER
        while True:
            pidfile = cls(path, _open(path))
            try:
                if not _lock(pidfile):
                    _refuse_if_alive(path)
                    if time.monotonic() >= deadline:
                        _remove_abandoned(pidfile)
                    else:
                        time.sleep(LOOK_INTERVAL)
                elif pidfile.is_in_place():
                    _refuse_if_alive(path)
                    pidfile._begin()
                    return pidfile
            except BaseException:
                pidfile.release()
                raise
            pidfile.release()

    def _begin(self) -> None:
        try:
            self._record(of_process(os.getpid(), starting=True), b"")
        except DaemonError:
            self.remove()
            raise

    def write(self, pid: int, *, command: str = "", log: str = "", also: str = "") -> None:
        """Name `pid` as the instance. Raises Unusable or NoPermission, such as for a full disk."""
        self._record(of_process(pid, command=command, log=log, also=also), f"{pid}\n".encode())

    def _record(self, known: Known, content: bytes) -> None:
        """Write record and content, unless somebody took this start to be dead and has begun another."""
        turn = None
        try:
            turn = _Turn(self.path)
            if not self.is_in_place():
                found = read(self.path)
                pid = found.pid if found and found.is_alive() else 0
                message = f"cannot start: {self.path} was replaced meanwhile, by another start of it or by hand"
                raise AlreadyRunning(message, path=self.path, pid=pid)
            # The record first: a pid without its record would be judged as another program's.
            files.write_beside(record_path(self.path), format_record(known), MODE)
            self._overwrite(content)
        except OSError as error:
            raise from_os_error(error, f"write the pidfile {self.path}") from error
        finally:
            if turn is not None:
                turn.end()

    def _overwrite(self, content: bytes) -> None:
        descriptor = os.open(self.path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK)
        try:
            if _identity(os.fstat(descriptor)) != self._identity:
                raise FileNotFoundError(errno.ENOENT, "it was replaced meanwhile")
            os.pwrite(descriptor, content, 0)
            os.ftruncate(descriptor, len(content))
        finally:
            os.close(descriptor)

    def is_in_place(self) -> bool:
        """Whether its path still leads to this very file: it may have been removed or replaced meanwhile."""
        try:
            return _identity(os.stat(self.path, follow_symlinks=False)) == self._identity
        except OSError:
            return False

    def give_way_to(self, pid: int) -> None:
        """Take away our record where the program has put a pidfile of its own, which names `pid`, in our file's place.

        With a record that names another process it would name nobody.
        """
        try:
            turn = _Turn(self.path)
        except OSError:
            return
        try:
            if not self.is_in_place() and _pid_at(self.path) == pid:
                _unlink_quietly(record_path(self.path))
        finally:
            turn.end()

    def names(self) -> int | None:
        """The pid that stands in it."""
        return parse_pid(os.pread(self.descriptor, 64, 0))

    def move_away_from(self, number: int) -> None:
        """Make room on a number that the lock happens to have."""
        if self.descriptor == number:
            self.descriptor = fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, number + 1)
            os.close(number)

    def release(self) -> None:
        """Let go of the lock and leave the file."""
        if (descriptor := self._take_descriptor()) >= 0:
            os.close(descriptor)

    def _take_descriptor(self) -> int:
        """The descriptor, which it has no longer; -1 where it has none.

        That is so too where the program has closed it: the number may be another file's by now.
        """
        descriptor, self.descriptor = self.descriptor, -1
        try:
            return descriptor if _identity(os.fstat(descriptor)) == self._identity else -1
        except OSError:
            return -1

    def remove(self) -> None:
        """Remove the file, if it is still ours, and let go of the lock.

        A daemon that has dropped the right to, or changed its root directory, leaves it: its record names a process
        that has ended, so that it heals at the next start. Where only the directory is closed to us, it is emptied:
        an empty one names no instance.
        """
        # Taken first, so that a signal handler that ends the daemon meanwhile finds nothing left to do.
        descriptor = self._take_descriptor()
        if descriptor < 0:
            return
        try:
            # A turn also takes away what a daemon that was ended in its own turn has left.
            turn = _Turn(self.path)
            try:
                self._unlink()
            finally:
                turn.end()
        except OSError:
            self._empty_quietly()
        finally:
            os.close(descriptor)

    def _unlink(self) -> None:
        if not self.is_in_place():
            return
        record = record_path(self.path)
        for path in (files.beside_path(record), record):
            _unlink_quietly(path)
        os.unlink(self.path)

    def _empty_quietly(self) -> None:
        try:
            self._overwrite(b"")
        except OSError:
            return


def remove_stale(path: str) -> None:
    """Remove a pidfile whose instance has ended, unless somebody is just starting another."""
    try:
        Pidfile.claim(path).remove()
    except DaemonError:
        return


def _check_place(path: str) -> None:
    directory = os.path.dirname(path)
    if not os.path.isdir(directory):
        raise Unusable(f"cannot make the pidfile {path}: there is no directory {directory}", path=path)
    if part := files.untrusted_part(path):
        raise Unusable(
            f"cannot make the pidfile {path}: others may write in {part}, so they could choose whom it names",
            path=path,
        )


def _open(path: str) -> int:
    flags = os.O_RDONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
    try:
        descriptor = os.open(path, flags, MODE)
    except OSError as error:
        raise from_os_error(error, f"make the pidfile {path}") from error
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        os.close(descriptor)
        raise Unusable(f"cannot make the pidfile {path}: there is something else of that name", path=path)
    if found.st_uid == os.geteuid():
        os.fchmod(descriptor, MODE)  # whatever the umask, and whatever an older program left
    elif found.st_uid != 0:
        os.close(descriptor)
        raise Unusable(f"cannot use the pidfile {path}: it belongs to uid {found.st_uid}", path=path)
    return descriptor


def _lock(pidfile: Pidfile) -> bool:
    try:
        fcntl.flock(pidfile.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise from_os_error(error, f"lock the pidfile {pidfile.path}") from error
    return True


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def _refuse_if_alive(path: str) -> None:
    known = read(path)
    if known is None or not known.is_alive():
        return
    if known.starting:
        message = f"cannot start: another start of it is under way ({path}, launcher's pid {known.pid})"
    else:
        message = f"cannot start: it is running already, pid {known.pid} ({path})"
    raise AlreadyRunning(message, path=path, pid=known.pid)


def _remove_abandoned(pidfile: Pidfile) -> None:
    """Unlink a pidfile whose lock a leftover child holds; of several who do so at once, one at a time."""
    path = pidfile.path
    turn = None
    try:
        turn = _Turn(path)
        known = read(path)
        if pidfile.is_in_place() and not (known and known.is_alive()):
            os.unlink(path)
    except OSError as error:
        raise from_os_error(error, f"replace the abandoned pidfile {path}") from error
    finally:
        if turn is not None:
            turn.end()


class _Turn:
    """A turn at naming an instance, or at taking a start to be abandoned: one at a time, so that neither undoes
    the other.

    It is a lock on a file that only its owner can open, since whoever could read it could hold it for ever. The
    file is there during the turn only; what one who was killed has left is used again. Raises OSError.
    """

    def __init__(self, path: str) -> None:
        directory, name = os.path.split(path)
        self._path = os.path.join(directory, f".{name}.lock")
        deadline = time.monotonic() + TURN_PATIENCE
        while not self._is_taken():
            if time.monotonic() >= deadline:
                raise TimeoutError(errno.ETIMEDOUT, f"{self._path} is locked for {TURN_PATIENCE:g} s now")
            time.sleep(LOOK_INTERVAL)

    def _is_taken(self) -> bool:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        self._descriptor = os.open(self._path, flags, 0o600)
        is_ours = False
        try:
            found = os.fstat(self._descriptor)
            if found.st_uid != os.geteuid():
                raise PermissionError(errno.EPERM, f"{self._path} belongs to another user")
            os.fchmod(self._descriptor, 0o600)  # whatever the umask: the next one must be able to open it
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_ours = os.path.samestat(os.stat(self._path, follow_symlinks=False), found)
        except (BlockingIOError, FileNotFoundError):
            return False
        finally:
            if not is_ours:
                os.close(self._descriptor)
        return is_ours

    def end(self) -> None:
        """Let the next one have it."""
        _unlink_quietly(self._path)
        os.close(self._descriptor)


def _pid_at(path: str) -> int | None:
    """The pid that stands in whatever file is there now."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        return parse_pid(os.read(descriptor, 64))
    except OSError:
        return None
    finally:
        os.close(descriptor)


def _unlink_quietly(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        return
