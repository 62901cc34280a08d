"""The recipe: every choice that the eight steps leave open, and the steps in their order.

First `prepare`, in the launcher: all that can be known beforehand is found there, before anything is done.
Then `follow`, in the daemon: the steps. What differs between a Python program that becomes a daemon and a
command that is executed as one stands in `context` and `command`.
"""

from __future__ import annotations

import os
import resource

from ..errors import BadOption, NoPermission, from_os_error
from ..kernel import signals as signal
from ..record import Record
from ..settings import places
from ..settings.limits import check_limit, limit_number
from ..settings.names import check_name
from . import descriptors, identity, limits, signals, streams, surroundings
from .pidfile import Pidfile, is_own

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..settings.limits import Limit
    from .forwarder import Setting


DEFAULT_FACILITY = "daemon"


class Recipe(Record):
    """What is wanted of a daemon. Paths are relative to the directory of who asks."""

    name: str | None = None
    """The instance's name: unique for this user, and the one by which it is asked for later."""
    pidfile: str | None = None
    directory: str = "/"
    umask: int = surroundings.DEFAULT_UMASK
    user: str | int | None = None
    group: str | int | None = None
    groups: tuple[str | int, ...] | None = None
    """Supplementary groups instead of the user's own."""
    chroot: str | None = None
    environment: Mapping[str, str] = {}
    """What is added to the environment."""
    clear_environment: bool = False
    stdin: str | int = streams.NULL
    stdout: str | int = streams.NULL
    stderr: str | int = streams.AUTO
    """`null`, `inherit`, `journal`, `syslog`, a file, or a descriptor; `auto` is the journal, else NAME.log."""
    children: str = "default"
    keep_descriptors: tuple[int, ...] = ()
    nice: int | None = None
    oom_score: int | None = None
    limits: Mapping[str, Limit] = {}
    core_dumps: bool = False
    no_new_privileges: bool = False
    capabilities: tuple[str, ...] | None = None
    """Just these are kept; `None` leaves them as the change of user leaves them."""
    facility: str = DEFAULT_FACILITY
    """The facility under which `syslog` streams are sent."""


class Prepared:
    """A recipe of which all is found: names are numbers, paths are absolute, files are open, locks are held."""

    def __init__(self, recipe: Recipe, ident: str) -> None:
        self.recipe = recipe
        self.ident = ident
        self._paths = _pidfile_paths(recipe)
        self.warnings: list[str] = []
        self.pidfiles: list[Pidfile] = []
        self.account = identity.look_up(recipe.user, recipe.group, recipe.groups)
        self.directory = _check_directories(recipe, self.warnings)
        _check_choices(recipe)
        self.streams: tuple[streams.Opened, ...] = ()
        self.command = ""
        """What is executed, in words, for who asks for the instance later."""

    @property
    def log(self) -> str:
        """Where the daemon's errors go, in words."""
        return self.streams[2].where

    def claim(self) -> None:
        """Lock the name and the pidfile. Raises AlreadyRunning, Unusable, NoPermission."""
        for path in self._paths:
            # What `numen detach` has claimed for this very process is this process's already.
            if not is_own(path):
                self.pidfiles.append(Pidfile.claim(path))

    def open_streams(self) -> None:
        """Open 0, 1 and 2 for the daemon; after the claim, so that a second start touches no log of the first."""
        wanted = self.recipe
        self.streams = streams.open_all(wanted.stdin, wanted.stdout, wanted.stderr, self.ident, self.account)

    def forwarder_setting(self) -> Setting:
        """How the forwarder to syslog signs, and what it does while there is none."""
        from .forwarder import Setting

        fallback = os.path.join(places.log_directory(), f"{self.ident}.log")
        ident = streams.ident_for_log(self.ident)
        return Setting(ident=ident, facility=self.recipe.facility, account=self.account, fallback=fallback)

    def last_lines(self, pid: int) -> tuple[str, ...]:
        """The last lines that the daemon wrote to stderr, or else to stdout, where they can be read."""
        for stream in (self.streams[2], self.streams[1]):
            if stream.tail is not None and (lines := stream.tail.last_lines(pid)):
                return lines
        return ()

    def write_pidfiles(self, pid: int, command: str) -> None:
        """Name `pid` as the instance, in every pidfile."""
        for pidfile in self.pidfiles:
            self.write_pidfile(pidfile, pid, command)

    def write_pidfile(self, pidfile: Pidfile, pid: int, command: str) -> None:
        """Name `pid` as the instance in one of the two pidfiles, with the other beside."""
        others = [one.path for one in self.pidfiles if one is not pidfile]
        pidfile.write(pid, command=command, log=self.log, also="".join(others))

    def remove_pidfiles(self) -> None:
        """Remove every pidfile: the start has failed, or the daemon ends."""
        for pidfile in self.pidfiles:
            pidfile.remove()

    def release(self) -> None:
        """Close what was opened; the pidfiles stay."""
        for pidfile in self.pidfiles:
            pidfile.release()
        streams.close(self.streams)

    def abandon(self) -> None:
        """Leave nothing behind: the start has failed before anything was done."""
        self.remove_pidfiles()
        self.release()


def _pidfile_paths(recipe: Recipe) -> list[str]:
    paths = [] if recipe.name is None else [instance_path(recipe.name)]
    return paths if recipe.pidfile is None else [*paths, places.absolute(recipe.pidfile)]


def prepare(recipe: Recipe, ident: str) -> Prepared:
    """Find all that can be known beforehand, and open and lock what the start needs.

    Raises BadOption, Unusable, NoPermission or AlreadyRunning; then nothing was done.
    """
    descriptors.open_missing_standard_streams()
    prepared = Prepared(recipe, ident)
    try:
        # An interruption must not fall between a pidfile that is made and one that is known.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.INTERRUPTS)
        try:
            prepared.claim()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        prepared.open_streams()
    except OSError as error:
        prepared.abandon()
        raise from_os_error(error, "open what the start needs") from error
    except BaseException:
        prepared.abandon()
        raise
    return prepared


def instance_path(name: str) -> str:
    """The pidfile by which a name is known. Raises BadOption for what is no name."""
    check_name(name)
    return os.path.join(instances_directory(), f"{name}.pid")


def instances_directory() -> str:
    """Where the named instances of this user stand; made where it is missing."""
    directory = os.path.join(places.state_directory(), "detached")
    try:
        os.makedirs(directory, mode=0o755, exist_ok=True)
    except OSError as error:
        raise from_os_error(error, f"make the directory {directory}") from error
    return directory


def check_root(recipe: Recipe) -> None:
    """Raise NoPermission or Unusable where the root directory cannot be changed as it is asked for."""
    if recipe.chroot is not None:
        if os.geteuid() != 0:
            raise NoPermission("cannot change the root directory: only root may")
        surroundings.check_directory(places.absolute(recipe.chroot), "the root directory")


def _check_directories(recipe: Recipe, warnings: list[str]) -> str:
    """The working directory as it will be called; relative ones are resolved here, before any chdir."""
    if not recipe.directory:
        raise BadOption("the working directory has an empty name; write . for the present one")
    if recipe.chroot is None:
        directory = places.absolute(recipe.directory)
        outside = directory
    else:
        check_root(recipe)
        # Inside a new root only absolute paths have a meaning.
        directory = os.path.join("/", recipe.directory)
        outside = places.absolute(recipe.chroot) + directory
    surroundings.check_directory(outside, "the working directory")
    if warning := surroundings.warn_of_directory(outside):
        warnings.append(warning)
    return directory


def _check_choices(recipe: Recipe) -> None:
    if not isinstance(recipe.umask, int):
        raise BadOption(f"umask {recipe.umask!r} is no number; in Python write it as 0o022")
    if not 0 <= recipe.umask <= 0o777:
        raise BadOption(f"umask {recipe.umask:o} is none: it lies between 0 and 777")
    if recipe.capabilities is not None:
        identity.check_capabilities(recipe.capabilities)
    if recipe.chroot is not None or recipe.capabilities is not None or recipe.no_new_privileges:
        # Imported now: in a new root directory, or as another user, Python's files may be out of reach.
        from ..kernel import calls  # noqa: F401
    for name, limit in recipe.limits.items():
        check_limit(name, limit)
    descriptors.check_open(recipe.keep_descriptors)
    if recipe.facility != DEFAULT_FACILITY:
        from .syslog.entries import facility_number

        facility_number(recipe.facility)


def follow(
    prepared: Prepared,
    *,
    keep: tuple[int, ...],
    write_pidfiles: Callable[[], None],
    before_closing: Callable[[set[int]], None] = lambda _kept: None,
) -> None:
    """The steps that remain when the forks are made, in their order. Raises DaemonError at the first that fails.

    `keep` are descriptors that stay open beside those that the recipe keeps; `before_closing` is told all of
    them.
    """
    recipe = prepared.recipe
    # 8 comes first: from here on the daemon can be ended, whatever the caller had ignored or blocked.
    # A command gets SIGPIPE and SIGXFSZ at default too, but last: a launcher that was killed, and a file that may
    # not grow, are for Python to tell of till then.
    signals.reset(for_exec=False)
    # 6
    signals.treat_children(recipe.children)
    # 4
    surroundings.set_umask(recipe.umask)
    # The instance is named while the right to write there is still had.
    write_pidfiles()
    _set_precedence(recipe)
    # 3
    if recipe.chroot is not None:
        surroundings.change_root(places.absolute(recipe.chroot))
    # 5 and 7
    streams.install(prepared.streams)
    kept = {*keep, *recipe.keep_descriptors}
    before_closing(kept)
    descriptors.close_all(kept)
    # Now that nothing more has to be opened, a limit of three open files does no harm.
    _set_limits(recipe)
    _drop_privileges(prepared)
    # 3 again, as the user that the daemon is: a directory that it may not enter is found here.
    surroundings.change_directory(prepared.directory)


def _set_limits(recipe: Recipe) -> None:
    if resource.RLIMIT_CORE not in map(limit_number, recipe.limits):
        if recipe.core_dumps:
            limits.allow_core_dumps()
        else:
            limits.prevent_core_dumps()
    limits.set_limits(recipe.limits)


def _set_precedence(recipe: Recipe) -> None:
    if recipe.oom_score is not None:
        limits.set_oom_score(recipe.oom_score)
    if recipe.nice is not None:
        limits.set_nice(recipe.nice)


def _drop_privileges(prepared: Prepared) -> None:
    recipe = prepared.recipe
    if recipe.capabilities is not None:
        identity.become_with_capabilities(prepared.account, recipe.capabilities)
    elif prepared.account is not None:
        identity.become(prepared.account)
    if recipe.no_new_privileges:
        identity.set_no_new_privileges()
