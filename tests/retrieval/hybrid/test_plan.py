"""How a query is planned where a bundle has a lexical index, and where it has none."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lurcher.bundle.neighbours import NeighbourSettings
from lurcher.errors import FieldError
from lurcher.retrieval.capabilities import (
    CANDIDATES,
    HYBRID_CANDIDATES,
    LEXICAL_WEIGHT,
    Capabilities,
)
from lurcher.retrieval.query import NeighbourMode, Query, RetrieveMode, RetrieverName
from lurcher.retrieval.snapshot import Snapshot
from tests.retrieval.hybrid.searching import MODES

WORDLESS = Capabilities(tokens=True, decoder=False, t5=False, reader=False, known=None)
WORDS = replace(WORDLESS, lexical=0.3)


@pytest.fixture(scope="module")
def settings(known: Snapshot) -> NeighbourSettings:
    assert known.capabilities.known is not None
    return known.capabilities.known


@pytest.mark.parametrize(
    ("capabilities", "mode", "retrievers"),
    [
        (WORDLESS, "auto", ("dense",)),
        (WORDLESS, "dense", ("dense",)),
        (WORDS, "auto", ("dense", "lexical")),
        (WORDS, "hybrid", ("dense", "lexical")),
        (WORDS, "dense", ("dense",)),
        (WORDS, "lexical", ("lexical",)),
    ],
)
def test_what_finds_is_what_was_asked_for(
    capabilities: Capabilities, mode: RetrieveMode, retrievers: tuple[RetrieverName, ...]
) -> None:
    plan = capabilities.plan(Query("a cat", retrieve=mode))
    assert plan.retrievers == retrievers
    weight = LEXICAL_WEIGHT * 0.3 if "lexical" in retrievers else None
    assert plan.lexical_weight == weight


@pytest.mark.parametrize("mode", ["hybrid", "lexical"])
@pytest.mark.parametrize("syntax", ["plain", "phrase"])
def test_words_that_are_not_indexed_cannot_be_asked_for(mode: RetrieveMode, syntax: str) -> None:
    with pytest.raises(FieldError, match="`lurcher build`") as error:
        WORDLESS.plan(Query("a cat", retrieve=mode, query_syntax=syntax))  # type: ignore[arg-type]  # its values
    assert error.value.field in ("retrieve", "query_syntax")
    for other in ("auto", "dense"):
        query = Query("a cat", retrieve=other, query_syntax="phrase")  # type: ignore[arg-type]  # they are
        with pytest.raises(FieldError, match="`lurcher build`") as error:
            WORDLESS.plan(query)
        assert error.value.field == "query_syntax"


@pytest.mark.parametrize(
    ("query", "depth", "each"),
    [
        (Query("a"), HYBRID_CANDIDATES, CANDIDATES),
        (Query("a", 90), 90, CANDIDATES),
        (Query("a", 300), 300, 300),
        (Query("a", candidates=20), 20, CANDIDATES),
        (Query("a", candidates=200), 200, 200),
        (Query("a", 3, rank="off"), 3, CANDIDATES),
        (Query("a", retrieve="dense"), CANDIDATES, CANDIDATES),
        (Query("a", retrieve="lexical"), CANDIDATES, CANDIDATES),
        (Query("a", 3, rank="off", retrieve="dense"), 3, 3),
        (Query("a", 3, rank="off", retrieve="lexical"), 3, 3),
    ],
)
def test_two_indexes_are_asked_for_more_than_is_kept(query: Query, depth: int, each: int) -> None:
    plan = WORDS.plan(query)
    assert (plan.depth, plan.retrieval_depth) == (depth, each)


def test_routes_are_told_how_many_are_ranked() -> None:
    told = {mode: WORDS.default_candidates("auto", mode) for mode in MODES}
    assert told == {
        "auto": HYBRID_CANDIDATES, "hybrid": HYBRID_CANDIDATES, "dense": CANDIDATES, "lexical": CANDIDATES
    }  # fmt: skip
    assert all(WORDS.default_candidates("off", mode) is None for mode in MODES)
    assert WORDLESS.default_candidates("auto", "auto") == CANDIDATES


@pytest.mark.parametrize(
    ("neighbours", "learnt", "retrievers"),
    [
        ("off", True, ("dense", "lexical")),
        ("adapted", False, ("adapted", "dense", "lexical")),
        ("adapted", True, ("adapted", "dense", "lexical", "voting")),
        ("voting", False, ("dense", "lexical", "voting")),
    ],
)
def test_known_queries_find_beside_words(
    settings: NeighbourSettings, neighbours: NeighbourMode, learnt: bool,
    retrievers: tuple[RetrieverName, ...],
) -> None:  # fmt: skip
    here = replace(WORDS, known=settings)
    assert here.plan(Query("a", neighbours=neighbours), learnt).retrievers == retrievers
    assert WORDS.plan(Query("a"), learnt=True).retrievers == ("dense", "lexical", "online")


@pytest.mark.parametrize("learnt", [False, True])
def test_words_alone_ask_no_known_queries(settings: NeighbourSettings, learnt: bool) -> None:
    here = replace(WORDS, known=settings)
    for mode in ("auto", "off"):
        plan = here.plan(Query("a", retrieve="lexical", neighbours=mode), learnt)  # type: ignore[arg-type]  # they are
        assert (plan.neighbours, plan.retrievers, plan.dense_weight) == ("off", ("lexical",), None)
    for mode in ("adapted", "voting"):
        with pytest.raises(FieldError) as error:
            here.plan(Query("a", retrieve="lexical", neighbours=mode), learnt)  # type: ignore[arg-type]  # they are
        assert error.value.field == "neighbours.mode"


@pytest.mark.parametrize("gain", [-0.4, 0.0])
def test_words_that_find_less_count_for_nothing(gain: float) -> None:
    assert replace(WORDS, lexical=gain).plan(Query("a")).lexical_weight == 0.0
