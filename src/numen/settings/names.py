"""The names of daemons, and lists of names: what may be one, and which ones a shell pattern means."""

from __future__ import annotations

from ..errors import BadOption

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

LONGEST_NAME = 100
"""Characters; with what is written around it, it has to be the name of a file."""

OWN_NAME = "numen"
"""The supervisor's own name: `numen logs numen` shows its log."""

INSTANCE = "@"
"""What stands between a name and the number of an instance: `worker@3`."""


def check_name(name: str) -> None:
    """Raise BadOption for what is no name of a daemon, because it could not be the name of a file."""
    if len(name) > LONGEST_NAME:
        raise BadOption(
            f"{name[:20]!r}... is no name: it has {len(name)} characters, and {LONGEST_NAME} at most may be"
        )
    if not name or name[0] in ".-" or not all(c.isalnum() or c in "._-@:" for c in name):
        raise BadOption(f"{name!r} is no name: letters, digits and . _ - @ : may be in one, no dot or dash first")


def check_kept_name(name: str) -> None:
    """The same for a daemon that is kept: the supervisor's own name is none. Raises BadOption."""
    check_name(name)
    if name == OWN_NAME:
        raise BadOption(f"{name!r} is no name for a daemon: it is the supervisor's own")


def matching(patterns: Iterable[str], names: Iterable[str]) -> tuple[list[str], list[str]]:
    """The names that are meant, each once, and the patterns that mean none.

    What is a name means that one alone; `worker` means each `worker@N` where no daemon has just that name; anything
    else is a shell pattern, whose names come sorted.
    """
    from fnmatch import fnmatchcase

    known = sorted(set(names), key=_by_number)
    found: dict[str, None] = {}
    unmatched = []
    for pattern in patterns:
        meant: Sequence[str] = [pattern] if pattern in known else [one for one in known if template_of(one) == pattern]
        meant = meant or [one for one in known if fnmatchcase(one, pattern)]
        found.update(dict.fromkeys(meant))
        if not meant:
            unmatched.append(pattern)
    return list(found), unmatched


def template_of(name: str) -> str | None:
    """The name without its number, of which it is an instance: `worker` of `worker@3`; `None` of another name."""
    base, sign, number = name.rpartition(INSTANCE)
    return base if base and sign and number.isascii() and number.isdigit() and number[0] != "0" else None


def _by_number(name: str) -> tuple[str, int, str]:
    base = template_of(name)
    return (name, 0, name) if base is None else (base, int(name.rpartition(INSTANCE)[2]), name)


def comma_separated(text: str) -> list[str]:
    """The words between commas; an empty text holds none."""
    return [word for one in text.split(",") if (word := one.strip())]
