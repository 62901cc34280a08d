"""For how long files are kept: one is written for so long, older ones are removed by age, and by the bytes of all."""

import os
import time
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from log_moving import Moving, until
from numen.keep.logs import rotation
from numen.keep.logs.retention import Older, begun_at, surplus

pytestmark = pytest.mark.once

LONG = 3600.0


def older(path: Path) -> list[str]:
    """What is in the older files, the newest first, as far as they keep their names while they are read."""
    found = []
    for _, name in rotation.rotated(str(path)):
        with suppress(FileNotFoundError):
            found.append(Path(name).read_text())
    return found


def make_older(path: Path, seconds: float) -> None:
    """Let the file, and what its index says, be that much older."""
    then = time.time() - seconds
    os.utime(path, (then, then))
    path.with_name("web.log.index").write_text(f"{then:.3f} {path.stat().st_ino} 0\n")


@given(st.lists(st.tuples(st.integers(0, 100), st.floats(0, 100))), st.integers(-10, 500), st.floats(0, 100))
def test_the_oldest_are_removed_and_none_that_may_stay(
    files: list[tuple[int, float]], room: int, oldest: float
) -> None:
    given_files = [Older(name=str(place), size=size, changed=when) for place, (size, when) in enumerate(files)]
    gone = surplus(given_files, room, oldest)
    left = given_files[: len(files) - len(gone)]
    assert left + gone[::-1] == given_files
    if left:
        assert sum(one.size for one in left) <= room
        assert left[-1].changed > oldest
    if gone:
        with_one_more = given_files[: len(left) + 1]
        assert sum(one.size for one in with_one_more) > room or gone[-1].changed <= oldest


@pytest.mark.parametrize("timestamps", [False, True], ids=["unstamped", "stamped"])
def test_a_file_is_written_for_so_long_and_an_empty_one_is_left_alone(tmp_path: Path, timestamps: bool) -> None:
    with Moving(tmp_path, every=0.2, timestamps=timestamps) as moving:
        moving.write(b"first\n")
        until(lambda: len(older(moving.path)) == 1, "the idle log is rotated")
        log = moving.mover._logs["web"]
        until(lambda: log.due is None, "nothing is due any more")
        assert moving.path.read_bytes() == b""
        moving.write(b"second\n")
        until(lambda: len(older(moving.path)) == 2, "it is rotated once more")
        assert moving.lines() == [b"first", b"second"]


def test_a_line_that_is_not_whole_is_waited_for(tmp_path: Path) -> None:
    with Moving(tmp_path, every=0.1) as moving:
        moving.write(b"a line that")
        moving.flush()
        log = moving.mover._logs["web"]
        until(lambda: log._retention.is_over(time.time()), "its time is over")
        until(lambda: log.due is None, "nothing is done about it")
        assert older(moving.path) == []
        moving.write(b" goes on\nnext\n")
        until(lambda: older(moving.path)[-1:] == ["a line that goes on\n"], "it is rotated at its end")
        moving.flush()
        assert moving.lines() == [b"a line that goes on", b"next"]


def test_the_time_goes_on_where_another_mover_takes_over(tmp_path: Path) -> None:
    with Moving(tmp_path, every=LONG) as moving:
        moving.write(b"first\n")
        moving.flush()
        begun = begun_at(str(moving.path), moving.path.stat().st_ino, 6)
        assert moving.mover._logs["web"].due == pytest.approx(begun + LONG, abs=0.01)
    moving.fifo().unlink()
    with Moving(tmp_path, every=LONG) as again:
        until(lambda: again.mover._logs["web"].due is not None, "it is planned")
        assert again.mover._logs["web"].due == pytest.approx(begun + LONG, abs=0.01)
        assert older(again.path) == []
    make_older(again.path, LONG + 1)
    again.fifo().unlink()
    with Moving(tmp_path, every=LONG) as last:
        until(lambda: older(last.path) == ["first\n"], "what is due is done, though nothing is written")


def test_files_that_are_too_old_are_removed_while_nothing_is_written(tmp_path: Path) -> None:
    path = tmp_path / "log/web.log"
    path.parent.mkdir()
    for number, age in ((1, 10.0), (2, LONG - 0.5), (3, LONG + 10)):
        file = path.with_name(f"web.log.{number}")
        file.write_text(f"{number}\n")
        os.utime(file, (time.time() - age,) * 2)
    with Moving(tmp_path, age=LONG) as moving:
        until(lambda: older(path) == ["1\n"], "two are removed, one of them later")
        due = (path.parent / "web.log.1").stat().st_mtime + LONG
        until(lambda: moving.mover._logs["web"].due == pytest.approx(due), "the next one is planned")


@pytest.mark.parametrize("compress", [False, True], ids=["plain", "compressed"])
def test_all_files_have_so_many_bytes_together(tmp_path: Path, compress: bool) -> None:
    total = 50_000
    with Moving(tmp_path, keep=1000, size=20_000, total=total, compress=compress) as moving:
        for number in range(40):
            moving.write(b"".join(b"%d %s\n" % (number, os.urandom(45).hex().encode()) for _ in range(50)))
            moving.flush()
            sizes = [os.stat(name).st_size for _, name in rotation.rotated(str(moving.path)) if compress is False]
            assert sum(sizes) + moving.path.stat().st_size <= total
        until(lambda: not compress or _is_compressed(moving.path), "all older files are compressed")
        assert moving.lines()[-1].startswith(b"39 ")
        assert len(rotation.rotated(str(moving.path))) >= 2


def _is_compressed(path: Path) -> bool:
    return all(name.endswith(rotation.COMPRESSED) for _, name in rotation.rotated(str(path)))


def test_a_change_takes_hold_at_once(tmp_path: Path) -> None:
    with Moving(tmp_path) as moving:
        moving.write(b"first\n")
        moving.flush()
        make_older(moving.path, 100)
        moving.mover.change("web", moving.settings.replace(every=LONG))
        until(lambda: moving.mover._logs["web"].due is not None, "it is planned")
        moving.mover.change("web", moving.settings.replace(every=50.0))
        until(lambda: older(moving.path) == ["first\n"], "it is rotated")
        moving.mover.change("web", moving.settings.replace(every=50.0, total=4096, age=LONG))
        make_older(moving.path.with_name("web.log.1"), LONG + 1)
        moving.mover.change("web", moving.settings.replace(age=LONG))
        until(lambda: older(moving.path) == [], "what is too old is removed")
