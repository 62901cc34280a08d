"""The forwarder: a process that sends on to the system log what comes into the logs of daemons.

The supervisor starts it (`forwarding_client`), as `python -m numen.keep.forwarding SOCKET LOCK DIRECTORY PAUSE SYSLOG
JOURNAL`, and tells it which file of DIRECTORY has changed (`forwarded`). It reads the logs as any reader does: no
daemon and no supervisor waits for it, and while a target is away, the lines wait in the logs.

When the supervisor's end of the socket is closed it ends, and its successor goes on where it was.
"""

from __future__ import annotations

import fcntl
import os
import select
import socket
import sys
import time
from contextlib import suppress

from ..become import descriptors
from ..kernel import inotify
from ..kernel.inotify import Inotify
from . import forwarded
from .forwarded import ENDING, TARGETS, Forwarded, PlaceFile
from .forwarding_target import AGAIN, Target
from .helper import frame, take_messages
from .logs.tailing import Tail

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..become.syslog.sockets import Kind

    One = tuple[str, Kind]
    """A log and a target."""

BATCH = 100
"""So many lines are sent before it is remembered: no more of them come twice after a kill."""

_OF_A_DIRECTORY = inotify.IN_CREATE | inotify.IN_MOVED_TO


class Feed:
    """One log on its way to one target."""

    def __init__(self, directory: str, key: str, log: Forwarded, target: Target) -> None:
        """Raises OSError."""
        self._directory, self._key, self.target = directory, key, target
        self._file = PlaceFile(os.path.join(directory, f"{key}.{target.kind}"), log.targets[target.kind])
        self._tail = Tail(log.path, self._file.place)
        self.again_at = 0.0
        """CLOCK_MONOTONIC of the next try after the log could not be read."""

    def pump(self, log: Forwarded) -> bool:
        """Send a batch; whether there is more to send. Raises OSError."""
        if not self.target.flush():
            return True
        sent, count = self._tail.place, 0
        try:
            for line in self._tail.lines(to_the_end=log.has_ended):
                self.target.put(line, log)
                if not self.target.flush():
                    return True  # until it is sent, the place before it is what counts
                sent = self._tail.place
                count += 1
                if count == BATCH:
                    return True
            return False
        finally:
            self._file.write(sent)

    def ready_at(self) -> float:
        """CLOCK_MONOTONIC from which on there is sense in trying."""
        return max(self.again_at, self.target.again_at)

    def is_ready(self) -> bool:
        """Whether something may be sent now."""
        return time.monotonic() >= self.ready_at()

    def forget(self) -> None:
        """It is sent there no longer."""
        self.close()
        forwarded.remove(self._directory, self._key, f".{self.target.kind}")

    def close(self) -> None:
        """Close what is open."""
        self._tail.close()
        self._file.close()


class Forwarder:
    """The loop: what has come into the logs out to the targets."""

    def __init__(self, connection: socket.socket, directory: str, places: Sequence[str]) -> None:
        """`places` are the sockets of TARGETS."""
        self._connection, self._directory = connection, directory
        self._received = bytearray()
        self._inotify = Inotify()
        self._watches: dict[int, str] = {}
        """Which log each watched file is of; "" for a directory."""
        self._is_blind = False
        self._targets = {kind: Target(kind, path, self._tell) for kind, path in zip(TARGETS, places, strict=True)}
        self._logs: dict[str, Forwarded] = {}
        self._feeds: dict[One, Feed] = {}
        self._due: dict[One, None] = {}
        """The feeds that may have something to send."""
        self._troubled: set[One] = set()

    def serve(self) -> None:
        """Forward until the supervisor's end of the socket is closed."""
        for key in forwarded.keys(self._directory):
            self._look(key)
        self._watch()
        while self._wait():
            for one in list(self._due):
                feed = self._feeds.get(one)
                if feed is None:
                    self._due.pop(one)
                elif feed.is_ready():
                    self._pump(one, feed)

    def _pump(self, one: One, feed: Feed) -> None:
        key, kind = one
        log = self._logs[key]
        try:
            has_more = feed.pump(log)
            self._troubled.discard(one)
        except OSError as error:
            has_more = True
            feed.again_at = time.monotonic() + AGAIN
            if one not in self._troubled:
                self._tell(f"cannot forward {log.path}, and tries again: {error.strerror or error}")
            self._troubled.add(one)
        if not has_more:
            del self._due[one]
            if log.has_ended:
                self._end(key, kind)

    def _end(self, key: str, kind: Kind) -> None:
        """All of it is sent to that target."""
        now = Forwarded.read(self._directory, key)
        if now is not None and not now.has_ended:
            self._look(key)  # it has been begun again meanwhile
            return
        self._feeds.pop((key, kind)).forget()
        if not any((key, target) in self._feeds for target in TARGETS):
            del self._logs[key]
            forwarded.remove(self._directory, key, ENDING)

    def _look(self, key: str) -> None:
        """Take over what the supervisor wants of a log."""
        log = Forwarded.read(self._directory, key)
        if log is None:
            return
        before = self._logs.get(key)
        self._logs[key] = log
        for kind, target in self._targets.items():
            one = key, kind
            if one in self._feeds and (kind not in log.targets or (before and before.path != log.path)):
                self._feeds.pop(one).forget()
            if kind in log.targets:
                if one not in self._feeds:
                    try:
                        self._feeds[one] = Feed(self._directory, key, log, target)
                    except OSError as error:
                        self._tell(f"cannot forward {log.path}: {error.strerror or error}")
                        continue
                self._due[one] = None
            else:
                forwarded.remove(self._directory, key, f".{kind}")
        if log.has_ended and not any((key, kind) in self._feeds for kind in TARGETS):
            del self._logs[key]
            forwarded.remove(self._directory, key, ENDING)

    # What is waited for.

    def _wait(self) -> bool:
        """Wait until there may be something to do; false where the supervisor has gone."""
        poll = select.poll()
        poll.register(self._connection, select.POLLIN)
        poll.register(self._inotify, select.POLLIN)
        full = {}
        for kind in {kind for _, kind in self._due}:
            target = self._targets[kind]
            if not target.is_ready() and target.fileno() >= 0:
                full[target.fileno()] = target
                poll.register(target.fileno(), select.POLLOUT)
        for descriptor, _ in poll.poll(self._patience()):
            if descriptor in full:
                full[descriptor].wake()
            elif descriptor == self._inotify.fileno():
                self._hear_files()
            elif not self._obey():
                return False
        if self._is_blind:
            self._watch()
        return True

    def _patience(self) -> float | None:
        """Milliseconds to wait at most."""
        now = time.monotonic()
        pauses = [max(self._feeds[one].ready_at() - now, 0) for one in self._due if one in self._feeds]
        if self._is_blind:
            pauses.append(AGAIN)
        return min(pauses) * 1000 + (min(pauses) > 0) if pauses else None

    def _obey(self) -> bool:
        try:
            while chunk := self._connection.recv(65536):
                self._received += chunk
        except BlockingIOError:
            for message in take_messages(self._received):
                self._look(message["look"])
            self._watch()
            return True
        except ConnectionError:
            pass
        return False

    def _hear_files(self) -> None:
        for watch, _ in self._inotify.read():
            key = self._watches.get(watch, "")
            if not key:
                self._watch()
                return
            self._due.update(dict.fromkeys((key, kind) for kind in TARGETS if (key, kind) in self._feeds))

    def _watch(self) -> None:
        """Watch the files that stand at the names now; of all logs there may be something to send."""
        self._is_blind = False
        for key, log in self._logs.items():
            self._add(os.path.dirname(log.path), _OF_A_DIRECTORY, "")
            with suppress(FileNotFoundError):
                self._watches[self._inotify.add_watch(log.path, inotify.IN_MODIFY)] = key
        self._due.update(dict.fromkeys(self._feeds))

    def _add(self, path: str, mask: int, key: str) -> None:
        try:
            self._watches[self._inotify.add_watch(path, mask)] = key
        except FileNotFoundError:
            self._is_blind = True

    def _tell(self, line: str) -> None:
        with suppress(OSError):
            self._connection.sendall(frame({"tell": line}))


def main() -> None:
    """Serve the socket of the number given."""
    descriptor = int(sys.argv[1])
    directory, pause, *places = sys.argv[3:]
    descriptors.close_all([descriptor])
    os.set_inheritable(descriptor, False)  # noqa: FBT003 - the standard library's own signature
    with socket.socket(fileno=descriptor) as connection:
        connection.setblocking(False)  # noqa: FBT003 - the standard library's own signature
        gone = select.poll()
        gone.register(connection, select.POLLRDHUP)
        gone.poll(float(pause) * 1000)
        os.makedirs(directory, mode=0o700, exist_ok=True)
        # That of a killed supervisor may be about to end.
        lock = os.open(os.path.join(directory, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        Forwarder(connection, directory, places).serve()


if __name__ == "__main__":
    main()
