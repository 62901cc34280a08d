"""Who is measured: every way to start a daemon, with the command line that a person would write."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .workshop import PROGRAMS, RIVALS

if TYPE_CHECKING:
    from .stage import Stage
    from .workshop import Workshop

IN_C = "double fork in C"
DETACH = "numen detach"
CONTEXT = "numen.DaemonContext"
READY = "numen.DaemonContext, ready()"
BARE = "double fork in Python"
PASS = "python -c pass"
PYTHON_RIVALS = tuple(rival.replace("==", " ") for rival in RIVALS)

ESSENTIAL = (IN_C, DETACH, CONTEXT, READY, BARE, PASS)
"""Without these there is nothing to be said."""


@dataclass(frozen=True)
class Launcher:
    """One way to start a daemon."""

    name: str
    argv: tuple[str, ...] = ()
    fails: tuple[str, ...] = ()
    """The same with a daemon that dies before it could say that it is ready."""
    cannot_execute: tuple[str, ...] = ()
    """The same with a program that the kernel will not execute; empty where none is executed."""
    starts_daemon: bool = True

    @property
    def is_timed(self) -> bool:
        """Whether it takes part in the rounds."""
        return bool(self.argv)


def all_launchers(workshop: Workshop, stage: Stage) -> tuple[list[Launcher], list[str]]:
    """Every launcher that is there, and what is to be said of those that are not."""
    debian, missing = _of_debian(workshop, stage)
    launchers = [
        _of_program(IN_C, (str(workshop.double_fork),), workshop, stage),
        *_of_numen(workshop, stage),
        *_of_python(workshop, stage),
        *debian,
        Launcher(PASS, (str(workshop.python), "-c", "pass"), starts_daemon=False),
    ]
    return launchers, missing


def _of_numen(workshop: Workshop, stage: Stage) -> list[Launcher]:
    detach = (workshop.command("numen"), "detach")
    when_told = _of_program(f"{DETACH} --ready notify", (*detach, "--ready", "notify", "--"), workshop, stage)
    fifo = str(stage.fifo)
    scripts = [
        Launcher(
            name,
            _script(workshop, "with_numen.py", fifo, ready),
            fails=_script(workshop, "with_numen.py", fifo, ready, "fails"),
        )
        for name, ready in ((CONTEXT, "open"), (READY, "call"))
    ]
    return [
        _of_program(DETACH, (*detach, "--"), workshop, stage),
        # The daemon of the bench does not notify: this one is only asked about failures.
        Launcher(when_told.name, fails=when_told.fails, cannot_execute=when_told.cannot_execute),
        *scripts,
    ]


def _of_python(workshop: Workshop, stage: Stage) -> list[Launcher]:
    fifo, pidfile = str(stage.fifo), str(stage.pidfile)
    scripts = {BARE: "with_nothing.py"}
    scripts |= {rival: f"with_{rival.split()[0].replace('-', '_')}.py" for rival in PYTHON_RIVALS}
    return [
        Launcher(
            name,
            _script(workshop, script, fifo, pidfile),
            fails=_script(workshop, script, fifo, pidfile, "fails"),
        )
        for name, script in scripts.items()
    ]


def _of_debian(workshop: Workshop, stage: Stage) -> tuple[list[Launcher], list[str]]:
    start_stop_daemon = ("--start", "--background", "--pidfile", str(stage.pidfile), "--startas")
    launchers, missing = [], []
    for name, command, package, options in (
        ("start-stop-daemon", "start-stop-daemon", "dpkg", start_stop_daemon),
        # As root it would refuse a program that stands where others may write, such as in a checkout below /tmp.
        ("daemon (libslack)", "daemon", "daemon", ("--unsafe", "--")),
        ("daemonize (bmc)", "daemonize", "daemonize", ()),
    ):
        if found := shutil.which(command, path="/usr/sbin:/sbin:/usr/bin:/bin:/usr/local/sbin:/usr/local/bin"):
            launchers.append(_of_program(name, (found, *options), workshop, stage))
        else:
            missing.append(f"{name} is not installed (apt-get install {package})")
    return launchers, missing


def _of_program(name: str, prefix: tuple[str, ...], workshop: Workshop, stage: Stage) -> Launcher:
    """A launcher that executes another program."""
    # start-stop-daemon wants two dashes before the program's own arguments.
    dashes = ("--",) if "--startas" in prefix else ()
    daemon = (*prefix, str(workshop.daemon), *dashes, str(stage.fifo))
    return Launcher(name, daemon, fails=(*daemon, "fails"), cannot_execute=(*prefix, str(stage.no_program)))


def _script(workshop: Workshop, script: str, *arguments: str) -> tuple[str, ...]:
    """A Python program that becomes a daemon itself."""
    return (str(workshop.python), str(PROGRAMS / script), *arguments)
