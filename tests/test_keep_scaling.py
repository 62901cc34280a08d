"""What changes a person's file and what is kept of it: scale, enable and disable; and down without a supervisor."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from keeping import call, numen, pid_of, states
from numen.cli import kept
from numen.keep.definitions.starting import set_start
from processes import run_numen

pytestmark = pytest.mark.once

SET = """\
[daemon.web]
command = ["sleep", "1000"]
after = ["worker"]

# those who work
[daemon.worker]
command = ["sleep", "1000"]
instances = 2  # one a processor
"""


@pytest.fixture
def file(public_path: Path) -> Iterator[Path]:
    """A set that is applied; whatever a test has started is ended with the supervisor."""
    path = public_path / "numen.toml"
    path.write_text(SET)
    path.chmod(0o640)
    numen("apply", "--quiet", path)
    yield path
    assert run_numen("shutdown", "--quiet").returncode in (0, 7)


def after(name: str) -> list[str]:
    return list(call("Describe", name=name)["definition"].get("after", []))


def test_instances_come_and_go_and_nobody_else_is_touched(file: Path) -> None:
    pids = {name: pid_of(name) for name in ("web", "worker@1", "worker@2")}
    # What else has changed in the file waits for an apply.
    file.write_text(SET.replace('"1000"', '"2000"'))

    numen("scale", "--quiet", "worker=3")
    assert set(states()) == {*pids, "worker@3"}
    assert {name: pid_of(name) for name in pids} == pids
    assert after("web") == ["worker@1", "worker@2", "worker@3"]
    text = file.read_text()
    assert "instances = 3  # one a processor" in text
    assert "# those who work" in text
    assert file.stat().st_mode & 0o777 == 0o640

    assert json.loads(numen("scale", "--json", "--dry-run", "worker=1").split("\n")[0])["changes"]["removed"]
    assert file.read_text() == text
    numen("scale", "worker=1", cwd=file.parent)
    assert set(states()) == {"web", "worker@1"}
    assert {name: pid_of(name) for name in ("web", "worker@1")} == {name: pids[name] for name in ("web", "worker@1")}
    numen("scale", "--quiet", "worker=0")
    numen("scale", "--quiet", "worker=1", cwd=file.parent)
    assert set(states()) == {"web", "worker@1"}

    numen("start", "--quiet", "--name", "own", "--", "sleep", "1000")
    before = file.read_text()
    for word, words, status in (
        ("web=2", "[daemon.web]", 6),
        ("own=2", "numen.toml", 6),
        ("wurker=2", "no daemon 'wurker'", 6),
        ("worker@1=2", "instances of worker", 6),
        ("worker=-1", "numen scale worker=4", 2),
    ):
        assert words in numen("scale", word, status=status, cwd=file.parent)
    procfile = file.parent / "Procfile"
    procfile.write_text("web: sleep 1000\n")
    assert "Procfile" in numen("scale", "--file", procfile, "web=2", status=6)
    other = file.parent / "other.toml"
    other.write_text(SET.replace("worker", "sweeper").replace("web", "shop"))
    assert f"numen apply {other}" in numen("scale", "--file", other, "sweeper=3", status=6)
    assert file.read_text() == before


def test_what_is_disabled_stays_so_with_the_next_apply(file: Path) -> None:
    said = numen("disable", "web", "worker")
    assert f"web will not be started with the supervisor, also by {file}" in said
    assert file.read_text().count("start = false") == 2
    assert "name them all" in numen("enable", "worker@1", status=6)
    assert "3 unchanged" in numen("apply", file)
    numen("enable", "--quiet", "*")
    assert "start = false" not in file.read_text()
    assert "3 unchanged" in numen("apply", file)
    assert "comes back" in numen("remove", "web")


@pytest.mark.parametrize(
    ("text", "name", "said", "written"),
    [
        ("[daemon.a]\nstart = true\n", "a", ", also by", "[daemon.a]\nstart = false\n"),
        ("[defaults]\nstart = false\n[daemon.a]\n", "a", ", also by", None),
        ("[daemon.a]\ninstances = 2\n", "a@2", ", also by", "[daemon.a]\nstart = false\ninstances = 2\n"),
        ("[daemon.b]\n", "a", "", None),
        ("[daemon.a\n", "a", "until the next numen apply", None),
    ],
)
def test_start_is_set_where_it_stands(text: str, name: str, said: str, written: str | None, tmp_path: Path) -> None:
    path = tmp_path / "numen.toml"
    path.write_text(text)
    path.chmod(0o600)

    assert said in set_start(str(path), name, start=False)
    assert path.read_text() == (text if written is None else written)


def test_down_brings_nobody_back_to_end_him(file: Path) -> None:
    numen("start", "--quiet", "--name", "own", "--", "sleep", "1000")
    numen("shutdown", "--quiet", "--leave")
    assert "numen supervisor" in numen("down", file, status=7)
    numen("supervisor", "--quiet")
    numen("shutdown", "--quiet")

    assert "- worker@1" in numen("down", "--dry-run", file)
    assert len(kept.defined()) == 4
    numen("down", file)
    assert kept.defined() == ["own"]
    assert run_numen("status").returncode
    numen("supervisor", "--quiet")
    assert set(states()) == {"own"}
