"""What is known of a definition beforehand: nothing is written, and nothing that runs is stopped, for one in vain."""

import os
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from keeping import (
    SLEEPER,
    definition,
    numen,
    pid_of,
    python,
    start,
    states,
    wait_for_line,
    wait_until,
)
from numen.errors import NoPermission, Unusable
from numen.keep.definitions import fitness
from numen.keep.definitions.definition import Definition
from numen.kernel import proc
from processes import run_numen


@pytest.fixture(autouse=True)
def supervisor_ended() -> Iterator[None]:
    """Whatever a test has started ends with it."""
    yield
    assert run_numen("shutdown", "--quiet").returncode == 0


BEYOND = str(2**40)

USELESS = [
    ("--user", "nosuchuser"),
    ("--group", "nosuchgroup"),
    ("--directory", "/no/such/place"),
    ("--directory", "/dev/null"),
    ("--affinity", "8000"),
    ("--env-file", "/no/such/file"),
    ("--limit", f"open-files={BEYOND}"),
]


@pytest.mark.parametrize("options", USELESS, ids=" ".join)
def test_what_cannot_be_used_defines_nothing(options: tuple[str, str]) -> None:
    said = numen("start", "--name", "one", *options, "--", *SLEEPER, status=6)

    assert said.startswith("numen start: cannot ")
    assert said.count("\n") == 1
    assert not definition("one").exists()
    assert states() == {}


@pytest.mark.parametrize("options", USELESS, ids=" ".join)
def test_what_cannot_be_used_replaces_nothing(options: tuple[str, str]) -> None:
    pid = start("one")
    text = definition("one").read_text()

    numen("start", "--name", "one", "--replace", *options, "--", *SLEEPER, status=6)

    assert pid_of("one") == pid
    assert definition("one").read_text() == text


def test_an_environment_file_with_a_mistake_is_told_with_its_line(tmp_path: Path) -> None:
    file = tmp_path / "variables"
    file.write_text("COLOUR=red\nno variable\n")

    assert f"{file}:2: " in numen("start", "--name", "one", "--env-file", file, "--", *SLEEPER, status=6)
    assert not definition("one").exists()


def test_what_runs_is_not_stopped_for_a_file_that_cannot_be_carried_out() -> None:
    pid = start("one")
    text = definition("one").read_text()
    definition("one").write_text(f'user = "nosuchuser"\n{text}')

    assert "'nosuchuser'" in numen("restart", "one", status=6)

    assert pid_of("one") == pid
    definition("one").write_text(text)
    numen("restart", "one")
    assert pid_of("one") not in (0, pid)


# What only some may do


@pytest.fixture
def powerless(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if this were a process of a user's, without capabilities."""
    monkeypatch.setattr(proc, "status_field", lambda _name: "0")
    monkeypatch.setattr(os, "geteuid", lambda: 12345)


def definition_of(**keys: object) -> Definition:
    return Definition(command=("/bin/sleep", "1000"), **keys)  # type: ignore[arg-type]


@pytest.mark.usefixtures("powerless")
@pytest.mark.parametrize(
    "keys",
    [
        {"user": "root", "group": "daemon"},
        {"nice": -5},
        {"oom_score": -1000},
        {"capabilities": ("net_bind_service",)},
    ],
    ids=str,
)
def test_what_is_not_permitted_is_told_as_that(keys: dict[str, object]) -> None:
    with pytest.raises(NoPermission, match="cannot "):
        fitness.check_fit(definition_of(**keys))


@pytest.mark.usefixtures("powerless")
def test_a_hard_limit_is_not_raised_without_a_privilege(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _number: (100, 200))

    fitness.check_fit(definition_of(limits={"processes": (100, 200)}))
    for limit in ((100, 201), (100, -1)):
        with pytest.raises(NoPermission, match="the hard limit is 200"):
            fitness.check_fit(definition_of(limits={"processes": limit}))


@pytest.mark.usefixtures("powerless")
def test_who_may_lower_the_nice_value_by_a_limit_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _number: (25, 25))

    fitness.check_fit(definition_of(nice=-5))
    with pytest.raises(NoPermission):
        fitness.check_fit(definition_of(nice=-6))


@pytest.mark.parametrize(
    "make",
    [lambda path: path.mkdir(), lambda _path: None, lambda path: path.write_text("")],
    ids=["directory", "missing", "no permission"],
)
def test_a_program_that_cannot_be_executed_is_told(tmp_path: Path, make: Callable[[Path], object]) -> None:
    program = tmp_path / "program"
    make(program)

    with pytest.raises(Unusable, match="cannot execute "):
        fitness.check_fit(definition_of().replace(command=(str(program),)))


def test_a_check_leaves_the_processors_of_its_thread_as_they_were() -> None:
    before = os.sched_getaffinity(0)

    fitness.check_fit(definition_of(affinity=(min(before),)))

    assert os.sched_getaffinity(0) == before


@pytest.mark.needs_root
def test_root_may_do_what_the_system_lets_it() -> None:
    fitness.check_fit(definition_of(user="nobody", nice=-5, capabilities=("net_bind_service",)))


# Reload


def test_a_program_that_a_reload_would_end_is_not_sent_the_signal() -> None:
    pid = start("one")

    said = numen("reload", "one", status=10)

    assert said == "numen reload: one does not handle SIGHUP, which would end it; numen restart one starts it again\n"
    assert pid_of("one") == pid


@pytest.mark.parametrize(
    "how",
    [
        "signal.signal(signal.SIGHUP, lambda *_: say('told'))",
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)",
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP])",
    ],
    ids=["caught", "ignored", "blocked"],
)
def test_one_that_deals_with_the_signal_is_sent_it(how: str) -> None:
    pid = start("one", *python(f"{how}\nsay('here')\nwhile True: time.sleep(0.01)"))
    wait_for_line("one", "here")

    assert numen("reload", "one") == "one was told to reload\n"

    assert pid_of("one") == pid
    if "told" in how:
        wait_for_line("one", "told")


def test_a_signal_that_does_no_harm_is_sent_to_anybody() -> None:
    pid = start("one", options=("--reload", "WINCH"))

    assert numen("reload", "one") == "one was told to reload\n"
    assert pid_of("one") == pid


def test_what_somebody_does_without_changing_a_state_is_an_event() -> None:
    start("one", options=("--reload", "WINCH"))
    numen("reload", "one")
    numen("signal", "CONT", "one")
    numen("disable", "one")
    numen("enable", "one")

    told = [line.split(maxsplit=4)[3:] for line in numen("events", "one").splitlines()]

    messages = dict(told)
    kinds = [kind for kind, _ in told]
    assert kinds == ["defined", "starting", "running", "reloaded", "signalled", "disabled", "enabled"]
    assert messages["signalled"].startswith("sent SIGCONT by ")
    assert all("pid" in message for _, message in told)


# Files that cannot be used


def spoil(name: str) -> Path:
    path = definition(name)
    path.write_text('comand = ["/bin/sleep"]\nnice = 99\n')
    path.chmod(0o600)
    return path


def test_a_file_with_mistakes_is_told_by_status_and_can_be_removed() -> None:
    start("good")
    path = spoil("bad")

    done = run_numen("status")
    assert done.returncode == 1
    (row,) = [line for line in done.stdout.splitlines() if line.startswith("bad ")]
    assert row.split()[1] == "unusable"
    assert row.endswith(f"3 mistakes in {path}")
    assert run_numen("status", "bad").returncode == 1
    assert run_numen("status", "--quiet", "b*").returncode == 1
    assert run_numen("status", "good").returncode == 0
    assert "comand: there is no such key; did you mean command?" in numen("describe", "bad", status=2)
    assert numen("remove", "bad").startswith("bad is removed")
    assert not path.exists()
    assert numen("status", "bad", status=4)
    assert states() == {"good": "running"}


def test_a_start_of_the_supervisor_tells_of_files_that_it_cannot_use() -> None:
    start("good")
    numen("shutdown", "--quiet")
    path = spoil("bad")

    done = run_numen("supervisor")

    assert done.returncode == 0
    assert done.stderr == f"bad cannot be used: 3 mistakes in {path}\n"
    wait_until("good", "running")


def test_a_file_that_another_can_write_is_told_in_words() -> None:
    start("good")
    path = definition("open")
    path.write_text('command = ["/bin/sleep", "1000"]\n')
    path.chmod(0o666)

    assert states() == {"good": "running", "open": "unusable"}
    assert "others than its owner can change" in numen("describe", "open", status=6)


def test_a_file_is_removed_though_no_name_of_a_daemon_is_its_own() -> None:
    start("good")
    path = definition("good").with_name("no name.toml")
    path.write_text("")

    assert numen("remove", "no name").startswith("no name is removed")
    assert not path.exists()
