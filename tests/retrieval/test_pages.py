"""Pages of hits are parts of one order, however hits are found, ranked, folded and grouped."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import lurcher
from lurcher.bundle.bundle import Bundle
from lurcher.errors import FieldError
from lurcher.retrieval import several
from lurcher.retrieval.query import Query
from lurcher.retrieval.results import SearchResult
from lurcher.retrieval.snapshot import Snapshot

CAT = "the cat sleeps on bread"
WAYS = st.fixed_dictionaries(
    {
        "retrieve": st.sampled_from(["hybrid", "dense", "lexical"]),
        "rank": st.sampled_from(["off", "maxsim", "reader"]),
        "fold": st.booleans(),
        "group_by": st.sampled_from([None, "document"]),
    }
)


@pytest.fixture(scope="module")
def docs(answering_bundle: Path) -> Iterator[lurcher.Collection]:
    with lurcher.open(answering_bundle, threads=1) as collection:
        yield collection


@given(WAYS, st.integers(3, 12), st.integers(1, 5))
def test_pages_put_together_are_one_search(
    docs: lurcher.Collection, ways: Any, candidates: int, size: int
) -> None:
    size = min(size, candidates)
    whole = docs.search(CAT, candidates, candidates=candidates, **ways).hits
    pages: list[Any] = []
    for offset in range(0, candidates - size + 1, size):
        pages += docs.search(CAT, size, offset=offset, candidates=candidates, **ways).hits
    if ways["group_by"]:  # a search that wants more documents than candidates have looks further
        whole = whole[: len(pages)]
    assert [(hit.id, hit.scores) for hit in pages] == [
        (hit.id, hit.scores) for hit in whole[: candidates // size * size]
    ]


def test_a_page_after_the_last_hit_is_empty(docs: lurcher.Collection) -> None:
    count = len(docs.passages)
    assert docs.search(CAT, 5, offset=count, candidates=count + 5).hits == []
    assert len(docs.search(CAT, 5, offset=count - 2, candidates=count + 5).hits) == 2


@pytest.mark.parametrize(
    ("candidates", "rank", "last"), [(None, "auto", 75), (None, "off", 100), (20, "off", 20)]
)
def test_a_page_beyond_the_candidates_is_refused(
    docs: lurcher.Collection, candidates: int | None, rank: Any, last: int
) -> None:
    docs.search(CAT, 5, offset=last - 5, candidates=candidates, rank=rank)
    reason = rf"offset \+ top_k is {last + 1}, and pages are parts of {last} candidates"
    with pytest.raises(FieldError, match=reason) as caught:
        docs.search(CAT, 5, offset=last - 4, candidates=candidates, rank=rank)
    assert caught.value.field == "offset"


def test_an_offset_below_0_is_refused(docs: lurcher.Collection) -> None:
    with pytest.raises(FieldError, match="offset: must be at least 0, not -1"):
        docs.search(CAT, 5, offset=-1)


def test_pages_of_several_collections_are_parts_of_one_order(answering_bundle: Path) -> None:
    bundle = Bundle.open(answering_bundle)
    both = {"a": Snapshot(bundle, 1), "b": Snapshot(bundle, 1)}
    query = several.common(Query(CAT, 12, candidates=12), both)
    pages = [replace(query, top_k=4, offset=offset) for offset in (0, 4, 8)]
    whole, *parts = several.run([query, *pages], both)
    assert isinstance(whole, SearchResult)
    assert len(whole.hits) == 12
    found = [hit for part in parts if isinstance(part, SearchResult) for hit in part.hits]
    assert [(hit.collection, hit.id) for hit in found] == [
        (hit.collection, hit.id) for hit in whole.hits
    ]
    with pytest.raises(FieldError, match="offset: of grouped hits, ask one collection"):
        several.common(replace(pages[1], group_by="document"), both)
    bundle.close()
