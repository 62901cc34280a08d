"""Privileges: it may do what it has to, and no more; and its secrets are not in its environment."""

from __future__ import annotations

from ...become.identity import CAPABILITIES
from ..verdict import fault, not_applicable, ok, rule, unknown, warning

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..facts import Facts
    from ..verdict import Judgement

FIRST_FREE_PORT = 1024
"""Below it a port takes a privilege (ip(7))."""

POWERFUL = (
    *("chown", "dac_override", "dac_read_search", "fowner", "setgid", "setuid", "sys_module", "sys_rawio"),
    *("sys_ptrace", "sys_admin", "setfcap"),
)
"""The capabilities with which a process can become root."""

_SECRETS = (
    *("PASSWORD", "PASSWD", "SECRET", "TOKEN", "API_KEY", "APIKEY", "PRIVATE_KEY", "ACCESS_KEY"),
    *("CREDENTIAL", "CREDENTIALS", "PGPASSWORD", "MYSQL_PWD", "SSHPASS"),
)
_PLACES = ("_FILE", "_PATH", "_DIR", "_DIRECTORY")
"""Such a variable says where the secret is. systemd sets CREDENTIALS_DIRECTORY."""

_NO_SECRETS = frozenset({"GOOGLE_APPLICATION_CREDENTIALS"})
"""It is a path, whatever its name says."""


@rule(
    step="privileges",
    title="root only where it is needed",
    why="What comes over the network to a daemon of root's makes each of its mistakes one that gives the machine away.",
    remedy="Run it as a user of its own: `numen detach --user NAME`, or User= in its unit. Ports"
    " from 1024 on need no root.",
)
def no_needless_root(facts: Facts) -> Judgement:
    """It is not root, or has a port that takes a privilege, or nobody reaches it over the network."""
    if facts.uid != 0:
        return ok(f"it runs as uid {facts.uid}{_name(facts)}")
    if facts.descriptors is None:
        return unknown("it runs as root, and its sockets may not be seen")
    ports = sorted({one.port for one in facts.listening() if one.is_of_network})
    if not ports and facts.hidden_sockets:
        return unknown(f"it runs as root, and {facts.hidden_sockets} of its sockets may not be seen")
    if not ports:
        return ok("it runs as root, and nobody can reach it over the network")
    if ports[0] < FIRST_FREE_PORT:
        return ok(f"it runs as root, and takes port {ports[0]}, which needs a privilege")
    listed = ", ".join(str(port) for port in ports)
    return warning(f"it runs as root, and none of its ports needs that: {listed}")


@rule(
    step="privileges",
    title="none of root's groups left over",
    why="setuid(2) alone leaves the groups as they were: the daemon may still read and write what root's group may.",
    remedy="Call setgroups(2) and setgid(2) before setuid(2), in that order; `numen detach --user` does.",
)
def no_root_group(facts: Facts) -> Judgement:
    """Who is not root is not in root's group, unless the user database says so."""
    if facts.uid == 0:
        return not_applicable("it runs as root")
    status = facts.status
    if 0 not in status.groups.union(status.gids):
        return ok(f"its groups are {', '.join(str(one) for one in sorted(status.groups.union(status.gids)))}")
    if facts.person is not None and 0 in facts.person.groups:
        return ok(f"it is in root's group, to which uid {facts.uid}{_name(facts)} belongs")
    kind = "as its own group" if 0 in status.gids else "as a supplementary group"
    return fault(f"it runs as uid {facts.uid}{_name(facts)}, and still has group 0 {kind}")


@rule(
    step="privileges",
    title="no way back to root",
    why="With root as its real or saved user, a daemon that was broken into becomes root again by one call.",
    remedy="Set all three with setresuid(2), and look whether it took; `numen detach --user` does.",
)
def no_way_back(facts: Facts) -> Judgement:
    """Who is not root cannot become root again."""
    if facts.uid == 0:
        return not_applicable("it runs as root")
    real, effective, saved, _ = facts.status.uids
    if 0 in (real, saved):
        which = "real" if real == 0 else "saved"
        return fault(f"it acts as uid {effective}, and its {which} uid is 0")
    return ok(f"its real, effective and saved uid are {real}, {effective} and {saved}")


@rule(
    step="privileges",
    title="no capability that makes root",
    why="With one of these capabilities a process that is not root becomes root when it pleases.",
    remedy="Keep only what it needs: `numen detach --user NAME --capability net_bind_service`, or"
    " AmbientCapabilities= in its unit.",
)
def few_capabilities(facts: Facts) -> Judgement:
    """Who is not root has no capability that amounts to it."""
    if facts.uid == 0:
        return not_applicable("it runs as root")
    if "user" in facts.namespaces:
        return ok("what it has holds in a user namespace of its own, and nowhere else")
    held = facts.status.effective | facts.status.permitted
    powerful = [name for name in POWERFUL if held >> CAPABILITIES.index(name) & 1]
    if powerful:
        return warning(f"it has {', '.join(f'cap_{name}' for name in powerful)}")
    names = [f"cap_{name}" for number, name in enumerate(CAPABILITIES) if held >> number & 1]
    return ok(f"it has {', '.join(names) or 'none'}")


@rule(
    step="privileges",
    title="root on the network is confined",
    why="A daemon of root's that others reach over the network can do anything once it is broken into, unless"
    " capabilities, no_new_privs or a seccomp filter hold it.",
    remedy="Set no_new_privs and drop capabilities: `numen detach --no-new-privileges --capability NAME`, or"
    " NoNewPrivileges=, CapabilityBoundingSet= and SystemCallFilter= in its unit.",
)
def confined(facts: Facts) -> Judgement:
    """Root that is reached over the network has given something up."""
    status = facts.status
    values = f"no_new_privs {_value(status.no_new_privileges)}, seccomp {_value(status.seccomp)}"
    if facts.uid != 0:
        return ok(f"it is not root; {values}")
    if status.no_new_privileges or status.seccomp:
        return ok(values)
    if not all(status.effective >> CAPABILITIES.index(name) & 1 for name in POWERFUL):
        return ok(f"some of root's capabilities are dropped; {values}")
    if facts.descriptors is None:
        return unknown(f"its sockets may not be seen; {values}")
    if facts.hidden_sockets and not any(one.is_of_network for one in facts.listening()):
        return unknown(f"{facts.hidden_sockets} of its sockets may not be seen; {values}")
    if not any(one.is_of_network for one in facts.listening()):
        return ok(f"nobody can reach it over the network; {values}")
    if status.no_new_privileges is None or status.seccomp is None:
        return unknown(f"this kernel does not tell; {values}")
    return warning(f"root with all capabilities listens on the network; {values}")


@rule(
    step="privileges",
    title="no secrets in its environment",
    why="Every program that it starts gets its environment, and it ends in crash reports and in logs.",
    remedy="Give the secret in a file that the daemon alone can read, and its path in NAME_FILE; or as"
    " LoadCredential= of its unit.",
)
def no_secrets(facts: Facts) -> Judgement:
    """No variable has a name by which secrets go; values are never read."""
    if facts.variables is None:
        return unknown("its environment may not be seen")
    secret = sorted(name for name in facts.variables if _looks_secret(name))
    if secret:
        return warning(f"by their names these hold secrets: {', '.join(secret)}")
    return ok(f"none of its {len(facts.variables)} variables has a secret's name")


def _looks_secret(name: str) -> bool:
    upper = name.upper()
    if upper.endswith(_PLACES) or upper in _NO_SECRETS:
        return False
    return any(f"_{word}_" in f"_{upper}_" for word in _SECRETS)


def _name(facts: Facts) -> str:
    return f" ({facts.person.name})" if facts.person is not None and facts.person.name else ""


def _value(value: int | None) -> str:
    return "not told" if value is None else str(int(value))
