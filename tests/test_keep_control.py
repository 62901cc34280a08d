"""The control socket: who may connect, what is answered, and that no client delays another."""

import importlib
import json
import os
import re
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from control_server import Raw, Served, request, serving
from numen.errors import NoPermission, Unusable
from numen.keep.control.calls import Call
from numen.keep.control.connection import CONGESTED, LARGEST_BACKLOG
from numen.keep.control.server import supervisor_interface
from numen.wire import interface as interfaces
from numen.wire.client import Disconnected, Refused
from numen.wire.frames import LARGEST_REQUEST
from numen.wire.interface import Interface, Struct
from processes import Reaper, unprivileged, wait_for

varlink: Any = importlib.import_module("varlink")

TOY = "com.example.Toy"
SERVICE = "org.varlink.service"


@pytest.fixture
def served(numen_home: Path) -> Iterator[Served]:
    with serving(numen_home / "run" / "control") as served:
        yield served
        assert served.failures == []


# Who may connect


def test_the_socket_is_closed_to_others_and_so_is_its_directory(served: Served) -> None:
    assert served.path.stat().st_mode & 0o777 == 0o600
    assert served.path.parent.stat().st_mode & 0o777 == 0o700


def test_a_directory_that_others_may_enter_is_refused(numen_home: Path) -> None:
    (numen_home / "open").mkdir(parents=True)
    (numen_home / "open").chmod(0o755)

    with pytest.raises(Unusable, match="closed to others"), serving(numen_home / "open" / "control"):
        pass


# The interpreter may stand where no other user may look, so it changes its user itself.
BECOME_ANOTHER = f"""
import os, socket, sys
os.setgroups([])
os.setresgid(*[{unprivileged().gid}] * 3)
os.setresuid(*[{unprivileged().uid}] * 3)
"""

SPEAK_AS_ANOTHER = """
link = socket.socket(socket.AF_UNIX)
link.settimeout(30)
link.connect(sys.argv[1])
try:
    link.sendall(b'{"method": "org.varlink.service.GetInfo"}' + bytes(1))
except BrokenPipeError:
    pass
said = b""
try:
    while data := link.recv(65536):
        said += data
except ConnectionResetError:
    pass
print(said.decode())
"""


@pytest.mark.needs_root
def test_another_user_is_refused_though_the_modes_would_let_him_in(public_path: Path) -> None:
    with serving(public_path / "run" / "control") as served:
        served.path.parent.chmod(0o755)
        served.path.chmod(0o666)

        command: list[str | Path] = [sys.executable, "-c", BECOME_ANOTHER + SPEAK_AS_ANOTHER, served.path]
        done = subprocess.run(command, cwd="/", capture_output=True, text=True, timeout=60)

        assert json.loads(done.stdout.rstrip("\0\n")) == {"error": f"{SERVICE}.PermissionDenied", "parameters": {}}
        assert "neither our user nor root" in served.told[0]
        assert f"uid {unprivileged().uid}" in served.told[0]
        assert served.answers()


LISTEN_AS_ANOTHER = """
link = socket.socket(socket.AF_UNIX)
link.bind(sys.argv[1])
link.listen()
print("listening", flush=True)
sys.stdin.read()
"""


@pytest.mark.needs_root
def test_a_client_does_not_talk_to_the_socket_of_another_user(public_path: Path, reaper: Reaper) -> None:
    from numen.wire.client import connect

    public_path.chmod(0o777)
    path = public_path / "control"
    argv: list[str | Path] = [sys.executable, "-c", BECOME_ANOTHER + LISTEN_AS_ANOTHER, path]
    listener = reaper.start(argv, cwd="/", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert listener.stdout is not None
    assert listener.stdout.readline() == "listening\n"

    with pytest.raises(NoPermission, match=f"uid {unprivileged().uid} listens there"):
        connect(str(path))


def test_the_service_learns_who_asks(served: Served) -> None:
    served.answers()

    assert re.fullmatch(rf"\S+ \(pid {os.getpid()}\)", served.service.asked_by[0])
    if os.geteuid() == 0:
        assert served.service.asked_by[0].startswith("root ")


# The socket file


def test_a_stale_socket_file_is_replaced(numen_home: Path) -> None:
    path = numen_home / "run" / "control"
    path.parent.mkdir(parents=True)
    path.parent.chmod(0o700)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))

    with serving(path) as served:
        assert served.answers()


def test_a_file_that_is_no_socket_is_left_alone(numen_home: Path) -> None:
    path = numen_home / "run" / "control"
    path.parent.mkdir(parents=True)
    path.parent.chmod(0o700)
    path.write_text("precious")

    with pytest.raises(Unusable, match="there is something else"), serving(path):
        pass
    assert path.read_text() == "precious"


@pytest.mark.parametrize("length", [107, 108, 300])
def test_a_path_may_be_longer_than_a_socket_address(numen_home: Path, length: int) -> None:
    directory = numen_home
    while len(str(directory / "control")) < length - 100:
        directory /= "d" * 90
    directory /= "d" * (length - len(str(directory / "control")) - 1)
    path = directory / "control"
    assert len(str(path)) == length

    with serving(path) as served:
        assert served.answers()
        assert path.stat().st_mode & 0o777 == 0o600
        assert served.do(served.server.renew) is False
        os.unlink(path)
        assert served.do(served.server.renew) is True
        assert served.answers()
    assert not path.exists()


def test_a_name_that_no_socket_can_have_is_refused(numen_home: Path) -> None:
    with pytest.raises(Unusable, match="cannot listen on"), serving(numen_home / "run" / ("c" * 120)):
        pass


def remove_file(path: Path) -> None:
    path.unlink()


def remove_directory(path: Path) -> None:
    path.unlink()
    path.parent.rmdir()


def put_another(path: Path) -> None:
    path.unlink()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))


@pytest.mark.parametrize("lose", [remove_file, remove_directory, put_another])
def test_a_lost_socket_file_is_made_anew_and_who_is_connected_stays_so(
    served: Served, lose: Callable[[Path], None]
) -> None:
    with served.connect() as before:
        before.call(f"{TOY}.Echo")
        lose(served.path)

        assert served.do(served.server.renew) is True
        assert served.answers()
        assert before.call(f"{TOY}.Echo", {"text": "still"}) == {"text": "still"}
        assert served.do(served.server.renew) is False
        assert served.path.stat().st_mode & 0o777 == 0o600


def test_what_cannot_be_made_anew_is_told_and_can_be_tried_again(served: Served) -> None:
    remove_directory(served.path)
    served.path.parent.write_text("in the way")
    with pytest.raises(Unusable):
        served.do(served.server.renew)

    served.path.parent.unlink()
    assert served.do(served.server.renew) is True
    assert served.answers()


# Closing


def test_a_close_removes_the_file_and_ends_those_that_wait(served: Served) -> None:
    with served.connect() as waiting:
        stream = waiting.more(f"{TOY}.Hold", {"key": "a"})
        wait_for(lambda: served.service.held, 30, "the call has come")

        served.run(served.server.close(30))

        with pytest.raises(Disconnected):
            next(stream)
    assert not served.path.exists()
    assert served.service.gone == ["a"]


def test_a_reply_that_was_given_before_the_close_arrives_in_whole(served: Served) -> None:
    with served.connect() as asking:
        stream = asking.more(f"{TOY}.Count", {"times": 1, "size": 3_000_000})
        wait_for(lambda: served.service.counted, 30, "the reply is on its way")
        closing_one = threading.Thread(target=lambda: served.run(served.server.close(30)))
        closing_one.start()
        wait_for(lambda: not served.path.exists(), 30, "it is closing")

        assert len(next(stream)["text"]) == 3_000_000
        closing_one.join(30)
    assert served.told == []


def test_a_client_that_does_not_read_delays_the_close_no_longer_than_its_grace(served: Served) -> None:
    with served.raw() as deaf:
        deaf.send(request(f"{TOY}.Count", {"times": 1, "size": 3_000_000}))
        wait_for(lambda: served.service.counted, 30, "the reply is on its way")

        before = time.monotonic()
        served.run(served.server.close(0.2))

        assert 0.2 <= time.monotonic() - before < 20
    assert "did not read its last reply" in served.told[0]


def test_a_close_leaves_a_socket_file_that_is_not_its_own(served: Served) -> None:
    put_another(served.path)

    served.run(served.server.close())

    assert served.path.exists()


# What is answered


def test_it_says_what_it_is(served: Served) -> None:
    with served.connect() as asking:
        info = asking.call(f"{SERVICE}.GetInfo")
        described = asking.call(f"{SERVICE}.GetInterfaceDescription", {"interface": TOY})

    assert info["interfaces"] == [SERVICE, TOY]
    assert info["product"] == "numen"
    assert described["description"] == served.server.interface.text


@pytest.mark.parametrize(
    ("method", "parameters", "error", "said"),
    [
        ("com.example.Other.Echo", {}, "InterfaceNotFound", {"interface": "com.example.Other"}),
        ("Echo", {}, "InterfaceNotFound", {"interface": ""}),
        ("", {}, "InterfaceNotFound", {"interface": ""}),
        (f"{TOY}.", {}, "MethodNotFound", {"method": f"{TOY}."}),
        (f"{TOY}.Nothing", {}, "MethodNotFound", {"method": f"{TOY}.Nothing"}),
        (f"{TOY}.Missing", {}, "MethodNotImplemented", {"method": f"{TOY}.Missing"}),
        (f"{TOY}.Hold", {}, "InvalidParameter", {"parameter": "key"}),
        (f"{TOY}.Hold", {"key": 1}, "InvalidParameter", {"parameter": "key"}),
        (f"{TOY}.Hold", {"key": None}, "InvalidParameter", {"parameter": "key"}),
        (f"{TOY}.Hold", {"key": "a", "kei": "b"}, "InvalidParameter", {"parameter": "kei"}),
        (f"{TOY}.Echo", {"thing": {"name": "a"}}, "InvalidParameter", {"parameter": "thing.colour"}),
        (f"{TOY}.Count", {"times": 1 << 70}, "InvalidParameter", {"parameter": "times"}),
        (f"{TOY}.Count", {"times": True}, "InvalidParameter", {"parameter": "times"}),
        (f"{TOY}.Count", {"times": 2}, "ExpectedMore", {}),
        (f"{TOY}.Fail", {"error": f"{SERVICE}.PermissionDenied"}, "PermissionDenied", {}),
        (f"{SERVICE}.GetInterfaceDescription", {"interface": "a.b"}, "InterfaceNotFound", {"interface": "a.b"}),
        (f"{SERVICE}.GetInterfaceDescription", {}, "InvalidParameter", {"parameter": "interface"}),
        (f"{SERVICE}.GetNothing", {}, "MethodNotFound", {"method": f"{SERVICE}.GetNothing"}),
    ],
)
def test_the_errors_of_the_protocol(
    served: Served, method: str, parameters: dict[str, Any], error: str, said: dict[str, Any]
) -> None:
    with served.connect() as asking:
        with pytest.raises(Refused) as refused:
            asking.call(method, parameters)
        assert (refused.value.name, refused.value.parameters) == (f"{SERVICE}.{error}", said)

        assert asking.call(f"{TOY}.Echo", {"text": "goes on"}) == {"text": "goes on"}


@pytest.mark.parametrize(
    ("message", "wrong"),
    [
        ({}, "method"),
        ({"method": 1}, "method"),
        ({"method": None}, "method"),
        ({"method": f"{TOY}.Echo", "parameters": []}, "parameters"),
        ({"method": f"{TOY}.Echo", "parameters": ""}, "parameters"),
        ({"method": f"{TOY}.Echo", "more": 1}, "more"),
        ({"method": f"{TOY}.Echo", "oneway": "true"}, "oneway"),
        ({"method": f"{TOY}.Echo", "upgrade": []}, "upgrade"),
        ({"method": f"{TOY}.Echo", "upgrade": True}, "upgrade"),
    ],
)
def test_a_message_that_is_not_as_the_protocol_has_it_is_answered(
    served: Served, message: dict[str, Any], wrong: str
) -> None:
    with served.raw() as raw:
        raw.send(json.dumps(message).encode(), b"\0")

        assert raw.read() == {"error": f"{SERVICE}.InvalidParameter", "parameters": {"parameter": wrong}}


def test_parameters_and_flags_may_be_null_or_missing(served: Served) -> None:
    with served.raw() as raw:
        for more in {}, {"parameters": None, "more": None, "oneway": False, "upgrade": None, "unknown": 1}:
            raw.send(json.dumps({"method": f"{TOY}.Echo", **more}).encode(), b"\0")

            assert raw.read() == {"parameters": {}}


def test_a_stream_is_answered_until_its_last_reply(served: Served) -> None:
    with served.connect() as asking:
        assert [reply["number"] for reply in asking.more(f"{TOY}.Count", {"times": 5})] == [0, 1, 2, 3, 4]
        assert list(asking.more(f"{TOY}.Echo", {"text": "once"})) == [{"text": "once"}]


def test_a_oneway_call_is_not_answered(served: Served) -> None:
    with served.raw() as raw:
        for method in f"{TOY}.Echo", f"{TOY}.Missing", f"{TOY}.Nothing", "a.b", f"{TOY}.Hold":
            raw.send(request(method, oneway=True))
        raw.send(request(f"{TOY}.Echo", {"text": "this"}))

        assert raw.read() == {"parameters": {"text": "this"}}


def test_a_oneway_call_is_taken_though_the_client_goes_at_once(served: Served) -> None:
    with served.connect() as asking:
        asking.tell(f"{TOY}.Hold", {"key": "a"})

    wait_for(lambda: "a" in served.service.held, 30, "the call has come")
    assert served.answers()
    assert served.service.gone == []


def test_a_oneway_call_holds_up_no_other(served: Served) -> None:
    with served.connect() as asking:
        asking.tell(f"{TOY}.Hold", {"key": "a"})

        assert asking.call(f"{TOY}.Echo", {"text": "b"}) == {"text": "b"}


def test_a_pipelined_call_waits_for_the_last_reply_of_the_former_and_no_other_connection_does(served: Served) -> None:
    with served.raw() as raw, served.connect() as other:
        raw.send(request(f"{TOY}.Hold", {"key": "a"}), request(f"{TOY}.Echo", {"text": "b"}))
        wait_for(lambda: served.service.held, 30, "the call has come")
        assert other.call(f"{TOY}.Echo", {"text": "c"}) == {"text": "c"}
        assert not select.select([raw.socket], [], [], 0)[0]

        other.call(f"{TOY}.Release", {"key": "a"})

        assert raw.read() == {"parameters": {"key": "a"}}
        assert raw.read() == {"parameters": {"text": "b"}}


def test_a_thousand_pipelined_calls_are_answered_in_order(served: Served) -> None:
    with served.connect() as asking:
        replies = asking.calls((f"{TOY}.Echo", {"text": str(number)}) for number in range(1000))

        assert [reply.get("text") for reply in replies if isinstance(reply, dict)] == [str(one) for one in range(1000)]


def test_big_calls_can_be_pipelined(served: Served) -> None:
    with served.connect() as asking:
        text = "x" * 200_000
        replies = list(asking.calls([(f"{TOY}.Echo", {"text": text})] * 20))

        assert replies == [{"text": text}] * 20


def test_an_error_among_pipelined_calls_stands_in_its_place(served: Served) -> None:
    with served.connect() as asking:
        calls = [(f"{TOY}.Echo", {}), (f"{TOY}.Fail", {"error": "NotThere"}), (f"{TOY}.Echo", {"text": "a"})]
        first, second, third = asking.calls(calls)

    assert (first, third) == ({}, {"text": "a"})
    assert isinstance(second, Refused)
    assert (second.short_name, second.parameters) == ("NotThere", {"name": "x"})


def test_a_client_that_has_closed_its_sending_side_is_still_answered(served: Served) -> None:
    with served.raw() as raw:
        raw.send(request(f"{TOY}.Hold", {"key": "a"}), request(f"{TOY}.Echo", {"text": "b"}))
        raw.socket.shutdown(socket.SHUT_WR)
        wait_for(lambda: served.service.held, 30, "the call has come")
        with served.connect() as other:
            other.call(f"{TOY}.Release", {"key": "a"})

        assert raw.read_to_end().split(b"\0") == [b'{"parameters":{"key":"a"}}', b'{"parameters":{"text":"b"}}', b""]


def test_the_service_learns_that_a_client_is_gone(served: Served) -> None:
    with served.raw() as raw:
        raw.send(request(f"{TOY}.Hold", {"key": "a"}))
        wait_for(lambda: served.service.held, 30, "the call has come")
        held = served.service.held["a"]

    wait_for(lambda: served.service.gone == ["a"], 30, "the service has been told")
    assert not held.is_open
    late: list[bool] = []
    served.do(lambda: held.on_close(lambda: late.append(True)))
    wait_for(lambda: late, 30, "who asks later is told too")
    served.do(lambda: held.reply({"key": "a"}))
    assert served.told == []


def test_a_failure_of_the_service_ends_that_connection_alone(numen_home: Path) -> None:
    with serving(numen_home / "run" / "control") as served, served.connect() as asking:
        with pytest.raises(Disconnected):
            asking.call(f"{TOY}.Broken")

        assert served.answers()
        assert isinstance(served.failures[0]["exception"], ZeroDivisionError)
        assert "ZeroDivisionError" in served.told[0]


def test_a_reply_that_breaks_the_interface_is_found_in_tests(numen_home: Path) -> None:
    with serving(numen_home / "run" / "control") as served, served.connect() as asking:
        with pytest.raises(Disconnected):
            asking.call(f"{TOY}.Lie")

        assert isinstance(served.failures[0]["exception"], interfaces.Mismatch)


# Slow, silent and malicious clients


def test_a_request_that_comes_byte_by_byte_delays_nobody(served: Served) -> None:
    with served.raw() as slow:
        for byte in request(f"{TOY}.Echo", {"text": "a"}):
            slow.send(bytes([byte]))
            assert served.answers()

        assert slow.read() == {"parameters": {"text": "a"}}


def test_a_client_that_reads_nothing_of_a_stream_is_ended_with_a_reason(served: Served) -> None:
    with served.raw() as deaf:
        deaf.send(request(f"{TOY}.Count", {"times": 1000, "size": 100_000}, more=True))

        wait_for(lambda: served.told, 30, "it is disconnected")
        assert "does not read" in served.told[0]
        assert served.service.counted * 100_000 < 2 * LARGEST_BACKLOG
        assert served.answers()


def test_a_stream_that_waits_for_its_reader_is_never_ended(served: Served) -> None:
    with served.connect() as asking:
        stream = asking.more(f"{TOY}.CountPolitely", {"times": 1000, "size": 100_000})
        first = next(stream)
        wait_for(lambda: served.do(lambda: served.service.counted) > 1, 30, "it goes on")
        assert served.answers()
        assert served.service.counted * 100_000 < CONGESTED + 2_000_000

        rest = [len(reply["text"]) for reply in stream]

    assert [len(first["text"]), *rest] == [100_000] * 1000
    assert served.told == []


def test_a_client_that_asks_on_and_on_and_reads_nothing_is_not_read_either(served: Served) -> None:
    with served.raw() as deaf:
        deaf.socket.settimeout(0)
        call = request(f"{TOY}.Echo", {"text": "x" * 10_000})
        sent = 0
        quiet_since = time.monotonic()
        while time.monotonic() < quiet_since + 0.5:
            with suppress(BlockingIOError):
                sent += deaf.socket.send(call)
                quiet_since = time.monotonic()
        assert sent < 8_000_000
        assert served.answers()

        deaf.socket.settimeout(30)
        assert deaf.read()["parameters"]["text"] == "x" * 10_000
    assert served.told == []


def test_two_hundred_clients_at_once_are_all_answered(served: Served) -> None:
    def ask(number: int) -> bool:
        with served.connect() as asking:
            return all(asking.call(f"{TOY}.Echo", {"text": f"{number}"}) == {"text": f"{number}"} for _ in range(5))

    with ThreadPoolExecutor(200) as pool:
        assert all(pool.map(ask, range(200)))


def test_of_too_many_clients_the_one_that_was_silent_for_longest_goes(numen_home: Path) -> None:
    with serving(numen_home / "run" / "control", most_connections=5) as served:
        clients = [served.connect() for _ in range(5)]
        for one in clients:
            one.call(f"{TOY}.Echo")
        clients[0].call(f"{TOY}.Echo")

        assert served.answers()

        with pytest.raises(Disconnected):
            clients[1].call(f"{TOY}.Echo")
        for one in clients[0], *clients[2:]:
            one.call(f"{TOY}.Echo")
        assert "silent for longest" in served.told[0]
        for one in clients:
            one.close()


def test_who_waits_for_an_answer_does_not_go_for_another(numen_home: Path) -> None:
    with serving(numen_home / "run" / "control", most_connections=3) as served:
        waiting = [served.raw() for _ in range(3)]
        for number, one in enumerate(waiting):
            one.send(request(f"{TOY}.Hold", {"key": str(number)}))
        wait_for(lambda: len(served.service.held) == 3, 30, "the calls have come")

        with served.raw() as one_too_many:
            assert one_too_many.read_to_end() == b""
        assert "one too many" in served.told[0]
        waiting.pop().close()
        wait_for(lambda: served.service.gone, 30, "one has gone")
        with served.connect() as other:
            other.call(f"{TOY}.Release", {"key": "0"})
        assert waiting[0].read() == {"parameters": {"key": "0"}}
        for one in waiting:
            one.close()


def nested(depth: int) -> bytes:
    return b'{"method":"com.example.Toy.Echo","parameters":{"any":' + b'{"a":' * depth + b"1" + b"}" * depth + b"}}\0"


@pytest.mark.parametrize(
    "data",
    [
        b"x" * (LARGEST_REQUEST + (1 << 20)),
        b'{"method":"' + b"x" * (LARGEST_REQUEST + (1 << 20)) + b'"}\0',
        b"\0",
        b"\0" * 100_000,
        b"{}",
        b"[]\0",
        b"null\0",
        b"\xff\xfe\0",
        b'{"method":"\xc3\x28"}\0',
        b'{"method":"\\ud800"}\0',
        b'{"method":"\\uD800"}\0',
        b"[" * 500_000 + b"\0",
        b'{"a":' * 150_000 + b"\0",
        nested(63),
        nested(5000),
        b'{"a":1e999}\0',
        b'{"a":NaN}\0',
        b'{"a":-Infinity}\0',
        b'{"a":' + b"9" * 100_000 + b"}\0",
        b"\xef\xbb\xbf{}\0",
    ],
    ids=lambda data: f"{data[:12]!r}+{len(data)}",
)
def test_what_is_no_message_ends_its_connection_and_harms_no_other(served: Served, data: bytes) -> None:
    with served.connect() as other, served.raw() as raw:
        other.call(f"{TOY}.Echo")
        with suppress(BrokenPipeError, ConnectionResetError):
            raw.send(data)
            raw.socket.shutdown(socket.SHUT_WR)

        assert raw.read_to_end() == b""
        assert other.call(f"{TOY}.Echo", {"text": "well"}) == {"text": "well"}
        assert data == b"{}" or "no message" in served.told[0]


def test_a_message_as_deep_and_as_long_as_agreed_is_taken(served: Served) -> None:
    with served.raw() as raw:
        raw.send(nested(62))
        assert "parameters" in raw.read()
        empty = len(request(f"{TOY}.Echo", {"text": ""})) - 1
        raw.send(request(f"{TOY}.Echo", {"text": "x" * ((1 << 20) - empty)}))
        assert len(raw.read()["parameters"]["text"]) == (1 << 20) - empty


def test_a_number_beyond_64_bits_is_refused_where_an_int_is_wanted(served: Served) -> None:
    with served.connect() as asking:
        for number in 1 << 63, -(1 << 63) - 1, 10**300:
            with pytest.raises(Refused, match="times"):
                asking.call(f"{TOY}.Count", {"times": number})


def test_an_idle_server_with_idle_clients_does_not_wake(served: Served) -> None:
    clients = [served.connect() for _ in range(50)]
    for one in clients:
        one.call(f"{TOY}.Echo")
    waiting = clients[0].more(f"{TOY}.Hold", {"key": "a"})
    wait_for(lambda: served.service.held, 30, "the call has come")
    before = switches_at_rest(served.thread_id)
    time.sleep(1)  # the length is the point: so long nothing happens

    assert switches(served.thread_id) == before
    del waiting
    for one in clients:
        one.close()


def switches(thread: int) -> int:
    status = Path(f"/proc/self/task/{thread}/status").read_text()
    return int(re.findall(r"^voluntary_ctxt_switches:\s+(\d+)", status, re.MULTILINE)[0])


def switches_at_rest(thread: int) -> int:
    """How often it has been switched away from of its own accord, once it sleeps."""
    seen: list[int] = []

    def has_settled() -> bool:
        seen.append(switches(thread))
        return len(seen) > 5 and len(set(seen[-5:])) == 1

    wait_for(has_settled, 30, "the server's thread is at rest")
    return seen[-1]


def test_without_a_descriptor_left_an_idle_client_goes_and_others_get_in(numen_home: Path, reaper: Reaper) -> None:
    script = """
import asyncio, resource, sys
from numen.keep.control.server import Server, supervisor_interface
async def main():
    class Service:
        def call(self, method, parameters, call):
            call.reply({"daemons": []})
    Server(supervisor_interface(), Service(), tell=lambda line: print(line, flush=True)).start(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_NOFILE, (20, 20))
    print("listening", flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""
    path = numen_home / "run" / "control"
    server = reaper.start([sys.executable, "-c", script, path], stdout=subprocess.PIPE)
    assert server.stdout is not None
    assert server.stdout.readline() == "listening\n"
    silent = [Raw(path) for _ in range(30)]

    with closing(Raw(path)) as raw:
        raw.send(request("io.numen.Supervisor.Status", {"names": []}))
        # A full table is tried again after a second each time.
        raw.socket.settimeout(60)
        assert raw.read() == {"parameters": {"daemons": []}}
    assert "Too many open files" in server.stdout.readline()
    for one in silent:
        one.close()


# Anything at all


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("control") / "run" / "control") as served:
        yield served
        assert served.failures == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda below: st.lists(below, max_size=4) | st.dictionaries(st.text(), below, max_size=4),
    max_leaves=10,
)
METHODS = [f"{TOY}.{name}" for name in ("Echo", "Count", "Release", "Gone", "Fail", "Missing", "Nothing")]
MESSAGES = st.fixed_dictionaries(
    {},
    optional={
        "method": st.sampled_from([*METHODS, f"{SERVICE}.GetInfo", f"{SERVICE}.GetInterfaceDescription"]) | JSON,
        "parameters": st.fixed_dictionaries(
            {}, optional=dict.fromkeys(("thing", "any", "text", "key", "interface"), JSON)
        )
        | JSON,
        "more": st.booleans() | JSON,
        "oneway": st.booleans() | JSON,
        "upgrade": JSON,
    },
)


def meets_an_end(served: Served, data: bytes) -> list[dict[str, Any]]:
    """What is answered to the data; fails if the server hangs over it, or is hurt."""
    with served.raw() as raw:
        with suppress(BrokenPipeError, ConnectionResetError):
            raw.send(data)
            raw.socket.shutdown(socket.SHUT_WR)
        answers = [json.loads(answer) for answer in raw.read_to_end().split(b"\0") if answer]
    assert served.answers()
    assert served.failures == []
    served.told.clear()
    return answers


@pytest.mark.fuzz
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=2000) | st.lists(st.binary(max_size=50)).map(b"\0".join))
def test_no_bytes_harm_the_server(shared: Served, data: bytes) -> None:
    meets_an_end(shared, data)


@pytest.mark.fuzz
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(MESSAGES, max_size=5))
def test_every_message_that_wants_one_has_an_answer_and_no_other(
    shared: Served, messages: list[dict[str, Any]]
) -> None:
    text = [json.dumps(one) for one in messages]
    broken = [number for number, one in enumerate(text) if "NaN" in one or "Infinity" in one or "\\ud" in one]
    whole = messages[: broken[0]] if broken else messages

    answers = meets_an_end(shared, b"".join(one.encode() + b"\0" for one in text))

    wanting = [one for one in whole if one.get("oneway") is not True]
    last = [one for one in answers if not one.get("continues")]
    if broken:
        assert len(last) <= len(messages)
    else:
        assert len(last) == len(wanting)


# The stock client


@pytest.fixture
def supervisor(numen_home: Path) -> Iterator[Served]:
    with serving(numen_home / "run" / "control", supervisor_interface(), Pretending()) as served:
        yield served
        assert served.failures == []


class Pretending:
    """A service that answers the supervisor's calls with the least that fits, or with the error that is named."""

    def __init__(self) -> None:
        self.interface = supervisor_interface()

    def call(self, method: str, parameters: dict[str, Any], call: Call) -> None:
        if parameters.get("names"):
            error = parameters["names"][0]
            call.error(error, least(self.interface, self.interface.errors[error].given))
        elif method == "Events":
            for _ in range(3):
                call.reply({"events": []}, continues=True)
            call.reply({"events": []})
        else:
            call.reply(least(self.interface, self.interface.methods[method].answered))


def least(interface: Interface, kind: interfaces.Type) -> Any:
    match kind:
        case Struct():
            return {name: least(interface, field.type) for name, field in kind.members.items()}
        case interfaces.Named():
            return least(interface, interface.types[kind.name].type)
        case interfaces.Enum():
            return kind.names[0]
        case interfaces.Maybe():
            return None
        case interfaces.Array():
            return [least(interface, kind.inner)]
        case interfaces.Mapping():
            return {"key": least(interface, kind.inner)}
        case interfaces.Plain():
            return {"bool": True, "int": 1, "float": 1.5, "string": "text", "object": {"a": [1]}}[kind.kind]


@pytest.fixture
def stock(supervisor: Served) -> Iterator[Any]:
    """The `varlink` package of PyPI, connected."""
    with varlink.Client(f"unix:{supervisor.path}") as client, client.open("io.numen.Supervisor") as connection:
        yield connection


def test_the_stock_client_lists_the_interfaces(supervisor: Served) -> None:
    with varlink.Client(f"unix:{supervisor.path}") as client:
        assert client.get_interfaces() == [SERVICE, "io.numen.Supervisor"]
        description = client.get_interface("io.numen.Supervisor").get_description()

    assert description == supervisor_interface().text


@pytest.mark.parametrize("method", [name for name in supervisor_interface().methods if name != "Events"])
def test_the_stock_client_calls_every_method(stock: Any, method: str) -> None:
    interface = supervisor_interface()
    given = least(interface, interface.methods[method].given)
    if "names" in given:
        given["names"] = []

    reply = getattr(stock, method)(**given)

    assert set(reply) <= set(interface.methods[method].answered.members)
    assert (method != "Status") or reply["daemons"][0]["state"] == "stopped"


def test_the_stock_client_reads_a_stream(stock: Any) -> None:
    assert list(stock.Events([], _more=True)) == [{"events": []}] * 4


@pytest.mark.parametrize("error", supervisor_interface().errors)
def test_the_stock_client_meets_each_declared_error(stock: Any, error: str) -> None:
    interface = supervisor_interface()

    with pytest.raises(varlink.VarlinkError) as met:
        stock.Start([error])

    assert met.value.error() == f"io.numen.Supervisor.{error}"
    assert met.value.parameters() == least(interface, interface.errors[error].given)


def test_the_stock_client_meets_the_errors_of_the_protocol(supervisor: Served, stock: Any) -> None:
    with pytest.raises(varlink.VarlinkError) as invalid:
        stock.Status()
    with pytest.raises(varlink.VarlinkError) as expected_more:
        stock.Events([])
    client = varlink.Client(f"unix:{supervisor.path}")
    with closing(client.open_connection()) as connection, pytest.raises(varlink.InterfaceNotFound) as not_found:
        client.open("com.example.Nothing", connection=connection)

    assert (invalid.value.error(), invalid.value.parameters()) == (
        f"{SERVICE}.InvalidParameter",
        {"parameter": "names"},
    )
    assert expected_more.value.error() == f"{SERVICE}.ExpectedMore"
    assert not_found.value.parameters() == {"interface": "com.example.Nothing"}


def test_the_stock_command_calls(supervisor: Served) -> None:
    call = [sys.executable, "-m", "varlink.cli", "call", f"unix:{supervisor.path}/io.numen.Supervisor.Status"]
    done = subprocess.run([*call, '{"names": []}'], capture_output=True, text=True, timeout=60)

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["daemons"][0]["name"] == "text"
