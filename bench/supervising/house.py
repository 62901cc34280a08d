"""A supervisor at work: started with its daemons, heard, asked, stopped, and ended with all that came from it."""

from __future__ import annotations

import ctypes
import fcntl
import os
import select
import subprocess
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..stage import PR_SET_CHILD_SUBREAPER, end_orphans
from .processes import Watch, descendants
from .rivals import Daemon

if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Iterator, Sequence

    from .rivals import Rival

PATIENCE = 60.0
"""Seconds to wait for what a supervisor is to do."""

F_SETPIPE_SZ, ROOM = 1031, 1 << 20


class NotSo(Exception):
    """A supervisor did not do what it is for."""


@dataclass(frozen=True)
class Word:
    """What a daemon tells with its first instruction."""

    index: int
    pid: int
    when: int
    """Nanoseconds on CLOCK_MONOTONIC."""


class House:
    """One supervisor and its daemons. Each has a FIFO of its own on which its daemons tell."""

    def __init__(self, rival: Rival, place: Path, argvs: Sequence[Sequence[str]]) -> None:
        self.rival = rival
        self.place = place
        self.fifo = place / "fifo"
        self.heard: list[Word] = []
        """All that its daemons have told."""
        os.mkfifo(self.fifo)
        # Open for writing too, so that there is no end of file; wide, so that none waits for the bench.
        self._ear = os.open(self.fifo, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
        fcntl.fcntl(self._ear, F_SETPIPE_SZ, ROOM)
        self._rest = b""
        self.daemons = [Daemon(f"w{index}", tuple(argv)) for index, argv in enumerate(argvs)]
        rival.define(place, self.daemons)
        self.began = 0

    def start(self) -> None:
        """Start the supervisor; end_orphans() reaps it."""
        with (self.place / "said").open("wb") as said:
            self.began = time.monotonic_ns()
            subprocess.Popen(
                self.rival.supervise(self.place),
                cwd=self.place,
                env=self.rival.environment(self.place),
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )

    def hear(self, count: int, patience: float = PATIENCE) -> list[Word]:
        """The next so many words, in the order in which they were told. Raises NotSo."""
        words: list[Word] = []
        deadline = time.monotonic() + patience
        while len(words) < count:
            new = self.listen(max(0.0, deadline - time.monotonic()))
            if not new:
                raise NotSo(f"{self.rival.name}: {len(words)} of {count} came within {patience:g} s\n{self._said()}")
            words += new
        return words

    def listen(self, patience: float = 0.0) -> list[Word]:
        """What has been told since, or is told in a while."""
        if not select.select([self._ear], [], [], patience)[0]:
            return []
        *lines, self._rest = (self._rest + os.read(self._ear, ROOM)).split(b"\n")
        words = [Word(*(int(number) for number in line.split())) for line in lines]
        self.heard += words
        return words

    def pids(self) -> dict[int, int]:
        """The pid by which each daemon was last heard."""
        return {word.index: word.pid for word in self.heard}

    def own_pids(self) -> set[int]:
        """The supervisor's own processes: all that came from the bench, without its daemons."""
        return descendants() - {word.pid for word in self.heard}

    def ask(self) -> int:
        """How long the answer to `status` took, in nanoseconds. Raises NotSo if it is not told that all run."""
        command = self.rival.status(self.place, self.daemons)
        began = time.monotonic_ns()
        answer = self._run(command)
        took = time.monotonic_ns() - began
        up = answer.count(self.rival.running)
        if up < len(self.daemons):
            raise NotSo(f"{self.rival.name} tells that {up} of {len(self.daemons)} run\n{answer[:2000]}")
        return took

    def ask_anything(self) -> int:
        """How long the answer to `status` took, whatever it was."""
        command = self.rival.status(self.place, self.daemons)
        began = time.monotonic_ns()
        self._run(command)
        return time.monotonic_ns() - began

    def stop(self) -> int:
        """How long it took until every daemon had ended and the command had returned. Raises NotSo."""
        command = self.rival.stop(self.place, self.daemons)
        watch = Watch(self.pids().values())
        began = time.monotonic_ns()
        try:
            answer = self._run(command)
            return watch.wait(PATIENCE) - began
        except TimeoutError as error:
            raise NotSo(f"{self.rival.name}: {error}\n{answer[:2000]}") from None
        finally:
            watch.close()

    def run_for(self, command: Sequence[str]) -> float:
        """How long a command took, in seconds."""
        began = time.monotonic()
        self._run(command)
        return time.monotonic() - began

    def _run(self, command: Sequence[str]) -> str:
        done = subprocess.run(
            command,
            cwd=self.place,
            env=self.rival.environment(self.place),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
            timeout=2 * PATIENCE,
        )
        return done.stdout

    def _said(self) -> str:
        return (self.place / "said").read_text(errors="replace")[-2000:]

    def close(self) -> None:
        """Hear no more."""
        os.close(self._ear)


class Street:
    """Where houses stand, side by side or one after the other; whoever lived in them is ended with it."""

    def __init__(self, kept: Path) -> None:
        self.kept = kept
        self._houses: list[House] = []
        self._directory = tempfile.TemporaryDirectory(prefix="numen-bench.")

    def build(self, rival: Rival, count: int, *, crashing: int = 0) -> House:
        """A supervisor of so many daemons that stay, and so many more that crash; not yet started."""
        return self.build_for(
            rival,
            lambda fifo: [
                (str(self.kept), f"{fifo}:{index}{':crash' if index >= count else ''}")
                for index in range(count + crashing)
            ],
        )

    def build_for(self, rival: Rival, argvs: Callable[[Path], list[tuple[str, ...]]]) -> House:
        """A supervisor of any daemons, which are told where they are heard."""
        place = Path(self._directory.name) / str(len(self._houses))
        place.mkdir()
        house = House(rival, place, argvs(place / "fifo"))
        self._houses.append(house)
        return house

    def close(self) -> None:
        """End all."""
        end_orphans(patience=0)
        for house in self._houses:
            house.close()
        self._directory.cleanup()


@contextmanager
def street(kept: Path) -> Iterator[Street]:
    """A place for supervisors; nothing of it is left afterwards."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    one = Street(kept)
    try:
        yield one
    finally:
        one.close()


def kill(pid: int, number: signal.Signals) -> int:
    """Send a signal; when (nanoseconds on CLOCK_MONOTONIC)."""
    when = time.monotonic_ns()
    os.kill(pid, number)
    return when
