"""`numen apply`: let a file be what is kept of it, and touch nothing else."""

from __future__ import annotations

from . import applying
from .options import Option, Table
from .outcomes import ENDINGS, JSON, QUIET
from .words import read_mixed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

TABLE = Table(
    command="apply",
    usage=("numen apply [--dry-run] [--quiet] [--json] [FILE]",),
    description="Let the daemons be as FILE has them; ./numen.toml or ./Procfile where none is named. Added ones are\n"
    "started, changed ones restarted where the change takes that, removed ones stopped; what is unchanged is not\n"
    "touched. The difference is shown before. Nothing is done where anything in FILE cannot be used.",
    epilog=f"""examples:
  numen apply
  numen apply --dry-run /srv/shop/numen.toml

{ENDINGS}8 a name is in use by a daemon from
elsewhere, 9 died before it was ready, 14 somebody stopped it meanwhile, 124 not ready in time""",
    options=(
        Option(flags=("--dry-run", "-n"), help="show the difference, and change nothing"),
        QUIET,
        JSON,
    ),
)


def run(arguments: Sequence[str]) -> int:
    """Run `numen apply`; the exit status. Raises DaemonError."""
    values, words = read_mixed(TABLE, arguments)
    source = applying.source_of(words, "apply")
    from ..keep.definitions import sets

    return applying.apply("apply", source, sets.load(source).definitions, values)
