"""The network: who can reach it."""

from __future__ import annotations

from ..verdict import ok, rule, unknown, warning

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..facts import Facts
    from ..verdict import Judgement


@rule(
    step="network",
    title="it listens where it must",
    why="Who listens on all addresses is reached from every network that the machine is in, now or later.",
    remedy="Bind it to the addresses from which it is to be reached, 127.0.0.1 or ::1 for this machine alone; or let a"
    " firewall choose.",
)
def few_addresses(facts: Facts) -> Judgement:
    """No socket takes what comes to any address."""
    if facts.descriptors is None:
        return unknown("its sockets may not be seen")
    sockets = sorted((one for one in facts.listening() if one.is_of_network), key=lambda one: (one.port, one.family))
    open_ones = [one for one in sockets if one.listens_on_all_addresses]
    # What was given to it from outside is open to the networks there.
    reachable = [one for one in open_ones if "net" not in facts.namespaces or one.inode in facts.foreign_sockets]
    open_to_all = [f"{one.family} port {one.port}" for one in reachable or open_ones]
    if reachable:
        return warning(f"it listens on all addresses: {', '.join(open_to_all)}")
    if facts.hidden_sockets:
        return unknown(f"the networks of {facts.hidden_sockets} of its sockets may not be seen")
    if not sockets:
        return ok("it listens on no network")
    if not open_to_all:
        return ok(f"it listens on {', '.join(f'{one.address} port {one.port}' for one in sockets)}")
    return ok(f"it listens on all addresses of a network of its own: {', '.join(open_to_all)}")
