"""Which pidfiles are meant for a process."""

import os
import stat
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import observe
from numen.check.machine import Machine
from numen.check.pidfiles import Pidfiles, look
from processes import Reaper


@pytest.fixture
def run_path(numen_home: Path) -> Path:
    """The test's own XDG_RUNTIME_DIR, one of the usual places."""
    return Path(os.environ["XDG_RUNTIME_DIR"])


def paths(pid: int, comm: str, pids: tuple[int, ...] = ()) -> list[str]:
    return [one.path for one in Pidfiles(Machine()).of(pid, comm, pids)]


def gone() -> int:
    """The pid of a process that has ended."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_a_pidfile_that_names_the_process_is_meant_for_it(run_path: Path) -> None:
    path = run_path / "other-name.pid"
    path.write_text(f"{os.getpid()}\n")
    path.chmod(0o644)

    found = Pidfiles(Machine()).of(os.getpid(), "pytest")

    assert [one.path for one in found] == [str(path)]
    assert (found[0].content, found[0].uid) == (str(os.getpid()), os.geteuid())
    assert stat.S_IMODE(found[0].mode) == 0o644


def test_one_directory_below_is_looked_at_too_and_none_deeper(run_path: Path) -> None:
    (run_path / "one/two").mkdir(parents=True)
    for place in ("one/a.pid", "one/two/b.pid", "c.txt"):
        (run_path / place).write_text(str(os.getpid()))

    assert paths(os.getpid(), "pytest") == [str(run_path / "one/a.pid")]


def test_one_of_its_name_that_names_nobody_alive_is_meant_for_it(run_path: Path) -> None:
    path = run_path / "thing.pid"
    path.write_text(str(gone()))

    assert paths(os.getpid(), "thing") == [str(path)]
    assert paths(os.getpid(), "another") == []


@pytest.mark.parametrize("content", ["", "nonsense", "-1", "0", "99999999999"])
def test_one_of_its_name_without_a_pid_is_meant_for_it(run_path: Path, content: str) -> None:
    path = run_path / "thing.pid"
    path.write_text(content)

    found = Pidfiles(Machine()).of(os.getpid(), "thing")

    assert [(one.path, one.content) for one in found] == [(str(path), content)]


def test_one_of_its_name_that_names_another_alive_is_the_others(run_path: Path, reaper: Reaper) -> None:
    other = reaper.start(["sleep", "1000"])
    (run_path / "thing.pid").write_text(str(other.pid))

    assert paths(os.getpid(), "thing") == []
    assert paths(other.pid, "sleep") == [str(run_path / "thing.pid")]


def test_one_that_names_it_by_its_pid_in_a_container_is_meant_for_it(run_path: Path) -> None:
    path = run_path / "thing.pid"
    path.write_text("4194000")

    assert paths(os.getpid(), "pytest", pids=(os.getpid(), 4194000)) == [str(path)]


def test_one_from_elsewhere_can_be_told_of(tmp_path: Path) -> None:
    path = tmp_path / "told"
    path.write_text(str(os.getpid()))

    found = Pidfiles(Machine(), (str(path),)).of(os.getpid(), "pytest")

    assert [one.path for one in found] == [str(path)]


def test_a_fifo_or_a_directory_is_none_and_nobody_waits(run_path: Path) -> None:
    os.mkfifo(run_path / "thing.pid")
    (run_path / "other.pid").mkdir()
    (run_path / "dangling.pid").symlink_to("nowhere")

    assert paths(os.getpid(), "other") == []
    assert paths(os.getpid(), "dangling") == []
    assert look(str(run_path / "other.pid")) is None
    assert look(str(run_path / "missing.pid")) is None
    found = Pidfiles(Machine()).of(os.getpid(), "thing")
    assert [one.content for one in found] == [""]


@pytest.mark.needs_user
def test_one_that_may_not_be_read_is_none(run_path: Path) -> None:
    path = run_path / "thing.pid"
    path.write_text("1")
    path.chmod(0)

    assert look(str(path)) is None
    assert paths(1, "thing") == []


def test_a_place_that_others_may_change_is_told(tmp_path: Path) -> None:
    for name, mode in (("open", 0o777), ("own", 0o755)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.pid").write_text("1")
        (tmp_path / name).chmod(mode)

    places = [look(str(tmp_path / name / "a.pid")) for name in ("open", "own")]

    assert [one.is_trusted_place for one in places if one] == [False, True]


def test_only_the_first_line_is_kept_and_cut(run_path: Path) -> None:
    path = run_path / "thing.pid"
    path.write_bytes(b"\n " + b"\xff" * 3 + b"x" * 100 + b"\nsecond")

    found = look(str(path))

    assert found is not None
    assert found.content.startswith("\\xff\\xff\\xffxxx")
    assert "second" not in found.content
    assert len(found.content) < 100


@given(st.binary(max_size=80))
def test_any_bytes_are_a_pidfile_or_none(content: bytes) -> None:
    path = Path(os.environ["XDG_RUNTIME_DIR"], "thing.pid")
    path.write_bytes(content)

    found = look(str(path))

    assert found is not None
    assert found.content.isprintable()
    assert "\n" not in found.content


def test_nothing_stays_open(run_path: Path) -> None:
    (run_path / "thing.pid").write_text("1")
    (run_path / "other.pid").mkdir()
    before = observe.look(os.getpid()).descriptors

    paths(1, "thing")

    assert observe.look(os.getpid()).descriptors.keys() == before.keys()
