"""The real kernel: `kernel.Kernel` over the system calls, the keeper, the fork helper and the thread that moves logs.

Nothing is decided here. What happens is gathered by poll(); the descriptor `fileno` becomes readable when there is
something to gather, the deaths of children apart (SIGCHLD tells of those).
"""

from __future__ import annotations

import json
import os
import random
import time
from contextlib import suppress

from ..errors import DaemonError
from ..kernel import proc
from ..kernel.files import write_beside
from ..kernel.process import Process
from ..kernel.timerfd import set_timer, wall_timer, was_clock_set
from ..settings import places
from . import cgroups, memory, spawning
from .deaths import Deaths
from .family import Families, find
from .forwarding_client import ForwardingClient
from .journal import Journal, boot
from .kernel import READY as READY_ASKED
from .kernel import ClockSet, NotSpawned, Spawned
from .life import ProcessId
from .sources import CLOCK, FORWARDER, HELPER, KEEPER, MOVED, NOTIFY, PIDFD, READY, RUNNER, Sources
from .wiring import LOG, Wiring

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
    from typing import Any

    from .definitions.definition import Definition
    from .forker_client import ForkerClient
    from .home import Home
    from .house import Keeper
    from .kernel import Answered, Ended, Happening, Marks, Order, Question
    from .logs.mover import Mover
    from .runner_client import RunnerClient

_TASK = ".json"
"""What stands behind a task's name in that of the file of its history."""


class RealKernel:
    """What the supervisor may do, done."""

    def __init__(self, home: Home, keeper: Keeper, mover: Mover, lock: int, tell: Callable[[str], None]) -> None:
        """`lock` is the descriptor of the supervisor's lock."""
        self._home, self._keeper, self._lock = home, keeper, lock
        self._helper: ForkerClient | None = None
        self._runner: RunnerClient | None = None
        self._families = Families()
        self._mains: dict[int, tuple[int, str]] = {}
        """The main processes by pid: start time and invocation."""
        self._far: set[str] = set()
        """The invocations whose main process was nobody's child here when it was taken back."""
        self._sources = Sources()
        self._deaths = Deaths(keeper)
        self._keeper_pid = os.getppid()
        self._groups = cgroups.Groups(cgroups.house_name(home.journal), self._keeper_pid)
        self._open_files = spawning.prepare_limits()
        self._forwarding = ForwardingClient(home.forwarded, self._open_files, tell)
        self._wiring = Wiring(home, keeper, mover, self._sources, self._forwarding)
        self._own_variables = spawning.account_variables()
        self._journal = Journal(home.journal)
        self._timer = -1
        """Of the wall clock; there is none where no task has a calendar."""
        self._tell = tell
        self._sources.listen(keeper.fileno(), (KEEPER, ""))
        self._sources.listen(self._forwarding.fileno(), (FORWARDER, ""))

    def fileno(self) -> int:
        """Readable when poll() has something to gather, deaths of children apart."""
        return self._sources.fileno()

    def next_look(self) -> float | None:
        """CLOCK_MONOTONIC at which poll() may find something of which nothing tells."""
        looks = (self._deaths.next_look(), None if self._runner is None else self._runner.next_look())
        return min((one for one in looks if one is not None), default=None)

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
        return boot()

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

    def read_tasks(self) -> dict[str, Any]:
        """What was kept of each."""
        found = {}
        for name in places.defined_in(self._home.tasks, _TASK):
            with suppress(OSError, ValueError), open(self._task(name), encoding="utf-8") as file:
                found[name] = json.load(file)
        return found

    def write_task(self, name: str, record: dict[str, Any] | None) -> None:
        """Keep it, in a file of its own."""
        if record is None:
            with suppress(FileNotFoundError):
                os.unlink(self._task(name))
            return
        os.makedirs(self._home.tasks, mode=0o700, exist_ok=True)
        write_beside(self._task(name), json.dumps(record).encode("ascii"), 0o600)

    def _task(self, name: str) -> str:
        return os.path.join(self._home.tasks, f"{name}{_TASK}")

    def wake_at_wall(self, wall: float | None) -> None:
        """Set the timer."""
        if self._timer < 0:
            if wall is None:
                return
            self._timer = wall_timer()
            self._sources.listen(self._timer, (CLOCK, ""))
        set_timer(self._timer, wall)

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
            streams = self._wiring.open(name, definition, invocation)
            # Those of its former runs, all of which are over.
            self._groups.tidy(name)
            if spawning.needs_helper(definition):
                # What it says is heard when the helper has told of it, which it can be quicker than.
                return self._order(order, streams, self._groups.make(name, definition, invocation))
            self._wiring.hear_readiness(name)
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
        self._wiring.take_back_output(name, definition, process)
        self._groups.adopt(name, definition, invocation)
        found = None if process is None else proc.stat(process.pid)
        is_far = found is None or found.parent not in (os.getpid(), self._keeper_pid)
        if is_far:
            # Supervisor and keeper were killed: what is left of its family may be anybody's child.
            self._far.add(invocation)
        if process is None:
            return
        self._has_main(process, name, invocation)
        self._wiring.take_back_readiness(name, definition, invocation)
        if is_far:
            self.watch(process)

    def watch(self, process: ProcessId) -> None:
        """Tell when it ends."""
        pidfd = self._deaths.watch(process)
        if pidfd is not None:
            self._sources.listen(pidfd, (PIDFD, process))

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
        # The runner is none of them: what its commands leave behind comes to it, and is no daemon's.
        helpers = frozenset() if self._helper is None else self._helper.pids
        own = {os.getpid(), self._keeper_pid, *helpers}
        is_far = not self._far.isdisjoint(one.invocation for one in marks)
        groups = {one.invocation: found for one in marks if (found := self._groups.processes(one.invocation))}
        fifos = self._wiring.fifos
        return self._families.look(marks, own=own, mains=self._mains, fifos=fifos, groups=groups, thorough=is_far)

    def kill_group(self, invocation: str) -> None:
        """Kill all that is in it."""
        self._groups.kill(invocation)

    def memory(self, marks: Sequence[Marks], bounds: Sequence[int]) -> list[int]:
        """What each family uses."""
        families = self.families(marks)
        found = []
        for one, members, bound in zip(marks, families, bounds, strict=True):
            main = [] if one.process is None else [one.process.pid]
            found.append(memory.used([*main, *(member.pid for member in members)], bound))
        return found

    def reap(self, process: ProcessId) -> None:
        """Let it be forgotten."""
        if self._mains.get(process.pid, (0, ""))[0] == process.start_time:
            del self._mains[process.pid]
        # It may have been told of otherwise; what is opened next has the number of the pidfd, and is to be listened to.
        self._sources.ignore(self._deaths.pidfd(process))
        self._deaths.reap(process)

    def release(self, name: str, definition: Definition | None) -> None:
        """Close what is held open for it."""
        self._wiring.release(name, definition)
        self._groups.tidy(name)

    def change_logs(self, name: str, definition: Definition) -> None:
        """Tell the thread that moves them."""
        self._wiring.change_logs(name, definition)

    def tell(self, line: str) -> None:
        """Write to the supervisor's own log."""
        self._tell(line)

    # What happens.

    def poll(self) -> Iterator[Happening]:
        """All that has happened."""
        self._wiring.drop_strangers()
        if self._runner is not None:
            self._runner.end_if_hung()
        for descriptor, source in self._sources.readable():
            yield from self._heard(descriptor, *source)
        yield from self._deaths.poll()

    def _heard(self, descriptor: int, kind: str, whose: str | ProcessId) -> Iterator[Happening]:
        if isinstance(whose, ProcessId):
            self._sources.ignore(descriptor)
            self._deaths.is_dying(whose)
        elif kind == HELPER:
            yield from self._helper_answers()
        elif kind == RUNNER:
            yield from self._runner_answers()
        elif kind == FORWARDER:
            self._forwarding.receive()
        elif kind == CLOCK:
            if was_clock_set(descriptor):
                yield ClockSet()
        elif kind == MOVED:
            self._wiring.drop_moved()
        elif kind == READY:
            yield from self._wiring.readiness(whose)
        elif kind == NOTIFY:
            yield from self._wiring.messages(whose)

    # The fork helper.

    def _order(self, order: Order, streams: spawning.Streams, cgroup: str) -> NotSpawned | None:
        if self._helper is None:
            from .forker_client import ForkerClient

            self._helper = ForkerClient(open_files=self._open_files, lock=self._lock)
            self._sources.listen(self._helper.fileno(), (HELPER, ""))
        own = self._own_variables if order.definition.user is None else {}
        outcome = self._helper.spawn(order, spawning.plan(order, streams, own, cgroup))
        self._deaths.are_strangers_kept = self._helper.pending
        return outcome

    def _helper_answers(self) -> Iterator[Spawned | NotSpawned]:
        assert self._helper is not None
        for outcome in self._helper.receive():
            if isinstance(outcome, Spawned):
                self._deaths.add_child(outcome.process)
                self._has_main(outcome.process, outcome.name, outcome.invocation)
                self._wiring.hear_readiness(outcome.name)
            yield outcome
        self._deaths.are_strangers_kept = self._helper.pending

    # The runner.

    def ask(self, question: Question) -> None:
        """Send it to the runner."""
        if self._runner is None:
            from .runner_client import RunnerClient

            self._runner = RunnerClient(open_files=self._open_files)
            self._sources.listen(self._runner.fileno(), (RUNNER, ""))
        is_of_log = question.kind == READY_ASKED and question.definition.ready.startswith(LOG)
        self._runner.ask(question, self._wiring.begins(question.name) if is_of_log else {})

    def forget_questions(self, name: str, kinds: Collection[str] = ()) -> None:
        """Tell the runner."""
        if self._runner is not None:
            self._runner.forget(name, kinds)

    def _runner_answers(self) -> Iterator[Answered]:
        assert self._runner is not None
        yield from self._runner.receive()

    def _has_main(self, process: ProcessId, name: str, invocation: str) -> None:
        self._mains[process.pid] = process.start_time, invocation
        self._wiring.begin_run(name, process.pid)
        for last in self._wiring.belongs_to(name, invocation):
            # That run is over, and its whole family gone.
            self._families.forget(last)
            self._far.discard(last)

    def held(self) -> list[int]:
        """The FIFOs and sockets that a keeper is to hold."""
        return self._wiring.held()

    def close(self) -> None:
        """Hold nothing any more; the daemons run on."""
        if self._helper is not None:
            self._helper.close()
        if self._runner is not None:
            self._runner.close()
        self._forwarding.close()
        if self._timer >= 0:
            os.close(self._timer)
        self._deaths.close()
        self._sources.close()
        self._journal.close()
