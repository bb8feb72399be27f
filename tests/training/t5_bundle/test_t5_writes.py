"""Documents written into a bundle that a T5 ranks."""

from __future__ import annotations

import json
import shutil
from contextlib import closing
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the [train] extra is not installed")
pytest.importorskip("optimum.exporters.onnx", reason="the [train] extra is not installed")

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.verifying import verify
from lurcher.errors import FieldError
from lurcher.index_builder.build import BuildOptions, build
from lurcher.index_builder.corpus.document import Document
from lurcher.index_builder.edit.requests import Delete, Patch, Receipt, Upsert
from lurcher.index_builder.edit.writer import Writer
from lurcher.models.encoders.config import CONFIG_FILE
from lurcher.retrieval.query import Query
from lurcher.retrieval.results import SearchResult
from lurcher.retrieval.snapshot import Snapshot
from tests.training.t5_bundle.words import QUERY


@pytest.fixture(scope="module", params=["float16", "1-bit"])
def built(
    corpus: Path, ranker: Path, tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> Path:  # fmt: skip
    out = tmp_path_factory.mktemp("written") / "t5.lurcher"
    build(corpus, out, BuildOptions(ranker=ranker, states=request.param))
    return out


def test_a_document_is_ranked_as_if_the_build_had_known_it(
    built: Path, ranker: Path, texts: list[str], tmp_path: Path
) -> None:
    path = shutil.copytree(built, tmp_path / "t5.lurcher")
    writer = Writer.open(path, ranker_model=ranker)
    text = texts[7]
    (receipt,) = writer.commit([Upsert((Document("twin", text),))])
    assert isinstance(receipt, Receipt), receipt
    writer.compact(everything=True)
    writer.recalibrate()  # which keeps the states
    writer.close()
    assert verify(path) == []
    with closing(Bundle.open(path)) as bundle:
        query = Query(QUERY, 45, rank="t5", fold=False, candidates=45)
        (result,) = Snapshot(bundle, 1).run([query])
    assert isinstance(result, SearchResult), result
    scores = {hit.id: hit.scores["rank"] for hit in result.hits}
    assert scores["twin"] == pytest.approx(scores["7"], abs=0.05)


def test_without_it_nothing_is_logged_and_the_rest_works(built: Path, tmp_path: Path) -> None:
    path = shutil.copytree(built, tmp_path / "t5.lurcher")
    writer = Writer.open(path)
    upsert, patch, delete = writer.commit(
        [Upsert((Document("new", "x"),)), Patch({"3": {"n": 9}}), Delete(("4",))]
    )
    assert isinstance(upsert, FieldError)
    assert upsert.field == "ranker_model"
    assert "--ranker-model" in upsert.reason
    assert isinstance(patch, Receipt)
    assert isinstance(delete, Receipt)
    writer.abandon()  # its log is read again
    writer = Writer.open(path)
    assert writer.sequence == 2
    writer.close()


def test_another_t5_is_refused(built: Path, ranker: Path, tmp_path: Path) -> None:
    other = shutil.copytree(ranker, tmp_path / "other")
    config = json.loads((other / CONFIG_FILE).read_text())
    config["fingerprint"] = f"sha256:{'0' * 64}"
    (other / CONFIG_FILE).write_text(json.dumps(config))
    writer = Writer.open(shutil.copytree(built, tmp_path / "t5.lurcher"), ranker_model=other)
    (outcome,) = writer.commit([Upsert((Document("new", "x"),))])
    assert isinstance(outcome, FieldError)
    assert "is another than tiny" in outcome.reason
    assert writer.sequence == 0
    writer.close()
