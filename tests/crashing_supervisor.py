"""The supervisor as a program that kills itself before or after its n-th call of the kernel, when a test orders it.

The order is the file `crash` in NUMEN_HOME: `{"of": "calls", "number": 3, "moment": "before", "state": "stopped"}`.
Calls are counted from when the file is there, those of `keep.kernel.Kernel`; or, where `of` is `rotation`, the system
calls with which logs are moved, from a rename or unlink on that is about a path which ends as `begins` says. The file
`crashed` then tells the last call, and whether the journal knew already that a daemon leaves the `state` it was in.
"""

import json
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numbered_kernel import AFTER, BEFORE, NumberedKernel, kill_myself
from numen.keep import loop, main
from numen.keep.real import RealKernel

HOME = Path(os.environ["NUMEN_HOME"])

MOVING = ("splice", "pwrite", "ftruncate", "rename", "unlink", "open")
"""What changes a file when a log is moved or rotated."""

FIRST = ("rename", "unlink")
"""With one of these a rotation begins."""


_unlink = os.unlink


class Order:
    """What a test has ordered; nothing, while there is no file."""

    def __init__(self, of: str) -> None:
        self._of = of
        self.is_written = False

    def read(self) -> dict[str, Any]:
        """The order; empty where there is none."""
        try:
            found = json.loads((HOME / "crash").read_text())
        except FileNotFoundError:
            found = {}
        return found if found.get("of") == self._of else {}

    def crash(self, last: str) -> None:
        """Do as ordered, and once only; nothing if the order has just been taken back."""
        told = {"last": last, "is_written": self.is_written}
        (HOME / "crashed.new").write_text(json.dumps(told))
        try:
            _unlink(HOME / "crash")
        except FileNotFoundError:
            return
        os.rename(HOME / "crashed.new", HOME / "crashed")
        kill_myself()


class CrashingKernel(NumberedKernel):
    """The real kernel, its calls counted from the order on."""

    def __init__(self, *arguments: Any) -> None:
        self._order = Order("calls")
        self._ordered: dict[int, str] = {}
        super().__init__(RealKernel(*arguments), self._ordered)
        # Unlike that of the simulation it returns where the order has been taken back.
        self._crash = lambda: self._order.crash(self.last)  # type: ignore[assignment,return-value]

    def __getattr__(self, name: str) -> Any:
        # What the loop alone asks of the real kernel is no call of the interface.
        if name in ("fileno", "next_look", "held", "close"):
            return getattr(self._kernel, name)
        return super().__getattr__(name)

    def _numbered(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def noted(record: dict[str, Any]) -> None:
            call(record)
            state = self._order.read().get("state")
            self._order.is_written |= state is not None and record.get("life", {}).get("state", state) != state

        return super()._numbered(name, noted if name == "write_journal" else call)

    def _count(self, name: str) -> None:
        if order := self._order.read():
            self._ordered[order["number"]] = order["moment"]
            super()._count(name)
        else:
            self._ordered.clear()
            self._order.is_written = False
            self.number = 0


class CrashingRotation:
    """The system calls of the threads that move logs, counted from an order on."""

    def __init__(self) -> None:
        self._order = Order("rotation")
        self._number = 0
        for name in MOVING:
            setattr(os, name, self._counted(name, getattr(os, name)))

    def _counted(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **options: Any) -> Any:
            if threading.current_thread() is threading.main_thread() or not (order := self._order.read()):
                self._number = 0
                return call(*arguments, **options)
            if self._number or (name in FIRST and arguments[-1].endswith(order["begins"])):
                self._number += 1
            is_it = self._number == order["number"]
            if is_it and order["moment"] == BEFORE:
                self._order.crash(name)
            result = call(*arguments, **options)
            if is_it and order["moment"] == AFTER:
                self._order.crash(name)
            return result

        return counted


if __name__ == "__main__":
    setattr(loop, "RealKernel", CrashingKernel)  # noqa: B010 - no name that the module exports
    CrashingRotation()
    sys.exit(main.main())
