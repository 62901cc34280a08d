"""A supervisor of straw under a real keeper: it does what a test asks of it, and nothing else.

It takes a line of Python on the control socket and answers with the value. Files in its directory steer its start:
`fail` lets it end with exit status 3, `slow` lets it wait, before it has any handler, until the file is gone.
"""

import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import observe
from numen.keep import house
from numen.settings import places
from processes import Reaper, end, reap, wait_for

DEADLINE = 30.0

PROGRAM = """\
import os, select, signal, socket, subprocess, sys, time
place = os.path.dirname(os.path.abspath(__file__))
def there(name): return os.path.exists(os.path.join(place, name))
with open(os.path.join(place, "starts"), "a") as file: file.write(f"{os.getpid()}\\n")
while there("slow"): time.sleep(0.002)
if there("fail"): sys.exit("refused, as it was told")
from numen.keep import house
from numen.kernel import calls
from numen.settings import places
keeper = house.Keeper()
calls.become_child_subreaper()
got, mine = [], []
wakeup, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
signal.set_wakeup_fd(writer)
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1):
    signal.signal(number, lambda number, _: got.append(int(number)))
signal.pthread_sigmask(signal.SIG_SETMASK, ())
path = places.control_path()
def run(*argv):
    process = subprocess.Popen(argv)
    mine.append(process)
    return process.pid
def fifo(name, text):
    name = os.path.join(place, name)
    if not os.path.exists(name): os.mkfifo(name)
    opened = os.open(name, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    os.write(opened, text)
    keeper.hold(opened)
    keeper.flush()
    return opened
def read_held(): return [os.read(one, 65536) for one in keeper.held()]
def endings(found): return [(one.process.pid, one.process.start_time, one.status) for one in found]
if os.path.exists(path): os.unlink(path)
server = socket.socket(socket.AF_UNIX)
server.bind(path)
server.listen(100)
keeper.ready("of straw")
while True:
    poll = select.poll()
    for one in (wakeup, keeper.fileno(), server.fileno()): poll.register(one, select.POLLIN)
    ready = dict(poll.poll())
    if wakeup in ready: os.read(wakeup, 4096)
    if signal.SIGTERM in got and not there("stubborn"): sys.exit(0)
    if keeper.fileno() in ready:
        before = locals().get("told", [])
        told = before + endings(keeper.receive())
    if keeper.has_died: house.become_keeper([*keeper.held(), *globals().get("extra", [])])
    if server.fileno() in ready:
        connection, _ = server.accept()
        with connection, connection.makefile("rw") as stream:
            if line := stream.readline():
                try: answer = repr(eval(line))
                except Exception as error: answer = repr(error)
                stream.write(answer)
"""


class Straw(NamedTuple):
    """An open house with its supervisor of straw."""

    place: Path
    reaper: Reaper

    @property
    def program(self) -> tuple[str, ...]:
        """What the keeper runs."""
        return (sys.executable, "-P", str(self.place / "supervisor.py"))

    def open(self) -> bool:
        """Open the house; whether that was necessary."""
        opened = house.open_house(self.program, timeout=DEADLINE)
        self.track()
        return opened

    def track(self) -> None:
        """Have keeper and supervisor ended with the test."""
        for pid in (self.keeper(), self.supervisor()):
            if pid:
                self.reaper.track(pid)

    def keeper(self) -> int:
        """The keeper's pid."""
        return house.keeper_pid()

    def supervisor(self) -> int:
        """The pid of the supervisor that was started last."""
        path = self.place / "starts"
        starts = path.read_text().split() if path.exists() else []
        return int(starts[-1]) if starts else 0

    def starts(self) -> int:
        """How many supervisors were started."""
        return len((self.place / "starts").read_text().split())

    def ask(self, line: str) -> Any:
        """The value of a line of Python in the supervisor; it may be just being started."""
        answers: list[str] = []

        def is_answered() -> bool:
            with suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(DEADLINE)
                connection.connect(places.control_path())
                connection.sendall(f"{line}\n".encode())
                connection.shutdown(socket.SHUT_WR)
                with connection.makefile() as stream:
                    answers.append(stream.read())
            return bool(answers and answers[-1])

        wait_for(is_answered, DEADLINE, f"an answer to {line}")
        return eval(answers[-1])

    def kill_supervisor(self, number: int = signal.SIGKILL) -> int:
        """Kill it, and return the pid of the next one, which answers."""
        before = self.supervisor()
        os.kill(before, number)
        return self.next_after(before)

    def kill_keeper(self) -> int:
        """Kill it, wait until the supervisor has taken its place, and return the pid of the next supervisor."""
        keeper, supervisor = self.keeper(), self.supervisor()
        os.kill(keeper, signal.SIGKILL)
        wait_for(lambda: self.keeper() == supervisor, DEADLINE, "the supervisor in the keeper's place")
        return self.next_after(supervisor)

    def next_after(self, before: int) -> int:
        """The pid of the supervisor after that one, once it answers."""
        wait_for(lambda: self.supervisor() != before, DEADLINE, "the next supervisor")
        pid: int = self.ask("os.getpid()")
        assert pid == self.supervisor()
        self.track()
        return pid

    def order(self, name: str) -> Path:
        """Lay a file that steers the supervisor's start."""
        path = self.place / name
        path.touch()
        return path

    def adopted(self, *argv: str) -> int:
        """The pid of a child of the supervisor's that has become the keeper's."""
        pid: int = self.ask(f"run{argv!r}")
        self.reaper.track(pid)
        self.kill_supervisor()
        wait_for(lambda: pid in observe.children(self.keeper()), DEADLINE, "the adoption by the keeper")
        return pid

    def endings(self) -> list[list[str]]:
        """The records in the file `endings`."""
        text = Path(places.state_directory(), "endings").read_text()
        return [line.split() for line in text.splitlines() if line]

    def end(self) -> None:
        """End the house in order."""
        keeper = self.keeper()
        os.kill(keeper, signal.SIGTERM)
        observe.wait_until_gone(keeper)


@contextmanager
def house_of_straw(place: Path, reaper: Reaper) -> Iterator[Straw]:
    """A house of straw in that directory, closed still; at the end it is demolished."""
    (place / "supervisor.py").write_text(PROGRAM)
    straw = Straw(place, reaper)
    yield straw
    wait_for(lambda: demolished(place / "supervisor.py"), DEADLINE, "the end of the house")


def demolished(program: Path) -> bool:
    """Kill all who run that program, or are its keeper; whether there were none."""
    found = {}
    for pid, born in observe.with_environment(f"{os.environ['NUMEN_HOME']}").items():
        with suppress(OSError):
            if str(program) in Path(f"/proc/{pid}/cmdline").read_text().split("\0"):
                found[pid] = born
    # Stopped first: of two of which one is killed, the other starts a third.
    for pid in found:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
    end(found)
    reap(found)
    return not found


def switches(pid: int) -> int:
    """How often a process has gone to sleep of itself (proc_pid_status(5))."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("voluntary_ctxt_switches:"):
            return int(line.split()[1])
    raise AssertionError("no such field")


def idle_for(seconds: float) -> None:
    """Let some time pass in which nothing is to happen."""
    time.sleep(seconds)  # the length is the point
