"""The fork: the launcher waits for the word that open() has come to its end, or why it has not."""

from __future__ import annotations

import os
import signal
import sys

from ..become import context, evidence, launch, readiness, recipe, streams
from ..become.program import program_name
from ..errors import DaemonError
from . import switches
from .errors import DaemonProcessDetachError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..become.recipe import Prepared
    from ..become.report import Reporter


def fork_away(prepared: Prepared) -> Reporter:
    """Fork, and return in the daemon, with what tells the launcher how it goes on. Raises DaemonProcessDetachError."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        _speak_of_threads(prepared.ident)
        # No end of the wait: how long open() takes is the program's own choice, such as a pidfile's timeout.
        start = launch.Launch(prepared, readiness.Kind(name=readiness.CALL), timeout=None)
    except BaseException:
        prepared.abandon()
        raise
    try:
        in_launcher = start.fork()
    except DaemonError as error:
        raise DaemonProcessDetachError(str(error)) from error
    if in_launcher:
        context.be_launcher(start)
    # The engine blocks some signals around the fork; which are blocked is the program's choice, or the switch's.
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    reporter = start.pipes.reporter()
    reporter.born(os.getpid())
    return reporter


def _speak_of_threads(program: str) -> None:
    """Say, or raise where the switch wants it, that threads or an event loop will not get over the fork."""
    reason = evidence.why_not_fork()
    if reason is None:
        return
    if switches.current().threads == "refuse":
        raise DaemonProcessDetachError(f"cannot detach this process: {reason}; open the context before they start")
    print(f"{program}: note: {reason}; open the daemon context before they start", file=sys.stderr)


def nothing_prepared() -> Prepared:
    """What a fork needs that changes nothing else of the process."""
    inherit = streams.INHERIT
    return recipe.prepare(recipe.Recipe(stdin=inherit, stdout=inherit, stderr=inherit), program_name())
