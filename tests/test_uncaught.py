"""Uncaught exceptions: in the system log and still on stderr, and nothing else is changed."""

import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import NoReturn

import pytest

import numen.syslog
from log_receivers import DEADLINE, Receiver, decode_entry
from numen.errors import BadOption
from numen.syslog import Installation


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Receiver]:
    with Receiver(tmp_path / "journal") as receiver:
        yield receiver


PROGRAM = """
import logging, sys, threading
if len(sys.argv) > 1:
    import numen.syslog
    installation = numen.syslog.install("web", target="journal", journal_path=sys.argv[1])

class Unfinishable:
    def __del__(self):
        raise LookupError("in a finalizer")

def serve(error):
    raise error

def in_thread(error):
    thread = threading.Thread(target=serve, args=(error,), name="server")
    thread.start()
    thread.join()

"""


def run(act: str, journal: Receiver) -> tuple[subprocess.CompletedProcess[str], list[dict[str, bytes]]]:
    """Run the program with and without the system log; the outcome must be the same, and is returned."""
    argv = [sys.executable, "-c", PROGRAM + act]
    without = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=DEADLINE)
    done = subprocess.run([*argv, str(journal.path)], capture_output=True, text=True, check=False, timeout=DEADLINE)
    assert (done.returncode, done.stdout) == (without.returncode, without.stdout)
    # An object's address is another one in each process.
    assert [line for line in done.stderr.splitlines() if " at 0x" not in line] == [
        line for line in without.stderr.splitlines() if " at 0x" not in line
    ]
    return done, [dict(decode_entry(datagram)) for datagram in journal.receive_all()]


def test_an_exception_that_ends_the_program_is_in_both(journal: Receiver) -> None:
    done, (entry,) = run('serve(ValueError("down"))', journal)
    assert done.returncode == 1
    assert done.stderr.endswith("ValueError: down\n")
    assert entry["MESSAGE"] == b"uncaught exception\n" + done.stderr.encode()
    assert (entry["PRIORITY"], entry["SYSLOG_IDENTIFIER"]) == (b"2", b"web")
    assert (entry["EXCEPTION_TYPE"], entry["EXCEPTION_TEXT"]) == (b"ValueError", done.stderr.encode())
    assert (entry["CODE_FILE"], entry["CODE_FUNC"]) == (b"<string>", b"serve")
    assert PROGRAM.splitlines()[int(entry["CODE_LINE"]) - 1] == "    raise error"
    assert entry["THREAD_NAME"] == b"MainThread"


def test_an_exception_that_ends_a_thread_is_in_both(journal: Receiver) -> None:
    done, (entry,) = run('in_thread(ValueError("down"))', journal)
    assert done.returncode == 0
    assert "Exception in thread server:" in done.stderr
    assert entry["MESSAGE"].startswith(b"uncaught exception in thread server\nTraceback ")
    assert entry["EXCEPTION_TEXT"].endswith(b"ValueError: down\n")
    assert entry["THREAD_NAME"] == b"server"


def test_an_exception_that_nobody_could_catch_is_in_both(journal: Receiver) -> None:
    done, (entry,) = run("Unfinishable()", journal)
    assert done.returncode == 0
    assert "LookupError: in a finalizer" in done.stderr
    assert b"Unfinishable.__del__" in entry["MESSAGE"].splitlines()[0]
    assert entry["EXCEPTION_TYPE"] == b"LookupError"


@pytest.mark.parametrize(
    "act",
    [
        "sys.exit(3)",
        "raise SystemExit('a last word')",
        "in_thread(SystemExit(3))",
        "in_thread(KeyboardInterrupt())",
        "raise KeyboardInterrupt",
    ],
)
def test_ways_to_end_a_program_are_no_errors(journal: Receiver, act: str) -> None:
    _, entries = run(act, journal)
    assert entries == []


def test_what_cannot_be_shown_is_still_passed_on(journal: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    class Unshowable:
        def __repr__(self) -> str:
            raise RuntimeError("not to be shown")

    seen: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", seen.append)
    args = SimpleNamespace(
        exc_type=ValueError, exc_value=ValueError(), exc_traceback=None, err_msg=None, object=Unshowable()
    )
    with install(journal):
        sys.unraisablehook(args)
    assert seen == [args]
    assert journal.receive_all() == []


ENDING_AT_ONCE = """
import os, sys
import numen.syslog
sys.excepthook = lambda *_: os._exit(5)
numen.syslog.install("web", target="syslog", syslog_path=sys.argv[1], linger=30)
raise ValueError("\\n".join(f"line {number}" for number in range(300)))
"""


def test_a_program_that_ends_at_once_is_logged_to_the_last_line(tmp_path: Path) -> None:
    with Receiver(tmp_path / "log") as receiver:
        argv = [sys.executable, "-c", ENDING_AT_ONCE, str(receiver.path)]
        with subprocess.Popen(argv) as process:
            texts = [""]
            while texts[-1] != "line 299":
                texts.append(receiver.receive().decode().partition("]: ")[2])
            assert process.wait(DEADLINE) == 5
    assert texts[-299:] == [f"line {number}" for number in range(1, 300)]


def test_logging_goes_there_too(journal: Receiver) -> None:
    argv = [sys.executable, "-c", PROGRAM + "logging.warning('slow')", str(journal.path)]
    subprocess.run(argv, check=True, timeout=DEADLINE)
    assert journal.receive_entry()["MESSAGE"] == b"slow"


# What is put in place, and put back


def hooks() -> tuple[object, ...]:
    return sys.excepthook, threading.excepthook, sys.unraisablehook, list(logging.getLogger().handlers)


def install(journal: Receiver, **options: str) -> Installation:
    return numen.syslog.install("web", target="journal", journal_path=str(journal.path), **options)  # type: ignore[arg-type]


def test_undoing_puts_everything_back(journal: Receiver) -> None:
    before = hooks()
    installation = install(journal)
    assert not any(one == other for one, other in zip(hooks(), before, strict=True))
    installation.undo()
    assert hooks() == before
    assert installation.handler.descriptors() == ()
    installation.undo()
    assert hooks() == before


def test_a_hook_that_somebody_put_around_ours_stays_and_works(
    journal: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[type[BaseException]] = []
    monkeypatch.setattr(sys, "excepthook", lambda kind, *_: seen.append(kind))
    installation = install(journal)
    ours = sys.excepthook

    def around(*exception: object) -> None:
        ours(*exception)  # type: ignore[arg-type]

    monkeypatch.setattr(sys, "excepthook", around)
    installation.undo()
    assert sys.excepthook is around
    sys.excepthook(ValueError, ValueError(), None)
    assert seen == [ValueError]
    assert journal.receive_all() == []


def test_within_a_block_what_leaves_it_is_logged(journal: Receiver) -> None:
    before = hooks()
    with pytest.raises(ValueError, match="down"), install(journal):
        fail()
    assert hooks() == before
    assert journal.receive_entry()["EXCEPTION_TEXT"].endswith(b"ValueError: down\n")
    with pytest.raises(SystemExit), install(journal):
        sys.exit()
    assert journal.receive_all() == []


def fail() -> NoReturn:
    raise ValueError("down")


def test_the_priority_and_the_level_can_be_chosen(journal: Receiver) -> None:
    with install(journal, priority="alert", level="ERROR"):
        logging.getLogger().warning("not so bad")
        logging.getLogger().error("bad")
        error = ValueError("down")
        # The last part of the interpreter's own way with an exception that nobody caught.
        sys.excepthook(ValueError, error, None)
    bad, uncaught = journal.receive_entry(), journal.receive_entry()
    assert (bad["MESSAGE"], bad["PRIORITY"]) == (b"bad", b"3")
    assert uncaught["PRIORITY"] == b"1"


def test_a_bad_value_is_told_and_nothing_is_put_in_place(journal: Receiver) -> None:
    before = hooks()
    for options in ({"priority": "loud"}, {"facility": "local9"}):
        with pytest.raises(BadOption):
            install(journal, **options)
    assert hooks() == before
