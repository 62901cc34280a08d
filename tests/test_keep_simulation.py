"""Thousands of daemons' lives in a simulated world, and supervisors that are killed at every call they make.

What must hold at each step stands in `simulated_life`; a Violation prints its life as a test that can be pasted here.
`planted_bugs` shows that each invariant has teeth.
"""

from __future__ import annotations

import errno
import itertools
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

import planted_bugs
from numbered_kernel import AFTER, BEFORE, Crash, NumberedKernel
from numen.keep import ledger
from numen.keep.definitions.definition import Definition
from numen.keep.kernel import Order
from numen.keep.life import State
from numen.keep.requests import Outcome
from numen.keep.supervisor import Supervisor
from planted_bugs import BUGS, Bug
from simulated_kernel import KEEPER, SUPERVISOR, Program, SimulatedKernel, World
from simulated_life import BOTH, Script, play

pytestmark = pytest.mark.once

SEEDS = 40
"""So many lives in each test; each has some twenty-five runs of daemons and six hundred numbered calls."""


@pytest.mark.parametrize("block", range(3))
def test_every_promise_is_kept_in_lives_without_a_crash(block: int) -> None:
    for seed in range(block * SEEDS, (block + 1) * SEEDS):
        play(Script(seed=seed))


@pytest.mark.parametrize("block", range(3))
def test_every_promise_is_kept_when_supervisors_and_keepers_are_killed_at_random(block: int) -> None:
    for seed in range(10_000 + block * SEEDS, 10_000 + (block + 1) * SEEDS):
        play(Script(seed=seed, crashiness=0.02))


@pytest.mark.parametrize("block", range(3))
def test_every_promise_is_kept_on_a_full_disk_and_when_calls_fail(block: int) -> None:
    for seed in range(20_000 + block * SEEDS, 20_000 + (block + 1) * SEEDS):
        play(Script(seed=seed, crashiness=0.01, faults=0.03))


@pytest.mark.parametrize("crashiness", [0.0, 0.02])
def test_the_order_is_kept_when_daemons_refer_to_each_other(crashiness: float) -> None:
    for seed in range(50_000, 50_000 + SEEDS):
        play(Script(seed=seed, crashiness=crashiness, is_ordered=True))


@pytest.mark.parametrize("crashiness", [0.0, 0.02])
def test_every_promise_is_kept_of_tasks_whatever_the_clock_is_set_to(crashiness: float) -> None:
    for seed in range(50_000, 50_025):
        play(Script(seed=seed, tasks=0.7, crashiness=crashiness, faults=crashiness))


@pytest.mark.parametrize("seed", [30_000, 30_051, 30_058, 30_061, 30_063, 30_071])
@pytest.mark.parametrize("when", [BEFORE, AFTER])
def test_a_supervisor_may_be_killed_before_and_after_each_of_its_calls(seed: int, when: str) -> None:
    script = Script(seed=seed, steps=5)
    played = play(script)
    assert played.daemons > 3
    whoms = itertools.cycle((SUPERVISOR, KEEPER, BOTH))
    for number, whom in zip(range(1, played.calls + 1), whoms, strict=False):
        play(script.replace(crashes=((number, when, whom),)))


@pytest.mark.parametrize("seed", range(40_000, 40_002))
def test_its_successor_may_be_killed_at_each_of_its_first_calls_too(seed: int) -> None:
    """The reading back of the state is interrupted, from its first call on to the first turn."""
    first = play(Script(seed=seed, steps=4)).calls // 2
    for behind in range(1, 25):
        crashes = ((first, AFTER, SUPERVISOR), (first + behind, BEFORE, SUPERVISOR), (first + 2 * behind, AFTER, BOTH))
        play(Script(seed=seed, steps=4, crashes=crashes))


def test_a_life_is_the_same_each_time_it_is_played() -> None:
    script = Script(seed=7, crashiness=0.02, faults=0.02)

    assert play(script) == play(script)


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.plant.__name__)
def test_a_planted_bug_is_found(bug: Bug) -> None:
    found = planted_bugs.hunt(bug, seconds=30)

    assert found is not None
    assert found.invariant in bug.found_by, found.message
    assert found.lives <= bug.within


def test_a_failing_life_is_told_as_a_test_that_can_be_pasted() -> None:
    found = planted_bugs.hunt(BUGS[0])

    assert found is not None
    text = found.message[found.message.index("def test_") :].split("\n\n")[0]
    namespace: dict[str, Any] = {"play": play, "Script": Script}
    exec(text, namespace)
    (test,) = (value for name, value in namespace.items() if name.startswith("test_seed"))
    test()


# What was found once, told step by step.


class House:
    """A world of one's own, and the supervisors in it, one after the other."""

    def __init__(self, **programs: Program) -> None:
        self.world = World(Random(1), lambda order: programs[order.name])
        self.files = {name: Definition(command=("/bin/it",)) for name in programs}
        self.answers: list[str] = []
        self.begin()

    def begin(self, crashes: dict[int, str] | None = None) -> None:
        self.kernel = SimulatedKernel(self.world)
        self.supervisor = Supervisor(NumberedKernel(self.kernel, crashes or {}))
        self.supervisor.recover(self.files)
        self.supervisor.turn()

    def crash(self) -> None:
        self.world.kill_supervisor()
        self.begin()

    def ask(self, verb: str, name: str) -> None:
        getattr(self.supervisor, verb)(name, "somebody", self.answered)
        self.supervisor.turn()
        self.let_pass(0.001)

    def answered(self, outcome: Outcome) -> None:
        self.answers.append(outcome.error or outcome.message)

    def let_pass(self, seconds: float) -> None:
        until = self.world.now + seconds
        while self.world.now < until:
            due = [until, self.supervisor.next_deadline(), self.world.next_event()]
            self.world.advance(min(one for one in due if one is not None))
            self.supervisor.turn()

    def state(self, name: str) -> State:
        return self.supervisor.daemons[name].life.state


@pytest.fixture
def house() -> Callable[..., House]:
    return House


def test_two_who_remove_a_daemon_are_both_answered(house: Callable[..., House]) -> None:
    one = house(web=Program())
    one.supervisor.remove("web", "somebody", one.answered)
    one.ask("remove", "web")
    one.let_pass(1)

    assert one.answers == ["is removed", "is removed"]


def test_a_stop_that_only_the_journal_knows_of_outlives_a_reboot(house: Callable[..., House]) -> None:
    one = house(web=Program())
    one.world.wants["web"] = True
    one.supervisor.stop("web", "somebody", one.answered)  # it was written down, and no turn came
    one.crash()
    one.world.reboot()
    one.begin()

    assert one.state("web") is State.STOPPED


def test_a_daemon_that_was_being_stopped_for_a_shutdown_is_brought_back_after_a_crash(
    house: Callable[..., House],
) -> None:
    one = house(web=Program(term_after=1.0))
    one.supervisor.shut_down()
    one.supervisor.turn()
    one.crash()
    one.let_pass(2)

    assert one.state("web") is State.RUNNING


def test_a_start_during_a_shutdown_is_refused_and_starts_nothing(house: Callable[..., House]) -> None:
    one = house(web=Program())
    one.ask("stop", "web")
    one.supervisor.shut_down()
    one.ask("start", "web")
    one.let_pass(1)

    assert one.answers == ["is stopped", "Superseded"]
    assert one.supervisor.is_at_rest


def test_nothing_is_doubled_when_the_disk_was_full_at_the_start(house: Callable[..., House]) -> None:
    one = house(web=Program())
    one.world.reboot()
    one.world.disk_is_full = True
    one.begin()
    one.world.disk_is_full = False
    one.let_pass(5)
    one.crash()

    assert one.state("web") is State.RUNNING
    assert one.world.lives == 2


def test_a_definition_that_could_not_be_written_down_is_written_before_the_daemon_is_spawned(
    house: Callable[..., House],
) -> None:
    one = house(web=Program(), new=Program())
    one.files.pop("new")
    one.ask("remove", "new")
    one.world.disk_is_full = True
    one.supervisor.define("new", Definition(command=("/bin/it",)))
    one.world.disk_is_full = False
    one.ask("start", "new")
    one.crash()

    assert one.state("new") is State.STARTING
    assert len(one.world.living("new")) == 1


def test_a_run_takes_up_at_once_what_needs_no_restart_and_all_else_with_its_next_run(
    house: Callable[..., House],
) -> None:
    one = house(web=Program(term_after=None))
    one.let_pass(1)
    before = one.files["web"].ready
    one.files["web"] = Definition(command=("/bin/it",), stop=((9, 1.0),), ready="fd:3")
    one.supervisor.define("web", one.files["web"])
    one.crash()

    assert one.supervisor.daemons["web"].in_use.ready == before != "fd:3"
    assert one.supervisor.daemons["web"].in_use.stop == ((9, 1.0),)
    one.ask("restart", "web")
    one.let_pass(15)
    assert one.supervisor.daemons["web"].in_use.ready == "fd:3"


def test_a_stray_of_a_process_that_was_never_recorded_is_ended_before_the_next_is_spawned() -> None:
    stray = Program(term_after=None)
    world = World(Random(1), lambda order: Program(lives=0.1, strays=((0.05, stray),)))
    files = {"web": Definition(command=("/bin/it",))}
    kernel = NumberedKernel(SimulatedKernel(world), {})
    number = 0
    while kernel.last != "spawn":
        number += 1
        world = World(Random(1), lambda order: Program(lives=0.1, strays=((0.05, stray),)))
        kernel = NumberedKernel(SimulatedKernel(world), {number: AFTER})
        with pytest.raises(Crash):
            Supervisor(kernel).recover(files)
    world.kill_supervisor()
    world.advance(world.now + 1)
    successor = Supervisor(SimulatedKernel(world))
    successor.recover(files)  # World.spawn() would tell of a second copy

    assert len(world.living("web")) == 1
    assert successor.daemons["web"].life.has_main


def test_an_order_to_the_fork_helper_is_not_given_for_what_is_to_be_stopped_already(
    house: Callable[..., House],
) -> None:
    one = house(web=Program())
    one.ask("stop", "web")
    lives = one.world.lives
    one.supervisor.start("web", "somebody", one.answered)
    one.ask("stop", "web")

    assert one.world.lives == lives
    assert one.answers == ["is stopped", "Superseded", "is stopped"]


def test_a_program_that_is_not_there_is_told_with_its_reason(house: Callable[..., House]) -> None:
    one = house(web=Program(failure="cannot execute /bin/it: No such file or directory"))
    one.supervisor.start("web", "somebody", lambda outcome: one.answers.append(outcome.message))
    one.supervisor.turn()

    assert one.answers == ["cannot execute /bin/it: No such file or directory; it will be tried again"]


def test_a_process_id_of_thousands_of_digits_is_none(house: Callable[..., House]) -> None:
    number = "9" * 5000
    said = ((0.1, {"MAINPID": number, "EXTEND_TIMEOUT_USEC": number, "READY": "1", "STATUS": "at work"}),)
    one = house(web=Program(says=said, strays=((0.05, Program()),)))
    one.supervisor.define("web", Definition(command=("/bin/it",), ready="notify"))
    one.ask("restart", "web")
    one.let_pass(1)

    life = one.supervisor.daemons["web"].life
    assert (life.state, life.status) == (State.RUNNING, "at work")


def test_a_journal_that_cannot_be_written_anew_for_want_of_descriptors_ends_nothing(
    house: Callable[..., House], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_descriptor(_self: SimulatedKernel) -> str:
        raise OSError(errno.EMFILE, "Too many open files")

    one = house(web=Program())
    monkeypatch.setattr(ledger, "MOST_RECORDS", 2)
    monkeypatch.setattr(SimulatedKernel, "boot", no_descriptor)
    one.ask("stop", "web")
    one.ask("start", "web")
    one.ask("stop", "web")
    assert one.kernel.lines == ["cannot write the journal anew: Too many open files"]

    monkeypatch.undo()
    one.crash()
    assert one.state("web") is State.STOPPED


def test_on_a_full_disk_a_thousand_daemons_do_not_each_try_to_write_all(
    house: Callable[..., House], monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = []
    replace = SimulatedKernel.replace_journal

    def counted(self: SimulatedKernel, records: Any) -> None:
        tries.append(self.world.now)
        replace(self, records)

    one = house(**{f"web-{number}": Program() for number in range(20)})
    one.world.reboot()
    one.world.disk_is_full = True
    monkeypatch.setattr(SimulatedKernel, "replace_journal", counted)
    one.begin()
    one.let_pass(3)
    assert 0 < len(tries) < 10

    one.world.disk_is_full = False
    one.let_pass(40)
    assert {one.state(name) for name in one.files} == {State.RUNNING}


def test_of_a_daemon_whose_file_is_gone_too_nothing_is_remembered(house: Callable[..., House]) -> None:
    one = house(web=Program(), mail=Program())
    one.ask("remove", "web")
    assert one.world.wants == {"web": False, "mail": True}

    one.supervisor.file_is_gone("web")
    one.supervisor.file_is_gone("mail")
    one.supervisor.turn()
    assert one.world.wants == {"mail": True}


def test_what_is_asked_in_an_answer_is_done_in_the_same_turn(house: Callable[..., House]) -> None:
    one = house(web=Program())
    supervisor = one.supervisor
    supervisor.stop("web", "somebody", lambda _outcome: supervisor.start("web", "somebody", one.answered))
    supervisor.turn()
    while one.state("web") is State.STOPPING:
        one.world.advance(one.world.next_event() or one.world.now)
        supervisor.turn()

    assert one.supervisor.daemons["web"].life.process is not None


def test_the_simulated_world_knows_who_orders_what() -> None:
    orders: list[Order] = []

    def programs(order: Order) -> Program:
        orders.append(order)
        return Program()

    world = World(Random(1), programs)
    Supervisor(SimulatedKernel(world)).recover({"web": Definition(command=("/bin/it", "now"))})

    assert [(one.name, one.definition.command) for one in orders] == [("web", ("/bin/it", "now"))]
