"""What numen makes is a proper daemon: the audit finds no fault and no warning in it, whatever the options."""

import os
from pathlib import Path

import pytest

from daemons import start_daemon
from detaching import SLEEPER, settled, start
from numen.check.audit import audit
from numen.check.verdict import FAULT, UNKNOWN, WARNING
from processes import Reaper

OPTIONS = (
    (),
    ("--name", "web"),
    ("--pidfile", "{place}/web.pid"),
    ("--ready", "exec"),
    ("--timeout", "30s"),
    ("--directory", "{place}/data"),
    ("--umask", "027"),
    ("--umask", "077"),
    ("--env", "COLOUR=blue"),
    ("--env-file", "{place}/variables"),
    ("--clear-env",),
    ("--stdin", "{place}/input"),
    ("--stdout", "{place}/out.log"),
    ("--stderr", "{place}/err.log"),
    ("--facility", "local0"),
    ("--limit", "open-files=100"),
    ("--limit", "locked-memory=64K"),
    ("--nice", "5"),
    ("--oom-score", "500"),
    ("--children", "default"),
    ("--children", "ignore"),
    ("--no-new-privileges",),
)
"""Each with a value that asks for nothing that the audit warns of."""

OF_ROOT = (
    ("--user", "nobody"),
    ("--user", "nobody", "--group", "daemon"),
    ("--user", "nobody", "--groups", ""),
    ("--user", "nobody", "--groups", "daemon,mail"),
    ("--user", "nobody", "--capability", "net_bind_service"),
    ("--capability", "none"),
    ("--chroot", "/"),
    ("--nice", "-5"),
)

ASKED_FOR = (
    (("--stderr", "null"), "errors-arrive"),
    (("--oom-score", "1000"), "oom-score"),
    (("--env", "DATABASE_PASSWORD=x"), "no-secrets"),
)
"""Values that ask for what the audit warns of: it says that, and nothing else."""


def found(pid: int) -> dict[str, str]:
    """The rules that find something wrong, with what they find."""
    findings = audit(pid).findings
    return {one.rule.name: one.evidence for one in findings if one.verdict in (FAULT, WARNING, UNKNOWN)}


@pytest.fixture
def place(public_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with what the options name, in an environment that hides nothing."""
    for name in set(os.environ) - {"PATH", "HOME", "TMPDIR", "NUMEN_HOME"}:
        if not name.startswith(("XDG_", "PYTEST_")):
            monkeypatch.delenv(name)
    (public_path / "data").mkdir()
    (public_path / "variables").write_text("COLOUR=blue\n")
    (public_path / "input").write_text("")
    return public_path


def detach(reaper: Reaper, place: Path, *options: str) -> int:
    pid = start(reaper, *(option.format(place=place) for option in options), "--", *SLEEPER)
    settled(pid)
    return pid


@pytest.mark.parametrize("options", OPTIONS, ids=" ".join)
def test_nothing_is_wrong_with_what_numen_detaches(reaper: Reaper, place: Path, options: tuple[str, ...]) -> None:
    assert found(detach(reaper, place, *options)) == {}


@pytest.mark.needs_root
@pytest.mark.parametrize("options", OF_ROOT, ids=" ".join)
def test_nothing_is_wrong_with_what_root_detaches(reaper: Reaper, place: Path, options: tuple[str, ...]) -> None:
    assert found(detach(reaper, place, *options)) == {}


@pytest.mark.parametrize(("options", "rule"), ASKED_FOR, ids=lambda value: " ".join(value))
def test_what_was_asked_for_is_told_and_nothing_else(
    reaper: Reaper, place: Path, options: tuple[str, ...], rule: str
) -> None:
    assert list(found(detach(reaper, place, *options))) == [rule]


@pytest.mark.needs_root
def test_a_umask_of_zero_is_told_of_root(reaper: Reaper, place: Path) -> None:
    assert list(found(detach(reaper, place, "--umask", "0"))) == ["safe-umask"]
    assert found(detach(reaper, place, "--umask", "0", "--user", "nobody")) == {}


@pytest.mark.needs_root
def test_core_dumps_are_told_where_they_would_be_written(reaper: Reaper, place: Path) -> None:
    if Path("/proc/sys/kernel/core_pattern").read_text().startswith("|"):
        assert found(detach(reaper, place, "--core-dumps")) == {}
    else:
        assert list(found(detach(reaper, place, "--core-dumps"))) == ["core-dumps"]


def test_a_kept_descriptor_is_no_leak(reaper: Reaper, place: Path) -> None:
    with (place / "data" / "kept").open("w") as kept:
        number = kept.fileno()
        pid = start(reaper, "--keep-fd", str(number), "--", *SLEEPER, pass_fds=[number])
        settled(pid)

    assert found(pid) == {}


def test_nothing_is_wrong_with_a_daemon_context(reaper: Reaper, place: Path) -> None:
    daemon = start_daemon(
        place,
        reaper,
        """\
        with numen.DaemonContext(pidfile="pid", stderr="errors.log") as daemon:
            daemon.ready()
            rest()
        """,
    )

    assert found(daemon.pid) == {}
