"""The table of `numen status`: plain columns for a pipe, and colours, fitted to its width, for a terminal."""

from __future__ import annotations

import time

from ..become.tail import printable
from ..settings.durations import format_duration
from .kept import why

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from ..check.report.table import Screen

COLUMNS = ("NAME", "STATE", "SINCE", "PID", "RESTARTS", "CPU", "MEMORY", "WHY")
"""Each cell but the last is one word in plain columns, so that awk(1) and cut(1) understand them."""

NUMBERS = frozenset({"PID", "RESTARTS", "CPU", "MEMORY"})
"""The columns that are set to the right."""

NONE = "-"
"""What stands where there is nothing."""

GAP = "  "

LEFT_OUT = ("MEMORY", "CPU", "SINCE", "RESTARTS")
"""The columns that are left out, in this order, where the terminal is narrow."""

NARROWEST_WHY = 12
"""Columns that the reason has at least."""

BOLD, DIM = "1", "2"

STYLES = {
    "running": "32",
    "scheduled": "32",
    "starting": "36",
    "stopping": "36",
    "backoff": "33",
    "waiting": "33",
    "failed": "1;31",
    "unusable": "1;31",
    "stopped": DIM,
    "exited": DIM,
}
"""How each state is drawn: parameters of SGR, console_codes(4)."""


def plain(daemons: Sequence[dict[str, Any]], now: float) -> str:
    """A line for each daemon under a heading."""
    rows: list[tuple[str, ...]] = [COLUMNS, *(_row(one, _instant(one["since"]), now) for one in daemons)]
    widths = [max(map(width_of, column)) for column in zip(*rows, strict=True)]
    aligned = [str.rjust if heading in NUMBERS else str.ljust for heading in COLUMNS]
    return "\n".join(
        "  ".join(align(cell, width) for align, cell, width in zip(aligned, row, widths, strict=True)).rstrip()
        for row in rows
    )


def plain_line(daemon: dict[str, Any], now: float) -> str:
    """One daemon as a line of its own, for who watches without a terminal."""
    return "  ".join(_row(daemon, _instant(daemon["since"]), now))


def for_terminal(daemons: Sequence[dict[str, Any]], now: float, screen: Screen, most: int | None = None) -> str:
    """A row for each daemon, none wider than the screen; of more than `most` lines the first, and how many are left.

    It is drawn by hand: rich takes 50 ms to import, and half a second for a thousand rows.
    """
    shown = daemons if most is None or len(daemons) + 1 <= most else daemons[: max(most - 2, 1)]
    rows = [COLUMNS, *(_row(one, _age(one["since"], now), now) for one in shown)]
    widths = dict(zip(COLUMNS, (max(map(width_of, column)) for column in zip(*rows, strict=True)), strict=True))
    widths["NAME"] = min(widths["NAME"], max(screen.width // 3, len("NAME")))
    for heading in ("", *LEFT_OUT):
        widths.pop(heading, None)
        widths["WHY"] = screen.width - sum(widths.values()) + widths["WHY"] - len(GAP) * (len(widths) - 1)
        if widths["WHY"] >= NARROWEST_WHY:
            break
    states = ["", *(one["state"] for one in shown)]
    lines = [_drawn(row, widths, state, screen) for row, state in zip(rows, states, strict=True)]
    if len(shown) < len(daemons):
        lines.append(_styled(f"… and {len(daemons) - len(shown)} more", DIM, screen))
    return "\n".join(lines)


def _drawn(row: Sequence[str], widths: Mapping[str, int], state: str, screen: Screen) -> str:
    """A row; the heading is that of no state."""
    style = STYLES.get(state, "")
    styles = {"STATE": style, "WHY": "" if style == DIM else style}
    cells = []
    for heading, cell in zip(COLUMNS, row, strict=True):
        if heading in widths:
            text = _cut(cell, widths[heading])
            blanks = " " * (widths[heading] - width_of(text)) if heading != "WHY" else ""
            styled = _styled(text, styles.get(heading, "") if state else BOLD, screen)
            cells.append(blanks + styled if heading in NUMBERS else styled + blanks)
    return GAP.join(cells)


def _styled(text: str, style: str, screen: Screen) -> str:
    return f"\x1b[{style}m{text}\x1b[0m" if style and screen.has_colours else text


def _cut(text: str, width: int) -> str:
    if width_of(text) <= width:
        return text
    while width_of(text) > width - 1:
        text = text[:-1]
    return f"{text}…"


def width_of(text: str) -> int:
    """The columns that it takes on a terminal."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(sign) else 2 if east_asian_width(sign) in "WF" else 1 for sign in text)


def _row(facts: dict[str, Any], since: str, now: float) -> tuple[str, ...]:
    return (
        facts["name"],
        facts["state"],
        since,
        NONE if facts["pid"] is None else str(facts["pid"]),
        NONE if facts["restarts"] is None else str(facts["restarts"]),
        NONE if facts["cpu"] is None else f"{facts['cpu'] * 100:.1f}%",
        NONE if facts["memory"] is None else size(facts["memory"]),
        printable(why(facts, now)) or NONE,
    )


def _instant(since: float | None) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(since)) if since else NONE


def _age(since: float | None, now: float) -> str:
    return format_duration(max(1.0, round(now - since))) if since else NONE


def size(number: int) -> str:
    """A number of bytes as people read it: `812K`, `12.5M`."""
    if number < 1024:
        return f"{number}B"
    scaled = float(number)
    for unit in "KMGT":
        scaled /= 1024
        if scaled < 999.5 or unit == "T":
            break
    return f"{scaled:.1f}{unit}" if scaled < 99.95 else f"{scaled:.0f}{unit}"
