"""Who belongs to a daemon's family: by environment, descent, session and FIFO, and never a stranger."""

import os
import signal
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

import observe
from keep_spawning import at_once, end_at_once, order, soft_limit_of_files, streams
from numen.keep import spawning
from numen.keep.family import Families, find
from numen.keep.kernel import Marks
from numen.keep.life import ProcessId
from numen.kernel import proc
from processes import Reaper, wait_for

OWN = frozenset({os.getpid()})
"""The test process is a subreaper, as supervisor and keeper are."""

BARE = ["env", "-i", sys.executable, "-S", "-E", "-c"]
"""Python with nothing in its environment."""


class Kept:
    """A daemon whose program is a Python script; what it prints are the pids of its family."""

    def __init__(self, script: str, directory: Path, reaper: Reaper, **wanted: Any) -> None:
        self.fifo = streams(directory)
        mine = os.open(self.fifo.out, os.O_RDWR | os.O_CLOEXEC)
        self.order = order("/usr/bin/env", sys.executable, "-S", "-c", PRELUDE + script, **wanted)
        self.process = at_once(self.order, self.fifo, reaper)
        told = b""
        while not told.endswith(b".\n"):
            told += os.read(mine, 4096)
        os.close(mine)
        self.told = [int(word) for word in told.split()[:-1]]
        for pid in self.told:
            reaper.track(pid)

    def marks(self, members: Iterable[ProcessId] = ()) -> Marks:
        return Marks(name="web", invocation=self.order.invocation, process=self.process, members=tuple(members))

    @property
    def main(self) -> Mapping[int, tuple[int, str]]:
        return {self.process.pid: (self.process.start_time, self.order.invocation)}

    @property
    def fifos(self) -> Mapping[tuple[int, int], str]:
        found = os.stat(self.fifo.out)
        return {(found.st_dev, found.st_ino): self.order.invocation}

    def kill_main(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)
        wait_for(lambda: observe.is_zombie_or_gone(self.process.pid), 20, "its end")


PRELUDE = """
import os, signal, sys, time

def tell(pid):
    os.write(1, b"%d\\n" % pid)

def rest():
    signal.pause()
    os._exit(0)

def bare(code="import signal; signal.pause()"):
    # What it executes names no daemon in its environment.
    os.execve(sys.executable, [sys.executable, "-S", "-c", code], {})

def done():
    os.write(1, b".\\n")
    rest()

def double_fork(then, keep_output=False):
    # The one between tells the pid, and exits.
    reader, writer = os.pipe()
    middle = os.fork()
    if middle == 0:
        os.setsid()
        pid = os.fork()
        if pid == 0:
            os.close(reader)
            os.set_inheritable(writer, False)
            if not keep_output:
                null = os.open("/dev/null", os.O_RDWR)
                os.dup2(null, 1)
                os.dup2(null, 2)
            then()
        os.close(writer)
        os.read(reader, 1)
        tell(pid)
        os._exit(0)
    os.close(writer)
    os.close(reader)
    os.waitpid(middle, 0)
"""
"""The middle process waits till the pipe is closed by the exec."""


def found(families: Families, kept: Kept, **more: Any) -> list[int]:
    return [one.pid for one in families.look([kept.marks()], own=OWN, **more)[0]]


def test_a_daemon_alone_has_no_family(reaper: Reaper, tmp_path: Path) -> None:
    assert found(Families(), Kept("done()", tmp_path, reaper)) == []


def test_children_belong_to_it_though_their_environment_is_empty(reaper: Reaper, tmp_path: Path) -> None:
    kept = Kept("pid = os.fork()\nif not pid:\n  os.setsid(); bare()\ntell(pid)\ndone()", tmp_path, reaper)

    wait_for(lambda: not observe.look(kept.told[0]).environ, 20, "its exec")

    assert found(Families(), kept) == kept.told


def test_a_stray_that_forked_twice_belongs_to_it_by_its_environment(reaper: Reaper, tmp_path: Path) -> None:
    kept = Kept(
        "double_fork(lambda: os.execv('/bin/sleep', ['sleep', '1000']))\ndone()",
        tmp_path,
        reaper,
    )
    families = Families()

    assert observe.look(kept.told[0]).ppid == os.getpid()
    assert found(families, kept) == kept.told
    kept.kill_main()
    assert found(families, kept) == found(Families(), kept) == kept.told


def test_a_stray_without_environment_belongs_to_it_by_its_fifo(reaper: Reaper, tmp_path: Path) -> None:
    kept = Kept("double_fork(bare, keep_output=True)\ndone()", tmp_path, reaper)

    assert found(Families(), kept, fifos=kept.fifos) == kept.told
    assert found(Families(), kept) == []


def test_what_was_seen_while_its_parent_lived_stays_in_the_family(reaper: Reaper, tmp_path: Path) -> None:
    kept = Kept("pid = os.fork()\nif not pid:\n  os.setsid(); bare()\ntell(pid)\ndone()", tmp_path, reaper)
    families = Families()
    wait_for(lambda: not observe.look(kept.told[0]).environ, 20, "its exec")
    assert found(families, kept) == kept.told

    kept.kill_main()

    assert found(families, kept) == kept.told
    # A supervisor that is new has it from the journal, or not at all.
    assert found(Families(), kept) == []
    member = ProcessId(pid=kept.told[0], start_time=observe.start_time(kept.told[0]))
    assert Families().look([kept.marks([member])], own=OWN) == [(member,)]


def test_an_orphan_in_the_session_of_a_dead_daemon_belongs_to_it(reaper: Reaper, tmp_path: Path) -> None:
    kept = Kept(
        "pid = os.fork()\nif not pid:\n  os.dup2(0, 1); os.dup2(0, 2); bare()\ntell(pid)\ndone()", tmp_path, reaper
    )
    wait_for(lambda: not observe.look(kept.told[0]).environ, 20, "its exec")

    kept.kill_main()

    assert found(Families(), kept) == kept.told
    os.waitpid(kept.process.pid, 0)
    assert found(Families(), kept) == kept.told


def test_a_descendant_of_an_orphan_belongs_to_it_too(reaper: Reaper, tmp_path: Path) -> None:
    code = "import os, signal; os.fork() or signal.pause(); os.setsid(); signal.pause()"
    kept = Kept(f"double_fork(lambda: bare({code!r}), keep_output=True)\ndone()", tmp_path, reaper)
    wait_for(lambda: len(observe.children(kept.told[0])) == 1, 20, "its child")

    assert found(Families(), kept, fifos=kept.fifos) == sorted([*kept.told, *observe.children(kept.told[0])])


def test_another_daemon_is_never_taken_nor_what_belongs_to_it(reaper: Reaper, tmp_path: Path) -> None:
    script = "pid = os.fork()\nif not pid:\n  rest()\ntell(pid)\ndone()"
    places = tmp_path / "one", tmp_path / "two"
    for place in places:
        place.mkdir()
    one, two = (Kept(script, place, reaper) for place in places)

    families = Families().look([one.marks(), two.marks()], own=OWN)

    assert [[member.pid for member in family] for family in families] == [one.told, two.told]
    assert found(Families(), one, mains=two.main) == one.told


def test_a_daemon_of_a_supervisor_within_the_family_is_another_family(reaper: Reaper, tmp_path: Path) -> None:
    script = """
pid = os.fork()
if not pid:
  os.execve(sys.executable, [sys.executable, "-c", "import signal; signal.pause()"], {"NUMEN_INVOCATION": "other"})
tell(pid)
done()
"""
    kept = Kept(script, tmp_path, reaper)
    families = Families()
    # Seen before its exec it may have been a member.
    found(families, kept)
    wait_for(lambda: observe.look(kept.told[0]).environ == {"NUMEN_INVOCATION": "other"}, 20, "its exec")

    assert found(families, kept) == found(Families(), kept) == []
    member = ProcessId(pid=kept.told[0], start_time=observe.start_time(kept.told[0]))
    assert Families().look([kept.marks([member])], own=OWN) == [()]


def test_supervisor_keeper_and_helper_are_never_taken(reaper: Reaper, tmp_path: Path) -> None:
    kept = Kept("pid = os.fork()\nif not pid:\n  rest()\ntell(pid)\ndone()", tmp_path, reaper)

    assert Families().look([kept.marks()], own={*OWN, *kept.told}) == [()]


def test_a_process_that_was_given_the_pid_of_a_member_is_a_stranger(reaper: Reaper, tmp_path: Path) -> None:
    kept = Kept("done()", tmp_path, reaper)
    stranger = reaper.start(["sleep", "1000"]).pid
    before = ProcessId(pid=stranger, start_time=observe.start_time(stranger) - 1)

    assert Families().look([kept.marks([before])], own=OWN) == [()]


def test_children_of_a_process_with_the_pid_of_a_dead_daemon_are_strangers(reaper: Reaper, tmp_path: Path) -> None:
    stranger = reaper.start([sys.executable, "-S", "-c", "import os, signal; os.setsid(); os.fork(); signal.pause()"])
    wait_for(lambda: observe.children(stranger.pid), 20, "its child")
    before = ProcessId(pid=stranger.pid, start_time=observe.start_time(stranger.pid) - 1)
    marks = Marks(name="web", invocation=order().invocation, process=before, members=())

    assert Families().look([marks], own=OWN) == [()]


def test_an_orphan_of_a_strangers_is_a_stranger(reaper: Reaper, tmp_path: Path) -> None:
    kept = Kept("done()", tmp_path, reaper)
    script = "import os, signal\nif os.fork(): os._exit(0)\nos.setsid(); signal.pause()"
    reaper.start([*BARE, script]).wait()

    assert found(Families(), kept, fifos=kept.fifos, thorough=True) == []
    for pid in observe.children(os.getpid()) - {kept.process.pid}:
        reaper.track(pid)


def test_the_dead_are_no_members(reaper: Reaper, tmp_path: Path) -> None:
    kept = Kept("pid = os.fork()\nif not pid:\n  os._exit(0)\ntell(pid)\ndone()", tmp_path, reaper)
    wait_for(lambda: observe.is_zombie_or_gone(kept.told[0]), 20, "the zombie")

    assert found(Families(), kept) == []


def test_who_comes_and_goes_between_two_looks_is_noticed(reaper: Reaper, tmp_path: Path) -> None:
    script = """
def grow(*_):
    pid = os.fork()
    if pid == 0:
        rest()
    tell(pid)
signal.signal(signal.SIGUSR1, grow)
os.write(1, b".\\n")
while True:
    signal.pause()
"""
    kept, families = Kept(script, tmp_path, reaper), Families()
    assert found(families, kept) == []

    os.kill(kept.process.pid, signal.SIGUSR1)
    wait_for(lambda: found(families, kept), 20, "its child")
    (child,) = found(families, kept)
    assert child in observe.children(kept.process.pid)

    os.kill(child, signal.SIGKILL)
    wait_for(lambda: observe.is_zombie_or_gone(child), 20, "its end")
    assert found(families, kept) == []


def test_after_the_death_of_supervisor_and_keeper_a_stray_is_found_though_it_is_inits(
    reaper: Reaper, tmp_path: Path
) -> None:
    kept = Kept("double_fork(bare, keep_output=True)\ndone()", tmp_path, reaper)
    # Nobody here is the parent of either, as if both had been adopted by init.
    others = frozenset({os.getppid()})

    members = Families().look([kept.marks()], own=others, fifos=kept.fifos)

    assert [one.pid for one in members[0]] == kept.told


def test_a_family_of_many_generations_is_found_whole(reaper: Reaper, tmp_path: Path) -> None:
    script = """
for generation in range(60):
    if os.fork():
        rest()
    tell(os.getpid())
done()
"""
    kept = Kept(script, tmp_path, reaper)

    assert found(Families(), kept) == sorted(kept.told)
    assert len(kept.told) == 60


def test_a_hundred_families_share_one_look(reaper: Reaper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = streams(tmp_path)
    orders = [order() for _ in range(100)]
    marks = [
        Marks(name="web", invocation=one.invocation, process=at_once(one, given, reaper), members=()) for one in orders
    ]
    families, looks, stat = Families(), [0], proc.stat

    def counted(pid: int) -> proc.Stat | None:
        looks.append(pid)
        return stat(pid)

    assert families.look(marks, own=OWN) == [()] * 100
    monkeypatch.setattr("numen.kernel.proc.stat", counted)

    assert families.look(marks, own=OWN) == [()] * 100
    assert not {one.process.pid for one in marks if one.process} & set(looks)
    end_at_once(one.process for one in marks if one.process)


# After a crash between spawn and journal


def test_the_main_process_of_an_invocation_is_found_and_not_one_of_its_family(reaper: Reaper, tmp_path: Path) -> None:
    script = "pid = os.fork()\nif not pid:\n  os.setsid(); rest()\ntell(pid)\ndone()"
    kept = Kept(script, tmp_path, reaper)

    assert find({kept.order.invocation, order().invocation}) == {kept.order.invocation: kept.process}


def test_a_main_process_that_has_ended_is_not_found(reaper: Reaper, tmp_path: Path) -> None:
    kept = Kept("done()", tmp_path, reaper)
    kept.kill_main()

    assert find({kept.order.invocation}) == {}


def test_what_was_spawned_is_found_in_the_instant_the_spawn_returns(reaper: Reaper, tmp_path: Path) -> None:
    given = streams(tmp_path)
    for _ in range(50):
        wanted = order()
        process = spawning.spawn_at_once(spawning.plan(wanted, given), soft_limit_of_files())
        assert isinstance(process, ProcessId)
        marks = Marks(name="web", invocation=wanted.invocation, process=None, members=())

        assert Families().look([marks], own=OWN) == [(process,)]
        assert find({wanted.invocation}) == {wanted.invocation: process}
        end_at_once([process])


def test_a_run_that_is_over_is_not_remembered_for_ever(reaper: Reaper, tmp_path: Path) -> None:
    """One whose main process is nobody's child here is, until its successor runs."""
    kept = Kept("done()", tmp_path, reaper)
    families = Families()
    families.look([kept.marks()], own=())
    assert families._far == {kept.order.invocation}

    families.forget(kept.order.invocation)
    assert not families._far
