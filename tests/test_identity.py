"""Who the daemon is: groups, gid and uid in this order, read back; capabilities."""

import os
import pwd
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import observe
from daemons import run_script, start_daemon
from numen.become import identity
from numen.become.identity import CAPABILITIES, Account, look_up
from numen.errors import BadOption, DaemonError, NoPermission, Unusable
from processes import Reaper, installed, run_numen, unprivileged

NOBODY = unprivileged()
UNKNOWN_UID = 54321
NET_BIND_SERVICE = CAPABILITIES.index("net_bind_service")
KILL = CAPABILITIES.index("kill")

DROPPING = """
with numen.DaemonContext(pidfile="pid", stderr="err", {choices}) as daemon:
    print(*(f"{{name}}={{os.environ.get(name)}}" for name in ("HOME", "USER", "LOGNAME", "SHELL")), file=sys.stderr)
    daemon.ready()
    rest()
"""


def drop(directory: Path, reaper: Reaper, choices: str) -> observe.Process:
    """What /proc says of a daemon that takes on another identity."""
    return start_daemon(directory, reaper, DROPPING.format(choices=choices)).look()


# Looking it up


def test_nothing_changes_where_nothing_is_asked_for() -> None:
    assert look_up(None) is None


@pytest.mark.parametrize("user", [NOBODY.name, NOBODY.uid, str(NOBODY.uid)])
def test_a_user_is_named_or_numbered_and_brings_his_groups_along(user: str | int) -> None:
    account = look_up(user)
    assert account is not None
    assert (account.name, account.uid, account.gid) == NOBODY
    assert set(account.groups) == set(os.getgrouplist(NOBODY.name, NOBODY.gid))
    home = pwd.getpwuid(NOBODY.uid).pw_dir
    assert account.environment()["HOME"] == home
    assert account.environment()["USER"] == account.environment()["LOGNAME"] == NOBODY.name


@pytest.mark.needs_root
@pytest.mark.parametrize("group", ["daemon", 1, "1"])
def test_a_group_may_be_chosen_by_name_or_number(group: str | int) -> None:
    account = look_up(NOBODY.name, group)
    assert account is not None
    assert (account.uid, account.gid) == (NOBODY.uid, 1)
    assert set(account.groups) == set(os.getgrouplist(NOBODY.name, 1))


@pytest.mark.needs_root
def test_supplementary_groups_may_be_chosen_instead_of_the_users_own() -> None:
    account = look_up(NOBODY.name, groups=["daemon", "2", 77, 77])
    assert account is not None
    assert account.groups == (1, 2, 77)
    assert account.gid == NOBODY.gid
    none = look_up(NOBODY.name, groups=())
    assert none is not None
    assert none.groups == ()


@pytest.mark.needs_root
def test_a_number_without_a_passwd_entry_needs_a_group() -> None:
    with pytest.raises(Unusable):
        look_up(UNKNOWN_UID)
    account = look_up(str(UNKNOWN_UID), 77)
    assert account == Account(uid=UNKNOWN_UID, gid=77, groups=(77,))
    assert account.environment() == {}


@pytest.mark.needs_root
def test_a_group_alone_leaves_the_user() -> None:
    account = look_up(None, "daemon")
    assert account is not None
    assert (account.uid, account.gid) == (0, 1)


@pytest.mark.parametrize(
    "user",
    ["no-such-user", "", "a\0b", "1_0", " 1", "root:root", "-1x", "0x0", "\uff11", "9" * 30, -1, 2**32 - 1, 2**40],
)
def test_a_user_who_is_not_there_is_unusable(user: str | int) -> None:
    with pytest.raises(Unusable):
        look_up(user)


@pytest.mark.parametrize("group", ["no-such-group", "", "a\0b", "-1", "²", "9" * 30, -1, 2**32 - 1, 2**40])
def test_a_group_that_is_not_there_is_unusable(group: str | int) -> None:
    with pytest.raises(Unusable):
        look_up(None, group)
    with pytest.raises(Unusable):
        look_up(None, None, [group])


@pytest.mark.needs_user
@pytest.mark.parametrize(("user", "group", "groups"), [("root", None, None), (None, 0, None), (None, None, [0])])
def test_only_root_may_become_another(user: str | None, group: int | None, groups: Sequence[int] | None) -> None:
    with pytest.raises(NoPermission):
        look_up(user, group, groups)


@pytest.mark.needs_user
def test_to_become_who_one_is_needs_no_privilege(tmp_path: Path, reaper: Reaper) -> None:
    daemon = drop(tmp_path, reaper, f"user={NOBODY.name!r}")
    assert set(daemon.uids) == {NOBODY.uid}
    assert set(daemon.gids) == {NOBODY.gid}


# Becoming it


def test_groups_gid_and_uid_are_taken_in_this_order_and_read_back(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, Any]] = []
    for name in ("setgroups", "setresgid", "setresuid"):
        monkeypatch.setattr(os, name, lambda *arguments, name=name: calls.append((name, arguments)))
    account = Account(uid=12345, gid=2345, groups=(345,), name="somebody")

    # Nothing was changed in truth, and that is found.
    with pytest.raises(DaemonError, match="somebody"):
        identity.become(account)

    assert calls == [("setgroups", ((345,),)), ("setresgid", (2345,) * 3), ("setresuid", (12345,) * 3)]


@pytest.mark.needs_user
def test_a_drop_that_is_refused_is_a_matter_of_permission() -> None:
    with pytest.raises(NoPermission):
        identity.become(Account(uid=0, gid=0, groups=()))


@pytest.mark.needs_root
@pytest.mark.parametrize(
    ("choices", "uid", "gid", "groups"),
    [
        (f"user={NOBODY.name!r}", NOBODY.uid, NOBODY.gid, {NOBODY.gid}),
        (f"user={NOBODY.name!r}, group='daemon'", NOBODY.uid, 1, {1}),
        (f"user={NOBODY.name!r}, groups=[3, 4]", NOBODY.uid, NOBODY.gid, {3, 4}),
        (f"user={NOBODY.name!r}, groups=()", NOBODY.uid, NOBODY.gid, set()),
        (f"user={UNKNOWN_UID}, group=77", UNKNOWN_UID, 77, {77}),
        ("group=77", 0, 77, {77}),
        ("groups=[5]", 0, 0, {5}),
    ],
)
def test_a_daemon_is_who_it_was_told_to_be_for_good(
    tmp_path: Path, reaper: Reaper, choices: str, uid: int, gid: int, groups: set[int]
) -> None:
    daemon = drop(tmp_path, reaper, choices)
    assert daemon.uids == (uid,) * 4
    assert daemon.gids == (gid,) * 4
    assert daemon.groups == groups
    assert not daemon.capabilities.effective or uid == 0


@pytest.mark.needs_root
def test_home_user_logname_and_shell_follow(tmp_path: Path, reaper: Reaper) -> None:
    drop(tmp_path, reaper, f"user={NOBODY.name!r}")
    entry = pwd.getpwuid(NOBODY.uid)
    expected = f"HOME={entry.pw_dir} USER={entry.pw_name} LOGNAME={entry.pw_name} SHELL={entry.pw_shell}\n"
    assert (tmp_path / "err").read_text() == expected


@pytest.mark.needs_root
def test_what_was_asked_for_stands_above_what_follows_from_the_user(tmp_path: Path, reaper: Reaper) -> None:
    drop(tmp_path, reaper, f'user={NOBODY.name!r}, environment={{"HOME": "/srv"}}')
    assert (tmp_path / "err").read_text().startswith(f"HOME=/srv USER={NOBODY.name} ")


@pytest.mark.needs_root
def test_the_pidfile_is_roots_and_names_nobody_when_the_user_has_ended(tmp_path: Path, reaper: Reaper) -> None:
    daemon = start_daemon(tmp_path, reaper, DROPPING.format(choices=f"user={NOBODY.name!r}"))
    found = (tmp_path / "pid").stat()
    assert (found.st_uid, found.st_mode & 0o777) == (0, 0o644)
    assert daemon.stop() == 0
    # He may neither remove it from root's directory nor write it; its record tells that its process has ended.
    assert run_numen("detach", "--status", f"{tmp_path}/pid").returncode == 1


@pytest.mark.needs_root
def test_a_log_in_the_users_own_directory_is_opened_as_the_user(public_path: Path, reaper: Reaper) -> None:
    theirs = public_path / "theirs"
    theirs.mkdir()
    os.chown(theirs, NOBODY.uid, NOBODY.gid)
    script = DROPPING.replace('"err"', '"theirs/err"').format(choices=f"user={NOBODY.name!r}")
    start_daemon(public_path, reaper, script)
    assert (theirs / "err").stat().st_uid == NOBODY.uid


@pytest.mark.needs_root
def test_names_are_looked_up_before_the_root_changes_and_the_directory_after(public_path: Path, reaper: Reaper) -> None:
    (public_path / "jail/inner").mkdir(parents=True)
    choices = f'user={NOBODY.name!r}, chroot="jail", directory="inner"'
    daemon = drop(public_path, reaper, choices)
    assert daemon.root == str(public_path / "jail")
    assert daemon.cwd == str(public_path / "jail/inner")
    assert daemon.uids == (NOBODY.uid,) * 4


@pytest.mark.needs_user
def test_only_root_may_change_the_root(tmp_path: Path) -> None:
    done = run_script(tmp_path, DROPPING.format(choices='chroot="/"'))
    assert "NoPermission" in done.stderr


# Capabilities


def test_each_capability_is_known_by_the_number_of_the_manual() -> None:
    assert (CAPABILITIES[0], CAPABILITIES[7], CAPABILITIES[10]) == ("chown", "setuid", "net_bind_service")
    assert CAPABILITIES[21] == "sys_admin"
    assert CAPABILITIES[40] == "checkpoint_restore"
    assert len(CAPABILITIES) == len(set(CAPABILITIES)) == 41


@pytest.mark.parametrize(
    "name", ["net_bind_service", "NET_BIND_SERVICE", "CAP_NET_BIND_SERVICE", " cap_net_bind_service "]
)
def test_a_capability_is_named_as_the_manual_or_people_do(name: str) -> None:
    assert identity.parse_capability(name) == 10


@pytest.mark.parametrize("name", ["", "cap_", "flying", "10", "net-bind-service"])
def test_what_is_no_capability_is_refused(name: str) -> None:
    with pytest.raises(BadOption):
        identity.parse_capability(name)


@pytest.mark.needs_user
def test_a_capability_that_one_does_not_have_cannot_be_kept() -> None:
    identity.check_capabilities([])
    with pytest.raises(NoPermission):
        identity.check_capabilities(["sys_admin"])


@pytest.mark.needs_root
def test_just_the_chosen_capabilities_outlive_the_drop_and_an_exec(tmp_path: Path, reaper: Reaper) -> None:
    choices = f'user={NOBODY.name!r}, capabilities=["net_bind_service", "CAP_KILL"]'
    daemon = drop(tmp_path, reaper, choices)
    kept = {NET_BIND_SERVICE, KILL}
    for name in ("inheritable", "permitted", "effective", "bounding", "ambient"):
        assert getattr(daemon.capabilities, name) == kept, name
    assert daemon.uids == (NOBODY.uid,) * 4


@pytest.mark.needs_root
def test_root_may_be_left_with_few_capabilities_or_none(tmp_path: Path, reaper: Reaper) -> None:
    daemon = drop(tmp_path, reaper, "capabilities=[]")
    assert daemon.uids == (0,) * 4
    for name in ("inheritable", "permitted", "effective", "bounding", "ambient"):
        assert getattr(daemon.capabilities, name) == set(), name


@pytest.mark.needs_root
def test_a_kept_capability_is_of_use(public_path: Path) -> None:
    (public_path / "given").touch()
    script = f"""
        with numen.DaemonContext(user={NOBODY.name!r}, capabilities=["chown"], stderr="err", detach=False):
            os.chown(f"{{here}}/given", 1, 2)
    """
    done = run_script(public_path, script)
    assert done.returncode == 0, done.stderr
    given = (public_path / "given").stat()
    assert (given.st_uid, given.st_gid) == (1, 2)


@pytest.mark.needs_root
def test_no_setuid_program_gives_a_daemon_privileges_where_that_is_ruled_out(public_path: Path) -> None:
    program = public_path / "id"
    shutil.copy(str(installed("id")), program)
    program.chmod(0o4755)
    script = f"""
        import subprocess
        with numen.DaemonContext(user={NOBODY.name!r}, no_new_privileges=eval(sys.argv[1]), detach=False):
            os.write(1, subprocess.run([f"{{here}}/id", "-u"], capture_output=True).stdout)
    """
    # Some machines mount the place of temporary files so that it makes no difference.
    otherwise = NOBODY.uid if os.statvfs(public_path).f_flag & os.ST_NOSUID else 0
    assert run_script(public_path, script, "False").stdout == f"{otherwise}\n"
    assert run_script(public_path, script, "True").stdout == f"{NOBODY.uid}\n"
