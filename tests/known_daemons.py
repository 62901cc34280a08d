"""Daemons that everybody knows, started as their Debian packages start them, each in namespaces of its own.

What they write goes to directories of the test: a copy of /var with what the packages have put there, an empty /run, a
/dev with the few devices that a daemon wants. So nothing of the machine is touched, and no port of it is taken.
"""

import os
import subprocess
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import observe
from processes import Reaper

APART = """
    mount --make-rprivate /
    cd "$1"
    mkdir run dev log lib spool && chmod 755 run dev log lib spool
    for one in log lib spool; do
        for name in $2; do test ! -e "/var/$one/$name" || cp --archive "/var/$one/$name" "$one/"; done
        mount --bind "$one" "/var/$one"
    done
    mount --bind run /run
    mkdir -p /run/lock /run/sshd
    for one in null zero random urandom; do touch "dev/$one"; mount --bind "/dev/$one" "dev/$one"; done
    mkdir dev/shm && chmod 1777 dev/shm
    mount --rbind dev /dev
    ip link set lo up 2>/dev/null || true
    cd /
    shift 2
    exec "$@"
"""


CLEAN = {"PATH": "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}
"""The environment at boot."""


class Known(NamedTuple):
    """A daemon of a package."""

    package: str
    start: tuple[str, ...]
    comm: str
    """The name that the kernel shows."""
    files: str = ""
    """What it has below /var/log, /var/lib and /var/spool."""


KNOWN = (
    Known("cron", ("/etc/init.d/cron", "start"), "cron", "cron"),
    Known("memcached", ("/etc/init.d/memcached", "start"), "memcached"),
    Known("nginx-light", ("/etc/init.d/nginx", "start"), "nginx", "nginx"),
    Known("openssh-server", ("/etc/init.d/ssh", "start"), "sshd"),
    Known("postgresql", ("/etc/init.d/postgresql", "start"), "postgres", "postgresql"),
    Known("redis-server", ("/etc/init.d/redis-server", "start"), "redis-server", "redis"),
    Known("rsyslog", ("/usr/sbin/rsyslogd",), "rsyslogd", "rsyslog"),
)


def start_known(known: Known, place: Path, reaper: Reaper) -> Callable[[], int]:
    """Start it; what finds its first process, which the reaper will end."""
    place.chmod(0o755)
    apart = ["unshare", "--mount", "--net", "sh", "-euc", APART, "sh", str(place), known.files]
    return start([*apart, *known.start], known.comm, place, reaper)


def start(command: Sequence[str | Path], comm: str, place: Path, reaper: Reaper) -> Callable[[], int]:
    """Run a command that leaves a daemon of that name; what finds the daemon."""
    before = set(observe.descendants(os.getpid()))
    with (place / "said").open("wb") as said:
        done = subprocess.run(
            command, cwd=place, env=CLEAN, stdin=subprocess.DEVNULL, stdout=said, stderr=said, check=False, timeout=60
        )
    assert done.returncode == 0, (place / "said").read_text(errors="replace")
    return partial(find_first, comm, before, reaper)


def find_first(comm: str, before: set[int], reaper: Reaper) -> int:
    """The first process of that name among those that were not there before; 0 where there is none yet."""
    born = set(observe.descendants(os.getpid())) - before
    first = min((pid for pid in born if _is_first(pid, comm, born)), default=0)
    for pid in born:
        reaper.track(pid)
    return first


def _is_first(pid: int, comm: str, born: set[int]) -> bool:
    try:
        seen = observe.look(pid)
        parent = observe.look(seen.ppid) if seen.ppid in born else None
    except (ProcessLookupError, PermissionError):
        return False
    return seen.comm == comm and seen.state != "Z" and (parent is None or parent.comm != comm)
