"""The private house of a run: opened in a directory of its own, ended in order, or at once."""

from __future__ import annotations

import os
from contextlib import suppress

from ...keep import house, private
from ...kernel import proc, signals
from ...settings import places

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from .project import Project

HEADING = "Written by numen up; its file is {path}"


class House:
    """Keeper and supervisor of this run alone."""

    def __init__(self, home: str | None) -> None:
        """In that directory, which stays at the end, or in a temporary one. Raises AlreadyRunning, Unusable."""
        self._is_temporary = home is None
        self.home = private.make_home() if home is None else places.absolute(home)
        os.environ["NUMEN_HOME"] = self.home
        private.own(temporary=self._is_temporary)
        self.has_ended = False
        if home is not None:
            self._take_over()

    def _take_over(self) -> None:
        private.check_home(self.home)
        if house.is_open():
            from ...errors import AlreadyRunning

            pid = house.keeper_pid()
            raise AlreadyRunning(f"{self.home} is in use: a keeper runs there, pid {pid}", pid=pid)
        private.clear_home(self.home)

    @property
    def logs(self) -> str:
        """The directory of NAME.log."""
        return places.log_directory()

    def write(self, project: Project, names: Iterable[str]) -> None:
        """Write the definition files of these daemons."""
        from ...keep.definitions import files

        directory = places.definitions_directory()
        for name in names:
            path = files.definition_path(directory, name)
            files.write(path, project.definitions[name], HEADING.format(path=project.path))

    def open(self) -> None:
        """Start keeper and supervisor; a supervisor that finds daemons left takes them back. Raises DaemonError."""
        house.open_house()

    def is_open(self) -> bool:
        """Whether a keeper or a supervisor lives."""
        return house.is_open()

    def end(self) -> None:
        """Ask for the end in order."""
        house.signal_keeper(signals.SIGTERM)

    def kill_daemons(self) -> None:
        """Kill what runs below the keeper, but for those that keep the house: these then end."""
        kept = set(house.members())
        if not kept:
            return
        for pid in proc.descendants(house.keeper_pid()):
            if pid not in kept:
                with suppress(OSError):
                    os.kill(pid, signals.SIGKILL)

    def kill(self) -> None:
        """Kill all of it, those that keep it first: they would start each other anew."""
        everybody = proc.descendants(house.keeper_pid()) if house.members() else {}
        for number in (signals.SIGSTOP, signals.SIGKILL):
            for pid in (*house.members(), *everybody):
                with suppress(OSError):
                    os.kill(pid, number)

    def remove(self) -> None:
        """Remove the directory, if it is a temporary one."""
        if self._is_temporary:
            private.remove_home(self.home)
