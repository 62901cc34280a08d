"""`daemon.runner`: start, stop and restart a program by its pidfile, as python-daemon had it up to 2.3."""

from __future__ import annotations

import os
import sys

from ..become import pidfile as engine
from ..kernel import signals
from ..kernel.process import Process
from .context import DaemonContext
from .lock_errors import AlreadyLocked
from .pidfile import TimeoutPIDLockFile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import NoReturn, Protocol, TextIO

    class App(Protocol):
        """The program that is run."""

        stdin_path: str
        stdout_path: str
        stderr_path: str
        pidfile_path: str | None
        pidfile_timeout: float | None

        def run(self) -> object:
            """Do the daemon's work."""
            ...


STOP_PATIENCE = 30.0
"""Seconds that a daemon has to end after SIGTERM before `stop` fails."""


class DaemonRunnerError(Exception):
    """The base of what a runner raises."""


class DaemonRunnerInvalidActionError(DaemonRunnerError, ValueError):
    """There is no such action."""


class DaemonRunnerStartFailureError(DaemonRunnerError, RuntimeError):
    """The daemon was not started."""


class DaemonRunnerStopFailureError(DaemonRunnerError, RuntimeError):
    """The daemon was not stopped."""


class DaemonRunner:
    """Do with `app` what the first word of the command line says: start, stop or restart."""

    start_message = "started with pid {pid:d}"

    def __init__(self, app: App) -> None:
        self.app = app
        self.parse_args()
        self.daemon_context = DaemonContext()
        if self.action != "stop":
            self._open_streams()
        self.pidfile = None
        if app.pidfile_path is not None:
            self.pidfile = make_pidlockfile(app.pidfile_path, app.pidfile_timeout)
        self.daemon_context.pidfile = self.pidfile

    def parse_args(self, argv: Sequence[str] | None = None) -> None:
        """Set `action` from the words of the command line; a usage message and exit status 2 where there is none."""
        words = sys.argv if argv is None else argv
        if len(words) < 2 or words[1] not in self.action_funcs:
            self._usage_exit(words)
        self.action = words[1]

    def do_action(self) -> None:
        """Do what was asked for. Raises DaemonRunnerError."""
        self._get_action_func()(self)

    def _usage_exit(self, argv: Sequence[str]) -> NoReturn:
        program = os.path.basename(argv[0]) if argv else "daemon"
        emit_message(f"usage: {program} {'|'.join(self.action_funcs)}")
        sys.exit(2)

    def _open_streams(self) -> None:
        """Open the app's files, to append: a second start must not empty the log of what runs."""
        context, app = self.daemon_context, self.app
        context.stdin = open(app.stdin_path)  # noqa: SIM115 - they live as long as the daemon
        context.stdout = open(app.stdout_path, "a", buffering=1)  # noqa: SIM115
        context.stderr = open(app.stderr_path, "a", buffering=1)  # noqa: SIM115

    def _start(self) -> None:
        try:
            self.daemon_context.open()
        except AlreadyLocked as error:
            raise DaemonRunnerStartFailureError(f"cannot start: {error}") from error
        emit_message(self.start_message.format(pid=os.getpid()))
        self.app.run()

    def _stop(self) -> None:
        if self.pidfile is None or not os.path.exists(self.pidfile.path):
            where = self.pidfile.path if self.pidfile else "a pidfile"
            raise DaemonRunnerStopFailureError(f"cannot stop: it is not running, there is no {where}")
        self._terminate_daemon_process()

    def _terminate_daemon_process(self) -> None:
        """End the very process that the pidfile names, and wait for its end; remove what a dead one has left."""
        assert self.pidfile is not None
        known = engine.read(os.path.abspath(self.pidfile.path))
        process = known.process() if known else None
        if process is None and self.pidfile.is_locked():
            where = self.pidfile.path
            raise DaemonRunnerStopFailureError(f"cannot stop: {where} is locked by a process that it does not name")
        try:
            if process is None or not process.send_signal(signals.SIGTERM):
                self.pidfile.break_lock()
                return
        except PermissionError as error:
            raise DaemonRunnerStopFailureError(f"cannot stop pid {process.pid if process else 0}: {error}") from error
        if not process.wait(STOP_PATIENCE):
            raise DaemonRunnerStopFailureError(f"pid {process.pid} still runs {STOP_PATIENCE:g} s after SIGTERM")

    def _restart(self) -> None:
        self._stop()
        self._start()

    action_funcs: dict[str, Callable[[DaemonRunner], None]] = {"start": _start, "stop": _stop, "restart": _restart}  # noqa: RUF012

    def _get_action_func(self) -> Callable[[DaemonRunner], None]:
        try:
            return self.action_funcs[self.action]
        except KeyError:
            raise DaemonRunnerInvalidActionError(f"there is no action {self.action!r}") from None


def emit_message(message: str, stream: TextIO | None = None) -> None:
    """Write a line to the stream, stderr where none is given."""
    target = sys.stderr if stream is None else stream
    target.write(f"{message}\n")
    target.flush()


def make_pidlockfile(path: str, acquire_timeout: float | None) -> TimeoutPIDLockFile:
    """The lock for an absolute path. Raises ValueError for any other."""
    if not os.path.isabs(path):
        raise ValueError(f"{path!r} is not the absolute path of a file")
    return TimeoutPIDLockFile(path, acquire_timeout)


def is_pidfile_stale(pidfile: TimeoutPIDLockFile) -> bool:
    """Whether the pidfile names a process that has ended."""
    pid = pidfile.read_pid()
    return pid is not None and not Process(pid).is_alive()
