"""The methods of io.numen.Supervisor over a real supervisor, met by numen's own client and by the stock one of PyPI."""

import importlib
import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from keeping import (
    DEADLINE,
    about,
    definition,
    facts,
    kill_supervisor,
    log,
    numen,
    pid_of,
    start,
    wait_for_line,
    wait_until,
)
from numen.settings import places
from processes import run_numen, wait_for

varlink: Any = importlib.import_module("varlink")

NAME = "io.numen.Supervisor"


@pytest.fixture(autouse=True)
def supervisor() -> Iterator[None]:
    """One that runs, and is ended with all that it has started."""
    numen("supervisor")
    yield
    assert run_numen("shutdown", "--quiet").returncode == 0


@contextmanager
def stock() -> Iterator[Any]:
    """The `varlink` package of PyPI, connected."""
    with varlink.Client(f"unix:{places.control_path()}") as client, client.open(NAME) as connection:
        yield connection


def table(*command: str, **keys: Any) -> dict[str, Any]:
    """A definition as in a file."""
    return {"command": list(command or ("/bin/sleep", "1000")), "directory": "/", "environment": {}, **keys}


# The stock client


def test_the_stock_client_defines_lists_and_stops() -> None:
    with stock() as connection:
        (outcome,) = connection.Define("web", table())["outcomes"]
        assert outcome["ok"]
        assert outcome["daemon"]["state"] == "running"
        assert [one["name"] for one in connection.Status([])["daemons"]] == ["web"]
        told = connection.Describe("web")
        assert told["definition"]["command"] == ["/bin/sleep", "1000"]
        assert told["processes"] == [outcome["daemon"]["pid"]]
        (stopped,) = connection.Stop(["w*"])["outcomes"]
        assert (stopped["ok"], stopped["daemon"]["state"]) == (True, "stopped")
        (started,) = connection.Start(["web"])["outcomes"]
        assert started["daemon"]["pid"] == pid_of("web")
        (told,) = connection.Reload(["web"])["outcomes"]
        assert (told["ok"], told["error"]) == (False, "NotHandled")
        assert connection.Disable(["web"])["outcomes"][0]["ok"]
        assert connection.Remove(["web"])["outcomes"][0]["ok"]
        assert connection.Status([])["daemons"] == []
        assert connection.About()["pid"] == about()["pid"]


def test_the_stock_client_follows_the_status() -> None:
    start("web")
    with stock() as watching:
        replies = watching.Status(["web"], _more=True)
        assert [one["state"] for one in next(replies)["daemons"]] == ["running"]
        numen("stop", "web")
        seen: list[str] = []
        while not seen or seen[-1] != "stopped":
            seen += [one["state"] for one in next(replies)["daemons"]]
        assert seen[-1] == "stopped"


def test_the_stock_client_follows_the_events() -> None:
    with stock() as following:
        replies = following.Events([], True, _more=True)
        assert next(replies)["events"] == []
        start("web")
        seen: list[str] = []
        while "running" not in seen:
            seen += [one["kind"] for one in next(replies)["events"]]
        assert seen[:2] == ["defined", "starting"]


def test_the_stock_client_follows_a_log() -> None:
    start("talk", "sh", "-c", "n=0; while :; do n=$((n + 1)); echo line $n; sleep 0.02; done")
    wait_for_line("talk", "line 3")
    with stock() as following:
        seen: list[str] = []
        replies = following.Logs(["talk"], 2, None, True, _more=True)
        while len(seen) < 10:
            seen += [one["text"] for one in next(replies)["lines"]]
    numbers = [int(line.split()[1]) for line in seen]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def test_the_stock_client_gets_each_outcome_as_it_comes() -> None:
    with stock() as connection:
        connection.Define("quick", table())
        connection.Define("slow", table("/bin/sh", "-c", "trap 'sleep 0.5; exit 0' TERM; while :; do sleep 0.05; done"))
        replies = list(connection.Stop(["quick", "slow"], _more=True))

    assert [[one["name"] for one in reply["outcomes"]] for reply in replies] == [["quick"], ["slow"]]


def error_of(call: Any) -> tuple[str, dict[str, Any]]:
    with pytest.raises(varlink.VarlinkError) as met:
        call()
    name, parameters = met.value.error(), met.value.parameters()
    return str(name), json.loads(json.dumps(parameters, default=vars)) if parameters else {}


def test_the_stock_client_meets_each_declared_error(tmp_path: Path) -> None:
    with stock() as connection:
        for method in (connection.Start, connection.Stop, connection.Restart, connection.Status, connection.Logs):
            assert error_of(lambda method=method: method(["nobody"])) == (f"{NAME}.NoSuchDaemon", {"name": "nobody"})
        assert error_of(lambda: connection.Describe("nobody"))[0] == f"{NAME}.NoSuchDaemon"
        connection.Define("web", table())
        assert error_of(lambda: connection.Define("web", table())) == (f"{NAME}.AlreadyDefined", {"name": "web"})
        name, said = error_of(lambda: connection.Define("bad", {"comand": ["x"], "nice": 99}))
        assert name == f"{NAME}.BadDefinition"
        assert {one["key"] for one in said["mistakes"]} == {"command", "comand", "nice"}
        assert error_of(lambda: connection.Signal(["web"], 99))[0] == f"{NAME}.BadValue"
        assert error_of(lambda: connection.Define("a/b", table()))[0] == f"{NAME}.BadValue"
        Path(places.definitions_directory()).rename(tmp_path / "moved")
        Path(places.definitions_directory()).rmdir()
        Path(os.environ["NUMEN_HOME"], "daemons.d").touch()
        assert error_of(lambda: connection.Define("new", table()))[0] == f"{NAME}.SystemFailed"
        Path(os.environ["NUMEN_HOME"], "daemons.d").unlink()
        (tmp_path / "moved").rename(Path(os.environ["NUMEN_HOME"], "daemons.d"))


def test_while_the_supervisor_ends_orders_meet_that(tmp_path: Path) -> None:
    script = "trap 'while ! test -e go; do sleep 0.01; done; exit 0' TERM; echo here; while :; do sleep 0.02; done"
    start("patient", "sh", "-c", script, options=("--directory", tmp_path))
    wait_for_line("patient", "here")
    with stock() as connection:
        connection.Shutdown(False)
        # The keeper is told first: it must not start another one.
        wait_until("patient", "stopping")
        assert error_of(lambda: connection.Start(["patient"]))[0] == f"{NAME}.Ending"
        assert error_of(lambda: connection.Shutdown(False))[0] == f"{NAME}.Ending"
        (daemon,) = connection.Status(["patient"])["daemons"]
        assert (daemon["state"], daemon["reason"], daemon["wanted"]) == ("stopping", "shutdown", True)
        (tmp_path / "go").touch()


# What each method tells


def raw() -> socket.socket:
    link = socket.socket(socket.AF_UNIX)
    link.connect(places.control_path())
    return link


def ask(method: str, parameters: dict[str, Any], more: bool = False) -> bytes:
    return json.dumps({"method": f"{NAME}.{method}", "parameters": parameters, "more": more}).encode() + b"\0"


def test_each_failure_of_an_outcome_is_met() -> None:
    slowly = {"backoff": {"first": "1h", "longest": "1h"}}
    with stock() as connection:
        (outcome,) = connection.Define("dies", table("/bin/sh", "-c", "echo why; exit 3", **slowly))["outcomes"]
        assert (outcome["error"], outcome["last_lines"]) == ("NotStarted", ["why"])
        assert outcome["daemon"]["ending_status"] == 3
        late = table(ready="notify", ready_timeout="100ms", **slowly)
        (outcome,) = connection.Define("late", late)["outcomes"]
        assert outcome["error"] == "NotReadyInTime"
        (outcome,) = connection.Reload(["late"])["outcomes"]
        assert outcome["error"] == "NotRunning"
        (outcome,) = connection.Signal(["late"], int(signal.SIGHUP))["outcomes"]
        assert outcome["error"] == "NotRunning"
        definition("late").write_text("nonsense")
        for method in (connection.Start, connection.Restart, connection.Enable):
            (outcome,) = method(["late"])["outcomes"]
            assert outcome["error"] == "BadDefinition"
        definition("late").unlink()
        (outcome,) = connection.Start(["late"])["outcomes"]
        assert outcome["error"] == "SystemFailed"
        (outcome,) = connection.Remove(["late"])["outcomes"]
        assert outcome["ok"]


def test_nothing_is_remembered_of_a_daemon_that_is_removed_with_its_file(numen_home: Path) -> None:
    start("web")
    wants = numen_home / "lib" / "wants"
    assert json.loads(wants.read_text()) == {"web": True}

    numen("remove", "web")

    wait_for(lambda: json.loads(wants.read_text()) == {}, DEADLINE, "its being forgotten")


def test_a_definition_that_is_replaced_restarts_what_runs() -> None:
    with stock() as connection:
        connection.Define("web", table())
        before = pid_of("web")
        (outcome,) = connection.Define("web", table("/bin/sleep", "2000"), True)["outcomes"]

    assert outcome["ok"]
    assert pid_of("web") not in (0, before)
    assert "2000" in definition("web").read_text()


def test_who_waits_is_answered_when_it_is_so_and_one_who_has_gone_is_forgotten() -> None:
    start("web")
    numen("stop", "web")
    waiting, gone = raw(), raw()
    for link in (waiting, gone):
        link.sendall(ask("Wait", {"names": ["web"], "for": "running"}))
    gone.close()

    numen("start", "web")

    waiting.settimeout(DEADLINE)
    (outcome,) = json.loads(waiting.recv(65536).rstrip(b"\0"))["parameters"]["outcomes"]
    assert outcome["message"].startswith(f"is up: pid {pid_of('web')} ")
    waiting.close()


def test_a_log_is_told_from_a_time_on() -> None:
    start("talk", "sh", "-c", "echo early; sleep 1.2; echo late; exec sleep 1000", options=("--timestamps",))
    wait_for_line("talk", "late")
    with stock() as connection:
        told = connection.Logs(["talk"], None, facts("talk")["since"] + 0.6)["lines"]
        assert [one["text"] for one in told] == ["late"]
        assert all(abs(one["time"] - time.time()) < DEADLINE for one in told)
        assert [one["text"] for one in connection.Logs(["talk"], 1)["lines"]] == ["late"]


def test_the_events_of_one_daemon_are_told_in_their_order() -> None:
    start("web")
    start("other")
    numen("stop", "web")
    with stock() as connection:
        told = connection.Events(["web"])["events"]

    kinds = [one["kind"] for one in told]
    assert kinds[:2] == ["defined", "starting"]
    assert kinds[-1] == "stopped"
    assert "running" in kinds
    assert {one["name"] for one in told} == {"web"}
    assert [one["time"] for one in told] == sorted(one["time"] for one in told)


# Clients that mean no good, while others are served


def test_clients_that_are_slow_silent_or_malicious_hold_nobody_up() -> None:
    start("flood", "sh", "-c", "while :; do echo a line of some length; done", options=("--log-size", "1M"))
    links = [raw() for _ in range(30)]
    for link in links[:10]:
        link.sendall(ask("Logs", {"names": ["flood"], "follow": True}, more=True))  # and never reads
    for link in links[10:15]:
        link.sendall(ask("Status", {"names": []}, more=True))
    for link in links[15:20]:
        link.sendall(b'{"method": "io.numen.Supervisor.Status", "par')  # and no more
    for link in links[20:25]:
        link.setblocking(False)
        try:
            while True:
                link.send(b"x" * 65536)  # no end of a message
        except OSError:
            pass
    for link in links[25:]:
        link.sendall(b"\0\xff{}[]\0" * 100)

    worst = 0.0
    for _ in range(10):
        before = time.monotonic()
        facts("flood")
        worst = max(worst, time.monotonic() - before)
    assert worst < 5
    pid = start("calm")
    assert pid_of("calm") == pid
    numen("stop", "flood")
    for link in links:
        link.close()
    status = Path(f"/proc/{about()['pid']}/status").read_text()
    peak = int(status.split("VmHWM:")[1].split()[0])
    assert peak < 300_000


def test_followers_are_told_by_the_next_supervisor() -> None:
    start("talk", "sh", "-c", "n=0; while :; do n=$((n + 1)); echo line $n; sleep 0.02; done")
    kill_supervisor()

    with stock() as connection:
        assert connection.Status(["talk"])["daemons"][0]["state"] == "running"
        length = len(log("talk"))
        wait_for(lambda: len(log("talk")) > length, DEADLINE, "more lines")
        assert [one["kind"] for one in connection.Events([])["events"]] == []
