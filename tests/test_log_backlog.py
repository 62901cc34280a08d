"""What waits for the log: bounded, in order, and counted when it is given up."""

from numen.become.syslog.backlog import ENTRY_COST, ROOM, Backlog
from numen.become.syslog.entries import Entry


def entry(text: str = "", *, lost: int = 0, **extra: str | int) -> Entry:
    return Entry(ident="web", facility=3, priority=3, text=text, extra=extra, time=0.0, pid=1, lost=lost)


def test_entries_wait_in_their_order() -> None:
    backlog = Backlog()
    assert backlog.first is None
    first, second = entry("first"), entry("second")
    backlog.append(first)
    backlog.append(second)
    assert backlog.first is first
    backlog.drop(first)
    assert backlog.first is second


def test_only_the_first_is_dropped() -> None:
    backlog = Backlog()
    first, second = entry("same"), entry("same")
    backlog.append(first)
    backlog.drop(second)
    assert backlog.first is first


def test_memory_is_bounded_by_text_and_fields() -> None:
    backlog = Backlog()
    half = ROOM // 2 - ENTRY_COST
    backlog.append(entry("x" * half))
    assert backlog.has_room(entry("x" * half))
    assert not backlog.has_room(entry("x" * half, more="x"))
    assert backlog.has_room(entry("x" * half, number=123456789))


def test_there_is_room_again_after_a_drop() -> None:
    backlog = Backlog()
    for _ in range(3):
        large = entry("x" * (ROOM - ENTRY_COST))
        backlog.append(large)
        assert not backlog.has_room(entry())
        backlog.drop(large)
        assert backlog.has_room(large)


def test_a_single_entry_may_be_as_large_as_it_likes() -> None:
    backlog = Backlog()
    huge = entry("x" * 10 * ROOM)
    assert backlog.has_room(huge)
    backlog.append(huge)
    assert not backlog.has_room(entry())


def test_giving_up_counts_what_the_entries_would_have_told() -> None:
    backlog = Backlog()
    backlog.append(entry(lost=4))
    backlog.append(entry())
    assert backlog.clear() == 6
    assert backlog.first is None
    assert backlog.has_room(entry("x" * ROOM))
