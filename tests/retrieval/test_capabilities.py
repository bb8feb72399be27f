"""What a bundle can be asked, and how a query is answered from it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.neighbours import NeighbourSettings, VotingSettings
from lurcher.errors import FieldError
from lurcher.retrieval.capabilities import CANDIDATES, Capabilities
from lurcher.retrieval.query import (
    NeighbourMode,
    NeighbourPlan,
    Query,
    RankerName,
    RankMode,
    RetrieverName,
)

BARE = Capabilities(tokens=False, decoder=False, t5=False, reader=False, known=None)
TOKENS = replace(BARE, tokens=True)
ALL = replace(TOKENS, decoder=True, t5=True, reader=True)


@pytest.fixture(scope="module")
def known(ticket_bundle: Path) -> Callable[[str], NeighbourSettings]:
    """A function that gives the settings of known queries, tuned to a mode."""
    with closing(Bundle.open(ticket_bundle)) as bundle:
        assert bundle.neighbours is not None
        settings = bundle.neighbours.settings
    return lambda mode: settings.model_copy(update={"mode": mode})


def test_parts_of_a_bundle_are_what_it_can_do(
    small_bundle: Path, tokenless_bundle: Path, answering_bundle: Path, ticket_bundle: Path
) -> None:
    found = {}
    for path in (small_bundle, tokenless_bundle, answering_bundle, ticket_bundle):
        with closing(Bundle.open(path)) as bundle:
            found[path] = Capabilities.of(bundle)
    # What words count was measured, on each corpus.
    lexical, of_odd = found[small_bundle].lexical, found[answering_bundle].lexical
    assert lexical is not None
    assert of_odd is not None
    assert found[tokenless_bundle] == replace(BARE, lexical=lexical)
    # The decoder that ships ranks wherever there are tokens.
    assert found[small_bundle] == replace(TOKENS, decoder=True, lexical=lexical)
    assert found[answering_bundle] == replace(TOKENS, decoder=True, reader=True, lexical=of_odd)
    assert found[ticket_bundle].known is not None
    assert found[ticket_bundle].lexical == lexical


# Rankers.


@pytest.mark.parametrize(
    ("capabilities", "rank", "ranker"),
    [
        (BARE, "auto", None),
        (TOKENS, "auto", "maxsim"),
        (ALL, "auto", "maxsim"),
        (ALL, "off", None),
        (BARE, "off", None),
        (TOKENS, "maxsim", "maxsim"),
        (ALL, "decoder", "decoder"),
        (ALL, "t5", "t5"),
        (replace(BARE, t5=True), "t5", "t5"),  # which needs no tokens
        (ALL, "reader", "reader"),
    ],
)
def test_what_ranks_is_what_was_asked_for(
    capabilities: Capabilities, rank: RankMode, ranker: RankerName | None
) -> None:
    assert capabilities.ranker(rank) == ranker
    assert capabilities.plan(Query("a cat", rank=rank)).ranker == ranker
    assert capabilities.ranks(rank) is (ranker is not None)


@pytest.mark.parametrize(
    ("capabilities", "rank", "says"),
    [
        (BARE, "maxsim", ["no tokens", "`lurcher build`"]),
        (BARE, "decoder", ["no tokens"]),
        (BARE, "reader", ["no tokens"]),
        (TOKENS, "decoder", ["no decoder", "swap-ranker", "build --ranker"]),
        (TOKENS, "t5", ["no T5", "build --ranker"]),
        (TOKENS, "reader", ["no reader", "build --answers"]),
    ],
)
def test_what_cannot_rank_says_how_to_get_it(
    capabilities: Capabilities, rank: RankMode, says: list[str]
) -> None:
    with pytest.raises(FieldError) as error:
        capabilities.plan(Query("a cat", rank=rank))
    assert error.value.field == "rank"
    assert all(words in error.value.reason for words in says)
    assert capabilities.ranks(rank) is False


@pytest.mark.parametrize(
    ("query", "depth"),
    [
        (Query("a", 10), CANDIDATES),
        (Query("a", 300), 300),
        (Query("a", 10, candidates=20), 20),
        (Query("a", 10, candidates=5), 10),  # all hits are ranked, or none
        (Query("a", 10, rank="off"), 10),
        (Query("a", 10, rank="off", candidates=50), 50),  # pages are parts of these
        (Query("a", 10, rank="off", offset=40), CANDIDATES),
    ],
)
def test_as_many_candidates_are_found_as_are_ranked(query: Query, depth: int) -> None:
    plan = TOKENS.plan(query)
    assert plan.depth == plan.retrieval_depth == depth
    assert plan.dense_weight is None
    assert plan.retrievers == ("dense",)


# Known queries.


@pytest.mark.parametrize(
    ("tuned", "learnt", "mode", "plan", "retrievers"),
    [
        (None, False, "auto", "off", ("dense",)),
        (None, False, "off", "off", ("dense",)),
        (None, False, "voting", "off", ("dense",)),
        (None, True, "auto", "online", ("dense", "online")),
        (None, True, "voting", "online", ("dense", "online")),
        (None, True, "off", "off", ("dense",)),
        ("off", False, "auto", "off", ("dense",)),
        ("off", True, "auto", "online", ("dense", "online")),
        ("voting", False, "auto", "voting", ("dense", "voting")),
        ("voting", True, "auto", "voting", ("dense", "voting")),
        ("adapted", False, "auto", "adapted", ("adapted", "dense")),
        ("adapted", True, "auto", "adapted", ("adapted", "dense", "voting")),
        ("adapted", True, "off", "off", ("dense",)),
        ("adapted", False, "voting", "voting", ("dense", "voting")),
        ("off", False, "adapted", "adapted", ("adapted", "dense")),
        ("off", False, "voting", "voting", ("dense", "voting")),
    ],
)
def test_known_queries_count_as_they_were_tuned_or_as_is_asked(
    known: Callable[[str], NeighbourSettings], tuned: str | None, learnt: bool,
    mode: NeighbourMode, plan: NeighbourPlan, retrievers: tuple[RetrieverName, ...],
) -> None:  # fmt: skip
    settings = None if tuned is None else known(tuned)
    capabilities = replace(TOKENS, known=settings)
    found = capabilities.plan(Query("a cat", neighbours=mode), learnt)
    assert (found.neighbours, found.retrievers) == (plan, retrievers)
    assert (found.dense_weight is None) == (plan == "off")


@pytest.mark.parametrize("learnt", [False, True])
def test_adapted_needs_known_queries_in_the_bundle(learnt: bool) -> None:
    with pytest.raises(FieldError, match="lurcher adapt") as error:
        TOKENS.plan(Query("a cat", neighbours="adapted"), learnt)
    assert error.value.field == "neighbours.mode"


def test_lambda_is_what_was_asked_for_or_tuned(known: Callable[[str], NeighbourSettings]) -> None:
    settings = known("off")
    settings = settings.model_copy(
        update={
            "voting": settings.voting.model_copy(update={"dense_weight": 0.3}),
            "adapted": settings.adapted.model_copy(update={"dense_weight": 0.7}),
        }
    )
    here = replace(TOKENS, known=settings)

    def weight(mode: NeighbourMode, wanted: float | None = None) -> float | None:
        return here.plan(Query("a", neighbours=mode, dense_weight=wanted), learnt=True).dense_weight

    assert (weight("voting"), weight("adapted")) == (0.3, 0.7)
    # Nobody has tuned how much counts what was learnt since.
    assert weight("auto") == VotingSettings().dense_weight
    assert weight("voting", 0.0) == weight("adapted", 0.0) == weight("auto", 0.0) == 0.0
    assert weight("off", 0.5) is None


def test_adapted_candidates_come_from_both_sides_and_from_deep(
    known: Callable[[str], NeighbourSettings],
) -> None:
    here = replace(TOKENS, known=known("adapted"))
    for learnt in (False, True):
        plan = here.plan(Query("a", 3, rank="off"), learnt)
        assert {"adapted", "dense"} <= set(plan.retrievers)
        assert (plan.depth, plan.retrieval_depth) == (3, 100)
