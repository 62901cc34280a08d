"""The guard: the process between launcher and daemon, while the start is undecided.

It waits for the daemon's end and for the launcher's orders, and does nothing else. It exits as soon as the
launcher does, however that came about.
"""

from __future__ import annotations

import os
import select
import time

from ..kernel import proc
from ..kernel import signals as signal
from ..record import Record
from .report import END_FAMILY, ENDED, FORWARDER, LINGER, Inbox, Pipes, send

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from .forwarder import Setting, Source
    from .listener import Listener

KILL_PATIENCE = 5.0
"""Seconds after SIGKILL became due in which a family must be gone; a process in uninterruptible sleep may not be."""

TERM_GRACE = 2.0
"""Seconds that the family of a daemon which was not ready in time has between SIGTERM and SIGKILL."""

LOOK_INTERVAL = 0.02
"""Seconds between two looks at a family that is being ended, or at a daemon where there is no pidfd."""


class Tasks(Record):
    """What a guard has to do beside waiting."""

    adopts_orphans: bool = False
    """Whether it becomes the parent of what the daemon orphans, so that all of the family can be found."""
    adopts_late: bool = False
    """Whether it does so only when the daemon is born already, which then need not wait for it."""
    forwarding: tuple[Source, ...] = ()
    """What is to be forwarded to syslog by a process of its own."""
    forwarder_setting: Setting | None = None
    of_the_daemon_alone: tuple[int, ...] = ()
    """Descriptors whose reader must see when the daemon closes them."""
    listener: Listener | None = None
    """Where the daemon notifies, and may for a moment after it is up."""


def adopt_orphans() -> None:
    """Become the subreaper of the family to come. Where that is forbidden, orphans go to init as ever."""
    from ..kernel import calls

    try:
        calls.become_child_subreaper()
    except OSError:
        return


def watch(daemon_pid: int, pipes: Pipes, tasks: Tasks) -> NoReturn:
    """Be the guard of `daemon_pid`; never returns."""
    status = 1
    try:
        # What is meant for the launcher's terminal is the launcher's to handle.
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        pipes.keep_guard_ends()
        if tasks.adopts_late:
            adopt_orphans()
        for descriptor in tasks.of_the_daemon_alone:
            os.close(descriptor)
        spared = set()
        if tasks.forwarding and tasks.forwarder_setting is not None:
            from . import forwarder

            spared.add(forwarder.start(tasks.forwarding, tasks.forwarder_setting, daemon_pid))
            send(pipes.endings_writer, FORWARDER, str(*spared))
        lingering_for = _wait(daemon_pid, pipes, spared)
        if lingering_for and tasks.listener is not None:
            from . import listener

            listener.leave_lingering(tasks.listener, lingering_for)
        status = 0
    finally:
        os._exit(status)


def _wait(daemon_pid: int, pipes: Pipes, spared: set[int]) -> int:
    """Wait until the launcher is gone or has ordered the end; the daemon that may notify still, or 0."""
    lingering_for = 0
    orders = Inbox(pipes.orders_reader)
    poll = select.poll()
    poll.register(orders.descriptor, select.POLLIN)
    pidfd = _open_pidfd(daemon_pid)
    if pidfd is not None:
        poll.register(pidfd, select.POLLIN)
    ended = False
    while True:
        readable = dict(poll.poll(None if pidfd is not None or ended else LOOK_INTERVAL * 1000))
        if not ended and (pidfd in readable or pidfd is None):
            ended = _report_ending(daemon_pid, pipes.endings_writer)
            if ended and pidfd is not None:
                poll.unregister(pidfd)
        if orders.descriptor in readable:
            given = dict(orders.read())
            if LINGER in given:
                lingering_for = int(given[LINGER][0])
            if END_FAMILY in given:
                end_family(daemon_pid, spared)
                if not ended:
                    _report_ending(daemon_pid, pipes.endings_writer)
                return 0
            if orders.at_end:
                return lingering_for


def _open_pidfd(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except (OSError, AttributeError):
        return None


def _report_ending(daemon_pid: int, endings: int) -> bool:
    """Reap the daemon if it has ended, and report how, and whether the exec had come before that."""
    found = proc.stat(daemon_pid)
    try:
        pid, status = os.waitpid(daemon_pid, os.WNOHANG)
    except ChildProcessError:
        return True
    if pid:
        has_executed = found is None or found.has_executed
        send(endings, ENDED, str(os.waitstatus_to_exitcode(status)), str(int(has_executed)))
    return bool(pid)


def end_family(daemon_pid: int, spared: set[int]) -> None:
    """End the daemon and all that it started: SIGTERM, a grace, then SIGKILL until nobody is left.

    One that is another user's by now, by a setuid program, is left: it is not ours to end.
    """
    deadline = time.monotonic() + TERM_GRACE
    told: set[int] = set()
    foreign: set[int] = set()
    while (family := find_family(daemon_pid, spared) - foreign) and time.monotonic() < deadline + KILL_PATIENCE:
        last_word = time.monotonic() >= deadline
        for pid in family:
            if last_word:
                is_ours = _kill(pid, signal.SIGKILL)
            elif pid not in told:
                # A stopped process cannot act on a signal until it is resumed.
                is_ours = _kill(pid, signal.SIGTERM) and _kill(pid, signal.SIGCONT)
            else:
                continue
            if not is_ours:
                foreign.add(pid)
        told |= family
        _reap_adopted(daemon_pid)
        time.sleep(LOOK_INTERVAL)


def find_family(daemon_pid: int, spared: set[int]) -> set[int]:
    """Who belongs to the daemon: what descends from this guard, and what is left of its session."""
    guard, everybody = os.getpid(), proc.processes()
    below = set(proc.descendants(guard))
    in_session = {pid for pid, one in everybody.items() if one.session == guard and one.state not in proc.DEAD_STATES}
    foreign = {guard, *spared}
    for pid in spared:
        foreign |= set(proc.descendants(pid))
    family = (below | in_session) - foreign
    daemon = everybody.get(daemon_pid)
    if daemon and daemon.parent == guard and daemon.state not in proc.DEAD_STATES:
        family.add(daemon_pid)
    return family


def _kill(pid: int, number: int) -> bool:
    """Send a signal; false where that is not permitted."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return True


def _reap_adopted(daemon_pid: int) -> None:
    """Reap the orphans that came to the guard; the daemon's own status is kept for its report."""
    for pid, one in proc.processes().items():
        if one.parent == os.getpid() and one.state in proc.DEAD_STATES and pid != daemon_pid:
            try:
                os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                continue
