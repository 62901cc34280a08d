"""A real supervisor under its keeper, in a home of its own, which a test may kill as it likes.

Several stand side by side in one test: each is asked by the path of its socket. Whatever was left running is ended with
the test, though keeper and supervisor start each other anew.
"""

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest import mock

import observe
from numen.cli import asking
from numen.errors import NotRunning
from numen.keep import house, keeper
from numen.settings import places
from numen.wire import client
from processes import end, reap, run_numen, wait_for

DEADLINE = 30.0

MARK = "KEPT_IN"
"""The variable by which daemons that are defined here are told from all other processes; it holds their home."""


class Kept:
    """One home, with its keeper, its supervisor and their daemons."""

    def __init__(self, home: Path, program: Sequence[str] = house.SUPERVISOR) -> None:
        self.home = home
        self._program = program
        with self._at_home():
            self._socket = places.control_path()
            self.definitions = Path(places.definitions_directory())
            self._logs = Path(places.log_directory())
            self._state = Path(places.state_directory())

    def open(self) -> bool:
        """Start keeper and supervisor where none lives; whether that was necessary."""
        with self._at_home():
            return house.open_house(self._program, timeout=DEADLINE)

    def numen(self, *argv: str | Path, status: int = 0) -> str:
        """Run the command here, which must end with that status; what it prints, or its error where it is to fail."""
        done = self.run(*argv)
        assert done.returncode == status, (argv, done.returncode, done.stdout, done.stderr)
        return done.stderr if status else done.stdout

    def run(self, *argv: str | Path) -> subprocess.CompletedProcess[str]:
        """Run the command here, however it ends."""
        return run_numen(*argv, env={"NUMEN_HOME": str(self.home)})

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method, by as many supervisors as it takes."""
        answers: list[dict[str, Any]] = []

        def is_answered() -> bool:
            answer = self.call_once(method, **parameters)
            if answer is not None:
                answers.append(answer)
            return bool(answers)

        wait_for(is_answered, DEADLINE, f"an answer to {method} in {self.home}")
        return answers[0]

    def call_once(self, method: str, **parameters: Any) -> dict[str, Any] | None:
        """Call a method; None where there is no supervisor, or it is killed before it has answered."""
        try:
            with client.connect(self._socket, timeout=DEADLINE) as connection:
                return asking.call(connection, method, parameters)
        except (client.Disconnected, NotRunning):
            return None

    def define(self, name: str, *command: str, **keys: Any) -> int:
        """Define a daemon by the keys of a definition file, and start it; its pid."""
        command = (shutil.which(command[0]) or command[0], *command[1:])
        environment = {"PATH": os.environ["PATH"], MARK: str(self.home)}
        definition = {"command": list(command), "directory": "/", "environment": environment, **keys}
        (outcome,) = self.call("Define", name=name, definition=definition)["outcomes"]
        assert outcome["ok"], outcome
        return int(outcome["daemon"]["pid"])

    def status(self, name: str) -> dict[str, Any]:
        """What the supervisor tells of a daemon."""
        (daemon,) = self.call("Status", names=[name])["daemons"]
        assert isinstance(daemon, dict)
        return daemon

    def statuses(self) -> dict[str, dict[str, Any]]:
        """What it tells of all."""
        return {one["name"]: one for one in self.call("Status", names=[])["daemons"]}

    def wait_until(self, name: str, condition: Callable[[dict[str, Any]], Any], what: str) -> dict[str, Any]:
        """Wait until something is true of a daemon's status; that status."""
        found: dict[str, Any] = {}

        def is_so() -> bool:
            found.clear()
            found.update(self.status(name))
            return bool(condition(found))

        try:
            wait_for(is_so, DEADLINE, f"{name} {what}")
        except AssertionError as error:
            raise AssertionError(f"{error}: {found}\n{self.log('numen')[-3000:]}") from None
        return found

    @property
    def pid(self) -> int:
        """The supervisor's pid."""
        return int(self.call("About")["pid"])

    @property
    def keeper(self) -> int:
        """The keeper's pid; that of a dead one, where none has taken its place yet."""
        return int((self._state / "keeper.lock").read_text())

    def processes(self) -> tuple[int, int]:
        """The pids of the keeper and of the supervisor that live; 0 for one that does not."""
        found = observe.with_environment(f"NUMEN_HOME={self.home}\0")
        keepers, supervisors = [0], [0]
        for pid in found:
            with suppress(OSError):
                command = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
                if observe.is_zombie_or_gone(pid) or not command[0]:
                    continue
                if str(keeper.__file__) in command:
                    keepers.append(pid)
                elif command[:-1] == list(self._program):
                    supervisors.append(pid)
        return keepers[-1], supervisors[-1]

    def log(self, name: str) -> str:
        """What stands in a daemon's log."""
        path = self.log_path(name)
        return path.read_text(errors="replace") if path.exists() else ""

    def log_path(self, name: str) -> Path:
        """Where that log is."""
        return self._logs / f"{name}.log"

    def lines(self, name: str) -> list[bytes]:
        """The lines in all files of a daemon's log, the oldest first; each file ends with a whole line."""
        path = self.log_path(name)
        older = sorted(path.parent.glob(f"{path.name}.[0-9]*"), key=lambda one: -int(one.name.split(".")[-1]))
        text = b""
        for one in (*older, path):
            part = one.read_bytes()
            assert not part or part.endswith(b"\n"), f"{one} ends amidst a line: {part[-100:]!r}"
            text += part
        return text.splitlines()

    def daemons(self) -> dict[int, int]:
        """The processes that were started as daemons here, and theirs, each with its start time; the dead not."""
        found = observe.with_environment(f"{MARK}={self.home}\0")
        return {pid: born for pid, born in found.items() if not observe.is_zombie_or_gone(pid)}

    def shut_down(self) -> None:
        """Stop all daemons and end."""
        pid = self.keeper
        self.call("Shutdown")
        observe.wait_until_gone(pid)

    @contextmanager
    def _at_home(self) -> Iterator[None]:
        with mock.patch.dict(os.environ, {"NUMEN_HOME": str(self.home)}):
            yield


@contextmanager
def nothing_left() -> Iterator[None]:
    """At its end all that was started meanwhile, and what that has started, is ended, whatever it does about it."""
    before = frozenset(observe.descendants(os.getpid()).items())
    try:
        yield
    finally:
        wait_for(lambda: _are_ended(before), DEADLINE, "the end of all that was kept")


def _are_ended(without: frozenset[tuple[int, int]]) -> bool:
    found = dict(observe.descendants(os.getpid(), without=without).items() - without)
    # Stopped first: of keeper and supervisor, and of a daemon and its supervisor, one starts the other anew.
    for pid in found:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGSTOP)
    end(found)
    reap(found)
    return not found
