"""The keys of a definition: what each takes, what it refuses, and how all mistakes are told at once."""

import json
import pickle
import tomllib
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from definitions import definitions
from numen.errors import BadDefinition
from numen.keep.definitions.definition import CLEAN_ENDINGS, Definition
from numen.keep.definitions.keys import BY_NAME, GROUPS, KEYS, Key, default
from numen.keep.definitions.kinds import LONGEST
from numen.keep.definitions.tables import check, from_table, to_table

pytestmark = pytest.mark.once

COMMAND = ["/usr/bin/true"]
TERM, HUP, USR1, INT, KILL = 15, 1, 10, 2, 9


def with_key(name: str, value: object) -> dict[str, Any]:
    """A table with just this key beside a command."""
    group, _, last = name.rpartition(".")
    return {"command": COMMAND, **({group: {last: value}} if group else {name: value})}


def value_of(name: str, value: object) -> Any:
    return getattr(from_table(with_key(name, value)), BY_NAME[name].field)


def mistakes_in(table: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(BadDefinition) as caught:
        from_table(table)
    return dict(caught.value.mistakes)


def read(table: dict[str, Any]) -> tuple[Definition | None, BadDefinition | None]:
    try:
        return from_table(table), None
    except BadDefinition as error:
        return None, error


# The table


def test_there_is_a_key_for_each_field_of_a_definition_and_no_other() -> None:
    assert {key.field for key in KEYS} == set(Definition.fields())
    assert len({key.name for key in KEYS}) == len(KEYS)


each_key = pytest.mark.parametrize("key", KEYS, ids=lambda key: key.name)


def beside(key: Key) -> str:
    """What has to stand beside a key that means nothing alone."""
    timing = ("schedule.every", "schedule.cron")
    return "schedule.cron = '@daily'\n" if key.name.startswith("schedule.") and key.name not in timing else ""


@each_key
def test_each_example_is_a_line_of_toml_that_is_taken_and_differs_from_the_default(key: Key) -> None:
    table = tomllib.loads(f"{beside(key)}{key.name} = {key.example}")
    definition = from_table({"command": COMMAND, **table})

    assert getattr(definition, key.field) != getattr(Definition, key.field, None)


@each_key
def test_each_default_is_taken_where_it_is_written_and_left_out_where_it_is_not_asked_for(key: Key) -> None:
    if (value := default(key)) is not None:
        definition = from_table({**with_key(key.name, value), "command": COMMAND})
        assert definition == Definition(command=tuple(COMMAND))
        assert to_table(definition) == {"command": COMMAND, "directory": "/", "environment": {}}


@each_key
def test_each_key_is_explained_in_one_sentence(key: Key) -> None:
    assert key.help
    assert key.kind.written
    assert not key.help.endswith(".")


# There and back


@given(definitions())
def test_a_definition_comes_back_from_its_table_and_from_json(definition: Definition) -> None:
    table = to_table(definition)

    assert from_table(table) == definition
    assert from_table(json.loads(json.dumps(table))) == definition
    check(definition)


TOML = st.recursive(
    st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.dates()
    | st.datetimes()
    | st.times()
    | st.none()
    | st.sampled_from(["TERM", "10s", "KILL", "0-3,8", "fd:3", "1:2", "1GiB", "unlimited", "022", "/bin", "²", "٣"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=8,
)
WRITTEN = st.sampled_from([*GROUPS, *BY_NAME, *(name.rpartition(".")[2] for name in BY_NAME)])


@pytest.mark.fuzz
@given(st.dictionaries(WRITTEN | st.text(max_size=10), TOML | st.dictionaries(WRITTEN, TOML), max_size=6))
@example({"ready": "fd:" + "9" * 5000})
@example({"affinity": "9" * 5000})
@example({"success": ["9" * 5000]})
@example({"reload": "9" * 5000})
@example({"log": {"size": "9" * 5000}})
@example({"backoff": {"first": "9" * 5000}})
@example({"limits": {"nofile": "9" * 5000}})
@example({"limits": {"nofile": [-1, 1]}})
@example({"environment": {"X": 10**5000}})
@example({"backoff": {"first": 10**5000}})
@example({"user": 10**5000})
@example({"stop": "/"})
@example({"command": "an 'unclosed quotation"})
@example({"command": ["/bin/\udcff"]})
def test_whatever_a_table_holds_it_is_a_definition_or_told_what_is_wrong(table: dict[str, Any]) -> None:
    for whole in (table, {"command": COMMAND, **table}):
        definition, refused = read(whole)
        if definition:
            assert from_table(to_table(definition)) == definition
        else:
            assert refused
            assert all(len(message) <= 300 for _, message in refused.mistakes)
            assert len(str(refused)) < 400 * (1 + len(refused.mistakes))


@pytest.mark.fuzz
@given(key=st.sampled_from(KEYS), value=TOML)
def test_whatever_a_key_holds_it_is_taken_or_the_mistake_is_told_at_that_key(key: Key, value: object) -> None:
    definition, refused = read(with_key(key.name, value))

    if definition:
        assert from_table(to_table(definition)) == definition
    else:
        assert refused
        assert {name for name, _ in refused.mistakes} == {key.name}


@pytest.mark.fuzz
@given(st.none() | st.lists(st.integers()) | st.text() | st.integers())
def test_what_is_no_table_is_no_definition(value: Any) -> None:
    with pytest.raises(BadDefinition):
        from_table(value)


# Mistakes


def test_all_mistakes_are_told_at_once_each_with_its_key() -> None:
    with pytest.raises(BadDefinition) as caught:
        from_table({"comand": ["x"], "umask": "9", "log": {"size": "big"}, "stop": [], "backoff": 3})

    assert [name for name, _ in caught.value.mistakes] == ["comand", "umask", "log.size", "stop", "backoff", "command"]
    assert caught.value.exit_status == 2
    for name, message in caught.value.mistakes:
        assert f"\n  {name}: {message}" in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value"),
    [("environment", {"A": True, "B": "well", "C": []}), ("limits", {"a": 1, "core-size": 1, "c": 1})],
)
def test_of_a_table_each_entry_that_is_wrong_is_told(key: str, value: dict[str, Any]) -> None:
    with pytest.raises(BadDefinition) as caught:
        from_table(with_key(key, value))

    (first, one), (second, other) = caught.value.mistakes
    assert first == second == key
    assert one != other


def test_a_single_mistake_stands_on_one_line() -> None:
    with pytest.raises(BadDefinition) as caught:
        from_table(with_key("nice", 20))

    assert str(caught.value) == "cannot use the definition: nice: 20 is no whole number from -20 to 19"


def test_mistakes_survive_being_sent_to_another_process() -> None:
    with pytest.raises(BadDefinition) as caught:
        from_table({})

    again = pickle.loads(pickle.dumps(caught.value))
    assert (type(again), str(again), again.mistakes) == (BadDefinition, str(caught.value), caught.value.mistakes)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("comand", "command"),
        ("log.sizes", "log.size"),
        ("backoff.frist", "backoff.first"),
        ("size", "log.size"),
        ("cwd", "directory"),
        ("env", "environment"),
        ("ready-timeout", "ready_timeout"),
        ("No_New_Privileges", "no_new_privileges"),
        ("oomscore", "oom_score"),
    ],
)
def test_an_unknown_key_is_told_with_the_one_that_was_meant(written: str, meant: str) -> None:
    assert mistakes_in(with_key(written, 1))[written].endswith(f"; did you mean {meant}?")


def test_an_unknown_key_that_resembles_none_is_told_without_a_guess() -> None:
    for written in ("xyzzy", "x" * 100_000):
        assert mistakes_in(with_key(written, 1)) == {written: "there is no such key"}


def test_a_definition_without_a_command_is_none() -> None:
    assert mistakes_in({}) == {"command": "it is missing; write the program and its arguments"}


# What each key takes


@pytest.mark.parametrize(
    ("name", "written", "value"),
    [
        ("umask", "077", 0o77),
        ("ready_timeout", 2, 2.0),
        ("ready_timeout", "1h30m", 5400.0),
        ("ready_timeout", 0.25, 0.25),
        ("ready", "fd:03", "fd:3"),
        ("user", 1000, "1000"),
        ("groups", ["adm", 4], ("adm", "4")),
        ("groups", [], ()),
        ("success", [0, 3, "TERM", "sigint", "75", 0], (0, 3, -TERM, -INT, 75)),
        ("final", [], ()),
        ("reload", "SIGUSR1", USR1),
        ("reload", 10, USR1),
        ("stop", ["TERM", "10s", "KILL"], ((TERM, 10.0), (KILL, 10.0))),
        ("stop", ["INT", 1.5, "TERM", "5s", "KILL", "20s"], ((INT, 1.5), (TERM, 5.0), (KILL, 20.0))),
        ("stop", ["INT", "5s"], ((INT, 5.0), (KILL, 10.0))),
        ("stop", ["HUP"], ((HUP, 10.0), (KILL, 10.0))),
        ("stop", "TERM/1m/KILL", ((TERM, 60.0), (KILL, 10.0))),
        ("stop", ["KILL"], ((KILL, 10.0),)),
        ("stop", ["30s"], ((TERM, 30.0), (KILL, 10.0))),
        ("stop", 30, ((TERM, 30.0), (KILL, 10.0))),
        ("log.size", "64K", 65536),
        ("log.size", 4096, 4096),
        ("affinity", "0-3,8", (0, 1, 2, 3, 8)),
        ("affinity", [8, 0, "1-2", 1], (0, 1, 2, 8)),
        ("capabilities", ["CAP_NET_BIND_SERVICE", "net_bind_service"], ("net_bind_service",)),
        ("capabilities", [], ()),
        ("environment", {"PORT": 8000, "A": ""}, {"PORT": "8000", "A": ""}),
        ("environment_files", ["-/a", "/b"], ("-/a", "/b")),
        ("limits", {"nofile": 5}, {"open-files": (5, 5)}),
        ("limits", {"RLIMIT_NPROC": "100:unlimited"}, {"processes": (100, -1)}),
        ("limits", {"address-space": ["1GiB", "2GiB"]}, {"address-space": (2**30, 2**31)}),
    ],
)
def test_what_people_write_means_what_they_mean(name: str, written: object, value: object) -> None:
    found = value_of(name, written)

    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("command", "python3 -m http.server"),
        ("command", []),
        ("command", [""]),
        ("command", ["python3"]),
        ("command", ["/bin/sh", 1]),
        ("command", ["/bin/\0"]),
        ("directory", "srv"),
        ("directory", ""),
        ("umask", "0o22"),
        ("umask", "1000"),
        ("umask", 0o22),
        ("umask", 22),
        ("umask", True),
        ("user", ""),
        ("user", -1),
        ("user", "a:b"),
        ("groups", "adm"),
        ("ready", "exit"),
        ("ready", "fd:2"),
        ("ready", "fd:65536"),
        ("ready_timeout", 0),
        ("ready_timeout", float("nan")),
        ("ready_timeout", float("inf")),
        ("ready_timeout", "soon"),
        ("ready_timeout", True),
        ("ready_timeout", LONGEST + 1),
        ("restart", True),
        ("restart", "sometimes"),
        ("success", [256]),
        ("success", [-15]),
        ("success", ["-15"]),
        ("success", [True]),
        ("success", "TERM"),
        ("reload", "KILL"),
        ("reload", "STOP"),
        ("reload", 0),
        ("reload", 1.0),
        ("stop", []),
        ("stop", ["KILL", "1s", "TERM"]),
        ("stop", ["TERM", "KILL"]),
        ("stop", ["TERM", -1]),
        ("stop", ["TERM", "1s"] * 30),
        ("log.size", 0),
        ("log.size", "4095"),
        ("log.size", True),
        ("log.keep", 0),
        ("log.compress", "yes"),
        ("log.compress", 1),
        ("limits", {"files": 1}),
        ("limits", {"open-files": [2, 1]}),
        ("limits", {"open-files": -1}),
        ("limits", {"open-files": [1, 2, 3]}),
        ("limits", {"open-files": 1, "nofile": 2}),
        ("nice", 20),
        ("nice", "5"),
        ("affinity", ""),
        ("affinity", []),
        ("affinity", "3-1"),
        ("affinity", "0-8192"),
        ("affinity", "0-"),
        ("capabilities", ["fly"]),
        ("start", 0),
        ("environment", {"A=B": "x"}),
        ("environment", {"": "x"}),
        ("environment", {"A": True}),
        ("environment", {"A": "\0"}),
        ("environment", ["A=B"]),
        ("environment_files", ["web.env"]),
        ("environment_files", "/web.env"),
        ("give_up.restarts", -1),
        ("give_up.then", "explode"),
    ],
)
def test_what_makes_no_sense_is_refused_at_its_key(name: str, written: object) -> None:
    assert list(mistakes_in(with_key(name, written))) == [name]


def test_a_command_in_one_line_is_refused_with_the_list_that_it_would_be() -> None:
    told = mistakes_in(with_key("command", "/bin/sh -c 'exit 3'"))["command"]

    assert told.endswith('write each word by itself, ["/bin/sh", "-c", "exit 3"]')


@pytest.mark.parametrize(
    ("name", "shortest"),
    [("backoff.first", 0.01), ("backoff.longest", 1.0), ("healthy_after", 0.5), ("give_up.every", 1.0)],
)
def test_no_wait_may_be_so_short_that_a_crashing_program_spins(name: str, shortest: float) -> None:
    assert value_of(name, shortest) == shortest
    assert "is below" in mistakes_in(with_key(name, shortest * 0.99))[name]


def test_the_longer_of_two_waits_is_not_below_the_shorter() -> None:
    for lower, upper in (("first", "longest"), ("healthy_after", "forgiven_after")):
        inside = upper == "longest"
        table = {lower: "2m", upper: "1m"}
        name = f"backoff.{upper}" if inside else upper
        assert list(mistakes_in({"command": COMMAND, **({"backoff": table} if inside else table)})) == [name]
        # The default of the other is told of where only one is written.
        assert (
            "write that one too" in mistakes_in(with_key(name.replace(upper, lower), "2m"))[name.replace(upper, lower)]
        )


def test_a_definition_that_contradicts_itself_is_refused_however_it_was_made() -> None:
    with pytest.raises(BadDefinition):
        check(Definition(command=("/bin/true",), backoff_first=40.0))


def test_every_stop_ends_with_kill_so_that_nothing_outlives_it() -> None:
    for written in (["TERM"], ["INT", "1s", "TERM"], "5s"):
        assert value_of("stop", written)[-1][0] == KILL


def test_the_clean_endings_are_written_by_their_names() -> None:
    assert default(BY_NAME["success"]) == [0, "HUP", "INT", "TERM", "PIPE"]
    assert value_of("success", default(BY_NAME["success"])) == CLEAN_ENDINGS
