"""The status of a process that is no child: from a pidfd once it is reaped, from /proc while it is a zombie."""

import errno
import os
from pathlib import Path

import pytest

import observe
from numen.kernel import pidfds
from processes import wait_for

ENDINGS = [("exit 7", 7), ("kill -KILL $$", -9), ("kill -SEGV $$", -11)]


def zombie(script: str) -> tuple[int, int]:
    """The pid of a zombie, and a pidfd that was opened while it lived."""
    reader, writer = os.pipe()
    argv = ["sh", "-c", f"read line; ulimit -c 0; {script}"]
    pid = os.posix_spawn("/bin/sh", argv, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, reader, 0)])
    pidfd = os.pidfd_open(pid)
    assert pidfds.exit_status(pidfd) is None
    assert pidfds.zombie_status(pid) is None
    os.close(reader)
    os.close(writer)
    wait_for(lambda: observe.is_zombie_or_gone(pid), 20, "its end")
    return pid, pidfd


def kernel_tells() -> bool:
    version = os.uname().release.split(".")
    return (int(version[0]), int(version[1].partition("-")[0])) >= (6, 15)


@pytest.mark.parametrize(("script", "status"), ENDINGS)
def test_a_zombie_tells_how_it_ended(script: str, status: int) -> None:
    pid, pidfd = zombie(script)

    assert pidfds.zombie_status(pid) == status
    os.waitpid(pid, 0)
    os.close(pidfd)


def test_a_zombie_that_ended_well_may_as_well_hide_how() -> None:
    pid, pidfd = zombie("exit 0")

    assert pidfds.zombie_status(pid) is None
    os.waitpid(pid, 0)
    os.close(pidfd)


@pytest.mark.parametrize(("script", "status"), [*ENDINGS, ("exit 0", 0)])
def test_a_pidfd_tells_how_it_ended_once_another_has_reaped_it(script: str, status: int) -> None:
    pid, pidfd = zombie(script)

    assert pidfds.exit_status(pidfd) is None
    os.waitpid(pid, 0)

    assert pidfds.exit_status(pidfd) == (status if kernel_tells() else None)
    assert pidfds.zombie_status(pid) is None
    os.close(pidfd)


@pytest.mark.parametrize("number", [errno.ENOTTY, errno.ENOSYS, errno.EPERM, errno.EINVAL])
def test_an_older_kernel_tells_nothing(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def ioctl(*_arguments: object) -> bytes:
        raise OSError(number, os.strerror(number))

    pid, pidfd = zombie("exit 7")
    os.waitpid(pid, 0)
    monkeypatch.setattr("fcntl.ioctl", ioctl)

    assert pidfds.exit_status(pidfd) is None
    os.close(pidfd)


def test_a_descriptor_of_another_kind_tells_nothing(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)

    assert pidfds.exit_status(descriptor) is None
    os.close(descriptor)
