"""Where daemons are started, heard and ended, one at a time.

The bench is their subreaper: whoever is orphaned becomes its child, so it finds, ends and reaps all of them.
"""

from __future__ import annotations

import ctypes
import os
import resource
import select
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from .workshop import clean_environment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .workshop import Workshop

PR_SET_CHILD_SUBREAPER = 36

PATIENCE = 10.0
"""Seconds to wait for a daemon's first word after its launcher has returned, or for an orphan to end by itself."""

LOW_LIMIT = 1024


class NoDaemon(Exception):
    """A launcher was to start a daemon, and none said that it runs."""


@dataclass(frozen=True)
class Trial:
    """One start: its times in nanoseconds on CLOCK_MONOTONIC, and the launcher's exit status."""

    started: int
    returned: int
    status: int
    running: int = 0
    """The daemon's first instruction, for a Python program the first after it became one; 0 where none came."""
    opening: int = 0
    """A Python program's last instruction before it becomes a daemon."""

    @property
    def returned_first(self) -> bool:
        """Whether the launcher had left before the daemon ran."""
        return self.returned < self.running


class Stage:
    """A directory with a FIFO on which the daemons tell when they run."""

    def __init__(self, workshop: Workshop) -> None:
        self.workshop = workshop
        self._launch = str(workshop.launch)
        self._directory = tempfile.TemporaryDirectory(prefix="numen-bench.")
        self.place = Path(self._directory.name)
        self.fifo = self.place / "fifo"
        self.pidfile = self.place / "pid"
        self.no_program = self.place / "no-program"
        self.limits = sorted({min(LOW_LIMIT, hard := _hard_limit()), hard})
        self._environment = {**clean_environment(), "NUMEN_HOME": str(self.place / "numen")}

    def __enter__(self) -> Self:
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        os.mkfifo(self.fifo)
        self.no_program.write_text("#!/nowhere/interpreter\n")
        self.no_program.chmod(0o755)
        # Open for writing too, so that there is no end of file between two daemons.
        self._ear = os.open(self.fifo, os.O_RDWR | os.O_CLOEXEC)
        return self

    def __exit__(self, *_error: object) -> None:
        end_orphans(patience=0)
        os.close(self._ear)
        self._directory.cleanup()

    def start(self, argv: Sequence[str], limit: int, *, expects_daemon: bool) -> Trial:
        """Start a launcher, take the times, and end the daemon. Raises NoDaemon."""
        self.pidfile.unlink(missing_ok=True)
        complaints = self.place / "stderr"
        with complaints.open("wb") as stderr:
            done = subprocess.run(
                [self._launch, str(limit), *argv],
                cwd=self.place,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                check=False,
            )
        started, returned, status = (int(word) for word in done.stdout.split()) if done.stdout else (0, 0, 1)
        words = self._hear(PATIENCE if status == 0 else 0) if expects_daemon else ()
        if words:
            with suppress(ProcessLookupError):
                os.kill(words[0], signal.SIGKILL)
        end_orphans(PATIENCE)
        if expects_daemon and (status or not words):
            said = complaints.read_text(errors="replace")
            raise NoDaemon(f"no daemon came of {' '.join(argv)}: exit status {status}\n{said}")
        _, running, opening = (*words, 0, 0, 0)[:3]
        return Trial(started, returned, status, running, opening)

    def _hear(self, patience: float) -> tuple[int, ...]:
        """What the daemon tells: its pid, when it ran, and when it began to become one if it knows."""
        if not select.select([self._ear], [], [], patience)[0]:
            return ()
        return tuple(int(word) for word in os.read(self._ear, 4096).split())


def end_orphans(patience: float) -> None:
    """Reap every child until there is none; those that have not ended in time are killed."""
    deadline = time.monotonic() + patience
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid:
            continue
        if time.monotonic() >= deadline:
            for child in _children():
                os.kill(child, signal.SIGKILL)
        time.sleep(0.0005)


def _children() -> list[int]:
    """The living or dead children of the bench: nobody else can reap them, so no number stands for a stranger."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = path.read_text(errors="replace")
        except OSError:
            continue
        if int(text.rpartition(")")[2].split()[1]) == os.getpid():
            found.append(int(path.parent.name))
    return found


def _hard_limit() -> int:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return hard if hard != resource.RLIM_INFINITY else int(Path("/proc/sys/fs/nr_open").read_text())
