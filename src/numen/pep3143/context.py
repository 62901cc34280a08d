"""`DaemonContext`: python-daemon's arguments, attributes and hooks, and numen's steps behind them."""

from __future__ import annotations

import os
import signal

from ..become import descriptors, evidence, limits, objects, program, recipe, surroundings
from ..become import signals as engine_signals
from ..become import streams as engine_streams
from ..become.program import program_name
from ..errors import DaemonError as NumenError
from . import detachment, origin, steps, streams, switches
from .errors import as_environment_errors
from .pidfile import locks_as_usual

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from contextlib import AbstractContextManager
    from types import FrameType, TracebackType
    from typing import Any, Self

    from ..become.recipe import Prepared
    from ..become.report import Reporter
    from .locked_file import LockedFile
    from .steps import Handler
    from .streams import HasFileno


class _NotAsked(int):
    """The 0 of the signature, told from a 0 that a program asks for."""


UMASK_NOT_ASKED = _NotAsked(0)


def _find_inherited_ignored() -> frozenset[int]:
    needed_by_python = {signal.SIGPIPE, signal.SIGXFSZ}
    ignored = {number for number in signal.valid_signals() if signal.getsignal(number) is signal.SIG_IGN}
    return frozenset(ignored - needed_by_python)


_inherited_ignored = _find_inherited_ignored()
"""The signals that were ignored when this module was imported: nohup's or a shell's doing, not the program's."""


class DaemonContext:
    """Inside this context the program is a daemon.

    chroot_directory, working_directory, umask, uid, gid: what the daemon has; uid and gid are by default the real
        ones of the process, so that nothing that only the effective ones allow is kept.
    initgroups: whether it has the user's supplementary groups, after a change of uid or gid; else it has none.
    prevent_core: whether no core file may be written.
    detach_process: whether it forks away from who started it; by default unless a service manager or inetd did.
    files_preserve: files and descriptors that stay open, beside those of the streams and of live logging handlers.
    pidfile: a context manager; a lock of `daemon.pidfile` is taken before the fork, any other is entered last.
    stdin, stdout, stderr: open files; `None` is /dev/null, and for stderr the log unless the switch says otherwise.
    signal_map: by signal, what is done: `None` ignores it, a string names a method of the context.
    """

    def __init__(  # noqa: PLR0913, RUF100 - the signature is python-daemon's
        self,
        chroot_directory: str | os.PathLike[str] | None = None,
        working_directory: str | os.PathLike[str] = "/",
        umask: int = UMASK_NOT_ASKED,
        uid: int | None = None,
        gid: int | None = None,
        initgroups: bool = False,  # noqa: FBT001, FBT002
        prevent_core: bool = True,  # noqa: FBT001, FBT002
        detach_process: bool | None = None,  # noqa: FBT001
        files_preserve: Iterable[int | HasFileno | None] | None = None,
        pidfile: AbstractContextManager[Any] | None = None,
        stdin: HasFileno | None = None,
        stdout: HasFileno | None = None,
        stderr: HasFileno | None = None,
        signal_map: Mapping[int, object] | None = None,
    ) -> None:
        self.chroot_directory = chroot_directory
        self.working_directory = working_directory
        self.umask = switches.current().umask if umask is UMASK_NOT_ASKED else umask
        self.uid = os.getuid() if uid is None else uid
        self.gid = os.getgid() if gid is None else gid
        self.initgroups = initgroups
        self.prevent_core = prevent_core
        if detach_process is None:
            detach_process = origin.is_detach_process_context_required()
        self.detach_process = detach_process
        self.files_preserve = files_preserve
        self.pidfile = pidfile
        self.stdin = stdin
        self.stdout = stdout
        self.stderr = stderr
        self.signal_map = steps.make_default_signal_map() if signal_map is None else signal_map
        self._is_open = False
        self._owner = 0

    @property
    def is_open(self) -> bool:
        """Whether the context has been opened and not yet closed."""
        return self._is_open

    def open(self) -> None:
        """Become a daemon. Only the daemon returns; a context that is open already is left as it is.

        What can be known beforehand is raised in the caller's process, and nothing was done: DaemonError,
        TypeError, AlreadyLocked and its like. What fails after the fork is raised in the daemon, and the
        launcher tells of it and exits with 1.
        """
        if self.is_open:
            return
        handlers = self._make_signal_handler_map()
        preserved = streams.checked_descriptors(self._get_exclude_file_descriptors())
        steps.checked_mask(self.umask)
        prepared = self._prepare(preserved)
        locked = self._claim_pidfile(prepared)
        reporter = detachment.fork_away(prepared) if self.detach_process else None
        try:
            self._become(prepared, handlers, preserved, locked, reporter)
        except BaseException as error:
            prepared.remove_pidfiles()
            if reporter is not None:
                _report_failure(reporter, error)
            raise
        if reporter is not None:
            reporter.ready()
            reporter.close()

    def close(self) -> None:
        """Leave the pidfile; a context that is not open, or that a parent process has opened, is left as it is."""
        if not self.is_open:
            return
        self._is_open = False
        if self._owner != os.getpid() or self.pidfile is None:
            return
        # One that somebody has removed or taken over meanwhile is not ours to leave.
        if not locks_as_usual(self.pidfile) or self.pidfile.i_am_locking():
            self.pidfile.__exit__(None, None, None)

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc_value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def terminate(self, signal_number: int, stack_frame: FrameType | None) -> None:
        """End the program: raise SystemExit in the main thread, with the exit status that the switch `sigterm` says."""
        del stack_frame  # every signal handler is given one
        ending = SystemExit(f"Terminating on signal {signal_number:d}")
        status = switches.current().sigterm
        if status != 1:
            # A text as its code is printed, and means 1; as its argument alone it is there for who catches it.
            ending.code = status
        raise ending

    def _get_exclude_file_descriptors(self) -> set[Any]:
        """The descriptors that stay open: those of files_preserve and of the streams."""
        items = [*(self.files_preserve or ()), self.stdin, self.stdout, self.stderr]
        return {streams.descriptor_or_itself(item) for item in items if item is not None}

    def _make_signal_handler(self, target: Any) -> Handler:
        """What is installed for a target of the signal map."""
        if target is None:
            return signal.SIG_IGN
        handler: Handler = getattr(self, target) if isinstance(target, str) else target
        return handler

    def _make_signal_handler_map(self) -> dict[int, Handler]:
        """What is installed, by signal."""
        return {number: self._make_signal_handler(target) for number, target in self.signal_map.items()}

    def _prepare(self, preserved: set[int]) -> Prepared:
        """Find what can be known beforehand. Raises DaemonOSEnvironmentError, or what a bad fileno() raises."""
        sources = [
            engine_streams.NULL if stream is None else streams.descriptor_of(stream)
            for stream in (self.stdin, self.stdout, self.stderr)
        ]
        if self.stderr is None:
            sources[2] = self._default_stderr()
        with as_environment_errors("become a daemon"):
            account = steps.find_account(self.uid, self.gid, with_groups=self.initgroups)
            wanted = recipe.Recipe(
                directory=os.fspath(self.working_directory),
                chroot=os.fspath(self.chroot_directory) if self.chroot_directory is not None else None,
                user=account.uid if account else None,
                group=account.gid if account else None,
                groups=account.groups if account else None,
                stdin=sources[0],
                stdout=sources[1],
                stderr=sources[2],
                keep_descriptors=tuple(number for number in preserved if descriptors.is_open(number)),
            )
            return _prepare_with_some_stderr(wanted)

    def _default_stderr(self) -> str:
        """Where errors go for which the program has said nothing."""
        if switches.current().stderr == "null":
            return engine_streams.NULL
        # In the foreground stderr is a service manager's or a person's; inetd's is the network's.
        in_sight = not self.detach_process and not evidence.is_started_by_inetd()
        return engine_streams.INHERIT if in_sight else engine_streams.AUTO

    def _claim_pidfile(self, prepared: Prepared) -> LockedFile | None:
        """Take the lock, before the fork and with all rights, where it is one of `daemon.pidfile`."""
        if not locks_as_usual(self.pidfile):
            return None
        # A relative path means the daemon's own directory, and all of it is below the daemon's root.
        inside = os.path.normpath(os.path.join(prepared.directory, self.pidfile.path))
        root = os.path.abspath(prepared.recipe.chroot) if prepared.recipe.chroot is not None else ""
        try:
            locked = self.pidfile.claim(root + inside, prepared.account)
        except BaseException:
            prepared.abandon()
            raise
        prepared.pidfiles.append(locked)
        return locked

    def _become(
        self,
        prepared: Prepared,
        handlers: dict[int, Handler],
        preserved: set[int],
        locked: LockedFile | None,
        reporter: Reporter | None,
    ) -> None:
        """Take the steps that remain when the forks are made, in their order."""
        before = os.getuid()
        # First of all, so that from here on nothing is written to the caller's terminal twice.
        replaced = _install_streams(prepared, preserved)
        kept = {*preserved, *replaced, *objects.logging_descriptors()}
        kept |= {one.descriptor for one in (reporter, locked) if one is not None}
        if switches.current().signals == "reset":
            _reset_inherited_signals()
        steps.set_signal_handlers(handlers)
        with as_environment_errors("become a daemon"):
            if prepared.recipe.chroot is not None:
                surroundings.change_root(os.path.abspath(prepared.recipe.chroot))
            if self.prevent_core:
                limits.prevent_core_dumps()
            surroundings.set_umask(steps.checked_mask(self.umask))
            surroundings.change_directory(prepared.directory)
            if locked is not None:
                locked.write(os.getpid())
            steps.become_owner(self.uid, self.gid, prepared.account)
        _keep_wakeup_descriptor(kept)
        objects.close_objects(kept)
        descriptors.close_all(kept)
        program.replace_missing_streams()
        if prepared.account is not None and prepared.account.uid != before:
            self._follow_account(prepared)
        if locked is not None:
            self._adopt(locked, prepared)
        elif self.pidfile is not None:
            self.pidfile.__enter__()
        self._is_open, self._owner = True, os.getpid()
        steps.register_atexit_function(self.close)

    def _follow_account(self, prepared: Prepared) -> None:
        assert prepared.account is not None
        if switches.current().environment == "follow":
            os.environ.update(prepared.account.environment())

    def _adopt(self, locked: LockedFile, prepared: Prepared) -> None:
        assert locks_as_usual(self.pidfile)
        locked.path = os.path.normpath(os.path.join(prepared.directory, self.pidfile.path))
        self.pidfile.adopt(locked)


def _prepare_with_some_stderr(wanted: recipe.Recipe) -> Prepared:
    """Prepare; where the log is wanted and cannot be had, a daemon without one is what python-daemon would make."""
    try:
        return recipe.prepare(wanted, program_name())
    except NumenError:
        if wanted.stderr != engine_streams.AUTO:
            raise
    return recipe.prepare(wanted.replace(stderr=engine_streams.NULL), program_name())


def _install_streams(prepared: Prepared, preserved: set[int]) -> set[int]:
    """Put the streams where they belong; the descriptors of those for which the program has other files too."""
    # A standard stream that is given for another must not be overwritten before it is copied.
    engine_streams.install(
        tuple(one.replace(descriptor=streams.out_of_the_way(one.number, one.descriptor)) for one in prepared.streams)
    )
    replaced = {number: own for number, own in streams.replaced_standard_streams().items() if own not in preserved}
    for number, own in replaced.items():
        os.dup2(number, own, inheritable=False)
    return set(replaced.values())


def _reset_inherited_signals() -> None:
    """Block no signal, and ignore none that was ignored before the program began; its own handlers stay."""
    for number in _inherited_ignored:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _keep_wakeup_descriptor(kept: set[int]) -> None:
    """Stop telling signals to a descriptor that is about to be closed: its number may be a file's tomorrow."""
    descriptor = signal.set_wakeup_fd(-1)
    if descriptor in kept:
        signal.set_wakeup_fd(descriptor)


def _report_failure(reporter: Reporter, error: BaseException) -> None:
    """Tell the launcher; the program's own `except` and `finally` still run, while the launcher ends what is left."""
    import traceback

    engine_signals.refuse_to_end()
    reporter.program_failed(str(error), 1, "".join(traceback.format_exception(error)))
    reporter.close()
