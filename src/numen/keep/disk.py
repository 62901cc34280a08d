"""What has to wait for a disk, done in a thread, so that the loop never does.

Each name has a queue of its own: what is asked of a daemon is done in the order in which it was asked, also where a
step of it waits for the disk; what needs no disk, with nothing before it, is done at once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from functools import partial

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import TypeVar

    T = TypeVar("T")

THREADS = 4
"""So that one directory on a disk that hangs does not hold up the others."""


class Disk:
    """The threads, and the queues."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="disk")
        self._queues: dict[str, deque[Callable[[], None]]] = {}

    def after(self, name: str, do: Callable[[], None]) -> None:
        """Do it when all that was asked for this name before is done."""
        queue = self._queues.get(name)
        if queue is None:
            do()
        else:
            queue.append(do)

    def work(self, name: str, task: Callable[[], T], then: Callable[[T | Exception], None]) -> None:
        """Have the task done by a thread, in this name's order; `then` gets its result, or what it raised."""
        self.after(name, lambda: self._begin(name, task, then))

    def hold(self, names: Iterable[str], do: Callable[[Callable[[], None]], None]) -> None:
        """Do it when all that was asked for these names before is done; nothing more is, until what it gets is called.

        Who holds several must not do so while another does: each could wait for the other.
        """
        held = list(dict.fromkeys(names))
        waiting = set(held)

        def take(name: str) -> None:
            self._queues[name] = self._queues.get(name) or deque()
            waiting.discard(name)
            if not waiting:
                do(release)

        def release() -> None:
            for name in held:
                self._end(name, lambda _result: None, None)

        for name in held:
            self.after(name, partial(take, name))
        if not held:
            do(release)

    def run(self, task: Callable[[], None], then: Callable[[Exception | None], None]) -> None:
        """Have the task done by a thread, in no name's order; `then` gets what it raised."""
        self._run(task, lambda result: _do(partial(then, result)))

    def work_for_all(
        self,
        names: Iterable[str],
        task: Callable[[list[str]], dict[str, T | Exception]],
        then: Callable[[str, T | Exception], None],
    ) -> None:
        """The same for several names at once: one task for all that wait for nothing, one each for the others."""
        free = []
        for name in names:
            if name in self._queues:
                self.work(name, _alone(task, name), partial(then, name))
            else:
                self._queues[name] = deque()
                free.append(name)

        def end(results: dict[str, T | Exception] | Exception) -> None:
            for name in free:
                self._end(name, partial(then, name), results if isinstance(results, Exception) else results[name])

        self._run(lambda: task(free), end)

    def _begin(self, name: str, task: Callable[[], T], then: Callable[[T | Exception], None]) -> None:
        self._queues[name] = self._queues.get(name) or deque()
        self._run(task, partial(self._end, name, then))

    def _run(self, task: Callable[[], T], end: Callable[[T | Exception], None]) -> None:
        loop = asyncio.get_running_loop()

        def run() -> None:
            result: T | Exception
            try:
                result = task()
            except Exception as error:  # noqa: BLE001 - handed to who waits for it
                result = error
            loop.call_soon_threadsafe(end, result)

        self._threads.submit(run)

    def _end(self, name: str, then: Callable[[T | Exception], None], result: T | Exception) -> None:
        queue = self._queues.pop(name)
        _do(partial(then, result))
        while queue and name not in self._queues:
            _do(queue.popleft())
        if queue:
            # The next one waits for the disk too; what is behind it goes behind that.
            self._queues[name].extend(queue)

    def close(self) -> None:
        """Wait for no thread: what it was asked to write is written whole or not at all."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _do(step: Callable[[], None]) -> None:
    """Do one step; what it raises is told, and keeps no other from being done."""
    try:
        step()
    except Exception as error:  # noqa: BLE001 - as in a callback of asyncio's
        context = {"message": "cannot go on with what was asked", "exception": error}
        asyncio.get_running_loop().call_exception_handler(context)


def _alone(task: Callable[[list[str]], dict[str, T | Exception]], name: str) -> Callable[[], T]:
    def work() -> T:
        result = task([name])[name]
        if isinstance(result, Exception):
            raise result
        return result

    return work
