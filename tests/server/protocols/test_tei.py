"""Hugging Face's own client against a real socket, and the routes of TEI that it has no method for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import pytest
from huggingface_hub import InferenceClient
from huggingface_hub.errors import HfHubHTTPError

from lurcher.collection import Collection
from tests.server.protocols.conftest import BEARER, KEY, MOST, TEXTS
from tests.server.serving import Client


@contextmanager
def client_of(url: str) -> Iterator[InferenceClient]:
    """Its older versions keep no connection, and have nothing to close."""
    client = InferenceClient(model=url, token=KEY)
    with ExitStack() as until_here:
        if hasattr(client, "__exit__"):
            until_here.enter_context(client)
        yield client


@pytest.fixture(scope="module")
def client(spoken: Client) -> Iterator[InferenceClient]:
    with client_of(spoken.url) as client:
        yield client


def post(spoken: Client, path: str, **body: Any) -> Any:
    reply = spoken.post(path, body, **BEARER)
    assert reply.status == 200, reply.body
    return reply.json()


def test_client_gets_the_vectors_of_queries(client: InferenceClient, here: Collection) -> None:
    np.testing.assert_allclose(
        client.feature_extraction(TEXTS[0])[0], here.embed(TEXTS)[0], atol=1e-6
    )
    named = client.feature_extraction(TEXTS[0], prompt_name="passage", normalize=True)
    np.testing.assert_allclose(named[0], here.embed(TEXTS, side="passage")[0], atol=1e-6)


def test_client_compares_sentences(spoken: Client, here: Collection) -> None:
    with client_of(f"{spoken.url}/similarity") as client:
        found = client.sentence_similarity(TEXTS[0], other_sentences=TEXTS)
    vectors = here.embed(TEXTS)
    np.testing.assert_allclose(found, vectors @ vectors[0], atol=1e-5)


def test_many_texts_and_token_counts(spoken: Client, here: Collection) -> None:
    reply = spoken.post("/embed", {"inputs": TEXTS}, **BEARER)
    np.testing.assert_allclose(reply.json(), here.embed(TEXTS), atol=1e-6)
    counts = [
        spoken.post("/embed", {"inputs": one}, **BEARER).headers["x-compute-tokens"]
        for one in TEXTS
    ]
    assert int(reply.headers["x-compute-tokens"]) == sum(map(int, counts))


def test_direction_of_cutting(spoken: Client) -> None:
    long = "rain " * 300 + "bread " * 300
    for direction, word in (("Right", "rain "), ("left", "bread ")):
        cut = post(spoken, "/embed", inputs=long, truncate=True, truncation_direction=direction)
        np.testing.assert_allclose(cut, post(spoken, "/embed", inputs=word * 252), atol=1e-6)


def test_ranking_is_that_of_rerank(spoken: Client, here: Collection) -> None:
    texts = ["A ship enters the harbour.", "Yeast makes the dough of bread rise.", ""]
    raw = post(spoken, "/rerank", query=TEXTS[0], texts=texts, raw_scores=True, return_text=True)
    scores = here.rerank(TEXTS[0], texts).scores
    for one in raw:
        assert one["score"] == pytest.approx(scores[one["index"]], abs=1e-5)
        assert one["text"] == texts[one["index"]]
    assert [one["score"] for one in raw] == sorted((one["score"] for one in raw), reverse=True)
    plain = post(spoken, "/rerank", query=TEXTS[0], texts=texts)
    assert [one["index"] for one in plain] == [one["index"] for one in raw]
    assert all(0 <= one["score"] <= 1 for one in plain)
    assert all(set(one) == {"index", "score"} for one in plain)


def test_tokens_are_those_that_are_embedded(spoken: Client, here: Collection) -> None:
    encoder = here.manifest.encoder
    assert encoder is not None
    prompts = {"query": encoder.query_prompt, "passage": encoder.passage_prompt}
    text = "when does 🎯 bread rise " + "and rise " * 300
    for name, prompt in prompts.items():
        (tokens,) = post(spoken, "/tokenize", inputs=text, prompt_name=name)
        assert [tokens[0]["special"], tokens[-1]["special"]] == [True, True]
        assert tokens[0]["start"] is None
        for one in tokens[1:-1]:
            assert one["text"] == (prompt + text)[one["start"] : one["stop"]]
    bare, own = post(spoken, "/tokenize", inputs=["bread", "rise"], add_special_tokens=False)
    assert not any(one["special"] for one in [*bare, *own])
    short = "when does bread rise"
    (tokens,) = post(spoken, "/tokenize", inputs=short)
    reply = spoken.post("/embed", {"inputs": short}, **BEARER)
    assert int(reply.headers["x-compute-tokens"]) == len(tokens)


def test_ids_are_decoded(spoken: Client) -> None:
    texts = ["bread rise", "ship"]
    found = post(spoken, "/tokenize", inputs=texts, prompt_name="query")
    ids = [[one["id"] for one in tokens] for tokens in found]
    decoded = post(spoken, "/decode", ids=ids)
    assert [one.split()[-1] for one in decoded] == ["rise", "ship"]
    assert post(spoken, "/decode", ids=ids[0]) == decoded[:1]
    whole = post(spoken, "/decode", ids=ids[0], skip_special_tokens=False)
    assert whole[0].startswith(found[0][0]["text"])


@pytest.mark.parametrize("path", ["/embed_all", "/embed_sparse", "/predict"])
def test_what_no_model_does_is_said_in_its_shape(spoken: Client, path: str) -> None:
    reply = spoken.post(path, {"inputs": "a"}, **BEARER)
    assert (reply.status, reply.json()["error_type"]) == (424, "Backend")
    assert len(reply.json()["error"]) > 20


def test_info_and_health(client: InferenceClient, spoken: Client) -> None:
    info = spoken.get("/info", **BEARER).json()
    assert (info["model_id"], info["max_client_batch_size"]) == ("tiny", MOST)
    assert info["auto_truncate"] is False
    assert spoken.get("/health").status == 200
    assert spoken.get("/info").status == 401


@pytest.mark.parametrize(
    ("path", "body", "status", "says"),
    [
        ("/embed", {"inputs": []}, 422, "inputs: is empty"),
        ("/embed", {"inputs": ["a", ""]}, 422, "inputs.1: is empty"),
        ("/embed", {"inputs": ["a"] * (MOST + 1)}, 413, "6 of them, at most 5"),
        ("/embed", {"inputs": "a " * 900}, 413, "inputs: is longer than the 252 tokens"),
        ("/embed", {"inputs": "a", "prompt_name": "song"}, 422, "'song' is neither"),
        ("/embed", {"inputs": "a", "normalize": False}, 422, "norm 1"),
        ("/embed", {"inputs": "a", "dimensions": 8}, 422, "96 dimensions"),
        ("/embed", {"inputs": [[10**9]]}, 422, "is no token of tiny"),
        ("/", {"inputs": 3}, 422, "must be a text"),
        ("/rerank", {"query": "a", "texts": []}, 422, "texts"),
        ("/rerank", {"query": " ", "texts": ["a"]}, 422, "query: is empty"),
        ("/rerank", {"query": "a", "texts": ["a"] * 51}, 413, "at most 50"),
        ("/rerank", {"query": "a", "texts": ["b", "a " * 900]}, 413, "texts.1: is longer"),
        ("/rerank", {"query": "a", "texts": ["b"], "truncation_direction": "left"}, 422, "right"),
        ("/tokenize", {"inputs": []}, 422, "inputs: is empty"),
        ("/tokenize", {"inputs": ["a", " "]}, 422, "inputs.1: is empty"),
        ("/tokenize", {"inputs": ["a"] * (MOST + 1)}, 413, "at most 5"),
        ("/tokenize", {"inputs": "a", "prompt_name": "song"}, 422, "'song' is neither"),
        ("/decode", {"ids": []}, 422, "ids: is empty"),
        ("/decode", {"ids": [[1], [10**9]]}, 422, "ids.1: 1000000000 is no token of tiny"),
        ("/decode", {"ids": ["a"]}, 422, "ids.0"),
        ("/similarity", {"inputs": {"source_sentence": "a", "sentences": [""]}}, 422, "inputs.1"),
    ],
)
def test_error_has_the_shape_of_tei(
    spoken: Client, path: str, body: dict[str, Any], status: int, says: str
) -> None:
    reply = spoken.post(path, body, **BEARER)
    assert reply.status == status, reply.body
    assert set(reply.json()) == {"error", "error_type"}
    assert reply.json()["error_type"] == "Validation"
    assert says in reply.json()["error"]


def test_client_raises_what_it_raises_elsewhere(client: InferenceClient) -> None:
    with pytest.raises(HfHubHTTPError) as caught:
        client.feature_extraction("a " * 900)
    assert caught.value.response.status_code == 413
