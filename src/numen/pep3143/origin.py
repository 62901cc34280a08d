"""Who started this process: what python-daemon asks before it decides to detach, answered by evidence."""

from __future__ import annotations

import os
import stat
import warnings

from ..become import evidence
from . import switches

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .streams import HasFileno


def is_detach_process_context_required() -> bool:
    """Whether the process must detach itself: neither init nor a superserver has done so."""
    return not (is_process_started_by_init() or is_process_started_by_superserver())


def is_process_started_by_init() -> bool:
    """Whether a service manager started this process, or it is process 1 itself.

    Where the switch `init` is `parent`: whether process 1 is its parent.
    """
    if switches.current().init == "parent":
        return os.getppid() == 1
    return evidence.why_not_detach() is not None and not is_process_started_by_superserver()


def is_process_started_by_superserver() -> bool:
    """Whether inetd started this process: its stdin is a network's socket."""
    return evidence.is_started_by_inetd()


def is_socket_file(file: HasFileno) -> bool:
    """Whether a file object is a socket."""
    return _is_socket(file.fileno())


def is_socket(fd: int) -> bool:
    """Whether a descriptor is a socket; deprecated for is_socket_file()."""
    warnings.warn("is_socket() is deprecated: use is_socket_file()", DeprecationWarning, stacklevel=2)
    return _is_socket(fd)


def _is_socket(descriptor: int) -> bool:
    try:
        return stat.S_ISSOCK(os.fstat(descriptor).st_mode)
    except OSError:
        return False
