"""The names of python-daemon 3.1 and what they are by default, as tables that were taken from it by looking."""

import importlib
import inspect
import io
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import numen.pep3143
from numen.errors import BadOption
from numen.pep3143 import switches

CONTEXT_ARGUMENTS = {
    "chroot_directory": None,
    "working_directory": "/",
    "umask": 0,
    "uid": None,
    "gid": None,
    "initgroups": False,
    "prevent_core": True,
    "detach_process": None,
    "files_preserve": None,
    "pidfile": None,
    "stdin": None,
    "stdout": None,
    "stderr": None,
    "signal_map": None,
}

METHODS = {
    "__enter__": ["self"],
    "__exit__": ["self", "exc_type", "exc_value", "traceback"],
    "_get_exclude_file_descriptors": ["self"],
    "_make_signal_handler": ["self", "target"],
    "_make_signal_handler_map": ["self"],
    "close": ["self"],
    "open": ["self"],
    "terminate": ["self", "signal_number", "stack_frame"],
}

FUNCTIONS = {
    "change_file_creation_mask": ["mask"],
    "change_process_owner": ["uid", "gid", "initgroups"],
    "change_root_directory": ["directory"],
    "change_working_directory": ["directory"],
    "close_all_open_files": ["exclude"],
    "close_file_descriptor_if_open": ["fd"],
    "detach_process_context": [],
    "get_maximum_file_descriptors": [],
    "get_stream_file_descriptors": ["stdin", "stdout", "stderr"],
    "get_username_for_uid": ["uid"],
    "is_detach_process_context_required": [],
    "is_process_started_by_init": [],
    "is_process_started_by_superserver": [],
    "is_socket": ["fd"],
    "is_socket_file": ["file"],
    "make_default_signal_map": [],
    "prevent_core_dump": [],
    "redirect_stream": ["system_stream", "target_stream"],
    "register_atexit_function": ["func"],
    "set_signal_handlers": ["signal_handler_map"],
}

LOCK_METHODS = {
    "acquire": ["self", "timeout", "args", "kwargs"],
    "break_lock": ["self"],
    "i_am_locking": ["self"],
    "is_locked": ["self"],
    "read_pid": ["self"],
    "release": ["self"],
}

RUNNER_BASES = {
    "DaemonRunnerError": Exception,
    "DaemonRunnerInvalidActionError": ValueError,
    "DaemonRunnerStartFailureError": RuntimeError,
    "DaemonRunnerStopFailureError": RuntimeError,
}

LIBRARIES = ["numen", *(["python-daemon"] if find_spec("daemon") else [])]
"""Where the original is installed, what it has in common with ours is asked of it too."""


@pytest.fixture(autouse=True)
def modules_and_switches_as_before() -> Iterator[None]:
    def ours() -> dict[str, ModuleType]:
        return {name: module for name, module in sys.modules.items() if name.split(".")[0] == "daemon"}

    before, chosen = ours(), switches._chosen
    yield
    for name in ours():
        del sys.modules[name]
    sys.modules.update(before)
    switches._chosen = chosen


@pytest.fixture(params=LIBRARIES)
def library(request: pytest.FixtureRequest) -> str:
    if request.param == "numen":
        numen.pep3143.install()
    return str(request.param)


@pytest.fixture
def names(library: str) -> Any:
    """The module `daemon.daemon`."""
    return importlib.import_module("daemon.daemon")


@pytest.fixture
def ours() -> Any:
    numen.pep3143.install()
    return importlib.import_module("daemon.daemon")


def parameters(function: Any) -> list[str]:
    return list(inspect.signature(function).parameters)


def test_a_program_finds_the_package_and_its_modules_where_it_imports_them() -> None:
    numen.pep3143.install()
    daemon, pidfile = importlib.import_module("daemon"), importlib.import_module("daemon.pidfile")

    assert daemon.__all__ == ["DaemonContext"]
    assert daemon.DaemonContext is daemon.daemon.DaemonContext
    assert daemon.pidfile is pidfile
    assert [importlib.import_module(f"daemon.{name}") for name in ("pidlockfile", "runner")] == [
        daemon.pidlockfile,
        daemon.runner,
    ]
    assert find_spec("daemon") is not None
    assert find_spec("daemon.no_such_module") is None


def test_the_context_takes_the_fourteen_arguments_in_their_order(names: Any) -> None:
    found = inspect.signature(names.DaemonContext).parameters

    assert {name: one.default for name, one in found.items()} == CONTEXT_ARGUMENTS
    assert list(found) == list(CONTEXT_ARGUMENTS)
    assert {one.kind for one in found.values()} == {inspect.Parameter.POSITIONAL_OR_KEYWORD}


def test_the_context_has_the_methods_with_their_arguments(names: Any) -> None:
    assert {name: parameters(getattr(names.DaemonContext, name)) for name in METHODS} == METHODS


def test_the_functions_have_their_arguments(names: Any) -> None:
    assert {name: parameters(getattr(names, name)) for name in FUNCTIONS} == FUNCTIONS


def test_the_lock_has_its_methods_and_attributes(library: str) -> None:
    module = importlib.import_module("daemon.pidfile")
    lock = module.TimeoutPIDLockFile("some.pid", 3, timeout=7)

    assert {name: parameters(getattr(type(lock), name)) for name in LOCK_METHODS} == LOCK_METHODS
    assert issubclass(module.TimeoutPIDLockFile, module.PIDLockFile)
    assert (lock.path, lock.unique_name) == ("some.pid", "some.pid")
    assert lock.lock_file == os.path.abspath("some.pid.lock")
    assert (lock.hostname, lock.pid, lock.tname) == (socket.gethostname(), os.getpid(), "")
    assert (lock.acquire_timeout, lock.timeout) == (3, 7)


def test_the_exceptions_have_their_bases(names: Any) -> None:
    assert names.DaemonError.__bases__ == (Exception,)
    assert names.DaemonOSEnvironmentError.__bases__ == (names.DaemonError, OSError)
    assert names.DaemonProcessDetachError.__bases__ == (names.DaemonError, OSError)


def test_the_older_modules_have_their_exceptions() -> None:
    numen.pep3143.install()
    runner, pidlockfile = importlib.import_module("daemon.runner"), importlib.import_module("daemon.pidlockfile")

    for name, base in RUNNER_BASES.items():
        assert issubclass(getattr(runner, name), runner.DaemonRunnerError)
        assert issubclass(getattr(runner, name), base)
    assert issubclass(pidlockfile.PIDFileParseError, pidlockfile.PIDFileError)
    assert issubclass(pidlockfile.PIDFileParseError, ValueError)
    assert parameters(runner.DaemonRunner.do_action) == ["self"]
    assert parameters(runner.is_pidfile_stale) == ["pidfile"]
    assert pidlockfile.TimeoutPIDLockFile is importlib.import_module("daemon.pidfile").TimeoutPIDLockFile


def test_a_context_resolves_its_defaults_when_it_is_made(names: Any) -> None:
    context = names.DaemonContext(umask=0o27)

    assert {name: getattr(context, name) for name in CONTEXT_ARGUMENTS} == {
        **CONTEXT_ARGUMENTS,
        "umask": 0o27,
        "uid": os.getuid(),
        "gid": os.getgid(),
        "detach_process": names.is_detach_process_context_required(),
        "signal_map": {
            signal.SIGTSTP: None,
            signal.SIGTTIN: None,
            signal.SIGTTOU: None,
            signal.SIGTERM: "terminate",
        },
    }
    assert context.is_open is False
    with pytest.raises(AttributeError):
        context.is_open = True


def test_arguments_may_be_given_by_position(names: Any) -> None:
    values: list[Any] = [
        "/jail",
        "/inside",
        0o77,
        1,
        2,
        True,
        False,
        False,
        [3],
        None,
        sys.stdin,
        sys.stdout,
        sys.stderr,
        {},
    ]

    context = names.DaemonContext(*values)

    assert [getattr(context, name) for name in CONTEXT_ARGUMENTS] == values


def test_the_signal_map_means_ignoring_a_method_or_itself(names: Any) -> None:
    class Program(names.DaemonContext):  # type: ignore[misc]
        def reload(self, number: int, frame: object) -> None: ...

    def handle(number: int, frame: object) -> None: ...

    program = Program(signal_map={signal.SIGHUP: "reload", signal.SIGUSR1: None, signal.SIGUSR2: handle})

    assert program._make_signal_handler_map() == {
        signal.SIGHUP: program.reload,
        signal.SIGUSR1: signal.SIG_IGN,
        signal.SIGUSR2: handle,
    }
    with pytest.raises(AttributeError):
        program._make_signal_handler("no_such_method")


def test_files_that_are_preserved_are_told_by_their_descriptors(names: Any) -> None:
    with tempfile.TemporaryFile() as file, tempfile.TemporaryFile() as stream:
        context = names.DaemonContext(files_preserve=[file, 77, None], stdout=stream)

        assert context._get_exclude_file_descriptors() == {file.fileno(), 77, stream.fileno()}


def test_terminating_raises_system_exit_that_tells_the_signal(names: Any) -> None:
    with pytest.raises(SystemExit) as ending:
        names.DaemonContext().terminate(int(signal.SIGTERM), None)

    assert str(ending.value) == f"Terminating on signal {signal.SIGTERM:d}"


def test_what_cannot_be_changed_is_a_daemon_os_environment_error(names: Any) -> None:
    for change, target in (
        (names.change_working_directory, "/no/such/directory"),
        (names.change_root_directory, "/no/such/directory"),
        (names.change_file_creation_mask, "no mask"),
    ):
        with pytest.raises(names.DaemonOSEnvironmentError) as refusal:
            change(target)
        assert refusal.value.__cause__ is not None


def test_sockets_are_told_from_other_files(ours: Any) -> None:
    ends = socket.socketpair()
    with ends[0], ends[1], tempfile.TemporaryFile() as file:
        assert ours.is_socket_file(ends[0])
        assert not ours.is_socket_file(file)


def test_the_older_question_for_a_socket_warns(ours: Any) -> None:
    ends = socket.socketpair()
    with ends[0], ends[1], pytest.warns(DeprecationWarning, match="is_socket"):
        assert ours.is_socket(ends[0].fileno())


def test_descriptors_of_streams_are_those_of_the_streams_that_have_one(names: Any) -> None:
    with tempfile.TemporaryFile() as file:
        assert names.get_stream_file_descriptors(file, None, 4) == {file.fileno()}
        assert names.get_stream_file_descriptors(None, None, None) == set()


def test_a_stream_is_redirected_to_another_or_to_null_and_stays_for_programs_that_are_executed(ours: Any) -> None:
    with tempfile.TemporaryFile() as stream, tempfile.TemporaryFile() as target:
        ours.redirect_stream(stream, target)
        assert os.path.sameopenfile(stream.fileno(), target.fileno())
        assert os.get_inheritable(stream.fileno())

        ours.redirect_stream(stream, None)
        assert os.readlink(f"/proc/self/fd/{stream.fileno()}") == "/dev/null"
        assert os.get_inheritable(stream.fileno())


def test_one_descriptor_is_closed_if_it_is_open(names: Any) -> None:
    reader, writer = os.pipe()
    try:
        names.close_file_descriptor_if_open(writer)
        assert os.read(reader, 1) == b""
        names.close_file_descriptor_if_open(writer)
    finally:
        os.close(reader)


def test_users_are_known_by_name(names: Any) -> None:
    assert names.get_username_for_uid(0) == "root"
    with pytest.raises(KeyError):
        names.get_username_for_uid(4_000_000_000)


def test_files_preserve_may_be_any_iterable_and_is_not_changed(ours: Any) -> None:
    given = [5, 6]

    for items in (given, (5, 6), {5, 6}, iter((5, 6))):
        context = ours.DaemonContext(files_preserve=items, stdin=sys.__stdin__, stderr=io.StringIO())
        assert {5, 6} <= context._get_exclude_file_descriptors()
    assert given == [5, 6]


def test_a_name_that_is_asked_for_before_the_real_ids_are_taken_on_again_needs_no_privilege(ours: Any) -> None:
    before = os.getgroups()

    ours.change_process_owner(os.getuid(), os.getgid())

    assert os.getgroups() == before


# Switches


def test_the_umask_of_the_switch_is_for_contexts_that_are_given_none(
    ours: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ours.DaemonContext().umask == 0o022
    assert ours.DaemonContext(umask=0).umask == 0

    monkeypatch.setenv("NUMEN_PEP3143", "umask=027")
    assert ours.DaemonContext().umask == 0o027
    assert ours.DaemonContext(umask=0).umask == 0


def test_what_the_environment_says_comes_before_what_the_program_chose(monkeypatch: pytest.MonkeyPatch) -> None:
    numen.pep3143.install(umask=0, sigterm=1, threads="refuse")
    monkeypatch.setenv("NUMEN_PEP3143", " umask=077, stderr=null ")

    assert switches.current() == switches.Switches(umask=0o077, sigterm=1, stderr="null", threads="refuse")


def test_classic_is_python_daemons_own_way_and_what_follows_it_is_changed_again() -> None:
    assert switches.parse("classic,sigterm=0", switches.Switches()) == switches.Switches(
        umask=0, sigterm=0, stderr="null", init="parent", environment="keep", signals="keep", threads="note"
    )


@pytest.mark.parametrize("text", ["umsk=0", "umask", "umask=9", "umask=1000", "sigterm=x", "stderr=terminal", "=1"])
def test_a_switch_that_does_not_exist_is_refused(text: str) -> None:
    with pytest.raises(BadOption):
        switches.parse(text, switches.Switches())


def test_the_program_too_is_told_of_a_switch_that_does_not_exist() -> None:
    with pytest.raises(BadOption, match="umsk"):
        numen.pep3143.install(umsk=0)  # type: ignore[call-arg]


def test_every_switch_stands_in_the_manual_with_its_default() -> None:
    manual = Path(__file__).parents[1].joinpath("docs", "pep3143.md").read_text()
    defaults = switches.Switches().values()

    for name, value in defaults.items():
        shown = f"{value:03o}" if name == "umask" else value
        assert f"| `{name}` | `{shown}` |" in manual


def test_parent_of_process_1_is_no_evidence_of_init_unless_the_switch_says_so(
    ours: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getppid", lambda: 1)
    assert ours.is_detach_process_context_required()

    monkeypatch.setenv("NUMEN_PEP3143", "init=parent")
    assert ours.is_process_started_by_init()
    assert not ours.is_detach_process_context_required()


def test_a_service_manager_is_known_by_its_variables(ours: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYSTEMD_EXEC_PID", str(os.getpid()))

    assert ours.is_process_started_by_init()
    assert ours.DaemonContext().detach_process is False
