"""What is read from /proc."""

import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

import observe
from numen.kernel import proc
from processes import Reaper, wait_for

REST = b" S 10 11 12 34816 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 4711 1000 200 18446744073709551615"


def test_the_stat_of_this_process_is_what_the_kernel_says() -> None:
    seen = observe.look(os.getpid())

    found = proc.stat(os.getpid())

    assert found is not None
    assert (found.pid, found.parent, found.process_group) == (os.getpid(), os.getppid(), os.getpgrp())
    assert (found.session, found.start_time, found.comm) == (os.getsid(0), seen.start_time, seen.comm)


@given(st.binary(max_size=15).filter(lambda name: b"\0" not in name))
def test_a_process_may_have_any_name_of_bytes(name: bytes) -> None:
    found = proc.parse_stat(b"42 (" + name + b")" + REST)

    assert found is not None
    assert (found.pid, found.state, found.parent, found.start_time) == (42, "S", 10, 4711)
    assert found.comm == name.decode(errors="replace")


@pytest.mark.parametrize("text", [b"", b"42", b"42 (sh)", b"42 (sh) S 1 2", b"x (sh)" + REST, b"42 sh" + REST])
def test_what_is_no_stat_is_none(text: bytes) -> None:
    assert proc.parse_stat(text) is None


@pytest.mark.fuzz
@given(st.binary() | st.binary().map(lambda middle: b"1 (" + middle + REST))
def test_any_bytes_are_a_stat_or_none(text: bytes) -> None:
    proc.parse_stat(text)


def test_a_missing_process_is_none_and_has_no_descendants() -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()

    assert proc.stat(gone.pid) is None
    assert proc.descendants(gone.pid) == {}
    assert not proc.is_descendant(gone.pid, os.getpid())


def test_descendants_are_children_and_their_children_without_zombies(reaper: Reaper) -> None:
    script = (
        "import subprocess, sys; subprocess.Popen(['true']); print(subprocess.Popen(['cat']).pid, flush=True); input()"
    )
    parent = reaper.start([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())

    wait_for(lambda: set(proc.descendants(parent.pid)) == {child}, 30, "the end of one child")
    assert set(proc.descendants(os.getpid())) >= {parent.pid, child}
    assert proc.is_descendant(child, os.getpid())
    assert proc.is_descendant(child, child)
    assert not proc.is_descendant(os.getpid(), child)


def test_the_boot_and_the_pid_namespace_have_an_identity() -> None:
    assert len(proc.boot_id()) == 36
    assert proc.pid_namespace() == os.stat("/proc/self/ns/pid").st_ino


def test_a_field_of_status_is_read_by_its_name() -> None:
    assert proc.status_field("Pid") == str(os.getpid())
    assert proc.status_field("NoSuchField") == ""
    # `Pid` is also the end of other names, and the beginning of none that is meant.
    assert proc.status_field("PPid") == str(os.getppid())
