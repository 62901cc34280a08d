"""What the daemons are connected to, wired up: each one's channels with its log, the keeper and the poller.

`channels` are those of one daemon. Here they are opened for a run or taken back from an earlier supervisor, given to
the thread that moves logs and to the keeper to hold, listened to, and let go. `real` is the caller.
"""

from __future__ import annotations

import json
import os
from collections import deque
from contextlib import suppress

from ..become.identity import uid_of
from ..become.syslog.entries import PRIORITIES
from ..kernel import pipes, proc
from ..settings.places import ENDING
from .channels import Channels
from .definitions.definition import FILE
from .forwarded import TARGETS, Forwarded
from .house import inode
from .kernel import Message, Ready
from .life import ProcessId
from .logs.settings import LogSettings
from .sources import MOVED, NOTIFY, READY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..become.listener import Listener
    from .definitions.definition import Definition
    from .forwarding_client import ForwardingClient
    from .home import Home
    from .house import Keeper
    from .logs.mover import Mover
    from .sources import Sources
    from .spawning import Streams

LOG = "log:"
"""How the readiness begins for which it is remembered where the log of a run begins."""

_MOST_LOOKS = 10

_LIVE = ("log_to", "log_size", "log_keep", "log_every", "log_total", "log_age", "log_compress")
"""What of a definition the logs of a run follow at once."""

SPOOL_SIZE, SPOOL_FILES = 4 * 2**20, 4
"""How a log is kept that is there to be forwarded alone."""

MOST_MESSAGES = 100
"""Notifications of one daemon that are taken in one turn."""


class Wiring:
    """The channels of all daemons."""

    def __init__(
        self, home: Home, keeper: Keeper, mover: Mover, sources: Sources, forwarding: ForwardingClient
    ) -> None:
        self._home, self._keeper, self._mover, self._sources = home, keeper, mover, sources
        self._forwarding = forwarding
        self._held = {inode(one): one for one in keeper.held()}
        """What an earlier supervisor held, and is not taken back yet."""
        self._channels: dict[str, Channels] = {}
        self._definitions: dict[str, Definition] = {}
        self._uids: dict[str, int] = {}
        """Whose user has which uid, once somebody has spoken: a name service may be slow, and is asked once a run."""
        self.fifos: dict[tuple[int, int], str] = {}
        """Whose FIFO each is, by device and inode: the invocation."""
        self._moved: deque[tuple[tuple[int, int], str]] = deque()
        """The FIFOs of released daemons that are empty and closed, each with its log."""
        self._leaving: dict[str, int] = {}
        """The logs of released daemons whose last bytes are being moved: from how many FIFOs."""
        self._ending: set[str] = set()
        """Those of them that are removed."""
        self._is_resumed = False
        # Never closed: a thread that hangs on a disk may ring it after the end.
        self._bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        sources.listen(self._bell, (MOVED, ""))

    # For a run.

    def open(self, name: str, definition: Definition, invocation: str) -> Streams:
        """Open all for a run that is about to be spawned: what it is given. Raises OSError."""
        channels = self._open(name, definition)
        self._uids.pop(name, None)
        self._forget_readiness(channels)
        channels.open_readiness(definition, invocation, {})
        channels.forget_readiness()
        self._hold_readiness(channels)
        if definition.ready.startswith(LOG):
            self._mark(name, channels)
        # Before there is a daemon that could write to them: should this supervisor be killed, all is held.
        self._keeper.flush()
        return channels.streams(definition)

    def begins(self, name: str) -> dict[str, tuple[int, int]]:
        """Where the logs of the present run begin: by path the inode of the file and the offset in it."""
        try:
            with open(self._home.mark(name), encoding="ascii") as file:
                return {str(path): (int(inode), int(offset)) for path, (inode, offset) in json.load(file).items()}
        except (OSError, ValueError):
            return {}

    def _mark(self, name: str, channels: Channels) -> None:
        """Remember where the logs begin of a run that is about to be spawned, for every supervisor. Raises OSError."""
        begins = {self._home.log(key): _end_of(self._home.log(key), fifo) for key, fifo in _logs(name, channels)}
        with open(self._home.mark(name), "w", encoding="ascii") as file:
            json.dump(begins, file)

    def take_back_output(self, name: str, definition: Definition, process: ProcessId | None) -> None:
        """Open what a run of an earlier supervisor's writes to. Raises OSError."""
        self._open(name, definition, process)

    def take_back_readiness(self, name: str, definition: Definition, invocation: str) -> None:
        """Open the channel on which it tells that it is ready, and hear it. Raises OSError."""
        channels = self._channels[name]
        channels.open_readiness(definition, invocation, self._held)
        self._hold_readiness(channels)
        self.hear_readiness(name)

    def hear_readiness(self, name: str) -> None:
        """Listen to what a run has to tell."""
        channels = self._channels[name]
        if channels.ready >= 0:
            self._sources.listen(channels.ready, (READY, name))
        if channels.listener is not None:
            self._sources.listen(channels.listener.fileno(), (NOTIFY, name))

    def belongs_to(self, name: str, invocation: str) -> set[str]:
        """Let the FIFOs be this run's; whose they were until now."""
        fifos = [inode(descriptor) for _, descriptor in _logs(name, self._channels[name])]
        before = {self.fifos.get(one, "") for one in fifos} - {"", invocation}
        self.fifos.update(dict.fromkeys(fifos, invocation))
        return before

    def begin_run(self, name: str, pid: int) -> None:
        """What its logs get from here on is of that process."""
        for key, _ in _logs(name, self._channels[name]):
            self._forwarding.begin_run(key, pid)

    def change_logs(self, name: str, definition: Definition) -> None:
        """Keep its logs from here on as this definition says, where it has any open."""
        if name in self._channels:
            before = self._definitions[name]
            now = before.replace(**{key: getattr(definition, key) for key in _LIVE})
            self._keep_logs(name, now)

    def _keep_logs(self, name: str, definition: Definition) -> None:
        if self._definitions[name] != definition:
            self._definitions[name] = definition
            for key, _ in _logs(name, self._channels[name]):
                self._mover.change(key, self._log_settings(key, definition))
                self._follow(name, key, definition)

    def release(self, name: str, definition: Definition | None) -> None:
        """Nothing of it runs: close what is open; where the daemon is removed, the names go too."""
        channels = self._channels.get(name)
        if channels is None and definition is not None and Channels(self._home.streams, name).were_open(self._held):
            # Its last words, which an earlier supervisor could not move.
            channels = self._open(name, definition)
        if channels is not None:
            self._forget_readiness(channels)
            for log, descriptor in _logs(name, channels):
                self._let_go(log, descriptor)
            del self._channels[name], self._definitions[name]
            self._uids.pop(name, None)
        if definition is None:
            Channels(self._home.streams, name).remove()
            for key in (name, f"{name}.err"):
                if key in self._leaving:
                    self._ending.add(key)
                else:
                    self._forwarding.end(key)
            with suppress(FileNotFoundError):
                os.unlink(self._home.mark(name))

    # For all.

    def held(self) -> list[int]:
        """The FIFOs and sockets that a keeper is to hold."""
        return [one for channels in self._channels.values() for one in channels.descriptors()]

    def drop_strangers(self) -> None:
        """Let go what an earlier supervisor held and nobody has taken back: the first turn comes after that."""
        for one, descriptor in self._held.items():
            self._keeper.drop(one)
            os.close(descriptor)
        self._held.clear()
        if not self._is_resumed:
            self._is_resumed = True
            self._forwarding.resume(self._is_known)

    def _is_known(self, name: str) -> bool:
        return name in self._channels or os.path.lexists(os.path.join(self._home.definitions, name + ENDING))

    def drop_moved(self) -> None:
        """Let the keeper let go what has been moved since the last call."""
        os.eventfd_read(self._bell)
        while self._moved:
            fifo, log = self._moved.popleft()
            self._leaving[log] -= 1
            if not self._leaving[log]:
                del self._leaving[log]
                if log in self._ending:
                    self._ending.remove(log)
                    self._forwarding.end(log)
            # A new run may have opened it again meanwhile.
            if fifo not in self.fifos:
                self._keeper.drop(fifo)

    # What is heard.

    def readiness(self, name: str) -> Iterator[Ready]:
        """What was written on the FIFO of the kind `fd:N`: taken out when the next is asked for."""
        channels = self._channels[name]
        try:
            said = channels.said()
            taken = 0
        except OSError:
            # No descriptor is left to look with: better taken out at once than not heard.
            said = channels.forget_readiness()
            taken = len(said)
        if b"\n" in said:
            yield Ready(name=name)
            # It is needed no longer: at rest a daemon costs a descriptor or two.
            self._forget([channels.ready])
            channels.close_ready()
        else:
            channels.forget_readiness(len(said) - taken)

    def messages(self, name: str) -> Iterator[Message]:
        """The notifications of a daemon of the kind `notify`: each taken out when the next is asked for."""
        listener = self._channels[name].listener
        if listener is not None:
            yield from self._messages(name, listener)

    def _messages(self, name: str, listener: Listener) -> Iterator[Message]:
        if name not in self._uids:
            self._uids[name] = uid_of(self._definitions[name].user)
        uids = {0, os.getuid(), self._uids[name]}
        for _ in range(MOST_MESSAGES):
            heard = listener.peek()
            if heard is None:
                return
            heard.close()
            if heard.uid in uids:
                found = proc.stat(heard.pid)
                sender = ProcessId(pid=heard.pid, start_time=found.start_time) if found else None
                yield Message(name=name, sender=sender, assignments=heard.assignments)
            if (taken := listener.receive()) is not None:
                taken.close()

    # How it is done.

    def _open(self, name: str, definition: Definition, process: ProcessId | None = None) -> Channels:
        channels = self._channels.get(name)
        if channels is not None and process is None and not channels.fit(definition):
            self.release(name, self._definitions[name])
            channels = None
        if channels is None:
            channels = Channels(self._home.streams, name)
            channels.open_output(definition, self._held, process)
            self._channels[name] = channels
            for key, descriptor in _logs(name, channels):
                self.fifos[inode(descriptor)] = ""  # nobody's yet
                self._keeper.hold(descriptor)
                self._ending.discard(key)
                self._follow(name, key, definition)
                self._mover.add(key, descriptor, self._log_settings(key, definition))
        else:
            self._keep_logs(name, definition)
        self._definitions[name] = definition
        return channels

    def _let_go(self, log: str, descriptor: int) -> None:
        key = inode(descriptor)
        self.fifos.pop(key, None)
        self._keeper.withdraw(descriptor)
        # The keeper holds it until its last words are moved.
        self._leaving[log] = self._leaving.get(log, 0) + 1
        self._mover.remove(log, lambda: self._has_moved(key, log))

    def _has_moved(self, fifo: tuple[int, int], log: str) -> None:
        """Called by a thread of the mover's, when what was in a FIFO is in its log, and it is closed."""
        self._moved.append((fifo, log))
        os.eventfd_write(self._bell, 1)

    def _follow(self, name: str, key: str, definition: Definition) -> None:
        """Have a log forwarded, to a target that it did not have yet from its present end on."""
        path = self._home.log(key)
        begin = _end_of_file(path)
        priority = "info" if key == name else "err"
        log = Forwarded(
            path=path,
            ident=name,
            priority=PRIORITIES.index(priority),
            targets={target: begin for target in TARGETS if target in definition.log_to},
        )
        self._forwarding.follow(key, log)

    def _log_settings(self, key: str, definition: Definition) -> LogSettings:
        is_kept = FILE in definition.log_to
        # Lines may be left in it since the log was stamped.
        spool = self._home.spool(key)
        return LogSettings(
            path=self._home.log(key),
            spool=spool if definition.log_timestamps or os.path.exists(spool) else "",
            size=definition.log_size if is_kept else SPOOL_SIZE,
            keep=definition.log_keep if is_kept else SPOOL_FILES,
            every=definition.log_every,
            total=definition.log_total,
            age=definition.log_age,
            compress=definition.log_compress,
            timestamps=definition.log_timestamps,
        )

    def _hold_readiness(self, channels: Channels) -> None:
        if channels.ready >= 0:
            self._keeper.hold(channels.ready)
        if channels.listener is not None:
            self._keeper.hold(channels.listener.fileno())

    def _forget_readiness(self, channels: Channels) -> None:
        listener = -1 if channels.listener is None else channels.listener.fileno()
        self._forget([channels.ready, listener])
        channels.close_readiness()

    def _forget(self, descriptors: list[int]) -> None:
        for descriptor in descriptors:
            if descriptor >= 0:
                self._sources.ignore(descriptor)
                self._keeper.withdraw(descriptor)
                self._keeper.drop(inode(descriptor))


def _logs(name: str, channels: Channels) -> list[tuple[str, int]]:
    """The logs of a daemon, each with the FIFO that it comes from."""
    found = [(name, channels.out), (f"{name}.err", channels.err)]
    return [(key, descriptor) for key, descriptor in found if descriptor >= 0]


def _end_of(log: str, fifo: int) -> tuple[int, int]:
    """The inode of a log, and where it ends when what stands in its FIFO is moved.

    Without stamps, that is; what they add makes it a place a little before.
    """
    place, waiting = _end_of_file(log), 0
    for _ in range(_MOST_LOOKS):
        waiting = pipes.waiting_bytes(fifo)
        last, place = place, _end_of_file(log)
        if place == last:
            break  # nothing was moved between the two looks
    inode, size = place
    return inode, size + waiting


def _end_of_file(path: str) -> tuple[int, int]:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return 0, 0
    return found.st_ino, found.st_size
