"""Enabling and disabling: in the supervisor, and in the file of the set that a daemon comes from.

The supervisor writes into the daemon's own file alone: what changes a person's file would double its memory.
"""

from __future__ import annotations

from ..errors import DaemonError, Unusable
from . import kept
from .outcomes import order_daemons
from .words import read_mixed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from .options import Table


def order(table: Table, method: str, arguments: Sequence[str], *, start: bool) -> int:
    """Let daemons be brought back when the supervisor starts, or not; the exit status. Raises DaemonError."""
    values, names = read_mixed(table, arguments)
    sources = _sources(names)

    def also(outcome: dict[str, Any]) -> None:
        from ..keep.definitions.starting import set_start

        if outcome["ok"] and outcome["name"] in sources:
            outcome["message"] += set_start(sources[outcome["name"]], outcome["name"], start=start)

    return order_daemons(table.command, method, names, values, also=also)


def _sources(names: Sequence[str]) -> dict[str, str]:
    """The files of sets that those who are named come from. Raises Unusable where not all instances are."""
    from ..settings.names import matching, template_of

    known = kept.defined()
    meant, unknown = matching(names, known)
    if unknown:
        return {}  # the supervisor refuses all
    found = {name: source for name in meant if (source := source_of(name))}
    for name, source in found.items():
        template = template_of(name)
        others = [one for one in known if template is not None and template_of(one) == template and one not in meant]
        if any(source_of(one) == source for one in others):
            raise Unusable(
                f"{name} is one of the instances of {template} in {source}, which have one `start`; name them all by"
                f" their common name, {template}, or change their number: numen scale {template}=1"
            )
    return found


def source_of(name: str) -> str | None:
    """The file of the set that a daemon comes from; `None` where it has a file of its own alone."""
    from ..keep.definitions import files

    try:
        return files.read(kept.definition_path(name)).source
    except DaemonError:
        return None
