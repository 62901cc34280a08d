"""What is wanted of one daemon, as data: everything a definition file can say.

`keys` tells how each is written in a file, and what is checked; nothing here reads or writes one.
"""

from __future__ import annotations

import signal

from ...record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from ...schedule.schedule import Schedule
    from ...settings.limits import Limit
    from .references import Reference

ALWAYS, ON_FAILURE, NEVER = "always", "on-failure", "never"
"""When a daemon that has ended is started again."""

END, GO_ON = "end", "go-on"
"""What follows when a daemon is not ready in time: it is ended as a failure, or taken to be up."""

RESTART, STOP, TELL = "restart", "stop", "tell"
"""What follows when a daemon no longer answers: it is ended and started again, stopped for good, or that is told."""

FILE, SYSLOG, JOURNAL = "file", "syslog", "journal"
"""Where output goes."""

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
    secret_files: Mapping[str, str] = {}
    """Variables of the environment whose values stand in files, read at each start."""
    after: tuple[Reference, ...] = ()
    """It starts after these, where they are started too."""
    requires: tuple[Reference, ...] = ()
    """It starts after these, which are started with it; it is stopped before one of them is, and when one failed."""
    restart_with: tuple[str, ...] = ()
    """Others with each of whose new runs it is restarted too."""
    ready: str = "exec"
    """By what it is known to be up, as `probes` reads it."""
    ready_timeout: float = 60.0
    ready_then: str = END
    ready_interval: float = 0.5
    """The wait between two questions, where readiness is asked for."""
    ready_again: float | None = None
    """How often it is asked again once it is up; `None`: never."""
    alive_probe: str | None = None
    """By what it is known to be alive still, as `probes` reads it."""
    alive_interval: float = 10.0
    alive_timeout: float = 5.0
    """How long one question of a probe may take, that for readiness too."""
    alive_failures: int = 3
    """How many times in a row the answer has to fail before anything follows, for readiness too."""
    alive_then: str = RESTART
    watchdog: float | None = None
    """How long it may be silent: it has to send WATCHDOG=1 more often than that (sd_watchdog_enabled(3))."""
    max_age: float | None = None
    """Up for that long, it is restarted."""
    max_memory: int | None = None
    """Its family using more than that, it is restarted."""
    schedule_every: float | None = None
    """With an interval or a calendar it is a task, which runs then and ends."""
    schedule_cron: str | None = None
    schedule_timezone: str = ""
    schedule_jitter: float = 0.0
    schedule_missed: str = "skip"
    schedule_overlap: str = "skip"
    schedule_timeout: float | None = None
    schedule_retries: int = 0
    schedule_retry_first: float = 1.0
    schedule_retry_longest: float = 60.0
    schedule_at_start: bool = False
    before_start: tuple[str, ...] | None = None
    """A command that has to succeed before each start."""
    after_exit: tuple[str, ...] | None = None
    """A command that follows each end."""
    on_failure: tuple[str, ...] | None = None
    """A command that follows when it has failed for good, or `("", NAME)`: the daemon that is started then."""
    hook_timeout: float = 60.0
    """How long each of these commands, and that for a reload, may take."""
    vital: bool = False
    """Whether its end is the end of all that come from the same file."""
    pty: bool = False
    """Whether its output is a terminal."""
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
    reload_command: tuple[str, ...] | None = None
    """What lets it read its configuration again, instead of the signal."""
    log_to: tuple[str, ...] = (FILE,)
    log_size: int = 10 * 2**20
    log_keep: int = 5
    """How many files there are in all, the one that is written among them."""
    log_every: float | None = None
    """How long one file is written at most before the next is begun."""
    log_total: int | None = None
    """How many bytes its files may have in all; the oldest are removed."""
    log_age: float | None = None
    """How long a file that is full is kept."""
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
    cgroup_memory: int | None = None
    cgroup_cpu: int | None = None
    """Per cent of one processor."""
    cgroup_tasks: int | None = None
    """What its family may use together (cgroups(7)); `None`: no limit."""
    source: str | None = None
    """The file of a set that it comes from; `None`: its own."""
    start: bool = True
    """Whether it is brought back when the supervisor starts, at boot for one (numen enable, disable)."""

    @property
    def is_task(self) -> bool:
        """Whether it runs by a schedule, and ends each time."""
        return self.schedule_every is not None or self.schedule_cron is not None

    def schedule(self) -> Schedule:
        """When it runs, where it is a task."""
        from ...schedule.schedule import Schedule

        return Schedule(
            every=self.schedule_every,
            cron=self.schedule_cron,
            timezone=self.schedule_timezone,
            jitter=self.schedule_jitter,
            missed=self.schedule_missed,
            overlap=self.schedule_overlap,
            timeout=self.schedule_timeout,
            retries=self.schedule_retries,
            retry_first=self.schedule_retry_first,
            retry_longest=self.schedule_retry_longest,
            at_start=self.schedule_at_start,
        )
