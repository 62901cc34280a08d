"""The keys of a definition: the one table by which files are read and written, checked and described.

`docs/definition.md`, the JSON schema and the options of `numen start` come from here too.
"""

from __future__ import annotations

from ...record import Record
from . import kinds, probes, schedules
from .definition import ALWAYS, END, FAILED, GO_ON, NEVER, ON_FAILURE, RESTART, SLOWLY, STOP, TELL, Definition
from .references import REFERENCES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .kinds import Kind


class Key(Record):
    """One key of a definition."""

    name: str
    """As in a file; `log.size` is `size` in the table `log`."""
    kind: Kind
    help: str
    """What it means, in one sentence without its full stop."""
    example: str
    """A value as TOML."""
    always: bool = False
    """Whether it is written even where it has its default."""
    live: bool = False
    """Whether a change of it takes hold without a restart."""
    machine: bool = False
    """Whether numen alone writes it."""

    @property
    def field(self) -> str:
        """The field of Definition that holds its value."""
        return self.name.replace(".", "_")


# No wait between two starts may be so short that a program which always crashes keeps a processor busy.
SHORTEST_FIRST, SHORTEST_LONGEST, SHORTEST_HEALTH, SHORTEST_EVERY = 0.01, 1.0, 0.5, 1.0

KEYS = (
    Key(
        name="command",
        kind=kinds.COMMAND,
        help="the program by its full path, and its arguments; no shell reads it",
        example='["/usr/bin/python3", "-m", "http.server", "8000"]',
        always=True,
    ),
    Key(
        name="directory",
        kind=kinds.PATH,
        help="the working directory",
        example='"/srv/web"',
        always=True,
    ),
    Key(name="umask", kind=kinds.UMASK, help="the umask", example='"077"'),
    Key(
        name="user",
        kind=kinds.ACCOUNT,
        help="the user it runs as; HOME, USER, LOGNAME, SHELL and his groups follow",
        example='"www-data"',
    ),
    Key(name="group", kind=kinds.ACCOUNT, help="the group instead of the user's own", example='"adm"'),
    Key(
        name="groups",
        kind=kinds.GROUPS,
        help="the supplementary groups instead of the user's; an empty list for none",
        example='["ssl-cert"]',
    ),
    Key(
        name="after",
        kind=REFERENCES,
        help="the daemons after which it starts, where they are to run too; it is stopped before them",
        example='["db", { name = "migrate", condition = "completed" }]',
        live=True,
    ),
    Key(
        name="requires",
        kind=REFERENCES,
        help="the same, and they are started with it; when one of them fails for good or is stopped, it is stopped",
        example='["db"]',
        live=True,
    ),
    Key(
        name="restart_with",
        kind=kinds.NAMES,
        help="daemons with each of whose new runs it is restarted too",
        example='["db"]',
        live=True,
    ),
    Key(
        name="ready",
        kind=probes.READY,
        help="by what it is known to be up: it still lives after 200 ms (exec), it sent READY=1 (notify), it wrote"
        " a newline on descriptor N (fd:N), it accepts connections (tcp, unix), it answers with a status below 400"
        " (http), a command succeeds (exec:), a line of its log matches (log:), it has lived for so long (after:)",
        example='"notify"',
    ),
    Key(
        name="ready_timeout",
        kind=kinds.duration(0.1),
        help="how long it may take to become ready",
        example='"2m"',
        live=True,
    ),
    Key(
        name="ready_then",
        kind=kinds.choice(END, GO_ON),
        help="what follows where it is not: it is ended, as a failure, or taken to be up",
        example='"go-on"',
        live=True,
    ),
    Key(
        name="ready_interval",
        kind=kinds.duration(0.05),
        help="the wait between two questions, where readiness is asked for",
        example='"2s"',
        live=True,
    ),
    Key(
        name="ready_again",
        kind=kinds.duration(0.5),
        help="how often it is asked again once it is up; while the answer fails it counts as not ready, and what"
        " starts after it waits",
        example='"10s"',
        live=True,
    ),
    Key(
        name="watchdog",
        kind=kinds.duration(0.1),
        help="how long it may be silent: it has to send WATCHDOG=1 more often, or it is ended, as a failure",
        example='"30s"',
    ),
    Key(
        name="max_age",
        kind=kinds.duration(1.0),
        help="up for that long, it is restarted",
        example='"24h"',
        live=True,
    ),
    Key(
        name="max_memory",
        kind=kinds.size(2**20),
        help="when its family uses more memory than that, it is restarted",
        example='"500MB"',
        live=True,
    ),
    Key(
        name="restart",
        kind=kinds.choice(ALWAYS, ON_FAILURE, NEVER),
        help="when it is started again after it has ended by itself",
        example='"on-failure"',
        live=True,
    ),
    Key(
        name="success",
        kind=kinds.ENDINGS,
        help="exit statuses and signals that are no failure, instead of the default ones",
        example='[0, 75, "TERM"]',
        live=True,
    ),
    Key(
        name="final",
        kind=kinds.ENDINGS,
        help="exit statuses and signals after which it is not started again, whatever `restart` says",
        example="[64, 78]",
        live=True,
    ),
    Key(
        name="healthy_after",
        kind=kinds.duration(SHORTEST_HEALTH),
        help="up for that long past ready, it is started again at once when it ends; else after a wait",
        example='"5s"',
        live=True,
    ),
    Key(
        name="forgiven_after",
        kind=kinds.duration(SHORTEST_HEALTH),
        help="up for that long, its earlier failures are forgotten: the next wait is the first again;"
        " at least `healthy_after`",
        example='"10m"',
        live=True,
    ),
    Key(
        name="stop",
        kind=kinds.STOP,
        help="how it is stopped: signals, and how long to wait after each until all of its family is gone; KILL is"
        " added where it is not the last, and 10s after the last",
        example='["INT", "30s", "KILL"]',
        live=True,
    ),
    Key(
        name="before_start",
        kind=kinds.COMMAND,
        help="a command that has to succeed before each start; it runs as the daemon would",
        example='["/srv/web/bin/migrate"]',
        live=True,
    ),
    Key(
        name="after_exit",
        kind=kinds.COMMAND,
        help="a command that follows each end; it runs as the daemon would, with EXIT_STATUS in its environment",
        example='["/bin/rm", "-f", "/srv/web/lock"]',
        live=True,
    ),
    Key(
        name="on_failure",
        kind=kinds.ON_FAILURE,
        help="what follows when it has failed for good: a command, or a daemon that is started",
        example='["/usr/local/bin/tell-me"]',
        live=True,
    ),
    Key(
        name="hook_timeout",
        kind=kinds.duration(0.1),
        help="how long each of these commands, and one for a reload, may take",
        example='"5m"',
        live=True,
    ),
    Key(
        name="vital",
        kind=kinds.FLAG,
        help="let its end be the end of all that come from the same file; `numen up` ends with its exit status",
        example="true",
        live=True,
    ),
    Key(
        name="pty",
        kind=kinds.FLAG,
        help="let its output be a terminal, for programs that write colours, or each line at once, to one alone",
        example="true",
    ),
    Key(
        name="reload",
        kind=kinds.RELOAD,
        help="the signal that lets it read its configuration again",
        example='"USR1"',
        live=True,
    ),
    Key(
        name="reload_command",
        kind=kinds.COMMAND,
        help="a command that does so instead; it runs as the daemon would, with MAINPID in its environment",
        example='["/usr/sbin/nginx", "-s", "reload"]',
        live=True,
    ),
    Key(name="nice", kind=kinds.number(-20, 19), help="the nice value, -20 (first) to 19 (last)", example="10"),
    Key(
        name="oom_score",
        kind=kinds.number(-1000, 1000),
        help="how readily the kernel kills it for want of memory",
        example="500",
    ),
    Key(name="affinity", kind=kinds.AFFINITY, help="the processors it may run on", example='"0-3,8"'),
    Key(
        name="capabilities",
        kind=kinds.CAPABILITY_NAMES,
        help="just these are kept; an empty list for none",
        example='["net_bind_service"]',
    ),
    Key(
        name="no_new_privileges",
        kind=kinds.FLAG,
        help="let nothing that it executes gain privileges",
        example="true",
    ),
    Key(
        name="start",
        kind=kinds.FLAG,
        help="whether it is brought back when the supervisor starts, at boot for one (numen enable, numen disable)",
        example="false",
        live=True,
    ),
    Key(
        name="environment_files",
        kind=kinds.ENVIRONMENT_FILES,
        help="files of NAME=VALUE lines, read at each start and stronger than `environment`; with - before the path"
        " one may be missing",
        example='["/etc/default/web", "-/srv/web/.env"]',
    ),
    Key(
        name="source",
        kind=kinds.PATH,
        help="the file of a set that it comes from (numen apply)",
        example='"/srv/web/numen.toml"',
        live=True,
        machine=True,
    ),
    Key(
        name="secret_files",
        kind=kinds.SECRET_FILES,
        help="variables whose values stand in files, each read at each start, without its last line end",
        example='{ DB_PASSWORD = "/etc/web/db-password" }',
    ),
    Key(
        name="environment",
        kind=kinds.ENVIRONMENT,
        help="the whole environment, but for what numen adds",
        example='{ PATH = "/usr/bin:/bin", PORT = "8000" }',
        always=True,
    ),
    Key(
        name="schedule.every",
        kind=schedules.EVERY,
        help="with it, it is a task, which runs so often, by the monotonic clock, and ends each time",
        example='"5m"',
        live=True,
    ),
    Key(
        name="schedule.cron",
        kind=schedules.CRON,
        help="the same by a calendar: the five fields of crontab(5), or a name such as @daily",
        example='"30 2 * * mon-fri"',
        live=True,
    ),
    Key(
        name="schedule.timezone",
        kind=schedules.TIMEZONE,
        help="the time zone of that calendar; the machine's where there is none",
        example='"Europe/Berlin"',
        live=True,
    ),
    Key(
        name="schedule.jitter",
        kind=schedules.JITTER,
        help="the bound of a random delay of each run",
        example='"30s"',
        live=True,
    ),
    Key(
        name="schedule.missed",
        kind=schedules.MISSED_RUNS,
        help="what follows of runs whose time passed while the machine or the supervisor was down",
        example='"run-once"',
        live=True,
    ),
    Key(
        name="schedule.overlap",
        kind=schedules.OVERLAPS,
        help="what follows where a run is due while the last one goes on: it is skipped, waits, or replaces that one",
        example='"queue"',
        live=True,
    ),
    Key(
        name="schedule.timeout",
        kind=schedules.TIMEOUT,
        help="how long a run may take; then it is ended, as a failure",
        example='"1h"',
        live=True,
    ),
    Key(
        name="schedule.retries",
        kind=schedules.RETRIES,
        help="how often a run that failed is tried again",
        example="3",
        live=True,
    ),
    Key(
        name="schedule.retry_first",
        kind=schedules.WAIT,
        help="the bound of the wait before it is; it doubles with each try",
        example='"10s"',
        live=True,
    ),
    Key(
        name="schedule.retry_longest",
        kind=schedules.WAIT,
        help="the bound of the longest such wait",
        example='"10m"',
        live=True,
    ),
    Key(
        name="schedule.at_start",
        kind=kinds.FLAG,
        help="let it run as soon as it is started too",
        example="true",
        live=True,
    ),
    Key(
        name="alive.probe",
        kind=probes.ALIVE,
        help="by what it is known to be alive still, once it is up",
        example='"http://127.0.0.1:8000/health"',
        live=True,
    ),
    Key(
        name="alive.interval",
        kind=kinds.duration(0.1),
        help="how often that is asked",
        example='"30s"',
        live=True,
    ),
    Key(
        name="alive.timeout",
        kind=kinds.duration(0.05),
        help="how long one question may take, one for readiness too",
        example='"1s"',
        live=True,
    ),
    Key(
        name="alive.failures",
        kind=kinds.number(1, 1000),
        help="how many times in a row the answer has to fail before anything follows",
        example="5",
        live=True,
    ),
    Key(
        name="alive.then",
        kind=kinds.choice(RESTART, STOP, TELL),
        help="what follows then: it is ended and started again, stopped for good, or that is told",
        example='"tell"',
        live=True,
    ),
    Key(
        name="backoff.first",
        kind=kinds.duration(SHORTEST_FIRST),
        help="the bound of the first wait before it is started again; it doubles with each failure, and a random part"
        " of it is waited",
        example='"1s"',
        live=True,
    ),
    Key(
        name="backoff.longest",
        kind=kinds.duration(SHORTEST_LONGEST),
        help="the bound of the longest such wait; at least `backoff.first`",
        example='"5m"',
        live=True,
    ),
    Key(
        name="give_up.restarts",
        kind=kinds.number(0, 1000),
        help="so many restarts within `give_up.within` are too many; 0 never gives up",
        example="5",
        live=True,
    ),
    Key(
        name="give_up.within",
        kind=kinds.duration(1.0),
        help="the time in which restarts are counted",
        example='"10m"',
        live=True,
    ),
    Key(
        name="give_up.then",
        kind=kinds.choice(FAILED, SLOWLY),
        help="what follows then: nothing more, or a try every `give_up.every`",
        example='"slowly"',
        live=True,
    ),
    Key(
        name="give_up.every",
        kind=kinds.duration(SHORTEST_EVERY),
        help="the wait between tries where `give_up.then` is `slowly`",
        example='"15m"',
        live=True,
    ),
    Key(
        name="log.to",
        kind=kinds.LOG_TARGETS,
        help="where its output goes: to its log, and from there to the system log (syslog) or to journald",
        example='["file", "journal"]',
        live=True,
    ),
    Key(
        name="log.size",
        kind=kinds.size(4096),
        help="how large the log may grow before the next file is begun",
        example='"100MB"',
        live=True,
    ),
    Key(
        name="log.keep",
        kind=kinds.number(1, 1000),
        help="how many files there are in all, the one that is written among them",
        example="10",
        live=True,
    ),
    Key(
        name="log.every",
        kind=kinds.duration(1.0),
        help="how long one file is written at most before the next is begun",
        example='"24h"',
        live=True,
    ),
    Key(
        name="log.total",
        kind=kinds.size(4096),
        help="how many bytes its files may have in all; the oldest are removed",
        example='"1GB"',
        live=True,
    ),
    Key(
        name="log.age",
        kind=kinds.duration(1.0),
        help="how long a file that is full is kept",
        example='"720h"',
        live=True,
    ),
    Key(
        name="log.compress", kind=kinds.FLAG, help="compress the files that are full (gzip)", example="true", live=True
    ),
    Key(name="log.timestamps", kind=kinds.FLAG, help="put the time before each line", example="true"),
    Key(
        name="log.separate_stderr",
        kind=kinds.FLAG,
        help="write standard error to a log of its own, NAME.err.log",
        example="true",
    ),
    Key(
        name="cgroup.memory",
        kind=kinds.size(2**20),
        help="how much memory its family may use together; refused where no cgroup with that controller is delegated",
        example='"1GB"',
    ),
    Key(
        name="cgroup.cpu",
        kind=kinds.PERCENT,
        help="how much processor time its family may use together",
        example='"150%"',
    ),
    Key(
        name="cgroup.tasks",
        kind=kinds.number(1, 2**22),
        help="how many processes and threads its family may have together",
        example="100",
    ),
    Key(
        name="limits",
        kind=kinds.LIMITS_TABLE,
        help="resource limits, for each the value or the soft and the hard one",
        example='{ open-files = 65536, processes = [100, 200], locked-memory = "unlimited" }',
    ),
)
"""In the order in which they are written."""

BY_NAME = {key.name: key for key in KEYS}
GROUPS = frozenset(name.partition(".")[0] for name in BY_NAME if "." in name)
"""The tables that hold several keys."""


def default(key: Key) -> Any:
    """What holds where the key is not written, as TOML would hold it; `None` where that is nothing."""
    value = default_value(key)
    return None if value is None else key.kind.form(value)


def default_value(key: Key) -> Any:
    """The same as a field of Definition holds it."""
    return getattr(Definition, key.field, None)
