"""The compact set says what a plain set says."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lurcher.index_builder.judged.seen import Seen


@given(st.lists(st.integers(0, 60).map(str), max_size=200), st.integers(1, 8))
def test_a_text_is_new_once(texts: list[str], recent: int) -> None:
    seen, twin = Seen(recent), set[str]()
    for text in texts:
        assert seen.add(text) == (text not in twin)
        twin.add(text)


def test_many_texts_are_told_apart() -> None:
    seen = Seen()
    assert all(seen.add(str(number)) for number in range(150_000))
    assert not any(seen.add(str(number)) for number in range(0, 150_000, 7))
