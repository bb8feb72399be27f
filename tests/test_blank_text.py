"""What shows nothing is blank, whatever Unicode calls it; what shows anything is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lurcher.text import is_blank

UNSEEN = [
    "", " ", "\t\n\u3000\u00a0", "\u200b", "\u200c\u200d\u2060\ufeff", "\u00ad", "\u202e\u2066",
    "\x00\x1b\x7f", "\u034f", "\u115f\u1160\u3164\uffa0", "\u2800", "\ufe0f\U000e0100", "\U000e0041",
]  # fmt: skip


@pytest.mark.parametrize("text", UNSEEN)
def test_what_shows_nothing_is_blank(text: str) -> None:
    assert is_blank(text)


@pytest.mark.parametrize("text", ["a", ".", "\u200b!", "猫", "क", "👩‍🚀", "\ufffd", "\u0301", "_"])
def test_what_shows_anything_is_not(text: str) -> None:
    assert not is_blank(text)


@given(parts=st.lists(st.sampled_from(UNSEEN)), letter=st.sampled_from(["", "a", "ж", "か"]))
def test_one_visible_character_decides(parts: list[str], letter: str) -> None:
    assert is_blank("".join([*parts, letter])) is not bool(letter)
