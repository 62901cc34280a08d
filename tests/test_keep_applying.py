"""A set of daemons applied: what follows from a difference, all or nothing on disk, and what runs at the end."""

import errno
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeping import DEADLINE, call, kill_supervisor, numen, pid_of, states, wait_until
from numen.errors import BadDefinition
from numen.keep.definitions import files, replacing
from numen.keep.definitions.applying import NameTaken, Standing, plan
from numen.keep.definitions.definition import Definition
from numen.keep.definitions.references import Reference
from numen.settings import places
from processes import numen_command, run_numen, wait_for

SOURCE = "/srv/numen.toml"
WEB = Definition(command=("/bin/web",), source=SOURCE)


def standing(definition: Definition, in_use: Definition | None = None, *, is_up: bool = True) -> Standing:
    return Standing(definition=definition, in_use=in_use or definition, is_up=is_up)


# What follows


def test_only_what_needs_a_new_run_gets_one() -> None:
    there = {
        "same": standing(WEB),
        "live": standing(WEB),
        "other": standing(WEB),
        "stopped": standing(WEB, is_up=False),
        "gone": standing(WEB),
        "undone": standing(WEB, WEB.replace(command=("/bin/old",))),
        "stranger": standing(WEB.replace(source=None)),
    }
    wanted = {
        "same": WEB,
        "live": WEB.replace(log_size=1),
        "other": WEB.replace(umask=0),
        "stopped": WEB.replace(umask=0),
        "undone": WEB,
        "new": WEB,
        "resting": WEB.replace(start=False),
    }

    found = plan(SOURCE, there, wanted)

    assert (found.unchanged, found.removed, found.added) == (("same",), ("gone",), ("new", "resting"))
    assert set(found.changed) == {"live", "other", "stopped", "undone"}
    assert (found.starts, found.restarts) == (("new",), ("other", "undone"))


def test_what_waits_for_its_time_or_for_what_is_stopped_is_not_restarted_for_a_change() -> None:
    task = WEB.replace(schedule_every=60.0)
    there = {
        "waiting": standing(WEB).replace(is_idle=True),
        "task": standing(task).replace(is_idle=True),
        "no task now": standing(task).replace(is_idle=True),
    }

    new = WEB.replace(umask=0)
    found = plan(SOURCE, there, {"waiting": new, "task": task.replace(umask=0), "no task now": new})

    assert found.restarts == ("no task now",)
    assert len(found.changed) == 3


@pytest.mark.parametrize(("source", "words"), [(None, "numen start"), ("/other.toml", "/other.toml")])
def test_a_name_of_another_source_is_refused_naming_it(source: str | None, words: str) -> None:
    with pytest.raises(NameTaken, match=words):
        plan(SOURCE, {"web": standing(WEB.replace(source=source))}, {"web": WEB})


def test_a_reference_that_leads_nowhere_is_refused() -> None:
    with pytest.raises(BadDefinition):
        plan(SOURCE, {}, {"web": WEB.replace(after=(Reference(name="db"),))})


def test_values_of_the_environment_are_not_shown() -> None:
    new = WEB.replace(environment={"TOKEN": "hush"}, umask=0)
    there, wanted = {"web": standing(WEB)}, {"web": new}
    said = plan(SOURCE, there, wanted).said(there, wanted)

    assert "hush" not in repr(said)
    ((change),) = said["changed"]
    assert [one["key"] for one in change["keys"]] == ["umask", "environment"]


DEFINITIONS = st.builds(
    Definition,
    command=st.sampled_from([("/bin/a",), ("/bin/b",)]),
    umask=st.sampled_from([0, 0o22]),
    log_size=st.sampled_from([1000, 2000]),
    source=st.just(SOURCE),
)
SETS = st.dictionaries(st.sampled_from("abcd"), DEFINITIONS, max_size=4)


@given(SETS, SETS)
def test_from_one_set_to_another_is_the_same_as_to_begin_with_that(before: Any, after: Any) -> None:
    found = plan(SOURCE, {name: standing(one) for name, one in before.items()}, after)

    definitions = {name: one for name, one in before.items() if name not in found.removed}
    definitions |= {name: after[name] for name in (*found.added, *found.changed)}
    assert definitions == after
    run_before = {*before}.difference(found.removed)
    assert run_before | {*found.starts} == set(plan(SOURCE, {}, after).starts)
    # Whoever runs on has only what a run takes up at once to be changed.
    for name in run_before.difference(found.restarts):
        assert (before[name].command, before[name].umask) == (after[name].command, after[name].umask)


def test_only_those_that_are_meant_are_touched() -> None:
    there = {name: standing(WEB) for name in ("a", "b", "c")}
    found = plan(SOURCE, there, {"c": WEB.replace(umask=0), "d": WEB}, only={"b", "c", "d"}, restart=False)

    assert (found.unchanged, found.added, found.removed) == ((), ("d",), ("b",))
    assert (set(found.changed), found.restarts) == ({"c"}, ())
    with pytest.raises(BadDefinition):
        plan(SOURCE, there | {"a": standing(WEB.replace(after=(Reference(name="b"),)))}, {}, only={"b"})
    own = {"own": standing(WEB.replace(source=None)), **there}
    assert plan(None, own, {"own": WEB.replace(source=None, log_size=1)}, only={"own"}).removed == ()


def test_one_that_is_wanted_again_while_it_is_being_removed_is_a_new_one() -> None:
    there = {"web": standing(WEB).replace(is_leaving=True), "other": standing(WEB).replace(is_leaving=True)}
    found = plan(SOURCE, there, {"web": WEB})

    assert (found.added, found.starts, found.removed, found.unchanged) == (("web",), ("web",), ("other",), ())


# All or none on disk


class Killed(BaseException):
    """What a test kills with."""


def killed_at(number: int, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Let the n-th call that changes files be the last; how many have been made."""
    made = 0

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def do(*arguments: Any, **options: Any) -> Any:
            nonlocal made
            made += 1
            if made >= number:
                raise Killed
            return call(*arguments, **options)

        return do

    for name in ("open", "mkdir", "rename", "replace", "rmdir", "unlink"):
        monkeypatch.setattr(os, name, counted(getattr(os, name)))
    return lambda: made


def test_killed_at_any_call_all_is_replaced_or_nothing(tmp_path: Path) -> None:
    old = {"web": WEB, "gone": WEB, "stays": WEB}
    new = {"web": WEB.replace(umask=0), "new": WEB}
    outcomes = set()
    for number in range(1, 100):
        directory = str(tmp_path / str(number))
        os.mkdir(directory, 0o700)
        replacing.replace(directory, old, [], "old")
        with pytest.MonkeyPatch.context() as patch:
            made = killed_at(number, patch)
            try:
                replacing.replace(directory, new, ["gone"], "new")
                is_killed = False
            except Killed:
                is_killed = True
            assert made() >= number or not is_killed

        removed = replacing.finish(directory)
        found = files.read_all(directory)
        assert not found.mistakes
        is_new = found.definitions == {**old, **new} and removed == ["gone"]
        assert is_new or (found.definitions == old and removed == [])
        outcomes.add((is_killed, is_new))
        replacing.removed(directory, ["gone"])
        assert replacing.finish(directory) == []
        shutil.rmtree(directory)
        if not is_killed:
            break
    assert outcomes == {(True, False), (True, True), (False, True)}


def test_a_file_that_is_a_link_to_another_file_system_stays_one(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    directory = str(tmp_path / "daemons.d")
    os.mkdir(directory, 0o700)
    elsewhere.write_text("")
    os.symlink(elsewhere, os.path.join(directory, "web.toml"))
    rename = os.rename

    def refused(source: str, place: str) -> None:
        if place == str(elsewhere) and not source.startswith(str(elsewhere)):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), source)
        rename(source, place)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "rename", refused)
        replacing.replace(directory, {"web": WEB, "new": WEB}, [], "new")
    assert files.read_all(directory).definitions == {"web": WEB, "new": WEB}
    assert os.path.islink(os.path.join(directory, "web.toml"))
    assert os.listdir(directory).count(replacing.COMMITTED) == 0


# End to end


@pytest.fixture
def supervisor(numen_home: Path) -> Iterator[None]:
    """Whatever a test has started is ended with the supervisor."""
    yield
    assert run_numen("shutdown", "--quiet").returncode == 0


def write(path: Path, *daemons: str) -> Path:
    """A set of daemons that sleep, each with more of its keys."""
    texts = []
    for one in daemons:
        name, _, keys = one.partition(" ")
        texts.append(f'# {name}\n[daemon.{name}]\ncommand = ["/bin/sleep", "1000"]\n{keys}\n')
    path.write_text("\n".join(texts))
    path.chmod(0o600)
    return path


@pytest.mark.usefixtures("supervisor")
def test_what_is_unchanged_is_not_touched_however_often_the_file_is_edited(public_path: Path) -> None:
    public_path.mkdir(exist_ok=True)
    file = write(public_path / "numen.toml", "web", "worker", "mail")
    numen("apply", "--quiet", file)
    pids = {name: pid_of(name) for name in ("web", "worker", "mail")}
    assert all(pids.values())
    untouched = pids["mail"]

    edits: list[tuple[tuple[str, ...], set[str], set[str]]] = [
        # the file, who has a new pid, who runs
        (("web", "worker", "mail"), set(), {"web", "worker", "mail"}),
        (('web log.size = "1MB"', "worker", "mail"), set(), {"web", "worker", "mail"}),
        (('web log.size = "1MB"', 'worker umask = "077"', "mail"), {"worker"}, {"web", "worker", "mail"}),
        (('web restart = "never"', "worker", "mail"), {"worker"}, {"web", "worker", "mail"}),
        (("web", "mail"), set(), {"web", "mail"}),
        (("web", "mail", "site"), {"site"}, {"web", "mail", "site"}),
        (("web start = false", "mail", "site", "rest start = false"), set(), {"web", "mail", "site"}),
        (("web environment.TOKEN = 'hush'", "mail"), {"web"}, {"web", "mail"}),
    ]
    for daemons, renewed, running in edits:
        before = {name: pid_of(name) if name in states() else 0 for name in running}
        said = numen("apply", write(file, *daemons))
        assert "hush" not in said
        assert {name for name, state in states().items() if state == "running"} == running, said
        assert {name for name, pid in before.items() if pid_of(name) != pid} == renewed, said
    assert pid_of("mail") == untouched

    numen("start", "--quiet", "--name", "own", "--", "sleep", "1000")
    for bad in (("mail", "own"), ('mail user = "nobody-of-that-name"',), ('mail umsk = "077"',)):
        kept = sorted(os.listdir(places.definitions_directory()))
        done = run_numen("apply", write(file, *bad))
        assert done.returncode, done.stdout
        assert sorted(os.listdir(places.definitions_directory())) == kept
        assert pid_of("mail") == untouched

    numen("down", "--quiet", file)
    assert set(states()) == {"own"}


@pytest.mark.once
@pytest.mark.usefixtures("supervisor")
def test_what_was_stopped_by_hand_stays_so_though_one_that_requires_it_is_changed(public_path: Path) -> None:
    file = write(public_path / "numen.toml", "db", "web requires = ['db']")
    numen("apply", "--quiet", file)
    assert numen("stop", "db") == "db is stopped\nweb waits for db, which is stopped\n"

    said = numen("apply", write(file, "db", "web requires = ['db']\numask = '077'"))

    assert said.endswith("web is defined anew; waits for db, which is stopped\n")
    assert states() == {"db": "stopped", "web": "waiting"}
    numen("start", "--quiet", "db")
    numen("wait", "web")
    assert "Umask:\t0077" in Path(f"/proc/{pid_of('web')}/status").read_text()


@pytest.mark.once
@pytest.mark.usefixtures("supervisor")
def test_where_the_supervisor_is_killed_meanwhile_what_it_began_is_waited_for(public_path: Path) -> None:
    numen("apply", "--quiet", write(public_path / "numen.toml", "rest start = false"))
    file = write(public_path / "numen.toml", "web ready = 'after:1s'", "rest start = false")
    with subprocess.Popen([numen_command(), "apply", file], stdout=subprocess.PIPE, text=True) as applying:
        wait_for(lambda: "web" in states(), DEADLINE, "web is defined")
        wait_until("web", "starting")
        kill_supervisor()
        said, _ = applying.communicate(timeout=30)

    assert applying.returncode == 0
    assert f"web is up: pid {pid_of('web')}" in said
    assert states() == {"web": "running", "rest": "stopped"}


@pytest.mark.once
@pytest.mark.usefixtures("supervisor")
def test_no_secret_is_told_or_kept(public_path: Path, numen_home: Path) -> None:
    told = ("s3cret-of-a-file", "s3cret-of-the-environment-file")
    for name, text in zip(("token", "env"), (told[0], f"KEY={told[1]}"), strict=True):
        (public_path / name).write_text(text)
        (public_path / name).chmod(0o600)
    keys = f'secret_files.TOKEN = "{public_path}/token"\nenvironment_files = ["{public_path}/env"]'
    file = write(public_path / "numen.toml", f"web {keys}\n")
    said = numen("apply", file)
    assert told[0].encode() in Path(f"/proc/{pid_of('web')}/environ").read_bytes()
    assert told[1].encode() in Path(f"/proc/{pid_of('web')}/environ").read_bytes()

    write(file, f"web {keys}\nnice = 1\n")
    from numen.keep.definitions import sets, tables

    definitions = {name: tables.to_table(one) for name, one in sets.load(str(file)).definitions.items()}
    answers = [
        said,
        call("Describe", name="web"),
        call("Status", names=[]),
        call("Events", names=[]),
        call("Apply", source=str(file), definitions=definitions, dry_run=True),
        *(path.read_text(errors="replace") for path in numen_home.rglob("*") if path.is_file()),
    ]
    assert not [one for one in answers if "s3cret" in repr(one)]


@pytest.mark.needs_root
@pytest.mark.usefixtures("supervisor")
def test_root_is_not_handed_a_program_of_somebody_elses(public_path: Path) -> None:
    program = public_path / "program"
    program.write_text("#!/bin/sh\nsleep 1000\n")
    program.chmod(0o777)
    numen("supervisor", "--quiet")
    with pytest.raises(BadDefinition, match="others can change"):
        call("Apply", source=SOURCE, definitions={"web": {"command": [str(program)], "directory": "/"}})
    assert not states()
