"""Definition files: read with care, written whole, and each by itself."""

import os
import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from definitions import definitions
from numen.errors import BadDefinition, BadOption, DaemonError, NoPermission, Unusable
from numen.keep.definitions import files
from numen.keep.definitions.definition import Definition
from numen.keep.definitions.tables import to_table

WEB = Definition(command=("/usr/bin/python3", "-m", "http.server"), directory="/srv/web", environment={"LANG": "C"})


@pytest.fixture
def directory(public_path: Path) -> Path:
    place = public_path / "daemons.d"
    place.mkdir(mode=0o755)
    return place


def written(directory: Path, text: str, name: str = "web") -> str:
    path = directory / f"{name}.toml"
    path.write_text(text)
    path.chmod(0o644)
    return str(path)


# Written and read


@given(definitions())
def test_a_definition_comes_back_from_its_text(definition: Definition) -> None:
    text = files.to_text(definition, "heading")

    assert files.from_text(text, "web.toml") == definition
    assert tomllib.loads(text.decode()) == to_table(definition)


def test_a_definition_comes_back_from_its_file(directory: Path) -> None:
    path = files.definition_path(str(directory), "web")
    files.write(path, WEB, files.heading("web"))

    assert files.read(path) == WEB
    assert os.listdir(directory) == ["web.toml"]


def test_a_file_says_first_who_wrote_it_when_and_what_to_do_after_a_change(directory: Path) -> None:
    path = files.definition_path(str(directory), "web")
    files.write(path, WEB, files.heading("web"))

    first, second, *_ = Path(path).read_text().splitlines()
    stamp = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4}"
    assert re.fullmatch(rf"# Written by numen start on {stamp}; edit it, then: numen restart web", first)
    assert second == ""


def test_a_file_is_written_as_a_person_would_write_it() -> None:
    definition = WEB.replace(stop=((2, 30.0), (9, 10.0)), log_size=100 * 2**20, limits={"open-files": (1024, 4096)})

    assert files.to_text(definition, "web").decode() == (
        """# web

command = ["/usr/bin/python3", "-m", "http.server"]
directory = "/srv/web"
stop = ["INT", "30s", "KILL"]

[environment]
LANG = "C"

[log]
size = "100MB"

[limits]
open-files = [1024, 4096]
"""
    )


def test_a_list_too_long_for_a_line_has_a_line_for_each_item() -> None:
    words = ("/usr/bin/env", *(f"--option-{number}" for number in range(10)))

    assert '\n    "--option-9",\n]\n' in files.to_text(WEB.replace(command=words), "web").decode()


@given(st.text())
def test_no_heading_can_be_more_than_a_comment(heading: str) -> None:
    assert files.from_text(files.to_text(WEB, heading), "web.toml") == WEB


def test_a_file_is_closed_to_others_because_an_environment_may_hold_secrets(directory: Path) -> None:
    path = files.definition_path(str(directory), "web")
    files.write(path, WEB, "web")

    assert os.stat(path).st_mode & 0o777 == 0o600


def test_a_link_to_a_file_that_is_kept_elsewhere_stays_a_link(directory: Path, public_path: Path) -> None:
    elsewhere = public_path / "dotfiles.toml"
    path = directory / "web.toml"
    path.symlink_to(elsewhere)
    elsewhere.write_text('command = ["/bin/true"]\n')
    elsewhere.chmod(0o644)

    files.set_start(str(path), False)

    assert path.is_symlink()
    assert not files.read(str(elsewhere)).start


def test_a_file_that_cannot_be_written_leaves_the_old_one(directory: Path) -> None:
    path = files.definition_path(str(directory), "web")
    files.write(path, WEB, "web")
    (directory / "web.toml.new").mkdir()

    with pytest.raises(DaemonError, match="cannot write the definition"):
        files.write(path, WEB.replace(umask=0), "web")
    assert files.read(path) == WEB


# What is refused


def test_every_mistake_in_a_file_is_told_with_the_file(directory: Path) -> None:
    path = written(directory, 'command = "ls"\nnice = 40\n[log]\nsiz = 1\n')

    with pytest.raises(BadDefinition, match=f"^cannot use {path}: there are 3 mistakes in it\n") as caught:
        files.read(path)
    assert [name for name, _ in caught.value.mistakes] == ["command", "nice", "log.siz"]
    assert caught.value.places == ((path, 1, 1), (path, 2, 1), (path, 4, 1))
    assert f"\n  {path}:4:1: log.siz: there is no such key" in str(caught.value)


def test_a_single_mistake_is_told_with_its_place(directory: Path) -> None:
    path = written(directory, '\ncommand = ["/bin/true"]\n\n[environment]\nA = "1"\n"B C" = true\n')

    with pytest.raises(BadDefinition, match=f"^cannot use {path}:6:1: environment: B C: True is no text") as caught:
        files.read(path)
    assert caught.value.places == ((path, 6, 1),)


@pytest.mark.parametrize(
    "content",
    [
        b"command = [",
        b"command = ['/bin/true']\ncommand = ['/bin/false']\n",
        b"\xff = 1",
        b"a = " + b"[" * 5000 + b"]" * 5000,
        b"nice = " + b"9" * 5000,
        b"\0",
    ],
    ids=["open list", "twice", "no UTF-8", "deep", "long number", "NUL"],
)
def test_what_is_no_toml_is_a_mistake_of_the_whole_file(content: bytes) -> None:
    with pytest.raises(BadDefinition, match=r"^cannot use web\.toml:1:\d+: |^cannot use web\.toml:2:\d+: ") as caught:
        files.from_text(content, "web.toml")
    assert [name for name, _ in caught.value.mistakes] == [""]


@pytest.mark.fuzz
@given(st.binary() | st.text("abc=[]{}\"'\n0123456789.#\\ -_").map(str.encode))
def test_content_that_nobody_meant_is_a_mistake(content: bytes) -> None:
    with pytest.raises(BadDefinition):
        files.from_text(content, "web.toml")


def test_a_file_that_is_missing_cannot_be_used(directory: Path) -> None:
    with pytest.raises(Unusable, match="No such file"):
        files.read(str(directory / "web.toml"))


def test_what_is_no_file_is_not_waited_for(directory: Path) -> None:
    os.mkfifo(directory / "fifo.toml", 0o600)
    (directory / "directory.toml").mkdir()

    for name in ("fifo", "directory"):
        with pytest.raises(Unusable):
            files.read(str(directory / f"{name}.toml"))


def test_a_file_too_large_for_a_definition_is_not_read(directory: Path) -> None:
    path = written(directory, "#" * (files.LARGEST_FILE + 1))

    with pytest.raises(Unusable, match="bytes"):
        files.read(path)


def test_a_file_that_others_can_write_is_refused_with_its_path_and_mode(directory: Path) -> None:
    path = written(directory, 'command = ["/bin/true"]\n')
    os.chmod(path, 0o666)

    with pytest.raises(Unusable, match=rf"can change {path} \(mode 0666, ") as caught:
        files.read(path)
    assert caught.value.values["mode"] == 0o666


def test_a_file_in_a_directory_that_others_can_write_is_refused_with_that_directory(directory: Path) -> None:
    path = written(directory, 'command = ["/bin/true"]\n')
    directory.chmod(0o777)

    with pytest.raises(Unusable, match=rf"can change {directory} \(mode 0777, "):
        files.read(path)


@pytest.mark.needs_root
def test_root_uses_no_file_of_another_user_or_that_a_group_can_write(directory: Path) -> None:
    path = written(directory, 'command = ["/bin/true"]\n')
    os.chown(path, 65534, -1)
    with pytest.raises(Unusable, match="uid 65534"):
        files.read(path)

    os.chown(path, 0, 65534)
    assert files.read(path).command == ("/bin/true",)
    os.chmod(path, 0o664)
    with pytest.raises(Unusable, match="mode 0664"):
        files.read(path)


@pytest.mark.needs_user
def test_a_file_that_may_not_be_read_says_so(directory: Path) -> None:
    path = written(directory, 'command = ["/bin/true"]\n')
    os.chmod(path, 0)

    with pytest.raises(NoPermission):
        files.read(path)


# A directory of them


def test_a_file_with_a_mistake_changes_nothing_for_the_others(directory: Path) -> None:
    written(directory, 'command = ["/bin/true"]\n', "api")
    written(directory, "command = 1\n", "bad")
    written(directory, 'command = ["/bin/true"]\n', "numen")
    written(directory, 'command = ["/bin/true"]\n', "-odd")
    os.mkfifo(directory / "pipe.toml", 0o600)
    os.symlink("nowhere", directory / "gone.toml")
    files.write(files.definition_path(str(directory), "web"), WEB, "web")

    found = files.read_all(str(directory))

    assert list(found.definitions) == ["api", "web"]
    assert list(found.mistakes) == ["-odd.toml", "bad.toml", "gone.toml", "numen.toml", "pipe.toml"]
    assert isinstance(found.mistakes["bad.toml"], BadDefinition)


def test_what_an_editor_or_a_killed_writer_left_is_passed_over(directory: Path) -> None:
    for name in (".web.toml.swp", ".web.toml", "web.toml~", "web.toml.new", "web.conf"):
        (directory / name).write_text("half")

    found = files.read_all(str(directory))

    assert (found.definitions, found.mistakes) == ({}, {})


def test_a_directory_that_is_missing_holds_none(directory: Path) -> None:
    found = files.read_all(str(directory / "missing"))

    assert (found.definitions, found.mistakes) == ({}, {})


def test_what_is_no_directory_cannot_be_read(directory: Path) -> None:
    with pytest.raises(Unusable, match="cannot read the definitions in"):
        files.read_all(written(directory, ""))


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "-x", ".x", "a b", "x" * 101, "numen"])
def test_what_is_no_name_has_no_file(name: str) -> None:
    with pytest.raises(BadOption, match="is no name"):
        files.definition_path("/etc/numen/daemons.d", name)


# Enabled and disabled


HAND_WRITTEN = """# Mine.
command = [
    "/bin/true",  # nothing to do
]
{before}directory = "/"  # start = true

[environment]  # of the whole
start = "true"
"""


@pytest.mark.parametrize("before", ["", "start = true  # at boot\n", "  start=true\n"])
def test_only_the_line_that_disables_is_touched(directory: Path, before: str) -> None:
    text = HAND_WRITTEN.format(before=before)
    path = written(directory, text)

    files.set_start(path, False)

    changed = Path(path).read_text()
    assert files.read(path) == files.from_text(text.encode(), path).replace(start=False)
    kept = {line for line in text.splitlines() if line != before.rstrip("\n")}
    assert kept <= set(changed.splitlines())
    files.set_start(path, True)
    assert files.read(path).start


def test_what_is_so_already_touches_nothing(directory: Path) -> None:
    path = written(directory, HAND_WRITTEN.format(before=""))
    before = os.stat(path)

    files.set_start(path, True)

    assert os.stat(path) == before


@given(definitions(), st.booleans())
def test_any_definition_can_be_enabled_and_disabled(definition: Definition, start: bool) -> None:
    text = files.to_text(definition, "heading")

    changed = files.with_start(text, start, "web.toml")

    assert files.from_text(changed, "web.toml") == definition.replace(start=start)


@pytest.mark.parametrize(
    "text",
    [
        '"start" = true\ncommand = ["/bin/true"]\n',
        'command = ["/bin/echo", """\nstart = true\n"""]\n',
        'command = ["/bin/echo", """\n[\n"""]\nstart = true',
        'command = ["/bin/true"]\r\nstart = true\r\n[log]\r\nkeep = 3\r\n',
        'command = ["/bin/true"]',
        'log.keep = 3\ncommand = ["/bin/true"]\n# The end.',
    ],
)
def test_a_file_in_an_unusual_form_is_disabled_too(text: str) -> None:
    before = files.from_text(text.encode(), "web.toml")

    assert files.from_text(files.with_start(text.encode(), False, "web.toml"), "web.toml") == before.replace(
        start=False
    )
