"""Frozen records."""

import pytest

from numen.record import Record


class Point(Record):
    x: int
    y: int = 0


class Named(Point):
    name: str = ""


def test_fields_are_given_by_keyword_and_those_with_a_default_may_be_left_out() -> None:
    point = Point(x=1)

    assert (point.x, point.y) == (1, 0)
    assert point.values() == {"x": 1, "y": 0}


def test_a_missing_and_an_unknown_field_are_named() -> None:
    with pytest.raises(TypeError, match="Point needs the field x"):
        Point()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="Point has no field z"):
        Point(x=1, z=2)  # type: ignore[call-arg]


def test_fields_of_a_base_come_first() -> None:
    assert Named.fields() == ("x", "y", "name")
    assert Named(x=1, name="a").values() == {"x": 1, "y": 0, "name": "a"}


def test_a_record_cannot_be_changed_but_replaced() -> None:
    point = Point(x=1, y=2)

    with pytest.raises(AttributeError, match=r"Point\.x cannot be changed"):
        point.x = 5  # type: ignore[misc]

    assert point.replace(x=5) == Point(x=5, y=2)
    assert point == Point(x=1, y=2)
    with pytest.raises(TypeError, match="no field z"):
        point.replace(z=1)


def test_records_are_equal_when_class_and_values_are() -> None:
    assert Point(x=1) == Point(x=1, y=0)
    assert Point(x=1) != Point(x=2)
    assert Point(x=1) != Named(x=1)
    assert Point(x=1) != {"x": 1, "y": 0}
    assert len({Point(x=1), Point(x=1, y=0), Point(x=2)}) == 2


def test_a_record_shows_its_values() -> None:
    assert repr(Named(x=1, name="a")) == "Named(x=1, y=0, name='a')"
