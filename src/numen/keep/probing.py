"""Probes that connect: each is asked once, and returns when the answer is good. `runner` is the caller.

Who answers badly raises OSError with the reason in words, and who does not answer is waited for, until the caller's
time is over.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import os
import socket
from urllib.parse import urlsplit

from ..wire.sockets import at_path
from .definitions.probes import HTTP, TCP, UNIX

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl

    from .definitions.probes import Probe

_BUSY_WAIT = 0.05
"""Seconds until one whose queue is full is asked again (connect(2), EAGAIN)."""

_MOST_BODY = 65536
"""Bytes that are read of what comes with a good status, so that the server can send it in peace."""

_BODY_PATIENCE = 1.0

_MOST_HEADERS = 200

_finishing: set[asyncio.Task[None]] = set()


async def ask(probe: Probe) -> None:
    """Ask once. Raises OSError."""
    match probe.kind:
        case _ if probe.kind == TCP:
            (await _connected(probe.host, probe.port)).close()
        case _ if probe.kind == UNIX:
            await _connect_unix(probe.path)
        case _ if probe.kind == HTTP:
            await _ask_http(probe.url)
        case _:
            raise AssertionError(probe.kind)


async def _connected(host: str, port: int) -> socket.socket:
    loop = asyncio.get_running_loop()
    try:
        # What is an address already needs no thread.
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        try:
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except socket.gaierror as error:
            raise OSError(f"cannot look up {host}: {error.strerror}") from error
    failure = OSError(f"{host} has no address")
    for family, kind, protocol, _name, address in found:
        one = socket.socket(family, kind, protocol)
        try:
            one.setblocking(False)  # noqa: FBT003 - the standard library's own signature
            await loop.sock_connect(one, address)
        except OSError as error:
            one.close()
            failure = OSError(f"cannot connect to {host} port {port}: {_words(error)}")
        except BaseException:
            one.close()
            raise
        else:
            return one
    raise failure


async def _connect_unix(path: str) -> None:
    """Whatever its type is."""
    for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_UNIX, kind) as one:
            one.setblocking(False)  # noqa: FBT003 - the standard library's own signature
            while True:
                try:
                    at_path(one.connect, path)
                except BlockingIOError:
                    # Not begun, as connect(2) of other sockets is: it has to be asked for again.
                    await asyncio.sleep(_BUSY_WAIT)
                except OSError as error:
                    if error.errno == errno.EPROTOTYPE:
                        break
                    raise OSError(f"cannot connect to {path}: {_words(error)}") from error
                else:
                    return
    raise OSError(f"cannot connect to {path}: it is of no known type")


async def _ask_http(url: str) -> None:
    parts = urlsplit(url)
    is_secure = parts.scheme == "https"
    host = parts.hostname or ""
    connected = await _connected(host, parts.port or (443 if is_secure else 80))
    try:
        context = await _tls(host) if is_secure else None
        reader, writer = await asyncio.open_connection(
            sock=connected, ssl=context, server_hostname=host if is_secure else None
        )
    except BaseException as error:
        connected.close()
        if isinstance(error, OSError):
            raise OSError(f"cannot speak to {host}: {_words(error)}") from error
        raise
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    lines = (f"GET {target} HTTP/1.1", f"Host: {parts.netloc}", "User-Agent: numen", "Accept: */*", "Connection: close")
    try:
        writer.write("".join(f"{line}\r\n" for line in (*lines, "")).encode("ascii"))
        await writer.drain()
        status, words = await _status(reader)
    except BaseException as error:
        writer.transport.abort()
        if isinstance(error, OSError):
            raise OSError(f"no answer from {url}: {_words(error)}") from error
        raise
    task = asyncio.get_running_loop().create_task(_finish(reader, writer))
    _finishing.add(task)
    task.add_done_callback(_finishing.discard)
    if status >= 400:
        raise OSError(f"{url} answers {status} {words}".rstrip())


async def _status(reader: asyncio.StreamReader) -> tuple[int, str]:
    """The final status, behind those that are provisional."""
    try:
        while True:
            line = (await reader.readline()).decode("latin-1")
            version, _, rest = line.strip().partition(" ")
            number, _, words = rest.partition(" ")
            if not version.startswith("HTTP/") or not (number.isascii() and number.isdigit() and len(number) == 3):
                raise OSError("closed without a word" if not line else f"what speaks is no HTTP: {line[:100].strip()}")
            if int(number) // 100 != 1:
                return int(number), words
            for _ in range(_MOST_HEADERS):
                if not (await reader.readline()).strip():
                    break
    except ValueError as error:  # a line without end
        raise OSError("what speaks is no HTTP: a line is too long") from error


async def _finish(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    left = _MOST_BODY
    try:
        async with asyncio.timeout(_BODY_PATIENCE):
            while left > 0 and (chunk := await reader.read(left)):
                left -= len(chunk)
    except (OSError, TimeoutError):
        pass
    finally:
        writer.transport.abort()


async def _tls(host: str) -> ssl.SSLContext:
    """Whose certificate is looked at: not that of this machine itself, which names another host."""
    import ssl

    def made() -> ssl.SSLContext:
        context = ssl.create_default_context()
        if _is_this_machine(host):
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    key = _is_this_machine(host)
    if key not in _contexts:
        # It reads the certificates of a hundred authorities.
        _contexts[key] = await asyncio.get_running_loop().run_in_executor(None, made)
    return _contexts[key]


_contexts: dict[bool, ssl.SSLContext] = {}


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _words(error: OSError) -> str:
    """What asyncio puts in place of the system's words names the address again."""
    return os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
