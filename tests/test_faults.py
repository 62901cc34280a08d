"""Starts that are disturbed: killed at any step, raced by others, out of room, on tiny limits.

Whatever happens, one daemon runs and its pidfile names it, or none runs; and the next start goes well.
"""

import os
import re
import resource
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

import observe
from daemons import pid_in, write_script
from numen.become.instance import Instance, all_instances
from processes import (
    Reaper,
    compile_c,
    end,
    environment,
    numen_command,
    reap,
    run_numen,
    wait_for,
)
from tracer import ROLES, Step, calls_of, kill_at

EVERY_STEP = os.environ.get("HYPOTHESIS_PROFILE") == "fuzz"
"""`make fuzz` kills at every system call; else some are chosen, about those that others can see."""

STEPS_CHOSEN = 8

VISIBLE = {"flock", "write", "rename", "unlink", "pwrite64", "execve"}

ALREADY_RUNNING = 8

SLEEP = ("sleep", "1000")


# kill -9


CONTEXT = """
daemon = numen.DaemonContext(name="x", pidfile="pid")
try:
    daemon.open()
except numen.DaemonError as error:
    print(error, file=sys.stderr)
    sys.exit(error.exit_status)
daemon.ready()
rest()
"""


def detach_command(directory: Path) -> list[str | Path]:
    return [numen_command(), "detach", "--name", "x", "--pidfile", directory / "pid", "--", *SLEEP]


def context_command(directory: Path) -> list[str | Path]:
    return [sys.executable, write_script(directory, CONTEXT)]


def chosen_steps(calls: Sequence[str]) -> list[int]:
    """Steps out of those of a start, from 1 to one past its end."""
    if EVERY_STEP:
        return list(range(1, len(calls) + 2))
    visible = {number for number, name in enumerate(calls, 1) if name in VISIBLE}
    steps = sorted(visible | {number + 1 for number in visible}) if len(visible) > 2 else range(1, len(calls) + 1)
    return sorted({steps[len(steps) * place // STEPS_CHOSEN] for place in range(STEPS_CHOSEN)} | {steps[-1]})


def living() -> list[int]:
    """What descends from this process and has not ended."""
    found = observe.descendants(os.getpid())
    reap(found)
    return [pid for pid in found if not observe.is_zombie_or_gone(pid)]


def named_in(pidfile: Path) -> int | None:
    text = pidfile.read_text() if pidfile.exists() else ""
    return int(text) if text.endswith("\n") else None


def settled(pidfile: Path) -> bool:
    """Whether nobody is left, or one orphan whom the pidfile names."""
    left = living()
    if len(left) != 1:
        return not left
    try:
        return observe.look(left[0]).ppid == os.getpid() and named_in(pidfile) == left[0]
    except ProcessLookupError:
        return False


def check_what_is_left(directory: Path, done: subprocess.CompletedProcess[str], step: Step) -> list[int]:
    """The daemon that a disturbed start has left, as a list of none or one."""
    pidfile = directory / "pid"
    wait_for(
        lambda: settled(pidfile), 20, f"one named daemon or none after {step}: {list(map(observe.describe, living()))}"
    )
    left = living()
    assert Instance.find("x").pid == (left[0] if left else None), step
    assert Instance.find(str(pidfile)).pid == (left[0] if left else None), step
    if done.returncode not in (0, 128 + signal.SIGKILL):
        assert left == [], (step, done.stderr)
        assert done.stderr, step
    if done.returncode == 0 and step.role != "daemon":
        assert left, (step, done.stderr)
    return left


@pytest.mark.fuzz
@pytest.mark.timeout(0 if EVERY_STEP else 120)
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("make_command", [detach_command, context_command], ids=["detach", "context"])
def test_a_start_that_is_killed_anywhere_leaves_one_daemon_or_none_and_the_next_goes_well(
    make_command: Callable[[Path], list[str | Path]],
    role: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    command = make_command(tmp_path)
    calls = calls_of(role, command, tmp_path / "calls")
    assert Instance.find("x").stop()

    for number in chosen_steps(calls):
        step = Step(role, number)
        left = check_what_is_left(tmp_path, kill_at(step, command), step)

        again = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

        if left:
            assert again.returncode == ALREADY_RUNNING, (step, again.stderr)
            assert f"pid {left[0]}" in again.stderr, step
        else:
            assert again.returncode == 0, (step, again.stderr)
        assert living() == [named_in(tmp_path / "pid")] == [Instance.find("x").pid], step
        assert Instance.find("x").stop(), step
        assert living() == [], step
    assert run_numen("detach", "--status", "x").returncode == 3
    left_over = [path.name for path in Path(os.environ["NUMEN_HOME"], "run", "detached").iterdir()]
    assert left_over == []


@pytest.mark.parametrize("step", ["write", "execve"])
def test_a_daemon_killed_right_before_its_exec_is_not_said_to_be_up(step: str, tmp_path: Path) -> None:
    # The time between its last word and the exec is one call, so the end of the report alone tells nothing.
    command = detach_command(tmp_path)
    calls_of("daemon", command, tmp_path / "calls")
    assert Instance.find("x").stop()
    (tmp_path / "pid").unlink(missing_ok=True)
    calls = calls_of("daemon", command, tmp_path / "calls")
    assert Instance.find("x").stop()
    (tmp_path / "pid").unlink(missing_ok=True)
    assert calls[-1] == "execve"

    number = len(calls) - calls[::-1].index(step)
    done = kill_at(Step("daemon", number), command)

    assert done.returncode == 9, done
    assert "SIGKILL" in done.stderr
    assert living() == []


def test_a_daemon_whose_launcher_is_killed_right_before_its_exec_goes_on(tmp_path: Path) -> None:
    script = """
        from numen.become import command, readiness, recipe, report
        from numen.kernel.process import Process
        launcher = Process(os.getpid())
        first = report.Reporter.executing
        def executing(self):
            os.kill(launcher.pid, signal.SIGKILL)
            launcher.wait()
            first(self)
        report.Reporter.executing = executing
        command.detach(["sleep", "1000"], recipe.Recipe(name="x", pidfile="pid"), readiness.Kind(name="exec"))
    """
    done = subprocess.run([sys.executable, write_script(tmp_path, script)], cwd=tmp_path, check=False, timeout=60)

    assert done.returncode == -signal.SIGKILL
    wait_for(lambda: settled(tmp_path / "pid"), 20, "the guard's end")
    (daemon,) = living()
    wait_for(lambda: observe.look(daemon).cmdline == SLEEP, 20, "the exec")
    # What the interpreter ignores is not ignored by the program.
    assert not {signal.SIGPIPE, signal.SIGXFSZ} & observe.look(daemon).signals.ignored
    assert Instance.find("x").stop()


def test_a_start_that_is_delayed_past_another_does_not_make_a_second_daemon(reaper: Reaper, tmp_path: Path) -> None:
    # The launcher is killed, and its daemon is stopped before it has named itself: the lock that it holds looks
    # abandoned, and another start takes the place.
    script = """
        import signal
        from numen.become import recipe
        first = os.fork
        def fork():
            pid = first()
            if not pid and os.getsid(0) == os.getppid():
                say(os.getpid())
                os.kill(os.getpid(), signal.SIGSTOP)
            return pid
        os.fork = fork
        with numen.DaemonContext(name="x", pidfile="pid") as daemon:
            say("up")
            daemon.ready()
            rest()
    """
    launcher = reaper.start([sys.executable, write_script(tmp_path, script)], cwd=tmp_path, env=environment())
    said = tmp_path / "said"
    delayed = int(wait_for(lambda: said.exists() and said.read_text().strip(), 30, "the daemon's birth"))
    reaper.track(delayed)
    wait_for(lambda: observe.look(delayed).state == "T", 30, "the daemon to be stopped")
    launcher.kill()
    launcher.wait()

    winner = run_numen("detach", "--name", "x", "--pidfile", tmp_path / "pid", "--", *SLEEP)
    reaper.track(pid_in(tmp_path / "pid"))
    os.kill(delayed, signal.SIGCONT)

    assert winner.returncode == 0, winner.stderr
    observe.wait_until_gone(delayed)
    assert said.read_text().split() == [str(delayed)]
    assert Instance.find("x").pid == Instance.find(str(tmp_path / "pid")).pid == pid_in(tmp_path / "pid")


# Races


RACERS = 200

RACE = """
import os, sys
from numen.cli.main import main
place, named_alike, *argv = sys.argv[1:]
gate, opened = os.pipe()
for number in range({racers}):
    if os.fork():
        continue
    os.close(opened)
    with open(f"{{place}}/{{number}}.said", "w") as said:
        os.dup2(said.fileno(), 2)
    os.read(gate, 1)
    name = "x" if named_alike else f"x{{number}}"
    status = main(["detach", "--quiet", "--name", name, *argv])
    with open(f"{{place}}/{{number}}.status", "w") as file:
        file.write(f"{{status}} {{os.getpid()}}")
    os._exit(0)
os.close(gate)
os.close(opened)
for _ in range({racers}):
    os.wait()
"""


def leave_nothing(pidfile: Path) -> None:
    """No pidfile is there."""


def leave_empty(pidfile: Path) -> None:
    pidfile.touch()


def leave_garbage(pidfile: Path) -> None:
    pidfile.write_bytes(b"\0\xff not a pid \n" * 100)


def leave_stale(pidfile: Path) -> None:
    with subprocess.Popen(["true"]) as process:
        process.wait()
    pidfile.write_text(f"{process.pid}\n")


def leave_of_a_killed_daemon(pidfile: Path) -> None:
    instance = pidfile.parent.name == "detached"
    option = ("--name", pidfile.stem) if instance else ("--pidfile", pidfile)
    started = run_numen("detach", *option, "--", *SLEEP)
    assert started.returncode == 0, started.stderr
    pid = pid_in(pidfile)
    end({pid: observe.start_time(pid)})
    reap([pid])


LEFT = [leave_nothing, leave_empty, leave_garbage, leave_stale, leave_of_a_killed_daemon]


@pytest.mark.parametrize("named_alike", [True, False], ids=["name", "pidfile"])
@pytest.mark.parametrize("leave", LEFT)
def test_of_two_hundred_starts_at_once_one_wins(
    leave: Callable[[Path], None], named_alike: bool, tmp_path: Path, numen_home: Path
) -> None:
    pidfile = numen_home / "run" / "detached" / "x.pid" if named_alike else tmp_path / "pid"
    pidfile.parent.mkdir(parents=True, exist_ok=True)
    leave(pidfile)
    option = [] if named_alike else ["--pidfile", str(pidfile)]

    subprocess.run(
        [
            sys.executable,
            "-c",
            RACE.format(racers=RACERS),
            tmp_path,
            "alike" if named_alike else "",
            *option,
            "--",
            *SLEEP,
        ],
        check=True,
        timeout=100,
    )

    (daemon,) = living()
    assert pid_in(pidfile) == daemon
    results = {number: (tmp_path / f"{number}.status").read_text().split() for number in range(RACERS)}
    (winner,) = [number for number, (status, _) in results.items() if status == "0"]
    assert {status for status, _ in results.values()} == {"0", str(ALREADY_RUNNING)}
    said = {(tmp_path / f"{number}.said").read_text() for number in range(RACERS) if number != winner}
    assert {int(number) for text in said for number in re.findall(r"pid (\d+)", text)} <= {
        daemon,
        int(results[winner][1]),
    }
    # On a machine under load, one may be told that its place was taken while it was kept from going on.
    assert all(re.search(r"pid \d+|by another start", text) for text in said)
    (instance,) = all_instances()
    assert instance.pid == daemon
    assert instance.stop()


def test_commands_that_are_started_at_once_have_one_winner(tmp_path: Path) -> None:
    command = detach_command(tmp_path)

    racers = [
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) for _ in range(20)
    ]
    said = [racer.communicate(timeout=60)[1] for racer in racers]

    (daemon,) = living()
    assert sorted(racer.returncode for racer in racers) == [0] + [ALREADY_RUNNING] * 19
    (winner,) = [racer for racer in racers if racer.returncode == 0]
    assert sorted({text != "" for text in said}) == [False, True]
    assert all(int(number) in (daemon, winner.pid) for text in said for number in re.findall(r"pid (\d+)", text))
    assert pid_in(tmp_path / "pid") == daemon == Instance.find("x").pid
    assert Instance.find("x").stop()


# No room


FULL_DISK = """
set -e
mount -t tmpfs -o size=16k tmpfs "$1"
cat /dev/zero >"$1/filling" 2>/dev/null || true
status=0
"$2" detach --name x --pidfile "$1/pid" -- sleep 1000 || status=$?
ls -A "$1"
exit "$status"
"""


@pytest.mark.needs_root
def test_a_full_disk_is_told_of_and_nothing_is_left(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()

    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", FULL_DISK, "sh", disk, numen_command()],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 6, done
    assert "No space left on device" in done.stderr
    assert done.stdout == "filling\n"
    assert living() == []
    assert run_numen("detach", "--status", "x").returncode == 3


def with_limit(limit: str, *argv: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
    """Run the `numen` command with a limit that the shell's ulimit sets."""
    words = shlex.join(map(str, [numen_command(), *argv]))
    return subprocess.run(
        ["sh", "-c", f"ulimit {limit} && exec {words}"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_pidfile_that_may_not_grow_is_told_of_and_nothing_is_left(tmp_path: Path) -> None:
    done = with_limit("-f 0", "detach", "--name", "x", "--pidfile", tmp_path / "pid", "--", *SLEEP)

    assert done.returncode == 6, done
    assert "File too large" in done.stderr
    assert list(tmp_path.iterdir()) == []
    assert living() == []


def test_a_pidfile_in_a_directory_that_is_not_there_is_told_of(tmp_path: Path) -> None:
    done = run_numen("detach", "--pidfile", tmp_path / "missing" / "pid", "--", *SLEEP)

    assert done.returncode == 6
    assert "missing" in done.stderr
    assert living() == []


def test_words_that_a_full_stdout_does_not_take_are_no_failure(reaper: Reaper, tmp_path: Path) -> None:
    with open("/dev/full", "w") as full:
        done = run_numen("detach", "--pidfile", tmp_path / "pid", "--", *SLEEP, stdout=full)

    assert done.returncode == 0, done.stderr
    reaper.track(pid_in(tmp_path / "pid"))


def test_a_daemon_whose_log_file_takes_nothing_lives(reaper: Reaper, tmp_path: Path) -> None:
    pidfile = tmp_path / "pid"
    talk = "trap '' XFSZ; echo lost >&2; echo ready >&3; exec sleep 1000"
    done = run_numen(
        *("detach", "--pidfile", pidfile, "--stderr", tmp_path / "log", "--limit", "file-size=0"),
        *("--ready", "fd:3", "--", "sh", "-c", talk),
    )

    assert done.returncode == 0, done.stderr
    assert not observe.is_zombie_or_gone(reaper.track(pid_in(pidfile)))
    assert (tmp_path / "log").read_bytes() == b""


@pytest.mark.skipif(
    any(os.path.exists(path) for path in ("/dev/log", "/run/systemd/journal/socket")),
    reason="this machine has a system log",
)
def test_without_a_system_log_the_words_for_it_go_to_a_file(reaper: Reaper, tmp_path: Path, numen_home: Path) -> None:
    done = run_numen(
        *("detach", "--name", "x", "--pidfile", tmp_path / "pid", "--stderr", "syslog", "--"),
        *("sh", "-c", "echo alas >&2; exec sleep 1000"),
    )

    assert done.returncode == 0, done.stderr
    log = numen_home / "log" / "x.log"
    wait_for(lambda: log.exists() and "alas" in log.read_text(), 20, "the daemon's words in a file")
    reaper.track(pid_in(tmp_path / "pid"))
    assert Instance.find("x").stop()
    wait_for(lambda: not living(), 20, "the forwarder's end")


# Tiny limits


PAUSE = """
#include <unistd.h>
int main(void) { for (;;) pause(); }
"""


def test_a_daemon_can_be_left_with_three_descriptors(reaper: Reaper, tmp_path: Path) -> None:
    program = compile_c(PAUSE, tmp_path / "pause", "-static")

    done = run_numen("detach", "--pidfile", tmp_path / "pid", "--limit", "open-files=3", "--", program)

    assert done.returncode == 0, done.stderr
    seen = observe.look(reaper.track(pid_in(tmp_path / "pid")))
    assert seen.limits["open files"] == (3, 3)
    assert set(seen.descriptors) == {0, 1, 2}


def test_a_start_on_few_descriptors_goes_well_or_says_why_not(tmp_path: Path) -> None:
    outcomes = set()
    for number in range(6, 25):
        python_starts = subprocess.run(
            ["sh", "-c", f"ulimit -n {number} && exec {sys.executable} -c 'import subprocess'"],
            capture_output=True,
            check=False,
        )
        if python_starts.returncode != 0:
            continue
        done = with_limit(f"-n {number}", "detach", "--name", "x", "--pidfile", tmp_path / "pid", "--", *SLEEP)
        outcomes.add(done.returncode)
        if done.returncode == 0:
            assert living() == [pid_in(tmp_path / "pid")]
            assert Instance.find("x").stop()
        else:
            assert "Too many open files" in done.stderr, number
            assert "Traceback" not in done.stderr, number
            assert living() == []
            assert not (tmp_path / "pid").exists(), number
        (tmp_path / "pid").unlink(missing_ok=True)
    assert 0 in outcomes


@pytest.mark.needs_user
def test_a_launcher_that_may_not_fork_says_so(tmp_path: Path) -> None:
    # dash knows the limit as -p, bash as -u.
    limit = f"-u 1 2>/dev/null || ulimit -p 1 && : {shutil.which('sh')}"

    done = with_limit(limit, "detach", "--name", "x", "--pidfile", tmp_path / "pid", "--", *SLEEP)

    assert done.returncode == 1, done
    assert "cannot fork" in done.stderr
    assert living() == []
    assert list(tmp_path.iterdir()) == []


def test_a_guard_that_may_not_fork_is_told_of(tmp_path: Path) -> None:
    script = """
        import errno
        first, launcher = os.fork, os.getpid()
        def fork():
            if os.getpid() == launcher: return first()
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        os.fork = fork
        with numen.DaemonContext(name="x", pidfile="pid") as daemon:
            daemon.ready()
    """
    done = subprocess.run(
        [sys.executable, write_script(tmp_path, script)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode != 0
    assert "Resource temporarily unavailable" in done.stderr
    assert "Traceback" not in done.stderr
    assert living() == []
    assert not (tmp_path / "pid").exists()


def test_a_limit_on_processes_holds_the_daemon_and_not_its_start(reaper: Reaper, tmp_path: Path) -> None:
    done = run_numen("detach", "--pidfile", tmp_path / "pid", "--limit", "processes=1", "--", *SLEEP)

    assert done.returncode == 0, done.stderr
    seen = observe.look(reaper.track(pid_in(tmp_path / "pid")))
    assert seen.limits["processes"] == (1, 1)
    assert resource.getrlimit(resource.RLIMIT_NPROC) != (1, 1)


# The pid of another


REUSE = """
import json, os, subprocess, sys, time
numen, pidfile = sys.argv[1:]

def run(*argv):
    done = subprocess.run([numen, "detach", *argv], capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr

def become(pid):
    for _ in range(100):
        with open("/proc/sys/kernel/ns_last_pid", "w") as file:
            file.write(str(pid - 1))
        stranger = subprocess.Popen(["sleep", "1000"])
        if stranger.pid == pid:
            return stranger
        stranger.kill()
        stranger.wait()
    sys.exit("the pid was not to be had")

def ticks():
    return time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK")

started = run("--name", "x", "--pidfile", pidfile, "--", "sleep", "1000")
assert started[0] == 0, started
pid = int(open(pidfile).read())
# Two of one number that start within the same tick cannot be told apart; that takes all the numbers there are.
born = ticks()
while ticks() < born + 2:
    pass
os.kill(pid, 9)
os.waitpid(pid, 0)
stranger = become(pid)
results = [
    run("--status", "x")[0],
    run("--status", pidfile)[0],
    run("--signal", "KILL", "x")[0],
    run("--stop", "x")[0],
    run("--stop", pidfile)[0],
    stranger.poll(),
]
again = run("--name", "x", "--pidfile", pidfile, "--", "sleep", "1000")
assert again[0] == 0, again
print(json.dumps(results))
"""


@pytest.mark.needs_root
def test_a_stranger_who_was_given_the_pid_is_neither_signalled_nor_taken_for_the_instance(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            *("unshare", "--pid", "--fork", "--kill-child", "--mount-proc"),
            *(sys.executable, "-c", REUSE, numen_command(), tmp_path / "pid"),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    # Dead with a pidfile, twice; not running; stopped already, twice; and the stranger lives.
    assert (done.stdout, done.stderr) == ("[1, 1, 7, 0, 0, null]\n", "")
