"""Daemons by hand: for every rule a specimen that breaks it and no other, and a look-alike that breaks none.

A program of its own, `python -I -S specimens.py KIND NAME DIRECTORY`: no line of numen is in it. Each follows the
classic recipe but for one thing, drops root's rights if it has them, logs to `daemon.log` in the directory and says
in its file `pid` that it is up. The test audits it and ends it.
"""

import array
import ctypes
import fcntl
import os
import resource
import signal
import socket
import sys
import termios
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import NamedTuple, NoReturn

SPECIMEN, LOOK_ALIKE = "specimen", "look-alike"

NOBODY = 65534
"""The user and group to drop to."""

PIDFILE = "zoo-daemon.pid"
"""The pidfile, in the directory of the daemon's own; the test shows it to the audit."""

PR_SET_DUMPABLE, PR_SET_KEEPCAPS, PR_SET_PTRACER = 4, 8, 0x59616D61
PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 36, 38
PTRACE_TRACEME, PTRACE_SEIZE = 0, 0x4206
CLONE_NEWNS, MS_BIND, MS_REC, MS_PRIVATE = 0x20000, 0x1000, 0x4000, 0x40000
CAP_DAC_OVERRIDE, CAP_NET_BIND_SERVICE = 1, 10

libc = ctypes.CDLL(None, use_errno=True)


class Place:
    """The directory that a specimen is given."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.own = f"{path}/own"
        """A directory of the user that it drops to."""
        self.descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        """By which it is found after a chroot, too."""
        self.said = "pid"
        """The file in which it says that it is up."""

    def furnish(self) -> None:
        """Make what a daemon needs there, while it may."""
        os.mkdir(self.own, 0o755)
        os.close(self.opened("daemon.log", os.O_APPEND))
        if os.geteuid() == 0:
            os.chown(self.own, NOBODY, NOBODY)

    def opened(self, name: str, flags: int = os.O_TRUNC, mode: int = 0o644) -> int:
        """A file below the directory, made where it is missing, open for writing."""
        return os.open(name, os.O_WRONLY | os.O_CREAT | flags, mode, dir_fd=self.descriptor)

    def write(self, name: str, text: str, mode: int = 0o644) -> None:
        """Write a file that readers see whole: beside it, then renamed."""
        file = self.opened(f"{name}.new", mode=mode)
        os.write(file, text.encode())
        os.fchmod(file, mode)
        os.close(file)
        os.rename(f"{name}.new", name, src_dir_fd=self.descriptor, dst_dir_fd=self.descriptor)


class Specimen(NamedTuple):
    """One daemon of the zoo."""

    rule: str
    kind: str
    become: Callable[[Place], None] | None
    """What it does on the way; comes back in the daemon alone. `None` for one that is written in C."""
    root: bool = False
    """Whether only root can make it."""
    environment: Mapping[str, str] = {}
    flags: tuple[str, ...] = ()
    """What is defined for the C compiler."""
    mode: int = 0o755
    """The mode of the program that is compiled."""


REGISTRY: dict[tuple[str, str], Specimen] = {}
"""Every daemon of the zoo by its rule and its kind."""

Act = Callable[[Place], None]


def specimen(rule: str, *, root: bool = False, environment: Mapping[str, str] | None = None) -> Callable[[Act], Act]:
    """Register what breaks the rule, and no other one."""
    return _register(rule, SPECIMEN, root, environment or {})


def look_alike(rule: str, *, root: bool = False, environment: Mapping[str, str] | None = None) -> Callable[[Act], Act]:
    """Register what comes close to breaking the rule, and breaks none."""
    return _register(rule, LOOK_ALIKE, root, environment or {})


def _register(rule: str, kind: str, root: bool, environment: Mapping[str, str]) -> Callable[[Act], Act]:
    def register(become: Act) -> Act:
        assert (rule, kind) not in REGISTRY
        REGISTRY[rule, kind] = Specimen(rule, kind, become, root, environment)
        return become

    return register


def in_c(rule: str, kind: str, *flags: str, mode: int = 0o755) -> None:
    """Register one that is made of daemon.c."""
    assert (rule, kind) not in REGISTRY
    REGISTRY[rule, kind] = Specimen(rule, kind, None, flags=flags, mode=mode)


# The recipe


def daemonize(place: Place, *, drops: bool = True, beside: Callable[[int], bool] | None = None) -> None:
    """The classic recipe; comes back in the daemon.

    `beside` runs, once the daemon says that it is ready, in a stranger of its process group, and then the stranger
    says that it is up; where it returns true, the stranger stays.
    """
    if os.fork():
        os._exit(0)
    os.setsid()
    fork_and_exit(place, beside)
    settle(place, drops=drops)


def fork_and_exit(place: Place, beside: Callable[[int], bool] | None = None) -> None:
    """Fork, and let the parent exit; comes back in the orphan."""
    if beside:
        place.said = "ready"
    parent = os.getpid()
    child = os.fork()
    if child:
        if beside and os.fork() == 0:
            accompany(place, child, beside)
        os._exit(0)
    while os.getppid() == parent:
        time.sleep(0.001)


def accompany(place: Place, daemon: int, beside: Callable[[int], bool]) -> NoReturn:
    """The life of the stranger."""
    while not os.path.exists(f"{place.path}/ready"):
        time.sleep(0.001)
    stays = beside(daemon)
    if stays:
        place.write("others", f"{os.getpid()}\n")
    place.write("pid", f"{daemon}\n")
    if stays:
        wait_for_the_end()
    os._exit(0)


def settle(place: Place, *, drops: bool = True) -> None:
    """What is left to do in the daemon itself."""
    os.chdir("/")
    os.umask(0o022)
    null, log = os.open("/dev/null", os.O_RDWR), place.opened("daemon.log", os.O_APPEND)
    os.dup2(null, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(null)
    os.close(log)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    if drops:
        drop(place)


def drop(place: Place, groups: tuple[int, ...] = ()) -> None:
    """Become nobody, if it is root; the announcements are nobody's to write from now on."""
    if os.geteuid() != 0:
        return
    os.fchown(place.descriptor, NOBODY, NOBODY)
    os.setgroups(groups)
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    prctl(PR_SET_DUMPABLE, 1)


def stay(place: Place) -> NoReturn:
    """Say that it is up, and wait for SIGTERM."""
    place.write(place.said, f"{os.getpid()}\n")
    os.close(place.descriptor)
    wait_for_the_end()


def wait_for_the_end() -> NoReturn:
    while True:
        signal.pause()


# The system calls that Python does not know


def checked(result: int, call: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")
    return result


def prctl(operation: int, value: int) -> None:
    checked(libc.prctl(operation, ctypes.c_ulong(value), ctypes.c_ulong(0), 0, 0), "prctl")


def trace(operation: int, pid: int) -> None:
    libc.ptrace.restype = ctypes.c_long
    checked(libc.ptrace(ctypes.c_long(operation), pid, None, None), "ptrace")


def signalfd(*signals: int) -> int:
    """Block the signals, and have them by a descriptor."""
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    # sigset_t has 1024 bits in the GNU library.
    words = [0] * 16
    for number in signals:
        words[(number - 1) // 64] |= 1 << (number - 1) % 64
    return checked(libc.signalfd(-1, (ctypes.c_uint64 * 16)(*words), os.O_CLOEXEC), "signalfd")


def keep_capabilities(*capabilities: int) -> None:
    """Have these and no other ones, permitted and effective."""
    bits = sum(1 << one for one in capabilities)
    header = array.array("I", [0x20080522, 0]).tobytes()
    data = array.array("I", [bits, bits, 0, 0, 0, 0]).tobytes()
    checked(libc.capset(header, data), "capset")


def mount(source: str, target: str, kind: str | None, flags: int = 0) -> None:
    words = [None if one is None else one.encode() for one in (source, target, kind)]
    checked(libc.mount(*words, ctypes.c_ulong(flags), None), f"mount {target}")


def mount_for_itself(source: str, target: str, kind: str | None, flags: int = 0) -> None:
    """Mount where nobody else sees it, and where it ends with the daemon."""
    checked(libc.unshare(CLONE_NEWNS), "unshare")
    mount("none", "/", None, MS_REC | MS_PRIVATE)
    mount(source, target, kind, flags)


# What several do


def start_child(act: Callable[[], object]) -> int:
    """Have a child that does something and then waits; comes back when it has been done."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        act()
        os.close(writing)
        wait_for_the_end()
    os.close(writing)
    os.read(reading, 1)
    os.close(reading)
    return pid


def have_zombie() -> None:
    """Have a child that has ended, and do not wait for it."""
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


def listen(address: str = "127.0.0.1", port: int = 0) -> None:
    """Have a server socket, until the process ends."""
    server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    server.bind((address, port))
    server.listen()
    server.detach()


def listen_below_1024() -> None:
    """Have a server socket on a port that only root may use."""
    for port in range(1023, 600, -1):
        with suppress(OSError):
            listen(port=port)
            return
    raise OSError("no port below 1024 is free")


def call_itself(name: str) -> None:
    """Have a name of its own in ps."""
    with open("/proc/self/comm", "w") as file:
        file.write(name)


# 1 and 2: the launcher, the session, the terminal


@specimen("launcher-gone")
def launcher_waits(place: Place) -> None:
    os.setsid()
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        os._exit(0)
    settle(place)


@look_alike("launcher-gone")
def launcher_adopts(place: Place) -> None:
    """The launcher stays, and is the parent again as a subreaper, but in another session."""
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    if os.fork():
        wait_for_the_end()
    os.setsid()
    fork_and_exit(place)
    settle(place)


@specimen("own-session")
def session_of_another(place: Place) -> None:
    os.setsid()
    if os.fork():
        wait_for_the_end()
    fork_and_exit(place)
    os.setpgid(0, 0)
    settle(place)


@look_alike("own-session")
def session_without_leader(place: Place) -> None:
    os.setsid()
    leader = os.getpid()
    fork_and_exit(place)
    assert os.getsid(0) == leader
    os.setpgid(0, 0)
    settle(place)


@specimen("own-group")
def stranger_in_group(place: Place) -> None:
    def be_a_stranger(_daemon: int) -> bool:
        call_itself("stranger")
        return True

    daemonize(place, beside=be_a_stranger)


@look_alike("own-group")
def child_in_group(place: Place) -> None:
    daemonize(place)
    start_child(lambda: call_itself("child"))


@specimen("no-terminal")
def terminal_controls(place: Place) -> None:
    """The leader keeps the terminal open, and is an ancestor; between them stands a parent in another session."""
    os.setsid()
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    if os.fork():
        wait_for_the_end()
    if os.fork():
        os.setsid()
        wait_for_the_end()
    os.close(master)
    os.close(slave)
    while os.getsid(os.getppid()) == os.getsid(0):
        time.sleep(0.001)
    settle(place)


@look_alike("no-terminal")
def terminal_has_gone(place: Place) -> None:
    if os.fork():
        os._exit(0)
    os.setsid()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    # With its leader, the session loses its terminal.
    fork_and_exit(place)
    os.close(master)
    os.close(slave)
    settle(place)


@specimen("no-leader")
def forks_once(place: Place) -> None:
    parent = os.getpid()
    if os.fork():
        os._exit(0)
    os.setsid()
    while os.getppid() == parent:
        time.sleep(0.001)
    settle(place)


@look_alike("no-leader", environment={"INVOCATION_ID": "0123456789abcdef0123456789abcdef"})
def leader_of_new_style(place: Place) -> None:
    os.setsid()
    settle(place)


# 3 and 4: the directory and the umask


@specimen("directory-deleted")
def directory_is_deleted(place: Place) -> None:
    daemonize(place)
    os.mkdir(f"{place.own}/gone")
    os.chdir(f"{place.own}/gone")
    os.rmdir(f"{place.own}/gone")


@look_alike("directory-deleted")
def directory_is_moved(place: Place) -> None:
    daemonize(place)
    os.mkdir(f"{place.own}/old")
    os.chdir(f"{place.own}/old")
    os.rename(f"{place.own}/old", f"{place.own}/new")


@specimen("directory-mount", root=True)
def directory_may_be_unmounted(place: Place) -> None:
    daemonize(place, drops=False)
    mount_for_itself("zoo", "/mnt", "tmpfs")
    os.mkdir("/mnt/data", 0o755)
    os.chdir("/mnt/data")
    drop(place)


@look_alike("directory-mount", root=True)
def directory_is_mounted_elsewhere(place: Place) -> None:
    daemonize(place, drops=False)
    os.mkdir(f"{place.path}/mnt")
    mount_for_itself("zoo", f"{place.path}/mnt", "tmpfs")
    os.mkdir(f"{place.path}/mnt/data", 0o755)
    os.chdir(f"{place.path}/mnt/data")
    drop(place)


@specimen("directory-writable")
def directory_of_everybody(place: Place) -> None:
    daemonize(place)
    os.mkdir(f"{place.own}/open")
    os.chmod(f"{place.own}/open", 0o777)
    os.chdir(f"{place.own}/open")


@look_alike("directory-writable")
def directory_of_its_group(place: Place) -> None:
    daemonize(place)
    os.mkdir(f"{place.own}/group")
    os.chmod(f"{place.own}/group", 0o775)
    os.chdir(f"{place.own}/group")


@specimen("inside-root", root=True)
def root_without_directory(place: Place) -> None:
    daemonize(place, drops=False)
    os.mkdir(f"{place.path}/jail", 0o755)
    os.chroot(f"{place.path}/jail")
    drop(place)


@look_alike("inside-root", root=True)
def root_with_directory(place: Place) -> None:
    daemonize(place, drops=False)
    os.mkdir(f"{place.path}/jail", 0o755)
    os.chroot(f"{place.path}/jail")
    os.chdir("/")
    drop(place)


@specimen("safe-umask")
def umask_exposes(place: Place) -> None:
    daemonize(place)
    os.umask(0)
    os.open(f"{place.own}/data", os.O_WRONLY | os.O_CREAT, 0o666)


@look_alike("safe-umask")
def umask_exposes_nothing(place: Place) -> None:
    daemonize(place)
    os.umask(0)
    os.open(f"{place.own}/data", os.O_WRONLY | os.O_CREAT, 0o600)


# 5: descriptors


@specimen("standard-streams")
def stdin_is_closed(place: Place) -> None:
    daemonize(place)
    os.close(0)


@look_alike("standard-streams")
def stdin_is_an_empty_file(place: Place) -> None:
    daemonize(place)
    os.close(os.open(f"{place.own}/empty", os.O_WRONLY | os.O_CREAT, 0o600))
    empty = os.open(f"{place.own}/empty", os.O_RDONLY)
    os.dup2(empty, 0)
    os.close(empty)


@specimen("inheritable-streams")
def stdin_ends_at_exec(place: Place) -> None:
    daemonize(place)
    os.set_inheritable(0, False)


@look_alike("inheritable-streams")
def other_one_ends_at_exec(place: Place) -> None:
    daemonize(place)
    os.set_inheritable(os.open("/dev/null", os.O_RDONLY), False)


@specimen("no-terminal-open")
def terminal_is_open(place: Place) -> None:
    daemonize(place)
    os.openpty()


@look_alike("no-terminal-open")
def owns_a_terminal(place: Place) -> None:
    """As a terminal emulator does: it holds the end of which the terminal is made."""
    daemonize(place)
    os.close(os.openpty()[1])


@specimen("no-leaked-pipe")
def launcher_waits_in_vain(place: Place) -> None:
    reading, writing = os.pipe()
    if os.fork():
        os.close(writing)
        os.read(reading, 1)
        os._exit(0)
    os.close(reading)
    os.setsid()
    fork_and_exit(place)
    settle(place)


@look_alike("no-leaked-pipe")
def pipe_to_itself(place: Place) -> None:
    daemonize(place)
    os.pipe()


@specimen("no-deleted-file", root=True)
def file_is_deleted(place: Place) -> None:
    daemonize(place, drops=False)
    # Not in /tmp, where such a file would be taken for a temporary one.
    mount_for_itself(place.own, "/mnt", None, MS_BIND)
    drop(place)
    os.open("/mnt/data", os.O_WRONLY | os.O_CREAT, 0o600)
    os.unlink("/mnt/data")


@look_alike("no-deleted-file")
def files_without_a_name(place: Place) -> None:
    daemonize(place)
    os.memfd_create("cache")
    name = f"/var/tmp/numen-zoo-{os.getpid()}"
    os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    os.unlink(name)


@specimen("no-inherited-lock")
def lock_of_the_launcher(place: Place) -> None:
    fcntl.flock(place.opened("lock"), fcntl.LOCK_EX)
    if os.fork():
        wait_for_the_end()
    os.setsid()
    fork_and_exit(place)
    settle(place)


@look_alike("no-inherited-lock")
def lock_of_a_pidfile(place: Place) -> None:
    fcntl.flock(place.opened("daemon.pid"), fcntl.LOCK_EX)
    if os.fork():
        wait_for_the_end()
    os.setsid()
    fork_and_exit(place)
    settle(place)


@specimen("descriptors-left")
def descriptors_run_out(place: Place) -> None:
    daemonize(place)
    resource.setrlimit(resource.RLIMIT_NOFILE, (40, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    for _ in range(33):
        os.open("/dev/null", os.O_RDONLY)


@look_alike("descriptors-left")
def descriptors_are_many(place: Place) -> None:
    daemonize(place)
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    for _ in range(120):
        os.open("/dev/null", os.O_RDONLY)


# 6: dead children


@specimen("no-zombies")
def child_is_not_waited_for(place: Place) -> None:
    daemonize(place)
    have_zombie()


@look_alike("no-zombies")
def child_is_reaped_by_the_kernel(place: Place) -> None:
    daemonize(place)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    child = os.fork()
    if child == 0:
        os._exit(0)
    with suppress(ChildProcessError):
        os.waitpid(child, 0)


@specimen("child-deaths-heard")
def sigchld_is_blocked(place: Place) -> None:
    daemonize(place)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])


@look_alike("child-deaths-heard")
def sigchld_is_read(place: Place) -> None:
    daemonize(place)
    signalfd(signal.SIGCHLD)


# 7: errors


@specimen("errors-arrive")
def errors_go_nowhere(place: Place) -> None:
    daemonize(place)
    os.dup2(0, 1)
    os.dup2(0, 2)


@look_alike("errors-arrive")
def errors_go_to_a_log_of_its_own(place: Place) -> None:
    daemonize(place)
    os.dup2(0, 1)
    os.dup2(0, 2)
    os.open(f"{place.own}/other.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)


@specimen("log-room", root=True)
def log_is_volatile(place: Place) -> None:
    daemonize(place, drops=False)
    os.mkdir(f"{place.path}/logs")
    mount_for_itself("zoo", f"{place.path}/logs", "tmpfs")
    os.open(f"{place.path}/logs/daemon.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    drop(place)


@look_alike("log-room", root=True)
def cache_is_volatile(place: Place) -> None:
    daemonize(place, drops=False)
    os.mkdir(f"{place.path}/cache")
    mount_for_itself("zoo", f"{place.path}/cache", "tmpfs")
    os.open(f"{place.path}/cache/data", os.O_WRONLY | os.O_CREAT, 0o644)
    drop(place)


@specimen("log-in-place")
def log_is_deleted(place: Place) -> None:
    daemonize(place)
    os.unlink(f"{place.path}/daemon.log")


@look_alike("log-in-place")
def log_is_moved(place: Place) -> None:
    daemonize(place)
    os.rename(f"{place.path}/daemon.log", f"{place.path}/daemon.log.1")


# 8: signals


@specimen("ends-at-sigterm")
def sigterm_is_ignored(place: Place) -> None:
    daemonize(place)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


@look_alike("ends-at-sigterm")
def sigterm_is_read(place: Place) -> None:
    daemonize(place)
    descriptor = signalfd(signal.SIGTERM)
    place.write(place.said, f"{os.getpid()}\n")
    os.read(descriptor, 128)
    os._exit(0)


@specimen("reloads-at-sighup")
def sighup_is_blocked(place: Place) -> None:
    daemonize(place)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP])


@look_alike("reloads-at-sighup")
def sighup_is_ignored(place: Place) -> None:
    daemonize(place)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


in_c("survives-sigpipe", SPECIMEN, "SERVES")
in_c("survives-sigpipe", LOOK_ALIKE, "SERVES", "IGNORES_SIGPIPE")


@specimen("takes-signals")
def signal_waits(place: Place) -> None:
    daemonize(place)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    os.kill(os.getpid(), signal.SIGUSR1)


@look_alike("takes-signals")
def signal_waits_to_be_read(place: Place) -> None:
    daemonize(place)
    signalfd(signal.SIGUSR1)
    os.kill(os.getpid(), signal.SIGUSR1)


@specimen("not-stopped")
def it_is_stopped(place: Place) -> None:
    daemonize(place, beside=see_it_stopped)
    place.write("ready", "")
    os.kill(os.getpid(), signal.SIGSTOP)


def see_it_stopped(pid: int) -> bool:
    """Come back when the process is stopped."""
    while state_of(pid) != "T":
        time.sleep(0.001)
    return False


def state_of(pid: int) -> str:
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0]


@look_alike("not-stopped")
def child_is_stopped(place: Place) -> None:
    daemonize(place)
    child = start_child(lambda: None)
    os.kill(child, signal.SIGSTOP)
    os.waitid(os.P_PID, child, os.WSTOPPED | os.WNOWAIT)


@specimen("not-traced")
def it_is_traced(place: Place) -> None:
    def seize(daemon: int) -> bool:
        trace(PTRACE_SEIZE, daemon)
        return True

    daemonize(place, beside=seize)
    # Where Yama keeps watch, who is not above it may trace it only with its leave.
    with suppress(OSError):
        prctl(PR_SET_PTRACER, 2**64 - 1)


@look_alike("not-traced")
def it_traces_its_child(place: Place) -> None:
    daemonize(place)
    start_child(lambda: trace(PTRACE_TRACEME, 0))


# One instance


@specimen("pidfile-right")
def pidfile_of_another(place: Place) -> None:
    # A greater number than any pid (proc_sys_kernel(5)).
    daemonize(place)
    call_itself("zoo-daemon")
    place.write(f"own/{PIDFILE}", f"{2**22 + 1}\n")


@look_alike("pidfile-right")
def pidfile_with_blanks(place: Place) -> None:
    daemonize(place)
    call_itself("zoo-daemon")
    place.write(f"own/{PIDFILE}", f"{os.getpid():>10}\n")


@specimen("pidfile-safe")
def pidfile_of_everybody(place: Place) -> None:
    daemonize(place)
    place.write(f"own/{PIDFILE}", f"{os.getpid()}\n", 0o666)


@look_alike("pidfile-safe")
def pidfile_in_a_sticky_directory(place: Place) -> None:
    daemonize(place)
    os.chmod(place.own, 0o1777)
    place.write(f"own/{PIDFILE}", f"{os.getpid()}\n", 0o644)


# Privileges


@specimen("no-needless-root", root=True)
def root_serves(place: Place) -> None:
    daemonize(place, drops=False)
    listen()
    prctl(PR_SET_NO_NEW_PRIVS, 1)


@look_alike("no-needless-root", root=True)
def root_serves_below_1024(place: Place) -> None:
    daemonize(place, drops=False)
    listen_below_1024()
    prctl(PR_SET_NO_NEW_PRIVS, 1)


@specimen("no-root-group", root=True)
def group_of_root(place: Place) -> None:
    daemonize(place, drops=False)
    drop(place, groups=(0,))


@look_alike("no-root-group", root=True)
def group_of_another(place: Place) -> None:
    daemonize(place, drops=False)
    drop(place, groups=(12345,))


@specimen("no-way-back", root=True)
def root_is_saved(place: Place) -> None:
    daemonize(place, drops=False)
    drop_to(place, saved=0)


@look_alike("no-way-back", root=True)
def another_is_saved(place: Place) -> None:
    daemonize(place, drops=False)
    drop_to(place, saved=NOBODY - 1)


def drop_to(place: Place, saved: int) -> None:
    """Become nobody with that saved user, and without capabilities."""
    os.fchown(place.descriptor, NOBODY, NOBODY)
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, saved)
    prctl(PR_SET_DUMPABLE, 1)
    keep_capabilities()


@specimen("few-capabilities", root=True)
def capability_to_write_everywhere(place: Place) -> None:
    drop_to_capability(place, CAP_DAC_OVERRIDE)


@look_alike("few-capabilities", root=True)
def capability_to_bind(place: Place) -> None:
    drop_to_capability(place, CAP_NET_BIND_SERVICE)


def drop_to_capability(place: Place, capability: int) -> None:
    """A daemon of nobody's that has this of root's rights."""
    daemonize(place, drops=False)
    prctl(PR_SET_KEEPCAPS, 1)
    drop(place)
    keep_capabilities(capability)


@specimen("confined", root=True)
def root_serves_unconfined(place: Place) -> None:
    daemonize(place, drops=False)
    listen_below_1024()


@look_alike("confined", root=True)
def root_unconfined_serves_the_machine_only(place: Place) -> None:
    daemonize(place, drops=False)
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    os.chdir(place.own)
    server.bind("socket")
    os.chdir("/")
    server.listen()
    server.detach()


@specimen("no-secrets", environment={"DATABASE_PASSWORD": "swordfish"})
def password_in_the_environment(place: Place) -> None:
    daemonize(place)


@look_alike("no-secrets", environment={"DATABASE_PASSWORD_FILE": "/etc/hosts", "TOKENIZER": "1", "MONKEY": "1"})
def file_of_a_password_in_the_environment(place: Place) -> None:
    daemonize(place)


# The program


in_c("program-current", SPECIMEN, "REMOVES_ITSELF")
in_c("program-current", LOOK_ALIKE, "MOVES_ITSELF")


@specimen("program-safe")
def script_of_everybody(place: Place) -> None:
    os.chmod(sys.argv[0], 0o666)
    daemonize(place)


@look_alike("program-safe")
def script_of_a_group(place: Place) -> None:
    os.chmod(sys.argv[0], 0o664)
    daemonize(place)


in_c("no-setuid-program", SPECIMEN, mode=0o4755)
in_c("no-setuid-program", LOOK_ALIKE, mode=0o1755)


@specimen("not-spinning")
def it_spins(place: Place) -> None:
    daemonize(place)
    place.write(place.said, f"{os.getpid()}\n")
    while True:
        pass


@look_alike("not-spinning")
def it_has_worked(place: Place) -> None:
    daemonize(place)
    while time.process_time() < 0.5:
        pass


# Resources


@specimen("core-dumps", root=True)
def core_is_dumped(place: Place) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (1 << 20, 1 << 20))
    daemonize(place)
    os.chdir(place.own)


@look_alike("core-dumps", root=True)
def core_might_be_dumped(place: Place) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 1 << 20))
    daemonize(place)
    os.chdir(place.own)


@specimen("oom-score")
def first_to_be_killed(place: Place) -> None:
    score_for_oom("950")
    daemonize(place)


@look_alike("oom-score")
def soon_to_be_killed(place: Place) -> None:
    score_for_oom("800")
    daemonize(place)


def score_for_oom(score: str) -> None:
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write(score)


@specimen("limits-left")
def file_is_at_its_limit(place: Place) -> None:
    have_file_of(place, 950, soft=1000)


@look_alike("limits-left")
def file_is_half_as_long_as_it_may_be(place: Place) -> None:
    have_file_of(place, 500, soft=1000)


def have_file_of(place: Place, size: int, soft: int) -> None:
    """A daemon that writes a file, and has a limit for its size."""
    daemonize(place)
    file = os.open(f"{place.own}/data", os.O_WRONLY | os.O_CREAT, 0o600)
    os.write(file, bytes(size))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


# The network, and the machine's start


@specimen("few-addresses")
def listens_to_everybody(place: Place) -> None:
    daemonize(place)
    listen("0.0.0.0")


@look_alike("few-addresses")
def listens_to_the_machine(place: Place) -> None:
    daemonize(place)
    listen("127.0.0.1")


@specimen("starts-at-boot")
def unit_is_not_enabled(place: Place) -> None:
    write_unit(place)
    daemonize(place)


@look_alike("starts-at-boot")
def unit_is_enabled(place: Place) -> None:
    units = write_unit(place)
    os.mkdir(f"{units}/default.target.wants")
    os.symlink("../zoo.service", f"{units}/default.target.wants/zoo.service")
    daemonize(place)


def write_unit(place: Place) -> str:
    """A unit that would start this, among those of the test's user; the directory of it."""
    os.makedirs(f"{place.path}/systemd/user")
    text = f"[Service]\nExecStart=/usr/bin/python3 {sys.argv[0]}\n[Install]\nWantedBy=default.target\n"
    place.write("systemd/user/zoo.service", text)
    return f"{place.path}/systemd/user"


def main(kind: str, name: str, directory: str) -> NoReturn:
    """Become the daemon."""
    one = REGISTRY[name, kind]
    assert one.become is not None
    os.umask(0o022)
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    place = Place(directory)
    place.furnish()
    one.become(place)
    stay(place)


if __name__ == "__main__":
    main(*sys.argv[1:])
