"""`python -m bench`: measure, and print every table with its goals."""

from __future__ import annotations

import argparse
import os
import platform
import sys

from . import auditing, cost, start_to_running, truth
from .figures import Goal
from .launchers import all_launchers
from .rounds import play
from .stage import NoDaemon, Stage
from .supervising.measuring import measure
from .supervising.sizes import FULL, QUICK
from .supervising.tools import prepare as prepare_tools
from .workshop import Unavailable, prepare

ROUNDS, QUICK_ROUNDS = 20, 4
FAILURES, QUICK_FAILURES = 5, 2
"""How often each daemon that fails is started."""


def main() -> int:
    """Run the measurements that are asked for; the exit status."""
    asked = _arguments()
    try:
        _measure(
            rounds=asked.rounds or (QUICK_ROUNDS if asked.quick else ROUNDS),
            failures=QUICK_FAILURES if asked.quick else FAILURES,
            quick=asked.quick,
        )
    except (Unavailable, NoDaemon) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure numen beside its rivals.")
    parser.add_argument("--rounds", type=int, metavar="N", help=f"start every daemon N times ({ROUNDS})")
    parser.add_argument("--quick", action="store_true", help=f"a look in some minutes: {QUICK_ROUNDS} rounds")
    return parser.parse_args()


def _measure(*, rounds: int, failures: int, quick: bool) -> None:
    with Stage(prepare(_say_progress)) as stage:
        launchers, missing = all_launchers(stage.workshop, stage)
        runs, unfit = play(launchers, stage, rounds, _say_progress)
        _say_progress("starting daemons that fail")
        truths = truth.tabulate(runs, stage, failures)
        _say_progress("auditing")
        audits = auditing.tabulate(stage, rounds)
        _say_progress("")
        print(_surroundings(stage, rounds))
        for note in (*missing, *unfit):
            print(f"left out: {note}")
        for tables, goals in (start_to_running.tabulate(runs), truths, cost.tabulate(runs), audits):
            _show(tables, goals)
        _say_progress("preparing the supervisors")
        sizes = QUICK if quick else FULL
        tools = prepare_tools(stage.workshop.command("numen"), _say_progress)
        supervisors, left_out = measure(tools, sizes, _say_progress)
        _say_progress("")
        for note in left_out:
            print(f"left out: {note}")
        for tables, goals in supervisors:
            _show(tables, goals)


def _surroundings(stage: Stage, rounds: int) -> str:
    limits = " and ".join(map(str, stage.limits))
    load = os.getloadavg()[0]
    return (
        f"Linux {platform.release()}, {os.cpu_count()} CPUs at load {load:.1f}, Python {platform.python_version()};"
        f" {rounds} interleaved rounds, RLIMIT_NOFILE {limits}"
    )


def _show(tables: str, goals: list[Goal]) -> None:
    print(f"\n{tables}\n")
    for goal in goals:
        print(f"  {goal}")


def _say_progress(what: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{what}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
