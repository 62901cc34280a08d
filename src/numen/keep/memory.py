"""How much memory some processes use together, by /proc.

What is cheap to know, resident memory and swap, counts what is shared for each who shares it, so it is never too low.
Only where that is above a bound the kernel is asked for the share of each, for which it goes through all their pages.
"""

from __future__ import annotations

import re

from ..kernel import proc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_STATUS = re.compile(rb"^Vm(?:RSS|Swap):\s*(\d+) kB$", re.MULTILINE)
_SHARES = re.compile(rb"^(?:Pss|SwapPss):\s*(\d+) kB$", re.MULTILINE)


def used(pids: Iterable[int], bound: int) -> int:
    """Bytes of memory and swap; where they are not above the bound, perhaps less."""
    wholes = {pid: _sum(_STATUS, f"/proc/{pid}/status") or 0 for pid in pids}
    whole = sum(wholes.values())
    if whole <= bound:
        return whole
    total = 0
    for pid, size in wholes.items():
        share = _sum(_SHARES, f"/proc/{pid}/smaps_rollup")
        # Not every process lets itself be looked into, nor does every kernel.
        total += size if share is None else share
    return total


def _sum(fields: re.Pattern[bytes], path: str) -> int | None:
    found = fields.findall(proc.read(path) or b"")
    return 1024 * sum(map(int, found)) if found else None
