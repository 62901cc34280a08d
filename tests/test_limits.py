"""What the kernel lets the daemon use, as /proc shows it."""

from pathlib import Path

import pytest

import observe
from daemons import begin_script, run_script, said_in, wait_until_said
from processes import Reaper

CHANGING = """
    from numen.become import limits
    {change}
    say("changed")
    rest()
"""


def change(directory: Path, reaper: Reaper, change: str) -> observe.Process:
    """What /proc says of a process that has made this change to itself."""
    process = begin_script(directory, reaper, CHANGING.format(change=change))
    wait_until_said(directory, "changed")
    return observe.look(process.pid)


def fail(directory: Path, change: str) -> str:
    """The class of error by which this change is refused."""
    script = f"""
        from numen.become import limits
        from numen.errors import DaemonError
        try:
            limits.{change}
        except DaemonError as error:
            say(type(error).__name__)
    """
    assert run_script(directory, script).returncode == 0
    return said_in(directory)[-1]


def test_each_limit_is_set_soft_and_hard(tmp_path: Path, reaper: Reaper) -> None:
    chosen = '{"open-files": (50, 60), "file-size": (2**20, 2**30), "processes": (1000, 1000)}'
    seen = change(tmp_path, reaper, f"limits.set_limits({chosen})").limits
    assert seen["open files"] == (50, 60)
    assert seen["file size"] == (2**20, 2**30)
    assert seen["processes"] == (1000, 1000)


def test_no_core_file_is_written(tmp_path: Path, reaper: Reaper) -> None:
    assert change(tmp_path, reaper, "limits.prevent_core_dumps()").limits["core file size"] == (0, 0)


def test_core_files_may_be_as_large_as_the_hard_limit_permits(tmp_path: Path, reaper: Reaper) -> None:
    lowering = 'limits.set_limits({"core-size": (0, 2**20)})'
    seen = change(tmp_path, reaper, f"{lowering}; limits.allow_core_dumps()")
    assert seen.limits["core file size"] == (2**20, 2**20)


def test_nice_and_the_oom_score_are_set(tmp_path: Path, reaper: Reaper) -> None:
    seen = change(tmp_path, reaper, "limits.set_nice(19); limits.set_oom_score(1000)")
    assert (seen.nice, seen.oom_score_adj) == (19, 1000)


def test_a_limit_that_does_not_exist_is_a_bad_option(tmp_path: Path) -> None:
    assert fail(tmp_path, 'set_limits({"wishes": (1, 1)})') == "BadOption"


def test_an_oom_score_out_of_range_is_unusable(tmp_path: Path) -> None:
    assert fail(tmp_path, "set_oom_score(1001)") == "Unusable"


@pytest.mark.needs_user
@pytest.mark.parametrize("change", ["set_nice(-20)", "set_oom_score(-1000)"])
def test_what_only_root_may_set_is_a_matter_of_permission(tmp_path: Path, change: str) -> None:
    assert fail(tmp_path, change) == "NoPermission"


@pytest.mark.needs_user
def test_a_hard_limit_is_not_raised_again(tmp_path: Path) -> None:
    again = 'set_limits({"open-files": (20, 20)}); limits.set_limits({"open-files": (20, 30)})'
    assert fail(tmp_path, again) == "NoPermission"
