"""What is wanted of one daemon, as data: everything a definition file can say.

`keys` tells how each is written in a file, and what is checked; nothing here reads or writes one.
"""

from __future__ import annotations

import signal

from ...record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...settings.limits import Limit

ALWAYS, ON_FAILURE, NEVER = "always", "on-failure", "never"
"""When a daemon that has ended is started again."""

FAILED, SLOWLY = "failed", "slowly"
"""What follows when a daemon was restarted too often: nothing more, or a try now and then."""

CLEAN_ENDINGS = (0, -signal.SIGHUP, -signal.SIGINT, -signal.SIGTERM, -signal.SIGPIPE)
"""Exit statuses, and signals as negative numbers, that count as success (as in systemd.service(5))."""


class Definition(Record):
    """What is wanted of one daemon; durations are seconds, sizes bytes."""

    command: tuple[str, ...]
    """The program by its full path, and its arguments."""
    directory: str = "/"
    umask: int = 0o022
    environment: Mapping[str, str] = {}
    """The whole environment, before the environment files and what numen adds."""
    environment_files: tuple[str, ...] = ()
    """Read at each start; with `-` before the path it may be missing."""
    user: str | None = None
    group: str | None = None
    groups: tuple[str, ...] | None = None
    """Supplementary groups instead of the user's own."""
    ready: str = "exec"
    """By what it is known to be up: `exec`, `notify` or `fd:N`."""
    ready_timeout: float = 60.0
    restart: str = ALWAYS
    success: tuple[int, ...] = CLEAN_ENDINGS
    """Exit statuses, and signals as negative numbers, that are no failure."""
    final: tuple[int, ...] = ()
    """Those after which it is not started again, whatever `restart` says."""
    backoff_first: float = 0.1
    backoff_longest: float = 30.0
    """The bound of the wait before a new try; it doubles with each failure, from the first to the longest."""
    healthy_after: float = 1.0
    """Up for that long past ready, it is restarted at once when it ends."""
    forgiven_after: float = 60.0
    """Up for that long, its earlier failures are forgotten."""
    give_up_restarts: int = 0
    """So many restarts within `give_up_within` are too many; 0: never."""
    give_up_within: float = 60.0
    give_up_then: str = FAILED
    give_up_every: float = 300.0
    """The wait between tries where `give_up_then` is `slowly`."""
    stop: tuple[tuple[int, float], ...] = ((signal.SIGTERM, 10.0), (signal.SIGKILL, 10.0))
    """The signals of a stop, and how long to wait after each; the last is KILL."""
    reload: int = signal.SIGHUP
    log_size: int = 10 * 2**20
    log_keep: int = 5
    """How many files there are in all, the one that is written among them."""
    log_compress: bool = False
    """Whether rotated files are compressed (gzip)."""
    log_timestamps: bool = False
    log_separate_stderr: bool = False
    limits: Mapping[str, Limit] = {}
    nice: int | None = None
    oom_score: int | None = None
    affinity: tuple[int, ...] | None = None
    """The processors it may run on."""
    capabilities: tuple[str, ...] | None = None
    """Just these are kept; `None` leaves them as the change of user leaves them."""
    no_new_privileges: bool = False
    start: bool = True
    """Whether it is brought back when the supervisor starts, at boot for one (numen enable, disable)."""
