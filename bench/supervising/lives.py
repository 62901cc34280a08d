"""Lives of whole supervisors: many daemons started, the memory and the idle CPU, `status`, and all stopped."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

from ..figures import Goal, shown, table
from .house import NotSo, street
from .measured import NOTHING, cell, median
from .processes import load, memory
from .rivals import IN_C, NUMEN, SUPERVISOR

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .house import House
    from .processes import Load
    from .rivals import Rival
    from .sizes import Sizes
    from .tools import Tools

OF_A_LOOP = 1.5
MEGABYTE = 1_000_000
MEMORY = 60
"""Megabytes."""

ANSWER = 100.0
"""Milliseconds."""
OF_SUPERVISORCTL = 0.1

SETTLED = 2.0
"""Seconds after the last start until a supervisor is taken to be idle."""


class Lives:
    """What each supervisor took with so many daemons, in nanoseconds but for the memory and the load."""

    def __init__(self) -> None:
        self.started: dict[tuple[str, int], list[int]] = {}
        """From the supervisor's start to the last daemon's first instruction."""
        self.spread: dict[tuple[str, int], list[int]] = {}
        """From the first daemon's first instruction to the last one's."""
        self.asked: dict[tuple[str, int], list[int]] = {}
        self.stopped: dict[tuple[str, int], list[int]] = {}
        self.processes: dict[str, int] = {}
        self.memory: dict[str, int] = {}
        self.load: dict[str, Load] = {}


def measure(
    rivals: Sequence[Rival], tools: Tools, sizes: Sizes, say: Callable[[str], object]
) -> tuple[Lives, list[str]]:
    """Let each live, in rounds; and who had to stay out."""
    lives = Lives()
    notes: dict[str, str] = {}
    for count in sizes.many:
        for number in range(sizes.rounds):
            turn = number % len(rivals)
            for rival in (*rivals[turn:], *rivals[:turn]):
                if rival.name not in notes:
                    say(f"{count} daemons of {rival.name}, round {number + 1} of {sizes.rounds}")
                    try:
                        _live(rival, count, tools, sizes, lives)
                    except (NotSo, OSError) as error:
                        notes[rival.name] = f"{count} daemons, {str(error).rstrip()}"
    return lives, list(notes.values())


def _live(rival: Rival, count: int, tools: Tools, sizes: Sizes, lives: Lives) -> None:
    key = rival.name, count
    with street(tools.kept) as here:
        house = here.build(rival, count)
        house.start()
        words = house.hear(count)
        first, last = min(word.when for word in words), max(word.when for word in words)
        lives.started.setdefault(key, []).append(last - house.began)
        lives.spread.setdefault(key, []).append(last - first)
        if rival.name == IN_C or count == 1:
            return
        # No supervisor takes the end of a daemon that lived so long for a failed start, and waits.
        time.sleep(SETTLED)
        if count == sizes.many[-1] and rival.name not in lives.memory:
            _rest(house, sizes, lives)
        _ask(house, sizes, lives)
        lives.stopped.setdefault(key, []).append(house.stop())


def _rest(house: House, sizes: Sizes, lives: Lives) -> None:
    own = house.own_pids()
    name = house.rival.name
    lives.processes[name] = len(own)
    lives.memory[name] = memory(own)
    lives.load[name] = load(own, sizes.idle)


def _ask(house: House, sizes: Sizes, lives: Lives) -> None:
    # Before the first answer that counts, it may still be busy with their start.
    for attempt in range(20):
        try:
            house.ask()
            break
        except NotSo:
            if attempt == 19:
                raise
            time.sleep(0.5)
    lives.asked.setdefault((house.rival.name, len(house.daemons)), []).extend(house.ask() for _ in range(sizes.asked))


def tabulate(lives: Lives, sizes: Sizes) -> list[tuple[str, list[Goal]]]:
    """The tables and their goals."""
    names = list(dict.fromkeys(name for name, _ in lives.started))
    return [_of_starts(lives, names, sizes), _of_rest(lives, names, sizes), _of_commands(lives, names, sizes)]


def _of_starts(lives: Lives, names: list[str], sizes: Sizes) -> tuple[str, list[Goal]]:
    heads = ["ms, median"]
    for count in sizes.many:
        heads += [f"{count} up", "x C"]
    heads.append("first to last")
    most = sizes.many[-1]
    rows = []
    for name in names:
        row = [name]
        for count in sizes.many:
            own, loop = (median(lives.started.get((who, count), [])) for who in (name, IN_C))
            row += [cell(own), cell(own / loop)]
        rows.append([*row, cell(median(lives.spread.get((name, most), [])))])
    goals = []
    if (NUMEN, most) in lives.started:
        own, loop = (median(lives.started[who, most]) for who in (NUMEN, IN_C))
        spread = median(lives.spread[NUMEN, most])
        goals.append(
            Goal(
                f"{most} daemons of {NUMEN} are up within {OF_A_LOOP:g} times a {IN_C}",
                f"{own / loop:.2f} times; from its first daemon to the last {spread / loop:.2f} times",
                own <= OF_A_LOOP * loop,
            )
        )
    title = "From a supervisor's start to the first instruction of the last of so many daemons"
    return table(title, heads, rows), goals


def _of_rest(lives: Lives, names: list[str], sizes: Sizes) -> tuple[str, list[Goal]]:
    rows = [
        (
            name,
            str(lives.processes[name]),
            shown(lives.memory[name] / MEGABYTE),
            f"{lives.load[name].cpu * 100:.2f}",
            f"{lives.load[name].wakeups:.1f}",
        )
        for name in names
        if name in lives.memory
    ]
    goals = []
    if NUMEN in lives.memory:
        found, wakeups = lives.memory[NUMEN] / MEGABYTE, lives.load[NUMEN].wakeups
        most = sizes.many[-1]
        goals = [
            Goal(f"{NUMEN} takes at most {MEMORY} MB for {most} daemons", f"{shown(found)} MB", found <= MEMORY),
            Goal(f"{NUMEN} does not wake when nothing is due", f"{wakeups:.1f} times a second", wakeups == 0),
        ]
    title = f"A supervisor with {sizes.many[-1]} daemons and nothing to do for {sizes.idle:g} s (without the daemons)"
    return table(title, ("", "processes", "MB (PSS)", "% of a CPU", "wake-ups/s"), rows), goals


def _of_commands(lives: Lives, names: list[str], sizes: Sizes) -> tuple[str, list[Goal]]:
    counts = [count for count in sizes.many if count > 1]
    heads = ["ms, median", *(f"status of {count}" for count in counts), *(f"{count} stopped" for count in counts)]
    rows = [
        (
            name,
            *(cell(median(lives.asked.get((name, count), []))) for count in counts),
            *(cell(median(lives.stopped.get((name, count), []))) for count in counts),
        )
        for name in names
        if (name, counts[-1]) in lives.stopped
    ]
    most = counts[-1]
    goals = []
    if (NUMEN, most) in lives.stopped:
        own, theirs = (median(lives.asked.get((who, most), [])) for who in (NUMEN, SUPERVISOR))
        stopped = median(lives.stopped[NUMEN, most])
        others = {name: median(lives.stopped.get((name, most), [])) for name in names if name not in (NUMEN, IN_C)}
        rival = min(others, key=others.__getitem__, default=NOTHING)
        best = others.get(rival, math.inf)
        goals = [
            Goal(f"{NUMEN} tells the status of {most} within {ANSWER:g} ms", f"{shown(own)} ms", own <= ANSWER),
            Goal(
                f"and within {OF_SUPERVISORCTL:g} of what supervisorctl takes",
                f"{own / theirs:.2f}",
                own <= OF_SUPERVISORCTL * theirs,
            ),
            Goal(
                f"{NUMEN} stops {most} first of all",
                f"{shown(stopped)} ms, {rival} {cell(best)} ms",
                stopped < best,
            ),
        ]
    title = "One call that tells the status of all; and all stopped, from the call to the last end"
    return table(title, heads, rows), goals
