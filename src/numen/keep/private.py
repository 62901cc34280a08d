"""A house that belongs to one program: in a directory of its own, and ended in order when that program has ended.

The program makes the directory, names itself by `own`, and then opens the house. The supervisor, and each that comes
after it, finds its owner in the environment and watches it. Who is there last removes the directory.
"""

from __future__ import annotations

import os
from contextlib import suppress

from ..errors import Unusable, from_os_error
from ..kernel.files import untrusted_part
from ..kernel.process import Process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

OWNER = "NUMEN_OWNER"
"""The variable that names the owner: its pid, its start time, and what becomes of the directory."""

TEMPORARY, KEPT = "temporary", "kept"

MARK = ".numen-up"
"""The file by which a directory is known to be one that is kept."""

PREFIX = "numen-up-"

LEFT_FROM_BEFORE = ("daemons.d", "run", "lib")
"""What a directory that is kept must not hand down to the next house; its logs stay."""


def make_home() -> str:
    """A new directory, closed to others. Raises Unusable where no place will do, as on a read-only file system."""
    import tempfile  # with all that it imports, more than a supervisor needs

    for place in _places():
        try:
            home = tempfile.mkdtemp(prefix=PREFIX, dir=place)
        except OSError:
            continue
        try:
            # Where others could exchange it, its definitions would not be trusted.
            if untrusted_part(os.path.join(home, "definition")):
                raise OSError  # noqa: TRY301 - as where no FIFO can be made
            os.mkfifo(probe := os.path.join(home, "fifo"))
            os.unlink(probe)
        except OSError:
            os.rmdir(home)
            continue
        return home
    tried = ", ".join(_places())
    raise Unusable(f"cannot make a directory of its own in {tried}: set TMPDIR to one that you alone can write")


def check_home(path: str) -> None:
    """Make a directory that is to be kept, or see that it is one. Raises Unusable for one that holds other things."""
    mark = os.path.join(path, MARK)
    try:
        os.makedirs(path, mode=0o700, exist_ok=True)
        if os.listdir(path) and not os.path.exists(mark):
            raise Unusable(f"cannot use {path}: it holds other things; name a directory that is new, or empty")
        os.close(os.open(mark, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise from_os_error(error, f"use the directory {path}") from error


def clear_home(path: str) -> None:
    """Make a directory that is kept fit for a new house: what an earlier one has left is removed, but for its logs."""
    import shutil

    for name in LEFT_FROM_BEFORE:
        shutil.rmtree(os.path.join(path, name), ignore_errors=True)
    # In the definitions stands the environment of who starts it.
    os.mkdir(os.path.join(path, LEFT_FROM_BEFORE[0]), 0o700)


def own(*, temporary: bool) -> None:
    """Let the house that this process opens next be its own."""
    me = Process(os.getpid())
    os.environ[OWNER] = f"{me.pid} {me.start_time} {TEMPORARY if temporary else KEPT}"


def owner() -> Process | None:
    """Whose this house is; `None` where it is nobody's in particular."""
    words = os.environ.get(OWNER, "").split()
    return Process(int(words[0]), int(words[1])) if len(words) == 3 else None


def remove_home(home: str) -> None:
    """Remove a temporary one, with all that is in it; whatever can no longer be removed is left."""
    import shutil

    # Twice, because a log may be made in it while it is gone through.
    for _ in range(2):
        shutil.rmtree(home, ignore_errors=True)


def remove_where_left() -> None:
    """Remove the directory of this house, if it is a temporary one and its owner has ended."""
    whose = owner()
    home = os.environ.get("NUMEN_HOME", "")
    if whose is not None and home and os.environ[OWNER].endswith(TEMPORARY) and not whose.is_alive():
        remove_home(home)


def _places() -> Iterator[str]:
    """Where it may be, the best first."""
    if named := os.environ.get("TMPDIR"):
        yield named
    yield from ("/tmp", "/var/tmp", "/run", "/dev/shm")  # noqa: S108 - made by mkdtemp(3), closed to others
    with suppress(OSError):
        yield os.getcwd()
