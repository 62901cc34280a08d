"""`python -m numen.pep3143 PROGRAM ARGS...` runs a program that was written for python-daemon, unchanged."""

from __future__ import annotations

import os
import runpy
import shutil
import sys

from ..become.program import program_name
from ..errors import DaemonError
from . import install, switches
from .lock_errors import LockError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

USAGE = """\
usage: python -m numen.pep3143 PROGRAM [ARG...]
       python -m numen.pep3143 -m MODULE [ARG...]

Run a Python program with numen's modules in the place of python-daemon's. PROGRAM is a file,
or else the name of a command on PATH. The variable NUMEN_PEP3143 sets switches, such as
NUMEN_PEP3143=umask=0,sigterm=1; `classic` sets all of them to python-daemon's own way.
"""


def main() -> None:
    """Run what the command line names, as the main program."""
    words = sys.argv[1:]
    if words and words[0] in ("-h", "--help"):
        print(USAGE, end="")
        return
    is_module = words[:1] == ["-m"]
    argv = words[1:] if is_module else words
    if not argv or argv[0].startswith("-"):
        _refuse(USAGE)
    try:
        switches.current()
    except DaemonError as error:
        _refuse(f"python -m numen.pep3143: {error}\n")
    install()
    try:
        run = _run_module if is_module else _run_program
        run(argv)
    except LockError as error:
        # An everyday refusal, which needs no traceback.
        sys.exit(f"{program_name()}: {error}")


def _run_module(argv: list[str]) -> None:
    sys.argv = argv
    runpy.run_module(argv[0], run_name="__main__", alter_sys=True)


def _run_program(argv: list[str]) -> None:
    program = _find(argv[0])
    sys.argv = [program, *argv[1:]]
    if not sys.flags.safe_path:
        # What `python -m` put first is the working directory; a program's own directory belongs there.
        sys.path[0] = os.path.dirname(os.path.realpath(program))
    runpy.run_path(program, run_name="__main__")


def _find(program: str) -> str:
    """The program's file: where it says, or on PATH."""
    found = program if os.path.exists(program) else shutil.which(program)
    if found is None:
        _refuse(f"python -m numen.pep3143: cannot run {program}: there is no such file or command\n")
    return found


def _refuse(text: str) -> NoReturn:
    sys.stderr.write(text)
    sys.exit(2)


if __name__ == "__main__":
    main()
