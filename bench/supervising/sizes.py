"""How much is measured."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """Numbers of daemons, of repetitions, of lines."""

    many: tuple[int, ...] = (1, 100, 1000)
    """How many daemons are started at once."""
    rounds: int = 3
    """Lives of each supervisor with so many daemons."""
    deaths: int = 200
    deaths_again: int = 20
    at_once: int = 200
    """How many die at the same time."""
    budget: float = 12.0
    """Seconds that one supervisor may take of a measurement that all take part in by turns."""
    idle: float = 10.0
    """Seconds for which a supervisor with nothing to do is watched."""
    asked: int = 10
    """How often each is asked for its status."""
    lines: int = 2_000_000
    """What is written to a log in blocks; of the slower ways a quarter."""
    crashing: int = 50
    crash_seconds: float = 10.0


FULL = Sizes()
QUICK = Sizes(
    many=(1, 20, 100),
    rounds=1,
    deaths=30,
    deaths_again=3,
    at_once=50,
    budget=3.0,
    idle=2.0,
    asked=3,
    lines=200_000,
    crash_seconds=4.0,
)
