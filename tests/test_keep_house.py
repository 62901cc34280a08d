"""Opening a house, from a launcher's side; and the supervisor's side of the keeper, where no keeper is needed."""

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import observe
from houses import DEADLINE, Straw, house_of_straw
from numen.errors import AlreadyRunning, DiedBeforeReady, NotReadyInTime
from numen.keep import house, keeper
from numen.settings import places
from processes import Reaper, environment, wait_for

OPEN = "import sys; from numen.keep import house; print(house.open_house(sys.argv[1:]))"


@pytest.fixture
def straw(tmp_path: Path, reaper: Reaper) -> Iterator[Straw]:
    """A closed house."""
    with house_of_straw(tmp_path, reaper) as straw:
        yield straw


def test_a_house_is_opened_once_and_then_found_open(straw: Straw) -> None:
    assert not house.is_open()
    assert not house.is_answering()

    assert straw.open()

    assert house.is_open()
    assert house.is_answering()
    assert not straw.open()
    assert straw.starts() == 1


def test_of_fifty_at_once_one_opens_the_house_and_all_find_it_open(straw: Straw) -> None:
    command = [sys.executable, "-c", OPEN, *straw.program]
    launchers = [straw.reaper.start(command, stdout=subprocess.PIPE) for _ in range(50)]

    answers = [launcher.communicate(timeout=DEADLINE * 2)[0].strip() for launcher in launchers]
    straw.track()

    assert sorted(answers) == ["False"] * 49 + ["True"]
    assert straw.starts() == 1


def test_who_comes_while_the_first_one_is_opening_waits_and_takes_over_where_that_fails(straw: Straw) -> None:
    slow, fail = straw.order("slow"), straw.order("fail")
    first = straw.reaper.start([sys.executable, "-c", OPEN, *straw.program], stderr=subprocess.PIPE)
    wait_for(house.is_open, DEADLINE, "the first one's house")
    second = straw.reaper.start([sys.executable, "-c", OPEN, *straw.program], stdout=subprocess.PIPE)
    wait_for(straw.supervisor, DEADLINE, "the start of the first supervisor")
    slow.unlink()

    assert "DiedBeforeReady" in first.communicate(timeout=DEADLINE)[1]
    fail.unlink()
    # The second may have met the refusal itself, when it was quick.
    assert second.communicate(timeout=DEADLINE)[0] in ("True\n", "")
    straw.track()


def test_a_supervisor_that_refuses_to_start_is_told_with_its_words(straw: Straw) -> None:
    straw.order("fail")

    with pytest.raises(DiedBeforeReady, match="exit status 1") as refused:
        straw.open()

    assert refused.value.last_lines == ("refused, as it was told",)
    assert straw.starts() == 1
    wait_for(lambda: not house.is_open(), DEADLINE, "the end of the house")


def test_a_program_that_cannot_be_executed_is_told(straw: Straw) -> None:
    with pytest.raises(DiedBeforeReady, match="exit status 127") as refused:
        house.open_house(("/nowhere/python",), timeout=DEADLINE)

    assert refused.value.last_lines == ("numen keeper: cannot execute /nowhere/python: No such file or directory",)


def test_a_supervisor_that_is_killed_while_it_starts_is_started_again_before_anybody_is_told(straw: Straw) -> None:
    slow = straw.order("slow")
    launcher = straw.reaper.start([sys.executable, "-c", OPEN, *straw.program], stdout=subprocess.PIPE)
    wait_for(straw.supervisor, DEADLINE, "the first supervisor")
    os.kill(straw.supervisor(), signal.SIGKILL)
    slow.unlink()

    assert launcher.communicate(timeout=DEADLINE)[0] == "True\n"
    straw.track()
    assert straw.starts() == 2


def test_a_supervisor_that_is_not_ready_in_time_is_told_and_goes_on(straw: Straw) -> None:
    slow = straw.order("slow")

    with pytest.raises(NotReadyInTime):
        house.open_house(straw.program, timeout=0.3)
    straw.track()
    with pytest.raises(NotReadyInTime):
        house.open_house(straw.program, timeout=0.3)
    slow.unlink()

    assert not straw.open()


def test_in_the_foreground_a_second_keeper_is_refused(straw: Straw) -> None:
    straw.open()

    with pytest.raises(AlreadyRunning) as refused:
        house.foreground(straw.program)

    assert refused.value.pid == straw.keeper()


def test_what_an_earlier_boot_has_left_is_no_hindrance_and_no_ending(straw: Straw, numen_home: Path) -> None:
    place = numen_home / "run"
    (place / "supervisor" / "streams").mkdir(parents=True)
    (place / "keeper.lock").write_text("4242      \n")
    (place / "supervisor" / "streams" / "numen.out").write_text("no FIFO")
    (place / "supervisor" / "control").write_text("no socket")
    here = keeper.epoch().decode()
    (place / "endings").write_text(f"11 12 0 other-boot:1\n\n13 14 -9 {here}\n15 16 1{here[:9]}\n17 18 1 {here[:-1]}")

    assert straw.open()

    assert straw.ask("endings(keeper.endings())") == [(13, 14, -9)]


def test_everything_of_the_house_is_closed_to_others(straw: Straw, numen_home: Path) -> None:
    (numen_home / "run").mkdir(mode=0o755)
    straw.open()

    def mode(*names: str) -> int:
        return stat.S_IMODE(numen_home.joinpath("run", *names).stat().st_mode)

    assert mode("supervisor") == mode("supervisor", "streams") == 0o700
    assert (mode("keeper.lock"), mode("endings"), mode("supervisor", "streams", "numen.out")) == (0o600, 0o600, 0o600)


def test_of_the_environment_only_what_is_needed_goes_on(straw: Straw) -> None:
    secrets = {"SSH_AUTH_SOCK": "x", "DBUS_SESSION_BUS_ADDRESS": "x", "API_TOKEN": "x", "NOTIFY_SOCKET": "/x"}
    wanted = {"LC_TIME": "C", "TZ": "UTC", "XDG_STATE_HOME": "/x/state", "LANG": "C.UTF-8"}
    command = [sys.executable, "-c", OPEN, *straw.program]
    subprocess.run(command, env=environment({**secrets, **wanted, "XDG_SESSION_ID": "5"}), check=True)
    straw.track()

    for pid in (straw.keeper(), straw.supervisor()):
        variables = observe.look(pid).environ
        assert not {*secrets, "XDG_SESSION_ID"} & set(variables)
        assert wanted.items() <= variables.items()
        assert variables["PATH"] == os.environ["PATH"]


def test_a_relative_home_is_made_absolute_before_the_directory_is_left(
    straw: Straw, monkeypatch: pytest.MonkeyPatch, numen_home: Path
) -> None:
    monkeypatch.chdir(numen_home.parent)
    monkeypatch.setenv("NUMEN_HOME", "numen")

    straw.open()

    assert observe.look(straw.supervisor()).environ["NUMEN_HOME"] == str(numen_home)
    monkeypatch.setenv("NUMEN_HOME", str(numen_home))


def test_a_path_that_is_too_long_for_a_socket_is_reached(
    straw: Straw, monkeypatch: pytest.MonkeyPatch, numen_home: Path
) -> None:
    monkeypatch.setenv("NUMEN_HOME", str(numen_home / ("long" * 30)))
    path = Path(places.control_path())
    assert not house.is_answering()
    bind = (
        f"import os, socket, sys; os.chdir({str(path.parent)!r}); s = socket.socket(1); s.bind('control'); s.listen()"
    )
    listener = straw.reaper.start([sys.executable, "-c", f"{bind}; print(flush=True); sys.stdin.read()"], **PIPES)
    assert listener.stdout is not None
    listener.stdout.readline()

    assert house.is_answering()


PIPES = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}


def test_a_supervisor_without_a_keeper_says_so(straw: Straw) -> None:
    done = subprocess.run(straw.program, capture_output=True, text=True, check=False)

    assert "cannot supervise without a keeper" in done.stderr


def test_a_supervisor_that_cannot_become_the_keeper_goes_on_without_spinning(straw: Straw) -> None:
    straw.open()
    straw.ask("globals().update(become=house.become_keeper, tries=[])")
    straw.ask("setattr(house, 'become_keeper', lambda held: (tries.append(1), setattr(keeper, 'has_died', False)))")
    straw.ask("[keeper.hold(server.fileno()) for _ in range(3)]")

    os.kill(straw.keeper(), signal.SIGKILL)
    wait_for(lambda: straw.ask("len(tries)"), DEADLINE, "the try")

    # It turns when it is asked, and not because the dead keeper's end is there to be read.
    assert straw.ask("len(tries)") <= 2
    assert straw.ask("keeper.forget()") is None
    os.kill(straw.supervisor(), signal.SIGKILL)
