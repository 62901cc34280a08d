"""spawn(): a daemon beside this program, which goes on and has a handle on it."""

import asyncio
import errno
import gzip
import os
import signal
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import numen
import observe
from daemons import begin_script, run_script, said_in, wait_for_exit, wait_until_said, write_script
from numen import errors
from numen.become import spawn as spawning
from numen.become.launch import Up
from numen.become.recipe import Recipe
from numen.become.surroundings import DEFAULT_PATH
from processes import Reaper, Terminal, wait_for

SLEEP = ["sleep", "1000"]

OF_THE_C_LIBRARY = {32, 33}
"""Signals that nobody else may touch: glibc's posix_spawn(3) leaves them ignored, and Python 3.13 may use it."""


def python(script: str) -> list[str]:
    """The command that runs a few lines of Python."""
    return [sys.executable, "-c", textwrap.dedent(script)]


@pytest.fixture
def spawn(reaper: Reaper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., numen.Instance]:
    """numen.spawn(), in a directory of the test's own; what is spawned ends with the test."""
    monkeypatch.chdir(tmp_path)

    def spawn(*arguments: Any, **choices: Any) -> numen.Instance:
        handle = numen.spawn(*arguments, **{"stderr": "err", **choices})
        if handle.pid:
            reaper.track(handle.pid)
        return handle

    return spawn


Spawn = Callable[..., numen.Instance]


def pid_of(handle: numen.Instance) -> int:
    """The pid of a daemon that must be running."""
    assert handle.pid is not None
    return handle.pid


def look_with_descriptors(pid: int, numbers: set[int]) -> observe.Process:
    """What /proc says of a program that has just these open, once it is loaded: the loader opens files too."""
    wait_for(lambda: set(observe.look(pid).descriptors) == numbers, 30, f"the descriptors {numbers}")
    return observe.look(pid)


# A command


def test_a_command_becomes_a_daemon_and_this_program_goes_on(spawn: Spawn) -> None:
    handle = spawn(SLEEP, name="sleeper")

    daemon = look_with_descriptors(pid_of(handle), {0, 1, 2})
    assert daemon.cmdline == tuple(SLEEP)
    assert (daemon.tty_nr, daemon.cwd, daemon.umask) == (0, "/", 0o022)
    assert daemon.pid not in (daemon.sid, daemon.pgid)
    assert not daemon.signals.blocked
    assert not daemon.signals.ignored - OF_THE_C_LIBRARY, "SIGPIPE too is at its default"
    assert handle.running
    assert numen.Instance.find("sleeper").pid == handle.pid


def test_a_command_has_this_programs_environment_and_what_is_added(
    spawn: Spawn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.setenv("MINE", "kept")
    daemon = observe.look(pid_of(spawn(SLEEP, environment={"COLOUR": "blue"})))
    outdated = {"PWD", "OLDPWD", "SHLVL", "_"}
    expected = {name: value for name, value in os.environ.items() if name not in outdated}
    assert daemon.environ == {**expected, "COLOUR": "blue"}


def test_the_choices_are_those_of_a_context(spawn: Spawn, tmp_path: Path) -> None:
    (tmp_path / "place").mkdir()
    with (tmp_path / "out").open("w") as out, (tmp_path / "kept").open("w") as kept:
        handle = spawn(
            ["sh", "-c", "echo out; exec sleep 1000"],
            pidfile=Path("pid"),
            directory=Path("place"),
            umask=0o077,
            stdin="/dev/zero",
            stdout=out,
            keep=[kept],
            nice=os.nice(0) + 1,
            limits={"open-files": 30},
            no_new_privileges=True,
        )
        number = kept.fileno()
        assert os.fstat(out.fileno()), "what the caller gave stays the caller's"
    daemon = look_with_descriptors(pid_of(handle), {0, 1, 2, number})
    assert (daemon.cwd, daemon.umask, daemon.no_new_privs) == (str(tmp_path / "place"), 0o077, True)
    assert daemon.descriptors[0].target == "/dev/zero"
    assert daemon.descriptors[number].target == str(tmp_path / "kept")
    assert daemon.limits["open files"] == (30, 30)
    assert daemon.nice == os.nice(0) + 1
    wait_for(lambda: (tmp_path / "out").read_text() == "out\n", 30, "the daemon's output")
    assert (tmp_path / "pid").read_text() == f"{handle.pid}\n"


def test_a_command_may_be_started_with_the_death_of_its_children_ignored(spawn: Spawn) -> None:
    ignored = observe.look(pid_of(spawn(SLEEP, children="ignore"))).signals.ignored
    assert ignored - OF_THE_C_LIBRARY == {signal.SIGCHLD}


def test_a_program_with_many_threads_may_spawn_commands_from_all_of_them(spawn: Spawn) -> None:
    handles: list[numen.Instance] = []
    threads = [
        threading.Thread(target=lambda number=number: handles.append(spawn(SLEEP, name=f"sleeper-{number}")))
        for number in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(handle.name for handle in handles) == [f"sleeper-{number}" for number in range(4)]
    assert all(handle.running for handle in handles)


def test_a_command_may_be_spawned_within_a_running_event_loop(spawn: Spawn) -> None:
    async def main() -> tuple[numen.Instance, numen.Instance]:
        return spawn(SLEEP), await asyncio.to_thread(spawn, SLEEP)

    here, there = asyncio.run(main())
    assert here.running
    assert there.running
    assert here.pid != there.pid


# A command is ready


@pytest.mark.parametrize(
    ("ready", "script"),
    [
        ("notify", "notify.ready('listening'); signal.pause()"),
        ("fd:5", "import os; open('said', 'w').close(); os.write(5, b'up\\n'); signal.pause()"),
        ("exit", "sys.exit(0)"),
        ("exec", "signal.pause()"),
    ],
)
def test_a_command_is_up_by_each_kind_of_readiness(spawn: Spawn, tmp_path: Path, ready: str, script: str) -> None:
    command = python("import signal, sys\nfrom numen import notify\n" + script)
    handle = spawn(command, ready=ready, directory=tmp_path, name="it")
    assert handle.running == (ready != "exit")
    assert numen.Instance.find("it").running == (ready != "exit")


def test_the_daemon_that_a_self_daemonizing_program_leaves_behind_is_the_one(
    spawn: Spawn, reaper: Reaper, tmp_path: Path
) -> None:
    command = ["sh", "-c", "sleep 1000 & echo $! > left; exit 0"]
    handle = spawn(command, ready="exit", directory=tmp_path)
    assert handle.pid == reaper.track(int((tmp_path / "left").read_text()))


# What goes wrong


def test_each_failure_is_an_error_of_its_own_class_with_its_values(spawn: Spawn, tmp_path: Path) -> None:
    with pytest.raises(errors.CommandNotFound):
        spawn(["no-such-command-anywhere"])
    with pytest.raises(errors.NotExecutable):
        spawn([str(tmp_path)])
    (tmp_path / "text").write_text("no program")
    (tmp_path / "text").chmod(0o755)
    with pytest.raises(errors.ExecFailed):
        spawn(["./text"])
    with pytest.raises(errors.Unusable):
        spawn(SLEEP, directory="nowhere")
    with pytest.raises(errors.Unusable):
        spawn(SLEEP, user="nobody-of-this-name")
    with pytest.raises(errors.BadOption):
        spawn(SLEEP, stdout="inherit")


@pytest.mark.parametrize(
    ("what", "choices"),
    [
        ("sleep 1000", {}),
        ([], {}),
        (SLEEP, {"ready": "soon"}),
        (SLEEP, {"ready": "fd:2"}),
        (SLEEP, {"ready": "call"}),
        (SLEEP, {"colour": "blue"}),
        (SLEEP, {"children": "reap"}),
        (SLEEP, {"limits": {"wishes": 3}}),
    ],
)
def test_what_makes_no_sense_is_a_bad_option(spawn: Spawn, what: Any, choices: dict[str, Any]) -> None:
    with pytest.raises(errors.BadOption):
        spawn(what, **choices)


def test_a_command_takes_no_further_arguments(spawn: Spawn) -> None:
    with pytest.raises(errors.BadOption):
        spawn(["sleep"], "1000")


def test_a_second_one_of_the_name_is_refused_with_the_pid_of_the_first(spawn: Spawn) -> None:
    first = spawn(SLEEP, name="only")
    with pytest.raises(errors.AlreadyRunning) as refused:
        spawn(SLEEP, name="only")
    assert refused.value.pid == first.pid


def test_one_that_dies_before_it_is_ready_is_told_of_with_its_last_lines(spawn: Spawn) -> None:
    with pytest.raises(errors.DiedBeforeReady) as died:
        spawn(["sh", "-c", "echo one >&2; echo two >&2; exit 3"], ready="notify", name="short")
    assert died.value.last_lines == ("one", "two")
    assert "3" in died.value.ending
    assert died.value.pid > 0
    assert numen.Instance.find("short").status == 3


def test_one_that_is_not_ready_in_time_is_ended_with_its_family(spawn: Spawn, tmp_path: Path) -> None:
    family = 'echo $$ > pids; (trap "" TERM; exec sleep 1000) & echo $! >> pids; wait'
    with pytest.raises(errors.NotReadyInTime) as late:
        spawn(["sh", "-c", family], ready="notify", timeout=2, directory=tmp_path)
    pids = list(map(int, (tmp_path / "pids").read_text().split()))
    assert late.value.pid == pids[0]
    assert all(map(observe.is_zombie_or_gone, pids))


def test_a_reported_errno_is_the_reason(spawn: Spawn) -> None:
    command = python("from numen import notify; import signal; notify.failed(13, 'no key'); signal.pause()")
    with pytest.raises(errors.DiedBeforeReady) as died:
        spawn(command, ready="notify")
    assert os.strerror(errno.EACCES) in died.value.ending
    assert "no key" in str(died.value)


# The handle


def test_the_handle_reloads_signals_waits_and_stops(spawn: Spawn, tmp_path: Path) -> None:
    script = """
        trap 'echo reloaded >> told' HUP
        trap 'echo signalled >> told' USR1
        echo ready >&5
        while :; do sleep 0.01; done
    """
    handle = spawn(["bash", "-c", script], ready="fd:5", directory=tmp_path)
    told = tmp_path / "told"

    handle.reload()
    wait_for(lambda: told.exists() and told.read_text() == "reloaded\n", 30, "the reload")
    handle.signal(signal.SIGUSR1)
    wait_for(lambda: told.read_text() == "reloaded\nsignalled\n", 30, "the signal")
    assert handle.wait(timeout=0) is False
    pid = pid_of(handle)

    assert handle.stop(grace=30)

    assert wait_for_exit(pid) == -signal.SIGTERM
    assert not handle.running
    assert handle.pid is None
    assert handle.wait(timeout=0)
    assert handle.stop()
    with pytest.raises(errors.NotRunning):
        handle.reload()


def test_one_that_does_not_heed_sigterm_is_killed_when_its_grace_ends(spawn: Spawn) -> None:
    handle = spawn(["sh", "-c", "trap '' TERM; echo >&5; while :; do sleep 0.01; done"], ready="fd:5")
    pid = pid_of(handle)
    assert handle.stop(grace=0.1)
    assert wait_for_exit(pid) == -signal.SIGKILL


def test_a_daemon_that_has_ended_does_not_run_though_nobody_has_reaped_it(spawn: Spawn) -> None:
    handle = spawn(SLEEP, pidfile="pid")
    pid = pid_of(handle)
    os.kill(pid, signal.SIGKILL)
    assert handle.wait(timeout=30)
    assert observe.look(pid).state == "Z", "this process is its parent, and has not waited for it"
    assert not handle.running
    assert handle.status == 1
    assert handle.stop()
    assert handle.status == 3


@pytest.mark.needs_root
def test_a_handle_never_hits_a_stranger_that_was_given_the_same_pid(tmp_path: Path) -> None:
    script = """
        from numen.errors import NotRunning
        handle = numen.spawn(["sleep", "1000"], pidfile="pid", stderr="err")
        other = numen.Instance.find(os.path.abspath("pid"))
        pid = handle.pid
        begun = time.clock_gettime(time.CLOCK_BOOTTIME)
        while time.clock_gettime(time.CLOCK_BOOTTIME) < begun + 0.05:
            time.sleep(0.01)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        for _ in range(1000):
            with open("/proc/sys/kernel/ns_last_pid", "w") as last:
                last.write(str(pid - 1))
            stranger = os.fork()
            if not stranger:
                signal.pause()
                os._exit(0)
            if stranger == pid:
                break
            os.kill(stranger, signal.SIGKILL)
            os.waitpid(stranger, 0)
        assert stranger == pid
        for one in (handle, other):
            assert not one.running and one.pid is None
            try:
                one.signal(signal.SIGKILL)
            except NotRunning:
                print("not running")
            assert one.wait(0)
            assert one.stop(grace=0)
        print(os.waitpid(pid, os.WNOHANG))
        os.kill(pid, signal.SIGKILL)
    """
    done = run_script(tmp_path, script, before=("unshare", "--pid", "--fork", "--kill-child", "--mount-proc"))
    assert done.stdout == "not running\nnot running\n(0, 0)\n", done.stderr


# A function

FUNCTION = """
    from numen import notify
    from numen.errors import *

    def work(*words):
        say("pid", os.getpid(), *words)
        {body}

    def facts():
        handlers = {{number: signal.getsignal(number) for number in signal.valid_signals()}}
        umask = os.umask(0)
        os.umask(umask)
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        return os.getpid(), os.getcwd(), umask, os.listdir("/proc/self/fd"), handlers, mask, dict(os.environ)

    before = facts()
    try:
        handle = numen.spawn(work, "with", 3, stderr="err", name="function", {choices})
    except DaemonError as error:
        print(type(error).__name__, getattr(error, "last_lines", ()) and error.last_lines[-1])
        handle = None
    assert before == facts()
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        print("no child is left")
    if handle:
        print("pid", handle.pid)
"""


def call(directory: Path, reaper: Reaper, body: str, choices: str = "") -> tuple[list[str], int | None]:
    """What a program prints that spawns a function of this body, and the daemon's pid where there is one."""
    done = run_script(directory, FUNCTION.format(body=body, choices=choices))
    assert done.returncode == 0, done.stderr
    *printed, last = done.stdout.splitlines()
    if not last.startswith("pid "):
        return [*printed, last], None
    pid = last.removeprefix("pid ")
    return printed, None if pid == "None" else reaper.track(int(pid))


@pytest.mark.parametrize(
    ("ready", "body"),
    [
        ("exec", "rest()"),
        ("notify", "notify.ready('up'); rest()"),
        ("fd:7", "os.write(7, b'up\\n'); rest()"),
        ("fd:3", "os.write(3, b'up\\n'); rest()"),
    ],
)
def test_a_function_runs_in_a_daemon_and_nothing_of_the_program_changes(
    tmp_path: Path, reaper: Reaper, ready: str, body: str
) -> None:
    printed, pid = call(tmp_path, reaper, body, f"ready={ready!r}")
    assert printed == ["no child is left"]
    assert pid is not None
    wait_until_said(tmp_path, f"pid {pid} with 3")
    daemon = observe.look(pid)
    assert (daemon.tty_nr, daemon.cwd) == (0, "/")
    assert daemon.pid not in (daemon.sid, daemon.pgid)
    os.kill(pid, signal.SIGTERM)
    assert wait_for_exit(pid) == 0
    assert numen.Instance.find("function").status == 3


def test_a_function_may_tell_that_it_is_ready_on_any_descriptor(tmp_path: Path) -> None:
    script = """
        def work(number):
            os.write(number, b"up\\n")
            rest()

        for number in range(3, 13):
            handle = numen.spawn(work, number, ready=f"fd:{number}", name="it", pidfile="pid", stderr="err", timeout=9)
            with open("pid") as file:
                assert int(file.read()) == handle.pid
            assert handle.running
            os.kill(handle.pid, signal.SIGTERM)
            assert handle.wait(9)
            assert numen.Instance.find("it").status == 3, number
            assert not os.path.exists("pid"), number
    """
    done = run_script(tmp_path, script)
    assert done.returncode == 0, done.stderr


def test_a_function_that_must_end_well_has_no_daemon_when_it_has(tmp_path: Path, reaper: Reaper) -> None:
    printed, pid = call(tmp_path, reaper, "pass", 'ready="exit"')
    assert (printed, pid) == (["no child is left"], None)


@pytest.mark.parametrize(
    ("body", "choices", "printed"),
    [
        ("raise KeyError('lost')", "", "DiedBeforeReady KeyError: 'lost'"),
        ("sys.exit('no database')", "", "DiedBeforeReady no database"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "", "DiedBeforeReady ()"),
        ("return", "", "DiedBeforeReady ()"),
        ("print('so far', file=sys.stderr); rest()", "timeout=2", "NotReadyInTime so far"),
        ("rest()", 'directory="nowhere"', "Unusable ()"),
        ("rest()", 'stdout="inherit"', "BadOption ()"),
    ],
)
def test_a_function_that_is_not_up_is_an_error_and_nothing_is_left(
    tmp_path: Path, reaper: Reaper, body: str, choices: str, printed: str
) -> None:
    choices = f'ready="notify", {choices}'
    assert call(tmp_path, reaper, body, choices) == ([printed, "no child is left"], None)
    assert numen.Instance.find("function").status == 3


def test_the_programs_atexit_handlers_are_not_the_functions(tmp_path: Path, reaper: Reaper) -> None:
    script = """
        import atexit
        atexit.register(say, "the program's")

        def work():
            atexit.register(say, "the function's")

        print("printed once", end="")
        numen.spawn(work, ready="exit", stderr="err")
        say("spawned")
    """
    done = run_script(tmp_path, script)
    assert done.stdout == "printed once"
    assert said_in(tmp_path) == ["the function's", "spawned", "the program's"]


def test_a_function_leaves_the_programs_files_to_the_program(tmp_path: Path) -> None:
    script = """
        import asyncio, gzip, mmap, tempfile
        text, raw, packed = open("text", "w"), open("raw", "w+b"), gzip.open("packed", "wb")
        text.write("once\\n"), raw.write(b"once\\n"), packed.write(b"once\\n")
        left, kept = tempfile.NamedTemporaryFile(dir="."), tempfile.NamedTemporaryFile(dir=".")
        with open("mapped", "w+b") as file:
            file.truncate(4096)
            mapping = mmap.mmap(file.fileno(), 4096)
        loop = asyncio.new_event_loop()

        def work():
            global left, kept, text, raw, packed, mapping, loop
            paths = [f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd") if int(name) > 2]
            say(*(os.readlink(path) for path in paths if os.path.exists(path)))
            del left, kept, text, raw, packed, mapping, loop
            gc.collect()

        handle = numen.spawn(work, stderr="err", ready="exit", keep=[kept])
        assert os.path.exists(left.name) and os.path.exists(kept.name)
        mapping[:4] = b"mine"
        loop.call_soon_threadsafe(loop.stop)
        loop.run_forever()
        loop.run_until_complete(asyncio.to_thread(int))
        loop.close()
        text.close(), raw.close(), packed.close()
        say(left.name, kept.name)
    """
    done = run_script(tmp_path, script)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "err").read_text() == ""
    assert (tmp_path / "text").read_text() == (tmp_path / "raw").read_text() == "once\n"
    assert gzip.decompress((tmp_path / "packed").read_bytes()) == b"once\n"
    opened, names = (line.split() for line in said_in(tmp_path))
    assert {str(tmp_path / name) for name in ("text", "raw", "packed", "mapped")}.isdisjoint(opened)
    assert [name in opened for name in names] == [False, True], "what is kept is open, and nothing else"
    assert "/dev/null" in opened, "the mapping's number stays taken"
    assert not list(tmp_path.glob("tmp*")), "the program has removed them at its own end"


def test_a_function_has_the_environment_that_is_asked_for(tmp_path: Path) -> None:
    script = """
        def work():
            say(sorted(os.environ.items()))

        numen.spawn(work, stderr="err", ready="exit", clear_environment=True, environment={"COLOUR": "blue"})
        numen.spawn(work, stderr="err", ready="exit", clear_environment=True, environment={"PATH": "/mine"})
        assert "COLOUR" not in os.environ and len(os.environ) > 1
    """
    done = run_script(tmp_path, script)
    assert done.returncode == 0, done.stderr
    assert said_in(tmp_path) == [str([("COLOUR", "blue"), ("PATH", DEFAULT_PATH)]), str([("PATH", "/mine")])]


def test_a_function_may_have_its_dead_children_reaped_but_nothing_unknown(tmp_path: Path) -> None:
    script = """
        from numen.errors import BadOption

        def work():
            say(callable(signal.getsignal(signal.SIGCHLD)))

        numen.spawn(work, stderr="err", ready="exit", children="reap")
        try:
            numen.spawn(work, stderr="err", ready="exit", children="nonsense")
        except BadOption:
            print("refused")
    """
    assert run_script(tmp_path, script).stdout == "refused\n"
    assert said_in(tmp_path) == ["True"]


def test_a_function_ends_when_its_threads_have(tmp_path: Path) -> None:
    script = """
        import atexit

        def work():
            atexit.register(say, "atexit")
            threading.Timer(0.2, say, ["thread"]).start()
            threading.Thread(target=threading.Event().wait, daemon=True).start()

        numen.spawn(work, stderr="err", ready="exit")
        say("spawned")
    """
    done = run_script(tmp_path, script)
    assert done.returncode == 0, done.stderr
    assert said_in(tmp_path) == ["thread", "atexit", "spawned"]


def test_sigterm_ends_the_wait_for_a_functions_threads(tmp_path: Path, reaper: Reaper) -> None:
    body = "import atexit; atexit.register(say, 'atexit'); threading.Thread(target=threading.Event().wait).start()"
    _, pid = call(tmp_path, reaper, body)
    assert pid is not None
    wait_for(lambda: len(os.listdir(f"/proc/{pid}/task")) == 2, 30, "the thread")
    os.kill(pid, signal.SIGTERM)
    assert wait_for_exit(pid) == 0
    assert said_in(tmp_path)[1:] == ["atexit"]
    assert numen.Instance.find("function").status == 3


def test_what_a_function_fails_of_later_is_told_on_stderr(tmp_path: Path, reaper: Reaper) -> None:
    _, pid = call(tmp_path, reaper, "wait_for(f'{here}/go'); raise LookupError('later')")
    assert pid is not None
    (tmp_path / "go").touch()
    assert wait_for_exit(pid) == 1
    assert (tmp_path / "err").read_text().endswith("LookupError: later\n")


def test_a_stream_that_is_given_to_a_function_stays_the_callers(tmp_path: Path, reaper: Reaper) -> None:
    script = """
        def work():
            print("from the daemon")

        out = open("out", "a")
        numen.spawn(work, stdout=out, stderr="err", ready="exit")
        out.write("from the caller\\n")
    """
    done = run_script(tmp_path, script)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out").read_text() == "from the daemon\nfrom the caller\n"


def test_a_command_may_be_given_this_programs_own_output(tmp_path: Path) -> None:
    script = """
        numen.spawn(["sh", "-c", "echo to stdout; echo to stderr >&2"], stdout=1, stderr=sys.stderr, ready="exit")
    """
    done = run_script(tmp_path, script)
    assert (done.stdout, done.stderr) == ("to stdout\n", "to stderr\n")


def test_a_daemon_that_is_gone_already_is_nobody_who_is_given_its_pid_later() -> None:
    gone = os.fork()
    if not gone:
        os._exit(0)
    os.waitpid(gone, 0)
    handle = spawning._handle(Up(pid=gone, by=""), "gone", Recipe())
    assert handle.known is not None
    assert handle.known.start_time == 0
    assert not handle.running


def test_a_function_is_refused_where_threads_or_an_event_loop_run(tmp_path: Path) -> None:
    script = """
        import asyncio
        from numen.errors import Unsafe

        async def main():
            try:
                numen.spawn(rest)
            except Unsafe:
                print("event loop")

        asyncio.run(main())
        event = threading.Event()
        threading.Thread(target=event.wait, daemon=True).start()
        try:
            numen.spawn(rest)
        except Unsafe:
            print("threads")
    """
    assert run_script(tmp_path, script).stdout == "event loop\nthreads\n"


def test_start_after_start_leaves_no_descriptor_open(tmp_path: Path) -> None:
    script = """
        from numen.errors import DaemonError
        def fail():
            sys.exit(3)
        def starts():
            for ready in ("notify", "fd:9", "exit"):
                for what in (fail, ["false"], ["no-such-command-anywhere"]):
                    try:
                        numen.spawn(what, ready=ready, stderr="err", name="failing")
                    except DaemonError:
                        pass
            numen.spawn(["true"], ready="exit", stderr="err", name="one")
            numen.spawn(int, ready="exit", stderr="err", name="two")
        starts()
        before = os.listdir("/proc/self/fd")
        starts()
        print(os.listdir("/proc/self/fd") == before)
    """
    assert run_script(tmp_path, script).stdout == "True\n"


# An interruption

INTERRUPTED = """
    def work():
        say("pid", os.getpid())
        rest()

    signal.signal(signal.SIGINT, signal.default_int_handler)
    command = ["sh", "-c", 'echo "pid $$" >> "$0"; exec sleep 1000', _said]
    try:
        numen.spawn({what}, ready="notify", name="interrupted", stderr="err", timeout=None)
    except KeyboardInterrupt:
        say("interrupted")
"""


@pytest.mark.parametrize("what", ["work", "command"])
@pytest.mark.parametrize("by", ["signal", "keyboard"])
def test_an_interruption_during_spawn_undoes_the_start(tmp_path: Path, reaper: Reaper, what: str, by: str) -> None:
    script = INTERRUPTED.format(what=what)
    if by == "signal":
        process = begin_script(tmp_path, reaper, script)
        pid = daemon_that_is_born(tmp_path)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    else:
        with Terminal([sys.executable, write_script(tmp_path, script)], cwd=tmp_path) as terminal:
            pid = daemon_that_is_born(tmp_path)
            terminal.type_in("\x03")
            assert terminal.finish().returncode == 0
    assert said_in(tmp_path)[-1] == "interrupted"
    observe.wait_until_gone(pid)
    assert numen.Instance.find("interrupted").status == 3


def daemon_that_is_born(directory: Path) -> int:
    wait_for(lambda: said_in(directory), 30, "the daemon's birth")
    return int(said_in(directory)[0].removeprefix("pid "))
