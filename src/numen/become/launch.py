"""The launcher's side: start, wait until the daemon is up by the chosen kind of readiness, and say why if not.

The launcher returns only with the truth: the daemon is up, or there is none. Whatever interrupts it, a start
that is not finished is undone.
"""

from __future__ import annotations

import os
import select
import time

from ..errors import DaemonError, DiedBeforeReady, Interrupted, NotReadyInTime
from ..kernel import proc
from ..kernel import signals as signal
from ..kernel.process import LONGEST_POLL, Process
from ..record import Record
from . import detach, guard, pidfile, readiness, report
from .recipe import Prepared

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import NoReturn

    from .listener import Notification
    from .tail import Tail

SETTLING_TIME = 0.5
"""Seconds given to a program that daemonizes itself until the process that it leaves counts as the daemon."""

ENDING_PATIENCE = 1.0
"""Seconds in which the end of a daemon is known that has closed the descriptor of its readiness by ending."""

ENDED = "; it has been ended"

FAMILY_PATIENCE = 30.0
"""Seconds to wait for the guard's word that the family has ended; a process in uninterruptible sleep may not."""


class Up(Record):
    """A daemon that is up."""

    pid: int
    """0 for a one-shot that has ended with exit status 0 and left nobody behind."""
    by: str
    """By which kind of readiness, in words."""
    status: str = ""
    """What it said of its state."""
    log: str = ""
    """Where its errors go."""
    command: str = ""
    """What was executed, in words."""


class Launch:
    """One start, from the fork to the verdict."""

    def __init__(self, prepared: Prepared, kind: readiness.Kind, timeout: float | None) -> None:
        self.prepared = prepared
        self.channel = readiness.Channel(kind)
        self.pipes = report.Pipes()
        self._kind = kind
        self._timeout = timeout
        self._deadline: float | None = None
        self._pid = 0
        self._born: Process | None = None
        """The process that the guard forked; `_pid` may come to be another's."""
        self._guard_pid = 0
        self._forwarder_pid = 0
        self._executing = False
        self._ended: int | None = None
        self._status = ""
        self._readers: dict[int, Callable[[], Up | None]] = {}
        self._mask: set[int] = set()
        self._is_silent = False
        """Whether the descriptor on which readiness is told was closed without a word."""

    def fork(self) -> bool:
        """Fork guard and daemon; true in the launcher, false in the daemon. Raises DaemonError."""
        sources = tuple(one.source for one in self.prepared.streams if one.source is not None)
        tasks = guard.Tasks(
            adopts_orphans=self._kind.name in (readiness.NOTIFY, readiness.FD, readiness.EXIT),
            adopts_late=self._kind.name == readiness.CALL,
            forwarding=sources,
            forwarder_setting=self.prepared.forwarder_setting() if sources else None,
            of_the_daemon_alone=(self.channel.writer,) if self.channel.writer >= 0 else (),
            listener=self.channel.listener,
        )
        # An interruption must find either no guard or one that wait() ends. In the daemon it must not reach the
        # launcher's handlers: there it waits until the dispositions are reset.
        self._mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.INTERRUPTS)
        try:
            forked = detach.fork_twice(self.pipes, tasks)
        except OSError as error:
            self.undo()
            signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
            raise DaemonError(f"cannot fork: {error.strerror}") from error
        if forked is None:
            return False
        self._guard_pid = forked.guard_pid
        self.channel.close_writer()
        for source in sources:
            os.close(source.writer)
            os.close(source.echo_writer)
        return True

    def wait(self) -> Up:
        """Wait for the verdict. Raises what the daemon reported, DiedBeforeReady or NotReadyInTime."""
        try:
            signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
            _interruption.let_through()
            up = self._with_main_pid(self._listen())
            _interruption.is_too_late = True
        except BaseException as error:
            self._end_family()
            self.undo()
            if isinstance(error, NotReadyInTime) and self._born is not None and self._born.is_alive():
                message = error.message.removesuffix(ENDED)
                raise NotReadyInTime(f"{message}; it could not be ended: pid {self._pid}", **error.values) from None
            raise
        if self.channel.listener is not None:
            report.send(self.pipes.orders_writer, report.LINGER, str(self._pid))
        self._dismiss_guard()
        self.channel.close()
        self.prepared.release()
        return up

    def undo(self) -> None:
        """Leave nothing behind of a start that failed."""
        self.pipes.close()
        self.channel.close()
        self.prepared.remove_pidfiles()
        self.prepared.release()

    def _listen(self) -> Up:
        inbox, endings = report.Inbox(self.pipes.report_reader), report.Inbox(self.pipes.endings_reader)
        self._readers = {
            inbox.descriptor: lambda: self._on_report(inbox),
            endings.descriptor: lambda: self._on_ending(inbox, endings),
        }
        if self.channel.listener is not None:
            self._readers[self.channel.reader] = self._on_notification
        elif self.channel.reader >= 0:
            self._readers[self.channel.reader] = self._on_descriptor
        for stream in self.prepared.streams:
            if stream.source is not None:
                self._drain_echo(stream.tail)
        if self._timeout is not None:
            self._deadline = time.monotonic() + self._timeout
        while True:
            poll = select.poll()
            for descriptor in self._readers:
                poll.register(descriptor, select.POLLIN)
            left = LONGEST_POLL if self._deadline is None else max(0.0, self._deadline - time.monotonic())
            readable = [descriptor for descriptor, _ in poll.poll(min(left, LONGEST_POLL) * 1000)]
            if not readable and left < LONGEST_POLL:
                raise self._fell_silent() if self._is_silent else self._late()
            # A report comes before an ending that both are there for: it tells more.
            for descriptor in [one for one in self._readers if one in readable]:
                if (up := self._readers[descriptor]()) is not None:
                    return up

    def _drain_echo(self, tail: Tail | None) -> None:
        """Read what the forwarder echoes all along, so that at the end the newest lines are there."""
        from .tail import PipeTail

        assert isinstance(tail, PipeTail)
        descriptor, drain = tail.fileno(), tail.drain

        def on_echo() -> None:
            if not drain():
                del self._readers[descriptor]

        self._readers[descriptor] = on_echo

    def _up(self) -> Up:
        by = readiness.MEANINGS[self._kind.name]
        return Up(pid=self._pid, by=by, status=self._status, log=self.prepared.log, command=self.prepared.command)

    def _on_report(self, inbox: report.Inbox) -> Up | None:
        for letter, fields in inbox.read():
            if letter == report.BORN:
                self._pid = int(fields[0])
                self._born = Process(self._pid)
            elif letter == report.EXECUTING:
                self._executing = True
            elif letter == report.READY:
                self._status = fields[0]
                return self._up()
            elif letter == report.FAILED:
                raise report.rebuild_failure(fields)
        if inbox.at_end:
            self._readers.pop(inbox.descriptor, None)
            if self._kind.name == readiness.EXEC and self._executing and self._has_executed():
                return self._up()
        return None

    def _has_executed(self) -> bool:
        """Whether the end of the report came by the exec, and not by the daemon's death right before it.

        Of one that is gone already, the guard will tell.
        """
        found = proc.stat(self._pid)
        return found.has_executed if found is not None else self._process_exists()

    def _process_exists(self) -> bool:
        """Whether it is there, though /proc does not show it (hidepid, or no /proc at all)."""
        try:
            os.kill(self._pid, 0)
        except ProcessLookupError:
            return False
        except OSError:
            pass
        return True

    def _on_ending(self, inbox: report.Inbox, endings: report.Inbox) -> Up | None:
        for letter, fields in endings.read():
            if letter == report.FORWARDER:
                self._forwarder_pid = int(fields[0])
            elif letter == report.ENDED:
                self._ended = int(fields[0])
                # What the daemon still said tells more than how it ended.
                while inbox.has_more():
                    if (up := self._on_report(inbox)) is not None:
                        return up
                if self._kind.name == readiness.EXIT and self._ended == 0 and self._executing:
                    return self._up()
                if self._kind.name == readiness.EXEC and self._executing and fields[1] == "1":
                    return self._up()
                # Another process may be the daemon by now: said before the end, and not yet heard.
                while self.channel.listener is not None and self.channel.has_more():
                    if (up := self._on_notification()) is not None and Process(up.pid).is_alive():
                        return up
                if not self._is_handed_over():
                    raise self._died()
        if endings.at_end:
            raise DaemonError("cannot tell whether it is up: the process that watched the start was killed")
        return None

    def _is_handed_over(self) -> bool:
        """Whether another process is the daemon by now (MAINPID) and lives; then its end is watched for."""
        successor = Process(self._pid)
        if self._born is None or self._pid == self._born.pid or not successor.is_alive():
            return False
        pidfd = successor.open_pidfd()
        if pidfd is not None:
            self._readers[pidfd] = self._on_end_of_successor
        return True

    def _on_end_of_successor(self) -> NoReturn:
        raise self._died(f"handed over to pid {self._pid}, which ended")

    def _on_notification(self) -> Up | None:
        assert self.channel.listener is not None
        message = self.channel.listener.receive()
        if message is None:
            return None
        try:
            return self._understand(message) if self._is_of_family(message) else None
        finally:
            message.close()

    def _is_of_family(self, message: Notification) -> bool:
        """Whether the daemon or one of its own sent it. One that has ended since is told by its uid."""
        if proc.is_descendant(message.pid, self._guard_pid):
            return True
        if proc.stat(message.pid) is not None:
            return False
        account = self.prepared.account
        return message.uid in (os.geteuid(), account.uid if account else 0)

    def _understand(self, message: Notification) -> Up | None:
        if "STATUS" in message.assignments:
            from .tail import printable

            self._status = printable(message.assignments["STATUS"])
        if (extension := message.number("EXTEND_TIMEOUT_USEC")) is not None and self._deadline is not None:
            self._deadline = max(self._deadline, time.monotonic() + extension / 1_000_000)
        if (pid := message.number("MAINPID")) and proc.is_descendant(pid, self._guard_pid):
            self._pid = pid
        if number := message.number("ERRNO"):
            raise self._died(f"reported errno {number} ({os.strerror(number) if number < 2**31 else 'unknown'})")
        return self._up() if message.assignments.get("READY") == "1" else None

    def _on_descriptor(self) -> Up | None:
        data = os.read(self.channel.reader, 4096)
        if b"\n" in data:
            return self._up()
        if not data:
            del self._readers[self.channel.reader]
            self._is_silent = True
            # If it has ended, that tells more, and is known in a moment.
            soon = time.monotonic() + ENDING_PATIENCE
            self._deadline = soon if self._deadline is None else min(self._deadline, soon)
        return None

    def _died(self, what: str | None = None) -> DiedBeforeReady:
        ending = what or describe_ending(self._ended or 0)
        lines = self.prepared.last_lines(self._pid)
        said = f"; it said: {self._status}" if self._status else ""
        message = f"{self.prepared.ident} {ending} before it was ready{said}"
        return DiedBeforeReady(message, pid=self._pid, ending=ending, last_lines=lines)

    def _fell_silent(self) -> DiedBeforeReady:
        return self._died(f"closed descriptor {self._kind.descriptor} without having written a newline to it")

    def _late(self) -> NotReadyInTime:
        lines = self.prepared.last_lines(self._pid)
        said = f"; it said: {self._status}" if self._status else ""
        expected = {
            readiness.NOTIFY: "no READY=1 came from it",
            readiness.FD: f"it wrote no newline to descriptor {self._kind.descriptor}",
            readiness.EXIT: "it was still running",
            readiness.CALL: "it never called ready()",
        }.get(self._kind.name, "it was never executed")
        message = f"{self.prepared.ident} was not ready in {self._timeout:g} s: {expected}{said}{ENDED}"
        return NotReadyInTime(message, pid=self._pid, last_lines=lines)

    def _with_main_pid(self, up: Up) -> Up:
        """Name another process as the instance where the daemon said so, or left one behind and ended."""
        if self._kind.name == readiness.EXIT:
            self._pid = self._find_main_pid()
            if not self._pid:
                self.prepared.remove_pidfiles()
        for one in self.prepared.pidfiles if self._pid else ():
            # A program that daemonizes itself may have made the file anew, with its own pid.
            if not one.is_in_place():
                one.give_way_to(self._pid)
            elif not self._is_named_in(one):
                self.prepared.write_pidfile(one, self._pid, self.prepared.command)
        return up.replace(pid=self._pid)

    def _is_named_in(self, one: pidfile.Pidfile) -> bool:
        """Whether pidfile and record name the daemon: a program that writes its own pid knows of no record."""
        known = pidfile.read(one.path)
        return known is not None and known.pid == self._pid

    def _find_main_pid(self) -> int:
        """Which process a program that daemonizes itself has left as the daemon; 0 where it left nobody.

        It is the one that the program itself wrote into the pidfile, else the oldest that was orphaned. One with
        children may be the middle of a double fork, which ends in a moment.
        """
        deadline = time.monotonic() + SETTLING_TIME
        while True:
            family = proc.descendants(self._guard_pid)
            named = [pid for pid in (one.names() for one in self.prepared.pidfiles) if pid in family]
            adopted = [one for one in family.values() if one.parent == self._guard_pid]
            daemons = [one for one in adopted if one.pid != self._forwarder_pid]
            if not daemons:
                return 0
            oldest = min(daemons, key=lambda one: (one.start_time, one.pid)).pid
            has_children = any(one.parent == oldest for one in family.values())
            if named or not has_children or time.monotonic() >= deadline:
                return named[0] if named and named[0] else oldest
            time.sleep(guard.LOOK_INTERVAL)

    def _end_family(self) -> None:
        """Let the guard end all that the start has brought forth, and wait until it has."""
        if not self._guard_pid:
            return
        with_patience = select.poll()
        with_patience.register(self.pipes.endings_reader, select.POLLIN)
        deadline = time.monotonic() + FAMILY_PATIENCE
        report.send(self.pipes.orders_writer, report.END_FAMILY)
        inbox = report.Inbox(self.pipes.endings_reader)
        while not inbox.at_end and (left := deadline - time.monotonic()) > 0 and with_patience.poll(left * 1000):
            for _ in inbox.read():
                pass
        if inbox.at_end:
            self._kill_session()
        self._dismiss_guard()

    def _kill_session(self) -> None:
        """End the daemon, and what it has started, where the guard was killed and has not done so.

        A daemon that was just born has not told its pid yet, but it is in the session that its guard has made.
        """
        try:
            # Its end of the pipe is closed, so it is going. While nobody reaps it, the session's number is its own.
            os.waitid(os.P_PID, self._guard_pid, os.WEXITED | os.WNOWAIT)
            unreaped = True
        except ChildProcessError:
            unreaped = False  # SIGCHLD is ignored
        deadline = time.monotonic() + FAMILY_PATIENCE
        try:
            if self._born is not None and self._born.start_time is not None:
                self._born.send_signal(signal.SIGKILL)
            while unreaped and (session := self._session()) and time.monotonic() < deadline:
                for pid in session:
                    Process(pid).send_signal(signal.SIGKILL)
                time.sleep(guard.LOOK_INTERVAL)
        except PermissionError:
            return  # it has become another user's by a setuid program

    def _session(self) -> list[int]:
        everybody = proc.processes().items()
        return [pid for pid, one in everybody if one.session == self._guard_pid and one.state not in proc.DEAD_STATES]

    def _dismiss_guard(self) -> None:
        """Let the guard exit, and see it do so: from then on the daemon is orphaned."""
        self.pipes.close()
        try:
            os.waitpid(self._guard_pid, 0)
        except ChildProcessError:
            return


class _Interruption:
    """When a signal may interrupt a start: only in wait(), which undoes it, and only until the daemon is up.

    One that comes before that is kept for wait(); a second one does not wait, since what comes before may hang.
    """

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Be ready for another start."""
        self.is_too_late = False
        self._is_let_through = False
        self._kept = 0

    def handle(self, number: int, _frame: FrameType | None) -> None:
        """Take the signal."""
        if self.is_too_late:
            return
        if self._is_let_through or self._kept:
            self._interrupt(number)
        self._kept = number

    def let_through(self) -> None:
        """Raise Interrupted for what was kept, and from here on at once."""
        self._is_let_through = True
        if self._kept:
            self._interrupt(self._kept)

    def _interrupt(self, number: int) -> NoReturn:
        for one in signal.INTERRUPTS:
            signal.signal(one, signal.SIG_IGN)
        raise Interrupted(number)


_interruption = _Interruption()
"""Of the one start that a launcher makes at a time."""


def raise_when_interrupted() -> None:
    """Let the signals that end a launcher raise Interrupted once; those that it ignores stay ignored."""
    _interruption.begin()
    for number in signal.INTERRUPTS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interruption.handle)


def describe_ending(status: int) -> str:
    """How a process ended, in words, from its exit code as subprocess gives it."""
    if status >= 0:
        return f"ended with exit status {status}"
    from ..settings.signals import signal_name

    return f"was killed by {signal_name(-status)}"
