"""What an administrator or a full disk does to a log delays no daemon, and what is lost is counted and told."""

import os
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from log_moving import Moving, slowest_write, until
from numen.keep.logs.settings import Lost
from processes import Reaper

NOTE = re.compile(rb"(?:\d{4}-\S+Z )?\[numen: (\d+) bytes in (\d+) lines were lost: ([^\]]+)\]\n")

PATIENCE = 0.1
"""Seconds that no write of a daemon's may take."""

TRIES = 3
"""A machine under load may delay a write for reasons of its own, but not each time."""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "numen-test", place], check=True)
    yield place
    subprocess.run(["umount", place], check=True)


def test_a_log_that_an_administrator_truncates_goes_on_at_its_end(tmp_path: Path) -> None:
    with Moving(tmp_path) as moving:
        moving.write(b"before\n")
        moving.flush()
        os.truncate(moving.path, 0)
        moving.write(b"after\n")
        moving.flush()
        assert moving.path.read_bytes() == b"after\n"

        moving.path.write_bytes(b"something else\n")
        moving.write(b"and more\n")
        moving.flush()
        assert moving.path.read_bytes() == b"something else\nand more\n"


@pytest.mark.parametrize("stamped", [False, True], ids=["unstamped", "stamped"])
def test_a_log_that_was_removed_or_renamed_is_made_anew(tmp_path: Path, stamped: bool) -> None:
    with Moving(tmp_path, timestamps=stamped) as moving:
        for act in (
            lambda: moving.path.unlink(),
            lambda: moving.path.rename(moving.path.with_suffix(".old")),
            lambda: shutil.rmtree(moving.path.parent),
            lambda: moving.path.parent.rename(tmp_path / "old"),
        ):
            moving.write(b"before\n")
            moving.flush()
            act()
            moving.write(b"after\n")
            moving.flush()
            assert moving.lines() == [b"after"]
            shutil.rmtree(moving.path.parent)
        assert moving.mover.lost("web") == Lost()
        assert moving.told == []


def test_something_else_in_the_place_of_the_log_is_told_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "log/web.log").mkdir(parents=True)
    with Moving(tmp_path) as moving:
        moving.write(b"kept while there is room\n")
        assert "Is a directory" in moving.wait_for_told("cannot write")
        moving.path.rmdir()
        moving.wait_for_told("is written again; 0 bytes in 0 lines were lost")
        assert moving.path.read_bytes() == b"kept while there is room\n"


def test_a_fifo_in_the_place_of_the_log_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    os.mkfifo(tmp_path / "log/web.log")
    with Moving(tmp_path) as moving:
        moving.write(b"line\n")
        assert "it is no regular file" in moving.wait_for_told("cannot write")


@pytest.mark.needs_root
@pytest.mark.parametrize("stamped", [False, True], ids=["unstamped", "stamped"])
def test_a_full_disk_delays_no_write_and_what_is_lost_is_told(tmp_path: Path, small_disk: Path, stamped: bool) -> None:
    filler = small_disk / "filler"
    for attempt in range(1, TRIES + 1):
        place = tmp_path / str(attempt)
        place.mkdir()
        filler.write_bytes(b"x" * 900_000)
        with Moving(place, log=small_disk / "log", timestamps=stamped, size=2**30) as moving:
            slowest, written = slowest_write(moving.fifo(), seconds=1.5)
            assert "No space left on device" in moving.wait_for_told("cannot write")
            lost = moving.mover.lost("web")
            assert lost.lines > 0
            # A last line shows whether the disk has room again.
            moving.write(b"again\n")
            filler.unlink()
            subprocess.run(["mount", "-o", "remount,size=64m", small_disk], check=True)
            moving.flush()
            lost = moving.mover.lost("web")
            assert f"{lost.bytes} bytes in {lost.lines} lines were lost" in moving.wait_for_told("is written again")
            check_the_account(moving.path.read_bytes(), written + len(b"again\n"), lost, stamped=stamped)
        subprocess.run(["mount", "-o", "remount,size=1m", small_disk], check=False)
        shutil.rmtree(small_disk / "log")
        if slowest < PATIENCE:
            break
    assert slowest < PATIENCE


def check_the_account(log: bytes, written: int, lost: Lost, *, stamped: bool) -> None:
    """What is in the log and what was lost are together what was written."""
    notes = list(NOTE.finditer(log))
    assert sum(int(note[1]) for note in notes) == lost.bytes
    assert sum(int(note[2]) for note in notes) == lost.lines
    assert all(note[3] in (b"No space left on device", b"File too large") for note in notes)
    assert log.endswith(b"again\n")
    text = NOTE.sub(b"", log)
    lines = text.split(b"\n")[:-1]
    if stamped:
        lines = [re.sub(rb"^\d{4}-\S+Z ", b"", line) for line in lines]
    # Where the log was amidst a line when something was lost, a line end stands before the note.
    pieces = [line for line in lines if line not in (b"x" * 63, b"again")]
    assert len(pieces) <= 2 * len(notes)
    assert abs(sum(len(line) + 1 for line in lines) + lost.bytes - written) <= len(notes)


LIMITED = textwrap.dedent(
    """
    import os, resource, signal, sys
    from numen.keep.logs.mover import Mover
    from numen.keep.logs.settings import LogSettings

    fifo, path = sys.argv[1:]
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    mover = Mover(lambda line: print(line, flush=True))
    mover.add("web", os.open(fifo, os.O_RDWR | os.O_NONBLOCK), LogSettings(path=path))
    print("ready", flush=True)
    signal.pause()
    """
)


def test_a_file_that_may_not_grow_delays_no_write(tmp_path: Path, reaper: Reaper) -> None:
    fifo, path = tmp_path / "fifo", tmp_path / "web.log"
    os.mkfifo(fifo)
    keeper = os.open(fifo, os.O_RDWR)
    mover = reaper.start([sys.executable, "-c", LIMITED, fifo, path], stdout=subprocess.PIPE)
    assert mover.stdout is not None
    assert mover.stdout.readline() == "ready\n"
    slowest = min(slowest_write(fifo, seconds=0.5)[0] for _ in range(TRIES))
    assert slowest < PATIENCE
    assert "File too large" in mover.stdout.readline()
    assert path.stat().st_size == 100_000

    os.truncate(path, 0)
    os.write(keeper, b"again\n")
    assert "is written again" in mover.stdout.readline()
    seen = b""

    def goes_on() -> bool:
        nonlocal seen
        seen += path.read_bytes()
        os.truncate(path, 0)  # the pipe may hold more than the file may
        return seen.endswith(b"again\n")

    until(goes_on, "the log goes on")
    assert NOTE.search(seen)
    os.close(keeper)


@pytest.mark.parametrize(
    "line",
    [b"x" * 4096, bytes(range(256)), b"\xff\xfe\xc3\x28\n", b"\n", b"x" * 63 + b"\n"],
    ids=["no line end", "binary", "invalid UTF-8", "empty lines", "lines"],
)
@pytest.mark.parametrize("stamped", [False, True], ids=["unstamped", "stamped"])
def test_no_kind_of_output_delays_a_write(tmp_path: Path, line: bytes, stamped: bool) -> None:
    with Moving(tmp_path, size=1_000_000, timestamps=stamped) as moving:
        for _ in range(TRIES):
            # A stamped line is 25 bytes longer: a million empty ones a second is plenty.
            slowest, _ = slowest_write(moving.fifo(), seconds=0.3, line=line, rate=1e6 if line == b"\n" else 10e6)
            if slowest < PATIENCE:
                break
        assert slowest < PATIENCE
        moving.flush()
        assert moving.mover.lost("web") == Lost()
        assert moving.told == []


def test_what_happens_to_the_files_delays_no_write(tmp_path: Path, reaper: Reaper) -> None:
    for _ in range(TRIES):
        with Moving(tmp_path, size=200_000) as moving:
            ravage = reaper.start(
                ["sh", "-c", f"while :; do rm -rf {moving.path.parent}; : >{moving.path}; done"],
                stderr=subprocess.DEVNULL,
            )
            slowest, _ = slowest_write(moving.fifo(), seconds=1.0)
            ravage.kill()
            ravage.wait()
            moving.flush()
        os.unlink(moving.fifo())
        if slowest < PATIENCE:
            break
    assert slowest < PATIENCE


def test_what_was_lost_is_told_though_the_daemon_is_silent_by_then(tmp_path: Path) -> None:
    (tmp_path / "log/web.log").mkdir(parents=True)
    with Moving(tmp_path) as moving:
        slowest_write(moving.fifo(), seconds=0.5)
        lost = moving.mover.lost("web")
        assert lost.lines > 0
        moving.path.rmdir()
        moving.wait_for_told(f"{lost.bytes} bytes in {lost.lines} lines were lost")
        moving.flush()
        assert NOTE.match(moving.path.read_bytes())
        assert moving.path.read_bytes().endswith(b"x\n"), "the newest lines are kept"
