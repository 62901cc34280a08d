"""The exceptions of the daemon context, under python-daemon's names and with its bases."""

from __future__ import annotations

from contextlib import contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


class DaemonError(Exception):
    """The base of what goes wrong on the way to be a daemon."""


class DaemonOSEnvironmentError(DaemonError, OSError):
    """The process cannot get what was asked for: a directory, a user, a mask, a limit."""


class DaemonProcessDetachError(DaemonError, OSError):
    """The process cannot be detached."""


@contextmanager
def as_environment_errors(attempt: str) -> Iterator[None]:
    """Turn what the system or numen refuses into DaemonOSEnvironmentError; `attempt` completes `cannot …`."""
    from ..errors import DaemonError as NumenError

    try:
        yield
    except DaemonError:
        raise
    except NumenError as error:
        raise DaemonOSEnvironmentError(str(error)) from error
    except (OSError, ValueError, OverflowError) as error:
        raise DaemonOSEnvironmentError(f"cannot {attempt}: {error}") from error
