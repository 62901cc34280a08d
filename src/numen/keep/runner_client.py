"""The supervisor's side of the runner: start it when something is first to be asked, send questions, hear the answers.

Nothing here waits. When the runner is killed, what it ran is killed too, and what it has not answered is asked again of
another one; a question with which a second one ends is answered badly.
"""

from __future__ import annotations

import os
import select
import signal
import time
from contextlib import suppress

from ..kernel import proc
from .definitions.tables import to_table
from .helper import Helper
from .kernel import AFTER_EXIT, ALIVE, BEFORE_START, ON_FAILURE, READY, RELOAD, Answered

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from typing import Any

    from .kernel import Question

    Begins = dict[str, tuple[int, int]]
    """Where the logs of a run begin: by path, the inode and the offset."""

LOG, COMMAND = "log:", "exec:"
"""How the probes begin with which more than their text has to go to the runner."""

MOST_TRIES = 2
"""How many runners may end with a question."""

PATIENCE = 10.0
"""Seconds past the time that a question may take; a runner that has not answered then hangs, and is killed."""

INTERRUPTED = "was interrupted: the process that asks was ended"


class RunnerClient:
    """The runner, and what it was asked."""

    def __init__(self, *, open_files: int) -> None:
        """`open_files` is the soft limit of the daemons."""
        self._open_files = open_files
        self._epoll = select.epoll()
        self._runner: Helper | None = None
        self._open: dict[int, _Open] = {}
        self._numbers: dict[tuple[str, str], int] = {}
        """Those of the open questions, by daemon and kind."""
        self._last = 0
        self._look_at: float | None = None
        """CLOCK_MONOTONIC at which it is looked whether the runner hangs; `None` while nothing is asked."""

    def fileno(self) -> int:
        """A descriptor that is readable when receive() has something to do."""
        return self._epoll.fileno()

    @property
    def pid(self) -> int | None:
        """That of the runner, a child that is no daemon."""
        return None if self._runner is None else self._runner.pid

    def ask(self, question: Question, begins: Begins) -> None:
        """Have it answered. Raises OSError where no runner can be started."""
        self.forget(question.name, (question.kind,))
        self._running()
        self._last += 1
        self._numbers[question.name, question.kind] = self._last
        one = self._open[self._last] = _Open(question, message(self._last, question, begins))
        self._send(one.message)
        self._look_at = one.due if self._look_at is None else min(self._look_at, one.due)

    def next_look(self) -> float | None:
        """CLOCK_MONOTONIC at which end_if_hung() is to be called."""
        return self._look_at

    def end_if_hung(self) -> None:
        """Kill a runner that has not answered though all time is over; receive() goes on from there."""
        now = time.monotonic()
        if self._look_at is None or now < self._look_at:
            return
        due = min((one.due for one in self._open.values()), default=None)
        if due is not None and due <= now and self._runner is not None:
            with suppress(ProcessLookupError):
                os.kill(self._runner.pid, signal.SIGKILL)
            due = now + PATIENCE
        self._look_at = due

    def forget(self, name: str, kinds: Collection[str] = ()) -> None:
        """Have it ended."""
        numbers = [self._numbers.pop((name, kind), 0) for kind in kinds or _COMMANDS]
        forgotten = [number for number in numbers if self._open.pop(number, None) is not None]
        if forgotten:
            self._send({"forget": forgotten})

    def _running(self) -> Helper:
        if self._runner is None:
            self._runner = Helper.start("numen.keep.runner", self._open_files)
            self._epoll.register(self._runner.socket, select.EPOLLIN)
        return self._runner

    def _send(self, said: dict[str, Any] | None = None) -> None:
        if self._runner is not None:
            self._runner.say(self._epoll, said)

    def receive(self) -> Iterator[Answered]:
        """The answers that have come, each taken out when the next is asked for."""
        for _, events in self._epoll.poll(0):
            if events & select.EPOLLOUT:
                self._send()
            assert self._runner is not None
            answers, is_over = self._runner.receive()
            for answer in answers:
                yield from self._take(answer)
            if is_over:
                yield from self._bury()

    def _take(self, said: dict[str, Any]) -> Iterator[Answered]:
        if "began" in said:
            if (one := self._open.get(said["began"])) is not None:
                one.process = said["pid"], said["start_time"]
        elif (one := self._open.pop(said["answered"], None)) is not None:
            question = one.question
            del self._numbers[question.name, question.kind]
            yield _answered(question, ok=said["ok"], message=said["message"], status=said["status"])

    def _bury(self) -> Iterator[Answered]:
        assert self._runner is not None
        self._epoll.unregister(self._runner.socket)
        self._runner.bury()
        self._runner = None
        for one in self._open.values():
            one.kill()
            one.tries += 1
        given_up = {number: one for number, one in self._open.items() if one.tries >= MOST_TRIES}
        if len(given_up) < len(self._open):
            try:
                self._running()
            except OSError:
                given_up = dict(self._open)
        for number in given_up:
            question = self._open.pop(number).question
            del self._numbers[question.name, question.kind]
        for one in self._open.values():
            one.begin()
            self._send(one.message)
        for one in given_up.values():
            yield _answered(one.question, ok=False, message=INTERRUPTED)

    def close(self) -> None:
        """Let go of the runner: it ends, and what it runs with it."""
        self._epoll.close()
        if self._runner is not None:
            self._runner.socket.close()
            self._runner = None
        self._open.clear()


class _Open:
    """A question that is not answered."""

    def __init__(self, question: Question, asked: dict[str, Any]) -> None:
        self.question, self.message = question, asked
        self.tries = 0
        self.process: tuple[int, int] | None = None
        """The leader of the process group that is run for it: pid and start time."""
        self.begin()

    def begin(self) -> None:
        """Its time begins."""
        self.due = time.monotonic() + self.question.timeout + PATIENCE

    def kill(self) -> None:
        """The runner is dead: end what it has left behind."""
        if self.process is not None:
            pid, start_time = self.process
            found = proc.stat(pid)
            if found is not None and found.start_time == start_time:
                with suppress(OSError):
                    os.killpg(pid, signal.SIGKILL)
        self.process = None


_COMMANDS = {
    READY: None,
    ALIVE: None,
    BEFORE_START: "before_start",
    AFTER_EXIT: "after_exit",
    ON_FAILURE: "on_failure",
    RELOAD: "reload_command",
}
"""The kinds, and where a definition has the command of each."""


def message(number: int, question: Question, begins: Begins) -> dict[str, Any]:
    """The question as it goes to the runner; the definition with it only where something is run by it."""
    definition = question.definition
    said: dict[str, Any] = {"ask": number, "name": question.name, "timeout": question.timeout}
    key = _COMMANDS[question.kind]
    if key is not None:
        said["command"] = getattr(definition, key)
    else:
        text = definition.ready if question.kind == READY else definition.alive_probe
        assert text is not None
        said["probe"] = text
        if text.startswith(LOG):
            said["begins"] = begins
        if not text.startswith(COMMAND):
            return said
    return {**said, "definition": to_table(definition), "variables": dict(question.variables)}


def _answered(question: Question, *, ok: bool, message: str, status: int | None = None) -> Answered:
    return Answered(
        name=question.name,
        invocation=question.invocation,
        kind=question.kind,
        ok=ok,
        message=message,
        status=status,
    )
