"""`numen down`: stop and remove all daemons that come from a file."""

from __future__ import annotations

from . import applying
from .options import Option, Table
from .outcomes import ENDINGS, JSON, QUIET
from .words import read_mixed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

TABLE = Table(
    command="down",
    usage=("numen down [--dry-run] [--quiet] [--json] [FILE]",),
    description="Stop all daemons that come from FILE, ./numen.toml where none is named, and keep them no longer. The\n"
    "file and their logs stay, and `numen apply` brings them back. The file need not be there any more.",
    epilog=f"""examples:
  numen down
  numen down /srv/shop/numen.toml

{ENDINGS}14 somebody started it meanwhile""",
    options=(
        Option(flags=("--dry-run", "-n"), help="show which they are, and change nothing"),
        QUIET,
        JSON,
    ),
)


def run(arguments: Sequence[str]) -> int:
    """Run `numen down`; the exit status. Raises DaemonError."""
    values, words = read_mixed(TABLE, arguments)
    return applying.apply("down", applying.source_of(words, "down"), {}, values)
