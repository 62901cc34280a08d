"""Steps 3 and 4: what the rules say of the working directory and the umask."""

import stat as kinds

import pytest

from numen.check.rules.surroundings import (
    directory_deleted,
    directory_mount,
    directory_writable,
    inside_root,
    safe_umask,
)
from numen.check.verdict import FAULT, NOT_APPLICABLE, OK, UNKNOWN, WARNING
from rule_facts import UID, directory, file_system, proper, status

DATA = directory("/srv/data")
ROOT = {"uids": (0, 0, 0, 0)}
ZERO = status(umask=0)


def with_mode(path: str, mode: int, **changes: object) -> object:
    return directory(path, mode=kinds.S_IFDIR | mode, **changes)


@pytest.mark.parametrize(
    ("changes", "verdict", "words"),
    [
        ({}, OK, "/"),
        ({"directory": None}, UNKNOWN, "may not be seen"),
        ({"directory": directory("/srv/data", is_deleted=True)}, FAULT, "/srv/data is deleted"),
    ],
)
def test_the_working_directory_is_there(changes: dict[str, object], verdict: str, words: str) -> None:
    said = directory_deleted(proper(**changes))

    assert said.verdict == verdict
    assert words in said.evidence


@pytest.mark.parametrize(
    ("changes", "verdict", "words"),
    [
        ({}, OK, "/"),
        ({"directory_mount": file_system(kind="nfs4")}, OK, "/"),
        ({"directory": DATA}, OK, "/srv/data is on / (ext4)"),
        ({"directory": DATA, "directory_mount": None}, UNKNOWN, "/srv/data stands cannot be told"),
        ({"directory": DATA, "directory_mount": file_system(point="/srv")}, OK, "on /srv (ext4)"),
        ({"directory": DATA, "directory_mount": file_system(point="/srv", kind="nfs4")}, WARNING, "network"),
        ({"directory": DATA, "directory_mount": file_system(point="/srv", is_removable=True)}, WARNING, "removable"),
        (
            {"directory": directory("/mnt/disk/x"), "directory_mount": file_system(point="/mnt/disk")},
            WARNING,
            "/mnt/disk/x is on a file system that may be unmounted",
        ),
        (
            {"directory": directory("/run/user/110/x"), "directory_mount": file_system(point="/run/user/110")},
            WARNING,
            "session",
        ),
        ({"directory": None}, UNKNOWN, "may not be seen"),
        ({"directory": directory("/srv", is_deleted=True), "directory_mount": None}, NOT_APPLICABLE, "deleted"),
    ],
)
def test_the_file_system_of_the_working_directory_stays(changes: dict[str, object], verdict: str, words: str) -> None:
    said = directory_mount(proper(**changes))

    assert said.verdict == verdict
    assert words in said.evidence


@pytest.mark.parametrize(
    ("changes", "verdict", "words"),
    [
        ({}, OK, "/ has mode 0755, user 0, group 0"),
        ({"directory": with_mode("/srv/data", 0o777)}, FAULT, "mode 0777, user 0, group 0: everybody may write"),
        ({"directory": with_mode("/tmp", 0o1777)}, WARNING, "/tmp has mode 1777"),
        ({"directory": with_mode("/srv/data", 0o775, gid=UID)}, OK, "0775"),
        (
            {"directory": with_mode("/srv/data", 0o775, gid=UID), "status": status(**ROOT)},
            FAULT,
            "group 110: its group",
        ),
        ({"directory": with_mode("/srv", 0o1775, gid=UID), "status": status(**ROOT)}, WARNING, "its group may write"),
        ({"directory": with_mode("/srv/data", 0o775, gid=0), "status": status(**ROOT)}, OK, "0775"),
        ({"directory": None}, UNKNOWN, "may not be seen"),
        ({"directory": with_mode("/srv/data", 0o777, is_deleted=True)}, NOT_APPLICABLE, "deleted"),
    ],
)
def test_others_may_not_write_in_the_working_directory(changes: dict[str, object], verdict: str, words: str) -> None:
    said = directory_writable(proper(**changes))

    assert said.verdict == verdict
    assert words in said.evidence


@pytest.mark.parametrize(
    ("changes", "verdict", "words"),
    [
        ({}, NOT_APPLICABLE, "its root directory is /"),
        ({"root": None}, UNKNOWN, "root directory may not be seen"),
        ({"root": "/srv/jail", "directory": None}, UNKNOWN, "working directory may not be seen"),
        ({"root": "/srv/jail", "directory": directory("/srv/jail/x")}, OK, "/srv/jail/x, inside /srv/jail"),
        ({"root": "/srv/jail", "directory": DATA, "is_outside_root": True}, FAULT, "it works in /srv/data"),
    ],
)
def test_it_works_inside_its_root_directory(changes: dict[str, object], verdict: str, words: str) -> None:
    said = inside_root(proper(**changes))

    assert said.verdict == verdict
    assert words in said.evidence


@pytest.mark.parametrize(
    ("changes", "verdict", "words"),
    [
        ({}, OK, "umask 022"),
        ({"status": status(umask=0o002), "exposed": ("a",)}, OK, "umask 002"),
        ({"status": status(umask=None)}, UNKNOWN, "4.7"),
        ({"status": ZERO}, OK, "umask 000, and none of its files"),
        ({"status": status(umask=0o020)}, OK, "umask 020, and none"),
        ({"status": ZERO, "exposed": ("/srv/a", "b")}, FAULT, "umask 000, and others may write /srv/a, b"),
        ({"status": ZERO, "exposed": ("a", "b", "c", "d", "e")}, FAULT, "a, b, c and 2 more"),
        ({"status": ZERO, "exposed": None}, UNKNOWN, "may not be seen"),
        ({"status": status(umask=0, **ROOT)}, WARNING, "it is root"),
        ({"status": status(umask=0, **ROOT), "exposed": ("a",)}, FAULT, "others may write a"),
    ],
)
def test_others_may_not_write_what_it_makes(changes: dict[str, object], verdict: str, words: str) -> None:
    said = safe_umask(proper(**changes))

    assert said.verdict == verdict
    assert words in said.evidence
