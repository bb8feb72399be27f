"""Judgements name passages, or documents, of which the best passage counts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lurcher.evaluation.searchers import open_searcher
from tests.server.serving import running, settings
from tests.tiny import build

PARTS = ["The cat sleeps", "Bread rises in the oven", "The oven is warm", "The warm cat eats bread"]


@pytest.fixture(scope="module")
def split_bundle(
    tmp_path_factory: pytest.TempPathFactory, write_jsonl: Callable[[Path, Any], Path]
) -> Path:
    folder = tmp_path_factory.mktemp("split")
    records = [
        {"id": "long", "passages": PARTS},
        {"id": "short", "text": "The train leaves in the morning"},
        {"id": "other", "text": "A warm oven"},
    ]
    build(write_jsonl(folder / "corpus.jsonl", records), folder / "b.lurcher")
    return folder / "b.lurcher"


@pytest.mark.parametrize(
    ("judged", "found"),
    [
        ((), {"long#1", "long#2", "long#3", "long#4", "short", "other"}),
        (("long", "nobody"), {"long", "short", "other"}),
        (("long#2",), {"long#2", "long", "short", "other"}),
    ],
)
def test_what_is_not_judged_itself_counts_as_its_document(
    split_bundle: Path, judged: tuple[str, ...], found: set[str]
) -> None:
    with open_searcher(str(split_bundle), judged=judged) as searcher:
        (ranking,) = searcher.search(["bread rises in the oven"], 10)
        assert {id_ for id_, _ in ranking} == found
        assert len(ranking) == len(found)
        assert ranking[0][0] == ("long" if judged == ("long", "nobody") else "long#2")
        assert searcher.known(["long", "long#3", "short", "none"]) == {"long", "long#3", "short"}
    with running(settings(split_bundle)) as client:
        url = client.url
        with open_searcher(url, judged=judged) as searcher:
            (theirs,) = searcher.search(["bread rises in the oven"], 10)
    assert [id_ for id_, _ in theirs] == [id_ for id_, _ in ranking]


def test_hits_are_as_many_documents_as_asked_for(split_bundle: Path) -> None:
    with open_searcher(str(split_bundle), judged=["short"]) as searcher:
        (ranking,) = searcher.search(["bread rises in the warm oven"], 2)
    assert [id_ for id_, _ in ranking] == ["long", "other"]
