"""Asking the supervisor: connect, call, and make of its errors those of numen, with their exit statuses."""

from __future__ import annotations

import time

from .. import errors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, NoReturn

    from ..wire.client import Connection, Refused

INTERFACE = "io.numen.Supervisor"

PATIENCE = 10.0
"""Seconds in which a supervisor that was killed is back."""

TRIES = 5
"""How often a question is asked whose answer a kill cuts off."""

PAUSE = 0.01
"""Seconds between two looks."""


class AlreadyDefined(errors.DaemonError):
    """A daemon of that name is defined already; it has been left as it is."""

    exit_status = 8


class NotHandled(errors.DaemonError):
    """The daemon does not handle the signal, and would end by it; it has not been sent."""

    exit_status = 10


class Superseded(errors.DaemonError):
    """Somebody else asked for the opposite before it was done."""

    exit_status = 14


class Skipped(errors.DaemonError):
    """It runs already, so nothing was started."""

    exit_status = 75


class Ending(errors.DaemonError):
    """The supervisor is ending, and takes no more orders."""


class NoSupervisor(errors.NotRunning):
    """No supervisor runs."""


KINDS = {
    "AlreadyDefined": AlreadyDefined,
    "BadDefinition": errors.BadDefinition,
    "BadValue": errors.BadOption,
    "Ending": Ending,
    "NoSuchDaemon": errors.Unusable,
    "NameTaken": AlreadyDefined,
    "NoEnd": errors.BadOption,
    "NotHandled": NotHandled,
    "NotReadyInTime": errors.NotReadyInTime,
    "NotRunning": errors.NotRunning,
    "NotPermitted": errors.NoPermission,
    "NotStarted": errors.DiedBeforeReady,
    "Skipped": Skipped,
    "Superseded": Superseded,
    "TimedOut": errors.NotReadyInTime,
    "Unusable": errors.Unusable,
}
"""The class for each error of the interface; the others are failures with no class of their own."""


def connect() -> Connection:
    """Connect to the supervisor; wait for one that has just been killed to be back. Raises NoSupervisor."""
    from ..wire import client

    path, deadline = _control_path(), time.monotonic() + PATIENCE
    has_called = False
    while True:
        try:
            return client.connect(path)
        except errors.NotRunning:
            if not is_open():
                raise NoSupervisor("no supervisor runs; `numen supervisor` starts it, and what ran before") from None
            # A keeper that lives starts the next one at once, and goes on trying where that fails.
            if not has_called:
                _call_for_socket()
                has_called = True
            if time.monotonic() > deadline:
                said = f"the supervisor has not answered within {PATIENCE:g} seconds; `numen logs numen` may tell why"
                raise errors.DaemonError(said) from None
            time.sleep(PAUSE)


def start_supervisor() -> None:
    """Start the supervisor where none runs. Raises DaemonError."""
    from ..wire import client

    try:
        client.connect(_control_path()).close()
    except errors.NotRunning:
        from ..keep.house import open_house

        open_house()


def _control_path() -> str:
    """Where the supervisor takes requests. Raises NoPermission where that is another user's."""
    import os

    from ..settings.places import control_path

    try:
        return control_path()
    except errors.Unusable as error:
        try:
            owner = os.lstat(error.values.get("path", "")).st_uid
        except OSError:
            raise error from None
        if owner == os.geteuid():
            raise
        import pwd

        try:
            name = pwd.getpwuid(owner).pw_name
        except KeyError:
            name = f"uid {owner}"
        said = f"this supervisor belongs to {name}; ask as {name}, or have your own: another NUMEN_HOME, or none"
        raise errors.NoPermission(said) from error


def wait_for_end() -> None:
    """Wait until no supervisor runs, or another one that somebody has started meanwhile."""
    from ..keep.house import keeper_pid

    keeper = keeper_pid()
    while is_open() and keeper_pid() == keeper:
        time.sleep(PAUSE)


def is_open() -> bool:
    """Whether a supervisor lives, or what brings it back."""
    from ..keep.house import is_open

    return is_open()


def _call_for_socket() -> None:
    from ..keep.house import call_for_socket

    call_for_socket()


def ask(method: str, parameters: dict[str, Any] | None = None) -> dict[str, Any]:
    """Call a method that changes nothing; where the supervisor is killed meanwhile, its successor is asked.

    Raises DaemonError.
    """
    from ..wire.client import Disconnected

    for _ in range(TRIES - 1):
        with connect() as connection:
            try:
                return call(connection, method, parameters)
            except Disconnected:
                continue
    with connect() as connection:
        return call(connection, method, parameters)


def call(connection: Connection, method: str, parameters: dict[str, Any] | None = None) -> dict[str, Any]:
    """Call a method of the supervisor's and wait for its reply. Raises DaemonError."""
    from ..wire.client import Refused

    try:
        return connection.call(f"{INTERFACE}.{method}", parameters)
    except Refused as refused:
        _raise(refused)


def more(connection: Connection, method: str, parameters: dict[str, Any] | None = None) -> Iterator[dict[str, Any]]:
    """Call a method of the supervisor's, and get each reply as it comes. Raises DaemonError."""
    from ..wire.client import Refused

    try:
        yield from connection.more(f"{INTERFACE}.{method}", parameters)
    except Refused as refused:
        _raise(refused)


def follow(method: str, parameters: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The same without an end: where the supervisor is killed, its successor is asked. Raises DaemonError."""
    from ..wire.client import Disconnected

    while True:
        with connect() as connection:
            try:
                yield from more(connection, method, parameters)
            except Disconnected:
                continue
            return


def exit_status(error: str) -> int:
    """The exit status for an error of the interface, by its name."""
    return KINDS.get(error, errors.DaemonError).exit_status


def _raise(refused: Refused) -> NoReturn:
    name, said = refused.short_name, refused.parameters
    if refused.name.rpartition(".")[0] != INTERFACE:
        raise errors.DaemonError(f"the supervisor does not understand this version of numen: {refused.name}") from None
    kind = KINDS.get(name, errors.DaemonError)
    values = {key: value for key, value in said.items() if key != "message"}
    raise kind(_in_words(name, said), **values) from None


def _in_words(name: str, said: dict[str, Any]) -> str:
    message = said.get("message", "")
    match name:
        case "NoSuchDaemon":
            from .kept import defined
            from .words import no_daemon

            return no_daemon(str(said.get("name")), defined())
        case "AlreadyDefined":
            return f"{said.get('name')} is defined already; --replace replaces its definition"
        case "BadDefinition":
            mistakes = [f"{one['key']}: {one['message']}".removeprefix(": ") for one in said.get("mistakes", ())]
            return "\n  ".join(["cannot use the definition:", *mistakes])
        case "NotRunning":
            return f"{said.get('name')} is not running"
        case "Ending":
            return "the supervisor is ending"
    return f"{said['name']} {message}" if "name" in said else message or name
