"""Write the parts of the manual that the code knows best: options, exit statuses, names of limits.

`python tools/make_docs.py` writes them; with `--check` it only tells which files are not as the code has them.

A part stands between a line `<!-- generated: NAME -->` and a line `<!-- end -->` in Markdown, and between
`.\\" generated: NAME` and `.\\" end` in a manual page. What stands around the parts is written by hand. The JSON schema
of definitions is generated whole.
"""

import inspect
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import groupby
from pathlib import Path

import numen
from numen import errors
from numen.cli.completion import tables
from numen.cli.main import COMMANDS
from numen.cli.options import Option, Table
from numen.keep.definitions import keys
from numen.keep.definitions.schema import schema
from numen.settings.limits import LIMITS

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "tests"))

DATE = "2026-11-22"
"""The date in the head of the manual pages: that of their last change by hand."""

MARKED = re.compile(r'^(<!--|\.\\") generated: (?P<name>[\w-]+)(?: -->)?\n(?P<part>.*?)^\1 end(?: -->)?$', re.M | re.S)

HEADINGS = {
    "options": "The start",
    "surroundings": "Surroundings",
    "streams": "Streams",
    "identity": "Identity",
    "limits": "Limits",
    "ends and restarts": "Ends and restarts",
    "its log": "Its log",
    "a running one": "Asking for a running one",
    "whom": "Whom",
    "output": "What is printed, and the exit status",
    "teaching": "Teaching",
}
"""What the groups of options are called in the manual."""

NEXT_STEPS = {
    "DaemonError": "Read the message: it names the system call that failed.",
    "BadDefinition": "Correct what the message names: it lists every mistake.",
    "BadOption": "Correct the command or the call. The message says what would be understood.",
    "NoPermission": "Choose another place, or let root do it.",
    "Unusable": "Make what the message names, or name another.",
    "NotRunning": "Nothing, if it should not run. Else start it.",
    "AlreadyRunning": "Use the one that runs, or stop it first. The message has its pid.",
    "DiedBeforeReady": "Read its last lines, which follow the message, and its log.",
    "Unsafe": "Become a daemon before threads and event loops start, or spawn a command instead of a function.",
    "NotReadyInTime": "See what it waits for, or give it more time (`--timeout`).",
    "ExecFailed": "See the message: a missing interpreter in the first line, or another machine's program.",
    "NotExecutable": "`chmod +x` it, or name its interpreter: `python3 program.py`.",
    "CommandNotFound": "Correct the name, or write the full path.",
}
"""What the reader may do about each error; a new class of errors.py must have its line here."""


def main(arguments: list[str]) -> int:
    """Renew every generated part; the exit status."""
    renewed_files = [(path, text, renew(text)) for path, text in documents()]
    renewed_files += [(path, path.read_text() if path.exists() else "", make()) for path, make in WHOLE.items()]
    outdated = [(path, renewed) for path, text, renewed in renewed_files if renewed != text]
    for path, renewed in outdated:
        print(f"{'outdated' if '--check' in arguments else 'renewed'}: {path.relative_to(ROOT)}")
        if "--check" not in arguments:
            path.write_text(renewed)
    return 1 if outdated and "--check" in arguments else 0


def documents() -> Iterator[tuple[Path, str]]:
    """Every page of the manual, with its text."""
    for path in [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/**/*.md")), *sorted(ROOT.glob("man/*.1"))]:
        yield path, path.read_text()


def renew(text: str) -> str:
    """The page with its generated parts as the code has them now."""

    def renewed(match: re.Match[str]) -> str:
        opening, ending = match[0].split("\n", 1)[0], match[0].rsplit("\n", 1)[1]
        return f"{opening}\n{PARTS[match['name']]()}\n{ending}"

    return MARKED.sub(renewed, text)


# Markdown


def usage(table: Table) -> str:
    """The forms of a command."""
    return "```text\n" + "\n".join(table.usage) + "\n```"


def options(table: Table) -> str:
    """A table of the options for each group."""
    parts = []
    for group, members in option_groups(table):
        rows = [f"| {', '.join(f'`{form}`' for form in forms(one))} | {cell(described(one))} |" for one in members]
        heading = [f"### {HEADINGS[group]}", ""] if has_groups(table) else []
        parts.append("\n".join([*heading, "| option | meaning |", "|---|---|", *rows]))
    return "\n\n".join(parts)


def exit_statuses() -> str:
    """A row for each class of errors.py, in the order of their statuses."""
    rows = [
        f"| {kind.exit_status} | `{kind.__name__}` | {cell(cause(kind))} | {cell(NEXT_STEPS[kind.__name__])} |"
        for kind in error_classes()
    ]
    return "\n".join(["| status | error | cause | next step |", "|---|---|---|---|", *rows])


def definition_keys() -> str:
    """A row for each key of a definition, with a line of TOML as the example."""
    rows = [
        f"| `{key.name}` | {cell(key.kind.written)} | {cell(default_of(key))} | {cell(key.help)} |"
        f" {'at once' if key.live else 'restart'} | `{cell(key.name)} = {cell(key.example)}` |"
        for key in keys.KEYS
    ]
    return "\n".join(["| key | value | default | meaning | change | example |", "|---|---|---|---|---|---|", *rows])


def definition_schema() -> str:
    """The JSON schema of definitions."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def default_of(key: keys.Key) -> str:
    """The default as TOML, or that there is none."""
    value = keys.default(key)
    return "" if value is None else f"`{json.dumps(value)}`"


def limits() -> str:
    """The names of resource limits, in a sentence."""
    return ", ".join(f"`{name}`" for name in LIMITS) + "."


# Manual pages


def man_head(name: str) -> str:
    """The first line of a manual page."""
    return f'.TH {roff(name.upper())} 1 {roff(DATE)} "numen {numen.__version__}" "User Commands"'


def man_options(table: Table) -> str:
    """The options as tagged paragraphs, a subsection for each group."""
    lines = []
    for group, members in option_groups(table):
        if has_groups(table):
            lines.append(f".SS {HEADINGS[group]}")
        for one in members:
            lines += [".TP", ", ".join(man_form(flag, one) for flag in one.flags), roff(described(one)) + "."]
    return "\n".join(lines)


def man_commands() -> str:
    """The commands as tagged paragraphs, each with its manual page."""
    lines = []
    for name, what in COMMANDS.items():
        lines += [".TP", rf"\fB{name}\fR", f"{roff(what[:1].upper() + what[1:])}.", "See", rf".BR numen\-{name} (1)."]
    return "\n".join(lines)


def man_exit_statuses() -> str:
    """The exit statuses as tagged paragraphs."""
    lines = []
    for kind in error_classes():
        lines += [".TP", rf"\fB{kind.exit_status}\fR", roff(cause(kind))]
    return "\n".join(lines)


def man_form(flag: str, option: Option) -> str:
    """A flag in bold with its values in italics."""
    values = "".join(rf" \fI{roff(name)}\fR" for name in option.metavar)
    return rf"\fB{roff(flag)}\fR{values}"


def roff(text: str) -> str:
    """Text that roff prints as it is."""
    plain = text.replace("\\", r"\e").replace("-", r"\-").replace("'", r"\(aq").replace("`", "")
    return rf"\&{plain}" if plain.startswith(".") else plain


# What the tests know


def life_diagram() -> str:
    """The states of a daemon's life, from all that `decide` can do."""
    from explored_lives import diagram

    return diagram()


def planted_bugs() -> str:
    """The bugs that the simulation is tried with."""
    from planted_bugs import table

    return table()


# What the code says


def option_groups(table: Table) -> Iterable[tuple[str, list[Option]]]:
    """The options by group, in their order."""
    for group, members in groupby(table.options, key=lambda option: option.group):
        yield group, list(members)


def has_groups(table: Table) -> bool:
    """Whether there is more than one."""
    return len({option.group for option in table.options}) > 1


def forms(option: Option) -> list[str]:
    """How the option is written: `--env NAME`, `-e NAME`."""
    return [" ".join([flag, *option.metavar]) for flag in option.flags]


def described(option: Option) -> str:
    """What the option does, and whether it may be repeated."""
    return option.help + ("; may be repeated" if option.repeated else "")


def error_classes() -> list[type[errors.DaemonError]]:
    """Every class of errors.py, by exit status."""
    found = [one for one in vars(errors).values() if inspect.isclass(one) and issubclass(one, errors.DaemonError)]
    return sorted(found, key=lambda kind: kind.exit_status)


def cause(kind: type[errors.DaemonError]) -> str:
    """The first sentence of the class's docstring; of the base, what it means by itself."""
    sentence = (inspect.getdoc(kind) or "").split("\n")[0].rpartition("by itself, ")[2]
    return sentence[:1].upper() + sentence[1:]


def cell(text: str) -> str:
    """Text that can stand in a cell of a table."""
    return text.replace("|", r"\|")


TABLES = tables()

PARTS: dict[str, Callable[[], str]] = {
    "definition-keys": definition_keys,
    "exit-statuses": exit_statuses,
    "life-diagram": life_diagram,
    "planted-bugs": planted_bugs,
    "limits": limits,
    "man-head-numen": lambda: man_head("numen"),
    "man-commands": man_commands,
    "man-exit-statuses": man_exit_statuses,
    **{f"{name}-usage": partial(usage, table) for name, table in TABLES.items()},
    **{f"{name}-options": partial(options, table) for name, table in TABLES.items()},
    **{f"man-head-numen-{name}": partial(man_head, f"numen-{name}") for name in TABLES},
    **{f"man-{name}-options": partial(man_options, table) for name, table in TABLES.items()},
}
"""By the names that stand in the marks."""

WHOLE: dict[Path, Callable[[], str]] = {ROOT / "docs/numen.schema.json": definition_schema}
"""Files that are generated from the first character to the last."""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
