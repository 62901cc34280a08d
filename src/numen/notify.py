"""Readiness and state, told to whoever started this process (sd_notify(3)); a no-op without NOTIFY_SOCKET.

from numen import notify

notify.ready("listening on port 80")
notify.status("3 requests waiting")
"""

from .become.notify import (
    barrier,
    extend_timeout,
    failed,
    main_pid,
    notify,
    ready,
    reloading,
    remove_stored_descriptors,
    status,
    stopping,
    store_descriptors,
    watchdog,
    watchdog_interval,
)

__all__ = [
    "barrier",
    "extend_timeout",
    "failed",
    "main_pid",
    "notify",
    "ready",
    "reloading",
    "remove_stored_descriptors",
    "status",
    "stopping",
    "store_descriptors",
    "watchdog",
    "watchdog_interval",
]
