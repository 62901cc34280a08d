"""The supervisor: brings what is to what is wanted, and can be killed before and after each of its calls.

All happens in turns. Within one, whatever has happened is decided daemon by daemon; each new life is written to the
journal (`ledger`), and only then is carried out what must follow (`errands`). Nothing waits, and nothing but `kernel`
is called, so the same code runs in `loop` and in the simulation.
"""

from __future__ import annotations

from . import hooks
from . import kernel as kernels
from . import life as lives
from .deadlines import Deadlines, by_health, by_wall
from .decide import decide
from .errands import Errands
from .kept import Daemon, has_run
from .kernel import ClockSet, Ended, Message, NotSpawned, Ready, Spawned
from .ledger import Ledger
from .life import RESTING, ProcessId, State
from .notices import Change, Notice, notices
from .order import Ordering
from .recovery import Recovery
from .requests import Asked, Kind, Outcome, answer, begun_run, refused_run
from .spawning import NOTIFY
from .trouble import Trouble

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from .decide import Step
    from .definitions.definition import Definition
    from .kept import Answered
    from .kernel import Happening, Kernel

MOST_STATUS = 1000
"""Characters of a STATUS= that are kept."""

MOST_DIGITS = 18

WATCHDOGS = ("1", "trigger")
"""What may be said to a watchdog."""

STARTS = (Kind.START, Kind.RESTART, Kind.RUN)
"""What is refused by a supervisor that is ending."""


class Supervisor:
    """The daemons, and all that is done about them."""

    def __init__(self, kernel: Kernel, on_change: Callable[[Change], None] = lambda _change: None) -> None:
        self.kernel = kernel
        self.daemons: dict[str, Daemon] = {}
        self._on_change = on_change
        self._touched: dict[str, None] = {}
        """The daemons for which somebody who waits may have to be answered."""
        self._is_ending = False
        self._order = Ordering(self.daemons)
        self._unsettled: dict[str, None] = {}
        """The daemons to which something may have to be done for the way in which others stand now."""
        self._trouble = Trouble(kernel)
        self._ledger = Ledger(kernel, self.daemons, self._trouble)
        self._deadlines = Deadlines(self.daemons)
        self._calendar = Deadlines(self.daemons, by_wall)
        self._looks = Deadlines(self.daemons, by_health)
        self._wakes_at: float | None = None
        """The wall clock at which the kernel is to wake us."""
        self._errands = Errands(kernel, self.daemons, self._trouble, self._step, self._take)

    # What people ask.

    def define(self, name: str, definition: Definition) -> None:
        """Let this be wanted of the daemon, from its next start on."""
        daemon = self.daemons.get(name)
        if daemon is None:
            daemon = self.daemons[name] = Daemon(name, definition)
            self._ledger.add(name)
        elif daemon.is_defined and daemon.definition == definition:
            return
        before, in_use = daemon.definition, daemon.in_use
        daemon.define(definition)
        self._ledger.write_definition(daemon)
        self._order.ties.know(name)
        self._unsettle(name)
        if daemon.in_use != in_use:
            self._adjust(daemon, in_use)
        if before.is_task or definition.is_task:
            self._step(daemon, lives.Redefined(before=before))

    def start(self, name: str, by: str, answered: Answered) -> None:
        """Start a daemon, and those that it requires; `answered` when it is up, or cannot be."""
        self._start_required(name, by)
        self._ask(name, Kind.START, lives.StartAsked(by=by), answered)

    def stop(self, name: str, by: str, answered: Answered) -> None:
        """Stop a daemon; `answered` when its whole family is gone."""
        self._ask(name, Kind.STOP, lives.StopAsked(by=by), answered)

    def restart(self, name: str, by: str, answered: Answered) -> None:
        """Stop it and start it again; `answered` when its successor is up, or cannot be."""
        self._start_required(name, by)
        self._ask(name, Kind.RESTART, lives.RestartAsked(by=by), answered)

    def run(self, name: str, by: str, answered: Answered, *, waits: bool = True) -> None:
        """Run it once, now; `answered` when that run has ended, or was begun where nobody `waits` for more."""
        daemon = self.daemons[name]
        why_not = refused_run(daemon.definition, daemon.life)
        if why_not is not None or self._is_ending:
            answered(why_not or Outcome(error="Superseded", message="is not run: the supervisor is ending"))
            return
        self._start_required(name, by)
        before = daemon.life
        self._step(daemon, lives.RunAsked(by=by))
        begun, asked = begun_run(before, daemon.life)
        if begun.error or not waits:
            answered(begun)
        else:
            daemon.waiting.append((asked, answered))
            self._touched[name] = None

    def remove(self, name: str, by: str, answered: Answered) -> None:
        """Stop it and forget it."""
        daemon = self.daemons[name]

        def forget_first(outcome: Outcome) -> None:
            if not outcome.error and self.daemons.get(name) is daemon:
                self._forget(name)
            answered(outcome)

        self._ask(name, Kind.REMOVE, lives.StopAsked(by=by), forget_first)

    def keep(self, name: str, by: str) -> None:
        """Whoever is removing it does so no more: it is wanted again."""
        daemon = self.daemons.get(name)
        if daemon is None:
            return
        removing = [entry for entry in daemon.waiting if entry[0].kind is Kind.REMOVE]
        daemon.waiting = [entry for entry in daemon.waiting if entry not in removing]
        for _asked, answered in removing:
            answered(Outcome(error="Superseded", message=f"is defined again: {by}"))

    def file_is_gone(self, name: str) -> None:
        """A daemon that was removed has no file any longer: nothing need be remembered of it."""
        self._ledger.forget(name)

    def wait(self, name: str, kind: Kind, answered: Answered) -> Callable[[], None]:
        """Wait for a state; what is returned ends the waiting."""
        daemon = self.daemons[name]
        entry = (Asked(kind=kind, invocation=daemon.life.invocation), answered)
        daemon.waiting.append(entry)
        self._touched[name] = None

        def give_up() -> None:
            if entry in daemon.waiting:
                daemon.waiting.remove(entry)

        return give_up

    def reload(self, name: str, answered: Answered) -> None:
        """Let it read its configuration again; `answered` at once, or when the command that does so has ended."""
        daemon = self.daemons[name]
        self._step(daemon, lives.ReloadAsked())
        if daemon.life.state is not State.RUNNING:
            answered(Outcome(error="NotRunning", message="is not running"))
        elif daemon.in_use.reload_command is None:
            answered(Outcome(message="was told to reload"))
        else:
            daemon.waiting.append((Asked(kind=Kind.RELOAD, invocation=daemon.life.invocation), answered))

    def signal(self, name: str, number: int) -> bool:
        """Send a signal to the main process; false where there is none."""
        daemon = self.daemons[name]
        self._step(daemon, lives.SignalAsked(number=number))
        return daemon.life.has_main

    def shut_down(self) -> None:
        """Stop all, and remember what is wanted; `is_at_rest` says when that is done."""
        self._is_ending = True
        for daemon in self.daemons.values():
            self._step(daemon, lives.ShutdownAsked())

    @property
    def is_at_rest(self) -> bool:
        """Whether nothing runs, and nothing will by itself."""
        return all(daemon.life.state in RESTING and not self._runs_on(daemon) for daemon in self.daemons.values())

    def _runs_on(self, daemon: Daemon) -> bool:
        """Whether a command runs that tells of its failure; a daemon that is to be started is left to the next one."""
        return bool(daemon.life.hooks) and hooks.command_of(daemon.in_use, kernels.ON_FAILURE) is not None

    # What happens.

    def recover(self, definitions: Mapping[str, Definition], unusable: Collection[str] = ()) -> None:
        """Take back what runs, and start what is wanted and does not; `definitions` are those of the files.

        `unusable` are the names whose files have mistakes: what is known of these stays until somebody mends them.
        Raises OSError where what was written down cannot be read: nothing was done then.
        """
        ties, take_up = self._order.ties, self._take_up_times
        recovery = Recovery(self.kernel, self.daemons, self._ledger, self._errands, ties, take_up, self._step)
        recovery.run(definitions, unusable)
        self._take_clock()  # nobody was there to hear of it
        # What order asked of the last supervisor it may have left undone.
        self._unsettled.update(dict.fromkeys(self._order.ties.names()))
        for name, daemon in self.daemons.items():
            if daemon.life.ends_all or daemon.life.hooks:
                self._unsettled[name] = None
        self._carry_out()

    def turn(self) -> None:
        """Deal with all that has happened, and carry out what follows from it and from what was asked."""
        for happening in self.kernel.poll():
            self._take(happening)
        self._take_time()
        self._try_again()
        self._carry_out()

    def next_deadline(self) -> float | None:
        """CLOCK_MONOTONIC of the next turn that is due by itself; `None` where there is none."""
        times = (self._deadlines.first(), self._looks.first(), self._trouble.again_at)
        due = [one for one in times if one is not None]
        return min(due, default=None)

    # How it is done.

    def _adjust(self, daemon: Daemon, before: Definition) -> None:
        """What takes hold at once of another definition does."""
        if has_run(daemon.life):
            with self._trouble.tolerance(f"keep the log of {daemon.name} in another way"):
                self.kernel.change_logs(daemon.name, daemon.in_use)
        self._step(daemon, lives.Adjusted(before=before))

    def _ask(self, name: str, kind: Kind, event: lives.Event, answered: Answered) -> None:
        daemon = self.daemons[name]
        daemon.waiting.append((Asked(kind=kind, invocation=daemon.life.invocation), answered))
        if self._is_ending and kind in STARTS:
            self._touched[name] = None
        else:
            self._step(daemon, event)

    def _start_required(self, name: str, by: str) -> None:
        if name in self._order.ties and not self._is_ending:
            for other in self._order.started_with(name):
                self._step(self.daemons[other], lives.StartAsked(by=by))

    def _take(self, happening: Happening) -> None:
        match happening:
            case Ended():
                self._take_ending(happening)
            case Spawned():
                if (daemon := self._current(happening.name, happening.invocation)) is not None:
                    self._step(daemon, lives.Spawned(process=happening.process))
            case NotSpawned():
                if (daemon := self._current(happening.name, happening.invocation)) is not None:
                    self._step(daemon, lives.SpawnFailed(failure=happening.failure))
            case Ready():
                if (daemon := self.daemons.get(happening.name)) is not None:
                    self._step(daemon, lives.BecameReady())
            case Message():
                self._take_message(happening)
            case kernels.Answered():
                self._take_answer(happening)
            case ClockSet():
                self._take_clock()

    def _current(self, name: str, invocation: str) -> Daemon | None:
        daemon = self.daemons.get(name)
        is_awaited = daemon is not None and daemon.life.invocation == invocation and daemon.life.process is None
        return daemon if is_awaited else None

    def _take_ending(self, ended: Ended) -> None:
        daemon = self._errands.whose(ended.process)
        if daemon is not None:
            self._step(daemon, lives.Exited(process=ended.process, status=ended.status))
        # Only now that the status is written down may the kernel forget it.
        self.kernel.reap(ended.process)

    def _take_message(self, message: Message) -> None:
        daemon = self.daemons.get(message.name)
        if daemon is None:
            return
        if not self._is_of_family(daemon, message.sender):
            return
        said = message.assignments
        microseconds = _number(said.get("EXTEND_TIMEOUT_USEC"))
        extend = None if microseconds is None else microseconds / 1e6
        main = self._named_main(daemon, said.get("MAINPID"))
        status = said.get("STATUS")
        status = None if status is None else status[:MOST_STATUS]
        watchdog, microseconds = said.get("WATCHDOG"), _number(said.get("WATCHDOG_USEC"))
        told = lives.Notified(
            status=status,
            extend=extend,
            main=main,
            watchdog=watchdog if watchdog in WATCHDOGS else None,
            watchdog_time=microseconds / 1e6 if microseconds else None,
        )
        if told != lives.Notified():
            self._step(daemon, told)
        if said.get("READY") == "1" and daemon.in_use.ready == NOTIFY:
            self._step(daemon, lives.BecameReady())

    def _is_of_family(self, daemon: Daemon, sender: ProcessId | None) -> bool:
        """Whether who sent a notification may speak for a daemon; of one that is gone already nobody can tell."""
        if sender is None or sender == daemon.life.process or sender in daemon.speakers:
            return True
        with self._trouble.tolerance("look for the family of a daemon"):
            (family,) = self.kernel.families([daemon.marks()])
            if sender in family:
                daemon.speakers.add(sender)
                return True
            return not self.kernel.is_alive(sender)
        return True  # its user is the daemon's

    def _take_answer(self, answered: kernels.Answered) -> None:
        daemon = self.daemons.get(answered.name)
        if daemon is None:
            return
        if answered.kind == kernels.RELOAD:
            self._answer_reload(daemon, answered)
        elif answered.kind in (kernels.AFTER_EXIT, kernels.ON_FAILURE) and not answered.ok:
            notice = Notice(kind="hook", message=f"{answered.kind} failed: {answered.message}")
            self._on_change(Change(name=daemon.name, notices=[notice]))
        if daemon.life.invocation == answered.invocation:
            event = lives.Answered(kind=answered.kind, ok=answered.ok, message=answered.message, status=answered.status)
            self._step(daemon, event)

    def _answer_reload(self, daemon: Daemon, told: kernels.Answered) -> None:
        """The command has ended: that is the answer to all who wait for it."""
        outcome = Outcome(message="has reloaded")
        if not told.ok:
            outcome = Outcome(error="NotReloaded", message=f"reload_command: {told.message}", status=told.status)
        waiting, daemon.waiting = daemon.waiting, []
        for asked, answered in waiting:
            if asked.kind is Kind.RELOAD:
                answered(outcome)
            else:
                daemon.waiting.append((asked, answered))

    def _named_main(self, daemon: Daemon, text: str | None) -> ProcessId | None:
        """The member of the family that is to be the main process from now on."""
        pid = _number(text)
        process = daemon.life.process
        if pid is None or process is None or not daemon.life.has_main or pid == process.pid:
            return None
        with self._trouble.tolerance("look for the family of a daemon"):
            (family,) = self.kernel.families([daemon.marks()])
            main = next((one for one in family if one.pid == pid), None)
            if main is not None:
                # It need not be a child: then nothing else would tell of its end.
                self.kernel.watch(main)
            return main
        return None

    def _take_time(self) -> None:
        now = self.kernel.monotonic()
        while (daemon := self._deadlines.next_due(now)) is not None:
            self._step(daemon, lives.TimeCame())
        while (daemon := self._looks.next_due(now)) is not None:
            self._step(daemon, lives.LookCame())
        if self._calendar.first() is None:
            return
        wall = self.kernel.wall()
        while (daemon := self._calendar.next_due(wall)) is not None:
            self._step(daemon, lives.TimeCame())

    def _take_clock(self) -> None:
        """The wall clock was set: every calendar is looked at, and the kernel told anew when to wake us."""
        self._wakes_at = None
        for daemon in list(self.daemons.values()):
            if daemon.life.task is not None:
                self._step(daemon, lives.ClockSet())

    def _take_up_times(self, daemon: Daemon) -> None:
        self._deadlines.schedule(daemon)
        self._calendar.schedule(daemon)
        self._looks.schedule(daemon)

    def _try_again(self) -> None:
        """What failed a while ago."""
        if self._trouble.is_due():
            self._ledger.try_again()
            self._errands.try_again()

    def _step(self, daemon: Daemon, event: lives.Event) -> None:
        """Decide, write down, and queue what must follow."""
        kernel = self.kernel
        before, now = daemon.life, kernel.monotonic()
        after, actions = self._order.held(daemon, event, self._decide(daemon, event, now))
        if after.state is not before.state:
            after = after.replace(since=kernel.wall())
        is_new_run = hooks.is_new_run(actions)
        after, actions = hooks.followed(daemon.definition, before, (after, actions))
        spawns = is_new_run or any(isinstance(action, lives.Spawn) for action in actions)
        if is_new_run:
            after = after.replace(invocation=kernel.new_invocation())
        differs = after.differs(before)
        if differs or after != before:
            daemon.go_on(after)
            self._errands.know_main(daemon)
            times_before = (before.deadline, before.wake, before.wake_wall, before.health.next_look())
            times = (after.deadline, after.wake, after.wake_wall, after.health.next_look())
            if times != times_before or isinstance(event, lives.TimeCame | lives.LookCame):
                self._take_up_times(daemon)
            if after.task is not before.task:
                self._ledger.keep_task(daemon.name, before.task, after.task)
            if after.wanted != before.wanted:
                self._ledger.are_wants_written = False
            told = notices(daemon.in_use, before, after, now)
            if told or differs:
                self._on_change(Change(name=daemon.name, notices=told))
            self._unsettle(daemon.name)
        self._touched[daemon.name] = None
        # What a probe answers, and a watchdog is told, changes nothing that the next supervisor needs.
        is_written = not differs or self._ledger.write_life(daemon)
        if spawns and not is_written:
            self._step(daemon, lives.SpawnFailed(failure="cannot write down that it is about to be spawned"))
            return
        for action in actions:
            self._errands.queue(daemon, action)

    def _decide(self, daemon: Daemon, event: lives.Event, now: float) -> Step:
        definition, in_use, life = daemon.definition, daemon.in_use, daemon.life
        chance = self.kernel.chance()
        is_task = definition.is_task or in_use.is_task or life.task is not None
        if not is_task and not isinstance(event, lives.ScheduleEvent):
            return decide(in_use, life, event, now, chance)
        # Most supervisors keep no task, and need nothing of this.
        from ..schedule.state import Now
        from .tasks import decide_task

        return decide_task(definition, in_use, life, event, Now(wall=self.kernel.wall(), monotonic=now), chance)

    def _unsettle(self, name: str) -> None:
        self._unsettled.update(dict.fromkeys(self._order.ties.around(name)))
        if name in self.daemons and (self.daemons[name].life.ends_all or self.daemons[name].life.hooks):
            self._unsettled[name] = None

    def _settle(self) -> None:
        """Do what order asks for, until it asks for nothing more."""
        while self._unsettled:
            name = next(iter(self._unsettled))
            del self._unsettled[name]
            if name in self.daemons and self.daemons[name].life.ends_all:
                self._end_all(self.daemons[name])
            if name in self.daemons and kernels.ON_FAILURE in self.daemons[name].life.hooks and not self._is_ending:
                self._start_on_failure(self.daemons[name])
            if (event := self._order.due(name)) is not None:
                self._step(self.daemons[name], event)

    def _end_all(self, vital: Daemon) -> None:
        """A vital daemon has ended: all that end with it are stopped."""
        for name in self._order.ended_with(vital.name):
            self._step(self.daemons[name], lives.StopAsked(by=f"the end of {vital.name}, which is vital"))
        self._step(vital, lives.OthersTold())

    def _start_on_failure(self, failed: Daemon) -> None:
        """One has failed for good: the daemon is started that it names for that."""
        other = hooks.other_on_failure(failed.in_use)
        if not other:
            return
        definitions = {name: one.definition for name, one in self.daemons.items()}
        why_not = hooks.refusal(failed.name, definitions.get, failed.life.by)
        if not why_not:
            self.start(other, f"{hooks.FAILURE_OF}{failed.name}", lambda _outcome: None)
        invocation = failed.life.invocation
        ended = kernels.Answered(
            name=failed.name, invocation=invocation, kind=kernels.ON_FAILURE, ok=not why_not, message=why_not
        )
        self._take_answer(ended)

    def _carry_out(self) -> None:
        while True:
            self._settle()
            self._errands.carry_out()
            # First what outlives a boot, then the answer to who asked for it.
            self._ledger.write_wants()
            self._ledger.write_tasks()
            self._answer()
            if not (self._touched or self._unsettled):  # who was answered has asked for nothing more
                break
        self._ledger.write_wants()
        self._errands.let_go()
        self._ledger.tidy()
        if (first := self._calendar.first()) != self._wakes_at:
            with self._trouble.tolerance("wait for the time of a task"):
                self.kernel.wake_at_wall(first)
                self._wakes_at = first

    def _answer(self) -> None:
        """Answer those whose daemon's life has come to where they wait for it."""
        touched, self._touched = self._touched, {}
        for name in touched:
            daemon = self.daemons.get(name)
            if daemon is None:
                continue
            open_still = []
            answers = []
            for asked, answered in daemon.waiting:
                outcome = answer(daemon.in_use, daemon.life, asked)
                if outcome is None and self._is_ending and asked.kind in (*STARTS, Kind.WAIT_RUNNING):
                    outcome = Outcome(error="Superseded", message="is not up: the supervisor is ending")
                if outcome is None:
                    open_still.append((asked, answered))
                else:
                    answers.append((answered, outcome))
            daemon.waiting = open_still
            for answered, outcome in answers:
                answered(outcome)

    def _forget(self, name: str) -> None:
        daemon = self.daemons.pop(name)
        self._ledger.remove(name)
        self._errands.forget(name)
        self._unsettle(name)
        self._order.ties.know(name)
        self._on_change(Change(name=name, notices=[Notice(kind="removed", message=f"by {daemon.life.by}")]))
        for _asked, answered in daemon.waiting:
            answered(Outcome(error="NoSuchDaemon", message="was removed"))


def _number(text: str | None) -> int | None:
    """The number that a daemon has sent; `None` where it is none, or longer than any that could be meant."""
    # Python refuses to read one of thousands of digits, with a ValueError.
    return int(text) if text and text.isascii() and text.isdigit() and len(text) <= MOST_DIGITS else None
