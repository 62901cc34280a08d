"""The zoo: every rule is broken by its specimen and by no other thing, and its look-alike breaks none."""

import os
import runpy
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import observe
from numen.check import audit
from numen.check.verdict import FAULT, NOT_APPLICABLE, OK, RULES, WARNING
from numen.kernel import mounts
from processes import ROOT, Reaper, compile_c, wait_for
from zoo.specimens import NOBODY, PIDFILE, REGISTRY, SPECIMEN, Specimen

SMALL_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}

VOLATILE = ("tmpfs", "ramfs")


@pytest.fixture
def place(public_path: Path) -> Iterator[Path]:
    """A directory that everybody may enter, on a disk."""
    on = mounts.mount_of(str(public_path))
    if on is None or on.kind not in VOLATILE:
        yield public_path
        return
    elsewhere = Path(tempfile.mkdtemp(prefix=public_path.parts[2], dir="/var/tmp"))
    elsewhere.chmod(0o755)
    yield elsewhere
    shutil.rmtree(elsewhere)


def cases() -> Iterator[object]:
    for (rule, kind), one in REGISTRY.items():
        if rule in RULES:
            marks = [pytest.mark.needs_root] if one.root else []
            marks += [] if one.become else [pytest.mark.needs_package("gcc")]
            yield pytest.param(one, id=f"{kind} of {rule}", marks=marks)


@pytest.mark.parametrize("one", list(cases()))
def test_a_rule_is_broken_by_its_specimen_alone(
    one: Specimen, place: Path, reaper: Reaper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(place))
    if one.rule == "core-dumps" and Path("/proc/sys/kernel/core_pattern").read_text().startswith("|"):
        pytest.skip("this machine gives core dumps to a program")

    pid = start(one, place, reaper)

    found = audit.audit(pid, pidfile=str(place / "own" / PIDFILE))
    judged = {each.rule.name: (each.verdict, each.evidence) for each in found.findings}
    broken = {name: judgement for name, judgement in judged.items() if judgement[0] in (FAULT, WARNING)}
    assert set(broken) == ({one.rule} if one.kind == SPECIMEN else set()), (broken, judged[one.rule])
    # What cannot be told is no proof that a rule is not broken.
    assert judged[one.rule][0] in ((FAULT, WARNING) if one.kind == SPECIMEN else (OK, NOT_APPLICABLE)), judged[one.rule]


def start(one: Specimen, place: Path, reaper: Reaper) -> int:
    """Start it, see that it is up, and have it ended at the end; its pid."""
    with (place / "launcher.log").open("ab") as log:
        launcher = reaper.start(
            command(one, place),
            cwd="/",
            env={**SMALL_ENVIRONMENT, **one.environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )

    def said() -> str:
        assert not launcher.poll(), (place / "launcher.log").read_text()
        return (place / "pid").read_text() if (place / "pid").exists() else ""

    def complaints() -> str:
        return "".join(path.read_text() for path in place.glob("*.log"))

    try:
        pid = reaper.track(int(wait_for(said, 20, "the daemon says that it is up")))
    except AssertionError as error:
        raise AssertionError(f"{error}; it said: {complaints()}") from None
    if (place / "others").exists():
        reaper.track(int((place / "others").read_text()))
    return pid


def command(one: Specimen, place: Path) -> list[str | Path]:
    """The command that starts it: a script or a program of this test's own."""
    if one.become is None:
        program = compile_c(ROOT / "tests/zoo/daemon.c", place / "daemon", *(f"-D{flag}" for flag in one.flags))
        program.chmod(one.mode)
        return [program, place]
    script = place / "specimens.py"
    shutil.copyfile(ROOT / "tests/zoo/specimens.py", script)
    return [sys.executable, "-I", "-S", script, one.kind, one.rule, place]


def test_every_rule_has_a_specimen_and_a_look_alike() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "tools/check_zoo.py"], capture_output=True, text=True, check=False, cwd=ROOT
    )

    assert (done.returncode, done.stderr) == (0, "")


def test_a_rule_without_a_look_alike_is_named() -> None:
    untried = runpy.run_path(str(ROOT / "tools/check_zoo.py"))["untried"]

    assert untried(["first", "second"], {("first", "specimen"), ("first", "look-alike"), ("second", "specimen")}) == [
        "rule second has no look-alike in tests/zoo/specimens.py"
    ]


def test_a_daemon_of_the_zoo_has_none_of_roots_rights(place: Path, reaper: Reaper) -> None:
    pid = start(REGISTRY["no-zombies", "look-alike"], place, reaper)

    expected = NOBODY if os.geteuid() == 0 else os.geteuid()
    assert observe.look(pid).uids == (expected,) * 4
