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


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_numen_home_holds_everything_for_everybody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NUMEN_HOME", str(tmp_path / "deep" / "home"))

    assert places.state_directory() == str(tmp_path / "deep" / "home" / "run")
    assert places.log_directory() == str(tmp_path / "deep" / "home" / "log")
    assert (tmp_path / "deep" / "home" / "run").is_dir()
    assert (tmp_path / "deep" / "home" / "log").is_dir()


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
