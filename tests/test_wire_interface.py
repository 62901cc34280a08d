"""Interface files: what they define, and whether a value is of its type."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from numen.keep.control.server import supervisor_interface
from numen.wire.interface import BadInterface, Enum, Interface, Mismatch, Named, Struct

EXAMPLE = """\
# A licence.

# What is said
#   of the interface.
interface com.example.a-b.C1

# Of the type.
type Thing (
  # Of the field,
  # in two lines.
  name: string, # beside it
  more: ?[]Thing,
  kind: (big, small)
)
type Colour (red, green_2)
# Of the method.
method Do(thing: Thing, any: object) -> (colour: Colour, sizes: [string]int)
method Nothing()->()
# Of the error.
error Wrong (why: string, where: ?(line: int, column: ?int))
"""


def test_a_file_is_read_with_its_comments() -> None:
    read = Interface(EXAMPLE)

    assert (read.name, read.doc) == ("com.example.a-b.C1", "What is said\n  of the interface.")
    assert read.text == EXAMPLE
    assert (list(read.types), list(read.methods), list(read.errors)) == (
        ["Thing", "Colour"],
        ["Do", "Nothing"],
        ["Wrong"],
    )
    assert (read.types["Thing"].doc, read.methods["Do"].doc, read.methods["Nothing"].doc, read.errors["Wrong"].doc) == (
        "Of the type.",
        "Of the method.",
        "",
        "Of the error.",
    )
    thing = read.types["Thing"].type
    assert isinstance(thing, Struct)
    assert [(field.name, field.doc) for field in thing.members.values()] == [
        ("name", "Of the field,\nin two lines."),
        ("more", ""),
        ("kind", ""),
    ]
    assert thing.members["kind"].type == Enum(names=("big", "small"))
    assert read.types["Colour"].type == Enum(names=("red", "green_2"))
    assert read.methods["Do"].given.members["thing"].type == Named(name="Thing")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "line 1: `interface` is wanted, the end is there"),
        ("interface example", "the name of an interface is wanted, `example`"),
        ("interface a.b\nmethod do() -> ()", "line 2: the name of a method is wanted, `do`"),
        ("interface a.b\n\nmethod Do() ()", "line 3: `->` is wanted"),
        ("interface a.b method Do(a) -> ()", "fields with their types is wanted"),
        ("interface a.b method Do(a: int, b) -> ()", "`:` is wanted"),
        ("interface a.b type A (a, b: int)", r"`\)` is wanted, `:`"),
        ("interface a.b type A (a: int,)", "the name of a field is wanted"),
        ("interface a.b type A (a: int, a: int)", "a name that is not there already"),
        ("interface a.b type A (a: ??int)", "not optional already"),
        ("interface a.b type A (a: number)", "a type is wanted, `number`"),
        ("interface a.b type A (a: B)", "the type B is not defined"),
        ("interface a.b type A (a__b: int)", "the name of a field"),
        ("interface a.b type A (a_: int)", "the name of a field"),
        ("interface a.b type A int", r"`\(` is wanted"),
        ("interface a.b type A () error A ()", "A is defined twice"),
        ("interface a.b error A (a, b)", "fields with their types"),
        ("interface a.b § ", "`type`, `method` or `error` is wanted, `§`"),
        ("interface a.b type A (a: " + "[]" * 100_000 + "int)", "nested less deep"),
        ("interface a.b type A (a: " + "(a: " * 100_000, "nested less deep"),
    ],
)
def test_what_is_no_interface_is_refused_with_its_line(text: str, said: str) -> None:
    with pytest.raises(BadInterface, match=said):
        Interface(text)


@pytest.mark.parametrize(
    ("parameters", "parameter"),
    [
        ({}, "thing"),
        ({"thing": None, "any": {}}, "thing"),
        ({"thing": [], "any": {}}, "thing"),
        ({"thing": {"name": "a", "kind": "huge"}, "any": {}}, "thing.kind"),
        ({"thing": {"name": "a", "kind": 1}, "any": {}}, "thing.kind"),
        ({"thing": {"name": "a", "kind": "big", "more": [{"name": 1}]}, "any": {}}, "thing.more[0].name"),
        ({"thing": {"name": "a", "kind": "big", "size": 1}, "any": {}}, "thing.size"),
        ({"thing": {"name": "a", "kind": "big"}, "any": "x"}, "any"),
        ({"thing": {"name": "a", "kind": "big"}, "any": {}, "other": None}, "other"),
    ],
)
def test_a_mismatch_names_the_first_part_that_is_wrong(parameters: dict[str, Any], parameter: str) -> None:
    with pytest.raises(Mismatch) as mismatch:
        Interface(EXAMPLE).check_request("Do", parameters)

    assert mismatch.value.parameter == parameter


def test_replies_and_errors_are_checked_too() -> None:
    read = Interface(EXAMPLE)
    read.check_reply("Do", {"colour": "red", "sizes": {"a": 1}})
    read.check_error("Wrong", {"why": "so", "where": {"line": 1}})

    with pytest.raises(Mismatch, match=r"sizes\[a\] is no int"):
        read.check_reply("Do", {"colour": "red", "sizes": {"a": 1.0}})
    with pytest.raises(Mismatch, match=r"where\.line is missing"):
        read.check_error("Wrong", {"why": "so", "where": {}})
    with pytest.raises(KeyError):
        read.check_request("Undone", {})


@pytest.mark.parametrize(
    ("kind", "right", "wrong"),
    [
        ("bool", [True, False], [0, 1, "true", None]),
        ("int", [0, -1, (1 << 63) - 1, -(1 << 63)], [1 << 63, -(1 << 63) - 1, 1.0, True, "1", None]),
        ("float", [0, 1.5, -1e300, 10**300], [10**400, -(10**400), float("nan"), float("inf"), True, "1", None]),
        ("string", ["", "a", "\0"], [1, None, ["a"], b"a"]),
        ("object", [{}, {"a": [None]}], [[], None, "a"]),
        ("?int", [None, 1], ["a", 1.5]),
        ("[]?string", [[], ["a", None]], [None, "a", [1]]),
        ("[string]()", [{}, {"a": {}}], [{"a": 1}, {"a": {"b": 1}}, []]),
        ("(a, b)", ["a", "b"], ["c", "", None, ["a"], {}]),
    ],
)
def test_what_is_of_a_type(kind: str, right: list[Any], wrong: list[Any]) -> None:
    read = Interface(f"interface a.b method Do(x: {kind}) -> ()")

    for value in right:
        read.check_request("Do", {"x": value})
    for value in wrong:
        with pytest.raises(Mismatch):
            read.check_request("Do", {"x": value})


def test_the_supervisors_interface_documents_all_that_it_has() -> None:
    read = supervisor_interface()

    for members in read.types, read.methods, read.errors:
        assert [name for name, member in members.items() if not member.doc] == []
    assert read.doc


# Anything at all

Kind = tuple[Any, ...]
"""A type as these tests write it: its word and what is in it."""

NAMES = st.sampled_from(["a", "b", "c_1", "interface", "type", "int"])


def kinds() -> st.SearchStrategy[Kind]:
    simple = st.sampled_from([("bool",), ("int",), ("float",), ("string",), ("object",)])
    enums = st.lists(NAMES, min_size=1, max_size=3, unique=True).map(lambda names: ("enum", tuple(names)))
    return st.recursive(
        simple | enums,
        lambda below: (
            st.tuples(st.just("[]"), below)
            | st.tuples(st.just("[string]"), below)
            | st.tuples(st.just("?"), below.filter(lambda kind: kind[0] != "?"))
            | structs(below)
        ),
        max_leaves=5,
    )


def structs(below: st.SearchStrategy[Kind]) -> st.SearchStrategy[Kind]:
    return st.dictionaries(NAMES, below, max_size=3).map(lambda fields: ("struct", tuple(fields.items())))


def written(kind: Kind) -> str:
    match kind:
        case ("enum", names):
            return f"({', '.join(names)})"
        case ("struct", fields):
            return f"({', '.join(f'{name}: {written(inner)}' for name, inner in fields)})"
        case (word, inner):
            return f"{word}{written(inner)}"
        case _:
            return str(kind[0])


def fits(kind: Kind, value: Any) -> bool:
    """The reckoning of these tests."""
    match kind:
        case ("bool",):
            return isinstance(value, bool)
        case ("int",):
            return isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value <= 2**63 - 1
        case ("float",):
            return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e308
        case ("string",):
            return isinstance(value, str)
        case ("object",):
            return isinstance(value, dict)
        case ("enum", names):
            return value in [*names]
        case ("?", inner):
            return value is None or fits(inner, value)
        case ("[]", inner):
            return isinstance(value, list) and all(fits(inner, one) for one in value)
        case ("[string]", inner):
            return isinstance(value, dict) and all(fits(inner, one) for one in value.values())
        case ("struct", fields):
            return (
                isinstance(value, dict)
                and value.keys() <= {name for name, _ in fields}
                and all(fits(inner, value.get(name)) if name in value else inner[0] == "?" for name, inner in fields)
            )
    raise AssertionError(kind)


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(-1e307, 1e307)
    | st.text(max_size=3)
    | NAMES
    | st.sampled_from([2**63, 2**63 - 1, -(2**63), -(2**63) - 1])
)
VALUES = st.recursive(
    SCALARS,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(NAMES | st.text(max_size=2), below, max_size=3),
    max_leaves=6,
)


def values(kind: Kind) -> st.SearchStrategy[Any]:
    """Values that are likely of that type."""
    match kind:
        case ("enum", names):
            found: st.SearchStrategy[Any] = st.sampled_from(names)
        case ("?", inner):
            found = st.none() | values(inner)
        case ("[]", inner):
            found = st.lists(values(inner), max_size=3)
        case ("[string]", inner):
            found = st.dictionaries(st.text(max_size=2), values(inner), max_size=3)
        case ("struct", fields):
            all_of_them = {name: values(inner) for name, inner in fields}
            needed = {name: all_of_them[name] for name, inner in fields if inner[0] != "?"}
            found = st.fixed_dictionaries(
                needed, optional={name: one for name, one in all_of_them.items() if name not in needed}
            )
        case _:
            found = {
                "bool": st.booleans(),
                "int": st.integers(-(2**63), 2**63 - 1),
                "float": st.floats(-1e307, 1e307) | st.integers(),
                "string": st.text(max_size=5),
                "object": st.dictionaries(st.text(max_size=2), VALUES, max_size=2),
            }[kind[0]]
    return found


NEAR = values(("[]", ("int",))) | values(("[string]", ("string",))) | values(("struct", (("a", ("int",)),)))


@st.composite
def kinds_and_values(draw: st.DrawFn) -> tuple[Kind, Any]:
    kind = draw(kinds())
    # Mostly of the type, or nearly: what is made up at random rarely is.
    value = draw(values(kind) | NEAR | VALUES)
    return kind, value


@pytest.mark.fuzz
@given(kinds_and_values())
def test_a_value_is_of_a_type_by_two_reckonings(case: tuple[Kind, Any]) -> None:
    kind, value = case
    read = Interface(f"interface a.b\nmethod Do(x: {written(kind)}) -> ()")
    try:
        read.check_request("Do", {"x": value})
    except Mismatch as mismatch:
        taken, parameter = False, mismatch.parameter
    else:
        taken, parameter = True, "x"
    assert taken is fits(kind, value)
    assert parameter.startswith("x")


@pytest.mark.fuzz
@given(kinds().flatmap(lambda kind: st.tuples(st.just(kind), values(kind))))
def test_what_is_of_a_type_is_taken(case: tuple[Kind, Any]) -> None:
    kind, value = case

    Interface(f"interface a.b\nmethod Do(x: {written(kind)}) -> ()").check_request("Do", {"x": value})


WORDS = ["interface", "a.b", "type", "method", "error", "Abc", "name", "int", "[]", "[string]", "?", "(", ")", ":", ","]


@pytest.mark.fuzz
@given(st.text() | st.lists(st.sampled_from([*WORDS, "->", "#", "\n", " "]) | st.text(max_size=2)).map(" ".join))
def test_any_text_is_an_interface_or_refused(text: str) -> None:
    for given_text in text, f"interface a.b {text}":
        try:
            read = Interface(given_text)
        except BadInterface:
            continue
        assert read.name in text + "a.b"
