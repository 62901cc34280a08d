"""Steps 3 and 4: where the process is, and with which permissions its files are made."""

from __future__ import annotations

import stat

from ...become.surroundings import why_unsteady
from ..verdict import fault, not_applicable, ok, rule, unknown, warning

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..facts import Facts
    from ..verdict import Judgement

MOST_NAMES = 3
"""How many files are named; how many more there are is told in a number."""

UNSEEN = "its working directory may not be seen"


@rule(
    step="3",
    title="the working directory is there",
    why="In a deleted directory no path without a leading slash works, nor does any program that asks where it is.",
    remedy="Start it again, in / or in a directory that stays: `numen detach --directory DIR`.",
)
def directory_deleted(facts: Facts) -> Judgement:
    """The working directory has a name."""
    if facts.directory is None:
        return unknown(UNSEEN)
    if facts.directory.is_deleted:
        return fault(f"{facts.directory.path} is deleted")
    return ok(facts.directory.path)


@rule(
    step="3",
    title="a file system that stays",
    why="A file system cannot be unmounted while a process is there, and where it goes away all the same, the process"
    " hangs or fails.",
    remedy="Change to / (chdir(2)), or to a directory of the daemon's own on a disk of the machine.",
)
def directory_mount(facts: Facts) -> Judgement:
    """The working directory is on no file system that is unmounted, taken out or reached over a network."""
    directory, mount = facts.directory, facts.directory_mount
    if directory is None:
        return unknown(UNSEEN)
    if directory.is_deleted:
        return not_applicable(f"{directory.path} is deleted")
    if directory.path == "/":
        return ok("/")
    if mount is None:
        return unknown(f"on which file system {directory.path} stands cannot be told")
    reason = why_unsteady(mount.point, mount.kind, removable=mount.is_removable)
    if reason:
        return warning(f"{directory.path} {reason}")
    return ok(f"{directory.path} is on {mount.point} ({mount.kind})")


@rule(
    step="3",
    title="a directory of its own",
    why="Whoever may write in the working directory can lay a file there that the process takes for its own.",
    remedy="Change to / or to a directory in which only the daemon and root may write.",
)
def directory_writable(facts: Facts) -> Judgement:
    """Nobody else may make files in the working directory."""
    directory = facts.directory
    if directory is None:
        return unknown(UNSEEN)
    if directory.is_deleted:
        return not_applicable(f"{directory.path} is deleted")
    said = f"{directory.path} has mode {stat.S_IMODE(directory.mode):04o}, user {directory.uid}, group {directory.gid}"
    if directory.mode & stat.S_IWOTH:
        who = "everybody may write in it"
    elif directory.mode & stat.S_IWGRP and directory.gid not in _own_groups(facts):
        who = "its group may write in it, and is none of the process's"
    elif directory.uid not in (0, facts.uid):
        return warning(f"{said}: uid {directory.uid} may write in it, and is not the process's user")
    else:
        return ok(said)
    # In a sticky directory others cannot remove or rename what is there; they can still lay something new.
    return warning(f"{said}: {who}") if directory.mode & stat.S_ISVTX else fault(f"{said}: {who}")


def _own_groups(facts: Facts) -> set[int]:
    """Root's group, and where the process is not root's its own."""
    return {0} if facts.uid == 0 else {0, *facts.status.gids, *facts.status.groups}


@rule(
    step="3",
    title="inside its root directory",
    why="From a working directory outside its root directory a process reaches the whole file system by `..`.",
    remedy="Call chdir(2) with / right after chroot(2); `numen detach --chroot DIR` does so.",
)
def inside_root(facts: Facts) -> Judgement:
    """A changed root directory holds the working directory."""
    if facts.root is None:
        return unknown("its root directory may not be seen")
    if facts.root == "/":
        return not_applicable("its root directory is /")
    if facts.directory is None:
        return unknown(UNSEEN)
    if facts.is_outside_root:
        return fault(f"its root directory is {facts.root}, and it works in {facts.directory.path}")
    return ok(f"it works in {facts.directory.path}, inside {facts.root}")


@rule(
    step="4",
    title="a safe umask",
    why="Without the write bits in the umask, each file that the program gives no mode itself may be changed by"
    " everybody.",
    remedy="Set the umask to 022 or 027 (umask(2)), and take the permission from the files that are there (chmod(1)).",
)
def safe_umask(facts: Facts) -> Judgement:
    """Others may not write what it makes."""
    umask = facts.status.umask
    if umask is None:
        return unknown("the kernel does not tell its umask: Linux does since 4.7")
    said = f"umask {umask:03o}"
    if umask & stat.S_IWOTH:
        return ok(said)
    if facts.exposed:
        more = f" and {len(facts.exposed) - MOST_NAMES} more" if len(facts.exposed) > MOST_NAMES else ""
        return fault(f"{said}, and others may write {', '.join(facts.exposed[:MOST_NAMES])}{more}")
    if facts.uid == 0:
        return warning(f"{said}, and it is root: what it makes without a mode of its own, everybody may write")
    if facts.exposed is None:
        return unknown(f"{said}; whether others may write its files may not be seen")
    return ok(f"{said}, and none of its files may be written by others")
