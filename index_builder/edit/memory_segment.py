"""Encoded passages to a segment in memory, which answers like one of files."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lurcher.bundle.codecs import Codecs
from lurcher.bundle.copies import words_key
from lurcher.bundle.jagged import Array, JaggedLayout, JaggedStore
from lurcher.bundle.manifest import Manifest
from lurcher.bundle.passages import Passage, Passages
from lurcher.bundle.postings import Postings
from lurcher.bundle.reading_store import reading_layout
from lurcher.bundle.segment import Segment
from lurcher.bundle.state_store import state_layout
from lurcher.bundle.token_store import token_layout
from lurcher.bundle.vectors import VectorIndex
from lurcher.index_builder.edit.encode import Encoded
from lurcher.index_builder.lexical_runs import PostingsOf
from lurcher.index_builder.near_duplicates import first_alike
from lurcher.models.lexical.analyser import Analyser
from lurcher.models.lexical.bm25 import TITLE_WEIGHT, length_norms, saturation_steps
from lurcher.models.ranker.seq2seq import RankerConfig


def memory_segment(
    encoded: Encoded, manifest: Manifest, codecs: Codecs, like: VectorIndex | None
) -> Segment:
    """The segment of ``encoded``, one passage or more, for the bundle of ``manifest`` and ``codecs``.

    Its vectors are coded as ``like`` codes its own: a passage scores the same in every segment.
    """
    passages = encoded.passages
    copies = first_alike(passage.text for passage in passages)
    alike = bool((copies != np.arange(len(passages))).any())
    return Segment.of(
        "", Passages.in_memory(passages, encoded.sources, encoded.since),
        vectors=None
        if encoded.vectors is None or like is None
        else VectorIndex.like(like, encoded.vectors),
        lexical=_postings(passages, manifest, codecs),
        tokens=_tokens(encoded, manifest), reading=_reading(encoded, manifest),
        states=_states(encoded, manifest, codecs), copies=copies if alike else None,
        keys=np.array([words_key(passage.text) for passage in passages], np.uint64),
    )  # fmt: skip


def _postings(passages: Sequence[Passage], manifest: Manifest, codecs: Codecs) -> Postings | None:
    settings, analyser = manifest.lexical, codecs.analyser
    if settings is None or analyser is None:
        return None
    collected = collect(passages, analyser)
    terms, counts, rows, tf = collected.sorted()
    lengths = np.frombuffer(collected.lengths, np.float32)
    norms = length_norms(lengths, settings.average_length, settings.k1, settings.b)
    steps = saturation_steps(tf, norms[rows])
    return Postings.of(len(passages), terms, counts, rows, steps)


def collect(passages: Sequence[Passage], analyser: Analyser) -> PostingsOf:
    """The postings of ``passages``."""
    collected = PostingsOf(TITLE_WEIGHT)
    for passage in passages:
        collected.add(analyser.terms(passage.text), analyser.terms(passage.heading))
    return collected


def _tokens(encoded: Encoded, manifest: Manifest) -> JaggedStore | None:
    if manifest.tokens is None or manifest.encoder is None:
        return None
    coded = [one.coded for one in encoded.kept]
    layout = token_layout(manifest.tokens.bits, manifest.encoder.max_tokens)
    columns: list[list[Array]] = [
        [one.codes for one in coded],
        [one.positions for one in coded],
    ]
    return _store(layout, columns, [one.tokens for one in coded])


def _reading(encoded: Encoded, manifest: Manifest) -> JaggedStore | None:
    if manifest.reading is None or manifest.encoder is None:
        return None
    codes = [one.reading for one in encoded.kept if one.reading is not None]
    return _store(reading_layout(manifest.reading.bits, manifest.encoder.max_tokens), [codes])


def _states(encoded: Encoded, manifest: Manifest, codecs: Codecs) -> JaggedStore | None:
    if codecs.states is None or not isinstance(manifest.ranker, RankerConfig):
        return None
    layout = state_layout(codecs.states, manifest.ranker.max_tokens)
    packed = [one.packed for one in encoded.states]
    return _store(layout, [packed], [int(one.truncated) for one in encoded.states])


def _store(
    layout: JaggedLayout, columns: Sequence[Sequence[Array]], *others: Sequence[int]
) -> JaggedStore:
    """The store of ``layout`` that ``JaggedWriter.append`` of the same would write."""
    flat = [
        np.concatenate([one.astype(column.dtype, copy=False) for one in entries])
        for column, entries in zip(layout.columns, columns, strict=True)
    ]
    counts = [[len(one) for one in columns[0]], *others]
    return JaggedStore.of(flat, np.array(counts, layout.count_type).T)
