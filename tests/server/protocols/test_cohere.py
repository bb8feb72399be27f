"""Cohere's own clients of both versions against a real socket: vectors, rankings, errors in its shape."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import cohere
import httpx
import numpy as np
import pytest
from cohere.core.api_error import ApiError

from lurcher.collection import Collection
from tests.server.protocols.conftest import KEY, MOST, TEXTS
from tests.server.serving import Client

MODEL = "tiny"


@pytest.fixture(scope="module")
def connection() -> Iterator[httpx.Client]:
    """The client's own connections are not closed before the program ends."""
    with httpx.Client() as connection:
        yield connection


@pytest.fixture(scope="module")
def second(spoken: Client, connection: httpx.Client) -> cohere.ClientV2:
    return cohere.ClientV2(KEY, base_url=spoken.url, httpx_client=connection)


@pytest.fixture(scope="module")
def first(spoken: Client, connection: httpx.Client) -> cohere.Client:
    return cohere.Client(KEY, base_url=spoken.url, httpx_client=connection)


def embed(client: Any, **changes: Any) -> Any:
    asked = {"texts": TEXTS, "model": MODEL, "input_type": "search_query"}
    no_retry = {"request_options": {"max_retries": 0}}
    return client.embed(**{**asked, **no_retry, **changes})


def test_input_type_chooses_the_side(second: cohere.ClientV2, here: Collection) -> None:
    sides = {"search_query": "query", "search_document": "passage", "clustering": "passage"}
    for input_type, side in sides.items():
        found = embed(second, input_type=input_type).embeddings.float_
        wanted = here.embed(TEXTS, side=side)  # type: ignore[arg-type]  # one of both names
        np.testing.assert_allclose(found, wanted, atol=1e-6)


# The client itself calls what pydantic has deprecated.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_first_version_gives_floats_alone_unless_types_are_named(
    first: cohere.Client, here: Collection
) -> None:
    np.testing.assert_allclose(embed(first).embeddings, here.embed(TEXTS), atol=1e-6)
    by_type = embed(first, embedding_types=["float"]).embeddings
    np.testing.assert_allclose(by_type.float_, here.embed(TEXTS), atol=1e-6)


def test_forms_are_those_of_the_same_vectors(second: cohere.ClientV2, here: Collection) -> None:
    found = embed(second, embedding_types=["base64", "binary", "ubinary"]).embeddings
    floats = np.array([np.frombuffer(base64.b64decode(one), "<f4") for one in found.base64])
    np.testing.assert_allclose(floats, here.embed(TEXTS), atol=1e-6)
    np.testing.assert_array_equal(np.packbits(floats > 0, axis=1), found.ubinary)
    np.testing.assert_array_equal(np.array(found.ubinary) - 128, found.binary)


def test_input_in_parts_is_one_text(second: cohere.ClientV2, here: Collection) -> None:
    parts = [{"content": [{"type": "text", "text": one} for one in TEXTS]}]
    found = embed(second, texts=None, inputs=parts).embeddings.float_
    np.testing.assert_allclose(found, here.embed(["\n".join(TEXTS)]), atol=1e-6)


def test_what_is_cut_is_told_and_from_the_side_that_was_asked(second: cohere.ClientV2) -> None:
    long = ["rain " * 300 + "bread " * 300]
    end, start = (embed(second, texts=long, truncate=side) for side in ("END", "START"))
    assert "texts 0" in end.meta.warnings[0]
    for cut, word in ((end, "rain "), (start, "bread ")):
        whole = embed(second, texts=[word * 252], truncate="NONE")
        np.testing.assert_allclose(cut.embeddings.float_, whole.embeddings.float_, atol=1e-6)
        assert whole.meta.warnings is None
    few = embed(second, texts=["rain bread"], max_tokens=1)
    assert few.embeddings.float_ == embed(second, texts=["rain"]).embeddings.float_
    assert few.meta.tokens.input_tokens == few.meta.billed_units.input_tokens


def test_ranking_is_that_of_both_versions(
    first: cohere.Client, second: cohere.ClientV2, here: Collection
) -> None:
    documents = ["A ship enters the harbour.", "Yeast makes the dough of bread rise."]
    results = [
        client.rerank(model="rerank-v3.5", query=TEXTS[0], documents=documents).results  # type: ignore[attr-defined]  # both clients have it
        for client in (first, second)
    ]
    assert [(one.index, one.relevance_score) for one in results[0]] == [
        (one.index, one.relevance_score) for one in results[1]
    ]
    scores = here.rerank(TEXTS[0], documents).scores
    assert [one.index for one in results[0]] == sorted(range(2), key=lambda i: -scores[i])


@pytest.mark.parametrize(
    ("changes", "kind", "says"),
    [
        ({"model": "embed-v4.0"}, cohere.NotFoundError, "there is 'tiny'"),
        ({"texts": []}, cohere.UnprocessableEntityError, "texts: is empty"),
        ({"texts": ["a", ""]}, cohere.UnprocessableEntityError, "texts.1: is empty"),
        ({"texts": ["a"] * (MOST + 1)}, ApiError, "texts: 6 of them"),
        ({"texts": ["a " * 900], "truncate": "NONE"}, ApiError, "texts: is longer"),
        ({"texts": ["a b c"], "truncate": "NONE", "max_tokens": 2}, ApiError, "2 tokens that are"),
        ({"input_type": "song"}, cohere.UnprocessableEntityError, "input_type"),
        ({"embedding_types": ["int4"]}, cohere.UnprocessableEntityError, "embedding_types"),
        ({"embedding_types": ["int8"]}, cohere.UnprocessableEntityError, "ranges"),
        ({"output_dimension": 8}, cohere.UnprocessableEntityError, "96 dimensions"),
        ({"images": ["data:image/png;base64,AA"]}, cohere.UnprocessableEntityError, "images"),
        ({"texts": None}, cohere.UnprocessableEntityError, "either texts or inputs"),
    ],
)
def test_error_is_the_client_s_own(
    second: cohere.ClientV2, changes: dict[str, Any], kind: type[ApiError], says: str
) -> None:
    with pytest.raises(kind) as caught:
        embed(second, **changes)
    assert says in caught.value.body["message"]
    assert caught.value.body["id"]
    if kind is ApiError:
        assert caught.value.status_code == 413


def test_error_of_a_ranking_and_of_a_key_have_a_message_too(
    spoken: Client, second: cohere.ClientV2, connection: httpx.Client
) -> None:
    with pytest.raises(cohere.UnprocessableEntityError) as caught:
        second.rerank(model="m", query="", documents=["a"])
    assert "query: is empty" in caught.value.body["message"]
    stranger = cohere.ClientV2("wrong", base_url=spoken.url, httpx_client=connection)
    with pytest.raises(cohere.UnauthorizedError, match="not known here"):
        embed(stranger)
