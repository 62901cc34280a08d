"""The rule of the network."""

import pytest

from numen.check.rules import network
from numen.kernel.sockets import Socket
from rule_facts import proper, socket

Table = dict[str, object]


def on(*sockets: Socket, **changes: object) -> Table:
    return {"sockets": {one.inode: one for one in sockets}, **changes}


ALL4 = socket(70, port=80, address="0.0.0.0")
ALL6 = socket(71, "tcp6", port=80, address="::")
HERE = socket(72, port=6379)


@pytest.mark.parametrize(
    ("changes", "verdict", "words"),
    [
        ({}, "ok", "no network"),
        (on(socket(73, "unix", address="/run/x")), "ok", "no network"),
        (on(HERE), "ok", "127.0.0.1 port 6379"),
        (on(ALL4), "warning", "tcp port 80"),
        (on(ALL6), "warning", "tcp6 port 80"),
        (on(ALL6, HERE, ALL4), "warning", "addresses: tcp port 80, tcp6 port 80"),
        (on(socket(74, "udp", port=53, address="0.0.0.0")), "warning", "udp port 53"),
        (on(ALL4.replace(is_listening=False)), "ok", "no network"),
        (on(ALL4, namespaces=("net", "pid")), "ok", "network of its own: tcp port 80"),
        (on(ALL4, namespaces=("pid",)), "warning", "tcp port 80"),
        (on(ALL4, ALL6, namespaces=("net",), foreign_sockets=frozenset({70})), "warning", "addresses: tcp port 80"),
        (on(HERE, hidden_sockets=2), "unknown", "2 of its sockets"),
        (on(ALL4, namespaces=("net",), hidden_sockets=1), "unknown", "1 of its sockets"),
        (on(ALL4, hidden_sockets=1), "warning", "tcp port 80"),
        ({"hidden_sockets": 1}, "unknown", "1 of its sockets"),
        ({"descriptors": None}, "unknown", "may not be seen"),
    ],
)
def test_to_listen_on_all_addresses_is_a_warning(changes: Table, verdict: str, words: str) -> None:
    judgement = network.few_addresses(proper(**changes))

    assert judgement.verdict == verdict
    assert words in judgement.evidence
