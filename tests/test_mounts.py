"""Which file system a path stands on."""

import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import observe
from numen.kernel import mounts

PLAIN = b"36 35 98:0 /mnt1 %s rw,noatime master:1 - ext3 /dev/root rw,errors=continue"


def escaped(path: bytes) -> bytes:
    """The path as the kernel writes it (proc(5)): four characters by their octal numbers."""
    return re.sub(rb"[ \t\n\\]", lambda found: b"\\%03o" % found[0][0], path)


def test_the_mounts_of_this_process_are_the_ones_that_the_kernel_tells() -> None:
    text = Path("/proc/self/mountinfo").read_bytes()

    assert tuple(mount.point for mount in mounts.parse_mountinfo(text)) == observe.mount_points()


def test_a_line_has_a_point_a_kind_a_device_and_a_source() -> None:
    (mount,) = mounts.parse_mountinfo(PLAIN % b"/mnt2")

    assert (mount.point, mount.kind, mount.device, mount.source) == ("/mnt2", "ext3", "98:0", "/dev/root")


@given(st.lists(st.binary().filter(lambda path: b"\0" not in path).map(lambda path: b"/" + path)))
def test_a_mount_point_may_have_any_name_of_bytes(points: list[bytes]) -> None:
    text = b"".join(PLAIN % escaped(point) + b"\n" for point in points)

    assert [os.fsencode(mount.point) for mount in mounts.parse_mountinfo(text)] == points


@pytest.mark.fuzz
@given(st.binary() | st.text("0123456789 -/\\ \n").map(str.encode))
def test_any_bytes_are_mounts_or_passed_over(text: bytes) -> None:
    mounts.parse_mountinfo(text)


def test_a_path_stands_on_the_longest_mount_point_above_it() -> None:
    process = mounts.mount_of("/proc/self")
    root = mounts.mount_of("/")

    assert process is not None
    assert (process.point, process.kind) == ("/proc", "proc")
    assert root is not None
    assert root.point == "/"


def test_a_path_that_is_missing_stands_where_it_would_be_made() -> None:
    found = mounts.mount_of("/proc/no/such/file")

    assert found is not None
    assert found.point == "/proc"
