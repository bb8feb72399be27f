"""``encoder_only``: vectors and rankings without a corpus, and a clear error where one is needed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lurcher
from lurcher.bundle.token_store import CODER
from lurcher.errors import BundleError, FieldError, ModelError, ModelNotFound
from lurcher.models.pretrained import DEFAULT_ENCODER
from lurcher.models.tokens.coder import TokenCoder
from lurcher.models.tokens.general import GENERAL_FILE, general_coder, save_general
from lurcher.retrieval.encoder_alone import EncoderAlone
from lurcher.server.settings import load_settings
from tests.server.serving import Client, assert_problem, running, settings
from tests.tiny import TINY

QUERY = "when does the dough of the bread rise"
TEXTS = ["A ship enters the harbour.", "Yeast makes the dough of bread rise.", ""]


@pytest.fixture(scope="module")
def encoder(small_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny encoder, which can rank texts of no corpus."""
    folder = shutil.copytree(TINY, tmp_path_factory.mktemp("alone") / "encoder")
    save_general([TokenCoder.load(small_bundle / CODER)], folder)
    return folder


@pytest.fixture(scope="module")
def alone(encoder: Path) -> Iterator[Client]:
    with running(settings(encoder, encoder_only=True)) as client:
        yield client


def test_vectors_are_those_of_a_bundle_by_this_encoder(alone: Client, small_bundle: Path) -> None:
    with lurcher.open(small_bundle, threads=1) as here:
        wanted = here.embed(TEXTS[:2])
    sent = alone.post("/v1/embeddings", {"input": TEXTS[:2], "model": "tiny"}).json()["data"]
    np.testing.assert_allclose([one["embedding"] for one in sent], wanted, atol=1e-6)
    np.testing.assert_allclose(
        alone.post("/embed", {"inputs": TEXTS[:2]}).json(), wanted, atol=1e-6
    )
    body = {"texts": TEXTS[:2], "input_type": "search_query"}
    found = alone.post("/v2/embed", body).json()["embeddings"]["float"]
    np.testing.assert_allclose(found, wanted, atol=1e-6)


@pytest.mark.parametrize("path", ["/v1/rerank", "/v2/rerank"])
def test_texts_are_ranked(alone: Client, path: str) -> None:
    reply = alone.post(path, {"query": QUERY, "documents": TEXTS}).json()
    assert [one["index"] for one in reply["results"]] == [1, 0, 2]
    assert (reply["meta"]["bundle"], reply["meta"]["model"]) == ("tiny", "tiny")
    ranked = alone.post("/rerank", {"query": QUERY, "texts": TEXTS}).json()
    assert [one["index"] for one in ranked] == [1, 0, 2]


def test_bundle_s_own_models_rank_as_it_does(small_bundle: Path) -> None:
    body = {"query": QUERY, "documents": TEXTS}
    with lurcher.open(small_bundle, threads=1) as here:
        wanted = here.rerank(QUERY, TEXTS).scores
    with running(settings(small_bundle, encoder_only=True)) as client:
        results = client.post("/v1/rerank", body).json()["results"]
        assert_problem(client.search(QUERY), 409)
    for one in results:
        assert one["score"] == pytest.approx(wanted[one["index"]], abs=1e-5)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v1/search", {"query": QUERY}),
        ("POST", "/v1/search/batch", {"queries": [QUERY]}),
        ("POST", "/v1/answer", {"query": QUERY}),
        ("POST", "/v1/rerank", {"query": QUERY, "passages": ["one"]}),
        ("GET", "/v1/documents/one", None),
        ("GET", "/v1/bundle", None),
    ],
)
def test_what_needs_a_corpus_says_so(
    alone: Client, method: str, path: str, body: dict[str, Any] | None
) -> None:
    reply = alone.get(path) if body is None else alone.post(path, body)
    assert "only an encoder" in assert_problem(reply, 409)["detail"]


def test_other_protocols_say_so_in_their_shape(alone: Client) -> None:
    reply = alone.post("/mcp", {"jsonrpc": "2.0", "id": 1, "method": "tools/list"})
    assert reply.status == 409
    assert "only an encoder" in reply.json()["error"]["message"]
    assert alone.get("/health").status == alone.get("/readyz").status == 200
    assert alone.get("/v1/models").json()["data"][0]["id"] == "tiny"
    assert alone.get("/info").json()["model_id"] == "tiny"
    assert alone.metric("lurcher_passages") == 0


def test_encoder_that_was_fitted_to_no_corpora_embeds_and_ranks_nothing() -> None:
    with running(settings(TINY, encoder_only=True)) as client:
        problem = assert_problem(client.post("/v1/rerank", {"query": "a", "documents": ["b"]}), 422)
        assert GENERAL_FILE in problem["detail"]
        assert client.post("/embed", {"inputs": "a"}).status == 200


def test_shipped_encoder_is_the_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert load_settings(None, {"encoder_only": True}).bundle == [DEFAULT_ENCODER]
    assert load_settings(None, {"encoder_only": True, "bundle": tmp_path}).bundle == [tmp_path]
    monkeypatch.setenv("LURCHER_ENCODER_ONLY", "True")
    assert load_settings(None, {}).bundle == [DEFAULT_ENCODER]
    with pytest.raises(FieldError, match=r"feedback: .*encoder_only serves none"):
        load_settings(None, {"feedback": tmp_path / "log"})
    monkeypatch.setenv("LURCHER_ENCODER_ONLY", "no")
    with pytest.raises(FieldError, match="which bundle"):
        load_settings(None, {})


def test_shipped_encoder_can_rank() -> None:
    coder = general_coder(DEFAULT_ENCODER)
    assert coder is not None
    assert coder.bits == 160
    assert coder.frequency.min() > 0
    assert coder.frequency.max() <= 1
    assert 5 < (coder.frequency > 0.5).sum() < 30  # function words and punctuation


def test_folder_that_is_no_encoder_is_refused(
    tmp_path: Path, words_bundle: Path, encoder: Path
) -> None:
    with pytest.raises(ModelNotFound, match=r"config\.json"):
        EncoderAlone(tmp_path, 1)
    with pytest.raises(BundleError, match="no vectors"):
        EncoderAlone(words_bundle, 1)
    wrong = shutil.copytree(encoder, tmp_path / "wrong")
    np.savez(wrong / GENERAL_FILE, mean=np.zeros(3, np.float32), frequency=np.ones(9, np.float32))
    with pytest.raises(ModelError, match=r"general\.npz: does not fit"):
        EncoderAlone(wrong, 1)
    coder = general_coder(encoder)
    assert coder is not None
    with pytest.raises(ModelError, match="another projection"):
        save_general([coder], DEFAULT_ENCODER)
