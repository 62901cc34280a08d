"""Secrets: values of variables in files, which reach the daemon and nothing else."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from kept import Kept, nothing_left
from numen.errors import DaemonError, NoPermission, Unusable
from numen.keep import secrets, spawning
from numen.keep.definitions.definition import Definition
from numen.keep.definitions.trust import untrusted
from processes import wait_for

SECRET = "s3cret-4711"


@pytest.fixture
def file(public_path: Path) -> Path:
    path = public_path / "password"
    path.write_text(f"{SECRET}\n")
    path.chmod(0o600)
    return path


def read(path: Path) -> str:
    return secrets.read_secrets({"PASSWORD": str(path)})["PASSWORD"]


@pytest.mark.once
@pytest.mark.parametrize(
    ("content", "value"),
    [(b"a\n", "a"), (b"a\r\n", "a"), (b"a", "a"), (b"a\n\n", "a\n"), (b" a b \n", " a b "), (b"", ""), (b"\n", "")],
)
def test_the_last_line_end_is_no_part_of_it(content: bytes, value: str, file: Path) -> None:
    file.write_bytes(content)

    assert read(file) == value


@pytest.mark.once
def test_bytes_that_are_no_text_are_kept(file: Path) -> None:
    file.write_bytes(b"\xff\xfe\n")

    assert os.fsencode(read(file)) == b"\xff\xfe"


def make_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def make_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.once
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (Path.unlink, "No such file or directory"),
        (lambda path: path.write_bytes(b"s3" * 40000), "larger than 64 KB"),
        (lambda path: path.write_bytes(b"s3\0"), "a byte 0 is in it"),
        (make_directory, "it is no regular file"),
        (make_fifo, "it is no regular file"),
    ],
)
def test_what_is_no_secret_is_told_with_its_file_and_no_word_of_it(
    change: Callable[[Path], Any], words: str, file: Path
) -> None:
    change(file)

    with pytest.raises(Unusable) as caught:
        read(file)

    assert str(caught.value).startswith(f"cannot read the secret PASSWORD from {file}: ")
    assert words in str(caught.value)
    assert "s3" not in str(caught.value)


@pytest.mark.needs_root
def test_what_others_can_change_is_no_secret_of_root_s(file: Path) -> None:
    file.chmod(0o646)

    with pytest.raises(NoPermission, match=f"others can change {file}"):
        read(file)

    definition = Definition(command=("/bin/true",), secret_files={"PASSWORD": str(file)})
    assert [(one.key, one.path) for one in untrusted(definition)] == [("secret_files", ("secret_files", "PASSWORD"))]


@pytest.mark.needs_user
def test_what_may_not_be_read_is_a_lack_of_permission(file: Path) -> None:
    file.chmod(0)

    with pytest.raises(NoPermission, match=str(file)):
        read(file)


@pytest.mark.once
def test_a_secret_is_stronger_than_an_environment_file_and_weaker_than_numen(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "file"
    other.write_text("PASSWORD=another\n")

    found = spawning.with_files({"NUMEN_NAME": "web"}, [str(other)], {"PASSWORD": str(file), "NUMEN_NAME": str(file)})

    assert found == {"PASSWORD": SECRET, "NUMEN_NAME": "web"}


@pytest.fixture
def home(public_path: Path) -> Iterator[Kept]:
    with nothing_left():
        kept = Kept(public_path / "kept")
        kept.open()
        yield kept
        kept.shut_down()


def test_a_secret_reaches_the_daemon_and_stands_nowhere_else(home: Kept, file: Path, public_path: Path) -> None:
    seen = public_path / "seen"
    script = f'printf "%s" "$PASSWORD" >{seen}.new && mv {seen}.new {seen}; exec sleep 1000'
    home.define("web", "sh", "-c", script, secret_files={"PASSWORD": str(file)})
    wait_for(seen.exists, 20, "the daemon")
    assert seen.read_text() == SECRET

    told = [str(home.call("Status", names=["web"])), str(home.call("Describe", name="web"))]
    assert str(file) in told[1]
    file.unlink()
    told.append(str(home.call("Restart", names=["web"])))
    assert f"cannot read the secret PASSWORD from {file}: No such file or directory" in told[2]

    # A daemon without its secret is not even defined.
    with pytest.raises(DaemonError, match=f"cannot read the secret PASSWORD from {file}"):
        home.define("worker", "sleep", "1000", secret_files={"PASSWORD": str(file)})
    assert SECRET not in "".join(told)
    assert [one for one in home.home.rglob("*") if one.is_file() and SECRET.encode() in one.read_bytes()] == []
