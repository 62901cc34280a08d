"""Changed files of a run with --watch: which directories are watched, and whom a change concerns.

What builds and programs write of their own accord is passed over; a library does the watching.
"""

from __future__ import annotations

import os
import threading
from fnmatch import fnmatch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from .project import Project

IGNORED = (
    *(".*", "__pycache__", "node_modules", "venv", "site-packages"),
    *("*.pyc", "*.log", "*.pid", "*.sock", "*.tmp", "*.swp", "*.swx", "*~", "4913"),
    *("*.db", "*.db-journal", "*.db-shm", "*.db-wal", "*.sqlite*"),
)
"""Names of files and directories whose changes restart nothing."""

DEBOUNCE = 300
"""Milliseconds in which changes are gathered; an editor writes a file in several steps."""

ADDED, DELETED = 1, 3
"""The kinds of a change, as the library has them."""

QUIET_FOR = 50
"""Milliseconds without a change after which what was gathered is told."""


def watched(project: Project) -> dict[str, str]:
    """The directory whose files are watched for each daemon; a task is not restarted by a change."""
    return {name: _directory_of(project, name) for name in project.chosen if not project.definitions[name].is_task}


def touched(project: Project, paths: Iterable[str]) -> dict[str, str]:
    """The daemons that a change of these files concerns, each with one of them."""
    found: dict[str, str] = {}
    places = watched(project)
    for path in paths:
        for name, directory in places.items():
            if path.startswith(directory.rstrip("/") + "/"):
                found.setdefault(name, path)
    return found


def lasting(found: Iterable[tuple[int, str]]) -> list[str]:
    """The files of these changes, without those that came and went meanwhile, as where one is written beside."""
    kinds: dict[str, set[int]] = {}
    for kind, path in found:
        kinds.setdefault(path, set()).add(kind)
    return sorted(path for path, seen in kinds.items() if not {ADDED, DELETED} <= seen or os.path.lexists(path))


def is_ignored(path: str, directory: str, patterns: Sequence[str]) -> bool:
    """Whether a part of the path below that directory has a name that is passed over."""
    return any(fnmatch(part, pattern) for part in os.path.relpath(path, directory).split("/") for pattern in patterns)


def _directory_of(project: Project, name: str) -> str:
    """Where its files are: who stays at the root works on those beside the file of the project."""
    directory = os.path.realpath(project.definitions[name].directory)
    return os.path.realpath(project.directory) if directory == "/" else directory


class Watcher:
    """Tells the paths of files that have changed, by threads of its own."""

    def __init__(
        self, ignored: Sequence[str], home: str, changed: Callable[[list[str]], None], tell: Callable[[str, str], None]
    ) -> None:
        self._patterns = (*IGNORED, *ignored)
        self._home = os.path.realpath(home)
        self._changed, self._tell = changed, tell
        self._stop = threading.Event()

    def watch(self, project: Project) -> None:
        """Watch the directories of these daemons, and their file; no others any more."""
        self._stop.set()
        self._stop = threading.Event()
        file = project.path

        def is_wanted(_change: object, path: str) -> bool:
            if path == file:
                return True
            if path.startswith(f"{self._home}/"):
                return False
            places = [one for one in directories if path.startswith(one.rstrip("/") + "/")]
            return any(not is_ignored(path, one, self._patterns) for one in places)

        directories = sorted(set(watched(project).values()))
        self._start(directories, is_wanted, recursive=True)
        if not any(f"{project.directory}/".startswith(one.rstrip("/") + "/") for one in directories):
            self._start([project.directory], lambda _change, path: path == file, recursive=False)

    def _start(self, places: list[str], is_wanted: Callable[[object, str], bool], *, recursive: bool) -> None:
        import watchfiles

        stop = self._stop

        def run() -> None:
            try:
                for found in watchfiles.watch(
                    *places,
                    watch_filter=is_wanted,
                    debounce=DEBOUNCE,
                    step=QUIET_FOR,
                    stop_event=stop,
                    recursive=recursive,
                    raise_interrupt=False,
                ):
                    if paths := lasting(found):
                        self._changed(paths)
            except (OSError, RuntimeError) as error:
                self._tell("", f"cannot watch {', '.join(places)}: {error}")

        if places:
            threading.Thread(target=run, daemon=True).start()
