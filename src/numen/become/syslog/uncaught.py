"""What nobody caught goes to the system log: exceptions of the program, of its threads and of finalizers.

They reach stderr as before too. SystemExit and KeyboardInterrupt are ways to end a program, not errors.
"""

from __future__ import annotations

import sys
import threading

from .entries import priority_number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

    from .system_log import SystemLog

NO_ERRORS = (SystemExit, KeyboardInterrupt)


class Hooks:
    """The three hooks of the interpreter for what nobody catches; each passes on to the one before it."""

    def __init__(self, log: SystemLog, priority: str | int = "crit") -> None:
        priority_number(priority)
        self.log = log
        self._priority = priority
        self._is_installed = True
        self._previous = sys.excepthook, threading.excepthook, sys.unraisablehook
        sys.excepthook = self._on_uncaught
        threading.excepthook = self._on_uncaught_in_thread
        sys.unraisablehook = self._on_unraisable

    def undo(self) -> None:
        """Put things back as they were; a second time does nothing."""
        if not self._is_installed:
            return
        self._is_installed = False
        # A hook that somebody has put around ours since then stays, and ours passes everything on.
        if sys.excepthook == self._on_uncaught:
            sys.excepthook = self._previous[0]
        if threading.excepthook == self._on_uncaught_in_thread:
            threading.excepthook = self._previous[1]
        if sys.unraisablehook == self._on_unraisable:
            sys.unraisablehook = self._previous[2]

    def _on_uncaught(self, kind: type[BaseException], exception: BaseException, trace: TracebackType | None) -> None:
        self.report("uncaught exception", kind, exception, trace)
        # The program ends now, perhaps at once by os._exit; a traceback that only half fitted must not be cut.
        self.log.flush()
        self._previous[0](kind, exception, trace)

    def _on_uncaught_in_thread(self, args: threading.ExceptHookArgs) -> None:
        thread = args.thread.name if args.thread else "unknown"
        self.report(f"uncaught exception in thread {thread}", args.exc_type, args.exc_value, args.exc_traceback)
        self._previous[1](args)

    def _on_unraisable(self, unraisable: sys.UnraisableHookArgs) -> None:
        self.report(
            unraisable.err_msg or "exception ignored",
            unraisable.exc_type,
            unraisable.exc_value,
            unraisable.exc_traceback,
            where=unraisable.object,
        )
        self._previous[2](unraisable)

    def report(
        self,
        what: str,
        kind: type[BaseException],
        exception: BaseException | None,
        trace: TracebackType | None,
        *,
        where: object = None,
    ) -> None:
        """Log one exception, if it is an error; never raises."""
        if not self._is_installed or issubclass(kind, NO_ERRORS):
            return
        try:
            import traceback

            text = "".join(traceback.format_exception(kind, exception, trace))
            headline = what if where is None else f"{what}: {where!r}"
            self.log.send(
                self._priority,
                f"{headline}\n{text}",
                EXCEPTION_TYPE=kind.__name__,
                EXCEPTION_TEXT=text,
                THREAD_NAME=threading.current_thread().name,
                **_place(trace),
            )
        except Exception:  # noqa: BLE001 - an object that cannot be shown, say; the hook before ours must still run
            return


def _place(trace: TracebackType | None) -> dict[str, str | int]:
    """Where the exception was raised, as the journal's fields have it."""
    if trace is None:
        return {}
    while trace.tb_next is not None:
        trace = trace.tb_next
    code = trace.tb_frame.f_code
    return {"CODE_FILE": code.co_filename, "CODE_LINE": trace.tb_lineno, "CODE_FUNC": code.co_name}
