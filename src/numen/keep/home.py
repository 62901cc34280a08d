"""The files of one user's supervisor: where each of them stands, found once at its start."""

from __future__ import annotations

import fcntl
import os
import resource
from contextlib import suppress

from ..record import Record
from ..settings import places

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

LAST_LINES = 10
"""How many of the last lines are told of a daemon that was not up."""


class Home(Record):
    """The paths."""

    definitions: str
    """The directory of NAME.toml."""
    logs: str
    """The directory of NAME.log."""
    streams: str
    """The directory of the FIFOs, closed to others."""
    control: str
    """The socket of the control protocol."""
    journal: str
    """The lives, for this boot."""
    wants: str
    """What is wanted of the daemons, beyond a boot."""
    tasks: str
    """The directory of how it stands with the schedules of tasks, beyond a boot."""
    forwarded: str
    """The directory of what is forwarded to the system log, beyond a boot."""
    lock: str
    """The supervisor's own lock."""

    @classmethod
    def found(cls) -> Self:
        """Those of this user, or of NUMEN_HOME; directories are made where they are missing. Raises Unusable."""
        state = places.state_directory()
        return cls(
            definitions=places.definitions_directory(),
            logs=places.log_directory(),
            streams=places.streams_directory(),
            control=places.control_path(),
            journal=os.path.join(state, "journal"),
            wants=os.path.join(places.persistent_directory(), "wants"),
            tasks=os.path.join(places.persistent_directory(), "tasks"),
            forwarded=os.path.join(places.persistent_directory(), "forwarded"),
            lock=os.path.join(state, "supervisor.lock"),
        )

    def log(self, key: str) -> str:
        """The log of a daemon; that of its separate stderr under NAME.err."""
        return os.path.join(self.logs, f"{key}.log")

    def spool(self, key: str) -> str:
        """Where the lines of that log stand while they are stamped."""
        return os.path.join(self.streams, f"{key}.spool")

    def mark(self, name: str) -> str:
        """Where it stands where the logs of a daemon's present run begin."""
        return os.path.join(self.streams, f"{name}.mark")

    def last_lines(self, name: str) -> list[str]:
        """The last lines that a daemon wrote, those of its stderr before all."""
        from .logs.reading import last_lines

        for key in (f"{name}.err", name):
            if lines := last_lines(self.log(key), LAST_LINES):
                return list(lines)
        return []


def lock_supervisor(path: str) -> int:
    """The supervisor's own lock, waited for; the descriptor. Raises OSError.

    A child between fork and exec holds the lock of the supervisor that forked it. So who has got it knows that every
    spawn of its predecessor's has reached the exec, or has failed.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    # Under the last number that a daemon may have: one that wants a descriptor of that number, as for readiness, has
    # this one closed before the exec.
    with suppress(OSError):
        highest = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 1)
        os.close(descriptor)
        return highest
    return descriptor
