"""Instances: a table of a set with `instances = 4` stands for the daemons `worker@1` to `worker@4`.

In the text of such a table `%i` is the number and `%%` a percent sign.
"""

from __future__ import annotations

import re

from ...errors import BadOption
from ...settings.names import INSTANCE
from ...settings.telling import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

KEY = "instances"

MOST = 1000

SCHEMA = {
    "description": "so many daemons come of this table, NAME@1 and so on; in its text %i is the number, and %% is %",
    "type": "integer",
    "minimum": 0,
    "maximum": MOST,
    "examples": [4],
}


def number_of(value: Any) -> int:
    """How many instances are asked for. Raises BadOption."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MOST:
        raise BadOption(f"{shown(value)} is no whole number from 0 to {MOST}")
    return value


def names(name: str, number: int) -> list[str]:
    """The names of so many instances."""
    return [f"{name}{INSTANCE}{one}" for one in range(1, number + 1)]


def numbered(value: Any, number: int) -> Any:
    """The value as the instance of that number has it. Raises BadOption for a percent sign that means nothing."""
    if isinstance(value, str):
        return _PERCENT.sub(lambda match: _meant(match[0], number), value)
    if isinstance(value, list):
        return [numbered(one, number) for one in value]
    if isinstance(value, dict):
        return {name: numbered(one, number) for name, one in value.items()}
    return value


_PERCENT = re.compile("%.?", re.DOTALL)


def _meant(written: str, number: int) -> str:
    if written == "%i":
        return str(number)
    if written == "%%":
        return "%"
    raise BadOption(f"{shown(written)} means nothing in a table with instances; write %i for the number, %% for %")
