"""Start with the machine: by what the daemon comes back after a boot."""

from __future__ import annotations

from ..verdict import not_applicable, ok, rule, unknown, warning

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..facts import Facts
    from ..verdict import Judgement


@rule(
    step="boot",
    title="it starts with the machine",
    why="What runs now and is not set to start at boot is missed after the next one, often at night.",
    remedy="Set it to start: `systemctl enable UNIT`, or `update-rc.d NAME enable` for an init script.",
)
def starts_at_boot(facts: Facts) -> Judgement:
    """What starts it is set to do so at boot."""
    boot = facts.boot
    if not boot.kind and facts.executable is None:
        return unknown("its program may not be seen, so that what starts it cannot be found")
    if not boot.kind:
        return not_applicable("nothing that could be found starts it at boot; it was started by hand")
    by = f"{boot.kind} {boot.name}".strip()
    told = f" ({boot.evidence})" if boot.evidence else ""
    if boot.at_boot is None:
        return unknown(f"{by} starts it; whether at boot cannot be told{told}")
    if not boot.at_boot:
        return warning(f"{by} starts it, and is not set to do so at boot{told}")
    return ok(f"{by} starts it at boot{told}")
