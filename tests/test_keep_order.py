"""The order among daemons: whatever refers to whatever, what can start does, and nothing goes before what needs it."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numen.keep.definitions.definition import NEVER, Definition
from numen.keep.definitions.references import COMPLETED, READY, STARTED, Reference
from numen.keep.life import State
from numen.keep.requests import Outcome
from numen.keep.supervisor import Supervisor
from simulated_kernel import Process, Program, SimulatedKernel, World

pytestmark = pytest.mark.once

IT = Definition(command=("/bin/it",), ready="fd:3")

LIVES = Program(ready_after=0.1, term_after=0.1)


def needs(*names: str, condition: str = READY) -> tuple[Reference, ...]:
    return tuple(Reference(name=name, condition=condition) for name in names)


class House:
    """Daemons that refer to each other, in a world of their own."""

    def __init__(self, **files: Definition) -> None:
        self.files = files
        self.programs: dict[str, Program] = {}
        self.world = World(Random(1), lambda order: self.programs.get(order.name, LIVES))
        self.told: list[str] = []
        self.answers: dict[str, Outcome] = {}
        self.begin()

    def begin(self) -> None:
        self.supervisor = Supervisor(SimulatedKernel(self.world), self._changed)
        self.supervisor.recover(self.files)
        self.supervisor.turn()

    def crash(self) -> None:
        self.world.kill_supervisor()
        self.begin()

    def _changed(self, change: object) -> None:
        self.told += [f"{change.name} {one.kind}" for one in change.notices]  # type: ignore[attr-defined]

    def ask(self, verb: str, *names: str) -> None:
        for name in names:
            self.answers.pop(name, None)
            getattr(self.supervisor, verb)(name, "ann", lambda outcome, name=name: self.answers.update({name: outcome}))
        self.supervisor.turn()

    def let_pass(self, seconds: float) -> None:
        until = self.world.now + seconds
        while self.world.now < until:
            due = [until, self.supervisor.next_deadline(), self.world.next_event()]
            self.world.advance(min(one for one in due if one is not None))
            self.supervisor.turn()

    def fail(self, name: str, status: int = 1) -> None:
        (main,) = (one for one in self.world.living(name) if one.is_main)
        self.world.die(main, status)
        self.supervisor.turn()

    def states(self) -> dict[str, str]:
        return {name: one.life.state.value for name, one in self.supervisor.daemons.items()}

    def reason(self, name: str) -> str:
        return self.supervisor.daemons[name].life.reason

    def runs(self, name: str) -> list[Process]:
        return [one for one in self.world.by_id.values() if one.name == name and one.is_main]


CHAIN = {"web": IT.replace(requires=needs("db")), "db": IT.replace(requires=needs("disk")), "disk": IT}


def test_a_start_waits_for_what_it_requires_and_that_is_started_with_it() -> None:
    house = House(**{name: one.replace(start=False) for name, one in CHAIN.items()})
    house.ask("start", "web")
    assert house.states() == {"web": "waiting", "db": "waiting", "disk": "starting"}
    assert house.reason("web") == "waits for db to be ready"

    house.let_pass(0.5)
    assert [one for one in house.told if one.endswith("running")] == ["disk running", "db running", "web running"]
    assert house.answers["web"].message.startswith("is up")


def test_at_boot_what_is_required_is_started_too_unless_a_person_has_stopped_it() -> None:
    house = House(web=CHAIN["web"], db=IT.replace(start=False))
    house.let_pass(0.5)
    assert house.states() == {"web": "running", "db": "running"}

    house.ask("stop", "db")
    house.let_pass(1)
    house.world.reboot()
    house.begin()
    assert house.states() == {"web": "waiting", "db": "stopped"}


def test_whom_one_starts_after_is_waited_for_only_where_that_is_started_too() -> None:
    house = House(web=IT.replace(after=needs("db", "nobody"), start=False), db=IT.replace(start=False))
    house.ask("start", "web")
    assert house.states()["web"] == "starting"

    house.ask("stop", "web")
    house.let_pass(1)
    house.ask("start", "web", "db")  # in one breath
    assert house.states() == {"web": "waiting", "db": "starting"}


@pytest.mark.parametrize(("condition", "state"), [(STARTED, "starting"), (READY, "waiting"), (COMPLETED, "waiting")])
def test_a_condition_is_waited_for(condition: str, state: str) -> None:
    house = House(web=IT.replace(requires=needs("db", condition=condition)), db=IT)

    assert house.states()["web"] == state


def test_one_that_waits_for_another_to_be_completed_starts_when_that_has_succeeded() -> None:
    house = House(web=IT.replace(requires=needs("db", condition=COMPLETED)), db=IT.replace(restart=NEVER))
    house.let_pass(0.2)
    house.fail("db", status=0)
    assert house.states() == {"web": "starting", "db": "exited"}

    house.let_pass(0.2)
    house.ask("stop", "db")
    assert house.states() == {"web": "running", "db": "stopped"}


def test_a_stop_comes_to_those_first_that_require_it_and_they_come_back_with_it() -> None:
    house = House(**CHAIN)
    house.let_pass(0.5)
    house.ask("stop", "disk")
    assert house.states() == {"web": "stopping", "db": "running", "disk": "running"}
    assert house.reason("web") == "stopped because db is"
    assert not house.supervisor.daemons["disk"].life.wanted

    house.crash()
    house.let_pass(1)
    assert house.states() == {"web": "waiting", "db": "waiting", "disk": "stopped"}
    assert house.reason("db") == "waits for disk, which is stopped"
    ends = [house.runs(name)[-1].ended_at or 0.0 for name in ("web", "db", "disk")]
    assert ends == sorted(ends)

    house.ask("start", "disk")
    house.let_pass(1)
    assert set(house.states().values()) == {"running"}


def test_one_that_fails_for_good_ends_those_that_require_it() -> None:
    house = House(**CHAIN, mail=IT.replace(after=needs("disk")))
    house.supervisor.define("disk", IT.replace(restart=NEVER))
    house.ask("restart", "disk")
    house.let_pass(1)
    house.fail("disk")
    house.let_pass(1)

    assert house.states() == {"web": "waiting", "db": "waiting", "disk": "failed", "mail": "running"}
    assert house.reason("db") == "waits for disk, which has failed: exit status 1"
    house.programs["disk"] = Program(failure="cannot execute /bin/it")
    house.ask("start", "web")
    assert (house.answers["web"].error, house.states()["web"]) == ("NotStarted", "waiting")


def test_a_start_that_requires_what_is_not_defined_is_told_so() -> None:
    house = House(web=CHAIN["web"].replace(start=False))
    house.ask("start", "web")
    assert house.answers["web"].message == "is not up: requires db, which is not defined"

    house.supervisor.define("db", IT)
    house.ask("start", "db")
    house.let_pass(0.5)
    assert house.states() == {"web": "running", "db": "running"}


def test_a_crash_and_a_restart_leave_those_running_that_require_it_but_for_whom_is_restarted_with_it() -> None:
    house = House(**CHAIN, mail=IT.replace(requires=needs("disk"), restart_with=("disk",)))
    house.let_pass(0.5)
    house.fail("disk")
    house.let_pass(1)
    assert [len(house.runs(name)) for name in ("disk", "db", "web", "mail")] == [2, 1, 1, 2]

    house.ask("restart", "disk")
    house.let_pass(2)
    assert [len(house.runs(name)) for name in ("disk", "db", "web", "mail")] == [3, 1, 1, 3]
    assert house.supervisor.daemons["mail"].life.by == "the new run of disk"


def test_a_run_of_a_task_that_waits_for_others_to_stop_goes_on_under_the_next_supervisor() -> None:
    house = House(sums=IT.replace(schedule_every=100.0), site=IT.replace(requires=needs("sums", condition=STARTED)))
    house.programs["site"] = LIVES.replace(term_after=5.0)
    house.ask("run", "sums")
    house.let_pass(1)
    assert house.states() == {"sums": "running", "site": "running"}
    house.supervisor.shut_down()
    house.supervisor.turn()
    assert house.states() == {"sums": "running", "site": "stopping"}

    house.crash()
    house.let_pass(20)
    assert house.states() == {"sums": "running", "site": "running"}
    assert len(house.runs("sums")) == 1


def test_a_single_run_starts_what_it_requires_and_is_told_of_what_will_not_come() -> None:
    once = IT.replace(restart=NEVER, start=False)
    house = House(db=IT.replace(start=False), sums=once.replace(requires=needs("db")))
    house.ask("run", "sums")
    house.let_pass(1)
    assert house.states() == {"db": "running", "sums": "running"}
    house = House(sums=once.replace(requires=needs("db")))
    house.ask("run", "sums")
    assert house.answers["sums"].error == "NotStarted"


def test_who_waits_for_the_end_of_a_task_that_is_run_once_more_is_told_so() -> None:
    house = House(sums=IT.replace(schedule_every=100.0, schedule_at_start=True))
    house.let_pass(1)
    house.ask("remove", "sums")
    house.supervisor.run("sums", "bob", lambda _outcome: None)
    house.let_pass(5)
    assert house.states() == {"sums": "running"}
    assert (house.answers["sums"].error, house.answers["sums"].message) == ("Superseded", "is run once more: bob")


def test_one_that_is_defined_again_while_it_is_being_removed_stays() -> None:
    house = House(web=IT)
    house.programs["web"] = LIVES.replace(term_after=1.0)
    house.let_pass(1)
    house.ask("remove", "web")
    house.supervisor.keep("web", "ann")
    assert house.answers["web"].error == "Superseded"
    house.ask("start", "web")
    house.let_pass(5)
    assert house.states() == {"web": "running"}


def test_a_circle_is_drawn_and_keeps_nothing_from_being_stopped() -> None:
    house = House(a=IT.replace(requires=needs("b")), b=IT.replace(after=needs("a")), c=IT.replace(requires=needs("b")))
    house.let_pass(0.5)
    assert house.states() == {"a": "waiting", "b": "waiting", "c": "waiting"}
    assert house.reason("a") == "waits for itself: a → b → a"
    assert house.reason("c") == "waits for b, which is held back itself"

    house.supervisor.define("b", IT)
    house.let_pass(1)
    house.supervisor.define("b", IT.replace(after=needs("a")))
    house.ask("stop", "a", "b", "c")
    house.let_pass(1)
    assert set(house.states().values()) == {"stopped"}


def test_the_end_of_a_vital_one_is_the_end_of_all_of_its_source_and_a_kill_in_between_changes_nothing() -> None:
    ours = {name: one.replace(source="/srv/numen.toml") for name, one in CHAIN.items()}
    ours["db"] = ours["db"].replace(vital=True, restart=NEVER)
    house = House(**ours, mail=IT)
    house.let_pass(0.5)
    house.fail("db", status=7)
    house.crash()
    house.let_pass(1)

    assert house.states() == {"web": "stopped", "db": "failed", "disk": "stopped", "mail": "running"}
    assert "db vital" in house.told
    house.ask("start", "disk")
    house.crash()
    house.let_pass(1)
    assert house.states()["disk"] == "running"


# All orders that there can be.


@st.composite
def sets(draw: st.DrawFn) -> dict[str, Definition]:
    """Definitions that refer to each other, and not in a circle."""
    names = [f"d{number}" for number in range(draw(st.integers(1, 9)))]
    found = {}
    for number, name in enumerate(names):
        others = st.sampled_from(names[:number]) if number else st.nothing()
        chosen = draw(st.lists(others, unique=True, max_size=3)) if number else []
        conditions = [draw(st.sampled_from((STARTED, READY))) for _ in chosen]
        references = [Reference(name=one, condition=two) for one, two in zip(chosen, conditions, strict=True)]
        parting = draw(st.integers(0, len(references)))
        found[name] = IT.replace(after=tuple(references[:parting]), requires=tuple(references[parting:]))
    return dict(draw(st.permutations(list(found.items()))))


def ordered(files: dict[str, Definition]) -> Iterator[tuple[str, Reference]]:
    for name, definition in files.items():
        for one in (*definition.after, *definition.requires):
            yield name, one


@given(sets(), st.lists(st.integers(0, 30), max_size=6))
@settings(max_examples=60, deadline=None)
def test_all_start_in_their_order_and_stop_in_the_reverse_whoever_is_killed(
    files: dict[str, Definition], kills: list[int]
) -> None:
    house = House(**files)

    def go_on() -> None:
        for step in range(31):
            house.let_pass(0.07)
            if step in kills:
                house.crash()

    go_on()
    assert set(house.states().values()) == {"running"}
    for name, one in ordered(files):
        mine, other = house.runs(name)[0], house.runs(one.name)[0]
        begin = other.ready_at if one.condition == READY else other.started_at
        assert begin is not None
        assert begin <= mine.started_at

    house.ask("stop", *files)
    go_on()
    assert set(house.states().values()) == {"stopped"}
    for name, one in ordered(files):
        mine, other = house.runs(name)[0], house.runs(one.name)[0]
        assert mine.ended_at is not None
        assert other.ended_at is not None
        assert mine.ended_at <= other.ended_at
        assert [len(house.runs(each)) for each in (name, one.name)] == [1, 1]


@given(sets(), st.integers(0, 8))
@settings(max_examples=40, deadline=None)
def test_a_stop_of_one_takes_those_down_that_require_it_and_no_others(files: dict[str, Definition], which: int) -> None:
    house = House(**files)
    house.let_pass(2)
    gone = {name := sorted(files)[which % len(files)]}
    for _ in files:
        gone |= {one for one, definition in files.items() if gone & {each.name for each in definition.requires}}
    house.ask("stop", name)
    house.let_pass(2)
    states = house.states()
    assert {one for one, state in states.items() if state != "running"} == gone
    assert house.answers[name].message == "is stopped"

    house.ask("start", name)
    house.let_pass(2)
    assert set(house.states().values()) == {State.RUNNING.value}


def test_what_refers_to_nobody_costs_nothing() -> None:
    house = House(**{f"d{number}": IT for number in range(5)})

    assert list(house.supervisor._order.ties.names()) == []
