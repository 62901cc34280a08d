"""A set of daemons applied: compared with what is there of its source, written, and brought about.

What follows is decided in `definitions.applying`, and written all or not at all by `definitions.replacing`. The caller
is `service`.
"""

from __future__ import annotations

import os
from contextlib import suppress
from functools import partial

from ...errors import BadDefinition, DaemonError
from ...settings.names import check_kept_name
from ..definitions import applying, files, replacing
from ..definitions.fitness import check_fit
from ..definitions.tables import from_table
from ..definitions.trust import untrusted
from ..life import RESTING, State
from ..notices import Change, Notice
from ..requests import Kind, Outcome, scheduled
from .gathering import Gathering

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from ..definitions.applying import Plan, Standing
    from ..definitions.definition import Definition
    from ..disk import Disk
    from ..supervisor import Supervisor
    from .calls import Call
    from .gathering import Tell

ONE_AT_A_TIME = "/apply"
"""The queue in which sets wait for each other; no daemon has that name."""


class Unfit(DaemonError):
    """A daemon of a set that cannot be carried out here."""


class Applying:
    """Applies sets; `turn` is called when something was asked of the supervisor."""

    def __init__(
        self,
        supervisor: Supervisor,
        directory: files.Directory,
        disk: Disk,
        tell: Tell,
        note: Callable[[Change], None],
        turn: Callable[[], None],
    ) -> None:
        self._supervisor, self._directory, self._disk = supervisor, directory, disk
        self._tell, self._note, self._turn = tell, note, turn

    def apply(
        self,
        call: Call,
        source: str | None,
        tables: Mapping[str, Any],
        *,
        dry_run: bool,
        only: Iterable[str] | None,
        restart: bool,
    ) -> None:
        """Let these be all the daemons of a source, or `only` those of them."""
        chosen = None if only is None else frozenset(only).union(tables)

        def begin(next_one: Callable[[], None]) -> None:
            own = [name for name, one in self._supervisor.daemons.items() if one.definition.source == source]
            names = dict.fromkeys([*(name for name in own if chosen is None or name in chosen), *tables])

            def begin_all(release: Callable[[], None]) -> None:
                one = _Set(self, call, source, self._standing(), chosen, restart=restart)

                def over() -> None:
                    release()
                    next_one()

                self._disk.run(
                    lambda: one.prepare(tables), lambda error: one.go_on(error, dry_run=dry_run, release=over)
                )

            self._disk.hold(names, begin_all)

        self._disk.hold([ONE_AT_A_TIME], begin)

    def finish_removing(self, names: list[str]) -> None:
        """Remove what a supervisor that was killed was about to remove."""
        for name in names:
            if name in self._supervisor.daemons:
                self._supervisor.remove(name, "numen apply", partial(self._removed, name, lambda _outcome: None))
            else:
                self._unlink(name)
        self.are_removed(names)

    def are_removed(self, names: Iterable[str]) -> None:
        """These need not be removed any more, should this supervisor be killed."""
        self._disk.work(ONE_AT_A_TIME, lambda: replacing.removed(self._directory.path, names), lambda _result: None)

    def _standing(self) -> dict[str, Standing]:
        found = {}
        for name, one in self._supervisor.daemons.items():
            life = one.life
            is_idle = life.state is State.SCHEDULED or (life.state is State.WAITING and life.is_blocked)
            found[name] = applying.Standing(
                definition=one.definition,
                in_use=one.definition if is_idle else one.in_use,
                is_up=life.state not in RESTING,
                is_leaving=any(asked.kind is Kind.REMOVE for asked, _ in one.waiting),
                is_idle=is_idle,
                ended=life.wanted and life.state in (State.EXITED, State.FAILED),
            )
        return found

    def _removed(self, name: str, answered: Callable[[Outcome], None], outcome: Outcome) -> None:
        """It is stopped and forgotten: its file goes too."""
        if outcome.error:
            answered(outcome)
            return
        self._disk.work(name, lambda: self._unlink(name), lambda _result: self._forgotten(name, answered, outcome))

    def _unlink(self, name: str) -> None:
        if name in self._supervisor.daemons:
            return  # it was defined anew meanwhile, by this file
        with suppress(FileNotFoundError):
            self._directory.remove(name)

    def _forgotten(self, name: str, answered: Callable[[Outcome], None], outcome: Outcome) -> None:
        self._directory.forget(name)
        self._supervisor.file_is_gone(name)
        answered(outcome)
        self._turn()


class _Set:
    """One set that is being applied."""

    def __init__(
        self,
        applying: Applying,
        call: Call,
        source: str | None,
        standing: dict[str, Standing],
        only: frozenset[str] | None,
        *,
        restart: bool,
    ) -> None:
        self._all, self._call, self._source, self._standing = applying, call, source, standing
        self._only, self._restart = only, restart
        self._wanted: dict[str, Definition] = {}
        self._plan: Plan

    # By a thread.

    def prepare(self, tables: Mapping[str, Any]) -> None:
        """Look at all of it; nothing is changed. Raises DaemonError."""
        found: list[tuple[str, str]] = []
        for name, table in tables.items():
            check_kept_name(name)
            try:
                one = self._wanted[name] = from_table(table).replace(source=self._source)
                # Of a single one its owner's word is taken, as in numen start.
                wrong = [(each.key, each.message) for each in untrusted(one)] if self._source is not None else []
            except BadDefinition as error:
                wrong = list(error.mistakes)
            found += [(f"daemon.{name}.{key}" if key else f"daemon.{name}", text) for key, text in wrong]
        if found:
            raise BadDefinition("", mistakes=tuple(found))
        self._look_at_files()
        self._plan = applying.plan(self._source, self._standing, self._wanted, self._only, restart=self._restart)
        unfit = []
        for name in (*self._plan.added, *self._plan.changed):
            try:
                check_fit(self._wanted[name])
            except DaemonError as error:
                unfit.append(f"{name}: {error}")
        if unfit:
            raise Unfit(
                "\n  ".join(["nothing is changed:", *unfit] if unfit[1:] else [f"nothing is changed: {unfit[0]}"])
            )

    def _look_at_files(self) -> None:
        """A file that nobody has taken up is somebody's too. Raises NameTaken."""
        directory = self._all._directory
        for name in self._wanted:
            path = files.definition_path(directory.path, name)
            if name not in self._standing and os.path.lexists(path):
                found = directory.read(name)
                if isinstance(found, DaemonError) or found.source != self._source:
                    raise applying.NameTaken(f"nothing is changed: there is a definition of {name} already, {path}")

    def _write(self) -> None:
        directory = self._all._directory
        written = {name: one for name, one in self._wanted.items() if directory.read(name) != one}
        heading = f"Written by numen apply from {self._source}; edit that, then: numen apply {self._source}"
        if self._source is None:
            heading = "Written by numen edit"
        if written or self._plan.removed:
            replacing.replace(directory.path, written, self._plan.removed, heading)
        elif any(self._standing[name].is_leaving for name in self._wanted if name in self._standing):
            replacing.removed(directory.path, self._wanted)

    # In the loop.

    def go_on(self, error: Exception | None, *, dry_run: bool, release: Callable[[], None]) -> None:
        """Say what is different, and let it be written."""
        if error is not None:
            release()
            _refuse(self._call, error)
            return
        changes = self._plan.said(self._standing, self._wanted)
        if dry_run:
            release()
            self._call.reply({"changes": changes, "outcomes": []})
            return
        if self._call.wants_more:
            self._call.reply({"changes": changes, "outcomes": []}, continues=True)

        def then(failed: Exception | None) -> None:
            if failed is None:
                self._define()
            release()
            if failed is None:
                self._bring_about({} if self._call.wants_more else {"changes": changes})
            else:
                _refuse(self._call, failed)
            self._all._turn()

        self._all._disk.run(self._write, then)

    def _define(self) -> None:
        for name in (*self._plan.added, *self._plan.changed):
            self._all._supervisor.keep(name, self._call.who)
            self._all._supervisor.define(name, self._wanted[name])
            self._all._note(Change(name=name, notices=[Notice(kind="defined", message=f"by {self._call.who}")]))

    def _bring_about(self, also: dict[str, Any]) -> None:
        plan, supervisor, who = self._plan, self._all._supervisor, self._call.who
        names = (*plan.removed, *plan.added, *plan.changed)
        gathering = Gathering(self._call, names, self._all._tell, also)
        left = set(plan.removed)

        def removed(name: str, outcome: Outcome) -> None:
            gathering.answer(name)(outcome)
            left.discard(name)
            if not left:
                self._all.are_removed(plan.removed)
                # One that is called otherwise now may want what its predecessor had, such as a port.
                self._start(gathering)

        for name in plan.removed:
            answered = partial(self._all._removed, name, partial(removed, name))
            if name in supervisor.daemons:
                supervisor.remove(name, who, answered)
            else:
                answered(Outcome(message="is removed"))
        if not left:
            self._start(gathering)

    def _start(self, gathering: Gathering) -> None:
        plan, supervisor, who = self._plan, self._all._supervisor, self._call.who
        for name in (*plan.added, *plan.changed):
            answered = gathering.answer(name)
            if name not in supervisor.daemons:
                answered(Outcome(error="NoSuchDaemon", message="was removed"))
            elif name in plan.starts:
                supervisor.start(name, who, answered)
            elif name in plan.restarts:
                supervisor.restart(name, who, answered)
            elif name in plan.added:
                answered(Outcome(message="is defined, and not started: `start` is false"))
            elif self._standing[name].is_idle:
                life = supervisor.daemons[name].life
                told = scheduled(life.task) if life.task is not None else life.reason
                answered(Outcome(message=f"is defined anew; {told}" if told else "is defined anew"))
            elif self._standing[name].is_up and plan.changed[name].needs_restart:
                answered(Outcome(message=f"runs on as it was; the change takes hold with: numen restart {name}"))
            elif self._standing[name].is_up:
                answered(Outcome(message="runs on, by its definition as it is now"))
            else:
                answered(Outcome(message="is defined anew; it does not run"))
        self._all._turn()


def _refuse(call: Call, error: Exception) -> None:
    if isinstance(error, BadDefinition):
        call.error("BadDefinition", mistakes(error))
    elif isinstance(error, applying.NameTaken):
        call.error("NameTaken", {"message": str(error)})
    elif isinstance(error, Unfit):
        call.error("Unusable", {"message": str(error)})
    else:
        call.error("SystemFailed", {"message": str(error)})


def mistakes(error: BadDefinition) -> dict[str, Any]:
    """The mistakes as the interface has them."""
    return {"mistakes": [{"key": key, "message": text} for key, text in error.mistakes]}
