"""Kills one process of a start at its n-th system call: `python tracer.py ROLE STEP REPORT -- COMMAND...`.

The roles are the launcher (the command itself), the guard (its first child) and the daemon (the guard's first
child). The process dies at the entrance of the call, which is not carried out. Steps are counted from 1, the
daemon's end with its exec; those of the launcher begin at its first flock(2), since what an interpreter does
before concerns nobody. With step 0 nobody dies, and the calls are written to the file REPORT, as names of
those that a test looks for and as numbers of the others. The exit status is the launcher's, 137 if it was killed.

It is a program of its own, because a tracer waits for all of its children (ptrace(2)).
"""

import ctypes
import os
import platform
import signal
import subprocess
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from processes import environment

ROLES = ("launcher", "guard", "daemon")
OTHER = "other"

_CALLS = {
    "x86_64": {1: "write", 59: "execve", 73: "flock", 82: "rename", 87: "unlink", 18: "pwrite64"},
    "aarch64": {64: "write", 221: "execve", 32: "flock", 38: "rename", 35: "unlink", 68: "pwrite64"},
}[platform.machine()]

_PTRACE_CONT, _PTRACE_DETACH, _PTRACE_SYSCALL = 7, 17, 24
_PTRACE_GETEVENTMSG, _PTRACE_SEIZE, _PTRACE_GET_SYSCALL_INFO = 0x4201, 0x4206, 0x420E
_O_TRACESYSGOOD, _O_TRACEFORK, _O_TRACEVFORK, _O_TRACECLONE, _O_TRACEEXEC = 1, 2, 4, 8, 16
_EVENTS_OF_BIRTH = (1, 2, 3)
_EVENT_EXEC = 4
_SYSCALL_STOP = signal.SIGTRAP | 0x80
_SYSCALL_INFO_ENTRY = 1
_WALL = 0x40000000

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
_libc.ptrace.restype = ctypes.c_long


class Step(NamedTuple):
    """The `step`-th call of the one in that role."""

    role: str
    step: int


def kill_at(step: Step, command: Sequence[str | Path], report: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run the command and kill one of its processes; the result is the launcher's."""
    tracer = [sys.executable, __file__, step.role, str(step.step), str(report or os.devnull), "--", *command]
    path = os.pathsep.join([str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.run(
        tracer,
        env=environment({"PYTHONPATH": path}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def calls_of(role: str, command: Sequence[str | Path], report: Path) -> list[str]:
    """The calls that the one in that role makes, when nobody is killed."""
    done = kill_at(Step(role, 0), command, report)
    assert done.returncode == 0, done.stderr
    return report.read_text().split()


class Tracer:
    """Follows a start from birth to birth, and step by step the one that is to die."""

    def __init__(self, role: str, step: int) -> None:
        self.role = role
        self.step = step
        self.calls: list[str] = []
        self._roles: dict[int, str] = {}
        self._unnamed: set[int] = set()
        self._counting = role != "launcher"
        self._over = False

    def run(self, command: Sequence[str]) -> int:
        """Run the command to its end; its exit status."""
        launcher = self._start(command)
        while True:
            pid, status = os.waitpid(-1, _WALL)
            if os.WIFSTOPPED(status):
                self._on_stop(pid, status >> 8)
            elif pid == launcher:
                code = os.waitstatus_to_exitcode(status)
                return code if code >= 0 else 128 - code

    def _start(self, command: Sequence[str]) -> int:
        reader, writer = os.pipe()
        launcher = os.fork()
        if not launcher:
            os.close(writer)
            os.read(reader, 1)  # until it is traced
            os.execvp(command[0], list(command))
        self._roles[launcher] = "launcher"
        options = _O_TRACESYSGOOD | _O_TRACEFORK | _O_TRACEVFORK | _O_TRACECLONE | _O_TRACEEXEC
        _ptrace(_PTRACE_SEIZE, launcher, 0, options)
        os.close(reader)
        os.close(writer)
        return launcher

    def _on_stop(self, pid: int, stop: int) -> None:
        number, event = stop & 0xFF, stop >> 8
        role = self._roles.get(pid)
        if role is None:
            # A child's first stop may be heard of before its birth is: it waits to be named.
            self._unnamed.add(pid)
            return
        passed_on = 0
        if number == _SYSCALL_STOP:
            if role == self.role and self._dies_here(pid):
                return
        elif event in _EVENTS_OF_BIRTH:
            self._name(_event_message(pid), child_of=role)
        elif event == _EVENT_EXEC and role == self.role == "daemon":
            self._over = True
        elif not event:
            passed_on = number
        self._resume(pid, passed_on)

    def _dies_here(self, pid: int) -> bool:
        call = _entered_call(pid)
        if call is None:
            return False
        name = _CALLS.get(call, str(call))
        self._counting = self._counting or name == "flock"
        if not self._counting:
            return False
        self.calls.append(name)
        if len(self.calls) != self.step:
            return False
        self._over = True
        os.kill(pid, signal.SIGKILL)
        return True

    def _name(self, child: int, child_of: str) -> None:
        following = dict(pairwise(ROLES)).get(child_of, OTHER)
        self._roles[child] = OTHER if following in self._roles.values() else following
        if child in self._unnamed:
            self._resume(child, 0)

    def _resume(self, pid: int, passed_on: int) -> None:
        role = self._roles[pid]
        if role == self.role and not self._over:
            _ptrace(_PTRACE_SYSCALL, pid, 0, passed_on)
        elif role == OTHER or (self._over and role != "launcher"):
            _ptrace(_PTRACE_DETACH, pid, 0, passed_on)
        else:
            _ptrace(_PTRACE_CONT, pid, 0, passed_on)


class _SyscallInfo(ctypes.Structure):
    _fields_ = (
        ("op", ctypes.c_uint8),
        ("padding", ctypes.c_uint8 * 3),
        ("arch", ctypes.c_uint32),
        ("instruction_pointer", ctypes.c_uint64),
        ("stack_pointer", ctypes.c_uint64),
        ("number", ctypes.c_uint64),
        ("arguments", ctypes.c_uint64 * 6),
    )


def _entered_call(pid: int) -> int | None:
    """The number of the call that the process is about to make; None where it comes back from one."""
    info = _SyscallInfo()
    _ptrace(_PTRACE_GET_SYSCALL_INFO, pid, ctypes.sizeof(info), ctypes.addressof(info))
    return int(info.number) if info.op == _SYSCALL_INFO_ENTRY else None


def _event_message(pid: int) -> int:
    message = ctypes.c_ulong()
    _ptrace(_PTRACE_GETEVENTMSG, pid, 0, ctypes.addressof(message))
    return message.value


def _ptrace(request: int, pid: int, address: int, data: int) -> None:
    if _libc.ptrace(request, pid, address, data) < 0 and ctypes.get_errno() != 3:  # ESRCH: killed meanwhile
        raise OSError(ctypes.get_errno(), f"ptrace({request}, {pid})")


def main() -> None:
    """Do what the command line says."""
    role, step, report, _, *command = sys.argv[1:]
    tracer = Tracer(role, int(step))
    status = tracer.run(command)
    with open(report, "w") as file:
        file.write("\n".join(tracer.calls))
    # At once: what is still traced goes on by itself when its tracer ends.
    os._exit(status)


if __name__ == "__main__":
    main()
