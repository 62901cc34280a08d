"""What a daemon is given when it is spawned: arguments, environment, descriptors, and by which of two ways.

`posix_spawn` for definitions that ask for nothing it cannot do, the fork helper (`forker`) for the rest; the result is
the same. Nothing here spawns through the helper: `forker_client` does.
"""

from __future__ import annotations

import os
import resource
import stat
import sys

from ..become.identity import look_up
from ..become.surroundings import DEFAULT_PATH, DEFAULT_UMASK
from ..errors import Unusable
from ..kernel import proc, spawn
from ..kernel.spawn import Duplicate, Open
from ..record import Record
from ..settings.environment import read_environment_file
from .life import ProcessId
from .secrets import read_secrets

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .definitions.definition import Definition
    from .kernel import Order

INVOCATION, NAME, NOTIFY_SOCKET = "NUMEN_INVOCATION", "NUMEN_NAME", "NOTIFY_SOCKET"
WATCHDOG_TIME, WATCHDOG_PID = "WATCHDOG_USEC", "WATCHDOG_PID"
"""The variables that numen adds."""

RELAY = (sys.executable, "-I", "-S", os.path.join(os.path.dirname(os.path.abspath(__file__)), "pty_relay.py"))
"""What runs a command in a terminal."""

NOTIFY, FD = "notify", "fd:"
"""The kinds of readiness for which something is handed over."""


class Streams(Record):
    """The names in the file system of what a daemon is connected to."""

    out: str
    """The FIFO for standard output, and for standard error if that has none of its own."""
    err: str | None = None
    ready: str | None = None
    """The FIFO of the kind `fd:N`."""
    notify: str | None = None
    """The notification socket."""


class Plan(Record):
    """All that is to be done between the fork and the exec, whoever does it."""

    path: str
    argv: tuple[str, ...]
    environment: dict[str, str]
    """With a `user`, his own HOME, USER, LOGNAME and SHELL stand behind this."""
    environment_files: tuple[str, ...]
    """To be read by who spawns it: see with_files()."""
    secret_files: Mapping[str, str]
    """The same, a variable a file."""
    actions: tuple[Open | Duplicate, ...]
    directory: str
    cgroup: str = ""
    """The directory of the control group that it joins; empty for that of who spawns it."""


def plan(order: Order, streams: Streams, own: Mapping[str, str] | None = None, cgroup: str = "") -> Plan:
    """What a daemon is given. `own` are HOME and the like of the user that it runs as, where no other is named."""
    definition = order.definition
    command = (*RELAY, *definition.command) if definition.pty else definition.command
    return Plan(
        path=command[0],
        argv=command,
        environment=_environment(order, streams, own or {}),
        environment_files=definition.environment_files,
        secret_files=definition.secret_files,
        actions=_actions(definition, streams),
        directory=definition.directory,
        cgroup=cgroup,
    )


def _environment(order: Order, streams: Streams, own: Mapping[str, str]) -> dict[str, str]:
    environment = {"PATH": DEFAULT_PATH, **own, **order.definition.environment}
    environment[INVOCATION], environment[NAME] = order.invocation, order.name
    # One that came along from who defined it, or from a file, would have the daemon speak to a stranger.
    for name in (NOTIFY_SOCKET, WATCHDOG_TIME, WATCHDOG_PID):
        environment.pop(name, None)
    if streams.notify is not None:
        environment[NOTIFY_SOCKET] = streams.notify
        if order.definition.watchdog is not None:
            # Who is spawned does WATCHDOG_PID itself: the fork helper (see needs_helper).
            environment[WATCHDOG_TIME] = str(round(order.definition.watchdog * 1e6))
    return environment


def hears_notifications(definition: Definition) -> bool:
    """Whether it is given a notification socket."""
    return definition.ready == NOTIFY or definition.watchdog is not None


def with_files(environment: Mapping[str, str], paths: Iterable[str], secrets: Mapping[str, str] = {}) -> dict[str, str]:
    """An environment of a plan with what files set; what numen adds, or has taken away, is above them.

    It may wait for a disk, so the supervisor never calls it. Raises a DaemonError for a file that cannot be read.
    """
    found = dict(environment)
    for path in paths:
        _refuse_fifo(path.removeprefix("-"))
        found.update(read_environment_file(path))
    found.update(read_secrets(secrets))
    for name in (INVOCATION, NAME, NOTIFY_SOCKET, WATCHDOG_TIME, WATCHDOG_PID):
        found.pop(name, None)
        if name in environment:
            found[name] = environment[name]
    return found


def _refuse_fifo(path: str) -> None:
    try:
        is_fifo = stat.S_ISFIFO(os.stat(path).st_mode)
    except OSError:
        return
    if is_fifo:
        raise Unusable(f"cannot read the environment file {path}: it is a FIFO, and each start would wait for a writer")


def _actions(definition: Definition, streams: Streams) -> tuple[Open | Duplicate, ...]:
    # O_RDWR, so that a write never fails for want of a reader; opened by the daemon itself, because with the
    # supervisor's description it would have the supervisor's O_NONBLOCK too.
    actions: list[Open | Duplicate] = [
        Open(descriptor=0, path=os.devnull, flags=os.O_RDONLY),
        Open(descriptor=1, path=streams.out, flags=os.O_RDWR | os.O_NOCTTY),
    ]
    if streams.err is None:
        actions.append(Duplicate(source=1, descriptor=2))
    else:
        actions.append(Open(descriptor=2, path=streams.err, flags=os.O_RDWR | os.O_NOCTTY))
    if definition.ready.startswith(FD) and streams.ready is not None:
        number = int(definition.ready.removeprefix(FD))
        actions.append(Open(descriptor=number, path=streams.ready, flags=os.O_RDWR | os.O_NOCTTY))
    return tuple(actions)


def needs_helper(definition: Definition) -> bool:
    """Whether it asks for something that posix_spawn(3) cannot do, or for which the supervisor would wait."""
    asked = (
        definition.user,
        definition.group,
        definition.groups,
        definition.nice,
        definition.oom_score,
        definition.affinity,
        definition.capabilities,
        definition.cgroup_memory,
        definition.cgroup_cpu,
        definition.cgroup_tasks,
        definition.watchdog,
    )
    return (
        any(one is not None for one in asked)
        or definition.umask != DEFAULT_UMASK
        or bool(definition.limits)
        or bool(definition.environment_files)
        or bool(definition.secret_files)
        or definition.no_new_privileges
    )


def spawn_at_once(wanted: Plan, open_files: int) -> ProcessId | str:
    """Spawn it by posix_spawn(3): the process, whose program is being executed, or why there is none.

    `open_files` is the soft limit that it gets; this process's own is what `prepare_limits` has made it.
    """
    try:
        with spawn.soft_limit(resource.RLIMIT_NOFILE, open_files):
            pid = spawn.posix_spawn(
                wanted.path,
                wanted.argv,
                wanted.environment,
                actions=wanted.actions,
                directory=wanted.directory,
            )
    except OSError as error:
        number = error.errno or 0
        step = spawn.failed_step(wanted.path, wanted.actions, wanted.directory, number)
        return spawn.failure(step, wanted.path, error)
    # It is this process's child, so that not even its end takes it out of /proc before it is reaped.
    found = proc.stat(pid)
    return ProcessId(pid=pid, start_time=found.start_time if found else 0)


def prepare_limits() -> int:
    """Raise the limit of open files for this process alone, which holds several for each daemon, and have no daemon
    leave a core file: it would hold whatever secrets the daemon holds.

    Returns the soft limit of open files that the daemons get. They inherit the rest; the hard limits stay, so that
    a definition can ask for more.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    return soft


def account_variables() -> dict[str, str]:
    """HOME, USER, LOGNAME and SHELL of this process's user; to be looked up once: a name service may be slow."""
    account = look_up(os.geteuid())
    return {} if account is None else account.environment()
