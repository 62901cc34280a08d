"""Small programs that become daemons: a test writes one, runs it as a person would, and looks from outside.

The suite's process is the subreaper of all of them, so that it has the true exit status of a daemon whose
launcher is gone.
"""

import os
import select
import signal
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import observe
from processes import Reaper, environment, wait_for

PRELUDE = """\
import gc, os, signal, sys, threading, time
import numen
_said = os.path.abspath("said")
def say(*words):
    with open(_said, "a") as file: file.write(" ".join(map(str, words)) + "\\n")
def wait_for(path):
    while not os.path.exists(path): time.sleep(0.002)
def rest():
    while True: signal.pause()
here = os.getcwd()
"""
"""What every script begins with: `say()` tells the test a line, `rest()` waits for signals."""


def write_script(directory: Path, script: str, name: str = "program.py") -> Path:
    """Write a program of that text, after the prelude."""
    path = directory / name
    path.write_text(PRELUDE + textwrap.dedent(script))
    return path


def run_script(
    directory: Path,
    script: str,
    *argv: str | Path,
    env: Mapping[str, str | None] | None = None,
    before: tuple[str | Path, ...] = (),
    deadline_seconds: float = 60,
    **options: Any,
) -> subprocess.CompletedProcess[str]:
    """Run a script in that directory until it has ended and nothing holds its pipes any more.

    `before` is what stands before the interpreter on the command line, such as `unshare`.
    """
    options.setdefault("stdin", subprocess.DEVNULL)
    options.setdefault("stdout", subprocess.PIPE)
    options.setdefault("stderr", subprocess.PIPE)
    return subprocess.run(
        [*before, sys.executable, write_script(directory, script), *argv],
        cwd=directory,
        env=environment(env),
        text=True,
        check=False,
        timeout=deadline_seconds,
        **options,
    )


def begin_script(
    directory: Path,
    reaper: Reaper,
    script: str,
    *argv: str | Path,
    env: Mapping[str, str | None] | None = None,
    before: tuple[str | Path, ...] = (),
    **options: Any,
) -> subprocess.Popen[str]:
    """Start a script in that directory, and go on."""
    options.setdefault("stdin", subprocess.DEVNULL)
    options.setdefault("stdout", subprocess.PIPE)
    options.setdefault("stderr", subprocess.PIPE)
    command = [*before, sys.executable, write_script(directory, script), *argv]
    return reaper.start(command, cwd=directory, env=environment(env), **options)


class Daemon(NamedTuple):
    """A daemon that is up, and the directory in which it was started."""

    pid: int
    directory: Path

    def look(self) -> observe.Process:
        """What /proc says of it."""
        return observe.look(self.pid)

    def signal(self, number: int) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def wait_until_said(self, text: str) -> list[str]:
        """All the lines that it said, once one of them is that text."""
        return wait_until_said(self.directory, text)

    def wait(self, deadline_seconds: float = 30) -> int:
        """Its exit code when it has ended, as subprocess gives it."""
        return wait_for_exit(self.pid, deadline_seconds)

    def stop(self) -> int:
        """End it by SIGTERM; its exit code."""
        self.signal(signal.SIGTERM)
        return self.wait()


def start_daemon(
    directory: Path,
    reaper: Reaper,
    script: str,
    *argv: str | Path,
    env: Mapping[str, str | None] | None = None,
    **options: Any,
) -> Daemon:
    """Run a script that becomes a daemon with the pidfile `pid`; return it when its launcher has ended with 0."""
    done = run_script(directory, script, *argv, env=env, **options)
    said = directory / "said"
    assert done.returncode == 0, f"{done.stderr}{said.read_text() if said.exists() else ''}"
    pid = pid_in(directory / "pid")
    reaper.track(pid)
    return Daemon(pid, directory)


def pid_in(pidfile: Path) -> int:
    """The pid that stands in a pidfile, which must be complete."""
    text = pidfile.read_text()
    assert text.endswith("\n")
    return int(text)


def said_in(directory: Path) -> list[str]:
    """The lines that a script has said so far."""
    path = directory / "said"
    return path.read_text().splitlines() if path.exists() else []


def wait_until_said(directory: Path, text: str) -> list[str]:
    """All the lines that a script has said, once one of them is that text."""
    wait_for(lambda: text in said_in(directory), 30, f"{text!r} among {said_in(directory)}")
    return said_in(directory)


def wait_for_exit(pid: int, deadline_seconds: float = 30) -> int:
    """The exit code of a child of this process, its own or adopted, when it has ended."""
    pidfd = os.pidfd_open(pid)
    try:
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        assert poll.poll(deadline_seconds * 1000), f"still alive: {observe.describe(pid)}"
    finally:
        os.close(pidfd)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
