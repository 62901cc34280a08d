"""How one log is kept, and how much of it was lost, as data."""

from __future__ import annotations

from ...record import Record


class LogSettings(Record):
    """How one log is kept."""

    path: str
    """NAME.log; the older files stand beside it as NAME.log.1 and so on, with .gz where they are compressed."""
    size: int = 10 * 2**20
    """Bytes from which a new file is begun; a line that stands across is finished first."""
    keep: int = 5
    """How many files there are in all, the one that is written among them."""
    every: float | None = None
    """Seconds after its first byte from which a new file is begun; a line that stands across is finished first."""
    total: int | None = None
    """Bytes that all files may have together; the oldest are removed."""
    age: float | None = None
    """Seconds since an older file was last written after which it is removed."""
    compress: bool = False
    """Whether the older files are compressed."""
    timestamps: bool = False
    """Whether each line is stamped with the time at which it came."""
    spool: str = ""
    """Where the lines stand while they are stamped: a file of this log's own in the runtime directory."""

    def full_size(self) -> int:
        """Bytes from which a new file is begun: where all may have few together, so many that an older one stays."""
        return self.size if self.total is None else min(self.size, self.total // 2)


class Lost(Record):
    """What was lost of one log since the mover has it."""

    bytes: int = 0
    lines: int = 0
