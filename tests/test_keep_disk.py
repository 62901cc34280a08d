"""What waits for a disk: in the order in which it was asked of each daemon, and beside the loop."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from daemons import run_script
from numen.keep.disk import THREADS, Disk

DEADLINE = 30.0

Told = list[Any]


def played(play: Callable[[Disk, Told], Coroutine[Any, Any, None]]) -> Told:
    """What a play in a loop has told."""
    told: Told = []

    async def run() -> None:
        disk = Disk()
        await asyncio.wait_for(play(disk, told), DEADLINE)
        disk.close()

    asyncio.run(run())
    return told


async def until(told: Told, count: int) -> None:
    """Wait until so much was told."""
    while len(told) < count:
        await asyncio.sleep(0.001)


def test_what_needs_no_disk_is_done_at_once_where_nothing_is_before_it() -> None:
    async def play(disk: Disk, told: Told) -> None:
        disk.after("web", lambda: told.append("done"))
        assert told == ["done"]

    assert played(play) == ["done"]


def test_what_is_asked_of_one_daemon_is_done_in_its_order() -> None:
    async def play(disk: Disk, told: Told) -> None:
        gate = threading.Event()
        disk.work("web", gate.wait, lambda _: told.append(1))
        disk.after("web", lambda: told.append(2))
        disk.work("web", lambda: 3, told.append)
        disk.after("web", lambda: told.append(4))
        disk.work("web", lambda: 5, told.append)
        disk.after("web", lambda: told.append(6))
        assert told == []
        gate.set()
        await until(told, 6)

    assert played(play) == [1, 2, 3, 4, 5, 6]


def test_no_daemon_waits_for_the_disk_of_another() -> None:
    async def play(disk: Disk, told: Told) -> None:
        gate = threading.Event()
        disk.work("web", gate.wait, lambda _: told.append("web"))
        disk.work("mail", lambda: "mail", told.append)
        await until(told, 1)
        gate.set()
        await until(told, 2)

    assert played(play) == ["mail", "web"]


def test_what_a_step_asks_for_comes_before_what_was_asked_later() -> None:
    async def play(disk: Disk, told: Told) -> None:
        def go_on(one: int | Exception) -> None:
            told.append(one)
            disk.work("web", lambda: 2, told.append)

        disk.work("web", lambda: 1, go_on)
        disk.work("web", lambda: 3, told.append)
        disk.after("web", lambda: told.append(4))
        await until(told, 4)

    assert played(play) == [1, 2, 3, 4]


def test_what_a_task_raises_is_handed_over() -> None:
    async def play(disk: Disk, told: Told) -> None:
        disk.work("web", lambda: Path("/nowhere/at/all").read_text(), told.append)
        await until(told, 1)

    (error,) = played(play)
    assert isinstance(error, FileNotFoundError)


def test_a_step_that_fails_keeps_no_other_from_being_done() -> None:
    async def play(disk: Disk, told: Told) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: told.append(type(context["exception"])))
        disk.work("web", lambda: 0, lambda _: told.append(1 // 0))
        disk.after("web", lambda: told.append(1 // 0))
        disk.after("web", lambda: told.append("after"))
        disk.work("web", lambda: "work", told.append)
        await until(told, 4)

    assert played(play) == [ZeroDivisionError, ZeroDivisionError, "after", "work"]


def test_several_are_worked_for_at_once_where_nothing_is_before_them() -> None:
    async def play(disk: Disk, told: Told) -> None:
        gate = threading.Event()

        def read(names: list[str]) -> dict[str, str | Exception]:
            return {name: ValueError(name) if name == "bad" else f"{name} of {len(names)}" for name in names}

        disk.work("busy", gate.wait, lambda _: told.append("busy is free"))
        disk.work_for_all(["web", "busy", "bad"], read, lambda name, found: told.append((name, str(found))))
        disk.after("web", lambda: told.append("after web"))
        await until(told, 3)
        assert told == [("web", "web of 2"), "after web", ("bad", "bad")]
        gate.set()
        await until(told, 5)
        del told[:3]

    assert played(play) == ["busy is free", ("busy", "busy of 1")]


def test_a_task_for_all_that_fails_is_told_of_each() -> None:
    async def play(disk: Disk, told: Told) -> None:
        def read(names: list[str]) -> dict[str, int | Exception]:
            raise OSError(str(len(names)))

        disk.work_for_all(["web", "mail"], read, lambda name, found: told.append((name, str(found))))
        await until(told, 2)
        disk.after("web", lambda: told.append("free again"))

    assert played(play) == [("web", "2"), ("mail", "2"), "free again"]


@pytest.mark.parametrize("hanging", [1, THREADS - 1])
def test_some_disks_that_hang_leave_a_thread_for_the_others(hanging: int) -> None:
    async def play(disk: Disk, told: Told) -> None:
        gate = threading.Event()
        for number in range(hanging):
            disk.work(f"hung-{number}", gate.wait, lambda _: told.append("late"))
        disk.work("web", lambda: "web", told.append)
        await until(told, 1)
        gate.set()
        await until(told, 1 + hanging)

    assert played(play)[0] == "web"


def test_a_supervisor_ends_though_a_disk_hangs(tmp_path: Path) -> None:
    script = """
        import asyncio
        from numen.keep.disk import Disk
        from numen.keep.main import leave

        async def supervise():
            disk = Disk()
            disk.work("web", lambda: open("hangs").read(), print)
            disk.close()

        os.mkfifo("hangs")
        asyncio.run(supervise())
        leave(3)
    """

    assert run_script(tmp_path, script).returncode == 3
