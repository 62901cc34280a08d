"""Whether a supervisor answers while many of its daemons crash again and again, and what that costs."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..figures import Goal, shown, table
from .house import NotSo, street
from .measured import median, pair
from .processes import descendants, load
from .rivals import NUMEN

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .house import House
    from .rivals import Rival
    from .sizes import Sizes
    from .tools import Tools

AS_QUICK = 1.25
"""Times what it takes when idle: less cannot be told from chance."""
CPU = 6.0
"""Per cent."""


@dataclass
class Answers:
    """How long `status` took, in nanoseconds, and what else happened meanwhile."""

    idle: list[int] = field(default_factory=list)
    busy: list[int] = field(default_factory=list)
    cpu: float = 0.0
    """Per cent of a CPU, without the questions."""
    starts: float = 0.0
    """Of crashing daemons, in a second."""


def measure(
    rivals: Sequence[Rival], tools: Tools, sizes: Sizes, say: Callable[[str], object]
) -> tuple[dict[str, Answers], list[str]]:
    """Ask each when all is quiet, and when most crash."""
    found: dict[str, Answers] = {}
    notes: list[str] = []
    for rival in rivals:
        say(f"crashing {sizes.crashing} of {rival.name}")
        try:
            found[rival.name] = _measure(rival, tools, sizes)
        except (NotSo, OSError) as error:
            notes.append(str(error).rstrip())
    return found, notes


def _measure(rival: Rival, tools: Tools, sizes: Sizes) -> Answers:
    answers = Answers()
    with street(tools.kept) as here:
        house = here.build(rival, sizes.crashing + 1)
        house.start()
        house.hear(sizes.crashing + 1)
        time.sleep(2)
        answers.idle = _ask(house, 2 * sizes.asked)
    with street(tools.kept) as here:
        house = here.build(rival, 1, crashing=sizes.crashing)
        house.start()
        house.hear(sizes.crashing + 1)
        time.sleep(1)
        own = _lasting(house)
        house.listen()
        began, before = time.monotonic(), len(house.heard)
        answers.cpu = load(own, sizes.crash_seconds).cpu * 100
        while house.listen():
            pass
        answers.starts = (len(house.heard) - before) / (time.monotonic() - began)
        answers.busy = _ask(house, 2 * sizes.asked)
    return answers


def _lasting(house: House) -> set[int]:
    """The supervisor's own processes, without the daemons that come and go."""
    own = house.own_pids()
    time.sleep(0.5)
    return own & descendants()


def _ask(house: House, times: int) -> list[int]:
    taken = []
    for _ in range(times):
        taken.append(house.ask_anything())
        house.listen()
        time.sleep(0.05)
    return taken


def tabulate(found: dict[str, Answers], sizes: Sizes) -> tuple[str, list[Goal]]:
    """The table and its goals."""
    rows = [
        (name, *pair(one.idle), *pair(one.busy), f"{one.cpu:.1f}", f"{one.starts:.1f}") for name, one in found.items()
    ]
    heads = ("ms: median, 99 %", "status, idle", "", f"{sizes.crashing} crashing", "", "% of a CPU", "starts/s")
    goals = []
    if own := found.get(NUMEN):
        times = median(own.busy) / median(own.idle)
        goals = [
            Goal(
                f"with {sizes.crashing} crashing {NUMEN} answers as quickly as when idle, within {AS_QUICK:g} times",
                f"{times:.2f} times",
                times <= AS_QUICK,
            ),
            Goal(f"at {CPU:g} % of a CPU or less", f"{shown(own.cpu)} %", own.cpu <= CPU),
        ]
    title = f"`status` of all while {sizes.crashing} crash at once whenever they are started, and the supervisor's CPU"
    return table(title, heads, rows), goals
