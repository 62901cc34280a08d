"""The runner: a process that asks the probes of daemons, and runs commands for them, many at once.

The supervisor starts it (`runner_client`), as `python -m numen.keep.runner SOCKET LOCK`, sends it questions and is sent
the answers. Names are looked up here, and whatever else may wait is waited for here. A command is run as its daemon
would be: spawned in the same two ways, with the same user, directory, environment and limits. It leads a session of its
own, and what it leaves behind in that is ended with it.

When the supervisor's end of the socket is closed, all that runs is killed, and the runner ends.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from contextlib import suppress

from ..become import descriptors
from ..become.tail import printable
from ..errors import DaemonError
from ..kernel import calls
from ..kernel.spawn import Duplicate, Open
from ..record import Record
from . import helper, probing, spawning
from .definitions.definition import Definition
from .definitions.probes import COMMAND, LOG, parse
from .definitions.tables import from_table
from .forker_client import ForkerClient
from .kernel import Order, Spawned
from .life import Ending, ProcessId
from .spawning import Plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Message = dict[str, Any]

MOST_COMMANDS = 64
"""Commands of probes that are run at a time; of the others each is begun at once."""

GRACE = 1.0
"""Seconds from SIGTERM to SIGKILL for a command that has taken too long."""

MOST_OUTPUT = 4096
"""Bytes of a command's output that are kept, the last ones."""

MOST_TEXT = 500
"""Characters of an answer."""

_CHUNK = 65536

_MOST_UNREAD = 64 * _CHUNK
"""Bytes that a command has left in its pipe and that are looked at when it has ended: whoever it left may go on."""


class Reply(Record):
    """What is answered."""

    ok: bool
    message: str = ""
    status: int | None = None


class Begun:
    """A command that runs."""

    def __init__(self, process: ProcessId, ended: asyncio.Future[int]) -> None:
        self.process = process
        self.ended = ended
        """The exit status, or the signal as a negative number."""


class Runner:
    """The loop: questions in, answers out."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._open_files = spawning.prepare_limits()
        self._own = spawning.account_variables()
        self._received = bytearray()
        self._outgoing = bytearray()
        self._asked: dict[int, asyncio.Task[None]] = {}
        self._ending: dict[str, set[asyncio.Task[None]]] = {}
        """What is being ended of commands whose answers are wanted no longer, by daemon."""
        self._children: dict[int, asyncio.Future[int]] = {}
        """When each command ends, by pid."""
        self._early: dict[int, int] = {}
        """How those have ended of whom the fork helper has not told yet."""
        self._spawns: dict[str, asyncio.Future[Begun | str]] = {}
        """What the fork helper was asked for."""
        self._forker: ForkerClient | None = None

    async def serve(self) -> None:
        """Answer until the supervisor's end of the socket is closed."""
        self._loop = asyncio.get_running_loop()
        self._over = self._loop.create_future()
        self._few = asyncio.Semaphore(MOST_COMMANDS)
        calls.become_child_subreaper()
        self._loop.add_signal_handler(signal.SIGCHLD, self._reap)
        self._loop.add_reader(self._connection, self._receive)
        await self._over
        deadline = self._loop.time() + GRACE
        while self._spawns and self._loop.time() < deadline:
            # What is on its way to its exec is to be killed too.
            await asyncio.sleep(0.01)
        for pid in self._children:
            _signal_group(pid, signal.SIGKILL)
        # A thread may be waiting for a name service still.
        os._exit(0)

    # The socket.

    def _receive(self) -> None:
        try:
            chunk = self._connection.recv(_CHUNK)
        except BlockingIOError:
            return
        except ConnectionError:
            chunk = b""
        if not chunk:
            self._loop.remove_reader(self._connection)
            self._over.set_result(None)
            return
        self._received += chunk
        for message in helper.take_messages(self._received):
            if "forget" in message:
                for number in message["forget"]:
                    if (task := self._asked.pop(number, None)) is not None:
                        task.cancel()
            else:
                self._asked[message["ask"]] = self._loop.create_task(self._answer(message))

    def _send(self, message: Message) -> None:
        self._outgoing += helper.frame(message)
        self._flush()

    def _flush(self) -> None:
        try:
            while self._outgoing:
                del self._outgoing[: self._connection.send(self._outgoing)]
        except BlockingIOError:
            self._loop.add_writer(self._connection, self._flush)
            return
        except ConnectionError:
            self._outgoing.clear()  # the end is seen by _receive()
        self._loop.remove_writer(self._connection)

    # One question.

    async def _answer(self, question: Message) -> None:
        number = question["ask"]
        try:
            reply = await self._find_out(question)
        except DaemonError as error:
            reply = Reply(ok=False, message=str(error))
        except Exception as error:  # noqa: BLE001 - whatever it is, the others are to be answered
            reply = Reply(ok=False, message=f"cannot ask: {error!r}")
        if self._asked.pop(number, None) is not None:
            message = printable(reply.message)[:MOST_TEXT]
            self._send({"answered": number, "ok": reply.ok, "message": message, "status": reply.status})

    async def _find_out(self, question: Message) -> Reply:
        timeout = question["timeout"]
        if "command" in question:
            return await self._run(question, tuple(question["command"]), timeout)
        probe = parse(question["probe"])
        if probe.kind == LOG:
            return await self._await_line(question, probe.pattern, timeout)
        if probe.kind == COMMAND:
            async with self._few:
                return await self._run(question, probe.command, timeout)
        try:
            async with asyncio.timeout(timeout):
                await probing.ask(probe)
        except TimeoutError:
            return Reply(ok=False, message=f"no answer within {timeout:g}s")
        except OSError as error:
            return Reply(ok=False, message=str(error))
        return Reply(ok=True)

    # Commands.

    async def _run(self, question: Message, command: tuple[str, ...], timeout: float) -> Reply:
        while ending := self._ending.get(question["name"]):
            # Of a daemon's own command there are never two.
            await asyncio.wait(ending)
        definition = from_table(question["definition"])
        order = Order(name=question["name"], definition=definition, invocation=str(question["ask"]))
        wanted = spawning.plan(order, spawning.Streams(out=os.devnull), self._own if definition.user is None else {})
        environment = {**wanted.environment, **question["variables"]}
        for name in (spawning.INVOCATION, spawning.NOTIFY_SOCKET, spawning.WATCHDOG_TIME):
            # It is no member of the daemon's family, and does not speak for it.
            environment.pop(name, None)
        wanted = wanted.replace(path=command[0], argv=command, environment=environment)
        return await self._watch(question["ask"], order, wanted, timeout, "did not end")

    async def _await_line(self, question: Message, pattern: str, timeout: float) -> Reply:
        """In a process of its own: a regular expression may take for ever."""
        argv = (sys.executable, "-P", "-m", "numen.keep.log_probe", json.dumps([pattern, question["begins"]]))
        environment = helper.environment()
        del environment[spawning.INVOCATION]
        definition = Definition(command=argv, environment=environment)
        order = Order(name=question["name"], definition=definition, invocation=str(question["ask"]))
        wanted = spawning.plan(order, spawning.Streams(out=os.devnull)).replace(environment=environment)
        return await self._watch(question["ask"], order, wanted, timeout, "no line of the log has matched")

    async def _watch(self, number: int, order: Order, wanted: Plan, timeout: float, overdue: str) -> Reply:
        output = _Output(self._loop)
        try:
            begun = await self._spawn(order, wanted.replace(actions=output.actions))
            if isinstance(begun, str):
                return Reply(ok=False, message=begun)
            output.close_writer()
            self._send({"began": number, "pid": begun.process.pid, "start_time": begun.process.start_time})
            return await self._until_its_end(order.name, begun, output, timeout, overdue)
        finally:
            output.close()

    async def _until_its_end(self, name: str, begun: Begun, output: _Output, timeout: float, overdue: str) -> Reply:
        try:
            async with asyncio.timeout(timeout):
                status = await asyncio.shield(begun.ended)
        except TimeoutError:
            await self._end_group(begun)
            said = output.last_lines()
            return Reply(ok=False, message=f"{overdue} within {timeout:g}s" + (f": {said}" if said else ""))
        except asyncio.CancelledError:
            task = self._loop.create_task(self._end_group(begun))
            self._ending.setdefault(name, set()).add(task)
            task.add_done_callback(lambda task: self._has_been_ended(name, task))
            raise
        said = output.last_lines()
        if status == 0:
            return Reply(ok=True, message=said, status=0)
        how = str(Ending(status=status))
        return Reply(ok=False, message=f"{how}: {said}" if said else how, status=status)

    def _has_been_ended(self, name: str, task: asyncio.Task[None]) -> None:
        self._ending[name].discard(task)
        if not self._ending[name]:
            del self._ending[name]

    async def _end_group(self, begun: Begun) -> None:
        """SIGTERM, then SIGKILL; returns when it has ended."""
        for number in (signal.SIGTERM, signal.SIGCONT):
            _signal_group(begun.process.pid, number)
        with suppress(TimeoutError):
            async with asyncio.timeout(GRACE):
                await asyncio.shield(begun.ended)
        if not begun.ended.done():
            _signal_group(begun.process.pid, signal.SIGKILL)
            await asyncio.shield(begun.ended)

    async def _spawn(self, order: Order, wanted: Plan) -> Begun | str:
        """What was begun, or why that failed."""
        if not spawning.needs_helper(order.definition):
            outcome = spawning.spawn_at_once(wanted, self._open_files)
            return outcome if isinstance(outcome, str) else self._begun(outcome)
        if self._forker is None:
            self._forker = ForkerClient(open_files=self._open_files)
            self._loop.add_reader(self._forker.fileno(), self._hear_forker)
        refused = self._forker.spawn(order, wanted)
        if refused is not None:
            return refused.failure
        future: asyncio.Future[Begun | str] = self._loop.create_future()
        self._spawns[order.invocation] = future
        # Whoever forgets the question cancels this, and does not stop what is on its way: it is ended when it is there.
        return await future

    def _hear_forker(self) -> None:
        assert self._forker is not None
        for outcome in self._forker.receive():
            begun = self._begun(outcome.process) if isinstance(outcome, Spawned) else outcome.failure
            future = self._spawns.pop(outcome.invocation)
            if not future.done():
                future.set_result(begun)
            elif isinstance(outcome, Spawned):
                _signal_group(outcome.process.pid, signal.SIGKILL)
        if not self._forker.pending:
            self._early.clear()

    # Children.

    def _begun(self, process: ProcessId) -> Begun:
        ended = self._children[process.pid] = self._loop.create_future()
        ended.add_done_callback(lambda _: self._children.pop(process.pid, None))
        if process.pid in self._early:
            ended.set_result(self._early.pop(process.pid))
        return Begun(process, ended)

    def _has_ended(self, pid: int, status: int) -> None:
        ended = self._children.get(pid)
        if ended is not None and not ended.done():
            ended.set_result(status)
        elif self._forker is not None and self._forker.pending:
            self._early[pid] = status

    def _reap(self) -> None:
        while True:
            try:
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
                if found is None:
                    return
                if found.si_pid in self._children:
                    # While it is a zombie nobody else can have its number.
                    _signal_group(found.si_pid, signal.SIGKILL)
                os.waitid(os.P_PID, found.si_pid, os.WEXITED | os.WNOHANG)
            except ChildProcessError:
                return
            self._has_ended(found.si_pid, found.si_status if found.si_code == os.CLD_EXITED else -found.si_status)


class _Output:
    """The last that a command has written."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._kept = bytearray()
        self._reader, self._writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        loop.add_reader(self._reader, self._read)

    @property
    def actions(self) -> tuple[Open | Duplicate, ...]:
        """Opened by its name, so that the command's description of it does not have O_NONBLOCK."""
        return (
            Open(descriptor=0, path=os.devnull, flags=os.O_RDONLY),
            Open(descriptor=1, path=f"/proc/{os.getpid()}/fd/{self._writer}", flags=os.O_WRONLY),
            Duplicate(source=1, descriptor=2),
        )

    def _read(self) -> bool:
        try:
            chunk = os.read(self._reader, _CHUNK)
        except BlockingIOError:
            return False
        if not chunk:
            self._loop.remove_reader(self._reader)
            return False
        self._kept += chunk
        del self._kept[:-MOST_OUTPUT]
        return True

    def last_lines(self) -> str:
        """The last line or two, in one."""
        for _ in range(_MOST_UNREAD // _CHUNK):
            if not self._read():
                break
        lines = [line.strip() for line in self._kept.decode(errors="replace").splitlines()]
        return " / ".join([line for line in lines if line][-3:])[-MOST_TEXT:]

    def close_writer(self) -> None:
        """The command has it open by now."""
        if self._writer >= 0:
            os.close(self._writer)
            self._writer = -1

    def close(self) -> None:
        """Read no more."""
        self.close_writer()
        self._loop.remove_reader(self._reader)
        os.close(self._reader)


def _signal_group(pid: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def main() -> None:
    """Serve the socket of the number given."""
    descriptor = int(sys.argv[1])
    descriptors.close_all([descriptor])
    os.set_inheritable(descriptor, False)  # noqa: FBT003 - the standard library's own signature
    with socket.socket(fileno=descriptor) as connection:
        connection.setblocking(False)  # noqa: FBT003 - the standard library's own signature
        asyncio.run(Runner(connection).serve())


if __name__ == "__main__":
    main()
