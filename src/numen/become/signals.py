"""Steps 6 and 8: what becomes of dead children, and the signals by which a daemon is told to reload or end.

First of all every disposition and the mask are reset: nohup and a shell's `&` leave signals ignored, and
an inherited mask can make a daemon that nobody can stop.
"""

from __future__ import annotations

import atexit
import sys

from ..errors import BadOption
from ..kernel import signals as signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import FrameType
    from typing import Any

CHILDREN = ("default", "ignore", "reap")
"""What may become of dead children; `reap` is for a Python daemon alone."""

LOOK_INTERVAL = 0.02
"""Seconds between two looks at a thread that cannot be joined any more."""

_NEEDED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)
"""The interpreter ignores these, and reports what they stand for as an exception instead."""


def reset(*, for_exec: bool) -> None:
    """Give every signal its default disposition, and block none (signal(7)).

    A program to be executed gets all of them at default. The running interpreter keeps those it needs.
    """
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        if for_exec or number not in _NEEDED_BY_PYTHON:
            try:
                signal.signal(number, signal.SIG_DFL)
            except OSError:
                continue  # the C library keeps two or three for itself
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def hand_over() -> None:
    """Give those signals, too, their default disposition that the interpreter needed till the exec."""
    for number in _NEEDED_BY_PYTHON:
        signal.signal(number, signal.SIG_DFL)


def check_children(policy: str, *, for_exec: bool) -> None:
    """Raise BadOption where that is no way to treat dead children."""
    known = CHILDREN[:2] if for_exec else CHILDREN
    if policy not in known:
        raise BadOption(f"children {policy!r} is unknown; there are {', '.join(known)}")


def treat_children(policy: str) -> None:
    """Step 6: `default` (the program waits for them), `ignore` (the kernel reaps them) or `reap`.

    With `ignore`, wait(2) fails with ECHILD and no exit status is to be had. `reap` collects each dead child
    in the handler, so subprocess, too, loses exit statuses: it is for programs that fork and forget.
    """
    if policy == "reap":
        signal.signal(signal.SIGCHLD, _reap)
    else:
        signal.signal(signal.SIGCHLD, signal.SIG_IGN if policy == "ignore" else signal.SIG_DFL)


def _reap(_number: int, _frame: FrameType | None) -> None:
    import os

    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return


def refuse_to_end() -> None:
    """Ignore SIGTERM from here on: the program is ending already, in its own order."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


class Ending:
    """Step 8: SIGTERM and SIGINT end the program in order, SIGHUP reloads its configuration.

    The first request to end raises SystemExit(0) in the main thread, so that `finally` and `with` clean up; in
    an asyncio program it is raised between two callbacks, and asyncio.run() cancels what still runs. A second
    request ends the process at once, by that signal.
    """

    def __init__(self, reload: Callable[[], object] | None, before_sudden_end: Callable[[], object]) -> None:
        self.asked = False
        self._reload = reload
        self._reloading: set[object] = set()
        self._before_sudden_end = before_sudden_end

    def install(self) -> None:
        """Install the handlers; in the main thread alone."""
        signal.signal(signal.SIGTERM, self._end)
        signal.signal(signal.SIGINT, self._end)
        # A handler, not SIG_IGN, even where there is nothing to reload: a child would inherit the latter.
        signal.signal(signal.SIGHUP, self._hang_up)

    def _end(self, number: int, _frame: FrameType | None) -> None:
        if self.asked:
            self._before_sudden_end()
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self.asked = True
        if "threading" in sys.modules:
            # Registered last, so it comes before whatever the program itself does at its end.
            atexit.register(_wait_for_interrupted_joins)
        loop = _running_loop()
        if loop is None:
            raise SystemExit(0)
        loop.call_soon_threadsafe(_exit_in_order)

    def _hang_up(self, _number: int, _frame: FrameType | None) -> None:
        # An exception of the hook goes where uncaught ones go, and ends nothing: the daemon keeps what it had.
        if self._reload is None:
            return
        loop = _running_loop()
        if loop is not None:
            loop.call_soon_threadsafe(self._reload_in_loop, loop)
            return
        try:
            self._reload()
        except Exception:  # noqa: BLE001 - a configuration that cannot be read is told of, and the daemon goes on
            sys.excepthook(*sys.exc_info())

    def _reload_in_loop(self, loop: _Loop) -> None:
        assert self._reload is not None
        try:
            result: Any = self._reload()
        except Exception:  # noqa: BLE001 - as without a loop
            sys.excepthook(*sys.exc_info())
            return
        if hasattr(result, "send"):
            task = loop.create_task(_told(result))
            # The loop itself does not keep a task from being collected.
            self._reloading.add(task)
            task.add_done_callback(self._reloading.discard)


if TYPE_CHECKING:
    from asyncio import AbstractEventLoop as _Loop


def _running_loop() -> _Loop | None:
    # Only a program that has imported asyncio can be running a loop of it.
    events = sys.modules.get("asyncio.events")
    loop: _Loop | None = events._get_running_loop() if events else None
    return loop


async def _told(reloading: Awaitable[object]) -> None:
    try:
        await reloading
    except Exception:  # noqa: BLE001 - as without a loop
        sys.excepthook(*sys.exc_info())


def _exit_in_order() -> None:
    raise SystemExit(0)


def _wait_for_interrupted_joins() -> None:
    """Wait for the threads whose join() the request has interrupted.

    Before Python 3.13 an exception within Thread.join() marks the thread as ended, so that the interpreter does not
    wait for it; but threading.enumerate() has it until it takes itself off that list.
    """
    import threading
    import time

    main = threading.main_thread()
    while any(one is not main and not one.daemon and not one.is_alive() for one in threading.enumerate()):
        time.sleep(LOOK_INTERVAL)
