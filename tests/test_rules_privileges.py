"""The rules of privileges and secrets."""

import pytest

from numen.become.identity import CAPABILITIES
from numen.check.facts import Person
from numen.check.rules import privileges
from rule_facts import UID, proper, socket, status

Table = dict[str, object]
ALL = (1 << len(CAPABILITIES)) - 1


def mask(*names: str) -> int:
    return sum(1 << CAPABILITIES.index(name) for name in names)


def root(**changes: object) -> Table:
    """Root with nothing given up."""
    nobody_else = {"uids": (0, 0, 0, 0), "gids": (0, 0, 0, 0), "groups": frozenset({0})}
    unconfined = {"no_new_privileges": False, "seccomp": 0, "effective": ALL, "permitted": ALL}
    return {"status": status(**{**nobody_else, **unconfined, **changes})}


def on(*ports: int, family: str = "tcp") -> Table:
    return {"sockets": {70 + port: socket(70 + port, family, port=port) for port in ports}}


@pytest.mark.parametrize(
    ("changes", "verdict", "words"),
    [
        (on(8080), "ok", f"uid {UID} (example)"),
        ({**on(8080), "person": None}, "ok", f"uid {UID}"),
        (root(), "ok", "nobody can reach it"),
        ({**on(0, family="unix"), **root()}, "ok", "nobody can reach it"),
        ({**on(8080), **root()}, "warning", "8080"),
        ({**on(8080, 1024), **root()}, "warning", "1024, 8080"),
        ({**on(5353, family="udp"), **root()}, "warning", "5353"),
        ({**on(8080, 80), **root()}, "ok", "port 80"),
        ({**on(1023), **root()}, "ok", "port 1023"),
        ({**root(), "descriptors": None}, "unknown", "may not be seen"),
    ],
)
def test_root_without_need_on_the_network_is_a_warning(changes: Table, verdict: str, words: str) -> None:
    judgement = privileges.no_needless_root(proper(**changes))

    assert judgement.verdict == verdict
    assert words in judgement.evidence


WITH_ROOTS_GROUP = status(groups=frozenset({0, UID}))


@pytest.mark.parametrize(
    ("changes", "verdict", "words"),
    [
        ({}, "ok", f"groups are {UID}"),
        (root(), "not applicable", "root"),
        ({"status": WITH_ROOTS_GROUP}, "fault", "supplementary"),
        ({"status": status(gids=(UID, UID, 0, UID))}, "fault", "its own group"),
        ({"status": WITH_ROOTS_GROUP, "person": Person(uid=UID)}, "fault", "group 0"),
        ({"status": WITH_ROOTS_GROUP, "person": None}, "fault", "group 0"),
        ({"status": WITH_ROOTS_GROUP, "person": Person(uid=UID, name="x", groups=frozenset({0}))}, "ok", "(x) belongs"),
    ],
)
def test_roots_group_left_over_is_a_fault(changes: Table, verdict: str, words: str) -> None:
    judgement = privileges.no_root_group(proper(**changes))

    assert judgement.verdict == verdict
    assert words in judgement.evidence


@pytest.mark.parametrize(
    ("changes", "verdict", "words"),
    [
        ({}, "ok", f"{UID}, {UID} and {UID}"),
        (root(), "not applicable", "root"),
        ({"status": status(uids=(0, UID, UID, UID))}, "fault", "real uid is 0"),
        ({"status": status(uids=(UID, UID, 0, UID))}, "fault", "saved uid is 0"),
    ],
)
def test_a_way_back_to_root_is_a_fault(changes: Table, verdict: str, words: str) -> None:
    judgement = privileges.no_way_back(proper(**changes))

    assert judgement.verdict == verdict
    assert words in judgement.evidence


@pytest.mark.parametrize(
    ("changes", "verdict", "words"),
    [
        ({}, "ok", "none"),
        (root(), "not applicable", "root"),
        ({"status": status(effective=mask("net_bind_service"))}, "ok", "cap_net_bind_service"),
        ({"status": status(effective=mask("sys_admin", "setuid"))}, "warning", "cap_setuid, cap_sys_admin"),
        ({"status": status(permitted=mask("dac_override"))}, "warning", "cap_dac_override"),
        ({"status": status(inheritable=ALL, bounding=ALL)}, "ok", "none"),
        *(({"status": status(effective=mask(name))}, "warning", f"cap_{name}") for name in privileges.POWERFUL),
    ],
)
def test_a_capability_that_makes_root_is_a_warning(changes: Table, verdict: str, words: str) -> None:
    judgement = privileges.few_capabilities(proper(**changes))

    assert judgement.verdict == verdict
    assert words in judgement.evidence


@pytest.mark.parametrize(
    ("changes", "verdict", "words"),
    [
        (on(80), "ok", "not root; no_new_privs 1, seccomp 2"),
        ({**on(80), **root()}, "warning", "no_new_privs 0, seccomp 0"),
        ({**on(80), **root(no_new_privileges=True)}, "ok", "no_new_privs 1"),
        ({**on(80), **root(seccomp=2)}, "ok", "seccomp 2"),
        ({**on(80), **root(effective=ALL & ~mask("sys_admin"))}, "ok", "dropped"),
        ({**on(0, family="unix"), **root()}, "ok", "nobody can reach it"),
        (root(), "ok", "nobody can reach it"),
        ({**on(80), **root(no_new_privileges=None)}, "unknown", "no_new_privs not told"),
        ({**on(80), **root(seccomp=None)}, "unknown", "seccomp not told"),
        ({**root(), "descriptors": None}, "unknown", "may not be seen"),
    ],
)
def test_root_on_the_network_with_nothing_given_up_is_a_warning(changes: Table, verdict: str, words: str) -> None:
    judgement = privileges.confined(proper(**changes))

    assert judgement.verdict == verdict
    assert words in judgement.evidence


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        *((name, "warning") for name in ("PASSWORD", "DB_PASSWORD", "SECRET_KEY", "GITHUB_TOKEN", "AWS_ACCESS_KEY_ID")),
        *((name, "warning") for name in ("MAPS_API_KEY", "maps_apikey", "MY_PRIVATE_KEY", "SMTP_PASSWD", "PGPASSWORD")),
        *((name, "warning") for name in ("DB_CREDENTIAL", "CREDENTIALS", "FILE_TOKEN")),
        *((name, "ok") for name in ("DB_PASSWORD_FILE", "SECRET_PATH", "TOKEN_DIR", "CREDENTIALS_DIRECTORY")),
        *((name, "ok") for name in ("TOKENIZERS", "SECRETARY", "PASSWORDLESS", "API_KEYBOARD", "KEY", "SSH_AUTH_SOCK")),
        ("GOOGLE_APPLICATION_CREDENTIALS", "ok"),
    ],
)
def test_a_variable_with_a_secrets_name_is_a_warning_that_names_it(name: str, verdict: str) -> None:
    judgement = privileges.no_secrets(proper(variables=frozenset({"PATH", name})))

    assert judgement.verdict == verdict
    assert (name in judgement.evidence) == (verdict == "warning")
    assert "PATH," not in judgement.evidence


def test_an_environment_that_may_not_be_seen_is_unknown() -> None:
    assert privileges.no_secrets(proper(variables=None)).verdict == "unknown"
