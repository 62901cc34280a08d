"""What nobody catches in a daemon: in the system log, and on stderr as before."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from daemons import run_script
from detaching import without_system_log
from log_receivers import Receiver
from processes import wait_for

pytestmark = pytest.mark.needs_root
"""The log's socket has one place, /dev/log; the tests have a /dev of their own."""

CONTEXT = """
    with numen.DaemonContext(name="web", stderr="err", facility="local3") as daemon:
        daemon.ready()
"""

LOCAL3_CRIT = b"<154>"


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Receiver]:
    with Receiver(tmp_path / "log") as receiver:
        yield receiver


def logged(log: Receiver, last: bytes) -> list[bytes]:
    """The messages up to the one that ends with `last`."""
    messages: list[bytes] = []
    while not messages or not messages[-1].endswith(last):
        messages.append(log.receive())
    return messages


def run(directory: Path, log: Receiver, script: str) -> str:
    """Run a program whose daemon fails; what its launcher printed."""
    done = run_script(directory, script, before=tuple(without_system_log(directory, log=log.path)))
    return done.stderr


def stderr_with(directory: Path, text: str) -> str:
    """The daemon's stderr, once that text is in it."""
    path = directory / "err"
    wait_for(lambda: path.exists() and text in path.read_text(), 30, f"{text!r} on the daemon's stderr")
    return path.read_text()


def test_an_exception_after_readiness_is_logged_and_stays_on_stderr(tmp_path: Path, log: Receiver) -> None:
    assert run(tmp_path, log, CONTEXT + "        raise ValueError('broken')\n") == ""

    messages = logged(log, b"ValueError: broken")
    assert all(message.startswith(LOCAL3_CRIT) and b" web[" in message for message in messages)
    assert messages[0].endswith(b"uncaught exception")
    assert stderr_with(tmp_path, "ValueError: broken").startswith("Traceback")


@pytest.mark.parametrize("imported", ["before", "after"])
def test_one_in_a_thread_is_logged_too(imported: str, tmp_path: Path, log: Receiver) -> None:
    thread = """
        import threading
        def fail(): raise KeyError("in a thread")
        one = threading.Thread(target=fail, name="poller")
        one.start(); one.join()
    """
    # The prelude of the scripts imports threading; whoever has not is given its hook when he does.
    forget = "    sys.modules.pop('threading')\n" if imported == "after" else ""
    run(tmp_path, log, forget + CONTEXT + thread)

    messages = logged(log, b"KeyError: 'in a thread'")
    assert messages[0].endswith(b"uncaught exception in thread poller")
    stderr_with(tmp_path, "KeyError: 'in a thread'")


def test_one_of_a_spawned_function_is_logged_too(tmp_path: Path, log: Receiver) -> None:
    script = """
        def collect():
            raise ValueError("nothing to collect")
        numen.spawn(collect, name="collector", stderr="err")
    """
    run(tmp_path, log, script)

    assert b" collector[" in logged(log, b"ValueError: nothing to collect")[0]


def test_one_before_readiness_is_told_to_the_launcher_alone(tmp_path: Path, log: Receiver) -> None:
    script = """
        with numen.DaemonContext(name="web", stderr="err"):
            raise ValueError("not even begun")
    """
    assert "ValueError: not even begun" in run(tmp_path, log, script)
    stderr_with(tmp_path, "ValueError: not even begun")
    assert log.receive_all() == []


def test_an_ordinary_end_is_no_error(tmp_path: Path, log: Receiver) -> None:
    run(tmp_path, log, CONTEXT + "        say('ended'); sys.exit(3)\n")

    wait_for(lambda: (tmp_path / "said").exists(), 30, "the daemon's end")
    assert log.receive_all() == []
