"""The supervisor's side of the fork helper: start it when it is first needed, send orders, hear what became of them.

Nothing here waits. When the helper is killed, its socket ends once all that it had begun has reached the exec or
failed; then it is looked up which orders have come to be, and the next order starts another helper.
"""

from __future__ import annotations

import select

from ..errors import from_os_error
from ..kernel.spawn import Open
from . import family
from .helper import Helper
from .kernel import NotSpawned, Spawned
from .life import ProcessId

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .kernel import Order
    from .spawning import Plan


class ForkerClient:
    """The helper, or the helpers while a former one is at its end."""

    def __init__(self, *, open_files: int, lock: int = -1) -> None:
        """`open_files` is the soft limit of the daemons, `lock` the descriptor of the supervisor's lock."""
        self._open_files, self._lock = open_files, lock
        self._epoll = select.epoll()
        self._helpers: dict[int, _Forker] = {}
        self._newest: _Forker | None = None

    def fileno(self) -> int:
        """A descriptor that is readable when receive() has something to do."""
        return self._epoll.fileno()

    @property
    def pids(self) -> frozenset[int]:
        """The helpers' own pids: children of the supervisor's that are no daemons. receive() reaps them."""
        return frozenset(one.helper.pid for one in self._helpers.values())

    @property
    def pending(self) -> bool:
        """Whether an answer is still to come: till then a child that nobody knows may be a daemon."""
        return any(one.pending for one in self._helpers.values())

    def spawn(self, order: Order, wanted: Plan) -> NotSpawned | None:
        """Have it spawned; what became of it comes from receive(), unless no helper can be started."""
        try:
            forker = self._running()
        except OSError as error:
            failure = str(from_os_error(error, "start the fork helper"))
            return NotSpawned(name=order.name, invocation=order.invocation, failure=failure)
        forker.pending[order.invocation] = order
        forker.helper.say(self._epoll, _message(order, wanted))
        return None

    def _running(self) -> _Forker:
        if self._newest is None or self._newest.helper.has_ended():
            self._newest = _Forker(Helper.start("numen.keep.forker", self._open_files, self._lock))
            self._helpers[self._newest.helper.socket.fileno()] = self._newest
            self._epoll.register(self._newest.helper.socket, select.EPOLLIN)
        return self._newest

    def receive(self) -> list[Spawned | NotSpawned]:
        """What has become of orders since the last call."""
        happened: list[Spawned | NotSpawned] = []
        for descriptor, events in self._epoll.poll(0):
            forker = self._helpers[descriptor]
            if events & select.EPOLLOUT:
                forker.helper.say(self._epoll)
            answers, has_ended = forker.helper.receive()
            for answer in answers:
                order = forker.pending.pop(answer["invocation"], None)
                if order is not None:
                    happened.append(_outcome(order, answer))
            if has_ended:
                happened += self._bury(forker)
        return happened

    def _bury(self, forker: _Forker) -> list[Spawned | NotSpawned]:
        """What became of the orders that the helper has not answered; nothing of them is on its way any more."""
        self._epoll.unregister(forker.helper.socket)
        del self._helpers[forker.helper.socket.fileno()]
        forker.helper.bury()
        if forker is self._newest:
            self._newest = None
        found = family.find(forker.pending) if forker.pending else {}
        outcomes: list[Spawned | NotSpawned] = []
        for invocation, order in forker.pending.items():
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
        for forker in self._helpers.values():
            forker.helper.socket.close()
        self._helpers.clear()
        self._newest = None


class _Forker:
    """One helper, and the orders that it has not answered."""

    def __init__(self, helper: Helper) -> None:
        self.helper = helper
        self.pending: dict[str, Order] = {}


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
        "cgroup": wanted.cgroup,
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
