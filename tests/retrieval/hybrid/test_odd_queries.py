"""Queries as people and programs send them: no sign is syntax, and none is an error, in any mode."""

from __future__ import annotations

from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lurcher.retrieval.query import Query, RankMode, RetrieveMode
from lurcher.retrieval.results import SearchResult
from lurcher.retrieval.snapshot import Snapshot
from tests.retrieval.hybrid.searching import MODES, ask, ids

TERMLESS = ["?!", "…", "- + ( ) : * ^ ~", "😀", "👩‍👩‍👧 🏳️‍🌈", '"', '""', "«", "'"]
OPERATORS = [
    "cat AND bread", "cat OR bread", "NOT cat", "+cat -bread", "(cat", "cat) bread(", "title:cat",
    "cat^4 bread~2", "ca* br?ad", "[cat TO dog]", "{a TO b}", "cat && bread || !sun", "/cat.*/",
    r"cat\ bread", "text:(cat AND bread)", '"cat sleeps', 'cat" sleeps', "“cat sleeps", "cat’ «bread",
    "a", "I", "é", "猫", "%", "cat\x00bread", "cat\nAND\tbread", "<b>cat</b>", "';--", "NULL", "_all",
]  # fmt: skip
LONG = "the of and to " * 580 + "cat"  # some 8,000 characters
NUMBERS = "0 " * 4_000


def results(
    snapshot: Snapshot, text: str, rank: RankMode = "off"
) -> dict[RetrieveMode, SearchResult]:
    return {mode: ask(snapshot, Query(text, 60, retrieve=mode, rank=rank)) for mode in MODES}


@pytest.mark.parametrize("rank", ["off", "maxsim"])
@pytest.mark.parametrize("text", TERMLESS)
def test_without_terms_meaning_alone_finds(snapshot: Snapshot, text: str, rank: RankMode) -> None:
    found = results(snapshot, text, rank)
    assert found["lexical"].hits == []
    assert ids(found["hybrid"].hits) == ids(found["dense"].hits)
    assert len(found["dense"].hits) == 60
    assert [one.scores["lexical"] for one in found["hybrid"].hits] == [0.0] * 60
    scores = [one.score for one in found["dense"].hits]
    assert [one.score for one in found["hybrid"].hits] == pytest.approx(scores, abs=1e-6)


@pytest.mark.parametrize("syntax", ["plain", "phrase"])
@pytest.mark.parametrize("text", [*OPERATORS, *TERMLESS, LONG, NUMBERS])
def test_whatever_is_written_is_searched_for(snapshot: Snapshot, text: str, syntax: str) -> None:
    for mode in MODES:
        query = Query(text, 60, retrieve=mode, query_syntax=syntax)  # type: ignore[arg-type]  # one of its values
        scores = [hit.score for hit in ask(snapshot, query).hits]
        assert scores == sorted(scores, reverse=True)


def test_signs_are_no_operators(snapshot: Snapshot) -> None:
    def worded(text: str) -> list[tuple[str, float]]:
        hits = ask(snapshot, Query(text, 60, retrieve="lexical", rank="off")).hits
        return [(hit.id, hit.score) for hit in hits]

    plain = worded("cat bread glacier")
    assert len({id_.split("-")[1] for id_, _ in plain}) == 3
    for text in (
        "+cat -bread (glacier",
        '"cat bread" glacier',
        "cat^ bread~ glacier*",
        "cat: bread, glacier?",
    ):
        assert worded(text) == plain
    assert worded("NOT cat") != []  # nothing is left out


def test_many_stop_words_take_little_time_and_find_what_else_there_is(snapshot: Snapshot) -> None:
    start = perf_counter()
    hits = ask(snapshot, Query(LONG, 60, retrieve="lexical", rank="off")).hits
    assert perf_counter() - start < 1
    assert hits[0].id.startswith("en-animals")


def test_one_letter_is_a_word(snapshot: Snapshot) -> None:
    found = ids(ask(snapshot, Query("a", 60, retrieve="lexical", rank="off")).hits)
    assert {"en-earth-0", "en-food-1"} & set(found) == {"en-earth-0"}  # "A glacier", not "yeast"


@given(
    st.text(min_size=1, max_size=40).filter(
        lambda text: max(text) < "\ud800" or max(text) > "\udfff"
    )
)
def test_no_text_is_an_error(snapshot: Snapshot, text: str) -> None:
    queries = [
        Query(text, 3, retrieve=mode, rank="off", query_syntax=syntax)  # type: ignore[arg-type]  # its values
        for mode in MODES
        for syntax in ("plain", "phrase")
    ]  # fmt: skip
    assert all(isinstance(one, SearchResult) for one in snapshot.run(queries))
