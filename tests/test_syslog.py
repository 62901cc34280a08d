"""The system log as a daemon uses it: found, full, gone, back again, forked, interrupted; and a real rsyslogd."""

import errno
import itertools
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

import numen.syslog
from log_receivers import DEADLINE, Receiver, StreamReceiver, start_rsyslogd, wait_for_text
from numen.become.syslog import sockets as log_socket
from numen.become.syslog.backlog import Backlog
from numen.become.syslog.entries import Entry
from numen.errors import BadOption, Unusable
from numen.syslog import SystemLog
from processes import ROOT, Reaper

Open = Callable[..., SystemLog]

LOST = re.compile(r"\[(\d+) messages? (?:was|were) lost before this one\] ")


@pytest.fixture
def open_log(tmp_path: Path) -> Iterator[Open]:
    """Open a log named `web`, whose sockets are `journal` and `log` in tmp_path, and close it at the end."""
    opened = []

    def open_one(**options: Any) -> SystemLog:
        paths = {"journal_path": str(tmp_path / "journal"), "syslog_path": str(tmp_path / "log")}
        opened.append(SystemLog("web", **{**paths, **options}))
        return opened[-1]

    yield open_one
    for log in opened:
        log.close(patience=0)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Receiver]:
    with Receiver(tmp_path / "journal") as receiver:
        yield receiver


@pytest.fixture
def syslog(tmp_path: Path) -> Iterator[Receiver]:
    with Receiver(tmp_path / "log") as receiver:
        yield receiver


def text_of(datagram: bytes) -> str:
    """The text of a message of RFC 3164."""
    return datagram.decode().partition("]: ")[2]


def lines_of(path: Path) -> list[str]:
    """The texts of the lines of a fallback file."""
    return [line.partition("err: ")[2] for line in path.read_text().splitlines()]


def numbers_told(texts: list[str]) -> tuple[list[int], int]:
    """The numbers that messages consist of, and how many others they tell to be lost."""
    lost = sum(int(match[1]) for text in texts for match in LOST.finditer(text))
    return [int(LOST.sub("", text).split()[0]) for text in texts], lost


@contextmanager
def reading(receiver: Receiver | StreamReceiver, log: SystemLog) -> Iterator[list[str]]:
    """Read in a thread all that comes to the log; the list is complete at the end of the block."""
    texts: list[str] = []

    def read() -> None:
        if isinstance(receiver, StreamReceiver):
            receiver.accept()
        while (text := text_of(receiver.receive())) != "end":
            texts.append(text)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    yield texts
    assert log.flush(DEADLINE)
    log.send("err", "end")
    assert log.flush(DEADLINE)
    reader.join(DEADLINE)
    assert not reader.is_alive()


def drain(log: SystemLog, receiver: Receiver) -> list[str]:
    """Have the log send what it still keeps, and return what has come."""
    found = receiver.receive_all()
    while not log.flush(patience=0):
        found += receiver.receive_all()
    found += receiver.receive_all()
    return [text_of(one) for one in found]


def send_numbers(log: SystemLog, number: int, padding: int = 500) -> None:
    for count in range(number):
        log.send("err", f"{count} {'x' * padding}")


# Which log is used


def test_the_journal_is_used_where_it_is_there(open_log: Open, journal: Receiver, syslog: Receiver) -> None:
    log = open_log(facility="local0")
    assert log.using == "journal"
    log.send("warning", "two\nlines", request_id=17)
    found = journal.receive_entry()
    assert (found["MESSAGE"], found["PRIORITY"], found["SYSLOG_FACILITY"]) == (b"two\nlines", b"4", b"16")
    assert (found["SYSLOG_IDENTIFIER"], found["REQUEST_ID"]) == (b"web", b"17")
    assert syslog.receive_all() == []


def test_without_a_journal_syslog_is_used(open_log: Open, syslog: Receiver) -> None:
    log = open_log(facility="local0")
    assert log.using == "syslog"
    log.send("warning", "one\ntwo", request_id=17)
    found = [syslog.receive(), syslog.receive()]
    assert all(re.fullmatch(rb"<132>[A-Z][a-z]{2} [ \d]\d [\d:]{8} web\[\d+\]: (one|two)", one) for one in found)


def test_without_either_the_file_is_used_and_otherwise_nothing(open_log: Open, tmp_path: Path) -> None:
    assert open_log().using == "nothing"
    log = open_log(fallback=tmp_path / "file")
    assert log.using == "file"
    log.send(3, "message")
    assert re.fullmatch(rf"\S+ web\[{os.getpid()}\] err: message\n", (tmp_path / "file").read_text())


def test_the_target_can_be_chosen(open_log: Open, journal: Receiver, syslog: Receiver) -> None:
    assert open_log(target="syslog").using == "syslog"
    assert open_log(target="journal").using == "journal"
    journal.close()
    assert open_log(target="journal").using == "nothing"


def test_the_format_can_be_chosen(open_log: Open, syslog: Receiver) -> None:
    open_log(format="5424").send("err", "message")
    assert re.fullmatch(rb"<27>1 \S+ \S+ web \d+ - - message", syslog.receive())


def test_one_may_speak_for_another_process(open_log: Open, syslog: Receiver) -> None:
    open_log(pid=4711).send("err", "message")
    assert b" web[4711]: " in syslog.receive()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"ident": "two words"}, "'two words'"),
        ({"facility": "local9"}, "'local9'; it is one of user, mail, daemon"),
        ({"target": "kmsg"}, "'kmsg'; it is one of auto, journal, syslog"),
        ({"format": "rfc"}, "'rfc'; it is one of 3164, 5424"),
        ({"syslog_path": "/" + "x" * 107}, "over 107 bytes"),
    ],
)
def test_a_value_that_makes_no_sense_is_a_bad_option(options: dict[str, Any], told: str) -> None:
    with pytest.raises(BadOption, match=re.escape(told)):
        SystemLog(**{"ident": "web", **options})


def test_a_bad_priority_is_a_bad_option_and_nothing_is_sent(open_log: Open, syslog: Receiver) -> None:
    log = open_log()
    with pytest.raises(BadOption, match="'loud'; it is one of emerg"):
        log.send("loud", "message")
    assert syslog.receive_all() == []


def test_a_fallback_that_cannot_be_opened_is_told_beforehand(open_log: Open, tmp_path: Path) -> None:
    with pytest.raises(Unusable, match="missing"):
        open_log(fallback=tmp_path / "missing" / "file")


def test_fields_may_have_any_name_and_value(open_log: Open, journal: Receiver) -> None:
    open_log().send("err", "message", self=1, priority=2, message=3)
    found = journal.receive_entry()
    assert (found["SELF"], found["F_PRIORITY"], found["F_MESSAGE"]) == (b"1", b"2", b"3")
    open_log().send("err", "message", nothing=None)  # type: ignore[arg-type]
    assert journal.receive_entry()["NOTHING"] == b"None"


def test_an_entry_too_large_for_a_datagram_comes_in_a_file(open_log: Open, journal: Receiver) -> None:
    text = "large\n" * 2_000_000
    log = open_log()
    log.send("err", text)
    log.send("err", "small")
    assert journal.receive_entry()["MESSAGE"] == text.encode()
    assert journal.receive_entry()["MESSAGE"] == b"small"


def test_an_entry_that_can_never_be_sent_does_not_stop_the_others(
    open_log: Open, journal: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_content: bytes) -> int:
        raise OSError

    monkeypatch.setattr("numen.become.syslog.journal.open_as_file", refuse)
    without, with_file = open_log(), open_log(fallback=tmp_path / "file")
    for log in (without, with_file):
        log.send("err", "large" * 1_000_000)
        log.send("err", "small")
    found = [journal.receive_entry()["MESSAGE"] for _ in range(2)]
    assert found == [b"[1 message was lost before this one] small", b"small"]
    assert (tmp_path / "file").read_text().endswith("large\n")


# A log that is full


@pytest.mark.parametrize("is_stream", [False, True])
def test_a_full_log_never_blocks_and_every_message_is_accounted_for(
    open_log: Open, tmp_path: Path, is_stream: bool
) -> None:
    total = 3000
    with (StreamReceiver if is_stream else Receiver)(tmp_path / "log") as receiver:
        log = open_log()
        send_numbers(log, total)  # into a log that reads nothing: it must simply return
        with reading(receiver, log) as texts:
            assert log.flush(DEADLINE)
            log.send("err", f"{total}")
    numbers, lost = numbers_told(texts)
    assert numbers == sorted(set(numbers))
    assert numbers[-1] == total
    assert lost > 0
    assert len(numbers) + lost == total + 1


def test_what_a_full_log_has_no_room_for_goes_to_the_file(open_log: Open, syslog: Receiver, tmp_path: Path) -> None:
    total = 2000
    log = open_log(fallback=tmp_path / "file")
    send_numbers(log, total)
    assert log.using == "syslog"
    written = lines_of(tmp_path / "file")
    numbers, lost = numbers_told(drain(log, syslog) + written)
    assert written
    assert sorted(numbers) == list(range(total))
    assert lost == 0


def test_a_traceback_larger_than_the_queue_of_the_log_arrives_whole(open_log: Open, syslog: Receiver) -> None:
    lines = [f"line {number}" for number in range(1000)]
    log = open_log()
    log.send("err", "\n".join(lines))
    with reading(syslog, log) as texts:
        pass
    assert texts == lines


def test_closing_gives_a_full_log_its_time(open_log: Open, syslog: Receiver) -> None:
    lines = [f"line {number}" for number in range(1000)]
    log = open_log()
    log.send("err", "\n".join(lines))
    with reading(syslog, log) as texts:
        log.close(DEADLINE)
    assert texts == lines


def test_a_flush_ends_when_its_patience_does(open_log: Open, syslog: Receiver) -> None:
    log = open_log()
    send_numbers(log, 1000)
    began = time.monotonic()
    assert not log.flush(patience=0.1)
    assert time.monotonic() - began >= 0.1


def test_what_a_full_log_has_not_taken_at_a_close_goes_to_the_file(
    open_log: Open, syslog: Receiver, tmp_path: Path
) -> None:
    log = open_log(fallback=tmp_path / "file")
    send_numbers(log, 100)
    assert not (tmp_path / "file").read_text(), "what is kept is still the log's"
    log.close(patience=0)
    sent, _ = numbers_told([text_of(one) for one in syslog.receive_all()])
    written, _ = numbers_told(lines_of(tmp_path / "file"))
    assert sent
    assert written
    assert sent + written == list(range(100))


def test_what_is_given_up_at_a_close_is_told_by_the_next_message(open_log: Open, syslog: Receiver) -> None:
    total = 1000
    log = open_log()
    send_numbers(log, total)
    log.close(patience=0)
    texts = drain(log, syslog)
    log.send("err", f"{total}")
    numbers, lost = numbers_told(texts + drain(log, syslog))
    assert numbers[-1] == total
    assert len(numbers) + lost == total + 1


# A log that goes and comes back


def test_a_log_that_is_restarted_gets_every_message(open_log: Open, tmp_path: Path) -> None:
    log_path = tmp_path / "log"
    first = Receiver(log_path)
    log = open_log()
    log.send("err", "before")
    assert text_of(first.receive()) == "before"
    first.close()
    with Receiver(log_path) as second:
        log.send("err", "after")
        assert text_of(second.receive()) == "after"


def test_while_no_log_is_there_messages_wait_for_it(open_log: Open, tmp_path: Path) -> None:
    log = open_log()
    log.send("err", "first")
    assert log.using == "nothing"
    assert not log.flush(patience=3600), "a log that is gone must not be waited for"
    with Receiver(tmp_path / "log") as receiver:
        log.send("err", "second")
        assert log.using == "syslog"
        assert [text_of(receiver.receive()) for _ in range(2)] == ["first", "second"]
        receiver.close()
    log.send("err", "third")
    assert log.using == "nothing"
    with Receiver(tmp_path / "journal") as receiver:
        assert log.flush()
        assert log.using == "journal"
        assert receiver.receive_entry()["MESSAGE"] == b"third"


def test_what_there_is_no_room_to_keep_is_told_when_the_log_is_back(open_log: Open, tmp_path: Path) -> None:
    total = 1000
    log = open_log()
    send_numbers(log, total)
    with Receiver(tmp_path / "log") as receiver:
        texts = drain(log, receiver)
        log.send("err", f"{total}")
        texts += drain(log, receiver)
    numbers, lost = numbers_told(texts)
    assert lost > 0
    assert numbers[:-1] == list(range(total - lost)), "the oldest are kept"
    assert len(numbers) + lost == total + 1


def test_messages_go_to_the_file_until_the_log_returns(open_log: Open, tmp_path: Path) -> None:
    receiver = Receiver(tmp_path / "log")
    log = open_log(fallback=tmp_path / "file")
    log.send("err", "first")
    receiver.close()
    log.send("err", "second")
    assert log.using == "file"
    with Receiver(tmp_path / "log") as receiver:
        log.send("err", "third")
        assert log.using == "syslog"
        assert text_of(receiver.receive()) == "third"
    assert lines_of(tmp_path / "file") == ["second"]


def test_a_log_that_dies_within_an_entry_gets_all_of_it_again(open_log: Open, tmp_path: Path) -> None:
    lines = [f"line {number}" for number in range(2000)]
    first = Receiver(tmp_path / "log")
    log = open_log()
    log.send("err", "\n".join(lines))
    assert 0 < len(first.receive_all()) < len(lines)
    first.close()
    with Receiver(tmp_path / "log") as second:
        assert drain(log, second) == lines


def test_a_stream_that_breaks_within_a_message_goes_on_with_a_whole_one(open_log: Open, tmp_path: Path) -> None:
    with StreamReceiver(tmp_path / "log") as receiver:
        log = open_log()
        receiver.accept()
        text = "x" * 7000
        # Until one is cut: then there is something that waits.
        while log.flush(patience=0):
            log.send("err", text)
        receiver.drop_connection()
        assert log.flush(DEADLINE)
        receiver.accept()
        assert text_of(receiver.receive()) == text


def test_a_daemon_that_dies_of_sigpipe_otherwise_lives_on(tmp_path: Path) -> None:
    snippet = """
import signal, sys
from numen.syslog import SystemLog
signal.signal(signal.SIGPIPE, signal.SIG_DFL)
log = SystemLog("web", target="syslog", syslog_path=sys.argv[1])
print(log.using, flush=True)
sys.stdin.read()
for _ in range(3):
    log.send("err", "nobody hears it")
print(log.using)
"""
    with StreamReceiver(tmp_path / "log") as receiver:
        argv = [sys.executable, "-c", snippet, str(receiver.path)]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "syslog\n"
            receiver.accept()
            receiver.close()
            assert process.communicate(timeout=DEADLINE)[0] == "nothing\n"
        assert process.returncode == 0


def test_a_system_call_that_fails_is_never_the_daemons_error(
    open_log: Open, syslog: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = open_log(fallback=tmp_path / "file")
    for number in sorted(errno.errorcode):

        def refuse(*_: object, number: int = number) -> int:
            raise OSError(number, os.strerror(number))

        with monkeypatch.context() as patch:
            patch.setattr(socket.socket, "send", refuse)
            patch.setattr(os, "write", refuse)
            log.send("err", f"{number} failed")
    log.send("err", "0 is sent when all is well again")
    numbers, lost = numbers_told(drain(log, syslog) + lines_of(tmp_path / "file"))
    assert len(set(numbers)) == len(numbers)
    assert len(numbers) + lost == len(errno.errorcode) + 1


# Descriptors


def test_every_descriptor_that_is_held_is_told(open_log: Open, syslog: Receiver, tmp_path: Path) -> None:
    log = open_log(fallback=tmp_path / "file")
    targets = [os.readlink(f"/proc/self/fd/{descriptor}") for descriptor in log.descriptors()]
    assert targets[0].startswith("socket:")
    assert targets[1:] == [str(tmp_path / "file")]
    assert log.fileno() == log.descriptors()[0]
    log.close()
    assert log.descriptors() == ()
    assert log.fileno() == -1


def test_a_log_that_was_closed_is_opened_by_the_next_message(open_log: Open, syslog: Receiver, tmp_path: Path) -> None:
    log = open_log(fallback=tmp_path / "file")
    log.close()
    log.send("err", "message")
    assert text_of(syslog.receive()) == "message"


def test_closing_leaves_no_descriptor_open(tmp_path: Path, syslog: Receiver) -> None:
    before = os.listdir("/proc/self/fd")
    with SystemLog("web", target="syslog", syslog_path=str(syslog.path), fallback=tmp_path / "file") as log:
        log.send("err", "message")
    assert os.listdir("/proc/self/fd") == before


def test_no_log_is_written_into_a_file_that_has_got_our_number(open_log: Open, syslog: Receiver) -> None:
    log = open_log()
    number = log.fileno()
    os.close(number)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        assert number in (ours.fileno(), theirs.fileno())
        log.send("err", "message")
        assert text_of(syslog.receive()) == "message"
        log.close()
        for one in (ours, theirs):
            one.setblocking(False)
            with pytest.raises(BlockingIOError):
                one.recv(1)


# Forks, threads and signals

FORKING = """
import os, sys, threading
from numen.syslog import SystemLog
log = SystemLog("web", target="syslog", syslog_path=sys.argv[1])
{prepare}
child = os.fork()
log.send("err", "child" if child == 0 else "parent")
log.flush(patience=30)
if child == 0:
    os._exit(0)
os.waitpid(child, 0)
print(os.getpid(), child)
"""

FIRST_THE_CHILD = """
def wait():
    os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
os.register_at_fork(after_in_parent=wait)
"""

MORE_THAN_THE_QUEUE_TAKES = """
for number in range(300):
    log.send("err", f"number {number}")
os.register_at_fork(after_in_parent=lambda: print("forked", flush=True))
"""

HELD_BY_A_THREAD = """
held = threading.Event()
def hold():
    with log._lock:
        held.set()
        threading.Event().wait()
threading.Thread(target=hold, daemon=True).start()
held.wait()
"""


def run_forking(path: Path, prepare: str = "") -> tuple[int, int]:
    argv = [sys.executable, "-W", "ignore", "-c", FORKING.format(prepare=prepare), str(path)]
    done = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=DEADLINE)
    parent, child = map(int, done.stdout.split())
    return parent, child


def test_after_a_fork_each_process_signs_with_its_own_pid(syslog: Receiver) -> None:
    parent, child = run_forking(syslog.path)
    found = {syslog.receive().decode().partition(" web")[2] for _ in range(2)}
    assert found == {f"[{parent}]: parent", f"[{child}]: child"}


def test_after_a_fork_each_process_has_a_stream_of_its_own(tmp_path: Path) -> None:
    with StreamReceiver(tmp_path / "log") as receiver:
        parent, child = run_forking(receiver.path, FIRST_THE_CHILD)
        found = []
        for _ in range(2):  # the parent's was made first
            receiver.accept()
            found.append(receiver.receive().decode().partition(" web")[2])
    assert found == [f"[{parent}]: parent", f"[{child}]: child"]


def test_what_waits_at_a_fork_is_sent_by_the_parent_alone(syslog: Receiver) -> None:
    # More than the queue takes, and nobody reads before the fork; each process says when it is through.
    argv = [sys.executable, "-c", FORKING.format(prepare=MORE_THAN_THE_QUEUE_TAKES), str(syslog.path)]
    texts: list[str] = []
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "forked\n"
        while not {"child", "parent"} <= set(texts):
            texts.append(text_of(syslog.receive()))
        process.communicate(timeout=DEADLINE)
    assert [text for text in texts if text.startswith("number")] == [f"number {number}" for number in range(300)]


def test_a_fork_while_another_thread_holds_the_log_does_not_hang(syslog: Receiver) -> None:
    prepare = f"{HELD_BY_A_THREAD}\nos.register_at_fork(after_in_parent=lambda: os._exit(os.waitpid(-1, 0)[1]))"
    argv = [sys.executable, "-W", "ignore", "-c", FORKING.format(prepare=prepare), str(syslog.path)]
    assert subprocess.run(argv, check=False, timeout=DEADLINE).returncode == 0
    assert text_of(syslog.receive()) == "child"


def test_threads_may_log_at_once(open_log: Open, syslog: Receiver) -> None:
    log = open_log()

    def speak(name: int) -> None:
        for count in range(200):
            log.send("err", f"{name} {count}")
            assert log.flush(DEADLINE)

    threads = [threading.Thread(target=speak, args=(name,)) for name in range(4)]
    with reading(syslog, log) as texts:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for name in range(4):
        assert [text for text in texts if text.startswith(f"{name} ")] == [f"{name} {n}" for n in range(200)]
    assert len(texts) == 800


@pytest.fixture
def interrupt(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Callable[[], None]], None]]:
    """Have a signal handler run within the next attempt to transmit something."""
    previous = signal.getsignal(signal.SIGUSR1)

    def arrange(act: Callable[[], None]) -> None:
        transmit = log_socket.LogSocket.transmit

        def interrupted(connection: log_socket.LogSocket, piece: bytes) -> int:
            monkeypatch.setattr(log_socket.LogSocket, "transmit", transmit)
            signal.raise_signal(signal.SIGUSR1)
            return connection.transmit(piece)

        signal.signal(signal.SIGUSR1, lambda *_: act())
        monkeypatch.setattr(log_socket.LogSocket, "transmit", interrupted)

    yield arrange
    signal.signal(signal.SIGUSR1, previous)


def test_a_signal_handler_may_log_within_a_send(
    open_log: Open, syslog: Receiver, interrupt: Callable[[Callable[[], None]], None]
) -> None:
    log = open_log()
    interrupt(lambda: log.send("err", "in the handler"))
    log.send("err", "one\ntwo")
    assert [text_of(syslog.receive()) for _ in range(3)] == ["one", "two", "in the handler"]
    assert log.flush(patience=0)


def test_a_signal_handler_may_flush_and_close_within_a_send(
    open_log: Open, syslog: Receiver, interrupt: Callable[[Callable[[], None]], None]
) -> None:
    log = open_log()
    interrupt(lambda: log.close(patience=3600))
    log.send("err", "message")
    log.send("err", "afterwards")
    assert text_of(syslog.receive()).endswith("message")
    assert text_of(syslog.receive()).endswith("afterwards")


def test_a_signal_handler_that_raises_leaves_a_log_that_works(
    open_log: Open, syslog: Receiver, interrupt: Callable[[Callable[[], None]], None]
) -> None:
    def stop() -> None:
        raise SystemExit

    log = open_log()
    interrupt(stop)
    with pytest.raises(SystemExit):
        log.send("err", "interrupted")
    log.send("err", "afterwards")
    assert [text_of(syslog.receive()) for _ in range(2)] == ["interrupted", "afterwards"]


def test_a_signal_handler_may_log_when_a_send_has_just_found_nothing_more(
    open_log: Open, syslog: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = open_log()
    find_first = Backlog.first.fget  # type: ignore[attr-defined]

    def find_first_and_be_interrupted(backlog: Backlog) -> Entry | None:
        found: Entry | None = find_first(backlog)
        if found is None and log._is_advancing:
            monkeypatch.undo()
            log.send("err", "in the handler")
        return found

    monkeypatch.setattr(Backlog, "first", property(find_first_and_be_interrupted))
    log.send("err", "message")
    assert [text_of(syslog.receive()) for _ in range(2)] == ["message", "in the handler"]


def test_signals_at_any_moment_lose_nothing_and_repeat_nothing(open_log: Open, syslog: Receiver) -> None:
    log = open_log()
    plain, handled = itertools.count(), itertools.count()
    previous = signal.signal(signal.SIGALRM, lambda *_: log.send("err", f"handler {next(handled)}"))
    with reading(syslog, log) as texts:
        signal.setitimer(signal.ITIMER_REAL, 0.0001, 0.0001)
        try:
            for number in itertools.islice(plain, 3000):
                log.send("err", f"plain {number}")
                log.flush(DEADLINE)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, previous)
    for kind, count in (("plain", next(plain)), ("handler", next(handled))):
        assert count > 0
        assert sorted(text for text in texts if text.startswith(kind)) == sorted(
            f"{kind} {number}" for number in range(count)
        )


# What it costs to import


def test_the_log_is_had_without_logging_and_other_heavy_imports() -> None:
    snippet = """
import sys
before = set(sys.modules)
import numen.syslog, numen.become.syslog.system_log
print(*set(sys.modules) - before)
numen.syslog.Handler
print("logging" in sys.modules)
"""
    argv = [sys.executable, "-c", snippet]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=DEADLINE)
    imported, with_handler = done.stdout.splitlines()
    heavy = {"logging", "typing", "dataclasses", "re", "contextlib", "socket", "threading", "traceback"}
    assert heavy & set(imported.split()) == set()
    assert with_handler == "True"


def test_the_public_door_has_all_its_names() -> None:
    assert dir(numen.syslog) == sorted(numen.syslog.__all__)
    assert all(getattr(numen.syslog, name) is not None for name in numen.syslog.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Handle'"):
        numen.syslog.Handle  # noqa: B018


# A real rsyslogd

FAILING_DAEMON = """
import logging, sys, threading
import numen.syslog
numen.syslog.install("web", {facility!r}, target="syslog", syslog_path=sys.argv[1])
logging.getLogger("web.requests").error("request %d failed", 17)
def serve():
    raise ValueError("the thread's")
thread = threading.Thread(target=serve, name="server")
thread.start()
thread.join()
raise RuntimeError("the program's")
"""


def run_failing_daemon(path: Path, facility: str = "daemon") -> int:
    argv = [sys.executable, "-c", FAILING_DAEMON.format(facility=facility), str(path)]
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) as process:
        _, errors = process.communicate(timeout=DEADLINE)
    assert process.returncode == 1
    assert "the program's" in errors
    return process.pid


@pytest.mark.needs_package("rsyslog", command="rsyslogd")
def test_errors_arrive_in_the_file_that_rsyslogs_configuration_names(tmp_path: Path, reaper: Reaper) -> None:
    path = start_rsyslogd(tmp_path, f"daemon.* {tmp_path}/daemon.log\nlocal0.* {tmp_path}/local0.log\n", reaper)
    pid = run_failing_daemon(path)
    written = wait_for_text(tmp_path / "daemon.log", lambda text: "RuntimeError: the program's" in text)

    texts = [line.partition(f" web[{pid}]: ")[2] for line in written.splitlines()]
    assert texts[0] == "request 17 failed"
    assert "uncaught exception in thread server" in texts
    assert "ValueError: the thread's" in texts
    assert texts[-1] == "RuntimeError: the program's"
    assert texts.count("Traceback (most recent call last):") == 2
    assert all(texts), f"each line has ident and pid: {written}"
    assert not (tmp_path / "local0.log").exists()


@pytest.mark.needs_package("rsyslog", command="rsyslogd")
def test_the_example_of_the_guide_puts_errors_in_a_file_of_their_own(tmp_path: Path, reaper: Reaper) -> None:
    page = (ROOT / "docs/guide/system-log.md").read_text()
    (example,) = re.findall(r"```rsyslog\n(.*?)```", page, re.DOTALL)
    assert example.count('"/var/log/web.err"') == 1
    configuration = example.replace("/var/log/web.err", f"{tmp_path}/web.err") + f"*.* {tmp_path}/rest\n"
    path = start_rsyslogd(tmp_path, configuration, reaper)
    with SystemLog("other", target="syslog", syslog_path=str(path)) as other:
        other.send("err", "of another program")
    run_failing_daemon(path)
    with SystemLog("web", target="syslog", syslog_path=str(path)) as log:
        log.send("info", "no error")

    rest = wait_for_text(tmp_path / "rest", lambda text: "no error" in text)
    written = wait_for_text(tmp_path / "web.err", lambda text: "RuntimeError: the program's" in text)
    assert "request 17 failed" in written
    assert "ValueError: the thread's" in written
    assert "of another program" in rest
    assert "of another program" not in written
    assert "no error" not in written


EXAMPLES = r"""
import logging, pathlib, re, sys
from numen.become.syslog import sockets as log_socket, system_log as syslog
page, path = sys.argv[1:]
connect = log_socket.connect
log_socket.connect = lambda kind, _: connect("syslog", path)
syslog._open_file = lambda _: None
names = {"logging": logging}
for example in re.findall(r"```python\n(.*?)```", pathlib.Path(page).read_text(), re.DOTALL):
    exec(example, names)
"""


def test_the_examples_of_the_guide_run(syslog: Receiver) -> None:
    argv = [sys.executable, "-c", EXAMPLES, str(ROOT / "docs/guide/system-log.md"), str(syslog.path)]
    subprocess.run(argv, check=True, timeout=DEADLINE)
    texts = {text_of(one) for one in syslog.receive_all()}
    assert texts == {"request failed", "cannot reach the database"}


@pytest.mark.needs_package("rsyslog", command="rsyslogd")
def test_rsyslog_reads_all_parts_of_rfc_5424(tmp_path: Path, reaper: Reaper) -> None:
    template = (
        '"%app-name%|%procid%|%syslogfacility-text%|%syslogseverity-text%|%timereported:::date-rfc3339%|%msg%\\n"'
    )
    configuration = (
        f'template(name="parts" type="string" string={template})\n'
        f'action(type="omfile" file="{tmp_path}/parts" template="parts")\n'
    )
    path = start_rsyslogd(tmp_path, configuration, reaper, input_options='useSpecialParser="off" parseHostname="on"')
    before = time.time()
    with SystemLog("web", "local3", target="syslog", format="5424", syslog_path=str(path)) as log:
        log.send("warning", "größer als 1")
    written = wait_for_text(tmp_path / "parts", lambda text: text.endswith("\n"))
    ident, pid, facility, severity, when, text = written.rstrip("\n").split("|")
    assert (ident, pid, facility, severity) == ("web", str(os.getpid()), "local3", "warning")
    assert text == "größer als 1"
    assert abs(datetime.fromisoformat(when).timestamp() - before) < 60


@pytest.mark.needs_package("rsyslog", command="rsyslogd")
def test_a_restarted_rsyslogd_misses_nothing(tmp_path: Path, reaper: Reaper) -> None:
    configuration = f"*.* {tmp_path}/all\n"
    path = start_rsyslogd(tmp_path, configuration, reaper)
    with SystemLog("web", target="syslog", syslog_path=str(path)) as log:
        log.send("err", "before")
        wait_for_text(tmp_path / "all", lambda text: "before" in text)
        reaper.end_all()
        log.send("err", "while it is away")
        start_rsyslogd(tmp_path, configuration, reaper)
        log.send("err", "after")
        written = wait_for_text(tmp_path / "all", lambda text: "after" in text)
    assert [line.rpartition(": ")[2] for line in written.splitlines()] == ["before", "while it is away", "after"]
