"""One kept daemon as the supervisor holds it: what is wanted, what is, and who waits for what.

Nothing is decided or written here. The supervisor's parts, and the reports for clients, are the readers.
"""

from __future__ import annotations

from .kernel import Marks
from .life import BETWEEN_RUNS, RESTING, Life

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .definitions.definition import Definition
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
        self.life = life

    def define(self, definition: Definition) -> None:
        """Let this be wanted, from the next run on."""
        self.definition = definition
        if not has_run(self.life):
            self.in_use = definition


def has_run(life: Life) -> bool:
    """Whether there is a run that has not come to its end."""
    return life.state not in RESTING and life.state not in BETWEEN_RUNS


def is_being_spawned(life: Life) -> bool:
    """Whether it is not known yet which process comes of the run, if any."""
    return has_run(life) and life.process is None and life.ended_at is None
