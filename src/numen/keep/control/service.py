# ruff: noqa: FBT001, N802 - methods and parameters are named by the interface
"""What clients ask for, answered: the methods of io.numen.Supervisor over the supervisor.

Each method of the interface is one of this class, `on_` before its name. What has to wait for a disk goes through
`disk`, in the order in which it was asked of each daemon.
"""

from __future__ import annotations

import os
from functools import partial

from ... import __version__
from ...errors import BadDefinition, BadOption, DaemonError, NoPermission
from ...settings.names import check_kept_name, matching
from ...settings.places import defined_in
from ...settings.signals import signal_name
from ..definitions import files
from ..definitions.fitness import check_fit
from ..definitions.tables import from_table, to_table
from ..life import State
from ..notices import Change, Notice
from ..requests import Kind, Outcome
from .applying import Applying, mistakes
from .gathering import Gathering
from .handling import refusal
from .watchers import Watchers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ..definitions.definition import Definition
    from ..disk import Disk
    from ..home import Home
    from ..kept import Daemon
    from ..supervisor import Supervisor
    from .calls import Call

    Ask = Callable[[str, str, Callable[[Outcome], None]], None]

MOST_SIGNAL = 64

NEXT_RUNS = 5
"""How many of the next runs of a task are told."""


class Unfit(DaemonError):
    """A definition without a mistake in it, that cannot be carried out here."""

    def __init__(self, cause: DaemonError) -> None:
        super().__init__(str(cause))
        self.error = "NotPermitted" if isinstance(cause, NoPermission) else "Unusable"


class Service:
    """Answers calls; `turn` is called when something was asked of the supervisor.

    `last_lines` gives those of a daemon, and may wait for a disk.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        home: Home,
        disk: Disk,
        last_lines: Callable[[str], list[str]],
        turn: Callable[[], None],
    ) -> None:
        self._supervisor, self._home, self._disk = supervisor, home, disk
        self._last_lines, self._turn = last_lines, turn
        self._definitions = files.Directory(home.definitions)
        self.watchers = Watchers(supervisor)
        self.applying = Applying(supervisor, self._definitions, disk, self._tell, self.watchers.changed, turn)
        self.on_shutdown: Callable[[bool], None] = lambda _leave: None
        self.is_ending = False
        self.since = supervisor.kernel.wall()

    def call(self, method: str, parameters: dict[str, Any], call: Call) -> None:
        """Take a call."""
        if self.is_ending and method not in ("About", "Status", "Describe", "Events", "Wait"):
            call.error("Ending")
            return
        try:
            getattr(self, f"on_{method}")(call, **parameters)
        except BadDefinition as error:
            call.error("BadDefinition", mistakes(error))
        except BadOption as error:
            call.error("BadValue", {"message": str(error)})
        except DaemonError as error:
            call.error("SystemFailed", {"message": str(error)})
        self._turn()

    # What changes something.

    def on_Start(self, call: Call, names: list[str]) -> None:
        """Start daemons, as their files say now."""
        self._each_of_the_files(call, names, self._supervisor.start)

    def on_Restart(self, call: Call, names: list[str]) -> None:
        """Restart daemons, as their files say now."""
        self._each_of_the_files(call, names, self._supervisor.restart)

    def on_Stop(self, call: Call, names: list[str]) -> None:
        """Stop daemons."""
        for gathering, name in self._each(call, names):
            self._ask(name, gathering, lambda name, answered: self._supervisor.stop(name, call.who, answered))

    def on_Remove(self, call: Call, names: list[str]) -> None:
        """Stop daemons and remove their files; also files that could not be used."""
        if not matching(names, self._supervisor.daemons)[1]:
            self._remove(call, names, [])
            return

        self._with_files(call, lambda in_files: self._remove(call, names, in_files))

    def on_Define(self, call: Call, name: str, definition: dict[str, Any], replace: bool | None = None) -> None:
        """Write a definition file, and start the daemon."""
        check_kept_name(name)
        wanted = from_table(definition)
        path = files.definition_path(self._home.definitions, name)
        gathering = Gathering(call, [name], self._tell)

        def write() -> bool:
            if not replace and (os.path.lexists(path) or name in self._supervisor.daemons):
                return False
            _check_fit(wanted)
            files.write(path, wanted, files.heading(name))
            return True

        def start(written: bool | Exception) -> None:
            if isinstance(written, Exception):
                call.error(_error_of(written), {"message": str(written)})
            elif not written:
                call.error("AlreadyDefined", {"name": name})
            else:
                self._supervisor.define(name, wanted)
                self._note(name, "defined", f"by {call.who}")
                ask = self._supervisor.restart if replace else self._supervisor.start
                ask(name, call.who, gathering.answer(name))
                self._turn()

        self._disk.work(name, write, start)

    def on_Apply(
        self,
        call: Call,
        definitions: dict[str, dict[str, Any]],
        source: str | None = None,
        dry_run: bool | None = None,
        only: list[str] | None = None,
        restart: bool | None = None,
    ) -> None:
        """Let these be all the daemons of a source."""
        self.applying.apply(
            call,
            source,
            definitions,
            dry_run=bool(dry_run),
            # All that have a file of their own are nobody's set.
            only=list(definitions) if source is None and only is None else only,
            restart=restart is not False,
        )

    def on_Run(self, call: Call, names: list[str], wait: bool | None = None) -> None:
        """Run tasks and others that end, once and now."""

        def run(name: str, who: str, answered: Callable[[Outcome], None]) -> None:
            self._supervisor.run(name, who, self._with_last_words(name, answered), waits=wait is not False)

        self._each_of_the_files(call, names, run)

    def on_Reload(self, call: Call, names: list[str]) -> None:
        """Send the signal to reload."""
        for gathering, name in self._each(call, names):
            self._ask(name, gathering, lambda name, answered: self._reload(name, answered, call.who))

    def on_Signal(self, call: Call, names: list[str], signal: int) -> None:
        """Send a signal."""
        if not 0 < signal <= MOST_SIGNAL:
            raise BadOption(f"{signal} is no signal; the numbers go from 1 to {MOST_SIGNAL}")
        for gathering, name in self._each(call, names):
            self._ask(name, gathering, lambda name, answered: answered(self._signalled(name, signal, call.who)))

    def on_Enable(self, call: Call, names: list[str]) -> None:
        """Let daemons be brought back."""
        self._set_start(call, names, start=True)

    def on_Disable(self, call: Call, names: list[str]) -> None:
        """Let daemons not be brought back."""
        self._set_start(call, names, start=False)

    def on_Shutdown(self, call: Call, leave: bool | None = None) -> None:
        """End the supervisor."""
        call.reply()
        self.on_shutdown(bool(leave))

    # What tells something.

    def on_Wait(self, call: Call, names: list[str], **parameters: str) -> None:
        """Wait for a state."""
        kind = Kind.WAIT_RUNNING if parameters["for"] == "running" else Kind.WAIT_STOPPED
        for gathering, name in self._each(call, names):
            call.on_close(self._supervisor.wait(name, kind, gathering.answer(name)))

    def on_Status(self, call: Call, names: list[str]) -> None:
        """How daemons stand; with `more`, again whenever one changes."""
        if (found := self._matching(call, names)) is not None:
            self.watchers.watch(call, found, names)

    def on_Describe(self, call: Call, name: str) -> None:
        """One daemon in full."""
        daemon = self._supervisor.daemons.get(name)
        if daemon is None:
            self._tell_of_file(call, name)
            return
        (family,) = self._supervisor.kernel.families([daemon.marks()])
        main = [daemon.life.process.pid] if daemon.life.process is not None and daemon.life.has_main else []
        call.reply(
            {
                "daemon": self.watchers.report(name),
                "definition": to_table(daemon.definition),
                "file": files.definition_path(self._home.definitions, name),
                "logs": [self._home.log(key) for key in self._log_keys(name)],
                "processes": main + [one.pid for one in family],
                **self._told_of_task(daemon),
            }
        )

    def on_Logs(
        self,
        call: Call,
        names: list[str],
        lines: int | None = None,
        since: float | None = None,
        follow: bool | None = None,
    ) -> None:
        """Lines of logs."""
        from .log_streams import LogStream

        found = ["numen"] if names == ["numen"] else self._matching(call, names)
        if found is not None:
            logs = {key: self._home.log(key) for name in found for key in self._log_keys(name)}
            LogStream(call, self._disk, logs, follow=bool(follow)).start(lines, since)

    def on_Events(self, call: Call, names: list[str], follow: bool | None = None) -> None:
        """What has happened."""
        if (found := self._matching(call, names)) is not None:
            self.watchers.follow(call, set(found) if names else set(), follow=bool(follow))

    def on_About(self, call: Call) -> None:
        """What this supervisor is."""
        call.reply(
            {
                "version": __version__,
                "pid": os.getpid(),
                "keeper": os.getppid(),
                "since": self.since,
                "home": self._home.values(),
            }
        )

    # How it is done.

    def _each(self, call: Call, names: list[str], also: list[str] | None = None) -> list[tuple[Gathering, str]]:
        """One gathering of outcomes, and each of the daemons that are meant; none where a name means nothing."""
        found = self._matching(call, names, also or [])
        if found is None:
            return []
        gathering = Gathering(call, found, self._tell)
        return [(gathering, name) for name in found]

    def _matching(self, call: Call, names: list[str], also: list[str] | None = None) -> list[str] | None:
        known = {*self._supervisor.daemons, *(also or [])}
        if not names:
            return sorted(known)
        found, unmatched = matching(names, known)
        if unmatched:
            # Nothing is done for the others: a person who has mistyped a name shall see that first.
            call.error("NoSuchDaemon", {"name": unmatched[0]})
            return None
        return found

    def _remove(self, call: Call, names: list[str], in_files: list[str]) -> None:
        def do(name: str, answered: Callable[[Outcome], None]) -> None:
            answered = self._removing_file(name, answered)
            if name in self._supervisor.daemons:
                self._supervisor.remove(name, call.who, answered)
            elif name in in_files:
                answered(Outcome(message="is removed"))
            else:
                answered(Outcome(error="NoSuchDaemon", message="was removed"))
            self._turn()

        for gathering, name in self._each(call, names, in_files):
            self._disk.after(name, partial(do, name, gathering.answer(name)))

    def _tell_of_file(self, call: Call, name: str) -> None:
        """Why a file has brought no daemon about, where there is one."""

        def read() -> Definition | Exception | None:
            is_there = name in defined_in(self._home.definitions)
            return self._definitions.read(name) if is_there else None

        def then(found: Definition | Exception | None) -> None:
            if isinstance(found, BadDefinition):
                call.error("BadDefinition", mistakes(found))
            elif isinstance(found, Exception):
                call.error("Unusable", {"message": str(found)})
            else:
                call.error("NoSuchDaemon", {"name": name})

        self._disk.work(f"/{id(call)}", read, then)

    def _each_of_the_files(self, call: Call, names: list[str], ask: Ask) -> None:
        """The same for those that have a file alone, which is read before it is asked."""

        def then(in_files: list[str]) -> None:
            each = self._each(call, names, in_files)
            if each:
                self._reread([name for _, name in each], each[0][0], ask, call.who)

        self._with_files(call, then)

    def _with_files(self, call: Call, do: Callable[[list[str]], None]) -> None:
        """Do it with the names of all daemons that have a file."""

        def then(found: list[str] | Exception) -> None:
            do(found if isinstance(found, list) else [])
            self._turn()

        # Asked under no daemon's name: what is asked of one need not wait for it.
        self._disk.work(f"/{id(call)}", lambda: defined_in(self._home.definitions), then)

    def _reread(self, names: list[str], gathering: Gathering, ask: Ask, who: str) -> None:
        """Take the definitions as the files say now, then ask."""

        daemons = self._supervisor.daemons
        running = {name for name in names if name in daemons and daemons[name].life.has_main}

        def read_one(name: str) -> Definition | Exception:
            found = self._definitions.read(name)
            if name in running and not isinstance(found, Exception):
                # It is not stopped for the sake of one that could not be spawned.
                try:
                    _check_fit(found)
                except Unfit as error:
                    return error
            return found

        def read(wanted: list[str]) -> dict[str, Definition | Exception]:
            return {name: read_one(name) for name in wanted}

        def then(name: str, found: Definition | Exception) -> None:
            if isinstance(found, Exception):
                gathering.answer(name)(Outcome(error=_error_of(found), message=str(found)))
            else:
                self._supervisor.define(name, found)
                ask(name, who, gathering.answer(name))
            self._turn()

        self._disk.work_for_all(names, read, then)

    def _ask(self, name: str, gathering: Gathering, ask: Callable[[str, Callable[[Outcome], None]], None]) -> None:
        def do() -> None:
            answered = gathering.answer(name)
            if name in self._supervisor.daemons:
                ask(name, answered)
                self._turn()
            else:
                answered(Outcome(error="NoSuchDaemon", message="was removed"))

        self._disk.after(name, do)

    def _removing_file(self, name: str, answered: Callable[[Outcome], None]) -> Callable[[Outcome], None]:
        daemon = self._supervisor.daemons.get(name)
        source = daemon.definition.source if daemon is not None else None
        back = f"; it comes back with the next numen apply {source}, unless it is removed there" if source else ""

        def then(outcome: Outcome) -> None:
            if outcome.error:
                answered(outcome)
                return

            def told(result: Exception | None) -> None:
                if isinstance(result, OSError) and not isinstance(result, FileNotFoundError):
                    answered(
                        Outcome(error="SystemFailed", message=f"cannot remove {result.filename}: {result.strerror}")
                    )
                else:
                    self._definitions.forget(name)
                    self._supervisor.file_is_gone(name)
                    self._turn()
                    answered(outcome.replace(message=f"{outcome.message}{back}"))

            def unlink() -> None:
                if name not in self._supervisor.daemons:  # or it was defined anew meanwhile, by this file
                    self._definitions.remove(name)

            self._disk.work(name, unlink, told)

        return then

    def _reload(self, name: str, answered: Callable[[Outcome], None], who: str) -> None:
        daemon = self._supervisor.daemons[name]
        is_command = daemon.in_use.reload_command is not None
        if not is_command and daemon.life.state is State.RUNNING and daemon.life.process is not None:
            why = refusal(daemon.life.process.pid, daemon.in_use.reload)
            if why:
                answered(Outcome(error="NotHandled", message=f"{why}; numen restart {name} starts it again"))
                return

        def noted(outcome: Outcome) -> None:
            if not outcome.error:
                how = "its reload_command was run" if is_command else f"sent {signal_name(daemon.in_use.reload)}"
                self._note(name, "reloaded", f"{how} by {who}")
            answered(outcome)

        self._supervisor.reload(name, noted)

    def _signalled(self, name: str, number: int, who: str) -> Outcome:
        if self._supervisor.signal(name, number):
            self._note(name, "signalled", f"sent {signal_name(number)} by {who}")
            return Outcome(message=f"was sent {signal_name(number)}")
        return Outcome(error="NotRunning", message="is not running")

    def _set_start(self, call: Call, names: list[str], *, start: bool) -> None:
        for gathering, name in self._each(call, names):
            self._set_start_of(name, gathering.answer(name), call.who, start=start)

    def _set_start_of(self, name: str, answered: Callable[[Outcome], None], who: str, *, start: bool) -> None:
        path = files.definition_path(self._home.definitions, name)

        def then(result: Exception | None) -> None:
            daemon = self._supervisor.daemons.get(name)
            if isinstance(result, Exception):
                answered(Outcome(error=_error_of(result), message=str(result)))
            elif daemon is None:
                answered(Outcome(error="NoSuchDaemon", message="was removed"))
            else:
                self._supervisor.define(name, daemon.definition.replace(start=start))
                self._note(name, "enabled" if start else "disabled", f"by {who}")
                how = "will be started with the supervisor" if start else "will not be started with the supervisor"
                answered(Outcome(message=how))
                self._turn()  # it need not have been possible to write it down

        self._disk.work(name, lambda: files.set_start(path, start), then)

    def _with_last_words(self, name: str, answered: Callable[[Outcome], None]) -> Callable[[Outcome], None]:
        """Answer when what it has written stands in its log: who waits for the end of a run shows that."""

        def moved(outcome: Outcome) -> None:
            self._disk.work(f"/{name}", lambda: self._last_lines(name), lambda _lines: answered(outcome))

        return moved

    def _told_of_task(self, daemon: Daemon) -> dict[str, Any]:
        if daemon.life.task is None or not daemon.definition.is_task:
            return {}
        from ...schedule.state import Now, coming_runs

        kernel = self._supervisor.kernel
        now = Now(wall=kernel.wall(), monotonic=kernel.monotonic())
        history = [
            {key: value for key, value in one.values().items() if value is not None} for one in daemon.life.task.history
        ]
        coming = coming_runs(daemon.definition.schedule(), daemon.life.task, now, NEXT_RUNS)
        return {"next_runs": list(coming), "history": history}

    def _note(self, name: str, kind: str, message: str) -> None:
        """Tell of what somebody did that changes no state."""
        self.watchers.changed(Change(name=name, notices=[Notice(kind=kind, message=message)]))

    def _log_keys(self, name: str) -> list[str]:
        daemon = self._supervisor.daemons.get(name)
        is_split = daemon is not None and daemon.definition.log_separate_stderr
        return [name, f"{name}.err"] if is_split else [name]

    def _tell(self, name: str, outcome: Outcome, tell: Callable[[dict[str, Any]], None]) -> None:
        """An outcome as the interface has it; of a daemon that was not up with its last lines, read by a thread."""
        said: dict[str, Any] = {"name": name, "ok": not outcome.error, "message": outcome.message, "last_lines": []}
        if outcome.error:
            said["error"] = outcome.error
        if outcome.status is not None:
            said["status"] = outcome.status
        if name in self._supervisor.daemons:
            said["daemon"] = self.watchers.report(name)
        if outcome.error not in ("NotStarted", "NotReadyInTime"):
            tell(said)
            return

        def then(lines: list[str] | Exception) -> None:
            tell(said | {"last_lines": lines if isinstance(lines, list) else []})

        self._disk.work(f"/{name}", lambda: self._last_lines(name), then)


def _check_fit(definition: Definition) -> None:
    """Raise Unfit where it cannot be carried out."""
    try:
        check_fit(definition)
    except DaemonError as error:
        raise Unfit(error) from error


def _error_of(error: Exception) -> str:
    """The interface's name for what a thread has met."""
    if isinstance(error, Unfit):
        return error.error
    return "BadDefinition" if isinstance(error, BadDefinition) else "SystemFailed"
