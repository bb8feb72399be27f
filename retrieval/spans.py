"""Where tokens stand in a passage, and which of them each token of a query is most similar to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lurcher.bundle.passages import Passage, Rows
from lurcher.bundle.token_store import TokenStore
from lurcher.bundle.vectors import Vectors
from lurcher.models.encoders.encoder import Encoder
from lurcher.models.ranker.maxsim import similarities
from lurcher.retrieval.results import Part, Span, TokenMatch


def align_tokens(
    store: TokenStore, projected: Vectors, weights: Vectors, query_spans: Sequence[Span],
    encoder: Encoder, rows: Rows, passages: Sequence[Passage],
) -> list[list[TokenMatch]]:  # fmt: skip
    """For each of the ``passages`` in ``rows`` (C,) its matches, in the order of the query's tokens.

    These are ``projected`` (L, bits) with ``weights`` (L,), and stand at ``query_spans``. ``encoder`` is the
    one that read the passages. A code stands for several tokens of a passage; the one nearest to it is named.
    """
    if not len(rows):
        return []
    codes, counts = store.gather(rows)
    ends = np.cumsum(counts)[:-1]
    found = np.split(similarities(projected, codes), ends)  # (n, L) each
    positions = np.split(store.gather_positions(rows), ends)  # (n,) each
    token_spans = encoder.own_spans_batch([passage.content for passage in passages])
    return [
        _matches(weights, query_spans, similarity, position, spans, passage)
        if len(position)
        else []
        for similarity, position, spans, passage in zip(
            found, positions, token_spans, passages, strict=True
        )
    ]


def _matches(
    weights: Vectors, query_spans: Sequence[Span], found: Vectors, positions: Rows,
    spans: Sequence[Span], passage: Passage,
) -> list[TokenMatch]:  # fmt: skip
    """The matches of one passage, whose codes are similar by (n, L) and stand for ``positions`` (n,)."""
    tokens = positions[found.argmax(axis=0)]
    matches = []
    for mine, token, similarity, weight in zip(
        query_spans, tokens.tolist(), found.max(axis=0).tolist(), weights.tolist(), strict=True
    ):  # fmt: skip
        if token >= len(spans):  # a store that was not made of this text
            continue
        place = in_passage(passage, spans[token])
        if place is not None and mine[0] < mine[1]:
            matches.append(TokenMatch(mine, *place, similarity, weight))
    return matches


def in_passage(passage: Passage, span: Span) -> tuple[Part, Span] | None:
    """The part of ``passage`` that a ``span`` of its content lies in, and where there; None if in neither.

    Its heading counts as title. A span that reaches over the blank between title and text lies in the part
    with more of it.
    """
    heading = passage.heading
    whole = f"{heading} {passage.text}"
    stripped = len(whole) - len(whole.lstrip())
    start, end = span[0] + stripped, span[1] + stripped
    title = (start, min(end, len(heading)))
    before = len(heading) + 1
    text = (max(start - before, 0), end - before)
    inside: list[tuple[Part, Span]] = [("text", text), ("title", title)]
    part, place = max(inside, key=lambda one: one[1][1] - one[1][0])
    return (part, place) if place[0] < place[1] else None
