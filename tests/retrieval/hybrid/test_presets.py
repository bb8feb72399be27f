"""What a corpus is made of decides what scores count beside each other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lurcher.bundle.bundle import Bundle
from lurcher.models.ranker.presets import PRESETS, PresetName
from lurcher.retrieval.fusion import UNRANKED
from lurcher.retrieval.query import Query
from lurcher.retrieval.rerank import RerankRequest, RerankScores
from lurcher.retrieval.snapshot import Snapshot
from tests.retrieval.hybrid.searching import TEXTS, ask, gaining, word_weight


@pytest.fixture(scope="module", params=["prose", "code"])
def weighed(request: pytest.FixtureRequest, small_bundle: Path) -> Iterator[Snapshot]:
    """The small bundle as one of each preset, in which words count."""
    preset: PresetName = request.param
    with closing(Bundle.open(small_bundle)) as bundle:
        build = bundle.manifest.build.model_copy(update={"preset": preset})
        manifest = bundle.manifest.model_copy(update={"build": build})
        yield Snapshot(gaining(replace(bundle, manifest=manifest)), 1)


@pytest.mark.parametrize("text", TEXTS)
def test_dense_maxsim_and_words_count_what_the_preset_says(weighed: Snapshot, text: str) -> None:
    preset = PRESETS[weighed.bundle.manifest.build.preset]
    weight = word_weight(weighed, text) + preset.lexical
    for hit in ask(weighed, Query(text, 60, rank="maxsim")).hits:
        scores = hit.scores
        blend = scores["dense"] + preset.late * (scores["maxsim"] - scores["dense"])
        assert hit.score == pytest.approx(blend + weight * scores["lexical"], abs=2e-6)
    for hit in ask(weighed, Query(text, 60, rank="off")).hits:
        worded = UNRANKED * weight * hit.scores["lexical"]
        assert hit.score == pytest.approx(hit.scores["dense"] + worded, abs=2e-6)


def test_reranking_scores_as_a_search_without_words(weighed: Snapshot) -> None:
    hits = ask(weighed, Query("glacier valley", 5, retrieve="dense")).hits
    rows = weighed.bundle.passages.rows_of([hit.id for hit in hits])
    asked = RerankRequest("glacier valley", np.array([rows[hit.id] for hit in hits]))
    (found,) = weighed.rerank([asked])
    assert isinstance(found, RerankScores), found
    np.testing.assert_allclose(found.scores, [hit.score for hit in hits], atol=2e-6)
