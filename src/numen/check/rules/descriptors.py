"""Step 5: what the process has open, and what it was left with by who started it."""

from __future__ import annotations

import os

from ..verdict import VERDICTS, fault, not_applicable, ok, rule, unknown, warning

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from ...kernel.opened import Descriptor
    from ..facts import Facts
    from ..verdict import Judgement

UNSEEN = "its descriptors may not be seen"

MOST_NAMES = 5
"""How many descriptors are named; how many more there are is told in a number."""

NEARLY_ALL, MANY = 0.95, 0.8
"""The parts of the limit on descriptors from which on it is a fault, and a warning."""

_TEMPORARY = ("/memfd:", "/SYSV", "/tmp/", "/var/tmp/", "/dev/shm/", "/run/", "/var/run/")  # noqa: S108


@rule(
    step="5",
    title="descriptors 0, 1 and 2 are open",
    why="The next file that is opened gets the free number: what is printed then lands in a data file or a connection.",
    remedy="Open /dev/null as descriptors 0, 1 and 2 instead of closing them; 1 and 2 may go to a log instead.",
)
def standard_streams(facts: Facts) -> Judgement:
    """None of the three is missing."""
    if facts.descriptors is None:
        return unknown(UNSEEN)
    missing = [number for number in range(3) if number not in facts.descriptors]
    if missing:
        return fault(f"not open: {', '.join(map(str, missing))}")
    return ok(", ".join(f"{number} is {facts.descriptors[number].target}" for number in range(3)))


@rule(
    step="5",
    title="programs that it starts get 0, 1 and 2",
    why="A program that begins without them writes its messages into the first file that it opens.",
    remedy="Clear FD_CLOEXEC on descriptors 0, 1 and 2; dup2(2) does so, unless both numbers are the same.",
)
def inheritable_streams(facts: Facts) -> Judgement:
    """None of the three is closed on exec."""
    if facts.descriptors is None:
        return unknown(UNSEEN)
    streams = [one for one in facts.descriptors.values() if one.number <= 2]
    if not streams:
        return not_applicable("none of them is open")
    lost = [one for one in streams if not one.is_inheritable]
    return warning(f"closed on exec: {_named(lost)}") if lost else ok("none of them is closed on exec")


@rule(
    step="5",
    title="no terminal is open",
    why="What is written to a terminal disturbs who works there, and fails once it is gone.",
    remedy="Open /dev/null, or a log, over the descriptors that lead to it: `numen detach` does so for 0, 1 and 2.",
)
def no_terminal_open(facts: Facts) -> Judgement:
    """No descriptor leads to a terminal."""
    if facts.descriptors is None:
        return unknown(UNSEEN)
    terminals = [one for one in facts.descriptors.values() if one.is_terminal]
    return fault(f"open: {_named(terminals)}") if terminals else ok("none is open")


@rule(
    step="5",
    title="no pipe of its launcher's",
    why="Who reads from a pipe waits until its last writer has closed it: a daemon that was left with one keeps a"
    " script, a pipeline or an ssh session waiting for ever.",
    remedy="Close what was inherited, from 3 upwards, before going on (close_range(2)); `numen detach` does so.",
)
def no_leaked_pipe(facts: Facts) -> Judgement:
    """Each pipe but those of 1 and 2 has its other end in its own family."""
    if facts.descriptors is None:
        return unknown(UNSEEN)
    # Where 1 and 2 lead is asked by `errors-arrive`.
    ends = [one for one in facts.descriptors.values() if one.is_pipe and one.number not in (1, 2)]
    said = [_end_of_pipe(one, facts) for one in ends]
    return min(said, key=lambda one: VERDICTS.index(one.verdict), default=ok("it holds no pipe"))


def _end_of_pipe(end: Descriptor, facts: Facts) -> Judgement:
    """Who holds the other end."""
    pipe, is_writer = facts.ends_of(end), end.is_open_for_writing
    same = [one for one in (facts.descriptors or {}).values() if one.is_pipe and one.inode == end.inode]
    if any(one.is_open_for_reading if is_writer else one.is_open_for_writing for one in same):
        return ok("it holds both ends of its pipes")
    if pipe is None:
        return unknown(f"who holds the other end of descriptor {end.number} cannot be told")
    others = pipe.readers if is_writer else pipe.writers
    own = facts.family | (facts.ancestors if facts.new_style else frozenset())
    if others & own:
        return ok(f"pid {min(others & own)} holds the other end of descriptor {end.number}")
    if others and is_writer:
        return fault(
            f"descriptor {end.number} is the writing end of a pipe: pid {min(others)} waits for its end in vain"
        )
    if others:
        return warning(f"descriptor {end.number} is the reading end of a pipe to which pid {min(others)} writes")
    if not pipe.is_complete or facts.keeper.kind == "container":
        return unknown(f"the other end of descriptor {end.number} is held by nobody that may be seen")
    return warning(f"descriptor {end.number} is one end of a pipe, and nobody holds the other")


@rule(
    step="5",
    title="no deleted file is open",
    why="A deleted file keeps its room on the disk, which no du(1) shows, until the last descriptor is closed; and what"
    " stands under its name now, the process does not see.",
    remedy="Have it open its files anew, or start it again.",
)
def no_deleted_file(facts: Facts) -> Judgement:
    """No file has lost its name while open, deliberately temporary ones apart."""
    if facts.descriptors is None:
        return unknown(UNSEEN)
    # A log that was deleted is judged by `log-in-place`.
    deleted = [
        one
        for one in facts.descriptors.values()
        if one.is_deleted and one.number > 2 and not one.flags & os.O_APPEND and not is_temporary(one)
    ]
    if deleted:
        return warning(f"open: {_named(deleted)}, {sum(one.size for one in deleted)} bytes")
    return ok("none is open")


def is_temporary(file: Descriptor) -> bool:
    """Whether a deleted file is one of those that are made to have no name."""
    # What O_TMPFILE makes is called # and its inode.
    return file.target.startswith(_TEMPORARY) or os.path.basename(file.target).startswith("#")


@rule(
    step="5",
    title="no lock of its launcher's",
    why="A lock that another process took with flock(2) stays as long as anybody holds the descriptor: who waits for it"
    " waits until the daemon ends.",
    remedy="Close what was inherited; in a script, close the lock's descriptor for the daemon: `daemon 9>&-`.",
)
def no_inherited_lock(facts: Facts) -> Judgement:
    """Each lock is its own or its family's, that of its pidfile apart."""
    if facts.descriptors is None:
        return unknown(UNSEEN)
    # A pidfile is rightly locked before the fork, so that the launcher can say that it failed.
    pidfiles = {one.path for one in facts.pidfiles}
    for one in facts.descriptors.values():
        takers = {lock.pid for lock in one.locks if lock.kind == "FLOCK" and lock.pid > 0} - facts.family
        if takers and one.path not in pidfiles and not one.path.endswith(".pid"):
            return warning(f"pid {min(takers)} took the lock on {one.path} that descriptor {one.number} holds")
    count = sum(len(one.locks) for one in facts.descriptors.values())
    return ok(f"locks held: {count}, none of them a stranger's" if count else "it holds no lock")


@rule(
    step="5",
    title="descriptors are left",
    why="At the limit every open(2), accept(2) and pipe(2) fails with EMFILE, and a server answers nobody any more.",
    remedy="Find what is never closed (`ls -l /proc/PID/fd`), or raise the limit: LimitNOFILE= in a unit,"
    " `numen detach --limit`.",
)
def descriptors_left(facts: Facts) -> Judgement:
    """The count is far from the soft limit."""
    if facts.descriptors is None:
        return unknown(UNSEEN)
    count = len(facts.descriptors)
    soft = facts.limits.get("open files", (0, 0))[0] if facts.limits is not None else 0
    if facts.limits is None or soft == 0:
        return unknown(f"{count} are open; the limit may not be seen")
    if soft < 0:
        return ok(f"{count} are open, without a limit")
    said = f"{count} of {soft} are open"
    if count >= NEARLY_ALL * soft:
        return fault(said)
    return warning(said) if count >= MANY * soft else ok(said)


def _named(ones: Iterable[Descriptor]) -> str:
    """The descriptors with what they lead to."""
    names = [f"{one.number} ({one.target})" for one in sorted(ones, key=lambda one: one.number)]
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more
