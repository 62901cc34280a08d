"""Control groups of daemons: limits are written, or refused with the reason; nobody of the family gets away.

The limits are written to a directory tree that stands in for the hierarchy: which controllers a machine gives to its
children is its own matter. Who is in a group, and how that is ended, is asked of the kernel.
"""

import errno
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

import observe
from keep_spawning import FOREVER, answers, helping, order, streams
from numen.errors import DaemonError, NoPermission, Unusable
from numen.keep import cgroups as keep_cgroups
from numen.keep import family, spawning
from numen.keep.cgroups import Groups, Limit
from numen.keep.definitions.definition import Definition
from numen.keep.definitions.fitness import check_fit
from numen.keep.kernel import Marks, NotSpawned, Spawned
from numen.kernel import cgroups, mounts, proc
from processes import Reaper, unprivileged, wait_for

pytestmark = pytest.mark.once

ALL = "cpu memory pids"

INVOCATION = "0123456789abcdef" * 2

LIMITED = Definition(command=FOREVER, cgroup_memory=2**30, cgroup_cpu=150, cgroup_tasks=100)


class Hierarchy:
    """A directory tree with the files of a group in each directory, which takes writes as the kernel does."""

    def __init__(self, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.place = place
        self.group(place, ALL)
        monkeypatch.setattr(cgroups, "make", lambda directory: self.group(Path(directory)))
        monkeypatch.setattr(cgroups, "write", self.write)
        monkeypatch.setattr(cgroups, "remove", self.remove)

    def group(self, directory: Path, controllers: str = "") -> None:
        if (directory / cgroups.PROCESSES).exists():
            return
        directory.mkdir(exist_ok=True)
        for name in (cgroups.PROCESSES, cgroups.ENABLED, "cgroup.type"):
            (directory / name).touch()
        above = directory.parent / cgroups.ENABLED
        found = above.read_text() if above.exists() and not controllers else controllers
        (directory / cgroups.CONTROLLERS).write_text(found)
        for file in ("memory.max", "cpu.max", "pids.max"):
            (directory / file).touch()

    def write(self, directory: str, name: str, value: str) -> None:
        place = Path(directory)
        if name == cgroups.ENABLED:
            if (place / cgroups.PROCESSES).read_text():
                raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
            value = value.replace("+", "")
        if name == cgroups.PROCESSES:
            for one in [self.place, *self.place.iterdir()]:
                if one.is_dir():
                    listed = (one / name).read_text().split()
                    (one / name).write_text(" ".join(pid for pid in listed if pid != value))
        (place / name).write_text(value)

    def remove(self, directory: str) -> bool:
        for one in sorted(Path(directory).rglob("*"), reverse=True):
            one.rmdir() if one.is_dir() else one.unlink()
        Path(directory).rmdir()
        return True

    def populate(self, *pids: int) -> None:
        (self.place / cgroups.PROCESSES).write_text(" ".join(map(str, pids)))


@pytest.fixture
def hierarchy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hierarchy:
    place = tmp_path / "base"
    place.mkdir()
    return Hierarchy(place, monkeypatch)


def groups_in(hierarchy: Hierarchy) -> Groups:
    return Groups("numen", os.getpid(), str(hierarchy.place))


def refused(definition: Definition, place: Path | None, keeper: int = 0) -> str:
    with pytest.raises(DaemonError) as caught:
        keep_cgroups.check(definition, None if place is None else str(place), keeper or os.getpid())
    return str(caught.value)


# Limits


def test_limits_are_written_before_anybody_is_in_the_group(hierarchy: Hierarchy) -> None:
    directory = Path(groups_in(hierarchy).make("web", LIMITED, INVOCATION))

    assert directory == hierarchy.place / "numen" / f"web.{INVOCATION}"
    assert (directory / "memory.max").read_text() == "1073741824"
    assert (directory / "cpu.max").read_text() == "150000 100000"
    assert (directory / "pids.max").read_text() == "100"
    for place in (hierarchy.place, hierarchy.place / "numen"):
        assert (place / cgroups.ENABLED).read_text().split() == ALL.split()


def test_a_daemon_without_limits_has_no_group(hierarchy: Hierarchy) -> None:
    groups = groups_in(hierarchy)

    assert groups.make("web", Definition(command=FOREVER), INVOCATION) == ""
    assert groups.processes(INVOCATION) == []
    assert [one for one in hierarchy.place.iterdir() if one.is_dir()] == []


def test_what_a_run_leaves_is_removed_and_what_others_have_is_not(hierarchy: Hierarchy) -> None:
    groups = groups_in(hierarchy)
    for name, invocation in (("web", "1" * 32), ("web", "2" * 32), ("web.1", "3" * 32)):
        groups.make(name, LIMITED, invocation)

    groups.tidy("web", but="2" * 32)
    house = hierarchy.place / "numen"
    assert sorted(one.name for one in house.iterdir() if one.is_dir()) == [f"web.1.{'3' * 32}", f"web.{'2' * 32}"]

    groups.tidy("web")
    groups.tidy("web.1")
    assert not house.exists()


def test_the_house_moves_out_of_the_group_that_it_divides(hierarchy: Hierarchy) -> None:
    hierarchy.populate(os.getpid())

    groups_in(hierarchy).make("web", LIMITED, INVOCATION)

    assert (hierarchy.place / cgroups.PROCESSES).read_text() == ""
    assert (hierarchy.place / "supervisor" / cgroups.PROCESSES).read_text() == str(os.getpid())


def test_a_house_that_has_moved_still_divides_the_group_around_it(
    hierarchy: Hierarchy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cgroups, "own", lambda: f"{hierarchy.place}/supervisor")

    assert keep_cgroups.base() == str(hierarchy.place)


# Where there can be none


def test_without_a_hierarchy_limits_are_refused() -> None:
    assert refused(LIMITED, None).startswith("cannot set cgroup.memory and cgroup.cpu and cgroup.tasks: ")
    assert "no cgroup2 mount" in refused(LIMITED, None)


def test_a_controller_that_is_not_delegated_is_named(hierarchy: Hierarchy) -> None:
    (hierarchy.place / cgroups.CONTROLLERS).write_text("cpu memory")

    words = refused(LIMITED, hierarchy.place)

    assert f"the controller pids is not delegated to the supervisor: {hierarchy.place} has cpu, memory alone" in words
    keep_cgroups.check(LIMITED.replace(cgroup_tasks=None), str(hierarchy.place), os.getpid())


def test_a_group_that_is_shared_with_strangers_is_not_divided(hierarchy: Hierarchy) -> None:
    hierarchy.populate(os.getpid(), os.getppid())

    words = refused(LIMITED, hierarchy.place)

    assert f"others run in the supervisor's control group {hierarchy.place} too (pid {os.getppid()})" in words
    assert "systemd-run --scope --property=Delegate=yes numen supervisor" in words


def test_another_s_group_is_a_lack_of_permission(hierarchy: Hierarchy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_arguments, **_options: False)

    with pytest.raises(NoPermission, match="is not delegated to it"):
        keep_cgroups.check(LIMITED, str(hierarchy.place), os.getpid())


def test_a_definition_with_limits_does_not_fit_where_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups, "own", lambda: None)

    with pytest.raises(Unusable, match=r"cannot set cgroup\.memory: "):
        check_fit(Definition(command=FOREVER, cgroup_memory=2**20))


# On the kernel's own


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A group of the real hierarchy, below which no controller is needed: what is limited is the group's own depth."""
    own = cgroups.own() or next((one.point for one in mounts.mounts() if one.kind == "cgroup2"), None)
    if own is None or not os.access(own, os.W_OK):
        pytest.skip("no cgroup2 hierarchy can be written here")
    monkeypatch.setattr(keep_cgroups, "limits", lambda _: [Limit("cgroup.tasks", "", "cgroup.max.depth", "10")])
    monkeypatch.setattr(keep_cgroups, "check", lambda *_: None)
    monkeypatch.setattr(cgroups, "enable", lambda *_: None)
    directory = f"{own}/numen-tests-{os.getpid()}"
    cgroups.make(directory)
    yield directory
    if os.path.exists(directory):
        cgroups.kill_all(directory)
        wait_for(lambda: cgroups.remove(directory), 20, "an empty group")


GETS_AWAY = """
if os.fork(): time.sleep(1000)
os.setsid()
if os.fork(): os._exit(0)
os.closerange(0, 3)
os.execve("/bin/sleep", ["sleep", "1000"], {})
"""


@pytest.mark.needs_root
def test_who_got_away_in_every_other_way_is_of_the_family_and_ended(
    place: str, reaper: Reaper, public_path: Path
) -> None:
    groups = Groups("numen", os.getpid(), place)
    wanted = order("/usr/bin/env", "python3", "-c", f"import os, time\n{GETS_AWAY}", user=unprivileged().name)
    directory = groups.make("web", wanted.definition, wanted.invocation)
    assert Path(directory, "cgroup.max.depth").read_text() == "10\n"
    with helping() as helper:
        assert helper.spawn(wanted, spawning.plan(wanted, streams(public_path), cgroup=directory)) is None
        (outcome,) = answers(helper)
        assert isinstance(outcome, Spawned), outcome
        main = outcome.process
        reaper.track(main.pid)

        def has_got_away() -> bool:
            pids = [one.pid for one in groups.processes(wanted.invocation)]
            return len(pids) == 2 and b"sleep\x001000\0" in [proc.read(f"/proc/{pid}/cmdline") for pid in pids]

        wait_for(has_got_away, 20, "the one that got away")

        marks = Marks(name="web", invocation=wanted.invocation, process=main, members=())
        found = {wanted.invocation: groups.processes(wanted.invocation)}
        own = {os.getpid(), *helper.pids}
        (members,) = family.Families().look([marks], own=own, groups=found)
        assert [one for one in found[wanted.invocation] if one != main] == list(members) != []

        # A supervisor that comes after a kill knows the group too.
        successor = Groups("numen", os.getpid(), place)
        successor.adopt("web", wanted.definition, wanted.invocation)
        assert main in successor.processes(wanted.invocation)
        successor.kill(wanted.invocation)
        assert os.waitpid(main.pid, 0)[1] == signal.SIGKILL
        wait_for(lambda: observe.is_zombie_or_gone(members[0].pid), 20, "its end")
        wait_for(lambda: successor.processes(wanted.invocation) == [], 20, "an empty group")
        successor.tidy("web")
    assert not os.path.exists(f"{place}/numen")


@pytest.mark.needs_root
def test_a_group_that_cannot_be_joined_is_told(place: str, reaper: Reaper, tmp_path: Path) -> None:
    with helping() as helper:
        wanted = order()
        plan = spawning.plan(wanted, streams(tmp_path), cgroup=f"{place}/gone")
        assert helper.spawn(wanted, plan) is None
        (outcome,) = answers(helper)
    assert isinstance(outcome, NotSpawned)
    assert outcome.failure == f"cannot join the control group {place}/gone: No such file or directory"
