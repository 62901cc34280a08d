"""What the tests of the two ways to spawn share: FIFOs, orders, and a fork helper that ends with its test."""

import os
import resource
import select
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import observe
from numen.keep import spawning
from numen.keep.definitions.definition import Definition
from numen.keep.forker_client import ForkerClient
from numen.keep.kernel import NotSpawned, Order, Spawned
from numen.keep.life import ProcessId
from numen.keep.spawning import Streams
from processes import Reaper, wait_for

FOREVER = ("/bin/sleep", "1000")


def order(*command: str, **wanted: Any) -> Order:
    wanted.setdefault("environment", {"PATH": os.defpath})
    definition = Definition(command=command or FOREVER, **wanted)
    return Order(name="web", definition=definition, invocation=os.urandom(16).hex())


def streams(directory: Path, **more: str) -> Streams:
    """FIFOs as the supervisor makes them, in a directory that nobody else may enter."""
    place = directory / "streams"
    place.mkdir(mode=0o700, exist_ok=True)
    names = {"out": str(place / "web.out"), **{key: str(place / f"web.{key}") for key in more}}
    for path in names.values():
        if not os.path.lexists(path):
            os.mkfifo(path, 0o600)
    return Streams(**names)


def soft_limit_of_files() -> int:
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def at_once(wanted: Order, given: Streams, reaper: Reaper) -> ProcessId:
    outcome = spawning.spawn_at_once(spawning.plan(wanted, given), soft_limit_of_files())
    assert isinstance(outcome, ProcessId), outcome
    reaper.track(outcome.pid)
    return executed(outcome)


def executed(process: ProcessId) -> ProcessId:
    """The process, once it waits for something: the spawn succeeds before the program is loaded."""
    wait_for(lambda: observe.look(process.pid).state in "SZ", 20, "its program")
    return process


def end_at_once(processes: Iterable[ProcessId]) -> None:
    """End many children more quickly than a Reaper does."""
    for one in processes:
        os.kill(one.pid, signal.SIGKILL)
        os.waitpid(one.pid, 0)


def failure_at_once(wanted: Order, given: Streams) -> str:
    outcome = spawning.spawn_at_once(spawning.plan(wanted, given), soft_limit_of_files())
    assert isinstance(outcome, str), outcome
    return outcome


@contextmanager
def helping(lock: int = -1) -> Iterator[ForkerClient]:
    client = ForkerClient(open_files=soft_limit_of_files(), lock=lock)
    helpers: frozenset[int] = frozenset()
    try:
        yield client
        helpers = client.pids
    finally:
        client.close()
        for pid in helpers:
            os.waitpid(pid, 0)


def answers(client: ForkerClient, deadline_seconds: float = 30) -> list[Spawned | NotSpawned]:
    """All that is still to come."""
    deadline = time.monotonic() + deadline_seconds
    found: list[Spawned | NotSpawned] = []
    while client.pending:
        assert select.select([client], [], [], max(deadline - time.monotonic(), 0))[0], "no answer in time"
        found += client.receive()
    return found


def by_helper(client: ForkerClient, wanted: Order, given: Streams, reaper: Reaper) -> ProcessId:
    assert client.spawn(wanted, spawning.plan(wanted, given)) is None
    (outcome,) = answers(client)
    assert isinstance(outcome, Spawned), outcome
    reaper.track(outcome.process.pid)
    return executed(outcome.process)


def failure_by_helper(client: ForkerClient, wanted: Order, given: Streams) -> str:
    assert client.spawn(wanted, spawning.plan(wanted, given)) is None
    (outcome,) = answers(client)
    assert isinstance(outcome, NotSpawned), outcome
    # What has failed is an orphan, and so this process's child.
    wait_for(lambda: not _reaped_one(client), 20, "the end of what has failed")
    return outcome.failure


def _reaped_one(client: ForkerClient) -> bool:
    """Whether there was one more dead child; the helpers are left to the client."""
    found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    if found is None or found.si_pid in client.pids:
        return False
    os.waitpid(found.si_pid, 0)
    return True
