"""Who the daemon is: user, groups, capabilities (credentials(7), capabilities(7)).

Names are looked up beforehand, in the launcher, where the files of names can still be read. The drop goes
from the outside in: supplementary groups, then gid, then uid, because each step needs what the next takes
away; and what came of it is read back, because a drop that half happened is the worst of all.
"""

from __future__ import annotations

import grp
import os
import pwd

from ..errors import BadOption, DaemonError, NoPermission, Unusable, from_os_error
from ..kernel import proc
from ..record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

HIGHEST_ID = 2**32 - 2
"""The next one means "leave it as it is" in setresuid(2)."""

CAPABILITIES = [
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
]
"""By number, as in capabilities(7)."""


class Account(Record):
    """The credentials that a daemon is to have."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    """The supplementary groups."""
    name: str | None = None
    home: str | None = None
    shell: str | None = None

    def environment(self) -> dict[str, str]:
        """HOME, USER, LOGNAME and SHELL of that user; nothing for a uid without a passwd entry."""
        if self.name is None:
            return {}
        return {
            "HOME": self.home or "/",
            "USER": self.name,
            "LOGNAME": self.name,
            "SHELL": self.shell or "/bin/sh",
        }


def look_up(
    user: str | int | None, group: str | int | None = None, groups: Sequence[str | int] | None = None
) -> Account | None:
    """The account that these names or numbers mean; `None` where nothing is asked for.

    A user brings his own group and supplementary groups along, unless others are named. Raises Unusable for
    a name that is unknown, NoPermission where this process may not become that account.
    """
    if user is None and group is None and groups is None:
        return None
    entry = _user_entry(user)
    for number in (user, group, *(groups or ())):
        if _is_no_id(number):
            raise Unusable(f"cannot use {number}: ids lie between 0 and {HIGHEST_ID}")
    if user is None:
        uid, gid, name = os.geteuid(), os.getegid(), None
    elif entry is not None:
        uid, gid, name = entry.pw_uid, entry.pw_gid, entry.pw_name
    else:
        uid, gid, name = int(user), -1, None
    if group is not None:
        gid = group_number(group)
    elif gid < 0:
        raise Unusable(f"cannot become uid {uid}: it has no passwd entry, so name its group too")
    if groups is not None:
        supplementary = tuple(sorted({group_number(one) for one in groups}))
    elif name is not None:
        supplementary = tuple(sorted(set(os.getgrouplist(name, gid))))
    else:
        supplementary = (gid,)
    account = Account(
        uid=uid,
        gid=gid,
        groups=supplementary,
        name=name,
        home=entry.pw_dir if entry else None,
        shell=entry.pw_shell if entry else None,
    )
    if os.geteuid() != 0 and not _is_current(account):
        raise NoPermission(f"cannot become {_described(account)}: only root may change user and groups")
    return account


def _is_no_id(number: str | int | None) -> bool:
    try:
        return number is not None and not 0 <= int(number) <= HIGHEST_ID
    except ValueError:
        return False  # a name


def _user_entry(user: str | int | None) -> pwd.struct_passwd | None:
    if user is None:
        return None
    try:
        return pwd.getpwnam(user) if isinstance(user, str) else pwd.getpwuid(user)
    except (KeyError, ValueError):
        pass
    if isinstance(user, str) and not (user.isascii() and user.isdigit()):
        raise Unusable(f"cannot become user {user!r}: there is no such user")
    try:
        return pwd.getpwuid(int(user))
    except KeyError:
        return None


def uid_of(user: str | None) -> int:
    """The uid that a user's name or number means; that of this process for none, and for one who is not known."""
    if user is None:
        return os.geteuid()
    if user.isascii() and user.isdigit():
        return int(user)
    try:
        return pwd.getpwnam(user).pw_uid
    except (KeyError, ValueError):
        return os.geteuid()


def group_number(group: str | int) -> int:
    """The gid that a group's name or number means. Raises Unusable."""
    if isinstance(group, int):
        return group
    try:
        return grp.getgrnam(group).gr_gid
    except (KeyError, ValueError):
        pass
    if group.isascii() and group.isdigit():
        return int(group)
    raise Unusable(f"cannot use group {group!r}: there is no such group")


def _is_current(account: Account) -> bool:
    same_ids = os.getresuid() == (account.uid,) * 3 and os.getresgid() == (account.gid,) * 3
    # A user's own groups cannot be set again without privilege, and the gid may be listed or not.
    return same_ids and set(account.groups) - {account.gid} == set(os.getgroups()) - {account.gid}


def _described(account: Account) -> str:
    return f"{account.name or f'uid {account.uid}'} with gid {account.gid}"


def become(account: Account) -> None:
    """Take on the account's groups, gid and uid, for good. Raises NoPermission, or DaemonError if it failed."""
    if _is_current(account):
        return
    try:
        os.setgroups(account.groups)
        os.setresgid(account.gid, account.gid, account.gid)
        os.setresuid(account.uid, account.uid, account.uid)
    except OSError as error:
        raise from_os_error(error, f"become {_described(account)}") from error
    if not _is_current(account):
        raise DaemonError(f"cannot become {_described(account)}: the system left other credentials in place")


def parse_capability(name: str) -> int:
    """The number of a capability: `net_bind_service` or CAP_NET_BIND_SERVICE. Raises BadOption."""
    lowered = name.strip().lower().removeprefix("cap_")
    if lowered not in CAPABILITIES:
        raise BadOption(f"{name!r} is no capability; capabilities(7) lists them, such as net_bind_service")
    return CAPABILITIES.index(lowered)


def check_capabilities(names: Sequence[str]) -> None:
    """Raise NoPermission where a capability is to be kept that this process does not have."""
    permitted = int(proc.status_field("CapPrm") or "0", 16)
    for name in names:
        if not permitted >> parse_capability(name) & 1:
            raise NoPermission(f"cannot keep the capability {name}: this process does not have it")


def become_with_capabilities(account: Account | None, names: Sequence[str]) -> None:
    """Take on the account, if any, and keep just these capabilities, for programs executed later too.

    The bounding set is cut down to them, so that no setuid program can bring another one back. Raises
    NoPermission.
    """
    from ..kernel import calls

    numbers = sorted({parse_capability(name) for name in names})
    mask = sum(1 << number for number in numbers)
    try:
        _cut_bounding_set(numbers)
        if account is not None and account.uid != 0:
            calls.prctl(calls.PR_SET_KEEPCAPS, 1)
        if account is not None:
            become(account)
        calls.capset(mask, mask)
        for number in numbers:
            calls.prctl(calls.PR_CAP_AMBIENT, calls.PR_CAP_AMBIENT_RAISE, number)
    except OSError as error:
        raise from_os_error(error, "keep the capabilities " + (", ".join(names) or "(none)")) from error


def _cut_bounding_set(kept: Sequence[int]) -> None:
    from ..kernel import calls

    for number in range(64):
        if number in kept:
            continue
        try:
            calls.prctl(calls.PR_CAPBSET_DROP, number)
        except OSError:
            return  # past the last one the kernel knows, or not permitted: who may not cut it cannot use it


def set_no_new_privileges() -> None:
    """Let no program that the daemon executes gain a privilege (prctl(2)). Raises NoPermission."""
    from ..kernel import calls

    try:
        calls.set_no_new_privileges()
    except OSError as error:
        raise from_os_error(error, "set no_new_privs") from error
