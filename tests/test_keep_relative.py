"""Paths and programs in a set: they are full when it is read, whoever reads it and from where."""

import os
from pathlib import Path

import pytest

from numen.become.surroundings import DEFAULT_PATH
from numen.errors import BadDefinition, Unusable
from numen.keep.definitions import sets
from numen.keep.definitions.definition import Definition
from numen.keep.definitions.sets import from_text

pytestmark = pytest.mark.once

TRUE = 'command = ["/bin/true"]'


def web(text: str, search: str = DEFAULT_PATH) -> Definition:
    found = from_text(text.encode(), "/srv/shop/numen.toml", search)
    return found.definitions["web"]


def message(text: str) -> str:
    with pytest.raises(BadDefinition) as caught:
        web(text)
    ((_, told),) = caught.value.mistakes
    return told


@pytest.fixture
def tool(public_path: Path) -> Path:
    """A program that is found in no directory of the usual PATH."""
    path = public_path / "bin" / "my-tool"
    path.parent.mkdir()
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_relative_paths_are_meant_from_the_directory_of_the_file() -> None:
    found = web("""
        [defaults]
        environment_files = ["defaults.env"]
        [daemon.web]
        command = ["bin/server", "--config", "conf/server.conf"]
        directory = "var/web"
        secret_files = { KEY = "../key", OTHER = "/etc/other" }
        before_start = ["./prepare"]
        after_exit = ["bin/clean"]
        on_failure = ["bin/tell"]
        reload_command = ["bin/reload"]
        ready = "unix:run/web.sock"
        alive.probe = "exec:bin/ask 'a b'"
    """)

    assert found == Definition(
        command=("/srv/shop/bin/server", "--config", "conf/server.conf"),
        directory="/srv/shop/var/web",
        environment_files=("/srv/shop/defaults.env",),
        secret_files={"KEY": "/srv/key", "OTHER": "/etc/other"},
        before_start=("/srv/shop/prepare",),
        after_exit=("/srv/shop/bin/clean",),
        on_failure=("/srv/shop/bin/tell",),
        reload_command=("/srv/shop/bin/reload",),
        ready="unix:/srv/shop/run/web.sock",
        alive_probe="exec:/srv/shop/bin/ask 'a b'",
    )


def test_an_environment_file_that_may_be_missing_stays_one() -> None:
    assert web(f'[daemon.web]\n{TRUE}\nenvironment_files = ["-.env"]').environment_files == ("-/srv/shop/.env",)


def test_full_paths_and_the_names_of_daemons_stay_as_they_are() -> None:
    found = web(f'[daemon.web]\n{TRUE}\ndirectory = "/"\non_failure = "db"\nready = "exec"\n[daemon.db]\n{TRUE}')

    assert (found.directory, found.on_failure, found.ready) == ("/", ("", "db"), "exec")


def test_a_program_is_looked_for_in_the_path_of_the_definition(tool: Path) -> None:
    own = f'environment = {{ PATH = "/none:{tool.parent}" }}\n'

    assert web(f"[daemon.web]\ncommand = ['my-tool']\n{own}").command == (str(tool),)
    assert web(f"[defaults]\n{own}[daemon.web]\ncommand = ['my-tool']").command == (str(tool),)
    assert web("[daemon.web]\ncommand = ['my-tool']", str(tool.parent)).command == (str(tool),)
    assert web("[daemon.web]\ncommand = ['sh']\nready = 'exec:sh -c true'").ready.startswith("exec:/")


def test_the_caller_s_path_makes_no_difference(tool: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tool.parent))

    told = message("[daemon.web]\ncommand = ['my-tool']")
    assert told == f"cannot find the command my-tool: it is in no directory of PATH ({DEFAULT_PATH})"


@pytest.mark.parametrize("key", ["command", "before_start", "after_exit", "on_failure", "reload_command"])
def test_a_program_that_is_nowhere_is_a_mistake(key: str) -> None:
    command = "" if key == "command" else TRUE

    assert "no-such-tool" in message(f"[daemon.web]\n{command}\n{key} = ['no-such-tool']")


def test_a_program_of_an_instance_has_its_number(tool: Path) -> None:
    tool.rename(tool.with_name("my-tool-1"))
    text = f"[daemon.web]\ninstances = 1\ncommand = ['my-tool-%i']\nenvironment = {{ PATH = '{tool.parent}' }}"

    found = from_text(text.encode(), "numen.toml").definitions
    assert found["web@1"].command == (f"{tool}-1",)


def test_a_directory_means_its_numen_toml_and_else_its_procfile(public_path: Path) -> None:
    with pytest.raises(Unusable, match=r"neither a numen\.toml nor a Procfile in "):
        sets.load(str(public_path))

    procfile = public_path / "Procfile"
    procfile.write_text("web: sleep 1000\n")
    procfile.chmod(0o644)
    assert list(sets.load(str(public_path)).definitions) == ["web"]

    file = public_path / "numen.toml"
    file.write_text(f"[daemon.db]\n{TRUE}\n")
    file.chmod(0o644)
    assert sets.load(str(public_path)).definitions["db"].directory == str(public_path)
    assert list(sets.load(str(procfile)).definitions) == ["web"]


def test_a_file_that_is_named_from_where_one_is_means_the_same(
    public_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = public_path / "numen.toml"
    file.write_text("[daemon.web]\ncommand = ['./web']\n")
    file.chmod(0o644)
    monkeypatch.chdir(public_path)

    assert sets.load(".") == sets.load("numen.toml") == sets.load(os.path.join("..", public_path.name))
    assert sets.load(".").definitions["web"].command == (f"{public_path}/web",)
