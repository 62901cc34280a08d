"""Where in a TOML text each key is written: held against what tomllib makes of the same text."""

import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
import tomli_w
from hypothesis import example, given
from hypothesis import strategies as st

from numen.settings.toml_positions import Positions, deepest, locate, position_of

Path = tuple[str | int, ...]


def paths(value: Any, path: Path = ()) -> Iterator[Path]:
    """The path of every key, and of every item of a list, that there is."""
    if isinstance(value, dict):
        for key, one in value.items():
            yield (*path, key)
            yield from paths(one, (*path, key))
    elif isinstance(value, list):
        for index, one in enumerate(value):
            yield (*path, index)
            yield from paths(one, (*path, index))


def is_written_there(text: str, key: str, position: tuple[int, int]) -> bool:
    """Whether that key stands at that place, bare or in quotation marks."""
    line, column = position
    rest = text.replace("\r\n", "\n").split("\n")[line - 1][column - 1 :]
    for end in range(1, len(rest) + 1):
        try:
            found = tomllib.loads(f"{rest[:end]} = 1")
        except tomllib.TOMLDecodeError:
            continue
        # A bare key may go on, and another begin as this one does.
        if found == {key: 1} and rest[end : end + 1] not in list(
            "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_"
        ):
            return True
    return False


def check(text: str) -> None:
    found = locate(text)
    table = tomllib.loads(text)

    assert set(found) == set(paths(table))
    for path, position in found.items():
        if isinstance(path[-1], str):
            assert is_written_there(text, path[-1], position), (path, position)


# Held against tomllib

KEYS = st.sampled_from(["a", "b", "web", "log.size", "[x]", 'q"', "it's", "ü", "", " ", "a=b", "#", "\\", "\n", "1.5"])
SCALARS = (
    st.booleans()
    | st.integers(-100, 100)
    | st.floats(allow_nan=False)
    | st.dates()
    | st.datetimes()
    | st.times()
    | st.sampled_from(["", "[no]\nkey = 1", "#", '"', "'", '"""', "'''", "\\", "{", "]]", "=", "a,b"])
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=15,
)
TABLES = st.dictionaries(KEYS, VALUES, max_size=5)


@pytest.mark.fuzz
@given(TABLES, st.booleans(), st.booleans())
def test_each_key_that_tomllib_has_is_found_where_it_is_written(
    table: dict[str, Any], multiline: bool, with_carriage_returns: bool
) -> None:
    text = tomli_w.dumps(table, multiline_strings=multiline)

    check(text.replace("\n", "\r\n") if with_carriage_returns else text)


STATEMENTS = st.sampled_from(
    [
        "a = 1",
        "b.c = [1, [2, {d = 3}], ]  # ] comment [",
        "b.e = {f.g = 1, h = [{i = 1}, {i = 2}]}",
        "'q.r'.\"s\\u0041\" = '''\n[no]\nx = 1\n'''",
        's = """\n"quoted" \\" [no]\n"""""',
        "t = 'it\\'",
        "u = [ # [\n  1, # ]\n\n  2.5,\n  'three', # {\n]",
        "v = 1979-05-27 07:32:00.5+01:00",
        "-w_1 = +inf",
        "\t [t1]",
        "[ t1 . sub ] # [[x]]",
        "[[l1]]",
        "[[l1.inner]]",
        "[l1.table]",
        "[t1.'quoted.part'.z]",
        "[t2]\r\nx.y = 1\r\nx.z = 2",
        "",
        "# a = 1",
    ]
)


@pytest.mark.fuzz
@given(st.lists(STATEMENTS, max_size=12).map("\n".join))
@example("a.b = 1\n[c.d]\ne = 1\n[c]\nf = 2")
@example("[[a]]\n[[a.b]]\n[[a.b]]\nc = 1\n[[a]]\n[[a.b]]\nc = 1\n[a.b.d]\ne = 1")
@example('a = ["""x"""", "y", 1]')
@example("a = ['''x'''', 'y', 1]")
@example('a = """"x""""\nb = \'\'\'\'y\'\'\'\'\nc = ""\nd = \'\'\ne = """"""')
def test_a_file_as_people_write_it_is_followed(text: str) -> None:
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        locate(text)  # a key twice, for one: what is found matters to nobody
    else:
        check(text)


@pytest.mark.fuzz
@given(st.text() | st.text("ab=.[]{}\"'\\\n\r\t ,#1", max_size=60))
@example("}]=}.")
@example("[[[[")
@example("a = [\n}")
@example('"\\x" = 1')
def test_what_is_no_toml_is_survived(text: str) -> None:
    try:
        table = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError):
        lines = text.replace("\r\n", "\n").split("\n")
        assert all(1 <= line <= len(lines) and column >= 1 for line, column in locate(text).values())
    else:
        assert set(locate(text)) == set(paths(table))


# Each by itself


def test_a_key_stands_where_its_own_part_of_a_dotted_one_begins() -> None:
    assert locate('\n  log . "size" = 1') == {("log",): (2, 3), ("log", "size"): (2, 9)}


def test_a_table_stands_where_it_is_named_first() -> None:
    found = locate("[daemon.web]\na = 1\n[daemon.db]\n")

    assert found["daemon",] == (1, 2)
    assert found["daemon", "db"] == (3, 9)


def test_an_item_of_a_list_stands_where_it_begins() -> None:
    assert locate('a = [\n  "x",\n  { b = 1 },\n]')["a", 1] == (3, 3)


def test_columns_are_counted_in_characters() -> None:
    assert locate('{}"ünï" = {{ x = 1 }}'.format(""))["ünï", "x"] == (1, 11)


def test_what_is_missing_has_the_place_of_the_table_where_it_could_stand() -> None:
    positions = Positions("a = 1\n[daemon.web]\nb = 1\n")

    assert positions.of(("daemon", "web", "command")) == (2, 9)
    assert positions.of(("daemon", "web", "b", 3, "c")) == (3, 1)
    assert positions.of(("c",)) == (1, 1)
    assert positions.of(()) == (1, 1)


def test_the_deepest_bracket_is_found() -> None:
    assert deepest("a = [1]\nb = [[2], [{c = 1}]]\n") == (2, 12)


def test_brackets_can_be_nested_without_end() -> None:
    assert len(locate(f"a = {'[' * 3000}")) == 3000


@given(st.text("ab\n"))
def test_a_place_is_the_line_and_the_column_of_a_character(text: str) -> None:
    for offset in range(len(text)):
        line, column = position_of(text, offset)
        assert text.split("\n")[line - 1][column - 1 : column] == text[offset].strip("\n")
