"""What root runs must not be anybody else's to write: who could change it could do whatever root may.

Definition files are looked at where they are read (`files`); here is what a definition names.
"""

from __future__ import annotations

import os

from ...kernel.files import changeable
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
    if message := changeable(definition.command[0], uid):
        found.append(Mistake(key="command", message=message, path=("command",)))
    for index, path in enumerate(definition.environment_files):
        # It is root who reads it, whoever the daemon runs as.
        if message := changeable(path.removeprefix("-"), 0):
            found.append(Mistake(key="environment_files", message=message, path=("environment_files", index)))
    for name, path in definition.secret_files.items():
        if message := changeable(path, 0):
            found.append(Mistake(key="secret_files", message=message, path=("secret_files", name)))
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
