"""All measurements of supervisors, one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import applying, capturing, crashing, lives, restarting
from .rivals import S6, Circus, Daemontools, InC, Numen, Output, PatientSupervisor, Runit, Supervisor

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from ..figures import Goal
    from .rivals import OfDirectories, Rival
    from .sizes import Sizes
    from .tools import Tools

FAMILY: tuple[type[OfDirectories], ...] = (S6, Runit, Daemontools)
PARTS = ("restarting", "lives", "capturing", "crashing", "applying")


def measure(
    tools: Tools, sizes: Sizes, say: Callable[[str], object], parts: Collection[str] = PARTS, only: str = ""
) -> tuple[list[tuple[str, list[Goal]]], list[str]]:
    """Every table with its goals, and what is to be said of those that were left out."""
    tables: list[tuple[str, list[Goal]]] = []
    notes = [note for rival in _bare(tools) if (note := rival.missing())]

    def fit(rivals: Sequence[Rival]) -> list[Rival]:
        return [one for one in rivals if not one.missing() and (not only or only in one.name or isinstance(one, InC))]

    if "restarting" in parts:
        deaths, out = restarting.measure(fit(_that_restart(tools)), tools, sizes, say)
        tables.append(restarting.tabulate(deaths, sizes))
        notes += out
    if "lives" in parts:
        found, out = lives.measure(fit([InC(tools), *_bare(tools), *_with_loggers(tools)]), tools, sizes, say)
        tables += lives.tabulate(found, sizes)
        notes += out
    if "capturing" in parts:
        floods, out = capturing.measure(lambda output: fit(_that_keep(tools, output)), tools, sizes, say)
        tables.append(capturing.tabulate(floods))
        notes += out
    if "crashing" in parts:
        answers, out = crashing.measure(fit([*_bare(tools), PatientSupervisor(tools)]), tools, sizes, say)
        tables.append(crashing.tabulate(answers, sizes))
        notes += out
    if "applying" in parts:
        changes, out = applying.measure(tools, sizes, say, only)
        tables.append(applying.tabulate(changes, sizes))
        notes += out
    return tables, list(dict.fromkeys(notes))


def _bare(tools: Tools) -> list[Rival]:
    """Each as it does best: those that leave logs to other programs without one."""
    return [Numen(tools), Supervisor(tools), Circus(tools), *(one(tools, Output.NOT_KEPT) for one in FAMILY)]


def _with_loggers(tools: Tools) -> list[Rival]:
    return [one(tools, Output.KEPT) for one in FAMILY]


def _that_restart(tools: Tools) -> list[Rival]:
    return [*_bare(tools), *(one(tools, Output.NOT_KEPT, with_shell=False) for one in FAMILY)]


def _that_keep(tools: Tools, output: Output) -> list[Rival]:
    everybody: list[type[Rival]] = [Numen, Supervisor, Circus, *FAMILY]
    return [one(tools, output) for one in everybody if output in one.outputs]
