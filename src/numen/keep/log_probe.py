"""`python -m numen.keep.log_probe JSON`: waits until a line of a daemon's logs matches, and writes that line.

A program of its own, which `runner` starts and ends: however long a regular expression takes, nobody else waits for it.
"""

from __future__ import annotations

import json
import re
import sys

from ..kernel import calls
from ..kernel import signals as signal
from .logs.following import Follower
from .logs.reading import Cursor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_PR_SET_PDEATHSIG = 1

LONGEST = 65536
"""Bytes of a line that are looked at."""


def first_match(pattern: str, begins: Mapping[str, Sequence[int]]) -> str:
    """The first line that matches, waited for. `begins` has for each log where it begins: inode and offset."""
    wanted = re.compile(pattern)
    cursors = [Cursor("", path, place=(inode, offset)) for path, (inode, offset) in begins.items()]
    for line in Follower(cursors).follow():
        text = line.text[:LONGEST].decode(errors="replace").rstrip("\r")
        if wanted.search(text):
            return text
    raise AssertionError("what is followed has no end")


def main() -> None:
    """Write the line, and end; or with the runner."""
    calls.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    pattern, begins = json.loads(sys.argv[1])
    print(first_match(pattern, begins))


if __name__ == "__main__":
    main()
