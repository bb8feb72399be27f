"""A judged document is judged at the passage of it that is nearest to the query."""

from __future__ import annotations

from pathlib import Path

import pytest

from lurcher.errors import FieldError
from lurcher.index_builder.adapt import adapt
from lurcher.index_builder.judged.known import Known
from lurcher.index_builder.neighbours import Judged, NeighbourOptions
from tests.index_builder.adapt.known import WriteJsonl, content
from tests.tiny import TinyOptions, build

PARTS = ["The cat sleeps", "Bread rises in the oven", "The train leaves in the morning"]
RECORDS = [
    {"id": "long", "passages": PARTS},
    {"id": "other", "passages": [*PARTS[::-1], "A song"]},
    {"id": "short", "text": "A warm oven"},
]
KNOWN = [
    Known("bread", "bread that rises", {"long": 2.0, "short": 1.0}, "s"),
    Known("train", "when the train leaves", {"long": 1.0, "other": 4.0}, "s"),
    # Judged itself: that is the word on it.
    Known("cat", "the sleeping cat", {"long": 4.0, "long#1": 1.0, "short": 2.0}, "s"),
    Known("far", "where is bread", {"long": 2.0, "long#1": 1.0}, "s"),
]
LABELS = {
    "bread": {"long#2": 1.0, "short": 0.5},
    "train": {"long#3": 0.25, "other#1": 1.0},
    "cat": {"long#1": 0.5, "short": 1.0},
    "far": {"long#2": 1.0, "long#1": 0.5},
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory, write_jsonl: WriteJsonl) -> Path:
    return write_jsonl(tmp_path_factory.mktemp("documents") / "corpus.jsonl", RECORDS)


@pytest.fixture(scope="module")
def bundle(corpus: Path) -> Path:
    out = corpus.with_name("b.lurcher")
    build(corpus, out)
    return out


def labels(bundle: Path) -> dict[str, dict[str, float]]:
    return {query: own for query, (_, _, own) in content(bundle).items()}


def test_adapt_finds_the_passages(bundle: Path, tmp_path: Path) -> None:
    judged = Judged(KNOWN, [Known("d", "bread in the oven", {"long": 1.0}, "dev")])
    out, manifest = adapt(bundle, judged, NeighbourOptions(), tmp_path / "adapted.lurcher")
    assert labels(out) == LABELS
    assert manifest.neighbours is not None
    assert manifest.neighbours.development == "dev"
    again, _ = adapt(
        out, Judged([Known("e", "warm", {"short": 1.0}, "s")]), NeighbourOptions(),
        tmp_path / "again.lurcher",
    )  # fmt: skip
    assert labels(again) == LABELS | {"e": {"short": 1.0}}


def test_build_finds_the_same(corpus: Path, tmp_path: Path) -> None:
    build(corpus, tmp_path / "built.lurcher", TinyOptions(judged=Judged(KNOWN)))
    assert labels(tmp_path / "built.lurcher") == LABELS


def test_what_is_neither_passage_nor_document_is_said(bundle: Path, tmp_path: Path) -> None:
    judged = Judged([Known("q", "bread", {"long": 1.0, "nobody": 1.0}, "s")])
    with pytest.raises(FieldError, match=r"1 of 2 judged passages .*'nobody'"):
        adapt(bundle, judged, NeighbourOptions(), tmp_path / "out.lurcher")
