"""The real kernel: `kernel.Kernel` over the system calls, the keeper, the fork helper and the thread that moves logs.

Nothing is decided here. What happens is gathered by poll(); the descriptor `fileno` becomes readable when there is
something to gather, the deaths of children apart (SIGCHLD tells of those).
"""

from __future__ import annotations

import json
import os
import pwd
import random
import select
import time
from collections import deque

from ..become.identity import look_up
from ..errors import DaemonError
from ..kernel import proc
from ..kernel.files import write_beside
from ..kernel.process import Process
from . import spawning
from .channels import Channels
from .deaths import Deaths
from .family import Families, find
from .house import inode
from .journal import Journal
from .kernel import Message, NotSpawned, Ready, Spawned
from .life import ProcessId
from .logs.settings import LogSettings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
    from typing import Any

    from ..become.listener import Listener
    from .definition import Definition
    from .forker_client import ForkerClient
    from .home import Home
    from .house import Keeper
    from .kernel import Ended, Happening, Marks, Order
    from .logs.mover import Mover

KEEPER, HELPER, MOVED, PIDFD, READY, NOTIFY = "keeper", "helper", "moved", "pidfd", "ready", "notify"
"""What a descriptor that is polled belongs to."""

Source = tuple[str, str | ProcessId]


class RealKernel:
    """What the supervisor may do, done."""

    def __init__(self, home: Home, keeper: Keeper, mover: Mover, lock: int, tell: Callable[[str], None]) -> None:
        """`lock` is the descriptor of the supervisor's lock."""
        self._home, self._keeper, self._mover, self._lock = home, keeper, mover, lock
        self._helper: ForkerClient | None = None
        self._held = {inode(one): one for one in keeper.held()}
        self._families = Families()
        self._mains: dict[int, tuple[int, str]] = {}
        """The main processes by pid: start time and invocation."""
        self._far: set[str] = set()
        """The invocations whose main process was nobody's child here when it was taken back."""
        self._fifos: dict[tuple[int, int], str] = {}
        """Whose FIFO each is, by device and inode: the invocation."""
        self._channels: dict[str, Channels] = {}
        self._definitions: dict[str, Definition] = {}
        self._poller = select.epoll()
        self._sources: dict[int, Source] = {}
        self._deaths = Deaths(keeper)
        self._keeper_pid = os.getppid()
        self._open_files = spawning.prepare_limits()
        self._own_variables = _account_variables()
        self._journal = Journal(home.journal)
        self._tell = tell
        self._moved: deque[tuple[int, int]] = deque()
        """The FIFOs of released daemons that are empty and closed."""
        self._bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._listen(keeper.fileno(), (KEEPER, ""))
        self._listen(self._bell, (MOVED, ""))

    def fileno(self) -> int:
        """Readable when poll() has something to gather, deaths of children apart."""
        return self._poller.fileno()

    def next_look(self) -> float | None:
        """CLOCK_MONOTONIC at which poll() may find something of which nothing tells."""
        return self._deaths.next_look()

    # Clocks and chance.

    def monotonic(self) -> float:
        """CLOCK_MONOTONIC."""
        return time.monotonic()

    def wall(self) -> float:
        """The wall clock."""
        return time.time()

    def chance(self) -> float:
        """A random number in [0, 1)."""
        return random.random()  # noqa: S311 - jitter, no secret

    def new_invocation(self) -> str:
        """128 random bits."""
        return os.urandom(16).hex()

    def boot(self) -> str:
        """The boot id and the pid namespace."""
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return f"{file.read().strip()} {os.readlink('/proc/self/ns/pid')}"

    # What is written down.

    def read_journal(self) -> list[dict[str, Any]]:
        """The records in order."""
        return self._journal.read()

    def write_journal(self, record: dict[str, Any]) -> None:
        """Append a record."""
        self._journal.append(record)

    def replace_journal(self, records: Iterable[dict[str, Any]]) -> None:
        """Let these be the records."""
        self._journal.replace(records)

    def read_wants(self) -> dict[str, Any]:
        """What was wanted."""
        try:
            with open(self._home.wants, encoding="utf-8") as file:
                found = json.load(file)
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def write_wants(self, wants: dict[str, Any]) -> None:
        """Keep what is wanted."""
        write_beside(self._home.wants, json.dumps(wants, indent=0).encode("ascii"), 0o600)

    def read_endings(self) -> list[Ended]:
        """What the keeper has seen."""
        return self._keeper.endings()

    def forget_endings(self) -> None:
        """Let the keeper forget them."""
        self._keeper.forget()

    # Processes.

    def spawn(self, order: Order) -> Spawned | NotSpawned | None:
        """Spawn by posix_spawn(3), or order it of the fork helper."""
        name, definition, invocation = order.name, order.definition, order.invocation
        try:
            channels = self._open(name, definition)
            self._forget_readiness(channels)
            channels.open_readiness(definition, invocation, {})
            channels.forget_readiness()
            self._hold_readiness(channels)
            # Before there is a daemon that could write to them: should this supervisor be killed, all is held.
            self._keeper.flush()
            streams = channels.streams(definition)
            if spawning.needs_helper(definition):
                # What it says is heard when the helper has told of it, which it can be quicker than.
                return self._order(order, streams)
            self._hear_readiness(name, channels)
            wanted = spawning.plan(order, streams, self._own_variables)
            outcome = spawning.spawn_at_once(wanted, self._open_files)
        except OSError as error:
            outcome = f"cannot open {error.filename or 'what it needs'}: {error.strerror or error}"
        except DaemonError as error:
            outcome = str(error)
        if isinstance(outcome, str):
            return NotSpawned(name=name, invocation=invocation, failure=outcome)
        self._deaths.add_child(outcome)
        self._has_main(outcome, name, invocation)
        return Spawned(name=name, invocation=invocation, process=outcome)

    def find(self, invocations: Collection[str]) -> dict[str, ProcessId]:
        """Those that live."""
        return find(invocations)

    def is_alive(self, process: ProcessId) -> bool:
        """Whether it runs."""
        return Process(process.pid, process.start_time).is_alive()

    def adopt(self, name: str, definition: Definition, invocation: str, process: ProcessId | None) -> None:
        """Hold what an earlier supervisor held."""
        channels = self._open(name, definition, process)
        found = None if process is None else proc.stat(process.pid)
        is_far = found is None or found.parent not in (os.getpid(), self._keeper_pid)
        if is_far:
            # Supervisor and keeper were killed: what is left of its family may be anybody's child.
            self._far.add(invocation)
        if process is None:
            return
        self._has_main(process, name, invocation)
        channels.open_readiness(definition, invocation, self._held)
        self._hold_readiness(channels)
        self._hear_readiness(name, channels)
        if is_far:
            self.watch(process)

    def watch(self, process: ProcessId) -> None:
        """Tell when it ends."""
        pidfd = self._deaths.watch(process)
        if pidfd is not None:
            self._listen(pidfd, (PIDFD, process))

    def send_signal(self, process: ProcessId, number: int) -> bool:
        """Send a signal; nothing where it is gone, or where it is not permitted (the kernel's word is told)."""
        try:
            if self._deaths.is_child(process):
                # Not reaped yet, so nobody else can have its pid.
                os.kill(process.pid, number)
                return True
            return Process(process.pid, process.start_time).send_signal(number)
        except PermissionError as error:
            self.tell(f"cannot send signal {number} to pid {process.pid}: {error.strerror}")
            return True

    def families(self, marks: Sequence[Marks]) -> list[tuple[ProcessId, ...]]:
        """Who is left of each."""
        helpers = frozenset() if self._helper is None else self._helper.pids
        own = {os.getpid(), self._keeper_pid, *helpers}
        is_far = not self._far.isdisjoint(one.invocation for one in marks)
        return self._families.look(marks, own=own, mains=self._mains, fifos=self._fifos, thorough=is_far)

    def reap(self, process: ProcessId) -> None:
        """Let it be forgotten."""
        if self._mains.get(process.pid, (0, ""))[0] == process.start_time:
            del self._mains[process.pid]
        # It may have been told of otherwise; what is opened next has the number of the pidfd, and is to be listened to.
        self._ignore(self._deaths.pidfd(process))
        self._deaths.reap(process)

    def release(self, name: str, definition: Definition | None) -> None:
        """Close what is held open for it."""
        channels = self._channels.get(name)
        if channels is None and definition is not None and Channels(self._home.streams, name).were_open(self._held):
            # Its last words, which an earlier supervisor could not move.
            channels = self._open(name, definition)
        if channels is not None:
            self._forget_readiness(channels)
            for log, descriptor in _logs(name, channels):
                self._let_go(log, descriptor)
            del self._channels[name], self._definitions[name]
        if definition is None:
            Channels(self._home.streams, name).remove()

    def tell(self, line: str) -> None:
        """Write to the supervisor's own log."""
        self._tell(line)

    # What happens.

    def poll(self) -> Iterator[Happening]:
        """All that has happened."""
        if self._held:
            self._drop_strangers()
        for descriptor, _ in self._poller.poll(0):
            source = self._sources.get(descriptor)
            if source is not None:
                yield from self._heard(descriptor, *source)
        yield from self._deaths.poll()

    def _drop_strangers(self) -> None:
        """Let go what an earlier supervisor held and nobody has taken back: the first turn comes after that."""
        for one, descriptor in self._held.items():
            self._keeper.drop(one)
            os.close(descriptor)
        self._held.clear()

    def _heard(self, descriptor: int, kind: str, whose: str | ProcessId) -> Iterator[Happening]:
        if isinstance(whose, ProcessId):
            self._ignore(descriptor)
            self._deaths.is_dying(whose)
        elif kind == HELPER:
            yield from self._helper_answers()
        elif kind == MOVED:
            self._drop_moved()
        elif kind in (READY, NOTIFY):
            channels = self._channels[whose]
            if kind == READY:
                yield from self._readiness(whose, channels)
            elif kind == NOTIFY and channels.listener is not None:
                yield from self._messages(whose, channels.listener)

    def _readiness(self, name: str, channels: Channels) -> Iterator[Ready]:
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
            self._forget_readiness(channels)
        else:
            channels.forget_readiness(len(said) - taken)

    def _messages(self, name: str, listener: Listener) -> Iterator[Message]:
        uids = {0, os.getuid(), _uid(self._definitions[name])}
        for _ in range(_MOST_MESSAGES):
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

    # The fork helper.

    def _order(self, order: Order, streams: spawning.Streams) -> NotSpawned | None:
        if self._helper is None:
            from .forker_client import ForkerClient

            self._helper = ForkerClient(open_files=self._open_files, lock=self._lock)
            self._listen(self._helper.fileno(), (HELPER, ""))
        own = self._own_variables if order.definition.user is None else {}
        outcome = self._helper.spawn(order, spawning.plan(order, streams, own))
        self._deaths.are_strangers_kept = self._helper.pending
        return outcome

    def _helper_answers(self) -> Iterator[Spawned | NotSpawned]:
        assert self._helper is not None
        for outcome in self._helper.receive():
            if isinstance(outcome, Spawned):
                self._deaths.add_child(outcome.process)
                self._has_main(outcome.process, outcome.name, outcome.invocation)
                self._hear_readiness(outcome.name, self._channels[outcome.name])
            yield outcome
        self._deaths.are_strangers_kept = self._helper.pending

    # Channels.

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
                self._fifos[inode(descriptor)] = ""  # nobody's yet
                self._keeper.hold(descriptor)
                self._mover.add(key, descriptor, self._log_settings(key, definition))
        elif self._definitions.get(name) != definition:
            for key, _ in _logs(name, channels):
                self._mover.change(key, self._log_settings(key, definition))
        self._definitions[name] = definition
        return channels

    def _let_go(self, log: str, descriptor: int) -> None:
        key = inode(descriptor)
        self._fifos.pop(key, None)
        self._keeper.withdraw(descriptor)
        # The keeper holds it until its last words are moved.
        self._mover.remove(log, lambda: self._has_moved(key))

    def _has_moved(self, fifo: tuple[int, int]) -> None:
        """Called by a thread of the mover's, when what was in a FIFO is in its log, and it is closed."""
        self._moved.append(fifo)
        os.eventfd_write(self._bell, 1)

    def _drop_moved(self) -> None:
        os.eventfd_read(self._bell)
        while self._moved:
            fifo = self._moved.popleft()
            # A new run may have opened it again meanwhile.
            if fifo not in self._fifos:
                self._keeper.drop(fifo)

    def _log_settings(self, key: str, definition: Definition) -> LogSettings:
        # Lines may be left in it since the log was stamped.
        spool = os.path.join(self._home.streams, f"{key}.spool")
        return LogSettings(
            path=self._home.log(key),
            spool=spool if definition.log_timestamps or os.path.exists(spool) else "",
            size=definition.log_size,
            keep=definition.log_keep,
            compress=definition.log_compress,
            timestamps=definition.log_timestamps,
        )

    def _hold_readiness(self, channels: Channels) -> None:
        if channels.ready >= 0:
            self._keeper.hold(channels.ready)
        if channels.listener is not None:
            self._keeper.hold(channels.listener.fileno())

    def _hear_readiness(self, name: str, channels: Channels) -> None:
        if channels.ready >= 0:
            self._listen(channels.ready, (READY, name))
        if channels.listener is not None:
            self._listen(channels.listener.fileno(), (NOTIFY, name))

    def _forget_readiness(self, channels: Channels) -> None:
        listener = -1 if channels.listener is None else channels.listener.fileno()
        for descriptor in (channels.ready, listener):
            if descriptor >= 0:
                self._ignore(descriptor)
                self._keeper.withdraw(descriptor)
                self._keeper.drop(inode(descriptor))
        channels.close_readiness()

    def _listen(self, descriptor: int, source: Source) -> None:
        if descriptor not in self._sources:
            self._poller.register(descriptor, select.EPOLLIN)
        self._sources[descriptor] = source

    def _ignore(self, descriptor: int) -> None:
        if self._sources.pop(descriptor, None) is not None:
            self._poller.unregister(descriptor)

    def _has_main(self, process: ProcessId, name: str, invocation: str) -> None:
        self._mains[process.pid] = process.start_time, invocation
        channels = self._channels[name]
        for _, descriptor in _logs(name, channels):
            fifo = inode(descriptor)
            if (last := self._fifos.get(fifo, "")) != invocation:
                # That run is over, and its whole family gone.
                self._families.forget(last)
                self._far.discard(last)
            self._fifos[fifo] = invocation

    def held(self) -> list[int]:
        """The FIFOs and sockets that a keeper is to hold."""
        return [one for name, channels in self._channels.items() for one in channels.descriptors()]

    def close(self) -> None:
        """Hold nothing any more; the daemons run on."""
        if self._helper is not None:
            self._helper.close()
        self._deaths.close()
        self._poller.close()
        self._journal.close()


_MOST_MESSAGES = 100
"""Notifications of one daemon that are taken in one turn."""


def _logs(name: str, channels: Channels) -> list[tuple[str, int]]:
    """The logs of a daemon, each with the FIFO that it comes from."""
    found = [(name, channels.out), (f"{name}.err", channels.err)]
    return [(key, descriptor) for key, descriptor in found if descriptor >= 0]


def _uid(definition: Definition) -> int:
    user = definition.user
    if user is None:
        return os.getuid()
    if user.isdigit():
        return int(user)
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        return os.getuid()


def _account_variables() -> dict[str, str]:
    """HOME, USER, LOGNAME and SHELL of this process's user; looked up once, because a name service may be slow."""
    account = look_up(os.geteuid())
    return {} if account is None else account.environment()
