"""The names of a log's files: the newest is .1, none is lost when a rotation is cut short, none is left over."""

import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from numen.keep.logs.rotation import rotate, rotated

pytestmark = pytest.mark.once


def content(path: Path) -> list[str]:
    """What is in the files, the oldest first."""
    files = [name for _, name in rotated(str(path))][::-1]
    return [Path(name).read_text() for name in files] + ([path.read_text()] if path.exists() else [])


def test_the_files_are_found_by_their_numbers(tmp_path: Path) -> None:
    path = tmp_path / "web.log"
    for ending in ("", ".1", ".2.gz", ".4", ".index", ".gz.new", ".11"):
        Path(f"{path}{ending}").touch()
    assert rotated(str(path)) == [(1, f"{path}.1"), (2, f"{path}.2.gz"), (4, f"{path}.4")]
    assert rotated(str(tmp_path / "missing/web.log")) == []


@given(keep=st.integers(1, 6), rotations=st.integers(0, 12))
def test_a_rotation_keeps_the_newest_files(tmp_path_factory: pytest.TempPathFactory, keep: int, rotations: int) -> None:
    path = tmp_path_factory.mktemp("log") / "web.log"
    for number in range(rotations):
        path.write_text(str(number))
        rotate(str(path), keep)
    assert content(path) == [str(number) for number in range(rotations)][-(keep - 1) :] * (keep > 1)


def test_fewer_files_are_kept_once_fewer_are_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "web.log"
    for number in range(10):
        path.write_text(str(number))
        rotate(str(path), 10)
    path.write_text("10")
    rotate(str(path), 3)
    assert content(path) == ["9", "10"]


@pytest.mark.parametrize("is_done", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("files", range(1, 6))
def test_a_rotation_that_is_cut_short_loses_nothing_more_and_is_finished_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: int, is_done: bool
) -> None:
    for number in itertools.count(1):
        place = tmp_path / str(number)
        place.mkdir()
        path = place / "web.log"
        for one in range(files):
            path.write_text(str(one))
            if one < files - 1:
                rotate(str(path), 4)
        before = content(path)
        with monkeypatch.context() as patch:
            was_cut = cut_short(patch, number, is_done, lambda path=path: rotate(str(path), 4))  # type: ignore[misc]
        after = content(path)
        assert after in (before, before[1:])
        assert len(after) >= min(files, 3)
        if not path.exists():
            path.write_text("next")
            after.append("next")
        rotate(str(path), 4)
        assert content(path) == after[-3:]
        if not was_cut:
            break


def cut_short(patch: pytest.MonkeyPatch, number: int, is_done: bool, act: Callable[[], None]) -> bool:
    left = number

    def dying(call: Any) -> Any:
        def wrapper(*arguments: Any) -> None:
            nonlocal left
            left -= 1
            if left == 0 and not is_done:
                raise KeyboardInterrupt
            call(*arguments)
            if left == 0:
                raise KeyboardInterrupt

        return wrapper

    patch.setattr(os, "rename", dying(os.rename))
    patch.setattr(os, "unlink", dying(os.unlink))
    try:
        act()
    except KeyboardInterrupt:
        return True
    return False
