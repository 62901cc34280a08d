"""Where numen keeps things."""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from numen.errors import Unusable
from numen.settings import places
from processes import environment

PRINT = "from numen.settings import places; print(places.state_directory(), places.log_directory())"
PRINT_ALL = """
from numen.settings import places as p
print(p.runtime_directory(), p.streams_directory(), p.control_path())
print(p.definitions_directory(), p.persistent_directory())
"""


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_numen_home_holds_everything_for_everybody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NUMEN_HOME", str(tmp_path / "deep" / "home"))

    assert places.state_directory() == str(tmp_path / "deep" / "home" / "run")
    assert places.log_directory() == str(tmp_path / "deep" / "home" / "log")
    assert (tmp_path / "deep" / "home" / "run").is_dir()
    assert (tmp_path / "deep" / "home" / "log").is_dir()


def test_numen_home_holds_what_the_supervisor_needs_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    home = tmp_path / "deep" / "home"
    monkeypatch.setenv("NUMEN_HOME", str(home))

    assert places.runtime_directory() == str(home / "run" / "supervisor")
    assert places.streams_directory() == str(home / "run" / "supervisor" / "streams")
    assert places.control_path() == str(home / "run" / "supervisor" / "control")
    assert places.definitions_directory() == str(home / "daemons.d")
    assert places.persistent_directory() == str(home / "lib")
    assert mode(home / "run" / "supervisor") == mode(home / "run" / "supervisor" / "streams") == 0o700
    assert not (home / "run" / "supervisor" / "control").exists()


def test_a_runtime_directory_that_stands_open_is_closed_and_stays_so(numen_home: Path) -> None:
    run = Path(places.state_directory()) / "supervisor"
    run.mkdir(mode=0o755)

    assert places.runtime_directory() == str(run)
    assert mode(run) == 0o700
    assert mode(run.parent) == 0o755


@pytest.mark.needs_root
def test_a_runtime_directory_of_somebody_else_s_is_refused(numen_home: Path) -> None:
    (numen_home / "run" / "supervisor").mkdir(parents=True)
    os.chown(numen_home / "run" / "supervisor", 54321, 54321)

    with pytest.raises(Unusable, match="must be a directory of your own"):
        places.runtime_directory()


def test_a_link_in_the_place_of_the_runtime_directory_is_not_followed(numen_home: Path, tmp_path: Path) -> None:
    (numen_home / "run").mkdir()
    (numen_home / "run" / "supervisor").symlink_to(tmp_path)

    with pytest.raises(Unusable, match="must be a directory of your own"):
        places.runtime_directory()


def test_a_relative_numen_home_is_resolved(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NUMEN_HOME", "here")

    assert places.state_directory() == str(tmp_path / "here" / "run")


def test_a_numen_home_that_cannot_be_made_is_an_error_and_not_passed_over(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("NUMEN_HOME", str(tmp_path / "file"))

    with pytest.raises(Unusable, match="cannot make the directory"):
        places.state_directory()


@pytest.mark.needs_root
def test_root_has_run_and_var_log() -> None:
    script = 'mkdir -p /var/log; mount -t tmpfs none /run; mount -t tmpfs none /var/log; exec "$@"'
    command = ["unshare", "--mount", "sh", "-euc", script, "sh", sys.executable, "-c", PRINT]

    done = subprocess.run(command, env=environment({"NUMEN_HOME": None}), capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["/run/numen", "/var/log/numen"]


@pytest.mark.needs_root
def test_root_has_run_etc_and_var_lib_for_the_supervisor() -> None:
    script = 'for d in /run /etc /var/lib; do mount -t tmpfs none $d; done; exec "$@"'
    command = ["unshare", "--mount", "sh", "-euc", script, "sh", sys.executable, "-c", PRINT_ALL]

    done = subprocess.run(command, env=environment({"NUMEN_HOME": None}), capture_output=True, text=True, check=True)

    assert done.stdout.split() == [
        "/run/numen/supervisor",
        "/run/numen/supervisor/streams",
        "/run/numen/supervisor/control",
        "/etc/numen/daemons.d",
        "/var/lib/numen",
    ]


# Everybody else: asked in this process, as if it were not root's.


@pytest.fixture
def as_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """No NUMEN_HOME, no XDG_STATE_HOME, and places believes that the user is not root."""
    if os.geteuid() == 0:
        monkeypatch.setattr(os, "geteuid", lambda: 54321)
    monkeypatch.delenv("NUMEN_HOME")
    monkeypatch.delenv("XDG_STATE_HOME")


@pytest.mark.usefixtures("as_user")
def test_a_user_has_the_xdg_state_home_with_the_machine_in_its_path(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))

    state = Path(places.state_directory())

    assert state.parent == tmp_path / "numen"
    assert state.name  # the machine's id, or its name where it has none
    assert places.log_directory() == str(tmp_path / "numen" / "log")
    assert mode(state) == mode(tmp_path / "numen" / "log") == 0o700


@pytest.mark.usefixtures("as_user")
def test_without_xdg_state_home_it_is_local_state_in_the_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))

    assert places.log_directory() == str(tmp_path / ".local" / "state" / "numen" / "log")


@pytest.mark.usefixtures("as_user")
def test_a_relative_xdg_state_home_is_ignored_as_the_specification_asks(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))

    assert places.log_directory() == str(tmp_path / "home" / ".local" / "state" / "numen" / "log")


@pytest.fixture
def own_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """What this process makes belongs to whom places believes the user to be."""
    uid, lstat = os.geteuid(), os.lstat

    def as_if_own(path: str) -> os.stat_result:
        found = lstat(path)
        return os.stat_result((*found[:4], uid, *found[5:])) if found.st_uid == os.getuid() else found

    monkeypatch.setattr(os, "lstat", as_if_own)


@pytest.mark.usefixtures("as_user", "own_files")
def test_a_user_has_the_xdg_directories_for_the_supervisor(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("runtime", "config", "state"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))

    assert places.runtime_directory() == str(tmp_path / "runtime" / "numen")
    assert mode(tmp_path / "runtime" / "numen") == 0o700
    assert places.definitions_directory() == str(tmp_path / "config" / "numen" / "daemons.d")
    assert places.persistent_directory() == str(tmp_path / "state" / "numen")


@pytest.mark.usefixtures("as_user")
def test_without_xdg_config_home_the_definitions_are_in_the_home(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))

    assert places.definitions_directory() == str(tmp_path / ".config" / "numen" / "daemons.d")


@pytest.mark.needs_root
@pytest.mark.parametrize("variable", ["", "/nowhere", "relative", "{others}"])
def test_without_a_runtime_directory_of_his_own_a_user_has_one_in_tmp_and_in_run_user_where_that_is(
    public_path: Path, variable: str
) -> None:
    uid = 1_000_000_000 + os.getpid()
    own = Path(f"/tmp/numen-{uid}")
    drop = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
    drop += ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    changes: dict[str, str | None] = dict.fromkeys(("NUMEN_HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME", "HOME"))
    changes["XDG_RUNTIME_DIR"] = variable.format(others=public_path)
    make = "mkdir -p /run/user/$1; chown $1 /run/user/$1"
    in_run = f'mount -t tmpfs none /run; if [ "$2" ]; then {make}; fi; shift 2; exec "$@"'
    try:
        for has_run_user, expected in ("", str(own / "run")), ("yes", f"/run/user/{uid}/numen"):
            command = ["unshare", "--mount", "sh", "-euc", in_run, "sh", str(uid), has_run_user]
            done = subprocess.run(
                [*command, *drop, sys.executable, "-c", PRINT_ALL],
                env=environment(changes),
                capture_output=True,
                text=True,
                check=True,
            )
            assert done.stdout.split() == [
                expected,
                f"{expected}/streams",
                f"{expected}/control",
                str(own / "numen" / "daemons.d"),
                str(own / "numen"),
            ]
    finally:
        shutil.rmtree(own, ignore_errors=True)


@pytest.mark.needs_root
def test_a_user_without_home_and_passwd_entry_has_a_closed_directory_of_his_own_in_tmp() -> None:
    # Nobody has this number; the capability is there because the interpreter may stand where only root may go.
    uid = 1_000_000_000 + os.getpid()
    own = Path(f"/tmp/numen-{uid}")
    drop = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
    drop += ["--inh-caps=+dac_override,+dac_read_search", "--ambient-caps=+dac_override,+dac_read_search"]
    nowhere = environment(dict.fromkeys(("NUMEN_HOME", "XDG_STATE_HOME", "HOME")))
    try:
        done = subprocess.run(
            [*drop, sys.executable, "-c", PRINT], env=nowhere, capture_output=True, text=True, check=True
        )

        assert done.stdout.split()[1] == str(own / "numen" / "log")
        assert (own.stat().st_uid, mode(own)) == (uid, 0o700)

        own.chmod(0o755)
        refused = subprocess.run(
            [*drop, sys.executable, "-c", PRINT], env=nowhere, capture_output=True, text=True, check=False
        )
        assert f"cannot use {own}: it must be a directory of your own" in refused.stderr
    finally:
        shutil.rmtree(own, ignore_errors=True)
