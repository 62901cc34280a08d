"""A control group (cgroups(7)) for each run of a daemon with limits on its whole family: made, found, killed, removed.

All that numen holds true of the hierarchy is here. It makes groups below its supervisor's own alone, and only where
that one is writable: it was delegated, or this is root's. A group that has processes cannot share its controllers out
to others, unless it is the root of all; so before the first limit the house moves into a group beside those of its
daemons, `supervisor`, and does so only where no stranger shares its group with it.

    BASE/supervisor             keeper, supervisor, fork helper, and the daemons without such limits
    BASE/numen/web.INVOCATION   one run of `web`, with all that it forks

Only daemons with limits have one: others are spawned by posix_spawn(3), which cannot put a process into a group and
takes a third of the time; and where nothing was delegated, what is in the hierarchy is the service manager's.
"""

from __future__ import annotations

import errno
import os

from ..errors import NoPermission, Unusable, from_os_error
from ..kernel import cgroups, proc
from .life import ProcessId

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from .definitions.definition import Definition

SUPERVISOR = "supervisor"
"""The group of the house itself, by the name that systemd.resource-control(5) proposes (DelegateSubgroup=)."""

MOST_ROUNDS = 20
"""How often the house's group is looked at for processes that were forked while others moved."""

PERIOD = 100_000
"""Microseconds in which the processor time of a group is counted."""

HINT = "start it in one of its own: systemd-run --scope --property=Delegate=yes numen supervisor"


class Limit:
    """What is written to a group."""

    def __init__(self, key: str, controller: str, file: str, value: str) -> None:
        self.key, self.controller, self.file, self.value = key, controller, file, value


def limits(definition: Definition) -> list[Limit]:
    """What a definition limits; nothing for most."""
    found = []
    if definition.cgroup_memory is not None:
        found.append(Limit("cgroup.memory", "memory", "memory.max", str(definition.cgroup_memory)))
    if definition.cgroup_cpu is not None:
        found.append(Limit("cgroup.cpu", "cpu", "cpu.max", f"{definition.cgroup_cpu * PERIOD // 100} {PERIOD}"))
    if definition.cgroup_tasks is not None:
        found.append(Limit("cgroup.tasks", "pids", "pids.max", str(definition.cgroup_tasks)))
    return found


def base() -> str | None:
    """The group below which those of the daemons are: this process's own, or that around it, once it has moved."""
    own = cgroups.own()
    if own is not None and os.path.basename(own) == SUPERVISOR and _is_writable(os.path.dirname(own)):
        return os.path.dirname(own)
    return own


def check(definition: Definition, place: str | None, keeper: int) -> None:
    """Raise Unusable or NoPermission, with the reason, where its limits cannot be set below that group."""
    wanted = limits(definition)
    if not wanted:
        return
    cannot = f"cannot set {' and '.join(one.key for one in wanted)}"
    if place is None:
        raise Unusable(f"{cannot}: no control group of version 2 (cgroups(7)) can be had: there is no cgroup2 mount")
    if not _is_writable(place):
        raise NoPermission(f"{cannot}: the supervisor's control group {place} is not delegated to it; {HINT}")
    found = cgroups.controllers(place)
    if missing := [one.controller for one in wanted if one.controller not in found]:
        there = f"has {', '.join(sorted(found))} alone" if found else "has no controllers"
        raise Unusable(f"{cannot}: the controller {missing[0]} is not delegated to the supervisor: {place} {there}")
    is_free = cgroups.is_root(place) or all(one.controller in cgroups.enabled(place) for one in wanted)
    if not is_free and (strangers := [pid for pid in _in(place) if not _is_of_house(pid, keeper)]):
        raise Unusable(f"{cannot}: {_shared(place, strangers)}; {HINT}")


def house_name(journal: str) -> str:
    """The name of a house's groups: several may stand below one group."""
    is_the_machines = os.geteuid() == 0 and "NUMEN_HOME" not in os.environ
    if is_the_machines:
        return "numen"
    import hashlib  # most houses have no groups, and that of the machine needs it not

    return f"numen-{hashlib.sha256(os.fsencode(journal)).hexdigest()[:12]}"


class Groups:
    """Those of one house."""

    def __init__(self, house: str, keeper: int, place: str | None = None) -> None:
        """`house` is their common name, `keeper` the pid of the keeper, `place` the group below which they are."""
        self._place = base() if place is None else place
        self._keeper = keeper
        self._house = f"{self._place}/{house}"
        self._of: dict[str, str] = {}
        """The directories of the runs that have one, by invocation."""

    def make(self, name: str, definition: Definition, invocation: str) -> str:
        """The directory of a run that is about to be spawned, with its limits; empty where it has none.

        Raises a DaemonError.
        """
        wanted = limits(definition)
        if not wanted:
            return ""
        check(definition, self._place, self._keeper)
        assert self._place is not None
        controllers = {one.controller for one in wanted}
        directory = self._directory(name, invocation)
        try:
            self._share_out(self._place, controllers)
            cgroups.make(self._house)
            cgroups.enable(self._house, controllers)
            self._of[invocation] = directory
            cgroups.make(directory)
            for one in wanted:
                cgroups.write(directory, one.file, one.value)
        except OSError as error:
            self.tidy(name)
            raise from_os_error(error, f"make the control group {directory}") from error
        return directory

    def adopt(self, name: str, definition: Definition, invocation: str) -> None:
        """A run of an earlier supervisor's may have one."""
        if self._place is not None and limits(definition):
            self._of[invocation] = self._directory(name, invocation)

    def processes(self, invocation: str) -> list[ProcessId]:
        """What is in a run's group: all of it is of its family, whatever it has done to get away."""
        directory = self._of.get(invocation)
        if directory is None:
            return []
        seen = {pid: found for pid in cgroups.pids(directory) if (found := proc.stat(pid)) is not None}
        # Looked at again: a pid that has gone to another process meanwhile is not in there any more.
        still = cgroups.pids(directory)
        return [ProcessId(pid=pid, start_time=found.start_time) for pid, found in seen.items() if pid in still]

    def kill(self, invocation: str) -> None:
        """Kill at once all that is in a run's group. Raises OSError."""
        directory = self._of.get(invocation)
        if directory is not None and os.path.isdir(directory):
            cgroups.kill_all(directory)

    def tidy(self, name: str, but: str = "") -> None:
        """Remove the groups of a daemon's runs, that of one invocation apart: nothing of the others lives."""
        try:
            with os.scandir(self._house) as entries:
                groups = [entry.name for entry in entries if entry.is_dir()]
        except OSError:
            return  # there are none
        for group in list(groups):
            owner, _, invocation = group.rpartition(".")
            if owner == name and invocation != but and cgroups.remove(f"{self._house}/{group}"):
                self._of.pop(invocation, None)
                groups.remove(group)
        if not groups:
            cgroups.remove(self._house)

    def _directory(self, name: str, invocation: str) -> str:
        return f"{self._house}/{name}.{invocation}"

    def _share_out(self, place: str, controllers: Iterable[str]) -> None:
        try:
            cgroups.enable(place, controllers)
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            self._move_house(place)
            cgroups.enable(place, controllers)

    def _move_house(self, place: str) -> None:
        """Leave the group to the groups below it."""
        cgroups.make(f"{place}/{SUPERVISOR}")
        for _ in range(MOST_ROUNDS):
            found = _in(place)
            if strangers := [pid for pid in found if not _is_of_house(pid, self._keeper)]:
                raise Unusable(f"cannot limit a daemon: {_shared(place, strangers)}; {HINT}")
            for pid in found:
                try:
                    cgroups.join(f"{place}/{SUPERVISOR}", pid)
                except ProcessLookupError:
                    continue  # it has ended meanwhile
            if not found:
                return


def _in(place: str) -> list[int]:
    """The processes in a group itself."""
    return [int(word) for word in (proc.read(f"{place}/{cgroups.PROCESSES}") or b"").split()]


def _is_of_house(pid: int, keeper: int) -> bool:
    return proc.is_descendant(pid, keeper) or proc.stat(pid) is None


def _is_writable(place: str) -> bool:
    names = ("", f"/{cgroups.PROCESSES}", f"/{cgroups.ENABLED}")
    return all(os.access(f"{place}{name}", os.W_OK, effective_ids=True) for name in names)


def _shared(place: str, strangers: list[int]) -> str:
    pids = ", ".join(map(str, strangers[:3])) + (" and others" if len(strangers) > 3 else "")
    return f"others run in the supervisor's control group {place} too (pid {pids}), and so it cannot be divided"
