"""One instance: the pidfile names the process, and nobody else can make it name another."""

from __future__ import annotations

import os
import stat

from ...become.pidfile import parse_pid
from ..verdict import fault, not_applicable, ok, rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..facts import Facts, Pidfile
    from ..verdict import Judgement

_OTHERS = stat.S_IWGRP | stat.S_IWOTH


@rule(
    step="instance",
    title="its pidfile is right",
    why="Who stops, reloads or watches the daemon by its pidfile reaches another process, or none.",
    remedy="Write the pid after the last fork, and remove the file at the end; `numen detach --pidfile` does both.",
)
def pidfile_right(facts: Facts) -> Judgement:
    """Each pidfile that is meant for it names it."""
    if not facts.pidfiles:
        return not_applicable("no pidfile is known for it")
    # In a container it writes the pid that it has there.
    own = {facts.pid, *facts.status.pids}
    for one in facts.pidfiles:
        if parse_pid(os.fsencode(one.content)) not in own:
            named = f"{one.content!r} stands in" if one.content else "nothing stands in"
            return fault(f"{named} {one.path}, and its pid is {facts.pid}")
    return ok(f"{_paths(facts)} names it")


@rule(
    step="instance",
    title="its pidfile is safe",
    why="Root's scripts send signals to the pid in it: who can write it chooses which process root kills.",
    remedy="Write it as root, before privileges are dropped, with mode 0644, in a directory that only root can write.",
)
def pidfile_safe(facts: Facts) -> Judgement:
    """Nobody but root, or the user whose daemon it is, can write its pidfiles."""
    if not facts.pidfiles:
        return not_applicable("no pidfile is known for it")
    for one in facts.pidfiles:
        reason = _why_unsafe(one, facts)
        if reason:
            return fault(f"{one.path} {reason}")
    return ok(f"others cannot write {_paths(facts)}")


def _why_unsafe(pidfile: Pidfile, facts: Facts) -> str:
    if pidfile.mode & _OTHERS:
        return f"is writable by group or others (mode {stat.S_IMODE(pidfile.mode):04o})"
    if not pidfile.is_trusted_place:
        return "stands in a directory in which others could exchange it"
    # Where root's daemons keep theirs, root's scripts read them; in /run/user everybody has his own.
    is_of_system = pidfile.path.startswith(("/run/", "/var/run/")) and "/run/user/" not in pidfile.path
    if is_of_system and pidfile.uid == facts.uid != 0:
        return f"belongs to uid {pidfile.uid}, as whom the daemon runs, where root's scripts would trust it"
    return ""


def _paths(facts: Facts) -> str:
    return ", ".join(one.path for one in facts.pidfiles)
