"""Whether a daemon is brought back, in the file of the set that it comes from: else the next apply would undo it.

The caller is `cli.enabling`.
"""

from __future__ import annotations

import os

from ...errors import DaemonError
from ...settings.names import template_of
from . import editing, files, instances, sets
from .set_tables import DAEMON, DEFAULTS
from .source import Source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def set_start(file: str, name: str, *, start: bool) -> str:
    """Set `start` of a daemon in its set, or of all instances beside it; what there is to say, to follow a sentence."""
    if not os.path.lexists(file):
        return ""
    until = f"; until the next numen apply {file}"
    if sets.is_procfile(file):
        return f"{until}, as a Procfile cannot say that"
    try:
        table = Source(files.read_content(file, sets.LARGEST_FILE), file).table()
        daemons = _table(table, DAEMON)
        template = template_of(name)
        if name not in daemons and template is not None and instances.KEY in _table(daemons, template):
            name = template
        if name in daemons and _start_of(table, daemons, name) is not start:
            editing.set_value(file, (DAEMON, name, "start"), start)
    except DaemonError as error:
        return f"{until}: {error}"
    return f", also by {file}" if name in daemons else ""


def _start_of(table: dict[str, Any], daemons: dict[str, Any], name: str) -> Any:
    return {"start": True, **_table(table, DEFAULTS), **_table(daemons, name)}["start"]


def _table(table: dict[str, Any], name: str) -> dict[str, Any]:
    found = table.get(name)
    return found if isinstance(found, dict) else {}
