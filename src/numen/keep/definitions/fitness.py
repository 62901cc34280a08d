"""Whether a definition can be carried out on this system, as far as that can be known before anything is spawned.

It is asked for when somebody defines a daemon: before its file is written, and before the one that runs is stopped.
What only the attempt can tell, such as what another user may enter, is told by the attempt. It reads files and asks the
name service, so the supervisor has it done by a thread.
"""

from __future__ import annotations

import os
import resource
import stat

from ...become import identity
from ...errors import NoPermission, Unusable, from_os_error
from ...kernel import proc
from ...kernel.spawn import failure
from ...settings.limits import format_limit_value, limit_number
from .. import cgroups
from ..spawning import with_files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .definition import Definition


def check_fit(definition: Definition) -> None:
    """Raise NoPermission for what this supervisor may not do, another DaemonError for what nobody can use."""
    identity.look_up(definition.user, definition.group, definition.groups)
    is_own = definition.user is None and definition.group is None and definition.groups is None
    _check_directory(definition.directory, is_own=is_own)
    _check_program(definition.command[0], is_own=is_own)
    with_files({}, definition.environment_files, definition.secret_files)
    for name, (_soft, hard) in definition.limits.items():
        _check_limit(name, hard)
    cgroups.check(definition, cgroups.base(), os.getppid())
    if definition.affinity is not None:
        _check_affinity(definition.affinity)
    if definition.nice is not None:
        _check_nice(definition.nice)
    if definition.oom_score is not None:
        _check_oom_score(definition.oom_score)
    if definition.capabilities is not None:
        identity.check_capabilities(definition.capabilities)


def _check_directory(path: str, *, is_own: bool) -> None:
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        raise from_os_error(error, f"change the working directory to {path}") from error
    if not stat.S_ISDIR(mode):
        raise Unusable(f"cannot change the working directory to {path}: Not a directory")
    if is_own and not os.access(path, os.X_OK, effective_ids=True):
        raise NoPermission(f"cannot change the working directory to {path}: Permission denied")


def _check_program(path: str, *, is_own: bool) -> None:
    try:
        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode) or (is_own and not os.access(path, os.X_OK, effective_ids=True)):
            raise PermissionError(13, os.strerror(13))
    except OSError as error:
        raise Unusable(failure(f"execute {path}", path, error)) from error


def _check_limit(name: str, hard: int) -> None:
    number = limit_number(name)
    wanted = f"cannot set the limit {name} to {format_limit_value(hard)}"
    if number == resource.RLIMIT_NOFILE:
        most = int(proc.read("/proc/sys/fs/nr_open") or b"0")
        if most and not _is_within(hard, most):
            raise Unusable(f"{wanted}: the kernel allows {most} at most (/proc/sys/fs/nr_open)")
    own = resource.getrlimit(number)[1]
    if not _is_within(hard, own) and not _has("sys_resource"):
        raise NoPermission(
            f"{wanted}: the hard limit is {format_limit_value(own)}, and raising it takes CAP_SYS_RESOURCE"
        )


def _is_within(limit: int, most: int) -> bool:
    if most == resource.RLIM_INFINITY:
        return True
    return limit != resource.RLIM_INFINITY and limit <= most


def _check_affinity(processors: tuple[int, ...]) -> None:
    """Try it: the kernel alone knows which of them there are, and who is kept from which; it is this thread's alone."""
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, processors)
    except (OSError, ValueError, OverflowError):
        words = ", ".join(map(str, processors))
        have = ", ".join(map(str, sorted(before)))
        raise Unusable(f"cannot set the affinity to the processors {words}: there are {have}") from None
    os.sched_setaffinity(0, before)


def _check_nice(nice: int) -> None:
    if nice >= os.getpriority(os.PRIO_PROCESS, 0) or _has("sys_nice"):
        return
    allowed = resource.getrlimit(resource.RLIMIT_NICE)[0]  # 20 - nice, see getrlimit(2)
    if allowed != resource.RLIM_INFINITY and nice < 20 - allowed:
        raise NoPermission(f"cannot set the nice value {nice}: lowering it takes CAP_SYS_NICE")


def _check_oom_score(score: int) -> None:
    own = int(proc.read("/proc/self/oom_score_adj") or b"0")
    # The lowest that was ever set by somebody who may do so counts; it cannot be read, and is 0 as a rule.
    if score < min(own, 0) and not _has("sys_resource"):
        raise NoPermission(f"cannot set the out-of-memory score {score}: lowering it takes CAP_SYS_RESOURCE")


def _has(capability: str) -> bool:
    effective = int(proc.status_field("CapEff") or "0", 16)
    return bool(effective >> identity.parse_capability(capability) & 1)
