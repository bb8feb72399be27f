"""What may be searched together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lurcher.bundle.bundle import Bundle
from lurcher.errors import FieldError
from lurcher.models.ranker.presets import PRESETS
from lurcher.retrieval.capabilities import LEXICAL_WEIGHT
from lurcher.retrieval.query import Query, ReadOptions
from lurcher.retrieval.results import SearchResult
from lurcher.retrieval.several import check_comparable, common, run
from lurcher.retrieval.snapshot import Snapshot


@pytest.fixture(scope="module")
def bundle(answering_bundle: Path) -> Iterator[Bundle]:
    opened = Bundle.open(answering_bundle)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def one(bundle: Bundle) -> Snapshot:
    return Snapshot(bundle, 1)


def other(bundle: Bundle, **changes: object) -> Snapshot:
    """The same with another manifest."""
    return Snapshot(replace(bundle, manifest=bundle.manifest.model_copy(update=changes)), 1)


def test_encoders_of_two_fingerprints_are_refused_and_both_named(
    bundle: Bundle, one: Snapshot
) -> None:
    check_comparable("collections", {"a": one, "b": one}, reads=True)
    encoder = bundle.encoder.model_copy(update={"fingerprint": f"sha256:{'0' * 64}", "name": "odd"})
    apart = other(bundle, encoder=encoder, ranker=None)
    with pytest.raises(FieldError, match=r"'b' and 'c' have different encoders \(tiny, odd\)"):
        check_comparable("collections", {"a": one, "b": one, "c": apart}, reads=False)


def test_readers_of_different_files_rank_nothing_together(bundle: Bundle, one: Snapshot) -> None:
    files = bundle.manifest.files
    changed = {
        name: entry.model_copy(update={"sha256": "0" * 64})
        for name, entry in files.items()
        if name.startswith("reader/")
    }
    assert changed
    another = other(bundle, files=files | changed)
    query = Query("a sleeping cat", rank="reader")
    with pytest.raises(FieldError, match=r"^rank: 'a' and 'b' have different models"):
        common(query, {"a": one, "b": another})
    assert common(query, {"a": one, "b": one}).rank == "reader"
    assert common(replace(query, rank="auto"), {"a": one, "b": another}).rank == "maxsim"
    check_comparable("collections", {"a": one, "b": another}, reads=False)
    with pytest.raises(FieldError, match=r"^collections: 'a' and 'b' have different readers"):
        check_comparable("collections", {"a": one, "b": another}, reads=True)


def test_words_count_the_same_in_all(bundle: Bundle, one: Snapshot) -> None:
    able = one.capabilities
    pair = {"a": Snapshot(bundle, 1), "b": Snapshot(bundle, 1)}
    for snapshot, gain in zip(pair.values(), (0.2, 0.6), strict=True):
        snapshot.capabilities = replace(able, lexical=gain)
    query = common(Query("a sleeping cat"), pair)
    weights = [one.capabilities.plan(query).lexical_weight for one in pair.values()]
    assert weights == pytest.approx([0.4 * LEXICAL_WEIGHT] * 2)
    pair["b"].capabilities = replace(able, lexical=None)
    assert common(Query("a sleeping cat"), pair).retrieve == "dense"


def test_code_beside_prose_is_weighed_as_prose(bundle: Bundle, one: Snapshot) -> None:
    build = bundle.manifest.build.model_copy(update={"preset": "code"})
    code, query = other(bundle, build=build), Query("a sleeping cat")
    alone = common(query, {"a": code, "b": code})
    assert code.capabilities.plan(alone).late_weight == PRESETS["code"].late
    mixed = common(query, {"a": code, "b": one})
    plans = [each.capabilities.plan(mixed) for each in (code, one)]
    assert [plan.late_weight for plan in plans] == [PRESETS["prose"].late] * 2
    assert plans[0].lexical_weight == plans[1].lexical_weight


def test_equal_hits_come_in_the_order_of_the_collections(one: Snapshot) -> None:
    pair = {"first": one, "second": one}
    (found,) = run([common(Query("a sleeping cat", 4), pair)], pair)
    assert isinstance(found, SearchResult)
    names, ids = zip(*((hit.collection, hit.id) for hit in found.hits), strict=True)
    assert names == ("first", "second", "first", "second")
    assert ids[0] == ids[1]
    assert ids[2] == ids[3] != ids[0]


def test_the_same_words_are_one_answer_that_of_the_collection_where_they_are_surest(
    bundle: Bundle, one: Snapshot
) -> None:
    reader = bundle.manifest.reader
    assert reader is not None
    doubtful = other(bundle, reader=reader.model_copy(update={"offset": reader.offset - 1}))
    query = Query("who built a telescope", read=ReadOptions(answers=3, min_score=0))
    (alone,) = one.run([query])
    pair = {"doubtful": doubtful, "sure": one}
    (found,) = run([common(query, pair)], pair)
    assert isinstance(alone, SearchResult)
    assert isinstance(found, SearchResult)
    assert found.answers == [replace(answer, collection="sure") for answer in alone.answers]
    assert len(found.answers) == 3


def test_a_query_at_fault_spoils_no_other(one: Snapshot) -> None:
    pair = {"first": one, "second": one}
    texts = ["a sleeping cat", "an old telescope", "a boat"]
    queries = [common(Query(text, 4), pair) for text in texts]
    queries[1] = replace(queries[1], rank="t5")
    good, bad, other_good = run(queries, pair)
    assert isinstance(bad, FieldError)
    assert bad.reason.startswith("'first': this bundle has no T5")
    for query, found in ((queries[0], good), (queries[2], other_good)):
        (alone,) = run([query], pair)
        assert isinstance(found, SearchResult)
        assert isinstance(alone, SearchResult)
        assert found.hits == alone.hits
