"""Files of environment variables."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from numen.errors import BadOption, DaemonError, NoPermission, Unusable
from numen.settings.environment import parse_assignment, read_environment_file

NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,20}", fullmatch=True)
VALUES = st.text(st.characters(blacklist_characters="\0\r\n", blacklist_categories=["Cs"]))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "variables"


def test_a_file_sets_a_variable_a_line(file: Path) -> None:
    file.write_text(
        """
        # a comment
        ; another one
        PLAIN=value
        EMPTY=
          INDENTED=yes
        export EXPORTED=1
        DOUBLE="two words "
        SINGLE='$HOME "quoted"'
        EQUALS=a=b
        HASH=a # b
        REPEATED=1
        REPEATED=2
        """
    )

    assert read_environment_file(str(file)) == {
        "PLAIN": "value",
        "EMPTY": "",
        "INDENTED": "yes",
        "EXPORTED": "1",
        "DOUBLE": "two words ",
        "SINGLE": '$HOME "quoted"',
        "EQUALS": "a=b",
        "HASH": "a # b",
        "REPEATED": "2",
    }


def test_bytes_that_are_no_text_are_kept(file: Path) -> None:
    file.write_bytes(b"LATIN=gr\xfcn\n")

    assert os.fsencode(read_environment_file(str(file))["LATIN"]) == b"gr\xfcn"


def test_a_line_that_is_refused_is_not_shown(file: Path) -> None:
    file.write_text("KEY=begin\ns3cret and the rest of it\n")

    with pytest.raises(BadOption) as caught:
        read_environment_file(str(file))

    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("line", ["JUST_A_NAME", "=value", "NAME =value", 'OPEN="text', "export", "A\0=1"])
def test_a_line_that_sets_nothing_is_refused_with_its_file_and_number(file: Path, line: str) -> None:
    file.write_text(f"FINE=1\n\n{line}\n")

    with pytest.raises(BadOption, match=f"^{file}:3: "):
        read_environment_file(str(file))


def test_a_missing_file_is_refused_unless_a_dash_stands_before_it(file: Path) -> None:
    with pytest.raises(Unusable, match=f"cannot read the environment file {file}"):
        read_environment_file(str(file))

    assert read_environment_file(f"-{file}") == {}


def test_a_dash_does_not_excuse_a_file_that_is_there_and_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(Unusable):
        read_environment_file(f"-{tmp_path}")


@pytest.mark.needs_user
def test_a_file_that_may_not_be_read_is_a_lack_of_permission(file: Path) -> None:
    file.touch(mode=0o000)

    with pytest.raises(NoPermission):
        read_environment_file(f"-{file}")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(NAMES, VALUES))
def test_quoted_values_are_read_back_as_they_were(file: Path, variables: dict[str, str]) -> None:
    file.write_text("".join(f'{name}="{value}"\n' for name, value in variables.items()), encoding="utf-8")

    assert read_environment_file(str(file)) == variables


@pytest.mark.fuzz
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary())
def test_any_bytes_are_variables_or_refused(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    try:
        variables = read_environment_file(str(file))
    except DaemonError:
        return
    # The kernel takes any name and value but these.
    assert all(name and "=" not in name and "\0" not in name + value for name, value in variables.items())


@given(NAMES, VALUES)
def test_an_assignment_is_split_at_its_first_equals_sign(name: str, value: str) -> None:
    assert parse_assignment(f"{name}={value}") == (name, value)
