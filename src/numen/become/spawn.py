"""`spawn()`: a daemon beside this program, which goes on and has a handle on it."""

from __future__ import annotations

import os
import sys

from ..errors import BadOption, DaemonError, Unsafe
from ..settings import places
from . import descriptors, evidence, objects, program, readiness, recipe, signals, streams
from .instance import Instance
from .launch import Launch, Up, raise_when_interrupted
from .pidfile import of_process
from .syslog.last_words import send_last_words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, NoReturn

    from .recipe import Recipe


def spawn(
    what: Sequence[str] | Callable[..., object],
    *arguments: object,
    ready: str = "exec",
    timeout: float | None = readiness.DEFAULT_TIMEOUT,
    **choices: Any,
) -> Instance:
    """Run a command, or call a function with `arguments`, in a daemon; return a handle when it is up.

    `ready` is `exec` (executed, or the function begun), `notify` (READY=1; numen.notify.ready() in a function), `fd:N`
    or `exit`; `timeout` the seconds it has for that. `choices` are what numen.DaemonContext takes, from `name` to
    `capabilities`, and `keep_descriptors`. A command is found on PATH and started by a fresh process, so this
    program may have threads; a function runs in a fork of this process, which may have none.

    Raises a DaemonError with the cause where there will be no daemon: AlreadyRunning, CommandNotFound,
    DiedBeforeReady, NotReadyInTime and the others of numen.errors; Unsafe for a function where threads run.
    """
    kind = readiness.parse(ready)
    wanted = _recipe(choices)
    if callable(what):
        return _spawn_function(what, arguments, wanted, kind, timeout)
    if isinstance(what, str) or arguments:
        raise BadOption(f"spawn() takes a command as one list of words, not {what!r}")
    if not all(isinstance(word, (str, os.PathLike)) for word in what):
        raise BadOption(f"spawn() takes a command as a list of strings, not {what!r}")
    argv = [os.fspath(word) for word in what]
    if not argv:
        raise BadOption("spawn() takes a command, but the list is empty")
    up = _ask_helper(argv, wanted, kind, timeout)
    return _handle(up, wanted.name or os.path.basename(argv[0]), wanted)


def _recipe(choices: dict[str, Any]) -> Recipe:
    from .context import descriptor, pair, target

    if "keep" in choices:
        choices = {**choices, "keep_descriptors": map(descriptor, choices["keep"])}
        del choices["keep"]
    known = recipe.Recipe.fields()
    if unknown := [name for name in choices if name not in known]:
        raise BadOption(f"spawn() knows no choice {unknown[0]!r}; there are {', '.join(known)}")
    plain = {name: value for name, value in choices.items() if value is not None}
    if "limits" in plain:
        plain["limits"] = {name: pair(limit) for name, limit in plain["limits"].items()}
    for name in ("pidfile", "directory", "chroot"):
        if name in plain:
            plain[name] = os.fspath(plain[name])
    for name in ("stdin", "stdout", "stderr"):
        if name in plain:
            plain[name] = target(plain[name])
    for name in ("groups", "capabilities", "keep_descriptors"):
        if name in plain:
            plain[name] = tuple(plain[name])
    return recipe.Recipe(**plain)


def _handle(up: Up, name: str, wanted: Recipe) -> Instance:
    path = ""
    if wanted.name is not None:
        path = recipe.instance_path(wanted.name)
    elif wanted.pidfile is not None:
        path = places.absolute(wanted.pidfile)
    known = of_process(up.pid, command=up.command, log=up.log)
    if known.start_time is None and not known.is_alive():
        # It has ended already: whoever is given its number later did not start at the boot.
        known = known.replace(start_time=0)
    return Instance(path, name, known)


def _ask_helper(argv: list[str], wanted: Recipe, kind: readiness.Kind, timeout: float | None) -> Up:
    """Let a fresh interpreter be the launcher: a fork of this one could hold locks of threads that are not there."""
    import fcntl
    import pickle
    import subprocess

    given = {name: one for name in ("stdin", "stdout", "stderr") if isinstance(one := getattr(wanted, name), int)}
    descriptors.check_open((*wanted.keep_descriptors, *given.values()))
    # Copies, because this program's 0, 1 and 2 are not the helper's.
    copies = {name: fcntl.fcntl(one, fcntl.F_DUPFD_CLOEXEC, 3) for name, one in given.items()}
    request = pickle.dumps((argv, wanted.replace(**copies), kind, timeout))
    serving = "import sys; sys.path[:] = sys.argv[1:]; from numen.become.spawn import serve; serve()"
    try:
        helper = subprocess.Popen(
            # Not by PYTHONPATH, which the command would inherit.
            [sys.executable, "-c", serving, *sys.path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=sorted({*wanted.keep_descriptors, *copies.values()}),
            env=dict(os.environ),
        )
    finally:
        for one in copies.values():
            os.close(one)
    try:
        answer, _ = helper.communicate(request)
    except BaseException:
        # Its own launcher undoes what it has begun.
        helper.terminate()
        helper.wait()
        raise
    if not answer:
        raise DaemonError(f"cannot start {argv[0]}: the launcher ended with exit status {helper.returncode}")
    result = pickle.loads(answer)  # noqa: S301 - written by our own process
    if isinstance(result, Up):
        return result
    raise result


def serve() -> NoReturn:
    """Be the launcher for another process: a request on stdin, the outcome on stdout."""
    import pickle

    from . import command

    argv, wanted, kind, timeout = pickle.load(sys.stdin.buffer)  # noqa: S301 - written by our own process
    raise_when_interrupted()
    outcome: Up | DaemonError
    try:
        outcome = command.detach(argv, wanted, kind, timeout)
    except DaemonError as error:
        outcome = error
    sys.stdout.buffer.write(pickle.dumps(outcome))
    program.flush_and_exit(0)
    raise AssertionError("unreachable")


def _spawn_function(
    function: Callable[..., object],
    arguments: tuple[object, ...],
    wanted: Recipe,
    kind: readiness.Kind,
    timeout: float | None,
) -> Instance:
    signals.check_children(wanted.children, for_exec=False)
    if reason := evidence.why_not_fork():
        raise Unsafe(f"cannot fork this process for a function: {reason}; spawn a command instead")
    owners = objects.find_owners()
    name = wanted.name or str(getattr(function, "__name__", "function"))
    prepared = recipe.prepare(wanted, name)
    prepared.command = f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', name)}()"
    try:
        streams.check_not_inherited(prepared.streams)
        kind.check_free((*wanted.keep_descriptors, *objects.logging_descriptors()))
        launch = Launch(prepared, kind, timeout)
    except BaseException:
        prepared.abandon()
        raise
    if not launch.fork():
        _run_function(lambda: function(*arguments), owners, launch, kind)
    return _handle(launch.wait(), name, wanted)


def _run_function(
    call: Callable[[], object], owners: list[objects.Owner], launch: Launch, kind: readiness.Kind
) -> NoReturn:
    """The daemon's side: nothing of the caller's program but the function runs here."""
    import atexit

    reporter = launch.pipes.reporter()
    status = 1
    try:
        reporter.born(os.getpid())
        # What the caller registered is the caller's; what the function registers runs at its end.
        atexit._clear()
        program.become(
            launch.prepared,
            owners,
            keep=(reporter.descriptor, launch.channel.writer) if launch.channel.writer >= 0 else (reporter.descriptor,),
            reload=None,
            in_foreground=False,
            let_go=objects.disarm_objects,
        )
        if kind.name == readiness.FD:
            reporter.move_away_from(kind.descriptor)
            for pidfile in launch.prepared.pidfiles:
                pidfile.move_away_from(kind.descriptor)
            descriptors.put(launch.channel.writer, kind.descriptor)
            if launch.channel.writer != kind.descriptor:
                launch.channel.close_writer()
        os.environ.update(launch.channel.environment())
        if kind.name == readiness.EXEC:
            reporter.ready()
        else:
            reporter.executing()
        reporter.close()
    except BaseException as error:  # noqa: BLE001 - whatever it is, the person who asked must learn of it
        reporter.failed(error)
        os._exit(1)
    send_last_words(launch.prepared)
    try:
        call()
        status = 0
    except SystemExit as ending:
        status, text = program.exit_of(ending)
        sys.stderr.write(text)
    except BaseException:  # noqa: BLE001 - this is the end of the daemon's program
        sys.excepthook(*sys.exc_info())
    finally:
        try:
            _wait_for_threads()
            atexit._run_exitfuncs()
            launch.prepared.remove_pidfiles()
        finally:
            # Whatever a signal raises meanwhile, the caller's program must not go on in here.
            program.flush_and_exit(status)
    raise AssertionError("unreachable")


def _wait_for_threads() -> None:
    """Wait for the threads that the function has left behind, as the interpreter does at its end."""
    threading = sys.modules.get("threading")
    if threading is None:
        return
    try:
        threading._shutdown()
    except SystemExit:
        return  # SIGTERM ends the wait
