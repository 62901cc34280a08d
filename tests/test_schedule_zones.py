"""Time zones by their names."""

from __future__ import annotations

import zoneinfo
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from numen.errors import BadOption
from numen.schedule import zones
from numen.schedule.zones import forget_zones, zone


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    forget_zones()
    yield
    forget_zones()


def test_a_zone_is_known_by_its_name() -> None:
    assert zone("Europe/Berlin").key == "Europe/Berlin"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("Europe/Berlim", "did you mean Europe/Berlin"),
        ("europe/berlin", "did you mean Europe/Berlin"),
        ("Europe", "is no time zone"),
        ("/etc/passwd", "is no time zone"),
        ("../../etc/passwd", "is no time zone"),
        ("Mars/Olympus Mons\0", "is no time zone"),
        ("x" * 5000, "write one like Europe/Berlin or UTC"),
    ],
)
def test_another_name_is_refused_with_the_nearest_one(name: str, told: str) -> None:
    with pytest.raises(BadOption, match=told) as refused:
        zone(name)
    assert len(str(refused.value)) < 200


def test_the_machine_has_a_zone_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TZ", raising=False)

    assert zone("").utcoffset(datetime(2026, 1, 1)) is not None


def test_the_environment_may_name_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", ":Asia/Kathmandu")

    assert zone("").key == "Asia/Kathmandu"


def test_where_there_is_no_data_it_is_utc_and_names_are_refused_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Missing:
        from_file = zoneinfo.ZoneInfo.from_file

        def __init__(self, key: str) -> None:
            raise zoneinfo.ZoneInfoNotFoundError(key)

    monkeypatch.setattr(zones, "ZoneInfo", Missing)
    monkeypatch.setattr(zones, "LOCAL", "/nonexistent/localtime")
    monkeypatch.setattr(zoneinfo, "available_timezones", set)
    monkeypatch.delenv("TZ", raising=False)

    assert datetime(2026, 7, 1, tzinfo=UTC).astimezone(zone("")).utcoffset() == timedelta(0)
    assert zone("").key == "UTC"
    with pytest.raises(BadOption, match="this machine has no zones; install tzdata"):
        zone("Europe/Berlin")
