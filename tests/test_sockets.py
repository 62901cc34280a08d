"""What is read of the sockets of a network namespace."""

import os
import socket
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import recorded_proc
from numen.kernel import sockets
from processes import Reaper

PATHS = st.binary(min_size=1, max_size=100).filter(lambda path: not set(path) & set(b"\0\n") and path == path.strip())


def inode(one: socket.socket) -> int:
    return os.fstat(one.fileno()).st_ino


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as one:
            one.bind(("::1", 0))
    except OSError:
        return False
    return True


def test_a_listening_socket_is_found_with_its_address_and_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        found = sockets.sockets()[inode(server)]

        assert (found.family, found.address, found.port) == ("tcp", *server.getsockname())
        assert (found.is_listening, found.is_stream, found.is_of_network) == (True, True, True)
        assert not found.listens_on_all_addresses


def test_one_that_takes_what_comes_to_any_address_is_told() -> None:
    with socket.create_server(("", 0)) as server:
        found = sockets.sockets()[inode(server)]

        assert found.listens_on_all_addresses
        assert found.port == server.getsockname()[1]


def test_a_connection_does_not_listen() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as client,
        server.accept()[0] as accepted,
    ):
        everybody = sockets.sockets()

        assert [everybody[inode(one)].is_listening for one in (server, client, accepted)] == [True, False, False]
        assert everybody[inode(client)].port == client.getsockname()[1]


def test_a_datagram_socket_listens_until_it_is_connected() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        found = sockets.sockets()[inode(one)]
        assert (found.family, found.port) == ("udp", one.getsockname()[1])
        assert (found.is_listening, found.is_stream) == (True, False)

        one.connect(("127.0.0.1", 9))
        assert not sockets.sockets()[inode(one)].is_listening


def test_an_address_of_the_newer_kind_is_read() -> None:
    if not has_ipv6():
        return  # the recorded text says the same
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
        found = sockets.sockets()[inode(server)]

        assert (found.family, found.address, found.port) == ("tcp6", "::1", server.getsockname()[1])


def test_unix_sockets_are_told_by_their_paths(tmp_path: Path) -> None:
    path = str(tmp_path / "socket with blanks")
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as nameless:
        server.bind(path)
        assert not sockets.sockets()[inode(server)].is_listening
        server.listen()
        everybody = sockets.sockets()

        found = everybody[inode(server)]
        assert (found.family, found.address, found.port) == ("unix", path, 0)
        assert (found.is_listening, found.is_stream, found.is_of_network) == (True, True, False)
        assert (everybody[inode(nameless)].address, everybody[inode(nameless)].is_listening) == ("", False)


def test_a_datagram_socket_with_a_name_takes_what_anybody_sends(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.bind(str(tmp_path / "log"))
        found = sockets.sockets()[inode(log)]

        assert (found.is_listening, found.is_stream) == (True, False)


def test_an_abstract_name_begins_with_an_at(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"\0{tmp_path}/abstract")

        assert sockets.sockets()[inode(server)].address == f"@{tmp_path}/abstract"


def test_a_connected_unix_socket_tells_whose_it_is(tmp_path: Path) -> None:
    path = str(tmp_path / "log")
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client,
    ):
        log.bind(path)
        client.connect(path)
        peers = sockets.unix_peers()
        if not peers:
            return  # this kernel was built without the module that answers

        assert peers[inode(client)] == inode(log)
        assert sockets.sockets()[inode(client)].peer == path
        assert sockets.sockets()[inode(log)].peer == ""


def test_a_connection_that_nobody_has_accepted_is_nobodys_other_end(tmp_path: Path) -> None:
    path = str(tmp_path / "log")
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(path)
        server.listen()
        client.connect(path)
        with socket.socket(socket.AF_UNIX) as alone:
            found = sockets.sockets()

            assert 0 not in found
            assert (found[inode(alone)].peer, found[inode(server)].peer) == ("", "")


def test_many_sockets_come_in_many_messages() -> None:
    pairs = [socket.socketpair() for _ in range(600)]
    try:
        peers = sockets.unix_peers()
        if peers:
            assert all(peers[inode(one)] == inode(other) for one, other in pairs)
        assert sockets.sockets().keys() >= {inode(one) for pair in pairs for one in pair}
    finally:
        for one, other in pairs:
            one.close()
            other.close()


def test_the_sockets_of_another_process_are_those_of_its_namespace(reaper: Reaper) -> None:
    script = (
        "import socket, os; s = socket.create_server(('127.0.0.1', 0));"
        "os.write(1, b'%d\\n' % os.fstat(s.fileno()).st_ino); os.read(0, 1)"
    )
    child = reaper.start([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout is not None
    number = int(child.stdout.readline())

    assert sockets.sockets(child.pid)[number].is_listening
    assert sockets.sockets()[number].is_listening


def test_the_sockets_of_a_process_that_is_gone_are_none() -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()

    assert sockets.sockets(gone.pid) == {}


@pytest.mark.needs_root
def test_a_network_namespace_of_its_own_has_its_own_sockets(reaper: Reaper) -> None:
    script = (
        "import socket, os; s = socket.socket(); s.bind(('0.0.0.0', 80)); s.listen();"
        "os.write(1, b'%d\\n' % os.fstat(s.fileno()).st_ino); os.read(0, 1)"
    )
    command = ["unshare", "--net", sys.executable, "-c", script]
    child = reaper.start(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert child.stdout is not None
    number = int(child.stdout.readline())

    found = sockets.sockets(child.pid)

    assert (found[number].port, found[number].listens_on_all_addresses) == (80, True)
    assert number not in sockets.sockets()


# What kernels write


@pytest.mark.skipif(sys.byteorder != "little", reason="the texts were recorded on machines of the little-endian kind")
def test_the_recorded_addresses_are_understood() -> None:
    tcp = sockets.parse_internet(recorded_proc.TCP, "tcp")
    tcp6 = sockets.parse_internet(recorded_proc.TCP6, "tcp6")
    udp = sockets.parse_internet(recorded_proc.UDP, "udp")

    assert [(one.address, one.port, one.inode, one.is_listening) for one in tcp] == [
        ("127.0.0.1", 3306, 21334, True),
        ("0.0.0.0", 22, 18452, True),
        ("10.0.2.15", 22, 25761, False),
        ("127.0.0.1", 59512, 0, False),
    ]
    assert [(one.address, one.port, one.is_listening, one.listens_on_all_addresses) for one in tcp6] == [
        ("::", 80, True, True),
        ("::1", 631, True, False),
        ("::ffff:127.0.0.1", 80, False, False),
    ]
    assert [(one.port, one.is_listening) for one in udp] == [(68, True), (323, False)]


def test_the_recorded_unix_sockets_are_understood() -> None:
    found = {one.inode: one for one in sockets.parse_unix(recorded_proc.UNIX)}

    assert {number: one.address for number, one in found.items()} == {
        14021: "/run/systemd/private",
        14030: "/run/systemd/journal/dev-log",
        15100: "",
        15200: "@/tmp/.X11-unix/X0",
        15300: "/run/with two blanks",
    }
    assert [number for number, one in found.items() if not one.is_listening] == [15100]
    assert [number for number, one in found.items() if not one.is_stream] == [14030]


@given(PATHS)
def test_a_unix_socket_may_have_any_path_of_bytes(path: bytes) -> None:
    text = b"Num\n0000000000000000: 00000002 00000000 00010000 0001 01 14021 " + path + b"\n"

    assert [os.fsencode(one.address) for one in sockets.parse_unix(text)] == [path]


# What no kernel writes


@pytest.mark.parametrize("host", ["", "0", "-1000000", "+0000001", "0100007", "010000711", "zz00007F", "0" * 24])
def test_what_is_no_address_is_passed_over(host: str) -> None:
    line = f" 0: {host}:0016 00000000:0000 0A 0:0 0:0 0 0 0 18452 1 0 100 0 0 10 0"

    assert sockets.parse_internet(f"heading\n{line}\n".encode(), "tcp") == []


@pytest.mark.fuzz
@given(st.binary() | recorded_proc.mutations("internet"), st.sampled_from(["tcp", "tcp6", "udp", "udp6"]))
def test_any_bytes_are_sockets_or_passed_over(text: bytes, family: str) -> None:
    assert all(one.family == family for one in sockets.parse_internet(text, family))


@pytest.mark.fuzz
@given(st.binary() | recorded_proc.mutations("unix"))
def test_any_bytes_are_unix_sockets_or_passed_over(text: bytes) -> None:
    assert all(one.family == "unix" for one in sockets.parse_unix(text))


def message(number: int, peer: int) -> bytes:
    """One socket and its peer, as the kernel answers."""
    body = struct.pack("=BBBBIII", socket.AF_UNIX, 1, 3, 0, number, 0, 0) + struct.pack("=HHI", 8, 2, peer)
    return struct.pack("=IHHII", 16 + len(body), 20, 2, 1, 0) + body


DONE = struct.pack("=IHHIIi", 20, 3, 2, 1, 0, 0)


def test_an_answer_of_the_kernel_goes_on_until_it_says_that_it_is_done() -> None:
    assert sockets.parse_unix_diag(message(5, 6) + message(6, 5)) == (False, {5: 6, 6: 5})
    assert sockets.parse_unix_diag(message(7, 8) + DONE) == (True, {7: 8})


@pytest.mark.fuzz
@given(st.binary() | st.lists(st.sampled_from([message(5, 6), DONE]) | st.binary(max_size=30)).map(b"".join))
def test_any_bytes_are_peers_or_passed_over(data: bytes) -> None:
    sockets.parse_unix_diag(data)
