"""A control server with a toy service, in a thread of its own, and clients that say just what they are told to."""

import asyncio
import json
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar

from numen.keep.control.calls import Call
from numen.keep.control.server import Server
from numen.wire import client
from numen.wire.interface import Interface

T = TypeVar("T")

TOY = """\
# A toy.
interface com.example.Toy

type Colour (red, green)
type Thing (name: string, colour: Colour, inside: []Thing, size: ?int, weight: ?float, tags: [string]string)

# Give back what came.
method Echo(thing: ?Thing, any: ?object, text: ?string) -> (thing: ?Thing, any: ?object, text: ?string)

# Answer `times` times with `size` bytes each.
method Count(times: int, size: ?int) -> (number: int, text: string)

# As Count, and wait whenever the client does not keep up.
method CountPolitely(times: int, size: ?int) -> (number: int, text: string)

# Answer when Release comes with that key; when the client goes, Gone tells.
method Hold(key: string) -> (key: string)
method Release(key: string) -> ()
method Gone() -> (keys: []string)

# Answer with that error.
method Fail(error: string) -> ()

method Missing() -> ()
method Broken() -> ()
method Lie() -> (truth: bool)

error NotThere (name: string)
"""


class Toy:
    """The service of that interface."""

    def __init__(self) -> None:
        self.held: dict[str, Call] = {}
        self.gone: list[str] = []
        self.asked_by: list[str] = []
        self.counted = 0

    def call(self, method: str, parameters: dict[str, Any], call: Call) -> None:
        self.asked_by.append(call.who)
        match method:
            case "Echo":
                call.reply(parameters)
            case "Count":
                self._count(parameters, call, 0, politely=False)
            case "CountPolitely":
                self._count(parameters, call, 0, politely=True)
            case "Hold":
                self.held[parameters["key"]] = call
                call.on_close(lambda: self.gone.append(parameters["key"]))
            case "Release":
                if parameters["key"] in self.held:
                    self.held.pop(parameters["key"]).reply({"key": parameters["key"]})
                call.reply()
            case "Gone":
                call.reply({"keys": self.gone})
            case "Fail":
                given = {"name": "x"} if parameters["error"] == "NotThere" else {}
                call.error(parameters["error"], given)
            case "Lie":
                call.reply({"truth": 1})
            case "Broken":
                raise ZeroDivisionError("broken")
            case _:
                raise NotImplementedError(method)

    def _count(self, parameters: dict[str, Any], call: Call, first: int, *, politely: bool) -> None:
        text = "x" * (parameters.get("size") or 0)
        for number in range(first, parameters["times"]):
            if politely and call.is_congested:
                call.on_drained(partial(self._count, parameters, call, number, politely=True))
                return
            if not call.is_open:
                return
            self.counted = number + 1
            call.reply({"number": number, "text": text}, continues=number + 1 < parameters["times"])


class Served:
    """A server that runs in a thread."""

    def __init__(self, path: Path, interface: Interface, service: Any, **options: Any) -> None:
        self.path = path
        self.service = service
        self.told: list[str] = []
        self.failures: list[dict[str, Any]] = []
        self.thread_id = 0
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(lambda _, context: self.failures.append(context))
        self._thread = threading.Thread(target=self._loop.run_forever)
        self.server = Server(interface, service, check_replies=True, tell=self.told.append, **options)

    def start(self) -> None:
        self._thread.start()
        self.run(self._started())

    async def _started(self) -> None:
        self.thread_id = threading.get_native_id()
        self.server.start(str(self.path))

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do it in the server's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def do(self, act: Callable[[], T]) -> T:
        """Call it in the server's loop."""

        async def acted() -> T:
            return act()

        return self.run(acted())

    def end(self) -> None:
        if self._thread.is_alive():
            with suppress(Exception):
                self.run(self.server.close(0.1))
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(30)
        self._loop.close()

    def connect(self) -> client.Connection:
        return client.connect(str(self.path), timeout=30)

    def raw(self) -> "Raw":
        return Raw(self.path)

    def answers(self) -> bool:
        """Whether another client is answered."""
        with self.connect() as other:
            return other.call("com.example.Toy.Echo", {"text": "hello"}) == {"text": "hello"}


@contextmanager
def serving(path: Path, interface: Interface | None = None, service: Any = None, **options: Any) -> Iterator[Served]:
    """The toy, or another, as long as the block runs."""
    served = Served(path, interface or Interface(TOY), service or Toy(), **options)
    try:
        served.start()
        yield served
    finally:
        served.end()


class Raw:
    """A client that sends just these bytes."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(30)
        self.socket.connect(str(path))
        self.came = b""

    def send(self, *data: bytes) -> None:
        self.socket.sendall(b"".join(data))

    def read(self) -> dict[str, Any]:
        """The next message."""
        while b"\0" not in self.came:
            data = self.socket.recv(1 << 20)
            assert data, f"ended with {self.came!r}"
            self.came += data
        message, _, self.came = self.came.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        return found

    def read_to_end(self) -> bytes:
        """All that comes until the server ends the connection."""
        while True:
            try:
                data = self.socket.recv(1 << 20)
            except ConnectionResetError:
                return self.came
            if not data:
                return self.came
            self.came += data

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def request(method: str, parameters: dict[str, Any] | None = None, **flags: Any) -> bytes:
    """A request as it goes over the wire."""
    return json.dumps({"method": method, "parameters": parameters or {}, **flags}).encode() + b"\0"
