"""Who is measured: for each supervisor what a person would write to have daemons kept, and the commands to ask it."""

from __future__ import annotations

import os
import shlex
from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from ..workshop import clean_environment
from .tools import of_debian

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from .tools import Tools

NUMEN = "numen"
SUPERVISOR = "supervisor 4.3"
SUPERVISOR_RPC = "supervisor.rpcinterface:make_main_rpcinterface"
IN_C = "posix_spawn loop in C"


class Output(Enum):
    """What becomes of what the daemons write."""

    NOT_KEPT = "not kept"
    KEPT = "kept"
    STAMPED = "stamped"


@dataclass(frozen=True)
class Daemon:
    """What is to be kept."""

    name: str
    argv: tuple[str, ...]


class Rival(ABC):
    """A supervisor whose files all stand in one directory, its place."""

    name: str
    running: str
    """What stands in the answer to `status` for each daemon that runs."""
    outputs: frozenset[Output] = frozenset(Output)
    note: str = ""
    """How it had to be set."""

    def __init__(self, tools: Tools, output: Output = Output.KEPT) -> None:
        self.tools = tools
        self.output = output

    def missing(self) -> str | None:
        """What is to be said if it is not installed."""
        return None

    @abstractmethod
    def define(self, place: Path, daemons: Sequence[Daemon]) -> None:
        """Write the files that name its daemons."""

    @abstractmethod
    def supervise(self, place: Path) -> list[str]:
        """The command that starts it with all daemons."""

    def status(self, place: Path, daemons: Sequence[Daemon]) -> list[str]:
        """The command that tells the state of all daemons."""
        raise NotImplementedError

    def stop(self, place: Path, daemons: Sequence[Daemon]) -> list[str]:
        """The command that stops all daemons."""
        raise NotImplementedError

    def environment(self, place: Path) -> dict[str, str]:  # noqa: ARG002
        """The environment of its commands."""
        return clean_environment()

    @abstractmethod
    def logs(self, place: Path, name: str) -> list[Path]:
        """The log files of a daemon, the oldest first."""

    def python(self, command: str) -> str:
        """A command of the Python rivals."""
        return str(self.tools.rivals / command)


class Numen(Rival):
    """Ours."""

    name = NUMEN
    running = "running"
    outputs = frozenset({Output.KEPT, Output.STAMPED})

    def define(self, place: Path, daemons: Sequence[Daemon]) -> None:
        definitions = place / "daemons.d"
        definitions.mkdir()
        stamped = str(self.output is Output.STAMPED).lower()
        for one in daemons:
            command = ", ".join(f'"{word}"' for word in one.argv)
            (definitions / f"{one.name}.toml").write_text(
                f'command = [{command}]\n\n[log]\ntimestamps = {stamped}\nsize = "4GiB"\n'
            )

    def supervise(self, place: Path) -> list[str]:  # noqa: ARG002
        return [self.tools.numen, "supervisor"]

    def status(self, place: Path, daemons: Sequence[Daemon]) -> list[str]:  # noqa: ARG002
        return [self.tools.numen, "status"]

    def stop(self, place: Path, daemons: Sequence[Daemon]) -> list[str]:  # noqa: ARG002
        return [self.tools.numen, "stop", "*"]

    def environment(self, place: Path) -> dict[str, str]:
        return {**clean_environment(), "NUMEN_HOME": str(place)}

    def logs(self, place: Path, name: str) -> list[Path]:
        return [place / "log" / f"{name}.log"]


class Supervisor(Rival):
    """supervisor, whose control socket is a Unix one."""

    name = SUPERVISOR
    running = "RUNNING"
    outputs = frozenset({Output.NOT_KEPT, Output.KEPT})
    start_seconds = 0
    """It takes a daemon that died sooner for one that could not be started, and waits."""

    def define(self, place: Path, daemons: Sequence[Daemon]) -> None:
        kept = self.output is Output.KEPT
        socket = f"{place}/socket"
        text = [
            f"[unix_http_server]\nfile={socket}",
            f"[supervisord]\nnodaemon=true\nminfds=8192\nlogfile={place}/supervisord.log\npidfile={place}/pid",
            f"[rpcinterface:supervisor]\nsupervisor.rpcinterface_factory={SUPERVISOR_RPC}",
            f"[supervisorctl]\nserverurl=unix://{socket}",
        ]
        for one in daemons:
            log = self.logs(place, one.name)[0] if kept else "NONE"
            text.append(
                f"[program:{one.name}]\ncommand={shlex.join(one.argv)}\nautorestart=true\n"
                f"startsecs={self.start_seconds}\nstartretries=1000000\nredirect_stderr=true\n"
                f"stdout_logfile={log}\nstdout_logfile_maxbytes=0"
            )
        (place / "supervisord.conf").write_text("\n\n".join(text) + "\n")

    def supervise(self, place: Path) -> list[str]:
        return [self.python("supervisord"), "-c", f"{place}/supervisord.conf"]

    def status(self, place: Path, daemons: Sequence[Daemon]) -> list[str]:  # noqa: ARG002
        return [self.python("supervisorctl"), "-c", f"{place}/supervisord.conf", "status"]

    def stop(self, place: Path, daemons: Sequence[Daemon]) -> list[str]:  # noqa: ARG002
        return [self.python("supervisorctl"), "-c", f"{place}/supervisord.conf", "stop", "all"]

    def logs(self, place: Path, name: str) -> list[Path]:
        return [place / f"{name}.log"]


class PatientSupervisor(Supervisor):
    """supervisor with the time that it waits by default until it believes that a daemon is up."""

    name = f"{SUPERVISOR}, startsecs 1"
    start_seconds = 1


class Circus(Rival):
    """circus, which hears of no death: it looks, by default every five seconds."""

    name = "circus 0.19, check_delay 1"
    running = ": active"

    def define(self, place: Path, daemons: Sequence[Daemon]) -> None:
        text = [f"[circus]\ncheck_delay = 1\nendpoint = ipc://{place}/endpoint\npubsub_endpoint = ipc://{place}/pubsub"]
        for one in daemons:
            program, *arguments = one.argv
            lines = [f"[watcher:{one.name}]\ncmd = {program}\nargs = {shlex.join(arguments)}\nmax_retry = -1"]
            if self.output is not Output.NOT_KEPT:
                lines += ["stdout_stream.class = FileStream", f"stdout_stream.filename = {place}/{one.name}.log"]
            if self.output is Output.STAMPED:
                # Two of them: it is the configuration's own sign.
                lines.append("stdout_stream.time_format = %Y-%m-%d %H:%M:%S")
            text.append("\n".join(lines))
        (place / "circus.ini").write_text("\n\n".join(text) + "\n")

    def supervise(self, place: Path) -> list[str]:
        return [self.python("circusd"), "--log-output", f"{place}/circusd.log", f"{place}/circus.ini"]

    def status(self, place: Path, daemons: Sequence[Daemon]) -> list[str]:  # noqa: ARG002
        return [self.python("circusctl"), "--timeout", "60", "--endpoint", f"ipc://{place}/endpoint", "status"]

    def stop(self, place: Path, daemons: Sequence[Daemon]) -> list[str]:  # noqa: ARG002
        # Without --waiting it answers at once; the bench waits for the daemons themselves.
        return [self.python("circusctl"), "--timeout", "60", "--endpoint", f"ipc://{place}/endpoint", "stop"]

    def logs(self, place: Path, name: str) -> list[Path]:
        return [place / f"{name}.log"]


class OfDirectories(Rival):
    """The family of daemontools: a directory for each daemon with a script `run`, and a process that keeps it."""

    command: str
    """What looks after the directories."""
    logger: str
    package: str
    with_shell = True
    """Whether `run` is the shell script that a person writes; else the program stands behind #!."""

    def __init__(self, tools: Tools, output: Output = Output.KEPT, *, with_shell: bool = True) -> None:
        super().__init__(tools, output)
        self.with_shell = with_shell
        if output is not Output.NOT_KEPT:
            self.name = f"{self.name}, {self.logger.split()[0]}"
        if not with_shell:
            self.name = f"{self.name}, no shell"

    def missing(self) -> str | None:
        if of_debian(self.command):
            return None
        return f"{self.name} is not installed (RUNLEVEL=1 apt-get install {self.package})"

    def define(self, place: Path, daemons: Sequence[Daemon]) -> None:
        for one in daemons:
            home = self.services(place) / one.name
            home.mkdir(parents=True)
            run = f"#!{' '.join(one.argv)}" if not self.with_shell else f"#!/bin/sh\nexec {shlex.join(one.argv)}"
            self.script(home / "run", run)
            if self.output is not Output.NOT_KEPT:
                (home / "log" / "main").mkdir(parents=True)
                self.script(home / "log" / "run", f"#!/bin/sh\nexec {self.logger_command(home / 'log' / 'main')}")
        # runsvdir waits a second for a directory that was changed in the current one.
        os.utime(self.services(place), (0, 0))

    def script(self, path: Path, text: str) -> None:
        """Write a program."""
        path.write_text(f"{text}\n")
        path.chmod(0o755)

    def services(self, place: Path) -> Path:
        """The directory of the directories."""
        return place / "services"

    def directories(self, place: Path, daemons: Iterable[Daemon]) -> list[str]:
        """Each daemon's directory."""
        return [f"{self.services(place)}/{one.name}" for one in daemons]

    @abstractmethod
    def logger_command(self, main: Path) -> str:
        """The command that writes a log into a directory."""

    def logs(self, place: Path, name: str) -> list[Path]:
        main = self.services(place) / name / "log" / "main"
        return [*sorted(main.glob("@*.[su]")), *main.glob("current")]


class S6(OfDirectories):
    """s6, told to look at its directories when it starts and then no more, as it does by default."""

    name = "s6"
    running = "up (pid"
    command = "s6-svscan"
    logger = "s6-log"
    package = "s6"

    def logger_command(self, main: Path) -> str:
        stamp = "t " if self.output is Output.STAMPED else ""
        return f"s6-log {stamp}n100 s268435455 {main}"

    def supervise(self, place: Path) -> list[str]:
        return ["s6-svscan", "-c", "2100", str(self.services(place))]

    def status(self, place: Path, daemons: Sequence[Daemon]) -> list[str]:
        # s6-svstat tells of one directory only.
        told = " ".join(self.directories(place, daemons))
        self.script(place / "status", f'#!/bin/sh\nfor one in {told}; do s6-svstat "$one"; done')
        return [f"{place}/status"]

    def stop(self, place: Path, daemons: Sequence[Daemon]) -> list[str]:  # noqa: ARG002
        # s6-svc too: this is the one call that stops all, and ends s6-svscan.
        return ["s6-svscanctl", "-t", str(self.services(place))]


class Runit(OfDirectories):
    """runit, started as Debian does it."""

    name = "runit"
    running = "run: "
    command = "runsvdir"
    logger = "svlogd"
    package = "runit"

    def logger_command(self, main: Path) -> str:
        (main / "config").write_text("s268435455\nn100\n")
        stamp = "-tt " if self.output is Output.STAMPED else ""
        return f"svlogd {stamp}{main}"

    def supervise(self, place: Path) -> list[str]:
        return ["runsvdir", "-P", str(self.services(place))]

    def status(self, place: Path, daemons: Sequence[Daemon]) -> list[str]:
        return ["sv", "status", *self.directories(place, daemons)]

    def stop(self, place: Path, daemons: Sequence[Daemon]) -> list[str]:
        # `sv stop` looks whether they have ended, 0.4 s after it asked; the bench sees it sooner.
        return ["sv", "down", *self.directories(place, daemons)]


class Daemontools(OfDirectories):
    """daemontools, the first of them."""

    name = "daemontools"
    running = ": up (pid"
    command = "svscan"
    logger = "multilog"
    package = "daemontools"

    def logger_command(self, main: Path) -> str:
        stamp = "t " if self.output is Output.STAMPED else ""
        return f"multilog {stamp}n100 s16777215 {main}"

    def supervise(self, place: Path) -> list[str]:
        return ["svscan", str(self.services(place))]

    def status(self, place: Path, daemons: Sequence[Daemon]) -> list[str]:
        return ["svstat", *self.directories(place, daemons)]

    def stop(self, place: Path, daemons: Sequence[Daemon]) -> list[str]:
        return ["svc", "-d", *self.directories(place, daemons)]


class InC(Rival):
    """No supervisor: a C program that starts the daemons as fast as can be, and waits."""

    name = IN_C
    running = ""
    outputs = frozenset({Output.NOT_KEPT})

    def define(self, place: Path, daemons: Sequence[Daemon]) -> None:
        program, argument = daemons[0].argv
        fifo = argument.partition(":")[0]
        (place / "argv").write_text("\n".join((str(self.tools.spawn_loop), fifo, str(len(daemons)), program)))

    def supervise(self, place: Path) -> list[str]:
        return (place / "argv").read_text().split("\n")

    def logs(self, place: Path, name: str) -> list[Path]:  # noqa: ARG002
        return []
