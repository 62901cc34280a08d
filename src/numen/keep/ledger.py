"""What is written down: each life and definition in the journal of this boot, and what is wanted beyond it.

The supervisor writes here before it does anything. What could not be written is marked as such with its daemon, and
tried again. The journal is read here too, by who takes over from an earlier supervisor.
"""

from __future__ import annotations

from .definitions.tables import from_table, to_table
from .kept import Daemon
from .life import Life

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..schedule.state import ScheduleState
    from .kernel import Kernel
    from .trouble import Trouble

VERSION = 1
"""Of the journal's records."""

MOST_RECORDS = 1000
"""The journal is written anew when it holds more than that, and more than four for each daemon."""

ANEW = "write the journal anew"


class Ledger:
    """What is written down of these daemons."""

    def __init__(self, kernel: Kernel, daemons: dict[str, Daemon], trouble: Trouble) -> None:
        self._kernel, self._daemons, self._trouble = kernel, daemons, trouble
        self._is_begun = False
        """Whether the journal says of which boot it is; nothing is written before that."""
        self._records = 0
        self.are_wants_written = True
        self.elsewhere: dict[str, bool] = {}
        """What is wanted of those that are not here: of one that is removed nothing, should a crash leave its file; of
        one whose file has a mistake what was wanted before."""
        self._unkept: dict[str, None] = {}
        """The tasks of whose schedules more is known than what would be found after a reboot."""
        self.are_endings_known = False
        """Whether the keeper's endings stand in the lives, and could be forgotten once those are written."""

    # The journal.

    def read(self) -> bool:
        """Let the daemons be as the journal has them; whether it is of this boot. Raises OSError."""
        for record in self._kernel.read_journal():
            try:
                self._read_record(record)
            except (KeyError, TypeError, ValueError) as error:
                # Written by another version of numen.
                self._trouble.tell(f"cannot read a record of the journal, of {record.get('name')}: {error}")
        return self._is_begun

    def _read_record(self, record: dict[str, Any]) -> None:
        if "boot" in record:
            self._is_begun = record["boot"] == self._kernel.boot()
        elif record.get("removed"):
            self._daemons.pop(record["name"], None)
        elif "definition" in record:
            definition = from_table(record["definition"])
            self._daemons.setdefault(record["name"], Daemon(record["name"], definition)).define(definition)
        elif record["name"] in self._daemons:
            self._daemons[record["name"]].go_on(Life.from_record(record["life"]))

    def write_life(self, daemon: Daemon) -> bool:
        """Write the life down; whether that could be done."""
        # Without its definition a life would mean nothing to who reads it.
        is_defined = daemon.is_defined or self.write_definition(daemon)
        daemon.is_written = is_defined and self._write({"name": daemon.name, "life": daemon.life.record()})
        return daemon.is_written

    def write_definition(self, daemon: Daemon) -> bool:
        """Write down how it is to run from its next run on; whether that could be done."""
        daemon.is_defined = self._write({"name": daemon.name, "definition": to_table(daemon.definition)})
        return daemon.is_defined

    def write_anew(self) -> bool:
        """Let the journal hold each daemon as it is, and nothing else; whether that could be done."""
        self._records = 0  # where it fails, not at once again
        with self._trouble.tolerance(ANEW):
            self._kernel.replace_journal(self._all())
            for daemon in self._daemons.values():
                daemon.is_defined = daemon.is_written = True
            self._is_begun = True
            return True
        return False

    def _all(self) -> list[dict[str, Any]]:
        records: list[dict[str, Any]] = [{"version": VERSION, "boot": self._kernel.boot()}]
        for daemon in self._daemons.values():
            records.append({"name": daemon.name, "definition": to_table(daemon.in_use)})
            records.append({"name": daemon.name, "life": daemon.life.record()})
            if daemon.definition is not daemon.in_use:
                records.append({"name": daemon.name, "definition": to_table(daemon.definition)})
        return records

    def _write(self, record: dict[str, Any]) -> bool:
        if not self._is_begun:
            # Each try writes all; on a full disk a thousand daemons that are to start would each ask for one.
            is_hopeless = self._trouble.again_at is not None and self._trouble.has_failed(ANEW)
            return not is_hopeless and self.write_anew()
        with self._trouble.tolerance("write to the journal"):
            self._kernel.write_journal(record)
            self._records += 1
            return True
        return False

    # What is wanted.

    def add(self, name: str) -> None:
        """A daemon is here that was not."""
        self.elsewhere.pop(name, None)
        self.are_wants_written = False

    def remove(self, name: str) -> None:
        """A daemon is here no more; its file still is, perhaps."""
        self._write({"name": name, "removed": True})
        self.elsewhere[name] = False
        self.are_wants_written = False
        self._unkept[name] = None

    def forget(self, name: str) -> None:
        """Its file is gone too, so that nothing could bring it back."""
        if name not in self._daemons and self.elsewhere.pop(name, None) is not None:
            self.are_wants_written = False

    def write_wants(self) -> None:
        """Write down what is wanted, where that has changed."""
        if not self.are_wants_written:
            with self._trouble.tolerance("write down what is wanted"):
                wants = {name: daemon.life.wanted for name, daemon in self._daemons.items()}
                self._kernel.write_wants({**self.elsewhere, **wants})
                self.are_wants_written = True

    # What is kept of schedules.

    def keep_task(self, name: str, before: ScheduleState | None, after: ScheduleState | None) -> None:
        """The schedule of a task stands otherwise than before: where that matters after a reboot, it will be kept."""
        if before is None or after is None or _kept(before) != _kept(after):
            self._unkept[name] = None

    def read_task(self, name: str, record: dict[str, Any]) -> ScheduleState | None:
        """What was kept of a task; `None` where that cannot be read."""
        from ..schedule.state import ScheduleState

        try:
            return ScheduleState.from_record(record)
        except (AttributeError, TypeError, ValueError) as error:
            self._trouble.tell(f"cannot read the history of {name}: {error}")
            return None

    def write_tasks(self) -> None:
        """Keep what was not kept yet."""
        for name in list(self._unkept):
            daemon = self._daemons.get(name)
            task = None if daemon is None else daemon.life.task
            with self._trouble.tolerance("keep the history of a task"):
                self._kernel.write_task(name, None if task is None else task.record())
                del self._unkept[name]

    # From turn to turn.

    def tidy(self) -> None:
        """Let the keeper forget what stands in the journal, and the journal what is past."""
        if self.are_endings_known and all(daemon.is_written for daemon in self._daemons.values()):
            with self._trouble.tolerance("forget the endings"):
                self._kernel.forget_endings()
                self.are_endings_known = False
        if self._records > max(MOST_RECORDS, 4 * len(self._daemons)):
            self.write_anew()

    def try_again(self) -> None:
        """Write what could not be written a while ago."""
        for daemon in self._daemons.values():
            if not (daemon.is_defined and daemon.is_written) and not self.write_life(daemon):
                break


def _kept(task: ScheduleState) -> tuple[object, ...]:
    """What changes when a run starts or ends, or is skipped; the rest can be reckoned again."""
    return task.is_on, task.next_at, task.runs, task.run is None, task.waiting, task.history
