"""Procfiles: a line is a daemon, run by a shell where the file is."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from numen.errors import BadDefinition
from numen.keep.definitions.procfile import from_text
from processes import run_numen

pytestmark = pytest.mark.once


def commands(text: str) -> dict[str, str]:
    return {name: one.command[2] for name, one in from_text(text.encode(), "/srv/Procfile").items()}


def mistakes(text: str | bytes) -> list[tuple[int, int, str]]:
    with pytest.raises(BadDefinition) as caught:
        from_text(text if isinstance(text, bytes) else text.encode(), "Procfile")
    error = caught.value
    return [(line, column, key) for (_, line, column), (key, _) in zip(error.places, error.mistakes, strict=True)]


def test_each_line_is_a_daemon_with_a_port_of_its_own() -> None:
    found = from_text(b"# a comment\n\nweb: gunicorn -b :$PORT app\r\nworker:celery worker", "/srv/shop/Procfile")

    assert list(found) == ["web", "worker"]
    web, worker = found.values()
    assert web.command == ("/bin/sh", "-c", "exec gunicorn -b :$PORT app")
    assert web.directory == "/srv/shop"
    assert web.environment_files == ("-/srv/shop/.env",)
    assert web.restart == "on-failure"
    assert [one.environment for one in (web, worker)] == [{"PORT": "5000"}, {"PORT": "5100"}]


@pytest.mark.parametrize(
    "command",
    ["cd web && ./server", "A=1 server", "one | two", "one; two", "one &", "(one)", ". ./env", "exec one", "$ONE two"],
)
def test_what_a_shell_has_to_stay_for_it_stays_for(command: str) -> None:
    assert commands(f"web: {command}") == {"web": command}


@pytest.mark.parametrize("command", ["server", "bin/server --port $PORT > log 2> err", "./a-b 'c d'", '/bin/a "$B"'])
def test_one_program_takes_the_place_of_the_shell(command: str) -> None:
    assert commands(f"web: {command}") == {"web": f"exec {command}"}


def test_every_mistake_is_told_with_its_line() -> None:
    text = "web: a\nno line\nweb: b\nnumen: c\nworker:\na b: c\n"

    assert mistakes(text) == [(2, 1, ""), (3, 1, "web"), (4, 1, "numen"), (5, 8, "worker"), (6, 1, "a b")]
    assert mistakes(b"web: a\n\xff") == [(2, 1, "")]


@pytest.mark.fuzz
@given(st.text("ab:# \n\0'|;=é") | st.binary())
def test_whatever_a_file_holds_it_is_a_procfile_or_all_that_is_wrong_is_told(text: str | bytes) -> None:
    content = text if isinstance(text, bytes) else text.encode()
    lines = [line for _, line, _ in places_in(content)]
    assert lines == sorted(lines)
    assert all(1 <= line <= content.count(b"\n") + 1 for line in lines)


def places_in(content: bytes) -> tuple[tuple[str, int, int], ...]:
    """Where there is a mistake; whatever else goes wrong is an error."""
    try:
        from_text(content, "Procfile")
    except BadDefinition as error:
        return error.places if len(error.places) == len(error.mistakes) > 0 else (("", 0, 0),)
    return ()


def test_check_reads_a_procfile(public_path: Path) -> None:
    path = public_path / "Procfile"
    path.write_text("web: sleep 1000\nworker: sleep 1000\n")
    path.chmod(0o644)

    done = run_numen("check", "--json", cwd=public_path)
    assert (done.returncode, json.loads(done.stdout)) == (0, {"daemons": ["web", "worker"], "mistakes": []})
    path.write_text("web sleep 1000\n")
    done = run_numen("check", public_path)
    assert (done.returncode, done.stdout.partition(": ")[0]) == (2, f"{path}:1:1")
