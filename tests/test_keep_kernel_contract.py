"""The simulated kernel and the real one keep the same promises, those of keep/kernel.py.

Each scenario runs on both. What a program does is told twice: as a `Program` of the simulation, and as a script.
"""

from __future__ import annotations

import os
import resource
import shlex
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any, cast

import pytest

from numen.keep.definitions.definition import Definition
from numen.keep.home import Home, lock_supervisor
from numen.keep.kernel import (
    Answered,
    Ended,
    Happening,
    Kernel,
    Marks,
    Message,
    NotSpawned,
    Order,
    Question,
    Ready,
    Spawned,
)
from numen.keep.life import ProcessId
from processes import wait_for
from simulated_kernel import KEEPER, Program, Reply, SimulatedKernel, World

pytestmark = pytest.mark.once

DEADLINE_SECONDS = 30

REST = "exec tail -f /dev/null"

NOTIFIES = """
import os, socket, time
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
    one.connect("\\0" + os.environ["NOTIFY_SOCKET"][1:])
    one.send(b"READY=1\\nSTATUS=serving")
os.execlp("tail", "tail", "-f", "/dev/null")
"""

PROGRAMS: dict[str, tuple[Program, str]] = {
    "rests": (Program(), REST),
    "ends": (Program(lives=0.05, status=7), "exit 7"),
    "forks": (Program(strays=((0.05, Program()),)), f"setsid tail -f /dev/null & {REST}"),
    "leaves": (Program(lives=0.1, strays=((0.05, Program()),)), "setsid tail -f /dev/null & exit 0"),
    "tells": (Program(ready_after=0.05), f"echo >&3; {REST}"),
    "notifies": (
        Program(says=((0.05, {"READY": "1", "STATUS": "serving"}),), ready_after=None),
        f"exec {shlex.quote(sys.executable)} -c {shlex.quote(NOTIFIES)}",
    ),
    "ignores": (Program(term_after=None), f"trap '' TERM; {REST}"),
}


class Stage:
    """A kernel, and what is needed to play a scenario on it."""

    kernel: Kernel

    def __init__(self) -> None:
        self.heard: list[Happening] = []

    def successor(self) -> None:
        """Another supervisor's kernel, as after a crash."""
        raise NotImplementedError

    def let_pass(self) -> None:
        """A little time."""

    def order(self, program: str, name: str = "web", **options: Any) -> Order:
        command = ("/bin/sh", "-c", PROGRAMS[program][1]) if program in PROGRAMS else (f"/nonexistent/{program}",)
        environment = {"PATH": os.environ["PATH"]}
        definition = Definition(command=command, environment=environment, **options)
        return Order(name=name, definition=definition, invocation=self.kernel.new_invocation())

    def spawn(self, program: str, name: str = "web", **options: Any) -> tuple[Order, ProcessId]:
        """A daemon that was spawned at once."""
        order = self.order(program, name, **options)
        outcome = self.kernel.spawn(order)
        assert isinstance(outcome, Spawned), outcome
        assert (outcome.name, outcome.invocation) == (name, order.invocation)
        return order, outcome.process

    def hear(self, what: Callable[[Happening], bool], *, reap: bool = True) -> Happening:
        """Poll until something happens."""

        def heard() -> Happening | None:
            self.let_pass()
            for happening in self.kernel.poll():
                self.heard.append(happening)
                if isinstance(happening, Ended):
                    if what(happening) and not reap:
                        return happening
                    self.kernel.reap(happening.process)
            return next((one for one in self.heard if what(one)), None)

        found = wait_for(heard, DEADLINE_SECONDS, "the happening")
        assert found is not None
        return found

    def ending(self, process: ProcessId, *, reap: bool = True) -> int | None:
        """The status with which it is told to have ended."""
        found = self.hear(lambda one: isinstance(one, Ended) and one.process == process, reap=reap)
        assert isinstance(found, Ended)
        return found.status

    def is_told(self, process: ProcessId) -> bool:
        """Whether one poll tells of its end."""
        for happening in self.kernel.poll():
            if isinstance(happening, Ended):
                if happening.process == process:
                    return True
                self.kernel.reap(happening.process)
        return False

    def family(self, order: Order, process: ProcessId | None, *members: ProcessId) -> tuple[ProcessId, ...]:
        self.let_pass()
        (found,) = self.kernel.families(
            [Marks(name=order.name, invocation=order.invocation, process=process, members=members)]
        )
        return found

    def member(self, order: Order, process: ProcessId) -> ProcessId:
        """The one member of its family, waited for."""

        (found,) = wait_for(lambda: self.family(order, process), DEADLINE_SECONDS, "the fork")
        return found

    def close(self) -> None:
        """Leave nothing behind."""


class SimulatedStage(Stage):
    def __init__(self) -> None:
        super().__init__()
        self.world = World(Random(1), self.program)
        self.world.kills_asked |= {"web", "mail"}  # here nobody is asked to end first
        self.world.replies = lambda asked: REPLIES[(asked.definition.before_start or ())[-1]]
        self.kernel = SimulatedKernel(self.world)

    def program(self, order: Order) -> Program:
        for program, script in PROGRAMS.values():
            if order.definition.command[-1] == script:
                return program
        return Program(failure=f"cannot execute {order.definition.command[0]}: No such file or directory")

    def let_pass(self) -> None:
        self.world.advance(self.world.now + 0.02)

    def successor(self) -> None:
        self.world.kill_supervisor(KEEPER)
        self.kernel = SimulatedKernel(self.world)


class StandIn:
    """A keeper that holds nothing and has seen nothing."""

    has_died = False

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()

    def fileno(self) -> int:
        return self._reader

    def held(self) -> list[int]:
        return []

    def endings(self) -> list[Ended]:
        return []

    def receive(self) -> list[Ended]:
        return []

    def __getattr__(self, name: str) -> Callable[..., None]:
        if name not in ("hold", "withdraw", "drop", "flush", "forget", "ready", "status", "stopping", "watchdog"):
            raise AttributeError(name)
        return lambda *_arguments: None

    def close(self) -> None:
        os.close(self._reader)
        os.close(self._writer)


class RealStage(Stage):
    def __init__(self) -> None:
        super().__init__()
        self.limits = {one: resource.getrlimit(one) for one in (resource.RLIMIT_NOFILE, resource.RLIMIT_CORE)}
        self.home = Home.found()
        self.lock = lock_supervisor(self.home.lock)
        self.keeper = StandIn()
        self.spawned: set[ProcessId] = set()
        self.begin()

    def begin(self) -> None:
        from numen.keep.logs.mover import Mover
        from numen.keep.real import RealKernel

        self.mover = Mover(lambda _line: None)
        self.real = RealKernel(self.home, cast("Any", self.keeper), self.mover, self.lock, lambda _line: None)
        self.kernel = self.real

    def successor(self) -> None:
        self.mover.close(1.0)
        self.real.close()
        self.begin()

    def close(self) -> None:
        for name in ("web", "mail"):
            self.real.release(name, None)
        self.mover.close(1.0)
        self.real.close()
        self.keeper.close()
        os.close(self.lock)
        for one, limit in self.limits.items():
            resource.setrlimit(one, limit)


@pytest.fixture(params=[SimulatedStage, RealStage], ids=["simulated", "real"])
def stage(request: pytest.FixtureRequest, numen_home: Path) -> Iterator[Stage]:
    stage: Stage = request.param()
    spawned: list[ProcessId] = []
    spawn = stage.kernel.spawn

    def remembered(order: Order) -> Any:
        outcome = spawn(order)
        if isinstance(outcome, Spawned):
            spawned.append(outcome.process)
        return outcome

    cast("Any", stage.kernel).spawn = remembered
    yield stage
    for process in spawned:
        stage.kernel.send_signal(process, signal.SIGKILL)
    stage.close()


# What is written down.


def test_what_is_written_in_the_journal_is_read_by_the_successor_in_order(stage: Stage) -> None:
    records = [{"name": "web", "life": {"since": number + 0.5, "by": "Jörg \udcff"}} for number in range(3)]
    for record in records:
        stage.kernel.write_journal(record)
    assert stage.kernel.read_journal() == records

    stage.successor()
    assert stage.kernel.read_journal() == records


def test_a_journal_that_is_written_anew_holds_that_and_what_comes_after(stage: Stage) -> None:
    stage.kernel.write_journal({"old": True})
    stage.kernel.replace_journal(iter([{"boot": "this"}, {"name": "web"}]))
    stage.kernel.write_journal({"name": "new"})

    assert stage.kernel.read_journal() == [{"boot": "this"}, {"name": "web"}, {"name": "new"}]


def test_at_first_there_is_nothing_to_be_read(stage: Stage) -> None:
    assert (stage.kernel.read_journal(), stage.kernel.read_wants(), stage.kernel.read_endings()) == ([], {}, [])


def test_what_is_wanted_is_what_was_written_last(stage: Stage) -> None:
    stage.kernel.write_wants({"web": True, "mail": True})
    stage.kernel.write_wants({"web": False})
    stage.successor()

    assert stage.kernel.read_wants() == {"web": False}


# Clocks and chance.


def test_time_goes_on_and_chance_is_below_one(stage: Stage) -> None:
    before = stage.kernel.monotonic()
    stage.let_pass()

    assert stage.kernel.monotonic() >= before
    assert stage.kernel.wall() > 1e9
    assert 0 <= stage.kernel.chance() < 1


def test_each_invocation_is_another_and_a_boot_is_one(stage: Stage) -> None:
    first, second = stage.kernel.new_invocation(), stage.kernel.new_invocation()

    assert first != second
    assert len(first) == 32
    assert int(first, 16) >= 0
    assert stage.kernel.boot() == stage.kernel.boot()


# Processes.


def test_a_daemon_that_was_spawned_is_alive_and_is_found_by_its_invocation(stage: Stage) -> None:
    order, process = stage.spawn("rests")

    assert stage.kernel.is_alive(process)
    found = wait_for(lambda: stage.kernel.find([order.invocation, "0" * 32]), DEADLINE_SECONDS, "its environment")
    assert found == {order.invocation: process}


def test_what_cannot_be_spawned_is_told_with_its_reason(stage: Stage) -> None:
    order = stage.order("program")
    outcome = stage.kernel.spawn(order)

    assert isinstance(outcome, NotSpawned)
    assert (outcome.name, outcome.invocation) == (order.name, order.invocation)
    assert "/nonexistent/program" in outcome.failure
    assert "No such file" in outcome.failure


def test_a_child_that_has_ended_is_told_again_until_it_is_reaped(stage: Stage) -> None:
    _, process = stage.spawn("ends")

    assert stage.ending(process, reap=False) == 7
    assert not stage.kernel.is_alive(process)
    assert stage.is_told(process)
    stage.kernel.reap(process)
    assert not stage.is_told(process)


def test_a_death_by_signal_is_told_as_a_negative_number(stage: Stage) -> None:
    _, process = stage.spawn("ignores")
    assert stage.kernel.send_signal(process, signal.SIGKILL)

    assert stage.ending(process) == -signal.SIGKILL


def test_a_signal_to_who_is_gone_is_no_error(stage: Stage) -> None:
    _, process = stage.spawn("ends")
    stage.ending(process)

    assert not stage.kernel.send_signal(process, signal.SIGTERM)


def test_a_process_with_another_start_time_is_a_stranger(stage: Stage) -> None:
    _, process = stage.spawn("rests")
    earlier = process.replace(start_time=process.start_time - 1)
    if isinstance(stage, SimulatedStage):
        stage.world.by_id[earlier.pid, earlier.start_time] = stage.world.fork(KEEPER, Program())

    assert not stage.kernel.is_alive(earlier)
    assert not stage.kernel.send_signal(earlier, signal.SIGKILL)
    assert stage.kernel.is_alive(process)


def test_a_reaping_of_what_is_no_child_is_nothing(stage: Stage) -> None:
    order, process = stage.spawn("forks")
    member = stage.member(order, process)
    stage.kernel.reap(member)

    assert stage.kernel.is_alive(member)
    stage.kernel.send_signal(member, signal.SIGKILL)


def test_what_the_fork_helper_spawns_is_told_later_and_its_end_after_that(stage: Stage) -> None:
    order = stage.order("ends", nice=3)
    assert stage.kernel.spawn(order) is None

    spawned = stage.hear(lambda one: isinstance(one, Spawned))
    assert isinstance(spawned, Spawned)
    assert spawned.invocation == order.invocation
    # As that of a stranger it can have been told before, where the helper is slow to answer.
    del stage.heard[: stage.heard.index(spawned)]
    assert stage.ending(spawned.process) == 7


def test_what_the_fork_helper_cannot_spawn_is_told_later_too(stage: Stage) -> None:
    order = stage.order("program", nice=3)
    outcome = stage.kernel.spawn(order) or stage.hear(lambda one: isinstance(one, NotSpawned))

    assert isinstance(outcome, NotSpawned)
    assert outcome.invocation == order.invocation
    assert "/nonexistent/program" in outcome.failure


# Families.


def test_a_member_in_a_session_of_its_own_belongs_to_the_family_and_the_main_process_does_not(stage: Stage) -> None:
    order, process = stage.spawn("forks")
    other, alone = stage.spawn("rests", "mail")
    member = stage.member(order, process)

    assert member != process
    assert stage.kernel.is_alive(member)
    assert stage.family(other, alone) == ()
    stage.kernel.send_signal(member, signal.SIGKILL)


def test_a_family_is_known_after_its_main_process_has_ended(stage: Stage) -> None:
    order, process = stage.spawn("leaves")
    assert stage.ending(process) == 0
    member = stage.member(order, process)

    stage.kernel.watch(member)
    assert stage.kernel.send_signal(member, signal.SIGKILL)
    stage.ending(member)
    assert stage.family(order, process, member) == ()


def test_the_end_of_who_is_gone_already_is_told_at_once(stage: Stage) -> None:
    order, process = stage.spawn("forks")
    member = stage.member(order, process)
    stage.kernel.send_signal(member, signal.SIGKILL)
    wait_for(lambda: stage.family(order, process, member) == (), DEADLINE_SECONDS, "its end")

    stage.kernel.watch(member)
    stage.ending(member)


def test_of_two_who_are_watched_by_turns_the_second_is_heard_too(stage: Stage) -> None:
    """What tells of the first one's end is closed, and the next thing that is opened has its number."""
    order, process = stage.spawn("forks")
    member = stage.member(order, process)
    _, gone = stage.spawn("ends", "mail")
    stage.ending(gone)
    _, first = stage.spawn("rests", "mail")
    stage.kernel.watch(first)
    stage.kernel.watch(gone)

    happenings = iter(stage.kernel.poll())
    for happening in happenings:
        assert isinstance(happening, Ended)
        if happening.process == gone:
            # Only now, so that it is seen as a child before anybody looks at what is watched.
            stage.kernel.send_signal(first, signal.SIGKILL)
            stage.let_pass()
            wait_for(lambda: not stage.kernel.is_alive(first), DEADLINE_SECONDS, "its end")
        stage.kernel.reap(happening.process)

    stage.kernel.watch(member)
    stage.kernel.send_signal(member, signal.SIGKILL)
    stage.ending(member)


# A successor.


def test_a_successor_adopts_a_daemon_and_is_told_of_its_end(stage: Stage) -> None:
    order, process = stage.spawn("ignores")
    stage.successor()

    stage.kernel.adopt(order.name, order.definition, order.invocation, process)
    assert stage.kernel.is_alive(process)
    assert not stage.is_told(process)
    assert stage.kernel.send_signal(process, signal.SIGKILL)
    assert stage.ending(process) == -signal.SIGKILL


def test_a_newline_on_the_channel_of_readiness_is_told_once(stage: Stage) -> None:
    stage.spawn("tells", ready="fd:3")

    assert stage.hear(lambda one: isinstance(one, Ready)) == Ready(name="web")
    assert [one for one in stage.kernel.poll() if isinstance(one, Ready)] == []


@pytest.mark.parametrize(("program", "kind"), [("tells", "fd:3"), ("notifies", "notify")])
def test_what_was_told_but_not_dealt_with_stays(stage: Stage, program: str, kind: str) -> None:
    """A supervisor that is killed in between leaves it to its successor."""
    stage.spawn(program, ready=kind)

    def first() -> Happening | None:
        stage.let_pass()
        return next(iter(stage.kernel.poll()), None)  # and the next one is not asked for

    told = wait_for(first, DEADLINE_SECONDS, "the readiness")
    assert isinstance(told, Ready | Message)
    again = [one for one in stage.kernel.poll() if isinstance(one, Ready | Message)]
    assert again[:1] == [told]
    assert [one for one in stage.kernel.poll() if isinstance(one, Ready | Message)] == []


def test_a_notification_is_told_with_its_sender(stage: Stage) -> None:
    _, process = stage.spawn("notifies", ready="notify")
    message = stage.hear(lambda one: isinstance(one, Message) and "STATUS" in one.assignments)

    assert message == Message(name="web", sender=process, assignments={"READY": "1", "STATUS": "serving"})


def test_a_daemon_that_is_let_go_can_be_spawned_again(stage: Stage) -> None:
    order, process = stage.spawn("ends", ready="fd:3")
    stage.ending(process)
    stage.kernel.release(order.name, order.definition)
    stage.kernel.release(order.name, order.definition)

    _, successor = stage.spawn("tells", ready="fd:3")
    assert successor != process
    assert stage.hear(lambda one: isinstance(one, Ready)) == Ready(name="web")


def test_nothing_is_left_of_the_name_of_a_daemon_that_is_removed(stage: Stage) -> None:
    _, process = stage.spawn("ends")
    stage.ending(process)
    stage.kernel.release("web", None)

    if isinstance(stage, RealStage):
        assert os.listdir(stage.home.streams) == []


# Questions.

REPLIES: dict[str, Reply] = {
    "exit 0": Reply(ok=True, after=0.05, status=0),
    "echo one; echo two >&2; exit 3": Reply(ok=False, after=0.05, message="exit status 3: one / two", status=3),
    "sleep 100": Reply(after=100),
}


def question(script: str, kind: str = "before_start", timeout: float = 10.0) -> Question:
    command = ("/bin/sh", "-c", script)
    definition = Definition(
        command=("/bin/true",), environment={"PATH": os.environ["PATH"]}, before_start=command, after_exit=command
    )
    return Question(name="web", invocation="0" * 32, kind=kind, definition=definition, timeout=timeout)


def answered(stage: Stage, kind: str = "before_start") -> Answered:
    found = stage.hear(lambda one: isinstance(one, Answered) and one.kind == kind)
    assert isinstance(found, Answered)
    return found


def test_a_command_that_succeeds_is_a_good_answer(stage: Stage) -> None:
    stage.kernel.ask(question("exit 0"))

    assert answered(stage) == Answered(name="web", invocation="0" * 32, kind="before_start", ok=True, status=0)


def test_a_command_that_fails_is_a_bad_one_with_its_last_words(stage: Stage) -> None:
    stage.kernel.ask(question("echo one; echo two >&2; exit 3"))

    answer = answered(stage)
    assert (answer.ok, answer.status, answer.message) == (False, 3, "exit status 3: one / two")


def test_what_takes_too_long_is_answered_badly(stage: Stage) -> None:
    stage.kernel.ask(question("sleep 100", timeout=0.1))

    answer = answered(stage)
    assert (answer.ok, answer.status) == (False, None)


def test_what_is_forgotten_or_asked_anew_is_not_answered(stage: Stage) -> None:
    stage.kernel.ask(question("echo one; echo two >&2; exit 3"))
    stage.kernel.ask(question("exit 0"))
    stage.kernel.ask(question("echo one; echo two >&2; exit 3", kind="after_exit"))
    stage.kernel.forget_questions("web", ["after_exit"])

    assert answered(stage).ok
    assert not any(isinstance(one, Answered) and not one.ok for one in stage.heard)
