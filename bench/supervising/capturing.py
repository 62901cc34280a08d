"""How fast what a daemon writes comes into its log, and whether all of it does: every line is checked."""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..figures import Goal, shown, table
from .house import NotSo, kill, street
from .measured import NOTHING
from .rivals import NUMEN, SUPERVISOR, Output

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from .house import House
    from .rivals import Rival
    from .sizes import Sizes
    from .tools import Tools

LENGTH = 100
"""Bytes of a line, its end among them."""
IN_BLOCKS = 655
"""Lines in a write of nearly 64 KiB."""
STAMPED_LINES = 100_000
"""Stamped in a second."""
PATIENCE = 120.0


@dataclass(frozen=True)
class Way:
    """How lines are written, and what becomes of them."""

    title: str
    output: Output
    lines: int
    """In one write(2)."""
    of_all: float = 1.0
    """How much of all lines."""


WAYS = (
    Way("by 64 KiB", Output.KEPT, IN_BLOCKS),
    Way("by the line", Output.KEPT, 1, 0.25),
    Way("stamped, by 64 KiB", Output.STAMPED, IN_BLOCKS, 0.25),
    Way("stamped, by the line", Output.STAMPED, 1, 0.25),
)


@dataclass(frozen=True)
class Flood:
    """One: how long it took until the last line stood in the log, and what is wrong there."""

    seconds: float
    lines: int
    faults: str
    """In words; empty where every line is there once, whole and in order."""

    @property
    def megabytes(self) -> float:
        """Of the daemon's bytes, in a second."""
        return self.lines * LENGTH / self.seconds / 1_000_000


Floods = dict[tuple[str, str], list[Flood]]


def measure(
    rivals: Callable[[Output], Sequence[Rival]], tools: Tools, sizes: Sizes, say: Callable[[str], object]
) -> tuple[Floods, list[str]]:
    """Flood each, in rounds."""
    floods: Floods = {}
    notes: list[str] = []
    for way in WAYS:
        for number in range(sizes.rounds):
            for rival in rivals(way.output):
                say(f"flooding {rival.name}, {way.title}, round {number + 1} of {sizes.rounds}")
                try:
                    flood = _flood(rival, way, int(sizes.lines * way.of_all), tools)
                except (NotSo, OSError) as error:
                    notes.append(f"{way.title}: {str(error).rstrip()}")
                else:
                    floods.setdefault((rival.name, way.title), []).append(flood)
    return floods, notes


def _flood(rival: Rival, way: Way, count: int, tools: Tools) -> Flood:
    with street(tools.kept) as here:
        argument = f"{count}:{LENGTH}:{way.lines}"
        house = here.build_for(rival, lambda fifo: [(str(tools.flood), f"{fifo}:{argument}")])
        house.start()
        began = house.hear(1)[0]
        ended = _wait_for_the_last(house, b"%010d" % (count - 1))
        faults = _check(house, count, tools, stamped=way.output is Output.STAMPED)
        with suppress(ProcessLookupError):
            kill(began.pid, signal.SIGKILL)
    return Flood((ended - began.when) / 1e9, count, faults)


def _wait_for_the_last(house: House, number: bytes) -> int:
    """When the line with that number is the last in the log, or nothing more came for a while."""
    grown, size = time.monotonic_ns(), -1
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        logs = house.rival.logs(house.place, house.daemons[0].name)
        tail, now_size = _tail(logs)
        now = time.monotonic_ns()
        if tail.startswith(number) and tail.endswith(b"\n"):
            return now
        if now_size != size:
            grown, size = now, now_size
        elif size > 0 and now - grown > 5e9:
            return grown
        time.sleep(0.001)
    raise NotSo(f"{house.rival.name}: the last line did not come within {PATIENCE:g} s")


def _tail(logs: list[Path]) -> tuple[bytes, int]:
    """The last line's end, and how long the logs are."""
    total, tail = 0, b""
    for path in logs:
        with suppress(OSError), path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            total += size
            if size >= LENGTH:
                file.seek(size - LENGTH)
                tail = file.read(LENGTH)
    return tail, total


def _check(house: House, count: int, tools: Tools, *, stamped: bool) -> str:
    logs = house.rival.logs(house.place, house.daemons[0].name)
    command = [str(tools.check_lines), str(count), str(LENGTH), *map(str, logs)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    _, lost, again, torn, bare = (int(word) for word in told.split())
    found = {"lost": lost, "again": again, "torn": torn, "not stamped": bare if stamped else 0}
    return ", ".join(f"{number} {what}" for what, number in found.items() if number)


def tabulate(floods: Floods) -> tuple[str, list[Goal]]:
    """The table and its goals."""
    names = list(dict.fromkeys(name for name, _ in floods))
    rows = []
    for name in names:
        row = [name]
        for way in WAYS:
            own = floods.get((name, way.title), [])
            faults = next((flood.faults for flood in own if flood.faults), "")
            row += [_speed(own), NOTHING if not own else faults or "all there"]
        rows.append(row)
    heads = ["MB/s, median"]
    for way in WAYS:
        heads += [way.title, "lines"]
    title = f"From a daemon's first write to its last line of {LENGTH} bytes in the log"
    return table(title, heads, rows), _goals(floods)


def _speed(floods: list[Flood]) -> str:
    return shown(statistics.median(flood.megabytes for flood in floods)) if floods else NOTHING


def _goals(floods: Floods) -> list[Goal]:
    goals = []
    plain, stamped = WAYS[0].title, WAYS[2].title
    if (own := floods.get((NUMEN, plain))) and (theirs := floods.get((SUPERVISOR, plain))):
        found, rival = (statistics.median(flood.megabytes for flood in one) for one in (own, theirs))
        goals.append(
            Goal(f"{NUMEN} keeps more than {SUPERVISOR}", f"{shown(found)} and {shown(rival)} MB/s", found > rival)
        )
    if own := floods.get((NUMEN, stamped)):
        lines = statistics.median(flood.lines / flood.seconds for flood in own)
        goals.append(
            Goal(f"{NUMEN} stamps {STAMPED_LINES:,} lines a second", f"{lines:,.0f}", lines >= STAMPED_LINES),
        )
    own_floods = [(way, flood) for (name, way), some in floods.items() if name == NUMEN for flood in some]
    faults = [f"{way}: {flood.faults}" for way, flood in own_floods if flood.faults]
    if own_floods:
        goals.append(Goal(f"{NUMEN} loses, tears and doubles no line", "; ".join(faults) or "none", not faults))
    return goals
