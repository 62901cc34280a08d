"""What the kernel lets the daemon use: resource limits, core dumps, niceness, the out-of-memory score."""

from __future__ import annotations

import os
import resource

from ..errors import from_os_error
from ..settings.limits import Limit, limit_number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def set_limits(limits: Mapping[str, Limit]) -> None:
    """Set each limit by its name (setrlimit(2)). Raises NoPermission, Unusable or BadOption."""
    for name, (soft, hard) in limits.items():
        number = limit_number(name)
        try:
            resource.setrlimit(number, (soft, hard))
        except (OSError, ValueError) as error:
            cause = error if isinstance(error, OSError) else OSError(1, str(error))
            raise from_os_error(cause, f"set the limit {name} to {_shown(soft)}:{_shown(hard)}") from error


def prevent_core_dumps() -> None:
    """Let no core file be written: it would hold whatever secrets the daemon holds (core(5))."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def allow_core_dumps() -> None:
    """Let core files be as large as the hard limit permits: the soft one is 0 on most systems."""
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))


def set_nice(nice: int) -> None:
    """Set the niceness, -20 (first) to 19 (last) (setpriority(2)). Raises NoPermission."""
    try:
        os.setpriority(os.PRIO_PROCESS, 0, nice)
    except OSError as error:
        raise from_os_error(error, f"set the nice value {nice}") from error


def set_oom_score(score: int) -> None:
    """Set how readily the kernel kills it for want of memory, -1000 to 1000 (proc(5)). Raises NoPermission."""
    try:
        with open("/proc/self/oom_score_adj", "wb", buffering=0) as file:
            file.write(str(score).encode())
    except OSError as error:
        raise from_os_error(error, f"set the out-of-memory score {score}") from error


def _shown(limit: int) -> str:
    return "unlimited" if limit == resource.RLIM_INFINITY else str(limit)
