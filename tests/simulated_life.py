"""A supervisor's life in the simulated world: what befalls it, and what must hold at every step.

`play` lets the production modules of keep/ supervise random programs, commands and faults, all of one seed; it kills
the supervisor at the calls that the script names, and lets the next one read the state back. What must never be is
raised as a Violation; its script can be pasted as a test.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Mapping
from random import Random

from numbered_kernel import Crash, NumberedKernel
from numen.keep import hooks
from numen.keep.decide import RESTARTED_BY_REQUEST, SHUT_DOWN, STOPPED_BY_REQUEST, WITHHELD
from numen.keep.definitions.definition import (
    ALWAYS,
    END,
    FAILED,
    GO_ON,
    NEVER,
    ON_FAILURE,
    RESTART,
    SLOWLY,
    STOP,
    TELL,
    Definition,
)
from numen.keep.definitions.references import COMPLETED, READY, STARTED, Reference
from numen.keep.health import NO_ANSWER
from numen.keep.kept import Daemon, has_run
from numen.keep.kernel import Order
from numen.keep.life import RESTING, Life, State
from numen.keep.requests import Kind, Outcome
from numen.keep.supervisor import Supervisor
from numen.keep.tasks import has_succeeded
from numen.record import Record
from simulated_kernel import KEEPER, SUPERVISOR, Process, Program, SimulatedKernel, Violation, World

SLACK = 0.5
"""Seconds by which what is due may be late without any fault."""

LATEST_SPAWN = 0.31
"""Seconds from a decision to its spawn at most, without a fault."""

BOTH = "both"


class Script(Record):
    """All that decides how a life goes."""

    seed: int
    steps: int = 25
    crashes: tuple[tuple[int, str, str], ...] = ()
    """The number of a kernel call, `before` or `after` it, and who is killed: supervisor, keeper, both."""
    crashiness: float = 0.0
    """How likely a further crash is at each call."""
    faults: float = 0.0
    """How likely a call is to fail."""
    is_ordered: bool = False
    """Whether the daemons refer to each other. Then what starts and stops is nobody's command alone, and the order is
    checked instead of the counts and of what is wanted."""
    tasks: float = 0.0
    """How likely a daemon is to be a task."""

    def as_test(self) -> str:
        """The text of a test that plays it again."""
        told = {name: value for name, value in self.__dict__.items() if value != getattr(Script, name, None)}
        values = ", ".join(f"{name}={value!r}" for name, value in told.items())
        return f"def test_seed_{self.seed}_is_survived() -> None:\n    play(Script({values}))\n"


class Played(Record):
    """What a life came to."""

    calls: int
    """How many numbered calls were made."""
    daemons: int
    """How many runs of daemons there were."""
    crashes: int


def play(script: Script) -> Played:
    """Play a life to its end. Raises Violation, with the text of a test in it."""
    life = SimulatedLife(script)
    try:
        return life.play()
    except Violation as violation:
        violation.args = (f"{violation.args[0]}\n\n{script.as_test()}\n{life.told()}",)
        raise
    except Exception as error:
        raise Violation("nothing unexpected is raised", f"{error!r}\n\n{script.as_test()}\n{life.told()}") from error


# What is kept


PROGRAMS: dict[str, Callable[[Random], Program]] = {
    "healthy": lambda random: Program(),
    "worker": lambda random: Program(lives=random.choice((1.5, 5, 70)), status=random.choice((0, 1))),
    "crasher": lambda random: Program(
        lives=random.choice((0.0, 0.05, 0.3)), status=random.choice((1, -11, 3)), ready_after=None
    ),
    "late": lambda random: Program(ready_after=random.choice((0.5, 3.0, 9.0)), lives=random.choice((None, 4.0))),
    "never": lambda random: Program(ready_after=None),
    "stubborn": lambda random: Program(term_after=None),
    "slow": lambda random: Program(term_after=random.choice((0.5, 2.0)), term_status=0),
    "done": lambda random: Program(lives=random.choice((0.0, 0.4, 2.0)), status=0),
    "strays": lambda random: Program(
        lives=random.choice((None, 0.4, 3.0)),
        status=random.choice((0, 2)),
        strays=tuple((random.uniform(0, 1), _stray(random)) for _ in range(random.randint(1, 3))),
    ),
    "twice": lambda random: Program(lives=0.1, strays=((0.05, _stray(random)),)),
    "heir": lambda random: Program(hands_over_after=random.choice((0.3, 1.5)), lives=random.choice((None, 6.0))),
    "talker": lambda random: Program(
        ready_after=1.0,
        lives=random.choice((None, 5.0)),
        says=((0.5, {"STATUS": "warming up", "EXTEND_TIMEOUT_USEC": "3000000"}), (2.0, {"STATUS": "at work"})),
    ),
    "hangs": lambda random: Program(
        ready_after=0.2, hangs_after=random.choice((3.0, 20.0)), pings_every=1.0, term_after=random.choice((0.0, None))
    ),
    "leaks": lambda random: Program(uses=((0.0, 2**20), (random.choice((2.0, 15.0)), 2**30))),
    "missing": lambda random: Program(failure="cannot execute it: No such file or directory"),
    "flaky": lambda random: Program(failure=random.choice(("", "cannot open its working directory"))),
}
"""By the name that stands in the command."""


TASKS = ("done", "done", "worker", "crasher", "strays", "slow", "stubborn", "missing", "flaky", "healthy")


def _stray(random: Random) -> Program:
    return Program(
        lives=random.choice((None, None, 0.5, 4.0)),
        term_after=random.choice((0.0, 0.3, None)),
        forks_when_asked_to_end=random.random() < 0.3,
    )


def a_definition(random: Random) -> Definition:
    """Any definition that makes a difference for the life."""
    then = random.choice((FAILED, FAILED, SLOWLY))
    definition = Definition(
        command=(f"/bin/{random.choice(tuple(PROGRAMS))}",),
        ready=random.choice(("exec", "exec", "notify", "fd:3")),
        ready_timeout=random.choice((0.4, 2.0, 5.0)),
        restart=random.choice((ALWAYS, ALWAYS, ON_FAILURE, NEVER)),
        final=random.choice(((), (), (3,))),
        backoff_first=random.choice((0.1, 1.0)),
        backoff_longest=random.choice((1.0, 30.0)),
        healthy_after=random.choice((1.0, 2.0)),
        forgiven_after=random.choice((2.0, 60.0)),
        give_up_restarts=random.choice((0, 0, 1, 3)),
        give_up_within=random.choice((5.0, 60.0)),
        give_up_then=then,
        give_up_every=random.choice((3.0, 300.0)),
        stop=random.choice(STOPS),
        nice=random.choice((None, None, 5)),
        start=random.random() < 0.9,
    )
    # Not drawn of the same numbers, so that each seed stays what it was.
    definition = _in_health(definition, Random(repr(definition)))
    return _with_hooks(definition, Random(f"hooks {definition!r}"))


def _in_health(definition: Definition, random: Random) -> Definition:
    """The definition, perhaps with a program that gets ill, and with what finds that."""
    if random.random() < 0.6:
        return definition
    program = random.choice((os.path.basename(definition.command[0]), "hangs", "hangs", "leaks"))
    return definition.replace(
        command=(f"/bin/{program}",),
        ready=random.choice((definition.ready, "tcp://[::1]:80", "after:300ms")),
        ready_then=random.choice((END, END, GO_ON)),
        ready_again=random.choice((None, 3.0)),
        alive_probe=random.choice((None, "http://[::1]/")),
        alive_interval=random.choice((1.0, 10.0)),
        alive_timeout=random.choice((0.5, 2.0)),
        alive_failures=random.choice((1, 3)),
        alive_then=random.choice((RESTART, RESTART, STOP, TELL)),
        watchdog=random.choice((None, 2.5)) if program == "hangs" else None,
        # A restart for its age is none that a policy counts.
        max_age=None if definition.give_up_restarts else random.choice((None, None, 10.0)),
        max_memory=random.choice((None, 2**25)),
    )


def _with_hooks(definition: Definition, random: Random) -> Definition:
    """The definition, perhaps with other commands, some of which fail now and then."""
    if random.random() < 0.7:
        return definition
    commands = (None, ("/bin/hook",), ("/bin/flaky",))
    return definition.replace(
        before_start=random.choice(commands),
        after_exit=random.choice(commands),
        on_failure=random.choice(commands),
        reload_command=random.choice(commands),
        hook_timeout=random.choice((0.2, 2.0)),
    )


def with_references(name: str, definition: Definition, random: Random) -> Definition:
    """It refers to some of those before it, so that there is no circle."""
    others = [one for one in NAMES[: NAMES.index(name)] if random.random() < 0.6]
    references = [Reference(name=one, condition=random.choice((STARTED, READY, READY, COMPLETED))) for one in others]
    parting = random.randint(0, len(references))
    restarted = tuple(one for one in others if random.random() < 0.2)
    definition = definition.replace(
        after=tuple(references[:parting]), requires=tuple(references[parting:]), restart_with=restarted
    )
    drawn = Random(repr(definition))
    return definition.replace(on_failure=("", drawn.choice(NAMES))) if drawn.random() < 0.3 else definition


def a_task(random: Random) -> Definition:
    """Any definition of a task that makes a difference; its program ends by itself, for the most part."""
    every = random.choice((None, 0.7, 2.0, 10.0, 100.0))
    return a_definition(random).replace(
        command=(f"/bin/{random.choice(TASKS)}",),
        schedule_every=every,
        schedule_cron=random.choice(("* * * * *", "*/2 * * * *", "17 * * * *")) if every is None else None,
        schedule_missed=random.choice(("skip", "run-once")),
        schedule_overlap=random.choice(("skip", "queue", "replace")),
        schedule_timeout=random.choice((None, None, 0.5, 3.0)),
        schedule_retries=random.choice((0, 0, 2)),
        schedule_at_start=random.random() < 0.3,
    )


TERM, INT, KILL = int(signal.SIGTERM), int(signal.SIGINT), int(signal.SIGKILL)

STOPS = (
    ((TERM, 1.0), (KILL, 1.0)),
    ((TERM, 3.0), (INT, 2.0), (KILL, 1.0)),
    ((TERM, 0.0), (INT, 0.0), (KILL, 0.0)),
    ((KILL, 2.0),),
)

NAMES = ("alpha", "beta", "gamma", "delta")


def is_stopping(life: Life) -> bool:
    """Whether its main process is being ended."""
    return life.state is State.STOPPING and life.ended_at is None


def _is_asked(life: Life) -> bool:
    """Whether it is, and not for a restart."""
    return is_stopping(life) and (life.reason in (STOPPED_BY_REQUEST, SHUT_DOWN) or life.reason.startswith(WITHHELD))


class Expected:
    """What is expected of one daemon, by what was asked."""

    def __init__(self) -> None:
        self.wanted: bool | None = None
        """`None`: nobody knows, because the supervisor was killed while it was asked for."""
        self.unwanted_since: float | None = None
        self.was_excused = 0.0
        self.patience = 0.0
        self.may_start = 1
        """How many starts that are no restarts are still to come at most."""
        self.restarts: list[float] = []
        """When it was started again by itself, since somebody asked last."""
        self.short_runs = 0
        """How many runs in a row were surely short."""
        self.last: Process | None = None
        """The last run that was judged."""
        self.definition: Definition | None = None


class SimulatedLife:
    """One script, being played."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.random = Random(script.seed)
        self.world = World(Random(script.seed + 1), self._program)
        self.world.chance = self.random.choice((0.0, 0.5, 0.9))
        self.files: dict[str, Definition] = {}
        self.expected: dict[str, Expected] = {}
        self.open: dict[int, str] = {}
        """The requests that are not answered yet, by number."""
        self.requests = 0
        self.crashes = 0
        self.number = 0
        self.is_ending = False
        self.ending_since = 0.0
        self.back_at = self.recovered_at = 0.0
        self.defined_at: dict[str, float] = {}
        """When there was a supervisor again: for what ended before, the time until then counts too."""
        self.doubtful: set[str] = set()
        """The daemons of which something was asked in this turn."""
        self.log: list[str] = []
        self.is_redefined = False
        """Whether a definition has changed in this turn."""
        self.stopping: set[str] = set()
        self._plan = {number: (when, whom) for number, when, whom in script.crashes}
        self._chance = Random(script.seed + 2)

    def told(self) -> str:
        """What happened last."""
        return "\n".join(self.log[-40:])

    def note(self, line: str) -> None:
        self.log.append(f"{self.world.now:10.3f} #{self.number}: {line}")

    def _program(self, order: Order) -> Program:
        program = PROGRAMS[os.path.basename(order.definition.command[0])](self.world.random)
        self._was_started(order, program)
        return program

    # What befalls it.

    def play(self) -> Played:
        for name in NAMES[: self.random.randint(1, len(NAMES))]:
            self.files[name] = self.a_definition(name)
        self.recover({})
        for _ in range(self.script.steps):
            self.world.faults = self.script.faults
            self.step()
        self.world.faults = 0.0
        self.world.disk_is_full = False
        self.settle()
        self.shut_down()
        self.settle()
        return Played(calls=self.number, daemons=self.world.lives, crashes=self.crashes)

    def step(self) -> None:
        random = self.random
        if self.script.tasks and random.random() < 0.05:
            self.world.set_clock(random.choice((-7200.0, -60.0, 0.5, 90.0, 86400.0)))
            self.note("the clock is set")
            self.turn()
        if random.random() < 0.3:
            self.world.stranger()
        drawn = random.random()
        if drawn < 0.45:
            self.let_pass(random.choice((0.0, 0.01, 0.25, 1.0, 4.0, 12.0, 90.0)))
        elif drawn < 0.85:
            for _ in range(random.choice((1, 1, 2, 3))):
                self.command()
            self.turn()
        elif drawn < 0.93:
            self.harm()
        elif drawn < 0.95 and self.script.faults:
            self.world.disk_is_full = not self.world.disk_is_full
            self.note(f"disk is full: {self.world.disk_is_full}")
        elif drawn < 0.97:
            self.shut_down()
        elif drawn < 0.98:
            self.leave()
        elif drawn < 0.985:
            self.reboot()

    def a_definition(self, name: str) -> Definition:
        is_task = self.script.tasks and self.random.random() < self.script.tasks
        definition = a_task(self.random) if is_task else a_definition(self.random)
        return with_references(name, definition, self.random) if self.script.is_ordered else definition

    def command(self) -> None:  # noqa: C901 - a case a verb
        """Somebody asks for something."""
        random = self.random
        verb = random.choice(
            ("start", "start", "stop", "stop", "restart", "remove", "define", "reload", "signal", "wait")
        )
        name = random.choice(NAMES)
        if self.script.tasks and random.random() < 0.2:
            verb = "run"
        if verb == "define":
            self.files[name] = self.a_definition(name)
            self.is_redefined = True
            self.world.redefined.add(name)
            expected = self.expected.setdefault(name, Expected())
            expected.restarts, expected.short_runs = [], 0
            if name not in self.supervisor.daemons:
                expected.wanted = False
            # A file that the journal does not know is started like those that are there at boot.
            self.doubtful.add(name)
            self.defined_at[name] = self.world.now
            self.attempt(lambda: self.supervisor.define(name, self.files[name]), f"define {name}")
            return
        daemon = self.supervisor.daemons.get(name)
        if daemon is None:
            return
        expected = self.expected.setdefault(name, Expected())
        if verb == "run":
            self.attempt(lambda: self.supervisor.run(name, "somebody", self.answered("run", name)), f"run {name}")
            return
        if verb in ("start", "restart") and not self.is_ending:
            if not (verb == "start" and daemon.life.state in (State.STARTING, State.RUNNING)):
                expected.may_start = 2 if daemon.life.process is None else 1
            self.expect(name, wanted=True)
        elif verb in ("stop", "remove"):
            self.expect(name, wanted=False)
        self.doubtful.add(name)
        if verb in ("start", "stop", "restart", "remove"):
            ask = getattr(self.supervisor, verb)
            self.attempt(lambda: ask(name, "somebody", self.answered(verb, name)), f"{verb} {name}")
        elif verb == "reload":
            self.attempt(lambda: self.supervisor.reload(name, lambda _outcome: None), f"reload {name}")
        elif verb == "signal":
            number = random.choice((signal.SIGUSR1, signal.SIGUSR1, signal.SIGSTOP, signal.SIGKILL, signal.SIGSEGV))
            if number == signal.SIGKILL:
                self.world.kills_asked.add(name)
            self.attempt(lambda: self.supervisor.signal(name, number), f"signal {number} to {name}")
        else:
            kind = random.choice((Kind.WAIT_RUNNING, Kind.WAIT_STOPPED))
            answered = self.answered("wait", name)
            self.attempt(lambda: self.supervisor.wait(name, kind, answered), f"wait for {name}")

    def harm(self) -> None:
        """Something comes from outside."""
        living = [one for one in self.world.table.values() if one.is_alive and one.name]
        if living and self.random.random() < 0.7:
            one = self.random.choice(living)
            self.note(f"{one} is killed from outside")
            self.world.die(one, self.random.choice((-9, -11, 0, 3)))
        else:
            for _ in range(10):
                self.world.stranger()
        if self.random.random() < 0.7:
            self.turn()

    def expect(self, name: str, *, wanted: bool) -> None:
        expected = self.expected[name]
        expected.wanted = wanted
        if wanted:
            expected.unwanted_since = None
            expected.restarts, expected.short_runs = [], 0
        elif expected.unwanted_since is None:
            self._begin_patience(expected, name)

    def _begin_patience(self, expected: Expected, name: str) -> None:
        expected.unwanted_since, expected.was_excused = self.world.now, self.world.excused
        daemon = self.supervisor.daemons.get(name)
        schedule = daemon.in_use.stop if daemon is not None else ()
        # Half a second for an order to the fork helper, and the extensions that a talker asks for.
        expected.patience = sum(max(wait, 1.0) for _, wait in schedule) + 0.5 + 3.5

    def let_pass(self, seconds: float) -> None:
        """Time passes; the supervisor takes a turn whenever it is due, and otherwise sleeps."""
        until = self.world.now + seconds
        turns = 0
        while True:
            due = self.supervisor.next_deadline()
            wakings = [one for one in (due, self.world.next_event()) if one is not None]
            now = max(self.world.now, min([*wakings, until]))
            self.world.advance(now)
            if self.world.is_waking or (due is not None and due <= self.world.now):
                turns += 1
                if turns > 5000:
                    raise Violation("no spin", f"{turns} turns in {seconds} s")
                self.turn()
            elif self.world.now >= until and not (wakings and min(wakings) <= until):
                return

    def settle(self) -> None:
        """Long enough for every schedule to run out; then all must be steady."""
        for _ in range(5):
            crashes = self.crashes
            self.let_pass(20.0)
            if crashes == self.crashes:
                self.check_steady()
                return

    def turn(self) -> None:
        self.attempt(self.supervisor.turn, "")
        self.check()

    def attempt(self, act: Callable[[], object], what: str) -> None:
        """Let the supervisor do something, in which it may be killed."""
        if what:
            self.note(what)
        try:
            act()
        except Crash:
            self.after_crash()
        finally:
            self.number = max(self.number, self.kernel.number)

    def shut_down(self) -> None:
        """The supervisor ends in order, and the next one starts."""
        self.note("shutdown")
        self.is_ending, self.ending_since = True, self.world.now
        excused = self.world.excused
        crashes = self.crashes
        self.attempt(self.supervisor.shut_down, "shut down")
        patience = 20.0
        while self.crashes == crashes:
            self.turn()
            if self.supervisor.is_at_rest or self.crashes != crashes:
                break
            if self.world.now > self.ending_since + patience + self.world.excused - excused:
                raise Violation("a shutdown ends", f"{self._states()} after {patience} s")
            self.let_pass(0.2)
        if self.crashes == crashes:
            self._has_ended()

    def _has_ended(self) -> None:
        if alive := [one for one in self.world.table.values() if one.is_alive and one.name]:
            raise Violation("never running when unwanted", f"{alive} after the shutdown")
        if self.open and not self.world.disk_is_full:
            raise Violation("every request is answered once", f"{self.open} at the end of the supervisor")
        self.world.kill_supervisor(SUPERVISOR)
        for expected in self.expected.values():
            expected.may_start = 1
        self.next_supervisor()

    def leave(self) -> None:
        """The supervisor ends, and leaves the daemons for the next."""
        self.note("leave")
        self.world.kill_supervisor(SUPERVISOR)
        self.open.clear()
        self.next_supervisor()

    def reboot(self) -> None:
        self.note("reboot")
        self.world.reboot()
        self.open.clear()
        for expected in self.expected.values():
            expected.may_start, expected.last = 1, None
            expected.restarts, expected.short_runs = [], 0
        for name, expected in self.expected.items():
            if name not in self.files or self.world.disk_is_full:
                expected.wanted = None
            elif expected.wanted is not None:
                expected.wanted = expected.wanted and self.files[name].start
        self.next_supervisor(same_boot=False)

    # Killed, and taken over.

    def after_crash(self) -> None:
        number = self.kernel.number
        _, whom = self._plan.get(number, ("", ""))
        whom = whom or self._chance.choice((SUPERVISOR, SUPERVISOR, KEEPER, BOTH))
        self.note(f"{whom} killed at {self.kernel.last}")
        self.number = number
        self.crashes += 1
        self.open.clear()
        self.world.kill_supervisor(whom)
        self.world.stranger()
        away = self._chance.choice((0.0, 0.0, 0.01, 1.0, 20.0)) if self.script.seed % 2 else 0.0
        # The step of a stop that was under way may be done anew, and all that a full disk did not take.
        self.world.excused += away + (10.0 if self.world.disk_is_full else 3.0)
        self.world.away += away
        self.back_at = self.world.now + away
        for name in self.doubtful:
            self.expected[name].wanted = None
        self.world.advance(self.world.now + away)
        self.next_supervisor()

    def next_supervisor(self, *, same_boot: bool = True) -> None:
        """Another supervisor reads the state back; what it finds must be what was written down."""
        self.is_ending = False
        written = self.written_lives() if same_boot else {}
        for name, life in written.items():
            is_unknown = life.state is State.STARTING and life.process is None
            # It may have been spawned already, and that be known to nobody; or the shutdown was not finished.
            if is_unknown or life.reason == SHUT_DOWN or (life.wanted and life.state is State.STOPPED):
                expected = self.expected.setdefault(name, Expected())
                expected.may_start = max(expected.may_start, 1)
        self.recover(written, is_after_reboot=not same_boot)

    def recover(self, written: Mapping[str, Life], *, is_after_reboot: bool = False) -> None:
        self.doubtful |= {name for name in self.expected if self.world.disk_is_full or self.script.faults}
        self.recovered_at = self.world.now
        self.kernel = NumberedKernel(SimulatedKernel(self.world), self._crashes(), number=self.number)
        self.supervisor = Supervisor(self.kernel)
        try:
            self.supervisor.recover(self.files)
        except Crash:
            self.after_crash()
            return
        except OSError as error:
            self.note(f"cannot recover: {error}")
            self.number = self.kernel.number
            self.world.excused += 1.0
            self.world.kill_supervisor(SUPERVISOR)
            self.world.advance(self.world.now + 1.0)
            self.recover(written, is_after_reboot=is_after_reboot)
            return
        self.number = self.kernel.number
        self._compare(written, is_after_reboot=is_after_reboot)
        self.turn()

    def _crashes(self) -> dict[int, str]:
        found = {number: when for number, (when, _) in self._plan.items() if number > self.number}
        if self.script.crashiness:
            for number in range(self.number + 1, self.number + 3000):
                if self._chance.random() < self.script.crashiness:
                    found[number] = self._chance.choice(("before", "after"))
                    break
        return found

    def written_lives(self) -> dict[str, Life]:
        """The lives as the journal has them, read without the help of keep/supervisor."""
        found: dict[str, Life] = {}
        boots = [record["boot"] for record in self.world.journal if "boot" in record]
        if boots[-1:] != [self.kernel.boot()]:
            return found
        for record in self.world.journal:
            if record.get("removed"):
                found.pop(record["name"], None)
            elif "life" in record:
                found[record["name"]] = Life.from_record(record["life"])
        return found

    def _compare(self, written: Mapping[str, Life], *, is_after_reboot: bool) -> None:
        """Nothing but what happened meanwhile may differ from what was written down."""
        for name, daemon in self.supervisor.daemons.items():
            expected = self.expected.setdefault(name, Expected())
            was_known = name in written
            before, after = written.get(name, Life()), daemon.life
            if not was_known:
                # It is started as at boot.
                expected.may_start = 1
                if not is_after_reboot:
                    expected.wanted = None
            if self.script.is_ordered:
                expected.wanted = after.wanted
            elif was_known and after.wanted != before.wanted:
                raise Violation("wanted is remembered", f"{name}: {before} became {after}")
            if expected.wanted is not None and after.wanted != expected.wanted and name not in self.doubtful:
                raise Violation("wanted is remembered", f"{name} is to be {expected.wanted}: {after}")
            expected.wanted = after.wanted
            if after.wanted:
                expected.unwanted_since = None
            elif expected.unwanted_since is None:
                self._begin_patience(expected, name)
            if was_known and (before.state, before.invocation) == (after.state, after.invocation):
                self._compare_details(name, before, after)
        for name, expected in self.expected.items():
            if name not in self.supervisor.daemons:
                expected.wanted = False
        self.doubtful.clear()

    def _compare_details(self, name: str, before: Life, after: Life) -> None:
        if after.by.startswith(hooks.FAILURE_OF):
            return  # perhaps started anew, for what the last supervisor had come to
        for field in ("restarts", "failures", "is_slow", "restarted_at", "deadline"):
            was, is_now = getattr(before, field), getattr(after, field)
            # One whose process is found, or whose family is looked for, waits from now on.
            is_new = field == "deadline" and (
                was is None
                or was <= self.world.now
                or before.hooks != after.hooks
                or before.stop_step != after.stop_step
            )
            if was != is_now and not is_new:
                raise Violation("a crash changes nothing", f"{name}: {field} was {was}, is {is_now}")

    # Answers.

    def answered(self, verb: str, name: str) -> Callable[[Outcome], None]:
        self.requests += 1
        number = self.requests
        self.open[number] = f"{verb} {name}"
        supervisor = self.supervisor

        def answered(outcome: Outcome) -> None:
            self.note(f"{verb} {name}: {outcome.error} {outcome.message}")
            if supervisor is self.supervisor and self.open.pop(number, None) is None:
                raise Violation("every request is answered once", f"{verb} {name} twice: {outcome}")
            if verb in ("stop", "remove") and not outcome.error and (others := self.world.living(name)):
                raise Violation("a family is ended whole", f"{name} is said to be stopped while {others} live")
            if verb == "remove" and not outcome.error:
                self.files.pop(name, None)
            if verb in ("start", "restart") and outcome.message.startswith("is up"):
                self._check_up(name)

        return answered

    def _check_up(self, name: str) -> None:
        daemon = self.supervisor.daemons[name]
        process = daemon.life.process
        assert process is not None
        found = self.world.by_id[process.pid, process.start_time]
        # A stray can be taken for the main process, where that one was never recorded.
        has_told = any(one.ready_at is not None for one in self._runs(name) if one.invocation == found.invocation)
        is_taken_for = daemon.in_use.ready.startswith(("exec", "after:")) or daemon.life.health.was_late
        if not is_taken_for and not has_told:
            raise Violation("nothing is said to be up before it is", f"{name}: {found}")
        if daemon.in_use.ready == "exec" and self.world.now < found.started_at + 0.199:
            raise Violation("nothing is said to be up before it is", f"{name}: {found} after an instant")

    # What must hold.

    def check(self) -> None:
        """After each turn."""
        self.world.redefined.clear()
        for name, daemon in self.supervisor.daemons.items():
            expected = self.expected.setdefault(name, Expected())
            if not self.script.is_ordered:
                self._check_wanted(name, daemon.life, expected)
            self._check_timer(name, daemon.life)
            self._check_looks(name, daemon.in_use, daemon.life)
            self._check_health(name, daemon.in_use, daemon.life)
            self._check_task(name, daemon)
            self._check_hooks(name, daemon)
        self.doubtful.clear()
        self._check_order()
        self._check_strangers()
        self._check_zombies()
        self._check_idle()

    def _check_wanted(self, name: str, life: Life, expected: Expected) -> None:
        if expected.wanted is not None and life.wanted != expected.wanted:
            raise Violation("wanted is remembered", f"{name} is to be {expected.wanted}, is {life.wanted}")
        expected.wanted = life.wanted
        if life.wanted and life.state is State.STOPPED and not self.is_ending:
            raise Violation("what is wanted is started", f"{name}: {life}")
        if life.wanted or (life.is_single and life.state is not State.STOPPING):
            expected.unwanted_since = None
            return
        if expected.unwanted_since is None:
            self._begin_patience(expected, name)
        assert expected.unwanted_since is not None
        late = self.world.now - expected.unwanted_since - (self.world.excused - expected.was_excused)
        if late > expected.patience + SLACK and (others := self.world.living(name)):
            raise Violation("never running when unwanted", f"{others} {late:.1f} s after the stop: {life}")

    def _check_timer(self, name: str, life: Life) -> None:
        waits = life.state is State.BACKOFF or (life.state is State.STARTING and life.process is not None)
        waits |= life.state is State.STOPPING and life.process is not None and not life.hooks
        due = self.supervisor.next_deadline()
        if life.state is State.STOPPING and life.deadline is None and life.ended_at is not None and due is not None:
            return  # a look has failed, and will be tried again
        if waits and life.deadline is None:
            raise Violation("no timer is lost", f"{name} waits for ever: {life}")
        for deadline in (life.deadline, life.wake):
            if deadline is not None and (due is None or due > deadline):
                raise Violation("no timer is lost", f"{name} is due at {deadline}, the supervisor at {due}")
            if deadline is not None and deadline < self.world.now - SLACK:
                raise Violation("no timer is lost", f"{name} was due at {deadline}")

    def _check_task(self, name: str, daemon: Daemon) -> None:
        """A task runs when its schedule has a run, and each run comes to stand in the history."""
        task, life = daemon.life.task, daemon.life
        if task is None:
            return
        if daemon.in_use.is_task and (task.run is not None) != (has_run(life) or life.state is State.WAITING):
            raise Violation("a run of a schedule is a run of the daemon", f"{name}: {life}")
        if daemon.definition.is_task and life.wanted and not task.is_on:
            raise Violation("a task that is wanted is on", f"{name}: {life}")
        numbers = [one.number for one in task.history if one.number is not None]
        numbers += [] if task.run is None else [task.run.number]
        if numbers and numbers != list(range(numbers[0], task.runs + 1)):
            raise Violation("no run is lost", f"{name}: {numbers} of {task.runs}")
        if life.wake_wall is not None and life.wake_wall < self.kernel.wall() - SLACK:
            raise Violation("no timer is lost", f"{name} was due at {life.wake_wall} by the wall clock")

    def _check_hooks(self, name: str, daemon: Daemon) -> None:
        """What is awaited of other commands is being run."""
        life = daemon.life
        asked = {kind for whose, kind in self.world.questions if whose == name}
        asked |= {one.kind for one in self.world.answers if one.name == name}
        missing = set(life.hooks) - asked
        if life.state is State.STOPPING:
            missing.discard("before_start")
        if hooks.other_on_failure(daemon.in_use) and self.is_ending:
            missing.discard("on_failure")
        if missing and not self.script.faults:
            raise Violation("no hook is lost", f"{name} waits for {missing}: {life}")

    def _check_order(self) -> None:
        """Of those that are being stopped none was to wait for another."""
        lives = {name: one.life for name, one in self.supervisor.daemons.items()}
        # One that was being ended for itself, to be run again, may be ended by a shutdown now.
        was_stopping, self.stopping = self.stopping, {one.invocation for one in lives.values() if is_stopping(one)}
        new = {name for name, one in lives.items() if _is_asked(one) and one.invocation not in was_stopping}
        is_redefined, self.is_redefined = self.is_redefined, False
        for name, daemon in self.supervisor.daemons.items() if self.script.is_ordered and not is_redefined else ():
            needed = {one.name for one in daemon.definition.requires if one.condition != COMPLETED} & new
            if needed and self.world.living(name):
                raise Violation("order holds", f"{needed} are being stopped before {name}: {self._states()}")

    def _check_start(self, name: str, definition: Definition) -> None:
        """All that it requires has come as far as it waits for."""
        for one in definition.requires:
            other = self.supervisor.daemons.get(one.name)
            states = {COMPLETED: (State.EXITED,), READY: (State.RUNNING,)}
            allowed = states.get(one.condition, (State.STARTING, State.RUNNING, State.EXITED))
            # A restart that is asked for in the same breath lets it run on.
            is_restarted = other is not None and other.life.reason == RESTARTED_BY_REQUEST
            if one.condition == COMPLETED and other is not None and has_succeeded(other.life):
                continue  # a task, which need not rest
            ended_at = None if other is None else other.life.ended_at
            if ended_at is not None and self.world.now - ended_at <= LATEST_SPAWN:
                continue  # it was up when this start was decided, which the fork helper has carried out since
            if other is None or not (other.life.state in allowed or is_restarted):
                raise Violation("order holds", f"{name} is spawned before {one.name}: {self._states()}")

    def _check_looks(self, name: str, definition: Definition, life: Life) -> None:
        """What is to be found out about one that is up will be."""
        health, asked = life.health, {kind for whose, kind in self.world.questions if whose == name}
        asked |= {one.kind for one in self.world.answers if one.name == name}
        if life.state is not State.RUNNING:
            return
        due = self.supervisor.next_deadline()
        if due is not None and due > (health.next_look() or due):
            raise Violation("no look is lost", f"{name} is to be looked at before {due}: {health}")
        is_asked = health.alive_at is not None or "alive" in asked or self.script.faults
        if definition.alive_probe is not None and not is_asked:
            raise Violation("no look is lost", f"{name} is never asked again: {health}")
        for bound, at in ((definition.watchdog, health.watchdog_at), (definition.max_age, health.age_at)):
            if bound is not None and (at is None or at < self.world.now - SLACK):
                raise Violation("no look is lost", f"{name} is not watched: {health}")

    def _check_health(self, name: str, definition: Definition, life: Life) -> None:
        """Who no longer answers is ended when that has been so for long enough, and who answers is not."""
        main = self.world.same(life.process) if life.process is not None and life.has_main else None
        if main is None:
            return
        program = main.program
        is_blamed = life.state is State.STOPPING and life.reason.startswith(NO_ANSWER)
        if is_blamed and program.hangs_after is None and not main.was_suspended:
            raise Violation("who answers is not ended", f"{name}: {life}")
        if life.state is not State.RUNNING or program.hangs_after is None or self.script.faults:
            return
        begun_anew = max(self.recovered_at, self.defined_at.get(name, 0.0))
        since = max(main.started_at + program.hangs_after, life.ready_at or 0.0, begun_anew)
        patience = definition.alive_failures * (definition.alive_interval + definition.alive_timeout)
        is_bound = definition.alive_probe is not None and definition.alive_then != TELL
        if is_bound and self.world.now > since + patience + definition.alive_interval + SLACK:
            raise Violation("who does not answer is ended", f"{name} hangs since {since}: {life}")
        if definition.watchdog is not None and self.world.now > since + definition.watchdog + SLACK:
            raise Violation("who is silent is ended", f"{name} hangs since {since}: {life}")

    def _check_strangers(self) -> None:
        """Every process of a family belongs to a run that is known."""
        known = {one.life.invocation for one in self.supervisor.daemons.values() if one.life.state not in RESTING}
        for process in self.world.table.values():
            if process.is_alive and process.name and process.invocation not in known:
                raise Violation("no orphans", f"{process} belongs to no run that is known")

    def _check_zombies(self) -> None:
        if self.world.is_waking:
            return
        for process in self.world.table.values():
            if process.is_zombie:
                raise Violation("every ending is reaped", f"{process} is a zombie")
        for name, daemon in self.supervisor.daemons.items():
            main = daemon.life.process
            if main is None or not daemon.life.has_main:
                continue
            found = self.world.same(main)
            if (found is None or not found.is_alive) and self.supervisor.next_deadline() is None:
                raise Violation("every ending is seen", f"{name}: {main} has ended")

    def _check_idle(self) -> None:
        steady = (*RESTING, State.RUNNING, State.WAITING)
        if any(one.life.wake is not None for one in self.supervisor.daemons.values()):
            return
        if self.script.faults == 0 and all(one.life.state in steady for one in self.supervisor.daemons.values()):
            due = self.supervisor.next_deadline()
            looks = [one.life.health.next_look() for one in self.supervisor.daemons.values()]
            if due is not None and due not in looks:
                raise Violation("no wake-up with nothing due", f"at {due}")

    def check_steady(self) -> None:
        """Long after the last command."""
        may_wait: tuple[str, ...] = ("wait", "start", "restart") if self.script.is_ordered else ("wait",)
        may_wait = (*may_wait, "run")
        late = {number: what for number, what in self.open.items() if not what.startswith(may_wait)}
        if late:
            raise Violation("every request is answered once", f"{late} are not answered: {self._states()}")
        for name, daemon in self.supervisor.daemons.items():
            life = daemon.life
            if not life.wanted and life.state is not State.STOPPED and not life.is_single:
                raise Violation("never running when unwanted", f"{name}: {life}")
        for name in self.expected:
            if name not in self.supervisor.daemons and (others := self.world.living(name)):
                raise Violation("no orphans", f"{others} of one that is removed")

    def _states(self) -> dict[str, str]:
        return {name: repr(one.life) for name, one in self.supervisor.daemons.items()}

    # Restarts.

    def _was_started(self, order: Order, program: Program) -> None:
        """A daemon is being spawned: was that due, and not too often?"""
        self.note(f"spawn {order.name} {order.definition.command[0]}")
        if self.script.is_ordered:
            if order.definition.nice is None:  # the fork helper takes its time
                self._check_start(order.name, order.definition)
            return
        daemon = self.supervisor.daemons.get(order.name)
        if order.definition.is_task or (daemon is not None and (daemon.life.is_single or daemon.definition.is_task)):
            expected = self.expected.setdefault(order.name, Expected())
            expected.may_start, expected.definition = 1, None
            return  # not restarted, but run; and the daemon that it becomes is another
        expected = self.expected.setdefault(order.name, Expected())
        definition = order.definition
        runs = [one for one in self._runs(order.name) if one.ended_at is not None]
        last = runs[-1] if runs else None
        is_another = expected.definition is not None and definition != expected.definition
        expected.definition = definition
        if expected.may_start or is_another:
            expected.may_start = max(0, expected.may_start - 1)
            expected.restarts, expected.short_runs = [], 0
            expected.last = last
            return
        was_short = False
        if last is not expected.last:
            expected.last = last
            was_short = self._judge(expected, definition, last)
        else:
            expected.short_runs = 0  # it could not be spawned: how often is not known here
        now = self.world.now
        # It was counted when it was decided, which the fork helper can be slower than.
        within = definition.give_up_within - LATEST_SPAWN
        expected.restarts = [*(one for one in expected.restarts if now - one < within), now]
        bound = definition.give_up_restarts
        if bound and definition.give_up_then == FAILED and len(expected.restarts) > bound:
            raise Violation("no more restarts than the policy allows", f"{order.name}: {expected.restarts}")
        if last is not None and was_short:
            doubled = definition.backoff_first * 2.0 ** (expected.short_runs - 1)
            wait = (1 - self.world.chance) * min(doubled, definition.backoff_longest)
            if definition.give_up_then == SLOWLY:
                wait = min(wait, definition.give_up_every)
            assert last.ended_at is not None
            if now < last.ended_at + wait - 0.001:
                raise Violation(
                    "no restart comes too early",
                    f"{order.name}: {now - last.ended_at:.3f} s after short run {expected.short_runs}, not {wait:.3f}",
                )

    def _runs(self, name: str) -> Iterator[Process]:
        return (one for one in self.world.by_id.values() if one.name == name and one.is_main)

    def _judge(self, expected: Expected, definition: Definition, last: Process | None) -> bool:
        """Count a run that is over; whether it was short."""
        assert last is not None
        assert last.ended_at is not None
        lived = last.ended_at - last.started_at
        if definition.command[0] == "/bin/heir" or last.started_at <= self.back_at:
            # How long one was up depends on what was heard of it, and by whom.
            expected.short_runs = 0
            return False
        if lived < definition.healthy_after:
            expected.short_runs += 1
            return True
        if lived >= definition.forgiven_after or self.crashes:
            expected.short_runs = 0
        return False
