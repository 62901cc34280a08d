"""The supervisor's loop: waits for the kernel, the clock, the keeper, signals and clients, and lets it take its turns.

With nothing due it sleeps without a timeout. All that is written or decided is elsewhere: this is what is connected to
what.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import stat
import traceback
from contextlib import suppress

from ..errors import DaemonError
from ..kernel import calls
from ..kernel.signalfd import read_signals, signalfd
from ..settings.places import ENDING
from . import house, private
from .control import server as control
from .control.service import Service
from .definitions import files, replacing
from .disk import Disk
from .life import State
from .logs.mover import Mover
from .logs.settings import LogSettings
from .own_log import OwnLog
from .real import RealKernel
from .supervisor import Supervisor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .home import Home
    from .notices import Change

LAST_SECONDS = 1.0
"""For how long at most a client may take to read its last reply, and the logs to be moved, when the end has come."""

OWNER_LOOK = 1.0
"""Seconds between two looks whether the owner of a private house lives, where the kernel has no pidfds."""

SIGNALS = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1)


class Loop:
    """One supervisor, from its start to its end."""

    def __init__(self, keeper: house.Keeper, home: Home, lock: int) -> None:
        # Before there are threads, one of which could take a signal. By a descriptor, because a handler of Python's
        # own is called for each of a thousand deaths, and the pipe by which asyncio hears of them overflows.
        self._signals = signalfd(SIGNALS)
        self.keeper, self.home = keeper, home
        self.log = OwnLog()
        self.mover = Mover(lambda line: self.log.write_at_once(f"{line}\n"))
        self.kernel = RealKernel(home, keeper, self.mover, lock, self.log.tell)
        self.supervisor = Supervisor(self.kernel, self._changed)
        self.disk = Disk()
        self._timer: asyncio.TimerHandle | None = None
        self._looks_round = False
        self._is_turn_due = False
        self._ending = self._is_over = False

    async def run(self) -> int:
        """Supervise; the exit status."""
        self._loop = asyncio.get_running_loop()
        self._over: asyncio.Future[None] = self._loop.create_future()
        calls.become_child_subreaper()
        self._keep_own_log()
        self.service = Service(self.supervisor, self.home, self.disk, self._last_lines, self.soon)
        self.service.on_shutdown = self._ask_keeper_to_end
        server = control.Server(control.supervisor_interface(), self.service, tell=self.log.tell)
        self._recover()
        self._look_round()
        server.start(self.home.control)
        self._take_signals(server)
        self._watch_owner()
        self._loop.add_reader(self.kernel.fileno(), self.turn)
        self.keeper.ready(f"{len(self.supervisor.daemons)} daemons")
        self._ping()
        self.turn()
        await self._over
        self.keeper.stopping()
        await server.close(LAST_SECONDS)
        self.disk.close()
        self.log.write_at_once("the supervisor ends\n")
        self.mover.close(LAST_SECONDS)
        self._is_over = True
        self.kernel.close()
        private.remove_where_left()
        return 0

    def turn(self) -> None:
        """Let the supervisor deal with what has happened, and see when the next turn is due."""
        if self._is_over:
            return  # it was due still when the end came
        self._is_turn_due = False
        try:
            self.supervisor.turn()
        except Exception:  # noqa: BLE001 - whatever it is, what is in memory can no longer be relied on
            # The keeper starts another supervisor, which knows what the journal knows.
            self.log.write(self._loop.call_later)
            self.log.write_at_once(traceback.format_exc())
            os._exit(1)
        self._after_turn()

    def _after_turn(self) -> None:
        self.keeper.flush()
        self.service.watchers.after_turn()
        self.log.write(self._loop.call_later)
        if self.keeper.has_died and not self._ending:
            self._become_keeper()
        if self._ending and self.supervisor.is_at_rest and not self._over.done():
            self._over.set_result(None)
        if self._looks_round:
            self._looks_round = False
            self._look_round()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = [one for one in (self.supervisor.next_deadline(), self.kernel.next_look()) if one is not None]
        if due:
            self._timer = self._loop.call_at(min(due), self.turn)

    def soon(self) -> None:
        """Take a turn when what is being done is done; one for all that ask for it meanwhile."""
        if not self._is_turn_due:
            self._is_turn_due = True
            self._loop.call_soon(self.turn)

    def _last_lines(self, name: str) -> list[str]:
        """The last lines of a daemon, what it has just written among them; waited for, in a thread."""
        for key in (f"{name}.err", name):
            self.mover.flush(key, LAST_SECONDS)
        return self.home.last_lines(name)

    def _recover(self) -> None:
        removed = []
        try:
            removed = replacing.finish(self.home.definitions)
        except DaemonError as error:
            # What is there is kept all the same; it is tried again with the next numen apply.
            self.log.tell(f"cannot finish an earlier numen apply: {error}")
        found = files.read_all(self.home.definitions)
        for mistake in found.mistakes.values():
            self.log.tell(f"{mistake}")
        self.supervisor.recover(found.definitions, [entry.removesuffix(ENDING) for entry in found.mistakes])
        self.service.applying.finish_removing(removed)
        # What is there now stays: it need not be looked through again and again.
        gc.collect()
        gc.freeze()

    def _keep_own_log(self) -> None:
        """Move what keeper and supervisor write to numen.log, unless it goes to a terminal or a service manager."""
        if not stat.S_ISFIFO(os.fstat(1).st_mode) or os.get_blocking(1):
            return
        settings = LogSettings(path=self.home.log("numen"), spool=self.home.spool("numen"), timestamps=True)
        self.mover.add("numen", os.dup(1), settings)

    def _take_signals(self, server: control.Server) -> None:
        handlers: dict[int, Callable[[], None]] = {
            signal.SIGCHLD: self.turn,
            signal.SIGTERM: lambda: self._end(leave=False),
            signal.SIGINT: lambda: self._end(leave=False),
            signal.SIGQUIT: lambda: self._end(leave=True),
            signal.SIGHUP: lambda: self._renew(server),
            signal.SIGUSR1: lambda: self._renew(server),
        }

        def take() -> None:
            for number in read_signals(self._signals):
                handlers[number]()

        self._loop.add_reader(self._signals, take)

    def _watch_owner(self) -> None:
        """End in order with the program whose house this is, where it is one's."""
        owner = private.owner()
        if owner is None:
            return
        pidfd = owner.open_pidfd()
        if pidfd is not None:
            ended = pidfd

            def end() -> None:
                self._loop.remove_reader(ended)
                self._ask_keeper_to_end(leave=False)

            self._loop.add_reader(ended, end)
        elif owner.is_alive():
            self._loop.call_later(OWNER_LOOK, self._watch_owner)
        else:
            self._ask_keeper_to_end(leave=False)

    def _renew(self, server: control.Server) -> None:
        """Listen anew, where the socket's directory is gone: a user's is unmounted at his last logout."""
        try:
            if server.renew():
                self.log.tell(f"the control socket was gone, and is made anew: {self.home.control}")
        except DaemonError as error:
            self.log.tell(str(error))

    def _ask_keeper_to_end(self, leave: bool) -> None:  # noqa: FBT001 - the protocol's
        """End by way of the keeper, which asks again should this supervisor be killed before it has ended."""
        if self.keeper.has_died:
            self._end(leave)
        else:
            os.kill(os.getppid(), signal.SIGQUIT if leave else signal.SIGTERM)

    def _end(self, leave: bool) -> None:  # noqa: FBT001 - the protocol's
        self._ending = self.service.is_ending = True
        if leave:
            if not self._over.done():
                self._over.set_result(None)
            return
        self.supervisor.shut_down()
        self.soon()

    def _become_keeper(self) -> None:
        self.log.write_at_once("the keeper has died; the supervisor takes its place, and is started anew\n")
        try:
            house.become_keeper(self.kernel.held())
        except OSError as error:
            self.log.tell(f"cannot become the keeper: {error.strerror}; there is none now")
            self.keeper.has_died = False

    def _ping(self) -> None:
        """Tell a service manager that asks for it that the loop goes round."""
        interval = self.keeper.watchdog_interval
        if interval is not None:
            self.keeper.watchdog()
            self._loop.call_later(interval / 2, self._ping)

    def _changed(self, change: Change) -> None:
        self.service.watchers.changed(change)
        self._looks_round |= any(notice.kind == State.RUNNING.value for notice in change.notices)

    def _look_round(self) -> None:
        """Get to know the processes of this machine while nothing is urgent: a look after a death then reads of those
        alone that are new.
        """
        with suppress(OSError):
            self.kernel.families([])
