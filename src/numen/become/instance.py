"""A running daemon, asked for by its name, its pidfile, or the handle that spawn() returned."""

from __future__ import annotations

import os
import time

from ..errors import NoPermission, NotRunning
from ..kernel import signals as signal
from ..settings import places
from ..settings.signals import signal_name
from . import pidfile
from .recipe import instance_path, instances_directory

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from .pidfile import Known

    Schedule = Iterable[tuple[int, float]]


RUNNING, DEAD_WITH_PIDFILE, NOT_RUNNING = 0, 1, 3
"""The exit statuses of `status`, as the Linux Standard Base numbers them."""

LAST_PATIENCE = 5.0
"""Seconds that a process may take to go after the SIGKILL that stop() ends with."""


class Instance:
    """One daemon, the process that its pidfile names at the instant when it is asked."""

    def __init__(self, path: str, name: str, known: Known | None = None) -> None:
        self.path = path
        self.name = name
        self._known = known

    @classmethod
    def find(cls, name: str) -> Instance:
        """The instance of that name, or, where there is a slash in it, of that pidfile. Raises BadOption."""
        if "/" in name:
            return cls(places.absolute(name), name)
        return cls(instance_path(name), name)

    @property
    def known(self) -> Known | None:
        """What is recorded, of a running daemon or of one that has ended; `None` where nothing is."""
        return self._known or pidfile.read(self.path)

    @property
    def pid(self) -> int | None:
        """The pid of the running daemon; `None` where it does not run."""
        known = self.known
        return known.pid if known and not known.starting and known.is_alive() else None

    @property
    def running(self) -> bool:
        """Whether it runs."""
        return self.pid is not None

    @property
    def status(self) -> int:
        """0 where it runs, 1 where it is dead and its pidfile is there, 3 where it does not run (LSB)."""
        if self.running:
            return RUNNING
        known = self.known
        is_left = os.path.exists(self.path) and known is not None and not (known.starting and known.is_alive())
        return DEAD_WITH_PIDFILE if is_left else NOT_RUNNING

    def signal(self, number: int) -> None:
        """Send a signal to that very process.

        Raises NotRunning; NoPermission; Unusable where somebody else could have written whom it names.
        """
        if self._known is None:
            pidfile.check_trusted(self.path)
        known = self.known
        process = known.process() if known and not known.starting else None
        try:
            if process is None or not process.send_signal(number):
                raise NotRunning(f"cannot send {signal_name(number)} to {self.name}: it is not running")
        except PermissionError:
            pid = process.pid if process else 0
            raise NoPermission(
                f"cannot send {signal_name(number)} to {self.name}, pid {pid}: it is not yours"
            ) from None

    def reload(self) -> None:
        """Tell it to read its configuration again (SIGHUP). Raises NotRunning, NoPermission."""
        self.signal(signal.SIGHUP)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it has ended, for at most `timeout` seconds; whether it has."""
        known = self.known
        process = known.process() if known else None
        return process is None or process.wait(timeout)

    def stop(self, grace: float = 10.0, schedule: Schedule | None = None) -> bool:
        """End it: SIGTERM, and after `grace` seconds SIGKILL; or as `schedule` says. Whether it has ended.

        A schedule is pairs of a signal and the seconds to wait after it. One that does not run is a success. Its
        stale pidfiles are removed. Raises NoPermission, and Unusable as signal() does.
        """
        steps = schedule if schedule is not None else ((signal.SIGTERM, grace), (signal.SIGKILL, LAST_PATIENCE))
        # The same process all along: who starts another of the name meanwhile is not to be hit.
        target = Instance(self.path, self.name, self.known)
        ended = not target.running
        if not ended and self._known is None:
            pidfile.check_trusted(self.path)
        for number, patience in steps:
            if ended:
                break
            try:
                target.signal(number)
                # A stopped process acts on a signal only when it is resumed.
                target.signal(signal.SIGCONT)
            except NotRunning:
                ended = True
                break
            ended = target.wait(patience)
        for path in (self.path, target.known.also if target.known else ""):
            # One without a record is another program's, and its to remove.
            if ended and path and os.path.exists(pidfile.record_path(path)):
                pidfile.remove_stale(path)
        return ended

    def __repr__(self) -> str:
        return f"Instance({self.name!r}, pid={self.pid})"


def all_instances() -> list[Instance]:
    """Every named instance of this user that is recorded, running or not, by name."""
    directory = instances_directory()
    names = sorted(entry.removesuffix(".pid") for entry in os.listdir(directory) if entry.endswith(".pid"))
    return [Instance(os.path.join(directory, f"{name}.pid"), name) for name in names if not name.startswith(".")]


def uptime(known: Known) -> float:
    """The seconds since that process started."""
    if known.start_time is None:
        return max(0.0, time.time() - known.since)
    return time.clock_gettime(time.CLOCK_BOOTTIME) - known.start_time / os.sysconf("SC_CLK_TCK")
