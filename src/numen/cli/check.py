"""`numen check`: every mistake in definitions, with its place; nothing is changed."""

from __future__ import annotations

from ..errors import BadOption
from .main import say
from .options import Option, Table
from .words import read_mixed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..keep.definitions.checking import Checked, Told

TABLE = Table(
    command="check",
    usage=("numen check [--quiet] [--json] [FILE]",),
    description="Tell every mistake in definitions, with file, line and column. FILE is a set such as numen.toml or a\n"
    "Procfile, a definition, or a directory of a set or of definitions; without it, ./numen.toml or ./Procfile is\n"
    "checked, or, where there is neither, the directory of your definitions. Nothing is changed.",
    epilog="""examples:
  numen check
  numen check numen.toml && echo "all is well"
  numen check --json /etc/numen/daemons.d

exit statuses, the highest of all mistakes: 0 there is none, 2 a mistake in a definition, or bad option,
4 no permission, 6 a file is missing, or others could have written it""",
    options=(
        Option(flags=("--quiet", "-q"), help="say nothing where all is well"),
        Option(flags=("--json",), help="print the names of the daemons and all mistakes as JSON"),
    ),
)


def run(arguments: Sequence[str]) -> int:
    """Run `numen check`; the exit status. Raises DaemonError."""
    values, words = read_mixed(TABLE, arguments)
    if len(words) > 1:
        raise BadOption("one file or directory is checked at a time: numen check numen.toml")
    from ..keep.definitions.checking import check

    checked = check(words[0] if words else _usual())
    if values["json"]:
        say(_as_json(checked))
    elif checked.mistakes:
        say("\n".join(_line(one) for one in checked.mistakes))
    elif not values["quiet"]:
        say(_well(len(checked.daemons)))
    return max((one.exit_status for one in checked.mistakes), default=0)


def _usual() -> str:
    from ..keep.definitions.sets import found_in
    from ..settings.places import definitions_directory

    return found_in(".") or definitions_directory()


def _line(one: Told) -> str:
    """A mistake as compilers write it, so that an editor can go there."""
    from ..become.tail import printable

    key = f"{one.key}: " if one.key else ""
    return printable(f"{one.file}:{one.line}:{one.column}: {key}{one.message}")


def _well(number: int) -> str:
    return "1 daemon is defined" if number == 1 else f"{number} daemons are defined"


def _as_json(checked: Checked) -> str:
    import json

    mistakes = [
        {name: value for name, value in one.values().items() if name != "exit_status"} for one in checked.mistakes
    ]
    return json.dumps({"daemons": list(checked.daemons), "mistakes": mistakes})
