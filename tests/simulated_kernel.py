"""A kernel that is played: processes, files, a keeper and a clock, of which a test writes the script.

`World` is what outlives a supervisor: the processes with their pids (used again soon), parents and start times, what
stands in the files and in the channels, the keeper, the clock. `SimulatedKernel` is `keep.kernel.Kernel` over it, for
one supervisor. What the world itself can tell to be wrong (two copies of a daemon, a signal to a stranger, a status
that is not true) it raises as a Violation; the rest is judged by `simulated_life`.
"""

from __future__ import annotations

import errno
import heapq
import os
import signal
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import partial
from random import Random
from typing import Any

from numen.keep import hooks
from numen.keep.definitions.definition import Definition
from numen.keep.kernel import (
    ALIVE,
    BEFORE_START,
    READY,
    Answered,
    ClockSet,
    Ended,
    Happening,
    Marks,
    Message,
    NotSpawned,
    Order,
    Question,
    Ready,
    Spawned,
)
from numen.keep.life import ProcessId
from numen.record import Record

SUPERVISOR, KEEPER, INIT = "supervisor", "keeper", "init"
"""Parents that are no daemons."""

TICKS = 100
"""Of the clock by which start times are told, per second."""

FIRST_PID = 100

ENDING_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGABRT)
"""What a program ends by; the others, KILL, STOP and CONT apart, it handles and goes on."""


class Violation(AssertionError):
    """Something that must never be."""

    def __init__(self, invariant: str, message: str) -> None:
        super().__init__(f"{invariant}: {message}")
        self.invariant = invariant


class Program(Record):
    """What one process will do; times are seconds after its start, `None` is never."""

    failure: str = ""
    """It cannot be spawned, because of this."""
    ready_after: float | None = 0.0
    lives: float | None = None
    status: int = 0
    """With which it ends by itself."""
    term_after: float | None = 0.0
    """Seconds from SIGTERM to its end; `None`: it ignores that."""
    term_status: int = -signal.SIGTERM
    strays: tuple[tuple[float, Program], ...] = ()
    """Children, each in a session of its own, by when they are forked."""
    hands_over_after: float | None = None
    """It forks a successor, tells with MAINPID= and ends."""
    forks_when_asked_to_end: bool = False
    says: tuple[tuple[float, dict[str, str]], ...] = ()
    """Notifications."""
    pings_every: float | None = None
    """It sends WATCHDOG=1 so often."""
    hangs_after: float | None = None
    """From then on it answers no probe, and sends nothing to its watchdog."""
    uses: tuple[tuple[float, int], ...] = ()
    """Bytes of memory, by when it begins to use them."""

    def hangs(self, age: float) -> bool:
        """Whether it no longer answers."""
        return self.hangs_after is not None and age >= self.hangs_after


class Reply(Record):
    """What comes of a question."""

    ok: bool = True
    after: float = 0.0
    """Seconds from the question to the answer; one that takes longer than its timeout is bad then."""
    message: str = ""
    status: int | None = None


class Process:
    """One process of the world."""

    def __init__(self, pid: int, start_time: int, parent: Process | str, program: Program) -> None:
        self.pid, self.start_time, self.parent, self.program = pid, start_time, parent, program
        self.name = self.invocation = ""
        """The daemon and the run to which it belongs; empty for a stranger."""
        self.is_main = False
        self.is_alive = True
        self.is_zombie = False
        self.is_suspended = self.was_suspended = False
        self.pending: list[int] = []
        self.status: int | None = None
        self.started_at = 0.0
        self.ready_at: float | None = None
        self.ended_at: float | None = None
        self.is_status_lost = False
        """Whether nobody of the house was its parent when it ended."""

    @property
    def id(self) -> ProcessId:
        return ProcessId(pid=self.pid, start_time=self.start_time)

    def __repr__(self) -> str:
        return f"<{self.name or 'stranger'} pid {self.pid} of {self.parent}>"


class World:
    """All that goes on when the supervisor is killed."""

    def __init__(self, random: Random, programs: Callable[[Order], Program]) -> None:
        self.random = random
        self.programs = programs
        """Tells what a daemon will do when it is spawned."""
        self.now = 1000.0
        self.boot_number = 1
        self.chance = 0.5
        self.table: dict[int, Process] = {}
        """Living processes and zombies, by pid."""
        self.by_id: dict[tuple[int, int], Process] = {}
        """All that there ever were."""
        self.of_daemon: dict[str, list[Process]] = {}
        self.definitions: dict[str, Definition] = {}
        """By which each run was spawned, by invocation."""
        self.journal: list[dict[str, Any]] = []
        self.wants: dict[str, Any] = {}
        self.tasks: dict[str, Any] = {}
        self.clock = 1.7e9
        """What the wall clock shows more than the other."""
        self.clocks_set = 0
        self.endings: list[Ended] = []
        self.ready: dict[str, str] = {}
        """What stands in the channel `fd:N` of a daemon: who wrote it, by name."""
        self.messages: dict[str, tuple[str, list[Message]]] = {}
        """The run to which the socket of a daemon belongs, and what stands in it, by name."""
        self.disk_is_full = False
        self.faults = 0.0
        """How likely a call is to fail."""
        self.excused = 0.0
        """Seconds by which what is due may come later, for faults and for the time without a supervisor."""
        self.away = 0.0
        """Seconds without a supervisor: by so much a stop may be shorter for the daemon, which got its signal late."""
        self.late_orders: list[tuple[float, Order]] = []
        """What the fork helper was ordered, and when it will have done it."""
        self.outcomes: list[Spawned | NotSpawned] = []
        self.replies: Callable[[Question], Reply] = self.reply
        """Tells what comes of a question when it is asked."""
        self.questions: dict[tuple[str, str], Question] = {}
        """Those that are open, by daemon and kind."""
        self.asked: list[Question] = []
        """All that were ever asked."""
        self.answers: list[Answered] = []
        self.prepared: set[str] = set()
        """The runs whose before_start has succeeded."""
        self.redefined: set[str] = set()
        """The daemons whose definitions have changed in this turn, perhaps between a decision and what follows."""
        self.is_waking = False
        """Whether the supervisor's poll() has something to gather."""
        self.first_signals: dict[str, float] = {}
        """When the first signal of its stop schedule was sent to a run."""
        self.kills_asked: set[str] = set()
        """The daemons to which somebody sent SIGKILL by command."""
        self.lives = 0
        """How many daemons were spawned."""
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = 0
        self._invocations = 0

    # The clock.

    def at(self, time: float, act: Callable[[], None]) -> None:
        self._numbers += 1
        heapq.heappush(self._events, (time, self._numbers, act))

    def next_event(self) -> float | None:
        return self._events[0][0] if self._events else None

    def advance(self, to: float) -> None:
        """Let time pass, and happen what is to happen."""
        while self._events and self._events[0][0] <= to:
            time, _, act = heapq.heappop(self._events)
            self.now = max(self.now, time)
            act()
        self.now = max(self.now, to)

    # Processes.

    def fork(self, parent: Process | str, program: Program) -> Process:
        pid, start_time = self._free_pid(), int(self.now * TICKS)
        process = self.table[pid] = Process(pid, start_time, parent, program)
        self.by_id[pid, start_time] = process
        process.started_at = self.now
        if isinstance(parent, Process):
            process.name, process.invocation = parent.name, parent.invocation
            self.of_daemon[process.name].append(process)
        return process

    def _free_pid(self) -> int:
        """The lowest that is free, so that one is used again at once; but not twice in one tick of the clock."""
        start_time = int(self.now * TICKS)
        pid = FIRST_PID
        while pid in self.table or (pid, start_time) in self.by_id:
            pid += 1
        return pid

    def run(self, process: Process) -> None:
        """Let the process do what its program says."""
        program = process.program
        if program.lives is not None:
            self._later(process, program.lives, lambda: self.die(process, program.status))
        for after, stray in program.strays:
            self._later(process, after, partial(self._fork_and_run, process, stray))
        if process.is_main:
            if program.ready_after is not None:
                self._later(process, program.ready_after, lambda: self._tell_ready(process))
            if program.pings_every is not None:
                self._later(process, program.pings_every, lambda: self._ping(process))
            for after, said in program.says:
                self._later(process, after, partial(self._notify, process, said))
            if program.hands_over_after is not None:
                self._later(process, program.hands_over_after, lambda: self._hand_over(process))

    def _fork_and_run(self, process: Process, program: Program) -> None:
        self.run(self.fork(process, program))

    def _later(self, process: Process, after: float, act: Callable[[], None]) -> None:
        def if_alive() -> None:
            if process.is_alive and not process.is_suspended:
                act()

        self.at(self.now + after, if_alive)

    def _tell_ready(self, process: Process) -> None:
        process.ready_at = self.now
        kind = self.definitions[process.invocation].ready
        if kind == "notify":
            self._notify(process, {"READY": "1"})
        elif kind.startswith("fd:"):
            self.ready[process.name] = process.invocation
            self.is_waking = True

    def _ping(self, process: Process) -> None:
        program = process.program
        assert program.pings_every is not None
        if not program.hangs(self.now - process.started_at):
            self._notify(process, {"WATCHDOG": "1"})
            self._later(process, program.pings_every, lambda: self._ping(process))

    def _notify(self, process: Process, said: dict[str, str]) -> None:
        owner, messages = self.messages.get(process.name, ("", []))
        definition = self.definitions[process.invocation]
        if (definition.ready == "notify" or definition.watchdog) and owner == process.invocation:
            messages.append(Message(name=process.name, sender=process.id, assignments=said))
            self.is_waking = True

    def _hand_over(self, process: Process) -> None:
        successor = self.fork(process, process.program.replace(hands_over_after=None, strays=(), ready_after=None))
        successor.is_main, successor.ready_at = True, process.ready_at
        self.run(successor)
        self._notify(process, {"MAINPID": str(successor.pid)})
        self._later(process, 0.5, lambda: self.die(process, 0))

    def stranger(self) -> Process:
        """A process that is none of ours."""
        process = self.fork(INIT, Program(lives=self.random.uniform(0.1, 20)))
        self.run(process)
        return process

    def deliver(self, process: Process, number: int) -> None:
        """A signal arrives."""
        program = process.program
        if not process.is_alive:
            return
        if number == signal.SIGKILL:
            after = self.random.choice((0.0, 0.0, 0.02))
            self.at(self.now + after, lambda: self.die(process, -number))
        elif number == signal.SIGSTOP:
            process.is_suspended = process.was_suspended = True
        elif number == signal.SIGCONT:
            process.is_suspended = False
            pending, process.pending = process.pending, []
            for one in pending:
                self.deliver(process, one)
        elif process.is_suspended:
            process.pending.append(number)
        elif number in ENDING_SIGNALS and program.term_after is not None:
            if program.forks_when_asked_to_end:
                self.run(self.fork(process, program.replace(forks_when_asked_to_end=False, lives=None)))
            self._later(process, program.term_after, lambda: self.die(process, program.term_status))

    def die(self, process: Process, status: int) -> None:
        if not process.is_alive:
            return
        process.is_alive, process.is_zombie, process.status = False, True, status
        process.ended_at = self.now
        if self.ready.get(process.name) == process.invocation and not self.family(process.invocation):
            pass  # the channel is held open: what stands in it stays
        top = process.parent
        while isinstance(top, Process):
            top = top.parent
        for one in self.table.values():
            if one.parent is process:
                one.parent = top
                self._wait_for(one)
        self._wait_for(process)
        self.is_waking = True

    def _wait_for(self, process: Process) -> None:
        """The parent takes notice of a child that has ended, the supervisor apart: that one takes its time."""
        if not process.is_zombie or process.parent == SUPERVISOR:
            return
        if process.parent == KEEPER:
            assert process.status is not None
            self.endings.append(Ended(process=process.id, status=process.status))
        else:
            process.is_status_lost = True
        self.bury(process)

    def bury(self, process: Process) -> None:
        process.is_zombie = False
        del self.table[process.pid]

    def family(self, invocation: str) -> list[Process]:
        """The living processes of a run."""
        return [one for one in self.table.values() if one.is_alive and invocation and one.invocation == invocation]

    def living(self, name: str) -> list[Process]:
        """The living processes of a daemon, whatever run they belong to."""
        return [one for one in self.of_daemon.get(name, ()) if one.is_alive]

    def same(self, process: ProcessId) -> Process | None:
        """That very process, unless it is dead and buried."""
        found = self.table.get(process.pid)
        return found if found is not None and found.start_time == process.start_time else None

    # Spawning.

    def new_invocation(self) -> str:
        self._invocations += 1
        return f"{self._invocations:032x}"

    def spawn(self, order: Order, parent: str) -> Spawned | NotSpawned:
        program = self.programs(order)
        if program.failure:
            return NotSpawned(name=order.name, invocation=order.invocation, failure=program.failure)
        if others := self.living(order.name):
            raise Violation("no second copy", f"{order.name} is spawned while {others} live")
        process = self.fork(parent, program)
        process.name, process.invocation, process.is_main = order.name, order.invocation, True
        self.of_daemon.setdefault(order.name, []).append(process)
        self.of_daemon[order.name] = [one for one in self.of_daemon[order.name] if one.is_alive]
        self.definitions[order.invocation] = order.definition
        self.ready.pop(order.name, None)
        self.messages[order.name] = order.invocation, []
        self.lives += 1
        self.run(process)
        return Spawned(name=order.name, invocation=order.invocation, process=process.id)

    def adjust(self, name: str, definition: Definition) -> None:
        """What takes hold at once of a definition does, also of what is being spawned."""
        for process in self.living(name):
            self.definitions[process.invocation] = definition
        self.late_orders = [
            (time, order.replace(definition=definition) if order.name == name else order)
            for time, order in self.late_orders
        ]

    def order_late(self, order: Order, after: float) -> None:
        self.late_orders.append((self.now + after, order))
        self.at(self.now + after, self._fulfil_late_orders)

    def _fulfil_late_orders(self) -> None:
        due = [order for time, order in self.late_orders if time <= self.now]
        self.late_orders = [(time, order) for time, order in self.late_orders if time > self.now]
        for order in due:
            self.outcomes.append(self.spawn(order, SUPERVISOR))
            self.is_waking = True

    # Questions.

    def reply(self, question: Question) -> Reply:
        """What a probe finds; all else succeeds."""
        if question.kind not in (READY, ALIVE):
            command = hooks.command_of(question.definition, question.kind) or ()
            is_ok = not command[-1].endswith("flaky") or self.random.random() < 0.5
            status = 0 if is_ok else 1
            return Reply(ok=is_ok, after=self.random.choice((0.0, 0.01, 0.3, 100.0)), message="no", status=status)
        mains = [one for one in self.family(question.invocation) if one.is_main]
        if not mains:
            return Reply(ok=False, message="connection refused")
        main = mains[-1]
        if main.is_suspended or main.program.hangs(self.now - main.started_at):
            return Reply(after=question.timeout)
        is_ok = question.kind == ALIVE or main.ready_at is not None
        return Reply(ok=is_ok, message="not up yet", after=0.01)

    def ask(self, question: Question) -> None:
        reply = self.replies(question)
        self.questions[question.name, question.kind] = question
        self.asked.append(question)
        is_late = reply.after >= question.timeout
        self.at(self.now + min(reply.after, question.timeout), lambda: self._answer(question, reply, is_late=is_late))

    def _answer(self, question: Question, reply: Reply, *, is_late: bool) -> None:
        key = question.name, question.kind
        if self.questions.get(key) is not question:
            return  # it was forgotten
        del self.questions[key]
        answer = Answered(
            name=question.name,
            invocation=question.invocation,
            kind=question.kind,
            ok=reply.ok and not is_late,
            message="no answer in time" if is_late else reply.message,
            status=None if is_late else reply.status,
        )
        self.answers.append(answer)
        if answer.ok and answer.kind == BEFORE_START:
            self.prepared.add(answer.invocation)
        self.is_waking = True

    # What befalls the house.

    def kill_supervisor(self, whom: str = SUPERVISOR) -> None:
        """The supervisor is killed; or the keeper, or (`both`) the two of them."""
        for _, order in self.late_orders:
            # The helper holds the lock until what it has begun is done; what it has not begun it drops.
            if self.random.random() < 0.5:
                self.spawn(order, SUPERVISOR)
        self.late_orders, self.outcomes = [], []
        # The runner ends with its supervisor, and what it ran with it.
        self.questions, self.answers = {}, []
        if whom == "both":
            self.messages.clear()
        # A supervisor whose keeper was killed becomes the keeper; whom the old one had adopted goes to init.
        new_parents = {SUPERVISOR: INIT if whom == "both" else KEEPER, KEEPER: KEEPER if whom == SUPERVISOR else INIT}
        for process in list(self.table.values()):
            if isinstance(process.parent, str):
                process.parent = new_parents.get(process.parent, INIT)
                self._wait_for(process)

    def set_clock(self, by: float) -> None:
        """Somebody sets the wall clock."""
        self.clock += by
        self.clocks_set += 1
        self.is_waking = True

    def reboot(self) -> None:
        self.late_orders, self.outcomes = [], []
        self.questions, self.answers = {}, []
        for process in list(self.table.values()):
            process.is_alive = process.is_zombie = False
            process.ended_at, process.is_status_lost = self.now, True
        self.table.clear()
        self._events.clear()
        self.ready.clear()
        self.messages.clear()
        self.endings.clear()
        self.boot_number += 1

    def fail_now_and_then(self, number: int = errno.EMFILE) -> None:
        if self.faults and self.random.random() < self.faults:
            self.excused += 1.5
            raise OSError(number, os.strerror(number))

    def need_space(self) -> None:
        if self.disk_is_full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class SimulatedKernel:
    """What one supervisor may do in a world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.lines: list[str] = []
        self._watched: dict[tuple[int, int], ProcessId] = {}
        self._heard: set[str] = set()
        """The daemons whose channels are open here."""
        self._seen = 0
        """How many of the keeper's endings were read or told."""
        self._told: set[tuple[int, int]] = set()
        self._wakes_at: float | None = None
        self._clocks_seen = world.clocks_set

    def monotonic(self) -> float:
        return self.world.now

    def wall(self) -> float:
        return self.world.clock + self.world.now

    def chance(self) -> float:
        return self.world.chance

    def new_invocation(self) -> str:
        return self.world.new_invocation()

    def boot(self) -> str:
        return f"boot {self.world.boot_number}"

    def read_journal(self) -> list[dict[str, Any]]:
        return list(self.world.journal)

    def write_journal(self, record: dict[str, Any]) -> None:
        self.world.need_space()
        self._check_truth(record)
        self.world.journal.append(record)

    def replace_journal(self, records: Iterable[dict[str, Any]]) -> None:
        self.world.need_space()
        self.world.journal = list(records)

    def _check_truth(self, record: dict[str, Any]) -> None:
        """Of a main process nothing may be written down as its ending but what is so."""
        life = record.get("life", {})
        if life.get("state") != "stopping" or life.get("ended_at") is None or life.get("process") is None:
            return
        pid, start_time = life["process"]["pid"], life["process"]["start_time"]
        process, told = self.world.by_id[pid, start_time], life.get("ending", {})
        if process.is_alive:
            raise Violation("statuses are true", f"{process} is said to have ended, and lives")
        if told.get("status") != process.status and not (told.get("status") is None and process.is_status_lost):
            raise Violation("statuses are true", f"{process} ended with {process.status}, it is said {told}")

    def read_wants(self) -> dict[str, Any]:
        return dict(self.world.wants)

    def write_wants(self, wants: dict[str, Any]) -> None:
        self.world.need_space()
        self.world.wants = dict(wants)

    def read_tasks(self) -> dict[str, Any]:
        return dict(self.world.tasks)

    def write_task(self, name: str, record: dict[str, Any] | None) -> None:
        self.world.need_space()
        self.world.tasks.pop(name, None)
        if record is not None:
            self.world.tasks[name] = record

    def wake_at_wall(self, wall: float | None) -> None:
        self.world.fail_now_and_then()
        self._wakes_at = wall
        self._clocks_seen = self.world.clocks_set
        if wall is not None:
            self.world.at(wall - self.world.clock, self._wake)

    def _wake(self) -> None:
        if self._wakes_at is not None and self._wakes_at <= self.wall():
            self.world.is_waking = True

    def read_endings(self) -> list[Ended]:
        self._seen = len(self.world.endings)
        return list(self.world.endings)

    def forget_endings(self) -> None:
        self.world.fail_now_and_then()
        self._forget()

    def _forget(self) -> None:
        for ended in self.world.endings[: self._seen]:
            key = ended.process.pid, ended.process.start_time
            self.world.by_id[key].is_status_lost |= self.world.disk_is_full
        del self.world.endings[: self._seen]
        self._seen = 0

    def spawn(self, order: Order) -> Spawned | NotSpawned | None:
        self.world.fail_now_and_then()
        self._heard.add(order.name)
        is_unprepared = order.definition.before_start is not None and order.invocation not in self.world.prepared
        if is_unprepared and order.name not in self.world.redefined:
            raise Violation("nothing is spawned unprepared", f"{order.name} is spawned without its before_start")
        if order.definition.nice is None:
            return self.world.spawn(order, SUPERVISOR)
        # What posix_spawn(3) cannot do the fork helper does, and takes its time.
        self.world.order_late(order, self.world.random.choice((0.0, 0.001, 0.3)))
        return None

    def find(self, invocations: Collection[str]) -> dict[str, ProcessId]:
        self.world.fail_now_and_then()
        found = {}
        for invocation in invocations:
            if members := self.world.family(invocation):
                eldest = min(members, key=lambda one: (not one.is_main, one.start_time, one.pid))
                found[invocation] = eldest.id
        return found

    def is_alive(self, process: ProcessId) -> bool:
        found = self.world.same(process)
        return found is not None and found.is_alive

    def adopt(self, name: str, definition: Definition, invocation: str, process: ProcessId | None) -> None:
        # What was changed while there was no supervisor, or was taken up just before one was killed.
        self.world.adjust(name, definition)
        self.world.fail_now_and_then()
        self._heard.add(name)
        if process is not None:
            self.watch(process)
        self.world.is_waking = True

    def watch(self, process: ProcessId) -> None:
        self.world.fail_now_and_then()
        self._watched[process.pid, process.start_time] = process
        self.world.is_waking = True

    def send_signal(self, process: ProcessId, number: int) -> bool:
        found = self.world.same(process)
        meant = self.world.by_id[process.pid, process.start_time]
        if meant.name and number == self.world.definitions[meant.invocation].stop[0][0]:
            self.world.first_signals.setdefault(meant.invocation, self.world.now)
        if found is None or not found.is_alive:
            return False
        self._check_signal(found, number)
        self.world.deliver(found, number)
        return True

    def _check_signal(self, process: Process, number: int) -> None:
        world = self.world
        if not process.name:
            raise Violation("no signal to a stranger", f"signal {number} to {process}")
        schedule = world.definitions[process.invocation].stop
        if number == signal.SIGKILL and process.name not in world.kills_asked and len(schedule) > 1:
            patience = sum(wait for _, wait in schedule[:-1])
            first = world.first_signals.get(process.invocation)
            if not patience:
                return
            if first is None or world.now < first + patience - world.away - 0.001:
                raise Violation("no stop is cut short", f"{process} is killed {patience} s too early or unasked")

    def kill_group(self, invocation: str) -> None:
        self.world.fail_now_and_then()

    def families(self, marks: Sequence[Marks]) -> list[tuple[ProcessId, ...]]:
        self.world.fail_now_and_then()
        return [tuple(self._members(one)) for one in marks]

    def _members(self, marks: Marks) -> Iterator[ProcessId]:
        main = marks.process
        for one in sorted(self.world.family(marks.invocation), key=lambda one: one.pid):
            if main is None or (one.pid, one.start_time) != (main.pid, main.start_time):
                yield one.id

    def poll(self) -> Iterator[Happening]:
        world = self.world
        world.is_waking = False
        while world.outcomes:
            yield world.outcomes[0]
            del world.outcomes[0]
        if self._clocks_seen < world.clocks_set:
            self._clocks_seen = world.clocks_set
            if self._wakes_at is not None:
                yield ClockSet()
        yield from self._written()
        while world.answers:
            yield world.answers[0]
            del world.answers[:1]
        while self._seen < len(world.endings):
            ended = world.endings[self._seen]
            self._seen += 1
            self._told.add((ended.process.pid, ended.process.start_time))
            yield ended
        for process in list(world.table.values()):
            if process.is_zombie and process.parent == SUPERVISOR:
                yield Ended(process=process.id, status=process.status)
        for key, one in list(self._watched.items()):
            if key in self._watched and world.same(one) is None:
                self._watched.pop(key)
                yield Ended(process=one, status=None)

    def _written(self) -> Iterator[Happening]:
        world = self.world
        for name in list(world.ready):
            if name in self._heard:
                yield Ready(name=name)
                world.ready.pop(name, None)
        for name, (_, messages) in list(world.messages.items()):
            while messages and name in self._heard:
                yield messages[0]
                del messages[0]

    def memory(self, marks: Sequence[Marks], bounds: Sequence[int]) -> list[int]:
        self.world.fail_now_and_then()
        assert len(marks) == len(bounds)
        return [sum(self._used(one) for one in self.world.family(mark.invocation)) for mark in marks]

    def _used(self, process: Process) -> int:
        age = self.world.now - process.started_at
        return max((size for after, size in process.program.uses if after <= age), default=0)

    def reap(self, process: ProcessId) -> None:
        key = process.pid, process.start_time
        self._watched.pop(key, None)
        # With a full disk the status may stand nowhere: a second fault, a kill, loses it.
        self.world.by_id[key].is_status_lost |= self.world.disk_is_full
        if key in self._told:
            self._told.discard(key)
            if not self._told:
                self._forget()
        found = self.world.same(process)
        if found is not None and found.is_zombie and found.parent == SUPERVISOR:
            self.world.bury(found)

    def ask(self, question: Question) -> None:
        self.world.fail_now_and_then()
        self.world.ask(question)

    def forget_questions(self, name: str, kinds: Collection[str] = ()) -> None:
        world = self.world
        for key in [key for key in world.questions if key[0] == name and (not kinds or key[1] in kinds)]:
            del world.questions[key]
        world.answers = [one for one in world.answers if one.name != name or (kinds and one.kind not in kinds)]

    def change_logs(self, name: str, definition: Definition) -> None:
        self.world.adjust(name, definition)
        self.world.fail_now_and_then()

    def release(self, name: str, definition: Definition | None) -> None:
        self.world.fail_now_and_then()
        if others := self.world.living(name):
            raise Violation("a family is ended whole", f"{name} is let go while {others} live")
        self._heard.discard(name)
        self.world.ready.pop(name, None)

    def tell(self, line: str) -> None:
        self.world.need_space()
        self.lines.append(line)
