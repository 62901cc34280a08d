"""Files that must not be led astray: the way to them, link by link."""

import os
from pathlib import Path

import pytest

from numen.kernel.files import steps, untrusted_part
from processes import unprivileged


@pytest.fixture
def trusted(public_path: Path) -> Path:
    """A directory in which nobody but this user can change anything."""
    place = public_path / "trusted"
    place.mkdir(0o755)
    return place


@pytest.fixture
def shared(public_path: Path) -> Path:
    """A directory in which everybody writes."""
    place = public_path / "shared"
    place.mkdir()
    place.chmod(0o777)
    return place


def test_a_way_that_only_this_user_can_change_is_trusted(trusted: Path) -> None:
    (trusted / "link").symlink_to("../trusted")

    assert untrusted_part(str(trusted / "file")) is None
    assert untrusted_part(str(trusted / "link" / "file")) is None
    assert untrusted_part(str(trusted / "link" / ".." / "trusted" / "." / "file")) is None


def test_a_relative_path_begins_where_this_process_is(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(shared)

    assert untrusted_part("file") == str(shared)


@pytest.mark.parametrize("target", ["../trusted", "{trusted}", "../trusted/link"])
def test_a_link_that_stands_where_others_write_makes_what_it_leads_to_untrusted(
    trusted: Path, shared: Path, target: str
) -> None:
    (trusted / "link").symlink_to(".")
    (shared / "logs").symlink_to(target.format(trusted=trusted))

    assert untrusted_part(str(shared / "logs" / "file")) == str(shared)
    (trusted / "far").symlink_to(shared / "logs")
    assert untrusted_part(str(trusted / "far" / "file")) == str(shared)
    (shared / "file").symlink_to(trusted / "file")
    assert untrusted_part(str(shared / "file")) == str(shared)


@pytest.mark.needs_root
def test_a_link_that_another_user_laid_in_a_sticky_directory_is_not_trusted(trusted: Path, shared: Path) -> None:
    shared.chmod(0o1777)
    (shared / "logs").symlink_to(trusted)
    assert untrusted_part(str(shared / "logs" / "file")) is None

    os.chown(shared / "logs", unprivileged().uid, -1, follow_symlinks=False)

    assert untrusted_part(str(shared / "logs" / "file")) == str(shared)


def test_a_way_that_leads_nowhere_is_not_trusted(trusted: Path) -> None:
    (trusted / "round").symlink_to("round")

    assert untrusted_part(str(trusted / "missing" / "file")) == str(trusted / "missing")
    assert untrusted_part(str(trusted / "round" / "file")) == str(trusted / "round")


def test_in_a_new_root_links_lead_as_they_do_inside(trusted: Path) -> None:
    (trusted / "bin").mkdir()
    (trusted / "bin" / "link").symlink_to("/lib/../../program")
    (trusted / "lib").mkdir()
    (trusted / "program").touch()

    entries = [entry for _place, entry, _found in steps("/bin/link", str(trusted))]

    assert entries == ["/bin", "/bin/link", "/lib", "/program"]
