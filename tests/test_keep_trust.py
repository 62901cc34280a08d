"""What a definition of root's names and others could change."""

import os
from pathlib import Path

import pytest

from numen.keep.definitions.definition import Definition
from numen.keep.definitions.trust import untrusted

NOBODY = 65534


@pytest.fixture
def program(public_path: Path) -> Path:
    place = public_path / "bin"
    place.mkdir(mode=0o755)
    path = place / "program"
    path.touch()
    path.chmod(0o755)
    return path


def told(definition: Definition) -> list[tuple[str, str]]:
    return [(one.key, one.message) for one in untrusted(definition)]


def of(program: Path, user: str | None = None) -> list[tuple[str, str]]:
    return told(Definition(command=(str(program),), user=user))


@pytest.mark.needs_root
def test_a_command_that_is_root_s_alone_is_trusted(program: Path) -> None:
    assert of(program) == []


@pytest.mark.needs_root
@pytest.mark.parametrize("mode", [0o777, 0o757, 0o666])
def test_a_command_that_others_can_write_is_told_with_path_and_mode(program: Path, mode: int) -> None:
    program.chmod(mode)

    ((key, message),) = of(program)
    assert key == "command"
    assert message.startswith(f"others can change {program} (mode {mode:04o}, uid 0, gid 0); it must belong to root,")


@pytest.mark.needs_root
def test_a_directory_on_the_way_that_others_can_write_is_told(program: Path) -> None:
    program.parent.chmod(0o777)

    ((_, message),) = of(program)
    assert f"others can change {program.parent} (mode 0777, " in message


@pytest.mark.needs_root
def test_a_link_is_followed_to_what_is_executed(program: Path, public_path: Path) -> None:
    link = public_path / "link"
    link.symlink_to(program)
    assert of(link) == []

    program.parent.chmod(0o777)
    ((_, message),) = of(link)
    assert str(program.parent) in message


@pytest.mark.needs_root
def test_a_command_may_belong_to_the_user_it_runs_as_and_to_no_other(program: Path) -> None:
    os.chown(program, NOBODY, NOBODY)

    assert of(program, "nobody") == of(program, str(NOBODY)) == []
    for user in (None, "daemon", "no-such-user"):
        assert len(of(program, user)) == 1


@pytest.mark.needs_root
def test_a_group_that_is_not_root_s_must_not_write_what_root_runs(program: Path) -> None:
    program.chmod(0o775)
    assert of(program) == []

    os.chown(program, 0, NOBODY)
    assert len(of(program)) == 1
    assert of(program, "nobody") == []


@pytest.mark.needs_root
def test_environment_files_are_root_s_whoever_the_daemon_runs_as(program: Path, public_path: Path) -> None:
    file = public_path / "env"
    file.touch()
    file.chmod(0o600)
    definition = Definition(command=(str(program),), user="nobody", environment_files=("/none", f"-{file}"))
    assert told(definition) == []

    os.chown(file, NOBODY, NOBODY)
    ((key, message),) = told(definition)
    assert key == "environment_files"
    assert f"{file} (mode 0600, uid {NOBODY}, " in message
    assert untrusted(definition)[0].path == ("environment_files", 1)


@pytest.mark.needs_root
@pytest.mark.parametrize(
    ("field", "key"),
    [
        *((one, one) for one in ("before_start", "after_exit", "on_failure", "reload_command", "ready")),
        ("alive_probe", "alive.probe"),
    ],
)
def test_whatever_else_runs_as_the_daemon_must_not_be_others_to_write(program: Path, field: str, key: str) -> None:
    wanted = f"exec:{program} ping" if field in ("ready", "alive_probe") else (str(program), "ping")
    definition = Definition(command=("/bin/true",)).replace(**{field: wanted})
    assert told(definition) == []

    program.chmod(0o757)
    ((found, message),) = told(definition)
    assert found == key
    assert f"{program} (mode 0757, " in message
    assert untrusted(definition)[0].path == tuple(key.split("."))


@pytest.mark.needs_root
def test_secret_files_are_root_s_too(program: Path, public_path: Path) -> None:
    file = public_path / "secret"
    file.touch()
    file.chmod(0o622)

    ((key, message),) = told(Definition(command=(str(program),), user="nobody", secret_files={"KEY": str(file)}))
    assert key == "secret_files"
    assert f"{file} (mode 0622, " in message


@pytest.mark.needs_root
def test_of_what_is_missing_nothing_is_said(public_path: Path) -> None:
    for path in ("gone", "gone/further", "x" * 5000):
        assert of(public_path / path) == []


@pytest.mark.needs_user
def test_of_what_a_user_keeps_nothing_is_asked(program: Path) -> None:
    program.chmod(0o777)

    assert of(program) == []
