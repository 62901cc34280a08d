"""Check that every rule of `numen audit` is tried by the zoo (tests/zoo): with a specimen, and with a look-alike.

`python tools/check_zoo.py` names each rule that lacks one of them.
"""

import sys
from collections.abc import Collection
from pathlib import Path

from numen.check import rules
from numen.check.verdict import RULES

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    """Tell what is missing; the exit status."""
    sys.path.insert(0, str(ROOT / "tests"))
    from zoo.specimens import REGISTRY

    assert rules.__name__  # importing it has registered the rules
    missing = untried(RULES, REGISTRY)
    for line in missing:
        print(line, file=sys.stderr)
    return 1 if missing else 0


def untried(names: Collection[str], registry: Collection[tuple[str, str]]) -> list[str]:
    """A line for each rule and each kind that the zoo does not have."""
    return [
        f"rule {name} has no {kind} in tests/zoo/specimens.py"
        for name in names
        for kind in ("specimen", "look-alike")
        if (name, kind) not in registry
    ]


if __name__ == "__main__":
    sys.exit(main())
