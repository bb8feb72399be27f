"""The ``neighbours/`` of a bundle: known queries encoded, tuned on, and written beside the passages.

The known queries are encoded by the teacher, whose space the passages are in; students of it then find
them as they find passages.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import time

import faiss
import numpy as np

from lurcher.bundle.bundle import ENCODER, Bundle
from lurcher.bundle.chunks import chunks
from lurcher.bundle.index_building import build_index, default_factory
from lurcher.bundle.labels import Labels, RowsOf
from lurcher.bundle.neighbours import (
    ADAPTED,
    LABELS,
    LENGTHS,
    MEANS,
    NEIGHBOURS,
    QUERIES,
    SCORES,
    TEXTS,
    AdaptedSettings,
    NeighbourSettings,
    VotingSettings,
)
from lurcher.bundle.passages import Passage, PassageWriter, Rows
from lurcher.bundle.vectors import VectorIndex, VectorRows, Vectors, write_index
from lurcher.errors import FieldError
from lurcher.index_builder.judged.known import Known
from lurcher.index_builder.judged.labels import at_nearest_parts, named, to_labels
from lurcher.index_builder.neighbours.choose import Choice, choose
from lurcher.index_builder.neighbours.splits import (
    JudgedQueries,
    Split,
    hold_out,
    make_unseen,
    sample,
)
from lurcher.index_builder.neighbours.sums import label_scores, label_sums
from lurcher.index_builder.progress import Reporter
from lurcher.index_builder.search_effort import sample_queries, tune
from lurcher.models.encoders.config import EncoderConfig
from lurcher.models.encoders.encoder import Encoder
from lurcher.models.neighbours.adapted import adapted_vectors, unit
from lurcher.text import normalised
from lurcher.threads import available_cpus

# Fewer known queries leave nothing to tune on; the untuned settings are safe.
_LEAST = 10


@dataclass(frozen=True)
class Judged:
    """What is given: queries with labels, and which feedback logs are folded into them."""

    known: Sequence[Known]
    development: Sequence[Known] = ()  # to tune on; none: some of the known ones
    logs: dict[str, int] = field(default_factory=dict)  # id -> last sequence number


@dataclass(frozen=True)
class NeighbourOptions:
    """What can be told of them."""

    keep_unseen: float = 0.99  # of what is found where nobody asked before
    skip_unknown: bool = False
    replace: bool = False  # forget what the bundle knew

    def __post_init__(self) -> None:
        """Raise FieldError for a value out of range."""
        if not 0 <= self.keep_unseen <= 1:
            raise FieldError("keep_unseen", f"{self.keep_unseen} is not from 0 to 1")


def check_similarity(encoder: EncoderConfig) -> None:
    """Raise FieldError for an encoder whose vectors are not at norm 1."""
    if encoder.similarity != "cosine":
        reason = (
            f"known queries need vectors of norm 1, and {encoder.name} is made for dot products"
        )
        raise FieldError("encoder", reason)


def add_neighbours(
    old: Bundle, judged: Judged, options: NeighbourOptions, made: Path, report: Reporter
) -> NeighbourSettings:
    """Write ``neighbours/`` below ``made``, for the passages and the encoder of ``old``.

    Raises FieldError for an encoder whose vectors are not at norm 1, and for judgements that do not fit
    the bundle; ModelError and OSError.
    """
    check_similarity(old.encoder)
    faiss.omp_set_num_threads(available_cpus())
    queries, _, _ = to_labels(judged.known, named(old.passages), options.skip_unknown)
    encoder = Encoder.load(old.path / ENCODER, "teacher", available_cpus())
    reader = old.query_encoder(available_cpus())
    vectors = _encoded(encoder, queries, "known queries", report)
    queries, labels = _located(old, queries, vectors)
    known = JudgedQueries(vectors, labels)
    seed = old.manifest.build.seed
    # Searches are encoded by the bundle's own query encoder, which may be a student.
    as_searches = known.vectors
    if old.encoder.student is not None:
        as_searches = _encoded(reader, queries, "known queries as searches", report)
    report.stage("choosing", None)
    if judged.development:
        tuned_on = judged.development[0].source
        tried, _, _ = to_labels(judged.development, named(old.passages), options.skip_unknown)
        tried = [tried[i] for i in sample(len(tried), seed)]
        vectors = _encoded(reader, tried, "development queries", report)
        _, relevant = _located(old, tried, vectors)
        development = [Split(known, JudgedQueries(vectors, relevant))]
    elif len(queries) >= _LEAST:
        tuned_on = "known queries held out"
        _, texts = np.unique([normalised(query.text) for query in queries], return_inverse=True)
        development = hold_out(known, as_searches, texts, seed)
    else:
        tuned_on, development = f"nothing: fewer than {_LEAST} known queries", []
    choice = Choice("voting", AdaptedSettings(), VotingSettings(), [])
    if development:
        unseen = make_unseen(known, as_searches, old.vectors.count, seed)
        choice = choose(old.vectors, development, unseen, options.keep_unseen)
    (made / NEIGHBOURS).mkdir()
    labelled = np.unique(labels.rows)
    own_sums = label_sums(known, labelled)
    means = unit(own_sums)
    labels.save(made / LABELS, _labelled_ids(queries, old.passages.rows_of))
    np.save(made / SCORES, label_scores(old.vectors, known))
    np.save(made / MEANS, means)
    np.save(made / LENGTHS, np.linalg.norm(own_sums, axis=1))
    _write_texts(made / TEXTS, queries)
    index = build_index(known.vectors, default_factory(len(queries)), 0, report.advance)
    write_index(index, made / QUERIES)
    some = sample(len(queries), seed)
    effort, _ = tune(
        VectorIndex.open(made / QUERIES, None), known.vectors, reader,
        [queries[i].text for i in some], old.manifest.build.recall_target, report,
        choice.voting.neighbours,
    )  # fmt: skip
    adapted_effort = _write_adapted(old, choice, labelled, means, made, reader, report)
    return _settings(
        judged, queries, labels, choice, tuned_on, effort, adapted_effort, old.manifest.generation
    )


def _located(old: Bundle, queries: Sequence[Known], vectors: Vectors) -> tuple[list[Known], Labels]:
    """The queries with their labels at passages, and their Labels; all that they name is in the bundle."""
    located = at_nearest_parts(queries, vectors, old.passages, old.vectors)
    found, labels, _ = to_labels(located, old.passages.rows_of, skip_unknown=False)
    return found, labels


def _labelled_ids(queries: Sequence[Known], rows_of: RowsOf) -> list[str]:
    """The ids of the passages that have a label, by ascending row."""
    rows = rows_of(list({passage for query in queries for passage in query.labels}))
    return sorted(rows, key=rows.__getitem__)


def _encoded(encoder: Encoder, queries: Sequence[Known], what: str, report: Reporter) -> Vectors:
    """The vectors (n, d) of ``queries``."""
    report.stage(f"encoding {what}", len(queries))
    vectors = np.empty((len(queries), encoder.config.dimension), np.float32)
    for rows in chunks(len(queries)):
        vectors[rows] = encoder.encode([query.text for query in queries[rows]])
        report.advance(rows.stop - rows.start)
    return vectors


def _write_texts(file: Path, queries: Sequence[Known]) -> None:
    writer = PassageWriter(file)
    writer.append(
        [Passage(query.id, query.text, "", {"source": query.source}) for query in queries], 0, 0
    )
    writer.finish()


class _Adapted:
    """Passages moved towards their known queries, computed a slice at a time."""

    def __init__(
        self, stored: VectorRows, labelled: Rows, means: Vectors, dense_weight: float
    ) -> None:
        self._stored, self._labelled = stored, labelled
        self._means, self._weight = means, dense_weight

    def __len__(self) -> int:
        return len(self._stored)

    def __getitem__(self, rows: slice, /) -> Vectors:
        vectors = np.array(self._stored[rows])
        first, last = np.searchsorted(self._labelled, [rows.start, rows.stop])
        own = self._labelled[first:last] - rows.start
        vectors[own] = adapted_vectors(vectors[own], self._means[first:last], self._weight)
        return vectors


def _write_adapted(
    old: Bundle, choice: Choice, labelled: Rows, means: Vectors, made: Path, reader: Encoder,
    report: Reporter,
) -> int | None:  # fmt: skip
    """Write the adapted vectors in an index like the passages'; its search effort."""
    moved = _Adapted(old.vectors.stored(), labelled, means, choice.adapted.dense_weight)
    with tempfile.TemporaryFile(dir=made) as scratch:
        # Flat on disk first: an index is trained on a sample of all. Written, not mapped: on a full
        # disk a write fails, and a map kills the process.
        for rows in chunks(len(moved)):
            moved[rows].tofile(scratch)
        scratch.flush()
        shape = (len(moved), means.shape[1])
        vectors = np.memmap(scratch, np.float32, "r", shape=shape)
        report.stage("indexing", len(moved))
        build = old.manifest.build
        write_index(build_index(vectors, build.index, build.seed, report.advance), made / ADAPTED)
        queries = sample_queries(old.passages, build.seed)
        index = VectorIndex.open(made / ADAPTED, None)
        effort, _ = tune(index, vectors, reader, queries, build.recall_target, report)
    return effort


def _settings(
    judged: Judged, queries: Sequence[Known], labels: Labels, choice: Choice, tuned_on: str,
    effort: int | None, adapted_effort: int | None, generation: int,
) -> NeighbourSettings:  # fmt: skip
    sources: dict[str, int] = {}
    for query in queries:
        sources[query.source] = sources.get(query.source, 0) + 1
    return NeighbourSettings(
        mode=choice.mode, adapted=choice.adapted, voting=choice.voting, queries=len(queries),
        labels=len(labels.rows), passages=len(np.unique(labels.rows)), sources=sources,
        logs=judged.logs, search_effort=effort, adapted_effort=adapted_effort,
        development=tuned_on, trials=choice.trials, generation=generation, judged=time(),
    )  # fmt: skip
