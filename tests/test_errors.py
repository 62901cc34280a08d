"""The errors: one class for each cause that calls for a different next step."""

import errno
import inspect
import os
import pickle

import pytest

from numen import errors
from numen.errors import DaemonError, from_os_error

CLASSES = [one for _, one in inspect.getmembers(errors, inspect.isclass) if issubclass(one, DaemonError)]


def test_every_error_is_a_daemon_error_with_an_exit_status_that_shells_leave_free() -> None:
    assert len(CLASSES) > 10
    assert all(0 < one.exit_status < 128 for one in CLASSES)


def test_causes_with_different_next_steps_have_different_exit_statuses() -> None:
    statuses = [one.exit_status for one in CLASSES if "exit_status" in vars(one)]

    assert len(set(statuses)) == len(statuses)


def test_the_exit_statuses_that_people_rely_on_do_not_change() -> None:
    assert {one.__name__: one.exit_status for one in CLASSES} == {
        "DaemonError": 1,
        "BadOption": 2,
        "BadDefinition": 2,
        "NoPermission": 4,
        "Unusable": 6,
        "NotRunning": 7,
        "AlreadyRunning": 8,
        "DiedBeforeReady": 9,
        "Unsafe": 10,
        "NotReadyInTime": 124,
        "ExecFailed": 125,
        "NotExecutable": 126,
        "CommandNotFound": 127,
    }


@pytest.mark.parametrize("kind", CLASSES)
def test_an_error_keeps_message_and_values_when_it_is_pickled(kind: type[DaemonError]) -> None:
    error = kind("cannot do it", pid=7, last_lines=("a", "b"))

    again = pickle.loads(pickle.dumps(error))

    assert type(again) is kind
    assert str(again) == "cannot do it"
    assert vars(again).items() >= {"pid": 7, "last_lines": ("a", "b")}.items()


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_what_the_system_forbids_is_a_lack_of_permission(number: int) -> None:
    error = from_os_error(OSError(number, os.strerror(number)), "open the door")

    assert type(error) is errors.NoPermission
    assert str(error) == f"cannot open the door: {os.strerror(number)}"


@pytest.mark.parametrize("number", [errno.ENOENT, errno.ENOSPC, errno.EISDIR, errno.ELOOP])
def test_everything_else_is_unusable_and_keeps_its_number(number: int) -> None:
    error = from_os_error(OSError(number, os.strerror(number)), "open the door")

    assert type(error) is errors.Unusable
    assert error.values == {"errno": number}


def test_a_class_is_found_by_its_name_and_the_base_where_there_is_none() -> None:
    assert errors.error_class("AlreadyRunning") is errors.AlreadyRunning
    assert errors.error_class("ValueError") is DaemonError
    assert errors.error_class("error_class") is DaemonError
