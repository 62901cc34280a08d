"""A program started by posix_spawn(3), by way of the C library: it costs the same however large this process is.

The standard library has no posix_spawn with a working directory (posix_spawn_file_actions_addchdir_np, glibc 2.29).
The child leads a session of its own, has every signal at its default and none blocked; what else it has, limits and
umask and priority among them, it inherits.
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
from contextlib import contextmanager

from ..record import Record
from . import files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

_SETSIGDEF, _SETSIGMASK, _SETSID = 0x04, 0x08, 0x80
"""The flags of posix_spawnattr_setflags(3); glibc and musl have the same."""

_ROOM = 1024
"""Bytes for an opaque structure of the C library's: posix_spawnattr_t takes 336, sigset_t 128."""

_FAILED_FORKS = (errno.EAGAIN, errno.ENOMEM, errno.ENOSYS)


class Open(Record):
    """Open `path` as this descriptor (posix_spawn_file_actions_addopen(3))."""

    descriptor: int
    path: str
    flags: int


class Duplicate(Record):
    """Make `descriptor` a copy of `source`, inherited in any case (posix_spawn_file_actions_adddup2(3))."""

    source: int
    descriptor: int


_libc = ctypes.CDLL(None)


def _function(name: str, *arguments: type) -> Callable[..., int]:
    function = _libc[name]
    function.argtypes, function.restype = arguments, ctypes.c_int
    return function


_POINTER, _INT, _STRING = ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p

_spawn = _function("posix_spawn", _POINTER, _STRING, _POINTER, _POINTER, _POINTER, _POINTER)
_init = _function("posix_spawn_file_actions_init", _POINTER)
_add_open = _function("posix_spawn_file_actions_addopen", _POINTER, _INT, _STRING, _INT, ctypes.c_uint)
_add_dup2 = _function("posix_spawn_file_actions_adddup2", _POINTER, _INT, _INT)
_add_chdir = _function("posix_spawn_file_actions_addchdir_np", _POINTER, _STRING)
_destroy = _function("posix_spawn_file_actions_destroy", _POINTER)


def _attributes() -> ctypes.Array[ctypes.c_char]:
    attributes, signals = ctypes.create_string_buffer(_ROOM), ctypes.create_string_buffer(_ROOM)
    _check(_function("posix_spawnattr_init", _POINTER)(attributes))
    _check(
        _function("posix_spawnattr_setflags", _POINTER, ctypes.c_short)(attributes, _SETSIGDEF | _SETSIGMASK | _SETSID)
    )
    _check(_function("posix_spawnattr_setsigmask", _POINTER, _POINTER)(attributes, signals))
    # Not by sigfillset(3), which leaves out two that the C library has for itself: glibc would have them ignored.
    ctypes.memset(signals, 0xFF, _ROOM)
    _check(_function("posix_spawnattr_setsigdefault", _POINTER, _POINTER)(attributes, signals))
    return attributes


def _check(number: int) -> None:
    if number != 0:
        raise OSError(number, os.strerror(number))


_ATTRIBUTES = _attributes()
"""The same for every spawn."""


def posix_spawn(
    path: str,
    argv: Sequence[str],
    env: Mapping[str, str],
    *,
    actions: Sequence[Open | Duplicate] = (),
    directory: str | None = None,
) -> int:
    """Execute a program in a child, and return its pid: the exec has succeeded.

    The actions are done in their order, then the directory is entered. Raises OSError if a step failed; the number
    alone does not tell which, `failed_step` finds out.
    """
    given = [os.fsencode(one) for one in argv]
    variables = [os.fsencode(f"{name}={value}") for name, value in env.items()]
    if any(b"\0" in one for one in given) or any(b"\0" in one for one in variables):
        # The C library would take what stands before it.
        raise OSError(errno.EINVAL, "a NUL byte in an argument or in the environment")
    arguments = (ctypes.c_char_p * (len(given) + 1))(*given)
    environment = (ctypes.c_char_p * (len(variables) + 1))(*variables)
    steps, pid = ctypes.create_string_buffer(_ROOM), ctypes.c_int()
    _check(_init(steps))
    try:
        for action in actions:
            if isinstance(action, Open):
                _check(_add_open(steps, action.descriptor, os.fsencode(action.path), action.flags, 0))
            else:
                _check(_add_dup2(steps, action.source, action.descriptor))
        if directory is not None:
            _check(_add_chdir(steps, os.fsencode(directory)))
        _check(_spawn(ctypes.byref(pid), os.fsencode(path), steps, _ATTRIBUTES, arguments, environment))
    finally:
        _destroy(steps)
    return pid.value


def failed_step(path: str, actions: Sequence[Open | Duplicate], directory: str | None, number: int) -> str:
    """Which step of a posix_spawn() that failed with this error it was, to complete the sentence `cannot …`.

    Found out by a second try at each, so it is a likely answer.
    """
    if number in _FAILED_FORKS:
        return "start a process"
    for action in actions:
        if isinstance(action, Open) and not _can_open(action):
            return f"open {action.path}"
        if isinstance(action, Open) and number == errno.EBADF and action is actions[-1]:
            return f"open {action.path} as descriptor {action.descriptor}"
    if directory is not None and not _can_enter(directory):
        return f"change the working directory to {directory}"
    return f"execute {path}"


def _can_open(action: Open) -> bool:
    try:
        os.close(os.open(action.path, action.flags | os.O_CLOEXEC | os.O_NONBLOCK))
    except OSError:
        return False
    return True


def _can_enter(directory: str) -> bool:
    return os.path.isdir(directory) and files.may_execute(directory)


def failure(step: str, path: str, error: OSError) -> str:
    """The step that failed and what the system said, in words."""
    cause = error.strerror or str(error)
    if step == f"execute {path}":
        if os.path.isdir(path):
            cause = "it is a directory"
        elif error.errno in files.NOT_EXECUTED and os.path.exists(path):
            cause = files.NOT_EXECUTED[error.errno]
    return f"cannot {step}: {cause}"


@contextmanager
def soft_limit(number: int, soft: int) -> Iterator[None]:
    """Let what is spawned inside have that soft limit, and this process have its own again afterwards.

    A limit holds for every thread: one that opens a file meanwhile, in a process that has more open than `soft`, gets
    EMFILE, and must try again.
    """
    now, hard = resource.getrlimit(number)
    if now == soft:
        yield
        return
    resource.setrlimit(number, (soft, hard))
    try:
        yield
    finally:
        resource.setrlimit(number, (now, hard))
