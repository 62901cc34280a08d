"""What fails for want of space or descriptors: it is told once, and tried again in a while.

The supervisor's parts do what may fail under `tolerance`, and ask `is_due` when it is time to do it again.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .kernel import Kernel

FRUITLESS = 1.0
"""Seconds until what failed, a full disk being the usual cause, is tried again."""


class Trouble:
    """All that fails at present."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self.again_at: float | None = None
        """When that which failed is tried again; `None` while all goes well."""
        self._complaints: set[str] = set()
        """What has failed since the last new try, and was told."""
        self._old_complaints: set[str] = set()
        """What had failed before that one. Older ones are forgotten: some name what never comes again."""

    @contextmanager
    def tolerance(self, what: str) -> Iterator[None]:
        """For what may fail: that is told, once, and tried again in a while."""
        try:
            yield
        except OSError as error:
            if self.again_at is None:
                self.again_at = self._kernel.monotonic() + FRUITLESS
            if not self.has_failed(what):
                self.tell(f"cannot {what}: {error.strerror or error}")
            self._complaints.add(what)
        else:
            self._complaints.discard(what)
            self._old_complaints.discard(what)

    def has_failed(self, what: str) -> bool:
        """Whether it failed when it was last tried, and that is not long ago."""
        return what in self._complaints or what in self._old_complaints

    def is_due(self) -> bool:
        """Whether it is time to try again; said once each time."""
        if self.again_at is None or self._kernel.monotonic() < self.again_at:
            return False
        self.again_at = None
        self._old_complaints, self._complaints = self._complaints, set()
        return True

    def tell(self, line: str) -> None:
        """Write a line to the own log; one that cannot be written to is no reason to do nothing else."""
        with suppress(OSError):
            self._kernel.tell(line)
