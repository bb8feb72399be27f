"""What a reply says of its probabilities: whether the query is a question, and what they were measured on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import lurcher
from lurcher.bundle.bundle import Bundle
from lurcher.bundle.manifest import read_manifest
from lurcher.models.engines import EngineName
from lurcher.models.reader.reader import load_reader_config
from lurcher.retrieval.capabilities import Capabilities
from lurcher.retrieval.snapshot import Snapshot
from tests.server.pointing import Pointing, pointed
from tests.server.serving import Client, running, settings
from tests.tiny import build

SHIPPED = Path(__file__).parents[2] / "models/pretrained/all-MiniLM-L6-v2/reader"
QUESTION, WORDS = "who built a telescope", "telescope powers"


def measured_on(bundle: Bundle, corpus: str | None) -> Bundle:
    """``bundle``, whose reader was calibrated on the passages with the hash ``corpus``."""
    told: dict[str, Any] = {"calibrated_on": "ten questions", "calibration_corpus": corpus}
    read = pointed(bundle, Pointing(4, 6, 6.0), **told)
    object.__setattr__(
        read, "manifest", bundle.manifest.model_copy(update={"reader": read.read_by[0]})
    )
    return read


@pytest.fixture(scope="module", params=[True, False], ids=["its own corpus", "another corpus"])
def served(request: pytest.FixtureRequest, answering_bundle: Path) -> Iterator[tuple[Client, bool]]:
    own: bool = request.param

    def make(bundle: Bundle, threads: int, name: EngineName) -> Snapshot:
        corpus = bundle.manifest.corpus_hash if own else f"sha256:{'0' * 64}"
        return Snapshot(measured_on(bundle, corpus), threads, name)

    with running(settings(answering_bundle), make) as client:
        yield client, own


def test_scores_are_probabilities_of_questions_about_that_corpus(
    served: tuple[Client, bool],
) -> None:
    client, own = served
    for query, question in ((QUESTION, True), (WORDS, False)):
        body = client.post("/v1/answer", {"query": query, "min_score": 0}).json()
        assert (body["question"], body["calibrated"]) == (question, question and own)
        assert body["calibrated_on"] == "ten questions"
        assert body["answered"]  # who asks for an answer gets it
        assert client.search(query).json()["question"] is question


def test_reader_that_does_not_say_is_not_calibrated(answering_bundle: Path) -> None:
    with running(settings(answering_bundle)) as client:
        body = client.post("/v1/answer", {"query": QUESTION}).json()
    assert (body["question"], body["calibrated"], body["calibrated_on"]) == (True, False, None)


def test_python_is_told_of_questions(answering_bundle: Path) -> None:
    with lurcher.open(answering_bundle) as docs:
        assert docs.answer(QUESTION).question
        assert not docs.answer(WORDS).question
        assert docs.search(QUESTION).question


def test_corpus_is_known_by_its_passages(
    tmp_path: Path, write_jsonl: Any, answering_bundle: Path
) -> None:
    one = read_manifest(answering_bundle).corpus_hash
    other = tmp_path / "other.lurcher"
    build(write_jsonl(tmp_path / "other.jsonl", [{"id": "a", "text": "other words"}]), other)
    assert read_manifest(other).corpus_hash != one
    with closing(Bundle.open(other)) as bundle:
        assert not Capabilities.of(bundle).calibrated  # it has no reader at all


def test_the_shipped_reader_says_what_it_was_measured_on() -> None:
    config = load_reader_config(SHIPPED)
    assert config.calibrated_on is not None
    assert "SQuAD" in config.calibrated_on
