"""Starting processes, waiting for what they do, ending them.

Every wait of the suite goes through `wait_for` or through a pidfd, with a deadline that fails the test and
says what did not happen; a deadline is generous, since a machine under load is no failure.
"""

import ctypes
import os
import pty
import pwd
import select
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar

import pytest

import observe

T = TypeVar("T")

ROOT = Path(__file__).resolve().parent.parent
"""The checkout."""

PR_SET_CHILD_SUBREAPER = 36


def wait_for(condition: Callable[[], T], deadline_seconds: float, what: str) -> T:
    """Ask until the answer is true, and return it; AssertionError with `what` at the deadline."""
    deadline = time.monotonic() + deadline_seconds
    pause = 0.001
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"not within {deadline_seconds:g} seconds: {what}"
        time.sleep(pause)
        pause = min(pause * 2, 0.05)
    return answer


def numen_command() -> Path:
    """The `numen` command of the environment that runs the tests."""
    command = Path(sys.executable).parent / "numen"
    assert command.exists(), f"{command} is missing: `make env` makes it"
    return command


def run_numen(
    *argv: str | Path,
    env: Mapping[str, str | None] | None = None,
    deadline_seconds: float = 60,
    **options: Any,
) -> subprocess.CompletedProcess[str]:
    """Run the `numen` command to its end, its output as text.

    `env` changes the test's environment (None removes a variable); standard input is /dev/null unless
    `stdin` or `input` is given; the other options are those of subprocess.run.
    """
    if "input" not in options:
        options.setdefault("stdin", subprocess.DEVNULL)
    options.setdefault("stdout", subprocess.PIPE)
    options.setdefault("stderr", subprocess.PIPE)
    command = [numen_command(), *argv]
    return subprocess.run(command, env=environment(env), timeout=deadline_seconds, text=True, check=False, **options)


def environment(changes: Mapping[str, str | None] | None = None) -> dict[str, str]:
    """The test's environment with these changes; None removes a variable."""
    merged = {**os.environ, **(changes or {})}
    return {name: value for name, value in merged.items() if value is not None}


class Terminal:
    """A program in a session of its own, on a terminal of its own: a real pty, which a test can hang up."""

    def __init__(
        self,
        argv: Sequence[str | Path],
        *,
        env: Mapping[str, str | None] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self._master, slave = pty.openpty()
        self._seen = bytearray()
        self._hung_up = False
        try:
            self.name = os.ttyname(slave)
            self.process = subprocess.Popen(
                argv, env=environment(env), cwd=cwd, preexec_fn=partial(_log_in, slave), close_fds=True
            )
        except BaseException:
            os.close(self._master)
            raise
        finally:
            os.close(slave)

    def read_until(self, text: str, deadline_seconds: float = 30) -> str:
        """All that has come to the terminal, once `text` is in it."""
        deadline = time.monotonic() + deadline_seconds
        while text not in self.seen:
            open_still = self._read_more(deadline, f"{text!r} on the terminal, where there is {self.seen!r}")
            assert open_still or text in self.seen, f"the terminal ended without {text!r}: {self.seen!r}"
        return self.seen

    def finish(self, deadline_seconds: float = 30) -> subprocess.CompletedProcess[str]:
        """Wait until the program has ended and nothing holds its terminal open any more."""
        deadline = time.monotonic() + deadline_seconds
        while self._read_more(deadline, f"the end of what holds the terminal open; it has shown {self.seen!r}"):
            pass
        status = self.process.wait(max(deadline - time.monotonic(), 1))
        return subprocess.CompletedProcess(self.process.args, status, self.seen)

    @property
    def seen(self) -> str:
        """What has been read from the terminal so far, with plain line ends."""
        return self._seen.decode(errors="replace").replace("\r\n", "\n")

    def type_in(self, text: str) -> None:
        """Type it at the keyboard: `\\x03` is Ctrl-C, `\\x04` is Ctrl-D."""
        os.write(self._master, text.encode())

    def hang_up(self) -> None:
        """Close the terminal under the program: its session leader's foreground gets SIGHUP."""
        if not self._hung_up:
            self._hung_up = True
            os.close(self._master)

    def _read_more(self, deadline: float, what: str) -> bool:
        if self._hung_up:
            return False
        poll = select.poll()
        poll.register(self._master, select.POLLIN)
        assert poll.poll(max(deadline - time.monotonic(), 0) * 1000), f"not in time: {what}"
        try:
            chunk = os.read(self._master, 65536)
        except OSError:  # EIO: nobody has the other side open
            return False
        self._seen += chunk
        return bool(chunk)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.hang_up()
        self.process.kill()
        self.process.wait()


def run_on_terminal(
    snippet: str,
    *argv: str,
    env: Mapping[str, str | None] | None = None,
    cwd: Path | None = None,
    deadline_seconds: float = 30,
) -> subprocess.CompletedProcess[str]:
    """Run a snippet of Python as the leader of a session on a terminal; stdout is all that came to it.

    It fails when something still holds the terminal open at the deadline.
    """
    with Terminal([sys.executable, "-c", textwrap.dedent(snippet), *argv], env=env, cwd=cwd) as terminal:
        return terminal.finish(deadline_seconds)


def compile_c(source: Path | str, program: Path, *flags: str) -> Path:
    """Compile a C file, or C text, to `program`; the test is skipped where there is no compiler."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler (the Debian package gcc)")
    text = source.read_text() if isinstance(source, Path) else textwrap.dedent(source)
    argv = [compiler, "-O1", "-Wall", "-Werror", "-x", "c", "-", "-o", str(program), *flags]
    done = subprocess.run(argv, input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return program


def installed(command: str) -> Path | None:
    """Where the command is, though it may stand where only root's PATH leads; None if it is not installed."""
    found = shutil.which(command, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")
    return None if found is None else Path(found)


class Account(NamedTuple):
    """A user to run something as."""

    name: str
    uid: int
    gid: int


def unprivileged() -> Account:
    """The user `nobody` to drop to, when the suite runs as root; else the user who runs it."""
    user = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    return Account(user.pw_name, user.pw_uid, user.pw_gid)


class Reaper:
    """Ends at its test's end, by pidfd, each process given to it, and what is below that."""

    def __init__(self) -> None:
        self._pidfds: dict[int, int] = {}
        self._started: list[subprocess.Popen[Any]] = []

    def start(self, argv: Sequence[str | Path], **options: Any) -> subprocess.Popen[str]:
        """Start a program, its pipes (if the options of subprocess.Popen ask for any) as text."""
        process = subprocess.Popen(argv, text=True, **options)
        self.track(process)
        return process

    def track(self, process: int | subprocess.Popen[Any]) -> int:
        """Have it ended later, by its pid or as what Popen returned; return its pid."""
        if not isinstance(process, int):
            self._started.append(process)
            process = process.pid
        if process not in self._pidfds:
            with suppress(ProcessLookupError):
                self._pidfds[process] = os.pidfd_open(process)
        return process

    def end_all(self) -> None:
        """End them now and close the pipes to those that were started here."""
        families: dict[int, int] = {}
        for pid, pidfd in self._pidfds.items():
            with suppress(ProcessLookupError):
                family = {pid: observe.start_time(pid), **observe.descendants(pid)}
                if not _has_ended(pidfd):
                    families |= family
            os.close(pidfd)
        self._pidfds.clear()
        end(families)
        for process in self._started:
            process.wait()
            for stream in process.stdin, process.stdout, process.stderr:
                if stream is not None:
                    with suppress(BrokenPipeError):
                        stream.close()
        self._started.clear()
        reap(families)


def end(processes: Mapping[int, int], deadline_seconds: float = 10) -> frozenset[int]:
    """Kill the processes, given by pid and start time; return the pids of those that did not end."""
    pidfds = {}
    for pid, start_time in processes.items():
        with suppress(ProcessLookupError):
            pidfds[pid] = os.pidfd_open(pid)
            if observe.start_time(pid) == start_time:
                with suppress(PermissionError):
                    signal.pidfd_send_signal(pidfds[pid], signal.SIGKILL)
            else:  # another process has that pid now
                os.close(pidfds.pop(pid))
    deadline = time.monotonic() + deadline_seconds
    alive = {pid for pid, pidfd in pidfds.items() if not _has_ended(pidfd, deadline - time.monotonic())}
    for pidfd in pidfds.values():
        os.close(pidfd)
    return frozenset(alive)


def reap(pids: Iterable[int]) -> None:
    """Take the statuses of those that have ended and are this process's children, its own or adopted."""
    for pid in pids:
        with suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)


def has_children() -> bool:
    """Whether this process has any, dead or alive; a subreaper without one has nothing below it."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def become_subreaper() -> None:
    """Have the kernel give this process the orphans of its family: no daemon gets out of its sight."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def _has_ended(pidfd: int, deadline_seconds: float = 0) -> bool:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(max(deadline_seconds, 0) * 1000))


def _log_in(slave: int) -> None:
    # A login gives the default actions; nohup, or a shell's `&`, may have left this process others.
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)
    os.login_tty(slave)
