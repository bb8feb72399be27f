"""Passages of one text come in the order of the corpus, whatever is asked for and however it is ranked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.passages import Condition
from lurcher.feedback.online import Change
from lurcher.index_builder.build import BuildOptions
from lurcher.retrieval.query import Query, RankMode
from lurcher.retrieval.rerank import Document, RerankRequest
from lurcher.retrieval.results import SearchResult
from lurcher.retrieval.snapshot import Snapshot
from tests.shared import Shared
from tests.tiny import TINY, build

SAME = "The office is closed at Easter"
COUNT = 90
RANKS: list[RankMode] = ["off", "maxsim", "decoder", "reader"]


def copied(i: int) -> bool:
    return i % 3 != 1


@pytest.fixture(scope="module")
def repeated(write_jsonl: Callable[[Path, Iterable[Any]], Path], shared: Shared) -> Path:
    """A bundle of which two thirds are one text, encoded a few at a time, with all that ranks."""

    def make(made: Path) -> None:
        words = ["cat", "bread", "glacier", "the", "sleeps", "closed", "office", "open", "valley"]
        draw = np.random.default_rng(0)
        records = [
            {
                "id": f"p{i:02}",
                "text": SAME if copied(i) else " ".join(draw.choice(words, 2 + i % 17)),
                "metadata": {"even": i % 2 == 0},
            }
            for i in range(COUNT)
        ]
        corpus = write_jsonl(made / "corpus.jsonl", records)
        options = BuildOptions(encoder=TINY, answers=True)
        build(corpus, made / "repeated.lurcher", options, chunk_size=16)

    return shared.once("repeated", make) / "repeated.lurcher"


@pytest.fixture(scope="module")
def snapshot(repeated: Path) -> Iterator[Snapshot]:
    with closing(Snapshot(Bundle.open(repeated), 1)) as opened:
        yield opened


def ids(snapshot: Snapshot, queries: Sequence[Query]) -> list[list[str]]:
    found = []
    for result in snapshot.run(queries):
        assert isinstance(result, SearchResult), result
        found.append([hit.id for hit in result.hits])
    return found


COPIES = [f"p{i:02}" for i in range(COUNT) if copied(i)]


def test_passages_of_one_text_have_one_vector_and_one_set_of_codes(snapshot: Snapshot) -> None:
    """To the last bit, though other passages were read beside each of them."""
    rows = np.array([i for i in range(COUNT) if copied(i)])
    assert len(np.unique(snapshot.bundle.vectors.vectors(rows), axis=0)) == 1
    for store in (snapshot.bundle.tokens, snapshot.bundle.reading):
        assert store is not None
        codes, counts = store.gather(rows)
        assert len(set(counts.tolist())) == 1
        assert len(np.unique(codes.reshape(len(rows), -1), axis=0)) == 1


@pytest.mark.parametrize("rank", RANKS)
@pytest.mark.parametrize("top_k", [1, 5, 23, 60])
def test_the_first_of_the_corpus_come_first(snapshot: Snapshot, rank: RankMode, top_k: int) -> None:
    depths = [None] if rank == "off" else [None, top_k, top_k + 1, 2 * top_k + 20, COUNT]
    queries = [Query(SAME, top_k, rank=rank, candidates=depth) for depth in depths]
    for found in ids(snapshot, queries):
        assert found == COPIES[:top_k]


@pytest.mark.parametrize("rank", RANKS)
def test_a_filter_leaves_their_order(snapshot: Snapshot, rank: RankMode) -> None:
    even = (Condition("even", "in", (True,)),)
    query = Query(SAME, 9, even, rank=rank, candidates=None if rank == "off" else 12)
    (found,) = ids(snapshot, [query])
    assert found == [f"p{i:02}" for i in range(0, COUNT, 2) if copied(i)][:9]


def test_a_batch_leaves_their_order(snapshot: Snapshot) -> None:
    queries = [Query(SAME, 1 + i % 7, rank=RANKS[i % 2]) for i in range(40)]
    for query, found in zip(queries, ids(snapshot, queries), strict=True):
        assert found == COPIES[: query.top_k]


def test_what_feedback_raises_comes_first_and_the_others_keep_their_order(repeated: Path) -> None:
    text, raised = "when is easter", [COPIES[4], COPIES[9]]
    rest = [id_ for id_ in COPIES if id_ not in raised]
    with closing(Snapshot(Bundle.open(repeated), 1)) as learning:
        learning.learn([Change(text, id_, 1.0) for id_ in reversed(raised)])
        for rank in RANKS:
            (found,) = ids(learning, [Query(text, 12, rank=rank)])
            assert found == raised + rest[:10]


def test_equal_documents_are_reranked_in_their_order(snapshot: Snapshot) -> None:
    texts = [SAME if copied(i) else f"a cat sleeps {'in the valley ' * i}" for i in range(20)]
    encoded = snapshot.encode_documents([Document(text) for text in texts])
    rows = np.array(list(snapshot.bundle.passages.rows_of(COPIES).values()))
    of_texts, of_rows = snapshot.rerank(
        [RerankRequest("easter", tuple(encoded)), RerankRequest("easter", rows)]
    )
    assert not isinstance(of_texts, Exception)
    assert not isinstance(of_rows, Exception)
    assert len({float(of_texts.scores[i]) for i in range(20) if copied(i)}) == 1
    assert len(set(of_rows.scores.tolist())) == 1
