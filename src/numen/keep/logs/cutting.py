"""Where a log is cut so that a new file can begin: decided from what waits, nothing is moved here."""

from __future__ import annotations

from ...record import Record

LONGEST_LINE = 65536
"""A line that goes on for that many bytes past the size of the file is cut."""

MARK = b"\n[numen: this line was cut; it goes on in the next file]\n"
"""What a file ends with if its last line was cut. A reader takes it away and joins the line."""


class Cut(Record):
    """What to do next with one log."""

    count: int = 0
    """How many bytes to move from the FIFO to the file."""
    mark: bool = False
    """Whether the file gets the mark after that, because it ends amidst a line."""
    rotate: bool = False
    """Whether a new file is to be begun, and nothing moved before."""


def next_cut(looked: bytes, room: int, *, at_line_end: bool) -> Cut:
    """What to do where `looked` is what waits first in the FIFO, and more than the file has room for.

    `room` is how many bytes the file may still get, less than nothing where a line stands across;
    `at_line_end` tells whether the file's last line is whole, which an empty file's is not.
    """
    if len(looked) <= room:
        return Cut(count=len(looked))
    room_now = max(room, 0)
    if end := looked.rfind(b"\n", 0, room_now) + 1:
        return Cut(count=end)
    if at_line_end:
        return Cut(rotate=True)
    most = max(room + LONGEST_LINE, 0)
    if 0 < (end := looked.find(b"\n", room_now) + 1) <= most:
        return Cut(count=end)
    return Cut(count=min(len(looked), most), mark=len(looked) >= most)
