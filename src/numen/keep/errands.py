"""What must follow from what was decided, carried out: looks, signals, spawns, and letting go of what has ended.

An action is queued when its life is written down, and carried out before the turn is over. What that brings about
goes back by `step` and `take` to the supervisor, which may queue more.
"""

from __future__ import annotations

import signal
from collections import deque

from . import hooks
from . import life as lives
from .kernel import ON_FAILURE, PROBES, Answered, NotSpawned, Order, Question
from .life import RESTING, State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .kept import Daemon
    from .kernel import Happening, Kernel
    from .life import ProcessId
    from .trouble import Trouble


class Errands:
    """What is to be done for these daemons."""

    def __init__(
        self,
        kernel: Kernel,
        daemons: Mapping[str, Daemon],
        trouble: Trouble,
        step: Callable[[Daemon, lives.Event], None],
        take: Callable[[Happening], None],
    ) -> None:
        self._kernel, self._daemons, self._trouble = kernel, daemons, trouble
        self._step, self._take = step, take
        self._whose: dict[ProcessId, str] = {}
        """Whose main process, or member that is waited for, each process is."""
        self._looks: dict[str, None] = {}
        self._looks_again: dict[str, None] = {}
        """Those that failed."""
        self._signals: list[tuple[str, lives.SendSignal | lives.SignalFamily]] = []
        self._spawns: deque[str] = deque()
        self._memory_looks: dict[str, None] = {}
        self._questions: list[tuple[str, lives.Ask | lives.ForgetQuestions]] = []
        self._questions_again: list[tuple[str, str, lives.Ask]] = []
        """Those that could not be asked, each with the invocation for which it is."""
        self._releases: dict[str, None] = {}
        self._unadopted: dict[str, None] = {}
        """The daemons of an earlier supervisor that could not be held."""

    # What is to be done.

    def queue(self, daemon: Daemon, action: lives.Action) -> None:
        """Let this be done in this turn."""
        match action:
            case lives.LookForFamily():
                self._looks[daemon.name] = None
            case lives.SendSignal() | lives.SignalFamily():
                self._signals.append((daemon.name, action))
            case lives.Spawn():
                self._releases.pop(daemon.name, None)
                self._spawns.append(daemon.name)
            case lives.LookAtMemory():
                self._memory_looks[daemon.name] = None
            case lives.Ask() | lives.ForgetQuestions():
                self._questions.append((daemon.name, action))
            case lives.Release():
                self.release(daemon.name)

    def release(self, name: str) -> None:
        """Let what is held open for a daemon be closed in this turn."""
        self._releases[name] = None

    def know_main(self, daemon: Daemon) -> None:
        """Remember whose main process it is."""
        life = daemon.life
        if life.process is not None and life.has_main:
            self._whose[life.process] = daemon.name

    def whose(self, ended: ProcessId) -> Daemon | None:
        """The daemon that waits for the end of this process, which need not be remembered any longer."""
        return self._daemons.get(self._whose.pop(ended, ""))

    def forget(self, name: str) -> None:
        """The daemon is removed: only what is open for it is left to be closed."""
        self._unadopted.pop(name, None)
        self._questions.append((name, lives.ForgetQuestions()))
        self.release(name)

    # How it is done.

    def carry_out(self) -> None:
        """Looks first, because who descends from whom is seen only while all live; then signals; then spawns, and last
        what is to be asked of what was spawned.
        """
        while self._looks or self._signals or self._spawns or self._questions or self._memory_looks:
            if self._looks:
                self._look()
            elif self._signals:
                waiting, self._signals = self._signals, []
                for name, action in waiting:
                    self._send(self._daemons[name], action)
            elif self._spawns:
                self._spawn(self._spawns.popleft())
            elif self._memory_looks:
                self._look_at_memory()
            else:
                questions, self._questions = self._questions, []
                for name, question in questions:
                    self._ask(name, question)

    def let_go(self) -> None:
        """Close what is open for who has ended, once nobody waits for more than that."""
        releases, self._releases = self._releases, {}
        for name in releases:
            daemon = self._daemons.get(name)
            self._releases[name] = None
            with self._trouble.tolerance("close what was held open for a daemon"):
                self._kernel.release(name, None if daemon is None else daemon.in_use)
                del self._releases[name]

    def try_again(self) -> None:
        """Do what failed a while ago."""
        self._looks.update(self._looks_again)
        self._looks_again = {}
        questions, self._questions_again = self._questions_again, []
        for name, invocation, question in questions:
            if name in self._daemons and self._daemons[name].life.invocation == invocation:
                self._questions.append((name, question))
        unadopted, self._unadopted = self._unadopted, {}
        for name in unadopted:
            if name in self._daemons and self._daemons[name].life.state not in RESTING:
                self.adopt(self._daemons[name])

    def adopt(self, daemon: Daemon) -> None:
        """Hold a run of an earlier supervisor's."""
        life = daemon.life
        self._unadopted[daemon.name] = None
        with self._trouble.tolerance(f"hold {daemon.name}, which an earlier supervisor has started"):
            main = life.process if life.has_main else None
            self._kernel.adopt(daemon.name, daemon.in_use, life.invocation, main)
            del self._unadopted[daemon.name]

    def _look(self) -> None:
        """One look for all who want one now."""
        looking = [self._daemons[name] for name in self._looks if name in self._daemons]
        self._looks = {}
        families: list[tuple[ProcessId, ...]] = []
        with self._trouble.tolerance("look for the families of daemons"):
            families = self._kernel.families([daemon.marks() for daemon in looking])
        if not families:
            self._looks_again.update(dict.fromkeys(daemon.name for daemon in looking))
            return
        for daemon, members in zip(looking, families, strict=True):
            if daemon.life.state is State.STOPPING and not daemon.life.has_main:
                for member in members:
                    self._wait_for(member, daemon)
            self._step(daemon, lives.FamilySeen(members=members))

    def _look_at_memory(self) -> None:
        """One look for all whose time has come; the next is due soon, should it fail."""
        looking = [self._daemons[name] for name in self._memory_looks if name in self._daemons]
        self._memory_looks = {}
        with self._trouble.tolerance("look at the memory of daemons"):
            bounds = [daemon.in_use.max_memory or 0 for daemon in looking]
            used = self._kernel.memory([daemon.marks() for daemon in looking], bounds)
            for daemon, size in zip(looking, used, strict=True):
                self._step(daemon, lives.MemorySeen(used=size))

    def _wait_for(self, member: ProcessId, daemon: Daemon) -> None:
        if self._whose.get(member) != daemon.name:
            with self._trouble.tolerance("watch a process"):
                self._kernel.watch(member)
                self._whose[member] = daemon.name

    def _send(self, daemon: Daemon, action: lives.SendSignal | lives.SignalFamily) -> None:
        life = daemon.life
        targets = [life.process] if life.process is not None and life.has_main else []
        if isinstance(action, lives.SignalFamily):
            targets += life.members
            if action.number == signal.SIGKILL:
                with self._trouble.tolerance("kill a control group"):
                    self._kernel.kill_group(life.invocation)
        for process in targets:
            with self._trouble.tolerance(f"send a signal to pid {process.pid}"):
                self._kernel.send_signal(process, action.number)

    def _ask(self, name: str, action: lives.Ask | lives.ForgetQuestions) -> None:
        if isinstance(action, lives.ForgetQuestions):
            self._questions_again = [
                one
                for one in self._questions_again
                if one[0] != name or (action.kinds and one[2].kind not in action.kinds)
            ]
            with self._trouble.tolerance("have questions forgotten"):
                self._kernel.forget_questions(name, action.kinds)
            return
        daemon = self._daemons[name]
        invocation = daemon.life.invocation
        if action.kind not in PROBES and hooks.command_of(daemon.in_use, action.kind) is None:
            # The definition has changed since this was decided: nothing is to be run any more.
            self._take(Answered(name=name, invocation=invocation, kind=action.kind, ok=True))
            return
        variables = action.variables
        if action.kind == ON_FAILURE:
            variables = {**variables, hooks.FAILED_NAME: name}
        question = Question(
            name=name,
            invocation=invocation,
            kind=action.kind,
            definition=daemon.in_use,
            timeout=action.timeout,
            variables=variables,
        )
        again = (name, invocation, action)
        self._questions_again.append(again)
        with self._trouble.tolerance("start the process that asks for daemons"):
            self._kernel.ask(question)
            self._questions_again.remove(again)

    def _spawn(self, name: str) -> None:
        daemon = self._daemons[name]
        if daemon.life.state is not State.STARTING:
            # Before it could be spawned, somebody asked that it be stopped.
            self._step(daemon, lives.Lost())
            return
        self._unadopted.pop(name, None)
        order = Order(name=name, definition=daemon.in_use, invocation=daemon.life.invocation)
        outcome: Happening | None
        try:
            outcome = self._kernel.spawn(order)
        except OSError as error:
            failure = f"cannot spawn it: {error.strerror or error}"
            outcome = NotSpawned(name=name, invocation=order.invocation, failure=failure)
        if outcome is not None:
            self._take(outcome)
