"""`numen detach`: any program as a daemon."""

from __future__ import annotations

import os

from ..become import readiness, recipe
from ..errors import BadOption
from ..settings.durations import format_duration, parse_duration
from ..settings.environment import read_environment_file, set_or_kept
from ..settings.names import comma_separated
from ..settings.octal import octal
from ..settings.signals import DEFAULT_SCHEDULE, parse_schedule, parse_signal
from .main import complain, say
from .options import Option, Table, kept_capabilities, whole_number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from ..become.launch import Up
    from ..settings.limits import Limit

_TIMEOUT = format_duration(readiness.DEFAULT_TIMEOUT)


def _limit(text: str) -> tuple[str, Limit]:
    # Its table of names is made only for those who set a limit.
    from ..settings.limits import parse_limit

    return parse_limit(text)


def _schedule(text: str) -> Any:
    return parse_schedule(text)


TABLE = Table(
    command="detach",
    usage=(
        "numen detach [OPTIONS] -- COMMAND [ARG...]",
        "numen detach --status NAME | --stop NAME [--retry SCHEDULE] | --signal SIGNAL NAME | --list",
    ),
    description="Run COMMAND as a daemon. Ends with 0 only when it is up; else says why, and leaves nothing behind.",
    epilog="""examples:
  numen detach --name web -- python3 -m http.server 8000
  numen detach --name web --user www-data --ready notify --timeout 30s -- ./server --port 80
  numen detach --limit open-files=65536 --stdout /var/log/web.log -- ./server
  numen detach --status web; numen detach --signal HUP web; numen detach --stop web --retry TERM/30s/KILL/5s

exit statuses: 0 up, 1 the system failed, 2 bad option, 4 no permission, 6 something named cannot be used,
7 not running, 8 another instance runs, 9 died before it was ready, 10 cannot detach safely (as PID 1),
124 not ready in time, 125 exec failed, 126 not executable, 127 command not found,
128+N interrupted by signal N""",
    options=(
        Option(flags=("--name",), metavar=("NAME",), help="the instance's name: unique, and used to ask for it"),
        Option(
            flags=("--pidfile",),
            metavar=("FILE",),
            help="write the daemon's pid there, and refuse a second one",
        ),
        Option(
            flags=("--ready",),
            metavar=("KIND",),
            convert=readiness.parse,
            help="up when: exec (executed; the default), notify (READY=1), fd:N (a newline on N), exit (ended with 0)",
        ),
        Option(
            flags=("--timeout",),
            metavar=("DURATION",),
            convert=parse_duration,
            help=f"end it if it is not ready after that long ({_TIMEOUT})",
        ),
        Option(flags=("--foreground",), help="take all the steps but the forks, in place of this process"),
        Option(flags=("--quiet", "-q"), help="say nothing where all went well"),
        Option(flags=("--json",), help="print facts as JSON"),
        Option(
            group="surroundings",
            flags=("--directory",),
            metavar=("DIR",),
            help="the working directory (/)",
        ),
        Option(group="surroundings", flags=("--umask",), metavar=("MODE",), convert=octal, help="the umask (022)"),
        Option(group="surroundings", flags=("--chroot",), metavar=("DIR",), help="the root directory; for root"),
        Option(
            group="surroundings",
            flags=("--env", "-e"),
            metavar=("NAME[=VALUE]",),
            repeated=True,
            help="set a variable of the environment, or keep the caller's",
        ),
        Option(
            group="surroundings",
            flags=("--env-file",),
            metavar=("FILE",),
            repeated=True,
            help="set the variables in a file; --env-file=-FILE where it may be missing",
        ),
        Option(group="surroundings", flags=("--clear-env",), help="begin with an empty environment"),
        Option(group="streams", flags=("--stdin",), metavar=("FROM",), help="null (the default) or a file"),
        Option(
            group="streams",
            flags=("--stdout",),
            metavar=("TO",),
            help="null (the default), a file that is appended to, journal or syslog",
        ),
        Option(
            group="streams",
            flags=("--stderr",),
            metavar=("TO",),
            help="the same; by default the journal if there is one, else NAME.log in numen's log directory",
        ),
        Option(
            group="streams",
            flags=("--facility",),
            metavar=("NAME",),
            help="the facility of what goes to syslog (daemon)",
        ),
        Option(
            group="streams",
            flags=("--keep-fd",),
            metavar=("N",),
            convert=whole_number(3, 2**31 - 1),
            repeated=True,
            help="leave this descriptor open",
        ),
        Option(group="identity", flags=("--user",), metavar=("USER",), help="run as this user, with his groups"),
        Option(group="identity", flags=("--group",), metavar=("GROUP",), help="with this group"),
        Option(
            group="identity",
            flags=("--groups",),
            metavar=("GROUP,...",),
            help="with these supplementary groups instead of the user's; '' for none",
        ),
        Option(
            group="identity",
            flags=("--capability",),
            metavar=("NAME",),
            repeated=True,
            help="keep just this capability, such as net_bind_service; none for none",
        ),
        Option(
            group="identity",
            flags=("--no-new-privileges",),
            help="let nothing that it executes gain privileges",
        ),
        Option(
            group="limits",
            flags=("--limit",),
            metavar=("NAME=VALUE",),
            convert=_limit,
            repeated=True,
            help="set a resource limit: open-files=65536, processes=SOFT:HARD, locked-memory=unlimited",
        ),
        Option(group="limits", flags=("--core-dumps",), help="allow core dumps, up to the hard limit"),
        Option(
            group="limits",
            flags=("--nice",),
            metavar=("N",),
            convert=whole_number(-20, 19),
            help="the nice value, -20 to 19",
        ),
        Option(
            group="limits",
            flags=("--oom-score",),
            metavar=("N",),
            convert=whole_number(-1000, 1000),
            help="how readily it is killed for want of memory, -1000 to 1000",
        ),
        Option(
            group="limits",
            flags=("--children",),
            metavar=("HOW",),
            help="default, or ignore: the kernel reaps its dead children (SIGCHLD)",
        ),
        Option(group="a running one", flags=("--status",), metavar=("NAME",), help="say whether it runs"),
        Option(group="a running one", flags=("--stop",), metavar=("NAME",), help="end it, and wait until it has"),
        Option(
            group="a running one",
            flags=("--retry",),
            metavar=("SCHEDULE",),
            convert=_schedule,
            help=f"with --stop: signals, and how long to wait after each ({DEFAULT_SCHEDULE})",
        ),
        Option(
            group="a running one",
            flags=("--signal",),
            metavar=("SIGNAL", "NAME"),
            convert=parse_signal,
            help="send it a signal",
        ),
        Option(group="a running one", flags=("--list",), help="list the named ones"),
    ),
)

_ASKING = ("status", "stop", "signal", "list")
_WITH_ANY = ("quiet", "json")


def run(arguments: Sequence[str]) -> int:
    """Run `numen detach`; the exit status. Raises DaemonError."""
    values, command = TABLE.read(arguments)
    asked = [name for name in _ASKING if values[name] not in (None, False)]
    if asked:
        _check_alone(asked, values, command)
        from . import detached

        return detached.run(asked[0], values)
    if not command:
        raise BadOption("what is to be run? Write it after two dashes: numen detach --name web -- ./server")
    if values["retry"] is not None:
        raise BadOption("--retry goes with --stop")
    return _detach(command, values)


def _check_alone(asked: list[str], values: dict[str, Any], command: list[str]) -> None:
    allowed = {asked[0], *_WITH_ANY, *(["retry"] if asked == ["stop"] else [])}
    other = [name for name, value in values.items() if name not in allowed and value not in (None, False, [])]
    if other:
        raise BadOption(f"--{asked[0]} and --{other[0].replace('_', '-')} do not go together")
    if command:
        raise BadOption(f"--{asked[0]} takes no command, but there is {command[0]!r}")


def _detach(argv: list[str], values: dict[str, Any]) -> int:
    from ..become import command

    wanted = make_recipe(values)
    if values["foreground"]:
        if values["ready"] is not None or values["timeout"] is not None:
            raise BadOption("--ready and --timeout do not go with --foreground: there is nobody left to wait")
        command.run(argv, wanted, warn=_warn)
    from ..become.launch import raise_when_interrupted

    raise_when_interrupted()
    ready = values["ready"] or readiness.Kind(name=readiness.EXEC)
    timeout = readiness.DEFAULT_TIMEOUT if values["timeout"] is None else values["timeout"]
    up = command.detach(argv, wanted, ready, timeout, warn=_warn)
    _tell(up, wanted.name or argv[0], values)
    return 0


def make_recipe(values: dict[str, Any]) -> recipe.Recipe:
    """The recipe that the options ask for. Raises BadOption; Unusable for an environment file."""
    environment: dict[str, str] = {}
    for path in values["env_file"]:
        environment.update(read_environment_file(path))
    for assignment in values["env"]:
        environment.update(set_or_kept(assignment, os.environ))
    wanted = {
        "name": values["name"],
        "pidfile": values["pidfile"],
        "directory": values["directory"],
        "umask": values["umask"],
        "user": values["user"],
        "group": values["group"],
        "groups": None if values["groups"] is None else tuple(comma_separated(values["groups"])),
        "chroot": values["chroot"],
        "environment": environment,
        "clear_environment": values["clear_env"],
        "stdin": values["stdin"],
        "stdout": values["stdout"],
        "stderr": values["stderr"],
        "facility": values["facility"],
        "children": values["children"],
        "keep_descriptors": tuple(values["keep_fd"]),
        "nice": values["nice"],
        "oom_score": values["oom_score"],
        "limits": dict(values["limit"]),
        "core_dumps": values["core_dumps"],
        "no_new_privileges": values["no_new_privileges"],
        "capabilities": kept_capabilities(values["capability"]),
    }
    if values["foreground"]:
        for stream in ("stdin", "stdout", "stderr"):
            wanted[stream] = wanted[stream] or "inherit"
    return recipe.Recipe(**{name: value for name, value in wanted.items() if value is not None})


def _warn(text: str) -> None:
    complain(f"numen detach: note: {text}")


def _tell(up: Up, name: str, values: dict[str, Any]) -> None:
    if values["json"]:
        import json

        say(json.dumps({"name": name, **up.values()}))
    elif not values["quiet"]:
        who = f"pid {up.pid}" if up.pid else "nothing is left running"
        said = f": {up.status}" if up.status else ""
        say(f"{name} is up: {who} ({up.by}{said}); errors go to {up.log}")
