"""The keeper: starts the supervisor again when it dies, and holds meanwhile what the daemons must not lose.

    keeper.py launched|foreground|again -- PROGRAM [ARGUMENTS...]

It is the supervisor's parent and the subreaper of all below it (prctl(2): who executes this program has set that, and
it stays over an exec). It holds a descriptor of every FIFO and notification socket, records how each orphan ended, and
decides nothing. It needs the standard library alone and reads nothing that a client wrote; `house` is the other side.

Descriptors that it is executed with, under fixed numbers, and the supervisor after it:
    3  keeper.lock, locked: one open file description for both, so that it stays locked while either lives
    4  the channel to the keeper (the supervisor's alone)
    5  `endings`
    6  where the outcome of the start is told (the keeper's alone, and only if launched)
    …  FIFOs and sockets that are held

On the channel the supervisor says `hold` with descriptors, `drop DEVICE INODE`, `forget BYTES`, `notify ASSIGNMENTS`;
the keeper says `ended`: look into `endings`; a record that could not be written there stands behind the word.
"""

from __future__ import annotations

import _socket
import os
import resource
import select
import stat
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Sequence
    from typing import NoReturn
else:
    import _signal as signal  # without the enumerations of the standard library's own: half a megabyte

LOCK, CHANNEL, ENDINGS, REPORT = 3, 4, 5, 6
LAUNCHED, FOREGROUND, AGAIN = "launched", "foreground", "again"

ENDING_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)
FORWARDED = (*ENDING_SIGNALS, signal.SIGHUP, signal.SIGUSR1)
"""Passed on to the supervisor, which starts with all of them blocked: none comes before it has its handlers."""

HANDLED = (*FORWARDED, signal.SIGCHLD)
"""Blocked by who executes this program, for the same reason."""

HEALTHY_AFTER = 1.0
"""Seconds past its readiness after which a supervisor that ends is started again at once, as a daemon is."""
FIRST_WAIT, LONGEST_WAIT = 0.1, 30.0
MOST_DESCRIPTORS = 253
"""As many go with one message (unix(7))."""
MESSAGE_LIMIT = 8192


class Keeper:
    """Keeps one supervisor running."""

    def __init__(self, mode: str, program: Sequence[str]) -> None:
        self.mode, self.program = mode, list(program)
        """The mode is AGAIN from the moment on when a supervisor has been ready."""
        self.supervisor = 0
        """Its pid; 0 while there is none."""
        self.channel: _socket.socket | None = None
        self.ready_at: float | None = None
        self.wait = self.due = 0.0
        """When the next supervisor is to be started (CLOCK_MONOTONIC), and how long the wait after that is."""
        self.asked_to_end = 0
        """The signal that did, passed on to each supervisor until one has ended in order."""
        self.limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.service_manager = os.environ.pop("NOTIFY_SOCKET", "").replace("@", "\0", 1)
        self.epoch = epoch()
        self.held: dict[tuple[int, int], int] = {}

    def keep(self) -> int:
        """Keep it until it has ended in order; the exit status."""
        self.prepare()
        while True:
            status = self.reap()
            if status is not None:
                self.read_channel()  # what it said last is there still
                self.close_channel()
                if status == 0 or (status > 0 and self.is_refusal()):
                    self.report(b"%d" % status)
                    return status
                self.plan()
            if not self.supervisor and time.monotonic() >= self.due:
                self.start()
            poll = select.poll()
            poll.register(self.wakeup, select.POLLIN)
            if self.channel is not None:
                poll.register(CHANNEL, select.POLLIN)
            # Without a deadline while a supervisor runs: an idle keeper never wakes.
            poll.poll(None if self.supervisor else max(0.0, self.due - time.monotonic()) * 1000 + 1)
            self.read_channel()
            self.pass_on_signals()

    def is_refusal(self) -> bool:
        """Whether a failure before readiness ends all: the first one, and one of a start that was to stop all."""
        return self.ready_at is None and (self.mode != AGAIN or bool(self.asked_to_end))

    def prepare(self) -> None:
        """Take over what was handed down by the exec."""
        # 4 is never left free: between fork and exec the supervisor's end of its channel is put there.
        os.dup2(0, CHANNEL, inheritable=False)
        if self.mode == LAUNCHED:
            os.set_inheritable(REPORT, False)  # noqa: FBT003 - the standard library's own signature
        first = REPORT + (self.mode == LAUNCHED)
        with os.scandir("/proc/self/fd") as entries:
            opened = [number for number in map(int, [one.name for one in entries]) if number >= first]
        for number in opened:
            if is_channel(number):
                self.hold(number)
        # One or two descriptors a daemon; the supervisor, and so the daemons, have the limit that was found.
        set_open_files(self.limits[1], self.limits[1])
        os.pwrite(LOCK, b"%-10d\n" % os.getpid(), 0)
        # A signal's number comes through the pipe: one that arrives before poll() makes it return, none is slept over.
        self.wakeup, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for signal_number in HANDLED:
            signal.signal(signal_number, lambda *_: None)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())

    def start(self) -> None:
        """Start a supervisor, in a session of its own that it does not lead."""
        ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
        reader, writer = os.pipe()
        # Blocked, so that what is sent to the child does not come to us by the pipe that it has from us.
        signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)
        try:
            middle = os.fork()
        except OSError as error:
            complain(f"cannot start the supervisor: {error.strerror}")
            middle = -1
        if middle == 0:
            self.become_supervisor(theirs.fileno(), writer)
        os.close(writer)
        theirs.close()
        # The supervisor itself says its pid, right before the exec: nothing means that there is none.
        self.supervisor = int(os.read(reader, 16) or b"0")
        os.close(reader)
        if middle > 0:
            os.waitpid(middle, 0)  # from here on the supervisor is our child, because we are its subreaper
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        self.ready_at = None
        if self.supervisor:
            os.dup2(ours.fileno(), CHANNEL, inheritable=False)
            self.channel = _socket.socket(fileno=CHANNEL)
            if self.asked_to_end:
                os.kill(self.supervisor, self.asked_to_end)
        else:
            self.plan()
        ours.close()

    def become_supervisor(self, channel: int, writer: int) -> NoReturn:
        """In the child: fork once more, and execute the program."""
        try:
            os.setsid()
            if not os.fork():
                set_open_files(*self.limits)
                os.dup2(channel, CHANNEL)
                signal.pthread_sigmask(signal.SIG_SETMASK, FORWARDED)
                os.write(writer, b"%d" % os.getpid())
                os.execv(self.program[0], self.program)
        except OSError as error:
            complain(f"cannot execute {self.program[0]}: {error.strerror}")
        finally:
            os._exit(127)

    def plan(self) -> None:
        """Set when the next one is to be started: at once, then after waits that grow while none gets healthy."""
        now = time.monotonic()
        if self.ready_at is not None and now - self.ready_at >= HEALTHY_AFTER:
            self.wait = 0.0
        self.due = now + self.wait
        self.wait = min(max(self.wait * 2, FIRST_WAIT), LONGEST_WAIT)

    def pass_on_signals(self) -> None:
        """Pass on what was sent to us; a request to end is remembered, and ends the wait for the next supervisor."""
        try:
            numbers = os.read(self.wakeup, 65536)
        except BlockingIOError:
            return
        for number in numbers:
            if number in ENDING_SIGNALS:
                self.asked_to_end, self.due = number, 0.0
            # The pid is of a child that we have not reaped, so it is nobody else's.
            if number in FORWARDED and self.supervisor:
                os.kill(self.supervisor, number)

    def reap(self) -> int | None:
        """Reap all who have ended; the supervisor's own exit status, or signal as a negative number."""
        own = None
        while True:
            try:
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return own
            if found is None:
                return own
            status = found.si_status if found.si_code == os.CLD_EXITED else -found.si_status
            if found.si_pid == self.supervisor:
                own, self.supervisor = status, 0
            else:
                self.record(found.si_pid, status)
            # Reaped after it is recorded: killed in between, we leave a zombie, from which another can tell.
            os.waitpid(found.si_pid, 0)

    def record(self, pid: int, status: int) -> None:
        """Write down an ending, then tell of it."""
        # On a line of its own, whatever a keeper has left that was killed within a record.
        line = b"\n%d %d %d %b\n" % (pid, start_time(pid), status, self.epoch)
        try:
            size = os.fstat(ENDINGS).st_size
            if os.pwrite(ENDINGS, line, size) < len(line):
                os.ftruncate(ENDINGS, size)  # a full disk: the supervisor, if there is one, is told all the same
            else:
                line = b""
        except OSError as error:
            complain(f"cannot record an ending: {error.strerror}")
        if self.channel is not None:
            try:
                # Where there is no room, an `ended` waits there already, and will be read after what is written now.
                self.channel.send(b"ended " + line, _socket.MSG_DONTWAIT | _socket.MSG_NOSIGNAL)
            except OSError:
                return

    def read_channel(self) -> None:
        """Do what the supervisor says, and never wait for it."""
        while self.channel is not None:
            try:
                room = _socket.CMSG_SPACE(4 * MOST_DESCRIPTORS)
                data, rights, flags, _ = self.channel.recvmsg(MESSAGE_LIMIT, room, _socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except ConnectionResetError:
                continue  # it died with messages of ours unread; its own are still there
            if flags & _socket.MSG_CTRUNC:
                complain("some descriptors cannot be held: too many are open")
            numbers = b"".join(content for _, _, content in rights)
            for offset in range(0, len(numbers), 4):
                self.hold(int.from_bytes(numbers[offset : offset + 4], sys.byteorder))
            if not data:
                self.close_channel()
                return
            try:
                self.obey(*data.split(b" ", 1))
            except (TypeError, ValueError, OSError) as error:
                complain(f"cannot do {data[:80]!r}: {error}")

    def obey(self, word: bytes, rest: bytes = b"") -> None:
        """Do one thing that the supervisor says; descriptors that came with `hold` are held already."""
        if word == b"drop":
            device, inode = map(int, rest.split())
            if (dropped := self.held.pop((device, inode), None)) is not None:
                os.close(dropped)
        elif word == b"forget":
            # Only if nothing came after what the supervisor has read; else it will say so again.
            if os.fstat(ENDINGS).st_size == int(rest):
                os.ftruncate(ENDINGS, 0)
        elif word == b"notify":
            if b"READY=1" in rest.split(b"\n") and self.ready_at is None:
                self.ready_at = time.monotonic()
                self.report(b"ready")
                self.mode = AGAIN
            if self.service_manager:
                sender = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM)
                try:
                    sender.sendto(rest, _socket.MSG_DONTWAIT | _socket.MSG_NOSIGNAL, self.service_manager)
                finally:
                    sender.close()

    def hold(self, number: int) -> None:
        """Hold a FIFO or a socket, and hand it down to the next supervisor; one descriptor of each is enough."""
        found = os.fstat(number)
        if (key := (found.st_dev, found.st_ino)) in self.held:
            os.close(number)
        else:
            os.set_inheritable(number, True)  # noqa: FBT003
            self.held[key] = number

    def close_channel(self) -> None:
        """Let the supervisor's end go, and leave its number taken."""
        if self.channel is not None:
            self.channel.detach()
            self.channel = None
            os.dup2(0, CHANNEL, inheritable=False)

    def report(self, word: bytes) -> None:
        """Tell the launcher, once, how the start went."""
        if self.mode == LAUNCHED:
            try:
                os.write(REPORT, word)
            except OSError as error:
                complain(f"cannot tell the launcher: {error.strerror}")  # it did not wait
            os.close(REPORT)


def is_channel(number: int) -> bool:
    """Whether an open descriptor is one that is to be held; that of the directory in which it was seen is closed."""
    try:
        mode = os.fstat(number).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def start_time(pid: int) -> int:
    """When it started, in clock ticks since boot; a zombie still tells (proc_pid_stat(5))."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            return int(file.read().rpartition(b")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return 0


def epoch() -> bytes:
    """What is different after a reboot and in another pid namespace; a record without it is old, or cut off."""
    try:
        with open("/proc/sys/kernel/random/boot_id", "rb", buffering=0) as file:
            boot = file.read().strip()
    except OSError:
        boot = b"unknown"
    return b"%b:%d" % (boot, os.stat("/proc/self/ns/pid").st_ino)


def set_open_files(soft: int, hard: int) -> None:
    """Set the limit of open files; it stays where the kernel has come to allow less than is set (fs.nr_open)."""
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    except (OSError, ValueError) as error:
        complain(f"cannot set the limit of open files to {soft}: {error}")


def complain(text: str) -> None:
    """Write a line to where the supervisor's own words go, if there is room."""
    try:
        os.write(2, f"numen keeper: {text}\n".encode(errors="backslashreplace"))
    except OSError:
        return


if __name__ == "__main__":
    sys.exit(Keeper(sys.argv[1], sys.argv[3:]).keep())
