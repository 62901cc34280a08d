"""Every test has a home of its own, and none leaves a process, a mount or a file behind.

The test process is a child subreaper while the suite runs: what daemonizes under a test becomes its child
and so can be found, ended and reaped. A test that leaves something behind fails, and is tidied up after.
Several sessions may run on one machine at once, so a session judges only what is its own: what descends from
it, and what carries the name of its directory.
"""

import itertools
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Generator, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import hypothesis
import pytest

import observe
from processes import Reaper, become_subreaper, end, has_children, installed, reap, wait_for

SETTLING_SECONDS = 2
"""How long a test's processes may take to end, after it has: one that was just killed is still exiting."""

FORGOTTEN = (
    "FDSTORE",
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    "LISTEN_FDNAMES",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_PIDFDID",
    "MAINPID",
    "MANAGERPID",
    "NOTIFY_SOCKET",
    "NUMEN_INVOCATION",
    "PYTHONUNBUFFERED",
    "SYSTEMD_EXEC_PID",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
)
"""Variables that would tell a test about the program which started the suite."""

NOTHING_MAY_BE_SKIPPED = bool(os.environ.get("NUMEN_REQUIRE_ALL"))
"""Set where the suite has the machine to itself: a skip is a failure there, and nothing new may lie about."""

EXCUSED = pytest.StashKey[bool]()
"""The test is skipped for a reason that NUMEN_REQUIRE_ALL allows: it belongs to the other run."""


class Session:
    """What belongs to one run of the suite; the name of its directory is its mark."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.directory = Path(tempfile.mkdtemp(prefix="numen-tests.")).resolve()
        self.directory.chmod(0o755)
        self.homes = itertools.count(1)
        self.shared = SharedPlaces(self.directory.name)

    def remove(self) -> None:
        """Remove the directory with all that is in it."""
        unmount_below(self.directory)
        remove_tree(self.directory)


SESSION = pytest.StashKey[Session]()


# Starting and ending a session


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    # A shell's `&` and nohup leave these ignored, and every program that a test starts would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    become_subreaper()
    session = config.stash[SESSION] = Session()
    config.add_cleanup(session.remove)
    if config.option.basetemp is None:
        config.option.basetemp = session.directory / "tmp"
    choose_hypothesis_profile()


def choose_hypothesis_profile() -> None:
    # No deadline for a single example: a machine under load is no failure.
    hypothesis.settings.register_profile(
        "default", max_examples=500, deadline=None, derandomize="CI" in os.environ, print_blob=True
    )
    hypothesis.settings.register_profile(
        "fuzz",
        max_examples=1_000_000,
        deadline=None,
        suppress_health_check=[hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.data_too_large],
    )
    hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    limit = 0 if os.environ.get("HYPOTHESIS_PROFILE") == "fuzz" else 30
    for item in items:
        if item.get_closest_marker("fuzz"):
            item.add_marker(pytest.mark.timeout(limit))


# Which tests run here


def pytest_runtest_setup(item: pytest.Item) -> None:
    is_root = os.geteuid() == 0
    for marker, fits in ("needs_root", is_root), ("needs_user", not is_root):
        if item.get_closest_marker(marker) and not fits:
            item.stash[EXCUSED] = True
            pytest.skip(marker.replace("_", " "))
    for package in item.iter_markers("needs_package"):
        command = package.kwargs.get("command", package.args[0])
        if installed(command) is None:
            pytest.skip(f"needs the Debian package {package.args[0]}, for its command {command}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if not item.stash.get(EXCUSED, False):
        refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    refuse_skip(report)
    return report


def refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if NOTHING_MAY_BE_SKIPPED and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"NUMEN_REQUIRE_ALL is set, so this may not be skipped. {reason}"


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Run a test, and end a child that it forked and that comes back here: it is no second test process."""
    try:
        return (yield)
    finally:
        if os.getpid() != pyfuncitem.config.stash[SESSION].pid:
            traceback.print_exc(file=sys.__stderr__)
            os.write(2, b"a child forked by the test came back from it\n")
            os._exit(os.EX_SOFTWARE)


# What a test is given


@pytest.fixture(scope="session", autouse=True)
def nothing_is_left_at_the_end(pytestconfig: pytest.Config) -> Iterator[None]:
    """Fail the session's last test if anything of this session is still there."""
    session = pytestconfig.stash[SESSION]
    mounts, processes = set(observe.mount_points()), identities(observe.descendants(session.pid))
    session.shared.remember()
    yield
    left = end_leftovers(session.directory, without=processes)
    left += unmount_below(session.directory)
    # What another user mounts meanwhile is not ours.
    if NOTHING_MAY_BE_SKIPPED and os.geteuid() == 0:
        left += [f"mount: {point}" for point in observe.mount_points() if point not in mounts]
    left += session.shared.what_is_new()
    session.remove()
    left += [f"file: {path}" for path in [session.directory] if path.exists()]
    fail_for("the session", left)


@pytest.fixture(autouse=True)
def numen_home(pytestconfig: pytest.Config) -> Iterator[Path]:
    """The test's own NUMEN_HOME, an empty directory; HOME, XDG_* and TMPDIR are beside it.

    When the test has ended, so must have its processes and mounts, and TMPDIR must be empty.
    """
    session = pytestconfig.stash[SESSION]
    place = session.directory / str(next(session.homes))
    before = identities(observe.descendants(session.pid)) if has_children() else frozenset()
    with pytest.MonkeyPatch.context() as patch:
        yield furnish(place, patch)
    left = end_leftovers(place, without=before)
    left += unmount_below(place)
    left += [f"temporary file: {path.name}" for path in sorted((place / "tmp").glob("*"))]
    remove_tree(place)
    fail_for("the test", left)


def furnish(place: Path, patch: pytest.MonkeyPatch) -> Path:
    modes = {".": 0o755, "numen": 0o700, "home": 0o700, "run": 0o700, "public": 0o755, "tmp": 0o1777}
    for name, mode in modes.items():
        (place / name).mkdir(exist_ok=True)
        (place / name).chmod(mode)
    for name in FORGOTTEN:
        patch.delenv(name, raising=False)
    home = place / "home"
    patch.setenv("HOME", str(home))
    patch.setenv("NUMEN_HOME", str(place / "numen"))
    patch.setenv("TMPDIR", str(place / "tmp"))
    patch.setattr(tempfile, "tempdir", None)
    patch.setenv("XDG_RUNTIME_DIR", str(place / "run"))
    patch.setenv("XDG_CACHE_HOME", str(home / ".cache"))
    patch.setenv("XDG_CONFIG_HOME", str(home / ".config"))
    patch.setenv("XDG_DATA_HOME", str(home / ".local/share"))
    patch.setenv("XDG_STATE_HOME", str(home / ".local/state"))
    return place / "numen"


@pytest.fixture
def public_path(numen_home: Path) -> Path:
    """A directory that everybody may enter and read, unlike `tmp_path`: what a dropped user must reach."""
    return numen_home.parent / "public"


@pytest.fixture
def reaper() -> Iterator[Reaper]:
    """Ends at the test's end what it has started or tracked, and all that is below that."""
    reaper = Reaper()
    yield reaper
    reaper.end_all()


# What is left behind


def end_leftovers(place: Path, *, without: frozenset[tuple[int, int]]) -> list[str]:
    """End the processes that descend from this one or have the place in their environment; tell which."""

    def leftovers() -> dict[int, int]:
        found = observe.with_environment(f"{place}/")
        if has_children():
            found |= observe.descendants(os.getpid(), without=without)
        found.pop(os.getpid(), None)
        dead = {pid for pid in found if observe.is_zombie_or_gone(pid)}
        reap(dead)
        return dict(identities(found) - without - {(pid, found[pid]) for pid in dead})

    if not leftovers():
        return []
    with suppress(AssertionError):
        wait_for(lambda: not leftovers(), SETTLING_SECONDS, "the end of the test's processes")
    told: dict[tuple[int, int], str] = {}
    immortal: frozenset[int] = frozenset()
    # One that is killed may have left children in the meantime, or a supervisor may start it anew.
    while (found := leftovers()) and not immortal:
        told |= {(pid, start): f"process: {observe.describe(pid)}" for pid, start in found.items()}
        immortal = end(found)
    return [*told.values(), *(f"process that cannot be ended: {observe.describe(pid)}" for pid in immortal)]


def identities(processes: dict[int, int]) -> frozenset[tuple[int, int]]:
    return frozenset(processes.items())


def unmount_below(directory: Path) -> list[str]:
    """Unmount what is mounted below the directory; tell where that was."""
    points = mounts_below(directory)
    for point in reversed(points):
        subprocess.run(["umount", "--lazy", point], check=False, capture_output=True)
    return [f"mount: {point}" for point in points]


def mounts_below(directory: Path) -> list[str]:
    return [point for point in observe.mount_points() if point.startswith(f"{directory}/")]


def remove_tree(directory: Path) -> None:
    """Remove it whatever modes the tests gave, unless that would remove the files of another file system."""
    if mounts_below(directory):
        return
    for path, names, _ in os.walk(directory):
        for inner in (Path(path, name) for name in names):
            with suppress(OSError):
                if not inner.is_symlink():
                    inner.chmod(0o700)
    shutil.rmtree(directory, ignore_errors=True)


def fail_for(whom: str, left: list[str]) -> None:
    if left:
        lines = "\n  ".join(left)
        pytest.fail(f"{whom} left something behind (it is tidied up now):\n  {lines}", pytrace=False)


class SharedPlaces:
    """Where numen puts things without NUMEN_HOME, and directories that everybody shares."""

    def __init__(self, mark: str) -> None:
        self.mark = mark
        home = Path(os.environ.get("HOME", "/"))
        self.numens = [
            Path("/dev/log"),
            Path("/etc/numen"),
            Path("/run/numen"),
            Path("/var/lib/numen"),
            Path("/var/log/numen"),
            Path(os.environ.get("XDG_RUNTIME_DIR", "/run/user"), "numen"),
            Path(os.environ.get("XDG_CONFIG_HOME", home / ".config"), "numen"),
            Path(os.environ.get("XDG_STATE_HOME", home / ".local/state"), "numen"),
        ]
        self.temporary = [Path("/tmp"), Path("/var/tmp"), Path("/dev/shm"), Path(tempfile.gettempdir())]
        self.before: set[Path] = set()

    def remember(self) -> None:
        self.before = {*self._in_numens(), *self._in_temporary()}

    def what_is_new(self) -> list[str]:
        """What was made since then and carries the mark; where we are alone, all in numen's places."""
        new = {path for path in self._in_temporary() if self._is_marked(path)}
        new |= {path for path in self._in_numens() if is_alone_here(path) or self._is_marked(path)}
        return [f"file: {path}" for path in sorted(new - self.before)]

    def _in_numens(self) -> Iterator[Path]:
        for place in self.numens:
            if os.path.lexists(place):
                yield place
                yield from below(place)

    def _in_temporary(self) -> Iterator[Path]:
        for place in self.temporary:
            for path in children_of(place):
                # A session's directory is its own business, ours is removed last.
                if not path.name.startswith("numen-tests."):
                    yield path
                    if path.name.startswith("numen"):
                        yield from below(path)

    def _is_marked(self, path: Path) -> bool:
        mark = self.mark
        with suppress(OSError):
            mode = path.lstat().st_mode
            if mark in path.name or (stat.S_ISLNK(mode) and mark in os.readlink(path)):
                return True
            if stat.S_ISREG(mode) and path not in self.before:
                with path.open("rb") as file:
                    return mark.encode() in file.read(65536)
        return False


def is_alone_here(path: Path) -> bool:
    """Whether nobody but this session can have made the file."""
    with suppress(OSError):
        return NOTHING_MAY_BE_SKIPPED and os.geteuid() in (0, path.lstat().st_uid)
    return False


def below(directory: Path) -> Iterable[Path]:
    for path, directories, files in os.walk(directory):
        yield from (Path(path, name) for name in (*directories, *files))


def children_of(directory: Path) -> list[Path]:
    with suppress(OSError):
        return list(directory.iterdir())
    return []
