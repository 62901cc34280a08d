"""`numen init`: a numen.toml to begin with."""

from __future__ import annotations

import os

from ..errors import BadOption, Unusable, from_os_error
from .main import say
from .options import Option, Table
from .words import read_mixed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

TABLE = Table(
    command="init",
    usage=("numen init [--print]",),
    description="Write a numen.toml with comments for the directory that you are in: of its Procfile, its manage.py\n"
    "or the start script of its package.json, or an example. One that is there is never overwritten.",
    epilog="""examples:
  numen init
  numen init --print

exit statuses: 0 written, 2 bad option, or a mistake in the Procfile, 4 no permission, 6 there is a numen.toml already,
or it cannot be written""",
    options=(Option(flags=("--print",), help="print it instead"),),
)


def run(arguments: Sequence[str]) -> int:
    """Run `numen init`; the exit status. Raises DaemonError."""
    values, words = read_mixed(TABLE, arguments)
    if words:
        raise BadOption(f"init takes no words; go to the directory that is meant: cd {words[0]} && numen init")
    from ..keep.definitions.beginning import text
    from ..keep.definitions.sets import FILE

    written = text(".")
    if values["print"]:
        say(written.removesuffix("\n"))
        return 0
    try:
        descriptor = os.open(FILE, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(written)
    except FileExistsError:
        raise Unusable(
            f"there is a {FILE} here already, and it stays as it is; numen init --print shows what would be written",
            path=FILE,
        ) from None
    except OSError as error:
        raise from_os_error(error, f"write {FILE}") from error
    say(f"{FILE} is written; look at it, then: numen check && numen up")
    return 0
