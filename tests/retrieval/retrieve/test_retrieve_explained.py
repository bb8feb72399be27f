"""Hits name the known queries that raised them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.vectors import Vectors
from lurcher.retrieval.query import Query
from tests.retrieval.retrieve.first_stage import (
    EXPLAINED,
    HALF,
    MOVING,
    FirstStage,
    judged,
    learn,
    one,
)
from tests.retrieval.retrieve.reference import TunedMode


@pytest.mark.parametrize("mode", MOVING)
def test_explained_hits_name_the_known_queries_that_raised_them(
    bundle: Bundle, asked: Vectors, small_records: list[dict[str, Any]], mode: TunedMode
) -> None:
    assert bundle.neighbours is not None
    stage, known = FirstStage(bundle), {k.id: k for k in judged(small_records)}
    vectors = bundle.neighbours.queries.vectors(np.arange(30))
    for number in (0, 7, 23):
        hits = one(stage, Query("", 60, neighbours=mode, extras=EXPLAINED), vectors[number])
        assert hits.contributing is not None
        for row, named in zip(hits.rows.tolist(), hits.contributing, strict=True):
            passage = small_records[row]["id"]
            assert len(named) <= 3
            assert sum(s.share for s in named) <= 1 + 1e-5
            assert [s.share for s in named] == sorted((s.share for s in named), reverse=True)
            for one_of in named:
                assert known[one_of.id].text == one_of.text
                assert passage in known[one_of.id].labels
                similarity = vectors[int(one_of.id[1:])] @ vectors[number]
                assert one_of.similarity == pytest.approx(similarity, abs=1e-5)
            if mode == "adapted":
                assert bool(named) == any(passage in k.labels for k in known.values())
                if len(named) in (1, 2) and named[0].similarity > 0:
                    assert sum(s.share for s in named) == pytest.approx(1, abs=1e-4)
        labels = known[f"k{number}"].labels
        best = max(labels, key=lambda passage: labels[passage])
        (place,) = (i for i, r in enumerate(hits.rows) if small_records[r]["id"] == best)
        assert hits.contributing[place][0].id == f"k{number}"


@pytest.mark.parametrize("mode", MOVING)
def test_what_was_learnt_is_explained_by_its_text(
    bundle: Bundle, asked: Vectors, mode: TunedMode
) -> None:
    stage = FirstStage(bundle)
    learn(stage, None, {"what I asked": (asked[6], {57: 1.0})})
    hits = one(stage, Query("", 60, neighbours=mode, extras=EXPLAINED), asked[6])
    assert hits.contributing is not None
    ((place,),) = np.nonzero(hits.rows == 57)
    named = hits.contributing[place]
    assert (named[0].id, named[0].text) == ("", "what I asked")
    assert named[0].similarity == pytest.approx(1, abs=HALF)
    assert named[0].share == pytest.approx(1, abs=1e-5)  # nobody else knows that passage
