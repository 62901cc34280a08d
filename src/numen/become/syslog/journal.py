"""journald's two sockets: the native protocol for entries with fields, and the stream that can be a stderr.

The formats are those of https://systemd.io/JOURNAL_NATIVE_PROTOCOL/ and of sd_journal_stream_fd(3). Who
connects to the native socket, and what happens when it is full or gone, is in `sockets` and `system_log`.
"""

from __future__ import annotations

import errno
import os

from ...errors import Unusable, from_os_error
from .entries import check_ident, priority_number, readable

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket

    from .entries import Entry

NATIVE_SOCKET = "/run/systemd/journal/socket"
STREAM_SOCKET = "/run/systemd/journal/stdout"

LONGEST_NAME = 64
OWN_FIELDS = ("MESSAGE", "PRIORITY", "SYSLOG_FACILITY", "SYSLOG_IDENTIFIER", "SYSLOG_PID")
SHARED_MEMORY = "/dev/shm"  # noqa: S108 - one of the three places from which journald takes a file


def encode(entry: Entry) -> list[bytes]:
    """The entry in the native protocol; one datagram, whatever its text is."""
    own: tuple[str | int | bytes, ...] = (
        readable(entry.text),
        entry.priority,
        entry.facility,
        entry.ident,
        entry.pid,
    )
    fields = [(name, value_bytes(value)) for name, value in zip(OWN_FIELDS, own, strict=True)]
    if not entry.pid:
        fields.pop()
    fields += [(field_name(name), value_bytes(value)) for name, value in entry.extra.items()]
    return [b"".join(_field(name.encode("ascii"), value) for name, value in fields)]


def field_name(name: str) -> str:
    """The name as the journal allows it: capital ASCII letters, digits and underscores, a letter first.

    What would collide with a field of our own is set apart by `F_`: `extra={"priority": "high"}` must not
    change the priority of the entry.
    """
    signs = (sign if sign.isascii() and sign.isalnum() else "_" for sign in name.upper())
    allowed = "".join(signs).lstrip("_")
    if not allowed[:1].isalpha() or allowed in OWN_FIELDS:
        allowed = f"F_{allowed}"
    return allowed[:LONGEST_NAME]


def value_bytes(value: str | int | bytes) -> bytes:
    """The value of a field; text in UTF-8, bytes as they are."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "backslashreplace")


def _field(name: bytes, value: bytes) -> bytes:
    if b"\n" in value:
        return name + b"\n" + len(value).to_bytes(8, "little") + value + b"\n"
    return name + b"=" + value + b"\n"


def open_as_file(content: bytes) -> int:
    """A descriptor of a file in memory with that content, such as journald takes for a large entry.

    It is a sealed memfd, or, where that is forbidden or missing, a file without a name in /dev/shm, as
    sd_journal_send(3) does. Raises OSError.
    """
    try:
        return _sealed_memfd(content)
    except (OSError, AttributeError):  # the interpreter's C library may lack memfd_create
        return _unnamed_file(content)


def _sealed_memfd(content: bytes) -> int:
    import fcntl

    descriptor = os.memfd_create("numen-journal-entry", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        _write_all(descriptor, content)
        # journald maps the file and therefore insists that nobody can change it: exactly these four.
        seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _unnamed_file(content: bytes) -> int:
    descriptor = os.open(SHARED_MEMORY, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        _write_all(descriptor, content)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _write_all(descriptor: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def open_journal_stream(ident: str, priority: str | int = "err", path: str = STREAM_SOCKET) -> int:
    """A descriptor of which journald makes an entry for each line written to it: a stderr for a daemon.

    Lines may begin with `<N>` to have another priority. The descriptor is close-on-exec and blocks as any
    stderr does. Raises Unusable where there is no journald to listen, NoPermission where it is forbidden.
    """
    import socket

    check_ident(ident)
    # The unit is empty, because journald knows it better; `1` has it understand `<N>` at the start of a
    # line; the three `0` forward nothing to syslog, kernel log and console beyond what is configured.
    header = f"{ident}\n\n{priority_number(priority)}\n1\n0\n0\n0\n".encode("ascii")
    try:
        stream = _connect_stream(path)
    except OSError as error:
        if error.errno == errno.EAGAIN:
            raise Unusable(f"cannot open the journal's stream {path}: journald is too busy", path=path) from error
        raise from_os_error(error, f"open the journal's stream {path}") from error
    with stream:
        stream.shutdown(socket.SHUT_RD)
        stream.sendall(header, socket.MSG_NOSIGNAL)
        return stream.detach()


def has_journal_stream(path: str = STREAM_SOCKET) -> bool:
    """Whether journald listens there and lets us speak."""
    try:
        _connect_stream(path).close()
    except OSError:
        return False
    return True


def _connect_stream(path: str) -> socket.socket:
    import socket

    stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        stream.setblocking(False)  # noqa: FBT003 - a journald that accepts nothing must not hold up the start
        stream.connect(path)
        stream.setblocking(True)  # noqa: FBT003
    except OSError:
        stream.close()
        raise
    return stream
