"""A daemon and the terminal from which it was started: nothing ties them together."""

import os
import pty
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import observe
from daemons import pid_in, said_in, wait_until_said, write_script
from processes import Reaper, Terminal, numen_command, wait_for

LISTENER = """
    signal.signal(signal.SIGHUP, lambda *_: say("hangup"))
    signal.signal(signal.SIGUSR1, lambda *_: say("alive"))
    say("listening")
"""

COMMAND = LISTENER + "    rest()\n"

CONTEXT = """
    os.chdir(here)
    with numen.DaemonContext(pidfile="pid", reload=lambda: say("hangup")) as daemon:
        signal.signal(signal.SIGUSR1, lambda *_: say("alive"))
        say("listening")
        daemon.ready()
        rest()
"""


def detach_words(directory: Path) -> str:
    script = write_script(directory, COMMAND)
    return f"{numen_command()} detach --pidfile pid --directory {directory} -- {sys.executable} {script}"


def context_words(directory: Path) -> str:
    return f"{sys.executable} {write_script(directory, CONTEXT)}"


BOTH = pytest.mark.parametrize("make_words", [detach_words, context_words], ids=["detach", "context"])


@BOTH
def test_a_daemon_does_not_notice_that_its_terminal_hangs_up(
    make_words: Callable[[Path], str], tmp_path: Path, reaper: Reaper
) -> None:
    # The shell is the session's leader and stays, so that the hangup finds a session in use.
    words = f"{make_words(tmp_path)} && echo up-now && exec cat"
    with Terminal(["sh", "-c", words], cwd=tmp_path) as terminal:
        terminal.read_until("up-now")
        pid = reaper.track(pid_in(tmp_path / "pid"))
        wait_until_said(tmp_path, "listening")
        terminal.hang_up()
        assert terminal.process.wait(30) == -signal.SIGHUP

    os.kill(pid, signal.SIGUSR1)

    # Had there been a hangup, it would have been said before.
    wait_until_said(tmp_path, "alive")
    assert said_in(tmp_path) == ["listening", "alive"]
    assert observe.look(pid).tty_nr == 0


@BOTH
def test_a_daemon_holds_no_terminal_open(make_words: Callable[[Path], str], tmp_path: Path, reaper: Reaper) -> None:
    with Terminal(["sh", "-c", f"exec {make_words(tmp_path)}"], cwd=tmp_path) as terminal:
        assert terminal.finish().returncode == 0
        seen = observe.look(reaper.track(pid_in(tmp_path / "pid")))

    assert not [one for one in seen.descriptors.values() if one.target.startswith(("/dev/pts", "/dev/tty"))]


def test_a_start_whose_terminal_hangs_up_is_undone(tmp_path: Path) -> None:
    words: list[str | Path] = ["detach", "--pidfile", tmp_path / "pid", "--ready", "notify", "--", "sleep", "1000"]
    with Terminal([numen_command(), *words]) as terminal:
        pid = int(wait_for(lambda: text_of(tmp_path / "pid"), 30, "the pidfile"))

        terminal.hang_up()

        assert terminal.process.wait(30) == 128 + signal.SIGHUP
    assert observe.is_zombie_or_gone(pid)
    assert not (tmp_path / "pid").exists()


OPENER = """
    terminal = sys.argv[1]
    os.open(terminal, os.O_RDWR)
    say("opened")
    rest()
"""


def test_a_daemon_that_opens_a_terminal_does_not_get_it_for_its_own(tmp_path: Path, reaper: Reaper) -> None:
    master, slave = pty.openpty()
    try:
        script = write_script(tmp_path, OPENER)
        # Whoever leads a session gets the terminal that it opens, if it has none: the rule that the second fork meets.
        leader = reaper.start([sys.executable, script, os.ttyname(slave)], cwd=tmp_path, start_new_session=True)
        wait_until_said(tmp_path, "opened")
        assert observe.look(leader.pid).tty_nr != 0
        reaper.end_all()
        (tmp_path / "said").unlink()

        words: list[str | Path] = ["detach", "--pidfile", tmp_path / "pid", "--directory", tmp_path, "--"]
        with Terminal([numen_command(), *words, sys.executable, script, os.ttyname(slave)]) as terminal:
            assert terminal.finish().returncode == 0
        pid = reaper.track(pid_in(tmp_path / "pid"))
        wait_until_said(tmp_path, "opened")

        seen = observe.look(pid)
        assert seen.tty_nr == 0
        assert os.ttyname(slave) in {one.target for one in seen.descriptors.values()}
        assert pid not in (seen.sid, seen.pgid)
    finally:
        os.close(master)
        os.close(slave)


def text_of(path: Path) -> str:
    return path.read_text() if path.exists() else ""
