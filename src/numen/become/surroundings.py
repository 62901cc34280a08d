"""Steps 3 and 4: the working directory and the umask; and chroot, which belongs between look-up and drop."""

from __future__ import annotations

import os

from ..errors import Unusable, from_os_error
from ..kernel import files, mounts

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""PATH where the environment names none."""

DEFAULT_UMASK = 0o022
"""Files are written by the daemon alone. The classic recipe's 0 suits a program that gives each file its
mode itself, and makes files that everybody may write of all the others."""

OUTDATED_VARIABLES = (
    # What a service manager told the launcher of itself: false for a daemon that leaves it.
    *("NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"),
    *("INVOCATION_ID", "SYSTEMD_EXEC_PID", "JOURNAL_STREAM", "MAINPID", "MANAGERPID"),
    # What a shell says of where it is: the daemon is elsewhere.
    *("PWD", "OLDPWD", "SHLVL", "_"),
)
"""The variables of the environment that are no longer true once a daemon has left who started it."""

NETWORK = ("nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "afs", "fuse.sshfs", "fuse.glusterfs", "fuse.rclone")
"""The types of file systems that wait for another machine."""

_USUALLY_UNMOUNTED = ("/media/", "/mnt/", "/run/media/")
_OF_A_SESSION = "/run/user/"


def change_directory(path: str) -> None:
    """Make `path` the working directory (chdir(2)). Raises Unusable or NoPermission."""
    try:
        os.chdir(path)
    except OSError as error:
        raise from_os_error(error, f"change the working directory to {path}") from error


def change_root(path: str) -> None:
    """Make `path` the root directory (chroot(2)), and step inside: a directory left outside is a way out."""
    try:
        os.chroot(path)
        os.chdir("/")
    except OSError as error:
        raise from_os_error(error, f"change the root directory to {path}") from error


def set_umask(umask: int) -> None:
    """Reset the mask of file modes (umask(2))."""
    os.umask(umask)


def check_directory(path: str, purpose: str) -> None:
    """Raise Unusable or NoPermission where `path` is no directory that can be entered."""
    try:
        entered = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise from_os_error(error, f"use {path} as {purpose}") from error
    os.close(entered)
    if not files.may_execute(path):
        raise Unusable(f"cannot use {path} as {purpose}: it may not be entered", path=path)


def warn_of_directory(path: str) -> str | None:
    """Why a daemon in `path` may be in somebody's way; `None` where nothing is against it.

    A file system cannot be unmounted while a process has its working directory there (umount(2)).
    """
    if path == "/":
        return None
    mount = mounts.mount_of(path)
    if mount is None:
        return None
    reason = why_unsteady(mount.point, mount.kind, removable=mounts.is_removable(mount.device))
    return f"the working directory {path} {reason}" if reason else None


def why_unsteady(point: str, kind: str, *, removable: bool) -> str | None:
    """Why a daemon may be in somebody's way on the file system of that type mounted at `point`; `None` for none."""
    if point == "/":
        return None
    if kind in NETWORK:
        return f"is on a network file system ({kind} at {point}): the daemon hangs when that does"
    if removable:
        return f"is on a removable disk (at {point}): it cannot be taken out while the daemon runs"
    if (point + "/").startswith(_OF_A_SESSION):
        return f"belongs to a session ({point}): it goes when the user's last session ends"
    if (point + "/").startswith(_USUALLY_UNMOUNTED):
        return f"is on a file system that may be unmounted ({point}): it cannot be while the daemon runs"
    return None
