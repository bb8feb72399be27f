"""OpenAI's own client against a real socket: the vectors of a search, true counts, errors in its shape."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import numpy as np
import openai
import pytest

from lurcher.collection import Collection
from lurcher.models.encoders.tokenizer import Tokenizer
from tests.server.protocols.conftest import BEARER, KEY, MOST, TEXTS
from tests.server.serving import Client
from tests.tiny import TINY

MODEL = "tiny"
PATH = "/v1/embeddings"


@pytest.fixture(scope="module")
def client(spoken: Client) -> Iterator[openai.OpenAI]:
    url = f"{spoken.url}/v1"
    with openai.OpenAI(base_url=url, api_key=KEY, max_retries=0) as client:
        yield client


def vectors(reply: Any) -> np.ndarray:
    assert [one.index for one in reply.data] == list(range(len(reply.data)))
    return np.array([one.embedding for one in reply.data], np.float32)


@pytest.mark.parametrize(
    "encoding", [{}, {"encoding_format": "float"}, {"encoding_format": "base64"}]
)
def test_vectors_are_those_of_queries(
    client: openai.OpenAI, here: Collection, encoding: dict[str, Any]
) -> None:
    reply = client.embeddings.create(input=TEXTS, model=MODEL, **encoding)
    if encoding.get("encoding_format") == "base64":
        found = np.array(
            [np.frombuffer(base64.b64decode(one.embedding), "<f4") for one in reply.data]
        )
    else:
        found = vectors(reply)
    np.testing.assert_allclose(found, here.embed(TEXTS), atol=1e-6)
    assert reply.model == MODEL


def test_passages_are_encoded_as_passages(client: openai.OpenAI, here: Collection) -> None:
    asked = {"extra_body": {"input_type": "passage"}}
    found = vectors(client.embeddings.create(input=TEXTS, model=MODEL, **asked))
    np.testing.assert_allclose(found, here.embed(TEXTS, side="passage"), atol=1e-6)
    assert np.abs(found - here.embed(TEXTS)).max() > 1e-3  # the sides differ here


def test_score_of_a_search_is_the_product_of_these_vectors(
    client: openai.OpenAI, spoken: Client
) -> None:
    (query,) = vectors(client.embeddings.create(input=TEXTS[0], model=MODEL))
    asked = {"query": TEXTS[0], "retrieve": "dense", "rank": "off", "top_k": 3}
    hits = spoken.post("/v1/search", asked, **BEARER).json()["hits"]
    texts = [" ".join(filter(None, (hit["title"], hit["text"]))) for hit in hits]
    asked = {"extra_body": {"input_type": "passage"}}
    passages = vectors(client.embeddings.create(input=texts, model=MODEL, **asked))
    np.testing.assert_allclose(passages @ query, [hit["score"] for hit in hits], atol=5e-3)


def test_token_ids_stand_for_their_text(client: openai.OpenAI) -> None:
    tokenise = Tokenizer(TINY / "tokenizer.json", 256)
    with_special = [list(one.ids) for one in tokenise(TEXTS)]
    for ids in (
        with_special,
        [one[1:-1] for one in with_special],
    ):
        found = vectors(client.embeddings.create(input=ids, model=MODEL))
        np.testing.assert_allclose(
            found, vectors(client.embeddings.create(input=TEXTS, model=MODEL)), atol=1e-6
        )
    one = client.embeddings.create(input=with_special[0], model=MODEL)
    assert len(one.data) == 1


def test_usage_counts_what_the_encoder_read(client: openai.OpenAI) -> None:
    short = client.embeddings.create(input="bread", model=MODEL).usage
    longer = client.embeddings.create(input=["bread", "bread bread"], model=MODEL).usage
    assert longer.prompt_tokens == 2 * short.prompt_tokens + 1
    assert longer.total_tokens == longer.prompt_tokens


def test_models_are_listed(client: openai.OpenAI) -> None:
    (model,) = client.models.list().data
    assert (model.id, model.object) == (MODEL, "model")
    assert model.created > 1_700_000_000
    assert client.models.retrieve(f"somebody/{MODEL}").id == MODEL


@pytest.mark.parametrize(
    ("changes", "kind", "says"),
    [
        ({"model": "text-embedding-3-small"}, openai.NotFoundError, "there is 'tiny'"),
        ({"input": []}, openai.BadRequestError, "input: is empty"),
        ({"input": ["a", " "]}, openai.BadRequestError, "input.1: is empty"),
        ({"input": ["a"] * (MOST + 1)}, openai.BadRequestError, "input: 6 of them, at most 5"),
        ({"input": ["a", [1, -1]]}, openai.BadRequestError, "input.1: -1 is no token of tiny"),
        ({"input": [10**9]}, openai.BadRequestError, "input: 1000000000 is no token"),
        ({"input": ["a", 3]}, openai.BadRequestError, "item 1 is neither"),
        ({"input": 3}, openai.BadRequestError, "input: must be a text"),
        ({"input": ["ok", "bread " * 2_000]}, openai.BadRequestError, "input.1: is longer than the 252"),
        ({"input": [7] * 2_000}, openai.BadRequestError, "input: is longer"),
        ({"dimensions": 8}, openai.BadRequestError, "96 dimensions"),
        ({"encoding_format": "hex"}, openai.BadRequestError, "encoding_format"),
        ({"extra_body": {"input_type": "song"}}, openai.BadRequestError, "'song' is neither"),
        ({"extra_body": {"colour": "red"}}, openai.BadRequestError, "colour"),
        ({"input": "bread" * 30_000}, openai.BadRequestError, "100000 bytes"),
    ],
)  # fmt: skip
def test_error_is_the_client_s_own(
    client: openai.OpenAI, changes: dict[str, Any], kind: type[openai.APIStatusError], says: str
) -> None:
    with pytest.raises(kind) as caught:
        client.embeddings.create(**{"input": "a", "model": MODEL, **changes})
    error = caught.value.body
    assert isinstance(error, dict)
    assert set(error) == {"message", "type", "param", "code"}
    assert says in error["message"]
    assert error["type"] == "invalid_request_error"
    if kind is openai.NotFoundError:
        assert error["code"] == "model_not_found"


def test_dimension_that_it_has_may_be_named(client: openai.OpenAI) -> None:
    assert vectors(client.embeddings.create(input="a", model=MODEL, dimensions=96)).shape == (1, 96)


def test_wrong_key_is_refused_in_the_same_shape(spoken: Client) -> None:
    with (
        openai.OpenAI(base_url=f"{spoken.url}/v1", api_key="wrong", max_retries=0) as client,
        pytest.raises(openai.AuthenticationError) as caught,
    ):
        client.embeddings.create(input="a", model=MODEL)
    assert caught.value.code == "invalid_api_key"
    assert spoken.get("/v1/models").status == 401


def test_what_is_no_json_is_refused_in_the_same_shape(spoken: Client) -> None:
    reply = spoken.post(PATH, b"{", **BEARER)
    assert reply.status == 400
    assert "not JSON" in reply.json()["error"]["message"]
