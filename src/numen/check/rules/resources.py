"""Resources: core dumps, the kernel's choice when memory is short, and limits."""

from __future__ import annotations

import stat

from ..machine import TICKS
from ..verdict import fault, ok, rule, unknown, warning

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..facts import Facts, File
    from ..verdict import Judgement

NEVER_KILLED = -1000
KILLED_FIRST = 900
"""From this oom_score_adj on it is killed before all that is of an ordinary size."""

NEAR = 0.9
"""The part of a limit from which on it is near."""

_UNSEEN = "its limits may not be seen"


@rule(
    step="resources",
    title="no core dumps",
    why="A core dump holds all that the daemon had in memory, passwords and keys too, and can fill the disk.",
    remedy="Set its limit to 0, as `numen detach` does, or LimitCORE=0 in its unit; or let a program take the dumps, as"
    " systemd-coredump does (core(5)).",
)
def core_dumps(facts: Facts) -> Judgement:
    """A crash leaves no core file about."""
    if facts.limits is None or "core file size" not in facts.limits:
        return unknown(_UNSEEN)
    soft, pattern = facts.limits["core file size"][0], facts.core_pattern
    if soft == 0:
        return ok("the limit of the core file size is 0")
    if not pattern:
        return unknown("where core dumps go may not be seen (/proc/sys/kernel/core_pattern)")
    if pattern.startswith("|"):
        return ok(f"core dumps go to a program: {pattern}")
    limit = "without a limit" if soft < 0 else f"of up to {soft} bytes"
    if pattern.startswith("/"):
        return warning(f"a crash leaves a core dump {limit} as {pattern}")
    if facts.directory is None:
        return unknown("a core dump would go to its working directory, which may not be seen")
    if _may_write(facts, facts.directory):
        return warning(f"a crash leaves a core dump {limit} as {pattern} in {facts.directory.path}")
    return ok(f"a core dump would go to {facts.directory.path}, where it may not write")


def _may_write(facts: Facts, directory: File) -> bool:
    if facts.uid == 0:
        return True
    if directory.uid == facts.uid:
        return bool(directory.mode & stat.S_IWUSR)
    if directory.gid == facts.status.gids[1] or directory.gid in facts.status.groups:
        return bool(directory.mode & stat.S_IWGRP)
    return bool(directory.mode & stat.S_IWOTH)


@rule(
    step="resources",
    title="one of many when memory is short",
    why="When memory is short, the kernel kills by the score. A daemon that is never chosen may eat all of it, and one"
    " that is always the first dies of others' hunger.",
    remedy="Leave oom_score_adj at 0, or give it a moderate number: `numen detach --oom-score`, OOMScoreAdjust= in"
    " its unit.",
)
def oom_score(facts: Facts) -> Judgement:
    """It is neither spared always nor killed first."""
    score = facts.oom_score
    if score is None:
        return unknown("its oom_score_adj may not be seen")
    if score <= NEVER_KILLED:
        return warning(f"its oom_score_adj is {score}: it is never killed")
    if score >= KILLED_FIRST:
        return warning(f"its oom_score_adj is {score}: it is the first to be killed")
    return ok(f"its oom_score_adj is {score}")


@rule(
    step="resources",
    title="room below its limits",
    why="At a limit calls fail that never failed before: no fork, no memory, no file that grows.",
    remedy="Find out what uses it up; or raise the limit (`numen detach --limit`, Limit…= in its unit), at once with"
    " prlimit(1).",
)
def limits_left(facts: Facts) -> Judgement:
    """None of its limits is near; open files have a rule of their own."""
    if facts.limits is None:
        return unknown(_UNSEEN)
    parts: list[tuple[float, str]] = []
    unseen = []
    for name, used in _used(facts):
        soft = facts.limits.get(name, (-1, -1))[0]
        if soft < 0:
            continue
        if used is None:
            unseen.append(name)
        elif used > 0:
            parts.append((used / soft if soft else 1.0, f"{name} {int(used)} of {soft}"))
    most, evidence = max(parts, default=(0.0, ""))
    if most >= NEAR:
        near = ", ".join(words for part, words in sorted(parts, reverse=True) if part >= NEAR)
        return fault(near) if most >= 1 else warning(near)
    if unseen:
        return unknown(f"it may not be seen how near these are: {', '.join(unseen)}")
    return ok(f"the nearest is {evidence}" if evidence else "none is near")


def _used(facts: Facts) -> Iterator[tuple[str, float | None]]:
    """What it has used of each limit; `None` where that cannot be seen."""
    status = facts.status
    if facts.uid != 0:
        # Root is held by neither.
        yield "processes", facts.of_user
        yield "locked memory", status.locked
    yield "address space", status.memory
    yield "cpu time", facts.stat.cpu_ticks / TICKS
    yield "pending signals", status.queued_signals[0] if status.queued_signals else None
    files = None if facts.descriptors is None else facts.descriptors.values()
    sizes = None if files is None else [one.size for one in files if one.is_file and one.is_open_for_writing]
    yield "file size", None if sizes is None else max(sizes, default=0)
