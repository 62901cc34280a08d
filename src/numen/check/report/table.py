"""The audit for people: plain lines for a pipe, and columns with colours, fitted to its width, for a terminal."""

from __future__ import annotations

import shlex
import time
from itertools import groupby

from ...record import Record
from ...settings.durations import format_duration
from ..verdict import FAULT, NOT_APPLICABLE, OK, STEPS, UNKNOWN, VERDICTS, WARNING
from . import counts, name_of, readable, user_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from rich.console import RenderableType

    from ..audit import Audit

SHOWN = {FAULT: "FAULT", WARNING: "warning", UNKNOWN: "unknown", OK: "ok", NOT_APPLICABLE: "n/a"}
"""How a verdict is written in its column."""

COLOURS = {FAULT: "bold red", WARNING: "yellow", UNKNOWN: "magenta", OK: "green", NOT_APPLICABLE: "dim"}

LONGEST_COMMAND = 200
"""Characters of a command line that are shown."""

COLUMNS = ("PID", "NAME", "USER", "VERDICT", "FAULTS", "WARNINGS", "THE WORST")


class Screen(Record):
    """The terminal for which something is written."""

    width: int
    has_colours: bool


def one_process(audit: Audit, screen: Screen | None = None) -> str:
    """The audit of one process; without a screen as plain lines."""
    if screen is None:
        return "\n".join(_plain(audit))
    return _drawn(_columns(audit, screen.width), screen)


def many_processes(audits: Iterable[Audit], screen: Screen | None = None) -> str:
    """A row for each process, the worst one first."""
    ordered = sorted(audits, key=_badness)
    rows = [_summary(one) for one in ordered]
    closing = _closing_of_all(ordered)
    if screen is not None:
        return _drawn(_table_of_all(rows, [one.verdict for one in ordered], closing), screen)
    widths = [max(len(row[index]) for row in [COLUMNS, *rows]) for index in range(len(COLUMNS))]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in [COLUMNS, *rows]]
    return "\n".join([*lines, "", closing])


def head(audit: Audit) -> list[tuple[str, str]]:
    """Who the process is: words and what they say, without what does not arise."""
    facts = audit.facts
    command = readable(shlex.join(facts.command))
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(facts.started))
    age = format_duration(max(0.0, time.time() - facts.started))
    style = f"a new-style daemon: {facts.new_style}" if facts.new_style else "judged as a classic daemon"
    user = user_of(audit)
    pid_inside = facts.status.pids[-1] if facts.status.pids else facts.pid
    inside = f", pid {pid_inside} there" if pid_inside != facts.pid else ""
    return [
        ("command", command if len(command) <= LONGEST_COMMAND else f"{command[: LONGEST_COMMAND - 3]}..."),
        ("user", user if user == str(facts.uid) else f"{user} (uid {facts.uid})"),
        ("since", f"{since} ({age})"),
        ("style", readable(style)),
        *([("namespaces", f"its own: {', '.join(facts.namespaces)}{inside}")] if facts.namespaces else []),
        ("threads", str(facts.status.threads)),
    ]


def closing(audit: Audit) -> str:
    """How many findings there are of each verdict."""
    words = {FAULT: "fault", WARNING: "warning"}
    told = []
    for verdict, count in counts(audit).items():
        told.append(
            f"{count} {words[verdict]}{'' if count == 1 else 's'}" if verdict in words else f"{count} {verdict}"
        )
    return ", ".join(told)


# Plain lines


def _plain(audit: Audit) -> Iterator[str]:
    yield f"{name_of(audit)}: pid {audit.facts.pid}"
    yield from (f"  {word:<10}  {text}" for word, text in head(audit))
    width = max((len(one.rule.title) for one in audit.findings), default=0)
    for step, findings in groupby(audit.findings, key=lambda one: one.rule.step):
        yield ""
        yield _step_title(step)
        for one in findings:
            yield f"   {SHOWN[one.verdict]:<7}  {one.rule.title:<{width}}  {readable(one.evidence)}"
            if one.remedy:
                yield f"            why: {one.rule.why}"
                yield f"            do: {readable(one.remedy)}"
    yield ""
    yield closing(audit)


def _step_title(step: str) -> str:
    return f"{step}  {STEPS[step]}" if step.isdigit() else f"-  {STEPS[step]}"


def _badness(audit: Audit) -> tuple[int, int, int, int]:
    found = counts(audit)
    return VERDICTS.index(audit.verdict), -found[FAULT], -found[WARNING], audit.facts.pid


def _summary(audit: Audit) -> tuple[str, ...]:
    found = counts(audit)
    bad = [one for one in audit.findings if one.verdict == audit.verdict and one.verdict in (FAULT, WARNING, UNKNOWN)]
    worst = f"{bad[0].rule.name}: {readable(bad[0].evidence)}" if bad else ""
    numbers = str(found[FAULT]), str(found[WARNING])
    return str(audit.facts.pid), name_of(audit), user_of(audit), SHOWN[audit.verdict], *numbers, worst


def _closing_of_all(audits: Sequence[Audit]) -> str:
    if not audits:
        return "no daemon was found"
    found = [one.verdict for one in audits]
    told = [f"{found.count(verdict)} {verdict}" for verdict in (FAULT, WARNING, UNKNOWN, OK)]
    return f"{len(audits)} daemon{'' if len(audits) == 1 else 's'}, by the worst of each: {', '.join(told)}"


# Columns of a terminal


def _drawn(parts: Iterable[RenderableType], screen: Screen) -> str:
    from io import StringIO

    from rich.console import Console

    file = StringIO()
    system = "standard" if screen.has_colours else None
    console = Console(
        file=file,
        width=screen.width,
        force_terminal=screen.has_colours,
        color_system=system,  # type: ignore[arg-type]
        no_color=not screen.has_colours,
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
    )
    for part in parts:
        console.print(part)
    return "\n".join(line.rstrip() for line in file.getvalue().rstrip("\n").split("\n"))


def _columns(audit: Audit, width: int) -> Iterator[RenderableType]:
    from rich.table import Table
    from rich.text import Text

    yield Text.assemble((name_of(audit), "bold"), f": pid {audit.facts.pid}")
    about = Table.grid(padding=(0, 2, 0, 0))
    for word, text in head(audit):
        about.add_row(Text(f"  {word}", "dim"), Text(text))
    yield about
    # Every group has the same columns, though each is a table of its own.
    title_width = min(max((len(one.rule.title) for one in audit.findings), default=1), width // 3)
    for step, findings in groupby(audit.findings, key=lambda one: one.rule.step):
        yield Text(f"\n{_step_title(step)}", "bold")
        table = Table.grid(padding=(0, 2, 0, 0), expand=True)
        table.add_column(width=1)
        table.add_column(width=7)
        table.add_column(width=title_width, max_width=title_width)
        table.add_column(ratio=1)
        for one in findings:
            verdict = Text(SHOWN[one.verdict], COLOURS[one.verdict])
            evidence = Text(readable(one.evidence))
            table.add_row("", verdict, Text(one.rule.title), evidence)
            if one.remedy:
                evidence.append(f"\nwhy: {one.rule.why}", "dim")
                evidence.append(f"\ndo: {readable(one.remedy)}", "cyan")
        yield table
    yield Text(f"\n{closing(audit)}", COLOURS[audit.verdict])


def _table_of_all(rows: Sequence[tuple[str, ...]], verdicts: Sequence[str], last: str) -> Iterator[RenderableType]:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2, 0, 0), expand=True)
    for heading in COLUMNS:
        is_number = heading in ("PID", "FAULTS", "WARNINGS")
        justify, last_one = "right" if is_number else "left", heading == COLUMNS[-1]
        table.add_column(justify=justify, ratio=1 if last_one else None, no_wrap=not last_one)  # type: ignore[arg-type]
    table.add_row(*(Text(heading, "bold") for heading in COLUMNS))
    for row, verdict in zip(rows, verdicts, strict=True):
        cells = [
            Text(cell, COLOURS[verdict] if heading == "VERDICT" else "")
            for heading, cell in zip(COLUMNS, row, strict=True)
        ]
        table.add_row(*cells)
    yield table
    yield Text(f"\n{last}")
