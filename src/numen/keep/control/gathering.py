"""The outcomes of one call for several daemons, gathered: told one by one to who asked for `more`, else all at once."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from ..requests import Outcome
    from .calls import Call

    Tell = Callable[[str, Outcome, Callable[[dict[str, Any]], None]], None]


class Gathering:
    """One call, and the daemons that it still waits for."""

    def __init__(self, call: Call, names: Iterable[str], tell: Tell, also: dict[str, Any] | None = None) -> None:
        """`tell` makes of a name and an outcome what the interface says of it, now or later.

        `also` is in the last reply too.
        """
        self._call, self._tell, self._also = call, tell, also or {}
        self._open = set(names)
        self._outcomes: list[dict[str, Any]] = []
        if not self._open:
            call.reply({"outcomes": [], **self._also})

    def answer(self, name: str) -> Callable[[Outcome], None]:
        """What takes the outcome for one daemon."""
        return lambda outcome: self._tell(name, outcome, lambda told: self._add(name, told))

    def _add(self, name: str, told: dict[str, Any]) -> None:
        self._open.discard(name)
        self._outcomes.append(told)
        if self._call.wants_more and self._open:
            self._call.reply({"outcomes": self._outcomes}, continues=True)
            self._outcomes = []
        elif not self._open:
            self._call.reply({"outcomes": self._outcomes, **self._also})
