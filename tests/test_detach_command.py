"""`numen detach`: any program becomes a correct daemon, wherever it was started, and is seen so from outside."""

import itertools
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import observe
from detaching import (
    DEADLINE,
    SLEEPER,
    assert_nothing_is_left,
    log_of,
    named,
    python,
    refused,
    settled,
    sleeper,
    start,
    start_and_tell,
    wait_for_file,
)
from processes import Reaper, Terminal, environment, numen_command, run_numen, wait_for

OF_THE_C_LIBRARY = {32, 33}
"""Signals that it keeps for itself; its posix_spawn(3) leaves them ignored, and no call of it resets them."""


def assert_no_signals(seen: observe.Process) -> None:
    """Nothing is blocked, ignored, caught or pending."""
    found = seen.signals
    assert found.blocked | found.caught | found.pending | (found.ignored - OF_THE_C_LIBRARY) == set()


OUTDATED = (
    *("NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"),
    *("INVOCATION_ID", "SYSTEMD_EXEC_PID", "JOURNAL_STREAM", "MAINPID", "MANAGERPID", "PWD", "OLDPWD", "SHLVL", "_"),
)
"""Variables that are true of a service manager's child, or of a shell's, and not of a daemon."""


def assert_is_daemon(seen: observe.Process) -> None:
    """What every daemon is, whatever started it."""
    assert seen.ppid == observe.nearest_reaper()
    assert seen.sid not in (seen.pid, os.getsid(0))
    assert seen.pgid == seen.sid
    assert seen.tty_nr == 0
    assert (seen.cwd, seen.root, seen.umask) == ("/", "/", 0o022)
    assert set(seen.descriptors) == {0, 1, 2}
    assert not any(one.cloexec for one in seen.descriptors.values())
    assert_no_signals(seen)


# The eight steps, seen from outside


def test_a_detached_program_is_a_daemon_in_every_respect(reaper: Reaper) -> None:
    seen = sleeper(reaper)

    assert_is_daemon(seen)
    assert seen.cmdline == SLEEPER
    assert seen.limits["core file size"] == (0, 0)


def test_the_leader_of_its_session_is_gone_so_that_it_can_never_have_a_terminal_again(reaper: Reaper) -> None:
    seen = sleeper(reaper)

    assert observe.is_zombie_or_gone(seen.sid)


def test_stdin_and_stdout_are_null_and_stderr_is_a_log_that_is_appended_to(reaper: Reaper) -> None:
    seen = sleeper(reaper)

    stdin, stdout, stderr = (seen.descriptors[number] for number in (0, 1, 2))
    assert (stdin.target, stdout.target) == ("/dev/null", "/dev/null")
    assert stdin.mode in ("r", "rw")
    assert stdout.mode in ("w", "rw")
    assert (stderr.target, stderr.mode, stderr.append) == (str(log_of("sleep")), "w", True)


def test_nothing_of_the_callers_descriptors_is_left_not_even_above_a_lowered_limit(
    reaper: Reaper, tmp_path: Path
) -> None:
    def open_many_and_lower_the_limit() -> None:
        for number in (3, 7, 60, 255):
            os.dup2(0, number, inheritable=True)
        resource.setrlimit(resource.RLIMIT_NOFILE, (100, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))

    seen = sleeper(reaper, preexec_fn=open_many_and_lower_the_limit, close_fds=False)

    assert set(seen.descriptors) == {0, 1, 2}


def test_umask_signals_and_mask_are_reset_whatever_the_caller_had(reaper: Reaper) -> None:
    def be_odd() -> None:
        os.umask(0o077)
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())

    assert_is_daemon(sleeper(reaper, preexec_fn=be_odd))


def test_variables_that_were_true_of_the_caller_only_are_gone_and_the_others_are_kept(reaper: Reaper) -> None:
    outdated = dict.fromkeys(OUTDATED, "7")

    seen = sleeper(reaper, env={**outdated, "COLOUR": "green"})

    assert seen.environ == {
        key: value for key, value in environment({"COLOUR": "green"}).items() if key not in outdated
    }


def test_the_program_is_called_by_its_bare_name_or_by_its_full_path_if_a_path_was_given(
    reaper: Reaper, tmp_path: Path
) -> None:
    sleep = shutil.which("sleep")
    assert sleep is not None
    (tmp_path / "server").symlink_to(sleep)

    assert sleeper(reaper).cmdline[0] == "sleep"
    pid = start(reaper, "--", "./server", "1000", cwd=tmp_path)
    assert settled(pid).cmdline == (str(tmp_path / "server"), "1000")


def test_the_launcher_tells_who_is_up_and_where_its_errors_go(reaper: Reaper) -> None:
    done = run_numen("detach", "--name", "web", "--", *SLEEPER)
    pid = int(named("web").read_text())
    reaper.track(pid)

    assert done.returncode == 0
    assert done.stdout == f"web is up: pid {pid} (the exec succeeded); errors go to {log_of('web')}\n"
    assert done.stderr == ""


def test_quiet_says_nothing_and_json_says_facts(reaper: Reaper) -> None:
    told = start_and_tell(reaper, "--name", "loud", "--", *SLEEPER)
    done = run_numen("detach", "--quiet", "--name", "silent", "--", *SLEEPER)
    reaper.track(int(named("silent").read_text()))

    assert (done.stdout, done.stderr) == ("", "")
    assert told == {
        "name": "loud",
        "pid": int(named("loud").read_text()),
        "by": "the exec succeeded",
        "status": "",
        "log": str(log_of("loud")),
        "command": "sleep 1000",
    }


def test_a_program_whose_name_is_no_text_is_told_with_escapes(reaper: Reaper, tmp_path: Path) -> None:
    program = tmp_path / os.fsdecode(b"pr\xffg")
    program.write_text("#!/bin/sh\nexec sleep 1000\n")
    program.chmod(0o755)

    done = run_numen("detach", "--pidfile", tmp_path / "pid", "--", program)
    reaper.track(int((tmp_path / "pid").read_text()))

    assert done.returncode == 0
    assert "is up: pid" in done.stdout


def test_the_pidfile_names_the_daemon_before_the_launcher_returns(reaper: Reaper, tmp_path: Path) -> None:
    pid = start(reaper, "--pidfile", tmp_path / "web.pid", "--", *SLEEPER, umask=0o000)

    assert (tmp_path / "web.pid").read_text() == f"{pid}\n"
    assert (tmp_path / "web.pid").stat().st_mode & 0o777 == 0o644


# Paths are those of the caller


def test_relative_paths_are_resolved_against_the_callers_directory(reaper: Reaper, tmp_path: Path) -> None:
    (tmp_path / "input").write_text("words")
    (tmp_path / "own").mkdir()
    (tmp_path / "script").write_text('#!/bin/sh\necho "in $PWD"; cat; echo complaint >&2; exec sleep 1000\n')
    (tmp_path / "script").chmod(0o755)
    (tmp_path / "variables").write_text("COLOUR=green\n")
    options = ["--pidfile", "pid", "--stdin", "input", "--stdout", "out", "--stderr", "err"]
    options += ["--directory", "own", "--env-file", "variables"]

    pid = start(reaper, *options, "--", "./script", cwd=tmp_path)

    assert wait_for_file(tmp_path / "out", lambda text: "words" in text) == f"in {tmp_path}/own\nwords"
    assert wait_for_file(tmp_path / "err") == "complaint\n"
    assert (tmp_path / "pid").read_text() == f"{pid}\n"
    seen = observe.look(pid)
    assert seen.cwd == str(tmp_path / "own")
    assert seen.environ["COLOUR"] == "green"


def test_an_argument_that_names_a_file_here_and_not_there_is_warned_of(reaper: Reaper, tmp_path: Path) -> None:
    (tmp_path / "web.conf").touch()

    def notes(*options: str | Path) -> list[str]:
        done = run_numen("detach", *options, "--", "sh", "-c", "exec sleep 1000", "web.conf", cwd=tmp_path)
        for pid in observe.with_environment(os.environ["NUMEN_HOME"]):
            reaper.track(pid)
        assert done.returncode == 0
        return [line for line in done.stderr.splitlines() if "note:" in line]

    (note,) = notes()
    assert f"'web.conf' is a file in {tmp_path}, but the daemon's directory is /" in note
    assert notes("--directory", tmp_path) == []


# Wherever it is started


@pytest.mark.parametrize(
    "closed", [one for count in (1, 2, 3) for one in itertools.combinations((0, 1, 2), count)], ids=str
)
def test_it_works_when_started_with_standard_streams_closed(
    reaper: Reaper, tmp_path: Path, closed: tuple[int, ...]
) -> None:
    redirections = " ".join(f"{number}>&-" for number in closed)
    script = f'exec "$0" detach --pidfile "$1" -- sleep 1000 {redirections}'

    done = subprocess.run(
        ["sh", "-c", script, numen_command(), tmp_path / "pid"],
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    pid = reaper.track(int((tmp_path / "pid").read_text()))
    assert done.stdout == (
        "" if 1 in closed else f"sleep is up: pid {pid} (the exec succeeded); errors go to {log_of('sleep')}\n"
    )
    seen = settled(pid)
    assert_is_daemon(seen)
    assert [seen.descriptors[number].target for number in (0, 1, 2)] == ["/dev/null", "/dev/null", str(log_of("sleep"))]


def test_the_reader_of_a_pipe_sees_its_end_at_once(reaper: Reaper) -> None:
    # Both outputs are the pipe, and communicate() returns only when nobody has it open.
    done = run_numen("detach", "--json", "--", *SLEEPER, stderr=subprocess.STDOUT, deadline_seconds=DEADLINE)

    assert_is_daemon(settled(reaper.track(json.loads(done.stdout)["pid"])))


def test_the_writer_of_a_pipe_on_its_stdin_is_told_that_nobody_reads(reaper: Reaper, tmp_path: Path) -> None:
    reader, writer = os.pipe()
    start(reaper, "--", *SLEEPER, stdin=reader)
    os.close(reader)

    try:
        with pytest.raises(BrokenPipeError):
            os.write(writer, b"x")
    finally:
        os.close(writer)


def test_it_works_under_nohup(reaper: Reaper, tmp_path: Path) -> None:
    done = subprocess.run(
        ["nohup", numen_command(), "detach", "--json", "--", *SLEEPER],
        env=environment(),
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert_is_daemon(settled(reaper.track(json.loads(done.stdout)["pid"])))


def test_it_survives_the_terminal_that_it_was_started_from(reaper: Reaper, tmp_path: Path) -> None:
    script = f'"{numen_command()}" detach --pidfile "$0" -- sleep 1000; echo done; read line'
    with Terminal(["sh", "-c", script, tmp_path / "pid"]) as terminal:
        terminal.read_until("done")
        pid = reaper.track(int((tmp_path / "pid").read_text()))
        before = settled(pid)
        terminal.hang_up()
        terminal.process.wait(DEADLINE)

    assert_is_daemon(before)
    assert_is_daemon(observe.look(pid))


def test_it_works_from_cron_with_almost_no_environment(reaper: Reaper, tmp_path: Path) -> None:
    minimal = {
        "HOME": os.environ["HOME"],
        "PATH": "/usr/bin:/bin",
        "SHELL": "/bin/sh",
        "NUMEN_HOME": os.environ["NUMEN_HOME"],
    }
    done = subprocess.run(
        ["sh", "-c", f'"{numen_command()}" detach --pidfile "{tmp_path}/pid" -- sleep 1000'],
        env=minimal,
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    seen = settled(reaper.track(int((tmp_path / "pid").read_text())))
    assert_is_daemon(seen)
    assert seen.environ == minimal


def test_without_path_a_program_is_found_in_the_usual_places(reaper: Reaper) -> None:
    seen = sleeper(reaper, env={"PATH": None})

    assert seen.environ["PATH"].split(":")[-2:] == ["/sbin", "/bin"]


def test_it_works_over_ssh_without_a_terminal_where_the_streams_are_socket_pairs(
    reaper: Reaper, tmp_path: Path
) -> None:
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            process = reaper.start(
                [numen_command(), "detach", "--pidfile", tmp_path / "pid", "--", *SLEEPER],
                stdin=theirs,
                stdout=theirs,
                stderr=theirs,
                start_new_session=True,
                env=environment(),
            )
        assert process.wait(DEADLINE) == 0
        pid = reaper.track(int((tmp_path / "pid").read_text()))
        ours.settimeout(DEADLINE)
        # The end comes because nobody holds the other side any more: ssh does not hang.
        assert b"is up" in b"".join(iter(lambda: ours.recv(4096), b""))
    assert_is_daemon(settled(pid))


@pytest.mark.parametrize("limit", [20, 64])
def test_it_works_with_few_open_files_allowed(reaper: Reaper, limit: int) -> None:
    seen = sleeper(
        reaper, "--name", "few", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    )

    assert_is_daemon(seen)
    assert seen.limits["open files"] == (limit, limit)


def test_too_few_open_files_for_a_start_are_no_riddle() -> None:
    few = resource.getrlimit(resource.RLIMIT_NOFILE)[1]

    done = run_numen(
        "detach",
        "--name",
        "few",
        "--",
        *SLEEPER,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (10, few)),
    )

    assert done.returncode == 6
    assert "cannot open what the start needs: Too many open files" in done.stderr
    assert_nothing_is_left()


def test_it_works_in_a_directory_that_was_removed(reaper: Reaper, tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    script = f'cd "{tmp_path}/gone" && rmdir ../gone && exec "$0" detach --pidfile "{tmp_path}/pid" -- sleep 1000'

    done = subprocess.run(
        ["sh", "-c", script, numen_command()], env=environment(), capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert_is_daemon(settled(reaper.track(int((tmp_path / "pid").read_text()))))


@pytest.mark.needs_root
def test_it_works_without_home_for_a_uid_that_nobody_knows(reaper: Reaper) -> None:
    # The capability is there because the interpreter may stand where only root may go.
    uid = 1_000_000_000 + os.getpid()
    own = Path(f"/tmp/numen-{uid}")
    drop = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
    drop += ["--inh-caps=+dac_override,+dac_read_search", "--ambient-caps=+dac_override,+dac_read_search"]
    nowhere = environment(dict.fromkeys(("NUMEN_HOME", "XDG_STATE_HOME", "HOME")))
    try:
        done = subprocess.run(
            [*drop, numen_command(), "detach", "--json", "--name", "web", "--", *SLEEPER],
            env=nowhere,
            capture_output=True,
            text=True,
            check=False,
        )

        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        seen = settled(reaper.track(told["pid"]))
        assert_is_daemon(seen)
        assert set(seen.uids) == {uid}
        assert told["log"] == f"{own}/numen/log/web.log"
    finally:
        shutil.rmtree(own, ignore_errors=True)


# In the foreground


def test_in_the_foreground_every_step_is_taken_but_the_forks(reaper: Reaper, tmp_path: Path) -> None:
    process = reaper.start(
        [numen_command(), "detach", "--foreground", "--pidfile", tmp_path / "pid", "--", *SLEEPER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )
    wait_for(lambda: observe.look(process.pid).cmdline == SLEEPER, DEADLINE, "the exec")

    seen = settled(process.pid)
    assert (seen.ppid, seen.sid) == (os.getpid(), os.getsid(0))
    assert (seen.cwd, seen.umask, set(seen.descriptors)) == ("/", 0o022, {0, 1, 2})
    assert all(one.target.startswith("pipe:") for one in seen.descriptors.values())
    assert_no_signals(seen)
    assert (tmp_path / "pid").read_text() == f"{process.pid}\n"


def test_in_the_foreground_its_exit_status_is_the_programs() -> None:
    done = run_numen("detach", "--foreground", "--", "sh", "-c", "echo out; echo err >&2; exit 7")

    assert (done.returncode, done.stdout, done.stderr) == (7, "out\n", "err\n")


def test_in_the_foreground_a_program_that_cannot_be_executed_leaves_no_pidfile(tmp_path: Path) -> None:
    (tmp_path / "broken").write_text("#!/no/such/interpreter\n")
    (tmp_path / "broken").chmod(0o755)

    refused(125, "--foreground", "--name", "web", "--", tmp_path / "broken", saying="is missing")


# What can be known beforehand is found beforehand


@pytest.mark.parametrize(
    ("status", "command", "saying"),
    [
        (127, "no-such-command", "cannot find the command no-such-command: it is in no directory of PATH"),
        (127, "./missing", "there is no such file"),
        (127, "", "its name is empty"),
        (126, "./directory", "it is a directory"),
        (126, "./plain", "it has no execute permission"),
        (125, "./broken", "the interpreter in its first line, or its dynamic loader, is missing"),
        (125, "./text", "neither a program nor a script"),
    ],
)
def test_a_command_that_cannot_run_is_told_apart_by_the_exit_statuses_that_shells_use(
    tmp_path: Path, status: int, command: str, saying: str
) -> None:
    (tmp_path / "directory").mkdir()
    for name, text, mode in ("plain", "", 0o644), ("broken", "#!/no/such\n", 0o755), ("text", "words", 0o755):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(mode)

    refused(status, "--name", "web", "--", command, saying=saying, cwd=tmp_path)


@pytest.mark.parametrize(
    ("options", "saying"),
    [
        (["--directory", "missing"], "as the working directory: No such file"),
        (["--directory", "file"], "as the working directory: Not a directory"),
        (["--stdin", "missing"], "cannot read stdin from"),
        (["--stdout", "missing/log"], "cannot append to"),
        (["--stderr", "directory"], "cannot append to"),
        (["--pidfile", "missing/pid"], "there is no directory"),
        (["--pidfile", "directory"], "cannot make the pidfile"),
        (["--pidfile", "fifo"], "there is something else of that name"),
        (["--pidfile", "link"], "cannot make the pidfile"),
        (["--pidfile", "open/pid"], "so they could choose whom it names"),
        (["--env-file", "missing"], "cannot read the environment file"),
        (["--user", "no-such-user"], "there is no such user"),
        (["--user", "987654321"], "it has no passwd entry, so name its group too"),
        (["--user", "99999999999", "--group", "0"], "ids lie between"),
        (["--group", "no-such-group"], "there is no such group"),
        (["--groups", "root,no-such-group"], "there is no such group"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_named_and_cannot_be_used_is_found_before_anything_is_done(
    tmp_path: Path, options: list[str], saying: str
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "directory").mkdir()
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    (tmp_path / "link").symlink_to("elsewhere")
    os.mkfifo(tmp_path / "fifo")
    before = sorted(tmp_path.rglob("*"))

    refused(6, *options, "--name", "web", "--", "touch", tmp_path / "made", saying=saying, cwd=tmp_path)

    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.needs_user
@pytest.mark.parametrize(
    "options",
    [
        ["--pidfile", "closed/pid"],
        ["--stdout", "closed/log"],
        ["--stdin", "secret"],
        ["--user", "root"],
        ["--chroot", "."],
        ["--nice", "-5"],
        ["--limit", "open-files=unlimited"],
        ["--capability", "net_admin"],
    ],
    ids=" ".join,
)
def test_what_is_not_permitted_is_told_apart(tmp_path: Path, options: list[str]) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    (tmp_path / "secret").touch(mode=0o000)

    refused(4, *options, "--", *SLEEPER, saying="cannot", cwd=tmp_path)


@pytest.mark.needs_root
def test_a_pidfile_of_another_owner_is_refused(public_path: Path) -> None:
    (public_path / "pid").touch()
    os.chown(public_path / "pid", 12345, 12345)

    refused(6, "--pidfile", public_path / "pid", "--", *SLEEPER, saying="it belongs to uid 12345")


@pytest.mark.parametrize(
    "name", ["", ".hidden", "a/b", "../up", "two words", "new\nline", "x" * 101, "star*", "-dash "]
)
def test_a_bad_name_is_refused_before_any_file_is_made(name: str, numen_home: Path) -> None:
    refused(2, f"--name={name}", "--", *SLEEPER, saying="is no name")

    assert list(numen_home.parent.rglob("*.log")) == []


@pytest.mark.parametrize("name", ["web", "web-1", "web_1.2", "web@host", "web:1", "größe"])
def test_a_name_is_letters_digits_and_a_few_signs(reaper: Reaper, name: str) -> None:
    pid = start(reaper, "--name", name, "--", *SLEEPER)

    assert named(name).read_text() == f"{pid}\n"


@pytest.mark.parametrize("kind", ["name", "pidfile"])
def test_a_second_instance_is_refused_with_the_pid_of_the_first(reaper: Reaper, tmp_path: Path, kind: str) -> None:
    option = ["--name", "web"] if kind == "name" else ["--pidfile", str(tmp_path / "pid")]
    pid = start(reaper, *option, "--", *SLEEPER)

    done = run_numen("detach", *option, "--", *SLEEPER)

    assert done.returncode == 8
    assert f"cannot start: it is running already, pid {pid} (" in done.stderr
    assert set(observe.children(os.getpid())) == {pid}


def test_of_many_starts_at_once_one_wins_and_the_others_say_so(reaper: Reaper) -> None:
    command: list[str | Path] = [numen_command(), "detach", "--json", "--name", "web", "--", *SLEEPER]
    starts = [
        reaper.start(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()) for _ in range(12)
    ]
    told = [one.communicate(timeout=DEADLINE) for one in starts]

    winners = [json.loads(out)["pid"] for (out, _), one in zip(told, starts, strict=True) if one.returncode == 0]
    reaper.track(winners[0])
    assert len(winners) == 1
    assert [one.returncode for one in starts].count(8) == 11
    assert named("web").read_text() == f"{winners[0]}\n"


@pytest.mark.parametrize("text", ["", "\n", "garbage", "0", "-1", "9999999999", "4194304", "1 2", "\0\0", "٣"])
def test_an_empty_garbage_or_impossible_pidfile_heals_by_itself(reaper: Reaper, tmp_path: Path, text: str) -> None:
    (tmp_path / "pid").write_text(text)

    pid = start(reaper, "--pidfile", tmp_path / "pid", "--", *SLEEPER)

    assert (tmp_path / "pid").read_text() == f"{pid}\n"


def test_a_pidfile_whose_process_has_ended_heals_by_itself(reaper: Reaper, tmp_path: Path) -> None:
    first = start(reaper, "--pidfile", tmp_path / "pid", "--", *SLEEPER)
    os.kill(first, signal.SIGKILL)
    observe.wait_until_gone(first)

    second = start(reaper, "--pidfile", tmp_path / "pid", "--", *SLEEPER)

    assert (tmp_path / "pid").read_text() == f"{second}\n"


def test_a_leftover_child_does_not_make_it_already_running(reaper: Reaper, tmp_path: Path) -> None:
    leaving = "sleep 1000 & echo $! >$0; exec sleep 1000"
    first = start(reaper, "--name", "web", "--", "sh", "-c", leaving, tmp_path / "child")
    reaper.track(int(wait_for_file(tmp_path / "child")))
    os.kill(first, signal.SIGKILL)
    observe.wait_until_gone(first)

    second = start(reaper, "--name", "web", "--", *SLEEPER)

    assert named("web").read_text() == f"{second}\n"


# An interruption


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_a_launcher_that_is_interrupted_undoes_what_it_began(
    reaper: Reaper, tmp_path: Path, number: signal.Signals
) -> None:
    program = python(
        "import pathlib, sys, time; pathlib.Path(sys.argv[1]).touch(); time.sleep(1000)", tmp_path / "begun"
    )
    launcher = reaper.start(
        [numen_command(), "detach", "--name", "web", "--ready", "notify", "--", *program],
        stderr=subprocess.PIPE,
        env=environment(),
        # A shell's `&` leaves the first two ignored, and then they are none of the launcher's business.
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),
    )
    wait_for(lambda: (tmp_path / "begun").exists(), DEADLINE, "the program's first act")

    launcher.send_signal(number)

    _, errors = launcher.communicate(timeout=DEADLINE)
    assert launcher.returncode == 128 + number
    assert f"interrupted by signal {int(number)}; nothing was left running" in errors
    assert_nothing_is_left()


def test_a_launcher_that_is_interrupted_at_any_instant_leaves_nothing_or_a_daemon_that_is_up(
    reaper: Reaper, subtests_of: Callable[[int], list[float]]
) -> None:
    for delay in subtests_of(16):
        launcher = reaper.start(
            [numen_command(), "detach", "--json", "--name", "web", "--", *SLEEPER],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
        )
        try:
            launcher.wait(delay)
        except subprocess.TimeoutExpired:
            launcher.send_signal(signal.SIGTERM)
        _, errors = launcher.communicate(timeout=DEADLINE)
        if launcher.returncode == 0:
            assert run_numen("detach", "--stop", "web").returncode == 0
            continue
        # Python itself dies of the signal before the launcher has begun.
        assert launcher.returncode in (128 + signal.SIGTERM, -signal.SIGTERM), errors
        assert_nothing_is_left()


@pytest.fixture
def subtests_of() -> Callable[[int], list[float]]:
    """Instants spread over the time that a start takes here and now, measured by one."""
    import time

    def instants(count: int) -> list[float]:
        begin = time.monotonic()
        run_numen("detach", "--ready", "exit", "--", "true")
        whole = time.monotonic() - begin
        return [whole * index / count for index in range(1, count + 1)]

    return instants
