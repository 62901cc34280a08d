"""What a daemon is connected to: the FIFOs of its output, and the channel on which it tells that it is ready.

Supervisor and daemon each open a FIFO for themselves, O_RDWR both: so the daemon's write never fails for want of a
reader, and the supervisor sees no hangup while nobody writes. The keeper holds each too: what stands in one is not lost
when the supervisor dies, nor when daemon and supervisor do.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from contextlib import suppress

from ..become.listener import Listener
from ..kernel import pipes
from .spawning import FD, Streams, hears_notifications

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .definitions.definition import Definition
    from .life import ProcessId

    Held = dict[tuple[int, int], int]
    """Descriptors by device and inode."""

DELETED = " (deleted)"
"""What the kernel puts behind the path of an open file that has lost its name (proc(5))."""

READINESS_LIMIT = 4096

_FLAGS = os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW


def key(found: os.stat_result) -> tuple[int, int]:
    """By what an open file is known: device and inode."""
    return found.st_dev, found.st_ino


class Channels:
    """The open channels of one daemon."""

    def __init__(self, directory: str, name: str) -> None:
        self._path = os.path.join(directory, name)
        self.out = self.err = -1
        """The supervisor's descriptors of the FIFOs; -1 where there is none."""
        self.ready = -1
        """The FIFO of the kind `fd:N`."""
        self.listener: Listener | None = None
        """The socket of the kind `notify`."""

    def open_output(self, definition: Definition, held: Held, process: ProcessId | None = None) -> None:
        """Open the FIFOs: those that `process` writes to, where it runs already, else those of that name.

        `held` are descriptors that the keeper held; one that is used is taken out. Raises OSError.
        """
        self.out = _fifo(f"{self._path}.out", held, process, 1)
        if definition.log_separate_stderr:
            try:
                self.err = _fifo(f"{self._path}.err", held, process, 2)
            except OSError:
                # It is tried again and again, and each time another would be left open.
                os.close(self.out)
                self.out = -1
                raise

    def fit(self, definition: Definition) -> bool:
        """Whether what is open is what a new run wants: each FIFO is still the one of its name."""
        named = ((self.out, f"{self._path}.out"), (self.err, f"{self._path}.err"))
        is_named = all(descriptor < 0 or _is_at(path, descriptor) for descriptor, path in named)
        return is_named and definition.log_separate_stderr == (self.err >= 0)

    def open_readiness(self, definition: Definition, invocation: str, held: Held) -> None:
        """Open the channel on which a run tells that it is ready. Raises OSError."""
        self.close_readiness()
        if hears_notifications(definition):
            name = f"numen/notify/{invocation}"
            bound = next((one for one, descriptor in held.items() if _address(descriptor) == f"\0{name}"), None)
            self.listener = Listener(name, None if bound is None else held.pop(bound))
        if definition.ready.startswith(FD):
            self.ready = _fifo(f"{self._path}.ready", held, None, -1)

    def said(self) -> bytes:
        """What was written on the FIFO of the kind `fd:N`; it is left there. Raises OSError."""
        reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            copied = pipes.tee(self.ready, writer, READINESS_LIMIT)
            return os.read(reader, copied) if copied else b""
        except BlockingIOError:
            return b""
        finally:
            os.close(reader)
            os.close(writer)

    def forget_readiness(self, count: int = READINESS_LIMIT) -> bytes:
        """Take so much out of that FIFO, of an earlier run if it is before a spawn; what it was."""
        try:
            return os.read(self.ready, count) if self.ready >= 0 and count else b""
        except BlockingIOError:
            return b""

    def were_open(self, held: Held) -> bool:
        """Whether an earlier supervisor held a FIFO of this daemon's."""
        with suppress(OSError):
            return any(key(os.lstat(f"{self._path}.{one}")) in held for one in ("out", "err"))
        return False

    def remove(self) -> None:
        """Remove the names; what is open stays."""
        for one in ("out", "err", "ready"):
            with suppress(FileNotFoundError):
                os.unlink(f"{self._path}.{one}")

    def streams(self, definition: Definition) -> Streams:
        """The names of all that a daemon is given."""
        notify = None if self.listener is None else self.listener.address
        err = f"{self._path}.err" if definition.log_separate_stderr else None
        return Streams(out=f"{self._path}.out", err=err, ready=f"{self._path}.ready", notify=notify)

    def descriptors(self) -> list[int]:
        """All that are open."""
        listener = -1 if self.listener is None else self.listener.fileno()
        return [one for one in (self.out, self.err, self.ready, listener) if one >= 0]

    def close_ready(self) -> None:
        """It has said that it is up; what else it says is still heard."""
        if self.ready >= 0:
            os.close(self.ready)
            self.ready = -1

    def close_readiness(self) -> None:
        """Hear no more of it."""
        self.close_ready()
        if self.listener is not None:
            self.listener.close()
            self.listener = None


def _fifo(path: str, held: Held, process: ProcessId | None, number: int) -> int:
    if process is not None:
        # It may have lost its name since; then the keeper's is the way to it, or the daemon's own.
        link = f"/proc/{process.pid}/fd/{number}"
        with suppress(OSError):
            found = os.stat(link)
            if key(found) in held and stat.S_ISFIFO(found.st_mode):
                return held.pop(key(found))
            if stat.S_ISFIFO(found.st_mode) and os.readlink(link).removesuffix(DELETED) == path:
                return os.open(link, _FLAGS & ~os.O_NOFOLLOW)
    try:
        # A user's runtime directory is unmounted at his last logout; that above it has to be there.
        if not os.path.isdir(directory := os.path.dirname(path)):
            os.makedirs(directory, 0o700)
        os.mkfifo(path, 0o600)
    except FileExistsError:
        found = os.lstat(path)
        if not stat.S_ISFIFO(found.st_mode):
            raise FileExistsError(errno.EEXIST, "there is something else", path) from None
        if key(found) in held:
            return held.pop(key(found))
    except OSError as error:
        error.filename = path  # mkfifo(3) of Python leaves it out
        raise
    return os.open(path, _FLAGS)


def _is_at(path: str, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.lstat(path), os.fstat(descriptor))
    except OSError:
        return False


def _address(descriptor: int) -> str | None:
    """The name in the abstract namespace to which a socket is bound."""
    try:
        with socket.socket(fileno=os.dup(descriptor)) as one:
            name = one.getsockname()
    except OSError:
        return None
    return name.decode(errors="replace") if isinstance(name, bytes) else str(name)
