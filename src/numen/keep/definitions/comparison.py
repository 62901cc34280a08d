"""What is to be done to get from some definitions to others: the difference, and what of it needs a restart."""

from __future__ import annotations

from ...record import Record
from .keys import KEYS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from .definition import Definition


class Change(Record):
    """What is different in one daemon."""

    keys: tuple[str, ...]
    """As in a file, `log.size`; never none."""
    needs_restart: bool
    """Whether it takes hold only when the daemon is started again."""


class Changes(Record):
    """The difference between two sets of definitions; each name stands in one of the four."""

    unchanged: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: Mapping[str, Change] = {}


def compare(old: Mapping[str, Definition], new: Mapping[str, Definition]) -> Changes:
    """What has to change where `old` holds and `new` is wanted; the names in the order of each."""
    changes = {name: change for name, one in old.items() if name in new and (change := difference(one, new[name]))}
    return Changes(
        unchanged=tuple(name for name in old if name in new and name not in changes),
        added=tuple(name for name in new if name not in old),
        removed=tuple(name for name in old if name not in new),
        changed=changes,
    )


def difference(old: Definition, new: Definition) -> Change | None:
    """What is different in a daemon; `None` where nothing is."""
    keys = [key for key in KEYS if getattr(old, key.field) != getattr(new, key.field)]
    if not keys:
        return None
    return Change(keys=tuple(key.name for key in keys), needs_restart=not all(key.live for key in keys))
