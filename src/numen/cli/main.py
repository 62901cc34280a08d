"""The `numen` command: finds the subcommand, lets it run, and says what went wrong.

Only what the subcommand needs is imported: a person waits for every command.
"""

from __future__ import annotations

import os
import sys

from ..errors import DaemonError, Interrupted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import NoReturn, TextIO

COMMANDS = {
    "detach": "run any program as a daemon; ask for it, signal it, stop it",
    "audit": "say whether a running process is a proper daemon, step by step",
    "start": "keep any program running as a daemon; start one that is defined",
    "status": "say how daemons stand, and why they do not run",
    "describe": "say everything about one daemon",
    "logs": "show what daemons write",
    "stop": "end daemons, each with its whole family",
    "restart": "end daemons and start them again",
    "run": "run a task now, wait for its end, and hand on its exit status",
    "reload": "let daemons read their configuration again",
    "signal": "send a signal to daemons",
    "remove": "end daemons, and keep them no longer",
    "enable": "let daemons be brought back when the supervisor starts",
    "disable": "let daemons not be brought back when the supervisor starts",
    "wait": "wait until daemons are running, or stopped",
    "events": "say what has happened to daemons",
    "supervisor": "start the supervisor, and what ran when it ended",
    "shutdown": "end the supervisor, with the daemons or without",
    "init": "write a numen.toml to begin with",
    "check": "tell every mistake in definitions, with its place",
    "up": "run the daemons of a file in the foreground",
    "apply": "let a file's daemons be as it has them; touch nothing else",
    "scale": "have more or fewer instances of a daemon",
    "edit": "edit a daemon's definition, and let it take hold",
    "down": "end all daemons of a file, and keep them no longer",
    "completion": "print what lets a shell complete the words of numen",
}
"""Each is the module of that name in this package, with a function run(arguments)."""

OTHER_WORDS = {
    "list": "status",
    "ls": "status",
    "ps": "status",
    "kill": "signal",
    "delete": "remove",
    "rm": "remove",
}
"""What is called otherwise elsewhere."""

USAGE = """usage: numen COMMAND [ARGUMENTS...]
       numen COMMAND --help

numen makes Linux daemons, and keeps them running.

commands:
"""

BAD_OPTION = 2
INTERRUPTED = 128
"""To this the number of the signal is added, as shells do."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit status."""
    argv = list(sys.argv[1:] if arguments is None else arguments)
    if argv[:1] in (["--version"], ["-V"]):
        from .. import __version__

        say(f"numen {__version__}")
        return 0
    if argv[:1] == ["help"] and argv[1:2] and argv[1] in COMMANDS:
        argv = [argv[1], "--help"]
    if argv[:1] in (["--help"], ["-h"], ["help"]):
        say(_usage())
        return 0
    if not argv or argv[0] not in COMMANDS:
        complain(_no_command(argv[0]) if argv else _usage())
        return BAD_OPTION
    return _run(argv[0], argv[1:])


def command() -> NoReturn:
    """The installed command: run, and end at once; the interpreter's own tidying would take 1 ms more."""
    status = 1
    try:
        status = main()
    except SystemExit as ending:  # argparse, after help or a complaint
        status = ending.code if isinstance(ending.code, int) else 1
    except BaseException:  # noqa: BLE001 - shown as the interpreter would
        sys.excepthook(*sys.exc_info())
    finally:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                with_room(stream.flush)
        os._exit(status)


def _usage() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {what}" for name, what in COMMANDS.items()]
    return USAGE + "\n".join(lines)


def _no_command(word: str) -> str:
    from .words import did_you_mean

    meant = f"; did you mean {OTHER_WORDS[word]}?" if word in OTHER_WORDS else did_you_mean(word, COMMANDS)
    return f"numen: {word!r} is no command{meant}\nnumen --help lists them"


def _run(command: str, arguments: list[str]) -> int:
    module = __import__(f"{__package__}.{command}", fromlist=["run"])
    try:
        status: int = module.run(arguments)
    except DaemonError as error:
        complain(f"numen {command}: {error}")
        for line in getattr(error, "last_lines", ()):
            complain(f"  | {line}")
        return error.exit_status
    except Interrupted as error:
        complain(f"numen {command}: {error}; nothing was left running")
        return INTERRUPTED + error.number
    except KeyboardInterrupt:
        return INTERRUPTED + 2  # SIGINT
    return status


def say(text: str) -> None:
    """Print to stdout, which may be closed or full."""
    _print(text, sys.stdout)


def complain(text: str) -> None:
    """Print to stderr, which may be closed or full."""
    _print(text, sys.stderr)


def _print(text: str, stream: TextIO | None) -> None:
    # None is a stream that was closed from the start; print() would take stdout for it.
    if stream is not None:
        # A name that is no text in this locale is shown with escapes, not left out.
        shown = text.encode(stream.encoding, "backslashreplace").decode(stream.encoding)
        with_room(lambda: print(shown, file=stream, flush=True))


def with_room(write: Callable[[], object]) -> None:
    """Write what a person is to read; a stream that nobody reads, or that is full, is no reason to fail."""
    try:
        write()
    except (OSError, ValueError):
        return
