"""The house of one user's daemons, as seen from outside the keeper: how it is opened, and the supervisor's side of it.

A house is open while its keeper or its supervisor lives: either holds the lock. `keeper` says what is handed down.
"""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import select
import socket
import stat
import struct
import sys
import time
from contextlib import suppress

from ..become import descriptors as opened
from ..become import surroundings
from ..become.tail import cut
from ..errors import AlreadyRunning, DaemonError, DiedBeforeReady, NotReadyInTime, Unusable, from_os_error
from ..kernel import calls, proc, signals
from ..kernel.process import Process
from ..settings import places
from ..wire.sockets import at_path
from . import keeper
from .keeper import CHANNEL, ENDINGS, LOCK, REPORT
from .kernel import Ended
from .life import ProcessId
from .private import OWNER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import NoReturn

SUPERVISOR = (sys.executable, "-P", "-m", "numen.keep.main")
"""What the keeper runs. With -P no directory of the caller's is looked into for modules."""

PATIENCE = 60.0
"""Seconds in which a supervisor answers that is being started."""

FIRST_PAUSE = 0.005
"""Seconds between the first looks whether it does."""

OPEN_FILES = resource.getrlimit(resource.RLIMIT_NOFILE)
"""The limit with which this process was started: the next supervisor is to find it, though this one raises its own."""

KEPT_VARIABLES = ("HOME", "LANG", "LANGUAGE", "LD_LIBRARY_PATH", "LOGNAME", "PATH", "TMPDIR", "TZ", "USER")
"""Of the caller's environment; and those that the functions below name. No secret of a session's is among them."""

_XDG_DIRECTORIES = ("_HOME", "_DIR", "_DIRS")
_FROM_SERVICE_MANAGER = ("NOTIFY_SOCKET", "WATCHDOG_USEC")

_LOCK = struct.Struct("hhqqi4x")
"""struct flock of a 64-bit Linux (fcntl(2))."""

_MOST_BYTES = 65536
_MOST_AT_ONCE = 200
"""Descriptors of one message; the kernel's bound is 253 (unix(7))."""


# Opening it


def open_house(program: Sequence[str] = SUPERVISOR, *, timeout: float = PATIENCE) -> bool:
    """See that a supervisor answers, and start keeper and supervisor where none lives; whether this call did.

    Raises DiedBeforeReady, NotReadyInTime, Unusable or NoPermission.
    """
    deadline = time.monotonic() + timeout
    pause = FIRST_PAUSE
    while not is_answering():
        # Whoever gets the lock opens the house; the others wait until that one has, or has failed.
        if (lock := _take_lock()) is not None:
            _launch(lock, program, deadline)
            return True
        if pause == FIRST_PAUSE:
            call_for_socket()
        if time.monotonic() >= deadline:
            raise NotReadyInTime(f"the supervisor runs but has not answered within {timeout:g} s", last_lines=())
        time.sleep(pause)
        pause = min(pause * 1.5, 0.1)
    return False


def foreground(program: Sequence[str] = SUPERVISOR) -> NoReturn:
    """Be the keeper, in this process: what a service manager or a container runs. Raises AlreadyRunning, Unusable."""
    lock = _take_lock()
    if lock is None:
        raise AlreadyRunning(f"a keeper runs already: pid {keeper_pid()}", pid=keeper_pid())
    environment = clean_environment(_FROM_SERVICE_MANAGER)
    _hand_down({0: _null(), LOCK: lock, ENDINGS: _open_endings()})
    opened.open_missing_standard_streams()
    opened.close_all((LOCK, ENDINGS))
    _be_daemon()
    _execute(keeper.FOREGROUND, program, environment)


def is_answering() -> bool:
    """Whether a supervisor takes connections."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(0)
        try:
            at_path(connection.connect, places.control_path())
        except BlockingIOError:
            return True  # it is there, and busy
        except OSError:
            return False
    return True


def is_open() -> bool:
    """Whether a keeper or a supervisor lives, though it may not answer yet."""
    try:
        descriptor = os.open(_lock_path(), os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        answer = fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, _LOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
        return bool(_LOCK.unpack(answer)[0] != fcntl.F_UNLCK)
    finally:
        os.close(descriptor)


def call_for_socket() -> None:
    """Have a supervisor that lives make its socket anew, where its directory was removed under it.

    By SIGUSR1, which the keeper passes on, and which changes nothing where the socket is there.
    """
    signal_keeper(signals.SIGUSR1)


def signal_keeper(number: int) -> None:
    """Send the keeper a signal, if there is one; it passes on what `keeper` names."""
    found = Process(keeper_pid())
    with suppress(OSError):
        if _holds_lock(found.pid):
            found.send_signal(number)


def members() -> list[int]:
    """The pids of those that keep this house: the keeper, its supervisor and their helpers; not the daemons."""
    keeper = keeper_pid()
    if not _holds_lock(keeper):
        return []
    return [keeper, *filter(_is_of_the_house, proc.descendants(keeper))]


def _is_of_the_house(pid: int) -> bool:
    """Whether it holds the lock, or runs a program of this room's."""
    argv = (proc.read(f"/proc/{pid}/cmdline") or b"").split(b"\0")
    room, package = os.fsencode(os.path.dirname(__file__)), __package__.encode() + b"."
    is_own = any(os.path.dirname(word) == room or word.startswith(package) for word in argv[1:])
    return is_own or _holds_lock(pid)


def _holds_lock(pid: int) -> bool:
    """Whether it holds the lock: one that has the pid of a keeper of long ago does not."""
    try:
        return os.path.samestat(os.stat(f"/proc/{pid}/fd/{LOCK}"), os.stat(_lock_path()))
    except OSError:
        return False


def keeper_pid() -> int:
    """The pid of the keeper that took over last; 0 where that is not known."""
    try:
        with open(_lock_path(), "rb") as file:
            return int(file.read())
    except (OSError, ValueError):
        return 0


def clean_environment(more: Iterable[str] = ()) -> dict[str, str]:
    """What keeper and supervisor are to know of the caller's environment."""
    kept = {*KEPT_VARIABLES, *more}
    found = {
        name: value
        for name, value in os.environ.items()
        if name in kept or name.startswith("LC_") or (name.startswith("XDG_") and name.endswith(_XDG_DIRECTORIES))
    }
    if home := os.environ.get("NUMEN_HOME"):
        found["NUMEN_HOME"] = places.absolute(home)
    if owner := os.environ.get(OWNER):
        found[OWNER] = owner
    return found


def _lock_path() -> str:
    return os.path.join(places.state_directory(), "keeper.lock")


def _take_lock() -> int | None:
    """The lock; `None` where a keeper or a supervisor has it.

    It belongs to the open file description, so that whoever inherits it holds it on, in the same instant. One of
    flock(2) would do too, but is shown under the pid of who took it first, whom nobody will know later.
    """
    path = _lock_path()
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise from_os_error(error, f"open {path}") from error
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _LOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
    except OSError as error:
        os.close(descriptor)
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return None
        raise from_os_error(error, f"lock {path}") from error
    return descriptor


def _open_endings() -> int:
    path = os.path.join(places.state_directory(), "endings")
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise from_os_error(error, f"open {path}") from error


def _open_output() -> int:
    """The FIFO that keeper and supervisor write to, and the supervisor moves to numen.log."""
    path = os.path.join(places.streams_directory(), "numen.out")
    try:
        try:
            os.mkfifo(path, 0o600)
        except FileExistsError:
            if not stat.S_ISFIFO(os.lstat(path).st_mode):
                os.unlink(path)
                os.mkfifo(path, 0o600)
        # Never waiting: who writes there is the one who has to read it.
        return os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError as error:
        raise from_os_error(error, f"make the FIFO {path}") from error


def _null() -> int:
    return os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC | os.O_NOCTTY)


def _launch(lock: int, program: Sequence[str], deadline: float) -> None:
    """Start a keeper in the background, and wait until it says that its supervisor is ready."""
    mine = [lock]
    try:
        mine.append(endings := _open_endings())
        mine.append(output := _open_output())
        mine.append(null := _null())
        reader, writer = os.pipe()
        mine += [reader, writer]
        environment = clean_environment()
        numbers = {0: null, 1: output, 2: output, LOCK: lock, ENDINGS: endings, REPORT: writer}
        try:
            middle = os.fork()
        except OSError as error:
            raise DaemonError(f"cannot fork: {error.strerror}") from error
        if not middle:
            _become_daemon(numbers, program, environment)
        os.waitpid(middle, 0)
        # Ours goes before we wait: the lock is the house's alone, and the report ends when the house does.
        for one in (lock, endings, null, writer):
            os.close(one)
            mine.remove(one)
        _await_report(reader, output, deadline)
    finally:
        for one in mine:
            os.close(one)


def _await_report(reader: int, output: int, deadline: float) -> None:
    poll = select.poll()
    poll.register(reader, select.POLLIN)
    if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
        message = (
            f"the supervisor was started, but was not ready in time; {places.log_directory()}/numen.log may tell why"
        )
        raise NotReadyInTime(message, last_lines=())
    word = os.read(reader, 64)
    if word == b"ready":
        return
    try:
        words = cut(os.read(output, _MOST_BYTES))
    except BlockingIOError:
        words = ()
    ending = f"exit status {int(word)}" if word else "killed"
    message = f"the supervisor did not start ({ending})"
    raise DiedBeforeReady(message, pid=0, ending=ending, last_lines=words)


def _become_daemon(numbers: dict[int, int], program: Sequence[str], environment: dict[str, str]) -> NoReturn:
    """In the child: the recipe, and the keeper's program."""
    try:
        os.setsid()
        if not os.fork():
            _hand_down(numbers)
            opened.close_all(numbers)
            _be_daemon()
            _execute(keeper.LAUNCHED, program, environment)
    except (OSError, DaemonError) as error:
        os.write(2, f"cannot start the keeper: {error}\n".encode(errors="backslashreplace"))
    finally:
        os._exit(1)


def _hand_down(numbers: dict[int, int]) -> None:
    """Put each descriptor where it is expected."""
    # Out of each other's way first.
    copies = {number: fcntl.fcntl(source, fcntl.F_DUPFD_CLOEXEC, REPORT + 1) for number, source in numbers.items()}
    for number, source in copies.items():
        opened.put(source, number)
        os.close(source)


def _be_daemon() -> None:
    """What a daemon has of its surroundings; of its limits the soft one of core dumps alone, which it hands down."""
    surroundings.change_directory("/")
    surroundings.set_umask(surroundings.DEFAULT_UMASK)
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


def _execute(mode: str, program: Sequence[str], environment: dict[str, str]) -> NoReturn:
    """Execute the keeper's program. Raises OSError."""
    # A supervisor that the keeper starts is orphaned to it, as a daemon's process is: what is set here stays.
    calls.become_child_subreaper()
    # Signals wait until the keeper has its handlers: till then one would end it.
    before = signals.pthread_sigmask(signals.SIG_BLOCK, keeper.HANDLED)
    # What the caller was made to ignore, as by nohup(1), would be ignored in every daemon.
    ignored = [number for number in signals.valid_signals() if signals.getsignal(number) == signals.SIG_IGN]
    for number in ignored:
        signals.signal(number, signals.SIG_DFL)
    try:
        # By its path, without site: the keeper needs the standard library alone.
        os.execve(sys.executable, [sys.executable, "-I", "-S", keeper.__file__, mode, "--", *program], environment)
    finally:
        for number in ignored:
            signals.signal(number, signals.SIG_IGN)
        signals.pthread_sigmask(signals.SIG_SETMASK, before)


# The supervisor's side


def inode(descriptor: int) -> tuple[int, int]:
    """By what the keeper knows a descriptor: device and inode."""
    found = os.fstat(descriptor)
    return found.st_dev, found.st_ino


class Keeper:
    """The keeper, as its supervisor sees it. To be made once, before anything else is opened or started.

    The signals that it passes on (keeper.FORWARDED) are blocked in a supervisor that was just started: they wait until
    it takes them, by a signalfd or by handlers and then pthread_sigmask(3).
    """

    def __init__(self) -> None:
        if not opened.is_open(CHANNEL) or not stat.S_ISSOCK(os.fstat(CHANNEL).st_mode):
            raise Unusable("cannot supervise without a keeper: `numen supervisor` starts both")
        self.has_died = False
        """Set by receive(): then this process is to become the keeper (become_keeper)."""
        opened.seal()
        own = {*opened.STANDARD_STREAMS, LOCK, CHANNEL, ENDINGS}
        self._held = [number for number in opened.open_descriptors() or () if number not in own]
        self.watchdog_interval = _seconds(os.environ.pop("WATCHDOG_USEC", ""))
        """The seconds within which watchdog() is expected; `None` where it is not."""
        self._epoch = keeper.epoch()
        self._channel = socket.socket(fileno=CHANNEL)
        self._channel.settimeout(0)
        self._read = b""
        self._outbox: list[tuple[bytes, list[int]]] = []
        self._to_hold: list[int] = []
        self._is_over = False
        # Readable while the keeper has told something, or has room again for what waits in the outbox.
        self._watch = select.epoll()
        self._watched = select.EPOLLIN
        self._watch.register(CHANNEL, self._watched)

    def fileno(self) -> int:
        """What is readable when receive() is to be called."""
        return self._watch.fileno()

    def held(self) -> list[int]:
        """The descriptors that were held when this supervisor was started, each for one FIFO or socket."""
        return list(self._held)

    def hold(self, descriptor: int) -> None:
        """Have a FIFO or a socket held, from the next flush() on; withdraw() comes before it is closed, then drop()."""
        self._to_hold.append(descriptor)

    def flush(self) -> None:
        """Tell the keeper what is to be held: many with one message. Where it has no room it is told later."""
        while self._to_hold:
            together, self._to_hold = self._to_hold[:_MOST_AT_ONCE], self._to_hold[_MOST_AT_ONCE:]
            self._say(b"hold", together)

    def withdraw(self, descriptor: int) -> None:
        """Call this before what is held is closed: where it has not been sent yet, it is not sent."""
        self._to_hold = [one for one in self._to_hold if one != descriptor]
        self._outbox = [(message, [one for one in held if one != descriptor]) for message, held in self._outbox]

    def drop(self, key: tuple[int, int]) -> None:
        """Have the FIFO or socket let go that inode() named so."""
        self._say(b"drop %d %d" % key)

    def endings(self) -> list[Ended]:
        """All the endings that are recorded, those that receive() has given among them."""
        self._read = self._read_endings()
        return self._parse(self._read)

    def forget(self) -> None:
        """Let the keeper forget the endings that were read; it keeps them if others have come since."""
        if self._read:
            self._say(b"forget %d" % len(self._read))

    def receive(self) -> list[Ended]:
        """The endings that are new since the last call. Sets `has_died` where the keeper is gone."""
        told, has_heard = b"", False
        while True:
            try:
                message = self._channel.recv(_MOST_BYTES)
            except BlockingIOError:
                break
            except ConnectionResetError:
                continue  # it died with messages of ours unread; its own may still be there
            has_heard = True
            if not message:
                if not self._is_over:
                    # It would be readable for ever; where this process cannot become the keeper, it must not spin.
                    self._watch.unregister(CHANNEL)
                self.has_died = self._is_over = True
                break
            told += message.partition(b" ")[2]
        self._flush()
        if not has_heard:
            return []
        before, self._read = self._read, self._read_endings()
        # Where it does not begin with what was there before, the keeper has forgotten that.
        new = self._read.removeprefix(before) if self._read.startswith(before) else self._read
        return self._parse(new) + self._parse(told)

    def ready(self, status: str = "") -> None:
        """Say that the supervisor answers; to the launcher, and to a service manager if there is one."""
        self._notify("READY=1", *_status(status))

    def status(self, text: str) -> None:
        """Tell a service manager how things stand."""
        self._notify(*_status(text))

    def stopping(self) -> None:
        """Tell a service manager that the end has begun."""
        self._notify("STOPPING=1")

    def watchdog(self) -> None:
        """Tell a service manager that all is well."""
        self._notify("WATCHDOG=1")

    def _notify(self, *assignments: str) -> None:
        self._say(b"notify " + "\n".join(assignments).encode(errors="backslashreplace"))

    def _say(self, message: bytes, descriptors: Sequence[int] = ()) -> None:
        if not self._is_over:
            self._outbox.append((message, list(descriptors)))
            self._flush()

    def _flush(self) -> None:
        """Send what waits; never wait for a keeper that does not read."""
        watched = select.EPOLLIN
        while self._outbox:
            message, held = self._outbox[0]
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack(f"{len(held)}i", *held))] if held else []
            try:
                self._channel.sendmsg([message], rights, socket.MSG_NOSIGNAL)
            except BlockingIOError:
                watched |= select.EPOLLOUT
                break
            except OSError:
                # Dead, as receive() tells; or too many descriptors are under way (ETOOMANYREFS), and the next call,
                # not the next moment, is the time to try again.
                break
            del self._outbox[0]
        # Asked for in every turn: a system call only where something is new.
        if watched != self._watched and not self._is_over:
            self._watched = watched
            self._watch.modify(CHANNEL, watched)

    def _read_endings(self) -> bytes:
        text = b""
        while chunk := os.pread(ENDINGS, _MOST_BYTES, len(text)):
            text += chunk
        return text

    def _parse(self, text: bytes) -> list[Ended]:
        found = []
        for line in text.split(b"\n"):
            fields = line.split()
            # Others are of an earlier boot, or were cut off when a keeper was killed.
            if len(fields) == 4 and fields[3] == self._epoch:
                pid, start_time, status = map(int, fields[:3])
                found.append(Ended(process=ProcessId(pid=pid, start_time=start_time), status=status))
        return found


def _status(text: str) -> list[str]:
    return ["STATUS=" + " ".join(text.splitlines())] if text else []


def _seconds(microseconds: str) -> float | None:
    return int(microseconds) / 1_000_000 if microseconds.isascii() and microseconds.isdigit() else None


def become_keeper(held: Iterable[int]) -> NoReturn:
    """Be the keeper, in the place of the supervisor that this process is; the dead one's work goes on.

    The pid stays, and with it every child, the lock, and what is `held` of FIFOs and sockets. The supervisor that the
    keeper starts runs what this one was started with. Raises OSError where the keeper's program cannot be executed:
    then this process goes on as it was, without a keeper.
    """
    kept = {LOCK, ENDINGS, *held}
    own_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        for number in opened.open_descriptors() or ():
            if number > 2:
                os.set_inheritable(number, number in kept)
        resource.setrlimit(resource.RLIMIT_NOFILE, OPEN_FILES)
        _execute(keeper.AGAIN, sys.orig_argv, dict(os.environ))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, own_limit)
        for number in kept:
            os.set_inheritable(number, False)  # noqa: FBT003
