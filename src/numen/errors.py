"""What can go wrong, one class for each cause that calls for a different next step.

Each class has the exit status that a command ends with (docs/exit-statuses.md lists them), and each error
carries its values as attributes, so that nobody has to parse a message.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class DaemonError(Exception):
    """The base of every error that numen raises; by itself, a failure of the system with no class of its own."""

    exit_status = 1

    def __init__(self, message: str, **values: "Any") -> None:
        super().__init__(message)
        self.message = message
        self.values = values
        self.__dict__.update(values)

    def __reduce__(self) -> "tuple[Any, ...]":
        return _rebuild, (type(self).__name__, self.message, self.values)


class BadOption(DaemonError, ValueError):
    """An option, a value or a combination of them makes no sense; nothing was done."""

    exit_status = 2


class BadDefinition(BadOption):
    """A definition has mistakes; it has changed nothing."""

    mistakes: "tuple[tuple[str, str], ...]"
    """Each the key, as `log.size`, and what is wrong with it; the key is empty where it is the whole file."""
    places: "tuple[tuple[str, int, int], ...]" = ()
    """Where each of the mistakes stands: the file, the line, the column; empty where no file was read."""


class NoPermission(DaemonError):
    """The system does not let this user do it."""

    exit_status = 4


class Unusable(DaemonError):
    """Something named beforehand is missing or cannot be used: a user, a directory, a file."""

    exit_status = 6


class NotRunning(DaemonError):
    """There is no such live process to ask."""

    exit_status = 7


class AlreadyRunning(DaemonError):
    """Another live process is that instance, or is just becoming it."""

    exit_status = 8
    pid: int


class DiedBeforeReady(DaemonError):
    """The daemon ended before it was ready."""

    exit_status = 9
    pid: int
    ending: str
    """How it ended: `exit status 3`, `signal SIGSEGV`."""
    last_lines: tuple[str, ...]
    """The last lines that it wrote where numen could read them."""


class Unsafe(DaemonError, RuntimeError):
    """This process cannot be forked safely: other threads run in it, or an event loop."""

    exit_status = 10


class NotReadyInTime(DaemonError):
    """The daemon was not ready when its time was over; it has been ended, and its family with it."""

    exit_status = 124
    pid: int
    last_lines: tuple[str, ...]


class ExecFailed(DaemonError):
    """The system refused to execute the command for a reason without a class of its own."""

    exit_status = 125


class NotExecutable(ExecFailed):
    """The command was found, but it is not an executable file."""

    exit_status = 126


class CommandNotFound(ExecFailed):
    """There is no such command."""

    exit_status = 127


class Interrupted(BaseException):
    """A signal came while a start was under way; the start has been undone when this is seen."""

    def __init__(self, number: int) -> None:
        super().__init__(f"interrupted by signal {number}")
        self.number = number


def _rebuild(name: str, message: str, values: "dict[str, Any]") -> DaemonError:
    return error_class(name)(message, **values)


def error_class(name: str) -> type[DaemonError]:
    """The class of that name in this module; the base where there is none."""
    found = globals().get(name)
    return found if isinstance(found, type) and issubclass(found, DaemonError) else DaemonError


def from_os_error(error: OSError, attempt: str) -> DaemonError:
    """The error of ours for a system call's; `attempt` completes the sentence `cannot …`."""
    import errno

    denied = error.errno in (errno.EACCES, errno.EPERM, errno.EROFS)
    cause = error.strerror or str(error)
    return (NoPermission if denied else Unusable)(f"cannot {attempt}: {cause}", errno=error.errno)
