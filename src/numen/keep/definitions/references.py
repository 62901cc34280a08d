"""What daemons say of each other: after whom one starts, and whom it cannot do without.

Order as data: read and checked here, for all daemons of a file together; nothing here starts any.
"""

from __future__ import annotations

from ...errors import BadOption
from ...record import Record
from ...settings.telling import clipped, nearest, shown
from .kinds import Kind, text_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Any

    Place = tuple[str | int, ...]
    """The key that a reference stands in, and in a list its place there."""

STARTED, READY, COMPLETED = "started", "ready", "completed"
"""What is waited for: that the other is executed, that it is ready, or that it has ended as a success."""

CONDITIONS = (STARTED, READY, COMPLETED)


class Reference(Record):
    """Another daemon, and what is waited for."""

    name: str
    condition: str = READY


class Order(Record):
    """What one daemon says of others."""

    after: tuple[Reference, ...] = ()
    """It starts after these, where they are started too."""
    requires: tuple[Reference, ...] = ()
    """It starts after these, and they are started with it."""
    restart_with: tuple[str, ...] = ()
    """It is restarted with each of these."""
    on_failure: str | None = None
    """The daemon that is started when it has failed."""

    def waited_for(self) -> Iterator[tuple[Place, Reference]]:
        """Whom it waits for, each with the key that this stands in and its place there."""
        for key, references in (("after", self.after), ("requires", self.requires)):
            for index, one in enumerate(references):
                yield (key, index), one

    def restarted_with(self) -> Iterator[tuple[Place, str]]:
        """The others with which it is restarted."""
        for index, one in enumerate(self.restart_with):
            yield ("restart_with", index), one

    def names(self) -> Iterator[tuple[Place, str]]:
        """All the names in it."""
        for place, one in self.waited_for():
            yield place, one.name
        yield from self.restarted_with()
        if self.on_failure is not None:
            yield ("on_failure",), self.on_failure


class Wrong(Record):
    """A reference that cannot be used."""

    name: str
    """The daemon that has it."""
    place: Place
    message: str


def check(orders: Mapping[str, Order], groups: Mapping[str, Sequence[str]] = {}) -> list[Wrong]:
    """The references to daemons that are not there, and those that lead around in a circle.

    `groups` are names that mean several.
    """

    def ways(found: Iterable[tuple[Place, str]]) -> list[tuple[Place, str]]:
        return [(place, one) for place, name in found for one in groups.get(name, (name,))]

    waiting = {name: ways((place, one.name) for place, one in order.waited_for()) for name, order in orders.items()}
    restarting = {name: ways(order.restarted_with()) for name, order in orders.items()}
    return [
        *_unknown(orders, groups),
        *_circles(waiting, "it waits for itself"),
        *_circles(restarting, "it is restarted with itself, again and again"),
    ]


def circular(targets: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Those that wait for themselves, or for such, each with those of them for which it waits."""
    known = {name: [one for one in others if one in targets] for name, others in targets.items()}
    return _in_circles(known)


def circle_of(name: str, targets: Mapping[str, Sequence[str]]) -> str:
    """The shortest circle through one of what `circular` has found, drawn; empty where there is none."""
    return drawn(_shortest_circle(name, targets))


def _unknown(orders: Mapping[str, Order], groups: Mapping[str, Sequence[str]]) -> Iterator[Wrong]:
    messages: dict[str, str] = {}
    for name, order in orders.items():
        for place, one in order.names():
            if one not in orders and one not in groups:
                if one not in messages:  # looking for the nearest takes its time
                    meant = nearest(one, [*orders, *groups])
                    hint = f"; did you mean {meant}?" if meant else ""
                    messages[one] = f"there is no daemon {shown(one)} in this file{hint}"
                yield Wrong(name=name, place=place, message=messages[one])


def expanded(references: Iterable[Reference], groups: Mapping[str, Sequence[str]]) -> tuple[Reference, ...]:
    """The references with each name that means several replaced by these; each name once, as it stands first."""
    found: dict[str, Reference] = {}
    for reference in references:
        for one in groups.get(reference.name, (reference.name,)):
            found.setdefault(one, reference.replace(name=one))
    return tuple(found.values())


def _circles(ways: Mapping[str, Sequence[tuple[Place, str]]], words: str) -> Iterator[Wrong]:
    """For each circle one mistake, told at the first daemon of it."""
    targets = {name: list(dict.fromkeys(one for _, one in others if one in ways)) for name, others in ways.items()}
    left = _in_circles(targets)
    told: set[str] = set()
    for name in left:
        circle = [] if name in told else _shortest_circle(name, left)
        if circle and told.isdisjoint(circle):
            told.update(circle)
            place = next(place for place, one in ways[name] if one == circle[1])
            yield Wrong(name=name, place=place, message=f"{words}: {drawn(circle)}")


MOST_DRAWN = 12
"""How many names of a circle are drawn."""


def drawn(circle: Sequence[str]) -> str:
    """A circle as `web → db → cache → web`."""
    names = [clipped(one, 40) for one in circle]
    if len(names) > MOST_DRAWN:
        names[MOST_DRAWN - 2 : -1] = [f"({len(names) - MOST_DRAWN + 1} more)"]
    return " → ".join(names)


def _in_circles(targets: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """What is left when those that lead nowhere are taken away, again and again."""
    waiting = {name: len(others) for name, others in targets.items()}
    sources: dict[str, list[str]] = {name: [] for name in targets}
    for name, others in targets.items():
        for other in others:
            sources[other].append(name)
    free = [name for name, number in waiting.items() if not number]
    while free:
        for source in sources[free.pop()]:
            waiting[source] -= 1
            if not waiting[source]:
                free.append(source)
    return {name: [other for other in others if waiting[other]] for name, others in targets.items() if waiting[name]}


def _shortest_circle(name: str, targets: Mapping[str, Sequence[str]]) -> list[str]:
    """The shortest way from a daemon back to itself, both ends among it; nothing where there is none."""
    came_from: dict[str, str] = {}
    level = [name]
    while level:
        following = []
        for one in level:
            for other in targets[one]:
                if other == name:
                    way = [name, one]
                    while way[-1] != name:
                        way.append(came_from[way[-1]])
                    return way[::-1]
                if other not in came_from:
                    came_from[other] = one
                    following.append(other)
        level = following
    return []


# How they are written


def _parse(value: Any) -> tuple[Reference, ...]:
    if not isinstance(value, (list, tuple)):
        raise BadOption(f'{shown(value)} is no list; write one like ["db"]')
    found = tuple(_reference(one) for one in value)
    for one in _twice(reference.name for reference in found):
        raise BadOption(f"{shown(one)} is there twice")
    return found


def _twice(names: Iterable[str]) -> Iterator[str]:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            yield name
        seen.add(name)


def _reference(value: Any) -> Reference:
    if isinstance(value, str):
        return Reference(name=text_of(value, "name"))
    if not isinstance(value, dict):
        raise BadOption(f'{shown(value)} is no name; write one like "db" or {{ name = "db", condition = "started" }}')
    if unknown := [one for one in value if one not in ("name", "condition")]:
        raise BadOption(f"there is no key {shown(unknown[0])} in a reference; there are name and condition")
    if "name" not in value:
        raise BadOption('the name is missing; write one like { name = "db", condition = "started" }')
    condition = value.get("condition", READY)
    if condition not in CONDITIONS:
        raise BadOption(f"{shown(condition)} is no condition; there are {', '.join(CONDITIONS)}")
    return Reference(name=text_of(value["name"], "name"), condition=condition)


def _form(value: Sequence[Reference]) -> list[Any]:
    return [one.name if one.condition == READY else one.values() for one in value]


REFERENCES = Kind(
    parse=_parse,
    form=_form,
    written="a list of names, or of tables with `name` and `condition`: `started`, `ready` (the default), `completed`",
    schema={
        "type": "array",
        "items": {
            "anyOf": [
                {"type": "string"},
                {
                    "type": "object",
                    "properties": {"name": {"type": "string"}, "condition": {"enum": list(CONDITIONS)}},
                    "required": ["name"],
                    "additionalProperties": False,
                },
            ]
        },
    },
)
