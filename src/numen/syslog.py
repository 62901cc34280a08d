"""Errors to the system log: journald, the syslog daemon, or a file while neither is there.

    import numen.syslog

    with numen.syslog.install("web", facility="local0", fallback="/var/log/web.err"):
        serve()

`install` connects the standard library's `logging` and everything that nobody catches; `Handler` is the
handler alone, for a logging configuration of one's own; `SystemLog` is the log without `logging`. Each name
is imported when it is first used, because not everybody who asks for one needs `logging`.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .become.syslog.entries import FACILITIES, PRIORITIES
    from .become.syslog.handler import Handler, Installation, install
    from .become.syslog.journal import has_journal_stream, open_journal_stream
    from .become.syslog.system_log import SystemLog

_HOMES = {
    "FACILITIES": "numen.become.syslog.entries",
    "Handler": "numen.become.syslog.handler",
    "Installation": "numen.become.syslog.handler",
    "PRIORITIES": "numen.become.syslog.entries",
    "SystemLog": "numen.become.syslog.system_log",
    "has_journal_stream": "numen.become.syslog.journal",
    "install": "numen.become.syslog.handler",
    "open_journal_stream": "numen.become.syslog.journal",
}

__all__ = [
    "FACILITIES",
    "PRIORITIES",
    "Handler",
    "Installation",
    "SystemLog",
    "has_journal_stream",
    "install",
    "open_journal_stream",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
