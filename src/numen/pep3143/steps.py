"""The steps of becoming a daemon that python-daemon has as functions of its own, under its names."""

from __future__ import annotations

import atexit
import operator
import os
import pwd
import signal

from ..become import identity, limits, surroundings
from . import detachment
from .errors import as_environment_errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import FrameType

    Handler = Callable[[int, FrameType | None], object] | int | signal.Handlers | None
    """What signal.signal() takes."""


def change_working_directory(directory: str | os.PathLike[str]) -> None:
    """Make it the working directory. Raises DaemonOSEnvironmentError."""
    with as_environment_errors(f"change the working directory to {directory}"):
        surroundings.change_directory(os.fspath(directory))


def change_root_directory(directory: str | os.PathLike[str]) -> None:
    """Make it the root directory, and step inside. Raises DaemonOSEnvironmentError."""
    with as_environment_errors(f"change the root directory to {directory}"):
        surroundings.change_root(os.fspath(directory))


def change_file_creation_mask(mask: int) -> None:
    """Set the umask. Raises DaemonOSEnvironmentError."""
    surroundings.set_umask(checked_mask(mask))


def checked_mask(mask: int) -> int:
    """The mask of file modes that this means. Raises DaemonOSEnvironmentError for what is none."""
    try:
        return operator.index(mask) & 0o777
    except TypeError as error:
        from .errors import DaemonOSEnvironmentError

        raise DaemonOSEnvironmentError(f"cannot set the umask {mask!r}: {error}") from error


def prevent_core_dump() -> None:
    """Let no core file be written. Raises DaemonOSEnvironmentError."""
    with as_environment_errors("prevent core dumps"):
        limits.prevent_core_dumps()


def change_process_owner(uid: int, gid: int, initgroups: bool = False) -> None:  # noqa: FBT001, FBT002 - its signature
    """Become this user and group for good, with no other groups, or with the user's own for `initgroups`.

    Raises DaemonOSEnvironmentError.
    """
    with as_environment_errors(f"become uid {uid} with gid {gid}"):
        become_owner(uid, gid, find_account(uid, gid, with_groups=initgroups))


def find_account(uid: int, gid: int, *, with_groups: bool) -> identity.Account | None:
    """The account with these ids; `None` where they are the real ones of this process, whose groups then stay.

    Raises the errors of identity.look_up(), and TypeError for a uid that is no number.
    """
    name = _name_or_none(uid)
    with_groups = with_groups and name is not None
    if (uid, gid) == (os.getuid(), os.getgid()) and not with_groups:
        return None
    groups = os.getgrouplist(name, gid) if with_groups and name is not None else [gid]
    return identity.look_up(uid, gid, groups)


def become_owner(uid: int, gid: int, account: identity.Account | None) -> None:
    """Become the account; where there is none, drop what effective ids add to the real ones. Raises OSError too."""
    if account is not None:
        identity.become(account)
    else:
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)


def _name_or_none(uid: int) -> str | None:
    try:
        return get_username_for_uid(uid)
    except KeyError:
        return None


def get_username_for_uid(uid: int) -> str:
    """The name of the user. Raises KeyError where the uid has none."""
    return pwd.getpwuid(uid).pw_name


def detach_process_context() -> None:
    """Go on in a daemon's process: in a session without a terminal, as nobody's child. The caller's exits with 0.

    Raises DaemonProcessDetachError.
    """
    reporter = detachment.fork_away(detachment.nothing_prepared())
    reporter.ready()
    reporter.close()


def make_default_signal_map() -> dict[int, object]:
    """The signals that a context treats where it is told nothing else, as `signal_map` has them."""
    names = {"SIGTSTP": None, "SIGTTIN": None, "SIGTTOU": None, "SIGTERM": "terminate"}
    return {getattr(signal, name): target for name, target in names.items()}


def set_signal_handlers(signal_handler_map: Mapping[int, Handler]) -> None:
    """Set each handler."""
    for number, handler in signal_handler_map.items():
        signal.signal(number, handler)


def register_atexit_function(func: Callable[[], object]) -> None:
    """Have it called when the program ends."""
    atexit.register(func)
