"""`numen check`: every mistake in definitions, as a person or a program asks for it."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from numen.keep.definitions.checking import Checked, check
from processes import run_numen

TRUE = 'command = ["/bin/true"]\n'


@pytest.fixture
def project(public_path: Path) -> Path:
    return public_path


def write(path: Path, text: str | bytes) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.chmod(0o644)
    return path


def numen_check(*arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    return run_numen("check", *arguments, **options)


def outcome(done: subprocess.CompletedProcess[str]) -> tuple[int, str, str]:
    return done.returncode, done.stdout, done.stderr


# Whom


def test_a_set_in_which_all_is_well(project: Path) -> None:
    write(project / "numen.toml", f"[daemon.web]\n{TRUE}[daemon.db]\n{TRUE}")

    assert outcome(numen_check(cwd=project)) == (0, "2 daemons are defined\n", "")
    assert outcome(numen_check("--quiet", "numen.toml", cwd=project)) == (0, "", "")


def test_every_mistake_of_a_set_is_a_line_with_its_place(project: Path) -> None:
    path = write(project / "numen.toml", f"[daemon.web]\n{TRUE}nise = 3\n  log.keep = 0\n")

    for told, done in (("numen.toml", numen_check(cwd=project)), (str(path), numen_check(path))):
        lines = [
            f"{told}:3:1: daemon.web.nise: there is no such key; did you mean nice?\n",
            f"{told}:4:7: daemon.web.log.keep: 0 is no whole number from 1 to 1000\n",
        ]
        assert outcome(done) == (2, "".join(lines), "")


def test_a_set_may_have_another_name_and_an_empty_one_defines_nothing(project: Path) -> None:
    staging = write(project / "staging.toml", f"[daemon.web]\n{TRUE}")
    empty = write(project / "numen.toml", "")

    assert numen_check(staging).stdout == "1 daemon is defined\n"
    assert numen_check(empty).stdout == "0 daemons are defined\n"


def test_one_definition_is_checked(project: Path) -> None:
    path = write(project / "web.toml", f"{TRUE}nice = 40\n")
    assert numen_check(path).stdout == f"{path}:2:1: nice: 40 is no whole number from -20 to 19\n"

    write(path, TRUE)
    assert outcome(numen_check(path)) == (0, "1 daemon is defined\n", "")


def test_a_definition_without_a_command_is_told_at_its_beginning(project: Path) -> None:
    path = write(project / "web.toml", "\nnice = 4\n")

    assert numen_check(path).stdout.startswith(f"{path}:1:1: command: it is missing")


def test_a_definition_whose_file_has_no_name_of_a_daemon_is_told(project: Path) -> None:
    path = write(project / "-web.toml", TRUE)

    assert f"{path}:1:1: '-web' is no name" in numen_check(path).stdout


def test_a_directory_is_checked_with_all_its_definitions(project: Path) -> None:
    directory = project / "daemons.d"
    write(directory / "api.toml", TRUE)
    write(directory / "bad.toml", "command = 1\n")
    write(directory / "worse.toml", "command = [\n")
    write(directory / ".hidden.toml", "command = [\n")
    write(directory / "README", "no definition")

    done = numen_check(directory)
    assert done.returncode == 2
    assert [line.split(": ")[0] for line in done.stdout.splitlines()] == [
        f"{directory}/bad.toml:1:1",
        f"{directory}/worse.toml:1:12",
    ]


def test_without_a_file_the_definitions_of_the_user_are_checked(project: Path, numen_home: Path) -> None:
    assert outcome(numen_check(cwd=project)) == (0, "0 daemons are defined\n", "")

    path = write(numen_home / "daemons.d" / "web.toml", f"{TRUE}umsk = '022'\n")
    assert numen_check(cwd=project).stdout.startswith(f"{path}:2:1: umsk: ")


# What cannot be checked


def test_a_file_that_is_missing_ends_it_with_a_status_of_its_own(project: Path) -> None:
    status, printed, complaint = outcome(numen_check(project / "gone.toml"))

    assert (status, printed) == (6, "")
    assert complaint.startswith(f"numen check: cannot read the definition {project}/gone.toml: No such file")


def test_a_file_that_others_can_write_is_told_among_the_others_and_the_highest_status_counts(project: Path) -> None:
    directory = project / "daemons.d"
    write(directory / "open.toml", TRUE).chmod(0o666)
    write(directory / "wrong.toml", f"{TRUE}nice = 40\n")

    done = numen_check(directory)
    first, second = done.stdout.splitlines()
    assert done.returncode == 6
    assert first.startswith(f"{directory}/open.toml:1:1: cannot use the definition")
    assert "mode 0666" in first
    assert second.startswith(f"{directory}/wrong.toml:2:1: nice: ")


@pytest.mark.needs_user
def test_a_file_that_may_not_be_read_is_a_lack_of_permission(project: Path) -> None:
    write(project / "web.toml", TRUE).chmod(0)

    assert numen_check(project / "web.toml").returncode == 4


@pytest.mark.needs_root
def test_a_command_that_others_can_write_is_told_at_its_line(project: Path) -> None:
    program = write(project / "program", "")
    program.chmod(0o777)
    path = write(project / "web.toml", f'nice = 3\ncommand = ["{program}"]\n')

    done = numen_check(path)
    assert done.returncode == 2
    assert done.stdout.startswith(f"{path}:2:1: command: others can change {program} (mode 0777, ")


def test_several_files_are_a_bad_option() -> None:
    assert numen_check("a.toml", "b.toml").returncode == 2


# How


def test_programs_get_the_same_as_json(project: Path) -> None:
    path = write(project / "web.toml", f"{TRUE}nise = 4\n")
    done = numen_check("--json", path)

    message = "there is no such key; did you mean nice?"
    mistake = {"file": str(path), "line": 2, "column": 1, "key": "nise", "message": message}
    assert (done.returncode, json.loads(done.stdout)) == (2, {"daemons": [], "mistakes": [mistake]})


def test_what_stands_in_a_file_controls_no_terminal(project: Path) -> None:
    path = write(project / "web.toml", f'{TRUE}"\\u001b[2J\\n" = 4\n')

    (line,) = numen_check(path).stdout.splitlines()
    assert "\x1b" not in line


def test_nothing_is_changed(project: Path, numen_home: Path) -> None:
    path = write(project / "numen.toml", f"[daemon.web]\n{TRUE}")
    before = os.stat(path)

    numen_check(path)

    after = os.stat(path)
    assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)
    assert list(numen_home.iterdir()) == []
    assert list(project.iterdir()) == [path]


# Any file


WORDS = st.sampled_from(
    [
        "[daemon.a]",
        "[defaults]",
        "\n",
        "\r\n",
        TRUE,
        "nice = 3\n",
        "nise = 3\n",
        "[",
        "]",
        "=",
        '"',
        "'''",
        "{",
        "}",
        "#",
    ]
)


@pytest.mark.fuzz
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.binary(max_size=80) | st.lists(WORDS, max_size=15).map("".join).map(str.encode),
    name=st.sampled_from(["numen", "web"]),
)
def test_whatever_a_file_holds_it_is_well_or_each_mistake_has_a_place_in_it(
    project: Path, content: bytes, name: str
) -> None:
    path = write(project / f"{name}.toml", content)

    checked = check(str(path))

    assert isinstance(checked, Checked)
    lines = content.replace(b"\r\n", b"\n").split(b"\n")
    for one in checked.mistakes:
        assert one.file == str(path)
        assert 1 <= one.line <= len(lines)
        assert 1 <= one.column <= len(lines[one.line - 1]) + 2
    if checked.mistakes:
        assert checked.daemons == ()
