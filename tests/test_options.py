"""Options: one table, read in two ways that agree."""

import argparse
import io
import re
import subprocess
import sys
from contextlib import redirect_stderr, suppress
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from numen import errors
from numen.cli.detach import TABLE
from numen.cli.main import COMMANDS
from numen.cli.options import Option, read_quickly, split, whole_number
from numen.errors import BadOption
from processes import environment, numen_command, run_numen

PLAIN = TABLE.replace(options=tuple(option.replace(convert=str) for option in TABLE.options))
"""The table of `numen detach`, each value as it was written."""

FLAGS = sorted(flag for option in PLAIN.options for flag in option.flags)
VALUES = st.sampled_from(
    ["", "-", "x", "a=b", "-1", "-1.5", "--", "-x", "--no", "-a b", "two words", "=", "-٣"]
) | st.text(max_size=5)


def written(option: Option, data: st.DataObject) -> list[str]:
    """One way to write the option, with its values."""
    flag = data.draw(st.sampled_from(option.flags))
    values = [data.draw(VALUES) for _ in option.metavar]
    # argparse before Python 3.13 loses two dashes that stand behind an equals sign.
    if values and flag.startswith("--") and values[0] != "--" and data.draw(st.booleans()):
        return [f"{flag}={values[0]}", *values[1:]]
    return [flag, *values]


COMMAND_LINES = st.lists(
    st.sampled_from(FLAGS) | VALUES | st.tuples(st.sampled_from(FLAGS), VALUES).map("".join), max_size=6
)


def by_argparse(arguments: list[str]) -> dict[str, Any] | None:
    """The values that argparse reads; None where it complains, or gives help, or is left with no value of `-e--`."""
    with suppress(SystemExit), redirect_stderr(io.StringIO()):
        values = vars(PLAIN.parser().parse_args(arguments))
        return None if any([] in (one, *one) for one in values.values() if isinstance(one, list)) else values
    return None


def as_the_table_gives(values: dict[str, Any]) -> dict[str, Any]:
    """argparse says None for no repetitions and lists for several values; the table says [] and tuples."""
    given = {}
    for option in PLAIN.options:
        value = values[option.name]
        if option.repeated:
            value = value or []
        elif len(option.metavar) > 1 and value is not None:
            value = tuple(value)
        given[option.name] = value
    return given


@given(st.data())
def test_a_correct_command_line_is_read_quickly_as_argparse_reads_it(data: st.DataObject) -> None:
    chosen = data.draw(st.lists(st.sampled_from(PLAIN.options), max_size=8))
    arguments = [word for option in chosen for word in written(option, data)]
    options_part, _ = split(PLAIN.options, arguments)
    assume(options_part == arguments)

    found, told = read_quickly(PLAIN.options, arguments), by_argparse(arguments)

    if found is not None:
        assert told is not None
        assert found == (as_the_table_gives(told), [])


@example(["--nice", "-1.5"])
@example(["--name", "-a b"])
@example(["-eA=1"])
@example(["-qe", "A=1"])
@example(["-qeA=1"])
@example(["-e=A"])
@example(["-e--"])
@example(["-qe--"])
@example(["--signal=HUP", "web"])
@example(["--quiet=yes"])
@given(COMMAND_LINES)
def test_any_command_line_is_read_as_argparse_reads_it_or_refused_as_argparse_does(arguments: list[str]) -> None:
    options_part, command = split(PLAIN.options, arguments)
    assume(not {"-h", "--help"} & {word.partition("=")[0] for word in options_part})

    told = by_argparse(options_part)

    read = None
    with suppress(SystemExit), redirect_stderr(io.StringIO()):
        read = PLAIN.read(arguments)
    assert read == (None if told is None else (as_the_table_gives(told), command))


def test_the_command_begins_after_two_dashes_or_at_the_first_word_that_is_no_option() -> None:
    for arguments in (["--quiet", "--", "sh", "-c", "true"], ["--quiet", "sh", "-c", "true"]):
        assert split(TABLE.options, arguments) == (["--quiet"], ["sh", "-c", "true"])
    assert split(TABLE.options, ["--name", "web", "--", "--odd"]) == (["--name", "web"], ["--odd"])
    assert split(TABLE.options, ["-q", "sh", "--", "x"]) == (["-q"], ["sh", "--", "x"])
    assert split(TABLE.options, ["--"]) == ([], [])


def test_what_looks_like_an_option_is_not_the_value_of_another() -> None:
    assert read_quickly(TABLE.options, ["--name", "--quiet"]) is None
    found = read_quickly(TABLE.options, ["--nice", "-5"])
    assert found is not None
    assert found[0]["nice"] == -5


def test_the_last_of_several_counts_unless_it_may_be_repeated() -> None:
    found = read_quickly(TABLE.options, ["--name", "a", "--name=b", "-e", "X=1", "--env=Y=2"])

    assert found is not None
    assert found[0]["name"] == "b"
    assert found[0]["env"] == ["X=1", "Y=2"]


def test_a_value_that_is_refused_is_refused_with_its_option_however_it_was_read() -> None:
    for arguments in (["--nice", "20"], ["--nice", "-1.5"], ["--nice=x"]):
        with pytest.raises(BadOption, match=r"^option --nice: .* is no whole number from -20 to 19$"):
            TABLE.read(arguments)


@pytest.mark.fuzz
@given(st.text() | st.text("-0123456789"))
def test_any_text_is_a_number_within_the_bounds_or_refused(text: str) -> None:
    try:
        number = whole_number(-20, 19)(text)
    except BadOption:
        return
    assert -20 <= number <= 19
    assert int(text) == number


# What people see


@pytest.fixture(scope="module")
def help_text() -> str:
    return " ".join(
        subprocess.run([numen_command(), "detach", "--help"], capture_output=True, text=True).stdout.split()
    )


@pytest.mark.parametrize("option", TABLE.options, ids=lambda option: option.flags[0])
def test_every_option_stands_in_the_help_with_its_values_and_what_it_does(help_text: str, option: Option) -> None:
    values = "".join(f" {name}" for name in option.metavar)

    # Python 3.13 writes the values once, behind the last flag.
    assert any(f"{flag}{values}" in help_text for flag in (option.flags[0], ", ".join(option.flags)))
    assert " ".join(option.help.split()) in help_text


def test_every_exit_status_stands_in_the_help(help_text: str) -> None:
    listed = help_text.partition("exit statuses: ")[2]
    statuses = {
        error.exit_status
        for error in vars(errors).values()
        if isinstance(error, type) and issubclass(error, errors.DaemonError)
    }

    assert {int(one) for one in re.findall(r"(?:^|, )(\d+) ", listed)} == {0, *statuses}


def test_help_needs_no_terminal_and_is_no_failure() -> None:
    for arguments in (["--help"], ["-h"], ["help"], ["detach", "--help"], ["detach", "-h"]):
        done = run_numen(*arguments)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("usage: numen")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("strat",), "'strat' is no command; did you mean start?\nnumen --help lists them"),
        (("ls",), "did you mean status?"),
        (("kill",), "did you mean signal?"),
        (("xyzzy",), "'xyzzy' is no command\n"),
        (("start", "--nmae", "web"), "there is no option --nmae; did you mean --name?"),
        (("detach", "--nmae=web", "--", "true"), "there is no option --nmae; did you mean --name?"),
    ],
)
def test_who_has_mistyped_a_word_is_told_what_he_may_have_meant(arguments: tuple[str, ...], words: str) -> None:
    assert words in run_numen(*arguments).stderr


def test_help_for_a_command_is_that_commands() -> None:
    assert run_numen("help", "detach").stdout == run_numen("detach", "--help").stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_no_line_of_help_is_wider_than_a_terminal(command: str) -> None:
    lines = run_numen("help", command, env={"COLUMNS": "80"}).stdout.splitlines()

    prose = [line for line in lines if "numen " not in line]
    assert [line for line in prose if len(line) > 80] == []


def test_the_version_is_told() -> None:
    done = run_numen("--version")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("numen ")


@pytest.mark.parametrize(
    "arguments",
    [
        ["detach", "--no-such-option", "--", "true"],
        ["detach", "--name"],
        ["detach", "--quiet=yes", "--", "true"],
        ["detach", "--signal", "HUP"],
        ["detach", "--nice", "20", "--", "true"],
        ["detach", "--umask", "888", "--", "true"],
        ["detach", "--ready", "soon", "--", "true"],
        ["detach", "--timeout", "long", "--", "true"],
        ["detach", "--limit", "files=1", "--", "true"],
        ["detach", "--children", "reap", "--", "true"],
        ["detach", "--facility", "kern", "--", "true"],
        ["detach", "--capability", "fly", "--", "true"],
        ["detach", "--keep-fd", "2", "--", "true"],
        ["detach", "--keep-fd", "777", "--", "true"],
        ["detach", "--stdin", "journal", "--", "true"],
        ["detach", "--stdout", "inherit", "--", "true"],
        ["detach", "--env", "=x", "--", "true"],
        ["detach", "--ready", "fd:2", "--", "true"],
        ["detach", "--ready", "fd:99999999999", "--", "true"],
        ["detach", "--retry", "TERM", "--stop", "web"],
        ["detach", "--retry", "5s", "--", "true"],
        ["detach", "--status", "web", "--stop", "web"],
        ["detach", "--list", "--user", "nobody"],
        ["detach", "--stop", "web", "true"],
        ["detach", "--signal", "NO", "web"],
        ["detach"],
        ["detach", "--"],
        ["fly"],
        [],
    ],
    ids=" ".join,
)
def test_a_mistake_ends_with_status_2_says_what_is_wrong_and_does_nothing(arguments: list[str]) -> None:
    done = run_numen(*arguments)

    assert done.returncode == 2
    assert done.stdout == ""
    assert "numen" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_complaint_does_not_go_to_stdout_where_stderr_is_closed() -> None:
    done = subprocess.run(
        ["sh", "-c", 'exec "$0" detach --nice 20 -- true 2>&-', numen_command()],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout) == (2, "")


def test_a_reader_that_has_gone_is_no_failure() -> None:
    done = subprocess.run(
        ["sh", "-c", '"$0" detach --list | true; "$0" --help >/dev/full', numen_command()],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")


def test_a_command_that_is_written_correctly_is_read_without_argparse() -> None:
    script = (
        "import sys; from numen.cli.detach import TABLE; "
        "TABLE.read(['--name', 'a', '--timeout=5s', '-e', 'A=1', '--', 'sh']); "
        "print('argparse' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout == "False\n"


def test_the_parser_knows_what_the_table_knows() -> None:
    actions = PLAIN.parser()._actions
    told = {
        flag for action in actions if not isinstance(action, argparse._HelpAction) for flag in action.option_strings
    }

    assert told == set(FLAGS)
