"""A log is moved in steps, and the process may end before, in or after each system call: the next one goes on."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from numen.keep.logs.log import Log
from numen.keep.logs.reading import read
from numen.keep.logs.settings import LogSettings
from numen.kernel.pipes import Look, waiting_bytes

pytestmark = pytest.mark.once

CALLS = ("splice", "pwrite", "ftruncate", "rename", "unlink", "open")
"""What changes a file; the process ends at one of these."""


class Killed(BaseException):
    """Stands for SIGKILL: nothing of the log's own code catches it."""


class Killer:
    """Ends the log's work before, in or after its n-th call."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left = -1
        self.moment = "before"
        for name in CALLS:
            monkeypatch.setattr(os, name, self.wrapped(name, getattr(os, name)))

    def wrapped(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*arguments: Any, **options: Any) -> Any:
            self.left -= 1
            if self.left != 0:
                return call(*arguments, **options)
            if self.moment == "amidst" and name == "splice":
                call(arguments[0], arguments[1], max(arguments[2] // 2, 1), **options)
            elif self.moment == "amidst" and name == "pwrite" and len(arguments[1]) > 100:
                call(arguments[0], arguments[1][: len(arguments[1]) // 2], arguments[2])
            elif self.moment == "after":
                with suppress(OSError):
                    call(*arguments, **options)
            raise Killed

        return wrapper


@pytest.fixture
def look() -> Iterator[Look]:
    look = Look()
    yield look
    look.close()


TEXTS = {
    "lines": [b"line %d %s" % (number, b"x" * (number * 7 % 61)) for number in range(200)],
    "long": [b"short", b"y" * 2000, b"", b"z" * 5000, *(b"line %d" % number for number in range(30))],
    "cut": [b"before", b"a" * 140_000, b"after", b"b" * 70_000, b"end"],
}


@pytest.mark.parametrize("moment", ["before", "amidst", "after"])
@pytest.mark.parametrize("stamped", [False, True], ids=["unstamped", "stamped"])
@pytest.mark.parametrize("kind", TEXTS)
def test_the_next_one_goes_on_whenever_the_process_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, look: Look, kind: str, stamped: bool, moment: str
) -> None:
    killer = Killer(monkeypatch)
    killer.moment = moment
    number = 0
    while True:
        number += 1
        place = tmp_path / str(number)
        place.mkdir()
        settings = LogSettings(
            path=str(place / "web.log"), size=1000, keep=1000, timestamps=stamped, spool=str(place / "spool")
        )
        os.mkfifo(place / "fifo")
        keeper = os.open(place / "fifo", os.O_RDWR | os.O_NONBLOCK)
        killer.left = number
        was_killed = move_all(keeper, settings, look, TEXTS[kind])
        killer.left = -1
        os.close(keeper)
        lines = [line.text for line in read({"web": settings.path})]
        assert lines == TEXTS[kind], f"killed {moment} call {number}"
        shutil.rmtree(place)
        if not was_killed:
            break
    assert number > 20


def move_all(fifo: int, settings: LogSettings, look: Look, lines: list[bytes]) -> bool:
    """Move the lines from a FIFO, twice if the first time is killed; whether it was."""
    was_killed = False
    left = b"".join(line + b"\n" for line in lines)
    while True:
        log = Log("web", os.dup(fifo), settings, lambda _line: None, lambda _log: None)
        try:
            while left or waiting_bytes(fifo) or log.has_work():
                left = left[fill(fifo, left) :]
                log.step(0.0, look, at_once=True)
        except Killed:
            was_killed = True
        else:
            break
        finally:
            log.close()
    return was_killed


def fill(fifo: int, text: bytes) -> int:
    try:
        return os.write(fifo, text[:20_000]) if text else 0
    except BlockingIOError:
        return 0
