"""The life of one daemon as data: its state, what can happen to it, what must follow.

`decide` makes a life from a life; nothing here decides, reads a clock or calls the kernel.
"""

from __future__ import annotations

from enum import Enum

from ..record import Record
from ..settings.signals import signal_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from ..schedule.state import ScheduleState
    from .definitions.definition import Definition


class State(Enum):
    """Where a life stands."""

    STOPPED = "stopped"
    """Not running, because somebody stopped it, or nobody has started it."""
    STARTING = "starting"
    """Spawned, or about to be; not known to be up."""
    RUNNING = "running"
    STOPPING = "stopping"
    """It, or what is left of its family, is being ended."""
    BACKOFF = "backoff"
    """It ended, and waits for its next try."""
    WAITING = "waiting"
    """It is to start when others have come so far."""
    SCHEDULED = "scheduled"
    """A task that waits for its next time."""
    EXITED = "exited"
    """It ended well, and is not to be started again."""
    FAILED = "failed"
    """It ended badly, or too often, and is not started again."""


RESTING = frozenset({State.STOPPED, State.EXITED, State.FAILED})
"""The states in which nothing runs and nothing is waited for."""

BETWEEN_RUNS = frozenset({State.BACKOFF, State.WAITING, State.SCHEDULED})
"""The states in which nothing runs, and a run may follow by itself."""


class ProcessId(Record):
    """One process: its number, and when it started (clock ticks since boot, /proc/PID/stat)."""

    pid: int
    start_time: int


class Ending(Record):
    """How a process ended, or why none came to be."""

    status: int | None = None
    """The exit status, or the signal as a negative number; `None` where nobody can tell."""
    failure: str = ""
    """Why it could not be spawned: the step, and what the system said."""

    def __str__(self) -> str:
        """`exit status 3`, `signal SIGSEGV`, `cannot …`."""
        if self.failure:
            return self.failure
        if self.status is None:
            return "exit status unknown"
        return f"exit status {self.status}" if self.status >= 0 else f"signal {signal_name(-self.status)}"


class Health(Record):
    """How a run does, and when which look at it is due (CLOCK_MONOTONIC); what is decided of it is in `health`."""

    ready_at: float | None = None
    """When it is asked whether it is up, or up still."""
    alive_at: float | None = None
    """When it is asked whether it is alive."""
    watchdog_at: float | None = None
    """When it has been silent for too long."""
    age_at: float | None = None
    """When it is too old."""
    memory_at: float | None = None
    """When it is looked how much memory it uses."""
    asks_ready: bool = False
    """Whether that question is open."""
    asks_alive: bool = False
    ready_failures: int = 0
    """How many answers in a row were bad."""
    alive_failures: int = 0
    memory: int | None = None
    """Bytes that its family used at the last look."""
    watchdog: float | None = None
    """How long it may be silent; it can change that itself (WATCHDOG_USEC=)."""
    is_not_ready: bool = False
    """Whether it runs, but does not answer as one that is up."""
    is_silent: bool = False
    """Whether it does not answer as one that is alive, which is told and nothing else."""
    was_late: bool = False
    """Whether it was taken to be up because its time was over."""
    said: str = ""
    """The last bad answer, as long as it means something."""

    def next_look(self) -> float | None:
        """When the first look is due."""
        times = (self.ready_at, self.alive_at, self.watchdog_at, self.age_at, self.memory_at)
        return min((one for one in times if one is not None), default=None)

    def lasting(self) -> Health:
        """What has to be written down; the rest is begun anew by the next supervisor."""
        return Health(
            age_at=self.age_at,
            watchdog=self.watchdog,
            is_not_ready=self.is_not_ready,
            is_silent=self.is_silent,
            was_late=self.was_late,
            said=self.said if self.is_not_ready or self.is_silent else "",
        )


class Life(Record):
    """What is so with one daemon. Written down after each step, and read back by the next supervisor."""

    state: State = State.STOPPED
    since: float = 0.0
    """The wall clock when the state was entered, seconds since the epoch."""
    wanted: bool = False
    """Whether it is to run."""
    is_single: bool = False
    """Whether the present run was asked for by itself, and is none of the daemon that is to run on."""
    by: str = ""
    """Who asked last that it start or stop."""
    invocation: str = ""
    """The id of the present run, or of the last one; random, in the daemon's environment as NUMEN_INVOCATION."""
    process: ProcessId | None = None
    """The main process."""
    members: tuple[ProcessId, ...] = ()
    """Others of its family that were seen while it was being stopped."""
    started_at: float = 0.0
    """CLOCK_MONOTONIC when it was spawned."""
    ready_at: float | None = None
    """CLOCK_MONOTONIC when it became ready."""
    status: str = ""
    """What it says of itself (STATUS= of sd_notify(3))."""
    deadline: float | None = None
    """CLOCK_MONOTONIC at which TimeCame is due: the start timed out, the next stop signal, the next try."""
    ended_at: float | None = None
    """CLOCK_MONOTONIC when the main process of this run ended."""
    stop_step: int = 0
    """How many signals of the stop schedule were sent."""
    is_clearing: bool = False
    """Whether the main process is gone, and what it left behind is being ended."""
    reason: str = ""
    """Why it is being stopped, or is not started again."""
    ending: Ending | None = None
    """How the last run ended."""
    restarts: int = 0
    """How often it was started again without anybody's command, since somebody started it."""
    failures: int = 0
    """How many runs in a row were short."""
    is_slow: bool = False
    """Whether it was restarted too often, and is tried now and then only."""
    restarted_at: tuple[float, ...] = ()
    """CLOCK_MONOTONIC of the last restarts, as many as `give_up` counts."""
    task: ScheduleState | None = None
    """How it stands with the schedule of a task; `tasks` changes it together with the life."""
    wake: float | None = None
    """CLOCK_MONOTONIC at which the schedule is to be looked at."""
    wake_wall: float | None = None
    """The wall clock at which it is, where it has a calendar."""
    held_back: str = ""
    """Why it is to be stopped once those that depend on it are gone: until then it runs on."""
    is_blocked: bool = False
    """Whether it waits for what will not come without a person's doing."""
    previous_end: float | None = None
    """CLOCK_MONOTONIC when the run before this one ended."""
    ends_all: bool = False
    """Whether it is vital and has ended, and the others of its source have not been told to stop yet."""
    health: Health = Health()
    hooks: tuple[str, ...] = ()
    """Which of its other commands run, or are about to (the kinds of `kernel`), and have to come to their end."""

    def record(self) -> dict[str, Any]:
        """The life as what JSON can hold; what has its default is left out."""
        changed = {name: value for name, value in self.__dict__.items() if value != getattr(Life, name)}
        for name, value in changed.items():
            if isinstance(value, State):
                changed[name] = value.value
            elif name == "task":
                changed[name] = value.record()
            elif isinstance(value, Record):
                changed[name] = dict(value.__dict__)
        if "health" in changed:
            lasting = self.health.lasting()
            changed["health"] = {name: value for name, value in lasting.values().items() if value}
        if "members" in changed:
            changed["members"] = [dict(one.__dict__) for one in self.members]
        return changed

    def differs(self, other: Life) -> bool:
        """Whether something is different that has to be written down."""
        if self.health == other.health:
            return self != other
        return self.replace(health=self.health.lasting()) != other.replace(health=other.health.lasting())

    @property
    def has_main(self) -> bool:
        """Whether the main process lives, as far as is known."""
        return self.process is not None and self.ended_at is None

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Life:
        """The life that record() has written."""
        values = dict(record)
        if "state" in values:
            values["state"] = State(values["state"])
        if values.get("process") is not None:
            values["process"] = ProcessId(**values["process"])
        if values.get("ending") is not None:
            values["ending"] = Ending(**values["ending"])
        if values.get("task") is not None:
            from ..schedule.state import ScheduleState

            values["task"] = ScheduleState.from_record(values["task"])
        if values.get("health") is not None:
            values["health"] = Health(**values["health"])
        values["members"] = tuple(ProcessId(**one) for one in values.get("members", ()))
        for name in ("restarted_at", "hooks"):
            values[name] = tuple(values.get(name, ()))
        return cls(**values)


class Event(Record):
    """Something that happened to a daemon."""


class StartAsked(Event):
    """Somebody wants it to run."""

    by: str = ""


class StopAsked(Event):
    """Somebody wants it not to run."""

    by: str = ""


class ShutdownAsked(Event):
    """The supervisor ends in order, and the daemon with it; the next supervisor brings it back."""


class RestartAsked(Event):
    """Somebody wants it ended and started again."""

    by: str = ""


class RunAsked(Event):
    """Somebody wants one run of it now, whether it is to run otherwise or not."""

    by: str = ""


class EndAsked(Event):
    """The run that goes on has to end, for a reason that lies in its schedule."""

    reason: str


class ReloadAsked(Event):
    """Somebody wants it to read its configuration again."""


class SignalAsked(Event):
    """Somebody wants a signal sent to it."""

    number: int


class Spawned(Event):
    """It was spawned: its program is being executed."""

    process: ProcessId


class SpawnFailed(Event):
    """It could not be spawned."""

    failure: str


class BecameReady(Event):
    """It has said that it is up, in the way that its definition names."""


class Notified(Event):
    """It has said something else of itself: a line on its state, more time, another main process."""

    status: str | None = None
    extend: float | None = None
    """Seconds from now to which the time for the start or the stop in progress is extended."""
    watchdog: str | None = None
    """`1`: it is alive; `trigger`: it asks for its end (sd_notify(3))."""
    watchdog_time: float | None = None
    """How long it may be silent from now on."""
    main: ProcessId | None = None


class Exited(Event):
    """The main process has ended; `status` as in Ending."""

    process: ProcessId
    status: int | None


class FamilySeen(Event):
    """The members of its family that live now, the main process not among them."""

    members: tuple[ProcessId, ...]


class Answered(Event):
    """A question that was asked for it has its answer; the fields are those of kernel.Answered."""

    kind: str
    ok: bool
    message: str = ""
    status: int | None = None


class LookCame(Event):
    """The time of a look at its health has come."""


class MemorySeen(Event):
    """What its family uses."""

    used: int
    """Bytes."""


class TimeCame(Event):
    """The deadline of the life has passed."""


class Adjusted(Event):
    """What takes hold at once of another definition does so now: its deadlines are reckoned anew."""

    before: Definition
    """By which it was judged until now."""


class Lost(Event):
    """A new supervisor finds an intention to spawn, and no process that came of it."""


class Resumed(Event):
    """A new supervisor goes on with the life; what the last one was about to do may not have been done."""


class ScheduleEvent(Event):
    """Something that concerns the schedule of a task alone, and what `tasks` makes of it."""


class Redefined(ScheduleEvent):
    """Another definition is wanted of it, and the schedule may be another one now."""

    before: Definition


class ClockSet(ScheduleEvent):
    """The wall clock was set."""


class Rebooted(ScheduleEvent):
    """A new supervisor has found what was kept of its schedule, in another boot it may be; nothing of it runs."""

    task: ScheduleState


class MayStart(Event):
    """What it has waited for has come."""


class Waits(Event):
    """What it waits for has changed."""

    reason: str
    is_blocked: bool = False


class MayStop(Event):
    """Those that had to go before it are gone."""


class Withheld(Event):
    """One that it requires is stopped, or has failed for good."""

    reason: str


class OthersTold(Event):
    """It is vital and has ended, and the others of its source have been told to stop."""


class Action(Record):
    """Something that must follow."""


class Spawn(Action):
    """Spawn it, under the life's invocation."""

    is_prepared: bool = False
    """Whether the run has begun already, with what comes before it."""


class SendSignal(Action):
    """Send a signal to the main process."""

    number: int


class SignalFamily(Action):
    """Send a signal to the main process and to each member of the family."""

    number: int


class LookForFamily(Action):
    """Look who of its family lives, and tell with FamilySeen."""


class LookAtMemory(Action):
    """Look how much memory its family uses, and tell with MemorySeen."""


class Ask(Action):
    """Have a question answered, or a command run, for the run that the life is in; the fields are kernel.Question's."""

    kind: str
    timeout: float
    variables: Mapping[str, str] = {}


class ForgetQuestions(Action):
    """Answers of these kinds are wanted no longer; without kinds, none are."""

    kinds: tuple[str, ...] = ()


class Release(Action):
    """Nothing of it runs: close what was held open for it."""
