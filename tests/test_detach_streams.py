"""Where the daemon's streams go: files, the journal, and syslog by way of a forwarder."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import observe
from detaching import (
    DEADLINE,
    SLEEPER,
    ask,
    log_of,
    refused,
    settled,
    sleeper,
    start,
    wait_for_file,
    without_system_log,
)
from log_receivers import Receiver, StreamReceiver
from numen.become import streams
from numen.become.syslog import journal
from numen.become.syslog.system_log import LINGER
from processes import Reaper, environment, numen_command, run_numen, unprivileged, wait_for

INFO, ERR = 6, 3
LOCAL3 = 19 << 3

SPEAKER = 'trap "n=\\$((n+1)); echo line \\$n" USR1; echo up; while :; do sleep 0.01; done'
"""A program that says `up`, and then a line at each SIGUSR1."""


# Files


def test_two_streams_that_name_one_file_share_it(reaper: Reaper, tmp_path: Path) -> None:
    script = "echo one; echo two >&2; echo three; exec sleep 1000"

    pid = start(reaper, "--stdout", tmp_path / "log", "--stderr", tmp_path / "log", "--", "sh", "-c", script)

    assert wait_for_file(tmp_path / "log", lambda text: "three" in text) == "one\ntwo\nthree\n"
    seen = settled(pid)
    assert [seen.descriptors[number].target for number in (1, 2)] == [str(tmp_path / "log")] * 2


def test_a_file_is_appended_to_and_closed_to_others(reaper: Reaper, tmp_path: Path) -> None:
    (tmp_path / "old").write_text("before\n")

    start(
        reaper,
        "--stdout",
        tmp_path / "old",
        "--stderr",
        tmp_path / "new",
        "--",
        "sh",
        "-c",
        "echo after; exec sleep 1000",
    )

    assert wait_for_file(tmp_path / "old", lambda text: "after" in text) == "before\nafter\n"
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o640


def test_stdin_may_be_a_file_and_is_read_only(reaper: Reaper, tmp_path: Path) -> None:
    (tmp_path / "input").write_text("words")

    stdin = sleeper(reaper, "--stdin", tmp_path / "input").descriptors[0]

    assert (stdin.target, stdin.mode) == (str(tmp_path / "input"), "r")


def test_a_fifo_that_nobody_reads_is_told_of_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")

    refused(6, "--stdout", tmp_path / "fifo", "--", "true", saying="cannot append to")


def test_errors_may_be_thrown_away_if_that_is_asked_for(reaper: Reaper, numen_home: Path) -> None:
    seen = sleeper(reaper, "--stderr", "null")

    assert seen.descriptors[2].target == "/dev/null"
    assert not log_of("sleep").exists()


@pytest.mark.needs_root
def test_root_follows_no_link_that_a_user_laid_to_make_a_log_where_he_may_not(public_path: Path) -> None:
    nobody = unprivileged()
    (public_path / "trusted").mkdir(0o755)
    app = public_path / "app"
    app.mkdir()
    (app / "logs").symlink_to("../trusted")
    os.chown(app, nobody.uid, nobody.gid)

    options: list[str | Path] = ["--user", nobody.name, "--stdout", app / "logs" / "web.log"]
    refused(4, *options, "--", "true", saying=f"root will not where others write ({app})")

    assert not (public_path / "trusted" / "web.log").exists()


@pytest.mark.parametrize(("stdout", "stderr"), [(None, 1), (2, 1), (2, None)])
def test_a_standard_stream_may_be_given_for_another(tmp_path: Path, stdout: int | None, stderr: int | None) -> None:
    script = """
        import os, sys
        from numen.become import streams
        given = [streams.NULL if one == "None" else int(one) for one in sys.argv[1:]]
        streams.install(streams.open_all(streams.NULL, *given, "web", None))
        os.write(1, b"words")
        os.write(2, b"errors")
        assert not any(os.path.exists(f"/proc/self/fd/{number}") for number in range(3, 9))
    """
    with open(tmp_path / "1", "wb") as one, open(tmp_path / "2", "wb") as two:
        code = [sys.executable, "-c", textwrap.dedent(script), str(stdout), str(stderr)]
        subprocess.run(code, stdout=one, stderr=two, check=True)

    # What 1 and 2 had been is written to by the other, or by nobody.
    assert (tmp_path / "1").read_text() == ("errors" if stderr == 1 else "")
    assert (tmp_path / "2").read_text() == ("words" if stdout == 2 else "")


# The journal, with a receiver in its place


def test_the_journals_socket_is_the_same_wherever_it_is_named() -> None:
    assert streams.JOURNAL_STREAM == journal.STREAM_SOCKET


def detach_where(
    reaper: Reaper, places: list[str], *arguments: str | Path, env: dict[str, str | None] | None = None
) -> dict[str, Any]:
    """Run `numen detach` with that beginning; what it tells of the daemon, which the reaper will end."""
    command: list[str | Path] = [*places, numen_command(), "detach", "--json", *arguments]
    done = subprocess.run(
        command, env=environment(env), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    reaper.track(told["pid"])
    return told


@pytest.mark.needs_root
def test_errors_go_to_the_journal_where_there_is_one(reaper: Reaper, tmp_path: Path) -> None:
    with StreamReceiver(tmp_path / "stdout") as journal:
        told = detach_where(
            reaper,
            without_system_log(tmp_path, journal=journal.path),
            *("--name", "web", "--", "sh", "-c", "echo complaint >&2; exec sleep 1000"),
        )

        journal.accept()  # the question whether it listens
        journal.accept()
        lines = [journal.receive(b"\n") for _ in range(8)]
        assert lines == [b"web", b"", b"3", b"1", b"0", b"0", b"0", b"complaint"]
        assert told["log"] == "the journal (journalctl -t web)"
        seen = settled(told["pid"])
        stderr = os.stat(f"/proc/{seen.pid}/fd/2")
        assert seen.environ["JOURNAL_STREAM"] == f"{stderr.st_dev}:{stderr.st_ino}"


@pytest.mark.needs_root
def test_stdout_goes_to_the_journal_with_another_priority_if_asked_for(reaper: Reaper, tmp_path: Path) -> None:
    with StreamReceiver(tmp_path / "stdout") as journal:
        places = without_system_log(tmp_path, journal=journal.path)
        options = ["--stdout=journal", "--stderr=null", "--name=web:1"]
        detach_where(reaper, places, *options, "--", "sh", "-c", "echo words; exec sleep 1000")

        journal.accept()
        # A colon would end the tag of a message, so the ident has none.
        assert [journal.receive(b"\n") for _ in range(8)] == [b"web_1", b"", b"6", b"1", b"0", b"0", b"0", b"words"]


@pytest.mark.needs_root
def test_a_journal_that_has_gone_is_no_reason_not_to_start(reaper: Reaper, tmp_path: Path) -> None:
    StreamReceiver(tmp_path / "other")._listening.close()
    (tmp_path / "other").rename(tmp_path / "stdout")
    places = without_system_log(tmp_path, journal=tmp_path / "stdout")

    told = detach_where(reaper, places, "--", *SLEEPER)

    assert told["log"] == str(log_of("sleep"))
    command: list[str | Path] = [*places, numen_command(), "detach", "--stderr=journal", "--", *SLEEPER]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 6
    assert "cannot open the journal's stream" in done.stderr


# Syslog, with a receiver in its place


@pytest.fixture
def syslog(tmp_path: Path) -> Iterator[Receiver]:
    with Receiver(tmp_path / "log") as receiver:
        yield receiver


def forwarders(but: int) -> list[int]:
    """Watcher and forwarder, in this order: what runs of this test beside the daemon and its children."""
    found = observe.with_environment(f"{Path(os.environ['NUMEN_HOME']).parent}/")
    pids = {pid for pid in found if pid not in (but, *observe.descendants(but)) and not observe.is_zombie_or_gone(pid)}
    return sorted(pids, key=lambda pid: observe.look(pid).ppid in pids)


def pair(but: int) -> list[int]:
    wait_for(lambda: len(forwarders(but)) == 2, DEADLINE, "watcher and forwarder")
    return forwarders(but)


def is_held(pid: int) -> bool:
    return observe.look(pid).state == "T"


@pytest.mark.needs_root
def test_every_line_is_sent_with_facility_priority_name_and_the_daemons_pid(
    reaper: Reaper, tmp_path: Path, syslog: Receiver
) -> None:
    script = "echo out; echo 'err with ünicode' >&2; echo; printf 'no end'; exec sleep 1000"
    options = ["--stdout=syslog", "--stderr=syslog", "--facility=local3", "--name=web"]

    pid = detach_where(reaper, without_system_log(tmp_path, log=syslog.path), *options, "--", "sh", "-c", script)["pid"]

    out, err = sorted((syslog.receive() for _ in range(2)), reverse=True)
    assert out.startswith(f"<{LOCAL3 + INFO}>".encode())
    assert out.endswith(f" web[{pid}]: out".encode())
    assert err.startswith(f"<{LOCAL3 + ERR}>".encode())
    assert err.endswith(f" web[{pid}]: err with ünicode".encode())
    os.kill(pid, signal.SIGKILL)
    # An empty line says nothing, and one that had no end has it now.
    assert syslog.receive().endswith(f" web[{pid}]: no end".encode())


@pytest.mark.needs_root
def test_the_forwarder_ends_when_the_last_writer_has(reaper: Reaper, tmp_path: Path, syslog: Receiver) -> None:
    script = "(trap 'echo late; exit' TERM; touch $0; while :; do sleep 0.01; done) & exec sleep 1000"
    command = ["--stdout=syslog", "--name=web", "--", "sh", "-c", script, str(tmp_path / "up")]
    pid = detach_where(reaper, without_system_log(tmp_path, log=syslog.path), *command)["pid"]
    wait_for(lambda: (tmp_path / "up").exists(), DEADLINE, "the child's trap")
    (child,) = observe.children(pid)
    reaper.track(child)
    both = pair(pid)

    os.kill(pid, signal.SIGKILL)
    observe.wait_until_gone(pid)
    assert any(not observe.is_zombie_or_gone(one) for one in both)
    os.kill(child, signal.SIGTERM)

    assert syslog.receive().endswith(b": late")
    for one in both:
        observe.wait_until_gone(one)


@pytest.mark.needs_root
def test_the_last_lines_of_a_daemon_wait_for_a_slow_syslog(reaper: Reaper, tmp_path: Path, syslog: Receiver) -> None:
    script = "read go <$0; for n in $(seq 40); do echo line $n >&2; done"
    os.mkfifo(tmp_path / "go")
    command = ["--stderr=syslog", "--name=web", "--", "sh", "-c", script, str(tmp_path / "go")]
    pid = detach_where(reaper, without_system_log(tmp_path, log=syslog.path), *command)["pid"]
    both = pair(pid)
    (tmp_path / "go").write_text("go\n")
    observe.wait_until_gone(pid)

    # For longer than a SystemLog waits of its own accord, nobody reads.
    later = time.monotonic() + LINGER + 0.5
    wait_for(lambda: time.monotonic() > later or not forwarders(pid), DEADLINE, "the end of that time")

    assert [syslog.receive().rpartition(b": ")[2].decode() for _ in range(40)] == [f"line {n + 1}" for n in range(40)]
    for one in both:
        observe.wait_until_gone(one)


@pytest.mark.needs_root
def test_whoever_of_the_forwarders_is_killed_no_line_is_lost_and_the_daemon_goes_on(
    reaper: Reaper, tmp_path: Path, syslog: Receiver
) -> None:
    command = ["--stdout=syslog", "--name=web", "--", "sh", "-c", SPEAKER]
    pid = detach_where(reaper, without_system_log(tmp_path, log=syslog.path), *command)["pid"]
    assert syslog.receive().endswith(b": up")

    for number, victim in enumerate((1, 0, 1, 0), 1):
        both = pair(pid)
        # The forwarder is held, so that the line stands in the FIFO when one of them is killed.
        os.kill(both[1], signal.SIGSTOP)
        wait_for(lambda: is_held(both[1]), DEADLINE, "that the forwarder is held")  # noqa: B023 - called at once
        os.kill(pid, signal.SIGUSR1)
        os.kill(both[victim], signal.SIGKILL)
        observe.wait_until_gone(both[victim])
        if victim == 0:
            os.kill(both[1], signal.SIGCONT)

        assert syslog.receive().endswith(f": line {number}".encode())
    assert not observe.is_zombie_or_gone(pid)


@pytest.mark.needs_root
def test_a_daemon_whose_forwarders_are_both_gone_does_not_die_of_it(
    reaper: Reaper, tmp_path: Path, syslog: Receiver
) -> None:
    script = (
        "trap '' PIPE; touch $0; while [ ! -e $0.go ]; do sleep 0.01; done; echo on && touch $0.on; exec sleep 1000"
    )
    command = ["--stdout=syslog", "--name=web", "--", "sh", "-c", script, str(tmp_path / "up")]
    pid = detach_where(reaper, without_system_log(tmp_path, log=syslog.path), *command)["pid"]
    both = pair(pid)
    for one in both:
        os.kill(one, signal.SIGSTOP)
    for one in both:
        os.kill(one, signal.SIGKILL)
        observe.wait_until_gone(one)

    (tmp_path / "up.go").touch()

    wait_for(lambda: (tmp_path / "up.on").exists(), DEADLINE, "that its write did not fail")
    assert not observe.is_zombie_or_gone(pid)


@pytest.mark.needs_root
@pytest.mark.parametrize("user", [None, "nobody"])
def test_without_a_system_log_the_lines_go_to_the_daemons_file(
    reaper: Reaper, tmp_path: Path, user: str | None
) -> None:
    options = ["--stdout=syslog", "--name=web", *(["--user", user] if user else [])]

    told = detach_where(reaper, without_system_log(tmp_path), *options, "--", "sh", "-c", "echo words; exec sleep 1000")

    assert wait_for_file(log_of("web")).endswith(f" web[{told['pid']}] info: words\n")


@pytest.mark.needs_root
def test_a_dropped_daemon_can_open_its_stderr_again_and_others_cannot(
    reaper: Reaper, tmp_path: Path, syslog: Receiver
) -> None:
    nobody = unprivileged()
    syslog.path.chmod(0o666)
    tmp_path.chmod(0o755)
    tmp_path.parent.chmod(0o755)
    options = ["--stderr=syslog", "--user", nobody.name, "--name=web"]
    script = "echo again >/proc/self/fd/2; exec sleep 1000"

    pid = detach_where(reaper, without_system_log(tmp_path, log=syslog.path), *options, "--", "sh", "-c", script)["pid"]

    assert syslog.receive().endswith(b": again")
    found = os.stat(f"/proc/{pid}/fd/2")
    assert (found.st_uid, found.st_mode & 0o777) == (nobody.uid, 0o600)
    assert {observe.look(one).uids[0] for one in pair(pid)} == {nobody.uid}


@pytest.mark.needs_root
def test_who_dies_before_it_is_ready_is_told_with_the_lines_that_went_to_syslog(
    reaper: Reaper, tmp_path: Path, syslog: Receiver
) -> None:
    command = ["--stderr=syslog", "--ready=notify", "--name=web", "--", "sh", "-c", "echo no database >&2; exit 3"]

    done = subprocess.run(
        [*without_system_log(tmp_path, log=syslog.path), numen_command(), "detach", *command],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 9
    assert done.stderr.splitlines() == [
        "numen detach: web ended with exit status 3 before it was ready",
        "  | no database",
    ]
    assert syslog.receive().endswith(b": no database")


@pytest.mark.needs_root
def test_stop_ends_the_forwarder_too_and_leaves_no_fifo(reaper: Reaper, tmp_path: Path, syslog: Receiver) -> None:
    fifos = set(Path("/tmp").glob("numen-*"))
    places = without_system_log(tmp_path, log=syslog.path)
    pid = detach_where(reaper, places, "--stdout=syslog", "--name=web", "--", *SLEEPER)["pid"]
    both = pair(pid)

    assert ask("--stop", "web").returncode == 0

    for one in both:
        observe.wait_until_gone(one)
    assert not any(path.is_fifo() for made in set(Path("/tmp").glob("numen-*")) - fifos for path in made.glob("fifo"))


def test_in_the_foreground_there_is_no_forwarder_and_so_no_syslog() -> None:
    refused(2, "--foreground", "--stderr=syslog", "--", "true", saying="syslog")


def test_a_facility_that_there_is_not_is_refused_and_the_others_are_named() -> None:
    done = run_numen("detach", "--facility=kern", "--stderr=syslog", "--", *SLEEPER)

    assert done.returncode == 2
    assert "local7" in done.stderr
