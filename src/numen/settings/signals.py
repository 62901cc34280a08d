"""Signals as people write them: `TERM`, `SIGTERM`, `15`; and schedules of them: `TERM/30s/KILL/5s`."""

from __future__ import annotations

from ..errors import BadOption
from .durations import parse_duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from signal import Signals

DEFAULT_SCHEDULE = "TERM/10s/KILL/5s"


def parse_signal(text: str) -> Signals:
    """The signal that `text` names, in any case, with or without SIG, or by number. Raises BadOption."""
    import signal

    word = text.strip().upper()
    try:
        if word.isdigit():
            return signal.Signals(int(word))
        return signal.Signals["SIG" + word.removeprefix("SIG")]
    except (ValueError, KeyError):
        raise BadOption(f"{text!r} is no signal; write one like TERM, HUP or USR1 (kill -l lists them)") from None


def signal_name(number: int) -> str:
    """The signal's name, `SIGTERM`; for one without a name its number."""
    import signal

    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def parse_schedule(text: str) -> tuple[tuple[Signals, float], ...]:
    """The steps of a stop: each a signal, and the seconds to wait after it. Raises BadOption.

    The form is start-stop-daemon(8)'s: signals and durations in turn, with slashes between. One duration
    alone means TERM, that long, KILL, that long again.
    """
    parts = text.split("/")
    if len(parts) == 1:
        grace = parse_duration(text)
        return (parse_signal("TERM"), grace), (parse_signal("KILL"), grace)
    if len(parts) % 2:
        raise BadOption(f"{text!r} is no stop schedule; after each signal stands how long to wait: {DEFAULT_SCHEDULE}")
    pairs = zip(parts[::2], parts[1::2], strict=True)
    return tuple((parse_signal(name.removeprefix("-")), parse_duration(wait)) for name, wait in pairs)
