"""A task's life: what happens is told to its schedule and to the life of its run, and what either wants is done.

`numen.schedule` decides when a run starts and whether one has to end; `decide` how it is spawned, watched and stopped,
as of any daemon. Here the two meet, in a function as pure as they are: the state of the schedule is a part of the life,
so that one record of the journal holds both.
"""

from __future__ import annotations

from collections import deque

from ..schedule import state as schedules
from ..schedule.decide import decide as decide_schedule
from ..schedule.schedule import REPLACE
from ..schedule.state import ScheduleState, wake_times
from . import life as lives
from .decide import LOST, NOT_READY, SHUT_DOWN, STOPPED_BY_REQUEST, decide
from .life import RESTING, Ending, Life, State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..schedule.schedule import Schedule
    from ..schedule.state import Now
    from .decide import Step
    from .definitions.definition import Definition


def decide_task(
    definition: Definition, in_use: Definition, life: Life, event: lives.Event, now: Now, chance: float
) -> Step:
    """The next life, and what must follow; `in_use` is the definition of the present run, the other is what is wanted.

    The schedule is that which is wanted, from the moment on in which it is.
    """
    return _Deciding(definition, in_use, life, now, chance).of(event)


def has_succeeded(life: Life) -> bool:
    """Whether the last run of a task that has come to its end succeeded."""
    ended = [one.outcome for one in life.task.history if one.number is not None] if life.task is not None else []
    return ended[-1:] == [schedules.DONE]


class _Deciding:
    """One decision, as it is being made."""

    def __init__(self, definition: Definition, in_use: Definition, life: Life, now: Now, chance: float) -> None:
        self.definition, self.in_use, self.now, self.chance = definition, in_use, now, chance
        self.life = life
        self.state = life.task or ScheduleState()
        self.is_ending = SHUT_DOWN in (life.reason, life.held_back)
        """Whether the supervisor ends, and the task with it."""
        self.actions: list[lives.Action] = []
        self.wanted: deque[schedules.Action] = deque()
        """What the schedule wants, and is not done yet."""

    def of(self, event: lives.Event) -> Step:
        """The step."""
        if not (self.definition.is_task or self.in_use.is_task):
            self._become_daemon(event)
        elif not self.in_use.is_task:
            self._end_as_daemon(event)
            self._do_what_is_wanted()
        else:
            if self.life.state is State.BACKOFF:
                self._begin(self.life.by)  # it was to be tried again when it became a task
            self._take(event)
            self._do_what_is_wanted()
        if self.life.task is None and not self.definition.is_task:
            return self.life, tuple(self.actions)
        return self._with_wake_times(), tuple(self.actions)

    # What happens.

    def _take(self, event: lives.Event) -> None:  # noqa: C901 - a case an event
        match event:
            case lives.StartAsked():
                self._begin(event.by)
            case lives.RestartAsked():
                self._begin(event.by)
                if self._has_run():
                    self._tell(schedules.RunAsked(), self._schedule().replace(overlap=REPLACE))
            case lives.StopAsked():
                self._tell(schedules.StopAsked())
                self._step(event)
            case lives.ShutdownAsked():
                self.is_ending = True
                self._tell(schedules.EndAsked())
                self._step(event)
            case lives.RunAsked():
                if self.life.wanted and not self.state.is_on:  # it was started before it became a task
                    self._begin(event.by)
                self.life = self.life.replace(by=event.by)
                self._tell(schedules.RunAsked())
            case lives.Redefined():
                if self.definition.is_task and event.before.is_task:
                    self._tell(schedules.ScheduleChanged(before=event.before.schedule()))
            case lives.ClockSet():
                self._tell_of_time(schedules.ClockSet())
            case lives.TimeCame():
                if self.life.deadline is not None and self.life.deadline <= self.now.monotonic:
                    self._step(event)
                self._tell_of_time(schedules.TimeCame())
            case lives.Rebooted():
                self._come_back(event.task)
            case lives.Spawned():
                self._step(event)
                if self.state.run is not None:
                    self._tell(schedules.Started(number=self.state.run.number))
            case _:
                self._step(event)

    def _begin(self, by: str) -> None:
        """It is wanted: its schedule begins, or goes on where a supervisor has ended."""
        if not self._has_run():
            self._wait_for_next()
        elif self.is_ending:
            # What was held back only has not begun to stop, and runs on.
            is_stopping = self.life.state is State.STOPPING
            self.life = self.life.replace(reason=STOPPED_BY_REQUEST if is_stopping else "", held_back="")
        self.is_ending = False
        self.life = self.life.replace(wanted=True, by=by)
        self._tell(schedules.Resumed(run_lives=True) if self.state.is_on else schedules.Began())

    def _come_back(self, task: ScheduleState) -> None:
        """Nothing of it runs; what is to be made up for is."""
        self.state = task
        if self.life.wanted:
            self._wait_for_next()
            self._tell(schedules.Resumed(is_same_boot=False) if self.state.is_on else schedules.Began())
        else:
            # Whatever was to come is not wanted; a run that was lost stands in the history all the same.
            self._tell(schedules.StopAsked())
            self._tell(schedules.Resumed(is_same_boot=False))

    def _tell_of_time(self, event: schedules.Event) -> None:
        """Nothing is due of what a supervisor that ends has stopped: the next one will see to it."""
        if not self.is_ending and self.life.state not in RESTING:
            self._tell(event)

    # What follows.

    def _tell(self, event: schedules.Event, schedule: Schedule | None = None) -> None:
        """Tell the schedule; what it wants is done later."""
        self.state, wanted = decide_schedule(schedule or self._schedule(), self.state, event, self.now, self.chance)
        self.wanted += wanted

    def _step(self, event: lives.Event) -> None:
        """Tell the run; where that is its end, tell the schedule."""
        self.life, actions = decide(self.in_use, self.life, event, self.now.monotonic, self.chance)
        self.actions += actions
        if self.life.state in RESTING and self.state.run is not None:
            self._end_run(self.life.ending or Ending(failure=LOST))

    def _do_what_is_wanted(self) -> None:
        while self.wanted:
            match self.wanted.popleft():
                case schedules.StartRun():
                    # Of the last run the history tells.
                    self.life = self.life.replace(ending=None)
                    self._step(lives.RunAsked(by=self.life.by))
                case schedules.EndRun(why=why) if why != schedules.STOPPED:
                    self._step(lives.EndAsked(reason=why))

    def _end_run(self, ending: Ending) -> None:
        """The run is over, and all its family gone."""
        run = self.state.run
        assert run is not None
        waiting = self.state.waiting
        if self.is_ending:
            self.state = self.state.replace(waiting=())
        is_failure = self.life.state is State.FAILED or ending.status not in self.in_use.success
        self._tell(
            schedules.Ended(
                number=run.number,
                succeeded=not is_failure,
                status=ending.status,
                reason=ending.failure or (self.life.reason if self.life.reason.startswith(NOT_READY) else ""),
            )
        )
        if self.is_ending:
            self.state = self.state.replace(waiting=waiting if self.life.wanted else ())
        elif not self.definition.is_task:
            self.wanted.clear()
            if self.life.wanted:
                self._wait_for_next()
            self._become_daemon(lives.Redefined(before=self.in_use))
        elif self.life.wanted:
            self._wait_for_next()

    def _wait_for_next(self) -> None:
        self.life = self.life.replace(state=State.SCHEDULED, deadline=None, reason="")

    # From daemon to task, and back.

    def _end_as_daemon(self, event: lives.Event) -> None:
        """A run of when it was no task goes on; what would follow it is the schedule's matter."""
        if isinstance(event, lives.ScheduleEvent):
            return
        self.life, actions = decide(self.in_use, self.life, event, self.now.monotonic, self.chance)
        is_again = self.life.state is State.BACKOFF or any(isinstance(one, lives.Spawn) for one in actions)
        self.actions += [one for one in actions if not isinstance(one, lives.Spawn)]
        if is_again:
            self.actions.append(lives.Release())
            self._begin(self.life.by)

    def _become_daemon(self, event: lives.Event) -> None:
        """It is no task any longer, and no run of one goes on: where it waits for its next time, it starts."""
        is_waiting = self.life.state is State.SCHEDULED
        self.life = self.life.replace(task=None, wake=None, wake_wall=None)
        self.state = ScheduleState()
        if is_waiting and isinstance(event, lives.Redefined):
            event = lives.StartAsked(by=self.life.by)
        if isinstance(event, lives.ScheduleEvent):
            return
        self.life, actions = decide(self.definition, self.life, event, self.now.monotonic, self.chance)
        self.actions += actions

    # How it stands.

    def _schedule(self) -> Schedule:
        return (self.definition if self.definition.is_task else self.in_use).schedule()

    def _has_run(self) -> bool:
        return self.state.run is not None

    def _with_wake_times(self) -> Life:
        """The life with the state in it, and when that has to be looked at."""
        if not self.state.is_on and self.state.run is None and not self.state.history:
            return self.life.replace(task=None, wake=None, wake_wall=None)
        if self.is_ending or self.life.state in RESTING:
            return self.life.replace(task=self.state, wake=None, wake_wall=None)
        times = wake_times(self._schedule(), self.state)
        return self.life.replace(task=self.state, wake=times.monotonic, wake_wall=times.wall)
