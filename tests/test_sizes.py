"""Sizes in bytes as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from numen.errors import BadOption
from numen.settings.sizes import parse_size

K = 1024


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("4096", 4096),
        ("10B", 10),
        ("10K", 10 * K),
        ("10kb", 10 * K),
        ("10KiB", 10 * K),
        ("50MB", 50 * K**2),
        ("1GiB", K**3),
        (" 2t ", 2 * K**4),
    ],
)
def test_a_size_means_its_bytes_and_every_k_is_1024(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", " ", "K", "-1", "1.5K", "10i", "10ib", "5bb", "1KK", "1e3", "٣", "1 K", "10X"])
def test_what_is_no_size_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(BadOption, match="is no size; write one like"):
        parse_size(text)


def test_a_number_beyond_all_that_the_kernel_counts_is_refused() -> None:
    with pytest.raises(BadOption):
        parse_size("9" * 5000)


@given(
    number=st.integers(0, 10**12),
    prefix=st.sampled_from([("", 1), ("k", K), ("m", K**2), ("g", K**3)]),
    end=st.sampled_from(["", "b", "ib"]),
)
def test_every_unit_may_be_written_in_three_ways_and_in_any_case(
    number: int, prefix: tuple[str, int], end: str
) -> None:
    letter, factor = prefix
    text = f"{number}{letter}{end if letter else ''}"

    assert parse_size(text) == parse_size(text.upper()) == number * factor


@pytest.mark.fuzz
@given(st.text() | st.text("0123456789kKmMgGtTiIbB "))
def test_any_text_is_a_size_or_refused(text: str) -> None:
    try:
        size = parse_size(text)
    except BadOption:
        return
    assert 0 <= size < 2**63
