"""Step 5: what a daemon inherits is closed, what it keeps stays, and 0, 1 and 2 are open."""

import fcntl
import os
import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

import observe
from daemons import pid_in, run_script, write_script
from numen.become import descriptors
from numen.become.instance import Instance
from numen.errors import BadOption
from processes import Reaper, numen_command, run_numen
from tracer import calls_of


def python(snippet: str, *argv: str | Path, before: Sequence[str] = (), pass_fds: Sequence[int] = ()) -> str:
    """What a snippet prints."""
    done = subprocess.run(
        [*before, sys.executable, "-c", snippet, *argv],
        capture_output=True,
        text=True,
        check=False,
        pass_fds=pass_fds,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout.strip()


# Closing


CLOSE_ALL = """
import fcntl, os, resource, sys
from numen.become import descriptors
if "unlisted" in sys.argv: assert descriptors.open_descriptors() is None
kept = os.open("/dev/null", os.O_RDONLY)
high = fcntl.fcntl(kept, fcntl.F_DUPFD, 900)
kept_too = fcntl.fcntl(kept, fcntl.F_DUPFD, 500)
gone = [os.open("/dev/null", os.O_RDONLY) for _ in range(20)]
resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
descriptors.close_all([kept, kept_too])
print([one for one in range(1000) if descriptors.is_open(one)] == [0, 1, 2, kept, kept_too])
"""


def test_all_are_closed_but_those_to_keep_above_the_limit_too() -> None:
    assert python(CLOSE_ALL) == "True"


@pytest.mark.needs_root
def test_all_are_closed_where_there_is_no_proc() -> None:
    hide = 'mount -t tmpfs tmpfs /proc && exec "$@"'

    assert python(CLOSE_ALL, "unlisted", before=["unshare", "--mount", "sh", "-c", hide, "sh"]) == "True"


def test_all_are_closed_where_proc_does_not_list_them() -> None:
    hidden = CLOSE_ALL.replace("if", "descriptors.open_descriptors = lambda: None\nif", 1)

    assert python(hidden) == "True"


def test_all_are_closed_where_there_is_no_call_for_it_either() -> None:
    hidden = "from numen.kernel import calls\ncalls.close_range = lambda *_: os.close(-1)\n"
    hidden = CLOSE_ALL.replace("if", f"descriptors.open_descriptors = lambda: None\n{hidden}if", 1)

    assert python(hidden) == "True"


def test_the_cost_does_not_depend_on_the_limit(tmp_path: Path) -> None:
    highest = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    counts = {}
    for limit in (64, highest):
        command: list[str | Path] = [
            *("sh", "-c", f'ulimit -n {limit} && exec "$@"', "sh"),
            *(numen_command(), "detach", "--name", "x", "--pidfile", tmp_path / "pid", "--", "sleep", "1000"),
        ]
        calls = calls_of("daemon", command, tmp_path / "calls")
        assert Instance.find("x").stop()
        (tmp_path / "pid").unlink(missing_ok=True)
        counts[limit] = len(calls)

    assert counts[64] == counts[highest]


def test_a_commands_daemon_inherits_nothing_but_what_it_is_given(tmp_path: Path, reaper: Reaper) -> None:
    null = os.open("/dev/null", os.O_RDONLY)
    inherited = fcntl.fcntl(null, fcntl.F_DUPFD, 700)
    kept = fcntl.fcntl(null, fcntl.F_DUPFD, 800)
    try:
        done = run_numen(
            *("detach", "--pidfile", tmp_path / "pid", "--keep-fd", str(kept), "--", "sleep", "1000"),
            pass_fds=[inherited, kept],
        )
    finally:
        for descriptor in (null, inherited, kept):
            os.close(descriptor)

    assert done.returncode == 0, done.stderr
    seen = observe.look(reaper.track(pid_in(tmp_path / "pid")))
    assert set(seen.descriptors) == {0, 1, 2, kept}


def test_one_to_keep_that_is_not_open_is_a_bad_option() -> None:
    done = run_numen("detach", "--keep-fd", "900", "--", "true")

    assert done.returncode == 2
    assert "900" in done.stderr
    with pytest.raises(BadOption):
        descriptors.check_open([0, 900])


# 0, 1 and 2


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-"])
def test_a_command_has_them_though_the_launcher_had_not(closed: str, tmp_path: Path, reaper: Reaper) -> None:
    done = subprocess.run(
        [
            *("sh", "-c", f'exec "$@" {closed}', "sh"),
            *(numen_command(), "detach", "--pidfile", tmp_path / "pid", "--", "sleep", "1000"),
        ],
        check=False,
        timeout=60,
    )

    assert done.returncode == 0
    seen = observe.look(reaper.track(pid_in(tmp_path / "pid"))).descriptors
    assert set(seen) == {0, 1, 2}
    assert [seen[number].target for number in (0, 1)] == ["/dev/null"] * 2
    assert not any(one.cloexec for one in seen.values())


@pytest.mark.parametrize("closed", ["<&-", "2>&-", "<&- >&- 2>&-"])
def test_a_context_has_them_though_the_launcher_had_not(closed: str, tmp_path: Path, reaper: Reaper) -> None:
    script = """
        with numen.DaemonContext(pidfile="pid", stderr="err") as daemon:
            print("a line to stdout")
            print("a line to stderr", file=sys.stderr, flush=True)
            daemon.ready()
            rest()
    """
    before = ("sh", "-c", f'exec "$@" {closed}', "sh")

    done = run_script(tmp_path, script, before=before)

    assert done.returncode == 0
    seen = observe.look(reaper.track(pid_in(tmp_path / "pid"))).descriptors
    assert [seen[number].target for number in (0, 1, 2)] == ["/dev/null", "/dev/null", str(tmp_path / "err")]
    assert not any(seen[number].cloexec for number in (0, 1, 2))
    assert (tmp_path / "err").read_text() == "a line to stderr\n"


@pytest.mark.parametrize("missing", [[0], [1], [0, 1, 2], [2]])
def test_missing_ones_are_opened_and_inheritable(missing: list[int]) -> None:
    snippet = f"""
import os
from numen.become import descriptors
said = os.dup(1)
for number in {missing}: os.close(number)
descriptors.open_missing_standard_streams()
opened = all(os.readlink(f"/proc/self/fd/{{number}}") == "/dev/null" for number in {missing})
inheritable = all(os.get_inheritable(number) for number in (0, 1, 2))
next_one = os.open("/dev/null", os.O_RDONLY)
os.write(said, f"{{opened}} {{inheritable}} {{next_one > said}}".encode())
"""
    assert python(snippet) == "True True True"


# Putting


def test_one_that_is_put_onto_itself_is_inherited_from_then_on() -> None:
    descriptor = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)

    descriptors.put(descriptor, descriptor)

    assert os.get_inheritable(descriptor)
    os.close(descriptor)


def test_one_that_is_put_elsewhere_is_open_at_both_places(tmp_path: Path) -> None:
    source = os.open(tmp_path, os.O_RDONLY | os.O_CLOEXEC)
    target = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)

    descriptors.put(source, target)

    seen = observe.look(os.getpid()).descriptors
    assert [seen[number].target for number in (source, target)] == [str(tmp_path)] * 2
    assert (seen[source].cloexec, seen[target].cloexec) == (True, False)
    os.close(source)
    os.close(target)


def test_the_open_ones_are_listed_as_they_are() -> None:
    assert descriptors.open_descriptors() == sorted(observe.look(os.getpid()).descriptors)


@pytest.mark.needs_root
def test_a_start_goes_well_where_there_is_no_proc(tmp_path: Path, reaper: Reaper) -> None:
    hide = 'mount -t tmpfs tmpfs /proc && exec "$@"'
    words = [numen_command(), "detach", "--name", "x", "--pidfile", tmp_path / "pid", "--", "sleep", "1000"]
    inherited = os.dup(0)

    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", hide, "sh", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        pass_fds=[inherited],
        timeout=60,
    )

    os.close(inherited)
    assert done.returncode == 0, done.stderr
    seen = observe.look(reaper.track(pid_in(tmp_path / "pid")))
    assert set(seen.descriptors) == {0, 1, 2}


def test_a_context_keeps_what_it_is_given(tmp_path: Path, reaper: Reaper) -> None:
    script = """
        kept, lost = open("/dev/zero"), open("/dev/full")
        with numen.DaemonContext(pidfile="pid", keep=[kept]) as daemon:
            daemon.ready()
            rest()
    """
    done = subprocess.run([sys.executable, write_script(tmp_path, script)], cwd=tmp_path, check=False, timeout=60)

    assert done.returncode == 0
    seen = observe.look(reaper.track(pid_in(tmp_path / "pid")))
    targets = {one.target for one in seen.descriptors.values()}
    assert "/dev/zero" in targets
    assert "/dev/full" not in targets
