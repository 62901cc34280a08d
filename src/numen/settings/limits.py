"""The names of resource limits, and what people write for their values (getrlimit(2))."""

from __future__ import annotations

import resource

from ..errors import BadOption
from .sizes import parse_size

LIMITS = {
    "address-space": resource.RLIMIT_AS,
    "core-size": resource.RLIMIT_CORE,
    "cpu-seconds": resource.RLIMIT_CPU,
    "data-size": resource.RLIMIT_DATA,
    "file-size": resource.RLIMIT_FSIZE,
    "locked-memory": resource.RLIMIT_MEMLOCK,
    "message-queues": resource.RLIMIT_MSGQUEUE,
    "nice": resource.RLIMIT_NICE,
    "open-files": resource.RLIMIT_NOFILE,
    "processes": resource.RLIMIT_NPROC,
    "resident-set": resource.RLIMIT_RSS,
    "realtime-priority": resource.RLIMIT_RTPRIO,
    "pending-signals": resource.RLIMIT_SIGPENDING,
    "stack-size": resource.RLIMIT_STACK,
}
"""By the name that numen uses."""

_MANUAL_NAMES = {
    name.removeprefix("RLIMIT_").lower(): value for name, value in vars(resource).items() if name.startswith("RLIMIT_")
}

Limit = tuple[int, int]
"""The soft and the hard limit; -1 is none."""


def limit_number(name: str) -> int:
    """The resource that a name means: `open-files`, or the manual's `nofile`. Raises BadOption."""
    lowered = name.strip().lower().removeprefix("rlimit_")
    number = LIMITS.get(lowered, _MANUAL_NAMES.get(lowered))
    if number is None:
        raise BadOption(f"{name!r} is no resource limit; there are {', '.join(LIMITS)}")
    return number


def parse_limit(text: str) -> tuple[str, Limit]:
    """The name and the limits in `NAME=VALUE` or `NAME=SOFT:HARD`. Raises BadOption."""
    name, separator, value = text.partition("=")
    if not separator:
        raise BadOption(f"{text!r} is no limit; write one like open-files=65536 or processes=100:200")
    soft, _, hard = value.partition(":")
    pair = parse_limit_value(soft), parse_limit_value(hard or soft)
    check_limit(name, pair)
    return name.strip(), pair


def check_limit(name: str, limit: Limit) -> None:
    """Raise BadOption where there is no such limit, or where the soft one is above the hard one."""
    limit_number(name)
    soft, hard = limit
    if hard != resource.RLIM_INFINITY and (soft == resource.RLIM_INFINITY or soft > hard):
        shown = "unlimited" if soft == resource.RLIM_INFINITY else soft
        raise BadOption(f"{name.strip()}: the soft limit {shown} is above the hard limit {hard}")


def parse_limit_value(text: str) -> int:
    """The number that `65536`, `1GiB` or `unlimited` means; -1 is none. Raises BadOption."""
    return resource.RLIM_INFINITY if text.strip().lower() in ("unlimited", "infinity") else parse_size(text)


def format_limit_value(value: int) -> str | int:
    """What a file says for a limit."""
    return "unlimited" if value == resource.RLIM_INFINITY else value
