"""How far a query names something: a part number, a function, a version, a rare word.

A name says little to an encoder, which takes it apart, and the passage that is meant is the one that has it.
Two signs tell a name: its tokens, and how few passages have it.
"""

from __future__ import annotations

from collections.abc import Sequence

from lurcher.bundle.lexical_index import FEW_PASSAGES, QueryTerms

# An encoder knows common words as one token, and most others as two or three.
_LONG_RUN = 4


def named_share(text: str, spans: Sequence[tuple[int, int]], terms: QueryTerms) -> float:
    """The share of the query ``text`` that names something, 0 to 1, by that sign which says more.

    ``spans`` say where each token stands in it, start and end.
    """
    return max(_taken_apart(text, spans), _rare(terms))


def _taken_apart(text: str, spans: Sequence[tuple[int, int]]) -> float:
    """The share of tokens in unbroken runs of four or more, or with a digit."""
    runs: list[list[tuple[int, int]]] = []
    for span in spans:
        if runs and runs[-1][-1][1] == span[0]:
            runs[-1].append(span)
        else:
            runs.append([span])
    named = sum(
        len(run)
        for run in runs
        if len(run) >= _LONG_RUN or any(map(str.isdigit, text[run[0][0] : run[-1][1]]))
    )
    return named / max(1, len(spans))


def _rare(terms: QueryTerms) -> float:
    """The share of idf that terms have which stand in one to three passages."""
    rare = (terms.frequency > 0) & (terms.frequency <= FEW_PASSAGES)
    total = float(terms.idf.sum())
    return float(terms.idf[rare].sum()) / total if total else 0.0
