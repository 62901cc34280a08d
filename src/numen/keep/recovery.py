"""Taking over from a supervisor that was killed or has ended: what runs is taken back, what is wanted is started.

All of it is done before the first turn. The supervisor makes a `Recovery` of its own parts, runs it once and drops it.
"""

from __future__ import annotations

from . import life as lives
from .decide import SHUT_DOWN
from .kept import Daemon, has_run, is_being_spawned
from .life import RESTING, Life, State
from .order import wanted_with

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from typing import Any

    from .definitions.definition import Definition
    from .errands import Errands
    from .kernel import Kernel
    from .ledger import Ledger
    from .order import Ties

STARTED_BY = "the start of the supervisor"


class Recovery:
    """One supervisor's beginning."""

    def __init__(
        self,
        kernel: Kernel,
        daemons: dict[str, Daemon],
        ledger: Ledger,
        errands: Errands,
        ties: Ties,
        take_up_times: Callable[[Daemon], None],
        step: Callable[[Daemon, lives.Event], None],
    ) -> None:
        self._kernel, self._daemons, self._step = kernel, daemons, step
        self._ledger, self._errands, self._take_up_times, self._ties = ledger, errands, take_up_times, ties
        self._kept: dict[str, Any] | None = None
        """What was kept of schedules, once it was asked for."""
        self._before: dict[str, Definition] = {}
        """The definitions of tasks as they were when the last supervisor ended."""

    def run(self, definitions: Mapping[str, Definition], unusable: Collection[str]) -> None:
        """Bring everything back. Raises OSError where what was written down cannot be read: nothing was done then."""
        wants = self._kernel.read_wants()
        self._read(definitions, unusable, wants)
        for name in self._daemons:
            self._ties.know(name)
        self._take_back()
        for daemon in self._daemons.values():
            self._begin(daemon)
        self._ledger.are_endings_known = True
        # The last supervisor may have been killed between the journal and this.
        self._ledger.are_wants_written = all(
            wants.get(name) == daemon.life.wanted for name, daemon in self._daemons.items()
        )
        self._ledger.write_anew()

    def _read(self, definitions: Mapping[str, Definition], unusable: Collection[str], wants: dict[str, Any]) -> None:
        """Which daemons there are, how they were last written down, and how the files want them."""
        daemons = self._daemons
        if not self._ledger.read():
            for daemon in daemons.values():
                daemon.life = Life(ending=daemon.life.ending)
            known = set()
        else:
            known = set(daemons)
        kept = {*definitions, *(name for name in unusable if name in known)}
        for name in [name for name, one in daemons.items() if name not in kept and not has_run(one.life)]:
            del daemons[name]
        self._ledger.elsewhere = {name: wants[name] for name in unusable if name in wants and name not in daemons}
        for name, definition in definitions.items():
            daemon = daemons.setdefault(name, Daemon(name, definition))
            if daemon.life.task is not None:
                self._before[name] = daemon.definition
            daemon.define(definition)
            daemon.is_defined = False  # until the journal is written anew
        # All of them before anything is written: from then on the journal tells.
        new = {name: one.definition for name, one in daemons.items() if name in definitions and name not in known}
        may = {name: bool(wants.get(name, True)) for name in new}
        wanted = wanted_with(new, {name: may[name] and one.start for name, one in new.items()}, may)
        for name in new:
            daemons[name].life = daemons[name].life.replace(wanted=name in wanted)

    def _take_back(self) -> None:
        """Go on with each run where the last supervisor was killed."""
        endings = {ended.process: ended.status for ended in self._kernel.read_endings()}
        unrecorded = [one.life.invocation for one in self._daemons.values() if is_being_spawned(one.life)]
        found = self._kernel.find(unrecorded) if unrecorded else {}
        for daemon in self._daemons.values():
            life = daemon.life
            if life.state in RESTING:
                if life.hooks:
                    self._step(daemon, lives.Resumed())
                continue
            if is_being_spawned(life):
                process = found.get(life.invocation)
                self._step(daemon, lives.Lost() if process is None else lives.Spawned(process=process))
            elif life.has_main and life.process in endings:
                self._step(daemon, lives.Exited(process=life.process, status=endings[life.process]))
            else:
                self._step(daemon, lives.Resumed())
            self._errands.know_main(daemon)
            self._take_up_times(daemon)
            if daemon.life.state is State.SCHEDULED:
                self._errands.release(daemon.name)
            else:
                self._errands.adopt(daemon)

    def _begin(self, daemon: Daemon) -> None:
        """Start what is wanted and does not run."""
        before = self._before.get(daemon.name, daemon.definition)
        if before != daemon.definition:
            self._step(daemon, lives.Redefined(before=before))
        life = daemon.life
        # The last supervisor was ending, and it with that; this one is not.
        was_ending = (life.state is State.STOPPING and life.reason == SHUT_DOWN) or life.held_back == SHUT_DOWN
        if life.state is State.STOPPED and life.task is None and daemon.definition.is_task:
            self._bring_back(daemon)
        elif life.wanted and (life.state is State.STOPPED or was_ending):
            self._step(daemon, lives.StartAsked(by=STARTED_BY))
        elif life.state in RESTING:
            self._errands.release(daemon.name)

    def _bring_back(self, daemon: Daemon) -> None:
        """Go on with a schedule of which only what was kept beyond a boot can tell."""
        self._errands.release(daemon.name)
        if self._kept is None:
            self._kept = self._kernel.read_tasks()
        record = self._kept.get(daemon.name)
        task = None if record is None else self._ledger.read_task(daemon.name, record)
        if task is not None:
            daemon.life = daemon.life.replace(by=STARTED_BY if daemon.life.wanted else daemon.life.by)
            self._step(daemon, lives.Rebooted(task=task))
        elif daemon.life.wanted:
            self._step(daemon, lives.StartAsked(by=STARTED_BY))
