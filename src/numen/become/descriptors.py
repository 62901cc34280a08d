"""Step 5: close the inherited descriptors, and see that 0, 1 and 2 are open where they belong.

The cost is that of the descriptors which are open, whatever RLIMIT_NOFILE says, and those above the limit
are closed too: /proc/self/fd lists them. Where there is no /proc, close_range(2) does it, and only on a
kernel that has neither are the numbers tried one by one.
"""

from __future__ import annotations

import os
import resource

from ..errors import BadOption

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

STANDARD_STREAMS = (0, 1, 2)


def open_missing_standard_streams() -> None:
    """Open /dev/null on each of 0, 1 and 2 that is closed, so that nothing else is given that number."""
    # Looked for before it is opened: in a new root directory there may be no /dev/null, and no need of one.
    while not all(map(is_open, STANDARD_STREAMS)):
        descriptor = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        os.set_inheritable(descriptor, True)  # noqa: FBT003 - the standard library's own signature


def open_descriptors() -> list[int] | None:
    """Every descriptor that is open now, in order; `None` where /proc does not tell."""
    try:
        with os.scandir("/proc/self/fd") as entries:
            listed = [int(entry.name) for entry in entries]
    except OSError:
        return None
    return sorted(number for number in listed if is_open(number))


def is_open(descriptor: int) -> bool:
    """Whether that number is an open descriptor."""
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def close_all(keep: Collection[int] = ()) -> None:
    """Close every descriptor but 0, 1, 2 and those to keep."""
    kept = sorted({*keep, *STANDARD_STREAMS})
    found = open_descriptors()
    if found is None:
        _close_unlisted(kept)
        return
    for descriptor in found:
        if descriptor not in kept:
            _close(descriptor)


def _close_unlisted(kept: list[int]) -> None:
    """Close all but `kept`, by the gaps between them."""
    from ..kernel import calls

    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    highest = limit if limit != resource.RLIM_INFINITY else 2**20
    for before, after in zip(kept, [*kept[1:], 2**31], strict=True):
        first, last = before + 1, after - 1
        if first > last:
            continue
        try:
            calls.close_range(first, last)
        except OSError:
            for descriptor in range(first, min(last, highest) + 1):
                _close(descriptor)


def _close(descriptor: int) -> None:
    try:
        os.close(descriptor)
    except OSError:
        return


def put(source: int, target: int) -> None:
    """Make `target` a descriptor of what `source` is open on, inheritable, and leave `source` as it is."""
    if source == target:
        # dup2 onto itself does nothing, not even clear FD_CLOEXEC (dup(2)).
        os.set_inheritable(target, True)  # noqa: FBT003
    else:
        os.dup2(source, target, inheritable=True)


def check_open(descriptors: Iterable[int]) -> None:
    """Raise BadOption where one of the descriptors that are to be kept is not open."""
    for descriptor in descriptors:
        if not is_open(descriptor):
            raise BadOption(f"cannot keep descriptor {descriptor}: it is not open", descriptor=descriptor)


def seal() -> None:
    """Let nothing that is executed from here on inherit what is open now, the standard streams apart."""
    for descriptor in open_descriptors() or ():
        if descriptor not in STANDARD_STREAMS:
            os.set_inheritable(descriptor, False)  # noqa: FBT003 - the standard library's own signature
