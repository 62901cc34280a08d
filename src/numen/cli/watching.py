"""`numen status --watch`: the table drawn again whenever a daemon changes, and now and then for what they use."""

from __future__ import annotations

import json
import queue
import sys
import threading
import time

from . import asking, kept, kept_table
from .screen import is_terminal, screen
from .streaming import print_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

EVERY = 2.0
"""Seconds after which what they use is read again."""

AT_MOST_EVERY = 0.1
"""Seconds between two drawings: where fifty daemons crash, nobody can read faster."""

HOME, CLEAR_LINE, CLEAR_BELOW = "\x1b[H", "\x1b[K", "\x1b[J"
OTHER_SCREEN, OWN_SCREEN = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"


def watch(names: Sequence[str], *, as_json: bool) -> int:
    """Show the daemons until Ctrl-C; the exit status. Raises DaemonError."""
    if as_json:
        return print_all(json.dumps(kept.as_json(kept.with_usage(one))) for one in _changes(names))
    if not is_terminal(sys.stdout):
        return print_all(kept_table.plain_line(kept.with_usage(one), time.time()) for one in _changes(names))
    sys.stdout.write(OTHER_SCREEN)
    try:
        _draw_all(names)
    finally:
        sys.stdout.write(OWN_SCREEN)
        sys.stdout.flush()
    return 0


def _changes(names: Sequence[str]) -> Iterator[dict[str, Any]]:
    for reply in asking.follow("Status", {"names": list(names)}):
        yield from reply["daemons"]


def _draw_all(names: Sequence[str]) -> None:
    reports: dict[str, dict[str, Any]] = {}
    shown: dict[str, dict[str, Any]] = {}
    replies: queue.Queue[dict[str, Any] | Exception] = queue.Queue()
    threading.Thread(target=_receive, args=(names, replies), daemon=True).start()
    while True:
        change = _next(replies, EVERY)
        deadline = time.monotonic() + AT_MOST_EVERY
        while change is not None:
            if isinstance(change, Exception):
                raise change
            reports |= {one["name"]: one for one in change["daemons"]}
            for name in change.get("removed", ()):
                reports.pop(name, None)
            change = _next(replies, deadline - time.monotonic())
        shown = {name: kept.with_usage(one, shown.get(name)) for name, one in sorted(reports.items())}
        _draw(list(shown.values()))


def _receive(names: Sequence[str], replies: queue.Queue[dict[str, Any] | Exception]) -> None:
    try:
        for reply in asking.follow("Status", {"names": list(names)}):
            replies.put(reply)
    except Exception as error:  # noqa: BLE001 - it is raised where it can be told
        replies.put(error)


def _next(replies: queue.Queue[dict[str, Any] | Exception], timeout: float) -> dict[str, Any] | Exception | None:
    """What came within that time; `None` for nothing."""
    try:
        return replies.get(timeout=max(timeout, 0.001))
    except queue.Empty:
        return None


def _draw(daemons: Sequence[dict[str, Any]]) -> None:
    """Draw over what is there, so that nothing flickers."""
    import shutil

    looked_at = screen()
    if looked_at is None:
        return
    height = shutil.get_terminal_size((100, 24)).lines
    head = f"{time.strftime('%H:%M:%S')}  {len(daemons)} daemon{'' if len(daemons) == 1 else 's'}  (Ctrl-C ends)"
    table = kept_table.for_terminal(daemons, time.time(), looked_at, most=max(height - 3, 2))
    lines = [head, "", *table.split("\n")]
    sys.stdout.write(HOME + "\n".join(f"{line}{CLEAR_LINE}" for line in lines) + CLEAR_BELOW)
    sys.stdout.flush()
