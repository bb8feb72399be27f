"""Recall is counted, and the effort that reaches it is found."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from lurcher.bundle.index_building import build_index
from lurcher.bundle.passages import Passage, Passages, PassageWriter
from lurcher.bundle.vectors import VectorIndex, Vectors
from lurcher.index_builder.progress import Silent, progress_bar
from lurcher.index_builder.search_effort import DEPTH, recall, recall_at, sample_queries, tune

TEXTS = [f"query {i}" for i in range(40)]

rows = st.lists(st.integers(0, 30), min_size=5, max_size=5, unique=True)


@given(st.lists(st.tuples(rows, rows), min_size=1, max_size=6))
def test_recall_is_the_mean_share_found(pairs: list[tuple[list[int], list[int]]]) -> None:
    found, exact = (np.array(side) for side in zip(*pairs, strict=True))
    shares = [len(set(f) & set(e)) / 5 for f, e in pairs]
    assert recall(found, exact) == pytest.approx(sum(shares) / len(shares), abs=1e-4)


def test_rows_that_are_missing_count_as_not_found() -> None:
    assert recall(np.array([[0, 1, -1, -1]]), np.array([[0, 1, 2, 3]])) == 0.5


class FixedEncoder:
    """Stands for an encoder: gives the same vectors for any texts."""

    def __init__(self, vectors: Vectors) -> None:
        self._vectors = vectors

    def encode(self, texts: Sequence[str]) -> Vectors:
        assert len(texts) == len(self._vectors)
        return self._vectors


@pytest.fixture(scope="module")
def vectors() -> Vectors:
    found = np.random.default_rng(1).standard_normal((4_000, 24)).astype(np.float32)
    normed: Vectors = found / np.linalg.norm(found, axis=1, keepdims=True)
    return normed


@pytest.fixture(scope="module")
def encoder(vectors: Vectors) -> Any:
    noise = np.random.default_rng(2).standard_normal((40, 24)).astype(np.float32)
    return FixedEncoder(vectors[:40] + 0.1 * noise)


def recount(index: VectorIndex, vectors: Vectors, encoder: Any) -> float:
    """Recall@100 in plain words: of the hundred highest products, how many are found."""
    queries = encoder.encode(TEXTS)
    found = index.search(queries, DEPTH)[1]
    exact = np.argsort(-(queries @ vectors.T), axis=1)[:, :DEPTH]
    return float(np.mean([len(set(f) & set(e)) / DEPTH for f, e in zip(found, exact, strict=True)]))


@pytest.mark.parametrize(("factory", "target"), [("HNSW8_SQ8", 0.95), ("IVF64,SQ8", 0.9)])
def test_the_effort_reaches_the_target_and_an_eighth_less_does_not(
    vectors: Vectors, encoder: Any, factory: str, target: float
) -> None:
    index = VectorIndex(build_index(vectors, factory, 0, lambda _: None))
    effort, reached = tune(index, vectors, encoder, TEXTS, target, Silent())
    assert effort is not None
    assert effort > 16
    assert reached >= target
    index.set_effort(effort)
    assert recount(index, vectors, encoder) == pytest.approx(reached, abs=1e-3)
    index.set_effort(effort - max(1, effort // 8) - 1)
    assert recount(index, vectors, encoder) < target


def test_a_target_out_of_reach_gets_the_highest_effort_and_what_it_reached(
    vectors: Vectors, encoder: Any
) -> None:
    index = VectorIndex(build_index(vectors, "IVF16,PQ4x4", 0, lambda _: None))
    effort, reached = tune(index, vectors, encoder, TEXTS, 1.0, Silent())
    assert effort == 4_096
    assert reached < 0.9
    assert recount(index, vectors, encoder) == pytest.approx(reached, abs=1e-3)


def test_the_recall_at_an_effort_is_the_one_that_tuning_saw(vectors: Vectors, encoder: Any) -> None:
    index = VectorIndex(build_index(vectors, "HNSW8_SQ8", 0, lambda _: None))
    effort, reached = tune(index, vectors, encoder, TEXTS, 0.95, Silent())
    assert recall_at(index, vectors, encoder, TEXTS, effort) == reached
    assert recall_at(index, vectors, encoder, TEXTS, 8) < reached
    assert recall_at(index, vectors, encoder, [], 8) == 1.0


def test_an_exact_index_needs_no_effort(vectors: Vectors, encoder: Any) -> None:
    index = VectorIndex(build_index(vectors, "Flat", 0, lambda _: None))
    assert tune(index, vectors, encoder, TEXTS, 0.98, Silent()) == (None, 1.0)


def test_a_corpus_smaller_than_a_page_is_measured_whole(vectors: Vectors, encoder: Any) -> None:
    index = VectorIndex(build_index(vectors[:7], "Flat", 0, lambda _: None))
    assert tune(index, vectors[:7], encoder, TEXTS, 0.98, Silent()) == (None, 1.0)


def test_without_a_query_there_is_nothing_to_miss(vectors: Vectors, encoder: Any) -> None:
    index = VectorIndex(build_index(vectors[:7], "Flat", 0, lambda _: None))
    assert tune(index, vectors[:7], encoder, [], 0.98, Silent()) == (None, 1.0)


def test_queries_are_titles_or_the_first_words_of_texts(tmp_path: Path) -> None:
    writer = PassageWriter(tmp_path / "passages.db")
    words = " ".join(map(str, range(30)))
    writer.append(
        [
            Passage("long title", words, "A title of words"),
            Passage("short title", words, "Two words"),
            Passage("empty", ""),
            Passage("blank", " \n ", " "),
        ],
        4,
        0,
    )
    writer.finish()
    passages = Passages(tmp_path / "passages.db")
    assert sample_queries(passages, 0) == ["A title of words", " ".join(map(str, range(12)))]
    passages.close()


def test_queries_are_drawn_by_the_seed(tmp_path: Path) -> None:
    writer = PassageWriter(tmp_path / "passages.db")
    writer.append([Passage(str(i), f"text {i}") for i in range(2_000)], 2_000, 0)
    writer.finish()
    passages = Passages(tmp_path / "passages.db")
    first, again, other = (sample_queries(passages, seed) for seed in (0, 0, 1))
    passages.close()
    assert len(set(first)) == 500
    assert first == again != other


def test_the_bar_tells_stage_and_count_and_goes_away() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    with progress_bar(console) as bar:
        bar.stage("encoding", 200, done=50)
        bar.advance(25)
        bar._progress.refresh()
    drawn = console.file.getvalue()  # type: ignore[attr-defined]  # it is the StringIO above
    assert "encoding" in drawn
    assert "75/200" in drawn
