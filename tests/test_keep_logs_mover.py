"""The mover: what a daemon writes to its FIFO stands in its log, in as many files as were asked for."""

import os
import re
import threading
import time
from pathlib import Path

import pytest

from log_moving import Moving, until
from numen.keep.logs.fitting import CALM_MOVES
from numen.keep.logs.settings import LogSettings, Lost
from numen.kernel import pipes
from processes import Reaper, wait_for


def test_what_is_written_stands_in_the_log(tmp_path: Path) -> None:
    with Moving(tmp_path) as moving:
        moving.write(b"one\ntwo\n")
        until(lambda: moving.path.exists() and moving.path.read_bytes() == b"one\ntwo\n", "both lines are in the log")

        moving.write(b"thr")
        moving.write(b"ee\n")
        moving.flush()
        assert moving.path.read_bytes() == b"one\ntwo\nthree\n"
        assert moving.path.stat().st_mode & 0o777 == 0o640
        assert moving.mover.lost("web") == Lost()
        assert moving.told == []


def test_every_byte_is_kept_as_it_is(tmp_path: Path) -> None:
    text = bytes(range(256)) * 4000 + b"\xff\xfe\0 no line end"
    with Moving(tmp_path) as moving:
        moving.write(text)
        moving.flush()
        assert moving.path.read_bytes() == text


def test_a_log_goes_on_at_the_end_of_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    (tmp_path / "log/web.log").write_bytes(b"before\n")
    with Moving(tmp_path) as moving:
        moving.write(b"after\n")
        moving.flush()
        assert moving.path.read_bytes() == b"before\nafter\n"


def test_a_silent_daemon_has_no_file(tmp_path: Path) -> None:
    with Moving(tmp_path) as moving:
        moving.flush()
        assert not moving.path.exists()


@pytest.mark.parametrize("keep", [1, 2, 5])
def test_there_are_never_more_files_than_were_asked_for(tmp_path: Path, keep: int) -> None:
    with Moving(tmp_path, size=1000, keep=keep) as moving:
        for number in range(1000):
            moving.write(b"line %04d\n" % number)
        moving.flush()
        files = sorted(path for path in moving.path.parent.iterdir() if path.suffix != ".index")
        assert [path.name for path in files] == ["web.log", *(f"web.log.{number}" for number in range(1, keep))]
        assert all(path.stat().st_size <= 1000 for path in files)
        numbers = [int(line.split()[1]) for line in moving.lines()]
        assert numbers == list(range(numbers[0], 1000))
        assert all(path.read_bytes().endswith(b"\n") for path in files[1:])


def test_a_line_larger_than_a_file_is_whole(tmp_path: Path) -> None:
    lines = [b"a", b"b" * 60_000, b"c"]
    with Moving(tmp_path, size=1000) as moving:
        moving.write(b"\n".join(lines) + b"\n")
        moving.flush()
        assert moving.lines() == lines


def test_a_writer_without_line_ends_is_cut_and_marked(tmp_path: Path) -> None:
    text = os.urandom(1_000_000).replace(b"\n", b" ")
    with Moving(tmp_path, size=1000, keep=1000) as moving:
        moving.write(text + b"\n")
        moving.flush()
        rotated = moving.path.with_name("web.log.1")
        assert rotated.read_bytes().endswith(b"\n[numen: this line was cut; it goes on in the next file]\n")
        assert b"".join(moving.lines()) == text


def test_stamped_lines_have_their_time_before_them(tmp_path: Path) -> None:
    stamp = rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z "
    with Moving(tmp_path, timestamps=True) as moving:
        moving.write(b"one\n\ntw")
        moving.flush()
        moving.write(b"o\nthree\n")
        moving.flush()
        expected = b"=one\n=\n=two\n=three\n".replace(b"=", stamp)
        assert re.fullmatch(expected, moving.path.read_bytes())
        assert moving.lines() == [b"one", b"", b"two", b"three"]


def test_a_log_is_kept_in_another_way_from_the_change_on(tmp_path: Path) -> None:
    with Moving(tmp_path) as moving:
        moving.write(b"plain\n")
        moving.flush()
        moving.mover.change("web", moving.settings.replace(timestamps=True, size=30))
        moving.write(b"stamped\n")
        moving.flush()
        assert moving.path.with_name("web.log.1").read_bytes() == b"plain\n"
        assert moving.path.read_bytes().endswith(b"Z stamped\n")


def test_what_a_gone_daemon_wrote_is_moved_before_its_fifo_is_closed(tmp_path: Path) -> None:
    with Moving(tmp_path) as moving:
        moving.write(b"last words\n")
        gone = threading.Event()
        moving.mover.remove("web", gone.set)
        assert moving.mover.flush("web", 30)
        assert moving.path.read_bytes() == b"last words\n"
        assert gone.wait(30)
        assert moving.mover.flush("web", 0), "there is nothing left to wait for"
        assert moving.path.read_bytes() == b"last words\n"

        os.unlink(moving.fifo())
        os.close(moving.fifos["web"])
        moving.add("web", moving.settings)
        moving.write(b"first words\n")
        moving.flush()
        assert moving.path.read_bytes() == b"last words\nfirst words\n"


def test_a_successor_waits_until_the_one_before_has_left(tmp_path: Path) -> None:
    with Moving(tmp_path) as moving:
        for number in range(50):
            moving.write(b"%d\n" % number)
            moving.mover.remove("web")
            os.unlink(moving.fifo())
            os.close(moving.fifos["web"])
            moving.add("web", moving.settings)
        moving.write(b"50\n")
        wait_for(lambda: moving.lines()[-1:] == [b"50"], 30, "the last line is in the log")
        assert moving.lines() == [b"%d" % number for number in range(51)]


def test_what_comes_after_the_end_stays_in_the_fifo_for_the_next_mover(tmp_path: Path) -> None:
    with Moving(tmp_path) as moving:
        moving.write(b"one\n")
        assert moving.mover.close(30)
        moving.write(b"two\n")
        assert moving.path.read_bytes() == b"one\n"
        assert pipes.waiting_bytes(moving.fifos["web"]) == 4


def test_nothing_wakes_while_nothing_is_written(tmp_path: Path) -> None:
    with Moving(tmp_path, timestamps=True, compress=True) as moving:
        moving.write(b"one\n")
        moving.flush()
        other = LogSettings(path=str(tmp_path / "other.log"))
        moving.add("other", other)
        before = wait_for(lambda: resting(0.2), 30, "the mover's threads sleep")
        assert resting(1.0) == before


def resting(seconds: float) -> dict[str, str] | None:
    """How often each other thread of this process has given up the processor, if that stays for so long."""

    def switches() -> dict[str, str]:
        own = str(threading.get_native_id())
        found = {}
        for task in Path("/proc/self/task").iterdir():
            if task.name != own:
                found[task.name] = "".join(
                    line for line in (task / "status").read_text().splitlines(True) if "ctxt_switches" in line
                )
        return found

    first = switches()
    # For how long it stays is what is asked; the length is the point.
    time.sleep(seconds)  # the length is the point
    return first if switches() == first else None


def test_a_busy_pipe_is_larger_until_it_is_calm_again(tmp_path: Path) -> None:
    with Moving(tmp_path) as moving:
        assert pipes.capacity(moving.fifos["web"]) == pipes.DEFAULT_CAPACITY
        for _ in range(200):
            moving.write(b"x" * 65535 + b"\n")
        assert pipes.capacity(moving.fifos["web"]) == pipes.LARGEST_CAPACITY
        fifo = moving.fifos["web"]
        for _ in range(CALM_MOVES + 100):
            moving.write(b"x\n")
            wait_for(lambda: not pipes.waiting_bytes(fifo), 30, "it is moved")
        wait_for(lambda: pipes.capacity(moving.fifos["web"]) == pipes.DEFAULT_CAPACITY, 30, "it is smaller again")


def test_a_thousand_logs_need_two_threads(tmp_path: Path) -> None:
    with Moving(tmp_path) as moving:
        for number in range(300):
            moving.add(f"web-{number}", LogSettings(path=str(tmp_path / f"log/web-{number}.log")))
        for number in range(300):
            moving.write(b"hello\n", f"web-{number}")
        for number in range(300):
            moving.flush(f"web-{number}")
            assert (tmp_path / f"log/web-{number}.log").read_bytes() == b"hello\n"
        assert threading.active_count() - moving.threads <= 2


def test_a_daemon_that_floods_keeps_no_other_waiting_when_the_mover_flushes_or_ends(
    tmp_path: Path, reaper: Reaper
) -> None:
    with Moving(tmp_path) as moving:
        moving.add("flood", LogSettings(path=str(tmp_path / "log/flood.log")))
        reaper.start(["sh", "-c", f"exec yes >{moving.fifo('flood')}"])
        wait_for(lambda: moving.mover.flush("flood", 30) and (tmp_path / "log/flood.log").exists(), 30, "the flood")
        for _ in range(20):
            assert moving.mover.flush("flood", 30)
            moving.write(b"hello\n")
            moving.flush()
        assert moving.mover.close(10)
        assert moving.told == []
