"""A disk that does not answer delays no daemon whose log is elsewhere, and what waits for it comes later."""

import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from log_moving import Moving, slowest_write, until
from numen.keep.logs.settings import LogSettings, Lost
from processes import wait_for

pytestmark = pytest.mark.needs_root

PATIENCE = 0.1

TRIES = 3


class Disk:
    """A file system on a file, which can be made to hang."""

    def __init__(self, place: Path) -> None:
        self.place = place / "disk"
        self.place.mkdir()
        image = place / "image"
        with image.open("wb") as file:
            file.truncate(64 * 2**20)
        run("mkfs.ext4", "-q", "-F", image)
        run("mount", "-o", "loop", image, self.place)
        self.is_frozen = False

    def freeze(self) -> None:
        run("fsfreeze", "--freeze", self.place)
        self.is_frozen = True

    def thaw(self) -> None:
        if self.is_frozen:
            run("fsfreeze", "--unfreeze", self.place)
            self.is_frozen = False


def run(*command: str | Path) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=60)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    disk = Disk(tmp_path)
    yield disk
    disk.thaw()
    run("umount", disk.place)


def hang(moving: Moving, disk: Disk) -> None:
    """Freeze the disk, and have the mover stuck on it."""
    disk.freeze()
    moving.write(b"stuck\n")
    wait_for(lambda: moving.mover._hung.under(moving.mover._logs["web"]), 30, "the mover's first thread is stuck")


@pytest.mark.parametrize("stamped", [False, True], ids=["unstamped", "stamped"])
def test_another_log_is_moved_while_a_disk_hangs(tmp_path: Path, disk: Disk, stamped: bool) -> None:
    with Moving(tmp_path, log=disk.place / "log", timestamps=stamped) as moving:
        other = tmp_path / "log/other.log"
        moving.add("other", LogSettings(path=str(other)))
        moving.write(b"before\n")
        moving.flush()
        hang(moving, disk)
        slowest = min(slowest_write(moving.fifo("other"), seconds=0.5)[0] for _ in range(TRIES))
        assert slowest < PATIENCE
        moving.write(b"hello\n", "other")
        moving.flush("other")
        assert other.read_bytes().endswith(b"hello\n")
        assert not moving.mover.flush("web", 0.1)
        disk.thaw()
        moving.flush()
        assert moving.lines() == [b"before", b"stuck"]
        assert moving.mover.lost("web") == moving.mover.lost("other") == Lost()


def test_other_logs_on_that_disk_wait_without_threads_of_their_own(tmp_path: Path, disk: Disk) -> None:
    with Moving(tmp_path, log=disk.place / "log") as moving:
        paths = [disk.place / f"log/other-{number}.log" for number in range(20)]
        for path in paths:
            moving.add(path.stem, LogSettings(path=str(path)))
        moving.write(b"before\n")
        moving.flush()
        hang(moving, disk)
        for path in paths:
            moving.write(b"hello\n", path.stem)
        moving.add("elsewhere", LogSettings(path=str(tmp_path / "log/elsewhere.log")))
        moving.write(b"hello\n", "elsewhere")
        moving.flush("elsewhere")
        assert threading.active_count() - moving.threads <= 4
        disk.thaw()
        for path in paths:
            moving.flush(path.stem)
            assert path.read_bytes() == b"hello\n"


@pytest.mark.parametrize("stamped", [False, True], ids=["unstamped", "stamped"])
def test_the_daemon_whose_disk_hangs_need_not_wait_either(tmp_path: Path, disk: Disk, stamped: bool) -> None:
    with Moving(tmp_path, log=disk.place / "log", timestamps=stamped, size=2**30) as moving:
        moving.write(b"before\n")
        moving.flush()
        hang(moving, disk)
        total = 0
        for _ in range(TRIES):
            slowest, written = slowest_write(moving.fifo(), seconds=4)
            total += written
            if slowest < PATIENCE:
                break
        assert slowest < PATIENCE
        disk.thaw()
        moving.write(b"last\n")
        moving.flush()
        told = moving.wait_for_told("did not answer for")
        assert "disk" in told
        until(lambda: b"last" in moving.lines()[-1:], "the log goes on")
        lost = moving.mover.lost("web")
        assert lost.bytes > 0
        assert b"its disk did not answer]" in moving.path.read_bytes()
        kept = sum(len(line) + 1 for line in moving.lines() if set(line) <= set(b"x"))
        assert abs(kept + lost.bytes - total) < 1000


def test_a_mover_that_is_stuck_is_closed_in_its_time(tmp_path: Path, disk: Disk) -> None:
    with Moving(tmp_path, log=disk.place / "log") as moving:
        moving.write(b"before\n")
        moving.flush()
        hang(moving, disk)
        assert not moving.mover.close(0.2)
        disk.thaw()
        until(lambda: moving.path.read_bytes() == b"before\nstuck\n", "the stuck move ends")


def test_a_daemon_that_goes_while_its_disk_hangs_leaves_its_last_words(tmp_path: Path, disk: Disk) -> None:
    with Moving(tmp_path, log=disk.place / "log") as moving:
        moving.write(b"before\n")
        moving.flush()
        hang(moving, disk)
        moving.write(b"last words\n")
        gone = threading.Event()
        moving.mover.remove("web", gone.set)
        assert not gone.wait(0.2)
        disk.thaw()
        assert gone.wait(30)
        assert moving.lines() == [b"before", b"stuck", b"last words"]
