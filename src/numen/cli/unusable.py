"""Definition files that cannot be used: no daemon has come of them, and nobody should have to search for them."""

from __future__ import annotations

from . import kept

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any


def unusable(known: Iterable[str], patterns: Sequence[str] = ()) -> dict[str, str]:
    """The files that cannot be used among those of no known daemon, by name, and why."""
    others = sorted({*kept.defined()}.difference(known))
    if patterns and others:
        from ..settings.names import matching

        others, _ = matching(patterns, others)
    if not others:
        return {}
    from ..keep.definitions import files
    from ..settings.places import definitions_directory

    return files.unusable(definitions_directory(), others)


def rows(known: Iterable[str], patterns: Sequence[str]) -> list[dict[str, Any]]:
    """The same as what `numen status` tells of daemons."""
    found = unusable(known, patterns)
    return [{"name": name, "state": kept.UNUSABLE, "reason": reason} for name, reason in found.items()]


def left_unknown(unknown: Sequence[str], found: Iterable[dict[str, Any]]) -> list[str]:
    """The names that mean none of these either."""
    from ..settings.names import matching

    return matching(unknown, [one["name"] for one in found])[1]
