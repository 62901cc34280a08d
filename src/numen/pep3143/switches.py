"""The switches: where keeping python-daemon's way and mending it exclude each other, each has a name.

A program's author sets them with `install(umask=0)`, whoever runs it with NUMEN_PEP3143=umask=0,sigterm=1,
which comes first. docs/pep3143.md says of each default why it is one.
"""

from __future__ import annotations

import os

from ..errors import BadOption
from ..record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal, TypedDict, Unpack

    class Choices(TypedDict, total=False):
        """Switches by name, as `install()` takes them."""

        umask: int
        sigterm: int
        stderr: Literal["log", "null"]
        init: Literal["evidence", "parent"]
        environment: Literal["follow", "keep"]
        signals: Literal["reset", "keep"]
        threads: Literal["note", "refuse"]


VARIABLE = "NUMEN_PEP3143"

CLASSIC = "classic"
"""The word that sets every switch to python-daemon's own way."""


class Switches(Record):
    """One way for each conflict; the defaults are those of numen."""

    umask: int = 0o022
    """The umask of a context that is given none; python-daemon's is 0, which lets everybody write its files."""
    sigterm: int = 0
    """The exit status of a program that SIGTERM ends; python-daemon's is 1, with a line on stderr."""
    stderr: str = "log"
    """Where stderr goes where the program gives none: the log (the journal, else NAME.log), or `null`."""
    init: str = "evidence"
    """What shows that init started the program: evidence, or that its `parent` is process 1."""
    environment: str = "follow"
    """Whether HOME, USER, LOGNAME and SHELL follow a change of user, or the environment is kept."""
    signals: str = "reset"
    """Whether inherited ignored and blocked signals are reset, or kept."""
    threads: str = "note"
    """Whether a fork of a program with threads, or with a running event loop, is noted on stderr, or refused."""


WORDS = {
    "stderr": ("log", "null"),
    "init": ("evidence", "parent"),
    "environment": ("follow", "keep"),
    "signals": ("reset", "keep"),
    "threads": ("note", "refuse"),
}
"""What each switch that is a word may be."""

PYTHON_DAEMONS_WAY = Switches(umask=0, sigterm=1, stderr="null", init="parent", environment="keep", signals="keep")

_chosen = Switches()
"""What the program chose."""


def choose(**choices: Unpack[Choices]) -> None:
    """Set switches for this process. Raises BadOption for an unknown name or value."""
    global _chosen
    _chosen = _chosen.replace(**{name: _checked(name, value) for name, value in choices.items()})


def current() -> Switches:
    """What holds now: the program's choices, and over them what NUMEN_PEP3143 says. Raises BadOption."""
    return parse(os.environ.get(VARIABLE, ""), _chosen)


def parse(text: str, base: Switches) -> Switches:
    """`base` with the changes that a text such as `umask=0,sigterm=1` asks for. Raises BadOption."""
    for part in filter(None, (part.strip() for part in text.split(","))):
        if part == CLASSIC:
            base = PYTHON_DAEMONS_WAY
            continue
        name, separator, value = (piece.strip() for piece in part.partition("="))
        if not separator:
            raise BadOption(f"{VARIABLE}: {part!r} is no switch; write NAME=VALUE or {CLASSIC}")
        base = base.replace(**{name: _checked(name, value)})
    return base


def _checked(name: str, value: object) -> object:
    if name in WORDS:
        if value not in WORDS[name]:
            raise BadOption(f"the switch {name} is {' or '.join(WORDS[name])}, not {value!r}")
        return value
    if name not in Switches.fields():
        raise BadOption(f"there is no switch {name!r}; there are {', '.join(Switches.fields())}")
    try:
        number = int(value, 8 if name == "umask" else 10) if isinstance(value, str) else int(str(value))
    except ValueError:
        number = -1
    if not 0 <= number <= (0o777 if name == "umask" else 255):
        raise BadOption(
            f"the switch {name} is {'an octal mask' if name == 'umask' else 'an exit status'}, not {value!r}"
        )
    return number
