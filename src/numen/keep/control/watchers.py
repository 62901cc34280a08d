"""Who watches: the clients that follow the events, or the status, and are told when something changes.

The supervisor tells of each change as it comes; those who follow events hear of it at once, those who watch the status
when the turn is over. `service` lets clients in, `loop` brings the changes.
"""

from __future__ import annotations

from collections import deque

from ...settings.names import matching
from .reports import event_of, report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from ..notices import Change
    from ..supervisor import Supervisor
    from .calls import Call

EVENTS_KEPT = 1000
"""How many of the last events are told to who asks."""


class Watchers:
    """The clients that are told, and the last events."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._events: deque[dict[str, Any]] = deque(maxlen=EVENTS_KEPT)
        self._followers: dict[Call, set[str]] = {}
        """Who follows the events, and of which daemons; of all where that is empty."""
        self._watchers: dict[Call, list[str]] = {}
        """Who watches the status, and by which patterns."""
        self._changed: dict[str, None] = {}

    def watch(self, call: Call, names: Iterable[str], patterns: list[str]) -> None:
        """Tell how these daemons stand; with `more`, again whenever one that the patterns mean changes."""
        call.reply({"daemons": [self.report(name) for name in names]}, continues=call.wants_more)
        if call.wants_more:
            self._watchers[call] = patterns
            call.on_close(lambda: forget(self._watchers, call))

    def follow(self, call: Call, names: set[str], *, follow: bool) -> None:
        """Tell the last events of these daemons, or of all; with `follow`, those to come too."""
        told = [event for event in self._events if not names or event["name"] in names]
        follows = follow and call.wants_more
        call.reply({"events": told}, continues=follows)
        if follows:
            self._followers[call] = names
            call.on_close(lambda: forget(self._followers, call))

    def changed(self, change: Change) -> None:
        """Remember an event, for who follows and who watches."""
        wall = self._supervisor.kernel.wall()
        daemon = self._supervisor.daemons.get(change.name)
        told = [event_of(change.name, notice, daemon, wall) for notice in change.notices]
        for event in told:
            self._supervisor.kernel.tell(f"{event['name']}: {event['kind']}: {event['message']}")
        self._events.extend(told)
        self._changed[change.name] = None
        for call, names in list(self._followers.items()):
            chosen = [event for event in told if not names or event["name"] in names]
            if chosen:
                call.reply({"events": chosen}, continues=True)

    def after_turn(self) -> None:
        """Tell those who watch the status what has changed in a turn."""
        changed, self._changed = list(self._changed), {}
        for call, patterns in list(self._watchers.items()) if changed else ():
            chosen, _ = matching(patterns, changed) if patterns else (changed, [])
            found = [self.report(name) for name in chosen if name in self._supervisor.daemons]
            removed = [name for name in chosen if name not in self._supervisor.daemons]
            if found or removed:
                call.reply({"daemons": found, "removed": removed}, continues=True)

    def report(self, name: str) -> dict[str, Any]:
        """How a daemon stands now."""
        kernel = self._supervisor.kernel
        return report(self._supervisor.daemons[name], kernel.wall(), kernel.monotonic())


def forget(streams: dict[Call, Any], call: Call) -> None:
    """The client of a stream is gone."""
    streams.pop(call, None)
