"""A term is found where it stands, in memory or by bisection, and nothing else is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lurcher.bundle.jagged import JaggedStore
from lurcher.bundle.vocabulary import Vocabulary, encoded


def vocabulary(terms: list[bytes], small: int) -> Vocabulary:
    letters = np.frombuffer(b"".join(terms), np.uint8)
    index = np.array([len(term) for term in terms], np.int64).reshape(-1, 1)
    return Vocabulary.of(JaggedStore.of([letters], index), small)


@pytest.mark.parametrize("small", [0, 1_000])
def test_every_term_of_many_is_found_and_none_beside_them(small: int) -> None:
    """Of a large vocabulary those that are in memory, and those between them."""
    terms = [b"%04d" % n for n in range(0, 2_000, 2)]
    found = vocabulary(terms, small)
    assert len(found) == len(terms)
    assert [found.place(term) for term in terms] == list(range(len(terms)))
    others = [b"", b"0", b"00001", b"1997", b"1999", b"2"]
    assert [found.place(term) for term in others] == [-1] * len(others)


@given(st.sets(st.text(max_size=3)), st.lists(st.text(max_size=3)))
def test_both_ways_find_the_same(words: set[str], asked: list[str]) -> None:
    terms = sorted(map(encoded, words))
    kept, bisected = vocabulary(terms, len(terms)), vocabulary(terms, -1)
    for term in map(encoded, [*words, *asked]):
        place = terms.index(term) if term in terms else -1
        assert kept.place(term) == bisected.place(term) == place
