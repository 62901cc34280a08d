"""What the log has not taken yet, oldest first, within a bound of memory."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .entries import Entry

ROOM = 256 * 1024
"""Bytes that all entries together may take."""

ENTRY_COST = 512
"""Bytes that an entry takes beside its texts, about."""


class Backlog:
    """Entries that wait to be sent.

    A signal handler may add to it, or clear it, between any two calls of the code that sends; each method
    leaves it whole at every point where that can happen.
    """

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._cost = 0

    @property
    def first(self) -> Entry | None:
        """The entry that has waited longest; None where nothing waits."""
        entries = self._entries
        return entries[0] if entries else None

    def has_room(self, entry: Entry) -> bool:
        """Whether the entry may wait; one that would be the only one always may, however large it is."""
        return not self._entries or self._cost + _cost(entry) <= ROOM

    def append(self, entry: Entry) -> None:
        """Let the entry wait behind the others."""
        cost = _cost(entry)
        self._entries.append(entry)
        self._cost += cost

    def drop(self, entry: Entry) -> None:
        """Forget the entry if it is still the first."""
        cost = _cost(entry)
        if self.first is entry:
            del self._entries[0]
            self._cost -= cost

    def clear(self) -> int:
        """Forget all, and tell how many messages are lost with them."""
        forgotten, self._entries, self._cost = self._entries, [], 0
        return sum(entry.lost + 1 for entry in forgotten)


def _cost(entry: Entry) -> int:
    fields = sum(len(value) for value in entry.extra.values() if isinstance(value, (str, bytes)))
    return ENTRY_COST + len(entry.text) + fields
