"""What is learnt, changed and forgotten leaves what learning only the rest would have left."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lurcher.bundle.passages import Rows
from lurcher.bundle.vectors import Vectors
from lurcher.feedback.online import Change, OnlineIndex
from lurcher.text import normalised

DIMENSION, PASSAGES = 16, 6


def unit(vectors: Vectors) -> Vectors:
    normed: Vectors = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return normed


PASSAGE_VECTORS = unit(
    np.random.default_rng(1).standard_normal((PASSAGES, DIMENSION)).astype(np.float32)
)


def passage_vectors(rows: Rows) -> Vectors:
    found: Vectors = PASSAGE_VECTORS[rows]
    return found


def encode(texts: Sequence[str]) -> Vectors:
    """Stands for an encoder: a direction for each normalised text."""
    drawn = [
        np.random.default_rng(zlib.crc32(normalised(text).encode())).standard_normal(DIMENSION)
        for text in texts
    ]
    return unit(np.array(drawn, np.float32).reshape(-1, DIMENSION))


def rows_of(ids: Sequence[str]) -> dict[str, int]:
    """Passages are called by their rows here; others are not in the bundle."""
    return {id_: int(id_) for id_ in ids if id_.isdigit() and int(id_) < PASSAGES}


def online(scanned: int = 4_096) -> OnlineIndex:
    return OnlineIndex(DIMENSION, rows_of, passage_vectors, scanned)


def learn(known: OnlineIndex, *changes: Change) -> None:
    """As a snapshot does it."""
    texts = known.unknown(changes)
    known.learn(changes, texts, encode(texts))


def nearest(known: OnlineIndex, vectors: Vectors, k: int) -> list[dict[str, float]]:
    """What a search finds, by text."""
    similarities, numbers = known.search(vectors, k)
    assert similarities.shape == numbers.shape
    return [
        {known.text(n): s for s, n in zip(*row, strict=True) if s > -np.inf}
        for row in zip(similarities.tolist(), numbers.tolist(), strict=True)
    ]


def state(known: OnlineIndex) -> dict[str, float]:
    """All that can be asked of it, with texts in the place of numbers, which are its own affair."""
    found: dict[str, float] = {"len": len(known)}
    (everyone,) = nearest(known, encode(["anything"]), 100) if len(known) else ({},)
    for text, similarity in everyone.items():
        found[f"nearest: {normalised(text)}"] = similarity
    for row in range(PASSAGES):
        found[f"has: {row}"] = known.has(row)
        for number, label in known.known_of(row):
            text = normalised(known.text(number))
            found[f"known of {row}: {text}"] = label
            for other, score, part in known.labels(number):
                found[f"score: {text} {other}"], found[f"label: {text} {other}"] = score, part
        if known.has(row):
            found.update({f"sum of {row}: {i}": x for i, x in enumerate(known.sum_of(row))})
    return found


@pytest.fixture
def known() -> OnlineIndex:
    return online()


def test_nothing_is_known_at_first(known: OnlineIndex) -> None:
    assert len(known) == 0
    assert not known.has(0)
    assert known.known_of(0) == []


def test_a_query_learnt_is_found_by_its_own_text(known: OnlineIndex) -> None:
    learn(known, Change("What is yeast?", "2", 3.0), Change("glaciers", "4", 1.0))
    assert len(known) == 2
    (similarities,), (numbers,) = known.search(encode(["what is  YEAST?"]), 2)
    assert similarities[0] == pytest.approx(1, abs=1e-3)
    assert known.text(numbers[0]) == "What is yeast?"
    ((row, score, label),) = known.labels(numbers[0])
    assert (row, label) == (2, 1.0)
    wanted = float(encode(["What is yeast?"])[0] @ PASSAGE_VECTORS[2])
    assert score == pytest.approx(wanted, abs=1e-3)


def test_only_texts_that_are_new_need_vectors(known: OnlineIndex) -> None:
    learn(known, Change("a  b", "0", 1.0))
    changes = [Change("A b", "1", 1.0), Change("c", "0", 1.0), Change(" C ", "1", 1.0)]
    assert [normalised(text) for text in known.unknown(changes)] == ["c"]
    learn(known, *changes)
    assert len(known) == 2
    assert known.unknown(changes) == []


def test_a_query_found_is_one_with_labels(known: OnlineIndex) -> None:
    learn(known, Change("a", "0", 1.0), Change("b", "1", 1.0))
    learn(known, Change("a", "0", 0.0))
    assert len(known) == 1
    assert nearest(known, encode(["a"]), 5)[0].keys() == {"b"}
    assert not known.has(0)
    learn(known, Change("b", "1", 0.0), Change("a", "2", 1.0))
    assert nearest(known, encode(["b"]), 5)[0].keys() == {"a"}


def test_labels_are_parts_of_the_largest(known: OnlineIndex) -> None:
    learn(known, Change("a", "0", 1.0), Change("a", "3", 4.0))
    assert {row: label for row, _, label in known.labels(0)} == {0: 0.25, 3: 1.0}
    assert known.known_of(0) == [(0, 0.25)]
    learn(known, Change("a", "3", 0.5))
    assert {row: label for row, _, label in known.labels(0)} == {0: 1.0, 3: 0.5}
    learn(known, Change("a", "3", 0.0))
    assert {row: label for row, _, label in known.labels(0)} == {0: 1.0}


def test_a_sum_follows_every_change(known: OnlineIndex) -> None:
    a, b = encode(["a", "b"])

    def is_sum(row: int, wanted: Vectors) -> None:
        np.testing.assert_allclose(known.sum_of(row), wanted, atol=1e-3)

    learn(known, Change("a", "0", 1.0), Change("b", "0", 1.0))
    is_sum(0, a + b)
    learn(known, Change("b", "1", 2.0))  # which halves b's label of 0
    is_sum(0, a + b / 2)
    is_sum(1, b)
    learn(known, Change("b", "1", 0.0))
    is_sum(0, a + b)
    learn(known, Change("a", "0", 0.0))
    is_sum(0, b)


@given(
    st.lists(
        st.lists(
            st.builds(
                Change,
                st.sampled_from(["a", "A ", "b", "c", "d", "e", "f"]),
                st.integers(0, PASSAGES - 1).map(str),
                st.sampled_from([0.0, 0.0, 0.5, 1.0, 2.0]),
            ),
            max_size=6,
        ),
        max_size=8,
    ),
    st.sampled_from([0, 3, 100]),
)
def test_what_is_left_is_what_learning_the_rest_alone_leaves(
    steps: list[list[Change]], scanned: int
) -> None:
    """Beyond ``scanned`` known queries they are partitioned: at once, sometimes or never."""
    went, surviving = online(scanned), online(scanned)
    last: dict[tuple[str, str], Change] = {}
    for step in steps:
        learn(went, *step)
        state(went)  # asked in between, so that what is remembered of it must be forgotten
        last.update({(normalised(change.query), change.passage): change for change in step})
    left = [change for change in last.values() if change.weight > 0]
    learn(surviving, *left)
    assert state(went) == pytest.approx(state(surviving), abs=1e-5)
    assert len(went) == len({normalised(change.query) for change in left})


def test_what_came_and_went_in_one_step_leaves_nothing(known: OnlineIndex) -> None:
    learn(known, Change("a", "0", 1.0), Change("A", "0", 0.0), Change("never known", "3", 0.0))
    assert (len(known), known.has(0), known.has(3)) == (0, False, False)
    assert known.unknown([Change("never known", "3", 0.0)]) == []
    learn(known, Change("a", "0", 1.0))
    learn(known, Change("a", "0", 0.0), Change("a", "1", 1.0))
    assert list(nearest(known, encode(["a"]), 3)[0]) == ["a"]


def test_after_many_removals_the_silent_ones_are_gone(known: OnlineIndex) -> None:
    learn(known, *[Change(f"query {i}", f"{i % PASSAGES}", 1.0) for i in range(300)])
    learn(known, *[Change(f"query {i}", f"{i % PASSAGES}", 0.0) for i in range(290)])
    assert len(known) == 10
    similarities, _ = known.search(encode(["query 295"]), 300)
    assert similarities.shape[1] == 10
    assert known.unknown([Change("query 5", "0", 1.0)]) == ["query 5"]
    for i in range(290, 300):
        (found,) = nearest(known, encode([f"query {i}"]), 1)
        assert list(found) == [f"query {i}"]
        assert known.has(i % PASSAGES)
    learn(known, Change("query 5", "5", 1.0))
    assert list(nearest(known, encode(["query 5"]), 1)[0]) == ["query 5"]


def test_removed_queries_do_not_keep_others_from_being_found(known: OnlineIndex) -> None:
    learn(known, *[Change(f"query {i}", "0", 1.0) for i in range(40)])
    learn(known, *[Change(f"query {i}", "0", 0.0) for i in range(0, 40, 2)])
    left = [f"query {i}" for i in range(1, 40, 2)]
    asked = encode(["one", "two", "three"])
    exact = asked @ encode(left).T
    for k in (1, 3, 30):
        for found, scores in zip(nearest(known, asked, k), exact, strict=True):
            best = np.argsort(-scores)[:k]
            assert set(found) == {left[i] for i in best}
            wanted = np.sort(scores[best])
            np.testing.assert_allclose(sorted(found.values()), wanted, atol=2e-3)


def test_a_passage_that_the_bundle_lacks_teaches_nothing(known: OnlineIndex) -> None:
    learn(known, Change("a", "no such passage", 1.0), Change("b", "1", 1.0))
    assert (len(known), known.has(1)) == (1, True)
    assert nearest(known, encode(["a"]), 3)[0].keys() == {"b"}
    learn(known, Change("b", "no such passage", 0.0))
    assert known.known_of(1) == [(1, 1.0)]
