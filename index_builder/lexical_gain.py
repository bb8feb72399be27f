"""How much better words find a corpus's own phrases than vectors do.

One vector holds all of a sentence, and little of what a long passage says. Where passages are long, most
phrases in them are found by their words alone, and the lexical score has to count; where they are short, the
vectors find them as well, and it would do harm (docs/lexical.md has the figures). So a build measures it:
runs of eight words, drawn from the passages themselves, are searched for in both indexes.
"""

from __future__ import annotations

import numpy as np

from lurcher.bundle.lexical_index import LexicalIndex
from lurcher.bundle.passages import Rows
from lurcher.bundle.segmented.passages import PassageStore
from lurcher.bundle.segmented.vectors import VectorStore
from lurcher.models.encoders.encoder import Encoder

Phrase = tuple[int, str]  # the row of the passage that has it, and its words

_PHRASES, _WORDS = 250, 8
# Of a text without blanks, where a run of words is no phrase.
_CHARACTERS = 80
_DEPTH = 100


def own_phrases(passages: PassageStore, seed: int) -> list[Phrase]:
    """Runs of eight words, each of another passage, at most 250; none of a passage without words."""
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.choice(passages.rows(()), min(_PHRASES, passages.count), replace=False))
    phrases = []
    for row, passage in zip(rows.tolist(), passages.get(rows.tolist()), strict=True):
        words = passage.text.split()
        start = int(rng.integers(max(1, len(words) - _WORDS + 1)))
        if words:
            phrases.append((row, " ".join(words[start : start + _WORDS])[:_CHARACTERS]))
    return phrases


def lexical_gain(
    phrases: list[Phrase], encoder: Encoder, vectors: VectorStore, lexical: LexicalIndex
) -> float:
    """MRR@100 of ``phrases`` by their words, minus that by vectors of ``encoder``, -1 to 1; 0 for none."""
    if not phrases:
        return 0.0
    texts = [text for _, text in phrases]
    near = [rows for _, rows in vectors.top(encoder.encode(texts), _DEPTH)]
    query_terms = lexical.analyser.query_terms
    worded = [lexical.top(lexical.look_up(query_terms(text)), _DEPTH)[1] for text in texts]
    return _mean_reciprocal_rank(phrases, worded) - _mean_reciprocal_rank(phrases, near)


def _mean_reciprocal_rank(phrases: list[Phrase], found: list[Rows]) -> float:
    places = [np.flatnonzero(rows == row) for (row, _), rows in zip(phrases, found, strict=True)]
    return float(np.mean([1 / (1 + place[0]) if len(place) else 0.0 for place in places]))
