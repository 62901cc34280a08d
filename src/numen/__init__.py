"""numen: make, write, keep, check and boot Linux daemons.

The names below are the library's front door. Each is imported when it is first used, because a person
waits for every command and a command needs few of them.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .become.context import DaemonContext as DaemonContext
    from .become.instance import Instance as Instance
    from .become.spawn import spawn as spawn
    from .errors import DaemonError as DaemonError

__version__ = "0.1.0"

_HOMES = {
    "DaemonContext": "numen.become.context",
    "DaemonError": "numen.errors",
    "Instance": "numen.become.instance",
    "spawn": "numen.become.spawn",
}

__all__ = ["DaemonContext", "DaemonError", "Instance", "__version__", "spawn"]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(__import__(_HOMES[name], fromlist=[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
