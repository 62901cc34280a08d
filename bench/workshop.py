"""Where what is measured is made: an environment with every Python rival, and the C programs.

All of it stands below build/. The Python rivals and numen share one environment, so that they differ in what
they do and in nothing else.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = Path(__file__).resolve().parent / "programs"
BUILD = ROOT / "build"

RIVALS = ("python-daemon==3.1.2", "daemonocle==1.2.3", "daemonize==2.5.0")
"""On PyPI; exact, so that two runs compare the same."""

UNTRUE_FOR_A_DAEMON = ("LISTEN_", "NOTIFY_", "SYSTEMD_", "WATCHDOG_", "INVOCATION_ID", "JOURNAL_STREAM")
"""What a service manager told the bench of itself: with it, a DaemonContext would not fork."""


class Unavailable(Exception):
    """Something is missing without which nothing can be measured."""


@dataclass(frozen=True)
class Workshop:
    """What has been made."""

    python: Path
    """The interpreter of the common environment."""
    daemon: Path
    """The C program that is started as a daemon: it says when it runs."""
    double_fork: Path
    """The C program that makes a daemon of another one, and does no more than it must."""
    launch: Path
    """The C program that starts a launcher under a limit, and takes its times."""

    def command(self, name: str) -> str:
        """A command of the common environment."""
        return str(self.python.parent / name)


def prepare(say: Callable[[str], object]) -> Workshop:
    """Make what is missing or out of date. Raises Unavailable."""
    python = BUILD / "bench-venv" / "bin" / "python"
    say("making build/bench-venv")
    _make_environment(python)
    say("compiling")
    _compile_byte_code(python)
    return Workshop(
        python=python,
        daemon=_compile("daemon", static=True),
        double_fork=_compile("double_fork"),
        launch=_compile("launch"),
    )


def clean_environment() -> dict[str, str]:
    """The caller's environment without what would make a Python program slower, or take it for a service."""
    unwanted = ("PYTHON", *UNTRUE_FOR_A_DAEMON)
    return {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}


def _make_environment(python: Path) -> None:
    home = python.parent.parent
    mark = home / "made-of"
    made_of = "\n".join((sys.version, str(ROOT), *RIVALS, (ROOT / "pyproject.toml").read_text()))
    if mark.exists() and mark.read_text() == made_of:
        return
    shutil.rmtree(home, ignore_errors=True)
    _run([sys.executable, "-m", "venv", "--without-pip", str(home)])
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "-qq", "--disable-pip-version-check"]
    _run([*pip, "--root-user-action=ignore", "--editable", str(ROOT), *RIVALS])
    mark.write_text(made_of)


def _compile_byte_code(python: Path) -> None:
    packages = sysconfig.get_path("purelib", vars={"base": str(python.parent.parent)})
    _run([str(python), "-m", "compileall", "-q", packages, str(ROOT / "src"), str(PROGRAMS)])


def _compile(name: str, *, static: bool = False) -> Path:
    program = BUILD / "bench" / name
    program.parent.mkdir(parents=True, exist_ok=True)
    compiler = shutil.which("cc")
    if compiler is None:
        raise Unavailable("cannot compile the C programs: there is no cc; install a C compiler")
    command = [compiler, "-O2", "-Wall", "-o", str(program), str(PROGRAMS / f"{name}.c")]
    if static:
        try:
            _run([*command, "-static"])
        except Unavailable:
            pass  # there is no static C library: then its first instruction comes a little later for everybody
        else:
            return program
    _run(command)
    return program


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, env=_environment_of_tools(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unavailable(f"cannot run {' '.join(command)}:\n{done.stdout}{done.stderr}")


def _environment_of_tools() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
