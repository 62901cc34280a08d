"""`numen signal`: send a signal to the main processes of daemons that are kept."""

from __future__ import annotations

from ..errors import BadOption
from ..settings.signals import parse_signal
from .outcomes import order_daemons, table
from .words import read_mixed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from signal import Signals

TABLE = table(
    "signal",
    "Send a signal to the main processes of daemons. It is named as in kill -l, or by its number.",
    ("numen signal USR1 web", "numen signal TERM 'worker-*'"),
    "7 not running",
    words="SIGNAL NAME...",
)


def run(arguments: Sequence[str]) -> int:
    """Run `numen signal`; the exit status. Raises DaemonError."""
    values, words = read_mixed(TABLE, arguments)
    if not words:
        raise BadOption("which signal, and to whom? Write: numen signal HUP web")
    return order_daemons("signal", "Signal", words[1:], values, signal=int(_signal(words)))


def _signal(words: Sequence[str]) -> Signals:
    """The signal that the first word names. Raises BadOption, with the right order where the last one names it."""
    try:
        return parse_signal(words[0])
    except BadOption as error:
        try:
            parse_signal(words[-1])
        except BadOption:
            raise error from None
        names = " ".join(words[:-1])
        raise BadOption(f"{error}; did you mean: numen signal {words[-1]} {names}?") from None
