"""A log that is moved, and a daemon's end of its FIFO: what the tests of the logs start from."""

import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from numen.keep.logs.mover import Mover
from numen.keep.logs.reading import read
from numen.keep.logs.settings import LogSettings
from processes import wait_for


class Moving:
    """A mover with the log of one daemon called web, until the end of the `with`."""

    def __init__(self, place: Path, *, log: Path | None = None, **settings: Any) -> None:
        self.place = place
        self.path = (log or place / "log") / "web.log"
        self.told: list[str] = []
        self.mover = Mover(self.told.append)
        self.fifos: dict[str, int] = {}
        self.settings = LogSettings(path=str(self.path), spool=str(place / "web.spool"), **settings)
        self.threads = threading.active_count()
        self.add("web", self.settings)

    def add(self, name: str, settings: LogSettings) -> None:
        """Have the log of another daemon moved, too."""
        fifo = self.fifo(name)
        os.mkfifo(fifo)
        self.fifos[name] = os.open(fifo, os.O_RDWR)
        self.mover.add(name, os.open(fifo, os.O_RDWR | os.O_NONBLOCK), settings)

    def fifo(self, name: str = "web") -> Path:
        """Where the FIFO of a daemon stands."""
        return self.place / f"{name}.out"

    def write(self, text: bytes, name: str = "web") -> None:
        """Write as the daemon does, all at once or bit by bit as there is room."""
        while text:
            text = text[os.write(self.fifos[name], text) :]

    def flush(self, name: str = "web") -> None:
        """Wait until all of it is in the log."""
        assert self.mover.flush(name, 30), self.told

    def lines(self) -> list[bytes]:
        """The text of all lines in all files of the log."""
        return [line.text for line in read({"web": str(self.path)})]

    def wait_for_told(self, text: str) -> str:
        """The line with that text in it, once it was told."""
        return wait_for(lambda: next((line for line in self.told if text in line), ""), 30, f"{text!r} is told")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        closed = self.mover.close(30)
        for fifo in self.fifos.values():
            os.close(fifo)
        if kind is None:
            assert closed, "the mover could not be closed"
            wait_for(lambda: threading.active_count() <= self.threads, 30, "the mover's threads end")


PACED = textwrap.dedent(
    """
    import os, sys, time

    fifo, rate, seconds, line = sys.argv[1], float(sys.argv[2]), float(sys.argv[3]), sys.argv[4]
    descriptor = os.open(fifo, os.O_WRONLY)
    text = (eval(line) * 4096)[:4096]
    slowest, written, begun = 0.0, 0, time.monotonic()
    while time.monotonic() - begun < seconds:
        while written > (time.monotonic() - begun) * rate:
            time.sleep(0.001)
        now = time.monotonic()
        written += os.write(descriptor, text)
        slowest = max(slowest, time.monotonic() - now)
    print(f"{slowest:.6f} {written}", flush=True)
    """
)
"""Writes a line again and again with so many bytes a second, and prints the slowest write and how much it was."""


def paced(fifo: Path, *, rate: float = 10e6, seconds: float, line: bytes = b"x" * 63 + b"\n") -> list[str | Path]:
    """The command of a program that writes to the FIFO with that rate."""
    return [sys.executable, "-c", PACED, fifo, str(rate), str(seconds), repr(line)]


def slowest_write(
    fifo: Path, *, seconds: float, line: bytes = b"x" * 63 + b"\n", rate: float = 10e6
) -> tuple[float, int]:
    """Write to the FIFO from another process: the seconds of the slowest write, and how many bytes were written."""
    done = subprocess.run(
        paced(fifo, seconds=seconds, line=line, rate=rate), capture_output=True, text=True, check=True, timeout=60
    )
    slowest, written = done.stdout.split()
    return float(slowest), int(written)


def until(condition: Callable[[], object], what: str) -> None:
    """Wait for something to become true."""
    wait_for(condition, 30, what)
