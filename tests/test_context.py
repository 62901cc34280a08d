"""DaemonContext: the running program becomes a daemon, and its launcher tells the truth about it."""

import bz2
import gzip
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import numen
import observe
from daemons import (
    begin_script,
    pid_in,
    run_script,
    said_in,
    start_daemon,
    wait_for_exit,
    wait_until_said,
    write_script,
)
from numen.errors import BadOption
from processes import Reaper, Terminal, wait_for

RESTING = """
with numen.DaemonContext(pidfile="pid", stdout="out", stderr="err"{options}) as daemon:
    daemon.ready()
    rest()
"""


def start_resting(directory: Path, reaper: Reaper, options: str = "") -> observe.Process:
    """What /proc says of a daemon with these options that only rests."""
    options = f", {options}" if options else ""
    return start_daemon(directory, reaper, RESTING.format(options=options)).look()


def is_clean(directory: Path) -> bool:
    """Whether nothing is left of a pidfile and of its record."""
    return not any("pid" in path.name for path in directory.iterdir())


# The steps


def test_inside_the_context_the_program_is_a_daemon(tmp_path: Path, reaper: Reaper) -> None:
    daemon = start_resting(tmp_path, reaper)

    assert daemon.tty_nr == 0
    assert daemon.pid != daemon.sid, "a session leader could get a terminal back by opening one"
    assert daemon.sid == daemon.pgid
    assert daemon.ppid == observe.nearest_reaper()
    assert daemon.cwd == "/"
    assert daemon.umask == 0o022
    assert [daemon.descriptors[number].target for number in range(3)] == [
        "/dev/null",
        str(tmp_path / "out"),
        str(tmp_path / "err"),
    ]
    assert not any(daemon.descriptors[number].cloexec for number in range(3))
    assert all(daemon.descriptors[number].append for number in (1, 2))
    # Beside them only the lock of its own pidfile, which no program that it executes inherits.
    others = {number: one for number, one in daemon.descriptors.items() if number > 2}
    assert [(one.target, one.cloexec) for one in others.values()] == [(str(tmp_path / "pid"), True)]
    assert daemon.signals.blocked == set()
    assert daemon.signals.caught >= {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
    assert daemon.limits["core file size"] == (0, 0)


def test_a_daemon_that_was_started_on_a_terminal_outlives_its_hangup(tmp_path: Path, reaper: Reaper) -> None:
    script = write_script(tmp_path, RESTING.format(options=""))
    with Terminal([sys.executable, script], cwd=tmp_path) as terminal:
        assert terminal.finish().returncode == 0
        pid = reaper.track(pid_in(tmp_path / "pid"))
        terminal.hang_up()
    daemon = observe.look(pid)
    assert daemon.tty_nr == 0
    assert not any("pts" in one.target for one in daemon.descriptors.values())


def test_what_the_launcher_had_ignored_or_blocked_does_not_reach_the_daemon(tmp_path: Path, reaper: Reaper) -> None:
    script = """
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGUSR2])
        with numen.DaemonContext(pidfile="pid", stderr="err") as daemon:
            daemon.ready()
            rest()
    """
    daemon = start_daemon(tmp_path, reaper, script)

    seen = daemon.look().signals
    assert seen.blocked == set()
    # The interpreter needs these two.
    assert seen.ignored == {signal.SIGPIPE, signal.SIGXFSZ}
    assert daemon.stop() == 0


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_a_program_that_was_started_with_closed_streams_becomes_a_daemon_too(
    tmp_path: Path, reaper: Reaper, closed: tuple[int, ...]
) -> None:
    script = """
        with numen.DaemonContext(pidfile="pid", stdout="out", stderr="err") as daemon:
            print("out", flush=True)
            print("err", file=sys.stderr, flush=True)
            daemon.ready()
            rest()
    """
    closing = " ".join(f"{number}>&-" for number in closed)
    before = ("sh", "-c", f'exec "$@" {closing}', "sh")
    daemon = start_daemon(tmp_path, reaper, script, before=before).look()

    assert (tmp_path / "out").read_text() == "out\n"
    assert (tmp_path / "err").read_text() == "err\n"
    assert not any(daemon.descriptors[number].cloexec for number in range(3))


@pytest.mark.parametrize(
    ("options", "field", "expected"),
    [
        ('directory="/usr"', "cwd", "/usr"),
        ("umask=0o77", "umask", 0o077),
        ("umask=0", "umask", 0),
        ("nice=os.nice(0) + 5", "nice", os.nice(0) + 5),
        ("oom_score=700", "oom_score_adj", 700),
        ("no_new_privileges=True", "no_new_privs", True),
    ],
)
def test_each_choice_of_the_recipe_can_be_seen_from_outside(
    tmp_path: Path, reaper: Reaper, options: str, field: str, expected: object
) -> None:
    assert getattr(start_resting(tmp_path, reaper, options), field) == expected


def test_limits_are_set_by_name_soft_and_hard(tmp_path: Path, reaper: Reaper) -> None:
    daemon = start_resting(tmp_path, reaper, 'limits={"open-files": (60, 70), "nofile": (61, 70), "stack-size": 2**20}')
    assert daemon.limits["open files"] == (61, 70)
    assert daemon.limits["stack size"] == (2**20, 2**20)


def test_core_dumps_are_allowed_up_to_the_hard_limit_where_they_are_wished_for(tmp_path: Path, reaper: Reaper) -> None:
    _soft, hard = observe.look(os.getpid()).limits["core file size"]
    daemon = start_resting(tmp_path, reaper, "core_dumps=True")
    assert daemon.limits["core file size"] == (hard, hard)


def test_the_environment_is_added_to_and_rid_of_what_is_no_longer_true(tmp_path: Path, reaper: Reaper) -> None:
    script = """
        with numen.DaemonContext(pidfile="pid", stderr="err", environment={"COLOUR": "blue"}) as daemon:
            daemon.ready()
            say(os.environ["COLOUR"], os.environ["OTHER"], *(name for name in ("PWD", "OLDPWD") if name in os.environ))
            rest()
    """
    daemon = start_daemon(tmp_path, reaper, script, env={"OTHER": "kept", "PWD": str(tmp_path), "OLDPWD": "/"})
    daemon.wait_until_said("blue kept")


def test_relative_paths_mean_the_directory_in_which_the_program_was_started(tmp_path: Path, reaper: Reaper) -> None:
    (tmp_path / "in").write_text("words\n")
    (tmp_path / "place").mkdir()
    script = """
        with numen.DaemonContext(
            pidfile="pid", directory="place", stdin="in", stdout="./out", stderr="place/../err"
        ) as daemon:
            print("read", sys.stdin.read().strip(), flush=True)
            daemon.ready()
            rest()
    """
    daemon = start_daemon(tmp_path, reaper, script).look()

    assert daemon.cwd == str(tmp_path / "place")
    assert (tmp_path / "out").read_text() == "read words\n"
    assert (tmp_path / "err").exists()


def test_streams_may_be_given_as_open_files_and_descriptors(tmp_path: Path, reaper: Reaper) -> None:
    script = """
        out = open("out", "w")
        err = os.open("err", os.O_WRONLY | os.O_CREAT)
        with numen.DaemonContext(pidfile="pid", stdout=out, stderr=err) as daemon:
            print("one", flush=True)
            print("two", file=sys.stderr, flush=True)
            daemon.ready()
            rest()
    """
    start_daemon(tmp_path, reaper, script)
    assert ((tmp_path / "out").read_text(), (tmp_path / "err").read_text()) == ("one\n", "two\n")


def test_one_file_for_stdout_and_stderr_takes_both(tmp_path: Path, reaper: Reaper) -> None:
    script = """
        with numen.DaemonContext(pidfile="pid", stdout="log", stderr="log") as daemon:
            for word in ("a", "b"):
                print(word, flush=True)
                print(word.upper(), file=sys.stderr, flush=True)
            daemon.ready()
            rest()
    """
    start_daemon(tmp_path, reaper, script)
    assert (tmp_path / "log").read_text() == "a\nA\nb\nB\n"


def test_the_steps_can_be_taken_one_by_one(tmp_path: Path, reaper: Reaper) -> None:
    script = """
        from numen.become import descriptors, detach, guard, limits, report, signals, surroundings

        leaked = os.open("/dev/zero", os.O_RDONLY)
        pipes = report.Pipes()
        if (forked := detach.fork_twice(pipes, guard.Tasks())) is not None:
            wait_for("pid")
            pipes.close()
            os.waitpid(forked.guard_pid, 0)
            os._exit(0)
        signals.reset(for_exec=False)
        signals.treat_children("ignore")
        surroundings.set_umask(0o027)
        surroundings.change_directory("/usr")
        limits.prevent_core_dumps()
        descriptors.close_all()
        null = os.open("/dev/null", os.O_RDWR)
        for number in descriptors.STANDARD_STREAMS:
            descriptors.put(null, number)
        os.close(null)
        with open(f"{here}/pid.new", "w") as file:
            print(os.getpid(), file=file)
        os.rename(f"{here}/pid.new", f"{here}/pid")
        rest()
    """
    daemon = start_daemon(tmp_path, reaper, script).look()

    assert (daemon.tty_nr, daemon.cwd, daemon.umask) == (0, "/usr", 0o027)
    assert daemon.pid not in (daemon.sid, daemon.pgid)
    assert {number: one.target for number, one in daemon.descriptors.items()} == dict.fromkeys(range(3), "/dev/null")
    assert signal.SIGCHLD in daemon.signals.ignored
    assert daemon.limits["core file size"] == (0, 0)


# The ways in and out


def test_open_and_close_do_what_the_with_statement_does(tmp_path: Path, reaper: Reaper) -> None:
    script = """
        daemon = numen.DaemonContext(pidfile="pid", stderr="err")
        assert not daemon.is_open
        daemon.open()
        pid = os.getpid()
        daemon.open()
        assert (daemon.is_open, os.getpid()) == (True, pid), "opened twice it is a daemon once"
        daemon.ready()
        wait_for(f"{here}/go")
        daemon.close()
        daemon.close()
        say("closed", daemon.is_open, os.path.exists(f"{here}/pid"))
    """
    daemon = start_daemon(tmp_path, reaper, script)
    (tmp_path / "go").touch()
    assert daemon.wait() == 0
    assert said_in(tmp_path) == ["closed False False"]
    assert (tmp_path / "err").read_text() == ""


def test_a_decorated_function_runs_in_a_daemon(tmp_path: Path, reaper: Reaper) -> None:
    script = """
        context = numen.DaemonContext(pidfile="pid", stderr="err")

        @context
        def work(thing, *, times):
            "Do it."
            say(thing * times, work.__name__, work.__doc__, os.getppid() == launcher)
            context.ready()
            wait_for(f"{here}/go")
            return "done"

        launcher = os.getpid()
        say(work("x", times=3), os.path.exists(f"{here}/pid"))
    """
    daemon = start_daemon(tmp_path, reaper, script)
    (tmp_path / "go").touch()
    assert daemon.wait() == 0
    assert said_in(tmp_path) == ["xxx work Do it. False", "done False"]


def test_a_context_that_is_opened_again_makes_a_second_daemon_which_is_ready_for_itself(
    tmp_path: Path, reaper: Reaper
) -> None:
    script = """
        context = numen.DaemonContext(pidfile=f"{here}/pid", stderr=f"{here}/err", timeout=5)

        @context
        def work(number):
            context.ready()
            say(number, context.stopping)
            if number == 2:
                wait_for(f"{here}/go")

        work(1)
        work(2)
        say("ended")
    """
    run_script(tmp_path, script)
    wait_until_said(tmp_path, "2 False")
    second = reaper.track(pid_in(tmp_path / "pid"))
    # Its launcher, which was the first daemon, ends only when it has heard that the second is ready.
    wait_for(lambda: observe.look(second).ppid == observe.nearest_reaper(), 30, "the launcher's end")
    (tmp_path / "go").touch()
    assert wait_for_exit(second) == 0
    assert said_in(tmp_path) == ["1 False", "2 False", "ended"]


def test_a_context_may_be_ready_as_soon_as_it_is_entered(tmp_path: Path, reaper: Reaper) -> None:
    script = """
        with numen.DaemonContext(pidfile="pid", stderr="err", ready="open"):
            rest()
    """
    start_daemon(tmp_path, reaper, script)


def test_the_pidfile_names_the_daemon_until_it_ends(tmp_path: Path, reaper: Reaper) -> None:
    script = """
        with numen.DaemonContext(name="clock", pidfile="pid", stderr="err", ready="open"):
            say("is", os.getpid())
            rest()
    """
    daemon = start_daemon(tmp_path, reaper, script)
    daemon.wait_until_said(f"is {daemon.pid}")
    assert (tmp_path / "pid").stat().st_mode & 0o777 == 0o644
    assert numen.Instance.find("clock").pid == daemon.pid
    assert daemon.stop() == 0
    assert is_clean(tmp_path)
    assert numen.Instance.find("clock").status == 3


def test_a_second_daemon_of_the_name_or_the_pidfile_is_refused_before_anything_is_done(
    tmp_path: Path, reaper: Reaper
) -> None:
    script = """
        from numen.errors import AlreadyRunning
        try:
            with numen.DaemonContext(stderr="err", ready="open", **eval(sys.argv[1])):
                rest()
        except AlreadyRunning as error:
            print(error.pid, error.exit_status)
    """
    daemon = start_daemon(tmp_path, reaper, script, 'dict(name="one", pidfile="pid")')
    for same in ('dict(name="one")', 'dict(pidfile="pid")', 'dict(name="two", pidfile="pid")'):
        second = run_script(tmp_path, script, same)
        assert second.stdout == f"{daemon.pid} 8\n"
    assert pid_in(tmp_path / "pid") == daemon.pid
    assert numen.Instance.find("two").status == 3


# Ready, and not before


def test_the_launcher_ends_with_0_only_when_the_daemon_says_that_it_is_ready(tmp_path: Path, reaper: Reaper) -> None:
    script = """
        with numen.DaemonContext(pidfile="pid", stderr="err") as daemon:
            say("born")
            wait_for(f"{here}/go")
            say("ready")
            daemon.ready("connected")
            daemon.ready("still here")
            rest()
    """
    launcher = begin_script(tmp_path, reaper, script)
    wait_until_said(tmp_path, "born")
    assert launcher.poll() is None
    (tmp_path / "go").touch()
    assert launcher.wait(30) == 0
    assert said_in(tmp_path) == ["born", "ready"]
    reaper.track(pid_in(tmp_path / "pid"))


FAILING = """
with numen.DaemonContext(name="failing", pidfile="pid", stdout="out", stderr="err"{options}) as daemon:
    try:
        say(os.getpid())
        print("last words", file=sys.stderr, flush=True)
        {body}
    finally:
        say("finally")
"""


def fail(directory: Path, body: str, options: str = "") -> subprocess.CompletedProcess[str]:
    """Run a script whose daemon is never ready, and see that nothing is left of it."""
    done = run_script(directory, FAILING.format(body=body, options=options))
    daemon = int(said_in(directory)[0])
    assert observe.is_zombie_or_gone(daemon)
    assert is_clean(directory)
    assert numen.Instance.find("failing").status == 3
    return done


def test_an_exception_before_it_is_ready_is_a_traceback_on_the_launchers_terminal(tmp_path: Path) -> None:
    done = fail(tmp_path, 'raise KeyError("lost: \\u20ac")')
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback (most recent call last):\n")
    assert "lost: €" in done.stderr.splitlines()[-1]
    assert said_in(tmp_path)[1:] == ["finally"]


def test_a_traceback_of_any_length_arrives(tmp_path: Path) -> None:
    done = fail(tmp_path, 'raise ValueError("x" * 200_000)')
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback")


@pytest.mark.parametrize(
    ("code", "status", "text"),
    [("3", 3, ""), ('"no database"', 1, "no database\n"), ("256 + 5", 5, ""), ("(1, 2)", 1, "(1, 2)\n")],
)
def test_sys_exit_before_it_is_ready_is_the_launchers_exit(tmp_path: Path, code: str, status: int, text: str) -> None:
    done = fail(tmp_path, f"sys.exit({code})")
    assert done.returncode == status
    assert text in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("body", ["sys.exit()", "sys.exit(0)", "os.kill(os.getpid(), signal.SIGTERM)", "pass"])
def test_to_end_well_before_it_is_ready_is_a_failed_start_all_the_same(tmp_path: Path, body: str) -> None:
    assert fail(tmp_path, body).returncode == 9


@pytest.mark.parametrize(
    ("body", "ending"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL"),
        ("os.abort()", "SIGABRT"),
        ("os._exit(5)", "exit status 5"),
        ("os._exit(0)", "exit status 0"),
    ],
)
def test_a_daemon_that_dies_before_it_is_ready_is_told_of_with_its_last_words(
    tmp_path: Path, body: str, ending: str
) -> None:
    done = fail(tmp_path, body)
    assert done.returncode == 9
    assert ending in done.stderr
    assert "last words" in done.stderr


def test_a_daemon_that_is_not_ready_in_time_is_ended_with_its_family(tmp_path: Path) -> None:
    body = """
        import subprocess
        say("child", subprocess.Popen(["sleep", "1000"]).pid)
        rest()
    """
    done = fail(tmp_path, "\n        ".join(line.strip() for line in body.strip().splitlines()), ", timeout=2")
    assert done.returncode == 124
    assert "last words" in done.stderr
    said = said_in(tmp_path)
    assert observe.is_zombie_or_gone(int(said[1].removeprefix("child ")))
    assert "finally" in said


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_launcher_that_is_interrupted_undoes_the_start(
    tmp_path: Path, reaper: Reaper, number: int, status: int
) -> None:
    launcher = begin_script(tmp_path, reaper, FAILING.format(body="rest()", options=""))
    wait_for(lambda: said_in(tmp_path), 30, "the daemon's birth")
    daemon = int(said_in(tmp_path)[0])

    launcher.send_signal(number)

    assert launcher.wait(30) == status
    assert observe.is_zombie_or_gone(daemon)
    assert is_clean(tmp_path)


def test_a_child_that_outlives_a_daemon_which_was_never_ready_is_no_daemon(tmp_path: Path) -> None:
    body = "os.fork() or rest(); wait_for(f'{here}/said'); os._exit(4)"
    done = fail(tmp_path, body)
    assert done.returncode == 9


# What can be known beforehand


@pytest.mark.parametrize("options", [{"ready": "never"}, {"children": "often"}])
def test_a_choice_that_makes_no_sense_is_refused_at_once(options: dict[str, str]) -> None:
    with pytest.raises(BadOption):
        numen.DaemonContext(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ("umask=0o1777", "BadOption"),
        ('name="a/b"', "BadOption"),
        ('name=".hidden"', "BadOption"),
        ('stdin="journal"', "BadOption"),
        ('stdout="inherit"', "BadOption"),
        ("keep=[77]", "BadOption"),
        ("stderr=77", "BadOption"),
        ('limits={"wishes": 3}', "BadOption"),
        ('limits={"open-files": (30, 20)}', "BadOption"),
        ('limits={"open-files": (-1, 20)}', "BadOption"),
        ('capabilities=["flying"]', "BadOption"),
        ('directory="nowhere"', "Unusable"),
        ('stderr="nowhere/err"', "Unusable"),
        ('stdin="nowhere"', "Unusable"),
        ('user="nobody-of-this-name"', "Unusable"),
        ('group="nobody-of-this-name"', "Unusable"),
        ('pidfile="nowhere/pid"', "Unusable"),
        ('pidfile="/proc/self/pid"', "Unusable"),
    ],
)
def test_what_cannot_work_is_told_before_anything_is_done(tmp_path: Path, options: str, error: str) -> None:
    script = f"""
        from numen.errors import DaemonError
        choices = dict(pidfile="pid", stderr="err")
        choices |= dict({options})
        before = os.listdir("/proc/self/fd")
        launcher = os.getpid()
        try:
            numen.DaemonContext(**choices).open()
        except DaemonError as error:
            assert os.getpid() == launcher
            assert os.listdir("/proc/self/fd") == before, "a descriptor is left open"
            print(type(error).__name__)
    """
    done = run_script(tmp_path, script)
    assert (done.stdout, done.returncode) == (f"{error}\n", 0), done.stderr
    assert is_clean(tmp_path)


def test_other_threads_are_refused(tmp_path: Path) -> None:
    script = """
        import _thread
        from numen.errors import Unsafe
        gate = _thread.allocate_lock()
        gate.acquire()
        waiting = lambda: gate.acquire()
        if sys.argv[1] == "threading":
            threading.Thread(target=waiting, name="the counting one", daemon=True).start()
        else:
            _thread.start_new_thread(waiting, ())
        wait = time.monotonic() + 30
        while len(sys._current_frames()) < 2 and time.monotonic() < wait: time.sleep(0.001)
        try:
            numen.DaemonContext(pidfile="pid", stderr="err").open()
        except Unsafe as error:
            print(error, error.exit_status)
    """
    assert "the counting one" in run_script(tmp_path, script, "threading").stdout
    done = run_script(tmp_path, script, "_thread")
    assert done.stdout.endswith(" 10\n"), done.stderr
    assert is_clean(tmp_path)


def test_a_running_event_loop_is_refused_and_one_that_is_started_later_works(tmp_path: Path, reaper: Reaper) -> None:
    script = """
        import asyncio
        from numen.errors import Unsafe
        context = numen.DaemonContext(pidfile="pid", stderr="err")

        async def too_early():
            for one in (context, numen.DaemonContext(detach=False)):
                try:
                    one.open()
                except Unsafe as error:
                    say("refused")

        async def work():
            await asyncio.sleep(0)
            context.ready()
            await asyncio.sleep(1000)

        asyncio.run(too_early())
        with context:
            asyncio.run(work())
    """
    daemon = start_daemon(tmp_path, reaper, script)
    assert said_in(tmp_path) == ["refused", "refused"]
    assert daemon.stop() == 0


def test_threads_do_not_matter_where_nothing_is_forked(tmp_path: Path) -> None:
    script = """
        event = threading.Event()
        threading.Thread(target=event.wait, daemon=True).start()
        with numen.DaemonContext(detach=False) as daemon:
            daemon.ready()
            print("here")
    """
    done = run_script(tmp_path, script)
    assert (done.stdout, done.returncode) == ("here\n", 0)


# After it is ready


def test_what_goes_wrong_later_is_told_on_stderr_in_threads_too(tmp_path: Path, reaper: Reaper) -> None:
    script = """
        def fail():
            raise RuntimeError("in a thread")

        with numen.DaemonContext(pidfile="pid", stderr="err") as daemon:
            daemon.ready()
            thread = threading.Thread(target=fail)
            thread.start()
            thread.join()
            wait_for(f"{here}/go")
            raise LookupError("in the main thread")
    """
    daemon = start_daemon(tmp_path, reaper, script)
    (tmp_path / "go").touch()
    assert daemon.wait() == 1
    text = (tmp_path / "err").read_text()
    assert "RuntimeError: in a thread" in text
    assert text.rstrip().endswith("LookupError: in the main thread")
    assert is_clean(tmp_path)


def test_stderr_is_a_log_of_its_own_where_nothing_is_said(tmp_path: Path, reaper: Reaper, numen_home: Path) -> None:
    script = """
        from numen.become import streams
        streams.JOURNAL_STREAM = "/nowhere"
        with numen.DaemonContext(name="chatty", pidfile="pid") as daemon:
            print("a word", file=sys.stderr)
            print("lost", flush=True)
            daemon.ready()
            rest()
    """
    daemon = start_daemon(tmp_path, reaper, script)
    assert (numen_home / "log/chatty.log").read_text() == "a word\n"
    assert daemon.look().descriptors[1].target == "/dev/null"


# Python's traps


@pytest.mark.parametrize("where", ["pipe", "file"])
def test_what_was_printed_before_is_written_once(tmp_path: Path, reaper: Reaper, where: str) -> None:
    script = """
        sys.stdout.write("before, with no end of line")
        with numen.DaemonContext(pidfile="pid", stdout="out", stderr="err") as daemon:
            print("inside")
            daemon.ready()
            wait_for(f"{here}/go")
        print("after")
    """
    with open(tmp_path / "launcher", "w+") as file:
        done = run_script(tmp_path, script, stdout=file if where == "file" else subprocess.PIPE)
        file.seek(0)
        printed = file.read() if where == "file" else done.stdout
    assert done.returncode == 0, done.stderr
    assert printed == "before, with no end of line"
    pid = reaper.track(pid_in(tmp_path / "pid"))
    (tmp_path / "go").touch()
    assert wait_for_exit(pid) == 0
    assert (tmp_path / "out").read_text() == "inside\nafter\n"


def test_what_a_file_still_holds_in_its_buffer_is_written_once(tmp_path: Path, reaper: Reaper) -> None:
    script = """
        import bz2, gzip
        unflushed, kept = open("unflushed", "w"), open("kept", "w")
        raw, packed, text = open("raw", "w+b"), bz2.open("packed", "wb"), gzip.open("text", "wt")
        raw.write(b"one line\\n"), packed.write(b"one line\\n"), text.write("one line\\n")
        unflushed.write("one line\\n")
        kept.write("one line\\n")
        with numen.DaemonContext(pidfile="pid", stderr="err", keep=[kept], ready="open"):
            kept.write("another\\n")
            wait_for(f"{here}/go")
    """
    daemon = start_daemon(tmp_path, reaper, script)
    (tmp_path / "go").touch()
    assert daemon.wait() == 0
    assert (tmp_path / "unflushed").read_text() == (tmp_path / "raw").read_text() == "one line\n"
    assert bz2.decompress((tmp_path / "packed").read_bytes()) == b"one line\n"
    assert gzip.decompress((tmp_path / "text").read_bytes()) == b"one line\n"
    assert (tmp_path / "err").read_text() == ""
    assert (tmp_path / "kept").read_text() == "one line\nanother\n"


def test_atexit_handlers_run_once_in_the_daemon_and_not_in_its_children(tmp_path: Path, reaper: Reaper) -> None:
    script = """
        import atexit
        atexit.register(lambda: say("before", os.getpid() == daemon_pid))
        with numen.DaemonContext(pidfile="pid", stderr="err") as daemon:
            daemon_pid = os.getpid()
            atexit.register(lambda: say("within", os.getpid() == daemon_pid))
            child = os.fork()
            if not child:
                atexit.register(lambda: say("child"))
                sys.exit()
            os.waitpid(child, 0)
            daemon.ready()
            say("still", os.path.exists(f"{here}/pid"))
            wait_for(f"{here}/go")
    """
    daemon = start_daemon(tmp_path, reaper, script)
    (tmp_path / "go").touch()
    assert daemon.wait() == 0
    assert said_in(tmp_path) == ["child", "still True", "within True", "before True"]


def test_a_forked_child_neither_removes_the_pidfile_nor_holds_its_lock(tmp_path: Path, reaper: Reaper) -> None:
    script = """
        with numen.DaemonContext(pidfile="pid", stderr="err") as daemon:
            child = os.fork()
            if not child:
                assert not daemon.is_open
                daemon.close()
                say("child", os.getpid())
                rest()
            wait_for(f"{here}/said")
            daemon.ready()
            rest()
    """
    daemon = start_daemon(tmp_path, reaper, script)
    wait_for(lambda: said_in(tmp_path), 30, "the child")
    child = reaper.track(int(said_in(tmp_path)[0].removeprefix("child ")))
    assert not any("/pid" in one.target for one in observe.look(child).descriptors.values())
    daemon.signal(signal.SIGKILL)
    daemon.wait()
    # The child lives on, and is not the daemon.
    os.unlink(tmp_path / "said")
    again = start_daemon(tmp_path, reaper, RESTING.format(options=""))
    assert again.pid not in (daemon.pid, child)


def test_the_interpreter_keeps_ignoring_sigpipe(tmp_path: Path, reaper: Reaper) -> None:
    script = """
        with numen.DaemonContext(pidfile="pid", stderr="err", ready="open"):
            reader, writer = os.pipe()
            os.close(reader)
            try:
                os.write(writer, b"x")
            except BrokenPipeError:
                say("broken pipe")
            rest()
    """
    daemon = start_daemon(tmp_path, reaper, script)
    daemon.wait_until_said("broken pipe")
