"""Where numen keeps things: one rule for root, one for everybody else, and one for NUMEN_HOME.

Nothing is made here but the directory that is asked for; file-hierarchy(7) and the XDG base directories
give the names.
"""

from __future__ import annotations

import os
import stat

from ..errors import Unusable, from_os_error

ENDING = ".toml"
"""What stands behind a daemon's name in that of its definition file."""


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


def persistent_directory() -> str:
    """The directory of what outlives a boot; made where it is missing."""
    if home := os.environ.get("NUMEN_HOME"):
        return _made(os.path.join(absolute(home), "lib"))
    if os.geteuid() == 0:
        return _made("/var/lib/numen")
    return _made_for_user("numen")


def definitions_directory() -> str:
    """The directory of NAME.toml; made where it is missing."""
    if home := os.environ.get("NUMEN_HOME"):
        return _made(os.path.join(absolute(home), "daemons.d"))
    if os.geteuid() == 0:
        return _made("/etc/numen/daemons.d")
    return _made_for_user(os.path.join("numen", "daemons.d"), "XDG_CONFIG_HOME", ".config")


def defined_in(directory: str, ending: str = ENDING) -> list[str]:
    """The names of the daemons that have a file there."""
    try:
        entries = os.listdir(directory)
    except OSError:
        return []
    return sorted(one.removesuffix(ending) for one in entries if one.endswith(ending) and not one.startswith("."))


def runtime_directory() -> str:
    """The directory of the control socket and the FIFOs, closed to others; made where it is missing.

    A user's is in XDG_RUNTIME_DIR, which goes with the last session; in /run/user/UID where a program was started
    without that variable, as by cron(8), so that it finds what a session has started; else in /tmp/numen-UID.
    """
    if home := os.environ.get("NUMEN_HOME"):
        return _closed(os.path.join(absolute(home), "run", "supervisor"))
    if os.geteuid() == 0:
        # One below that of the state, where other users may read which daemons run.
        return _closed("/run/numen/supervisor")
    for base in (os.environ.get("XDG_RUNTIME_DIR", ""), f"/run/user/{os.geteuid()}"):
        if os.path.isabs(base) and os.path.isdir(base):
            try:
                return _closed(os.path.join(base, "numen"))
            except Unusable:
                continue  # another user's, kept in the environment by su(1)
    return _made(os.path.join(_own_in_tmp(), "run"), mode=0o700)


def streams_directory() -> str:
    """The directory of the FIFOs that daemons write to, closed to others; made where it is missing."""
    return _closed(os.path.join(runtime_directory(), "streams"))


def control_path() -> str:
    """Where the supervisor takes requests: its directory is made where it is missing."""
    return os.path.join(runtime_directory(), "control")


def _made_for_user(below: str, variable: str = "XDG_STATE_HOME", in_home: str = ".local/state") -> str:
    """A directory of the user's own: where the XDG variable says, else, where there is no home, in /tmp/numen-UID."""
    for base in _homes(variable, in_home):
        try:
            return _made(os.path.join(base, below), mode=0o700)
        except Unusable:
            continue  # a home that is named but missing, as in many containers
    return _made(os.path.join(_own_in_tmp(), below), mode=0o700)


def _own_in_tmp() -> str:
    own = f"/tmp/numen-{os.geteuid()}"  # noqa: S108 - checked to be our own, closed to others
    _made(own, mode=0o700)
    _check_own(own)
    return own


def _homes(variable: str, in_home: str) -> list[str]:
    # A relative one is to be ignored, as the specification asks.
    if os.path.isabs(named := os.environ.get(variable, "")):
        return [named]
    homes = [os.environ.get("HOME", "")]
    if not homes[0]:
        import pwd

        try:
            homes = [pwd.getpwuid(os.geteuid()).pw_dir]
        except KeyError:
            homes = []
    return [os.path.join(home, in_home) for home in homes if home not in ("", "/")]


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


def _closed(path: str) -> str:
    """Make the directory where it is missing, and close it to others. Raises Unusable where it is not our own."""
    _made(path, mode=0o700)
    try:
        found = os.lstat(path)
        if stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and found.st_mode & 0o077:
            # NUMEN_HOME/run and /run/numen are made open by who keeps pidfiles there.
            os.chmod(path, 0o700)
    except OSError as error:
        raise Unusable(f"cannot close the directory {path} to others: {error.strerror}", path=path) from error
    _check_own(path)
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
