"""`numen detach` as a test uses it: start, be told the pid, look from outside, see that nothing is left."""

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import observe
from processes import Reaper, run_numen, wait_for

DEADLINE = 30.0
"""Seconds after which what has not happened fails the test."""

SLEEPER = ("sleep", "1000")
"""A program that does nothing to its process and ends at SIGTERM."""

_OF_THE_LOADER = ("/etc/", "/lib", "/usr/")


def start(reaper: Reaper, *arguments: str | Path, **options: Any) -> int:
    """Run `numen detach` with these arguments; the daemon's pid, which the reaper will end."""
    return int(start_and_tell(reaper, *arguments, **options)["pid"])


def start_and_tell(reaper: Reaper, *arguments: str | Path, **options: Any) -> dict[str, Any]:
    """Run `numen detach` with these arguments; what it tells of the daemon, which the reaper will end."""
    done = run_numen("detach", "--json", *arguments, **options)
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    if told["pid"]:
        reaper.track(told["pid"])
    return told


def settled(pid: int) -> observe.Process:
    """What /proc says of it, once the dynamic loader has closed what it had opened."""

    def has_loaded() -> bool:
        opened = [one.target for number, one in observe.look(pid).descriptors.items() if number > 2]
        return not any(target.startswith(_OF_THE_LOADER) for target in opened)

    wait_for(has_loaded, DEADLINE, f"the end of the dynamic loader's work in {pid}")
    return observe.look(pid)


def sleeper(reaper: Reaper, *options: str | Path, **how: Any) -> observe.Process:
    """A detached sleeper that was started with these options, seen from outside."""
    return settled(start(reaper, *options, "--", *SLEEPER, **how))


def python(snippet: str, *arguments: str | Path) -> list[str]:
    """The command that runs a snippet of Python, without what the environment may add to it."""
    return [sys.executable, "-I", "-S", "-c", textwrap.dedent(snippet), *map(str, arguments)]


def refused(
    status: int, *arguments: str | Path, saying: str | Sequence[str] = (), **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run `numen detach`, which must fail with that exit status and these words, and leave nothing behind."""
    done = run_numen("detach", *arguments, **options)
    assert done.returncode == status, (done.returncode, done.stderr)
    for words in [saying] if isinstance(saying, str) else saying:
        assert words in done.stderr, done.stderr
    assert "Traceback" not in done.stderr
    assert_nothing_is_left()
    return done


def assert_nothing_is_left() -> None:
    """No process of this test runs, no instance is named, no FIFO or directory stands in a public place."""
    home = Path(os.environ["NUMEN_HOME"])
    running = observe.with_environment(f"{home.parent}/")
    running.pop(os.getpid(), None)
    assert [observe.describe(pid) for pid in running if not observe.is_zombie_or_gone(pid)] == []
    left = sorted(path.name for path in (home / "run").rglob("*") if not path.is_dir())
    assert left == []


def named(name: str) -> Path:
    """The pidfile by which a name is known."""
    return Path(os.environ["NUMEN_HOME"], "run", "detached", f"{name}.pid")


def log_of(name: str) -> Path:
    """Where the errors of a daemon go for which nothing was said."""
    return Path(os.environ["NUMEN_HOME"], "log", f"{name}.log")


def ask(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Ask for a daemon that runs: `ask("--status", "web")`."""
    return run_numen("detach", *arguments)


def ask_json(*arguments: str | Path) -> Any:
    """The same with --json; what was told."""
    return json.loads(run_numen("detach", "--json", *arguments).stdout)


def wait_for_file(path: Path, is_complete: Callable[[str], object] = bool) -> str:
    """The text of a file that a daemon writes, once it is complete."""

    def has_come() -> bool:
        return path.exists() and bool(is_complete(path.read_text()))

    wait_for(has_come, DEADLINE, f"the text expected in {path}")
    return path.read_text()


def without_system_log(place: Path, *, log: Path | None = None, journal: Path | None = None) -> list[str]:
    """The beginning of a command, for root, that finds no system log but these sockets.

    It runs in a mount namespace of its own, with a /run and a /dev that nobody else sees.
    """
    script = """
        touch "$1"; mount --bind /dev/null "$1"
        mount -t tmpfs none /run; mount -t tmpfs none /dev
        touch /dev/null; mount --bind "$1" /dev/null
        mkdir -p /run/systemd/journal
        test -z "$2" || ln -s "$2" /dev/log
        test -z "$3" || ln -s "$3" /run/systemd/journal/stdout
        shift 3; exec "$@"
    """
    sockets = ["" if one is None else str(one) for one in (log, journal)]
    return ["unshare", "--mount", "sh", "-euc", script, "sh", str(place / "null"), *sockets]
