"""The client that waits for its answers: what it is told, and what it makes of those that answer badly."""

import os
import pickle
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from control_server import Served, serving
from numen.errors import NotRunning, Unusable
from numen.wire.client import Disconnected, Refused, connect
from numen.wire.frames import BadMessage
from test_startup_cost import imported_by

TOY = "com.example.Toy"


@pytest.fixture
def served(numen_home: Path) -> Iterator[Served]:
    with serving(numen_home / "run" / "control") as served:
        yield served


@contextmanager
def answering(path: Path, act: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that does just this to the first who connects."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            accepted, _ = listener.accept()
            with accepted:
                accepted.settimeout(30)
                act(accepted)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield str(path)
        finally:
            thread.join(60)


def test_where_nobody_listens_nothing_runs(numen_home: Path) -> None:
    (numen_home / "file").touch()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(numen_home / "dead"))

    for name in "missing", "missing/below", "file/below", "dead":
        with pytest.raises(NotRunning, match="nobody listens there"):
            connect(str(numen_home / name))


def test_a_name_that_no_socket_can_have_is_unusable(numen_home: Path) -> None:
    with pytest.raises(Unusable, match="cannot connect to"):
        connect(str(numen_home / ("c" * 120)))


def test_a_relative_path_is_found(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(served.path.parent)

    with connect("control") as asking:
        assert asking.call(f"{TOY}.Echo") == {}


def test_an_error_comes_with_its_name_and_parameters(served: Served) -> None:
    with served.connect() as asking, pytest.raises(Refused) as met:
        asking.call(f"{TOY}.Fail", {"error": "NotThere"})

    for error in met.value, pickle.loads(pickle.dumps(met.value)):
        assert isinstance(error, Refused)
        assert (error.name, error.short_name, error.parameters) == (f"{TOY}.NotThere", "NotThere", {"name": "x"})
        assert str(error) == "refused: NotThere: name x"


def test_a_stream_that_is_left_ends_the_connection(served: Served) -> None:
    asking = served.connect()
    for reply in asking.more(f"{TOY}.CountPolitely", {"times": 1000, "size": 100_000}):
        assert reply["number"] == 0
        break

    with pytest.raises(Disconnected):
        asking.call(f"{TOY}.Echo")


def test_an_answer_that_does_not_come_in_time_is_not_waited_for(served: Served) -> None:
    with connect(str(served.path), timeout=0.05) as asking, pytest.raises(Disconnected, match="no answer in time"):
        asking.call(f"{TOY}.Hold", {"key": "a"})


def test_a_server_that_goes_is_told(numen_home: Path) -> None:
    with answering(numen_home / "socket", lambda link: None) as path, connect(path) as asking:
        with pytest.raises(Disconnected, match="ended the connection before it had answered"):
            asking.call("a.b.C")
        with pytest.raises(Disconnected):
            asking.call("a.b.C")


def test_what_a_server_said_before_it_went_is_heard_though_nothing_can_be_sent_to_it(numen_home: Path) -> None:
    gone = threading.Event()

    def refuse(link: socket.socket) -> None:
        link.sendall(b'{"error":"a.b.Busy"}\0')
        link.close()
        gone.set()

    with answering(numen_home / "socket", refuse) as path, connect(path) as asking:
        assert gone.wait(30)
        with pytest.raises(Refused, match="Busy"):
            asking.call("a.b.C")


@pytest.mark.parametrize("said", [b"hello\0", b"[]\0", b"\0", b"\xff\0"])
def test_what_is_no_answer_is_refused(numen_home: Path, said: bytes) -> None:
    path = numen_home / "socket"
    with answering(path, lambda link: link.sendall(said)), connect(str(path)) as asking, pytest.raises(BadMessage):
        asking.call("a.b.C")


def test_a_second_answer_where_one_was_asked_for_is_refused(numen_home: Path) -> None:
    def answer_twice(link: socket.socket) -> None:
        link.sendall(b'{"parameters":{},"continues":true}\0{}\0')

    path = numen_home / "socket"
    with answering(path, answer_twice), connect(str(path)) as asking, pytest.raises(Disconnected, match="several came"):
        asking.call("a.b.C")


@pytest.mark.parametrize("said", [b"{}\0", b'{"parameters":null}\0', b'{"error":null,"continues":false}\0'])
def test_an_answer_may_leave_out_what_is_empty(numen_home: Path, said: bytes) -> None:
    with answering(numen_home / "socket", lambda link: link.sendall(said)) as path, connect(path) as asking:
        assert asking.call("a.b.C") == {}


def test_the_socket_is_not_inherited(served: Served) -> None:
    before = set(os.listdir("/proc/self/fd"))
    with served.connect():
        for fd in set(os.listdir("/proc/self/fd")) - before:
            try:
                assert not os.get_inheritable(int(fd))
            except OSError:
                continue  # the directory that was listed


def test_it_imports_socket_and_json_and_nothing_else_that_costs() -> None:
    by_client = imported_by("-c", "import numen.wire.client")
    by_both = imported_by("-c", "import socket, json, struct, __future__")

    assert {name for name in by_client - by_both if not name.startswith("numen")} == set()
