"""What the supervisors are measured with: the C programs, an environment with the Python rivals, those of Debian."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..workshop import BUILD, _compile, _run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RIVALS = ("supervisor==4.3.0", "circus==0.19.0")
"""On PyPI; exact, so that two runs compare the same."""

PLACES = "/usr/sbin:/sbin:/usr/bin:/bin:/usr/local/sbin:/usr/local/bin"


@dataclass(frozen=True)
class Tools:
    """What has been made."""

    rivals: Path
    """The directory with the commands of the Python rivals."""
    numen: str
    kept: Path
    """The C program that is kept: it says when it runs."""
    spawn_loop: Path
    flood: Path
    check_lines: Path


def prepare(numen: str, say: Callable[[str], object]) -> Tools:
    """Make what is missing or out of date. Raises Unavailable."""
    say("making build/supervisors-venv")
    rivals = _environment(BUILD / "supervisors-venv")
    say("compiling")
    return Tools(
        rivals=rivals / "bin",
        numen=numen,
        kept=_compile("kept", static=True),
        spawn_loop=_compile("spawn_loop", static=True),
        flood=_compile("flood", static=True),
        check_lines=_compile("check_lines"),
    )


def of_debian(command: str) -> str | None:
    """The path of a command, if it is installed."""
    return shutil.which(command, path=PLACES)


def _environment(home: Path) -> Path:
    mark = home / "made-of"
    made_of = "\n".join((sys.version, *RIVALS))
    if not mark.exists() or mark.read_text() != made_of:
        shutil.rmtree(home, ignore_errors=True)
        _run([sys.executable, "-m", "venv", "--without-pip", str(home)])
        pip = [sys.executable, "-m", "pip", "--python", str(home / "bin" / "python")]
        install = ["install", "-qq", "--disable-pip-version-check", "--root-user-action=ignore", "--compile"]
        _run([*pip, *install, *RIVALS])
        mark.write_text(made_of)
    return home
