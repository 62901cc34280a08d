"""The handler for the standard library's logging."""

import logging
import logging.config
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest

import numen.syslog
from log_receivers import DEADLINE, Receiver
from numen.become.syslog.handler import priority_of
from numen.errors import BadOption
from numen.syslog import Handler


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Receiver]:
    with Receiver(tmp_path / "journal") as receiver:
        yield receiver


@pytest.fixture
def logger(journal: Receiver) -> Iterator[logging.Logger]:
    """A logger that has a handler to the test's journal, and no other."""
    handler = Handler("web", "local0", target="journal", journal_path=str(journal.path))
    logger = logging.Logger("web.requests")
    logger.addHandler(handler)
    yield logger
    handler.close()


@pytest.mark.parametrize(
    ("level", "priority"),
    [
        (logging.NOTSET, "debug"),
        (logging.DEBUG, "debug"),
        (logging.INFO, "info"),
        (25, "notice"),
        (logging.WARNING, "warning"),
        (35, "warning"),
        (logging.ERROR, "err"),
        (logging.CRITICAL, "crit"),
        (100, "crit"),
    ],
)
def test_levels_are_priorities(level: int, priority: str) -> None:
    assert priority_of(level) == priority


def test_the_journal_is_told_where_a_message_comes_from(journal: Receiver, logger: logging.Logger) -> None:
    thread = threading.Thread(target=logger.warning, args=("request %d is slow", 17), name="worker")
    thread.start()
    thread.join()
    logger.error("here")
    slow, here = journal.receive_entry(), journal.receive_entry()
    assert (slow["MESSAGE"], slow["PRIORITY"]) == (b"request 17 is slow", b"4")
    assert (slow["SYSLOG_IDENTIFIER"], slow["SYSLOG_FACILITY"]) == (b"web", b"16")
    assert (slow["LOGGER"], slow["THREAD_NAME"]) == (b"web.requests", b"worker")
    assert here["CODE_FILE"] == __file__.encode()
    assert here["CODE_FUNC"] == b"test_the_journal_is_told_where_a_message_comes_from"
    source = Path(__file__).read_text().splitlines()
    assert 'logger.error("here")' in source[int(here["CODE_LINE"]) - 1]


def test_extra_is_fields_of_the_journal(journal: Receiver, logger: logging.Logger) -> None:
    extra = {"request_id": 17, "raw": b"\xff\n", "priority": "high", "path": Path("/"), "empty": ""}
    logger.error("failed", extra=extra)
    found = journal.receive_entry()
    assert (found["REQUEST_ID"], found["RAW"], found["PATH"]) == (b"17", b"\xff\n", b"/")
    assert (found["PRIORITY"], found["F_PRIORITY"]) == (b"3", b"high")
    assert "EMPTY" not in found
    standard = {"MESSAGE", "PRIORITY", "SYSLOG_FACILITY", "SYSLOG_IDENTIFIER", "SYSLOG_PID"}
    origin = {"CODE_FILE", "CODE_LINE", "CODE_FUNC", "LOGGER", "THREAD_NAME"}
    assert found.keys() == standard | origin | {"REQUEST_ID", "RAW", "PATH", "F_PRIORITY"}


def test_an_exception_is_in_the_message_and_a_field_of_its_own(journal: Receiver, logger: logging.Logger) -> None:
    try:
        fail()
    except ValueError:
        logger.exception("failed")
    found = journal.receive_entry()
    assert found["EXCEPTION_TYPE"] == b"ValueError"
    assert found["EXCEPTION_TEXT"].startswith(b"Traceback (most recent call last):\n")
    assert found["EXCEPTION_TEXT"].endswith(b"\nValueError: of this test")
    assert found["MESSAGE"] == b"failed\n" + found["EXCEPTION_TEXT"]


def fail() -> NoReturn:
    raise ValueError("of this test")


def test_exception_text_does_not_depend_on_the_formatter(journal: Receiver, logger: logging.Logger) -> None:
    class Short(logging.Formatter):
        def format(self, record: logging.LogRecord) -> str:
            return record.getMessage()

    logger.handlers[0].setFormatter(Short())
    try:
        fail()
    except ValueError:
        logger.exception("failed")
    logger.error("without", exc_info=True)
    failed, without = journal.receive_entry(), journal.receive_entry()
    assert failed["MESSAGE"] == b"failed"
    assert failed["EXCEPTION_TEXT"].endswith(b"\nValueError: of this test")
    assert "EXCEPTION_TEXT" not in without


def test_a_record_that_cannot_be_formatted_does_not_end_the_program(
    journal: Receiver, logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    class Unshowable:
        def __str__(self) -> str:
            raise RuntimeError("not to be shown")

    logger.error("%d", "no number")
    logger.error("failed", extra={"what": Unshowable()})
    logger.error("afterwards")
    assert journal.receive_entry()["MESSAGE"] == b"afterwards"
    told = capsys.readouterr().err
    assert told.count("--- Logging error ---") == 2
    assert "not to be shown" in told


def test_the_handler_tells_its_descriptors(logger: logging.Logger) -> None:
    (handler,) = logger.handlers
    assert isinstance(handler, Handler)
    assert handler.descriptors() == (handler.fileno(),)
    assert os.readlink(f"/proc/self/fd/{handler.fileno()}").startswith("socket:")
    handler.close()
    assert handler.descriptors() == ()


def test_a_flush_sends_what_waits(tmp_path: Path) -> None:
    handler = Handler("web", target="syslog", syslog_path=str(tmp_path / "log"))
    handler.emit(logging.makeLogRecord({"msg": "down", "levelno": logging.ERROR}))
    with Receiver(tmp_path / "log") as receiver:
        handler.flush()
        assert receiver.receive().endswith(b": down")
    handler.close()


def test_a_level_and_a_formatter_can_be_set(journal: Receiver) -> None:
    handler = Handler("web", level="ERROR", target="journal", journal_path=str(journal.path))
    handler.setFormatter(logging.Formatter("%(name)s: %(message)s"))
    logger = logging.Logger("web")
    logger.addHandler(handler)
    logger.warning("not so bad")
    logger.error("bad")
    assert journal.receive_entry()["MESSAGE"] == b"web: bad"
    handler.close()


def test_a_bad_value_is_told_and_leaves_no_handler_behind() -> None:
    before = list(logging._handlerList)  # type: ignore[attr-defined]
    with pytest.raises(BadOption) as raised:
        Handler("web", "local9")
    assert raised.tb is not None, "it keeps alive what was made, as an uncaught one does until the end"
    assert list(logging._handlerList) == before  # type: ignore[attr-defined]


CONFIGURED = """
import logging, logging.config, sys
logging.config.dictConfig({
    "version": 1,
    "formatters": {"short": {"format": "%(name)s: %(message)s"}},
    "handlers": {"log": {
        "class": "numen.syslog.Handler", "ident": "web", "facility": "local0", "formatter": "short",
        "level": "WARNING", "target": "journal", "journal_path": sys.argv[1],
    }},
    "root": {"handlers": ["log"], "level": "DEBUG"},
})
logging.getLogger("a").info("not so bad")
logging.getLogger("a").warning("bad")
"""


def test_a_logging_configuration_may_name_it(journal: Receiver) -> None:
    subprocess.run([sys.executable, "-c", CONFIGURED, str(journal.path)], check=True, timeout=DEADLINE)
    found = journal.receive_entry()
    assert (found["MESSAGE"], found["SYSLOG_FACILITY"]) == (b"a: bad", b"16")
    assert journal.receive_all() == []


ENDING = """
import logging, sys
import numen.syslog
logging.getLogger().addHandler(numen.syslog.Handler("web", target="syslog", syslog_path=sys.argv[1], linger=30))
logging.error("x" * 100_000)
for number in range(100):
    logging.error("%d", number)
print("ends", flush=True)
"""


def test_the_end_of_the_program_gives_a_full_log_its_time(tmp_path: Path) -> None:
    with Receiver(tmp_path / "log") as receiver:
        argv = [sys.executable, "-c", ENDING, str(receiver.path)]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ends\n"
            texts: list[str] = []
            while texts[-1:] != ["99"]:
                texts.append(receiver.receive().decode().partition("]: ")[2])
        assert process.returncode == 0
    assert "".join(texts[:-100]) == "x" * 100_000
    assert texts[-100:] == [str(number) for number in range(100)]


def test_the_handler_is_the_one_behind_the_public_door() -> None:
    assert numen.syslog.Handler is Handler
    assert issubclass(Handler, logging.Handler)
