"""Descriptors and standard streams, under the names of python-daemon's functions."""

from __future__ import annotations

import os
import sys

from ..become import descriptors
from ..become.streams import out_of_the_way as out_of_the_way  # noqa: PLC0414 - used by `context` from here

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, Protocol

    class HasFileno(Protocol):
        """A file, a socket, or anything else with a descriptor."""

        def fileno(self) -> int:
            """The descriptor."""
            ...


MAXFD = 2048
"""What python-daemon takes for the number of descriptors where there is no limit."""


def get_maximum_file_descriptors() -> int:
    """The hard limit of open files, MAXFD where it is unlimited. Nothing here needs it."""
    import resource

    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return MAXFD if limit == resource.RLIM_INFINITY else limit


def close_file_descriptor_if_open(fd: int) -> None:
    """Close a descriptor; one that is not open is left."""
    if descriptors.is_open(fd):
        os.close(fd)


def close_all_open_files(exclude: Iterable[int] | None = None) -> None:
    """Close every descriptor but those to exclude: 0, 1 and 2 too. Raises TypeError for what is no number."""
    kept = checked_descriptors(exclude or ())
    descriptors.close_all(kept)
    for number in descriptors.STANDARD_STREAMS:
        if number not in kept:
            close_file_descriptor_if_open(number)


def checked_descriptors(numbers: Iterable[Any]) -> set[int]:
    """The numbers as a set. Raises TypeError for what is no number."""
    checked = set(numbers)
    for number in checked:
        if not isinstance(number, int):
            raise TypeError(f"{number!r} is no open file and no file descriptor")
    return checked


def descriptor_or_itself(item: Any) -> Any:
    """The descriptor of an open file; a number, or what has no descriptor, as it is."""
    if not hasattr(item, "fileno"):
        return item
    try:
        return item.fileno()
    except ValueError:  # closed, or a file in memory alone
        return item


def get_stream_file_descriptors(
    stdin: object = sys.stdin, stdout: object = sys.stdout, stderr: object = sys.stderr
) -> set[int]:
    """The descriptors of those of the streams that have one."""
    found = {descriptor_or_itself(stream) for stream in (stdin, stdout, stderr) if hasattr(stream, "fileno")}
    return {number for number in found if isinstance(number, int)}


def redirect_stream(system_stream: HasFileno, target_stream: HasFileno | None) -> None:
    """Let a stream lead where another one does, or to /dev/null for `None`; inheritable either way."""
    number = system_stream.fileno()
    if target_stream is not None:
        descriptors.put(target_stream.fileno(), number)
        return
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC | os.O_NOCTTY)
    descriptors.put(null, number)
    if null != number:
        os.close(null)


def descriptor_of(stream: HasFileno | int) -> int:
    """The descriptor of a stream, or the number that is one. Raises OSError where there is none."""
    return stream if isinstance(stream, int) else stream.fileno()


def replaced_standard_streams() -> dict[int, int]:
    """The standard streams that the program has exchanged for files of its own, and their descriptors."""
    found = {}
    for number, stream in enumerate((sys.stdin, sys.stdout, sys.stderr)):
        own = descriptor_or_itself(stream)
        if isinstance(own, int) and own > 2:
            found[number] = own
    return found
