"""`numen down`: stop and remove all daemons that come from a file."""

from __future__ import annotations

import json
import os
from contextlib import suppress

from ..errors import from_os_error
from . import applying, asking, enabling, kept
from .main import say
from .options import Option, Table
from .outcomes import ENDINGS, JSON, QUIET, tell_all, with_those_left
from .words import read_mixed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

TABLE = Table(
    command="down",
    usage=("numen down [--dry-run] [--quiet] [--json] [FILE]",),
    description="Stop all daemons that come from FILE, ./numen.toml where none is named, and keep them no longer. The\n"
    "file and their logs stay, and `numen apply` brings them back. The file need not be there any more.",
    epilog=f"""examples:
  numen down
  numen down /srv/shop/numen.toml

{ENDINGS}7 no supervisor runs, but some of them do,
14 somebody started it meanwhile""",
    options=(
        Option(flags=("--dry-run", "-n"), help="show which they are, and change nothing"),
        QUIET,
        JSON,
    ),
)


def run(arguments: Sequence[str]) -> int:
    """Run `numen down`; the exit status. Raises DaemonError."""
    values, words = read_mixed(TABLE, arguments)
    source = applying.source_of(words, "down")
    # Nobody is brought back to be ended.
    while not asking.is_open():
        statuses = _without_supervisor(source, values)
        if not asking.is_open():
            return statuses
    return applying.apply("down", source, {}, values)


def _without_supervisor(source: str, values: dict[str, Any]) -> int:
    """Remove the files; the exit status. Raises NoSupervisor where any of the daemons runs on."""
    from ..keep.definitions import replacing
    from ..settings.places import definitions_directory

    # What was written all together and not yet put into place is there, too.
    replacing.finish(definitions_directory())
    names = [name for name in kept.defined() if enabling.source_of(name) == source]
    running = kept.left_running()
    if any(name in running for name in names):
        raise with_those_left(asking.NoSupervisor("no supervisor runs"), "down", names)
    if not values["quiet"] and not values["json"]:
        say("\n".join(f"- {name} (is removed; no supervisor runs)" for name in names) or "nothing comes from it")
    changes = {"added": [], "changed": [], "removed": names, "unchanged": 0}
    outcomes = []
    for name in [] if values["dry_run"] else names:
        path = kept.definition_path(name)
        try:
            with suppress(FileNotFoundError):
                os.unlink(path)
        except OSError as error:
            raise from_os_error(error, f"remove {path}") from error
        outcomes.append({"name": name, "ok": True, "message": "is removed", "last_lines": []})
    if values["json"]:
        say(json.dumps({"changes": changes}))
    return tell_all("down", [{"outcomes": outcomes}], values)
