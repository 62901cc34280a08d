"""Reading logs: the last lines, since a time, merged, followed; across rotated and compressed files, as they change."""

import gzip
import os
import re
import select
import shutil
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from log_moving import Moving
from numen.keep.logs.cutting import MARK
from numen.keep.logs.following import Follower
from numen.keep.logs.index import index_path
from numen.keep.logs.reading import Line, cursors_of, last_lines, merged, read
from numen.keep.logs.stamping import stamp
from processes import Reaper, wait_for

pytestmark = pytest.mark.once

NOON = 1795521600.0


def texts(path: Path, lines: int | None = None, since: float | None = None) -> list[bytes]:
    return [line.text for line in read({"web": str(path)}, lines=lines, since=since)]


def numbered(*numbers: int) -> bytes:
    return b"".join(b"line %d\n" % number for number in numbers)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log of four files, the oldest two of which are compressed, with a hundred lines from 0 on."""
    path = tmp_path / "web.log"
    path.write_bytes(numbered(*range(80, 100)))
    Path(f"{path}.1").write_bytes(numbered(*range(50, 80)))
    Path(f"{path}.2.gz").write_bytes(gzip.compress(numbered(*range(10, 50))))
    Path(f"{path}.3.gz").write_bytes(gzip.compress(numbered(*range(10))))
    return path


@pytest.mark.parametrize("count", [0, 1, 19, 20, 21, 50, 51, 89, 90, 91, 99, 100, 101, 1000])
def test_the_last_lines_are_taken_from_as_many_files_as_it_needs(log: Path, count: int) -> None:
    assert texts(log, count) == [b"line %d" % number for number in range(max(100 - count, 0), 100)]


def test_all_lines_are_read_from_the_oldest_file_on(log: Path) -> None:
    assert texts(log) == [b"line %d" % number for number in range(100)]


def test_a_log_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert (
        texts(tmp_path / "web.log") == texts(tmp_path / "web.log", 10) == texts(tmp_path / "web.log", None, 1.0) == []
    )
    assert texts(tmp_path / "missing/web.log") == []
    assert last_lines(str(tmp_path / "missing/web.log")) == ()


def test_other_files_are_not_the_logs(log: Path) -> None:
    for name in ("web.log.gz.new", "web.log.01", "web.log.x", "web.log.index", "web.log.2.gz.old", "web.log.err"):
        (log.parent / name).write_bytes(b"no line of it\n")
    assert len(texts(log)) == 100


@given(
    pieces=st.lists(
        st.lists(st.sampled_from([b"", b"x", b"line", b"\xff\0", b"y" * 300]), max_size=8), min_size=1, max_size=4
    ),
    is_whole=st.booleans(),
    count=st.integers(0, 40),
)
def test_the_last_lines_are_the_last_of_all_lines(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[list[bytes]], is_whole: bool, count: int
) -> None:
    path = tmp_path_factory.mktemp("log") / "web.log"
    names = [path, *(Path(f"{path}.{number}") for number in range(1, len(pieces)))]
    for name, lines in zip(names, reversed(pieces), strict=True):
        name.write_bytes(b"".join(line + b"\n" for line in lines))
    everything = [line for lines in pieces for line in lines]
    if not is_whole:
        with path.open("ab") as file:
            file.write(b"the end")
        everything.append(b"the end")
    assert texts(path) == everything
    assert texts(path, count) == everything[len(everything) - min(count, len(everything)) :]
    shutil.rmtree(path.parent)


def test_what_is_broken_of_a_compressed_file_hides_nothing_else(log: Path) -> None:
    broken = Path(f"{log}.2.gz")
    broken.write_bytes(broken.read_bytes()[:30])
    assert texts(log)[-50:] == [b"line %d" % number for number in range(50, 100)]
    assert texts(log)[:10] == [b"line %d" % number for number in range(10)]
    broken.write_bytes(b"no gzip at all")
    assert len(texts(log)) == 60
    assert len(texts(log, 70)) == 60


def test_a_line_that_was_cut_is_joined(tmp_path: Path) -> None:
    path = tmp_path / "web.log"
    Path(f"{path}.2").write_bytes(b"first\n" + b"a" * 70_000 + MARK)
    Path(f"{path}.1").write_bytes(b"b" * 70_000 + MARK)
    path.write_bytes(b"c\nlast\n")
    assert texts(path) == [b"first", b"a" * 70_000 + b"b" * 70_000 + b"c", b"last"]


def test_last_words_are_fit_for_a_terminal(tmp_path: Path) -> None:
    path = tmp_path / "web.log"
    path.write_bytes(b"one\n\x1b[31mred\xff\nno end")
    assert last_lines(str(path), 2) == ("\N{REPLACEMENT CHARACTER}[31mred\N{REPLACEMENT CHARACTER}", "no end")


# Times


def test_the_time_of_a_line_comes_from_its_stamp_or_from_the_index(tmp_path: Path) -> None:
    path = tmp_path / "web.log"
    path.write_bytes(stamp(NOON + 0.25) + b"stamped\nplain\n")
    assert list(read({"web": str(path)})) == [
        Line(name="web", time=NOON + 0.25, text=b"stamped", is_stamped=True),
        Line(name="web", time=None, text=b"plain"),
    ]
    inode = path.stat().st_ino
    Path(index_path(str(path))).write_text(f"{NOON:.3f} {inode} 0\n{NOON + 5:.3f} {inode} 33\n")
    assert [line.time for line in read({"web": str(path)})] == [NOON + 0.25, NOON + 5]


def indexed(path: Path, blocks: dict[float, bytes], *, compress: bool = False) -> list[str]:
    """Write a file with these blocks, each written at a time; return its index."""
    content, entries, offset = b"".join(blocks.values()), [], 0
    path.write_bytes(gzip.compress(content) if compress else content)
    last = max(blocks)
    os.utime(path, (last, last))
    for when, text in blocks.items():
        entries.append(f"{when:.3f} {path.stat().st_ino} {offset}\n")
        offset += len(text)
    return entries


@pytest.fixture
def timed(tmp_path: Path) -> Path:
    """A log whose line n came n minutes after noon, in three files."""
    path = tmp_path / "web.log"
    minutes = [
        {NOON + 60 * number: numbered(number) for number in part} for part in (range(5), range(5, 10), range(10, 15))
    ]
    entries = indexed(Path(f"{path}.2.gz"), minutes[0], compress=True)
    entries += indexed(Path(f"{path}.1"), minutes[1])
    entries += indexed(path, minutes[2])
    Path(index_path(str(path))).write_text("".join(entries))
    return path


@pytest.mark.parametrize("first", range(16))
def test_lines_since_a_time(timed: Path, first: int) -> None:
    expected = [b"line %d" % number for number in range(first, 15)]
    assert texts(timed, since=NOON + 60 * first) == expected
    assert texts(timed, since=NOON + 60 * first - 30) == expected
    assert texts(timed, 3, since=NOON + 60 * first) == expected[-3:]


def test_without_an_index_whole_files_are_taken_or_left(timed: Path) -> None:
    Path(index_path(str(timed))).write_bytes(os.urandom(1000))
    assert texts(timed, since=NOON + 60 * 7) == [b"line %d" % number for number in range(5, 15)]


def test_stamps_say_exactly_what_came_since_a_time(tmp_path: Path) -> None:
    path = tmp_path / "web.log"
    path.write_bytes(b"".join(stamp(NOON + number / 10) + b"line %d\n" % number for number in range(50)))
    assert texts(path, since=NOON + 3) == [b"line %d" % number for number in range(30, 50)]


def test_the_mover_writes_an_index_by_which_lines_are_found(tmp_path: Path) -> None:
    with Moving(tmp_path, size=2000, keep=4) as moving:
        moving.write(numbered(*range(100)))
        moving.flush()
        between = wait_for(lambda: time.time() if time.time() > moving.path.stat().st_mtime + 2.1 else 0, 30, "a pause")
        moving.write(numbered(*range(100, 200)))
        moving.flush()
        assert texts(moving.path, since=between) == [b"line %d" % number for number in range(100, 200)]
        times = [line.time for line in read({"web": str(moving.path)})]
        assert all(when is not None and abs(when - time.time()) < 60 for when in times)
        assert times == sorted(times, key=lambda when: when or 0.0)
        index = Path(index_path(str(moving.path)))
        index.write_bytes(index.read_bytes()[:-3])
        moving.write(b"more\n")
        moving.flush()
        assert texts(moving.path)[-2:] == [b"line 199", b"more"]


def test_several_logs_are_merged_by_time(tmp_path: Path) -> None:
    one, other = tmp_path / "one.log", tmp_path / "other.log"
    one.write_bytes(b"".join(stamp(NOON + number) + b"%d\n" % number for number in range(0, 100, 2)))
    other.write_bytes(b"".join(stamp(NOON + number) + b"%d\n" % number for number in range(1, 100, 2)))
    logs = {"one": str(one), "other": str(other)}
    assert [int(line.text) for line in read(logs)] == list(range(100))
    assert [(line.name, line.text) for line in read(logs, lines=3)] == [
        ("other", b"97"),
        ("one", b"98"),
        ("other", b"99"),
    ]
    assert [int(line.text) for line in read(logs, since=NOON + 90)] == list(range(90, 100))


# While it changes


def follower_of(path: Path) -> Follower:
    cursors = cursors_of({"web": str(path)}, lines=0)
    assert list(merged(cursors)) == []
    return Follower(cursors)


@pytest.fixture
def followed(tmp_path: Path) -> Iterator[tuple[Path, Follower]]:
    path = tmp_path / "log/web.log"
    path.parent.mkdir()
    path.write_bytes(b"before\n")
    follower = follower_of(path)
    yield path, follower
    follower.close()


def next_lines(follower: Follower, count: int = 1) -> list[bytes]:
    """The next lines, waited for as a program would that has other things to do, too."""
    poll = select.poll()
    poll.register(follower, select.POLLIN)
    found: list[bytes] = []
    deadline = time.monotonic() + 30
    while len(found) < count:
        assert time.monotonic() < deadline, f"only {found} has come"
        patience = follower.patience()
        poll.poll(30_000 if patience is None else patience * 1000)
        found += [line.text for line in follower.read()]
    return found


def append(path: Path, text: bytes) -> None:
    with path.open("ab") as file:
        file.write(text)


def test_what_comes_is_followed(followed: tuple[Path, Follower]) -> None:
    path, follower = followed
    append(path, b"one\ntw")
    assert next_lines(follower) == [b"one"]
    append(path, b"o\n")
    assert next_lines(follower) == [b"two"]
    append(path, b"three\nfour\n")
    assert next_lines(follower, 2) == [b"three", b"four"]


def test_a_rotation_is_followed(followed: tuple[Path, Follower]) -> None:
    path, follower = followed
    for number in range(5):
        append(path, b"old %d\n" % number)
        for old in range(number, 0, -1):
            os.rename(f"{path}.{old}", f"{path}.{old + 1}")
        os.rename(path, f"{path}.1")
        append(path, b"new %d\n" % number)
        assert next_lines(follower, 2) == [b"old %d" % number, b"new %d" % number]


def test_several_rotations_at_once_are_followed_even_compressed(followed: tuple[Path, Follower]) -> None:
    path, follower = followed
    append(path, b"one\n")
    with Path(f"{path}.3.gz").open("wb") as file, gzip.GzipFile(f"log.{path.stat().st_ino}", "wb", 6, file) as packed:
        packed.write(path.read_bytes())
    path.unlink()
    Path(f"{path}.2.gz").write_bytes(gzip.compress(b"two\n"))
    Path(f"{path}.1").write_bytes(b"three\n")
    append(path, b"four\n")
    assert next_lines(follower, 4) == [b"one", b"two", b"three", b"four"]


def test_a_truncation_and_a_removal_are_followed(followed: tuple[Path, Follower]) -> None:
    path, follower = followed
    os.truncate(path, 0)
    append(path, b"one\n")
    assert next_lines(follower) == [b"one"]
    path.unlink()
    append(path, b"two\n")
    assert next_lines(follower) == [b"two"]
    shutil.rmtree(path.parent)
    path.parent.mkdir()
    append(path, b"three\n")
    assert next_lines(follower) == [b"three"]


def test_a_log_is_followed_before_there_is_one(tmp_path: Path) -> None:
    path = tmp_path / "log/web.log"
    follower = follower_of(path)
    path.parent.mkdir()
    append(path, b"one\n")
    assert next_lines(follower) == [b"one"]
    follower.close()


def test_a_follower_sleeps_while_nothing_comes(followed: tuple[Path, Follower]) -> None:
    path, follower = followed
    other = path.with_name("other.log")
    append(other, b"hello\n")
    list(follower.read())
    append(other, b"hello\n")
    poll = select.poll()
    poll.register(follower, select.POLLIN)
    assert follower.patience() is None
    assert poll.poll(0) == []


def test_a_live_log_is_followed_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "log/web.log"
    with Moving(tmp_path, size=3000, keep=100, compress=True) as moving:
        follower = follower_of(path)
        found: list[bytes] = []
        for number in range(0, 3000, 50):
            moving.write(numbered(*range(number, number + 50)))
            found += next_lines(follower)
        found += next_lines(follower, 3000 - len(found)) if len(found) < 3000 else []
        assert found == [b"line %d" % number for number in range(3000)]
        follower.close()


FOLLOW = textwrap.dedent(
    """
    import sys
    from numen.keep.logs.following import Follower
    from numen.keep.logs.reading import cursors_of

    for line in Follower(cursors_of({"web": sys.argv[1]}, lines=1)).follow():
        print(line.name, line.text.decode(), flush=True)
    """
)


def test_a_program_can_follow_for_ever(tmp_path: Path, reaper: Reaper) -> None:
    path = tmp_path / "web.log"
    path.write_bytes(b"before\nlast\n")
    program = reaper.start([sys.executable, "-c", FOLLOW, path], stdout=-1)
    assert program.stdout is not None
    assert program.stdout.readline() == "web last\n"
    append(path, b"next\n")
    assert program.stdout.readline() == "web next\n"


def test_reading_and_rotating_at_once_gives_each_line_once(tmp_path: Path, reaper: Reaper) -> None:
    with Moving(tmp_path, size=5000, keep=1000, compress=True) as moving:
        for number in range(0, 20_000, 500):
            moving.write(numbered(*range(number, number + 500)))
            seen = [int(re.sub(rb"\D", b"", line.text)) for line in read({"web": str(moving.path)})]
            assert seen == list(range(len(seen)))
