"""Sets of daemons: a file is read whole, or all mistakes in it are told, each with its place."""

import os
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st

from definitions import definitions
from numen.errors import BadDefinition, Unusable
from numen.keep.definitions import sets
from numen.keep.definitions.definition import Definition
from numen.keep.definitions.references import Reference
from numen.keep.definitions.sets import DaemonSet, from_text
from numen.keep.definitions.tables import to_table

TRUE = 'command = ["/bin/true"]'

HERE = os.getcwd()
"""Where the file stands in which these sets are, were there one."""


def read(text: str) -> DaemonSet:
    return from_text(text.encode(), "numen.toml")


def mistakes(text: str) -> list[tuple[int, int, str, str]]:
    """Line, column, key and message of each."""
    with pytest.raises(BadDefinition) as caught:
        read(text)
    error = caught.value
    assert all(file == "numen.toml" for file, _, _ in error.places)
    return [
        (line, column, key, told) for (_, line, column), (key, told) in zip(error.places, error.mistakes, strict=True)
    ]


def places(text: str) -> list[tuple[int, int, str]]:
    return [one[:3] for one in mistakes(text)]


# What is read


def test_each_table_is_a_daemon() -> None:
    found = read(f'[daemon.web]\n{TRUE}\nnice = 5\n[daemon."db.1"]\n{TRUE}\n')

    assert found.definitions == {
        "web": Definition(command=("/bin/true",), nice=5, directory=HERE),
        "db.1": Definition(command=("/bin/true",), directory=HERE),
    }


def test_a_file_without_daemons_defines_none() -> None:
    assert read("").definitions == read("[defaults]\nnice = 1\n").definitions == {}


def test_defaults_hold_where_nothing_else_is_said() -> None:
    found = read(f"""
        [defaults]
        {TRUE}
        nice = 5
        log.size = "1MB"
        log.keep = 3
        [daemon.web]
        nice = 6
        log.keep = 4
        [daemon.db]
        command = ["/bin/false"]
    """)

    true = Definition(command=("/bin/true",), log_size=2**20, directory=HERE)
    assert found.definitions == {
        "web": true.replace(nice=6, log_keep=4),
        "db": true.replace(command=("/bin/false",), nice=5, log_keep=3),
    }


def test_environment_and_limits_are_merged_entry_by_entry() -> None:
    found = read(f"""
        [defaults]
        environment = {{ A = "1", B = "1" }}
        limits = {{ nofile = 5, processes = 6 }}
        [daemon.web]
        {TRUE}
        environment = {{ B = "2", C = "2" }}
        limits = {{ open-files = 7 }}
    """)

    web = found.definitions["web"]
    assert web.environment == {"A": "1", "B": "2", "C": "2"}
    assert web.limits == {"open-files": (7, 7), "processes": (6, 6)}


def test_what_a_daemon_says_of_others_is_read() -> None:
    found = read(f"""
        [daemon.web]
        {TRUE}
        after = ["log"]
        requires = [{{ name = "db", condition = "started" }}]
        [daemon.db]
        {TRUE}
        [daemon.log]
        {TRUE}
    """)

    web = found.definitions["web"]
    assert [(one.name, one.condition) for one in web.after] == [("log", "ready")]
    assert [(one.name, one.condition) for one in web.requires] == [("db", "started")]
    assert found.definitions["db"].after == ()


@st.composite
def any_set(draw: st.DrawFn) -> dict[str, Definition]:
    """Definitions that name only those before them."""
    wanted: dict[str, Definition] = {}
    for name in draw(st.lists(st.sampled_from(["a", "b", "c.d"]), unique=True)):
        one = draw(definitions())
        others = draw(st.lists(st.sampled_from(list(wanted)), unique=True)) if wanted else []
        references = tuple(Reference(name=other, condition="started") for other in others)
        one = one.replace(after=references, requires=references[:1], restart_with=tuple(others))
        wanted[name] = one.replace(on_failure=("", name)) if one.on_failure and not one.on_failure[0] else one
    return wanted


@settings(max_examples=100)
@given(any_set())
def test_any_definitions_come_back_from_a_set(wanted: dict[str, Definition]) -> None:
    table: dict[str, Any] = {"daemon": {name: to_table(one) for name, one in wanted.items()}}

    assert read(tomli_w.dumps(table)).definitions == wanted


@settings(max_examples=100)
@given(definitions())
def test_defaults_are_the_same_as_the_keys_in_each_daemon(definition: Definition) -> None:
    one = definition.replace(after=(), requires=(), restart_with=(), on_failure=None)
    found = read(tomli_w.dumps({"defaults": to_table(one), "daemon": {"a": {}, "b": {}}}))

    assert found.definitions == {"a": one, "b": one}


# Mistakes


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file() -> None:
    assert places(f"""[defaults]
nise = 3
[daemon.web]
{TRUE}
after = ["bd"]
[daemon.web.environment]
A = true
[daemon.db]
umask = "9"
log.size = 1
[dameon.x]
""") == [
        (2, 1, "defaults.nise"),
        (5, 10, "daemon.web.after"),
        (7, 1, "daemon.web.environment"),
        (8, 9, "daemon.db.command"),
        (9, 1, "daemon.db.umask"),
        (10, 5, "daemon.db.log.size"),
        (11, 2, "dameon"),
    ]


def test_the_error_names_each_place_as_compilers_do() -> None:
    with pytest.raises(BadDefinition) as several:
        read("[defaults]\nnise = 3\nnice = 40\n")
    with pytest.raises(BadDefinition) as one:
        read("[defaults]\nnise = 3\n")

    told = "numen.toml:2:1: defaults.nise: there is no such key; did you mean nice?"
    assert str(one.value) == f"cannot use {told}"
    first, *lines = str(several.value).split("\n")
    assert first == "cannot use numen.toml: there are 2 mistakes in it"
    assert lines[0] == f"  {told}"
    assert lines[1].startswith("  numen.toml:3:1: defaults.nice: 40 is ")


def test_a_mistake_among_the_defaults_is_told_there_and_once() -> None:
    text = f'[defaults]\nhealthy_after = "5m"\n[daemon.a]\n{TRUE}\n[daemon.b]\n{TRUE}\n'

    assert places(text) == [(2, 1, "defaults.healthy_after")]


def test_values_that_contradict_the_defaults_are_told_where_the_daemon_writes_them() -> None:
    text = f'[defaults]\nforgiven_after = "10m"\nhealthy_after = "5m"\n[daemon.a]\n{TRUE}\nforgiven_after = "1m"\n'

    assert mistakes(text) == [(6, 1, "daemon.a.forgiven_after", "1m is below healthy_after, 5m")]


def test_a_daemon_that_contradicts_a_default_is_told_of_at_that_default() -> None:
    text = f'[defaults]\nforgiven_after = "2m"\n[daemon.a]\n{TRUE}\nhealthy_after = "5m"\n'

    assert mistakes(text) == [(2, 1, "defaults.forgiven_after", "2m is below healthy_after, 5m")]


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("daemon = 3", (1, 1, "daemon"), "no table of daemons"),
        ("[[daemon]]\nname = 1", (1, 3, "daemon"), "no table of daemons"),
        ("daemon.web = 3", (1, 8, "daemon.web"), "no table of keys"),
        ("defaults = 3", (1, 1, "defaults"), "no table of keys"),
        ("nice = 3", (1, 1, "nice"), r"belongs into a table"),
        ("daemons.web.nice = 3", (1, 1, "daemons"), "did you mean daemon"),
        ("x = 3", (1, 1, "x"), "there are defaults and daemon"),
        ('[defaults]\nsource = "/a"', (2, 1, "defaults.source"), "numen alone writes it"),
        (f'[daemon.a]\n{TRUE}\nsource = "/a"', (3, 1, "daemon.a.source"), "numen alone writes it"),
        (f'[daemon.a]\n{TRUE}\non_failure = "b"', (3, 1, "daemon.a.on_failure"), "no daemon 'b' in this file"),
        (f'[daemon.a]\n{TRUE}\nrestart_with = ["a"]', (3, 17, "daemon.a.restart_with"), "a → a"),
        (f'[defaults]\n{TRUE}\nafter = ["c"]\n[daemon.a]\n[daemon.b]', (3, 10, "defaults.after"), "no daemon 'c'"),
        (f"[daemon.numen]\n{TRUE}", (1, 9, "daemon.numen"), "supervisor's own"),
        (f'[daemon."a b"]\n{TRUE}', (1, 9, 'daemon."a b"'), "is no name"),
        (f"[daemon.a]\n{TRUE}\nafter = 1", (3, 1, "daemon.a.after"), "is no list"),
        (f"[daemon.a]\n{TRUE}\nrequires = [\n 'a']", (4, 2, "daemon.a.requires"), "a → a"),
    ],
)
def test_what_is_no_set_is_told_where_it_stands(text: str, place: tuple[int, int, str], message: str) -> None:
    (found,) = mistakes(text)

    assert found[:3] == place
    assert message in found[3]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a = 1\nb = [1, 2", (2, 10)),
        ("a = 1\na = 2", (2, 6)),
        ("a = 1 2", (1, 7)),
        ("a = '\n", (1, 6)),
        ("\r\n\r\n= 1", (3, 1)),
        ("a = 1\n\nb = " + "[" * 5000 + "]" * 5000, (3, 5004)),
        ("a = 1\nb = " + "9" * 5000, (2, 5)),
    ],
    ids=["open list", "twice", "two values", "open text", "no key", "deep", "long number"],
)
def test_what_is_no_toml_is_told_with_the_place_where_it_ends_to_be(text: str, place: tuple[int, int]) -> None:
    ((line, column, key, message),) = mistakes(text)

    assert (line, column, key) == (*place, "")
    assert "at line" not in message


def test_what_is_no_utf_8_is_told_with_its_place() -> None:
    with pytest.raises(BadDefinition) as caught:
        from_text("a = 1\nü = ".encode() + b"\xff", "numen.toml")

    assert caught.value.places == (("numen.toml", 2, 5),)


def test_who_waits_for_the_end_of_what_never_ends_is_told() -> None:
    text = f"""[daemon.web]
{TRUE}
after = [{{ name = "migrate", condition = "completed" }}]
[daemon.migrate]
{TRUE}
"""

    ((line, column, _, message),) = mistakes(text)
    assert (line, column) == (3, 10)
    assert message == "migrate never completes: its `restart` is always; make that on-failure or never"
    assert len(read(f'{text}restart = "on-failure"\n').definitions) == 2


GOOD_LINES = (
    "nice = 1",
    "instances = 3",
    "instances = 0",
    "environment = { A = '100%%' }",
    'umask = "022"',
    "# a comment",
    "",
    'log.size = "1MB"',
    'stop = [\n  "TERM",\n  "5s",\n]',
)
BAD_LINES = {
    "nise = 3": "nise",
    "nice = 40": "nice",
    "directory = 3": "directory",
    "before_start = ['no-such-program']": "before_start",
    "log.sise = 3": "log.sise",
    "log . keep = 0": "log.keep",
    "'no such' = '''\nnice = 40\n'''": "no such",
    "environment = { A = '1', B = true }": "environment",
    "after = [\n'gone']": "after",
    "stop = [\n'TREM',\n]": "stop",
    "requires = ['gone']": "requires",
    "restart_with = ['gone']": "restart_with",
    "on_failure = 'gone'": "on_failure",
    "instances = -1": "instances",
    "ready = 'tcp://nowhere'": "ready",
    "alive.probe = 'notify'": "alive.probe",
    "alive . then = 'sing'": "alive.then",
    "schedule.cron = '61 * * * *'": "schedule.cron",
    "max_memory = '1'": "max_memory",
    "log.every = 'often'": "log.every",
    "cgroup.cpu = 'all'": "cgroup.cpu",
    "secret_files = { A = 3 }": "secret_files",
    "reload_command = 'nginx'": "reload_command",
    "vital = 1": "vital",
}


@st.composite
def sets_with_mistakes(draw: st.DrawFn) -> tuple[str, list[tuple[int, str]]]:
    """A text, and the line and the key of each mistake in it."""
    lines: list[str] = []
    wrong: list[tuple[int, str]] = []
    for name in draw(st.lists(st.sampled_from("abcd"), unique=True, max_size=4)):
        lines += [f"[daemon.{name}]", TRUE]
        chosen = draw(st.lists(st.sampled_from(GOOD_LINES) | st.sampled_from(list(BAD_LINES)), max_size=8, unique=True))
        keys = set()
        for line in chosen:
            key = line.partition("=")[0].replace(" ", "")
            if key and key not in keys:
                keys.add(key)
                if line in BAD_LINES:
                    # An item of a list stands on its own line.
                    wrong.append((len(lines) + 1 + line.startswith("after"), f"daemon.{name}.{BAD_LINES[line]}"))
                lines += line.split("\n")
    return "\n".join(lines), wrong


@settings(max_examples=200)
@given(sets_with_mistakes(), st.booleans())
def test_each_mistake_is_told_at_its_own_line(
    made: tuple[str, list[tuple[int, str]]], with_carriage_returns: bool
) -> None:
    text, wrong = made
    text = text.replace("\n", "\r\n") if with_carriage_returns else text

    if wrong:
        assert [(line, key) for line, _, key, _ in mistakes(text)] == wrong
    else:
        read(text)


# Its file


def test_a_set_is_read_from_its_file(public_path: Path) -> None:
    path = public_path / "numen.toml"
    path.write_text(f"[daemon.web]\n{TRUE}\n")
    path.chmod(0o644)

    assert list(sets.read(str(path)).definitions) == ["web"]


def test_a_set_that_others_can_write_is_refused(public_path: Path) -> None:
    path = public_path / "numen.toml"
    path.write_text(f"[daemon.web]\n{TRUE}\n")
    path.chmod(0o666)

    with pytest.raises(Unusable, match="mode 0666"):
        sets.read(str(path))


@pytest.mark.needs_root
def test_a_set_of_root_s_whose_command_others_can_write_is_refused_whole(public_path: Path) -> None:
    program = public_path / "program"
    program.touch(0o755)
    program.chmod(0o777)
    text = f'[daemon.web]\n{TRUE}\n[daemon.db]\ncommand = ["{program}"]\n'

    ((line, _, key, message),) = mistakes(text)
    assert (line, key) == (4, "daemon.db.command")
    assert f"{program} (mode 0777, " in message


@pytest.mark.fuzz
@given(
    st.text("[]daemon.fultsw\"'={}\n, 1")
    | st.lists(
        st.sampled_from(
            [*GOOD_LINES, *BAD_LINES, "[daemon.a]", "[daemon.'a@1']", "[defaults]", "[daemon]", "[[daemon]]"]
        )
    ).map("\n".join)
)
def test_whatever_a_file_holds_it_is_a_set_or_all_that_is_wrong_is_told(text: str) -> None:
    lines = text.split("\n")
    for line, column in places_in(text):
        assert 1 <= line <= len(lines)
        assert 1 <= column <= len(lines[line - 1]) + 1


def places_in(text: str) -> list[tuple[int, int]]:
    """Where there is a mistake; whatever else goes wrong is an error."""
    try:
        read(text)
    except BadDefinition as error:
        found = [(line, column) for _, line, column in error.places]
        return found if len(found) == len(error.mistakes) > 0 else [(0, 0)]
    return []
