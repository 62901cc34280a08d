"""The file for what the system log does not take: opened beforehand, one line a line, rotated under us."""

import os
import re
import resource
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from log_receivers import any_text
from numen.become.syslog.entries import Entry, lines
from numen.become.syslog.files import LogFile
from numen.errors import NoPermission, Unusable

LINE = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}[+-]\d\d:\d\d web\[123\] err: (?P<text>[^\n]*)\n", re.ASCII)


def entry(text: str) -> Entry:
    return Entry(ident="web", facility=3, priority=3, text=text, time=0.0, pid=123)


@contextmanager
def opened(path: Path) -> Iterator[LogFile]:
    file = LogFile(path)
    try:
        yield file
    finally:
        file.close()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(any_text)
def test_each_line_of_any_message_has_time_ident_pid_and_priority(tmp_path: Path, text: str) -> None:
    path = tmp_path / "log"
    path.unlink(missing_ok=True)
    with opened(path) as file:
        assert file.write(entry(text))
    written = path.read_bytes()
    assert LINE.sub(b"", written) == b""
    assert [match["text"] for match in LINE.finditer(written)] == lines(text)


def test_it_appends_and_is_not_open_to_everybody(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"before\n")
    with opened(path) as file:
        file.write(entry("after"))
        assert not os.get_inheritable(file.fileno())
    assert re.fullmatch(rb"before\n.* after\n", path.read_bytes())
    with opened(tmp_path / "new"):
        assert stat.S_IMODE((tmp_path / "new").stat().st_mode) & 0o027 == 0


def test_a_path_that_cannot_be_used_is_told_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for unusable in ("missing/log", ".", "fifo"):
        with pytest.raises(Unusable, match="cannot open the log file"):
            LogFile(tmp_path / unusable)


@pytest.mark.needs_user
def test_a_path_that_may_not_be_written_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "log").touch(0o400)
    with pytest.raises(NoPermission, match="cannot open the log file"):
        LogFile(tmp_path / "log")


def test_the_path_is_meant_as_it_was_when_it_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with opened(Path("log")) as file:
        monkeypatch.chdir("/")
        (tmp_path / "log").unlink()
        assert file.write(entry("message"))
    assert b"message" in (tmp_path / "log").read_bytes()


def test_after_a_rotation_it_goes_on_in_the_new_file(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with opened(path) as file:
        file.write(entry("first"))
        before = os.listdir("/proc/self/fd")
        path.rename(tmp_path / "log.1")
        file.write(entry("second"))
        assert os.listdir("/proc/self/fd") == before
    assert b"first" in (tmp_path / "log.1").read_bytes()
    assert b"second" in path.read_bytes()
    assert b"second" not in (tmp_path / "log.1").read_bytes()


def test_where_no_new_file_can_be_made_the_old_one_is_written_on(tmp_path: Path) -> None:
    directory = tmp_path / "directory"
    directory.mkdir()
    with opened(directory / "log") as file:
        directory.rename(tmp_path / "moved")
        assert file.write(entry("message"))
    assert b"message" in (tmp_path / "moved/log").read_bytes()


def test_a_number_that_somebody_closed_is_not_written_to(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with opened(path) as file:
        number = file.fileno()
        os.close(number)
        assert file.fileno() == -1
        foreign = os.open(tmp_path / "foreign", os.O_WRONLY | os.O_CREAT)
        try:
            assert foreign == number
            assert file.write(entry("message"))
            file.close()
            assert os.fstat(foreign).st_size == 0
        finally:
            os.close(foreign)
    assert b"message" in path.read_bytes()


def test_after_it_was_closed_a_write_opens_it_again(tmp_path: Path) -> None:
    with opened(tmp_path / "log") as file:
        file.close()
        assert file.fileno() == -1
        assert file.write(entry("message"))
    assert b"message" in (tmp_path / "log").read_bytes()


def test_when_it_is_gone_for_good_the_message_is_not_taken(tmp_path: Path) -> None:
    directory = tmp_path / "directory"
    directory.mkdir()
    with opened(directory / "log") as file:
        os.close(file.fileno())
        directory.rename(tmp_path / "moved")
        assert not file.write(entry("message"))
        (tmp_path / "moved").rename(directory)
        assert file.write(entry("message"))


def test_a_full_disk_takes_nothing() -> None:
    with opened(Path("/dev/full")) as file:
        assert not file.write(entry("message"))


def test_after_a_line_that_was_cut_off_the_next_is_on_a_line_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "log"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with opened(path) as file:
        # Python ignores SIGXFSZ, so that a file at its limit is like a full disk: a short write, then an error.
        resource.setrlimit(resource.RLIMIT_FSIZE, (20, hard))
        try:
            taken = [file.write(entry("message")) for _ in range(2)]
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert taken == [False, False]
        assert file.write(entry("message"))
        assert file.write(entry("more"))
    torn, whole, more = path.read_bytes().splitlines(keepends=True)
    assert len(torn) == 21
    assert LINE.fullmatch(whole)
    assert LINE.fullmatch(more)
