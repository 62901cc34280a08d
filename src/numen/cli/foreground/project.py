"""What is to be run: the daemons of a file, those chosen among them, and what up adds to their definitions."""

from __future__ import annotations

import os

from ...errors import Unusable
from ...keep.definitions.definition import FILE
from ...record import Record
from ..words import no_daemon

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ...errors import DaemonError
    from ...keep.definitions.definition import Definition

NOT_HANDED_ON = frozenset(
    {
        *("NUMEN_HOME", "NUMEN_INVOCATION", "NUMEN_NAME", "NUMEN_OWNER"),
        *("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"),
        *("INVOCATION_ID", "JOURNAL_STREAM", "MAINPID", "OLDPWD", "PWD", "SHLVL", "_"),
    }
)
"""Of the caller's environment what is about him, not for his daemons."""

ACCOUNT = frozenset({"HOME", "USER", "LOGNAME", "SHELL", "MAIL", "XDG_RUNTIME_DIR"})
"""What another user has of his own."""


class Project(Record):
    """The daemons of a file, as they are to be run here."""

    path: str
    """The file, by its full path."""
    definitions: Mapping[str, Definition]
    """All of them, in the order of the file."""
    chosen: tuple[str, ...]
    """Those that are started."""

    @property
    def directory(self) -> str:
        """Where the file stands."""
        return os.path.dirname(self.path)


def read(path: str | None, names: Sequence[str], environment: Mapping[str, str]) -> Project:
    """What a file defines, and of that what is named. Raises BadDefinition, Unusable, NoPermission."""
    from ...become.surroundings import DEFAULT_PATH
    from ...keep.definitions import sets
    from ...settings.places import absolute

    if path is None and sets.found_in(".") is None:
        raise Unusable(
            f"there is no {sets.FILE} here, and no {sets.PROCFILE}; go to where one is, or name one:"
            f" numen up --file {sets.FILE}"
        )
    path = absolute(sets.file_of(path or "."))
    # His daemons have the caller's PATH.
    found = sets.load(path, environment.get("PATH") or DEFAULT_PATH).definitions
    definitions = {name: adapted(one, environment, source=path) for name, one in found.items()}
    project = Project(path=path, definitions=definitions, chosen=choose(found, names))
    if not project.chosen:
        raise Unusable(f"{path} defines no daemon that is to be started")
    _check_fit(project)
    return project


def adapted(definition: Definition, environment: Mapping[str, str], *, source: str) -> Definition:
    """A definition as it is run here: beneath its own environment the caller's, its output in a file, and started when
    up asks for it, not by a new supervisor.
    """
    left_out = NOT_HANDED_ON | ACCOUNT if definition.user is not None else NOT_HANDED_ON
    beneath = {name: value for name, value in environment.items() if name not in left_out}
    log_to = definition.log_to if FILE in definition.log_to else (*definition.log_to, FILE)
    variables = {**beneath, **definition.environment}
    return definition.replace(environment=variables, log_to=log_to, source=source, start=False)


def choose(definitions: Mapping[str, Definition], names: Sequence[str]) -> tuple[str, ...]:
    """Those that are named, or else all that are to be started with the supervisor; and whatever these require.

    Raises Unusable for a name that means none.
    """
    from ...keep.order import wanted_with
    from ...settings.names import matching

    if names:
        found, unmatched = matching(list(names), set(definitions))
        if unmatched:
            raise Unusable(no_daemon(unmatched[0], definitions), name=unmatched[0])
    else:
        found = [name for name, one in definitions.items() if one.start]
    wanted = wanted_with(definitions, dict.fromkeys(found, True), dict.fromkeys(definitions, True))
    return tuple(name for name in definitions if name in wanted)


def _check_fit(project: Project) -> None:
    """Raise DaemonError for what cannot be carried out here: nothing is started then."""
    from ...errors import DaemonError
    from ...keep.definitions.fitness import check_fit

    for name in project.chosen:
        try:
            check_fit(project.definitions[name])
        except DaemonError as error:
            raise _named(name, error) from error


def _named(name: str, error: DaemonError) -> DaemonError:
    return type(error)(f"{name}: {error}", **error.values)
