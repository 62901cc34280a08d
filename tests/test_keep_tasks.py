"""Tasks: runs by a schedule, as a supervisor keeps them, in a simulated world and in the real one."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest

from kept import Kept, nothing_left
from numen.keep.definitions.definition import NEVER, Definition
from numen.keep.life import Life, State
from numen.keep.requests import Outcome
from numen.keep.supervisor import Supervisor
from numen.keep.tasks import has_succeeded
from simulated_kernel import Program, SimulatedKernel, World

pytestmark = pytest.mark.once

SH = "/bin/sh"


class Played:
    """One task in a world of its own, under one supervisor after the other."""

    def __init__(self, program: Program, **keys: Any) -> None:
        self.world = World(Random(1), lambda _order: program)
        keys = {"schedule_every": 10.0, **keys}
        self.files = {"task": Definition(command=("/bin/it",), **keys)}
        self.answers: list[Outcome] = []
        self.begin()

    def begin(self) -> None:
        self.supervisor = Supervisor(SimulatedKernel(self.world))
        self.supervisor.recover(self.files)
        self.supervisor.turn()

    def let_pass(self, seconds: float) -> None:
        until = self.world.now + seconds
        self.supervisor.turn()
        while self.world.now < until:
            due = [until, self.supervisor.next_deadline(), self.world.next_event()]
            self.world.advance(min(one for one in due if one is not None))
            self.supervisor.turn()

    def run(self) -> None:
        self.supervisor.run("task", "somebody", self.answers.append)
        self.supervisor.turn()

    @property
    def life(self) -> Life:
        return self.supervisor.daemons["task"].life

    @property
    def outcomes(self) -> list[str]:
        assert self.life.task is not None
        return [one.outcome for one in self.life.task.history]


def test_a_task_runs_when_it_is_due_and_its_exit_status_decides_even_before_it_is_ready() -> None:
    one = Played(Program(lives=0.01, status=0), ready="notify")
    assert one.life.state is State.SCHEDULED
    one.let_pass(25)

    assert (one.life.state, one.outcomes) == (State.SCHEDULED, ["done", "done"])
    assert has_succeeded(one.life)


def test_neither_restart_nor_giving_up_applies_to_a_task_but_its_retries_do() -> None:
    one = Played(Program(lives=0.1, status=1), schedule_retries=2, schedule_retry_first=1.0, give_up_restarts=1)
    one.let_pass(19)

    assert one.life.task is not None
    assert [(one.outcome, one.attempt) for one in one.life.task.history] == [("failed", n) for n in (0, 1, 2)]
    assert (one.life.state, one.life.restarts) == (State.SCHEDULED, 0)


def test_a_run_that_takes_too_long_is_stopped_by_the_stop_schedule() -> None:
    one = Played(Program(term_after=None), schedule_timeout=2.0, stop=((15, 1.0), (9, 1.0)))
    one.let_pass(14)

    assert (one.outcomes, one.life.state) == (["timeout"], State.SCHEDULED)


@pytest.mark.parametrize(
    ("overlap", "outcomes"),
    [("skip", ["skipped", "done"]), ("queue", ["done", "done"]), ("replace", ["replaced"])],
)
def test_what_is_asked_for_while_the_task_runs_is_skipped_or_waits_or_replaces_it(
    overlap: str, outcomes: list[str]
) -> None:
    one = Played(Program(lives=2.0), schedule_overlap=overlap, schedule_every=100.0)
    one.run()
    one.let_pass(0.5)
    one.run()
    one.let_pass(0.5)
    one.let_pass(1.1 if overlap != "queue" else 4)

    assert one.outcomes == outcomes
    assert [answer.error for answer in one.answers][:1] == {"skip": ["Skipped"], "queue": [""]}.get(
        overlap, ["Superseded"]
    )


def test_a_stopped_task_is_due_no_more_but_can_be_run() -> None:
    one = Played(Program(lives=1.0, status=3))
    one.supervisor.stop("task", "somebody", one.answers.append)
    one.supervisor.turn()
    one.let_pass(30)
    assert (one.life.state, one.world.lives) == (State.STOPPED, 0)

    one.run()
    one.let_pass(2)
    assert (one.life.state, one.answers[-1].status) == (State.STOPPED, 3)


@pytest.mark.parametrize(("missed", "lives"), [("run-once", 1), ("skip", 0)])
def test_what_was_missed_over_a_reboot_is_made_up_for_as_the_schedule_says(missed: str, lives: int) -> None:
    one = Played(Program(lives=0.1), schedule_every=None, schedule_cron="0 * * * *", schedule_missed=missed)
    one.world.reboot()
    one.world.advance(one.world.now + 3 * 3600 + 600)
    one.begin()
    one.let_pass(1)

    assert one.world.lives == lives
    assert "skipped" in one.outcomes


def test_a_task_whose_supervisor_is_killed_amidst_a_run_has_that_run_in_its_history() -> None:
    one = Played(Program(lives=5.0))
    one.let_pass(12)
    one.world.kill_supervisor()
    one.begin()
    one.let_pass(5)

    assert one.outcomes == ["done"]


def test_a_shutdown_ends_the_run_and_the_next_supervisor_goes_on_with_the_schedule() -> None:
    one = Played(Program())
    one.let_pass(11)
    one.supervisor.shut_down()
    one.let_pass(1)
    assert (one.life.state, one.outcomes, one.supervisor.is_at_rest) == (State.STOPPED, ["stopped"], True)

    one.world.kill_supervisor()
    one.begin()
    assert (one.life.state, one.supervisor.next_deadline()) == (State.SCHEDULED, 1020.0)


def test_a_calendar_is_looked_at_anew_when_the_clock_is_set() -> None:
    one = Played(Program(lives=0.1), schedule_every=None, schedule_cron="0 3 * * *")
    assert one.life.wake_wall is not None
    one.world.set_clock(one.life.wake_wall - one.world.clock - one.world.now + 1)
    one.supervisor.turn()

    assert one.world.lives == 1


def test_a_change_of_the_schedule_takes_hold_at_once_and_the_run_goes_on() -> None:
    one = Played(Program(lives=5.0), schedule_every=1000.0)
    one.run()
    one.supervisor.define("task", one.files["task"].replace(schedule_every=20.0))
    one.supervisor.turn()

    assert one.life.state is State.STARTING
    assert one.life.wake == 1020.0


def test_a_task_that_is_redefined_as_a_daemon_runs_on_and_one_that_becomes_a_task_waits() -> None:
    one = Played(Program())
    task = one.files["task"]
    one.supervisor.define("task", task.replace(schedule_every=None))
    one.let_pass(1)
    assert (one.life.state, one.life.task) == (State.RUNNING, None)

    one.supervisor.define("task", task)
    one.supervisor.restart("task", "somebody", one.answers.append)
    one.let_pass(1)
    assert one.life.state is State.SCHEDULED


def test_a_daemon_that_runs_on_is_not_run_and_one_that_does_not_is_run_once() -> None:
    world = World(Random(1), lambda _order: Program(lives=0.5, status=4))
    supervisor = Supervisor(SimulatedKernel(world))
    supervisor.recover({name: Definition(command=("/bin/it",), start=False) for name in ("on", "once")})
    supervisor.define("once", Definition(command=("/bin/it",), restart=NEVER, start=False))
    answers: list[Outcome] = []
    for name in ("on", "once", "once"):
        supervisor.run(name, "somebody", answers.append)
    while len(answers) < 3:
        supervisor.turn()
        world.advance(world.now + 0.1)

    assert [(one.error, one.status) for one in answers] == [("NoEnd", None), ("Skipped", None), ("", 4)]
    assert world.lives == 1


# For real


@pytest.fixture
def kept(tmp_path: Path) -> Any:
    with nothing_left():
        one = Kept(tmp_path)
        one.definitions.mkdir(parents=True, exist_ok=True)
        yield one


def write(kept: Kept, name: str, script: str, **schedule: str) -> None:
    keys = "\n".join(f"{key} = {json.dumps(value)}" for key, value in schedule.items())
    command = json.dumps([SH, "-c", script])
    (kept.definitions / f"{name}.toml").write_text(f"command = {command}\n[schedule]\n{keys}\n")


def test_a_task_is_started_described_and_run(kept: Kept) -> None:
    write(kept, "often", "exit 0", every="200ms")
    write(kept, "yearly", "echo begins; printf ends; exit 3", cron="@yearly")
    assert "often is scheduled; next run at " in kept.numen("start", "often", "yearly")

    # What is waited for need not be the first run: all is well as long as there are some.
    def ran(_status: dict[str, Any]) -> bool:
        return len(kept.call("Describe", name="often").get("history", ())) >= 2

    kept.wait_until("often", ran, "runs again and again")
    assert kept.numen("status", "yearly").split("\n")[1].split()[1] == "scheduled"
    told = json.loads(kept.numen("describe", "--json", "yearly"))
    assert (len(told["next_runs"]), told["history"]) == (5, [])

    done = kept.run("run", "yearly")
    assert (done.returncode, done.stdout, done.stderr) == (3, "begins\nends\n", "")
    (past,) = json.loads(kept.numen("describe", "--json", "yearly"))["history"]
    assert (past["outcome"], past["why"], past["status"]) == ("failed", "asked", 3)
    kept.shut_down()

    # As after a reboot: the journal is of another boot.
    journal = kept.home / "run" / "journal"
    journal.write_text(journal.read_text().replace('"boot":"', '"boot":"another ', 1))
    kept.open()
    (again,) = kept.call("Describe", name="yearly")["history"]
    assert again["at"] == past["at"]
    kept.shut_down()
