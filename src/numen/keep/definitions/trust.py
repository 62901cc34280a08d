"""What root runs must not be anybody else's to write: who could change it could do whatever root may.

Definition files are looked at where they are read (`files`); here is what a definition names.
"""

from __future__ import annotations

import os
import stat

from ...kernel.files import untrusted_part
from .tables import Mistake

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .definition import Definition


def untrusted(definition: Definition) -> list[Mistake]:
    """What a definition of root's names and others can change; of what anybody else keeps, nothing is asked."""
    if os.geteuid() != 0:
        return []
    found = []
    uid = _uid(definition.user)
    if message := _changeable(definition.command[0], uid):
        found.append(Mistake(key="command", message=message, path=("command",)))
    for index, path in enumerate(definition.environment_files):
        # It is root who reads it, whoever the daemon runs as.
        if message := _changeable(path.removeprefix("-"), 0):
            found.append(Mistake(key="environment_files", message=message, path=("environment_files", index)))
    return found


def _uid(user: str | None) -> int:
    """The number of the user it runs as, who may change his own program; root where there is no such user."""
    if user is None:
        return 0
    from pwd import getpwnam

    if user.isascii() and user.isdigit():
        return int(user)
    try:
        return getpwnam(user).pw_uid
    except (KeyError, ValueError):
        return 0


def _changeable(path: str, uid: int) -> str:
    """What others can change of a file, in words; nothing where they cannot, and of what is missing."""
    try:
        part = untrusted_part(path, uid=uid) or path
        found = os.stat(part)
    except (OSError, ValueError):
        return ""
    mode = stat.S_IMODE(found.st_mode)
    if part == path and not _is_open(found, uid):
        return ""
    whose = "root" if uid == 0 else f"root or to uid {uid}"
    return (
        f"others can change {part} (mode {mode:04o}, uid {found.st_uid}, gid {found.st_gid}); it must belong to"
        f" {whose}, and be writable by nobody else"
    )


def _is_open(found: os.stat_result, uid: int) -> bool:
    """Whether a file, no directory, is another's or can be written by others."""
    groups_matter = uid == 0 and found.st_gid != 0
    others = stat.S_IWOTH | (stat.S_IWGRP if groups_matter else 0)
    return stat.S_ISREG(found.st_mode) and (found.st_uid not in (0, uid) or bool(found.st_mode & others))
