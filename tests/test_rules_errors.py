"""Step 7: what the rules say of where messages go."""

import os

import pytest

from numen.check.facts import Service
from numen.check.rules.errors import errors_arrive, log_in_place, log_room
from numen.check.verdict import FAULT, NOT_APPLICABLE, OK, UNKNOWN, WARNING
from numen.kernel.opened import Descriptor
from rule_facts import DISK, descriptor, file_system, log, opened, pipe, proper, read_end, socket, write_end

UNSEEN: dict[str, object] = {"descriptors": None}
QUIET = (descriptor(1, "/dev/null"), descriptor(2, "/dev/null"))
SHARED_MEMORY = os.makedev(0, 25)


def having(*changed: Descriptor, without: tuple[int, ...] = (), **changes: object) -> dict[str, object]:
    return {"descriptors": opened(*changed, without=without), **changes}


def connected(peer: str, number: int = 5, *streams: Descriptor, **changes: object) -> dict[str, object]:
    to = socket(66, "unix", peer=peer, is_listening=False, is_stream=False).replace(**changes)
    return having(*streams, descriptor(number, "socket:[66]"), sockets={66: to})


@pytest.mark.parametrize(
    ("changes", "verdict", "words"),
    [
        ({}, OK, "they go to /var/log/exampled.log"),
        (UNSEEN, UNKNOWN, "may not be seen"),
        # Descriptor 2 itself leads somewhere
        (having(descriptor(2, "/dev/kmsg", mode=0o020644, flags=os.O_WRONLY)), OK, "they go to /dev/kmsg"),
        (having(descriptor(2, "/run/log.fifo", mode=0o010600, flags=os.O_RDWR)), OK, "the FIFO /run/log.fifo"),
        (having(descriptor(2, "/run/log.fifo", mode=0o010600, flags=os.O_WRONLY)), UNKNOWN, "who reads from it"),
        (having(descriptor(2, "/etc/motd")), FAULT, "not open for writing"),
        (having(descriptor(2, "/dev/pts/3")), NOT_APPLICABLE, "no-terminal-open"),
        (having(log(2, "/var/log/x.log (deleted)")), NOT_APPLICABLE, "log-in-place"),
        (having(descriptor(2, "anon_inode:[eventfd]")), UNKNOWN, "anon_inode"),
        (having(log(2, "/memfd:x (deleted)")), UNKNOWN, "memfd"),
        (having(log(2, "/somewhere", mode=0)), UNKNOWN, "/somewhere"),
        # a pipe
        (having(write_end(2, 77), pipes={77: pipe(readers=(900,))}), OK, "pid 900 reads"),
        (having(write_end(2, 77), read_end(5, 77), pipes={77: pipe()}), OK, "reads them itself"),
        (having(write_end(2, 77), pipes={77: pipe(writers=(900,))}), FAULT, "nobody reads"),
        (having(write_end(2, 77), pipes={77: pipe(is_complete=False)}), UNKNOWN, "may not be seen"),
        (having(write_end(2, 77), pipes={77: pipe()}, keeper=Service(kind="container")), UNKNOWN, "may not be seen"),
        (having(write_end(2, 77)), UNKNOWN, "may not be seen"),
        # a socket
        (connected("/run/systemd/journal/stdout", 2, is_stream=True), OK, "the journal (/run/systemd/journal/stdout)"),
        (connected("/dev/log", 2), OK, "the system log (/dev/log)"),
        (connected("/run/collector", 2), OK, "a unix socket (/run/collector)"),
        (having(descriptor(2, "socket:[66]"), sockets={66: socket(66)}), OK, "a tcp socket"),
        (having(descriptor(2, "socket:[66]")), UNKNOWN, "a socket, and who is behind it is not told"),
        # Descriptor 2 leads nowhere, and another one is a log or is none
        (having(*QUIET), WARNING, "descriptor 2 is /dev/null, and it has no log open"),
        (having(without=(1, 2)), FAULT, "descriptor 2 is closed, and it has no log open"),
        (having(QUIET[1]), OK, "it logs to /var/log/exampled.log"),
        (having(*QUIET, log(4, "/srv/app/log")), OK, "it logs to /srv/app/log"),
        (having(*QUIET, log(4, "/srv/data.aof")), UNKNOWN, "whether /srv/data.aof"),
        (having(log(4, "/srv/app/log"), without=(2,)), OK, "closed, and it logs to /"),
        (having(*QUIET, descriptor(4, "/srv/x.log", flags=os.O_WRONLY)), OK, "it logs to /srv/x.log"),
        (having(*QUIET, descriptor(4, "/srv/x.log")), WARNING, "no log open"),
        (having(*QUIET, descriptor(4, "/srv/x.db", flags=os.O_RDWR)), WARNING, "no log open"),
        (connected("/dev/log", 5, *QUIET), OK, "it logs to the system log (/dev/log)"),
        (connected("/var/spool/jail/dev/log", 5, *QUIET), OK, "the system log"),
        (connected("/run/systemd/journal/dev-log", 5, *QUIET), OK, "the journal"),
        (connected("/run/dbus/socket", 5, *QUIET, is_stream=True), WARNING, "no log open"),
        (connected("", 5, *QUIET), UNKNOWN, "cannot be told"),
        (connected("", 5, *QUIET, address="/run/own"), WARNING, "no log open"),
        (having(*QUIET, descriptor(5, "socket:[66]"), sockets={66: socket(66, "udp")}), WARNING, "no log open"),
        (having(*QUIET, descriptor(5, "socket:[66]")), WARNING, "no log open"),
    ],
)
def test_errors_arrive_somewhere(changes: dict[str, object], verdict: str, words: str) -> None:
    said = errors_arrive(proper(**changes))

    assert said.verdict == verdict
    assert words in said.evidence


FULL = {DISK: file_system(free=20 << 20)}
IN_MEMORY = {SHARED_MEMORY: file_system(point="/run", kind="tmpfs"), DISK: file_system()}


@pytest.mark.parametrize(
    ("changes", "verdict", "words"),
    [
        ({}, OK, "/var/log/exampled.log on / (ext4)"),
        ({"file_systems": FULL}, FAULT, "/var/log/exampled.log is on / (ext4), where 20971520 of"),
        ({"file_systems": {DISK: file_system(size=0, free=0)}}, OK, "ext4"),
        ({"file_systems": {DISK: file_system(size=900 << 40, free=2 << 40)}}, OK, "ext4"),
        ({"file_systems": {}}, UNKNOWN, "cannot be told"),
        (having(log(4, "/run/x.log", device=SHARED_MEMORY), file_systems=IN_MEMORY), WARNING, "/run (tmpfs)"),
        (having(log(4, "/run/x.log", device=SHARED_MEMORY), file_systems={**IN_MEMORY, **FULL}), FAULT, "free"),
        (
            having(descriptor(4, "/run/x.db", flags=os.O_RDWR, device=SHARED_MEMORY), file_systems=IN_MEMORY),
            OK,
            "/var/log/exampled.log on /",
        ),
        (having(*QUIET), NOT_APPLICABLE, "no log file"),
        (having(*QUIET, descriptor(4, "/srv/x.db", flags=os.O_RDWR), file_systems=FULL), NOT_APPLICABLE, "no log"),
        (having(*QUIET, log(4, "/memfd:x (deleted)")), NOT_APPLICABLE, "no log"),
        (UNSEEN, UNKNOWN, "may not be seen"),
    ],
)
def test_there_is_room_for_the_log(changes: dict[str, object], verdict: str, words: str) -> None:
    said = log_room(proper(**changes))

    assert said.verdict == verdict
    assert words in said.evidence


@pytest.mark.parametrize(
    ("changes", "verdict", "words"),
    [
        ({}, OK, "/var/log/exampled.log"),
        (
            having(log(2, "/var/log/x.log (deleted)", size=12)),
            FAULT,
            "/var/log/x.log, open as descriptor 2, is deleted",
        ),
        (having(log(2, "/tmp/out (deleted)")), FAULT, "/tmp/out"),
        (having(log(4, "/srv/messages (deleted)", size=12)), FAULT, "12 bytes"),
        (having(descriptor(4, "/tmp/x.log (deleted)", flags=os.O_WRONLY)), FAULT, "/tmp/x.log"),
        (having(log(4, "/tmp/tmp123 (deleted)")), OK, "/tmp/tmp123"),
        (having(descriptor(4, "/srv/x.db (deleted)", flags=os.O_RDWR)), OK, "/var/log/exampled.log"),
        (having(*QUIET), NOT_APPLICABLE, "no log file"),
        (UNSEEN, UNKNOWN, "may not be seen"),
    ],
)
def test_the_log_is_in_its_place(changes: dict[str, object], verdict: str, words: str) -> None:
    said = log_in_place(proper(**changes))

    assert said.verdict == verdict
    assert words in said.evidence
