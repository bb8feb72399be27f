"""Folding: one of all passages with nearly the same text is found, with their number."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import pytest

import lurcher
from lurcher.retrieval.duplicates import folded
from tests.tiny import build

FIRST = np.array([0, 1, 0, 3, 1, 0])


def test_without_a_filter_the_first_of_each_stands_for_all() -> None:
    rows, counts = folded(FIRST, None)
    assert rows.tolist() == [0, 1, 3]
    assert counts.tolist() == [3, 2, 1]


def test_under_a_filter_the_first_that_passes_stands_for_those_that_pass() -> None:
    rows, counts = folded(FIRST, np.array([2, 3, 4, 5]))
    assert rows.tolist() == [2, 3, 4]
    assert counts.tolist() == [2, 1, 1]


@pytest.fixture(scope="module")
def repetitive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[lurcher.Collection]:
    """Thirty copies of a notice in two languages' folders, and two passages of their own."""
    folder = tmp_path_factory.mktemp("repetitive")
    records = [
        {"id": f"n{i:02}", "text": "The cat sleeps on the warm windowsill.", "lang": "ab"[i % 2]}
        for i in range(30)
    ]
    records += [
        {"id": "own", "text": "The cat sleeps in the orchestra.", "lang": "a"},
        {"id": "bread", "text": "Bread rises because yeast turns sugar into gas.", "lang": "b"},
    ]
    corpus = folder / "c.jsonl"
    corpus.write_text("".join(json.dumps(record) + "\n" for record in records))
    build(corpus, folder / "c.lurcher")
    with lurcher.open(folder / "c.lurcher", threads=1) as collection:
        yield collection


@pytest.mark.parametrize("rank", ["off", "maxsim"])
def test_copies_are_one_hit_with_their_number(repetitive: lurcher.Collection, rank: str) -> None:
    plain = repetitive.search("a sleeping cat", 3, rank=rank)  # type: ignore[arg-type]
    assert [hit.id for hit in plain.hits if hit.duplicates] == []
    hits = repetitive.search("a sleeping cat", 3, rank=rank, fold=True).hits  # type: ignore[arg-type]
    assert {hit.id: hit.duplicates for hit in hits} == {"n00": 29, "own": 0, "bread": 0}


def test_copies_are_counted_under_the_filter(repetitive: lurcher.Collection) -> None:
    hits = repetitive.search("a sleeping cat", 3, filter={"lang": "b"}, fold=True).hits
    assert {hit.id: hit.duplicates for hit in hits} == {"n01": 14, "bread": 0}
