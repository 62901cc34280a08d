"""The fork helper: what it alone can give a daemon, and what becomes of orders when it is killed or its user dies."""

import fcntl
import os
import pwd
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import observe
from keep_spawning import answers, at_once, by_helper, end_at_once, failure_by_helper, helping, order, streams
from numen.keep import family, spawning
from numen.keep.forker_client import ForkerClient
from numen.keep.helper import frame, take_messages
from numen.keep.kernel import NotSpawned, Order, Spawned
from numen.keep.spawning import Streams
from processes import Reaper, compile_c, unprivileged, wait_for

SLOW_NAMES = """
    #define _GNU_SOURCE
    #include <dlfcn.h>
    #include <pwd.h>
    #include <string.h>
    #include <unistd.h>

    int getpwnam_r(const char *name, struct passwd *entry, char *buffer, size_t size, struct passwd **found)
    {
        int (*next)(const char *, struct passwd *, char *, size_t, struct passwd **) = dlsym(RTLD_NEXT, "getpwnam_r");
        if (strcmp(name, "slow") == 0)
            for (;;)
                pause();
        return next(name, entry, buffer, size, found);
    }
"""
"""A name service that never answers for one user."""


@pytest.fixture
def helper() -> Iterator[ForkerClient]:
    with helping() as client:
        yield client


@pytest.fixture
def slow_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = compile_c(SLOW_NAMES, tmp_path / "slow.so", "-shared", "-fPIC", "-ldl")
    monkeypatch.setenv("LD_PRELOAD", str(library))
    monkeypatch.setattr("numen.keep.helper._PASSED_ON", ("PATH", "LD_PRELOAD"))


def ask(client: ForkerClient, wanted: Order, given: Streams) -> None:
    assert client.spawn(wanted, spawning.plan(wanted, given)) is None


def first_answers(client: ForkerClient, least: int) -> list[Spawned | NotSpawned]:
    found: list[Spawned | NotSpawned] = []

    def are_there() -> bool:
        found.extend(client.receive())
        return len(found) >= least

    wait_for(are_there, 20, f"{least} answers")
    return found


# What it gives


def test_the_numbers_of_the_kernel_are_set(helper: ForkerClient, reaper: Reaper, tmp_path: Path) -> None:
    wanted = order(
        umask=0o027,
        nice=7,
        oom_score=300,
        affinity=(0,),
        limits={"open-files": (64, 128), "core-size": (0, 0)},
        no_new_privileges=True,
    )

    process = by_helper(helper, wanted, streams(tmp_path), reaper)

    seen = observe.look(process.pid)
    assert (seen.umask, seen.nice, seen.oom_score_adj, seen.no_new_privs) == (0o027, 7, 300, True)
    assert (seen.limits["open files"], seen.limits["core file size"]) == ((64, 128), (0, 0))
    assert os.sched_getaffinity(process.pid) == {0}
    assert seen.start_time == process.start_time


@pytest.mark.needs_root
def test_another_user_has_his_groups_and_his_environment(
    helper: ForkerClient, reaper: Reaper, public_path: Path
) -> None:
    user = unprivileged()
    entry = pwd.getpwnam(user.name)
    wanted = order(user=user.name, environment={"PATH": os.defpath, "SHELL": "/bin/false"})

    seen = observe.look(by_helper(helper, wanted, streams(public_path), reaper).pid)

    assert (seen.uids, seen.gids) == ((user.uid,) * 4, (user.gid,) * 4)
    assert seen.groups == frozenset(os.getgrouplist(user.name, user.gid))
    assert seen.capabilities.permitted == frozenset()
    assert {name: seen.environ[name] for name in ("HOME", "USER", "LOGNAME", "SHELL")} == {
        "HOME": entry.pw_dir,
        "USER": user.name,
        "LOGNAME": user.name,
        "SHELL": "/bin/false",
    }


@pytest.mark.needs_root
def test_another_user_can_open_its_standard_output_again(
    helper: ForkerClient, reaper: Reaper, public_path: Path
) -> None:
    given = streams(public_path, err="")
    mine = os.open(given.out, os.O_RDWR)
    command = ("/bin/sh", "-c", "echo again >/dev/stdout; echo more >/dev/stderr; exec sleep 1000")

    by_helper(helper, order(*command, user=unprivileged().name), given, reaper)

    assert os.read(mine, 100) == b"again\n"
    os.close(mine)
    for path in (given.out, given.err):
        assert path is not None
        found = os.stat(path)
        assert (found.st_uid, found.st_mode & 0o777) == (unprivileged().uid, 0o600)


@pytest.mark.needs_root
def test_just_the_capabilities_asked_for_are_kept(helper: ForkerClient, reaper: Reaper, public_path: Path) -> None:
    wanted = order(user=unprivileged().name, capabilities=("net_bind_service",))

    kept = observe.look(by_helper(helper, wanted, streams(public_path), reaper).pid).capabilities

    assert {kept.permitted, kept.effective, kept.inheritable, kept.bounding, kept.ambient} == {frozenset({10})}


# What fails


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"user": "no-such-user"}, "cannot become user 'no-such-user': there is no such user"),
        ({"group": "no-such-group"}, "cannot use group 'no-such-group': there is no such group"),
        ({"affinity": (1000,)}, "cannot set the affinity to the processors 1000: Invalid argument"),
        ({"limits": {"open-files": (2**40, 2**40)}}, f"cannot set the limit open-files to {2**40}:{2**40}: "),
        ({"oom_score": 2000}, "cannot set the out-of-memory score 2000: Invalid argument"),
    ],
)
def test_the_step_that_failed_is_told(
    wanted: dict[str, Any], words: str, helper: ForkerClient, reaper: Reaper, tmp_path: Path
) -> None:
    failure = failure_by_helper(helper, order(**wanted), streams(tmp_path))

    assert failure.startswith(words)


@pytest.mark.needs_root
def test_a_directory_that_its_user_may_not_enter_is_told(
    helper: ForkerClient, reaper: Reaper, public_path: Path
) -> None:
    closed = public_path / "closed"
    closed.mkdir(mode=0o700)
    wanted = order(user=unprivileged().name, directory=str(closed))

    failure = failure_by_helper(helper, wanted, streams(public_path))

    assert failure == f"cannot change the working directory to {closed}: Permission denied"


@pytest.mark.needs_user
def test_a_user_cannot_become_another(helper: ForkerClient, reaper: Reaper, tmp_path: Path) -> None:
    failure = failure_by_helper(helper, order(user="root"), streams(tmp_path))

    assert "only root may change user" in failure


# Many, slow ones, and sudden ends


def test_two_hundred_orders_at_once_each_have_their_answer(
    helper: ForkerClient, reaper: Reaper, tmp_path: Path
) -> None:
    given = streams(tmp_path)
    # Three times what a socket holds, so that some have to wait.
    orders = [order(environment={"FILL": "x" * 4000}) for _ in range(200)]
    for one in orders:
        ask(helper, one, given)

    found = answers(helper)

    assert {one.invocation for one in found if isinstance(one, Spawned)} == {one.invocation for one in orders}
    assert len(found) == 200
    for outcome in found:
        assert isinstance(outcome, Spawned)
        seen = observe.look(outcome.process.pid)
        assert seen.environ["NUMEN_INVOCATION"] == outcome.invocation
        assert seen.start_time == outcome.process.start_time
        assert seen.ppid == os.getpid()
    end_at_once(one.process for one in found if isinstance(one, Spawned))


@pytest.mark.usefixtures("slow_names")
def test_a_slow_look_up_holds_nobody_else_back(helper: ForkerClient, reaper: Reaper, tmp_path: Path) -> None:
    given = streams(tmp_path)
    slow, quick = order(user="slow"), order(nice=1)
    ask(helper, slow, given)
    ask(helper, quick, given)

    found = first_answers(helper, 1)

    assert [one.invocation for one in found] == [quick.invocation]
    assert isinstance(found[0], Spawned)
    reaper.track(found[0].process.pid)
    assert helper.pending


@pytest.mark.usefixtures("slow_names")
def test_a_helper_that_is_killed_takes_its_look_ups_along(helper: ForkerClient, reaper: Reaper, tmp_path: Path) -> None:
    given = streams(tmp_path)
    ask(helper, order(user="slow"), given)
    (pid,) = helper.pids
    wait_for(lambda: observe.descendants(pid), 20, "the child that looks the name up")
    os.kill(pid, signal.SIGKILL)

    (outcome,) = answers(helper)

    assert isinstance(outcome, NotSpawned)
    assert outcome.failure == "cannot start a process: the fork helper was ended"
    by_helper(helper, order(), given, reaper)
    assert helper.pids != {pid}
    reap_orphans(helper)


def test_of_a_helper_that_is_killed_amid_its_orders_each_outcome_is_true(
    helper: ForkerClient, reaper: Reaper, tmp_path: Path
) -> None:
    given = streams(tmp_path)
    orders = [order() for _ in range(60)]
    for one in orders:
        ask(helper, one, given)
    found = first_answers(helper, 5)
    for pid in helper.pids:
        os.kill(pid, signal.SIGKILL)

    found += answers(helper)

    assert sorted(one.invocation for one in found) == sorted(one.invocation for one in orders)
    living = family.find({one.invocation for one in orders})
    assert living == {one.invocation: one.process for one in found if isinstance(one, Spawned)}
    end_at_once(living.values())
    reap_orphans(helper)


def test_an_order_that_no_helper_has_read_is_not_lost(helper: ForkerClient, reaper: Reaper, tmp_path: Path) -> None:
    given = streams(tmp_path)
    by_helper(helper, order(), given, reaper)
    (pid,) = helper.pids
    os.kill(pid, signal.SIGSTOP)
    ask(helper, order(), given)
    os.kill(pid, signal.SIGKILL)

    (outcome,) = answers(helper)

    assert isinstance(outcome, NotSpawned)


def test_an_order_to_a_helper_that_has_just_died_goes_to_another(
    helper: ForkerClient, reaper: Reaper, tmp_path: Path
) -> None:
    given = streams(tmp_path)
    by_helper(helper, order(), given, reaper)
    (pid,) = helper.pids
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: observe.is_zombie_or_gone(pid), 20, "its end")

    by_helper(helper, order(), given, reaper)

    assert helper.pids != {pid}


@pytest.mark.usefixtures("slow_names")
def test_the_helper_ends_when_the_supervisor_does_and_lets_go_of_the_lock(reaper: Reaper, tmp_path: Path) -> None:
    given = streams(tmp_path)
    lock = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
    fcntl.flock(lock, fcntl.LOCK_EX)
    client = ForkerClient(open_files=1024, lock=lock)
    ask(client, order(user="slow"), given)
    daemon = by_helper_beside(client, given, reaper)
    (pid,) = client.pids
    wait_for(lambda: observe.descendants(pid), 20, "the child that looks the name up")
    os.kill(pid, signal.SIGSTOP)

    # The supervisor dies, and with it what it had open.
    client.close()
    os.close(lock)
    again = os.open(tmp_path / "lock", os.O_RDWR | os.O_CLOEXEC)
    with pytest.raises(BlockingIOError):
        fcntl.flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.kill(pid, signal.SIGCONT)

    wait_for(lambda: can_lock(again), 20, "the lock")
    os.close(again)
    os.waitpid(pid, 0)
    assert not observe.is_zombie_or_gone(daemon)
    wait_for(lambda: reaped_orphan(frozenset()), 20, "the end of the look-up")


def by_helper_beside(client: ForkerClient, given: Streams, reaper: Reaper) -> int:
    """The pid of a daemon that is spawned while another order has no answer."""
    ask(client, order(), given)
    (outcome,) = first_answers(client, 1)
    assert isinstance(outcome, Spawned)
    return reaper.track(outcome.process.pid)


def can_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def reaped_orphan(without: frozenset[int]) -> bool:
    found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    if found is None or found.si_pid in without:
        return False
    os.waitpid(found.si_pid, 0)
    return True


def reap_orphans(client: ForkerClient) -> None:
    with suppress(ChildProcessError):
        while reaped_orphan(client.pids):
            pass


def test_a_helper_that_cannot_be_started_is_told(
    helper: ForkerClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.executable", "/no/python")
    wanted = order()

    outcome = helper.spawn(wanted, spawning.plan(wanted, streams(tmp_path)))

    assert outcome is not None
    assert outcome.failure == "cannot start the fork helper: No such file or directory"
    assert not helper.pending


def test_the_helper_is_not_started_before_it_is_needed(helper: ForkerClient, reaper: Reaper, tmp_path: Path) -> None:
    at_once(order(), streams(tmp_path), reaper)

    assert helper.pids == frozenset()


@given(st.lists(st.dictionaries(st.text(), st.text(), max_size=3), max_size=5), st.integers(1, 100))
def test_messages_come_through_however_they_are_cut(messages: list[dict[str, str]], length: int) -> None:
    sent = b"".join(map(frame, messages))
    received, found = bytearray(), []
    for start in range(0, len(sent), length):
        received += sent[start : start + length]
        found += take_messages(received)

    assert found == messages
    assert not received
