"""How a daemon is spawned: what it is given, by posix_spawn(3) and by the helper alike; what is said of failures."""

import fcntl
import os
import resource
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import observe
from keep_spawning import (
    at_once,
    by_helper,
    failure_at_once,
    failure_by_helper,
    helping,
    order,
    soft_limit_of_files,
    streams,
)
from numen.become import descriptors
from numen.errors import BadOption, Unusable
from numen.keep import spawning
from numen.keep.definitions.definition import Definition
from numen.keep.forker_client import ForkerClient
from numen.keep.kernel import Order
from numen.keep.life import ProcessId
from numen.keep.spawning import Streams
from numen.kernel import spawn
from numen.kernel.spawn import Open
from processes import Reaper, run_numen
from seccomp import on_old_kernel

Way = Callable[[Order, Streams], ProcessId]
Failing = Callable[[Order, Streams], str]


@pytest.fixture
def helper() -> Iterator[ForkerClient]:
    with helping() as client:
        yield client


@pytest.fixture(params=["posix_spawn", "fork helper"])
def ways(request: pytest.FixtureRequest, reaper: Reaper) -> Iterator[tuple[Way, Failing]]:
    """How a daemon is spawned, and how it is not."""
    with helping() as client:
        if request.param == "posix_spawn":
            yield lambda wanted, given: at_once(wanted, given, reaper), failure_at_once
        else:
            yield (
                lambda wanted, given: by_helper(client, wanted, given, reaper),
                lambda wanted, given: failure_by_helper(client, wanted, given),
            )


@pytest.fixture
def spawned(ways: tuple[Way, Failing]) -> Way:
    return ways[0]


@pytest.fixture
def failing(ways: tuple[Way, Failing]) -> Failing:
    return ways[1]


@pytest.fixture(autouse=True)
def sealed() -> Iterator[None]:
    """Let no daemon inherit what the suite was started with, as the supervisor does."""
    found = [int(name) for name in os.listdir("/proc/self/fd")]
    inherited = [one for one in found if one > 2 and os.path.exists(f"/proc/self/fd/{one}") and os.get_inheritable(one)]
    descriptors.seal()
    yield
    for one in inherited:
        os.set_inheritable(one, True)


def output(given: Streams) -> bytes:
    """The first of what a daemon has written to its FIFO, held open so that nothing is lost when it ends."""
    descriptor = os.open(given.out, os.O_RDWR)
    try:
        return os.read(descriptor, 65536)
    finally:
        os.close(descriptor)


# What it is given


def test_both_ways_give_a_daemon_the_same(helper: ForkerClient, reaper: Reaper, tmp_path: Path) -> None:
    given = streams(tmp_path, err="", ready="")
    wanted = order(directory=str(tmp_path), ready="fd:7", environment={"A": "é b=c", "EMPTY": ""})

    pids = at_once(wanted, given, reaper).pid, by_helper(helper, wanted, given, reaper).pid

    seen = [vars(observe.look(pid)) for pid in pids]
    for pid, one in zip(pids, seen, strict=True):
        assert (one["pgid"], one["sid"], one["tty_nr"]) == (pid, pid, 0)
        for changing in ("pid", "pgid", "sid", "start_time", "state"):
            del one[changing]
        one["cgroup"] = Path(f"/proc/{pid}/cgroup").read_text()
        one["affinity"] = os.sched_getaffinity(pid)
    assert seen[0] == seen[1]
    assert seen[0]["ppid"] == os.getpid()
    assert (seen[0]["cwd"], seen[0]["umask"]) == (str(tmp_path), 0o022)
    assert sorted(seen[0]["descriptors"]) == [0, 1, 2, 7]


def test_its_streams_are_null_and_its_own_opening_of_the_fifos(spawned: Way, tmp_path: Path) -> None:
    given = streams(tmp_path, err="")
    # The supervisor's own has O_NONBLOCK; the daemon's must not.
    mine = os.open(given.out, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)

    found = observe.look(spawned(order(), given).pid).descriptors

    os.close(mine)
    assert {number: (one.target, one.mode) for number, one in found.items()} == {
        0: ("/dev/null", "r"),
        1: (given.out, "rw"),
        2: (given.err, "rw"),
    }
    assert not any(one.cloexec or one.flags & os.O_NONBLOCK for one in found.values())


def test_both_streams_are_one_description_where_they_go_together(spawned: Way, tmp_path: Path) -> None:
    given = streams(tmp_path)
    process = spawned(order("/bin/sh", "-c", "echo one; echo two >&2; exec sleep 1000"), given)

    said = b""
    while said.count(b"\n") < 2:
        said += output(given)
    assert said == b"one\ntwo\n"
    assert observe.look(process.pid).descriptors[2].target == given.out


@pytest.mark.parametrize("number", [3, 4, 5, 9, 40])
def test_a_readiness_descriptor_has_the_number_asked_for(number: int, spawned: Way, tmp_path: Path) -> None:
    given = streams(tmp_path, ready="")

    process = spawned(order(ready=f"fd:{number}"), given)

    found = observe.look(process.pid).descriptors
    assert sorted(found) == [0, 1, 2, number]
    assert (found[number].target, found[number].mode) == (given.ready, "rw")


def test_every_signal_is_at_its_default_and_none_is_blocked(spawned: Way, tmp_path: Path) -> None:
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGHUP, signal.SIGUSR1)}
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        found = observe.look(spawned(order(), streams(tmp_path)).pid).signals
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        for number, handler in before.items():
            signal.signal(number, handler)

    assert (found.blocked, found.ignored, found.caught) == (frozenset(),) * 3


def test_a_descriptor_of_the_supervisors_does_not_reach_it(spawned: Way, tmp_path: Path) -> None:
    with (tmp_path / "secret").open("w") as file:
        found = observe.look(spawned(order(), streams(tmp_path)).pid)
        assert file.name not in [one.target for one in found.descriptors.values()]


def test_it_has_the_soft_limit_that_the_supervisor_was_started_with(tmp_path: Path) -> None:
    given = streams(tmp_path)
    script = f"""
import json, os, resource
from numen.keep import spawning
from numen.keep.definitions.definition import Definition
from numen.keep.kernel import Order
from numen.keep.spawning import Streams

resource.setrlimit(resource.RLIMIT_NOFILE, (300, 4000))
soft = spawning.prepare_limits()
assert resource.getrlimit(resource.RLIMIT_NOFILE) == (4000, 4000)
order = Order(name="web", definition=Definition(command=("/bin/sleep", "1000")), invocation="a" * 32)
process = spawning.spawn_at_once(spawning.plan(order, Streams(out={given.out!r})), soft)
with open(f"/proc/{{process.pid}}/limits") as file:
    print(file.read())
assert resource.getrlimit(resource.RLIMIT_NOFILE) == (4000, 4000)
os.kill(process.pid, 9)
os.waitpid(process.pid, 0)
"""

    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60).stdout

    lines = {line[:25].strip(): line[25:].split()[:2] for line in told.splitlines()}
    assert lines["Max open files"] == ["300", "4000"]
    assert lines["Max core file size"][0] == "0"


def test_descriptors_that_the_supervisor_was_started_with_are_sealed(tmp_path: Path) -> None:
    script = """
import os, sys
from numen.become import descriptors
descriptors.seal()
os.execv("/bin/ls", ["ls", "/proc/self/fd"])
"""
    with (tmp_path / "secret").open("w") as file:
        found = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True, pass_fds=[file.fileno()]
        )

    # The last one is that of the directory itself.
    assert found.stdout.split() == ["0", "1", "2", "3"]


def test_the_environment_is_that_of_the_definition_and_numens_own(spawned: Way, tmp_path: Path) -> None:
    stale = {"NUMEN_INVOCATION": "stale", "NOTIFY_SOCKET": "/stale"}
    wanted = order(environment={"A": "1", "PATH": "/opt/bin", **stale})

    process = spawned(wanted, streams(tmp_path))

    environment = observe.look(process.pid).environ
    own = {"NUMEN_INVOCATION": wanted.invocation, "NUMEN_NAME": "web"}
    assert environment == {"A": "1", "PATH": "/opt/bin", **own}


def test_who_defines_no_path_gets_the_usual_one() -> None:
    plan = spawning.plan(order(environment={}), spawning.Streams(out="/out"))

    assert plan.environment["PATH"] == "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def test_a_text_that_is_not_unicode_comes_through(spawned: Way, tmp_path: Path) -> None:
    odd = os.fsdecode(b"\xff\xfe")
    given = streams(tmp_path)

    spawned(
        order("/bin/sh", "-c", 'printf "%s|%s" "$1" "$ODD"; exec sleep 1000', "sh", odd, environment={"ODD": odd}),
        given,
    )

    assert output(given) == b"\xff\xfe|\xff\xfe"


def test_numen_audit_finds_nothing_against_it(spawned: Way, tmp_path: Path) -> None:
    import json

    process = spawned(order(), streams(tmp_path))
    found = json.loads(run_numen("audit", "--json", str(process.pid)).stdout)

    assert against(found) == []


def test_numen_audit_finds_nothing_against_the_helper(helper: ForkerClient, reaper: Reaper, tmp_path: Path) -> None:
    import json

    with writing_to(tmp_path / "numen.log"):
        by_helper(helper, order(), streams(tmp_path), reaper)
    (pid,) = helper.pids
    found = json.loads(run_numen("audit", "--json", str(pid)).stdout)

    assert against(found) == []
    seen = observe.look(pid)
    assert (seen.cwd, seen.sid, seen.tty_nr) == ("/", pid, 0)
    assert len(seen.descriptors) == 4


@contextmanager
def writing_to(path: Path) -> Iterator[None]:
    """Have what this process and its children write go to a file, as the supervisor's does."""
    saved = {number: os.dup(number) for number in (1, 2)}
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    for number in saved:
        os.dup2(log, number)
    try:
        yield
    finally:
        os.close(log)
        for number, before in saved.items():
            os.dup2(before, number)
            os.close(before)


def against(found: object) -> list[object]:
    """Every fault and warning in a report."""
    if isinstance(found, dict):
        if "title" in found:
            return [found] if found["verdict"] in ("fault", "warning") else []
        found = list(found.values())
    return [one for part in found for one in against(part)] if isinstance(found, list) else []


# The plan


def test_environment_files_are_read_in_their_order(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_text("A=1\nB=1\n")
    second.write_text("B=2\n")
    wanted = order(environment={"A": "0", "Z": "0"}, environment_files=(str(first), str(second), "-/nowhere/at/all"))

    plan = spawning.plan(wanted, Streams(out="/fifo"))
    environment = spawning.with_files(plan.environment, plan.environment_files)

    assert (environment["A"], environment["B"], environment["Z"]) == ("1", "2", "0")


@pytest.mark.parametrize(("content", "error"), [(None, Unusable), ("no assignment\n", BadOption)])
def test_an_environment_file_that_cannot_be_read_is_told(
    content: str | None, error: type[Exception], tmp_path: Path
) -> None:
    path = tmp_path / "file"
    if content is not None:
        path.write_text(content)

    with pytest.raises(error, match=str(path)):
        spawning.with_files({}, (str(path),))


def test_an_environment_file_sets_nothing_that_numen_sets(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("NUMEN_INVOCATION=stale\nNOTIFY_SOCKET=/stale\nA=1\n")
    wanted = order(environment_files=(str(file),))
    plan = spawning.plan(wanted, Streams(out="/fifo"))

    environment = spawning.with_files(plan.environment, plan.environment_files)

    assert (environment["NUMEN_INVOCATION"], environment["A"]) == (wanted.invocation, "1")
    assert "NOTIFY_SOCKET" not in environment


def test_a_daemon_of_the_kind_notify_learns_its_socket() -> None:
    plan = spawning.plan(order(ready="notify"), Streams(out="/fifo", notify="/socket"))

    assert plan.environment["NOTIFY_SOCKET"] == "/socket"


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "user": st.just("nobody"),
            "group": st.just("nogroup"),
            "groups": st.just(()),
            "umask": st.just(0o077),
            "limits": st.just({"nofile": (3, 3)}),
            "nice": st.just(0),
            "oom_score": st.just(0),
            "affinity": st.just((0,)),
            "capabilities": st.just(()),
            "no_new_privileges": st.just(True),
        },
    )
)
def test_the_helper_is_needed_for_what_posix_spawn_lacks_and_nothing_else(wanted: dict[str, object]) -> None:
    definition = Definition(command=("/bin/true",), directory="/tmp", ready="fd:3", **wanted)  # type: ignore[arg-type]

    assert spawning.needs_helper(definition) == bool(wanted)


# What fails


def program(path: Path, text: str, mode: int = 0o755) -> str:
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def test_a_missing_program_is_named(failing: Failing, tmp_path: Path) -> None:
    missing = str(tmp_path / "missing")

    assert failing(order(missing), streams(tmp_path)) == f"cannot execute {missing}: No such file or directory"


def test_a_program_that_may_not_be_executed_is_named(failing: Failing, tmp_path: Path) -> None:
    path = program(tmp_path / "program", "#!/bin/sh\n", 0o644)

    assert failing(order(path), streams(tmp_path)) == f"cannot execute {path}: Permission denied"


def test_a_directory_is_no_program(failing: Failing, tmp_path: Path) -> None:
    assert failing(order(str(tmp_path)), streams(tmp_path)) == f"cannot execute {tmp_path}: it is a directory"


def test_a_missing_interpreter_is_not_called_a_missing_program(failing: Failing, tmp_path: Path) -> None:
    path = program(tmp_path / "program", "#!/no/interpreter\n")

    assert "interpreter" in failing(order(path), streams(tmp_path))


def test_a_text_without_an_interpreter_is_no_program(failing: Failing, tmp_path: Path) -> None:
    path = program(tmp_path / "program", "hello\n")

    assert "neither a program nor a script" in failing(order(path), streams(tmp_path))


def test_a_directory_that_is_gone_is_named(failing: Failing, tmp_path: Path) -> None:
    gone = str(tmp_path / "gone")

    words = failing(order(directory=gone), streams(tmp_path))

    assert words == f"cannot change the working directory to {gone}: No such file or directory"


def test_a_fifo_that_is_gone_is_named(failing: Failing, tmp_path: Path) -> None:
    gone = str(tmp_path / "gone")

    assert failing(order(), Streams(out=gone)) == f"cannot open {gone}: No such file or directory"


def test_a_descriptor_above_the_limit_is_named(failing: Failing, tmp_path: Path) -> None:
    given, number = streams(tmp_path, ready=""), soft_limit_of_files()

    words = failing(order(ready=f"fd:{number}"), given)

    assert words == f"cannot open {given.ready} as descriptor {number}: Bad file descriptor"


def test_a_nul_byte_is_refused_and_nothing_is_cut_off(failing: Failing, tmp_path: Path) -> None:
    assert "cannot" in failing(order("/bin/echo", "a\0b"), streams(tmp_path))
    assert "cannot" in failing(order(environment={"A": "a\0b"}), streams(tmp_path))


def test_arguments_that_are_too_long_are_refused(failing: Failing, tmp_path: Path) -> None:
    assert "Argument list too long" in failing(order("/bin/echo", "a" * 2**20), streams(tmp_path))


def test_a_process_that_cannot_be_forked_is_not_blamed_on_the_program() -> None:
    import errno

    assert spawn.failed_step("/bin/true", [], None, errno.EAGAIN) == "start a process"


def test_the_step_that_failed_is_found_in_the_order_of_the_steps(tmp_path: Path) -> None:
    missing, fine = str(tmp_path / "missing"), Open(descriptor=0, path=os.devnull, flags=os.O_RDONLY)
    bad = Open(descriptor=1, path=missing, flags=os.O_RDWR)

    assert spawn.failed_step(missing, [fine, bad], missing, 2) == f"open {missing}"
    assert spawn.failed_step(missing, [fine], missing, 2) == f"change the working directory to {missing}"
    assert spawn.failed_step(missing, [fine], "/", 2) == f"execute {missing}"


# On other kernels


@pytest.mark.parametrize("error", ["ENOSYS", "EPERM"])
def test_both_ways_do_without_newer_system_calls(error: str, tmp_path: Path) -> None:
    given, invocation = streams(tmp_path), order().invocation
    script = f"""
import os, select
from numen.keep import family, spawning
from numen.keep.definitions.definition import Definition
from numen.keep.forker_client import ForkerClient
from numen.keep.kernel import Marks, Order, Spawned
from numen.keep.spawning import Streams
from numen.kernel import calls

calls.become_child_subreaper()
order = Order(name="web", definition=Definition(command=("/bin/sleep", "1000")), invocation={invocation!r})
plan = spawning.plan(order, Streams(out={given.out!r}))
first = spawning.spawn_at_once(plan, 300)
client = ForkerClient(open_files=300)
assert client.spawn(order, plan) is None
answers = []
while client.pending:
    select.select([client], [], [])
    answers += client.receive()
second = answers[0].process
marks = Marks(name="web", invocation={invocation!r}, process=first, members=())
assert family.Families().look([marks], own={{os.getpid(), *client.pids}}) == [(second,)]
(helper,) = client.pids
client.close()
for pid in first.pid, second.pid:
    os.kill(pid, 9)
for pid in first.pid, second.pid, helper:
    os.waitpid(pid, 0)
print("well")
"""
    done = subprocess.run(
        on_old_kernel(error, [sys.executable, "-c", script]), capture_output=True, text=True, timeout=60, check=False
    )

    assert (done.stdout, done.stderr) == ("well\n", "")


def test_a_fifo_is_there_for_its_owner_alone(spawned: Way, tmp_path: Path) -> None:
    given = streams(tmp_path)
    spawned(order(), given)

    found = os.stat(given.out)
    assert (stat.S_IMODE(found.st_mode), found.st_uid) == (0o600, os.geteuid())


def test_the_soft_limit_comes_back_after_a_failure(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    outcome = spawning.spawn_at_once(spawning.plan(order("/missing"), streams(tmp_path)), 200)

    assert isinstance(outcome, str)
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == before


def test_a_lock_is_held_until_the_exec_and_not_after(helper: ForkerClient, reaper: Reaper, tmp_path: Path) -> None:
    lock = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
    fcntl.flock(lock, fcntl.LOCK_EX)
    at_once(order(), streams(tmp_path), reaper)
    os.close(lock)

    again = os.open(tmp_path / "lock", os.O_RDWR | os.O_CLOEXEC)
    fcntl.flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(again)
