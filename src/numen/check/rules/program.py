"""The program: it is the one that is installed, only those who may can change it, and it does not spin."""

from __future__ import annotations

import stat

from ..verdict import fault, ok, rule, unknown, warning

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..facts import Facts, File
    from ..verdict import Judgement

SPIN = 0.95
"""The part of the time from which on a thread that wants a processor is said to spin."""

_UNSEEN = "which program it runs may not be seen"
_MEMFD = "/memfd:"


@rule(
    step="program",
    title="its program is the installed one",
    why="The program was exchanged or removed since the start: what runs is the old one, with the mistakes that the"
    " upgrade has mended.",
    remedy="Restart it.",
)
def program_current(facts: Facts) -> Judgement:
    """The file that it was started from is still there."""
    if facts.executable is None:
        return unknown(_UNSEEN)
    if facts.executable.path.startswith(_MEMFD):
        return ok(f"it runs from memory: {facts.executable.path}")
    if facts.executable.is_deleted:
        return warning(f"{facts.executable.path} was deleted or exchanged since the start")
    return ok(f"{facts.executable.path} is what it was started from")


@rule(
    step="program",
    title="others cannot change its program",
    why="Who can write the program, or exchange it in its directory, decides what the daemon does as its user from the"
    " next start on.",
    remedy="Give it to root, with mode 0755, in directories that only root can write.",
)
def program_safe(facts: Facts) -> Judgement:
    """Its executable, and the script that it runs, can be changed by root and its own user alone."""
    if facts.executable is None:
        return unknown(_UNSEEN)
    files = [one for one in (facts.executable, facts.script) if one is not None]
    for one in files:
        reason = _why_unsafe(one, facts.uid)
        if reason:
            return fault(f"{one.path} {reason}")
    if facts.is_script_hidden:
        return unknown("which script it runs cannot be told")
    return ok(f"others cannot change {' and '.join(one.path for one in files)}")


def _why_unsafe(file: File, uid: int) -> str:
    mode = f"mode {stat.S_IMODE(file.mode):04o}"
    if file.mode & stat.S_IWOTH:
        return f"is writable by everybody ({mode})"
    if file.mode & stat.S_IWGRP and file.gid != 0 and uid == 0:
        return f"is writable by group {file.gid}, and root runs it ({mode})"
    if file.uid not in (0, uid):
        return f"belongs to uid {file.uid}, and uid {uid} runs it"
    if file.changeable_in:
        return f"could be exchanged by others in {file.changeable_in}"
    return ""


@rule(
    step="program",
    title="no setuid program",
    why="A program that is setuid or setgid is started by anybody with the rights of its owner, in an environment that"
    " he chooses: a daemon is not written for that.",
    remedy="Remove the bit (`chmod u-s,g-s FILE`), and let who starts the daemon give it its user.",
)
def no_setuid_program(facts: Facts) -> Judgement:
    """Its executable carries no setuid or setgid bit."""
    if facts.executable is None:
        return unknown(_UNSEEN)
    mode = f"mode {stat.S_IMODE(facts.executable.mode):04o}"
    if facts.executable.mode & (stat.S_ISUID | stat.S_ISGID):
        which = "setuid" if facts.executable.mode & stat.S_ISUID else "setgid"
        return warning(f"{facts.executable.path} is {which} ({mode})")
    return ok(f"{facts.executable.path} has {mode}")


@rule(
    step="program",
    title="it does not spin",
    why="A daemon waits nearly all the time. One thread that always wants a processor is most often a loop that asks"
    " instead of waiting.",
    remedy="See what it does: `strace -f -p PID`, or a profiler; wait in poll(2) instead of asking again.",
)
def not_spinning(facts: Facts) -> Judgement:
    """Its busiest thread waits for something now and then."""
    if facts.demand is None:
        return unknown("how much it computes may not be seen")
    share = f"its busiest thread wanted a processor in {facts.demand:.0%} of the time"
    return warning(share) if facts.demand >= SPIN else ok(share)
