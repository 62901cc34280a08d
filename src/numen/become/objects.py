"""What Python holds open: the objects behind descriptors that are to be closed, and the handlers that log.

Closing a number under a living object plants a mine: collected later, the object closes that number again, and
by then it may be a database's. So before descriptors are closed as numbers, the objects that own them are
closed as objects.
"""

from __future__ import annotations

import gc
import os
import stat
import sys

from . import descriptors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any


def find_owners() -> list[Owner]:
    """The objects that own a descriptor other than 0, 1 and 2; none where only those three are open.

    It is to be called before the fork: to look at every object is to write to its page, which a child would
    have to copy first.
    """
    foreign = [number for number in descriptors.open_descriptors() or () if number > 2]
    if not foreign:
        return []
    tracked = gc.get_objects()
    owners = _owners(tracked)
    return owners + _owners(_untracked(tracked)) if any(map(_may_be_untracked, foreign)) else owners


def _may_be_untracked(number: int) -> bool:
    """Whether it is of a kind whose owner the collector may not know: a socket, an epoll, a directory."""
    try:
        mode, target = os.fstat(number).st_mode, os.readlink(f"/proc/self/fd/{number}")
    except OSError:
        return False
    return stat.S_ISSOCK(mode) or stat.S_ISDIR(mode) or target == "anon_inode:[eventpoll]"


def close_objects(keep: set[int], owners: list[Owner] | None = None) -> None:
    """Close each file, socket, epoll, directory and connection object whose descriptor is not to be kept.

    `owners` is what find_owners() found before the fork. Temporary files are removed by that, in the daemon; the
    launcher leaves without touching them. A number that has to stay taken is added to `keep`.
    """
    if owners is None:
        owners = find_owners()
    doomed = {number for number in descriptors.open_descriptors() or () if number > 2} - keep
    if doomed:
        _close(owners, doomed)
        # A mapping closes its number when it goes, and cannot be closed while somebody looks into it: the number
        # stays taken for good.
        mapped = _mapped(doomed)
        _lead_nowhere(mapped)
        keep |= mapped


def disarm_objects(keep: set[int], owners: list[Owner]) -> None:
    """Close the same objects without a trace, for a fork whose parent goes on using its own copies of them.

    What they still hold in a buffer is written nowhere, and no temporary file is removed: both are the parent's to do.
    """
    for owner in owners:
        if (closer := getattr(owner, "_closer", None)) is not None and hasattr(closer, "delete"):
            # Of those that are kept, too: the parent's file must outlive this process.
            closer.delete = False
    doomed = {number for number in descriptors.open_descriptors() or () if number > 2} - keep
    if doomed:
        # Looked for now, while the numbers still lead to the files.
        keep |= _mapped(doomed)
        # Each number stays its owner's till that closes it, and what is written at the close goes nowhere.
        _lead_nowhere(doomed)
        _close(owners, doomed)


def _close(owners: list[Owner], doomed: set[int]) -> None:
    for owner in owners:
        try:
            # An event loop, or what reads a directory, does not tell its number, and cannot be kept.
            if not hasattr(owner, "fileno") or owner.fileno() in doomed:
                owner.close()
        except Exception:  # noqa: BLE001, S112 - whatever it is, the number is closed in any case
            continue


def _untracked(tracked: list[Any]) -> list[Any]:
    """The objects that the collector does not track, found by what refers to them.

    A raw socket, an epoll object, what reads a directory are such objects, and so is a tuple or a dict that
    holds nothing else.
    """
    frames = []
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        frames.append(frame)
        frame = frame.f_back
    found: dict[int, Any] = {}
    unseen = gc.get_referents(*tracked, *frames)
    while unseen:
        fresh = {id(one): one for one in unseen if not gc.is_tracked(one) and id(one) not in found}
        found |= fresh
        unseen = gc.get_referents(*(one for one in fresh.values() if isinstance(one, (tuple, dict))))
    return list(found.values())


def _owners(everything: list[Any]) -> list[Owner]:
    """Those that own a descriptor, in the order in which they are to be closed."""
    import io

    kinds: list[type] = [io.TextIOWrapper, io.BufferedIOBase, io.RawIOBase]
    # A module that was never imported has made no object.
    for module, names in (
        ("asyncio.base_events", ("BaseEventLoop",)),
        ("tempfile", ("_TemporaryFileWrapper", "SpooledTemporaryFile")),
        ("_socket", ("socket",)),
        ("select", ("epoll",)),
        ("multiprocessing.connection", ("_ConnectionBase",)),
    ):
        loaded = sys.modules.get(module)
        kinds += [getattr(loaded, name) for name in names if hasattr(loaded, name)]
    # A program has thousands of objects and few types: each type is looked at once.
    types = set(map(type, everything))
    owning = {kind for kind in types if issubclass(kind, tuple(kinds)) or kind.__name__ == "ScandirIterator"}
    standard = {id(stream) for stream in (sys.stdin, sys.stdout, sys.stderr) if stream is not None}
    owners: list[Any] = [one for one in everything if type(one) in owning and id(one) not in standard]

    def rank(one: Any) -> int:
        # What wraps another object comes before it, so that what it holds is written, and more is tidied up
        # than the descriptor. A compressed file is a buffer that is not one of the interpreter's own.
        if not hasattr(one, "fileno") or "Temporary" in type(one).__name__:
            return 0
        if isinstance(one, io.BufferedIOBase):
            return 3 if type(one).__module__ == "_io" else 2
        return 1 if isinstance(one, io.TextIOWrapper) else 4

    return sorted(owners, key=rank)


def _mapped(doomed: set[int]) -> set[int]:
    """The numbers that a memory mapping owns: it does not tell its number, but the mapped files do (proc(5))."""
    if "mmap" not in sys.modules:
        return set()
    mapped = _mapped_files()
    found = set()
    for number in doomed:
        try:
            target = os.readlink(f"/proc/self/fd/{number}")
        except OSError:
            continue
        if target in mapped:
            found.add(number)
    return found


def _lead_nowhere(numbers: set[int]) -> None:
    """Put /dev/null onto each of the numbers."""
    if not numbers:
        return
    try:
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        # A new root directory may have none; nothing comes out of a pipe that nobody reads either.
        reader, null = os.pipe()
        os.close(reader)
    for number in numbers:
        os.dup2(null, number, inheritable=False)
    os.close(null)


def _mapped_files() -> set[str]:
    from ..kernel import proc

    lines = (proc.read("/proc/self/maps") or b"").split(b"\n")
    fields = [line.split(maxsplit=5) for line in lines]
    return {os.fsdecode(one[5].replace(b"\\012", b"\n")) for one in fields if len(one) > 5}


def logging_descriptors() -> set[int]:
    """The descriptors of the handlers that log now: the daemon goes on logging where the program did."""
    logging = sys.modules.get("logging")
    if logging is None:
        return set()
    found = set()
    for reference in list(logging._handlerList):
        handler = reference()
        if hasattr(handler, "descriptors"):  # numen's own, which has a file to fall back on too
            found.update(handler.descriptors())
        for attribute in ("stream", "socket", "sock", "log"):
            owner = getattr(handler, attribute, None)
            try:
                number = owner.fileno() if owner is not None else None
            except (OSError, ValueError, AttributeError):
                continue
            if isinstance(number, int) and number > 2:
                found.add(number)
    return found


if TYPE_CHECKING:
    from typing import Protocol

    class Owner(Protocol):
        """A file, a socket, or what else has a descriptor of its own."""

        def fileno(self) -> int:
            """The descriptor."""
            ...

        def close(self) -> object:
            """Give it back."""
            ...
