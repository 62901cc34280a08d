"""What daemons say of each other: names that are missing, and circles."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numen.errors import BadOption
from numen.keep.definitions.references import COMPLETED, READY, REFERENCES, STARTED, Order, Reference, check, drawn


def orders(**after: str) -> dict[str, Order]:
    """Each daemon with the names, parted by blanks, after which it starts."""
    return {name: Order(after=tuple(Reference(name=one) for one in others.split())) for name, others in after.items()}


def told(**after: str) -> list[tuple[str, str | int, str]]:
    return [(one.name, one.place[-1], one.message) for one in check(orders(**after))]


def test_what_leads_around_nowhere_is_right() -> None:
    assert told(web="db cache", cache="db", db="") == []


def test_a_circle_is_drawn_at_its_first_daemon() -> None:
    assert told(web="log db", db="cache", cache="web", log="") == [
        ("web", 1, "it waits for itself: web → db → cache → web")
    ]


def test_a_daemon_that_waits_for_itself_is_the_smallest_circle() -> None:
    assert told(web="web") == [("web", 0, "it waits for itself: web → web")]


def test_each_of_several_circles_is_told_once_and_the_shortest_way_of_each() -> None:
    found = told(a="b c", b="a", c="d", d="a", x="y", y="x", z="x")

    assert [message for _, _, message in found] == [
        "it waits for itself: a → b → a",
        "it waits for itself: x → y → x",
    ]


def test_after_and_requires_make_a_circle_together() -> None:
    both = {
        "web": Order(after=(Reference(name="db"),)),
        "db": Order(requires=(Reference(name="web", condition=STARTED),)),
    }

    assert [(one.name, one.place[0], one.message) for one in check(both)] == [
        ("web", "after", "it waits for itself: web → db → web")
    ]


def test_a_name_that_is_not_there_is_told_with_the_one_that_was_meant() -> None:
    assert told(web="databse mail", database="") == [
        ("web", 0, "there is no daemon 'databse' in this file; did you mean database?"),
        ("web", 1, "there is no daemon 'mail' in this file"),
    ]


def test_a_long_circle_is_drawn_in_part() -> None:
    names = [f"d{number}" for number in range(5000)]
    circle = dict(zip(names, [*names[1:], names[0]], strict=True))

    ((_, _, message),) = told(**circle)

    assert message == "it waits for itself: d0 → d1 → d2 → d3 → d4 → d5 → d6 → d7 → d8 → d9 → (4990 more) → d0"


def test_a_circle_of_twelve_names_is_drawn_whole() -> None:
    circle = [*(f"d{number}" for number in range(11)), "d0"]

    assert drawn(circle) == " → ".join(circle)


@settings(max_examples=300)
@given(st.dictionaries(st.sampled_from("abcdef"), st.lists(st.sampled_from("abcdef"), unique=True, max_size=3)))
def test_a_circle_is_told_just_where_the_order_has_no_beginning(after: dict[str, list[str]]) -> None:
    import graphlib

    graph = {name: [one for one in others if one in after] for name, others in after.items()}
    found = check(orders(**{name: " ".join(others) for name, others in graph.items()}))

    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError:
        assert found
    else:
        assert found == []
    for one in found:
        circle = one.message.removeprefix("it waits for itself: ").split(" → ")
        assert circle[0] == circle[-1] == one.name
        assert all(circle[place + 1] in graph[name] for place, name in enumerate(circle[:-1]))


# How they are written


def test_a_reference_is_a_name_or_a_name_with_a_condition() -> None:
    written = ["db", {"name": "migrate", "condition": COMPLETED}, {"name": "cache"}]
    found = REFERENCES.parse(written)

    assert [(one.name, one.condition) for one in found] == [("db", READY), ("migrate", COMPLETED), ("cache", READY)]
    assert REFERENCES.form(found) == ["db", {"name": "migrate", "condition": "completed"}, "cache"]
    assert REFERENCES.parse(REFERENCES.form(found)) == found


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("db", "is no list"),
        ([1], "is no name"),
        ([{"condition": "ready"}], "the name is missing"),
        ([{"name": 1}], "is no name"),
        ([{"name": "db", "condition": "up"}], "there are started, ready, completed"),
        ([{"name": "db", "condition": ["ready"]}], "is no condition"),
        ([{"name": "db", "when": "ready"}], "there is no key 'when'"),
        (["db", {"name": "db", "condition": "started"}], "'db' is there twice"),
    ],
)
def test_what_is_no_reference_is_refused(written: object, message: str) -> None:
    with pytest.raises(BadOption, match=message):
        REFERENCES.parse(written)


def test_who_is_restarted_with_itself_is_told_as_a_circle_of_its_own() -> None:
    both = {"web": Order(restart_with=("db",)), "db": Order(restart_with=("web",), after=(Reference(name="web"),))}

    ((name, place, message),) = [(one.name, one.place, one.message) for one in check(both)]
    assert (name, place) == ("web", ("restart_with", 0))
    assert message == "it is restarted with itself, again and again: web → db → web"


def test_each_key_that_names_a_daemon_is_looked_at() -> None:
    order = Order(
        after=(Reference(name="a"),), requires=(Reference(name="b"),), restart_with=("c", "d"), on_failure="e"
    )

    assert [one.place for one in check({"web": order})] == [
        ("after", 0),
        ("requires", 0),
        ("restart_with", 0),
        ("restart_with", 1),
        ("on_failure",),
    ]
