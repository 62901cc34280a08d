"""Runs a command in a terminal of its own, and is what the command would be without one: `pty_relay.py COMMAND...`.

The command leads a session with a new pseudo-terminal as its controlling terminal, and as its standard input, output
and error. What it writes there goes to this program's standard output; signals that this program gets go to it, and as
it ends so does this one: with its exit status, or by the same signal. All other descriptors, and the environment, it
has from here. It is run by its path, and is of the standard library alone.
"""

from __future__ import annotations

import errno
import os
import pty
import resource
import select
import signal
import sys
import termios
from contextlib import suppress

ROWS, COLUMNS = 24, 80

TERM = "xterm-256color"
"""What kind of terminal it is taken for, where its environment names none."""

NOT_FOUND, NOT_EXECUTABLE = 127, 126
"""Exit statuses where there is no command, as those of sh(1)."""

OWN = (signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD, signal.SIGCONT)
"""The signals that are not sent on: it cannot be, or it is about this process."""

IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)

_CHUNK = 65536


def open_terminal() -> tuple[int, int]:
    """The two ends of a terminal that changes nothing of what is written, and repeats nothing."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (ROWS, COLUMNS))
    attributes = termios.tcgetattr(theirs)
    attributes[1] &= ~termios.ONLCR
    attributes[3] &= ~termios.ECHO
    termios.tcsetattr(theirs, termios.TCSANOW, attributes)
    return ours, theirs


def execute(command: list[str], theirs: int, mask: set[int | signal.Signals]) -> None:
    """In the child: become the command, in the terminal."""
    try:
        os.login_tty(theirs)
        for number in IGNORED_BY_PYTHON:
            signal.signal(number, signal.SIG_DFL)
        os.environ.setdefault("TERM", TERM)
        if "WATCHDOG_PID" in os.environ:
            os.environ["WATCHDOG_PID"] = str(os.getpid())
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        os.execve(command[0], command, os.environ)
    except OSError as error:
        os.write(2, f"cannot execute {command[0]}: {error.strerror}\n".encode())
        os._exit(NOT_FOUND if error.errno == errno.ENOENT else NOT_EXECUTABLE)
    finally:
        os._exit(NOT_EXECUTABLE)


def relay(child: int, ours: int, wakeup: int) -> int:
    """Copy until the child has ended and all is copied; how it has ended, as waitpid(2) tells it."""
    poller = select.poll()
    poller.register(ours, select.POLLIN)
    poller.register(wakeup, select.POLLIN)
    while True:
        for descriptor, _ in poller.poll():
            if descriptor == wakeup:
                with suppress(BlockingIOError):
                    os.read(wakeup, _CHUNK)
            elif not copy(ours):
                # No process has the terminal open any more.
                poller.unregister(ours)
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            while select.select([ours], [], [], 0)[0] and copy(ours):
                pass
            return status


def copy(ours: int) -> bool:
    """Copy what there is; false when there is nothing to come."""
    try:
        chunk = os.read(ours, _CHUNK)
    except OSError:
        return False
    view = memoryview(chunk)
    while view:
        view = view[os.write(1, view) :]
    return bool(chunk)


def end_as(status: int) -> None:
    """End in the same way."""
    if os.WIFEXITED(status):
        os._exit(os.WEXITSTATUS(status))
    number = os.WTERMSIG(status)
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
    with suppress(OSError):
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def main(command: list[str]) -> None:
    """Run it."""
    forwarded = signal.valid_signals() - set(OWN)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, forwarded)
    reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    try:
        ours, theirs = open_terminal()
    except OSError as error:
        os.write(2, f"cannot open a terminal: {error.strerror}\n".encode())
        os._exit(NOT_EXECUTABLE)
    child = os.fork()
    if not child:
        execute(command, theirs, mask)
    os.close(theirs)

    def forward(number: int, _frame: object) -> None:
        os.kill(child, number)  # it is reaped only when no more handler runs

    for number in forwarded:
        with suppress(OSError, ValueError):
            signal.signal(number, forward)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    status = relay(child, ours, reader)
    signal.pthread_sigmask(signal.SIG_BLOCK, forwarded)
    end_as(status)


if __name__ == "__main__":
    main(sys.argv[1:])
