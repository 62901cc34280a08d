"""The standard library's `logging`, connected to the system log.

Importing this module imports `logging`; that is why `numen.syslog` does so only for those who ask.
"""

from __future__ import annotations

import logging

from ...errors import BadOption
from .entries import priority_number
from .system_log import SystemLog
from .uncaught import Hooks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self, Unpack

    from .system_log import Options

PRIORITY_OF_LEVEL = (
    (logging.CRITICAL, "crit"),
    (logging.ERROR, "err"),
    (logging.WARNING, "warning"),
    (logging.INFO + 1, "notice"),
    (logging.INFO, "info"),
)
"""The lowest level of each priority; below the last it is `debug`."""

STANDARD_ATTRIBUTES = {*vars(logging.makeLogRecord({})), "message", "asctime"}
"""What every record has; anything else has been given as `extra`."""


class Handler(logging.Handler):
    """Sends log records to the system log; takes what `SystemLog` takes, and a level.

    In the journal an entry also says where in the program it was logged, by which logger and thread, with
    which `extra`, and the exception as text.
    """

    def __init__(
        self,
        ident: str,
        facility: str = "daemon",
        *,
        level: int | str = logging.NOTSET,
        **options: Unpack[Options],
    ) -> None:
        # The log comes first: `logging` would call a handler that is only half made at the program's end.
        self.log = SystemLog(ident, facility, **options)
        try:
            super().__init__(level)
        except (ValueError, TypeError) as error:
            self.log.close()
            raise BadOption(f"{level!r} is no level of logging: {error}") from error

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record."""
        try:
            self.log.send(priority_of(record.levelno), self.format(record), **fields_of(record))
        except Exception:  # noqa: BLE001 - a record that cannot be formatted; logging has its own way to tell
            self.handleError(record)

    def fileno(self) -> int:
        """The descriptor of the connection, or -1 where there is none."""
        return self.log.fileno()

    def descriptors(self) -> tuple[int, ...]:
        """Every descriptor that is held, for one who closes all others."""
        return self.log.descriptors()

    def flush(self) -> None:
        """Give a full log a moment to take what waits; `logging` asks for it at the end of the program."""
        self.log.flush()

    def close(self) -> None:
        """Let go of the log."""
        self.log.close()
        super().close()


def install(
    ident: str,
    facility: str = "daemon",
    *,
    priority: str | int = "crit",
    level: int | str = logging.NOTSET,
    **options: Unpack[Options],
) -> Installation:
    """Send the records of the root logger, and every uncaught exception, to the system log.

    `priority` is that of uncaught exceptions, `level` the lowest that is logged of what the root logger lets
    through; the rest is as for `SystemLog`. Undo it with `undo()`, or use it in a `with` statement.
    """
    priority_number(priority)
    return Installation(Handler(ident, facility, level=level, **options), priority)


class Installation:
    """A handler on the root logger, and the hooks for uncaught exceptions."""

    def __init__(self, handler: Handler, priority: str | int) -> None:
        self.handler = handler
        self.log = handler.log
        self._hooks = Hooks(handler.log, priority)
        logging.getLogger().addHandler(handler)

    def undo(self) -> None:
        """Put things back as they were and close the log; a second time does nothing."""
        self._hooks.undo()
        logging.getLogger().removeHandler(self.handler)
        self.handler.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exception: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            # The hook is gone when the exception gets there.
            self._hooks.report("uncaught exception", kind, exception, trace)
        self.undo()


def priority_of(level: int) -> str:
    """The priority of syslog(3) for a level of `logging`, those between the standard ones included."""
    return next((priority for lowest, priority in PRIORITY_OF_LEVEL if level >= lowest), "debug")


def fields_of(record: logging.LogRecord) -> dict[str, str | int | bytes]:
    """What the journal is told of a record beside its message."""
    fields: dict[str, str | int | bytes] = {
        "CODE_FILE": record.pathname,
        "CODE_LINE": record.lineno,
        "CODE_FUNC": record.funcName or "",
        "LOGGER": record.name or "",
        "THREAD_NAME": record.threadName or "",
    }
    if record.exc_info and record.exc_info[0] is not None:
        fields["EXCEPTION_TYPE"] = record.exc_info[0].__name__
        fields["EXCEPTION_TEXT"] = record.exc_text or logging.Formatter().formatException(record.exc_info)
    for name, value in vars(record).items():
        if name not in STANDARD_ATTRIBUTES:
            fields[name] = value if isinstance(value, bytes) else str(value)
    return {name: value for name, value in fields.items() if value != ""}
