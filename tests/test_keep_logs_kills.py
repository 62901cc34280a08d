"""The mover is killed, again and again, while it moves and rotates: no line is lost, doubled, torn or out of order."""

import os
import random
import re
import signal
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from numen.keep.logs.parts import parts_of
from processes import Reaper, wait_for

pytestmark = pytest.mark.once

WRITERS = 4
LINES = 100_000
KILLS = 30

MOVER = textwrap.dedent(
    """
    import os, signal, sys
    from numen.keep.logs.mover import Mover
    from numen.keep.logs.settings import LogSettings

    fifo, path, size, stamped, compress = sys.argv[1:]
    # Where something else is to be done too, files are begun by time as well.
    every = 0.05 if "yes" in (stamped, compress) else None
    settings = LogSettings(
        path=path, size=int(size), keep=100_000, timestamps=stamped == "yes", compress=compress == "yes",
        spool=fifo + ".spool", every=every,
    )
    mover = Mover(lambda line: print(line, file=sys.stderr))
    mover.add("web", os.open(fifo, os.O_RDWR | os.O_NONBLOCK), settings)
    signal.sigwait({signal.SIGTERM})
    sys.exit(not (mover.flush("web", 60) and mover.close(60)))
    """
)

WRITER = textwrap.dedent(
    """
    import os, sys

    fifo, who, lines = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    descriptor = os.open(fifo, os.O_WRONLY)
    for number in range(lines):
        os.write(descriptor, b"writer %d line %06d %s\\n" % (who, number, b"x" * (number * 7 % 61)))
    """
)

LINE = re.compile(rb"writer (\d) line (\d{6}) (x*)")
STAMP = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z ")


def lines_of(path: Path) -> Iterator[bytes]:
    """The lines in all files of the log, the oldest first, each file taken by itself."""
    for part in parts_of(str(path)):
        text = b""
        while data := part.read():
            text += data
        part.close()
        assert text.endswith(b"\n") or not text, "a file ends amidst a line"
        yield from text.splitlines()


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("stamped", "compress"),
    [("no", "no"), ("yes", "no"), ("no", "yes")],
    ids=["unstamped", "stamped", "compressed"],
)
def test_no_line_is_lost_doubled_or_torn_when_the_mover_is_killed(
    tmp_path: Path, reaper: Reaper, stamped: str, compress: str
) -> None:
    fifo, path = tmp_path / "fifo", tmp_path / "log/web.log"
    os.mkfifo(fifo)
    keeper = os.open(fifo, os.O_RDWR)
    mover = [sys.executable, "-c", MOVER, str(fifo), str(path), "40000", stamped, compress]
    running = reaper.start(mover, preexec_fn=hold_sigterm)
    writers = [reaper.start([sys.executable, "-c", WRITER, str(fifo), str(who), str(LINES)]) for who in range(WRITERS)]
    chance = random.Random(4)
    moments: list[str] = []

    for _ in range(KILLS):
        before = state_of(path)
        wait_for(lambda before=before: state_of(path) != before, 60, "something is moved")  # type: ignore[misc]
        pause = chance.random() * 0.02
        with_signal_after(pause, running.pid)
        running.wait()
        moments.append("writing" if any(writer.poll() is None for writer in writers) else "over")
        running = reaper.start(mover, preexec_fn=hold_sigterm)
    for writer in writers:
        assert writer.wait(120) == 0
    running.terminate()
    assert running.wait(120) == 0
    os.close(keeper)

    seen = [0] * WRITERS
    for line in lines_of(path):
        text = line
        if stamped == "yes":
            assert STAMP.match(line), line
            text = line[25:]
        found = LINE.fullmatch(text)
        assert found, text
        who, number = int(found[1]), int(found[2])
        assert number == seen[who], (text, seen)
        assert len(found[3]) == number * 7 % 61
        seen[who] += 1
    assert seen == [LINES] * WRITERS
    assert moments.count("writing") >= KILLS // 2, "the kills came too late to matter"


def hold_sigterm() -> None:
    """Have it wait for the mover to be ready, whenever it comes."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})


def state_of(path: Path) -> tuple[int, int]:
    """What changes when something is moved."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return 0, 0
    return found.st_ino, found.st_size


def with_signal_after(pause: float, pid: int) -> None:
    # The random moment is the point of it.
    time.sleep(pause)
    os.kill(pid, signal.SIGKILL)
