"""A run of `numen up`: starts the house and the daemons, and goes on until it is over.

Its main thread takes one thing after the other from one queue: signals, what the supervisor tells, what was asked and
is done, changed files. Threads wait for each of these.
"""

from __future__ import annotations

import os
import threading
import time
from functools import partial
from queue import Empty, SimpleQueue

from ...errors import DaemonError
from ...kernel import signals
from ...settings.signals import signal_name
from .. import asking, events, kept, outcomes
from . import changes, project, verdict
from .house import House
from .output import Output, Style
from .signals import reap, take

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from .project import Project

ENDING_LOOK = 0.02
"""Seconds between two looks whether the house has ended."""

AGAIN = 1.0
"""Seconds after which the end is asked for again: the keeper may have been killed before it had passed that on."""

ONE_PRESS = 0.2
"""Seconds in which a second signal is the same one: timeout(1), for one, sends it to us and then to our group."""

PATIENCE = 5.0
"""Seconds after which a house that does not end, though all its daemons were killed, is killed itself."""


OVERTAKEN = frozenset({"Superseded", "NoSuchDaemon"})
"""Failures of an order that are none of the daemon's: something else was asked for meanwhile."""


class Wishes:
    """What a person has asked for on the command line."""

    def __init__(self, values: dict[str, Any], names: Sequence[str]) -> None:
        self.names = list(names)
        self.file: str | None = values["file"]
        self.home: str | None = values["home"]
        self.watches: bool = values["watch"]
        self.ignored: list[str] = values["ignore"]
        self.is_quiet: bool = values["quiet"]
        self.style = Style(
            has_prefix=not values["no_prefix"],
            has_times=values["timestamps"],
            has_colours=not values["no_color"],
        )


class Session:
    """One run, from its start to its end."""

    def __init__(self, wishes: Wishes) -> None:
        """Read the file; nothing is started yet. Raises DaemonError."""
        self._wishes = wishes
        self._environment = dict(os.environ)
        self.project: Project = project.read(wishes.file, wishes.names, self._environment)
        self._queue: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._house = House(wishes.home)
        self._reports: dict[str, dict[str, Any]] = {}
        self._open_orders = 0
        """How many orders to the supervisor are not yet done."""
        self._failures: dict[str, int] = {}
        """Daemons that could not be started, and have not come up since; each with its exit status."""
        self._status: int | None = None
        """The exit status, once the end has been asked for."""
        self._forced_by = 0
        self._forced_at = self._asked_first = self._asked_at = 0.0

    def run(self) -> int:
        """Run; the exit status. Raises DaemonError where it could not be begun."""
        try:
            self._signals = take(lambda number: self._queue.put(lambda: self._take_signal(number)))
            self._house.write(self.project, self.project.definitions)
            self._output = Output(self._wishes.style, self._house.logs, self._soon(self._reader_has_gone))
            self._output.start()
            self._output.follow(self.project.chosen)
            self._house.open()
            told = self._soon(self._take_changes)
            self._watcher = changes.Watcher(self._wishes.ignored, self._house.home, told, self._soon(self._tell))
            self._watch()
            self._hear()
            self._order("Start", list(self.project.chosen))
            self._go_on()
        finally:
            self._end_house()
        return verdict.BY_SIGNAL + self._forced_by if self._forced_by else self._status or 0

    def _go_on(self) -> None:
        while self._status is None:
            self._queue.get()()
        while self._house.is_open():
            try:
                self._queue.get(timeout=ENDING_LOOK)()
            except Empty:
                self._press_on()
        self._house.has_ended = True
        self._output.finish()
        while not self._output.wait(ENDING_LOOK):
            self._take_waiting()
            if self._forced_by:
                break

    def _end_house(self) -> None:
        """Whatever went wrong, nothing is left."""
        if not self._house.has_ended and self._house.is_open():
            self._house.end()
            deadline = time.monotonic() + PATIENCE
            while self._house.is_open():
                if time.monotonic() > deadline:
                    self._house.kill()
                time.sleep(ENDING_LOOK)
        self._house.remove()

    def _take_waiting(self) -> None:
        while not self._queue.empty():
            self._queue.get()()

    # The end

    def _end(self, status: int, why: str) -> None:
        if self._status is None:
            self._status = status
            self._asked_first = self._asked_at = time.monotonic()
            self._tell("", why)
            self._house.end()

    def _press_on(self) -> None:
        """See that the end comes."""
        now = time.monotonic()
        if self._forced_by and now - self._forced_at > PATIENCE:
            self._house.kill()
        elif self._forced_by:
            self._house.kill_daemons()
        elif now - self._asked_at > AGAIN:
            self._asked_at = now
            self._house.end()

    def _take_signal(self, number: int) -> None:
        if number == signals.SIGCHLD:
            reap()
        elif self._signals.ends(number):
            if self._status is None:
                again = ", a second one kills them" if number == signals.SIGINT else ""
                self._end(self._worst_failure(), f"{signal_name(number)}: all are stopped{again}")
            elif not self._forced_by and time.monotonic() - self._asked_first > ONE_PRESS:
                self._forced_by, self._forced_at = number, time.monotonic()
                self._tell("", f"{signal_name(number)} again: all are killed")
        elif number == signals.SIGHUP:
            self._read_again("SIGHUP")
        else:
            self._pass_on(number)

    def _worst_failure(self) -> int:
        return max(self._failures.values(), default=0)

    def _reader_has_gone(self) -> None:
        self._end(0, "nobody reads the output: all are stopped")

    # What is heard

    def _hear(self) -> None:
        self._in_thread(self._hear_events)
        self._in_thread(self._hear_status)

    def _hear_events(self) -> None:
        for event in events.happened([], None, is_followed=True):
            self._queue.put(partial(self._take_event, event))

    def _hear_status(self) -> None:
        try:
            for reply in asking.follow("Status", {"names": []}):
                self._queue.put(partial(self._take_status, reply))
        finally:
            self._queue.put(self._house_is_closed)

    def _take_event(self, event: dict[str, Any]) -> None:
        if not self._wishes.is_quiet:
            self._output.tell(event["name"], f"{event['kind']}: {event['message']}".rstrip(": "), is_dim=True)
        if event["kind"] == "exited":
            self._output.has_ended(event["name"])

    def _take_status(self, reply: dict[str, Any]) -> None:
        self._reports |= {one["name"]: one for one in reply["daemons"]}
        for name in reply.get("removed") or ():
            self._reports.pop(name, None)
        for one in reply["daemons"]:
            if one["state"] == kept.RUNNING:
                self._failures.pop(one["name"], None)
        self._judge()

    def _judge(self) -> None:
        """Whether it is over by itself."""
        if self._status is not None:
            return
        status = verdict.vital_end(self.project.definitions, self._reports)
        if status is not None:
            self._end(status, "a vital one has ended: all are stopped")
        elif not self._open_orders and (status := verdict.all_ended(self._reports)) is not None:
            waits = [name for name, one in self._reports.items() if one["state"] == kept.WAITING]
            left = f", and {', '.join(waits)} would wait in vain" if waits else ""
            self._end(status or self._worst_failure(), f"all have ended{left}")

    def _house_is_closed(self) -> None:
        """Nobody keeps the house: where that was not in order, open it anew."""
        if self._status is not None:
            return
        if not kept.left_running():
            self._end(0, "the supervisor has ended")
            return
        try:
            self._house.open()
        except DaemonError as error:
            self._end(error.exit_status, str(error))
        else:
            self._hear()

    # What is asked

    def _order(self, method: str, names: Sequence[str], **parameters: Any) -> None:
        """Ask the supervisor for something, and tell what has failed."""
        if not names or self._status is not None:
            return
        self._open_orders += 1

        def ask() -> None:
            try:
                for reply in outcomes.replies(method, {"names": list(names), **parameters}):
                    for outcome in reply["outcomes"]:
                        self._queue.put(partial(self._take_outcome, outcome))
            except DaemonError as error:
                self._soon(self._tell)("", str(error))
            finally:
                self._queue.put(self._order_is_done)

        self._in_thread(ask)

    def _order_is_done(self) -> None:
        self._open_orders -= 1
        self._judge()

    def _take_outcome(self, outcome: dict[str, Any]) -> None:
        name, report = outcome["name"], outcome.get("daemon")
        # It may be known by this before the status tells; of two the later one counts, by whichever way it came.
        if report is not None and report["since"] > self._reports.get(name, report | {"since": 0.0})["since"]:
            self._reports[name] = report
        if outcome["ok"]:
            self._failures.pop(name, None)
        elif self._status is None and outcome.get("error") not in OVERTAKEN:
            self._failures[name] = asking.exit_status(outcome.get("error") or "")
            self._tell(name, outcome["message"])

    def _pass_on(self, number: int) -> None:
        running = [name for name, one in self._reports.items() if one.get("pid")]
        vital = [name for name in running if name in self._vital()]
        self._order("Signal", vital or running, signal=number)

    def _vital(self) -> set[str]:
        return {name for name, one in self.project.definitions.items() if one.vital}

    # Changes

    def _watch(self) -> None:
        if self._wishes.watches:
            self._watcher.watch(self.project)

    def _take_changes(self, paths: list[str]) -> None:
        if self._status is not None:
            return
        begun: set[str] = set()
        if self.project.path in paths:
            begun = self._read_again(f"{self.project.path} has changed")
        touched = changes.touched(self.project, [one for one in paths if one != self.project.path])
        touched = {name: path for name, path in touched.items() if name not in begun}
        for name, path in touched.items():
            self._tell(name, f"is restarted: {path} has changed")
        self._order("Restart", list(touched))

    def _read_again(self, why: str) -> set[str]:
        """Apply the difference between the file as it is and what is run: who gets a new run.

        A file with mistakes changes nothing.
        """
        from ...keep.definitions.comparison import compare

        try:
            after = project.read(self.project.path, self._wishes.names, self._environment)
            before, self.project = self.project, after
            found = compare(before.definitions, after.definitions)
            self._house.write(after, (*found.added, *found.changed))
        except DaemonError as error:
            self._tell("", f"{why}, but nothing is changed: {error}")
            return set()
        self._tell("", f"{why}: {_in_words(found)}")
        self._output.follow(after.chosen)
        self._watch()
        restarted = [name for name in after.chosen if name in found.changed and found.changed[name].needs_restart]
        self._order("Remove", found.removed)
        self._order("Restart", restarted)
        started = [name for name in after.chosen if name not in (*found.unchanged, *restarted)]
        self._order("Start", started)
        return {*restarted, *started}

    # How it is done

    def _tell(self, name: str, text: str) -> None:
        self._output.tell(name or "numen up", text)

    def _soon(self, function: Callable[..., None]) -> Callable[..., None]:
        """The same, but done by the main thread."""
        return lambda *values: self._queue.put(lambda: function(*values))

    def _in_thread(self, work: Callable[[], None]) -> None:
        def run() -> None:
            try:
                work()
            except DaemonError:
                return  # the house has ended; who minds hears of that elsewhere

        threading.Thread(target=run, daemon=True).start()


def _in_words(found: Any) -> str:
    def parts() -> Iterator[str]:
        for word in ("added", "removed", "changed"):
            if names := getattr(found, word):
                yield f"{word} {', '.join(names)}"

    return "; ".join(parts()) or "nothing is different"
