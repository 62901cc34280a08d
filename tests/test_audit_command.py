"""`numen audit`: real processes are audited as a person or a program asks."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import detaching
import observe
from detaching import DEADLINE, SLEEPER, python
from numen.check.audit import Audit
from numen.check.verdict import FAULT, NOT_APPLICABLE, OK, RULES, STEPS, UNKNOWN, WARNING, Finding
from numen.cli.audit import exit_status
from processes import Reaper, Terminal, numen_command, run_numen, wait_for


def audit(*arguments: str | int | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    return run_numen("audit", *map(str, arguments), **options)


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][:1]


@pytest.fixture
def proper(reaper: Reaper) -> int:
    """A daemon as numen detaches it, with the name `web`."""
    return detaching.sleeper(reaper, "--name", "web").pid


@pytest.fixture
def faulty(reaper: Reaper) -> int:
    """A daemon that ignores SIGTERM."""
    script = 'trap "" TERM; exec sleep 1000'
    pid = detaching.start(reaper, "--name", "deaf", "--", "sh", "-c", script)
    wait_for(lambda: Path(f"/proc/{pid}/comm").read_text() == "sleep\n", DEADLINE, "the second exec")
    return pid


# What it says


def test_what_numen_detaches_is_a_proper_daemon(proper: int) -> None:
    done = audit(proper, "--fail-on", "warning")

    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert done.stdout.startswith(f"sleep: pid {proper}\n  command     sleep 1000\n")
    assert "0 faults, 0 warnings" in done.stdout
    for step, title in STEPS.items():
        assert f"{step if step.isdigit() else '-'}  {title}\n" in done.stdout


def test_a_fault_is_told_with_its_reason_and_remedy(faulty: int) -> None:
    done = audit(faulty)

    assert done.returncode == 13
    (_, _, after) = done.stdout.partition(f"   FAULT    {RULES['ends-at-sigterm'].title}")
    assert [line.split()[0] for line in after.splitlines()[1:3]] == ["why:", "do:"]


@pytest.mark.parametrize(("fail_on", "status"), [("fault", 13), ("warning", 13), ("unknown", 13), ("never", 0)])
def test_fail_on_chooses_from_which_verdict_on_it_fails(faulty: int, fail_on: str, status: int) -> None:
    assert audit("--fail-on", fail_on, faulty).returncode == status


@pytest.mark.parametrize(
    ("worst", "statuses"),
    [
        (FAULT, (13, 13, 13, 0)),
        (WARNING, (0, 12, 12, 0)),
        (UNKNOWN, (0, 0, 11, 0)),
        (NOT_APPLICABLE, (0, 0, 0, 0)),
        (OK, (0, 0, 0, 0)),
    ],
)
def test_the_exit_status_is_that_of_the_worst_verdict(worst: str, statuses: tuple[int, ...]) -> None:
    from numen.check.audit import audit as audit_of

    rule = next(iter(RULES.values()))
    findings = tuple(Finding(rule=rule, verdict=verdict, evidence="") for verdict in (OK, worst, NOT_APPLICABLE))
    audits = [Audit(facts=audit_of(os.getpid()).facts, findings=findings)]

    assert tuple(exit_status(audits, word) for word in ("fault", "warning", "unknown", "never")) == statuses
    assert exit_status(audits) == exit_status(audits, "warning")
    assert exit_status([]) == 0


def test_a_name_in_which_a_terminal_is_controlled_is_shown_with_escapes(reaper: Reaper, tmp_path: Path) -> None:
    snippet = """
        import pathlib, sys
        pathlib.Path("/proc/self/comm").write_bytes(b"\\x1b[2J")
        pathlib.Path(sys.argv[1]).touch()
        sys.stdin.read()
    """
    pid = reaper.start(python(snippet, tmp_path / "up"), stdin=subprocess.PIPE).pid
    wait_for((tmp_path / "up").exists, DEADLINE, "the new name")

    done = audit(pid)
    assert done.stdout.startswith(f"\\x1b[2J: pid {pid}\n")
    assert "\x1b" not in done.stdout


def test_threads_are_counted(reaper: Reaper, tmp_path: Path) -> None:
    snippet = """
        import pathlib, sys, threading
        threading.Thread(target=threading.Event().wait).start()
        pathlib.Path(sys.argv[1]).touch()
    """
    pid = reaper.start(python(snippet, tmp_path / "up")).pid
    wait_for((tmp_path / "up").exists, DEADLINE, "the second thread")

    assert "\n  threads     2\n" in audit(pid).stdout


@pytest.mark.needs_root
def test_a_pid_namespace_and_the_pid_inside_are_told(reaper: Reaper, tmp_path: Path) -> None:
    script = f"touch {tmp_path}/up; exec sleep 1000"
    outer = reaper.start(["unshare", "--pid", "--fork", "--kill-child", "sh", "-c", script]).pid
    wait_for((tmp_path / "up").exists, DEADLINE, "the first process of the namespace")
    (inner,) = observe.descendants(outer)

    done = audit(inner)
    assert "\n  namespaces  its own: pid, pid 1 there\n" in done.stdout
    assert "\n  style       a new-style daemon: it is the first process of its " in done.stdout


# Whom it is of


@pytest.mark.parametrize("order", [("web", "--json"), ("--json", "web"), ("--json", "--", "web")])
def test_a_name_and_options_stand_in_any_order(proper: int, order: tuple[str, ...]) -> None:
    told = json.loads(audit(*order).stdout)

    assert told["audits"][0]["process"]["pid"] == proper
    assert told["audits"][0]["process"]["pidfiles"] == [str(detaching.named("web"))]


def test_a_pidfile_names_it_and_is_audited(reaper: Reaper, public_path: Path) -> None:
    pidfile = public_path / "other.pid"
    pid = detaching.start(reaper, "--", *SLEEPER)
    pidfile.write_text(f"{pid}\n")
    pidfile.chmod(0o666)

    told = json.loads(audit("--json", "--pidfile", pidfile).stdout)
    assert told["audits"][0]["process"]["pid"] == pid
    assert {one["rule"]: one["verdict"] for one in told["audits"][0]["findings"]}["pidfile-safe"] == FAULT


def test_a_port_leads_to_its_listener(reaper: Reaper) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        told = json.loads(audit("--json", "--port", listener.getsockname()[1]).stdout)

    assert told["audits"][0]["process"]["pid"] == os.getpid()


def test_all_has_every_daemon_and_not_who_asks(proper: int, faulty: int) -> None:
    done = audit("--all")

    assert done.returncode == 13
    heading, *rows = done.stdout.split("\n\n")[0].splitlines()
    assert heading.split()[:6] == ["PID", "NAME", "USER", "VERDICT", "FAULTS", "WARNINGS"]
    pids = [int(row.split()[0]) for row in rows]
    assert {proper, faulty} <= set(pids)
    assert os.getpid() not in pids
    assert pids.index(faulty) < pids.index(proper)
    assert f"{len(pids)} daemons, by the worst of each: " in done.stdout
    assert done.stderr == ""


def test_all_says_how_far_it_has_come_on_a_terminal(proper: int) -> None:
    with Terminal([numen_command(), "audit", "--all"], env={"TERM": "xterm"}) as terminal:
        done = terminal.finish()

    assert "auditing 0 of " in done.stdout


def test_all_as_sarif_is_one_run(proper: int, faulty: int) -> None:
    document = json.loads(audit("--all", "--sarif").stdout)

    (run,) = document["runs"]
    names = {one["locations"][0]["logicalLocations"][0]["fullyQualifiedName"] for one in run["results"]}
    assert {f"sleep[{proper}]", f"sleep[{faulty}]"} <= names


# Errors


def test_a_zombie_is_told_as_such(reaper: Reaper) -> None:
    pid = reaper.start(["true"]).pid
    wait_for(lambda: state_of(pid) == "Z", DEADLINE, "the zombie")

    done = audit(pid)
    assert done.returncode == 7
    assert f"pid {pid} (true): it is a zombie, which its parent, pid {os.getpid()}, has not reaped" in done.stderr


def test_a_pid_of_nobody_is_not_running() -> None:
    done = audit(2**22 - 1)

    assert (done.returncode, done.stdout) == (7, "")
    assert "there is no such process" in done.stderr


def test_a_unit_of_nobody_is_unusable() -> None:
    done = audit("--unit", "numen-no-such-unit")

    assert done.returncode == 6
    assert "numen-no-such-unit.service" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "whom?"),
        (("1", "2"), "do not go together"),
        (("1", "--all"), "do not go together"),
        (("--port", "80", "--unit", "web"), "do not go together"),
        (("1", "--json", "--sarif"), "do not go together"),
        (("1", "--explain", "2"), "stands alone"),
        (("--explain", "9"), "no step and no rule"),
        (("1", "--fail-on", "ok"), "none of fault, warning, unknown, never"),
        (("1", "--color", "red"), "none of auto, always, never"),
        (("--port", "0"), "no whole number"),
        (("1", "--loud"), "--loud"),
    ],
)
def test_what_makes_no_sense_is_a_bad_option(arguments: tuple[str, ...], words: str) -> None:
    done = audit(*arguments)

    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert "Traceback" not in done.stderr


# Colours


def on_terminal(*arguments: str | int, **env: str | None) -> str:
    changes = {"TERM": "xterm", "NO_COLOR": None, "COLUMNS": "90", **env}
    with Terminal([numen_command(), "audit", *map(str, arguments)], env=changes) as terminal:
        return terminal.finish().stdout


def test_a_terminal_gets_colours_and_a_pipe_does_not(proper: int) -> None:
    assert "\x1b[" in on_terminal(proper)
    assert "\x1b[" not in audit(proper).stdout


@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_a_terminal_gets_no_colours_where_none_are_wanted(proper: int, env: dict[str, str]) -> None:
    text = on_terminal(proper, **env)

    assert "\x1b[" not in text
    assert "its launcher is gone" in text
    assert max(map(len, text.splitlines())) < 90


def test_color_is_stronger_than_its_surroundings(proper: int) -> None:
    assert "\x1b[" in audit(proper, "--color", "always", env={"NO_COLOR": "1"}).stdout
    assert "\x1b[" in on_terminal(proper, "--color", "always", NO_COLOR="1")
    assert "\x1b[" not in on_terminal(proper, "--color=never")


def test_nothing_waits_for_rich_but_a_terminal(proper: int) -> None:
    snippet = """
        import sys
        from numen.cli.main import main
        status = main(["audit", sys.argv[1]])
        print("rich" in sys.modules, status)
    """
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(line.strip() for line in snippet.splitlines()), str(proper)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stdout.splitlines()[-1] == "False 0", done.stderr


# Teaching


@pytest.mark.parametrize("step", STEPS)
def test_every_step_is_taught_with_its_rules(step: str) -> None:
    done = audit("--explain", step)

    assert (done.returncode, done.stderr) == (0, "")
    assert STEPS[step] in done.stdout.splitlines()[0]
    for heading in ("What it is", "Why", "With numen", "By hand in C", "By hand in a shell", "Where the audit looks"):
        assert f"\n\n{heading}\n  " in done.stdout
    for rule in RULES.values():
        assert (rule.step != step) or f"  {rule.name} " in done.stdout


def test_every_rule_is_taught() -> None:
    from numen.check.lessons import explain

    for rule in RULES.values():
        text = explain(rule.name)
        assert text.startswith(f"{rule.name}: {rule.title}\n")
        assert rule.why in text
        assert rule.remedy in text
        assert explain(STEPS[rule.step]) == explain(rule.step)
