"""The options of `numen detach`: what the daemon is given, seen from outside."""

import grp
import os
import pwd
import resource
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

import observe
from detaching import DEADLINE, SLEEPER, log_of, named, python, refused, settled, sleeper, start, wait_for_file
from processes import Reaper, compile_c, environment, numen_command, unprivileged, wait_for

CAP_NET_BIND_SERVICE, CAP_NET_RAW = 10, 13

# Surroundings


def test_the_working_directory_is_the_chosen_one(reaper: Reaper, tmp_path: Path) -> None:
    assert sleeper(reaper, "--directory", tmp_path).cwd == str(tmp_path)


@pytest.mark.parametrize(("text", "mask"), [("0", 0), ("077", 0o077), ("777", 0o777)])
def test_the_umask_is_the_chosen_one(reaper: Reaper, text: str, mask: int) -> None:
    assert sleeper(reaper, "--umask", text, "--name", "masked").umask == mask


def test_a_umask_that_closes_everything_does_not_close_numens_own_files(reaper: Reaper) -> None:
    sleeper(reaper, "--umask", "777", "--name", "web")

    assert named("web").stat().st_mode & 0o777 == 0o644
    assert log_of("web").stat().st_mode & 0o777 == 0o640


def test_variables_are_set_in_the_order_files_then_options(reaper: Reaper, tmp_path: Path) -> None:
    (tmp_path / "one").write_text("A=file one\nB=file one\nC=file one\n")
    (tmp_path / "two").write_text("B=file two\nC=file two\n")
    files: list[str | Path] = [
        "--env-file",
        tmp_path / "one",
        "--env-file",
        tmp_path / "two",
        f"--env-file=-{tmp_path}/missing",
    ]

    seen = sleeper(reaper, *files, "--env", "C=option", "-e", "D=x=y", env={"A": "caller", "E": "caller"})

    wanted = {"A": "file one", "B": "file two", "C": "option", "D": "x=y", "E": "caller"}
    assert {name: seen.environ.get(name) for name in wanted} == wanted


def test_an_empty_environment_keeps_what_is_named_and_has_a_path(reaper: Reaper) -> None:
    seen = sleeper(
        reaper, "--clear-env", "-e", "KEPT", "-e", "MISSING", "-e", "SET=1", env={"KEPT": "yes", "LOST": "no"}
    )

    assert seen.environ.pop("PATH")
    assert seen.environ == {"KEPT": "yes", "SET": "1"}


def test_a_path_that_is_set_is_the_one_on_which_the_command_is_sought(reaper: Reaper, tmp_path: Path) -> None:
    sleep = shutil.which("sleep")
    assert sleep is not None
    (tmp_path / "unheard-of").symlink_to(sleep)

    pid = start(reaper, "-e", f"PATH={tmp_path}", "--", "unheard-of", "1000")

    assert settled(pid).cmdline[0] == "unheard-of"


@pytest.fixture
def new_root(public_path: Path) -> Path:
    """A root directory with one static program, /bin/rest, and a directory, /own."""
    (public_path / "bin").mkdir()
    (public_path / "own").mkdir()
    compile_c("#include <unistd.h>\nint main(void) { for (;;) pause(); }", public_path / "bin" / "rest", "-static")
    return public_path


@pytest.mark.needs_root
def test_a_new_root_directory_is_entered_and_paths_in_it_are_its_own(reaper: Reaper, new_root: Path) -> None:
    options = ["--chroot", new_root.name, "--directory", "own", "--stdout", "out", "--pidfile", "pid"]

    pid = start(reaper, *options, "--", "/bin/rest", cwd=new_root.parent)

    seen = observe.look(pid)
    assert (seen.root, seen.cwd, seen.cmdline) == (str(new_root), str(new_root / "own"), ("/bin/rest",))
    assert seen.descriptors[1].target == str(new_root.parent / "out")
    assert (new_root.parent / "pid").read_text() == f"{pid}\n"


@pytest.mark.needs_root
def test_in_a_new_root_directory_a_user_is_looked_up_outside_and_dropped_to_inside(
    reaper: Reaper, new_root: Path
) -> None:
    nobody = unprivileged()

    more = ["--capability", "net_raw", "--no-new-privileges", "--name", "caged"]

    seen = observe.look(start(reaper, "--chroot", new_root, "--user", nobody.name, *more, "--", "rest"))

    assert (seen.root, seen.cwd, set(seen.descriptors)) == (str(new_root), str(new_root), {0, 1, 2})
    assert set(seen.uids) == {nobody.uid}
    assert seen.capabilities.effective == {CAP_NET_RAW}
    assert seen.no_new_privs


@pytest.mark.needs_root
def test_in_a_new_root_directory_an_absolute_link_leads_from_there(reaper: Reaper, new_root: Path) -> None:
    (new_root / "sbin").symlink_to("/bin")
    (new_root / "bin" / "link").symlink_to("/sbin/rest")

    seen = observe.look(start(reaper, "--chroot", new_root, "--", "/sbin/link"))

    assert (seen.root, seen.cmdline) == (str(new_root), ("/sbin/link",))


@pytest.mark.needs_root
def test_in_a_new_root_directory_no_link_leads_out(new_root: Path) -> None:
    (new_root / "bin" / "out").symlink_to(shutil.which("sleep") or "/bin/sleep")

    refused(127, "--chroot", new_root, "--", "/bin/out", saying="cannot find the command")


@pytest.mark.needs_root
@pytest.mark.parametrize(
    ("status", "options", "command"),
    [
        (127, ["--chroot", "."], "sleep"),
        (127, ["--chroot", "."], "/bin/sleep"),
        (6, ["--chroot", "missing"], "/bin/rest"),
        (6, ["--chroot", ".", "--directory", "missing"], "/bin/rest"),
    ],
)
def test_what_a_new_root_directory_lacks_is_found_beforehand(
    new_root: Path, status: int, options: list[str], command: str
) -> None:
    refused(status, *options, "--", command, cwd=new_root)


# Descriptors


def test_descriptors_to_keep_stay_open_where_they_are_and_no_others(reaper: Reaper, tmp_path: Path) -> None:
    def open_some() -> None:
        for number in (5, 6, 40):
            os.dup2(os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT), number)

    seen = sleeper(reaper, "--keep-fd", "5", "--keep-fd", "40", preexec_fn=open_some, close_fds=False)

    assert set(seen.descriptors) == {0, 1, 2, 5, 40}
    assert [seen.descriptors[number].target for number in (5, 40)] == [str(tmp_path / "file")] * 2
    assert not any(seen.descriptors[number].cloexec for number in (5, 40))


def with_two_sockets(*arguments: str | Path) -> list[str | Path]:
    """The command that runs numen as a service manager that hands it two sockets does."""
    listen = (
        "import os, socket, sys\n"
        "one, other = socket.create_server(('127.0.0.1', 0)), socket.create_server(('127.0.0.1', 0))\n"
        "for number, each in (10, one), (11, other): os.dup2(each.fileno(), number)\n"
        "for number in (3, 4): os.dup2(number + 7, number); os.close(number + 7)\n"
        "os.environ |= {'LISTEN_PID': str(os.getpid()), 'LISTEN_FDS': '2', 'LISTEN_FDNAMES': 'web:admin'}\n"
        "os.execv(sys.argv[1], sys.argv[1:])"
    )
    return [*python(listen), numen_command(), "detach", *arguments]


def test_sockets_of_a_service_manager_are_handed_on_to_the_daemon_by_its_own_pid(
    reaper: Reaper, tmp_path: Path
) -> None:
    command = with_two_sockets("--pidfile", tmp_path / "pid", "--", *SLEEPER)

    subprocess.run(command, env=environment(), check=True, capture_output=True)

    seen = settled(reaper.track(int((tmp_path / "pid").read_text())))
    assert set(seen.descriptors) == {0, 1, 2, 3, 4}
    assert all(seen.descriptors[number].target.startswith("socket:") for number in (3, 4))
    listening = {name: value for name, value in seen.environ.items() if name.startswith("LISTEN")}
    assert listening == {"LISTEN_PID": str(seen.pid), "LISTEN_FDS": "2", "LISTEN_FDNAMES": "web:admin"}


def test_sockets_that_were_meant_for_another_process_are_not_handed_on(reaper: Reaper) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        seen = sleeper(reaper, env={"LISTEN_PID": "1", "LISTEN_FDS": "1"}, pass_fds=[theirs.fileno()])

    assert set(seen.descriptors) == {0, 1, 2}
    assert not any(name.startswith("LISTEN") for name in seen.environ)


def test_readiness_cannot_be_told_on_a_socket_of_a_service_manager() -> None:
    done = subprocess.run(
        with_two_sockets("--ready", "fd:4", "--", *SLEEPER),
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert "descriptor 4 cannot both be kept and tell of readiness" in done.stderr


# Identity


@pytest.mark.needs_root
def test_a_user_brings_his_groups_and_names_along_and_nothing_of_root_is_left(reaper: Reaper) -> None:
    nobody = unprivileged()
    entry = pwd.getpwnam(nobody.name)

    seen = sleeper(reaper, "--user", nobody.name, env={"HOME": "/root", "USER": "root", "MAIL": "kept"})

    assert set(seen.uids) == {nobody.uid}
    assert set(seen.gids) == {nobody.gid}
    assert seen.groups == set(os.getgrouplist(nobody.name, nobody.gid))
    assert seen.capabilities.permitted == seen.capabilities.effective == seen.capabilities.ambient == set()
    names = {name: seen.environ[name] for name in ("HOME", "USER", "LOGNAME", "SHELL", "MAIL")}
    assert names == {
        "HOME": entry.pw_dir,
        "USER": nobody.name,
        "LOGNAME": nobody.name,
        "SHELL": entry.pw_shell or "/bin/sh",
        "MAIL": "kept",
    }


@pytest.mark.needs_root
def test_user_group_and_groups_may_be_numbers_and_chosen_apart(reaper: Reaper) -> None:
    group = grp.getgrall()[1]

    seen = sleeper(reaper, "--user", "12345", "--group", group.gr_name, "--groups", f"777,{group.gr_name}")

    assert set(seen.uids) == {12345}
    assert set(seen.gids) == {group.gr_gid}
    assert seen.groups == {777, group.gr_gid}


@pytest.mark.needs_root
def test_no_supplementary_groups_can_be_had(reaper: Reaper) -> None:
    assert sleeper(reaper, "--user", unprivileged().name, "--groups", "").groups == set()


@pytest.mark.needs_root
def test_a_dropped_daemon_writes_its_pidfile_and_log_before_the_drop(reaper: Reaper, tmp_path: Path) -> None:
    nobody = unprivileged()
    pidfile, log = tmp_path / "pid", tmp_path / "log"

    pid = start(reaper, "--user", nobody.name, "--pidfile", pidfile, "--stderr", log, "--", *SLEEPER)

    assert pidfile.read_text() == f"{pid}\n"
    assert (pidfile.stat().st_uid, pidfile.stat().st_mode & 0o777) == (0, 0o644)
    assert (log.stat().st_uid, log.stat().st_mode & 0o777) == (nobody.uid, 0o640)
    assert settled(pid).descriptors[2].target == str(log)


@pytest.mark.needs_root
def test_root_does_not_write_a_log_where_the_user_could_have_laid_a_link(public_path: Path) -> None:
    nobody = unprivileged()
    (public_path / "own").mkdir()
    os.chown(public_path / "own", nobody.uid, nobody.gid)
    (public_path / "target").touch(mode=0o600)
    (public_path / "own" / "log").symlink_to(public_path / "target")

    refused(4, "--user", nobody.name, "--stderr", public_path / "own" / "log", "--", *SLEEPER, saying="cannot append")

    assert (public_path / "target").stat().st_size == 0


@pytest.mark.needs_root
def test_a_directory_that_the_user_may_not_enter_is_told_by_the_one_who_asked(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o700)

    done = refused(4, "--user", unprivileged().name, "--directory", tmp_path / "closed", "--", *SLEEPER)

    assert f"cannot change the working directory to {tmp_path}/closed: Permission denied" in done.stderr


@pytest.mark.needs_root
def test_a_program_that_the_user_may_not_execute_is_told_apart(public_path: Path) -> None:
    program = public_path / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o700)

    refused(126, "--user", unprivileged().name, "--", program, saying=f"for user {unprivileged().name}")


@pytest.mark.needs_root
def test_just_the_named_capabilities_are_kept_for_a_user(reaper: Reaper) -> None:
    kept = ["--capability", "net_bind_service", "--capability", "CAP_NET_RAW"]

    seen = sleeper(reaper, "--user", unprivileged().name, *kept)

    expected = {CAP_NET_BIND_SERVICE, CAP_NET_RAW}
    assert set(seen.uids) == {unprivileged().uid}
    assert seen.capabilities == observe.Capabilities(*[frozenset(expected)] * 5)


@pytest.mark.needs_root
def test_root_may_be_left_with_few_capabilities_or_none(reaper: Reaper) -> None:
    few = sleeper(reaper, "--capability", "net_raw")
    none = sleeper(reaper, "--capability", "none")

    assert set(few.uids) == set(none.uids) == {0}
    assert few.capabilities.permitted == few.capabilities.effective == few.capabilities.bounding == {CAP_NET_RAW}
    assert none.capabilities == observe.Capabilities(*[frozenset()] * 5)


def test_no_new_privileges_are_had_only_if_asked_for(reaper: Reaper) -> None:
    assert not sleeper(reaper).no_new_privs
    assert sleeper(reaper, "--no-new-privileges").no_new_privs


# Limits


def test_limits_are_set_by_name_with_one_or_two_values(reaper: Reaper) -> None:
    limits = ["open-files=100:200", "file-size=1M", "cpu-seconds=1000:unlimited", "nproc=500"]
    hard = {name: resource.getrlimit(name)[1] for name in (resource.RLIMIT_NOFILE, resource.RLIMIT_NPROC)}
    assert all(value == -1 or value >= 500 for value in hard.values())

    seen = sleeper(reaper, *(word for limit in limits for word in ("--limit", limit)))

    assert seen.limits["open files"] == (100, 200)
    assert seen.limits["file size"] == (2**20, 2**20)
    assert seen.limits["cpu time"] == (1000, -1)
    assert seen.limits["processes"] == (500, 500)


def test_a_limit_of_three_open_files_does_not_hinder_the_start(reaper: Reaper, tmp_path: Path) -> None:
    program = compile_c("#include <unistd.h>\nint main(void) { for (;;) pause(); }", tmp_path / "rest", "-static")

    assert observe.look(start(reaper, "--limit", "open-files=3", "--", program)).limits["open files"] == (3, 3)


def test_core_files_are_written_only_if_asked_for(reaper: Reaper) -> None:
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]

    def forbid_them() -> None:
        resource.setrlimit(resource.RLIMIT_CORE, (0, hard))

    assert sleeper(reaper).limits["core file size"] == (0, 0)
    # The soft limit is 0 where nobody has raised it.
    assert sleeper(reaper, "--core-dumps", preexec_fn=forbid_them).limits["core file size"] == (hard, hard)
    limited = sleeper(reaper, "--core-dumps", "--limit", "core-size=0:0")
    assert limited.limits["core file size"] == (0, 0)


def test_niceness_and_the_out_of_memory_score_can_be_raised_by_everybody(reaper: Reaper) -> None:
    seen = sleeper(reaper, "--nice", "19", "--oom-score", "900")

    assert (seen.nice, seen.oom_score_adj) == (19, 900)


@pytest.mark.needs_root
def test_niceness_can_be_lowered_by_root(reaper: Reaper) -> None:
    assert sleeper(reaper, "--nice", "-5").nice == -5


def test_dead_children_are_reaped_by_the_kernel_if_asked_for(reaper: Reaper, tmp_path: Path) -> None:
    program = python(
        "import os, pathlib, sys, time\n"
        "child = os.spawnlp(os.P_NOWAIT, 'true', 'true')\n"
        "try: os.waitpid(child, 0); told = 'waited'\n"
        "except ChildProcessError: told = 'nobody to wait for'\n"
        "pathlib.Path(sys.argv[1]).write_text(told + '.')\n"
        "time.sleep(1000)"
    )

    for how, told in ("default", "waited."), ("ignore", "nobody to wait for."):
        start(reaper, "--children", how, "--", *program, tmp_path / how)
        assert wait_for_file(tmp_path / how, lambda text: text.endswith(".")) == told


# Warnings


@pytest.mark.needs_root
def test_a_working_directory_that_may_go_away_is_warned_of(reaper: Reaper, tmp_path: Path) -> None:
    place = Path(f"/mnt/numen-tests.{os.getpid()}")
    script = f"""
        mkdir -p /mnt; mount -t tmpfs none /mnt; mkdir {place}
        exec "$0" detach --directory {place} --pidfile "$1" -- sleep 1000
    """
    command: list[str | Path] = ["unshare", "--mount", "sh", "-euc", script, numen_command(), tmp_path / "pid"]

    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    pid = reaper.track(int((tmp_path / "pid").read_text()))
    assert f"note: the working directory {place} is on a file system that may be unmounted (/mnt)" in done.stderr
    wait_for(lambda: observe.look(pid).cwd == str(place), DEADLINE, "the daemon in its directory")
