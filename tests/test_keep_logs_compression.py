"""Compression: the older files become NAME.log.1.gz and so on, whole or not at all, and nothing waits for it."""

import gzip
import os
from pathlib import Path
from typing import Any

import pytest

from log_moving import Moving, until
from numen.keep.logs import rotation
from numen.keep.logs.compression import Compressor
from numen.keep.logs.log import Log
from numen.keep.logs.reading import read
from numen.keep.logs.settings import LogSettings

pytestmark = pytest.mark.once

SIZE = 10_000


def plain_files(path: Path) -> list[str]:
    return [name for _, name in rotation.rotated(str(path)) if not name.endswith(".gz")]


def test_older_files_are_compressed(tmp_path: Path) -> None:
    with Moving(tmp_path, size=SIZE, keep=100, compress=True) as moving:
        lines = [b"line %d" % number for number in range(20_000)]
        moving.write(b"\n".join(lines) + b"\n")
        moving.flush()
        until(lambda: not plain_files(moving.path), "all older files are compressed")
        files = rotation.rotated(str(moving.path))
        assert len(files) > 10
        assert moving.lines() == lines
        with gzip.open(files[0][1]) as file:
            assert len(file.read()) <= SIZE
        assert Path(files[0][1]).stat().st_mode & 0o777 == 0o640
        times = [line.time for line in read({"web": str(moving.path)})]
        assert None not in times
        assert not Path(rotation.compressing_path(str(moving.path))).exists()


def test_compressed_files_are_counted_and_removed_with_the_others(tmp_path: Path) -> None:
    with Moving(tmp_path, size=SIZE, keep=4, compress=True) as moving:
        for number in range(50):
            moving.write((b"line %d\n" % number) * 500)
            moving.flush()
            assert len({number for number, _ in rotation.rotated(str(moving.path))}) <= 3
        until(lambda: not plain_files(moving.path), "all older files are compressed")
        assert sorted(path.name for path in moving.path.parent.iterdir()) == [
            "web.log", "web.log.1.gz", "web.log.2.gz", "web.log.3.gz", "web.log.index",
        ]  # fmt: skip


def test_what_a_kill_left_of_a_compression_is_tidied_up_and_done_again(tmp_path: Path) -> None:
    path = tmp_path / "log/web.log"
    path.parent.mkdir()
    Path(f"{path}.1").write_bytes(b"newer\n")
    Path(f"{path}.2").write_bytes(b"older\n")
    Path(f"{path}.2.gz").write_bytes(gzip.compress(b"older\n"))
    Path(rotation.compressing_path(str(path))).write_bytes(b"half of it")
    with Moving(tmp_path, compress=True) as moving:
        until(lambda: not plain_files(path), "what was left is compressed")
        assert moving.lines() == [b"newer", b"older"][::-1]
        assert sorted(one.name for one in path.parent.iterdir()) == ["web.log.1.gz", "web.log.2.gz"]


class Killed(BaseException):
    """Stands for SIGKILL."""


@pytest.mark.parametrize("number", range(1, 30))
def test_a_compression_that_is_killed_loses_and_doubles_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    path = tmp_path / "web.log"
    lines = [b"line %d" % number for number in range(100)]
    Path(f"{path}.2").write_bytes(b"\n".join(lines[:50]) + b"\n")
    Path(f"{path}.1").write_bytes(b"\n".join(lines[50:90]) + b"\n")
    path.write_bytes(b"\n".join(lines[90:]) + b"\n")
    left = number

    def dying(call: Any) -> Any:
        def wrapper(*arguments: Any, **options: Any) -> Any:
            nonlocal left
            left -= 1
            if left <= 0:  # whatever tidies up after a failure does not run in a process that was killed
                raise Killed
            return call(*arguments, **options)

        return wrapper

    log = Log("web", -1, LogSettings(path=str(path), compress=True), lambda _line: None, lambda _log: None)
    with monkeypatch.context() as patch:
        for name in ("open", "rename", "unlink", "read", "utime", "fchmod", "fsync"):
            patch.setattr(os, name, dying(getattr(os, name)))
        try:
            while Compressor()._compress_one(log):
                pass
        except Killed:
            pass
    assert [line.text for line in read({"web": str(path)})] == lines
    rotation.settle(str(path))
    while Compressor()._compress_one(log):
        pass
    assert [line.text for line in read({"web": str(path)})] == lines
    assert plain_files(path) == []


def test_a_file_that_is_rotated_while_it_is_compressed_is_replaced_where_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "web.log"
    Path(f"{path}.1").write_bytes(b"older\n")
    path.write_bytes(b"newer\n")
    log = Log("web", -1, LogSettings(path=str(path), compress=True), lambda _line: None, lambda _log: None)
    compressor = Compressor()
    write = compressor._write

    def write_and_rotate(*arguments: Any) -> int:
        inode = write(*arguments)
        rotation.rotate(str(path), 5)
        return inode

    monkeypatch.setattr(compressor, "_write", write_and_rotate)
    assert compressor._compress_one(log)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["web.log.1", "web.log.2.gz"]


def test_a_compression_that_fails_is_told_and_leaves_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_self: Compressor, *_arguments: Any) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Compressor, "_write", full)
    with Moving(tmp_path, size=100, compress=True) as moving:
        moving.write(b"x" * 99 + b"\n" + b"more\n")
        assert "No space left on device" in moving.wait_for_told("cannot compress")
        moving.flush()
        assert moving.lines() == [b"x" * 99, b"more"]
