"""Keeper and supervisor are killed for real, at each of their calls and at random: the daemons do not notice."""

import json
import os
import random
import re
import shutil
import signal
import sys
import textwrap
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import observe
from kept import DEADLINE, Kept, nothing_left
from numen.keep.deaths import Deaths
from numen.keep.kernel import Ended
from numen.keep.life import ProcessId
from numen.kernel import pidfds
from processes import Reaper, reap, wait_for

pytestmark = pytest.mark.once

CRASHING = (sys.executable, str(Path(__file__).with_name("crashing_supervisor.py")))

HEALTHY_AFTER = 1.0
"""Seconds past its readiness after which the keeper starts a supervisor that died again at once."""


@pytest.fixture(autouse=True)
def nothing_outlives_its_test() -> Iterator[None]:
    """Whatever the kills have left running is ended."""
    with nothing_left():
        yield


def all_of(work: Callable[..., None], arguments: Iterable[tuple[Any, ...]]) -> None:
    """Do the work with each of the arguments, at the same time; the first that fails is raised."""
    with ThreadPoolExecutor(100) as pool:
        done = [pool.submit(work, *one) for one in arguments]
    for one in done:
        one.result()


def wait_seconds(seconds: float) -> None:
    """Wait until so much time has passed."""
    end = time.monotonic() + seconds
    wait_for(lambda: time.monotonic() >= end, seconds + DEADLINE, "time passes")


# Before and after each call


def order_crash(home: Kept, order: dict[str, Any]) -> Path:
    """Order a crash of the crashing supervisor; the file that will tell of it."""
    crashed = home.home / "crashed"
    crashed.unlink(missing_ok=True)
    (home.home / "crash.new").write_text(json.dumps(order))
    (home.home / "crash.new").rename(home.home / "crash")
    return crashed


WEB = ("sh", "-c", "echo start $$; setsid sleep 1000 & echo >&3; exec sleep 1000")
"""Tells that it starts, has a child that leaves its session, and tells that it is ready."""

NOTIFYING = (
    sys.executable,
    "-S",
    "-c",
    textwrap.dedent(
        """
        import os, signal, socket
        os.write(1, b"start %d\\n" % os.getpid())
        if not os.fork():
            os.setsid()
            signal.pause()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as one:
            one.sendto(b"READY=1\\nSTATUS=fine", os.environ["NOTIFY_SOCKET"].replace("@", "\\0", 1))
        signal.pause()
        """
    ),
)
"""Does the same, and says how it is."""


class Operation(NamedTuple):
    """What is asked for, and what has to come of it."""

    method: str
    before: str
    after: str
    moments: tuple[str, ...] = ("before", "after")
    is_plain: bool = True
    """Whether it is spawned by posix_spawn(3)."""
    ready: str = "fd:3"


OPERATIONS = (
    Operation("Start", "stopped", "running"),
    Operation("Stop", "running", "stopped"),
    Operation("Restart", "running", "running"),
    Operation("Start", "stopped", "running", ("after",), is_plain=False),
    Operation("Start", "stopped", "running", ("after",), ready="notify"),
)


class Crashes:
    """One home whose supervisor is killed at one call after the other of an operation."""

    def __init__(self, home: Kept, operation: Operation, moment: str) -> None:
        self.home, self.operation, self.moment = home, operation, moment
        self.home.open()
        self.since = time.monotonic()
        self.home.define("steady", "sleep", "1000")
        command = NOTIFYING if operation.ready == "notify" else WEB
        more = {} if operation.is_plain else {"nice": 1}
        self.home.define("web", *command, ready=operation.ready, **more)
        self.runs = 1
        """How often the daemon has been started."""
        self.steady = self.home.status("steady")
        self.calls: list[str] = []

    def at_each(self, numbers: Iterable[int]) -> None:
        """Kill it at each of these calls; the operation has to be over before the last."""
        for number in numbers:
            if not self.at(number):
                break
        else:
            raise AssertionError(f"there are more calls than that: {self.calls}")
        self.home.shut_down()
        assert not self.home.daemons()
        started = re.findall("start [0-9]+\n", self.home.log("web"))
        assert "".join(started) == self.home.log("web")
        assert len(started) == self.runs, f"{started} {self.where(0)} {self.calls}\n{self.home.log('numen')}"

    def at(self, number: int) -> bool:
        """Have it killed at that call; false where the operation makes no so many."""
        self.prepare()
        before = self.home.status("web")
        wait_seconds(max(self.since + HEALTHY_AFTER + 0.1 - time.monotonic(), 0))
        crashed = order_crash(
            self.home,
            {"number": number, "moment": self.moment, "of": "calls", "state": self.operation.before},
        )

        self.home.call_once(self.operation.method, names=["web"])
        self.home.call_once("About")

        if (is_over := not crashed.exists()) and self.withdraw():
            self.settled(self.operation.after)
            self.runs += self.operation.after == "running"
            return False
        if is_over:
            wait_for(crashed.exists, DEADLINE, "the crash that was ordered")
        told = json.loads(crashed.read_text())
        self.calls.append(told["last"])
        is_done = told["is_written"]
        try:
            after = self.settled(self.operation.after if is_done else self.operation.before)
            if is_done and after["state"] == "running":
                assert after["invocation"] != before["invocation"]
                self.runs += 1
            else:
                assert after.get("pid") in (before.get("pid"), None)
            self.check(after)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.where(number)} {told}\n{self.home.log('numen')[-3000:]}") from error
        return True

    def where(self, number: int) -> str:
        return f"{self.operation} killed {self.moment} call {number}"

    def prepare(self) -> None:
        if self.home.status("web")["state"] != self.operation.before:
            (outcome,) = self.home.call("Stop" if self.operation.before == "stopped" else "Start", names=["web"])[
                "outcomes"
            ]
            assert outcome["ok"], outcome
            self.runs += self.operation.before == "running"

    def withdraw(self) -> bool:
        """Take the order back; whether it was there still."""
        try:
            (self.home.home / "crash").unlink()
        except FileNotFoundError:
            return False
        return True

    def settled(self, state: str) -> dict[str, Any]:
        after = self.home.wait_until("web", lambda one: one["state"] == state and "awaited" not in one, f"is {state}")
        self.since = time.monotonic()
        return after

    def check(self, web: dict[str, Any]) -> None:
        steady = self.home.status("steady")
        assert {**steady, "since": 0} == {**self.steady, "since": 0}
        assert (web["restarts"], web["failures"]) == (0, 0)
        assert web["wanted"] == (web["state"] == "running")
        if web["state"] == "running" and self.operation.ready == "notify":
            assert web["status"] == "fine"
        # The daemon has one child; it may be just executing its program, and shows no environment then.
        count = 3 if web["state"] == "running" else 1
        wait_for(lambda: len(self.home.daemons()) == count, DEADLINE, f"{count} processes: {self.home.daemons()}")
        found = self.home.daemons()
        assert {one["pid"] for one in (steady, web) if "pid" in one} <= found.keys()


@pytest.mark.timeout(300)
def test_killed_before_and_after_each_call_of_a_start_a_stop_and_a_restart(tmp_path: Path) -> None:
    ways = [(one, moment, first) for one in OPERATIONS for moment in one.moments for first in (1, 2, 3)]
    crashes = [Crashes(Kept(tmp_path / str(number), CRASHING), *way[:2]) for number, way in enumerate(ways)]

    all_of(lambda one, first: one.at_each(range(first, 80, 3)), zip(crashes, [way[2] for way in ways], strict=True))

    assert {"write_journal", "write_wants", "spawn", "send_signal", "families", "reap", "poll", "release"} <= {
        call for one in crashes for call in one.calls
    }


# Before and after each system call of a rotation

WRITER = textwrap.dedent(
    """
    import os, signal, sys, time
    pause = float(sys.argv[1])
    ended = []
    signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
    number = 0
    while not ended:
        os.write(1, b"line %07d %s\\n" % (number, b"x" * (number * 7 % 61)))
        number += 1
        time.sleep(pause)
    os.write(1, b"end %07d\\n" % number)
    """
)
"""Writes numbered lines, and at its end how many they were."""

STAMP = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z ")


def define_writer(home: Kept, name: str, *, pause: float, stamped: bool = False, keep: int = 1000) -> int:
    """Start one with a small log, so that it is rotated often."""
    log = {"size": "20kB", "keep": keep, "timestamps": stamped}
    return home.define(name, sys.executable, "-S", "-c", WRITER, str(pause), log=log)


def check_lines(
    home: Kept, name: str, *, stamped: bool = False, first: int | None = 0, is_over: bool = True
) -> tuple[int, int]:
    """No line is lost, doubled, torn or out of order; of stamped ones one may be repeated. How many, and repeated.

    `first` is the number of the first line; None where older ones have been removed.
    """
    before, repeated = b"", 0
    lines = home.lines(name)
    if first is None:
        numbers = re.search(rb"line ([0-9]{7}) ", lines[0])
        assert numbers, (name, lines[0])
        first = int(numbers[1])
    number = first
    for line in lines:
        text = line
        if stamped:
            found = STAMP.match(line)
            assert found, (name, number, line)
            text = line[found.end() :]
            if text == before:
                repeated += 1
                continue
        before = text
        if text == b"end %07d" % number:
            break
        assert text == b"line %07d %s" % (number, b"x" * (number * 7 % 61)), (name, number)
        number += 1
    assert before in lines[-1], (name, before, lines[-1])
    assert before.startswith(b"end ") or not is_over, (name, number, before)
    return number - first, repeated


class Way(NamedTuple):
    """Which rotations are interrupted, and how."""

    moment: str
    stamped: bool
    keep: int
    begins: str
    """Calls are counted from the one on whose path ends so."""


class Rotations:
    """One home whose supervisor is killed at one system call after the other of a rotation."""

    def __init__(self, home: Kept, way: Way) -> None:
        self.home, self.way = home, way
        self.home.open()
        self.pid = define_writer(home, "writer", pause=0.001, stamped=way.stamped, keep=way.keep)
        self.calls: list[str] = []

    def at_each(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            before = self.home.processes()
            wait_seconds(HEALTHY_AFTER + 0.1)
            order = {"number": number, "moment": self.way.moment, "of": "rotation", "begins": self.way.begins}
            crashed = order_crash(self.home, order)
            wait_for(crashed.exists, DEADLINE, f"the rotation's call {number}")
            self.calls.append(json.loads(crashed.read_text())["last"])
            wait_for(lambda before=before: self.is_back(before), DEADLINE, "both are back")  # type: ignore[misc]
            assert self.home.status("writer")["pid"] == self.pid
            if self.way.keep < 1000:
                self.check_what_is_kept()
        self.home.shut_down()
        count, repeated = check_lines(
            self.home, "writer", stamped=self.way.stamped, first=0 if self.way.keep == 1000 else None
        )
        assert count > 100
        assert repeated <= len(self.calls)

    def is_back(self, before: tuple[int, int]) -> bool:
        about = self.home.call_once("About")
        return about is not None and about["pid"] != before[1]

    def check_what_is_kept(self) -> None:
        """Let the writer pause, and look at the lines before the next rotations remove them."""
        os.kill(self.pid, signal.SIGSTOP)
        mistakes: list[AssertionError] = []

        def are_whole() -> bool:
            try:
                check_lines(self.home, "writer", stamped=self.way.stamped, first=None, is_over=False)
            except AssertionError as error:
                # Until all is moved, the last line may be there in part.
                mistakes[:] = [error]
                return False
            return True

        try:
            wait_for(are_whole, DEADLINE, "all lines are whole")
        except AssertionError:
            raise mistakes[0] from None
        files = [
            one for one in os.listdir(self.home.log_path("writer").parent) if re.search(r"writer\.log[.0-9]*$", one)
        ]
        assert len(files) <= self.way.keep, files
        os.kill(self.pid, signal.SIGCONT)


@pytest.mark.timeout(300)
def test_killed_before_and_after_each_system_call_of_a_rotation(tmp_path: Path) -> None:
    ways = [
        Way(moment, stamped, keep, begins)
        for moment in ("before", "after")
        for stamped, keep, begins in ((False, 3, ""), (True, 1000, ".log.1"))
    ]
    rotations = [Rotations(Kept(tmp_path / str(number), CRASHING), way) for number, way in enumerate(ways)]

    all_of(lambda one: one.at_each(range(1, 9)), [(one,) for one in rotations])

    for one in rotations:
        assert {"rename", "open", "pwrite" if one.way.stamped else "splice"} <= set(one.calls)


# One of the two, or both, in any order

KINDS = (
    ("supervisor",),
    ("keeper",),
    ("keeper", "supervisor"),
    ("supervisor", "keeper"),
    ("supervisor", "supervisor"),
    ("keeper", "keeper"),
    ("supervisor", "keeper", "supervisor"),
    ("keeper", "supervisor", "keeper"),
)


def kill(home: Kept, whom: str) -> None:
    """Kill the one that is there, or that comes next."""

    def is_killed() -> bool:
        keeper, supervisor = home.processes()
        pid = keeper if whom == "keeper" else supervisor
        with suppress(ProcessLookupError):
            if pid:
                os.kill(pid, signal.SIGKILL)
                return True
        # Both are dead: nobody is left to be killed.
        return not keeper and not supervisor

    wait_for(is_killed, DEADLINE, f"a {whom} to be killed")


def test_whoever_is_killed_the_daemons_run_on_and_are_taken_back(tmp_path: Path) -> None:
    home = Kept(tmp_path / "home")
    home.open()
    define_writer(home, "plain", pause=0.002)
    define_writer(home, "stamped", pause=0.002, stamped=True)
    home.define("family", "sh", "-c", "setsid sleep 1000 & exec sleep 1000", nice=1)
    home.define("stopped", "sleep", "1000")
    assert home.call("Stop", names=["stopped"])["outcomes"][0]["ok"]
    statuses, daemons = home.statuses(), home.daemons()
    assert len(daemons) == 4

    for kind in KINDS:
        before = home.processes()
        for whom in kind:
            kill(home, whom)

        by_command = len(kind) > 1
        wait_for(lambda: is_back(home, before, by_command=by_command), DEADLINE, f"both are back: {kind}")  # noqa: B023
        assert home.statuses() == statuses, kind
        assert home.daemons() == daemons, kind

    home.shut_down()
    assert not home.daemons()
    for name in ("plain", "stamped"):
        lines, repeated = check_lines(home, name, stamped=name == "stamped")
        assert lines > 100
        assert repeated <= sum(map(len, KINDS))


@pytest.mark.parametrize("whom", ["supervisor", "keeper"])
def test_either_is_back_within_a_second_without_anybodys_command(tmp_path: Path, whom: str) -> None:
    home = Kept(tmp_path / "home")
    home.open()
    define_writer(home, "writer", pause=0.01)
    took = []
    for _ in range(2):
        wait_seconds(HEALTHY_AFTER + 0.1)
        before = home.processes()
        begun = time.monotonic()
        kill(home, whom)
        wait_for(lambda before=before: is_back(home, before), DEADLINE, "both are back")  # type: ignore[misc]
        took.append(time.monotonic() - begun)
    print(whom, took)
    # A machine under load may be slow once.
    assert min(took) < 1.0


def is_back(home: Kept, before: tuple[int, int] = (0, 0), *, by_command: bool = False) -> bool:
    """Whether there are a keeper and a supervisor other than before that know of each other."""
    if by_command:
        # Where both are dead, somebody has to start them.
        home.open()
    about = home.call_once("About")
    return about is not None and about["pid"] != before[1] and home.processes() == (about["keeper"], about["pid"])


# A daemon that dies while nobody is there

MORTAL = "while [ ! -e die ]; do sleep 0.01; done; exit 7"


class Mortal:
    """A daemon that ends with exit status 7 when it is told to; it is not restarted."""

    def __init__(self, home: Kept, **keys: Any) -> None:
        self.home = home
        home.open()
        self.pid = home.define(
            "mortal", "sh", "-c", MORTAL, **{"directory": str(home.home), "restart": "never", **keys}
        )
        self.since = home.status("mortal")["since"]

    def die(self) -> None:
        """Let it die, and wait for that."""
        (self.home.home / "die").touch()
        observe.wait_until_gone(self.pid)

    def ended(self) -> dict[str, Any]:
        """Its status when its end is known."""
        return self.home.wait_until("mortal", lambda one: one["state"] in ("exited", "failed"), "has ended")


def test_the_keeper_tells_how_a_daemon_ended_while_there_was_no_supervisor(tmp_path: Path) -> None:
    mortal = Mortal(home := Kept(tmp_path / "home"))
    keeper, supervisor = home.processes()
    # Stopped, it starts no other one.
    os.kill(keeper, signal.SIGSTOP)
    os.kill(supervisor, signal.SIGKILL)
    observe.wait_until_gone(supervisor)

    mortal.die()
    os.kill(keeper, signal.SIGCONT)

    assert mortal.ended()["ending_status"] == 7


def test_the_supervisor_in_the_keepers_place_tells_how_a_daemon_ended_meanwhile(tmp_path: Path) -> None:
    mortal = Mortal(home := Kept(tmp_path / "home"))
    keeper, supervisor = home.processes()
    os.kill(supervisor, signal.SIGSTOP)
    os.kill(keeper, signal.SIGKILL)
    observe.wait_until_gone(keeper)

    mortal.die()
    os.kill(supervisor, signal.SIGCONT)

    assert mortal.ended()["ending_status"] == 7


def kill_both(home: Kept) -> None:
    both = home.processes()
    for pid in both:
        os.kill(pid, signal.SIGSTOP)
    for pid in both:
        os.kill(pid, signal.SIGKILL)
    for pid in both:
        observe.wait_until_gone(pid)
        reap([pid])


def test_a_zombie_tells_how_it_ended_while_both_were_dead(tmp_path: Path) -> None:
    mortal = Mortal(home := Kept(tmp_path / "home"))
    kill_both(home)

    mortal.die()
    home.open()

    assert mortal.ended()["ending_status"] == 7


def test_nobody_tells_how_one_ended_that_was_reaped_while_both_were_dead(tmp_path: Path) -> None:
    mortal = Mortal(home := Kept(tmp_path / "home"))
    kill_both(home)

    mortal.die()
    reap([mortal.pid])
    home.open()

    found = mortal.ended()
    assert "ending_status" not in found
    assert "unknown" in found["ending"]


@pytest.mark.parametrize("is_reaped", [False, True], ids=["zombie", "reaped"])
def test_how_one_ends_that_was_taken_back_when_both_had_been_killed(tmp_path: Path, is_reaped: bool) -> None:
    mortal = Mortal(home := Kept(tmp_path / "home"))
    kill_both(home)
    home.open()
    assert home.status("mortal")["pid"] == mortal.pid

    mortal.die()
    if is_reaped:
        reap([mortal.pid])

    found = mortal.ended()
    # The status of one that is reaped at once is told by its pidfd, from Linux 6.15 on.
    assert found.get("ending_status", 7 if is_reaped else None) == 7


@pytest.mark.parametrize("policy", ["always", "on-failure", "never"])
def test_one_that_died_meanwhile_is_treated_by_its_policy(tmp_path: Path, policy: str) -> None:
    mortal = Mortal(home := Kept(tmp_path / "home"), restart=policy)
    kill_both(home)

    mortal.die()
    (home.home / "die").unlink()
    home.open()

    if policy == "never":
        assert mortal.ended()["restarts"] == 0
        return
    found = home.wait_until("mortal", lambda one: one["state"] == "running", "runs again")
    assert found["pid"] != mortal.pid
    assert (found["restarts"], found["ending_status"]) == (1, 7)


def test_a_restart_does_not_wait_for_a_status_that_nobody_knows(
    monkeypatch: pytest.MonkeyPatch, reaper: Reaper
) -> None:
    monkeypatch.setattr(pidfds, "zombie_status", lambda _pid: None)
    monkeypatch.setattr(pidfds, "exit_status", lambda _pidfd: None)
    # Not our own child.
    shell = reaper.start(["sh", "-c", "sleep 1000; sleep 1000"])
    (pid,) = wait_for(lambda: observe.children(shell.pid), DEADLINE, "a grandchild")
    process = ProcessId(pid=pid, start_time=observe.start_time(pid))
    deaths = Deaths(Silent())  # type: ignore[arg-type]
    deaths.watch(process)
    os.kill(pid, signal.SIGKILL)
    observe.wait_until_gone(pid)
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)

    deaths.is_dying(process)
    assert list(deaths.poll()) == []
    now += 0.0499
    assert list(deaths.poll()) == []
    now += 0.0002
    assert list(deaths.poll()) == [Ended(process=process, status=None)]
    deaths.close()


class Silent:
    """A keeper that tells nothing."""

    def receive(self) -> list[Ended]:
        return []


# At random, under load

KILLS = 100 if os.environ.get("HYPOTHESIS_PROFILE") == "fuzz" else 25


@pytest.mark.fuzz
@pytest.mark.timeout(600)
def test_random_kills_under_load_lose_double_and_tear_no_line(tmp_path: Path) -> None:
    home = Kept(tmp_path / "home")
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    home.open()
    for number in range(3):
        define_writer(home, f"plain{number}", pause=0.0005)
        define_writer(home, f"stamped{number}", pause=0.0005, stamped=True)
    before, daemons = home.statuses(), home.daemons()

    for _ in range(KILLS):
        for whom in chance.choice(KINDS):
            kill(home, whom)
            wait_seconds(chance.choice((0, 0, chance.random() * 0.3)))
        if not any(home.processes()):
            home.open()
        wait_seconds(chance.random() * 0.5)

    wait_for(lambda: is_back(home, by_command=True), DEADLINE, "both are back")
    try:
        assert home.statuses() == before
        assert home.daemons() == daemons
        home.shut_down()
        for name in before:
            lines, repeated = check_lines(home, name, stamped=name.startswith("stamped"))
            assert lines > 1000
            assert repeated <= KILLS * 3
            print(name, lines, repeated)
    except AssertionError as error:
        raise AssertionError(f"{error}\nseed {seed}\n{home.log('numen')[-3000:]}") from error


# At rest

MANY = 100


def test_with_nothing_due_nobody_wakes_and_a_daemon_costs_three_descriptors(tmp_path: Path) -> None:
    home = Kept(tmp_path / "home")
    home.open()
    without = cost_of(home.processes())
    write_definitions(home, MANY)
    outcomes = home.call("Start", names=["many-*"])["outcomes"]
    assert len(outcomes) == MANY
    assert all(one["ok"] for one in outcomes)
    # They are healthy after a second; then nothing is due for a minute.
    wait_seconds(2)
    both = home.processes()
    before = [switches(pid) for pid in both]

    wait_seconds(3)

    assert [switches(pid) for pid in both] == before
    wait_for(lambda: cost_of(both) - without <= 3 * MANY, DEADLINE, "three descriptors a daemon at most")
    # What tells of readiness is closed when it has.
    before_web = cost_of(both)
    home.define("web", *WEB, ready="fd:3")
    wait_for(lambda: cost_of(both) - before_web <= 3, DEADLINE, "no descriptor more")
    home.shut_down()


def write_definitions(home: Kept, count: int) -> None:
    for number in range(count):
        path = home.definitions / f"many-{number}.toml"
        path.write_text(f'command = ["{shutil.which("sleep")}", "1000"]\n')
        path.chmod(0o600)


def switches(pid: int) -> dict[str, int]:
    """How often each thread of a process has gone to sleep of itself (proc_pid_status(5))."""
    found = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        (line,) = (one for one in (task / "status").read_text().splitlines() if one.startswith("voluntary"))
        found[task.name] = int(line.split()[1])
    return found


def cost_of(pids: Iterable[int]) -> int:
    """How many descriptors they have open."""
    return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in pids)
