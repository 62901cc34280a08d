"""`numen init`: a numen.toml that can be used as it stands, and never in the place of another."""

from pathlib import Path

import pytest

from numen.keep.definitions import procfile, sets
from numen.keep.definitions.beginning import text
from processes import run_numen

pytestmark = pytest.mark.once


def written(place: Path, **files: str) -> sets.DaemonSet:
    for name, content in files.items():
        path = place / name.replace("_json", ".json").replace("_py", ".py")
        path.write_text(content)
        path.chmod(0o644)
    return sets.from_text(text(str(place)).encode(), str(place / "numen.toml"))


def test_the_example_can_be_used_as_it_stands(public_path: Path) -> None:
    found = written(public_path)

    assert [(name, one.command[1:3]) for name, one in found.definitions.items()] == [("web", ("-m", "http.server"))]


def test_a_procfile_and_what_is_made_of_it_mean_the_same(public_path: Path) -> None:
    lines = "web: bin/web \"a b\" '\\d' \\\n\u00fc.x: cd x && ./y\x7f\n"
    found = written(public_path, Procfile=lines)

    assert found.definitions == procfile.from_text(lines.encode(), str(public_path / "Procfile"))


def test_django_runs_with_the_python_of_the_project(public_path: Path) -> None:
    assert written(public_path, manage_py="").definitions["web"].command[0].endswith("/python3")

    (public_path / ".venv/bin").mkdir(parents=True)
    (public_path / ".venv/bin/python").touch(0o755)
    assert written(public_path).definitions["web"].command[:2] == (f"{public_path}/.venv/bin/python", "manage.py")


@pytest.mark.parametrize(
    ("content", "is_npm"),
    [('{"scripts": {"start": "node ."}}', True), ('{"scripts": []}', False), ("{", False), ("[" * 9999, False)],
)  # fmt: skip
def test_npm_runs_what_can_be_started(public_path: Path, content: str, is_npm: bool) -> None:
    (public_path / "package.json").write_text(content)

    assert ('["npm", "start"]' in text(str(public_path))) == is_npm


def test_a_file_that_is_there_stays_as_it_is(public_path: Path) -> None:
    printed = run_numen("init", "--print", cwd=public_path)
    assert (printed.returncode, list(public_path.iterdir())) == (0, [])

    assert run_numen("init", cwd=public_path).returncode == 0
    file = public_path / "numen.toml"
    assert file.read_text() == printed.stdout
    file.write_text("# mine\n")
    done = run_numen("init", cwd=public_path)
    assert (done.returncode, done.stdout, file.read_text()) == (6, "", "# mine\n")
    assert "already" in done.stderr
