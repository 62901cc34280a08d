"""This Python process as the daemon: what a running program needs beside the steps that any daemon takes."""

from __future__ import annotations

import atexit
import os
import sys

from . import evidence, objects, recipe, signals, surroundings
from .pidfile import Pidfile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .recipe import Prepared


def become(
    prepared: Prepared,
    owners: list[objects.Owner],
    *,
    keep: Iterable[int],
    reload: Callable[[], object] | None,
    in_foreground: bool,
    let_go: Callable[[set[int], list[objects.Owner]], None] = objects.close_objects,
) -> signals.Ending:
    """Take every step but the forks, in this process. Raises DaemonError at the first that fails.

    `owners` is what objects.find_owners() found before the fork; `let_go` closes those whose descriptors are not
    kept, and is objects.disarm_objects where the process that forked goes on.
    """
    if not in_foreground:
        for name in surroundings.OUTDATED_VARIABLES:
            if name in os.environ:
                del os.environ[name]
    kept = {*keep, *objects.logging_descriptors(), *evidence.listen_descriptors()}
    kept |= {pidfile.descriptor for pidfile in prepared.pidfiles}
    if prepared.recipe.clear_environment:
        # Imported before the steps: in a new root directory Python's files may be out of reach.
        from .surroundings import DEFAULT_PATH

        os.environ.clear()
        os.environ["PATH"] = DEFAULT_PATH
    recipe.follow(
        prepared,
        keep=tuple(kept),
        write_pidfiles=lambda: prepared.write_pidfiles(os.getpid(), prepared.command),
        before_closing=lambda kept: let_go(kept, owners),
    )
    if prepared.account is not None:
        os.environ.update(prepared.account.environment())
    os.environ.update(prepared.recipe.environment)
    replace_missing_streams()
    _keep_from_children(prepared.pidfiles)
    ending = signals.Ending(reload, before_sudden_end=prepared.remove_pidfiles)
    ending.install()
    return ending


def program_name() -> str:
    """The name of this program, for its messages and its log."""
    script = os.path.basename(sys.argv[0] if sys.argv else "").removesuffix(".py")
    return script if script not in ("", "-c", "-m") else "python"


def replace_missing_streams() -> None:
    """Give Python the standard streams that it did not find when it was started without them."""
    for name, number, mode in (("stdin", 0, "r"), ("stdout", 1, "w"), ("stderr", 2, "w")):
        if getattr(sys, name) is None:
            # Line by line, as Python itself writes to stderr: a daemon's words must not wait in a buffer.
            stream = open(number, mode, buffering=1, closefd=False, errors="backslashreplace")  # noqa: SIM115
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)


_held: list[Pidfile] = []
"""The pidfiles of the daemon that this process is."""

_is_daemon = False
"""Whether this process is one."""


def _keep_from_children(pidfiles: list[Pidfile]) -> None:
    """Leave the locks, and what is to be done at the end, to the daemon alone: no forked child of it is one."""
    global _is_daemon
    if not _is_daemon:
        os.register_at_fork(after_in_child=_be_a_mere_child)
    _is_daemon = True
    _held.extend(pidfiles)


def _be_a_mere_child() -> None:
    global _is_daemon
    if _is_daemon:
        _is_daemon = False
        atexit._clear()
    for pidfile in _held:
        pidfile.release()
    _held.clear()


def exit_of(ending: SystemExit) -> tuple[int, str]:
    """The exit status, and the text for stderr, with which the interpreter ends at this exception."""
    if ending.code is None or isinstance(ending.code, int):
        return (ending.code or 0) & 0xFF, ""
    return 1, f"{ending.code}\n"


def flush_and_exit(status: int) -> None:
    """End this process at once, after what was printed is out; nothing of the caller's program runs any more."""
    from .detach import flush_standard_streams

    flush_standard_streams()
    os._exit(status)
