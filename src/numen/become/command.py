"""Any program as a daemon: found beforehand, detached, and executed with just what it is meant to have."""

from __future__ import annotations

import os

from ..errors import CommandNotFound, DaemonError, ExecFailed, NotExecutable, Unsafe, from_os_error
from ..kernel import files, proc
from ..settings import places
from . import descriptors, evidence, readiness, recipe, signals, streams, surroundings
from .launch import Launch, Up
from .surroundings import DEFAULT_PATH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn

    from .identity import Account
    from .recipe import Prepared, Recipe


def detach(
    argv: Sequence[str],
    wanted: Recipe,
    ready: readiness.Kind,
    timeout: float | None = readiness.DEFAULT_TIMEOUT,
    warn: Warn = lambda _text: None,
) -> Up:
    """Run a command as a daemon, and return when it is up.

    `timeout` is the seconds it has to become ready; `warn` is called with what is worth knowing beforehand.
    Raises a DaemonError with the cause; then nothing is left behind.
    """
    if os.getpid() == 1:
        raise Unsafe("cannot detach as PID 1: when it exits, the kernel ends all others too; use --foreground")
    signals.check_children(wanted.children, for_exec=True)
    command = Command(argv, wanted)
    prepared = _prepare(command, wanted, warn)
    try:
        streams.check_not_inherited(prepared.streams)
        ready.check_free((*wanted.keep_descriptors, *command.listen_descriptors))
        launch = Launch(prepared, ready, timeout)
        # From here to wait() no interruption comes through.
        if not launch.fork():
            _become(command, launch, ready)
    except OSError as error:
        prepared.abandon()
        raise from_os_error(error, "open what the start needs") from error
    except BaseException:
        prepared.abandon()
        raise
    return launch.wait()


def run(argv: Sequence[str], wanted: Recipe, warn: Warn = lambda _text: None) -> NoReturn:
    """Take every step but the forks, and execute the command in place of this process.

    Raises a DaemonError where that fails.
    """
    signals.check_children(wanted.children, for_exec=True)
    command = Command(argv, wanted)
    prepared = _prepare(command, wanted, warn)
    environment = command.environment(prepared, {}, in_foreground=True)
    try:
        streams.check_not_forwarded(prepared.streams)
        recipe.follow(
            prepared,
            # The locks stay until the exec closes them: if it fails, they are needed to remove the pidfiles.
            keep=(*command.listen_descriptors, *(one.descriptor for one in prepared.pidfiles)),
            write_pidfiles=lambda: prepared.write_pidfiles(os.getpid(), prepared.command),
        )
        command.execute(environment, prepared)
    except BaseException:
        prepared.remove_pidfiles()
        raise


def _prepare(command: Command, wanted: Recipe, warn: Warn) -> Prepared:
    prepared = recipe.prepare(wanted, wanted.name or command.ident)
    try:
        prepared.command = " ".join(command.argv)
        for warning in (*prepared.warnings, *command.warnings(prepared.directory)):
            warn(warning)
    except BaseException:
        prepared.abandon()
        raise
    return prepared


def _become(command: Command, launch: Launch, ready: readiness.Kind) -> NoReturn:
    """The daemon's side, from its birth to the exec; whatever fails is reported."""
    prepared, reporter = launch.prepared, launch.pipes.reporter()

    def keep_what_is_told_on(kept: set[int]) -> None:
        if ready.name == readiness.FD:
            # By now nothing else that is needed has that number: the streams are in place.
            reporter.move_away_from(ready.descriptor)
            descriptors.put(launch.channel.writer, ready.descriptor)
            kept.add(ready.descriptor)
        kept.add(reporter.descriptor)

    try:
        reporter.born(os.getpid())
        environment = command.environment(prepared, launch.channel.environment())
        recipe.follow(
            prepared,
            keep=tuple(command.listen_descriptors),
            write_pidfiles=lambda: prepared.write_pidfiles(os.getpid(), prepared.command),
            before_closing=keep_what_is_told_on,
        )
        reporter.executing()
        command.execute(environment, prepared)
    except BaseException as error:  # noqa: BLE001 - whatever it is, the person who asked must learn of it
        reporter.failed(error)
    finally:
        os._exit(1)


class Command:
    """A program and its arguments, found beforehand."""

    def __init__(self, argv: Sequence[str], wanted: Recipe) -> None:
        self._wanted = wanted
        recipe.check_root(wanted)
        self.path = _find(argv[0], wanted)
        # `./server` means nothing from another directory; a bare name is kept as it was called.
        self.argv = [self.path if "/" in argv[0] else argv[0], *argv[1:]]
        self.ident = os.path.basename(argv[0])
        self.listen_descriptors = evidence.listen_descriptors()

    def warnings(self, directory: str) -> list[str]:
        """What is likely to surprise: arguments that name files here and not where the daemon will be."""
        try:
            here = os.getcwd()
        except FileNotFoundError:  # it was removed: no file can be named from there
            return []
        if self._wanted.chroot is not None or directory == here:
            return []
        return [
            f"{argument!r} is a file in {here}, but the daemon's directory is {directory}:"
            " write its full path, or choose --directory"
            for argument in self.argv[1:]
            if not argument.startswith(("-", "/"))
            and os.path.exists(argument)
            and not os.path.exists(os.path.join(directory, argument))
        ]

    def environment(
        self, prepared: Prepared, more: Mapping[str, str], *, in_foreground: bool = False
    ) -> dict[str, str]:
        """The environment that the program gets: the caller's or none, the user's names, then what is added."""
        wanted = self._wanted
        environment = {} if wanted.clear_environment else dict(os.environ)
        if locale_is_pythons_own():
            environment.pop("LC_CTYPE", None)
        if not in_foreground:
            for name in surroundings.OUTDATED_VARIABLES:
                environment.pop(name, None)
            if self.listen_descriptors:
                for name in ("LISTEN_FDS", "LISTEN_FDNAMES"):
                    if name in os.environ:
                        environment[name] = os.environ[name]
                environment["LISTEN_PID"] = str(os.getpid())
        environment.setdefault("PATH", DEFAULT_PATH)
        if prepared.account is not None:
            environment.update(prepared.account.environment())
        if (journal := streams.journal_stream_variable(prepared.streams)) is not None:
            environment["JOURNAL_STREAM"] = journal
        return {**environment, **wanted.environment, **more}

    def execute(self, environment: Mapping[str, str], prepared: Prepared) -> NoReturn:
        """Execute the program in place of this process (execve(2)). Raises ExecFailed or a kind of it."""
        for descriptor in (*self.listen_descriptors, *self._wanted.keep_descriptors):
            os.set_inheritable(descriptor, True)  # noqa: FBT003
        signals.hand_over()
        try:
            os.execve(self.path, self.argv, environment)
        except OSError as error:
            raise _exec_error(self.path, error, prepared.account) from error


if TYPE_CHECKING:
    from collections.abc import Callable

    Warn = Callable[[str], None]


def locale_is_pythons_own() -> bool:
    """Whether LC_CTYPE was not given to this process, but set by Python for want of a locale (PEP 538)."""
    given = proc.read("/proc/self/environ")
    return "LC_CTYPE" in os.environ and given is not None and b"\0LC_CTYPE=" not in b"\0" + given


def _find(name: str, wanted: Recipe) -> str:
    root = places.absolute(wanted.chroot) if wanted.chroot is not None else ""
    search = wanted.environment.get("PATH") or (not wanted.clear_environment and os.environ.get("PATH")) or DEFAULT_PATH
    return find(name, search, root)


def find(name: str, search: str, root: str = "") -> str:
    """The path of a command, as it is called inside the new root if there is one; `search` is PATH.

    Raises CommandNotFound or NotExecutable.
    """
    if not name:
        raise CommandNotFound("cannot find the command: its name is empty")
    if "/" in name:
        path = os.path.join("/", name) if root else places.absolute(name)
        return _checked(path, root)
    refused = None
    for directory in search.split(":"):
        path = places.absolute(os.path.join(directory, name))
        try:
            return _checked(path, root)
        except NotExecutable as error:
            refused = refused or error
        except CommandNotFound:
            continue
    hint = "; if it is several words, write each by itself, or sh -c '...'" if " " in name else ""
    raise refused or CommandNotFound(f"cannot find the command {name}: it is in no directory of PATH ({search}){hint}")


def _checked(path: str, root: str) -> str:
    outside = _outside(path, root) if root else path
    if os.path.isdir(outside):
        raise NotExecutable(f"cannot execute {path}: it is a directory")
    if not os.path.exists(outside):
        inside = f" in {root}" if root else ""
        raise CommandNotFound(f"cannot find the command {path}{inside}: there is no such file")
    if not files.may_execute(outside):
        raise NotExecutable(f"cannot execute {path}: it has no execute permission (chmod +x {path})")
    return path


def _outside(path: str, root: str) -> str:
    """Where a file of the new root is found from here, or nothing: its absolute links begin at that root."""
    entry = path
    try:
        for _directory, entry, _found in files.steps(path, root):  # noqa: B007 - the last is wanted
            pass
    except OSError:
        return ""
    return root + entry


def _exec_error(path: str, error: OSError, account: Account | None) -> DaemonError:
    import errno

    if error.errno == errno.EACCES:
        who = f" for user {account.name or account.uid}" if account else ""
        return NotExecutable(f"cannot execute {path}: it is not permitted{who}")
    if error.errno in files.NOT_EXECUTED:
        return ExecFailed(f"cannot execute {path}: {files.NOT_EXECUTED[error.errno]}")
    return ExecFailed(f"cannot execute {path}: {error.strerror}", errno=error.errno)
