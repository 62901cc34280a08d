"""The keeper: a real one, whose supervisor is of straw, with real kills."""

import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import observe
from houses import DEADLINE, Straw, house_of_straw, idle_for, switches
from numen.check.audit import audit
from numen.check.verdict import FAULT, UNKNOWN, WARNING
from numen.keep import house, keeper
from processes import Reaper, environment, wait_for


@pytest.fixture
def closed(tmp_path: Path, reaper: Reaper) -> Iterator[Straw]:
    """A closed house."""
    with house_of_straw(tmp_path, reaper) as straw:
        yield straw


@pytest.fixture
def straw(closed: Straw) -> Straw:
    """An open house."""
    assert closed.open()
    return closed


# Starting the supervisor again


def test_a_supervisor_that_is_killed_is_started_again_under_the_same_keeper(straw: Straw) -> None:
    pids = {straw.supervisor()}
    parent = straw.keeper()

    for _ in range(4):
        pids.add(straw.kill_supervisor())

    assert len(pids) == 5
    assert straw.keeper() == parent
    assert straw.supervisor() in observe.children(parent)


def test_kills_of_keeper_and_supervisor_in_turn_lose_nothing_that_is_held(straw: Straw) -> None:
    straw.ask("fifo('out', b'last words')")
    child = straw.reaper.track(straw.ask("run('sleep', '1000')"))

    for _ in range(10):
        straw.kill_supervisor()
        straw.kill_keeper()
        assert house.is_open()

    assert straw.ask("read_held()") == [b"last words"]
    assert not observe.is_zombie_or_gone(child)


def test_the_waits_grow_while_no_supervisor_gets_healthy_and_then_begin_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = keeper.Keeper(keeper.AGAIN, ["unused"])
    monkeypatch.setattr(time, "monotonic", lambda: 1000.0)

    waits = []
    for _ in range(12):
        kept.plan()
        waits.append(round(kept.due - 1000, 3))
    assert waits == [0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30, 30]

    kept.ready_at = 999.5
    kept.plan()
    assert kept.due == 1030
    kept.ready_at = 998.9
    kept.plan()
    assert kept.due == 1000


def test_the_supervisor_does_not_find_the_limit_of_open_files_that_the_keeper_needs(closed: Straw) -> None:
    straw = closed
    script = 'ulimit -Sn 200; exec "$@"'
    snippet = "import sys; from numen.keep import house; house.open_house(sys.argv[1:])"
    subprocess.run(["bash", "-c", script, "sh", sys.executable, "-c", snippet, *straw.program], check=True)
    straw.track()

    def soft(pid: int) -> int:
        return observe.look(pid).limits["open files"][0]

    assert soft(straw.supervisor()) == 200
    assert soft(straw.keeper()) > 200
    straw.kill_keeper()
    assert soft(straw.supervisor()) == 200


# How others end


def test_the_status_of_an_orphan_is_recorded_while_there_is_no_supervisor(straw: Straw) -> None:
    os.mkfifo(straw.place / "go")
    ends = straw.reaper.track(straw.ask("run('sh', '-c', 'read word < ' + place + '/go; exit 7')"))
    killed = straw.reaper.track(straw.ask("run('sleep', '1000')"))
    born = {pid: observe.start_time(pid) for pid in (ends, killed)}
    fail = straw.order("fail")
    os.kill(straw.supervisor(), signal.SIGKILL)

    (straw.place / "go").write_text("now\n")
    os.kill(killed, signal.SIGTERM)
    wait_for(lambda: len(straw.endings()) == 2, DEADLINE, "two records")
    fail.unlink()

    expected = {(ends, born[ends], 7), (killed, born[killed], -signal.SIGTERM)}
    assert set(straw.ask("endings(keeper.endings())")) == expected


def test_the_status_of_an_orphan_is_told_to_the_supervisor_that_there_is(straw: Straw) -> None:
    pid = straw.adopted("sleep", "1000")
    born = observe.start_time(pid)

    os.kill(pid, signal.SIGKILL)

    wait_for(lambda: straw.ask("globals().get('told')"), DEADLINE, "the telling")
    assert straw.ask("told") == [(pid, born, -9)]
    wait_for(lambda: not os.path.exists(f"/proc/{pid}"), DEADLINE, "the reaping")


def test_endings_are_forgotten_once_they_were_read_and_not_if_others_have_come(straw: Straw) -> None:
    first, second = straw.ask("run('sleep', '1000')"), straw.adopted("sleep", "1001")
    straw.reaper.track(first)
    os.kill(straw.supervisor(), signal.SIGSTOP)
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: len(straw.endings()) == 1, DEADLINE, "a record")
    os.kill(straw.supervisor(), signal.SIGCONT)
    wait_for(lambda: straw.ask("globals().get('told')"), DEADLINE, "the telling")

    straw.ask("os.kill(os.getppid(), 19)")  # SIGSTOP: it does not hear of the next one's end before it is asked
    straw.ask("keeper.forget()")
    os.kill(second, signal.SIGKILL)
    os.kill(straw.keeper(), signal.SIGCONT)

    # Whether it was asked or saw the end first, the second record stays until it was read.
    wait_for(lambda: len(straw.ask("told")) == 2, DEADLINE, "the second telling")
    assert {pid for pid, _, _ in straw.ask("told")} == {first, second}
    straw.ask("keeper.forget()")
    wait_for(lambda: not straw.endings(), DEADLINE, "the forgetting")


def test_more_endings_than_the_channel_has_room_for_are_all_told(straw: Straw) -> None:
    pids = set(straw.ask("[run('sleep', '1000') for _ in range(400)]"))
    straw.kill_supervisor()
    os.kill(straw.supervisor(), signal.SIGSTOP)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: len(straw.endings()) == 400, DEADLINE, "all records")
    os.kill(straw.supervisor(), signal.SIGCONT)

    wait_for(lambda: len(straw.ask("globals().get('told', [])")) == 400, DEADLINE, "the telling of all")
    assert {pid for pid, _, _ in straw.ask("told")} == pids


@pytest.mark.parametrize("room", [0, 5])
def test_a_status_for_which_there_is_no_room_on_the_disk_is_told_all_the_same(straw: Straw, room: int) -> None:
    pid = straw.adopted("sleep", "1000")
    born = observe.start_time(pid)
    resource.prlimit(straw.keeper(), resource.RLIMIT_FSIZE, (room, room))

    os.kill(pid, signal.SIGTERM)

    wait_for(lambda: straw.ask("globals().get('told')"), DEADLINE, "the telling")
    assert straw.ask("told") == [(pid, born, -signal.SIGTERM)]
    assert straw.endings() == []


# The keeper's own death


def test_a_keeper_that_is_killed_is_replaced_by_the_supervisor_whose_children_stay(straw: Straw) -> None:
    child = straw.reaper.track(straw.ask("run('sleep', '1000')"))
    before = straw.supervisor()

    straw.kill_keeper()

    assert straw.keeper() == before
    assert child in observe.children(before)
    born = observe.start_time(child)
    os.kill(child, signal.SIGTERM)
    wait_for(lambda: straw.ask("globals().get('told')"), DEADLINE, "the telling")
    assert straw.ask("told") == [(child, born, -signal.SIGTERM)]


def test_a_child_that_died_before_the_supervisor_became_the_keeper_is_recorded(straw: Straw) -> None:
    child = straw.reaper.track(straw.ask("run('sh', '-c', 'exit 5')"))
    wait_for(lambda: observe.is_zombie_or_gone(child), DEADLINE, "its end")

    straw.kill_keeper()

    wait_for(lambda: straw.endings() or straw.ask("globals().get('told')"), DEADLINE, "the record")
    assert [(int(pid), int(status)) for pid, _, status, _ in straw.endings()] == [(child, 5)]


def test_the_lock_is_never_free_while_one_of_both_lives(straw: Straw) -> None:
    snippet = "from numen.keep import house\nwhile house.is_open(): pass"
    watcher = straw.reaper.start([sys.executable, "-c", snippet])

    for _ in range(5):
        straw.kill_supervisor()
        straw.kill_keeper()

    assert watcher.poll() is None


def test_a_keeper_that_is_killed_while_the_supervisor_is_being_started_is_replaced_too(straw: Straw) -> None:
    slow = straw.order("slow")
    before = straw.supervisor()
    os.kill(before, signal.SIGKILL)
    wait_for(lambda: straw.supervisor() != before, DEADLINE, "the next supervisor")
    starting = straw.reaper.track(straw.supervisor())

    os.kill(straw.keeper(), signal.SIGKILL)
    slow.unlink()

    wait_for(lambda: straw.keeper() == starting, DEADLINE, "the supervisor in the keeper's place")
    straw.next_after(starting)


def test_when_both_were_killed_the_next_house_can_be_opened_and_knows_the_endings(straw: Straw) -> None:
    pid = straw.adopted("sleep", "1000")
    straw.order("fail")
    os.kill(straw.supervisor(), signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)
    wait_for(straw.endings, DEADLINE, "the record")
    os.kill(straw.keeper(), signal.SIGKILL)
    wait_for(lambda: not house.is_open(), DEADLINE, "the free lock")
    (straw.place / "fail").unlink()

    assert straw.open()

    assert [found[::2] for found in straw.ask("endings(keeper.endings())")] == [(pid, -9)]


def test_a_stopped_keeper_holds_nobody_up_and_takes_everything_when_it_goes_on(straw: Straw) -> None:
    os.kill(straw.keeper(), signal.SIGSTOP)
    names = [f"out-{number}" for number in range(500)]

    assert len(straw.ask(f"[fifo(name, name.encode()) for name in {names}]")) == 500
    os.kill(straw.keeper(), signal.SIGCONT)
    wait_for(lambda: straw.ask("len(keeper._outbox)") == 0, DEADLINE, "the end of the outbox")
    straw.kill_supervisor()

    assert sorted(straw.ask("read_held()")) == sorted(name.encode() for name in names)


def test_what_is_dropped_is_held_no_longer(straw: Straw) -> None:
    kept, dropped = straw.ask("fifo('kept', b'kept')"), straw.ask("fifo('dropped', b'dropped')")
    assert kept != dropped
    straw.ask(f"(keeper.hold({kept}), keeper.flush())")

    straw.ask(f"keeper.drop(house.inode({dropped}))")
    straw.kill_supervisor()

    assert straw.ask("read_held()") == [b"kept"]


# Signals


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1, signal.SIGINT, signal.SIGQUIT])
def test_a_signal_to_the_keeper_is_passed_on(straw: Straw, number: signal.Signals) -> None:
    os.kill(straw.keeper(), number)

    wait_for(lambda: straw.ask("got") == [number], DEADLINE, "the signal in the supervisor")


def test_the_keeper_ends_when_the_supervisor_has_ended_in_order(straw: Straw) -> None:
    pids = straw.keeper(), straw.supervisor()

    straw.end()

    assert all(observe.is_zombie_or_gone(pid) for pid in pids)
    assert not house.is_open()
    assert straw.starts() == 1


def test_a_request_to_end_that_comes_while_the_supervisor_is_being_started_is_not_lost(straw: Straw) -> None:
    slow = straw.order("slow")
    before = straw.supervisor()
    os.kill(before, signal.SIGKILL)
    wait_for(lambda: straw.supervisor() != before, DEADLINE, "the next supervisor")
    straw.track()
    kept = straw.keeper()

    os.kill(kept, signal.SIGTERM)
    pending = f"/proc/{straw.supervisor()}/status"
    wait_for(lambda: "ShdPnd:\t0000000000004000" in Path(pending).read_text(), DEADLINE, "the signal that waits")
    slow.unlink()

    observe.wait_until_gone(kept)
    assert straw.starts() == 2


def test_a_request_to_end_starts_a_supervisor_at_once_that_can_do_so(straw: Straw) -> None:
    fail = straw.order("fail")
    os.kill(straw.supervisor(), signal.SIGKILL)
    wait_for(lambda: straw.starts() >= 5, DEADLINE, "some failed starts: the next wait is long enough")
    wait_for(lambda: not observe.children(straw.keeper()), DEADLINE, "the wait")
    fail.unlink()
    kept = straw.keeper()

    os.kill(kept, signal.SIGTERM)

    observe.wait_until_gone(kept)
    assert straw.starts() >= 6


def test_a_request_to_end_is_passed_on_to_the_next_supervisor_too(straw: Straw) -> None:
    stubborn = straw.order("stubborn")
    kept = straw.keeper()
    os.kill(kept, signal.SIGTERM)
    wait_for(lambda: straw.ask("got") == [signal.SIGTERM], DEADLINE, "the signal in the supervisor")
    stubborn.unlink()

    os.kill(straw.supervisor(), signal.SIGKILL)

    observe.wait_until_gone(kept)
    assert straw.starts() == 2


def test_a_keeper_that_is_to_end_gives_up_where_no_supervisor_can_be_started(straw: Straw) -> None:
    straw.order("stubborn")
    kept = straw.keeper()
    os.kill(kept, signal.SIGTERM)
    wait_for(lambda: straw.ask("got") == [signal.SIGTERM], DEADLINE, "the signal in the supervisor")
    straw.order("fail")

    os.kill(straw.supervisor(), signal.SIGKILL)

    observe.wait_until_gone(kept)


# What it costs, and what it is


def test_an_idle_keeper_never_wakes(straw: Straw) -> None:
    kept = straw.keeper()
    straw.kill_supervisor()
    wait_for(lambda: observe.look(kept).state == "S", DEADLINE, "its sleep")
    before = switches(kept)

    idle_for(2)

    assert switches(kept) == before


def test_the_keeper_is_small(straw: Straw) -> None:
    straw.kill_keeper()

    rollup = Path(f"/proc/{straw.keeper()}/smaps_rollup").read_text()

    private = sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Private_"))
    assert private < 8 * 1024


def test_nothing_is_wrong_with_keeper_and_supervisor_before_and_after_a_change_of_place(straw: Straw) -> None:
    straw.ask("fifo('out', b'')")

    def wrong(pid: int) -> dict[str, str]:
        found = audit(pid).findings
        return {one.rule.name: one.evidence for one in found if one.verdict in (FAULT, WARNING, UNKNOWN)}

    for _ in range(2):
        assert wrong(straw.keeper()) == {}
        # It writes to the FIFO of its own output, which a supervisor of straw does not read.
        assert wrong(straw.supervisor()) == {}
        straw.kill_keeper()


def test_a_descriptor_of_the_launcher_stays_behind(closed: Straw) -> None:
    straw = closed
    reader, writer = os.pipe()
    os.set_inheritable(writer, True)
    straw.open()
    straw.track()
    os.close(writer)

    assert os.read(reader, 1) == b""
    os.close(reader)
    targets = {number: one.target for number, one in observe.look(straw.keeper()).descriptors.items()}
    assert sorted(number for number, target in targets.items() if not target.startswith(("pipe:", "socket:"))) == [
        0,
        1,
        2,
        keeper.LOCK,
        keeper.ENDINGS,
    ]


# In the foreground


FOREGROUND = "import sys; from numen.keep import house; house.foreground(sys.argv[1:])"


def test_in_the_foreground_what_the_supervisor_says_reaches_the_service_manager(closed: Straw) -> None:
    straw = closed
    address = f"@numen-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(DEADLINE)
        manager.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        manager.bind(address.replace("@", "\0"))
        variables = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "3000000", "INVOCATION_ID": "x", "LISTEN_FDS": "1"}
        process = straw.reaper.start(
            [sys.executable, "-c", FOREGROUND, *straw.program],
            env=environment(variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

        heard, rights, _, _ = manager.recvmsg(4096, 100)
        sender = int.from_bytes(rights[0][2][:4], sys.byteorder)
        straw.track()

        assert heard == b"READY=1\nSTATUS=of straw"
        assert sender == process.pid == straw.keeper()
        assert straw.ask("keeper.watchdog_interval") == 3.0
        assert (
            straw.ask("[one for one in os.environ if one.split('_')[0] in 'NOTIFY WATCHDOG INVOCATION LISTEN']") == []
        )
        straw.ask("(keeper.watchdog(), keeper.status('fine'), keeper.stopping())")
        assert [manager.recv(4096) for _ in range(3)] == [b"WATCHDOG=1", b"STATUS=fine", b"STOPPING=1"]

        straw.kill_supervisor()
        assert manager.recv(4096) == b"READY=1\nSTATUS=of straw"
        assert straw.ask("keeper.watchdog_interval") == 3.0
        process.terminate()
        assert process.wait(DEADLINE) == 0


def test_in_the_foreground_a_supervisor_that_refuses_ends_it_with_its_exit_status(closed: Straw) -> None:
    straw = closed
    (straw.place / "supervisor.py").write_text("import sys; print('no'); sys.exit(3)")

    done = subprocess.run(
        [sys.executable, "-c", FOREGROUND, *straw.program], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stdout) == (3, "no\n")


@pytest.mark.needs_root
def test_as_the_first_process_of_a_container_it_reaps_all(closed: Straw) -> None:
    straw = closed
    namespace = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
    straw.reaper.start([*namespace, sys.executable, "-c", FOREGROUND, *straw.program])
    assert straw.ask("os.getppid()") == 1
    inside = straw.ask("run('sleep', '1000')")
    born = straw.ask(f"int(open('/proc/{inside}/stat').read().split()[21])")
    before = straw.supervisor()

    straw.ask("signal.setitimer(signal.ITIMER_REAL, 0.01)")  # its default action ends it
    wait_for(lambda: straw.supervisor() != before, DEADLINE, "the next supervisor")
    straw.ask(f"os.kill({inside}, 9)")

    wait_for(lambda: straw.ask("globals().get('told')"), DEADLINE, "the telling")
    assert straw.ask("told") == [(inside, born, -9)]
