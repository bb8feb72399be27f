"""Hits as they are sent are those that the schema describes."""

from __future__ import annotations

import asyncio
import json
from typing import get_args

import pytest
from starlette.exceptions import HTTPException

from lurcher.bundle.passages import Passage
from lurcher.retrieval.results import ContributingNeighbour, Explanation, Hit, TokenMatch
from lurcher.server.found_hits import as_json, plain_hit, reply_of
from lurcher.server.schemas.search import DEFAULT_INCLUDE, Include
from lurcher.server.schemas.search import Hit as Described

_WHOLE = Passage(
    "notes/rye.md#2", "Rye ferments slowly.", "Rye – a grain", {"year": 2**70, "of": ["a", None]},
    "notes/rye.md", ("Dough", "Time"), 40, 60, "time", "https://example.org/rye#time",
)  # fmt: skip
_EXPLAINED = Explanation(
    [ContributingNeighbour("q1", "why does rye take long", 0.87654321, 1.0)],
    [TokenMatch((0, 3), "text", (4, 12), 0.12345678, 0.5)],
    [(0, 20)],
)
_SCORES = {"dense": 0.12345649, "maxsim": -0.5, "rank": 1e-7}


@pytest.mark.parametrize(
    "include", [[], DEFAULT_INCLUDE, *([one] for one in get_args(Include)), list(get_args(Include))]
)
@pytest.mark.parametrize("fold", [False, True])
@pytest.mark.parametrize(
    "found",
    [
        Hit(_WHOLE, 0.123456789, _SCORES, _EXPLAINED, 3),
        Hit(Passage("plain", "Text.", "Title"), 0.5, {"dense": 0.5}, Explanation(), 0),
    ],
)
def test_a_hit_has_what_the_schema_describes_and_no_more(
    found: Hit, include: list[Include], fold: bool
) -> None:
    sent = json.loads(as_json(plain_hit(found, include, fold)))
    read = Described.model_validate(sent)
    assert read.model_dump(mode="json", exclude_unset=True) == sent
    assert read.duplicates == (found.duplicates if fold else 0)


def test_scores_are_rounded_and_what_is_not_finite_is_null() -> None:
    sent = json.loads(
        as_json(plain_hit(Hit(_WHOLE, 0.123456789, _SCORES, _EXPLAINED, 0), ["scores"], False))
    )
    assert sent["score"] == 0.123457
    assert sent["scores"] == {"dense": 0.123456, "maxsim": -0.5, "rank": 0.0}
    assert json.loads(as_json({"score": float("nan"), "most": float("inf")})) == {
        "score": None, "most": None
    }  # fmt: skip


@pytest.mark.parametrize("count", [1, 200])
def test_a_reply_that_would_be_too_large_is_refused(count: int) -> None:
    passage = Passage("a", "words " * 10)
    hits = [Hit(passage, 1.0, {})] * count
    made: list[int] = []

    def make() -> dict[str, object]:
        made.append(count)
        return {"hits": [plain_hit(hit, ["text"], False) for hit in hits]}

    whole = asyncio.run(reply_of(make, hits, ["text"], 1_000_000))
    assert len(json.loads(whole)["hits"]) == count
    for most in (len(whole) - 1, len(passage.text) * count - 1):
        with pytest.raises(HTTPException, match="ask for fewer hits"):
            asyncio.run(reply_of(make, hits, ["text"], most))
    assert len(made) == 2  # the last was refused before anything was made
