"""The supervisor's side of the fork helper: start it when it is first needed, send orders, hear what became of them.

Nothing here waits. When the helper is killed, its socket ends once all that it had begun has reached the exec or
failed; then it is looked up which orders have come to be, and the next order starts another helper.
"""

from __future__ import annotations

import fcntl
import os
import resource
import select
import socket
import sys
import uuid
from contextlib import suppress

from ..errors import from_os_error
from ..kernel import spawn
from ..kernel.spawn import Duplicate, Open
from . import family
from .forker import frame, take_messages
from .kernel import NotSpawned, Spawned
from .life import ProcessId
from .spawning import INVOCATION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .kernel import Order
    from .spawning import Plan

_SOCKET, _LOCK = 3, 4
"""The numbers under which the helper gets its socket and the lock."""

_ABOVE = 16
"""Copies are made above this number, where no step of the spawn closes them."""

_CHUNK = 65536

_PASSED_ON = ("PATH", "LANG", "LC_ALL", "TZ", "VIRTUAL_ENV")
"""What of the environment the helper gets, beside what begins with PYTHON."""


class ForkerClient:
    """The helper, or the helpers while a former one is at its end."""

    def __init__(self, *, open_files: int, lock: int = -1) -> None:
        """`open_files` is the soft limit of the daemons, `lock` the descriptor of the supervisor's lock."""
        self._open_files, self._lock = open_files, lock
        self._epoll = select.epoll()
        self._helpers: dict[int, _Helper] = {}
        self._newest: _Helper | None = None

    def fileno(self) -> int:
        """A descriptor that is readable when receive() has something to do."""
        return self._epoll.fileno()

    @property
    def pids(self) -> frozenset[int]:
        """The helpers' own pids: children of the supervisor's that are no daemons. receive() reaps them."""
        return frozenset(one.pid for one in self._helpers.values())

    @property
    def pending(self) -> bool:
        """Whether an answer is still to come: till then a child that nobody knows may be a daemon."""
        return any(one.pending for one in self._helpers.values())

    def spawn(self, order: Order, wanted: Plan) -> NotSpawned | None:
        """Have it spawned; what became of it comes from receive(), unless no helper can be started."""
        try:
            helper = self._running()
        except OSError as error:
            failure = str(from_os_error(error, "start the fork helper"))
            return NotSpawned(name=order.name, invocation=order.invocation, failure=failure)
        helper.pending[order.invocation] = order
        helper.outgoing += frame(_message(order, wanted))
        self._send(helper)
        return None

    def _running(self) -> _Helper:
        if self._newest is None or self._newest.has_ended():
            self._newest = _start(self._open_files, self._lock)
            self._helpers[self._newest.socket.fileno()] = self._newest
            self._epoll.register(self._newest.socket, select.EPOLLIN)
        return self._newest

    def _send(self, helper: _Helper) -> None:
        try:
            while helper.outgoing:
                del helper.outgoing[: helper.socket.send(helper.outgoing)]
        except BlockingIOError:
            pass
        except ConnectionError:
            helper.outgoing.clear()  # its end is seen in receive()
        events = select.EPOLLIN | (select.EPOLLOUT if helper.outgoing else 0)
        self._epoll.modify(helper.socket, events)

    def receive(self) -> list[Spawned | NotSpawned]:
        """What has become of orders since the last call."""
        happened: list[Spawned | NotSpawned] = []
        for descriptor, events in self._epoll.poll(0):
            helper = self._helpers[descriptor]
            if events & select.EPOLLOUT:
                self._send(helper)
            has_ended = _read(helper)
            for answer in take_messages(helper.received):
                order = helper.pending.pop(answer["invocation"], None)
                if order is not None:
                    happened.append(_outcome(order, answer))
            if has_ended:
                happened += self._bury(helper)
        return happened

    def _bury(self, helper: _Helper) -> list[Spawned | NotSpawned]:
        """What became of the orders that the helper has not answered; nothing of them is on its way any more."""
        self._epoll.unregister(helper.socket)
        del self._helpers[helper.socket.fileno()]
        helper.socket.close()
        if helper is self._newest:
            self._newest = None
        with suppress(ChildProcessError):  # reaped by another
            os.waitpid(helper.pid, 0)
        found = family.find(helper.pending) if helper.pending else {}
        outcomes: list[Spawned | NotSpawned] = []
        for invocation, order in helper.pending.items():
            process = found.get(invocation)
            if process is not None:
                outcomes.append(Spawned(name=order.name, invocation=invocation, process=process))
            else:
                failure = "cannot start a process: the fork helper was ended"
                outcomes.append(NotSpawned(name=order.name, invocation=invocation, failure=failure))
        return outcomes

    def close(self) -> None:
        """Let go of the helpers: they end by themselves."""
        self._epoll.close()
        for helper in self._helpers.values():
            helper.socket.close()
        self._helpers.clear()
        self._newest = None


class _Helper:
    """One helper process."""

    def __init__(self, pid: int, connection: socket.socket) -> None:
        self.pid, self.socket = pid, connection
        self.pending: dict[str, Order] = {}
        self.outgoing, self.received = bytearray(), bytearray()

    def has_ended(self) -> bool:
        """Whether it will take no more orders, though its socket may be held by what it has begun."""
        try:
            return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:
            return True


def _start(open_files: int, lock: int) -> _Helper:
    own, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    copies = []
    try:
        given = {_SOCKET: theirs.fileno(), _LOCK: lock}
        actions: list[Open | Duplicate] = [Open(descriptor=0, path=os.devnull, flags=os.O_RDONLY)]
        for number, source in given.items():
            if source >= 0:
                copies.append(fcntl.fcntl(source, fcntl.F_DUPFD_CLOEXEC, _ABOVE))
                actions.append(Duplicate(source=copies[-1], descriptor=number))
        argv = [sys.executable, "-P", "-m", "numen.keep.forker", str(_SOCKET), str(_LOCK if lock >= 0 else -1)]
        with spawn.soft_limit(resource.RLIMIT_NOFILE, open_files):
            pid = spawn.posix_spawn(sys.executable, argv, _environment(), actions=actions, directory="/")
    except BaseException:
        own.close()
        raise
    finally:
        theirs.close()
        for copy in copies:
            os.close(copy)
    own.setblocking(False)  # noqa: FBT003 - the standard library's own signature
    return _Helper(pid, own)


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name in _PASSED_ON or name.startswith("PYTHON")}
    # By this it is seen to be kept by numen; it is no daemon's.
    return {**kept, INVOCATION: uuid.uuid4().hex}


def _read(helper: _Helper) -> bool:
    """Read all that is there; whether it was the last."""
    try:
        while chunk := helper.socket.recv(_CHUNK):
            helper.received += chunk
    except BlockingIOError:
        return False
    except ConnectionError:
        return True
    return True


def _message(order: Order, wanted: Plan) -> dict[str, object]:
    definition = order.definition
    streams: list[tuple[str, int, list[int]]] = []
    for action in wanted.actions:
        if isinstance(action, Open):
            streams.append((action.path, action.flags, [action.descriptor]))
        else:
            next(numbers for _, _, numbers in streams if action.source in numbers).append(action.descriptor)
    return {
        "invocation": order.invocation,
        "path": wanted.path,
        "argv": wanted.argv,
        "environment": wanted.environment,
        "environment_files": wanted.environment_files,
        "secret_files": dict(wanted.secret_files),
        "directory": wanted.directory,
        "streams": streams,
        "umask": definition.umask,
        "user": definition.user,
        "group": definition.group,
        "groups": definition.groups,
        "limits": dict(definition.limits),
        "nice": definition.nice,
        "oom_score": definition.oom_score,
        "affinity": definition.affinity,
        "capabilities": definition.capabilities,
        "no_new_privileges": definition.no_new_privileges,
    }


def _outcome(order: Order, answer: dict[str, object]) -> Spawned | NotSpawned:
    if "failure" in answer:
        return NotSpawned(name=order.name, invocation=order.invocation, failure=str(answer["failure"]))
    process = ProcessId(pid=int(str(answer["pid"])), start_time=int(str(answer["start_time"])))
    return Spawned(name=order.name, invocation=order.invocation, process=process)
