"""What the logs decide without touching a file: where to cut, how to stamp, what an index says."""

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from numen.keep.logs import index, losing
from numen.keep.logs.cutting import LONGEST_LINE, Cut, next_cut
from numen.keep.logs.index import Entry
from numen.keep.logs.losing import Fault
from numen.keep.logs.settings import Lost
from numen.keep.logs.stamping import LENGTH, stamp, stamp_of, stamped, unstamped_length

pytestmark = pytest.mark.once

TEXT = st.lists(st.sampled_from([b"\n", b"x", b"line", b"\0\xff", b"y" * 40]), max_size=40).map(b"".join)


# Where a file is cut


@pytest.mark.parametrize(
    ("looked", "room", "at_line_end", "expected"),
    [
        pytest.param(b"one\ntw", 10, True, Cut(count=6), id="all of it has room"),
        pytest.param(b"one\ntwo\n", 6, True, Cut(count=4), id="the lines that have room"),
        pytest.param(b"one\n", 3, True, Cut(rotate=True), id="no line has room"),
        pytest.param(b"one\ntwo\n", 2, False, Cut(count=4), id="a line that is begun is finished"),
        pytest.param(b"e\n", -5, False, Cut(count=2), id="a line that stands across is finished"),
        pytest.param(b"one\n", 0, True, Cut(rotate=True), id="a full file"),
        pytest.param(b"xxx", 0, False, Cut(count=3), id="a line goes on"),
        pytest.param(b"x" * 70000, 100, False, Cut(count=LONGEST_LINE + 100, mark=True), id="a line goes on too long"),
        pytest.param(b"x", -LONGEST_LINE, False, Cut(count=0, mark=True), id="a line went on too long"),
        pytest.param(b"x" * 70000, 100, True, Cut(rotate=True), id="a long line begins"),
    ],
)
def test_a_file_is_cut(looked: bytes, room: int, at_line_end: bool, expected: Cut) -> None:
    assert next_cut(looked, room, at_line_end=at_line_end) == expected


@given(texts=st.lists(TEXT, max_size=8), size=st.integers(1, 200), seen=st.integers(1, 300))
def test_files_that_are_cut_hold_all_lines_whole(texts: list[bytes], size: int, seen: int) -> None:
    text = b"".join(texts)
    files, left, steps = [b""], text, 0
    while left:
        steps += 1
        assert steps < 3 * len(text) + 10
        room = size - len(files[-1])
        cut = next_cut(left[:seen], room, at_line_end=files[-1].endswith(b"\n"))
        if cut.rotate:
            assert not cut.count
            files.append(b"")
        files[-1] += left[: cut.count]
        left = left[cut.count :]
    assert b"".join(files) == text
    assert all(file.endswith(b"\n") for file in files[:-1])
    longest = max(map(len, text.split(b"\n")), default=0)
    assert all(len(file) <= size + longest + 1 for file in files)


# Stamps


def test_a_stamp_is_the_time_in_utc_to_the_millisecond() -> None:
    assert stamp(1795515072.345) == b"2026-11-24T10:11:12.345Z "
    assert stamp_of(b"2026-11-24T10:11:12.345Z line") == 1795515072.345


@given(when=st.integers(0, 4_000_000_000_000))
def test_a_stamp_can_be_read_again(when: int) -> None:
    assert stamp_of(stamp(when / 1000 + 0.0001) + b"line") == pytest.approx(when / 1000, abs=0.0005, rel=0)
    assert len(stamp(when / 1000)) == LENGTH


@given(
    line=st.binary(max_size=40)
    | st.from_regex(rb"\A20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z ")
)
def test_no_line_has_a_stamp_by_mistake(line: bytes) -> None:
    found = stamp_of(line)
    assert found is None or stamp(found + 0.0001) == line[:LENGTH]


@given(text=TEXT, from_line_start=st.booleans())
def test_each_line_is_stamped_once(text: bytes, from_line_start: bool) -> None:
    mark = stamp(1795515072.345)
    done = stamped(text, mark, from_line_start=from_line_start)
    assert done.replace(mark, b"") == text
    lines = done.split(b"\n")
    begun = [*([lines[0]] if from_line_start and text else []), *lines[1:]]
    assert all(line.startswith(mark) for line in begun if line or line is not lines[-1])


@given(text=TEXT, from_line_start=st.booleans(), data=st.data())
def test_what_was_written_of_a_stamped_text_is_known_without_its_stamps(
    text: bytes, from_line_start: bool, data: st.DataObject
) -> None:
    mark = stamp(1795515072.345)
    done = stamped(text, mark, from_line_start=from_line_start)
    ends = [found.end() for found in re.finditer(b"\n", done)] + [0, len(done)]
    count = data.draw(st.sampled_from(ends))
    used = unstamped_length(done, count, from_line_start=from_line_start)
    assert done[:count].replace(mark, b"") == text[:used]


# The index


ENTRIES = st.lists(
    st.builds(
        lambda begin, length, inode, offset: Entry(
            begin=begin / 1000, end=float(f"{begin / 1000 + length:.3f}"), inode=inode, offset=offset
        ),
        st.integers(0, 2_000_000_000_000),
        st.sampled_from([1.0, 2.0, 60.0]),
        st.integers(0, 5),
        st.integers(0, 10_000),
    ),
    max_size=60,
)


@given(content=st.binary(max_size=300) | st.from_regex(rb"([0-9. ]{0,30}\n){0,5}"))
def test_any_bytes_can_be_read_as_an_index(content: bytes) -> None:
    entries = index.parsed(content)
    for entry in index.of_file(entries, 1, 10_000):
        assert entry.begin <= entry.end
        assert 0 <= entry.offset <= 10_000


@given(entries=ENTRIES, junk=st.binary(max_size=30).filter(lambda junk: b"\n" not in junk))
def test_a_broken_line_hides_no_other(entries: list[Entry], junk: bytes) -> None:
    lines = [index.line(entry) for entry in entries]
    assert index.parsed(b"".join(lines)) == entries
    assert index.parsed(b"x" + junk + b"\n" + b"".join(lines) + junk) == entries


@given(entries=ENTRIES)
def test_the_entries_of_a_file_go_up(entries: list[Entry]) -> None:
    found = index.of_file(entries, 3, 5000)
    assert all(one.offset < other.offset for one, other in pairwise(found))
    assert all(entry in entries and entry.inode == 3 and entry.offset <= 5000 for entry in found)


@given(entries=ENTRIES)
def test_a_thinned_index_is_smaller_and_hides_no_time(entries: list[Entry]) -> None:
    kept = index.thinned(entries)
    assert len(kept) <= len(entries)
    for entry in entries:
        assert any(
            one.inode == entry.inode and one.offset <= entry.offset and one.begin <= entry.begin <= entry.end <= one.end
            for one in kept
        )


# What is lost


def test_a_note_says_how_much_was_lost_and_why() -> None:
    note = losing.note(Lost(bytes=1234, lines=20), "No space left on device")
    assert note == b"[numen: 1234 bytes in 20 lines were lost: No space left on device]\n"


def test_a_fault_is_looked_at_often_while_the_pipe_fills_and_seldom_while_it_rests() -> None:
    fault = Fault("No space left on device", now=100.0)
    assert [fault.next_look(waiting) for waiting in (10, 20, 20, 20, 20, 20, 30)] == [
        0.01, 0.01, 0.02, 0.04, 0.08, 0.08, 0.01,
    ]  # fmt: skip


def test_a_fault_is_tried_again_after_waits_that_grow() -> None:
    fault = Fault("No space left on device", now=100.0)
    tried = [now / 100 for now in range(10_000, 10_500) if fault.is_retry_due(now / 100)]
    assert [round(later - sooner, 2) for sooner, later in pairwise(tried)][:4] == [
        0.2,
        0.4,
        0.8,
        1.0,
    ]
