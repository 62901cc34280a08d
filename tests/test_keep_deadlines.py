"""The deadlines of all lives: the first one is known, and what nobody waits for any longer takes no room for long."""

from random import Random

from numen.keep.deadlines import MOST_STALE, Deadlines
from numen.keep.definitions.definition import Definition
from numen.keep.kept import Daemon


def daemons(*names: str) -> dict[str, Daemon]:
    return {name: Daemon(name, Definition(command=("/bin/it",))) for name in names}


def wait_until(deadlines: Deadlines, daemon: Daemon, deadline: float | None) -> None:
    daemon.life = daemon.life.replace(deadline=deadline)
    deadlines.schedule(daemon)


def test_the_first_deadline_is_the_earliest_that_a_life_still_has() -> None:
    kept = daemons("mail", "web")
    deadlines = Deadlines(kept)
    wait_until(deadlines, kept["mail"], 5.0)
    wait_until(deadlines, kept["web"], 3.0)
    assert deadlines.first() == 3.0

    wait_until(deadlines, kept["web"], None)
    assert deadlines.first() == 5.0
    del kept["mail"]
    assert deadlines.first() is None


def test_one_that_is_due_is_told_once() -> None:
    kept = daemons("web")
    deadlines = Deadlines(kept)
    wait_until(deadlines, kept["web"], 3.0)

    assert deadlines.next_due(2.9) is None
    assert deadlines.next_due(3.0) is kept["web"]
    assert deadlines.next_due(3.0) is None


def test_a_deadline_that_is_put_off_for_months_takes_no_more_room_than_at_first() -> None:
    random = Random(1)
    kept = daemons(*(f"web-{number}" for number in range(10)))
    deadlines = Deadlines(kept)
    for _ in range(5000):
        wait_until(deadlines, random.choice(list(kept.values())), random.choice((None, 1e9 + random.random())))

    assert len(deadlines._heap) <= MOST_STALE + 2 * len(kept)
    assert deadlines.first() == min(one.life.deadline for one in kept.values() if one.life.deadline is not None)
