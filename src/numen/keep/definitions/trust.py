"""What root runs must not be anybody else's to write: who could change it could do whatever root may.

Definition files are looked at where they are read (`files`); here is what a definition names.
"""

from __future__ import annotations

import os

from ...become.identity import uid_of
from ...kernel.files import changeable
from . import probes
from .tables import Mistake

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .definition import Definition


def untrusted(definition: Definition) -> list[Mistake]:
    """What a definition of root's names and others can change; of what anybody else keeps, nothing is asked."""
    if os.geteuid() != 0:
        return []
    found = []
    uid = uid_of(definition.user)  # who may change his own program
    for key, program in _programs(definition):
        if message := changeable(program, uid):
            found.append(Mistake(key=key, message=message, path=tuple(key.split("."))))
    for index, path in enumerate(definition.environment_files):
        # It is root who reads it, whoever the daemon runs as.
        if message := changeable(path.removeprefix("-"), 0):
            found.append(Mistake(key="environment_files", message=message, path=("environment_files", index)))
    for name, path in definition.secret_files.items():
        if message := changeable(path, 0):
            found.append(Mistake(key="secret_files", message=message, path=("secret_files", name)))
    return found


def _programs(definition: Definition) -> Iterator[tuple[str, str]]:
    """What runs as the daemon would, each with its key."""
    commands = {
        "command": definition.command,
        "before_start": definition.before_start,
        "after_exit": definition.after_exit,
        # With no program there stands the name of a daemon.
        "on_failure": definition.on_failure,
        "reload_command": definition.reload_command,
        "ready": probes.parse(definition.ready).command,
        "alive.probe": probes.parse(definition.alive_probe).command if definition.alive_probe is not None else None,
    }
    for key, command in commands.items():
        if command and command[0]:
            yield key, command[0]
