"""Steps 3 and 4: the working directory, of which one is warned where it is in somebody's way; umask and chroot."""

import os
from pathlib import Path

import pytest

import observe
from daemons import run_script, start_daemon, wait_until_said
from numen.become import surroundings
from numen.errors import NoPermission, Unusable
from numen.kernel import proc
from processes import Reaper

# The warning

MOUNTINFO = b"""\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
23 22 0:21 / /proc rw - proc proc rw
30 22 0:25 / /tmp rw shared:9 - tmpfs tmpfs rw
31 30 0:26 / /tmp/inner rw - tmpfs tmpfs rw
32 22 8:17 / /media/stick rw master:1 propagate_from:2 - vfat /dev/sdb1 rw
33 22 0:30 / /srv/share rw - nfs4 server:/share rw
34 22 0:31 / /mnt/with\\040a\\134blank rw - tmpfs tmpfs rw
35 22 0:32 / /run/user/1000 rw - tmpfs tmpfs rw
36 22 0:33 / /home/me/far rw - fuse.sshfs me@far:/ rw
37 22 8:33 / /backup rw - ext4 /dev/sdc1 rw
38 22 0:40 / /data rw - ext4 /dev/first rw
39 22 0:41 / /data rw - xfs /dev/second rw
"""


@pytest.fixture
def mounted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mounts above, on disks of which 8:16 and 8:32 are removable."""
    files = {
        "/proc/self/mountinfo": MOUNTINFO,
        "/sys/dev/block/8:1/../removable": b"0\n",
        "/sys/dev/block/8:17/../removable": b"1\n",
        "/sys/dev/block/8:33/../removable": b"1\n",
    }
    monkeypatch.setattr(proc, "read", files.get)
    monkeypatch.setattr(os.path, "realpath", os.path.normpath)


@pytest.mark.usefixtures("mounted")
@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/", None),
        ("/var/lib", None),
        ("/tmp/inner", None),
        ("/mnt/plain", None),
        ("/data", None),
        ("/media/stick/a", "removable"),
        ("/backup", "removable"),
        ("/srv/share", "network"),
        ("/home/me/far/a", "network"),
        ("/run/user/1000/numen", "session"),
        ("/mnt/with a\\blank", "unmounted"),
    ],
)
def test_a_directory_in_somebodys_way_is_warned_of_with_the_reason(path: str, reason: str | None) -> None:
    warning = surroundings.warn_of_directory(path)
    if reason is None:
        assert warning is None
    else:
        assert warning is not None
        assert reason in warning
        assert path in warning


def test_nothing_is_said_where_proc_does_not_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proc, "read", lambda _path: None)
    assert surroundings.warn_of_directory("/mnt/x") is None


@pytest.mark.needs_root
@pytest.mark.parametrize(
    ("mount", "place", "reason"),
    [
        ("/mnt", "/mnt/place", "unmounted"),
        ("/mnt/disk", "/mnt/disk/place", "unmounted"),
        ("/media/stick", "/media/stick", "unmounted"),
        ("/run/user/54321", "/run/user/54321", "session"),
        ("/srv/data", "/srv/data", None),
        ("/srv", "/srv", None),
    ],
)
def test_a_daemon_on_a_file_system_that_may_go_is_warned_of_and_runs(
    tmp_path: Path, mount: str, place: str, reason: str | None
) -> None:
    # In a mount namespace of its own, over a file system that hides the machine's own directories.
    top = "/" + mount.split("/")[1]
    prepare = (
        f'mount -t tmpfs numen "{top}" && mkdir -p "{mount}" && '
        f'if [ "{mount}" != "{top}" ]; then mount -t tmpfs numen "{mount}"; fi && mkdir -p "{place}" && exec "$@"'
    )
    script = """
        with numen.DaemonContext(stderr="err", directory=sys.argv[1], ready="open", pidfile="pid") as daemon:
            say(os.getcwd())
    """
    before = ("unshare", "--mount", "--propagation", "private", "sh", "-c", prepare, "sh")
    done = run_script(tmp_path, script, place, before=before)
    assert done.returncode == 0, done.stderr
    wait_until_said(tmp_path, place)
    if reason is None:
        assert done.stderr == ""
    else:
        assert reason in done.stderr


# The steps


def test_a_directory_must_be_one_that_can_be_entered(tmp_path: Path) -> None:
    surroundings.check_directory(str(tmp_path), "the working directory")
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to("nowhere")
    for name in ("file", "dangling", "missing", "file/inner"):
        with pytest.raises(Unusable):
            surroundings.check_directory(str(tmp_path / name), "the working directory")
        with pytest.raises(Unusable):
            surroundings.change_directory(str(tmp_path / name))


@pytest.mark.needs_user
def test_a_directory_that_is_closed_to_this_user_is_refused(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o600)
    with pytest.raises(Unusable):
        surroundings.check_directory(str(closed), "the working directory")
    with pytest.raises(NoPermission):
        surroundings.change_directory(str(closed))
    with pytest.raises(NoPermission):
        surroundings.change_root(str(tmp_path))


@pytest.mark.parametrize(("umask", "mode"), [(0, 0o666), (0o022, 0o644), (0o077, 0o600)])
def test_the_umask_is_that_of_the_files_that_the_daemon_makes(
    tmp_path: Path, reaper: Reaper, umask: int, mode: int
) -> None:
    script = f"""
        with numen.DaemonContext(pidfile="pid", stderr="err", umask={umask}) as daemon:
            open(f"{{here}}/made", "w").close()
            daemon.ready()
            rest()
    """
    daemon = start_daemon(tmp_path, reaper, script)
    assert (tmp_path / "made").stat().st_mode & 0o777 == mode
    # Not so the pidfile: who can write it chooses whom root kills.
    assert (tmp_path / "pid").stat().st_mode & 0o777 == 0o644
    assert observe.look(daemon.pid).umask == umask


@pytest.mark.needs_root
def test_no_directory_is_left_outside_of_a_new_root(tmp_path: Path) -> None:
    (tmp_path / "jail/inner").mkdir(parents=True)
    script = """
        from numen.become import surroundings
        os.chdir("/usr")
        surroundings.change_root(f"{here}/jail")
        print(os.getcwd(), os.listdir("/"), os.listdir("../../.."))
    """
    assert run_script(tmp_path, script).stdout == "/ ['inner'] ['inner']\n"


def test_what_the_launchers_environment_says_of_itself_is_outdated() -> None:
    assert {"NOTIFY_SOCKET", "LISTEN_PID", "WATCHDOG_USEC", "PWD"} <= set(surroundings.OUTDATED_VARIABLES)
    assert not {"HOME", "PATH", "LANG"} & set(surroundings.OUTDATED_VARIABLES)
