"""The rules of the house that no linter knows."""

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

from processes import ROOT

SELF_RELIANT = ("become", "kernel", "settings")
"""The rooms that import the standard library alone: a daemon must start where nothing else is installed."""

# Each is written in two halves, so that this file does not break the rule itself.
PRIVATE_WORDS = ("farm" + "-studio", "farm" + "-bench")
PRIVATE_PLACES = re.compile(rf"(?<![\w.~$}}-])/(?:{'wo' + 'rk'}|{'ro' + 'ot'})/")
PAUSE = re.compile("sle" + r"ep\((?!0\))")


@cache
def own_files() -> tuple[Path, ...]:
    """The files of the project: those that git tracks, or would if they were added."""
    if (ROOT / ".git").exists() and shutil.which("git"):
        command = [
            "git",
            "-c",
            "safe.directory=*",
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ]
        names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        found = [ROOT / name for name in names.split("\0") if name]
    else:
        ignored = {line.strip("/") for line in (ROOT / ".gitignore").read_text().splitlines()} | {".git"}
        found = [path for path in ROOT.rglob("*") if not ignored & set(path.relative_to(ROOT).parts)]
    return tuple(sorted(path for path in found if path.is_file() and not path.is_symlink()))


def modules(directory: str = "") -> list[Path]:
    return [path for path in own_files() if path.suffix == ".py" and path.is_relative_to(ROOT / directory)]


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_every_module_says_first_what_lives_in_it() -> None:
    silent = [named(path) for path in modules() if not ast.get_docstring(ast.parse(path.read_bytes()))]

    assert silent == []


@pytest.mark.parametrize("room", SELF_RELIANT)
def test_the_ground_imports_the_standard_library_alone(room: str) -> None:
    known = sys.stdlib_module_names | {"numen"}
    inside = modules(f"src/numen/{room}")

    assert inside
    assert [
        f"{named(path)}: {name}" for path in inside for name in imported(path) if name.split(".")[0] not in known
    ] == []


def imported(path: Path) -> Iterator[str]:
    """The modules that the file imports by their full names, within functions too."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module or ""


def test_no_test_waits_for_a_guessed_time() -> None:
    guessed = [
        f"{named(path)}: {line.strip()}"
        for path in modules("tests")
        for before, line in pairwise(["", *path.read_text().splitlines()])
        if PAUSE.search(line) and not is_no_guess(before, line)
    ]

    assert guessed == []


def is_no_guess(before: str, line: str) -> bool:
    """Whether a pause is one between two looks, one for ever, or one whose length is what is tested."""
    # In the text, not in the syntax: what a test has a child do is a string.
    between_looks = any("while " in one or "def wait_for" in one for one in (before, line))
    return between_looks or "(1000)" in line or "the length is the point" in line or "(pause)" in line


def test_no_file_names_the_machine_it_was_written_on() -> None:
    texts = {named(path): path.read_bytes().decode(errors="replace") for path in own_files()}

    assert [(name, word) for name, text in texts.items() for word in PRIVATE_WORDS if word in text] == []
    assert [(name, PRIVATE_PLACES.findall(text)) for name, text in texts.items() if PRIVATE_PLACES.search(text)] == []
