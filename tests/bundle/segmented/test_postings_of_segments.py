"""Postings of several segments are added up as one segment of all would add them."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from lurcher.bundle.postings import Postings
from lurcher.bundle.segmented.postings import JoinedPostings
from lurcher.errors import BundleCorrupt

TERMS = [b"a", b"b", b"c", b"d"]


def postings(has: Any, steps: Any) -> Postings:
    """Of the terms of which ``has`` (n, t) has any passage, with ``steps`` (n, t)."""
    some = np.flatnonzero(has.any(axis=0))
    terms, rows = np.nonzero(has[:, some].T)
    return Postings.of(
        len(has), [TERMS[i] for i in some], has[:, some].sum(axis=0), rows, steps[rows, some[terms]]
    )


def test_sums_are_those_of_one_segment() -> None:
    draw = np.random.default_rng(3)
    sizes = [300, 1, 2, 70_000, 5]  # whose rows have one, two and four bytes
    has = draw.random((sum(sizes), len(TERMS))) < [0.3, 0.05, 0.001, 0.6]
    has[300] = False  # a segment without any term
    steps = draw.integers(1, 256, has.shape).astype(np.uint8)
    firsts = np.concatenate([[0], np.cumsum(sizes)]).tolist()
    parts = [postings(has[a:b], steps[a:b]) for a, b in pairwise(firsts)]
    whole, shares = postings(has, steps), draw.random(len(TERMS))
    places = [[part.vocabulary.place(term) for term in TERMS] for part in parts]
    assert any(-1 in own for own in places)
    own = np.array([whole.vocabulary.place(term) for term in TERMS])
    expected = whole.sums(own, shares)
    for small in (0, 400, 10**9):  # none is a small one, some are, all are
        joined = JoinedPostings(parts, firsts, small)
        assert (joined.sums(np.array(places), shares, len(has)) == expected).all()
        assert joined.held(np.array(places)).sum(axis=0).tolist() == has.sum(axis=0).tolist()
        none = joined.sums(np.full((5, 0), -1), shares[:0], len(has))
        assert (none == np.zeros(len(has))).all()


def test_a_row_that_is_none_is_named_and_is_not_another_segments() -> None:
    whole = postings(np.ones((4, 1), bool), np.ones((4, 1), np.uint8))
    wrong = Postings.of(2, [b"a"], np.array([1]), np.array([3]), np.array([1], np.uint8))
    places = np.array([[0], [0]])
    with pytest.raises(BundleCorrupt, match="names row 3 of 2 passages"):
        JoinedPostings([wrong, whole], [0, 2, 6]).sums(places, np.ones(1), 6)
