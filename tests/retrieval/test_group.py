"""Hits by document, by a first stage of made-up candidates, and in a real bundle."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lurcher
from lurcher.bundle.bundle import PASSAGES
from lurcher.bundle.passages import Passages, Rows
from lurcher.models.encoders.tokenizer import Tokens
from lurcher.retrieval.query import Candidates, Plan, Query, QueryFeatures, QueryState
from lurcher.retrieval.stages.group import Deepen, Group
from tests.tiny import TinyOptions, build

FEATURES = QueryFeatures(cast("Tokens", None), np.zeros(1, np.float32))


class Documents:
    """Passages whose documents are given, best passage first."""

    def __init__(self, documents: Sequence[str]) -> None:
        self._documents, self.depths = documents, list[int]()

    def documents(self, rows: Rows) -> list[str]:
        return [self._documents[row] for row in rows.tolist()]

    def retrieve(self, states: Sequence[QueryState]) -> list[QueryState]:
        depths = [state.plan.depth for state in states]
        self.depths += depths
        return [replace(s, candidates=self.best(d)) for s, d in zip(states, depths, strict=True)]

    def best(self, depth: int) -> Candidates:
        rows = np.arange(min(depth, len(self._documents)))
        return Candidates(rows, {"dense": -rows.astype(np.float32)})


def stages(documents: Documents) -> tuple[Deepen, Group]:
    passages = cast("Passages", documents)
    return Deepen(passages, [documents.retrieve, list]), Group(passages)


def state(documents: Documents, depth: int, top_k: int, **options: Any) -> QueryState:
    plan = Plan(None, "off", ("dense",), depth, depth)
    query = Query("q", top_k, **{"group_by": "document", **options})
    return QueryState(query, plan, None, FEATURES, candidates=documents.best(depth))


def grouped(documents: Documents, depth: int, top_k: int) -> list[int]:
    deepen, group = stages(documents)
    (found,) = group(deepen([state(documents, depth, top_k)]))
    return found.candidates.rows.tolist()


def test_the_best_passage_of_each_document_is_kept() -> None:
    assert grouped(Documents("abacbd"), 6, 3) == [0, 1, 3]


def test_it_looks_deeper_until_there_are_enough_documents() -> None:
    documents = Documents("a" * 50 + "bcd")
    assert grouped(documents, 4, 3) == [0, 50, 51]
    assert documents.depths == [16, 64]


def test_of_what_is_found_deeper_one_passage_a_document_is_ranked() -> None:
    documents = Documents("aaaa" + "b" * 20 + "a" * 20 + "c" * 20)
    deepen, _ = stages(documents)
    (found,) = deepen([state(documents, 4, 3)])
    assert found.candidates.rows.tolist() == [0, 1, 2, 3, 4, 44]


def test_fewer_documents_than_wanted_are_all_found() -> None:
    assert grouped(Documents("aabb"), 2, 5) == [0, 2]


def test_what_is_not_grouped_stays_as_it_is() -> None:
    documents = Documents("aab")
    deepen, group = stages(documents)
    plain = state(documents, 2, 2, group_by=None)
    assert group(deepen([plain])) == [plain]
    assert documents.depths == []


@given(st.text("abcde", min_size=1, max_size=60), st.integers(1, 8), st.integers(1, 8))
def test_it_is_the_plain_rule(documents: str, depth: int, top_k: int) -> None:
    first = {document: documents.index(document) for document in documents}
    wanted = sorted(first.values())[:top_k]
    assert grouped(Documents(documents), max(depth, top_k), top_k) == wanted


@pytest.fixture(scope="module")
def split_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A long document about cats, split into some twenty passages, and two short ones of one passage each."""
    folder = tmp_path_factory.mktemp("split")
    long = "\n\n".join(f"The cat sleeps on warm windowsill number {i}." for i in range(40))
    texts = {"long": long, "short": "A cat sleeps in the orchestra.", "bread": "Bread rises."}
    corpus = folder / "c.jsonl"
    lines = [json.dumps({"id": id_, "text": text}) + "\n" for id_, text in texts.items()]
    corpus.write_text("".join(lines))
    build(corpus, folder / "c.lurcher", TinyOptions(window=20, overlap=0))
    return folder / "c.lurcher"


@pytest.fixture(scope="module")
def split(split_bundle: Path) -> Iterator[lurcher.Collection]:
    with lurcher.open(split_bundle, threads=1) as collection:
        yield collection


@pytest.mark.parametrize("rank", ["off", "maxsim"])
def test_hits_are_of_different_documents(split: lurcher.Collection, rank: Any) -> None:
    query = "the cat sleeps on the warm windowsill"
    plain = split.search(query, 3, rank=rank)
    assert {hit.passage.document for hit in plain.hits} == {"long"}
    hits = split.search(query, 3, rank=rank, group_by="document").hits
    assert hits[0].id == plain.hits[0].id
    assert [hit.passage.document for hit in hits][:2] == ["long", "short"]
    assert len({hit.passage.document for hit in hits}) == len(hits) == 3


def test_documents_of_rows_are_in_their_order(split_bundle: Path) -> None:
    with closing(Passages(split_bundle / PASSAGES)) as passages:
        last = passages.count - 1
        assert passages.documents(np.array([last, 0, 1])) == ["bread", "long", "long"]
