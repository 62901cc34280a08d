"""The tests' own tools: they see what is there, and let no test leave anything behind.

Whatever must fail is tried in a session of its own, an inner pytest with this suite's conftest.
"""

import os
import pwd
import resource
import signal
import stat
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

import observe
from processes import (
    ROOT,
    Reaper,
    Terminal,
    compile_c,
    environment,
    installed,
    run_on_terminal,
    unprivileged,
    wait_for,
)

CAP_SYS_ADMIN = 21

PREPARED = """
import ctypes, os, resource, signal, sys
directory, log = sys.argv[1:]
os.chdir(directory)
os.umask(0o027)
os.nice(3)
open("/proc/self/comm", "w").write("odd) (name")
open("/proc/self/oom_score_adj", "w").write("500")
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 128))
resource.setrlimit(resource.RLIMIT_CORE, (0, resource.RLIM_INFINITY))
signal.signal(signal.SIGUSR1, signal.SIG_IGN)
signal.signal(signal.SIGHUP, lambda *_: None)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2, signal.SIGWINCH])
os.kill(os.getpid(), signal.SIGUSR2)
ctypes.CDLL(None).prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
appended = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
os.write(appended, b"twelve bytes")
read = os.open(log, os.O_RDONLY)
os.set_inheritable(read, True)
print(appended, read, flush=True)
sys.stdin.read()
"""


# Looking at a process


def test_look_sees_what_a_process_made_of_itself(reaper: Reaper, tmp_path: Path) -> None:
    log = tmp_path / "a log"
    child = reaper.start(
        [sys.executable, "-I", "-c", PREPARED, tmp_path, log],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"COLOUR": "gr\udcfcn=blue", "EMPTY": ""},
        start_new_session=True,
    )
    assert child.stdout is not None
    appended, read = map(int, child.stdout.readline().split())

    seen = observe.look(child.pid)

    assert (seen.pid, seen.ppid, seen.pgid, seen.sid) == (child.pid, os.getpid(), child.pid, child.pid)
    assert seen.tty_nr == 0
    assert seen.comm == "odd) (name"
    assert seen.cmdline == (sys.executable, "-I", "-c", PREPARED, str(tmp_path), str(log))
    assert seen.exe == os.path.realpath(sys.executable)
    assert (seen.cwd, seen.root) == (str(tmp_path), "/")
    assert seen.umask == 0o027
    assert seen.nice == min(os.nice(0) + 3, 19)
    assert seen.oom_score_adj == 500
    assert seen.limits["open files"] == (64, 128)
    assert seen.limits["core file size"] == (0, resource.RLIM_INFINITY)
    assert seen.signals.ignored >= {signal.SIGUSR1}
    assert seen.signals.caught >= {signal.SIGHUP}
    assert seen.signals.blocked == {signal.SIGUSR2, signal.SIGWINCH}
    assert seen.signals.pending == {signal.SIGUSR2}
    assert seen.no_new_privs
    assert {"COLOUR": "gr\udcfcn=blue", "EMPTY": ""}.items() <= seen.environ.items()
    assert seen.threads == 1

    assert seen.descriptors.keys() == {0, 1, 2, appended, read}
    assert seen.descriptors[0].target.startswith("pipe:[")
    assert (seen.descriptors[0].mode, seen.descriptors[1].mode) == ("r", "w")
    writer, reader = seen.descriptors[appended], seen.descriptors[read]
    assert (writer.target, writer.mode, writer.append, writer.cloexec) == (str(log), "w", True, True)
    assert (writer.position, writer.flags & os.O_APPEND) == (12, os.O_APPEND)
    assert (reader.target, reader.mode, reader.append, reader.cloexec) == (str(log), "r", False, False)
    assert reader.position == 0


def test_look_knows_users_groups_and_capabilities() -> None:
    seen = observe.look(os.getpid())

    assert seen.uids[:3] == os.getresuid()
    assert seen.gids[:3] == os.getresgid()
    assert seen.groups == set(os.getgroups())
    assert seen.capabilities.effective <= seen.capabilities.permitted
    if os.geteuid() != 0:
        assert seen.capabilities.effective == set()


@pytest.mark.needs_root
def test_look_sees_that_a_process_has_dropped_its_privileges(reaper: Reaper) -> None:
    nobody = unprivileged()
    child = reaper.start(
        ["cat"], stdin=subprocess.PIPE, user=nobody.uid, group=nobody.gid, extra_groups=[nobody.gid, 12]
    )

    seen = observe.look(child.pid)

    assert set(seen.uids) == {nobody.uid}
    assert set(seen.gids) == {nobody.gid}
    assert seen.groups == {nobody.gid, 12}
    assert seen.capabilities.permitted == seen.capabilities.effective == set()
    assert seen.capabilities.bounding != set()


@pytest.mark.needs_package("procps", command="ps")
def test_look_agrees_with_ps(reaper: Reaper) -> None:
    child = reaper.start(["nice", "-n", "7", "cat"], stdin=subprocess.PIPE)
    wait_for(lambda: observe.look(child.pid).comm == "cat", 30, "cat's exec")

    columns = "ppid=,pgid=,sid=,ni=,nlwp=,ruid=,euid=,suid=,rgid=,comm="
    told = subprocess.run(
        [installed("ps") or "ps", "-o", columns, "-p", str(child.pid)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()

    seen = observe.look(child.pid)
    ours = [seen.ppid, seen.pgid, seen.sid, seen.nice, seen.threads, *seen.uids[:3], seen.gids[0], seen.comm]
    assert told == [str(value) for value in ours]


def test_a_zombie_counts_as_gone_and_can_be_looked_at() -> None:
    child = os.posix_spawn("/bin/true", ["true"], {})

    observe.wait_until_gone(child)

    assert observe.is_zombie_or_gone(child)
    seen = observe.look(child)
    assert (seen.state, seen.ppid, seen.descriptors, seen.cwd) == ("Z", os.getpid(), {}, None)
    os.waitpid(child, 0)
    assert observe.is_zombie_or_gone(child)
    observe.wait_until_gone(child)
    with pytest.raises(ProcessLookupError):
        observe.look(child)


def test_waiting_for_the_end_of_what_lives_on_fails_and_names_it(reaper: Reaper) -> None:
    child = reaper.start(["cat", "-u"], stdin=subprocess.PIPE)

    assert not observe.is_zombie_or_gone(child.pid)
    with pytest.raises(AssertionError, match=rf"pid {child.pid} .*: cat -u"):
        observe.wait_until_gone(child.pid, deadline_seconds=0.01)


def test_children_and_descendants_are_told_apart(reaper: Reaper) -> None:
    shell = reaper.start(["sh", "-c", "tail -f /dev/null & echo $!; wait"], stdout=subprocess.PIPE)
    assert shell.stdout is not None
    grandchild = int(shell.stdout.readline())

    assert shell.pid in observe.children(os.getpid())
    assert grandchild not in observe.children(os.getpid())
    assert observe.children(shell.pid) == {grandchild}
    family = observe.descendants(os.getpid())
    assert family[grandchild] == observe.look(grandchild).start_time
    without = frozenset({(shell.pid, family[shell.pid])})
    assert family.keys() - observe.descendants(os.getpid(), without=without) == {shell.pid, grandchild}


def test_the_test_process_is_the_nearest_reaper() -> None:
    assert observe.nearest_reaper() == os.getpid()


def test_mount_points_are_the_ones_that_findmnt_knows() -> None:
    points = observe.mount_points()

    assert {"/", "/proc"} <= set(points)
    assert all(os.path.ismount(point) for point in ("/", "/proc"))


# Waiting, starting, ending


def test_wait_for_returns_the_answer_it_waited_for() -> None:
    answers = iter(["", None, "at last"])

    assert wait_for(lambda: next(answers), 30, "an answer") == "at last"


def test_wait_for_fails_with_what_did_not_happen() -> None:
    with pytest.raises(AssertionError, match=r"not within 0\.01 seconds: the end of days"):
        wait_for(lambda: False, 0.01, "the end of days")


def test_changes_to_the_environment_add_and_remove(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLD", "1")

    changed = environment({"OLD": None, "NEW": "2"})

    assert changed == {**{name: os.environ[name] for name in os.environ if name != "OLD"}, "NEW": "2"}


def test_a_program_on_a_terminal_leads_a_session_that_has_it() -> None:
    done = run_on_terminal(
        """
        import os, sys
        assert all(os.isatty(fd) for fd in (0, 1, 2))
        assert os.getsid(0) == os.getpgrp() == os.getpid() == os.tcgetpgrp(0)
        terminal = os.open("/dev/tty", os.O_RDWR)
        os.write(terminal, sys.argv[1].encode())
        sys.exit(5)
        """,
        "said so",
    )

    assert (done.returncode, done.stdout) == (5, "said so")


def test_a_terminal_shows_its_program_and_can_be_typed_at() -> None:
    with Terminal([sys.executable, "-c", "print('ask'); print('got', input())"]) as terminal:
        terminal.read_until("ask\n")
        device = os.stat(terminal.name).st_rdev
        assert observe.look(terminal.process.pid).tty_nr == device
        terminal.type_in("something\n")
        assert terminal.finish().stdout.endswith("got something\n")


@pytest.mark.parametrize(
    ("act", "number"),
    [
        (Terminal.hang_up, signal.SIGHUP),
        (lambda terminal: terminal.type_in("\x03"), signal.SIGINT),
    ],
    ids=["hang up", "Ctrl-C"],
)
def test_what_is_done_to_a_terminal_reaches_its_program(
    act: Callable[[Terminal], None], number: signal.Signals
) -> None:
    with Terminal(["sh", "-c", "echo up; exec cat"]) as terminal:
        terminal.read_until("up")
        act(terminal)
        observe.wait_until_gone(terminal.process.pid)
        assert terminal.process.wait() == -number


def test_a_terminal_that_is_held_open_is_no_finished_one(reaper: Reaper) -> None:
    # SIGHUP comes to the foreground when the leader ends; what ignores it keeps the terminal.
    with Terminal(["sh", "-c", "trap '' HUP; tail -f /dev/null & echo $!"]) as terminal:
        reaper.track(int(terminal.read_until("\n")))
        with pytest.raises(AssertionError, match="holds the terminal open"):
            terminal.finish(deadline_seconds=0.5)


def test_compile_c_makes_a_program(tmp_path: Path) -> None:
    program = compile_c("int main(void) { return ANSWER; }", tmp_path / "answer", "-DANSWER=42")

    assert subprocess.run([program], check=False).returncode == 42


def test_compile_c_skips_where_there_is_no_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(pytest.skip.Exception, match="gcc"):
        compile_c("int main(void) { return 0; }", tmp_path / "nothing")


def test_unprivileged_is_nobody_for_root_and_oneself_for_others() -> None:
    name, uid, gid = unprivileged()

    assert uid != 0
    assert (pwd.getpwnam(name).pw_uid, pwd.getpwnam(name).pw_gid) == (uid, gid)


def test_a_reaper_ends_a_daemon_and_what_is_below_it(reaper: Reaper) -> None:
    daemon = reaper.track(leave_daemon("trap '' TERM; tail -f /dev/null & wait"))
    worker = wait_for(lambda: observe.children(daemon), 30, "the daemon's child")

    reaper.end_all()

    assert all(observe.is_zombie_or_gone(pid) for pid in {daemon, *worker})


def leave_daemon(script: str) -> int:
    """The pid of a shell that runs the script in a session of its own, its launcher gone."""
    launcher = ["sh", "-c", 'setsid sh -c "$1" >/dev/null 2>&1 & echo $!', "launcher", script]
    return int(subprocess.run(launcher, stdout=subprocess.PIPE, check=True).stdout)


# Nothing stays behind

LEAKY = """
    import ctypes, os, signal, subprocess, sys, tempfile
    from pathlib import Path

    import pytest

    import conftest, observe, processes

    conftest.SETTLING_SECONDS = 0.1
    told = Path(os.environ["TOLD"])

    def daemonize(*argv):
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                for fd in 0, 1, 2:
                    os.dup2(os.open("/dev/null", os.O_RDWR), fd)
                os.execve("/usr/bin/env", ["env", *argv], {"PATH": "/usr/bin:/bin"})
            os._exit(0)
"""


def inner_suite(directory: Path, text: str, *options: str) -> list[str | Path]:
    """Write these tests and return the command that runs them."""
    directory.mkdir(exist_ok=True)
    (directory / "test_inner.py").write_text(textwrap.dedent(LEAKY) + textwrap.dedent(text))
    command: list[str | Path] = [sys.executable, "-m", "pytest", "-c", ROOT / "pyproject.toml"]
    command += ["--rootdir", directory, "-p", "conftest", "-p", "no:cacheprovider", "--tb=short"]
    return [*command, *options, directory / "test_inner.py"]


def inner_environment(directory: Path, **changes: str) -> dict[str, str]:
    fixed = {"PYTHONPATH": str(ROOT / "tests"), "TOLD": str(directory / "told")}
    # Byte code halves the time that an inner session takes.
    absent = {"NUMEN_REQUIRE_ALL": None, "PYTHONDONTWRITEBYTECODE": None}
    return environment({**fixed, **absent, **changes})


def run_suite(directory: Path, text: str, *options: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run these tests in a session of their own; `told` is a file in the directory, for what they tell."""
    return subprocess.run(
        inner_suite(directory, text, *options),
        env=inner_environment(directory, **env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_a_daemon_that_a_test_leaves_behind_is_found_named_and_killed(tmp_path: Path) -> None:
    done = run_suite(
        tmp_path,
        """
        def test_leaks():
            daemonize("sh", "-c", "trap '' TERM HUP; echo $$ >$0; tail -f /dev/null", str(told))
            processes.wait_for(told.exists, 30, "the daemon")
            processes.wait_for(told.read_text, 30, "its pid")

        def test_is_innocent():
            pass
        """,
    )

    assert done.returncode == 1
    assert "ERROR at teardown of test_leaks" in done.stdout
    assert "2 passed, 1 error" in done.stdout
    assert f"process: pid {(tmp_path / 'told').read_text().strip()} " in done.stdout
    assert "echo $$ >$0; tail -f /dev/null" in done.stdout
    assert observe.is_zombie_or_gone(int((tmp_path / "told").read_text()))
    assert done.stderr == ""


def test_a_test_that_fails_and_leaks_is_told_both(tmp_path: Path) -> None:
    done = run_suite(
        tmp_path,
        """
        def test_fails():
            process = subprocess.Popen(["tail", "-f", "/dev/null"])
            told.write_text(str(process.pid))
            raise RuntimeError("on the way")
        """,
        # The object is collected while its process lives, of which Python warns.
        "-W",
        "ignore",
    )

    assert "RuntimeError: on the way" in done.stdout
    assert "1 failed, 1 error" in done.stdout
    assert f"process: pid {(tmp_path / 'told').read_text()} " in done.stdout
    assert observe.is_zombie_or_gone(int((tmp_path / "told").read_text()))


def test_what_is_started_again_when_it_is_killed_is_ended_too(tmp_path: Path) -> None:
    done = run_suite(
        tmp_path,
        """
        def test_leaks():
            again = 'while :; do tail -f /dev/null & echo $! >>"$0"; wait; done'
            daemonize("sh", "-c", again, str(told))
            processes.wait_for(told.exists, 30, "the first start")
            processes.wait_for(told.read_text, 30, "its pid")
        """,
    )

    assert "1 passed, 1 error" in done.stdout
    assert all(observe.is_zombie_or_gone(int(pid)) for pid in (tmp_path / "told").read_text().split())
    assert str(tmp_path) not in "".join(observe.describe(pid) for pid in observe.descendants(os.getpid()))


def test_a_process_outside_the_family_is_known_by_its_numen_home(reaper: Reaper, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "asked")
    outsider = reaper.start(["sh", "-c", "read home <asked; NUMEN_HOME=$home exec tail -f /dev/null"], cwd=tmp_path)
    done = run_suite(
        tmp_path,
        """
        def test_leaks(numen_home):
            told.with_name("asked").write_text(f"{numen_home}\\n")
            processes.wait_for(lambda: observe.with_environment(str(numen_home)), 30, "tail")
        """,
    )

    assert f"process: pid {outsider.pid} " in done.stdout
    observe.wait_until_gone(outsider.pid)


def test_what_a_session_fixture_starts_is_judged_at_the_sessions_end(tmp_path: Path) -> None:
    done = run_suite(
        tmp_path,
        """
        @pytest.fixture(scope="session")
        def service():
            process = subprocess.Popen(["sh", "-c", "tail -f /dev/null & wait"])
            yield process
            process.kill()
            process.wait()

        def test_uses_it(service):
            pass

        def test_uses_it_too(service):
            assert service.poll() is None
        """,
    )

    assert "2 passed, 1 error" in done.stdout
    assert "ERROR at teardown of test_uses_it_too" in done.stdout
    assert "the session left something behind" in done.stdout
    assert "tail -f /dev/null" in done.stdout


def test_files_left_in_shared_directories_are_told_by_the_sessions_mark(tmp_path: Path) -> None:
    link, note = Path(f"/tmp/numen-link-{os.getpid()}"), Path(f"/dev/shm/note-{os.getpid()}")
    stranger = Path(f"/tmp/numen-stranger-{os.getpid()}")
    try:
        done = run_suite(
            tmp_path,
            f"""
            def test_temporary():
                tempfile.mkstemp(prefix="forgotten")

            def test_shared(numen_home):
                Path("{link}").symlink_to(numen_home)
                Path("{note}").write_text(f"the socket is {{numen_home}}/socket")
                Path("{stranger}").write_text("somebody else's")
            """,
        )
    finally:
        for path in link, note, stranger:
            path.unlink(missing_ok=True)

    assert "temporary file: forgotten" in done.stdout
    assert f"file: {link}\n" in done.stdout
    assert f"file: {note}\n" in done.stdout
    assert str(stranger) not in done.stdout
    assert "2 passed, 2 errors" in done.stdout


def test_where_the_suite_is_alone_nothing_new_may_lie_in_numens_own_places(tmp_path: Path) -> None:
    log = Path(os.environ["XDG_STATE_HOME"], "numen/log/web.log")
    text = f"""
        def test_logs():
            Path("{log}").parent.mkdir(parents=True, exist_ok=True)
            Path("{log}").touch()
    """

    assert run_suite(tmp_path, text).returncode == 0
    log.unlink()
    done = run_suite(tmp_path, text, NUMEN_REQUIRE_ALL="1")

    assert "1 passed, 1 error" in done.stdout
    assert f"file: {log}\n" in done.stdout


@pytest.mark.needs_root
def test_a_mount_left_behind_is_undone_and_what_it_shows_is_spared(tmp_path: Path) -> None:
    if CAP_SYS_ADMIN not in observe.look(os.getpid()).capabilities.effective:
        pytest.skip("needs CAP_SYS_ADMIN, to mount")
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").touch()
    done = run_suite(
        tmp_path,
        f"""
        def test_in_its_home(numen_home):
            subprocess.run(["mount", "--bind", "{precious}", numen_home], check=True)

        def test_in_its_own_path(tmp_path):
            place = tmp_path / "with a blank"
            place.mkdir()
            subprocess.run(["mount", "--bind", "{precious}", place], check=True)
        """,
    )

    assert "2 passed, 2 errors" in done.stdout
    assert "with a blank" in done.stdout
    assert (precious / "file").exists()
    assert not [point for point in observe.mount_points() if point.startswith(os.environ["TMPDIR"])]


def test_a_child_that_comes_back_from_its_test_is_no_second_test_process(tmp_path: Path) -> None:
    done = run_suite(
        tmp_path,
        """
        def test_forks(reaper):
            reaper.start(["tail", "-f", "/dev/null"])
            child = os.fork()
            if child == 0:
                raise RuntimeError("in the child")
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == os.EX_SOFTWARE
            assert observe.children(os.getpid())
        """,
    )

    assert "1 passed" in done.stdout
    assert done.returncode == 0


def test_a_session_leaves_nothing_of_its_own_behind(tmp_path: Path) -> None:
    done = run_suite(
        tmp_path,
        """
        def test_home(numen_home, tmp_path, public_path):
            told.write_text(str(numen_home))
            for path in numen_home, tmp_path, public_path:
                (path / "closed").mkdir(mode=0)
            raise RuntimeError("fails")
        """,
    )

    assert "1 failed" in done.stdout
    assert not Path((tmp_path / "told").read_text()).parent.exists()
    assert os.listdir(os.environ["TMPDIR"]) == []


# What a test is given, and which tests run


def test_each_test_has_a_home_of_its_own(numen_home: Path) -> None:
    assert os.environ["NUMEN_HOME"] == str(numen_home)
    assert os.listdir(numen_home) == []
    # The path of a Unix socket has 107 bytes at most.
    assert len(str(numen_home)) < 60 + len(tempfile.gettempdir())
    for name in ("HOME", "TMPDIR", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        assert os.environ[name].startswith(f"{numen_home.parent}/")


def test_others_can_enter_the_public_path_alone(numen_home: Path, public_path: Path) -> None:
    assert stat.S_IMODE(public_path.stat().st_mode) == 0o755
    assert stat.S_IMODE(numen_home.stat().st_mode) == 0o700
    assert all(parent.stat().st_mode & 0o001 for parent in public_path.parents)


def test_nothing_tells_a_test_who_started_the_suite(tmp_path: Path) -> None:
    done = run_suite(
        tmp_path,
        """
        def test_environment():
            assert not {"NOTIFY_SOCKET", "LISTEN_FDS", "JOURNAL_STREAM"} & set(os.environ)
        """,
        NOTIFY_SOCKET="/run/notify",
        LISTEN_FDS="1",
        JOURNAL_STREAM="8:1",
    )

    assert done.returncode == 0


CHOOSY = """
    @pytest.mark.needs_root
    def test_root():
        assert os.geteuid() == 0

    @pytest.mark.needs_user
    def test_user():
        assert os.geteuid() != 0

    @pytest.mark.needs_package("coreutils", command="ls")
    def test_installed():
        pass

    @pytest.mark.needs_package("no-such-package")
    def test_missing():
        pass

    def test_unwilling():
        pytest.skip("not today")

    @pytest.mark.xfail(reason="known")
    def test_expected_to_fail():
        raise RuntimeError
"""


def test_markers_skip_what_does_not_fit_here(tmp_path: Path) -> None:
    done = run_suite(tmp_path, CHOOSY)

    assert "2 passed, 3 skipped, 1 xfailed" in done.stdout
    assert "needs the Debian package no-such-package" in done.stdout


def test_where_everything_is_required_only_the_other_runs_tests_are_skipped(tmp_path: Path) -> None:
    done = run_suite(tmp_path, CHOOSY, NUMEN_REQUIRE_ALL="1")

    assert "1 failed, 2 passed, 1 skipped, 1 xfailed, 1 error" in done.stdout
    assert "NUMEN_REQUIRE_ALL is set, so this may not be skipped. Skipped: not today" in done.stdout


def test_where_everything_is_required_no_file_is_skipped_whole(tmp_path: Path) -> None:
    text = 'pytest.skip("all of it", allow_module_level=True)'

    assert run_suite(tmp_path, text).returncode == pytest.ExitCode.NO_TESTS_COLLECTED
    done = run_suite(tmp_path, text, NUMEN_REQUIRE_ALL="1")
    assert "1 error" in done.stdout
    assert "Skipped: all of it" in done.stdout


def test_parsers_are_tried_for_half_a_minute_at_most_unless_asked(tmp_path: Path) -> None:
    text = """
        import hypothesis

        @pytest.mark.fuzz
        def test_parser(request):
            examples = hypothesis.settings().max_examples
            told.write_text(f"{examples} {request.node.get_closest_marker('timeout').args[0]}")
    """

    run_suite(tmp_path, text, HYPOTHESIS_PROFILE="default")
    assert (tmp_path / "told").read_text() == "500 30"
    run_suite(tmp_path, text, HYPOTHESIS_PROFILE="fuzz")
    assert (tmp_path / "told").read_text() == "1000000 0"


def test_sessions_side_by_side_leave_each_other_alone(reaper: Reaper, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    running = reaper.start(
        inner_suite(
            first,
            """
            def test_lives_while_the_other_session_begins_and_ends(numen_home, reaper):
                process = reaper.start(["tail", "-f", "/dev/null"])
                Path(tempfile.gettempdir(), "temporary").touch()
                told.touch()
                processes.wait_for(told.with_name("over").exists, 60, "the end of the other session")
                assert process.poll() is None
                Path(tempfile.gettempdir(), "temporary").unlink()
            """,
        ),
        env=inner_environment(first),
        stdout=subprocess.PIPE,
    )
    wait_for((first / "told").exists, 60, "the first session")

    done = run_suite(second, "def test_nothing(): pass")
    (first / "over").touch()

    assert "1 passed" in done.stdout
    assert "1 passed" in running.communicate()[0]
