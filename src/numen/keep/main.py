"""The supervisor's program, which the keeper runs: `python -m numen.keep.main`."""

from __future__ import annotations

import asyncio
import os
import sys

from ..errors import DaemonError
from . import house
from .home import Home, lock_supervisor
from .loop import Loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def main() -> int:
    """Supervise, until it is to end; the exit status: 0 where the keeper is to end too."""
    try:
        keeper = house.Keeper()
        home = Home.found()
        lock = lock_supervisor(home.lock)
    except (DaemonError, OSError) as error:
        print(f"numen supervisor: {error}", file=sys.stderr)
        return 1
    # Seconds for which one thread may keep the others waiting: those that move logs are not to delay a restart.
    sys.setswitchinterval(0.001)
    return asyncio.run(Loop(keeper, home, lock).run())


def leave(status: int) -> NoReturn:
    """End now: the interpreter's own end would wait for every thread, and one may wait for a disk that hangs."""
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    leave(main())
