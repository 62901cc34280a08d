"""Who keeps a process, and what starts it with the machine."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import observe
import recorded_proc
from numen.check.facts import File, Service
from numen.check.services import Services, is_interpreter, unit_of
from numen.kernel.proc import Stat

INSTALL = "[Install]\nWantedBy=multi-user.target\n"
NOBODY = Service(kind="")


def machine(root: Path, files: Mapping[str, str], links: Mapping[str, str] | None = None) -> Services:
    """What is told of a machine with these files and symbolic links."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for name, target in (links or {}).items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(target)
    return Services(str(root))


def unit(program: str, install: str = INSTALL) -> str:
    return f"[Unit]\nDescription=x\n[Service]\nExecStart={program} --serve\n{install}"


def starts(services: Services, program: str, script: str | None = None, pidfiles: tuple[str, ...] = ()) -> Service:
    return services.boot(NOBODY, File(path=program), File(path=script) if script else None, pidfiles)


# The unit that a process is in


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        (recorded_proc.CGROUP_V2, "ssh.service"),
        (recorded_proc.CGROUP_HYBRID, "cron.service"),
        (recorded_proc.CGROUP_OF_USER, "syncthing.service"),
        (recorded_proc.CGROUP_OF_SESSION, ""),
        (recorded_proc.CGROUP_OF_TERMINAL, ""),
        (recorded_proc.CGROUP_OF_CONTAINER, ""),
        (b"0::/system.slice/postgresql.service/worker\n", "postgresql.service"),
        (b"4:memory:/system.slice/x.service\n0::/\n", ""),
        (b"", ""),
    ],
)
def test_the_unit_stands_in_the_control_groups(groups: bytes, expected: str) -> None:
    assert unit_of(groups.decode()) == expected


@pytest.mark.fuzz
@given(st.binary() | recorded_proc.mutations("cgroup"))
def test_any_bytes_name_a_unit_or_none(text: bytes) -> None:
    found = unit_of(os.fsdecode(text))

    assert found == "" or found.endswith(".service")


# Whether it is enabled


def test_a_unit_is_enabled_when_another_wants_it(tmp_path: Path) -> None:
    services = machine(
        tmp_path,
        {"lib/systemd/system/on.service": unit("/usr/bin/on"), "lib/systemd/system/off.service": unit("/usr/bin/off")},
        {"etc/systemd/system/multi-user.target.wants/on.service": "/lib/systemd/system/on.service"},
    )

    assert services.is_enabled("on.service") is True
    assert services.is_enabled("off.service") is False


def test_one_that_nobody_can_enable_is_not_judged(tmp_path: Path) -> None:
    services = machine(tmp_path, {"lib/systemd/system/static.service": unit("/usr/bin/static", "")})

    assert services.is_enabled("static.service") is None
    assert services.is_enabled("run-r123.service") is None


def test_one_that_a_socket_starts_is_enabled_with_its_socket(tmp_path: Path) -> None:
    services = machine(
        tmp_path,
        {"lib/systemd/system/lazy.service": unit("/usr/bin/lazy")},
        {"etc/systemd/system/sockets.target.wants/lazy.socket": "/lib/systemd/system/lazy.socket"},
    )

    assert services.is_enabled("lazy.service") is True


def test_an_instance_is_told_by_its_template(tmp_path: Path) -> None:
    services = machine(
        tmp_path,
        {"lib/systemd/system/tunnel@.service": unit("/usr/bin/tunnel"), "lib/systemd/system/x@.service": unit("/x")},
        {"etc/systemd/system/multi-user.target.wants/tunnel@home.service": "/lib/systemd/system/tunnel@.service"},
    )

    assert services.is_enabled("tunnel@home.service") is True
    assert services.is_enabled("tunnel@work.service") is False
    assert services.is_enabled("x@1.service") is False


def test_the_units_of_a_user_are_known(tmp_path: Path, numen_home: Path) -> None:
    home = Path(os.environ["XDG_CONFIG_HOME"], "systemd/user")
    wanted = home / "default.target.wants"
    wanted.mkdir(parents=True)
    (home / "own.service").write_text(unit("/usr/bin/own"))
    (wanted / "own.service").symlink_to("../own.service")

    services = machine(tmp_path, {})

    assert services.is_enabled("own.service") is True
    assert starts(services, "/usr/bin/own").name == "own.service"


# What starts a program


def test_a_unit_is_told_by_the_program_that_it_starts(tmp_path: Path) -> None:
    services = machine(
        tmp_path,
        {
            "lib/systemd/system/on.service": unit("-/usr/sbin/on"),
            "lib/systemd/system/off.service": unit("!!/usr/sbin/off") + "PIDFile=/run/off.pid\n",
        },
        {"etc/systemd/system/multi-user.target.wants/on.service": "/lib/systemd/system/on.service"},
    )

    on, off = starts(services, "/usr/sbin/on"), starts(services, "/usr/sbin/off")

    assert (on.kind, on.name, on.at_boot) == ("systemd", "on.service", True)
    assert (off.kind, off.name, off.at_boot) == ("systemd", "off.service", False)
    assert starts(services, "/usr/bin/other", pidfiles=("/run/off.pid",)).name == "off.service"
    assert starts(services, "/usr/bin/nobody's") == NOBODY


def test_of_two_that_start_it_the_one_at_boot_counts(tmp_path: Path) -> None:
    services = machine(
        tmp_path,
        {"lib/systemd/system/a.service": unit("/usr/sbin/x"), "lib/systemd/system/b.service": unit("/usr/sbin/x")},
        {"etc/systemd/system/multi-user.target.wants/b.service": "/lib/systemd/system/b.service"},
    )

    assert starts(services, "/usr/sbin/x").name == "b.service"


def test_an_init_script_is_enabled_by_its_links(tmp_path: Path) -> None:
    script = "#!/bin/sh\n# not /usr/sbin/comment\nDAEMON={0}\nPIDFILE=/run/{1}.pid\nstart-stop-daemon --start\n"
    services = machine(
        tmp_path,
        {
            "etc/init.d/on": script.format("/usr/sbin/on", "on"),
            "etc/init.d/off": script.format('"/usr/sbin/off"', "off"),
        },
        {"etc/rc3.d/S01on": "../init.d/on", "etc/rc3.d/K01off": "../init.d/off", "etc/rc0.d/K01on": "../init.d/on"},
    )

    on, off = starts(services, "/usr/sbin/on"), starts(services, "/usr/sbin/off")

    assert (on.kind, on.name, on.at_boot) == ("init script", str(tmp_path / "etc/init.d/on"), True)
    assert (off.kind, off.at_boot) == ("init script", False)
    assert starts(services, "/elsewhere", pidfiles=("/run/on.pid",)).at_boot is True
    assert starts(services, "/usr/sbin/comment") == NOBODY
    assert starts(services, "/bin/sh") == NOBODY


@pytest.mark.parametrize("table", ["etc/crontab", "etc/cron.d/x", "var/spool/cron/crontabs/root", "var/spool/cron/me"])
def test_a_table_of_cron_starts_what_it_runs_at_boot(tmp_path: Path, table: str) -> None:
    text = "# @reboot /usr/bin/commented\n@reboot root /opt/server --port 1\n5 4 * * * /opt/nightly\n"
    services = machine(tmp_path, {table: text})

    found = starts(services, "/opt/server")

    assert (found.kind, found.name, found.at_boot) == ("cron", str(tmp_path / table), True)
    assert starts(services, "/opt/nightly") == NOBODY
    assert starts(services, "/usr/bin/commented") == NOBODY


def test_of_an_interpreter_the_script_counts(tmp_path: Path) -> None:
    services = machine(tmp_path, {"etc/crontab": "@reboot me /usr/bin/python3.11 /opt/server.py\n"})

    assert starts(services, "/usr/bin/python3.11", script="/opt/server.py").kind == "cron"
    assert starts(services, "/usr/bin/python3.11", script="/opt/other.py") == NOBODY
    assert starts(services, "/usr/bin/python3.11") == NOBODY


def test_who_keeps_a_process_starts_it(tmp_path: Path) -> None:
    keeper = Service(kind="runit", name="runsv")

    assert machine(tmp_path, {}).boot(keeper, None, None, ()) is keeper


def test_odd_things_in_the_usual_places_are_passed_over(tmp_path: Path) -> None:
    services = machine(tmp_path, {"etc/cron.d/x": "@reboot root /opt/server\n"}, {"etc/cron.d/dangling": "/nowhere"})
    (tmp_path / "etc/cron.d/directory").mkdir()
    os.mkfifo(tmp_path / "etc/cron.d/fifo")
    (tmp_path / "etc/init.d").mkdir()
    (tmp_path / "etc/init.d/bytes").write_bytes(bytes(range(256)))
    (tmp_path / "lib/systemd/system").mkdir(parents=True)
    (tmp_path / "lib/systemd/system/masked.service").symlink_to("/dev/null")
    before = observe.look(os.getpid()).descriptors.keys()

    assert starts(services, "/opt/server").kind == "cron"
    assert services.is_enabled("masked.service") is None
    assert observe.look(os.getpid()).descriptors.keys() == before


@given(st.text(st.characters(codec="utf-8"), max_size=200))
def test_any_text_is_a_script(text: str) -> None:
    root = Path(os.environ["NUMEN_HOME"])
    services = machine(
        root, {"etc/init.d/x": text, "etc/crontab": f"@reboot {text}", "lib/systemd/system/x.service": text}
    )

    assert starts(services, "/no/such/program").kind in ("", "cron", "init script", "systemd")


def test_this_machine_can_be_asked() -> None:
    assert starts(Services(), "/no/such/program") == NOBODY
    assert Services().is_enabled("no-such.service") is None


# Who keeps it now


def stat(pid: int, comm: str) -> Stat:
    return Stat(pid=pid, comm=comm, state="S", parent=1, process_group=pid, session=pid, start_time=1)


@pytest.mark.parametrize(
    ("groups", "parent", "variables", "own_pid", "kind", "name"),
    [
        (recorded_proc.CGROUP_V2, None, frozenset(), 42, "systemd", "ssh.service"),
        (recorded_proc.CGROUP_OF_USER, None, frozenset(), 42, "systemd --user", "syncthing.service"),
        (b"", stat(7, "sh"), frozenset({"NUMEN_INVOCATION"}), 42, "numen", "numen"),
        (b"", stat(7, "runsv"), frozenset(), 42, "runit", "runsv"),
        (b"", stat(7, "supervisord"), None, 42, "supervisor", "supervisord"),
        (b"", stat(1, "tini"), frozenset(), 42, "container", "tini"),
        (b"", stat(1, "systemd"), frozenset(), 42, "", ""),
        (b"", stat(1, "init"), frozenset(), 42, "", ""),
        (b"", stat(7, "sh"), frozenset(), 1, "container", ""),
        (b"", stat(7, "sh"), frozenset({"HOME"}), 42, "", ""),
        (b"", None, None, 42, "", ""),
    ],
)
def test_the_keeper_is_told_by_evidence(
    tmp_path: Path,
    groups: bytes,
    parent: Stat | None,
    variables: frozenset[str] | None,
    own_pid: int,
    kind: str,
    name: str,
) -> None:
    found = machine(tmp_path, {}).keeper(groups.decode(), parent, variables, own_pid)

    assert (found.kind, found.name) == (kind, name)
    assert bool(found.evidence) == bool(kind)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/usr/bin/python3.11", True),
        ("/usr/bin/python", True),
        ("/bin/sh", True),
        ("node", True),
        ("/usr/bin/perl5.36", True),
        ("/usr/sbin/sshd", False),
        ("/opt/python-server", False),
        ("", False),
    ],
)
def test_an_interpreter_is_told_by_its_name(path: str, expected: bool) -> None:
    assert is_interpreter(path) is expected
