"""What each step is, why it is taken, how, and how the audit sees it: `numen audit --explain`."""

from __future__ import annotations

import inspect

from ..errors import BadOption
from ..record import Record
from . import rules  # noqa: F401 - its modules register the rules
from .verdict import RULES, STEPS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .verdict import Rule


class Lesson(Record):
    """How one step is taken."""

    what: str
    why: str
    numen: str
    """With numen, as a command or in a program."""
    in_c: str
    """By hand in C."""
    in_shell: str
    """By hand in a shell."""
    seen: str
    """Where the audit looks."""


def explain(word: str) -> str:
    """The lesson of a step, by its number or name, or of a rule. Raises BadOption."""
    if word in STEPS:
        return "\n".join(_of_step(word))
    by_title = [step for step, title in STEPS.items() if title == word]
    if by_title:
        return "\n".join(_of_step(by_title[0]))
    if word in RULES:
        return "\n".join(_of_rule(RULES[word]))
    raise BadOption(f"{word!r} is no step and no rule; steps: {', '.join(STEPS)}; rules: {', '.join(RULES)}")


def _of_step(step: str) -> Iterator[str]:
    yield _title(step)
    yield from _lesson(step)
    members = [one for one in RULES.values() if one.step == step]
    if members:
        yield ""
        yield "The rules"
        width = max(len(one.name) for one in members)
        yield from (f"  {one.name:<{width}}  {one.title}" for one in members)


def _of_rule(rule: Rule) -> Iterator[str]:
    yield f"{rule.name}: {rule.title}"
    yield f"a rule of: {_title(rule.step)}"
    yield from _part("It is well when", inspect.getdoc(rule.judge) or "")
    yield from _part("Why it matters", rule.why)
    yield from _part("What to do", rule.remedy)
    lesson = LESSONS[rule.step]
    yield from _part("Where the audit looks", lesson.seen)
    yield ""
    yield f"numen audit --explain {rule.step} teaches the whole step."


def _title(step: str) -> str:
    return f"step {step}, {STEPS[step]}" if step.isdigit() else STEPS[step]


def _lesson(step: str) -> Iterator[str]:
    lesson = LESSONS[step]
    yield from _part("What it is", lesson.what)
    yield from _part("Why", lesson.why)
    yield from _part("With numen", lesson.numen)
    yield from _part("By hand in C", lesson.in_c)
    yield from _part("By hand in a shell", lesson.in_shell)
    yield from _part("Where the audit looks", lesson.seen)


def _part(heading: str, text: str) -> Iterator[str]:
    yield ""
    yield heading
    yield from (f"  {line}".rstrip() for line in text.split("\n"))


LESSONS = {
    "1": Lesson(
        what="The launcher forks and exits; the child goes on as an orphan, which init adopts.",
        why="The shell or script that started it shall go on, and nobody shall wait for a process that never ends.\n"
        "A service manager starts its daemons itself: they stay its children and fork not at all (daemon(7)).",
        numen="numen detach -- COMMAND\nin Python: with numen.DaemonContext() as daemon: ...",
        in_c="if (fork() > 0)\n    _exit(0);    /* best when the child has said, through a pipe, that it is ready */",
        in_shell="setsid --fork COMMAND    # COMMAND & alone stays a job of the shell",
        seen="The parent in /proc/PID/stat, its session, and the environment variables of service managers.",
    ),
    "2": Lesson(
        what="The child calls setsid(2): a new session and process group, and no controlling terminal. It forks once\n"
        "more, and the session leader exits: only a leader can get a terminal again.",
        why="What is typed at the terminal, and its hangup, send signals to every process of its session.",
        numen="numen detach does both",
        in_c="setsid();\nif (fork() > 0)\n    _exit(0);\n/* and whatever opens a terminal says O_NOCTTY */",
        in_shell="setsid sh -c 'COMMAND &'",
        seen="Session, process group and terminal in /proc/PID/stat, and who else is in them.",
    ),
    "3": Lesson(
        what="The working directory becomes / or one that is the daemon's own and stays.",
        why="A file system cannot be unmounted while it is some process's working directory. A relative path means\n"
        "another file when the directory is renamed, and none when it is removed.",
        numen="numen detach --directory DIR (the default is /)",
        in_c='if (chdir("/") < 0)\n    fail();    /* after chroot(2) too */',
        in_shell="cd / && COMMAND",
        seen="/proc/PID/cwd and /proc/PID/root, the mounts in /proc/PID/mountinfo, and whether the disk is removable.",
    ),
    "4": Lesson(
        what="The umask is set to what the daemon means, not to what the caller had: 022, or 027 for secrets.",
        why="It takes permissions from every file that is made. With 0, a forgotten mode lets everybody write.",
        numen="numen detach --umask 027 (the default is 022)",
        in_c="umask(022);    /* and a mode for every open(2) with O_CREAT */",
        in_shell="umask 022",
        seen="Umask in /proc/PID/status, and the modes of files that it has open or has made in its directory.",
    ),
    "5": Lesson(
        what="All inherited descriptors are closed, and 0, 1 and 2 lead to /dev/null or a log.",
        why="An inherited pipe keeps its reader waiting, a lock keeps others out, a deleted file its disk space.\n"
        "Where 0 to 2 are closed, the next file that is opened becomes stderr, and messages are written into it.",
        numen="numen detach; --keep-fd N keeps one; --stdin, --stdout, --stderr lead somewhere",
        in_c='close_range(3, ~0U, 0);\nint null = open("/dev/null", O_RDWR);\n'
        "dup2(null, 0); dup2(null, 1); dup2(null, 2);\n/* close null if it is above 2 */",
        in_shell="COMMAND </dev/null >>LOG 2>&1    # and 3>&- for each that the shell itself got",
        seen="/proc/PID/fd and /proc/PID/fdinfo; for a pipe, the descriptors of all other processes too.",
    ),
    "6": Lesson(
        what="A daemon that has children waits for each that ends, or ignores SIGCHLD so that the kernel reaps them.",
        why="A zombie keeps its pid until its parent waits. They add up until no process can be started.",
        numen="numen detach --children ignore; by default SIGCHLD is as in a login",
        in_c="while (waitpid(-1, NULL, WNOHANG) > 0)\n    ;    /* at each SIGCHLD */\n"
        "/* or, where no status is wanted */ signal(SIGCHLD, SIG_IGN);",
        in_shell="wait    # after each round; trap '' CHLD in the caller is inherited",
        seen="The state of its children in /proc/*/stat, and the signal masks in /proc/PID/status.",
    ),
    "7": Lesson(
        what="Errors go where somebody will look: the journal, the system log, a file that is rotated.",
        why="A daemon has no terminal. What it says to /dev/null has not been said.",
        numen="numen detach --stderr journal, syslog or a file; by default the journal, else NAME.log",
        in_c='openlog("web", LOG_PID, LOG_DAEMON);\nsyslog(LOG_ERR, "cannot open %s: %m", path);',
        in_shell="COMMAND 2>&1 | logger --id --tag web    # or 2>>/var/log/web.log",
        seen="What descriptor 2 leads to, other logs that are open, and the file systems that they are on.",
    ),
    "8": Lesson(
        what="SIGTERM ends it in order, SIGHUP makes it read its configuration again, SIGPIPE does not kill it.\n"
        "Dispositions and masks are set at the start, because both are inherited.",
        why="Whoever stops the machine sends SIGTERM, waits a little, and then kills. A signal that the launcher\n"
        "blocked or ignored stays so in the daemon, unknown to its author.",
        numen="numen detach sets all to default and blocks none; DaemonContext gives handlers",
        in_c="sigset_t none;\nsigemptyset(&none);\nsigprocmask(SIG_SETMASK, &none, NULL);\nsignal(SIGPIPE, SIG_IGN);\n"
        "sigaction(SIGTERM, &on_term, NULL);",
        in_shell="trap 'stop=1' TERM; trap 'reload=1' HUP    # what was ignored at its start a shell cannot trap",
        seen="SigBlk, SigIgn, SigCgt and pending signals in /proc/PID/status, for every thread; state and tracer.",
    ),
    "instance": Lesson(
        what="A pidfile names the one instance, and a lock lets nobody else start another.",
        why="Two instances spoil each other's data. A wrong pidfile makes whoever stops the daemon kill a stranger,\n"
        "and who can write the pidfile chooses whom root kills.",
        numen="numen detach --name NAME or --pidfile FILE; --status, --stop",
        in_c='int fd = open("/run/web.pid", O_RDWR | O_CREAT | O_CLOEXEC, 0644);\n'
        "if (flock(fd, LOCK_EX | LOCK_NB) < 0)\n    fail();    /* it runs already */\nftruncate(fd, 0);\n"
        'dprintf(fd, "%d\\n", getpid());    /* before root is given up */',
        in_shell="flock --nonblock /run/web.lock COMMAND",
        seen="Pidfiles in /run and below, by their content and name, and that of --pidfile; their modes and owners.",
    ),
    "privileges": Lesson(
        what="The daemon runs as a user of its own, with that user's groups and no capability that it does not need.",
        why="Its mistakes are open to all who can send to it. What it may do, they may do.",
        numen="numen detach --user USER --capability net_bind_service --no-new-privileges",
        in_c="initgroups(user, gid);    /* groups first: later it is not permitted */\n"
        "setresgid(gid, gid, gid);\nsetresuid(uid, uid, uid);\nprctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);",
        in_shell="setpriv --reuid=web --regid=web --init-groups --no-new-privs COMMAND",
        seen="Uid, Gid, Groups, capabilities, NoNewPrivs and Seccomp in /proc/PID/status; names, and never values, in\n"
        "/proc/PID/environ.",
    ),
    "program": Lesson(
        what="The program is the installed one, and only root or its own user can change it.",
        why="After an upgrade the old program goes on, with its old bugs, until it is restarted. Who can write the\n"
        "program decides what the daemon does.",
        numen="numen detach --stop NAME, then start it again after an upgrade",
        in_c="/* execve(argv[0]) of itself, at a signal, is how some take up a new version */",
        in_shell="chown root: PROGRAM && chmod 755 PROGRAM",
        seen="/proc/PID/exe, the script in /proc/PID/cmdline, and /proc/PID/task/*/schedstat for a moment.",
    ),
    "resources": Lesson(
        what="Limits are chosen for the daemon, with room left below them; core dumps go nowhere that others read.",
        why="At a limit, calls fail that never failed before. The memory in a core dump holds keys and passwords.",
        numen="numen detach --limit open-files=65536 --oom-score 0 (core dumps are off by default)",
        in_c="struct rlimit none = {0, 0};\nsetrlimit(RLIMIT_CORE, &none);",
        in_shell="ulimit -c 0; ulimit -n 65536",
        seen="/proc/PID/limits, /proc/PID/status, /proc/PID/oom_score_adj and /proc/sys/kernel/core_pattern.",
    ),
    "network": Lesson(
        what="It listens on the addresses that it is meant for, and on no others.",
        why="Who listens on all addresses is reached from every network, also from one that is added next year.",
        numen="tell the program its address: numen detach -- ./server --listen 127.0.0.1:8000",
        in_c='inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);    /* in place of INADDR_ANY */',
        in_shell="ss -ltnup    # who listens where",
        seen="/proc/PID/net/tcp, tcp6, udp and udp6, and the sockets among its descriptors.",
    ),
    "boot": Lesson(
        what="Something starts it with the machine and ends it with the machine: a unit, an init script, cron.",
        why="What was started by hand is gone after the next boot, and mostly nobody notices at once.",
        numen="a unit or an init script that runs numen detach, or the program itself under a service manager",
        in_c="/* nothing: this is the administrator's */",
        in_shell="systemctl enable web; update-rc.d web defaults; or @reboot in a crontab",
        seen="Its control group and parent; units, init scripts and crontabs that name its program or pidfile.",
    ),
}
"""The lesson of each step."""
