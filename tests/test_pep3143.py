"""Programs that were written for python-daemon, run on numen as they are: what is kept and what is mended.

Each program is a file of its own that imports `daemon`. What has its numbers in brackets states what becomes
of one of the surprises that python-daemon has for people. What is kept is asked of the original too, where
that is installed.
"""

import json
import os
import signal
import stat
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import observe
from processes import Reaper, environment, run_on_terminal, unprivileged, wait_for

ORIGINAL = "python-daemon"
LIBRARIES = ["numen", *([ORIGINAL] if find_spec("daemon") else [])]

PRELUDE = """\
import json, os, signal, sys
import daemon, daemon.daemon, daemon.pidfile

def tell(name="up", **facts):
    path = os.path.join(PLACE, name)
    with open(path + ".new", "w") as file:
        json.dump({"pid": os.getpid(), **facts}, file)
    os.rename(path + ".new", path)

"""


class Stage:
    """A directory with a program in it, and what the program tells there of itself as files."""

    def __init__(self, place: Path, reaper: Reaper, library: str) -> None:
        self.place = place
        self.library = library
        self._reaper = reaper
        # A daemon of another user must be able to write here too.
        place.chmod(0o777)

    def write(self, text: str, name: str = "program.py") -> Path:
        path = self.place / name
        path.write_text(f"PLACE = {str(self.place)!r}\n{PRELUDE}{textwrap.dedent(text)}")
        return path

    def command(self, program: Path | str, *words: str) -> list[str]:
        through = ["-m", "numen.pep3143"] if self.library == "numen" else []
        return [sys.executable, *through, str(program), *words]

    def run(
        self, text: str, *words: str, env: Mapping[str, str | None] | None = None, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        """Write a program and run it to the end of its launcher, which holds the pipes of its output alone."""
        options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("cwd", self.place)
        return subprocess.run(
            self.command(self.write(text), *words),
            env=environment(env),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            **options,
        )

    def start(
        self, text: str, *words: str, env: Mapping[str, str | None] | None = None, **options: Any
    ) -> observe.Process:
        """Write a program, run it, and look at the daemon that has told of itself as `up`."""
        done = self.run(text, *words, env=env, **options)
        assert done.returncode == 0, done.stderr
        return observe.look(self.told("up")["pid"])

    def told(self, name: str) -> dict[str, Any]:
        """What a process of the program has told under that name; it is ended at the end of the test."""
        path = self.place / name
        wait_for(path.exists, 60, f"the program's word of {name!r}")
        facts: dict[str, Any] = json.loads(path.read_text())
        self._reaper.track(facts["pid"])
        return facts

    def log(self) -> str:
        """What has come to the log of the program."""
        path = Path(os.environ["NUMEN_HOME"], "log", "program.log")
        return path.read_text() if path.exists() else ""


@pytest.fixture
def stage(public_path: Path, reaper: Reaper) -> Stage:
    return Stage(public_path, reaper, "numen")


@pytest.fixture(params=LIBRARIES)
def either_stage(public_path: Path, reaper: Reaper, request: pytest.FixtureRequest) -> Stage:
    return Stage(public_path, reaper, request.param)


UP_AND_WAIT = """\
with daemon.DaemonContext():
    tell()
    signal.pause()
"""


# Kept: what a daemon is


def test_the_program_becomes_a_daemon(either_stage: Stage) -> None:
    found = either_stage.start(UP_AND_WAIT)

    assert found.ppid == observe.nearest_reaper()
    assert found.sid not in (found.pid, os.getsid(0))
    assert found.tty_nr == 0
    assert found.cwd == "/"
    assert found.limits["core file size"] == (0, 0)
    assert {found.descriptors[number].target for number in (0, 1)} == {"/dev/null"}


def test_it_has_the_umask_and_the_directory_that_it_asks_for(either_stage: Stage) -> None:
    found = either_stage.start(
        """\
        with daemon.DaemonContext(None, PLACE, 0o27, None, None, False, False):
            tell()
            signal.pause()
        """
    )

    assert found.umask == 0o27
    assert found.cwd == str(either_stage.place)
    assert found.limits["core file size"] == observe.look(os.getpid()).limits["core file size"]


def test_its_signal_map_is_installed_and_handlers_from_before_stay(either_stage: Stage) -> None:
    found = either_stage.start(
        """\
        signal.signal(signal.SIGUSR1, lambda *_: tell("usr1"))
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)

        class Program(daemon.DaemonContext):
            def reload(self, number, frame):
                tell("reloaded", number=number)

        signals = {signal.SIGHUP: "reload", signal.SIGTTIN: None, signal.SIGTERM: lambda *_: tell("termed")}
        with Program(signal_map=signals):
            tell()
            while True:
                signal.pause()
        """
    )

    assert {signal.SIGTTIN, signal.SIGUSR2} <= found.signals.ignored
    assert signal.SIGTSTP not in found.signals.ignored
    for number, name in (signal.SIGHUP, "reloaded"), (signal.SIGTERM, "termed"), (signal.SIGUSR1, "usr1"):
        os.kill(found.pid, number)
        either_stage.told(name)


def test_the_default_signal_map_ignores_the_terminals_stops(either_stage: Stage) -> None:
    found = either_stage.start(UP_AND_WAIT)

    assert {signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU} <= found.signals.ignored
    assert signal.SIGTERM in found.signals.caught


def test_descriptors_that_are_not_preserved_are_closed(either_stage: Stage) -> None:
    found = either_stage.start(
        """\
        kept, lost = open(os.path.join(PLACE, "kept"), "w"), open(os.path.join(PLACE, "lost"), "w")
        with daemon.DaemonContext(files_preserve=[kept, None]):
            kept.write("still open")
            kept.flush()
            tell()
            signal.pause()
        """
    )

    targets = {one.target for one in found.descriptors.values()}
    assert str(either_stage.place / "kept") in targets
    assert str(either_stage.place / "lost") not in targets
    assert (either_stage.place / "kept").read_text() == "still open"


def test_hooks_that_a_subclass_overrides_are_asked(either_stage: Stage) -> None:
    found = either_stage.start(
        """\
        kept = open(os.path.join(PLACE, "kept"), "w")

        class Program(daemon.DaemonContext):
            def _get_exclude_file_descriptors(self):
                return super()._get_exclude_file_descriptors() | {kept.fileno()}

            def _make_signal_handler_map(self):
                return {signal.SIGUSR1: self._make_signal_handler("anything")}

            def _make_signal_handler(self, target):
                return lambda *_: tell(target)

        with Program():
            tell()
            while True:
                signal.pause()
        """
    )

    assert str(either_stage.place / "kept") in {one.target for one in found.descriptors.values()}
    os.kill(found.pid, signal.SIGUSR1)
    either_stage.told("anything")


def test_in_the_foreground_all_is_done_but_the_forks(either_stage: Stage) -> None:
    done = either_stage.run(
        """\
        before = os.getpid()
        with daemon.DaemonContext(detach_process=False, umask=0o77, stdout=sys.stdout) as context:
            print(before == os.getpid(), context.is_open, os.getcwd(), oct(os.umask(0)))
        print(context.is_open)
        """
    )

    assert done.returncode == 0
    assert done.stdout == "True True / 0o77\nFalse\n"


def test_the_pidfile_names_the_daemon_and_is_removed_at_its_end(either_stage: Stage) -> None:
    either_stage.start(
        """\
        lock = daemon.pidfile.TimeoutPIDLockFile(os.path.join(PLACE, "web.pid"))
        with daemon.DaemonContext(pidfile=lock):
            tell(locks=lock.i_am_locking())
            signal.pause()
        """
    )
    pid = either_stage.told("up")["pid"]
    pidfile = either_stage.place / "web.pid"

    assert either_stage.told("up")["locks"]
    assert pidfile.read_text() == f"{pid}\n"
    os.kill(pid, signal.SIGTERM)
    observe.wait_until_gone(pid)
    assert not pidfile.exists()


def test_the_functions_of_the_module_can_be_used_alone(either_stage: Stage) -> None:
    found = either_stage.start(
        """\
        steps = daemon.daemon
        steps.change_file_creation_mask(0o70)
        steps.change_working_directory(PLACE)
        steps.prevent_core_dump()
        steps.detach_process_context()
        steps.set_signal_handlers({signal.SIGUSR1: signal.SIG_IGN})
        steps.register_atexit_function(lambda: tell("ended"))
        handle = open(os.path.join(PLACE, "up.lock"), "w")
        steps.close_all_open_files({handle.fileno()})
        tell()
        signal.sigwait({signal.SIGHUP})
        """,
    )

    assert (found.umask, found.cwd) == (0o70, str(either_stage.place))
    assert found.limits["core file size"] == (0, 0)
    assert found.tty_nr == 0
    assert found.sid not in (found.pid, os.getsid(0))
    assert signal.SIGUSR1 in found.signals.ignored
    assert [one.target for one in found.descriptors.values()] == [str(either_stage.place / "up.lock")]
    os.kill(found.pid, signal.SIGHUP)
    observe.wait_until_gone(found.pid)


# 1: the launcher's exit status


@pytest.mark.parametrize("way", ["with", "open"])
def test_a_second_start_fails_and_says_by_whom_the_pidfile_is_had(stage: Stage, way: str) -> None:
    """[1] mended: the exit status was 0, and the text went to /dev/null."""
    program = """\
        lock = daemon.pidfile.TimeoutPIDLockFile(os.path.join(PLACE, "web.pid"))
        context = daemon.DaemonContext(pidfile=lock)
        if sys.argv[1] == "with":
            with context:
                tell()
                signal.pause()
        context.open()
        tell()
        signal.pause()
        """
    first = stage.start(program, way)

    second = stage.run(program, way)

    assert second.returncode == 1
    assert f"already locked by pid {first.pid}" in second.stderr
    assert "Traceback" not in second.stderr
    assert (stage.place / "web.pid").read_text() == f"{first.pid}\n"


def test_a_program_can_treat_the_refusal_itself_in_the_process_that_asked(stage: Stage) -> None:
    """[1] mended: it had to do so in the daemon, where nobody hears it."""
    done = stage.run(
        """\
        import os
        from daemon.pidfile import AlreadyLocked
        before = os.getpid()
        lock = daemon.pidfile.PIDLockFile(os.path.join(PLACE, "web.pid"))
        lock.acquire()
        try:
            daemon.DaemonContext(pidfile=lock).open()
        except AlreadyLocked:
            print(before == os.getpid())
            sys.exit(42)
        finally:
            lock.release()
        """
    )

    assert (done.returncode, done.stdout) == (42, "True\n")


def test_a_pidfile_that_cannot_be_made_is_told_of(stage: Stage) -> None:
    """[1] mended."""
    done = stage.run(
        "daemon.DaemonContext(pidfile=daemon.pidfile.TimeoutPIDLockFile('/no/such/directory/web.pid')).open()"
    )

    assert done.returncode == 1
    assert "/no/such/directory/web.pid" in done.stderr


def test_what_fails_after_the_fork_is_told_with_its_traceback_and_still_raised_in_the_daemon(
    stage: Stage,
) -> None:
    """[1] mended: a pidfile object of another package is entered in the daemon, and there it may fail."""
    done = stage.run(
        """\
        class Pidfile:
            def __enter__(self):
                raise LookupError("there is no room for a pidfile")

            def __exit__(self, *_):
                tell("left")

        before = os.getpid()
        try:
            daemon.DaemonContext(pidfile=Pidfile()).open()
        finally:
            tell("finally", launcher=before)
        """
    )

    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert done.stderr.count("LookupError: there is no room for a pidfile") == 1
    facts = stage.told("finally")
    assert facts["launcher"] != facts["pid"]
    assert not (stage.place / "left").exists()


def test_the_launcher_returns_when_open_has_come_to_its_end(stage: Stage) -> None:
    """[1] mended: it returned before there was a daemon."""
    reader, writer = os.pipe()
    launcher = subprocess.Popen(
        stage.command(
            stage.write(
                """\
                class Slow:
                    def __enter__(self):
                        tell("entering")
                        os.read(int(sys.argv[1]), 1)

                    def __exit__(self, *_):
                        pass

                with daemon.DaemonContext(pidfile=Slow(), files_preserve=[int(sys.argv[1])]):
                    tell()
                    signal.pause()
                """
            ),
            str(reader),
        ),
        env=environment(),
        pass_fds=[reader],
    )
    os.close(reader)
    stage.told("entering")

    assert launcher.poll() is None
    os.close(writer)

    assert launcher.wait(60) == 0
    assert stage.told("up")["pid"] == stage.told("entering")["pid"]


def test_a_start_that_is_interrupted_leaves_no_daemon_and_no_pidfile(stage: Stage) -> None:
    program = stage.write(
        """\
        lock = daemon.pidfile.PIDLockFile(os.path.join(PLACE, "web.pid"))

        class Program(daemon.DaemonContext):
            def _make_signal_handler_map(self):
                return Slow()

        class Slow(dict):
            def items(self):
                tell("waiting", locks=lock.is_locked())
                signal.pause()

        Program(pidfile=lock).open()
        """
    )
    launcher = subprocess.Popen(stage.command(program), env=environment(), stderr=subprocess.DEVNULL)
    pid = stage.told("waiting")["pid"]
    assert stage.told("waiting")["locks"]

    launcher.send_signal(signal.SIGINT)

    assert launcher.wait(60) == 128 + signal.SIGINT
    observe.wait_until_gone(pid)
    assert not (stage.place / "web.pid").exists()


def test_an_exception_in_the_body_is_in_the_log(stage: Stage) -> None:
    """[1] mended: it went to /dev/null unless the program gave a stderr."""
    done = stage.run(
        """\
        with daemon.DaemonContext():
            tell()
            raise LookupError("the daemon has lost its way")
        """
    )
    observe.wait_until_gone(stage.told("up")["pid"])

    assert done.returncode == 0
    assert "LookupError: the daemon has lost its way" in stage.log()
    assert stat.S_IMODE(Path(os.environ["NUMEN_HOME"], "log", "program.log").stat().st_mode) & 0o002 == 0


def test_stderr_is_null_where_the_switch_says_so(stage: Stage) -> None:
    found = stage.start(UP_AND_WAIT, env={"NUMEN_PEP3143": "stderr=null"})

    assert found.descriptors[2].target == "/dev/null"
    assert stage.log() == ""


def test_a_log_that_cannot_be_had_hinders_no_daemon(stage: Stage) -> None:
    Path(os.environ["NUMEN_HOME"], "log").write_text("a file, where a directory is wanted")

    assert stage.start(UP_AND_WAIT).descriptors[2].target == "/dev/null"


def test_stderr_stays_where_the_program_does_not_detach(stage: Stage) -> None:
    done = stage.run(
        """\
        with daemon.DaemonContext(detach_process=False):
            raise LookupError("seen")
        """
    )

    assert done.returncode == 1
    assert "LookupError: seen" in done.stderr


# 2, 3: the pidfile as a lock


def test_a_daemon_that_was_killed_does_not_hinder_the_next(stage: Stage) -> None:
    """[2] mended: the pidfile that it had left blocked every later start."""
    program = """\
        with daemon.DaemonContext(pidfile=daemon.pidfile.TimeoutPIDLockFile(os.path.join(PLACE, "web.pid"))):
            tell()
            signal.pause()
        """
    first = stage.start(program).pid
    os.kill(first, signal.SIGKILL)
    observe.wait_until_gone(first)
    (stage.place / "up").unlink()

    second = stage.start(program).pid

    assert (stage.place / "web.pid").read_text() == f"{second}\n"


def test_a_start_waits_as_long_as_the_lock_says(either_stage: Stage) -> None:
    """[3] kept; who it is that waits is mended: the launcher, which tells of the outcome."""
    either_stage.start(
        """\
        lock = daemon.pidfile.TimeoutPIDLockFile(os.path.join(PLACE, "web.pid"), acquire_timeout=60)
        with daemon.DaemonContext(pidfile=lock):
            tell(sys.argv[1])
            signal.pause()
        """,
        "up",
    )
    first = either_stage.told("up")["pid"]
    pidfile = either_stage.place / "web.pid"
    second = subprocess.Popen(either_stage.command(either_stage.place / "program.py", "second"), env=environment())

    os.kill(first, signal.SIGTERM)

    assert second.wait(60) == 0
    # The original's launcher leaves before the daemon is up.
    pid = either_stage.told("second")["pid"]
    assert pidfile.read_text() == f"{pid}\n"


# 4: where and as whom the pidfile is made


def test_a_relative_pidfile_is_in_the_working_directory(either_stage: Stage) -> None:
    """[4] kept."""
    (either_stage.place / "below").mkdir()
    found = either_stage.start(
        """\
        lock = daemon.pidfile.TimeoutPIDLockFile("web.pid")
        with daemon.DaemonContext(working_directory=os.path.join(PLACE, "below"), pidfile=lock):
            tell(locked=lock.is_locked())
            signal.pause()
        """
    )

    assert (either_stage.place / "below" / "web.pid").read_text() == f"{found.pid}\n"
    assert either_stage.told("up")["locked"]


@pytest.mark.needs_root
def test_a_pidfile_where_only_root_may_write_is_made_before_the_change_of_user(stage: Stage) -> None:
    """[4] mended: it failed, unseen."""
    user = unprivileged()
    directory = stage.place / "run"
    directory.mkdir()
    stage.place.chmod(0o1777)
    found = stage.start(
        f"""\
        lock = daemon.pidfile.TimeoutPIDLockFile(os.path.join(PLACE, "run", "web.pid"))
        with daemon.DaemonContext(uid={user.uid}, gid={user.gid}, pidfile=lock):
            tell()
            signal.pause()
        """
    )

    pidfile = directory / "web.pid"
    assert found.uids == (user.uid,) * 4
    assert pidfile.read_text() == f"{found.pid}\n"
    assert (pidfile.stat().st_uid, stat.S_IMODE(pidfile.stat().st_mode)) == (0, 0o644)
    os.kill(found.pid, signal.SIGTERM)
    observe.wait_until_gone(found.pid)
    # It may not be removed by that user; an empty one names nobody.
    assert pidfile.read_text() == ""


@pytest.mark.needs_root
def test_a_pidfile_in_the_users_own_directory_is_the_users(stage: Stage) -> None:
    """[4] kept."""
    user = unprivileged()
    directory = stage.place / "run"
    directory.mkdir()
    os.chown(directory, user.uid, user.gid)
    found = stage.start(
        f"""\
        lock = daemon.pidfile.TimeoutPIDLockFile(os.path.join(PLACE, "run", "web.pid"))
        with daemon.DaemonContext(uid={user.uid}, gid={user.gid}, pidfile=lock):
            tell()
            signal.pause()
        """
    )

    assert (directory / "web.pid").stat().st_uid == user.uid
    os.kill(found.pid, signal.SIGTERM)
    observe.wait_until_gone(found.pid)
    assert list(directory.iterdir()) == []


# 5: the end


@pytest.mark.parametrize(("switch", "status"), [("", 0), ("sigterm=1", 1), ("sigterm=7", 7), ("classic", 1)])
def test_the_exit_status_at_sigterm_is_0_or_what_the_switch_says(
    stage: Stage, switch: str, status: int, reaper: Reaper
) -> None:
    """[5] mended: it was 1, as after a failure."""
    program = stage.write(
        """\
        with daemon.DaemonContext(detach_process=False, stderr=sys.stderr):
            tell()
            while True:
                signal.pause()
        """
    )
    with subprocess.Popen(
        stage.command(program), env=environment({"NUMEN_PEP3143": switch}), stderr=subprocess.PIPE, text=True
    ) as process:
        stage.told("up")
        process.terminate()
        assert process.stderr is not None
        said = process.stderr.read()

    assert process.returncode == status
    assert said == ("Terminating on signal 15\n" if status == 1 else "")


def test_the_program_can_catch_its_end(either_stage: Stage) -> None:
    """[5] kept: SystemExit with a text, in the main thread."""
    found = either_stage.start(
        """\
        try:
            with daemon.DaemonContext():
                tell()
                signal.pause()
        except SystemExit as ending:
            tell("ending", text=str(ending))
        """
    )

    os.kill(found.pid, signal.SIGTERM)

    assert either_stage.told("ending")["text"] == "Terminating on signal 15"


# 6: what happens to the launcher's own


def test_text_from_before_open_comes_to_the_caller_and_only_there(stage: Stage) -> None:
    """[6] mended: it was lost for the terminal and came into the daemon's output."""
    done = stage.run(
        """\
        output = open(os.path.join(PLACE, "output"), "w")
        print("before", end=" ")
        with daemon.DaemonContext(stdout=output):
            print("after")
            sys.stdout.flush()
            tell()
            signal.pause()
        """
    )
    stage.told("up")

    assert done.stdout == "before "
    assert (stage.place / "output").read_text() == "after\n"


def test_what_the_launcher_has_registered_runs_in_the_daemon_alone(either_stage: Stage) -> None:
    """[6] kept."""
    either_stage.run(
        """\
        import atexit
        launcher = os.getpid()
        atexit.register(lambda: tell("at exit", launcher=launcher))
        try:
            daemon.DaemonContext().open()
            tell()
        finally:
            tell("finally", launcher=launcher)
        """
    )

    for name in ("at exit", "finally"):
        facts = either_stage.told(name)
        assert facts["pid"] != facts["launcher"]
        assert facts["pid"] == either_stage.told("up")["pid"]


# 7, 8: descriptors


@pytest.mark.parametrize("kind", ["tuple", "set", "iter", "list"])
def test_files_preserve_may_be_any_iterable(stage: Stage, kind: str) -> None:
    """[7] mended: it had to be a list, and grew."""
    stage.start(
        f"""\
        kept = open(os.path.join(PLACE, "kept"), "w")
        given = {kind}([kept, None])
        with daemon.DaemonContext(files_preserve=given, stdout=open(os.devnull, "w")):
            os.fstat(kept.fileno())
            tell(given={"len(given)" if kind != "iter" else "2"})
            signal.pause()
        """
    )

    assert stage.told("up")["given"] == 2


def test_what_is_no_file_is_refused_before_the_fork(stage: Stage) -> None:
    """[7] kept: a TypeError; mended: it is seen."""
    done = stage.run("daemon.DaemonContext(files_preserve=['a name']).open()")

    assert done.returncode == 1
    assert "TypeError" in done.stderr
    assert "'a name'" in done.stderr


def test_a_stream_without_a_descriptor_is_refused_before_the_fork(stage: Stage) -> None:
    """[8] kept: it is refused; mended: it is seen."""
    done = stage.run("import io\ndaemon.DaemonContext(stdout=io.StringIO()).open()")

    assert done.returncode == 1
    assert "StringIO" in done.stderr


def test_streams_that_are_given_stay_open_as_they_are(either_stage: Stage) -> None:
    """[8] kept: the program may go on to write to the file that it gave."""
    found = either_stage.start(
        """\
        output = open(os.path.join(PLACE, "output"), "a")
        with daemon.DaemonContext(stdout=output, stderr=output):
            os.write(1, b"one ")
            os.write(2, b"two ")
            output.write("three")
            output.flush()
            tell(number=output.fileno())
            signal.pause()
        """
    )

    output = str(either_stage.place / "output")
    assert Path(output).read_text() == "one two three"
    number = either_stage.told("up")["number"]
    assert {found.descriptors[one].target for one in (1, 2, number)} == {output}


@pytest.mark.parametrize("streams", ["", "stdout=output, stderr=output", "stdin=sys.stdin"])
def test_the_standard_streams_are_there_for_programs_that_are_executed(stage: Stage, streams: str) -> None:
    """[8] mended: they were closed at exec, and the first files that a child opened became 0, 1 and 2."""
    found = stage.start(
        f"""\
        import subprocess
        output = open(os.path.join(PLACE, "output"), "w")
        with daemon.DaemonContext({streams}):
            listed = subprocess.run(["ls", "/proc/self/fd"], stdout=subprocess.PIPE, text=True).stdout
            tell(listed=listed.split())
            signal.pause()
        """
    )

    assert [found.descriptors[number].cloexec for number in (0, 1, 2)] == [False] * 3
    assert {"0", "1", "2"} <= set(stage.told("up")["listed"])


def test_streams_that_are_exchanged_for_each_other_are_not_lost(stage: Stage) -> None:
    output, errors = stage.place / "output", stage.place / "errors"
    with output.open("w") as out, errors.open("w") as err:
        launcher = subprocess.Popen(
            stage.command(
                stage.write(
                    """\
                    with daemon.DaemonContext(stdout=sys.stderr, stderr=sys.stdout):
                        os.write(1, b"to stdout")
                        os.write(2, b"to stderr")
                        tell()
                        signal.pause()
                    """
                )
            ),
            env=environment(),
            stdout=out,
            stderr=err,
        )
        assert launcher.wait(60) == 0
    stage.told("up")

    assert (output.read_text(), errors.read_text()) == ("to stderr", "to stdout")


@pytest.mark.parametrize("closed", [(0,), (1,), (0, 1), (0, 1, 2)])
def test_it_survives_a_start_with_closed_streams(stage: Stage, closed: tuple[int, ...]) -> None:
    """[8] mended: the constructor crashed."""
    program = stage.write(
        """\
        lock = daemon.pidfile.PIDLockFile(os.path.join(PLACE, "web.pid"))
        with daemon.DaemonContext(pidfile=lock):
            print("to nowhere", flush=True)
            tell(streams=[stream is not None for stream in (sys.stdin, sys.stdout, sys.stderr)])
            signal.pause()
        """
    )
    shut = " ".join(f"{number}>&-" for number in closed)
    command = ["sh", "-c", f'exec "$@" {shut}', "sh", *stage.command(program)]

    assert subprocess.run(command, env=environment(), timeout=60, check=False).returncode == 0

    facts = stage.told("up")
    found = observe.look(facts["pid"])
    assert facts["streams"] == [True] * 3
    assert [found.descriptors[number].target for number in (0, 1)] == ["/dev/null"] * 2
    assert not found.descriptors[2].target.endswith("web.pid")
    assert (stage.place / "web.pid").read_text() == f"{found.pid}\n"


def test_it_survives_streams_that_the_program_has_replaced(stage: Stage) -> None:
    """[8] mended: open() raised UnsupportedOperation, or closed the program's own stdout."""
    stage.start(
        """\
        import io
        sys.stdin = io.StringIO("words")
        sys.stdout = open(os.path.join(PLACE, "own"), "w")
        with daemon.DaemonContext():
            print("to nowhere", flush=True)
            tell(words=sys.stdin.read())
            signal.pause()
        """
    )

    assert stage.told("up")["words"] == "words"
    assert (stage.place / "own").read_text() == ""


def test_live_logging_handlers_go_on(stage: Stage) -> None:
    stage.start(
        """\
        import logging
        logging.basicConfig(filename=os.path.join(PLACE, "program.log"))
        with daemon.DaemonContext():
            logging.error("the daemon is up")
            tell()
            signal.pause()
        """
    )
    stage.told("up")

    assert (stage.place / "program.log").read_text() == "ERROR:root:the daemon is up\n"


def test_an_object_whose_file_was_closed_closes_no_other_later(stage: Stage) -> None:
    stage.start(
        """\
        old = open(os.path.join(PLACE, "old"), "w")
        number = old.fileno()
        with daemon.DaemonContext():
            new = os.open(os.path.join(PLACE, "new"), os.O_RDWR | os.O_CREAT)
            new = number if new == number else os.dup2(new, number)
            del old
            tell(written=os.write(new, b"safe"))
            signal.pause()
        """
    )

    assert stage.told("up")["written"] == 4


def test_descriptors_above_the_limit_are_closed_too(stage: Stage) -> None:
    found = stage.start(
        "import resource\nos.dup2(0, 200)\nresource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))\n" + UP_AND_WAIT
    )

    assert found.limits["open files"] == (100, 100)
    assert 200 not in found.descriptors


# 9: inherited signals


@pytest.mark.parametrize("switch", ["", "signals=keep"])
def test_inherited_ignored_and_blocked_signals_are_reset_unless_the_switch_keeps_them(
    stage: Stage, switch: str
) -> None:
    """[9] mended: a daemon could not be stopped that was started where SIGTERM was blocked."""

    def ignore_and_block() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})

    found = stage.start(
        "signal.signal(signal.SIGUSR1, signal.SIG_IGN)\n" + UP_AND_WAIT,
        env={"NUMEN_PEP3143": switch},
        preexec_fn=ignore_and_block,
    )

    kept = {signal.SIGHUP} if switch else set()
    assert {signal.SIGHUP, signal.SIGUSR1} & found.signals.ignored == {signal.SIGUSR1, *kept}
    assert (signal.SIGTERM in found.signals.blocked) == bool(switch)


# 10: forked children


def test_a_forked_child_that_ends_touches_nothing_of_the_daemons(stage: Stage) -> None:
    """[10] mended: it raised NotMyLock."""
    stage.start(
        """\
        lock = daemon.pidfile.TimeoutPIDLockFile(os.path.join(PLACE, "web.pid"))
        with daemon.DaemonContext(pidfile=lock) as context:
            child = os.fork()
            if child == 0:
                sys.exit(3)
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            tell(status=status, open=context.is_open, locks=lock.i_am_locking())
            signal.pause()
        """
    )
    facts = stage.told("up")

    assert facts | {"pid": 0} == {"pid": 0, "status": 3, "open": True, "locks": True}
    assert (stage.place / "web.pid").read_text() == f"{facts['pid']}\n"
    assert stage.log() == ""


def test_a_pidfile_that_somebody_removed_is_no_error_at_the_end(stage: Stage) -> None:
    found = stage.start(
        """\
        with daemon.DaemonContext(pidfile=daemon.pidfile.PIDLockFile(os.path.join(PLACE, "web.pid"))):
            tell()
            signal.pause()
        """
    )
    (stage.place / "web.pid").unlink()

    os.kill(found.pid, signal.SIGTERM)
    observe.wait_until_gone(found.pid)

    assert stage.log() == ""


# 11: umask


@pytest.mark.parametrize(
    ("switch", "argument", "umask"),
    [("", "", 0o022), ("umask=0", "", 0), ("umask=027", "", 0o027), ("", "umask=0", 0), ("umask=027", "umask=0", 0)],
)
def test_the_umask_is_022_unless_the_program_or_the_switch_asks_for_another(
    stage: Stage, switch: str, argument: str, umask: int
) -> None:
    """[11] mended: it was 0, and everybody could write what the daemon made."""
    found = stage.start(UP_AND_WAIT.replace("()", f"({argument})", 1), env={"NUMEN_PEP3143": switch})

    assert found.umask == umask


# 12, 13, 14: user and groups


@pytest.mark.needs_root
def test_the_real_ids_are_taken_on_where_none_are_given(either_stage: Stage) -> None:
    """[12] kept: what only the effective ids allow is dropped."""
    user = unprivileged()
    found = either_stage.start(f"os.setresgid({user.gid}, 0, 0)\nos.setresuid({user.uid}, 0, 0)\n" + UP_AND_WAIT)

    assert (found.uids, found.gids) == ((user.uid,) * 4, (user.gid,) * 4)


@pytest.mark.needs_root
@pytest.mark.parametrize("initgroups", [False, True])
def test_a_change_of_user_drops_every_group_of_roots(stage: Stage, initgroups: bool) -> None:
    """[12] mended: either root's supplementary groups stayed, or root's group itself did."""
    user = unprivileged()

    def with_groups() -> None:
        os.setgroups([0, 4, 27])

    found = stage.start(
        f"""\
        with daemon.DaemonContext(uid={user.uid}, gid={user.gid}, initgroups={initgroups}):
            tell()
            signal.pause()
        """,
        preexec_fn=with_groups,
    )

    expected = frozenset(os.getgrouplist(user.name, user.gid) if initgroups else [user.gid])
    assert (found.uids, found.gids, found.groups) == ((user.uid,) * 4, (user.gid,) * 4, expected)


@pytest.mark.needs_root
def test_the_groups_stay_where_the_user_does(either_stage: Stage) -> None:
    def with_groups() -> None:
        os.setgroups([0, 4, 27])

    assert either_stage.start(UP_AND_WAIT, preexec_fn=with_groups).groups == {0, 4, 27}


@pytest.mark.needs_user
def test_who_is_not_root_can_be_no_other_user_and_hears_so_before_the_fork(stage: Stage) -> None:
    done = stage.run(
        """\
        try:
            daemon.DaemonContext(uid=0, gid=0).open()
        except daemon.daemon.DaemonOSEnvironmentError:
            sys.exit(42)
        """
    )

    assert done.returncode == 42


@pytest.mark.needs_root
@pytest.mark.parametrize("switch", ["", "environment=keep"])
def test_the_environment_follows_a_change_of_user_unless_the_switch_keeps_it(stage: Stage, switch: str) -> None:
    """[13] mended: HOME, USER and LOGNAME stayed root's."""
    user = unprivileged()
    stage.start(
        f"""\
        with daemon.DaemonContext(uid={user.uid}, gid={user.gid}):
            tell(user=os.environ["USER"], home=os.environ["HOME"])
            signal.pause()
        """,
        env={"NUMEN_PEP3143": switch, "USER": "root", "HOME": "/somewhere"},
    )

    facts = stage.told("up")
    assert facts["user"] == ("root" if switch else user.name)
    assert (facts["home"] == "/somewhere") == bool(switch)


@pytest.mark.needs_root
def test_users_are_looked_up_before_the_root_directory_changes(stage: Stage) -> None:
    """[14] mended: they were looked up in the new root, where there may be no file of users."""
    user = unprivileged()
    jail = stage.place / "jail"
    (jail / "inside").mkdir(parents=True)
    stage.place.chmod(0o1777)
    found = stage.start(
        f"""\
        facts = open(os.path.join(PLACE, "up.new"), "w")
        os.fchown(facts.fileno(), {user.uid}, {user.gid})
        lock = daemon.pidfile.PIDLockFile("/inside/web.pid")
        with daemon.DaemonContext(
            os.path.join(PLACE, "jail"), "/inside", uid={user.uid}, gid={user.gid}, initgroups=True,
            files_preserve=[facts, os.open(PLACE, os.O_RDONLY)], pidfile=lock,
        ) as context:
            json.dump({{"pid": os.getpid(), "user": os.environ["USER"], "locked": lock.is_locked()}}, facts)
            facts.flush()
            os.rename("up.new", "up", src_dir_fd=context.files_preserve[1], dst_dir_fd=context.files_preserve[1])
            signal.pause()
        """
    )

    assert (found.root, found.cwd) == (str(jail), str(jail / "inside"))
    assert found.uids == (user.uid,) * 4
    assert found.groups == set(os.getgrouplist(user.name, user.gid))
    assert stage.told("up")["user"] == user.name
    assert (jail / "inside" / "web.pid").read_text() == f"{found.pid}\n"


@pytest.mark.parametrize("argument", ["working_directory='/no/such'", "umask='none'", "chroot_directory='/no/such'"])
def test_what_cannot_be_had_is_raised_before_the_fork_and_nothing_was_done(stage: Stage, argument: str) -> None:
    """[1] kept, for what was seen before; mended for the rest."""
    done = stage.run(
        f"""\
        before = os.getpid(), os.getcwd()
        lock = daemon.pidfile.PIDLockFile(os.path.join(PLACE, "web.pid"))
        try:
            daemon.DaemonContext({argument}, pidfile=lock).open()
        except daemon.daemon.DaemonOSEnvironmentError as error:
            print(before == (os.getpid(), os.getcwd()), lock.is_locked())
            sys.exit(42)
        """
    )

    assert (done.returncode, done.stdout) == (42, "True False\n")
    assert not (stage.place / "web.pid").exists()


# 15: open and close


def test_an_open_context_is_left_as_it_is_and_a_closed_one_detaches_again(either_stage: Stage) -> None:
    """[15] kept."""
    either_stage.run(
        """\
        context = daemon.DaemonContext()
        context.open()
        first = os.getpid()
        context.open()
        again = os.getpid()
        context.close()
        context.close()
        closed = context.is_open
        context.open()
        tell(first=first, again=again, closed=closed)
        signal.pause()
        """
    )
    facts = either_stage.told("up")

    assert facts["first"] == facts["again"]
    assert facts["closed"] is False
    assert facts["pid"] != facts["first"]


# Beside the surprises


@pytest.mark.parametrize("switch", ["", "threads=refuse"])
def test_threads_are_noted_or_refused(stage: Stage, switch: str) -> None:
    done = stage.run(
        """\
        import threading, warnings
        warnings.simplefilter("ignore")
        ending = threading.Event()
        thread = threading.Thread(target=ending.wait, name="collector")
        thread.start()
        lock = daemon.pidfile.PIDLockFile(os.path.join(PLACE, "web.pid"))
        context = daemon.DaemonContext(pidfile=lock)
        try:
            context.open()
        except daemon.daemon.DaemonProcessDetachError as error:
            ending.set()
            sys.exit(f"refused: {error}")
        tell()
        ending.set()
        signal.pause()
        """,
        env={"NUMEN_PEP3143": switch},
    )

    assert "collector" in done.stderr
    if switch:
        assert done.returncode == 1
        assert done.stderr.startswith("refused: ")
        assert not (stage.place / "web.pid").exists()
    else:
        assert done.returncode == 0
        stage.told("up")


def test_it_leaves_the_terminal_that_it_was_started_on(stage: Stage) -> None:
    program = stage.write(UP_AND_WAIT)
    done = run_on_terminal(
        f"""\
        import os, sys
        os.execv(sys.executable, {stage.command(program)!r})
        """
    )

    assert done.returncode == 0
    assert observe.look(stage.told("up")["pid"]).tty_nr == 0


def test_a_wakeup_descriptor_that_is_closed_is_told_nothing_more(stage: Stage) -> None:
    found = stage.start(
        """\
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer)
        signal.signal(signal.SIGUSR1, lambda *_: None)
        with daemon.DaemonContext():
            os.dup2(os.open(os.path.join(PLACE, "database"), os.O_RDWR | os.O_CREAT), writer)
            os.set_blocking(writer, False)
            tell()
            signal.pause()
            tell("woken")
            signal.pause()
        """
    )

    os.kill(found.pid, signal.SIGUSR1)
    stage.told("woken")

    assert (stage.place / "database").read_bytes() == b""


# Whole programs, and how they are run

SERVICE = '''\
"""A service as people have written it for years."""

import argparse
import logging
import os
import signal
import sys
import threading

import daemon
from daemon.pidfile import TimeoutPIDLockFile

parser = argparse.ArgumentParser()
parser.add_argument("--pidfile", required=True)
parser.add_argument("--logfile", required=True)
arguments = parser.parse_args()

handler = logging.FileHandler(arguments.logfile)
handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
log = logging.getLogger("service")
log.setLevel(logging.INFO)
log.addHandler(handler)

stopping = threading.Event()


def stop(number, frame):
    log.info("stopping on signal %d", number)
    stopping.set()


def reload(number, frame):
    log.info("reloading")


context = daemon.DaemonContext(
    working_directory=os.path.dirname(arguments.pidfile),
    umask=0o002,
    pidfile=TimeoutPIDLockFile(arguments.pidfile, acquire_timeout=-1),
    files_preserve=[handler.stream],
    stdout=handler.stream,
    stderr=handler.stream,
)
context.signal_map = {signal.SIGTERM: stop, signal.SIGHUP: reload, signal.SIGINT: stop}

print("starting", os.path.basename(sys.argv[0]))
with context:
    log.info("running as %d in %s", os.getpid(), os.getcwd())
    while not stopping.wait(3600):
        pass
    log.info("stopped")
'''


def test_a_service_with_a_log_and_a_pidfile_runs_unchanged(stage: Stage, reaper: Reaper) -> None:
    service, pidfile, log = (stage.place / name for name in ("service.py", "service.pid", "service.log"))
    service.write_text(SERVICE)
    command = stage.command(service, "--pidfile", str(pidfile), "--logfile", str(log))

    def run() -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=60, check=False)

    done = run()
    assert (done.returncode, done.stdout) == (0, "starting service.py\n"), done.stderr
    pid = reaper.track(int(pidfile.read_text()))
    wait_for(lambda: f"INFO running as {pid} in {stage.place}\n" in log.read_text(), 60, "its first line")
    refused = run()
    assert refused.returncode == 1
    assert f"already locked by pid {pid}" in refused.stderr
    os.kill(pid, signal.SIGHUP)
    wait_for(lambda: "INFO reloading\n" in log.read_text(), 60, "the reload")
    os.kill(pid, signal.SIGTERM)
    observe.wait_until_gone(pid)
    assert log.read_text().endswith("INFO stopping on signal 15\nINFO stopped\n")
    assert not pidfile.exists()


RUNNER = '''\
"""A program with daemon.runner, as its documentation had it."""

import os
import signal
import sys

from daemon import runner


class App:
    def __init__(self, place):
        self.stdin_path = "/dev/null"
        self.stdout_path = os.path.join(place, "app.out")
        self.stderr_path = os.path.join(place, "app.err")
        self.pidfile_path = os.path.join(place, "app.pid")
        self.pidfile_timeout = 5

    def run(self):
        print("running", flush=True)
        while True:
            signal.pause()


daemon_runner = runner.DaemonRunner(App(os.environ["PLACE"]))
daemon_runner.daemon_context.working_directory = os.environ["PLACE"]
daemon_runner.do_action()
'''


class RunnerProgram:
    """The program above, with its files."""

    def __init__(self, stage: Stage, reaper: Reaper) -> None:
        self._stage, self._reaper = stage, reaper
        self.pidfile, self.out, self.err = (stage.place / f"app.{kind}" for kind in ("pid", "out", "err"))
        self.path = stage.place / "app.py"
        self.path.write_text(RUNNER)

    def do(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self._stage.command(self.path, *words),
            env=environment({"PLACE": str(self._stage.place)}),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def pid(self) -> int:
        return self._reaper.track(int(self.pidfile.read_text()))

    def runs(self, times: int) -> bool:
        return self.out.read_text().count("running\n") == times


@pytest.fixture
def app(stage: Stage, reaper: Reaper) -> RunnerProgram:
    return RunnerProgram(stage, reaper)


def test_a_runner_starts_restarts_and_stops_its_program(app: RunnerProgram) -> None:
    assert app.do("start").returncode == 0
    first = app.pid()
    wait_for(lambda: app.runs(1), 60, "the program's word")
    assert f"started with pid {first}\n" in app.err.read_text()

    restarted = app.do("restart")
    assert restarted.returncode == 0, restarted.stderr
    second = app.pid()
    assert second != first
    assert observe.is_zombie_or_gone(first)
    wait_for(lambda: app.runs(2), 60, "the second one's word")

    assert app.do("stop", "and more words").returncode == 0
    assert observe.is_zombie_or_gone(second)
    assert not app.pidfile.exists()


def test_a_runner_tells_who_runs_already_and_leaves_his_logs(app: RunnerProgram) -> None:
    app.path.write_text(RUNNER.replace("timeout = 5", "timeout = 0"))
    app.do("start")
    wait_for(lambda: app.runs(1), 60, "the program's word")

    second = app.do("start")

    assert second.returncode == 1
    assert "DaemonRunnerStartFailureError" in second.stderr
    assert f"pid {app.pid()}" in second.stderr
    assert app.runs(1)


def test_a_runner_that_is_told_to_stop_nobody_fails(app: RunnerProgram) -> None:
    for action in ("stop", "restart"):
        done = app.do(action)
        assert done.returncode == 1
        assert "DaemonRunnerStopFailureError" in done.stderr


@pytest.mark.parametrize("text", ["", "garbage\n", "dead"])
def test_a_runner_stops_what_is_dead_by_removing_its_pidfile(app: RunnerProgram, text: str) -> None:
    with subprocess.Popen(["true"]) as dead:
        pass
    app.pidfile.write_text(f"{dead.pid}\n" if text == "dead" else text)

    assert app.do("stop").returncode == 0
    assert not app.pidfile.exists()


@pytest.mark.parametrize("words", [(), ("reload",)])
def test_a_runner_says_what_it_can_do(app: RunnerProgram, words: tuple[str, ...]) -> None:
    done = app.do(*words)

    assert done.returncode == 2
    assert done.stderr == "usage: app.py start|stop|restart\n"


def test_the_parts_of_a_runner_can_be_used_alone(stage: Stage) -> None:
    done = stage.run(
        """\
        import io
        from daemon import runner
        lock = runner.make_pidlockfile(os.path.join(PLACE, "web.pid"), 3)
        print(lock.path == os.path.join(PLACE, "web.pid"), lock.acquire_timeout, runner.is_pidfile_stale(lock))
        child = os.fork()
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)
        for pid in (child, os.getpid()):
            with open(lock.path, "w") as file:
                file.write(str(pid))
            print(runner.is_pidfile_stale(lock))
        os.unlink(lock.path)
        stream = io.StringIO()
        runner.emit_message("words", stream)
        print(stream.getvalue(), end="")
        try:
            runner.make_pidlockfile("relative", None)
        except ValueError:
            print("refused")
        """
    )

    assert done.stdout == "True 3 False\nTrue\nFalse\nwords\nrefused\n", done.stderr


def test_a_program_is_run_as_if_it_had_been_started_itself(stage: Stage) -> None:
    (stage.place / "beside.py").write_text("WORD = 'beside'\n")
    program = stage.write("import beside\nprint(__name__, __file__, sys.argv, beside.WORD, sys.path[0])")

    done = subprocess.run(
        stage.command(program, "-x", "--", "y"),
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    expected = ["__main__", program, [str(program), "-x", "--", "y"], "beside", stage.place]
    assert done.stdout.split("\n")[0] == " ".join(map(str, expected))


def test_a_module_and_a_command_on_the_path_can_be_run_too(stage: Stage) -> None:
    (stage.place / "package").mkdir()
    (stage.place / "package" / "__init__.py").touch()
    (stage.place / "package" / "start.py").write_text(
        "import daemon, sys; print(__name__, daemon.__name__, sys.argv[1:])"
    )
    (stage.place / "a-command").write_text("import daemon, sys\nprint(daemon.__name__, sys.argv[1:])\n")
    (stage.place / "a-command").chmod(0o755)
    path = f"{stage.place}{os.pathsep}{os.environ['PATH']}"

    def run(*words: str) -> str:
        return subprocess.run(
            [sys.executable, "-m", "numen.pep3143", *words],
            cwd=stage.place,
            env=environment({"PATH": path}),
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout

    assert run("-m", "package.start", "word") == "__main__ daemon ['word']\n"
    (stage.place / "below").mkdir()
    assert run("a-command", "word") == "daemon ['word']\n"


@pytest.mark.parametrize(
    ("words", "switch", "said"),
    [
        ((), "", "usage"),
        (("-m",), "", "usage"),
        (("--no-such-option",), "", "usage"),
        (("no-such-program",), "", "no-such-program"),
        (("program.py",), "umsk=0", "umsk"),
    ],
)
def test_what_cannot_be_run_is_refused(stage: Stage, words: tuple[str, ...], switch: str, said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "numen.pep3143", *words],
        env=environment({"NUMEN_PEP3143": switch}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_help_is_printed_where_it_is_asked_for() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "numen.pep3143", "--help"], capture_output=True, text=True, timeout=60, check=True
    )

    assert done.stdout.startswith("usage: python -m numen.pep3143 PROGRAM")
