"""Resource limits as people write them."""

import resource

import pytest
from hypothesis import given
from hypothesis import strategies as st

from numen.errors import BadOption
from numen.settings.limits import LIMITS, limit_number, parse_limit

INFINITY = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("open-files=65536", ("open-files", (65536, 65536))),
        ("processes=100:200", ("processes", (100, 200))),
        ("locked-memory=unlimited", ("locked-memory", (INFINITY, INFINITY))),
        ("stack-size=8M:unlimited", ("stack-size", (8 * 2**20, INFINITY))),
        ("file-size=1GiB", ("file-size", (2**30, 2**30))),
        ("cpu-seconds=infinity", ("cpu-seconds", (INFINITY, INFINITY))),
        ("nofile=10", ("nofile", (10, 10))),
        ("RLIMIT_NPROC=5:6", ("RLIMIT_NPROC", (5, 6))),
    ],
)
def test_a_limit_is_a_name_and_one_or_two_values(text: str, expected: tuple[str, tuple[int, int]]) -> None:
    assert parse_limit(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "open-files",
        "open-files=",
        "=5",
        "files=5",
        "open-files=x",
        "open-files=1:2:3",
        "open-files=-1",
        "open-files=:",
    ],
)
def test_what_is_no_limit_is_refused(text: str) -> None:
    with pytest.raises(BadOption):
        parse_limit(text)


@pytest.mark.parametrize("text", ["open-files=2:1", "open-files=unlimited:1"])
def test_a_soft_limit_above_the_hard_one_is_refused(text: str) -> None:
    with pytest.raises(BadOption, match=r"the soft limit .* is above the hard limit"):
        parse_limit(text)


def test_an_unknown_limit_is_answered_with_those_that_there_are() -> None:
    with pytest.raises(BadOption, match=r"there are address-space, .*open-files"):
        limit_number("files")


def test_every_limit_has_a_name_of_its_own_and_its_manual_name() -> None:
    assert len(set(LIMITS.values())) == len(LIMITS)
    assert (
        limit_number("open-files") == limit_number("nofile") == limit_number("RLIMIT_NOFILE") == resource.RLIMIT_NOFILE
    )


@pytest.mark.fuzz
@given(st.text() | st.tuples(st.sampled_from([*LIMITS, "nofile"]), st.text("0123456789kmgt:unlimited ")).map("=".join))
def test_any_text_is_a_limit_that_the_kernel_can_count_or_refused(text: str) -> None:
    try:
        name, (soft, hard) = parse_limit(text)
    except BadOption:
        return
    limit_number(name)
    assert all(-1 <= one < 2**63 for one in (soft, hard))
    assert hard == INFINITY or 0 <= soft <= hard
