"""`python -m bench.supervising`: measure the supervisors alone, and print every table with its goals."""

from __future__ import annotations

import argparse
import os
import platform
import sys

from .. import workshop
from .measuring import PARTS, measure
from .sizes import FULL, QUICK
from .tools import prepare


def main() -> int:
    """Run the measurements that are asked for; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.supervising", description="Measure supervisors.")
    parser.add_argument("--quick", action="store_true", help="small numbers")
    parser.add_argument("--part", action="append", choices=PARTS, help="this part alone; may be given again")
    parser.add_argument("--only", default="", metavar="WORD", help="only the supervisors with this in their names")
    asked = parser.parse_args()
    try:
        tools = prepare(workshop.prepare(_say).command("numen"), _say)
        tables, notes = measure(tools, QUICK if asked.quick else FULL, _say, asked.part or PARTS, asked.only)
    except workshop.Unavailable as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    _say("")
    load = os.getloadavg()[0]
    print(f"Linux {platform.release()}, {os.cpu_count()} CPUs at load {load:.1f}, Python {platform.python_version()}")
    for note in notes:
        print(f"left out: {note}")
    for text, goals in tables:
        print(f"\n{text}\n")
        for goal in goals:
            print(f"  {goal}")
    return 0


def _say(what: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{what}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
