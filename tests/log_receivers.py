"""The other side of the system log: sockets that receive as its daemons do, and the daemons themselves.

The decoder is written from https://systemd.io/JOURNAL_NATIVE_PROTOCOL/ and shares no code with the encoder
that it judges.
"""

import json
import os
import socket
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeAlias

import pytest
from hypothesis import strategies as st

from processes import Reaper, installed, wait_for

DEADLINE = 30.0
"""Seconds after which a message that has not come fails the test."""

Fields: TypeAlias = list[tuple[str, bytes]]

any_text = st.text(st.characters())
"""Lone surrogates included, as in the name of a file that is not UTF-8; `st.text()` has none."""


class Receiver:
    """A bound datagram socket, like journald's or that of most syslog daemons."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(DEADLINE)

    def receive(self) -> bytes:
        """The next datagram."""
        return self._socket.recv(1 << 20)

    def receive_entry(self) -> dict[str, bytes]:
        """The next datagram as an entry of the journal, or the one in the file that it brings."""
        data, descriptors, _, _ = socket.recv_fds(self._socket, 1 << 20, 4)
        if descriptors:
            assert data == b""
            (descriptor,) = descriptors
            with open(descriptor, "rb") as file:
                file.seek(0)
                data = file.read()
        return dict(decode_entry(data))

    def receive_all(self) -> list[bytes]:
        """What has come so far."""
        found = []
        self._socket.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                found.append(self._socket.recv(1 << 20))
        self._socket.settimeout(DEADLINE)
        return found

    def close(self) -> None:
        """End as a daemon does: nothing listens any more, and the path is free."""
        self._socket.close()
        self.path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class StreamReceiver:
    """A listening stream socket, like that of a syslog daemon of the older kind, or journald's for stdout."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listening.bind(str(path))
        self._listening.listen()
        self._listening.settimeout(DEADLINE)
        self._accepted: socket.socket | None = None
        self._rest = b""

    def accept(self) -> None:
        """Take the next connection instead of the one before."""
        self.drop_connection()
        self._accepted, _ = self._listening.accept()
        self._accepted.settimeout(DEADLINE)

    def receive(self, end: bytes = b"\0") -> bytes:
        """The next message, without its end."""
        while end not in self._rest:
            assert self._accepted is not None
            data = self._accepted.recv(65536)
            assert data, f"the connection ended within a message: {self._rest!r}"
            self._rest += data
        message, self._rest = self._rest.split(end, 1)
        return message

    def drop_connection(self) -> None:
        """Close the connection, and forget what came of it."""
        if self._accepted is not None:
            self._accepted.close()
        self._accepted = None
        self._rest = b""

    def close(self) -> None:
        """End as a daemon does."""
        self.drop_connection()
        self._listening.close()
        self.path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def decode_entry(data: bytes) -> Fields:
    """The fields of an entry in journald's native protocol, in their order."""
    fields = []
    while data:
        line, data = data.split(b"\n", 1)
        name, equals, value = line.partition(b"=")
        if not equals:
            size, data = int.from_bytes(data[:8], "little"), data[8:]
            value, end, data = data[:size], data[size : size + 1], data[size + 1 :]
            assert len(value) == size
            assert end == b"\n"
        fields.append((name.decode("ascii"), value))
    return fields


class Journald:
    """A real journald whose /run is a directory of the test."""

    def __init__(self, directory: Path) -> None:
        self.run = directory
        self.native = str(directory / "systemd/journal/socket")
        self.stream = str(directory / "systemd/journal/stdout")

    def entries(self, ident: str) -> list[dict[str, Any]]:
        """What it has in its journal from that ident, oldest first."""
        argv = [
            "journalctl",
            "--directory",
            str(self.run / "log/journal"),
            "--output=json",
            f"--identifier={ident}",
        ]
        # --all: journalctl leaves out the content of large fields otherwise.
        found = subprocess.run([*argv, "--all", "--quiet"], capture_output=True, text=True, check=False)
        return [json.loads(line) for line in found.stdout.splitlines()]

    def wait_for_entries(self, ident: str, number: int) -> list[dict[str, Any]]:
        """The entries of that ident, once there are so many."""

        def entries() -> list[dict[str, Any]]:
            found = self.entries(ident)
            return found if len(found) >= number else []

        return wait_for(entries, DEADLINE, f"{number} entries of {ident} in the journal")


def start_journald(directory: Path, reaper: Reaper) -> Journald:
    """Start journald in a mount namespace of its own; the test is skipped where that cannot be."""
    programs = (Path(place, "systemd/systemd-journald") for place in ("/lib", "/usr/lib"))
    program = next((path for path in programs if path.exists()), None)
    if program is None or installed("journalctl") is None:
        pytest.skip("needs the Debian package systemd, for journald and journalctl")
    run = directory / "run"
    for made in ("systemd/journal", "systemd/journald.conf.d", "log/journal"):
        (run / made).mkdir(parents=True)
    # Nothing of the machine is read, and nobody's terminal is written to.
    (run / "systemd/journald.conf.d/test.conf").write_text(
        "[Journal]\nStorage=volatile\nReadKMsg=no\nAudit=no\nForwardToWall=no\nRateLimitBurst=0\n"
    )
    unshare = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--user", "--map-root-user"])]
    if subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs a mount namespace of its own, which is forbidden here")
    script = 'mount --bind "$0" /run && exec "$1"'
    errors = directory / "journald.err"
    # Its sockets are there before it is: what comes to them too early has no credentials of the sender.
    with errors.open("wb") as file, Receiver(directory / "notify") as notify:
        argv = [*unshare, "sh", "-c", script, str(run), str(program)]
        reaper.start(argv, stderr=file, env={**os.environ, "NOTIFY_SOCKET": str(notify.path)})
        try:
            while b"READY=1" not in notify.receive().splitlines():
                pass
        except TimeoutError:
            raise AssertionError(f"journald is not ready; it says {errors.read_text()!r}") from None
    return Journald(run)


def start_rsyslogd(directory: Path, configuration: str, reaper: Reaper, *, input_options: str = "") -> Path:
    """Start rsyslogd with that configuration and a socket of the test, whose path is returned."""
    program = installed("rsyslogd")
    assert program is not None, "the test must be marked with needs_package"
    path, file = directory / "log", directory / "rsyslog.conf"
    file.write_text(
        f'global(workDirectory="{directory}")\n'
        f'module(load="imuxsock" sysSock.use="off")\n'
        f'input(type="imuxsock" socket="{path}" {input_options})\n'
        f"{configuration}"
    )
    errors = directory / "rsyslogd.err"
    with errors.open("wb") as stderr:
        argv: list[str | Path] = [program, "-n", "-i", directory / "rsyslogd.pid", "-f", file]
        started = reaper.start(argv, stdout=stderr, stderr=stderr)
    wait_for_listener(path, started, errors)
    return path


def wait_for_listener(path: Path, process: "subprocess.Popen[str]", errors: Path) -> None:
    """Wait until somebody takes datagrams there."""

    def is_heard() -> bool:
        assert process.poll() is None, f"it ended: {errors.read_text()}"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
            return probe.connect_ex(str(path)) == 0

    wait_for(is_heard, DEADLINE, f"a listener at {path}; it says {errors.read_text()!r}")


def wait_for_text(path: Path, is_complete: Callable[[str], bool]) -> str:
    """The text of a file that somebody else writes, once it is complete."""

    def text() -> str:
        found = path.read_text() if path.exists() else ""
        return found if is_complete(found) else ""

    return wait_for(text, DEADLINE, f"the text expected in {path}")
