"""`DaemonContext`: the running Python program becomes a daemon, in the order of the recipe."""

from __future__ import annotations

import atexit
import os
import sys

from ..errors import BadOption, DaemonError, DiedBeforeReady, Interrupted, Unsafe
from . import evidence, launch, notify, objects, program, readiness, recipe, report, signals, streams
from .syslog.last_words import send_last_words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import TracebackType
    from typing import Any, NoReturn, Protocol, Self

    from ..settings.limits import Limit

    class HasFileno(Protocol):
        """A file, a socket, or anything else with a descriptor."""

        def fileno(self) -> int:
            """The descriptor."""
            ...


class DaemonContext:
    """Inside this context the program is a daemon.

    Entering it takes the eight steps; the launcher, which is the process that was there before, stays until
    ready() is called and then exits with 0, or says why there will be no daemon and exits with another status.

    Where a service manager started the program, or inetd, or it is PID 1, it does not fork but does the rest;
    ready() then speaks sd_notify(3). `detach` overrides that.

    name: the instance's name, unique for this user; `numen detach --status NAME` knows it.
    pidfile: where the pid is written; a second daemon with it is refused.
    directory, umask, user, group, groups, chroot: what the daemon has; paths are relative to the caller's directory.
    stdin, stdout, stderr: `null`, a file's path, `journal`, `syslog`, `inherit`, or an open file or descriptor. By
        default stdin and stdout are null, and stderr is the journal, else NAME.log in numen's log directory; all
        three stay as they are where it does not fork.
    children: `default`, `ignore` (the kernel reaps them) or `reap`.
    keep: files, sockets and descriptors that stay open beside those of live logging handlers.
    limits: by name, such as `{"open-files": 65536}`; a pair is the soft and the hard limit.
    ready: `call` (the default: ready() says so) or `open` (ready when the context is entered).
    timeout: the seconds the daemon has to become ready before it is ended; `None` for no end.
    reload: called in the main thread at SIGHUP; in an asyncio program in its loop, and it may be a coroutine function.

    Raises BadOption, Unusable, NoPermission or AlreadyRunning before anything was done, and Unsafe where other
    threads or an event loop run, which a fork would break.
    """

    def __init__(
        self,
        *,
        name: str | None = None,
        pidfile: str | os.PathLike[str] | None = None,
        directory: str | os.PathLike[str] = "/",
        umask: int = 0o022,
        user: str | int | None = None,
        group: str | int | None = None,
        groups: Iterable[str | int] | None = None,
        chroot: str | os.PathLike[str] | None = None,
        environment: Mapping[str, str] | None = None,
        stdin: str | os.PathLike[str] | int | HasFileno | None = None,
        stdout: str | os.PathLike[str] | int | HasFileno | None = None,
        stderr: str | os.PathLike[str] | int | HasFileno | None = None,
        facility: str = "daemon",
        children: str = "default",
        keep: Iterable[int | HasFileno] = (),
        nice: int | None = None,
        oom_score: int | None = None,
        limits: Mapping[str, int | Limit] | None = None,
        core_dumps: bool = False,
        no_new_privileges: bool = False,
        capabilities: Iterable[str] | None = None,
        detach: bool | None = None,
        ready: str = "call",
        timeout: float | None = readiness.DEFAULT_TIMEOUT,
        reload: Callable[[], object] | None = None,
    ) -> None:
        if ready not in ("call", "open"):
            raise BadOption(f"ready {ready!r} is unknown; there are call and open")
        signals.check_children(children, for_exec=False)
        self._streams = (stdin, stdout, stderr)
        self._keep = tuple(keep)
        self._recipe = recipe.Recipe(
            name=name,
            pidfile=os.fspath(pidfile) if pidfile is not None else None,
            directory=os.fspath(directory),
            umask=umask,
            user=user,
            group=group,
            groups=tuple(groups) if groups is not None else None,
            chroot=os.fspath(chroot) if chroot is not None else None,
            environment=dict(environment or {}),
            facility=facility,
            children=children,
            nice=nice,
            oom_score=oom_score,
            limits={key: pair(value) for key, value in (limits or {}).items()},
            core_dumps=core_dumps,
            no_new_privileges=no_new_privileges,
            capabilities=tuple(capabilities) if capabilities is not None else None,
        )
        self._detach = detach
        self._ready_at_open = ready == "open"
        self._timeout = timeout
        self._reload = reload
        self._prepared: recipe.Prepared | None = None
        self._reporter: report.Reporter | None = None
        self._ending: signals.Ending | None = None
        self._owner = 0
        self._is_ready = False

    @property
    def is_open(self) -> bool:
        """Whether this process is the daemon that the context made."""
        return self._owner == os.getpid()

    @property
    def stopping(self) -> bool:
        """Whether SIGTERM or SIGINT has asked the daemon to end."""
        return self._ending is not None and self._ending.asked

    def open(self) -> None:
        """Become a daemon. Only the daemon returns; a context that is open already is left as it is."""
        if self.is_open:
            return
        # It may have been open before: the new daemon is not ready because the last one was.
        self._is_ready, self._reporter, self._ending = False, None, None
        in_foreground = not self._detach if self._detach is not None else evidence.why_not_detach() is not None
        if not in_foreground and (reason := evidence.why_not_fork()):
            raise Unsafe(f"cannot detach this process: {reason}; enter the context before they start")
        if evidence.is_in_event_loop():
            raise Unsafe("cannot become a daemon in a running event loop; enter the context before it starts")
        if not evidence.is_main_thread():
            raise Unsafe("cannot become a daemon in this thread: signals are handled in the main thread alone")
        owners = objects.find_owners()
        ident = self._recipe.name or program.program_name()
        self._prepared = recipe.prepare(self._completed_recipe(in_foreground=in_foreground), ident)
        self._prepared.command = " ".join(sys.orig_argv)
        for warning in self._prepared.warnings:
            print(f"{ident}: note: {warning}", file=sys.stderr)
        if in_foreground:
            self._become_in_foreground(owners)
        else:
            self._become_in_background(owners)
        self._owner = os.getpid()
        atexit.register(self.close)
        if self._ready_at_open:
            self.ready()

    def ready(self, status: str = "") -> None:
        """Say that the daemon is up, with a line of words if wished: now the launcher exits with 0.

        Called again, it only says how things stand, to the service manager if there is one.
        """
        if self._is_ready:
            notify.status(status)
            return
        self._is_ready = True
        if self._reporter is not None:
            self._reporter.ready(status)
            self._reporter.close()
            assert self._prepared is not None
            send_last_words(self._prepared)
        else:
            notify.ready(status)

    def close(self) -> None:
        """Remove the pidfile and say that the end has begun; in a forked child of the daemon, do nothing."""
        if not self.is_open:
            return
        self._owner = 0
        notify.stopping()
        assert self._prepared is not None
        self._prepared.remove_pidfiles()
        if self._reporter is not None:
            self._reporter.close()

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None and self.is_open and not self._is_ready and self._reporter is not None:
            self._fail(error)
        self.close()

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Decorate a function: whoever calls it becomes a daemon, and the function runs in that."""
        import functools

        @functools.wraps(function)
        def as_daemon(*arguments: object, **named: object) -> object:
            with self:
                return function(*arguments, **named)

        return as_daemon

    def _completed_recipe(self, *, in_foreground: bool) -> recipe.Recipe:
        """The recipe with streams and descriptors as they are now, when the context is entered."""
        background = (streams.NULL, streams.NULL, streams.AUTO)
        foreground = (streams.INHERIT, streams.INHERIT, streams.INHERIT)
        if in_foreground and evidence.is_started_by_inetd():
            foreground = (streams.INHERIT, streams.INHERIT, streams.AUTO)  # errors are not for the network
        defaults = foreground if in_foreground else background
        stdin, stdout, stderr = (
            default if given is None else target(given) for given, default in zip(self._streams, defaults, strict=True)
        )
        keep = tuple(descriptor(one) for one in self._keep)
        return self._recipe.replace(stdin=stdin, stdout=stdout, stderr=stderr, keep_descriptors=keep)

    def _become_in_foreground(self, owners: list[objects.Owner]) -> None:
        assert self._prepared is not None
        try:
            self._ending = program.become(self._prepared, owners, keep=(), reload=self._reload, in_foreground=True)
        except BaseException:
            self._prepared.remove_pidfiles()
            raise

    def _become_in_background(self, owners: list[objects.Owner]) -> None:
        assert self._prepared is not None
        # Sockets that a service manager handed over are the daemon's, though it leaves the manager.
        listening = evidence.listen_descriptors()
        handed_over = {name: os.environ[name] for name in ("LISTEN_FDS", "LISTEN_FDNAMES") if name in os.environ}
        try:
            streams.check_not_inherited(self._prepared.streams)
            start = launch.Launch(self._prepared, readiness.Kind(name=readiness.CALL), self._timeout)
        except BaseException:
            self._prepared.abandon()
            raise
        if start.fork():
            be_launcher(start)
        reporter = start.pipes.reporter()
        try:
            reporter.born(os.getpid())
            keep = (reporter.descriptor, *listening)
            self._ending = program.become(self._prepared, owners, keep=keep, reload=self._reload, in_foreground=False)
            if listening:
                os.environ.update(handed_over, LISTEN_PID=str(os.getpid()))
        except BaseException as error:  # noqa: BLE001 - whatever it is, the person who asked must learn of it
            reporter.failed(error)
            os._exit(1)
        self._reporter = reporter

    def _fail(self, error: BaseException) -> None:
        """Tell the launcher what ended the program before it was ready."""
        import traceback

        assert self._reporter is not None
        assert self._prepared is not None
        # The launcher now ends what it has started; this program is ending already, in its own order.
        signals.refuse_to_end()
        reporter, self._reporter = self._reporter, None
        self.close()
        if isinstance(error, SystemExit):
            status, text = program.exit_of(error)
            # Whoever ends well before it is ready is no daemon either.
            failure = status or DiedBeforeReady.exit_status
            reporter.program_failed(f"{self._prepared.ident} ended before it was ready", failure, text)
        else:
            reporter.program_failed(str(error), 1, "".join(traceback.format_exception(error)))
        reporter.close()


def be_launcher(start: launch.Launch) -> NoReturn:
    """Wait for the verdict, say it, and end with its exit status."""
    status = 1
    try:
        launch.raise_when_interrupted()
        start.wait()
        status = 0
    except Interrupted as interruption:
        status = 128 + interruption.number
    except report.StartFailed as failure:
        _say(failure.traceback.rstrip("\n") or str(failure))
        status = failure.exit_status
    except DaemonError as error:
        _say("\n".join([str(error), *(f"  | {line}" for line in getattr(error, "last_lines", ()))]))
        status = error.exit_status
    except Exception:  # noqa: BLE001 - a broken promise of our own must not end in silence
        sys.excepthook(*sys.exc_info())
    finally:
        program.flush_and_exit(status)
    raise AssertionError("unreachable")


def _say(text: str) -> None:
    try:
        print(text, file=sys.stderr, flush=True)
    except (OSError, ValueError):
        return


def target(given: str | os.PathLike[str] | int | HasFileno) -> str | int:
    """What a stream is to be connected with, as a word, a path or a descriptor."""
    if isinstance(given, (str, int)):
        return given
    return os.fspath(given) if isinstance(given, os.PathLike) else given.fileno()


def descriptor(one: int | HasFileno) -> int:
    """The descriptor of a file, or the number that is one."""
    return one if isinstance(one, int) else one.fileno()


def pair(limit: int | Limit) -> Limit:
    """The soft and the hard limit."""
    return (limit, limit) if isinstance(limit, int) else limit
