"""A change of one daemon among many, checked and applied: how long that takes, and who is started again."""

from __future__ import annotations

import json
import statistics
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ..figures import Goal, table
from .house import NotSo, street
from .rivals import NUMEN, Numen, Supervisor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from .house import House
    from .rivals import Daemon
    from .sizes import Sizes
    from .tools import Tools

WITHIN = 1.0
"""Seconds."""

RESTARTS = 1

SETTLED = 3.0
"""Seconds after the last start until a supervisor is taken to be idle."""

LISTEN = 1.0
"""Seconds after the change in which others could still be started again."""


@dataclass
class Applied:
    """What each change took, in seconds, and how many were started for it."""

    checks: list[float] = field(default_factory=list)
    applies: list[float] = field(default_factory=list)
    restarts: list[int] = field(default_factory=list)


class OfNumen(Numen):
    """Ours, with a set."""

    def define(self, place: Path, daemons: Sequence[Daemon]) -> None:
        file = place / "numen.toml"
        file.write_text("".join(f"[daemon.{one.name}]\ncommand = {json.dumps(one.argv)}\n\n" for one in daemons))

    def supervise(self, place: Path) -> list[str]:
        return self.apply(place)

    def apply(self, place: Path) -> list[str]:
        """The command that lets the file be so."""
        return [self.tools.numen, "apply", "--quiet", f"{place}/numen.toml"]

    def check(self, place: Path) -> list[str]:
        """The command that looks for mistakes in the file."""
        return [self.tools.numen, "check", "--quiet", f"{place}/numen.toml"]


class OfSupervisor(Supervisor):
    """supervisor, which has no check of its own."""

    def apply(self, place: Path) -> list[str]:
        """The command that lets the file be so."""
        return [self.python("supervisorctl"), "-c", f"{place}/supervisord.conf", "update"]


def measure(
    tools: Tools, sizes: Sizes, say: Callable[[str], object], only: str
) -> tuple[dict[str, Applied], list[str]]:
    """Change one of many in each supervisor's file, and let it take hold."""
    found: dict[str, Applied] = {}
    notes: list[str] = []
    for rival in (OfNumen(tools), OfSupervisor(tools)):
        if only not in rival.name or rival.missing():
            continue
        say(f"changing one of {sizes.many[-1]} of {rival.name}")
        try:
            with street(tools.kept) as here:
                house = here.build(rival, sizes.many[-1])
                house.start()
                house.hear(sizes.many[-1])
                time.sleep(SETTLED)
                found[rival.name] = _change(house, rival, sizes)
        except (NotSo, OSError) as error:
            notes.append(str(error).rstrip())
    return found, notes


def _change(house: House, rival: OfNumen | OfSupervisor, sizes: Sizes) -> Applied:
    taken = Applied()
    for number in range(sizes.rounds):
        daemons = list(house.daemons)
        changed = daemons[len(daemons) // 2 + number]
        daemons[len(daemons) // 2 + number] = replace(changed, argv=(*changed.argv, f"change-{number}"))
        rival.define(house.place, daemons)
        house.daemons = daemons
        if isinstance(rival, OfNumen):
            taken.checks.append(house.run_for(rival.check(house.place)))
        taken.applies.append(house.run_for(rival.apply(house.place)))
        heard = house.hear(1)
        while more := house.listen(LISTEN):
            heard += more
        taken.restarts.append(len(heard))
    return taken


def tabulate(found: dict[str, Applied], sizes: Sizes) -> tuple[str, list[Goal]]:
    """The table and its goals."""
    rows = [
        (
            name,
            f"{statistics.median(one.checks):.2f}" if one.checks else "-",
            f"{statistics.median(one.applies):.2f}",
            str(max(one.restarts)),
        )
        for name, one in found.items()
    ]
    goals = []
    if own := found.get(NUMEN):
        seconds = statistics.median(map(sum, zip(own.checks, own.applies, strict=True)))
        count = sizes.many[-1]
        goals = [
            Goal(f"checked and applied in less than {WITHIN:g} s of {count}", f"{seconds:.2f} s", seconds < WITHIN),
            Goal("with one restart", str(max(own.restarts)), set(own.restarts) == {RESTARTS}),
        ]
    title = f"One of {sizes.many[-1]} daemons changed in the file: `numen check` and `apply`, `supervisorctl update`"
    return table(title, ("s, median", "check", "apply", "restarts"), rows), goals
