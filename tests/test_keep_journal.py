"""The journal: what is appended is there, whole and in order, whoever is killed, and whatever the disk says."""

import errno
import os
import resource
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numen.keep.journal import Journal
from processes import wait_for

RECORDS = st.lists(
    st.dictionaries(
        st.text(max_size=10),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=20),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
            max_leaves=8,
        ),
        max_size=4,
    ),
    max_size=8,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal"


def journal(path: Path) -> Journal:
    return Journal(str(path))


def test_without_a_file_there_are_no_records(path: Path) -> None:
    assert journal(path).read() == []


def test_records_come_back_in_their_order_and_nobody_else_may_read_them(path: Path) -> None:
    one = journal(path)
    one.append({"name": "web", "life": {"state": "running"}})
    one.append({"name": "web", "removed": True})
    one.close()

    assert journal(path).read() == [{"name": "web", "life": {"state": "running"}}, {"name": "web", "removed": True}]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@settings(max_examples=30)  # each waits for the disk
@given(records=RECORDS, replaced=RECORDS)
def test_whatever_json_can_hold_comes_back(
    tmp_path_factory: pytest.TempPathFactory, records: list[dict[str, Any]], replaced: list[dict[str, Any]]
) -> None:
    one = journal(tmp_path_factory.getbasetemp() / "journal")
    one.replace(replaced)
    for record in records:
        one.append(record)
    one.close()

    assert one.read() == replaced + records


def test_text_that_is_no_text_is_kept(path: Path) -> None:
    one = journal(path)
    one.append({"argument": os.fsdecode(b"\xff\n\0"), "line": "a\nb"})
    one.close()

    assert os.fsencode(one.read()[0]["argument"]) == b"\xff\n\0"


def test_a_record_that_a_kill_has_cut_off_is_left_out_and_hurts_none_that_follows(path: Path) -> None:
    whole = b'{"name":"web","n":1}\n'
    for length in range(1, len(whole)):
        path.write_bytes(whole + whole[:length])

        one = journal(path)
        assert one.read()[0] == {"name": "web", "n": 1}
        one.append({"name": "next"})
        one.close()
        found = one.read()
        assert (found[0], found[-1]) == ({"name": "web", "n": 1}, {"name": "next"})
        assert len(found) == (3 if length == len(whole) - 1 else 2), length


def test_what_is_no_record_is_passed_over(path: Path) -> None:
    path.write_bytes(b'\n[1]\n"x"\nnull\n{\n\xff\n' + b"[" * 100_000 + b'\n{"name":"web"}\n')

    assert journal(path).read() == [{"name": "web"}]


def test_a_replaced_journal_is_the_one_that_is_appended_to(path: Path) -> None:
    one = journal(path)
    one.append({"n": 1})
    one.replace([{"n": 2}])
    one.append({"n": 3})
    one.close()

    assert one.read() == [{"n": 2}, {"n": 3}]
    assert [entry.name for entry in path.parent.iterdir()] == ["journal"]


def test_a_link_in_its_place_is_not_followed(path: Path) -> None:
    path.symlink_to(path.parent / "elsewhere")

    with pytest.raises(OSError, match="symbolic"):
        journal(path).append({"n": 1})
    assert not (path.parent / "elsewhere").exists()


@pytest.mark.parametrize("room", range(0, 40, 3))
def test_a_record_for_which_there_is_no_room_is_not_there_in_part(path: Path, room: int) -> None:
    record = {"name": "web", "n": 1}
    child = os.fork()
    if not child:
        # A limit of the file's size, because it holds for this process alone.
        try:
            one = journal(path)
            one.append(record)
            size = path.stat().st_size
            resource.setrlimit(resource.RLIMIT_FSIZE, (size + min(room, size - 1), resource.RLIM_INFINITY))
            try:
                one.append(record)
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EFBIG):
                    os._exit(3)
            else:
                os._exit(1)
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            one.append({"n": 2})
            os._exit(0)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

    assert journal(path).read() == [record, {"n": 2}]
    assert path.read_bytes().count(b"\n") == 2


def test_whoever_is_killed_while_he_writes_leaves_whole_records_alone(path: Path) -> None:
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        one = journal(path)
        number = 0
        while True:
            one.append({"n": number, "text": "x" * 300})
            os.write(writer, b".")
            number += 1
    told = len(os.read(reader, 1000))
    wait_for(lambda: path.stat().st_size > 100_000, 30, "a long journal")
    os.kill(child, 9)
    os.waitpid(child, 0)
    os.set_blocking(reader, False)
    with suppress(BlockingIOError):
        told += len(os.read(reader, 1_000_000))

    numbers = [record["n"] for record in journal(path).read()]
    assert numbers == list(range(len(numbers)))
    assert len(numbers) >= told
    os.close(reader)
    os.close(writer)
