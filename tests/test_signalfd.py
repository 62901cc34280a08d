"""Signals read from a descriptor."""

import signal
import textwrap
from pathlib import Path

from daemons import run_script

IMPORTS = """\
import select
from numen.kernel.signalfd import read_signals, signalfd
"""


def run(directory: Path, script: str) -> list[str]:
    """What the script prints; in a process of its own, because signals are blocked in all of a process."""
    done = run_script(directory, IMPORTS + textwrap.dedent(script))
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_each_signal_is_told_once_however_often_it_has_come(tmp_path: Path) -> None:
    script = """
        fd = signalfd((signal.SIGHUP, signal.SIGUSR1))
        print(read_signals(fd))
        for number in (signal.SIGUSR1, signal.SIGHUP, signal.SIGHUP, signal.SIGUSR1): os.kill(os.getpid(), number)
        print(sorted(read_signals(fd)), read_signals(fd))
    """

    assert run(tmp_path, script) == ["[]", f"[{int(signal.SIGHUP)}, {int(signal.SIGUSR1)}] []"]


def test_the_descriptor_is_readable_while_there_is_a_signal_and_closed_on_exec(tmp_path: Path) -> None:
    script = """
        fd = signalfd((signal.SIGUSR1,))
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        print(len(poll.poll(0)), os.get_inheritable(fd), os.get_blocking(fd))
        os.kill(os.getpid(), signal.SIGUSR1)
        print(len(poll.poll(0)))
        read_signals(fd)
        print(len(poll.poll(0)))
    """

    assert run(tmp_path, script) == ["0 False False", "1", "0"]


def test_the_deaths_of_many_children_are_one_signal(tmp_path: Path) -> None:
    script = """
        fd = signalfd((signal.SIGCHLD,))
        children = [os.posix_spawn("/bin/true", ["true"], {}) for _ in range(20)]
        for child in children: os.waitid(os.P_PID, child, os.WEXITED)
        print(read_signals(fd) == [signal.SIGCHLD], read_signals(fd))
    """

    assert run(tmp_path, script) == ["True []"]


def test_a_thread_that_is_started_later_takes_none_of_them(tmp_path: Path) -> None:
    script = """
        fd = signalfd((signal.SIGTERM,))
        over = threading.Event()
        threading.Thread(target=over.wait, daemon=True).start()
        os.kill(os.getpid(), signal.SIGTERM)
        print(read_signals(fd) == [signal.SIGTERM])
        over.set()
    """

    assert run(tmp_path, script) == ["True"]
