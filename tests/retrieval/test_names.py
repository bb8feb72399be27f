"""How far a query names something: by its tokens, and by how few passages have its terms."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lurcher.bundle.lexical_index import QueryTerms
from lurcher.models.encoders.encoder import Encoder
from lurcher.models.lexical.bm25 import inverse_frequency
from lurcher.retrieval.names import named_share
from tests.tiny import TINY

PASSAGES = 1_000


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder.load(TINY, "query", 1)


def terms(*frequency: int) -> QueryTerms:
    """Terms that so many passages have each."""
    counts = np.array(frequency, np.int64)
    idf = inverse_frequency(counts, PASSAGES)
    held = np.flatnonzero(counts > 0)
    return QueryTerms(
        tuple(map(str, range(len(counts)))), np.arange(len(counts)), counts, idf.astype(np.float32),
        held, 0, float(idf.sum()), counts,
    )  # fmt: skip


def spans(*tokens: str) -> tuple[str, list[tuple[int, int]]]:
    """A text of these tokens, of which those that begin with ## go on with the one before; their spans."""
    text, places = "", []
    for token in tokens:
        text += "" if token.startswith("##") or not text else " "
        piece = token.removeprefix("##")
        places.append((len(text), len(text) + len(piece)))
        text += piece
    return text, places


@pytest.mark.parametrize(
    ("tokens", "share"),
    [
        (["the", "cat"], 0.0),
        (["bc", "##-", "##547", "##b"], 1.0),
        (["lib", "##av", "##cod", "##ec"], 1.0),  # four pieces
        (["lib", "##av", "##cod"], 0.0),  # as common words are
        (["what", "is", "lib", "##av", "##cod", "##ec"], 4 / 6),
        (["error", "404"], 1 / 2),  # a digit is enough
        (["in", "python", "3", "##.", "##11"], 3 / 5),
        ([], 0.0),
    ],
)
def test_tokens_in_long_runs_or_with_digits_are_names(tokens: Sequence[str], share: float) -> None:
    assert named_share(*spans(*tokens), terms(500)) == pytest.approx(share)


def test_terms_of_few_passages_are_names() -> None:
    nothing = spans("the", "cat")
    assert named_share(*nothing, terms(400, 20)) == 0.0
    assert named_share(*nothing, terms(1)) == 1.0
    rare, common = inverse_frequency(np.array([3, 400]), PASSAGES)
    assert named_share(*nothing, terms(3, 400)) == pytest.approx(rare / (rare + common), abs=1e-6)
    assert named_share(*nothing, terms(4, 400)) == 0.0
    # What no passage has names nothing that is here, and stands beside what does.
    assert named_share(*nothing, terms(0)) == 0.0
    assert 0 < named_share(*nothing, terms(1, 0)) < 0.6
    assert named_share(*nothing, terms()) == 0.0


def test_the_sign_that_says_more_counts() -> None:
    assert named_share(*spans("error", "404"), terms(1, 400)) > 0.5
    assert named_share(*spans("404"), terms(400)) == 1.0


@given(st.text(max_size=60), st.lists(st.integers(0, PASSAGES), max_size=5))
def test_it_is_a_share_of_any_text(encoder: Encoder, text: str, frequency: list[int]) -> None:
    assert 0 <= named_share(text, encoder.own_spans(text), terms(*frequency)) <= 1 + 1e-6
