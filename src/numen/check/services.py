"""Who keeps a process, and what starts it with the machine: told by evidence, from cgroups, scripts and tables."""

from __future__ import annotations

import os
from functools import cached_property

from .facts import Service

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ..kernel.proc import Stat
    from .facts import File

KEEPERS = {
    "systemd": "systemd",
    "init": "init",
    "supervisord": "supervisor",
    "circusd": "circus",
    "runsv": "runit",
    "s6-supervise": "s6",
    "supervise": "daemontools",
    "dinit": "dinit",
    "nitro": "nitro",
    "monit": "monit",
    "openrc-init": "OpenRC",
    "supervise-daemo": "OpenRC",
    "process-compose": "process-compose",
    "tini": "container",
    "docker-init": "container",
    "dumb-init": "container",
    "catatonit": "container",
    "conmon": "container",
    "containerd-shim": "container",
}
"""The programs that keep others, by the names that the kernel shows (15 characters at most)."""

UNIT_PLACES = ("etc/systemd/system", "run/systemd/system", "usr/local/lib/systemd/system", "lib/systemd/system")
USER_UNIT_PLACES = ("etc/systemd/user", "usr/lib/systemd/user")

INTERPRETERS = ("python", "perl", "ruby", "node", "nodejs", "php", "sh", "bash", "dash", "zsh", "ksh", "lua", "java")


class Services:
    """The units, scripts and tables of the machine that start programs at boot."""

    def __init__(self, root: str = "/") -> None:
        self._root = root

    def keeper(
        self, groups: str, parent: Stat | None, variables: frozenset[str] | None, namespaced_pid: int
    ) -> Service:
        """Who keeps a process, by its control groups (the text of /proc/PID/cgroup), its parent and its environment."""
        unit = unit_of(groups)
        if unit:
            kind = "systemd --user" if "/user@" in groups else "systemd"
            return Service(kind=kind, name=unit, at_boot=self.is_enabled(unit), evidence=f"it is in unit {unit}")
        if variables is not None and "NUMEN_INVOCATION" in variables:
            return Service(kind="numen", name="numen", evidence="it carries NUMEN_INVOCATION")
        kind = KEEPERS.get(parent.comm, "") if parent else ""
        # The first process adopts every orphan: to be its child proves nothing, unless it is a container's init.
        if parent is not None and kind and kind != "init" and (parent.pid != 1 or kind == "container"):
            evidence = f"its parent is pid {parent.pid} ({parent.comm})"
            return Service(kind=kind, name=parent.comm, evidence=evidence)
        if namespaced_pid == 1:
            return Service(kind="container", name="", evidence="it is the first process of its pid namespace")
        return Service(kind="")

    def boot(self, keeper: Service, program: File | None, script: File | None, pidfiles: tuple[str, ...]) -> Service:
        """What starts the program with the machine; of kind "" where nothing does that could be found."""
        if keeper.kind:
            return keeper
        # An interpreter is started by many for many: what it runs counts.
        paths = [one.path for one in (script if script else program,) if one is not None]
        for path in [*paths, *pidfiles]:
            if found := self._starters.get(path):
                return found
        return Service(kind="")

    def is_enabled(self, unit: str) -> bool | None:
        """Whether a unit is wanted at boot; `None` for one that has no file, as a transient one."""
        names = {unit, _template(unit)}
        if names & self._wanted or unit.removesuffix(".service") + ".socket" in self._wanted:
            return True
        file = next((path for name in names for path in self._unit_files(name)), None)
        if file is None:
            return None
        # A unit without [Install] is started by another: as a dependency, by a socket, by the bus.
        return None if "[Install]" not in _text(file) else False

    @cached_property
    def _wanted(self) -> frozenset[str]:
        """The units that another one wants or requires, as `systemctl enable` links them."""
        found: set[str] = set()
        for place in (*UNIT_PLACES, *USER_UNIT_PLACES, *self._homes):
            directory = os.path.join(self._root, place)
            for name in _names(directory):
                if name.endswith((".wants", ".requires")):
                    found.update(_names(os.path.join(directory, name)))
        return frozenset(found)

    @cached_property
    def _homes(self) -> tuple[str, ...]:
        """Where the units of this user stand."""
        home = os.environ.get("XDG_CONFIG_HOME") or os.path.join(os.path.expanduser("~"), ".config")
        return (os.path.join(home, "systemd", "user"),)

    def _unit_files(self, name: str) -> Iterator[str]:
        for place in (*UNIT_PLACES, *USER_UNIT_PLACES, *self._homes):
            path = os.path.join(self._root, place, name)
            if os.path.exists(path):
                yield path

    @cached_property
    def _starters(self) -> Mapping[str, Service]:
        """What starts a program, by each path that it names; what comes first here counts."""
        found: dict[str, Service] = {}
        for path, service in (*self._cron_lines(), *self._scripts(), *self._units()):
            if path not in found or (service.at_boot and not found[path].at_boot):
                found[path] = service
        return found

    def _units(self) -> Iterator[tuple[str, Service]]:
        for place in (*UNIT_PLACES, *USER_UNIT_PLACES, *self._homes):
            directory = os.path.join(self._root, place)
            for name in _names(directory):
                if not name.endswith(".service"):
                    continue
                lines = _text(os.path.join(directory, name)).splitlines()
                for line in lines:
                    if line.startswith(("ExecStart=", "PIDFile=")):
                        for path in _paths(line.partition("=")[2]):
                            yield path, self._unit(name, directory)

    def _unit(self, name: str, directory: str) -> Service:
        enabled = self.is_enabled(name)
        evidence = f"unit {name} in {directory} starts it, though this process was not started by it"
        return Service(kind="systemd", name=name, at_boot=enabled, evidence=evidence)

    def _scripts(self) -> Iterator[tuple[str, Service]]:
        directory = os.path.join(self._root, "etc/init.d")
        enabled = {
            name[3:]
            for level in "2345"
            for name in _names(os.path.join(self._root, f"etc/rc{level}.d"))
            if name.startswith("S")
        }
        for name in _names(directory):
            script = os.path.join(directory, name)
            service = Service(
                kind="init script", name=script, at_boot=name in enabled, evidence=f"{script} starts and stops it"
            )
            for path in _paths(_text(script)):
                yield path, service

    def _cron_lines(self) -> Iterator[tuple[str, Service]]:
        tables = [os.path.join(self._root, "etc/crontab")]
        for place in ("etc/cron.d", "var/spool/cron/crontabs", "var/spool/cron"):
            directory = os.path.join(self._root, place)
            tables += [os.path.join(directory, name) for name in _names(directory)]
        for table in tables:
            for line in _text(table).splitlines():
                if line.lstrip().startswith("@reboot"):
                    for path in _paths(line):
                        yield path, Service(kind="cron", name=table, at_boot=True, evidence=f"@reboot in {table}")


def unit_of(groups: str) -> str:
    """The systemd service in the text of /proc/PID/cgroup; empty where there is none."""
    for line in groups.splitlines():
        hierarchy, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers in ("", "name=systemd") and hierarchy.isdigit():
            for name in reversed(path.split("/")):
                # The user manager is a service, and what it started is below one of its own.
                if name.endswith(".service") and not name.startswith("user@"):
                    return name
    return ""


def _template(unit: str) -> str:
    """`getty@.service` for `getty@tty1.service`."""
    name, separator, _ = unit.partition("@")
    return f"{name}@.service" if separator else unit


def _names(directory: str) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except OSError:
        return []


def _text(path: str) -> str:
    try:
        # Without waiting, should somebody have put a FIFO there.
        with open(path, encoding="utf-8", errors="replace", opener=_open_at_once) as file:
            return file.read(LONGEST_TEXT)
    except OSError:
        return ""


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


LONGEST_TEXT = 1 << 20
"""Characters of a script, unit or table that are read."""


def _paths(text: str) -> set[str]:
    """The absolute paths in a text of a shell or a unit, comments left out; those of interpreters are nobody's own."""
    found = set()
    for line in text.splitlines():
        if line.lstrip().startswith("#"):
            continue
        for word in line.replace('"', " ").replace("'", " ").replace("=", " ").replace(";", " ").split():
            path = word.lstrip("-+!:@|")
            if path.startswith("/") and not is_interpreter(path):
                found.add(path)
    return found


def is_interpreter(path: str) -> bool:
    """Whether a program runs what others wrote: `/usr/bin/python3.11`, `/bin/sh`."""
    return os.path.basename(path).rstrip("0123456789.-") in INTERPRETERS
