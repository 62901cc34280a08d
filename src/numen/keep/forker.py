"""The fork helper: a small process without threads that spawns the daemons for which posix_spawn(3) cannot do.

The supervisor starts it (`forker_client`), as `python -m numen.keep.forker SOCKET LOCK`, and sends it orders; the
answers come when the program is being executed, or when a step has failed, in whatever order that is.

For each order it forks a child, which looks names up and reads files, however slow a name service or a disk may be,
forks the daemon and exits, so that the daemon is the supervisor's child. What the daemon's side does is written to a
pipe that the exec closes. Both hold the socket and the supervisor's lock until then: who sees the socket's end, or gets
the lock, knows that nothing that was begun here is still on its way.
"""

from __future__ import annotations

import fcntl
import gc
import json
import os
import pwd
import select
import socket
import sys
from contextlib import suppress
from signal import alarm

from ..become import descriptors, identity, limits, signals, surroundings
from ..errors import DaemonError, from_os_error
from ..kernel import calls, cgroups, proc, spawn
from ..kernel import signals as signal
from .helper import frame, take_messages
from .spawning import WATCHDOG_PID, WATCHDOG_TIME, with_files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from ..become.identity import Account

    Message = dict[str, Any]

_PR_SET_PDEATHSIG = 1

LOOK_UP_PATIENCE = 30
"""Seconds within which its user has to be found, and the environment files to be read."""

UNSAID = (
    f"cannot start a process: the child of the fork helper was ended, or took {LOOK_UP_PATIENCE} s to look up the user"
    " and to read the environment files and secrets"
)

_CHUNK = 65536


class Birth:
    """One order that is being carried out."""

    def __init__(self, invocation: str, child: int, pipe: int) -> None:
        self.invocation, self.child, self.pipe = invocation, child, pipe
        self.told = bytearray()

    def answer(self) -> Message:
        """What became of it, once the pipe has ended."""
        answer: Message = {"invocation": self.invocation}
        for line in self.told.decode().split("\n"):
            if line:
                answer.update(json.loads(line))
        if "pid" not in answer:
            # Whoever ended the child has left no word.
            answer.setdefault("failure", UNSAID)
        return answer


class Forker:
    """The loop: orders in, answers out."""

    def __init__(self, connection: socket.socket, lock: int) -> None:
        self._connection, self._lock = connection, lock
        self._births: dict[int, Birth] = {}
        self._received = bytearray()
        self._poll = select.poll()
        self._poll.register(connection, select.POLLIN)

    def serve(self) -> None:
        """Carry orders out until the supervisor's end of the socket is closed."""
        while True:
            for descriptor, _events in self._poll.poll():
                if descriptor in self._births:
                    self._hear(self._births[descriptor])
                elif not self._take_orders():
                    self._give_up()
                    return

    def _take_orders(self) -> bool:
        try:
            chunk = self._connection.recv(_CHUNK)
        except ConnectionError:
            return False
        self._received += chunk
        for order in take_messages(self._received):
            self._begin(order)
        return bool(chunk)

    def _begin(self, order: Message) -> None:
        try:
            reader, writer = os.pipe2(os.O_CLOEXEC)
            own = os.getpid()
            child = os.fork()
        except OSError as error:
            failure = str(from_os_error(error, "start a process"))
            self._answer({"invocation": order["invocation"], "failure": failure})
            return
        if child == 0:
            _Child(order, writer, self._connection.fileno(), self._lock).run(own)
        os.close(writer)
        self._births[reader] = Birth(order["invocation"], child, reader)
        self._poll.register(reader, select.POLLIN)

    def _hear(self, birth: Birth) -> None:
        chunk = os.read(birth.pipe, _CHUNK)
        if chunk:
            birth.told += chunk
            return
        self._poll.unregister(birth.pipe)
        os.close(birth.pipe)
        del self._births[birth.pipe]
        # Not before it is dead has its child become the supervisor's.
        os.waitpid(birth.child, 0)
        self._answer(birth.answer())

    def _answer(self, answer: Message) -> None:
        try:
            self._connection.sendall(frame(answer))
        except ConnectionError:
            return  # the end is seen at the next look

    def _give_up(self) -> None:
        """Let no look-up that may take long keep the next supervisor from the lock; a daemon goes on to its exec."""
        for birth in self._births.values():
            if not birth.told:
                os.kill(birth.child, signal.SIGKILL)


class _Child:
    """What happens between the fork and the exec."""

    def __init__(self, order: Message, report: int, connection: int, lock: int) -> None:
        self._order, self._report = order, report
        self._held = [connection, lock]

    def run(self, parent: int) -> NoReturn:
        """Find all that can be known beforehand, and fork the daemon."""
        try:
            calls.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(1)
            # Who is to be stopped meanwhile waits for the pid. The daemon does not inherit it.
            alarm(LOOK_UP_PATIENCE)
            order = self._order
            account = identity.look_up(order["user"], order["group"], order["groups"])
            if order["capabilities"] is not None:
                identity.check_capabilities(order["capabilities"])
            order["environment"] = with_files(order["environment"], order["environment_files"], order["secret_files"])
            if os.fork() == 0:
                self._become(account)
        except BaseException as error:  # noqa: BLE001 - whatever it is, the supervisor must learn of it
            self._fail(error)
        finally:
            os._exit(0)

    def _become(self, account: Account | None) -> NoReturn:
        """The steps in the order of the recipe (become/recipe), then the exec; whatever fails is reported."""
        try:
            found = proc.stat(os.getpid())
            self._tell({"pid": os.getpid(), "start_time": found.start_time if found else 0})
            self._follow(account)
            self._execute(account)
        except BaseException as error:  # noqa: BLE001 - as above
            self._fail(error)
        finally:
            os._exit(1)

    def _follow(self, account: Account | None) -> None:
        order = self._order
        _join(order["cgroup"])
        os.setsid()
        signals.reset(for_exec=False)
        surroundings.set_umask(order["umask"])
        _set_precedence(order)
        # In a directory that only the supervisor may enter, so as who it is.
        self._open_streams(account)
        limits.set_limits({name: (soft, hard) for name, (soft, hard) in order["limits"].items()})
        if order["capabilities"] is not None:
            identity.become_with_capabilities(account, order["capabilities"])
        elif account is not None:
            identity.become(account)
        if order["no_new_privileges"]:
            identity.set_no_new_privileges()
        # As the user that the daemon is: a directory that it may not enter is found here.
        surroundings.change_directory(order["directory"])

    def _open_streams(self, account: Account | None) -> None:
        given: set[int] = set()
        for path, flags, numbers in self._order["streams"]:
            self._make_way(numbers)
            given.update(numbers)
            try:
                opened = os.open(path, flags | os.O_CLOEXEC)
                if path != os.devnull and account is not None and os.fstat(opened).st_uid != account.uid:
                    # So that the daemon can open /dev/stdout again.
                    os.fchown(opened, account.uid, -1)
            except OSError as error:
                raise from_os_error(error, f"open {path}") from error
            try:
                for number in numbers:
                    descriptors.put(opened, number)
            except OSError as error:
                raise from_os_error(error, f"open {path} as descriptor {max(numbers)}") from error
            if opened not in numbers:
                os.close(opened)
        descriptors.close_all({*given, *self._held, self._report})

    def _make_way(self, numbers: list[int]) -> None:
        """Move what is held till the exec away from the numbers that the daemon is to have."""
        above = max(numbers) + 1
        if self._report in numbers:
            self._report = fcntl.fcntl(self._report, fcntl.F_DUPFD_CLOEXEC, above)
        self._held = [fcntl.fcntl(one, fcntl.F_DUPFD_CLOEXEC, above) if one in numbers else one for one in self._held]

    def _execute(self, account: Account | None) -> NoReturn:
        order = self._order
        own = {} if account is None else account.environment()
        environment = {**own, **order["environment"]}
        if WATCHDOG_TIME in environment:
            environment[WATCHDOG_PID] = str(os.getpid())
        signals.hand_over()
        try:
            os.execve(order["path"], order["argv"], environment)
        except (OSError, ValueError) as error:
            cause = error if isinstance(error, OSError) else OSError(22, str(error))
            words = spawn.failure(f"execute {order['path']}", order["path"], cause)
            raise DaemonError(words) from error

    def _tell(self, what: Message) -> None:
        os.write(self._report, json.dumps(what).encode() + b"\n")

    def _fail(self, error: BaseException) -> None:
        words = str(error) if isinstance(error, DaemonError) else f"cannot start a process: {error!r}"
        self._tell({"failure": words})


def _join(cgroup: str) -> None:
    if cgroup:
        try:
            cgroups.join(cgroup)
        except OSError as error:
            raise from_os_error(error, f"join the control group {cgroup}") from error


def _set_precedence(order: Message) -> None:
    if order["oom_score"] is not None:
        limits.set_oom_score(order["oom_score"])
    if order["nice"] is not None:
        limits.set_nice(order["nice"])
    if order["affinity"] is not None:
        processors = ", ".join(map(str, order["affinity"]))
        try:
            os.sched_setaffinity(0, order["affinity"])
        except (OSError, ValueError, OverflowError) as error:
            cause = error if isinstance(error, OSError) else OSError(22, str(error))
            raise from_os_error(cause, f"set the affinity to the processors {processors}") from error


def main() -> None:
    """Serve the socket of the number given, and hold the lock of the other (-1: there is none)."""
    descriptor, lock = int(sys.argv[1]), int(sys.argv[2])
    held = [one for one in (descriptor, lock) if one >= 0]
    descriptors.close_all(held)
    for one in held:
        os.set_inheritable(one, False)  # noqa: FBT003 - the standard library's own signature
    # The libraries of the name service, loaded once and not in each child.
    with suppress(KeyError):
        pwd.getpwuid(os.geteuid())
    gc.freeze()
    with socket.socket(fileno=descriptor) as connection:
        Forker(connection, lock).serve()


if __name__ == "__main__":
    main()
