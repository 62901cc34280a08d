"""Who belongs to which daemon: the living processes of its family, found in /proc.

A process belongs to the daemon that its environment names (NUMEN_INVOCATION); else to that of its parent, or of its
session's leader; else to the one whose FIFO it holds. Where none of it holds it is a stranger, and left alone: one that
forked twice, called setsid(2), emptied its environment and closed its output can be told for a daemon's by a control
group only (`cgroups`): all that is in the group of a run belongs to it.

To ask about one daemon of a thousand costs one reading of the names in /proc: what was seen before is known by the
inode of its directory there, which is another one when the pid is used again, and only what is new is looked at.
"""

from __future__ import annotations

import os
import time

from ..kernel import proc
from .life import ProcessId
from .spawning import INVOCATION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from ..kernel.proc import Stat
    from .kernel import Marks

STRANGER = ""
"""The owner of a process that belongs to no daemon; the others are invocations."""

_MOST_FORKS = 8
"""How far up an orphan is looked for."""

_EXEC_PATIENCE = 0.05
"""Seconds for a program that is just being executed to get its environment."""

_ENV_END = 48
"""The field of /proc/PID/stat that tells where the environment ends, the 51st, counted behind the name."""

_PREFIX = b"\0" + INVOCATION.encode() + b"="


class Known:
    """A process that was looked at once."""

    __slots__ = ("inode", "owner", "parent", "start_time")

    def __init__(self, *, inode: int, owner: str, start_time: int, parent: int) -> None:
        self.inode, self.owner, self.start_time, self.parent = inode, owner, start_time, parent


class Families:
    """What is known of the machine's processes, from one look to the next."""

    def __init__(self) -> None:
        self._known: dict[int, Known] = {}
        self._members: dict[str, set[int]] = {}
        """The pids that are known, by owner; strangers are not among them."""
        self._far: set[str] = set()
        """The invocations of daemons that are nobody's children here: supervisor and keeper had both died."""

    def look(
        self,
        marks: Sequence[Marks],
        *,
        own: Collection[int],
        mains: Mapping[int, tuple[int, str]] = {},
        fifos: Mapping[tuple[int, int], str] = {},
        groups: Mapping[str, Collection[ProcessId]] = {},
        thorough: bool = False,
    ) -> list[tuple[ProcessId, ...]]:
        """For each the living processes of its family, the main one not among them.

        `own` are the pids of the supervisor, the keeper and the fork helpers, to which the daemons' orphans come.
        `mains` are the main processes of the other daemons by pid: start time and invocation. `fifos` are the
        invocations by device and inode of their FIFOs, `groups` what is in the control groups of runs that have one.
        `thorough` asks strangers for the FIFO they hold even where they are no orphans of these; it is implied for a
        daemon that is itself no child of theirs.
        """
        mains = {**mains, **{one.process.pid: (one.process.start_time, one.invocation) for one in marks if one.process}}
        asked = {one.invocation for one in marks}
        self._sort(self._update(), mains, own, fifos, thorough=False)
        self._find_far(mains, own)
        if thorough or not self._far.isdisjoint(asked):
            strangers = {pid: known.inode for pid, known in self._known.items() if known.owner == STRANGER}
            self._sort(strangers, mains, own, fifos, thorough=True)
        return [self._family(one, mains, own, groups.get(one.invocation, ())) for one in marks]

    def forget(self, invocation: str) -> None:
        """Nobody of this one lives: nobody will ask about it again."""
        self._far.discard(invocation)

    def _find_far(self, mains: Mapping[int, tuple[int, str]], own: Collection[int]) -> None:
        for pid, (start_time, invocation) in mains.items():
            known = self._known.get(pid)
            if known and known.start_time == start_time and known.parent not in own and invocation not in self._far:
                # Looked at again, since it may have been seen before its orphaning.
                stat = proc.stat(pid)
                if stat is not None and stat.parent in own:
                    known.parent = stat.parent
                else:
                    self._far.add(invocation)

    def _sort(
        self,
        pids: Mapping[int, int],
        mains: Mapping[int, tuple[int, str]],
        own: Collection[int],
        fifos: Mapping[tuple[int, int], str],
        *,
        thorough: bool,
    ) -> None:
        for pid, stat, owner in _Newcomers(self, pids, mains, own, fifos, thorough=thorough).owners():
            self._known[pid] = Known(inode=pids[pid], owner=owner, start_time=stat.start_time, parent=stat.parent)
            if owner != STRANGER:
                self._members.setdefault(owner, set()).add(pid)

    def owner(self, pid: int) -> str | None:
        """Whose it was found to be; `None` where it is not known."""
        known = self._known.get(pid)
        return None if known is None else known.owner

    def _family(
        self, marks: Marks, mains: Mapping[int, tuple[int, str]], own: Collection[int], group: Collection[ProcessId]
    ) -> tuple[ProcessId, ...]:
        found = []
        for pid in sorted({*self._members.get(marks.invocation, ()), *(one.pid for one in (*marks.members, *group))}):
            if pid in own or ((known := self._known.get(pid)) and self._is_main(pid, known, marks, mains)):
                continue
            stat = proc.stat(pid)
            if stat is None or stat.state in proc.DEAD_STATES:
                continue
            process = ProcessId(pid=pid, start_time=stat.start_time)
            is_member = self.owner(pid) == marks.invocation or process in marks.members
            # Since it was seen it may have become a daemon of another supervisor, one that runs in this family.
            if process in group or (is_member and invocation_of(pid) in (None, marks.invocation)):
                found.append(process)
        return tuple(found)

    @staticmethod
    def _is_main(pid: int, known: Known, marks: Marks, mains: Mapping[int, tuple[int, str]]) -> bool:
        """Whether it is a main process; one after which its daemon has named another is a member like all others."""
        start_time, invocation = mains.get(pid, (0, STRANGER))
        if start_time != known.start_time:
            return False
        return invocation != marks.invocation or marks.process is None or marks.process.pid == pid

    def _update(self) -> dict[int, int]:
        """Forget who is gone; return those that are not known, with the inodes of their directories."""
        new, present, known = {}, set(), self._known
        with os.scandir("/proc") as entries:
            for entry in entries:
                if (name := entry.name).isdigit():
                    pid, inode = int(name), entry.inode()
                    found = known.get(pid)
                    if found is not None and found.inode == inode:
                        present.add(pid)
                    else:
                        new[pid] = inode
        if len(present) < len(known):
            for pid in known.keys() - present:
                self._forget(pid)
        return new

    def _forget(self, pid: int) -> None:
        owner = self._known.pop(pid).owner
        if owner != STRANGER:
            members = self._members[owner]
            members.remove(pid)
            if not members:
                del self._members[owner]


class _Newcomers:
    """The processes that were not there, or of nobody, at the last look, and whose they are found to be."""

    def __init__(
        self,
        families: Families,
        pids: Iterable[int],
        mains: Mapping[int, tuple[int, str]],
        own: Collection[int],
        fifos: Mapping[tuple[int, int], str],
        *,
        thorough: bool,
    ) -> None:
        self._families, self._mains, self._own, self._fifos = families, mains, own, fifos
        self._thorough = thorough
        everybody = {pid: stat for pid in pids if (stat := proc.stat(pid)) is not None}
        self._dead = {pid: stat for pid, stat in everybody.items() if stat.state in proc.DEAD_STATES}
        self._stats = {pid: stat for pid, stat in everybody.items() if pid not in self._dead}
        self._owners: dict[int, str] = {}

    def owners(self) -> Iterable[tuple[int, Stat, str]]:
        """Each with its owner, those left out that may yet turn out to be somebody's."""
        # What the supervisor or a helper has forked has their environment until it executes its program.
        nobodys = {invocation_of(pid) for pid in self._own} if self._stats else set()
        for pid, stat in self._stats.items():
            if owner := self._as_main(pid, stat):
                self._owners[pid] = owner
        unresolved = self._unresolved()
        # Only for an orphan is it worth waiting: of others their parents tell.
        for pid, named in _invocations_of(unresolved, lambda pid: self._stats[pid].parent in self._own):
            if named is not None and named not in nobodys:
                self._owners[pid] = named
        self._ask_relatives()
        if self._ask_for_fifos():
            self._ask_relatives()
        for pid, stat in self._stats.items():
            owner = self._owners.get(pid, STRANGER)
            if owner != STRANGER or not self._may_turn_out(stat):
                yield pid, stat, owner
        for pid, stat in self._dead.items():
            yield pid, stat, STRANGER

    def _may_turn_out(self, stat: Stat) -> bool:
        """Whether a stranger may yet show whose it is: an orphan of ours, or a mere fork of one."""
        for _ in range(_MOST_FORKS):
            if stat.parent in self._own:
                return True
            above = self._stats.get(stat.parent)
            if stat.has_executed or above is None:
                break
            stat = above
        return False

    def _as_main(self, pid: int, stat: Stat) -> str:
        start_time, invocation = self._mains.get(pid, (None, STRANGER))
        return invocation if start_time == stat.start_time else STRANGER

    def _ask_relatives(self) -> None:
        # In the order of birth, so that one pass is enough but where a clock tick saw several.
        left = sorted(self._unresolved(), key=lambda pid: (self._stats[pid].start_time, pid))
        while True:
            before = len(left)
            for pid in left:
                if owner := self._of_relatives(self._stats[pid]):
                    self._owners[pid] = owner
            left = [pid for pid in left if pid not in self._owners]
            if len(left) == before:
                return

    def _unresolved(self) -> list[int]:
        return [
            pid
            for pid, stat in self._stats.items()
            if pid not in self._owners and pid not in self._own and not stat.is_kernel_thread
        ]

    def _of_relatives(self, stat: Stat) -> str:
        is_orphan = stat.parent in self._own
        if not is_orphan and (owner := self._owner(stat.parent)):
            return owner
        if stat.session in (0, stat.pid) or stat.session in self._own:
            return STRANGER
        if owner := self._owner(stat.session):
            return owner
        # The leader is dead. Another one may have had that number since, and left orphans, but they are not ours.
        return self._mains.get(stat.session, (0, STRANGER))[1] if is_orphan and not _exists(stat.session) else STRANGER

    def _owner(self, pid: int) -> str:
        if pid in self._own:
            return STRANGER
        if pid in self._mains and (stat := self._stats.get(pid) or proc.stat(pid)):
            return self._as_main(pid, stat)
        return self._owners.get(pid) or (STRANGER if pid in self._stats else self._families.owner(pid) or STRANGER)

    def _ask_for_fifos(self) -> bool:
        found = False
        for pid in self._unresolved():
            if (self._thorough or self._stats[pid].parent in self._own) and (owner := self._of_fifo(pid)):
                self._owners[pid] = owner
                found = True
        return found

    def _of_fifo(self, pid: int) -> str:
        if self._fifos:
            directory = f"/proc/{pid}/fd"
            try:
                for name in os.listdir(directory):
                    held = os.stat(f"{directory}/{name}")
                    if owner := self._fifos.get((held.st_dev, held.st_ino)):
                        return owner
            except OSError:
                pass  # it may not be seen, or it has ended
        return STRANGER


def find(invocations: Collection[str]) -> dict[str, ProcessId]:
    """The living main process of each of these invocations, by the environments of all processes.

    It is the eldest that leads a session and has no ancestor of the same invocation.
    """
    found: dict[str, list[Stat]] = {}
    everybody = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    for pid, owner in _invocations_of(everybody, lambda _pid: True):
        # Read now: since the environment was read it may have ended.
        if owner in invocations and (stat := proc.stat(pid)) is not None and stat.state not in proc.DEAD_STATES:
            found.setdefault(str(owner), []).append(stat)
    mains = {}
    for owner, members in found.items():
        pids = {one.pid for one in members}
        eldest = min(members, key=lambda one: (one.session != one.pid, one.parent in pids, one.start_time, one.pid))
        mains[owner] = ProcessId(pid=eldest.pid, start_time=eldest.start_time)
    return mains


def _invocations_of(pids: Iterable[int], is_worth_waiting: Callable[[int], bool]) -> Iterator[tuple[int, str | None]]:
    """What invocation_of() says of each, after a short wait for those that are just being executed."""
    deadline = time.monotonic() + _EXEC_PATIENCE
    while pids:
        unsure = []
        for pid in pids:
            owner = invocation_of(pid)
            if owner is None and time.monotonic() < deadline and is_worth_waiting(pid) and _is_being_executed(pid):
                unsure.append(pid)
            else:
                yield pid, owner
        if pids := unsure:
            time.sleep(_EXEC_PATIENCE / 50)


def invocation_of(pid: int) -> str | None:
    """The invocation that the environment of a process names; `None` where it names none, or may not be read."""
    environment = b"\0" + (proc.read(f"/proc/{pid}/environ") or b"")
    start = environment.find(_PREFIX)
    if start < 0:
        return None
    start += len(_PREFIX)
    return environment[start : environment.find(b"\0", start)].decode("ascii", "replace")


def _is_being_executed(pid: int) -> bool:
    """Whether its environment is not in place yet: the exec closes descriptors, and posix_spawn(3) returns, before."""
    if proc.read(f"/proc/{pid}/environ") != b"":
        return False
    text = proc.read(f"/proc/{pid}/stat") or b""
    stat, fields = proc.parse_stat(text), text[text.rfind(b")") + 1 :].split()
    if stat is None or stat.is_kernel_thread or stat.state in proc.DEAD_STATES or len(fields) <= _ENV_END:
        return False
    return fields[_ENV_END] == b"0"


def _exists(pid: int) -> bool:
    stat = proc.stat(pid)
    return stat is not None and stat.state not in proc.DEAD_STATES
