"""What `numen detach` imports: a person waits for every module. How long that takes is measured by `make bench`."""

import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from processes import numen_command

COSTLY = (
    "argparse",
    "asyncio",
    "ctypes",
    "dataclasses",
    "enum",
    "inspect",
    "json",
    "logging",
    "pathlib",
    "re",
    "selectors",
    "shutil",
    "socket",
    "subprocess",
    "tempfile",
    "threading",
    "typing",
)
"""Each takes a millisecond or more, or brings one that does."""

MODULES_OF_NUMEN = 40
"""How many of numen's own may be imported; each takes a tenth of a millisecond."""

DETACH = (numen_command(), "detach", "--", "true")


def imported_by(*argv: str | Path) -> frozenset[str]:
    """The modules that a Python program imports in all its processes, beyond those of an empty program."""
    return _imported(*argv) - _imported("-c", "pass")


@cache
def _imported(*argv: str | Path) -> frozenset[str]:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *argv],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    return frozenset(line.rpartition("|")[2].strip() for line in lines[1:])


@pytest.mark.parametrize("module", COSTLY)
def test_numen_detach_does_not_import(module: str) -> None:
    assert module not in imported_by(*DETACH)


def test_numen_detach_imports_few_modules_of_its_own() -> None:
    own = {module for module in imported_by(*DETACH) if module.partition(".")[0] == "numen"}

    assert "numen.become.launch" in own
    assert len(own) <= MODULES_OF_NUMEN, sorted(own)


def test_numen_itself_imports_nothing() -> None:
    assert imported_by("-c", "import numen") == {"numen"}
