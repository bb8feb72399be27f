"""A passage longer than the encoder reads, which bundles have that were built before documents were split."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.manifest import read_manifest
from lurcher.retrieval.query import Query
from lurcher.retrieval.rerank import Document
from lurcher.retrieval.results import Hit, SearchResult
from lurcher.retrieval.snapshot import Snapshot


@pytest.fixture(scope="module")
def opened(answering_bundle: Path) -> Iterator[Bundle]:
    with closing(Bundle.open(answering_bundle)) as bundle:
        yield bundle


@pytest.fixture(scope="module")
def snapshot(opened: Bundle) -> Snapshot:
    return Snapshot(opened, 1)


def hit_of_long(snapshot: Snapshot, query: str) -> Hit:
    asked = Query(query, 100, extras=frozenset({"token_alignment"}))
    (result,) = snapshot.run([asked])
    assert isinstance(result, SearchResult)
    (found,) = (hit for hit in result.hits if hit.id == "long")
    return found


def test_the_bundle_says_that_it_has_one(answering_bundle: Path) -> None:
    assert read_manifest(answering_bundle).figures.truncated_passages == 1


def test_matches_stay_within_what_is_read_of_it(snapshot: Snapshot) -> None:
    hit = hit_of_long(snapshot, "a penguin in the sand dunes")
    matches = hit.explanation.token_alignment
    assert matches
    assert "dunes" in {hit.text[m.passage[0] : m.passage[1]] for m in matches if m.part == "text"}
    for match in matches:
        assert match.part == "title" or match.passage[1] < len("sand dunes wander ") * 100


def test_its_codes_are_those_of_a_text_cut_where_it_is(snapshot: Snapshot, opened: Bundle) -> None:
    assert opened.tokens is not None
    row = np.array([opened.passages.rows_of(["long"])["long"]])
    (text,) = opened.passages.contents(row.tolist())
    (one,) = snapshot.encode_documents([Document(text)])
    written, _ = opened.tokens.gather(row)
    assert one.coded.codes.shape == written.shape
    assert np.unpackbits(one.coded.codes ^ written).sum() <= 0.005 * written.size * 8
    (vector,) = opened.vectors.vectors(row)
    np.testing.assert_allclose(one.vector, vector, atol=1e-3)
