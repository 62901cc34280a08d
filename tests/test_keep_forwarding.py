"""Logs that are sent on to the system log: by the forwarder alone, killed and started anew, and under a supervisor."""

from __future__ import annotations

import gzip
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

import observe
from kept import DEADLINE, Kept
from log_receivers import Receiver, wait_for_text
from numen.keep.forwarded import Forwarded
from numen.keep.logs import rotation
from processes import Reaper, wait_for

pytestmark = pytest.mark.once

SUPERVISOR = """
import sys
from numen.keep import forwarding_client, main
forwarding_client.PLACES.update(syslog=sys.argv[1], journal=sys.argv[2])
main.leave(main.main())
"""

LINE = re.compile(rb"<(\d+)>\w{3} [ \d]\d [\d:]{8} ([\w@.-]+)(?:\[(\d+)\])?: (.*)", re.DOTALL)


class House:
    """A directory with one log, and forwarders for it."""

    def __init__(self, directory: Path, reaper: Reaper) -> None:
        self.log, self.state = directory / "web.log", directory / "forwarded"
        self._sockets = [str(directory / "syslog"), str(directory / "journal")]
        self._reaper = reaper

    def follow(self, *targets: str, begin: tuple[int, int] = (0, 0), has_ended: bool = False) -> None:
        log = Forwarded(
            path=str(self.log),
            ident="web",
            priority=6,
            pid=7,
            targets=dict.fromkeys(targets, begin),
            has_ended=has_ended,
        )
        log.write(str(self.state), "web")

    def start(self) -> tuple[subprocess.Popen[str], socket.socket]:
        own, theirs = socket.socketpair()
        with theirs:
            argv = ["-m", "numen.keep.forwarding", str(theirs.fileno()), "-1", str(self.state), "0", *self._sockets]
            process = self._reaper.start([sys.executable, *argv], pass_fds=[theirs.fileno()])
        return process, own

    def write(self, *lines: str) -> None:
        with self.log.open("a") as file:
            file.writelines(f"{line}\n" for line in lines)


@pytest.fixture
def house(tmp_path: Path, reaper: Reaper) -> House:
    return House(tmp_path, reaper)


def compress(path: Path) -> None:
    """As the supervisor does it, that is with the inode in the header."""
    with open(f"{path}.new", "wb") as file, gzip.GzipFile(f"log.{path.stat().st_ino}", "wb", fileobj=file) as packed:
        packed.write(path.read_bytes())
    os.rename(f"{path}.new", f"{path}.gz")
    path.unlink()


def message(datagram: bytes) -> tuple[int, bytes, bytes | None, bytes]:
    """Priority with facility, tag, pid and text of what syslog was sent."""
    found = LINE.fullmatch(datagram)
    assert found is not None, datagram
    return int(found[1]), found[2], found[3], found[4]


def test_each_target_gets_each_line_with_its_priority_and_after_the_end_nothing_is_left(
    house: House, tmp_path: Path
) -> None:
    long = "x" * 300_000
    house.write("before")
    begin = house.log.stat().st_ino, house.log.stat().st_size
    house.write("one", "<3>two", "", "2026-11-24T10:11:12.345Z <9>three", long, "<0>")
    with house.log.open("a") as file:
        file.write("four")
    house.follow("syslog", "journal", begin=begin, has_ended=True)

    with Receiver(tmp_path / "syslog") as syslog, Receiver(tmp_path / "journal") as journal:
        _, connection = house.start()
        entries = [journal.receive_entry() for _ in range(5)]
        lines = [message(syslog.receive()) for _ in range(3)]
        pieces = b""
        while len(pieces) < len(long):
            pieces += message(syslog.receive())[3]
        last = message(syslog.receive())
        wait_for(lambda: os.listdir(house.state) == ["lock"], DEADLINE, "the end")
        connection.close()

    assert [(one["MESSAGE"], one["PRIORITY"]) for one in entries] == [
        (b"one", b"6"),
        (b"two", b"3"),
        (b"<9>three", b"6"),
        (long.encode(), b"6"),
        (b"four", b"6"),
    ]
    assert entries[0]["SYSLOG_IDENTIFIER"] == b"web"
    assert entries[0]["SYSLOG_PID"] == b"7"
    assert lines == [(30, b"web", b"7", b"one"), (27, b"web", b"7", b"two"), (30, b"web", b"7", b"<9>three")]
    assert pieces == long.encode()
    assert last[3] == b"four"


def test_no_line_is_lost_by_kills_rotations_and_a_target_that_goes_away(house: House, tmp_path: Path) -> None:
    rounds, each = 12, 150
    house.write("0")
    house.follow("syslog")
    seen: list[int] = []

    def receive_up_to(last: int) -> None:
        while not seen or seen[-1] != last:
            seen.append(int(message(syslog.receive())[3]))

    written = 0
    syslog = Receiver(tmp_path / "syslog")
    process, connection = house.start()
    for number in range(rounds):
        if number % 4 == 1:
            receive_up_to(written)
            syslog.close()
        for _ in range(3):
            house.write(*(str(written + one) for one in range(1, each // 3 + 1)))
            written += each // 3
            rotation.rotate(str(house.log), 100)
            if number % 3 == 2:
                compress(Path(f"{house.log}.1"))
        if number % 4 == 1:
            syslog = Receiver(tmp_path / "syslog")
        if number % 2:
            # In the midst: the receiver's queue is short, and full by now.
            process.kill()
            process.wait()
            connection.close()
            process, connection = house.start()
    house.write(str(written + 1))
    receive_up_to(written + 1)
    syslog.close()
    connection.close()
    assert process.wait(DEADLINE) == 0

    assert sorted(set(seen)) == list(range(written + 2))
    # What came twice is no more than a batch for each kill, and begins anew where that began.
    steps = [after - before for before, after in pairwise(seen)]
    assert all(step == 1 or -100 <= step <= 0 for step in steps)


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    sockets = [str(tmp_path / "syslog"), str(tmp_path / "journal")]
    one = Kept(tmp_path / "home", (sys.executable, "-P", "-c", SUPERVISOR, *sockets))
    one.open()
    yield one
    one.shut_down()


def test_under_a_supervisor_lines_go_where_the_definition_says_whoever_is_killed(kept: Kept, tmp_path: Path) -> None:
    said = tmp_path / "said"
    os.mkfifo(said)
    told = os.open(said, os.O_RDWR)
    repeat = f'exec <{said}; while read line; do echo "$line"; done'
    script = f"echo begun; echo failed >&2; {repeat}"
    log = {"to": ["syslog", "file"], "separate_stderr": True}
    pid = kept.define("web", "/bin/sh", "-c", script, log=log)
    syslog = Receiver(tmp_path / "syslog")
    first = {message(syslog.receive()) for _ in range(2)}
    assert {one[:2] + one[3:] for one in first} == {(30, b"web", b"begun"), (27, b"web", b"failed")}
    assert "logs to" in kept.numen("describe", "web")
    assert f"nobody listens at {tmp_path / 'syslog'}" in kept.log("numen")

    os.write(told, b"one\n")
    assert message(syslog.receive()) == (30, b"web", str(pid).encode(), b"one")

    (forwarder,) = [
        one
        for one in observe.children(kept.pid)
        if b"numen.keep.forwarding" in Path(f"/proc/{one}/cmdline").read_bytes()
    ]
    os.kill(forwarder, signal.SIGKILL)
    os.write(told, b"two\n")
    os.kill(kept.pid, signal.SIGKILL)
    os.write(told, b"three\n")
    wanted = {b"two", b"three"}
    while wanted:
        wanted.discard(message(syslog.receive())[3])

    with Receiver(tmp_path / "journal") as journal:
        kept.call("Stop", names=["web"])
        for target, line, text in ("file", "four", "four\n"), ("journal", "five", "four\nfive\n"):
            api = {"command": ["/bin/sh", "-c", repeat], "directory": "/", "log": {"to": [target]}}
            assert kept.call("Apply", source=str(tmp_path / "numen.toml"), definitions={"api": api})
            os.write(told, f"{line}\n".encode())
            wait_for_text(kept.log_path("api"), text.__eq__)
        assert journal.receive_entry()["MESSAGE"] == b"five"
        assert kept.status("api")["restarts"] == 0

        kept.call("Remove", names=["web"])
        # Not kept for itself, it is a small one.
        script = "echo last; head -c 5000000 /dev/zero | tr '\\0' x | fold -w 900000; exec sleep 1000"
        kept.define("web", "/bin/sh", "-c", script, log={"to": ["journal"]})
        assert journal.receive_entry()["MESSAGE"] == b"last"
        older = kept.log_path("web").with_name("web.log.1")
        wait_for(older.exists, DEADLINE, "the next file")
    os.close(told)
    syslog.close()
