"""Where numen keeps things: one rule for root, one for everybody else, and one for NUMEN_HOME.

Nothing is made here but the directory that is asked for; file-hierarchy(7) and the XDG base directories
give the names.
"""

from __future__ import annotations

import os
import stat

from ..errors import Unusable, from_os_error


def absolute(path: str) -> str:
    """The path from the root. Raises Unusable where it is relative to a directory that is gone."""
    try:
        return os.path.abspath(path)
    except FileNotFoundError:
        raise Unusable(
            f"cannot find {path}: the current directory is gone; go to another, or write a full path"
        ) from None


def state_directory() -> str:
    """The directory of what is known of running daemons; made where it is missing.

    Root's is /run/numen. A user's stays when the last session ends, as XDG_RUNTIME_DIR does not, and bears
    the machine's id because a home may be shared by several machines.
    """
    if home := os.environ.get("NUMEN_HOME"):
        return _made(os.path.join(absolute(home), "run"))
    if os.geteuid() == 0:
        return _made("/run/numen")
    return _made_for_user(os.path.join("numen", _machine_id()))


def log_directory() -> str:
    """The directory of NAME.log; made where it is missing."""
    if home := os.environ.get("NUMEN_HOME"):
        return _made(os.path.join(absolute(home), "log"))
    if os.geteuid() == 0:
        return _made("/var/log/numen")
    return _made_for_user(os.path.join("numen", "log"))


def _made_for_user(below: str) -> str:
    """A directory of the user's own: in the XDG state home, else, where there is no home, /tmp/numen-UID."""
    for base in _state_homes():
        try:
            return _made(os.path.join(base, below), mode=0o700)
        except Unusable:
            continue  # a home that is named but missing, as in many containers
    own = f"/tmp/numen-{os.geteuid()}"  # noqa: S108 - checked to be our own, closed to others
    _made(own, mode=0o700)
    _check_own(own)
    return _made(os.path.join(own, below), mode=0o700)


def _state_homes() -> list[str]:
    # A relative one is to be ignored, as the specification asks.
    if os.path.isabs(named := os.environ.get("XDG_STATE_HOME", "")):
        return [named]
    homes = [os.environ.get("HOME", "")]
    if not homes[0]:
        import pwd

        try:
            homes = [pwd.getpwuid(os.geteuid()).pw_dir]
        except KeyError:
            homes = []
    return [os.path.join(home, ".local", "state") for home in homes if home not in ("", "/")]


def _machine_id() -> str:
    for path in ("/etc/machine-id", "/var/lib/dbus/machine-id"):
        try:
            with open(path, encoding="ascii") as file:
                if found := file.read().strip():
                    return found
        except (OSError, UnicodeDecodeError):
            continue
    return os.uname().nodename


def _made(path: str, *, mode: int = 0o755) -> str:
    try:
        os.makedirs(path, mode=mode, exist_ok=True)
    except OSError as error:
        # One class for all causes, so that the next place can be tried.
        raise Unusable(f"cannot make the directory {path}: {error.strerror}", path=path) from error
    return path


def _check_own(path: str) -> None:
    try:
        found = os.lstat(path)
    except OSError as error:
        raise from_os_error(error, f"use the directory {path}") from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise Unusable(
            f"cannot use {path}: it must be a directory of your own that is closed to others (mode 0700)",
            path=path,
        )
