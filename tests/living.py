"""Segments made of the passages of another bundle, so that a test can cut a bundle as it likes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.copies import words_key
from lurcher.bundle.frequencies import Frequencies
from lurcher.bundle.jagged import JaggedStore
from lurcher.bundle.passages import Passage, Passages, Rows
from lurcher.bundle.postings import Postings
from lurcher.bundle.segment import Segment
from lurcher.bundle.vectors import VectorIndex
from lurcher.index_builder.near_duplicates import first_alike


def frozen(bundle: Bundle) -> Bundle:
    """``bundle``, whose document frequencies stay as they are whatever becomes of its segments."""
    words = bundle.segments[0].lexical
    assert words is not None
    codecs = replace(bundle.codecs, frequencies=Frequencies.of(words))
    return replace(bundle, codecs=codecs)


def piece(
    whole: Segment, rows: Sequence[int], passages: Sequence[Passage] | None = None
) -> Segment:
    """A segment in memory of the passages at ``rows`` of ``whole``, or of others, encoded like them."""
    order = np.array(rows, np.int64)
    kept = list(passages or whole.passages.get(rows))
    texts = [passage.text for passage in kept]
    assert whole.vectors is not None
    return Segment.of(
        "", Passages.in_memory(kept),
        vectors=VectorIndex.like(whole.vectors, whole.vectors.vectors(order)),
        lexical=None if whole.lexical is None else _words(whole.lexical, order),
        tokens=_entries(whole.tokens, order), reading=_entries(whole.reading, order),
        states=_entries(whole.states, order), copies=first_alike(texts),
        keys=np.array([words_key(text) for text in texts], np.uint64),
    )  # fmt: skip


def _entries(store: JaggedStore | None, rows: Rows) -> JaggedStore | None:
    if store is None:
        return None
    columns = [store.gather(rows, number)[0] for number in range(len(store.columns))]
    return JaggedStore.of(columns, store.counts(rows).reshape(-1, 1))


def _words(postings: Postings, rows: Rows) -> Postings:
    terms, counts, kept, steps = [], [], [], []
    places = {row: place for place, row in enumerate(rows.tolist())}
    letters, starts = postings.vocabulary.terms.columns[0], postings.vocabulary.terms.starts
    for place in range(len(postings.vocabulary)):
        held, saturation = postings.of_term(place)
        own = sorted(
            (places[row], step)
            for row, step in zip(held.tolist(), saturation.tolist(), strict=True)
            if row in places
        )
        if own:
            terms.append(letters[starts[place] : starts[place + 1]].tobytes())
            counts.append(len(own))
            kept += [row for row, _ in own]
            steps += [step for _, step in own]
    return Postings.of(
        len(rows), terms, np.array(counts, np.int64), np.array(kept, np.int64), np.array(steps, np.uint8)
    )  # fmt: skip
