"""`numen run`: run a task now, or any daemon that ends by itself, and wait for its end."""

from __future__ import annotations

import os
import select
import sys
import threading

from . import asking, kept
from .options import Option, Table
from .outcomes import JSON, QUIET, check_named, tell, tell_all
from .words import is_pattern, read_mixed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from ..keep.logs.following import Follower
    from ..keep.logs.reading import Cursor

TABLE = Table(
    command="run",
    usage=("numen run [OPTIONS] NAME...",),
    description="Run tasks now, whether they are due or not, or daemons whose restart is not always, once. What they\n"
    "write is shown meanwhile; the end of the run is waited for, and its exit status is handed on. A name may be a\n"
    "shell pattern: 'backup-*'. The supervisor is started too, if none runs.",
    epilog="""examples:
  numen run backup
  numen run --no-wait 'report-*'

exit statuses, of several the highest: that of the run, 128 and N where signal N ended it; 75 it runs already, and its
schedule skips what overlaps; 124 it took too long (schedule.timeout); 9 it could not be started; 14 somebody stopped
or replaced it; 2 it is to run on (numen start), or bad option; 1 the system failed, 4 no permission, 6 no such daemon;
with --no-wait 0 where it was begun. Ctrl-C ends the waiting, not the run""",
    options=(
        Option(flags=("--no-wait",), help="do not wait for the end, and show nothing of what is written"),
        QUIET,
        JSON,
    ),
)


def run(arguments: Sequence[str]) -> int:
    """Run `numen run`; the exit status. Raises DaemonError."""
    values, names = read_mixed(TABLE, arguments)
    check_named("run", names)
    asking.start_supervisor()
    asked = {"names": names, "wait": not values["no_wait"]}
    if values["no_wait"]:
        with asking.connect() as connection:
            return tell_all("run", asking.more(connection, "Run", asked), values)
    return _Runs(names, values).wait(asked)


class _Runs:
    """Runs that are waited for, and what they write."""

    def __init__(self, names: Sequence[str], values: dict[str, Any]) -> None:
        self._values = values
        # From here on, before anything is asked: so nothing of what they write is missed.
        self._cursors = _cursors(names)
        self._statuses = [0]
        self._error: BaseException | None = None
        self._outcomes: list[dict[str, Any]] = []
        self._reader, self._writer = os.pipe()

    def wait(self, asked: dict[str, Any]) -> int:
        """Ask for the runs, and show what they write until they have ended; the exit status."""
        from ..keep.logs.following import Follower

        follower = Follower(self._cursors)
        threading.Thread(target=self._ask, args=(asked,), daemon=True).start()
        poll = select.poll()
        poll.register(follower.fileno(), select.POLLIN)
        poll.register(self._reader, select.POLLIN)
        while True:
            patience = follower.patience()
            happened = dict(poll.poll(None if patience is None else patience * 1000))
            self._show(follower)
            if self._reader in happened and not self._has_more():
                break
        self._show_rest()
        if self._error is not None:
            raise self._error
        return max(self._statuses)

    def _has_more(self) -> bool:
        """Tell what has come of the runs that are over; whether others go on."""
        said = os.read(self._reader, 4096)
        while self._outcomes:
            outcome = self._outcomes.pop(0)
            status = outcome.get("status")
            # What came of a run that went its way is its exit status; its output shall be all that stands on stdout.
            if not outcome["ok"] or self._values["json"]:
                tell("run", outcome, self._values)
            if not outcome["ok"]:
                self._statuses.append(asking.exit_status(outcome.get("error") or ""))
            elif status is not None:
                self._statuses.append(status if status >= 0 else 128 - status)
        return b"." not in said

    def _ask(self, asked: dict[str, Any]) -> None:
        """In a thread: the answers, one after the other."""
        try:
            with asking.connect() as connection:
                for reply in asking.more(connection, "Run", asked):
                    self._outcomes += reply["outcomes"]
                    os.write(self._writer, b"!")
        except BaseException as error:  # noqa: BLE001 - it is raised where it can be told
            self._error = error
        finally:
            os.write(self._writer, b".")

    def _show(self, follower: Follower) -> None:
        for line in follower.read():
            _write(line.text)

    def _show_rest(self) -> None:
        """The last words, with or without a newline behind them."""
        from ..keep.logs.reading import merged

        for line in merged(self._cursors, to_the_end=True):
            _write(line.text)


def _cursors(names: Sequence[str]) -> list[Cursor]:
    """Where the logs of these daemons end now."""
    from ..keep.logs.reading import cursors_of
    from ..settings.names import matching
    from ..settings.places import log_directory

    defined = kept.defined()
    chosen, _ = matching([one for one in names if is_pattern(one) or one in defined], defined)
    paths = {key: os.path.join(log_directory(), f"{key}.log") for one in chosen for key in (one, f"{one}.err")}
    return list(cursors_of(paths, lines=0, since=None))


def _write(text: bytes) -> None:
    sys.stdout.buffer.write(text + b"\n")
    sys.stdout.buffer.flush()
