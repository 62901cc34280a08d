"""Steps 1 and 2: the launcher is gone, and the process is in a session of its own without a terminal."""

from __future__ import annotations

import os

from ..verdict import fault, not_applicable, ok, rule, unknown, warning

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..facts import Facts
    from ..verdict import Judgement


@rule(
    step="1",
    title="its launcher is gone",
    why="A process whose launcher still waits for it is a part of that program: a shell does not come back, a script"
    " does not go on, and who ends the launcher's job ends the process.",
    remedy="Fork, and let the parent exit: `numen detach -- COMMAND`, or numen.DaemonContext in a Python program.",
)
def launcher_gone(facts: Facts) -> Judgement:
    """The parent is init, a service manager, or a subreaper in another session."""
    if facts.new_style:
        return not_applicable(f"a new-style daemon needs no fork: {facts.new_style}")
    parent = facts.parent
    if facts.stat.parent in (0, 1):
        return ok(f"it was orphaned: its parent is pid {facts.stat.parent}")
    if parent is None:
        return unknown(f"its parent, pid {facts.stat.parent}, may not be seen")
    if parent.session == facts.stat.session:
        return _unless_kept(facts, fault(f"its parent, pid {parent.pid} ({parent.comm}), lives in the same session"))
    said = f"its parent, pid {parent.pid} ({parent.comm}), is in another session"
    if facts.leader is None:
        return ok(f"{said}, and the leader of its own has exited")
    # A subreaper has adopted it (PR_SET_CHILD_SUBREAPER), or it was started so and never orphaned.
    return unknown(f"{said}: it may have adopted it, or have launched it")


@rule(
    step="2",
    title="a session of its own",
    why="When a login session ends, its processes are hung up, and some systems end them all.",
    remedy="Call setsid(2) in the child; `setsid --fork COMMAND` does so in a shell.",
)
def own_session(facts: Facts) -> Judgement:
    """The session's leader is itself, one of its ancestors, or gone."""
    if facts.new_style:
        return not_applicable(f"a service manager has seen to it: {facts.new_style}")
    number, leader = facts.stat.session, facts.leader
    if leader is None and facts.parent is None and facts.stat.parent:
        return unknown(f"session {number}, whose leader may not be seen")
    if leader is None:
        return ok(f"session {number}, whose leader has exited")
    if leader.pid == facts.pid or leader.pid in facts.ancestors:
        return ok(f"session {number}, led by pid {leader.pid} ({leader.comm})")
    said = f"session {number} belongs to pid {leader.pid} ({leader.comm}), which is none of its ancestors"
    return _unless_kept(facts, fault(said))


@rule(
    step="2",
    title="a process group of its own",
    why="A signal to a process group reaches all in it: what ends a stranger's job ends the daemon.",
    remedy="Call setsid(2), or setpgid(2), in the child before it goes on.",
)
def own_group(facts: Facts) -> Judgement:
    """Nobody but its own family is in its process group."""
    relatives = facts.ancestors | facts.family
    strangers = [one for one in facts.group if one.pid not in relatives and one.comm != facts.stat.comm]
    if strangers and not facts.new_style:
        one = strangers[0]
        said = f"process group {facts.stat.process_group} is also that of pid {one.pid} ({one.comm})"
        return _unless_kept(facts, warning(said))
    return ok(f"process group {facts.stat.process_group}")


@rule(
    step="2",
    title="no controlling terminal",
    why="Keys typed there send signals to it, and when the terminal hangs up, SIGHUP ends it.",
    remedy="Call setsid(2) in a child that leads no process group.",
)
def no_terminal(facts: Facts) -> Judgement:
    """No terminal controls it."""
    number = facts.stat.terminal
    if number:
        return fault(f"terminal {os.major(number)}:{os.minor(number)} controls it")
    return ok("none controls it")


@rule(
    step="2",
    title="no session leader",
    why="A session leader that opens a terminal without O_NOCTTY gets it as its controlling terminal.",
    remedy="Fork a second time after setsid(2), and let the leader exit.",
)
def no_leader(facts: Facts) -> Judgement:
    """It cannot get a controlling terminal back."""
    if facts.stat.session != facts.pid:
        return ok(f"session {facts.stat.session} is not led by it")
    if facts.new_style:
        return not_applicable(f"it leads session {facts.pid}, as new-style daemons do: {facts.new_style}")
    return _unless_kept(facts, warning(f"it leads session {facts.pid}: it has forked once and not twice"))


def _unless_kept(facts: Facts, judgement: Judgement) -> Judgement:
    """The same, where it can be seen that no service manager has started it: that would be as it should be."""
    if facts.is_style_known:
        return judgement
    return unknown(f"{judgement.evidence}; whether a service manager keeps it may not be seen")
