"""Five real daemons in their order: started by readiness, stopped the other way, also by the next supervisor."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

import keeping
from kept import Kept, nothing_left

NAMES = ("disk", "db", "cache", "web", "proxy")

PROGRAM = """
import pathlib
told = pathlib.Path(os.environ["TOLD"])
def tell(what):
    with told.open("a") as file: file.write(f"{os.environ['NAME']} {what}\\n")
def end(*_):
    tell("ends")
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
tell("starts")
notify("READY=1")
rest()
"""


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Kept]:
    with nothing_left():
        one = Kept(tmp_path / "numen")
        one.open()
        yield one


def test_five_daemons_start_in_their_order_and_stop_in_the_reverse_though_the_supervisor_is_killed(
    house: Kept, tmp_path: Path
) -> None:
    told = tmp_path / "told"
    for before, name in zip(("", *NAMES), NAMES, strict=False):
        environment = {"TOLD": str(told), "NAME": name}
        requires = [before] if before else []
        house.define(name, *keeping.python(PROGRAM), ready="notify", environment=environment, requires=requires)
    assert told.read_text().splitlines() == [f"{name} starts" for name in NAMES]

    pid = house.pid
    os.kill(pid, signal.SIGKILL)
    assert house.pid != pid
    house.numen("stop", "disk")
    assert told.read_text().splitlines()[5:] == [f"{name} ends" for name in reversed(NAMES)]
