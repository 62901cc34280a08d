"""Order among daemons: who waits for whom with its start, who goes before whom, and what follows when one is gone.

Nothing is remembered here but who refers to whom: all is reckoned from the lives as they stand, so that a supervisor
that takes over comes to the same. `supervisor` asks after each step; what must follow is an event for one daemon.
"""

from __future__ import annotations

from ..record import Record
from . import life as lives
from .decide import SHUT_DOWN, STOPPED_BY_REQUEST, WITHHELD
from .definitions.references import COMPLETED, READY, STARTED, Order, circle_of, circular
from .kept import has_run
from .life import RESTING, State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .definitions.definition import Definition
    from .definitions.references import Reference
    from .kept import Daemon
    from .life import Action, Event, Life

MOST_NAMED = 3
"""How many of those that are waited for are named."""

WORDS = {STARTED: "be started", READY: "be ready", COMPLETED: "be completed"}

NEW_RUN = "the new run of "
"""Who has asked for a restart, where it follows from that of another."""

UP = (State.STARTING, State.RUNNING)

ENDED = (State.EXITED, State.FAILED)


class Waits(Record):
    """Why a start has to wait."""

    reason: str
    is_blocked: bool
    """Whether what it waits for will not come without a person's doing."""


class Ties:
    """Who of these daemons refers to whom. What has no reference, and is in none, costs nothing here."""

    def __init__(self, daemons: Mapping[str, Daemon]) -> None:
        self._daemons = daemons
        self._targets: dict[str, tuple[str, ...]] = {}
        """To whom each refers, in whatever way."""
        self._sources: dict[str, dict[str, None]] = {}
        """Who refers to each, that one need not be defined."""
        self._circular: dict[str, list[str]] | None = None
        """Those that wait for themselves, and for which of these each waits; `None`: not known."""

    def know(self, name: str) -> None:
        """Take up to whom a daemon refers, which has changed, or is here no more."""
        daemon = self._daemons.get(name)
        targets = () if daemon is None else _names(daemon.definition)
        before = self._targets.pop(name, ())
        if targets == before == ():
            return
        for one in before:
            self._sources[one].pop(name, None)
            if not self._sources[one]:
                del self._sources[one]
        for one in targets:
            self._sources.setdefault(one, {})[name] = None
        if targets:
            self._targets[name] = targets
        self._circular = None

    def __contains__(self, name: str) -> bool:
        """Whether it refers to another, or another to it."""
        return name in self._targets or name in self._sources

    def names(self) -> Iterator[str]:
        """All that refer to another, and the others."""
        yield from dict.fromkeys((*self._targets, *self._sources))

    def around(self, name: str) -> Iterator[str]:
        """Those that may have to do something when something has happened to one: itself, and its neighbours."""
        if name in self:
            yield name
            yield from self._sources.get(name, ())
            yield from self._targets.get(name, ())

    def dependents(self, name: str) -> Iterator[tuple[Daemon, bool]]:
        """Those that start after one, and whether they cannot go on without it; not those in a circle with it."""
        for source in self._sources.get(name, ()):
            if (daemon := self._daemons.get(source)) is None or source == name:
                continue
            strong = any(one.name == name for one in _needed(daemon.definition))
            if (strong or _waits_for(daemon.definition, name)) and not self._is_circular(source, name):
                yield daemon, strong

    def circle(self, name: str) -> str:
        """The circle in which a daemon waits for itself, drawn; empty where it is in none."""
        return circle_of(name, self._in_circles()) if name in self._in_circles() else ""

    def _is_circular(self, source: str, name: str) -> bool:
        """Whether the way from the one to the other leads back."""
        found = self._in_circles()
        return source in found and name in found and source in _reached(name, found)

    def _in_circles(self) -> dict[str, list[str]]:
        if self._circular is None:
            waiting = (name for name in self._targets if name in self._daemons)
            self._circular = circular({name: _ordered(self._daemons[name].definition) for name in waiting})
        return self._circular


class Ordering:
    """What order asks of these daemons."""

    def __init__(self, daemons: Mapping[str, Daemon]) -> None:
        self._daemons = daemons
        self.ties = Ties(daemons)

    # What a step that was decided comes to.

    def held(
        self, daemon: Daemon, event: Event, step: tuple[Life, tuple[Action, ...]]
    ) -> tuple[Life, tuple[Action, ...]]:
        """The step, or, where others come first, that which waits for them."""
        before = daemon.life
        after, actions = step
        if daemon.definition.vital and after.state in ENDED and before.state not in ENDED:
            after = after.replace(ends_all=True)
        if daemon.name not in self.ties:
            return after, actions
        if after.state is State.STARTING and before.state is not State.STARTING:
            waits = self.waits(daemon.name)
            if waits is None and isinstance(event, lives.StartAsked | lives.RestartAsked) and self._may_be(daemon):
                # Who was asked in the same breath is seen when all is taken.
                waits = Waits(reason="", is_blocked=False)
            return (after, actions) if waits is None else held_start(after, actions, waits)
        is_asked = after.reason in (STOPPED_BY_REQUEST, SHUT_DOWN) or after.reason.startswith(WITHHELD)
        is_stop = before.state in UP and after.state is State.STOPPING and after.ended_at is None
        if not (is_stop and is_asked) or isinstance(event, lives.MayStop):
            return after, actions
        # Who goes with it is seen when all is taken that was asked.
        has_dependents = next(self.ties.dependents(daemon.name), None) is not None
        return held_stop(before, after) if has_dependents else (after, actions)

    def _may_be(self, daemon: Daemon) -> bool:
        """Whether one after which it starts rests, and may be about to be asked for."""
        others = (self._daemons.get(one.name) for one in daemon.definition.after)
        return any(one is not None and one is not daemon and not _comes(one.life) for one in others)

    # What follows.

    def due(self, name: str) -> Event | None:
        """What must happen to a daemon for the way in which the others stand."""
        daemon = self._daemons.get(name)
        if daemon is None:
            return None
        life = daemon.life
        if life.state is State.WAITING:
            waits = self.waits(name)
            if waits is None:
                return lives.MayStart()
            is_new = (waits.reason, waits.is_blocked) != (life.reason, life.is_blocked)
            return lives.Waits(reason=waits.reason, is_blocked=waits.is_blocked) if is_new else None
        if life.state not in UP:
            return None
        if life.held_back:
            return None if any(self.goes_before(name)) else lives.MayStop()
        return self._withheld(daemon) or self._restarted(daemon)

    def waits(self, name: str) -> Waits | None:
        """Why a daemon may not start yet; `None` where it may."""
        definition = self._daemons[name].definition
        left: list[Reference] = []
        for reference, other in self._awaited(definition):
            if other is None:
                return Waits(reason=f"requires {reference.name}, which is not defined", is_blocked=True)
            if holds(other, reference.condition):
                continue
            left.append(reference)
            if (why := _in_vain(other)) and other.name != name:
                return self._circle(name) or Waits(reason=f"waits for {other.name}, which {why}", is_blocked=True)
        return (self._circle(name) or Waits(reason=_told(left), is_blocked=False)) if left else None

    def _awaited(self, definition: Definition) -> Iterator[tuple[Reference, Daemon | None]]:
        """For whom it has to wait now, if only those are up."""
        for one in definition.requires:
            yield one, self._daemons.get(one.name)
        for one in definition.after:
            other = self._daemons.get(one.name)
            if other is not None and _comes(other.life):
                yield one, other

    def _circle(self, name: str) -> Waits | None:
        """That it waits for itself by way of others that wait too."""
        if not (drawn := self.ties.circle(name)):
            return None
        seen: dict[str, None] = {}
        left = [name]
        while left:
            for reference, other in self._awaited(self._daemons[left.pop()].definition):
                if other is None or holds(other, reference.condition):
                    continue
                if other.name == name:
                    return Waits(reason=f"waits for itself: {drawn}", is_blocked=True)
                if other.life.state is State.WAITING and other.name not in seen:
                    seen[other.name] = None
                    left.append(other.name)
        return None

    def goes_before(self, name: str) -> Iterator[str]:
        """Those that have to be gone before one is stopped."""
        for daemon, strong in self.ties.dependents(name):
            if has_run(daemon.life) and (strong or _is_leaving(daemon.life)):
                yield daemon.name

    def _withheld(self, daemon: Daemon) -> Event | None:
        for one in _needed(daemon.definition):
            other = self._daemons.get(one.name)
            if other is not None and other is not daemon and (gone := _is_gone(other.life)):
                return lives.Withheld(reason=f"{WITHHELD}{one.name} {gone}")
        return None

    def _restarted(self, daemon: Daemon) -> Event | None:
        for name in daemon.definition.restart_with:
            other = self._daemons.get(name)
            if other is None or other is daemon or other.life.state is not State.RUNNING:
                continue
            ended = other.life.previous_end
            if ended is not None and daemon.life.started_at < ended:
                return lives.RestartAsked(by=f"{NEW_RUN}{name}")
        return None

    # Whom a command means too.

    def started_with(self, name: str) -> list[str]:
        """Those that have to be started for the sake of one, before it."""
        found: dict[str, None] = {}
        seen = {name}
        left = [name]
        while left:
            one = self._daemons[left.pop()]
            for reference in one.definition.requires:
                other = self._daemons.get(reference.name)
                if other is None or other.name in seen:
                    continue
                seen.add(other.name)
                left.append(other.name)
                is_to_come = other.life.wanted and other.life.state not in ENDED and not other.life.held_back
                if not (is_to_come or holds(other, reference.condition)):
                    found[other.name] = None
        return list(found)[::-1]

    def ended_with(self, name: str) -> list[str]:
        """Those that end with a vital one: all of its source, and without one those that require it."""
        source = self._daemons[name].definition.source
        if source is not None:
            return [one.name for one in self._daemons.values() if one.definition.source == source and one.name != name]
        found: dict[str, None] = {name: None}
        left = [name]
        while left:
            for daemon, strong in self.ties.dependents(left.pop()):
                if strong and daemon.name not in found:
                    found[daemon.name] = None
                    left.append(daemon.name)
        return list(found)[1:]


def held_start(after: Life, actions: tuple[Action, ...], waits: Waits) -> tuple[Life, tuple[Action, ...]]:
    """Instead of the beginning of a run: the waiting for it."""
    waiting = after.replace(state=State.WAITING, reason=waits.reason, is_blocked=waits.is_blocked)
    return waiting, tuple(one for one in actions if not isinstance(one, lives.Spawn))


def held_stop(before: Life, after: Life) -> tuple[Life, tuple[Action, ...]]:
    """Instead of the beginning of a stop: that it is to come."""
    kept = {"task": after.task, "wake": after.wake, "wake_wall": after.wake_wall}
    return before.replace(wanted=after.wanted, by=after.by, held_back=after.reason, **kept), ()


def wanted_with(definitions: Mapping[str, Definition], wanted: Mapping[str, bool], may: Mapping[str, bool]) -> set[str]:
    """All that are wanted at a boot: those that are by themselves, and whom they require as far as these may."""
    found = {name for name, is_wanted in wanted.items() if is_wanted}
    left = list(found)
    while left:
        for one in definitions[left.pop()].requires:
            if one.name in definitions and one.name not in found and may.get(one.name, False):
                found.add(one.name)
                left.append(one.name)
    return found


def holds(other: Daemon, condition: str) -> bool:
    """Whether a daemon has come as far as another waits for."""
    life = other.life
    if condition == COMPLETED:
        if life.task is None:
            return life.state is State.EXITED
        from .tasks import has_succeeded  # most supervisors keep no task

        return has_succeeded(life)
    if not _is_wanted(life) or life.held_back:
        return False
    if condition == STARTED:
        return life.state is State.EXITED or (life.state in UP and life.has_main)
    return life.state is State.RUNNING and not life.health.is_not_ready


def _is_wanted(life: Life) -> bool:
    return life.wanted or (life.is_single and life.state not in RESTING)


def _comes(life: Life) -> bool:
    """Whether a daemon is to come up, or to end, by itself; or is up."""
    return _is_wanted(life) and life.state not in ENDED


def _in_vain(other: Daemon) -> str:
    """Why a daemon will not come without a person's doing, in words; empty where it may."""
    life = other.life
    if not _is_wanted(life):
        return "is stopped"
    if life.state is State.FAILED:
        return f"has failed: {life.ending}"
    if life.state is State.EXITED:
        return f"has ended: {life.ending}"
    if life.state is State.WAITING and life.is_blocked:
        return "is held back itself"
    return ""


def _is_gone(life: Life) -> str:
    """Why those that require it may not run on, in words; empty where they may."""
    if not _is_wanted(life):
        return "is"
    if life.state is State.FAILED:
        return "has failed"
    is_withheld = life.held_back.startswith(WITHHELD)
    is_withheld |= life.state is State.STOPPING and life.reason.startswith(WITHHELD)
    is_withheld |= life.state is State.WAITING and life.is_blocked
    return "is" if is_withheld else ""


def _is_leaving(life: Life) -> bool:
    """Whether it is being stopped, or about to be, and not for a restart."""
    is_withheld = life.state is State.STOPPING and life.reason.startswith(WITHHELD)
    return not _is_wanted(life) or bool(life.held_back) or life.reason == SHUT_DOWN or is_withheld


def _needed(definition: Definition) -> Iterator[Reference]:
    """Those without which it cannot go on."""
    return (one for one in definition.requires if one.condition != COMPLETED)


def _waits_for(definition: Definition, name: str) -> bool:
    return any(one.name == name for one in (*definition.after, *definition.requires))


def _ordered(definition: Definition) -> list[str]:
    return list(dict.fromkeys(one.name for one in (*definition.after, *definition.requires)))


def _names(definition: Definition) -> tuple[str, ...]:
    if not (definition.after or definition.requires or definition.restart_with):
        return ()
    order = Order(after=definition.after, requires=definition.requires, restart_with=definition.restart_with)
    return tuple(dict.fromkeys(name for _, name in order.names()))


def _told(left: list[Reference]) -> str:
    """For whom it waits, in words."""
    names = dict.fromkeys(f"{one.name} to {WORDS[one.condition]}" for one in left)
    more = len(names) - MOST_NAMED
    told = list(names) if more <= 1 else list(names)[:MOST_NAMED]
    return f"waits for {', '.join(told)}" + (f" and {more} more" if more > 1 else "")


def _reached(name: str, targets: Mapping[str, list[str]]) -> set[str]:
    found, left = {name}, [name]
    while left:
        new = [one for one in targets[left.pop()] if one not in found]
        found.update(new)
        left += new
    return found
