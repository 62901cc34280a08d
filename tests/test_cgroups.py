"""Control groups: where this process is in the hierarchy, and what a directory of it does."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import observe
from numen.kernel import cgroups, mounts, proc
from processes import Reaper, wait_for

pytestmark = pytest.mark.once


def mounted(monkeypatch: pytest.MonkeyPatch, mountinfo: str, group: str) -> None:
    texts = {"/proc/self/mountinfo": mountinfo.encode(), "/proc/self/cgroup": group.encode()}
    monkeypatch.setattr(proc, "read", texts.get)


@pytest.mark.parametrize(
    ("root", "path", "below"),
    [
        ("/", "/", ""),
        ("/", "/system.slice/numen.service", "system.slice/numen.service"),
        ("/lxc/one", "/lxc/one/app", "app"),
        ("/lxc/one", "/lxc/one", ""),
        ("/lxc/one", "/lxc/oneself", None),
        ("/lxc/one", "/elsewhere", None),
        ("/", "/gone", None),
    ],
)
def test_its_own_group_is_found_below_the_mount(
    root: str, path: str, below: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for one in ("system.slice/numen.service", "app"):
        (tmp_path / one).mkdir(parents=True)
    line = f"30 24 0:27 {root} {tmp_path} rw,nosuid - cgroup2 cgroup2 rw\n"
    mounted(monkeypatch, line, f"4:memory:/other\n0::{path}\n")

    assert cgroups.own() == (None if below is None else os.path.normpath(tmp_path / below))


def test_without_such_a_hierarchy_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    mounted(monkeypatch, "30 24 0:27 / / rw - ext4 /dev/root rw\n", "0::/\n")
    assert cgroups.own() is None

    mounted(monkeypatch, "30 24 0:27 / /mnt rw - cgroup2 cgroup2 rw\n", "4:memory:/\n")
    assert cgroups.own() is None


# On the kernel's own


@pytest.fixture
def group() -> Iterator[str]:
    """An empty group of the real hierarchy."""
    own = cgroups.own() or next((one.point for one in mounts.mounts() if one.kind == "cgroup2"), None)
    if own is None or not os.access(own, os.W_OK):
        pytest.skip("no cgroup2 hierarchy can be written here")
    directory = f"{own}/numen-tests-{os.getpid()}"
    cgroups.make(directory)
    yield directory
    if os.path.exists(directory):
        cgroups.kill_all(directory)
        wait_for(lambda: cgroups.remove(directory), 20, "an empty group")


def evasive(reaper: Reaper, directory: str) -> int:
    """A process in the group that has done all to get away: forked twice, in a session of its own, without a trace."""
    forks = "import os\nif os.fork(): os._exit(0)\nos.setsid()\nif os.fork(): os._exit(0)\n"
    program = forks + "os.closerange(0, 3)\nos.execve('/bin/sleep', ['sleep', '1000'], {})"
    first = reaper.start(["python3", "-c", program], preexec_fn=lambda: cgroups.join(directory))
    assert first.wait() == 0
    found: list[int] = []

    def is_there() -> bool:
        found[:] = cgroups.pids(directory)
        return len(found) == 1 and proc.read(f"/proc/{found[0]}/cmdline") == b"sleep\x001000\0"

    wait_for(is_there, 20, "the one that got away")
    return reaper.track(found[0])


@pytest.mark.needs_root
@pytest.mark.parametrize("is_old", [False, True], ids=["cgroup.kill", "one by one"])
def test_all_in_a_group_and_below_are_found_and_killed(
    is_old: bool, group: str, reaper: Reaper, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = evasive(reaper, group)
    cgroups.make(f"{group}/below")
    below: subprocess.Popen[Any] = reaper.start(["sleep", "1000"])
    cgroups.join(f"{group}/below", below.pid)
    if is_old:
        write = cgroups.write
        monkeypatch.setattr(cgroups, "write", lambda place, name, value: write(place, f"no.{name}", value))

    assert sorted(cgroups.pids(group)) == sorted([pid, below.pid])
    assert not cgroups.remove(group)
    cgroups.kill_all(group)

    assert below.wait() == -signal.SIGKILL
    wait_for(lambda: observe.is_zombie_or_gone(pid), 20, "its end")
    wait_for(lambda: cgroups.remove(group), 20, "an empty group")
    assert not os.path.exists(group)


@pytest.mark.needs_root
def test_what_is_no_file_of_a_group_is_not_made(group: str) -> None:
    with pytest.raises(FileNotFoundError):
        cgroups.write(group, "memory.no-such-thing", "1")
