"""One kept daemon as the supervisor holds it: what is wanted, what is, and who waits for what.

Nothing is decided or written here. The supervisor's parts, and the reports for clients, are the readers.
"""

from __future__ import annotations

from .definitions.keys import KEYS
from .kernel import BEFORE_START, Marks
from .life import BETWEEN_RUNS, RESTING, Life, State

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .definitions.definition import Definition
    from .life import ProcessId
    from .requests import Asked, Outcome

    Answered = Callable[[Outcome], None]


class Daemon:
    """One kept daemon."""

    def __init__(self, name: str, definition: Definition) -> None:
        self.name = name
        self.definition = definition
        self.in_use = definition
        """That of the present run, as it was when it was spawned: by it the run is judged, and ended."""
        self.life = Life()
        self.speakers: set[ProcessId] = set()
        """Those of the family of this run, beside the main process, that have sent notifications."""
        self.waiting: list[tuple[Asked, Answered]] = []
        self.is_defined = self.is_written = True
        """Whether the journal holds the definition, and the life, as they are."""

    def marks(self) -> Marks:
        """By what its family is known."""
        life = self.life
        return Marks(name=self.name, invocation=life.invocation, process=life.process, members=life.members)

    def go_on(self, life: Life) -> None:
        """Let this be the life; a new run takes up the definition as it is now."""
        if not has_run(life) or life.invocation != self.life.invocation:
            self.in_use = self.definition
            self.speakers.clear()
        self.life = life

    def define(self, definition: Definition) -> None:
        """Let this be wanted: from the next run on, and what needs no restart at once."""
        self.definition = definition
        if not has_run(self.life):
            self.in_use = definition
        elif self.life.state is State.STOPPING:
            # A stop goes on as it has begun.
            self.in_use = adjusted(self.in_use, definition.replace(stop=self.in_use.stop))
        else:
            self.in_use = adjusted(self.in_use, definition)


AT_ONCE = tuple(key.field for key in KEYS if key.live and not key.name.startswith("schedule."))
"""What takes hold without a restart. A schedule does too, but is always read in the definition."""


def adjusted(in_use: Definition, wanted: Definition) -> Definition:
    """The definition of a run, with what takes hold without a restart as it is wanted now."""
    live = {field: value for field in AT_ONCE if (value := getattr(wanted, field)) != getattr(in_use, field)}
    return in_use.replace(**live) if live else in_use


def has_run(life: Life) -> bool:
    """Whether there is a run that has not come to its end."""
    return life.state not in RESTING and life.state not in BETWEEN_RUNS


def is_being_spawned(life: Life) -> bool:
    """Whether it is not known yet which process comes of the run, if any."""
    is_to_come = BEFORE_START in life.hooks
    return has_run(life) and life.process is None and life.ended_at is None and not is_to_come
