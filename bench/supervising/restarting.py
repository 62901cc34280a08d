"""From the death of a daemon to its successor's first instruction."""

from __future__ import annotations

import math
import signal
import time
from typing import TYPE_CHECKING

from ..figures import Goal, shown, table
from .house import NotSo, kill, street
from .measured import NOTHING, cell, median, pair
from .rivals import NUMEN

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .house import House
    from .rivals import Rival
    from .sizes import Sizes
    from .tools import Tools

WITHIN = 3.0
"""Milliseconds."""

LONG_LIVED = 1.3
"""Seconds after which no supervisor takes a death for a failed start."""

SIDE_BY_SIDE = 40
"""Daemons of each supervisor, so that one has lived for long when its turn comes again."""


class Deaths:
    """What each supervisor took, in nanoseconds."""

    def __init__(self) -> None:
        self.alone: dict[str, list[int]] = {}
        self.again: dict[str, list[int]] = {}
        self.at_once: dict[str, list[int]] = {}
        self.last: dict[str, list[int]] = {}
        """From the first of many deaths to the last of the successors."""


def measure(
    rivals: Sequence[Rival], tools: Tools, sizes: Sizes, say: Callable[[str], object]
) -> tuple[Deaths, list[str]]:
    """Kill, and hear who comes; and who had to stay out."""
    deaths, notes = Deaths(), []
    with street(tools.kept) as here:
        houses = []
        for rival in rivals:
            say(f"starting {rival.name}")
            house = here.build(rival, SIDE_BY_SIDE)
            try:
                house.start()
                house.hear(SIDE_BY_SIDE)
            except (NotSo, OSError) as error:
                notes.append(str(error).rstrip())
            else:
                houses.append(house)
        _kill_one_by_one(houses, sizes, deaths, say)
        _kill_again(houses, sizes, deaths, say)
    for rival in rivals:
        if rival.name in deaths.alone:
            say(f"killing {sizes.at_once} of {rival.name}")
            try:
                _kill_at_once(rival, tools, sizes, deaths)
            except NotSo as error:
                notes.append(str(error).rstrip())
    return deaths, notes


def _kill_one_by_one(houses: Sequence[House], sizes: Sizes, deaths: Deaths, say: Callable[[str], object]) -> None:
    spent = dict.fromkeys(houses, 0)
    for number in range(sizes.deaths):
        say(f"death {number + 1} of {sizes.deaths}")
        # Nobody always comes after the same one, and one who is slow sits out when its time is spent.
        turn = number % len(houses)
        for house in (*houses[turn:], *houses[:turn]):
            if spent[house] < sizes.budget * 1e9:
                took = _death(house, number % SIDE_BY_SIDE)
                spent[house] += took
                deaths.alone.setdefault(house.rival.name, []).append(took)


def _kill_again(houses: Sequence[House], sizes: Sizes, deaths: Deaths, say: Callable[[str], object]) -> None:
    for house in houses:
        say(f"killing again what {house.rival.name} keeps")
        spent = 0
        for index in range(sizes.deaths_again):
            if spent < sizes.budget * 1e9:
                _death(house, index)
                took = _death(house, index, patient=False)
                spent += took
                deaths.again.setdefault(house.rival.name, []).append(took)


def _death(house: House, index: int, *, patient: bool = True) -> int:
    """Kill one, and wait for its successor."""
    last = next(word for word in reversed(house.heard) if word.index == index)
    if patient:
        time.sleep(max(0.0, LONG_LIVED - (time.monotonic_ns() - last.when) / 1e9))
    died = kill(last.pid, signal.SIGKILL)
    return house.hear(1)[0].when - died


def _kill_at_once(rival: Rival, tools: Tools, sizes: Sizes, deaths: Deaths) -> None:
    for _ in range(sizes.rounds):
        with street(tools.kept) as here:
            house = here.build(rival, sizes.at_once)
            house.start()
            house.hear(sizes.at_once)
            time.sleep(LONG_LIVED)
            died = {index: kill(pid, signal.SIGKILL) for index, pid in house.pids().items()}
            came = {word.index: word.when for word in house.hear(sizes.at_once)}
            deaths.at_once.setdefault(rival.name, []).extend(came[index] - when for index, when in died.items())
            deaths.last.setdefault(rival.name, []).append(max(came.values()) - min(died.values()))


def tabulate(deaths: Deaths, sizes: Sizes) -> tuple[str, list[Goal]]:
    """The table and its goals."""
    killed = ("one alone", "", "again at once", "", f"{sizes.at_once} at once", "", "the last of them")
    rows = []
    for name, alone in deaths.alone.items():
        again, at_once, last = (taken.get(name, []) for taken in (deaths.again, deaths.at_once, deaths.last))
        rows.append((name, *pair(alone), *pair(again), *pair(at_once), cell(median(last))))
    title = "From the death of a daemon to its successor's first instruction"
    return table(title, ("ms: median, 99 %", *killed), rows), _goals(deaths)


def _goals(deaths: Deaths) -> list[Goal]:
    if NUMEN not in deaths.alone:
        return []
    own = median(deaths.alone[NUMEN])
    others = {name: median(taken) for name, taken in deaths.alone.items() if name != NUMEN}
    rival = min(others, key=others.__getitem__, default=NOTHING)
    best = others.get(rival, math.inf)
    return [
        Goal(f"a daemon of {NUMEN} is up again within {WITHIN:g} ms", f"{shown(own)} ms", own <= WITHIN),
        Goal("and sooner than with any other", f"{shown(own)} ms, {rival} {cell(best)} ms", own < best),
    ]
