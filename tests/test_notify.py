"""sd_notify(3), both sides of it: a daemon that tells how it is, and the launcher that listens."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import observe
from daemons import run_script
from numen import notify
from numen.become import notify as client
from numen.become.listener import (
    DESCRIPTORS_LIMIT,
    MESSAGE_LIMIT,
    Listener,
    Notification,
    parse_assignments,
)
from processes import unprivileged


class Receiver:
    """A service manager's socket, at an address of any kind."""

    def __init__(self, address: str | bytes) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.settimeout(30)

    def hear(self) -> list[str]:
        """The lines of the next message."""
        return self.socket.recv(65536).decode(errors="surrogateescape").split("\n")

    def hear_with_descriptors(self) -> tuple[list[str], list[int]]:
        """The lines of the next message, and what came along."""
        data, descriptors, _, _ = socket.recv_fds(self.socket, 65536, 300)
        return data.decode().split("\n"), descriptors


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    receiver = Receiver(str(tmp_path / "notify"))
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    with receiver.socket:
        yield receiver


@pytest.fixture
def listener() -> Iterator[Listener]:
    with closing(Listener()) as listener:
        yield listener


def open_descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


# The daemon's side


@pytest.mark.parametrize(
    ("say", "lines"),
    [
        (lambda: notify.ready(), ["READY=1"]),
        (lambda: notify.ready("listening"), ["READY=1", "STATUS=listening"]),
        (lambda: notify.status("two\nlines"), ["STATUS=two lines"]),
        (lambda: notify.stopping(), ["STOPPING=1"]),
        (lambda: notify.stopping("bye"), ["STOPPING=1", "STATUS=bye"]),
        (lambda: notify.failed(13, "no key"), ["ERRNO=13", "STATUS=no key"]),
        (lambda: notify.main_pid(123), ["MAINPID=123"]),
        (lambda: notify.extend_timeout(1.5), ["EXTEND_TIMEOUT_USEC=1500000"]),
        (lambda: notify.watchdog(), ["WATCHDOG=1"]),
        (lambda: notify.remove_stored_descriptors("web"), ["FDSTOREREMOVE=1", "FDNAME=web"]),
        (lambda: notify.notify("X_MINE=1", "STATUS=gr\udcfcn"), ["X_MINE=1", "STATUS=gr\udcfcn"]),
    ],
)
def test_each_word_is_one_message(manager: Receiver, say: Callable[[], bool], lines: list[str]) -> None:
    assert say()
    assert manager.hear() == lines


def test_a_reload_is_told_with_the_time_at_which_it_began(manager: Receiver) -> None:
    before = time.monotonic_ns() // 1000
    assert notify.reloading()
    reloading, stamp = manager.hear()
    assert reloading == "RELOADING=1"
    assert before <= int(stamp.removeprefix("MONOTONIC_USEC=")) <= time.monotonic_ns() // 1000


def test_nothing_is_sent_where_nobody_wants_to_know() -> None:
    before = open_descriptors()
    assert not notify.ready()
    assert not notify.status("x")
    assert not notify.barrier(timeout=30)
    assert not notify.store_descriptors([0])
    assert open_descriptors() == before


@pytest.mark.parametrize(
    "address",
    [
        *("", "relative", "/nowhere/at/all", "@", "@nobody/listens", "tcp:1:2", "/a\udcff", "/" + "x" * 200),
        *("@" + "x" * 200, "vsock:1", "vsock:a:b", "vsock:1:2:3", "vsock:99999999999999999999:1", "vsock:-1:1"),
    ],
)
def test_an_address_of_nobody_is_no_error(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    before = open_descriptors()
    assert not notify.ready()
    assert not notify.barrier(timeout=30)
    assert open_descriptors() == before


def test_a_receiver_that_is_gone_is_no_error(manager: Receiver) -> None:
    manager.socket.close()
    assert not notify.ready()


def test_a_receiver_that_does_not_read_is_given_up(manager: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "SEND_TIMEOUT", 0.01)
    deadline = time.monotonic() + 30
    while notify.status("x" * 10000):
        assert time.monotonic() < deadline


def test_an_abstract_address_is_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"numen-tests/{os.getpid()}/@/notify"
    receiver = Receiver(b"\0" + name.encode())
    with receiver.socket:
        monkeypatch.setenv("NOTIFY_SOCKET", "@" + name)
        assert notify.ready()
        assert receiver.hear() == ["READY=1"]


def test_children_do_not_notify_where_the_variable_is_unset(manager: Receiver) -> None:
    assert notify.notify("READY=1", unset=True)
    assert manager.hear() == ["READY=1"]
    assert "NOTIFY_SOCKET" not in os.environ
    assert not notify.ready()


def test_descriptors_are_given_to_be_stored(manager: Receiver, tmp_path: Path) -> None:
    with (tmp_path / "a").open("w") as first, (tmp_path / "b").open("w") as second:
        assert notify.store_descriptors([first.fileno(), second.fileno()], name="files")
        lines, descriptors = manager.hear_with_descriptors()
        assert lines == ["FDSTORE=1", "FDNAME=files"]
        for ours, theirs in zip((first, second), descriptors, strict=True):
            assert os.path.sameopenfile(ours.fileno(), theirs)
            os.close(theirs)


def test_a_barrier_waits_until_all_before_it_has_been_read(manager: Receiver) -> None:
    read: list[list[str]] = []

    def receive() -> None:
        for _ in range(3):
            lines, descriptors = manager.hear_with_descriptors()
            read.append(lines)
            for descriptor in descriptors:
                os.close(descriptor)

    notify.status("one")
    notify.status("two")
    thread = threading.Thread(target=receive)
    thread.start()
    assert notify.barrier(timeout=30)
    assert read == [["STATUS=one"], ["STATUS=two"], ["BARRIER=1"]]
    thread.join()


def test_a_barrier_that_nobody_reads_is_over_in_time(manager: Receiver) -> None:
    before = open_descriptors()
    assert not notify.barrier(timeout=0.01)
    assert open_descriptors() == before


@pytest.mark.parametrize(
    ("variables", "interval"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "3000000"}, 3.0),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": str(os.getpid())}, 0.5),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "-5"}, None),
        ({"WATCHDOG_PID": str(os.getpid())}, None),
    ],
)
def test_the_watchdogs_interval_is_told_to_whom_it_is_meant_for(
    variables: dict[str, str], interval: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert notify.watchdog_interval() == interval


# A virtual machine's host


@pytest.mark.parametrize(
    ("address", "kinds", "target"),
    [
        ("vsock:2:1234", ["SOCK_DGRAM", "SOCK_SEQPACKET", "SOCK_STREAM"], (2, 1234)),
        ("vsock-stream:2:1234", ["SOCK_STREAM"], (2, 1234)),
        ("vsock-seqpacket:1:5", ["SOCK_SEQPACKET"], (1, 5)),
        ("vsock-dgram:4294967295:5", ["SOCK_DGRAM"], (4294967295, 5)),
    ],
)
def test_a_vsock_address_names_kind_host_and_port(address: str, kinds: list[str], target: tuple[int, int]) -> None:
    candidates = list(client._candidates(address))
    assert [(family, socket.SocketKind(kind).name, where) for family, kind, where in candidates] == [
        (socket.AF_VSOCK, kind, target) for kind in kinds
    ]


@pytest.mark.parametrize("address", ["vsock", "vsock:1", "vsock:1:2:3", "vsock:a:2", "vsock-raw:1:2", "udp:1:2"])
def test_what_is_no_vsock_address_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        client._connect(address)


def vsock_loopback() -> socket.socket | None:
    """A socket that listens where this machine reaches itself by vsock; None where it has no such way."""
    with suppress(OSError):
        listening = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
        with suppress(OSError), socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as probe:
            listening.bind((socket.VMADDR_CID_ANY, socket.VMADDR_PORT_ANY))
            listening.listen()
            probe.settimeout(0.2)
            probe.connect((1, listening.getsockname()[1]))
            listening.accept()[0].close()
            return listening
        listening.close()
    return None


def test_over_vsock_a_stream_is_taken_where_there_are_no_datagrams(monkeypatch: pytest.MonkeyPatch) -> None:
    listening = vsock_loopback()
    if listening is None:
        # Then a stream of another family stands in for it; a datagram by vsock is refused first all the same.
        listening = socket.create_server(("127.0.0.1", 0))
        tried = [
            (socket.AF_VSOCK, socket.SOCK_DGRAM, (1, 1)),
            (socket.AF_INET, socket.SOCK_STREAM, listening.getsockname()),
        ]
        monkeypatch.setattr(client, "_candidates", lambda _address: tried)
    monkeypatch.setenv("NOTIFY_SOCKET", f"vsock:1:{listening.getsockname()[1]}")
    with listening:
        assert notify.ready("over vsock")
        monkeypatch.undo()
        connection, _ = listening.accept()
        with connection, connection.makefile() as stream:
            assert stream.read() == "READY=1\nSTATUS=over vsock"


# The launcher's side


def send(listener: Listener, data: bytes, descriptors: list[int] | None = None) -> None:
    """Send a datagram to the listener, with descriptors if there are any."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.connect("\0" + listener.address[1:])
        if descriptors:
            socket.send_fds(sender, [data], descriptors)
        else:
            sender.send(data)


def test_what_was_sent_is_heard_with_the_senders_credentials(listener: Listener) -> None:
    send(listener, b"READY=1\nSTATUS=a=b\nREADY=0\nnothing\n=nameless\n")
    heard = listener.receive()
    assert heard == Notification(
        assignments={"READY": "0", "STATUS": "a=b"}, pid=os.getpid(), uid=os.getuid(), descriptors=()
    )
    assert listener.receive() is None


@pytest.mark.needs_root
def test_the_credentials_are_those_that_the_kernel_knows(listener: Listener, tmp_path: Path) -> None:
    nobody = unprivileged()
    script = "import os, sys; from numen import notify; print(notify.ready(), os.getpid())"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "NOTIFY_SOCKET": listener.address, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.startswith("True "), done.stderr
    heard = listener.receive()
    assert heard is not None
    assert (heard.pid, heard.uid) == (int(done.stdout.split()[1]), 0)

    child = os.fork()
    if not child:
        os.setresuid(nobody.uid, nobody.uid, nobody.uid)
        send(listener, b"READY=1")
        os._exit(0)
    os.waitpid(child, 0)
    heard = listener.receive()
    assert heard is not None
    assert (heard.pid, heard.uid) == (child, nobody.uid)


def test_descriptors_that_come_along_are_closed_with_the_message(listener: Listener) -> None:
    reader, writer = os.pipe()
    before = open_descriptors()
    send(listener, b"BARRIER=1", [writer, writer])
    os.close(writer)
    heard = listener.receive()
    assert heard is not None
    assert len(heard.descriptors) == 2
    assert all(observe.look(os.getpid()).descriptors[one].cloexec for one in heard.descriptors)
    heard.close()
    assert os.read(reader, 1) == b"", "the barrier is over"
    os.close(reader)
    assert len(open_descriptors()) == len(before) - 2


def test_no_descriptor_is_left_of_a_message_with_more_than_are_wanted(listener: Listener) -> None:
    before = open_descriptors()
    send(listener, b"READY=1", [0] * DESCRIPTORS_LIMIT)
    heard = listener.receive()
    assert heard is not None
    assert len(heard.descriptors) == DESCRIPTORS_LIMIT
    heard.close()
    assert open_descriptors() == before


def test_no_descriptor_is_left_where_there_is_no_room_for_all(tmp_path: Path) -> None:
    script = """
        import resource, socket
        from numen.become.listener import Listener
        listener = Listener()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.connect("\\0" + listener.address[1:])
            socket.send_fds(sender, [b"READY=1"], [0] * 100)
            sender.send(b"STATUS=after")
        before = os.listdir("/proc/self/fd")
        resource.setrlimit(resource.RLIMIT_NOFILE, (20, 20))
        print(listener.receive(), listener.receive().assignments)
        resource.setrlimit(resource.RLIMIT_NOFILE, (20, 20))
        print(os.listdir("/proc/self/fd") == before)
    """
    done = run_script(tmp_path, script)
    assert done.stdout == "None {'STATUS': 'after'}\nTrue\n", done.stderr


def test_a_message_that_is_too_long_is_none(listener: Listener) -> None:
    send(listener, b"READY=1\n" + b"x" * MESSAGE_LIMIT, [0])
    before = open_descriptors()
    assert listener.receive() is None
    assert open_descriptors() == before
    send(listener, b"READY=1")
    assert listener.receive() is not None


def test_an_empty_message_says_nothing(listener: Listener) -> None:
    send(listener, b"")
    heard = listener.receive()
    assert heard is None or heard.assignments == {}
    send(listener, b"", [0])
    before = open_descriptors()
    if (heard := listener.receive()) is not None:
        heard.close()
    assert open_descriptors() == before


def test_the_address_leads_there_from_a_new_root_too(listener: Listener) -> None:
    assert listener.address.startswith("@")
    with closing(Listener()) as another:
        assert another.address != listener.address


@pytest.fixture(scope="module")
def patient_listener() -> Iterator[Listener]:
    with closing(Listener()) as listener:
        yield listener


@pytest.mark.fuzz
@given(data=st.one_of(st.binary(max_size=200), st.binary(max_size=20).map(lambda part: part * 3000)))
def test_no_datagram_of_any_size_and_content_makes_trouble(patient_listener: Listener, data: bytes) -> None:
    send(patient_listener, data)
    heard = patient_listener.receive()
    if heard is not None:
        assert heard.pid == os.getpid()
        for name in heard.assignments:
            heard.number(name)


@pytest.mark.fuzz
@given(st.binary())
def test_every_assignment_is_one_line_of_the_message(data: bytes) -> None:
    for name, value in parse_assignments(data).items():
        assert name
        assert "\n" not in name + value
        assert "=" not in name


@pytest.mark.parametrize(
    ("value", "number"),
    [("15", 15), ("0", 0), ("", None), ("-1", None), ("1.5", None), ("²", None), ("\uff11", None), ("9" * 30, None)],
)
def test_a_number_is_a_whole_one_of_plain_digits(value: str, number: int | None) -> None:
    assert Notification(assignments={"X": value}, pid=1, uid=0, descriptors=()).number("X") == number


def test_a_number_that_is_missing_is_none() -> None:
    assert Notification(assignments={}, pid=1, uid=0, descriptors=()).number("X") is None
