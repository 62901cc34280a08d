"""One value in a person's file is changed, and nothing else."""

import os
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numen.errors import BadDefinition, Unusable
from numen.keep.definitions.editing import set_value, with_value

pytestmark = pytest.mark.once

INSTANCES = ("daemon", "worker", "instances")


def with_four(text: str) -> str:
    return with_value(text.encode(), INSTANCES, 4, "numen.toml").decode()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            '# all\n[daemon.worker]  # of them\ncommand = ["/b"] # c\n\n# the web\n[daemon.web]\n',
            '# all\n[daemon.worker]  # of them\ninstances = 4\ncommand = ["/b"] # c\n\n# the web\n[daemon.web]\n',
        ),
        (
            "[daemon.worker]\ninstances   =  2   # two\n[daemon.worker.environment]\n",
            "[daemon.worker]\ninstances   =  4   # two\n[daemon.worker.environment]\n",
        ),
        ('daemon.worker = { command = ["/b"] } # x\n', 'daemon.worker = { command = ["/b"], instances = 4} # x\n'),
        (
            "daemon.worker.nice = 1\ndaemon.web.nice=2\n",
            "daemon.worker.nice = 1\ndaemon.worker.instances = 4\ndaemon.web.nice=2\n",
        ),
        ("[daemon]\nworker.nice = 1\n", "[daemon]\nworker.nice = 1\nworker.instances = 4\n"),
        ("[ daemon . 'worker' ]\r\nnice = 1\r\n", "[ daemon . 'worker' ]\r\ninstances = 4\r\nnice = 1\r\n"),
        ("[daemon.worker]", "[daemon.worker]\ninstances = 4\n"),
        (
            "[daemon.worker]\nit = '''\n[daemon.worker]\ninstances = 3\n'''\n",
            "[daemon.worker]\ninstances = 4\nit = '''\n[daemon.worker]\ninstances = 3\n'''\n",
        ),
        ("[daemon.worker]\ninstances = 4 # as it is\n", "[daemon.worker]\ninstances = 4 # as it is\n"),
    ],
)
def test_a_value_is_changed_or_added_and_all_else_stays(before: str, after: str) -> None:
    assert with_four(before) == after


@pytest.mark.parametrize("value", [True, False, 0, "a \"b\" 'c'\n", ["a", "b"]])
def test_any_value_comes_back(value: object) -> None:
    for text in ("[daemon.web]\nstart = 1\n", "[daemon.web]\n", ""):
        changed = with_value(text.encode(), ("daemon", "web", "start"), value, "numen.toml")
        assert tomllib.loads(changed.decode())["daemon"]["web"]["start"] == value


def test_a_file_that_no_machine_can_change_is_told_with_what_to_write() -> None:
    with pytest.raises(Unusable, match=r"write `instances = 4` into the table \[daemon.worker\] yourself"):
        with_four("daemon = 3\n")
    with pytest.raises(BadDefinition, match=r"^cannot use numen.toml:1:5: "):
        with_four("a = \n")


LINES = [
    "[daemon.worker]",
    "[daemon.worker.environment]",
    "[daemon.web]",
    "[daemon]",
    "[defaults]",
    "[[list]]",
    "instances = 2 # two",
    "worker.instances = 3",
    "daemon.worker.instances = 3",
    "worker = { nice = 1 }",
    "nice = 1",
    "command = [\n  '/bin/true', # it\n]",
    "# instances = 9",
    "it = '''\n[daemon.worker]\n'''",
    "",
]


@settings(max_examples=300)
@given(st.lists(st.sampled_from(LINES), max_size=8).map("\n".join), st.booleans())
def test_whatever_a_file_holds_just_that_value_is_another_or_nothing_is(text: str, windows: bool) -> None:
    text = text.replace("\n", "\r\n") if windows else text
    try:
        before = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    try:
        changed = with_four(text)
    except Unusable:
        return
    wanted: dict[str, Any] = before
    for name in INSTANCES[:-1]:
        wanted = wanted.setdefault(name, {})
    wanted["instances"] = 4
    assert tomllib.loads(changed) == before
    assert changed.count("#") == text.count("#")


def test_the_file_keeps_its_mode_and_stays_where_its_link_leads(public_path: Path) -> None:
    place, link = public_path / "real.toml", public_path / "numen.toml"
    place.write_text("[daemon.worker]\n")
    place.chmod(0o640)
    link.symlink_to(place)

    assert set_value(str(link), INSTANCES, 4) is True
    assert set_value(str(link), INSTANCES, 4) is False

    assert link.is_symlink()
    assert place.read_text() == "[daemon.worker]\ninstances = 4\n"
    assert os.stat(place).st_mode & 0o777 == 0o640
