"""Bugs planted into the production code, one at a time, to see that the simulation finds each.

Each is a small change to keep/ such as a tired author might make. `hunt` plays lives until one breaks an invariant.
The table in docs/guarantees.md is made from `BUGS`; test_keep_simulation.py holds it to be true.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import Any

import pytest

from numen.keep import backoff, decide, health, hooks, requests, tasks
from numen.keep import life as lives
from numen.keep.deadlines import Deadlines
from numen.keep.errands import Errands
from numen.keep.kernel import Ended
from numen.keep.ledger import Ledger
from numen.keep.life import Life, ProcessId, State
from numen.keep.order import Ordering
from numen.keep.supervisor import Supervisor
from numen.record import Record
from numen.schedule import state as schedules
from simulated_kernel import SimulatedKernel, Violation
from simulated_life import Script, play

Plant = Callable[[pytest.MonkeyPatch], None]


class Bug(Record):
    """One planted bug."""

    name: str
    """What is wrong, in a few words."""
    plant: Plant
    found_by: tuple[str, ...]
    """The invariants that tell, the usual one first."""
    within: int
    """The lives after which it is found at the latest."""
    is_ordered: bool = False
    """Whether it is looked for among daemons that refer to each other."""
    tasks: float = 0.0
    """How likely the daemons of these lives are to be tasks."""


class Found(Record):
    """A bug that was found."""

    invariant: str
    lives: int
    message: str


def scripts() -> list[Script]:
    """The lives that are played in a hunt, in this order."""
    kinds: tuple[dict[str, Any], ...] = ({}, {"crashiness": 0.02}, {"crashiness": 0.01, "faults": 0.03})
    return [Script(seed=seed, **kinds[seed % len(kinds)]) for seed in range(2000)]


def hunt(bug: Bug, seconds: float = 30.0) -> Found | None:
    """Play lives with the bug until it is found, or the time is over."""
    end = time.monotonic() + seconds
    with pytest.MonkeyPatch.context() as patch:
        bug.plant(patch)
        for number, script in enumerate(scripts(), 1):
            try:
                play(script.replace(is_ordered=bug.is_ordered, tasks=bug.tasks))
            except Violation as violation:
                return Found(invariant=violation.invariant, lives=number, message=str(violation))
            if time.monotonic() > end:
                return None
    return None


# The bugs


def lost_timer(patch: pytest.MonkeyPatch) -> None:
    schedule = Deadlines.schedule

    def forgetful(self: Deadlines, daemon: Any) -> None:
        if daemon.life.state is not State.BACKOFF:
            schedule(self, daemon)

    patch.setattr(Deadlines, "schedule", forgetful)


def timer_lost_by_a_crash(patch: pytest.MonkeyPatch) -> None:
    record = Life.record
    patch.setattr(Life, "record", lambda self: record(self.replace(deadline=None)))


def spawned_before_it_is_written(patch: pytest.MonkeyPatch) -> None:
    write = Ledger.write_life

    def late(self: Ledger, daemon: Any) -> bool:
        if daemon.life.state is State.STARTING and daemon.life.process is None:
            return True
        return write(self, daemon)

    patch.setattr(Ledger, "write_life", late)


def spawned_although_it_could_not_be_written(patch: pytest.MonkeyPatch) -> None:
    write = Ledger.write_life

    def hopeful(self: Ledger, daemon: Any) -> bool:
        write(self, daemon)
        return True

    patch.setattr(Ledger, "write_life", hopeful)


def unrecorded_process_not_looked_for(patch: pytest.MonkeyPatch) -> None:
    def blind(self: SimulatedKernel, invocations: Collection[str]) -> dict[str, ProcessId]:
        return {}

    patch.setattr(SimulatedKernel, "find", blind)
    patch.setattr(decide, "on_lost", lambda life, now: decide._spawn(life, now))


def stop_forgotten_while_spawning(patch: pytest.MonkeyPatch) -> None:
    on_spawned = decide.on_spawned

    def forgetful(definition: Any, life: Life, event: Any, now: float) -> Any:
        if life.state is State.STOPPING:
            return life.replace(process=event.process, started_at=now, deadline=now + 1000), ()
        return on_spawned(definition, life, event, now)

    patch.setattr(decide, "on_spawned", forgetful)


def stop_of_one_in_backoff_forgotten(patch: pytest.MonkeyPatch) -> None:
    on_stop_asked = decide.on_stop_asked

    def forgetful(definition: Any, life: Life, event: Any, now: float) -> Any:
        if life.state is State.BACKOFF:
            return life.replace(wanted=False), ()
        return on_stop_asked(definition, life, event, now)

    patch.setattr(decide, "on_stop_asked", forgetful)


def start_time_ignored(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ProcessId, "__eq__", lambda self, other: type(other) is ProcessId and self.pid == other.pid)
    patch.setattr(ProcessId, "__hash__", lambda self: hash(self.pid))


def signal_by_pid_alone(patch: pytest.MonkeyPatch) -> None:
    send_signal = SimulatedKernel.send_signal

    def careless(self: SimulatedKernel, process: ProcessId, number: int) -> bool:
        found = self.world.table.get(process.pid)
        return send_signal(self, process if found is None else found.id, number)

    patch.setattr(SimulatedKernel, "send_signal", careless)


def signal_to_another_daemon(patch: pytest.MonkeyPatch) -> None:
    send = Errands._send

    def confused(self: Errands, daemon: Any, action: Any) -> None:
        send(self, max(self._daemons.values(), key=lambda one: one.name), action)

    patch.setattr(Errands, "_send", confused)


def endings_of_the_keeper_ignored(patch: pytest.MonkeyPatch) -> None:
    read_endings = SimulatedKernel.read_endings

    def ignored(self: SimulatedKernel) -> list[Ended]:
        read_endings(self)
        return []

    patch.setattr(SimulatedKernel, "read_endings", ignored)


def endings_forgotten_before_they_are_written(patch: pytest.MonkeyPatch) -> None:
    read_endings = SimulatedKernel.read_endings

    def at_once(self: SimulatedKernel) -> list[Ended]:
        found = read_endings(self)
        self._forget()
        return found

    patch.setattr(SimulatedKernel, "read_endings", at_once)


def reaped_before_it_is_written(patch: pytest.MonkeyPatch) -> None:
    take = Supervisor._take_ending

    def hasty(self: Supervisor, ended: Ended) -> None:
        self.kernel.reap(ended.process)
        take(self, ended)

    patch.setattr(Supervisor, "_take_ending", hasty)


def never_reaped(patch: pytest.MonkeyPatch) -> None:
    def lazy(self: Supervisor, ended: Ended) -> None:
        daemon = self._errands.whose(ended.process)
        if daemon is not None:
            self._step(daemon, lives.Exited(process=ended.process, status=ended.status))
            self.kernel.reap(ended.process)

    patch.setattr(Supervisor, "_take_ending", lazy)


def family_not_looked_for(patch: pytest.MonkeyPatch) -> None:
    def blind(self: Errands) -> None:
        looks, self._looks = self._looks, {}
        for name in looks:
            self._step(self._daemons[name], lives.FamilySeen(members=()))

    patch.setattr(Errands, "_look", blind)


def family_not_watched(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(decide, "AGAIN_AFTER", 1000.0)
    on_exited = decide.on_exited

    def deaf(life: Life, event: Any, now: float) -> Any:
        if not life.has_main:
            return life, ()
        return on_exited(life, event, now)

    patch.setattr(decide, "on_exited", deaf)


def wanted_not_written(patch: pytest.MonkeyPatch) -> None:
    record = Life.record

    def forgetful(self: Life) -> dict[str, Any]:
        return {name: value for name, value in record(self).items() if name != "wanted"}

    patch.setattr(Life, "record", forgetful)


def wanted_not_kept_over_a_reboot(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Ledger, "write_wants", lambda self: None)


def unwanted_by_a_shutdown(patch: pytest.MonkeyPatch) -> None:
    on_shutdown_asked = decide.on_shutdown_asked

    def thorough(definition: Any, life: Life, now: float) -> Any:
        return on_shutdown_asked(definition, life.replace(wanted=False), now)

    patch.setattr(decide, "on_shutdown_asked", thorough)


def backoff_that_does_not_grow(patch: pytest.MonkeyPatch) -> None:
    wait = backoff.wait
    patch.setattr(backoff, "wait", lambda definition, life, chance: wait(definition, life.replace(failures=1), chance))


def counters_lost_by_a_crash(patch: pytest.MonkeyPatch) -> None:
    read = Ledger.read

    def forgetful(self: Ledger) -> bool:
        is_same_boot = read(self)
        for daemon in self._daemons.values():
            daemon.life = daemon.life.replace(failures=0, restarted_at=())
        return is_same_boot

    patch.setattr(Ledger, "read", forgetful)


def given_up_never(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(backoff, "is_given_up", lambda definition, life, now: False)


def answered_twice(patch: pytest.MonkeyPatch) -> None:
    def chatty(self: Supervisor) -> None:
        touched, self._touched = self._touched, {}
        for name in touched:
            daemon = self.daemons.get(name)
            for asked, answered in daemon.waiting if daemon is not None else ():
                assert daemon is not None
                outcome = requests.answer(daemon.in_use, daemon.life, asked)
                if outcome is not None:
                    answered(outcome)

    patch.setattr(Supervisor, "_answer", chatty)


def answered_never(patch: pytest.MonkeyPatch) -> None:
    def only_those_that_step(self: Supervisor, name: str, kind: Any, event: Any, answered: Any) -> None:
        daemon = self.daemons[name]
        before = daemon.life
        self._step(daemon, event)
        if daemon.life != before:
            daemon.waiting.append((requests.Asked(kind=kind, invocation=before.invocation), answered))

    patch.setattr(Supervisor, "_ask", only_those_that_step)


def stopped_when_the_main_process_is(patch: pytest.MonkeyPatch) -> None:
    answer_stop = requests._answer_stop

    def hasty(life: Life, asked: Any) -> Any:
        if not life.wanted and life.process is not None and not life.has_main:
            return requests.Outcome(message="is stopped")
        return answer_stop(life, asked)

    patch.setattr(requests, "_answer_stop", hasty)


def stop_that_never_kills(patch: pytest.MonkeyPatch) -> None:
    next_signal = decide._next_signal

    def gentle(definition: Any, life: Life, now: float) -> Any:
        first = definition.stop[0]
        return next_signal(definition.replace(stop=(first,) * len(definition.stop)), life, now)

    patch.setattr(decide, "_next_signal", gentle)


def stop_that_ends_early(patch: pytest.MonkeyPatch) -> None:
    next_signal = decide._next_signal

    def impatient(definition: Any, life: Life, now: float) -> Any:
        hasty = tuple((number, wait / 2) for number, wait in definition.stop)
        return next_signal(definition.replace(stop=hasty), life, now)

    patch.setattr(decide, "_next_signal", impatient)


def up_on_trust(patch: pytest.MonkeyPatch) -> None:
    on_time_came = decide.on_time_came

    def trusting(definition: Any, life: Life, now: float) -> Any:
        return on_time_came(definition.replace(ready="exec"), life, now)

    patch.setattr(decide, "on_time_came", trusting)


def timer_left_running(patch: pytest.MonkeyPatch) -> None:
    def careless(life: Life, now: float) -> Any:
        if life.state is State.STARTING and life.has_main:
            return life.replace(state=State.RUNNING, ready_at=now), ()
        return life, ()

    patch.setattr(decide, "on_became_ready", careless)


def resumed_as_if_nothing_was_under_way(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(decide, "on_resumed", lambda definition, life, now: (life, ()))


def removed_but_running(patch: pytest.MonkeyPatch) -> None:
    answer_stop = requests._answer_stop

    def hasty(life: Life, asked: Any) -> Any:
        if not life.wanted and asked.kind is requests.Kind.REMOVE:
            return requests.Outcome(message="is removed")
        return answer_stop(life, asked)

    patch.setattr(requests, "_answer_stop", hasty)


def task_runs_on_without_its_schedule(patch: pytest.MonkeyPatch) -> None:
    record = Life.record
    patch.setattr(Life, "record", lambda self: record(self.replace(task=None)))


def task_ended_unnoticed(patch: pytest.MonkeyPatch) -> None:
    tell = tasks._Deciding._tell

    def forgetful(self: Any, event: Any, schedule: Any = None) -> None:
        tell(self, event, schedule)
        if isinstance(event, schedules.Ended) and self.state.history:
            self.state = self.state.replace(history=self.state.history[:-1])

    patch.setattr(tasks._Deciding, "_tell", forgetful)


def deaf_watchdog(patch: pytest.MonkeyPatch) -> None:
    watched = health.watched

    def unarmed(*given: Any) -> Any:
        return watched(*given).replace(watchdog_at=None)

    patch.setattr(health, "watched", unarmed)


def asked_only_once(patch: pytest.MonkeyPatch) -> None:
    answered = health.on_answered

    def last(definition: Any, life: Life, event: Any, now: float) -> Any:
        after, actions, verdict = answered(definition, life, event, now)
        return after.replace(health=after.health.replace(alive_at=None)), actions, verdict

    patch.setattr(health, "on_answered", last)


def no_answer_is_bad(patch: pytest.MonkeyPatch) -> None:
    answered = health.on_answered

    def generous(definition: Any, life: Life, event: Any, now: float) -> Any:
        return answered(definition, life, event.replace(ok=True), now)

    patch.setattr(health, "on_answered", generous)


COPY, ORPHANS, TIMER = "no second copy", "no orphans", "no timer is lost"
ORDERED = "order holds"
PREPARED, HOOK = "nothing is spawned unprepared", "no hook is lost"
UNWANTED, REMEMBERED, SHUTDOWN = "never running when unwanted", "wanted is remembered", "a shutdown ends"
TRUE, REAPED, SEEN = "statuses are true", "every ending is reaped", "every ending is seen"
ANSWERED, WHOLE, STRANGER = "every request is answered once", "a family is ended whole", "no signal to a stranger"
EARLY, OFTEN = "no restart comes too early", "no more restarts than the policy allows"
CUT_SHORT, SAME, IDLE = "no stop is cut short", "a crash changes nothing", "no wake-up with nothing due"
RUN, TASK = "a run of a schedule is a run of the daemon", "a task that is wanted is on"
LOST_RUN = "no run is lost"
UP = "nothing is said to be up before it is"


def stopped_before_its_dependents(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Ordering, "goes_before", lambda self, name: iter(()))


def started_before_what_it_requires(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Ordering, "waits", lambda self, name: None)


def held_stop_forgotten_by_a_crash(patch: pytest.MonkeyPatch) -> None:
    record = Life.record
    patch.setattr(Life, "record", lambda self: record(self.replace(held_back="")))


def spawned_after_a_bad_before_start(patch: pytest.MonkeyPatch) -> None:
    on_command_ended = decide.on_command_ended

    def hopeful(definition: Any, life: Life, event: Any, now: float, chance: float) -> Any:
        return on_command_ended(definition, life, event.replace(ok=True), now, chance)

    patch.setattr(decide, "on_command_ended", hopeful)


def hook_forgotten_by_a_crash(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(hooks, "on_resumed", lambda definition, step: step)


BUGS = (
    Bug(
        name="a timer is lost",
        plant=lost_timer,
        found_by=(TIMER,),
        within=10,
    ),
    Bug(
        name="a deadline is not written down",
        plant=timer_lost_by_a_crash,
        found_by=(
            TIMER,
            SAME,
        ),
        within=30,
    ),
    Bug(
        name="a daemon is spawned before that is written down",
        plant=spawned_before_it_is_written,
        found_by=(
            COPY,
            ORPHANS,
        ),
        within=30,
    ),
    Bug(
        name="a daemon is spawned though that could not be written down",
        plant=spawned_although_it_could_not_be_written,
        found_by=(
            COPY,
            ORPHANS,
            WHOLE,
        ),
        within=100,
    ),
    Bug(
        name="a spawned process that was not recorded is not looked for",
        plant=unrecorded_process_not_looked_for,
        found_by=(
            COPY,
            ORPHANS,
        ),
        within=100,
    ),
    Bug(
        name="a stop is forgotten while the daemon is being spawned",
        plant=stop_forgotten_while_spawning,
        found_by=(
            UNWANTED,
            ANSWERED,
            SHUTDOWN,
        ),
        within=100,
    ),
    Bug(
        name="a stop is forgotten while the daemon waits for its next try",
        plant=stop_of_one_in_backoff_forgotten,
        found_by=(
            UNWANTED,
            ANSWERED,
        ),
        within=100,
    ),
    Bug(
        name="a pid that is used again is taken for the process that had it",
        plant=start_time_ignored,
        found_by=(
            COPY,
            SEEN,
            TRUE,
            ORPHANS,
        ),
        within=300,
    ),
    Bug(
        name="a signal is sent to a pid, whoever has it now",
        plant=signal_by_pid_alone,
        found_by=(
            STRANGER,
            CUT_SHORT,
        ),
        within=600,
    ),
    Bug(
        name="a signal is sent to another daemon",
        plant=signal_to_another_daemon,
        found_by=(
            UNWANTED,
            SHUTDOWN,
            CUT_SHORT,
        ),
        within=10,
    ),
    Bug(
        name="the endings that the keeper has seen are not read",
        plant=endings_of_the_keeper_ignored,
        found_by=(TRUE,),
        within=30,
    ),
    Bug(
        name="the endings that the keeper has seen are forgotten before they are written down",
        plant=endings_forgotten_before_they_are_written,
        found_by=(TRUE,),
        within=300,
    ),
    Bug(
        name="a child is reaped before its status is written down",
        plant=reaped_before_it_is_written,
        found_by=(TRUE,),
        within=30,
    ),
    Bug(
        name="orphans are not reaped",
        plant=never_reaped,
        found_by=(REAPED,),
        within=100,
    ),
    Bug(
        name="nobody looks for the family",
        plant=family_not_looked_for,
        found_by=(
            WHOLE,
            COPY,
            ORPHANS,
        ),
        within=10,
    ),
    Bug(
        name="the end of the last member of a family is not noticed",
        plant=family_not_watched,
        found_by=(
            TIMER,
            UNWANTED,
            ANSWERED,
            SHUTDOWN,
        ),
        within=300,
    ),
    Bug(
        name="what is wanted is not written down",
        plant=wanted_not_written,
        found_by=(REMEMBERED,),
        within=10,
    ),
    Bug(
        name="what is wanted does not outlive a reboot",
        plant=wanted_not_kept_over_a_reboot,
        found_by=(REMEMBERED,),
        within=100,
    ),
    Bug(
        name="a shutdown counts as a stop",
        plant=unwanted_by_a_shutdown,
        found_by=(REMEMBERED,),
        within=10,
    ),
    Bug(
        name="the waits do not grow",
        plant=backoff_that_does_not_grow,
        found_by=(EARLY,),
        within=30,
    ),
    Bug(
        name="the counters are lost by a crash",
        plant=counters_lost_by_a_crash,
        found_by=(
            SAME,
            REMEMBERED,
        ),
        within=30,
    ),
    Bug(
        name="it is never given up",
        plant=given_up_never,
        found_by=(OFTEN,),
        within=30,
    ),
    Bug(
        name="a request is answered twice",
        plant=answered_twice,
        found_by=(ANSWERED,),
        within=10,
    ),
    Bug(
        name="a request that changes nothing is not answered",
        plant=answered_never,
        found_by=(ANSWERED,),
        within=10,
    ),
    Bug(
        name="a daemon is said to be stopped when its main process is",
        plant=stopped_when_the_main_process_is,
        found_by=(WHOLE,),
        within=300,
    ),
    Bug(
        name="a daemon is forgotten while it runs",
        plant=removed_but_running,
        found_by=(
            ORPHANS,
            WHOLE,
        ),
        within=30,
    ),
    Bug(
        name="a stop never comes to SIGKILL",
        plant=stop_that_never_kills,
        found_by=(
            UNWANTED,
            SHUTDOWN,
            ANSWERED,
        ),
        within=30,
    ),
    Bug(
        name="a stop is cut short",
        plant=stop_that_ends_early,
        found_by=(CUT_SHORT,),
        within=30,
    ),
    Bug(
        name="a daemon is said to be up when its time is over",
        plant=up_on_trust,
        found_by=(UP,),
        within=30,
    ),
    Bug(
        name="a timer is left running",
        plant=timer_left_running,
        found_by=(
            IDLE,
            TIMER,
        ),
        within=10,
    ),
    Bug(
        name="a new supervisor does not go on with a stop",
        plant=resumed_as_if_nothing_was_under_way,
        found_by=(
            TIMER,
            UNWANTED,
            ANSWERED,
        ),
        within=30,
    ),
    Bug(
        name="a daemon is spawned though its before_start has failed",
        plant=spawned_after_a_bad_before_start,
        found_by=(PREPARED,),
        within=100,
    ),
    Bug(
        name="a new supervisor does not run again what it was running before a start or after an end",
        plant=hook_forgotten_by_a_crash,
        found_by=(HOOK, SHUTDOWN, UNWANTED),
        within=100,
    ),
    Bug(
        name="a daemon is stopped before those that require it",
        plant=stopped_before_its_dependents,
        found_by=(ORDERED,),
        within=30,
        is_ordered=True,
    ),
    Bug(
        name="a daemon is started before those that it requires",
        plant=started_before_what_it_requires,
        found_by=(ORDERED,),
        within=30,
        is_ordered=True,
    ),
    Bug(
        name="a stop that waits for others is forgotten by a crash",
        plant=held_stop_forgotten_by_a_crash,
        found_by=(UNWANTED, ORDERED),
        within=1000,
        is_ordered=True,
    ),
    Bug(
        name="how it stands with the schedule of a task is not written down",
        plant=task_runs_on_without_its_schedule,
        found_by=(COPY, RUN, TASK, LOST_RUN),
        within=60,
        tasks=0.7,
    ),
    Bug(
        name="a run of a task does not come to stand in its history",
        plant=task_ended_unnoticed,
        found_by=(LOST_RUN,),
        within=30,
        tasks=0.7,
    ),
    Bug(
        name="a watchdog is never set",
        plant=deaf_watchdog,
        found_by=("no look is lost", "who is silent is ended"),
        within=100,
    ),
    Bug(
        name="a probe is asked once and no more",
        plant=asked_only_once,
        found_by=("no look is lost", "who does not answer is ended"),
        within=100,
    ),
    Bug(
        name="each answer of a probe is taken for a good one",
        plant=no_answer_is_bad,
        found_by=("who does not answer is ended", "nothing is said to be up before it is"),
        within=100,
    ),
)
"""All of them."""


def table() -> str:
    """The bugs, and by what each is found, in Markdown."""
    rows = [f"| {bug.name} | {' or '.join(bug.found_by)} | {bug.within} |" for bug in BUGS]
    return "\n".join(["| planted bug | found because of | within so many lives |", "|---|---|---|", *rows])
