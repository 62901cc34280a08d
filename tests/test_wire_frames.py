"""Messages on a connection: whole, bounded, and of nothing but JSON."""

import json
import math
from itertools import cycle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from numen.wire.frames import DEEPEST, BadMessage, Frames, decode, encode

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda below: st.lists(below, max_size=4) | st.dictionaries(TEXT, below, max_size=4),
    max_leaves=20,
)
MESSAGE = st.dictionaries(TEXT, JSON, max_size=5)


@given(MESSAGE)
def test_what_is_encoded_is_decoded_to_the_same(message: dict[str, Any]) -> None:
    data = encode(message)

    assert data.count(b"\0") == 1
    assert decode(data.removesuffix(b"\0")) == message


SHORT = st.dictionaries(TEXT, st.none() | TEXT, max_size=2)


@given(st.lists(SHORT, max_size=5), st.lists(st.integers(1, 50), min_size=1, max_size=5))
def test_messages_are_found_however_their_bytes_arrive(messages: list[dict[str, Any]], sizes: list[int]) -> None:
    whole = b"".join(map(encode, messages))
    frames = Frames(1 << 20)
    found = []
    size = cycle(sizes)
    while whole:
        part = next(size)
        frames.feed(whole[:part])
        whole = whole[part:]
        while (text := frames.take()) is not None:
            found.append(decode(text))

    assert found == messages
    assert len(frames) == 0


@pytest.mark.parametrize("length", [9, 10, 11, 12])
def test_a_message_may_be_as_long_as_agreed_and_no_longer(length: int) -> None:
    frames = Frames(10)
    frames.feed(b"x" * length + b"\0")

    if length <= 10:
        assert frames.take() == b"x" * length
    else:
        with pytest.raises(BadMessage, match="longer than 10 bytes"):
            frames.take()


def test_what_grows_longer_than_agreed_is_refused_before_its_end_has_come() -> None:
    frames = Frames(10)
    frames.feed(b"x" * 10)
    assert frames.take() is None

    frames.feed(b"x")
    with pytest.raises(BadMessage, match="longer than 10 bytes"):
        frames.take()


@pytest.mark.parametrize("opening", ['{"a":', "["])
def test_a_message_may_be_nested_as_deep_as_agreed_and_no_deeper(opening: str) -> None:
    def nested(depth: int) -> bytes:
        closing = "}" if opening == '{"a":' else "]"
        return ('{"a":' + opening * (depth - 1) + "1" + closing * (depth - 1) + "}").encode()

    decode(nested(DEEPEST))
    for deeper in DEEPEST + 1, 10_000, 1_000_000:
        with pytest.raises(BadMessage, match="nested deeper"):
            decode(nested(deeper))


def test_a_message_may_be_broad() -> None:
    assert len(decode(b'{"a":[' + b"{}," * 10_000 + b"[]]}")["a"]) == 10_001


@pytest.mark.parametrize(
    "text",
    [b"", b"[]", b"1", b"null", b'"a"', b"{", b"{}{}", b"{'a':1}", b'{"a":NaN}', b'{"a":Infinity}', b'{"a":-1e999}'],
)
def test_what_is_no_object_of_json_is_refused(text: bytes) -> None:
    with pytest.raises(BadMessage, match="no message"):
        decode(text)


@pytest.mark.parametrize(
    "text", [b'{"a":"\xff"}', b'{"\xc3(":1}', b'{"a":"\\ud800"}', b'{"\\uDfFf":1}', b"\xef\xbb\xbf{}"]
)
def test_what_is_no_text_is_refused(text: bytes) -> None:
    with pytest.raises(BadMessage, match="no message"):
        decode(text)


def test_a_pair_of_surrogates_is_the_text_that_it_says() -> None:
    assert decode(b'{"a":"\\ud83d\\ude00\\\\ud800"}') == {"a": "\N{GRINNING FACE}\\ud800"}


def test_what_no_utf_8_can_say_is_sent_as_a_question_mark() -> None:
    assert decode(encode({"path": "a\udcffb\N{SNOWMAN}"})[:-1]) == {"path": "a?b\N{SNOWMAN}"}


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_number_that_json_has_not_got_is_not_sent(number: float) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        encode({"a": number})


@pytest.mark.fuzz
@given(st.binary() | st.text('{}[]":,\\\\ud8019eE.+-truefalsn ').map(str.encode))
def test_any_bytes_are_a_message_or_refused(text: bytes) -> None:
    try:
        message = decode(text)
    except BadMessage:
        return
    assert message == json.loads(text)
