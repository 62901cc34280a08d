"""Modes as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from numen.errors import BadOption
from numen.settings.octal import octal


@pytest.mark.parametrize(("text", "mask"), [("0", 0), ("022", 0o22), ("77", 0o77), ("0777", 0o777), ("000", 0)])
def test_a_umask_is_octal(text: str, mask: int) -> None:
    assert octal(text) == mask


@pytest.mark.fuzz
@given(st.text() | st.text("01234567 89-+_o"))
def test_any_text_is_a_umask_or_refused(text: str) -> None:
    try:
        mask = octal(text)
    except BadOption:
        return
    assert 0 <= mask <= 0o777
    assert not text.strip("01234567")
