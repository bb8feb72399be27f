"""`lurcher.Client` and `AsyncClient` against a real server: what the collection gives in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import numpy as np
import pytest

import lurcher
from lurcher.collection import Collection
from lurcher.errors import AccessRefused, FieldError, InputError, ServerUnreachable, VersionMismatch
from lurcher.retrieval.results import SearchResult
from lurcher.server.keys import key_hash
from tests.server.serving import Client as Raw
from tests.server.serving import running, settings

KEY = "a-read-key"
QUERY = "why does the bread rise"
EVERY = ["highlights", "contributing_neighbours", "token_alignment"]


@pytest.fixture(scope="module")
def served(answering_bundle: Path) -> Iterator[Raw]:
    limits = {"max_queries": 3, "max_hits": 100, "max_inputs": 7}
    with running(settings(answering_bundle, read_keys=[key_hash(KEY)], **limits)) as raw:
        yield raw


@pytest.fixture(scope="module")
def client(served: Raw) -> Iterator[lurcher.Client]:
    with lurcher.Client(served.url, KEY) as client:
        yield client


@pytest.fixture(scope="module")
def here(answering_bundle: Path) -> Iterator[Collection]:
    with lurcher.open(answering_bundle, threads=1) as collection:
        yield collection


def near(value: Any) -> Any:
    """What is equal to ``value`` as a server sends it, with six digits."""
    if isinstance(value, float):
        return pytest.approx(value, abs=2e-6)
    if isinstance(value, dict):
        return {name: near(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(near, value))
    if isinstance(value, SearchResult):
        value = replace(value, seconds=ANY)
    if hasattr(value, "__dataclass_fields__"):
        names = value.__dataclass_fields__
        return replace(value, **{name: near(getattr(value, name)) for name in names})
    return value


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"filter": {"lang": "en"}, "rank": "off", "include": EVERY},
        {"filter": '{"lang": "de"}', "include": EVERY, "fold": True, "candidates": 30},
        {"retrieve": "lexical", "rank": "off", "group_by": "document"},
        {"query_syntax": "phrase", "neighbours": "off", "dense_weight": 0.5},
        {"filter": None, "group_by": None, "dense_weight": None, "candidates": None},
    ],
)
def test_search_gives_what_the_collection_gives(
    client: lurcher.Client, here: Collection, options: dict[str, Any]
) -> None:
    over_http = client.search(QUERY, 4, **options)
    assert over_http == near(here.search(QUERY, 4, **options))
    assert over_http.seconds["encode"] > 0


def test_many_searches_are_sent_as_the_limits_allow(
    client: lurcher.Client, here: Collection
) -> None:
    queries = [QUERY, "the cat", "trains", "glacier", "orchestra", "oboe", "yeast"]
    wanted = near(here.search_many(queries, 2))
    assert client.search_many(queries, 2) == wanted
    assert client.search_many([]) == []
    with pytest.raises(FieldError, match=r"^queries\.4: is empty"):
        client.search_many([*queries[:4], " "])


def test_answers_are_those_of_the_collection(client: lurcher.Client, here: Collection) -> None:
    asked: dict[str, Any] = {"top_k": 2, "read_depth": 5, "min_score": 0, "filter": {"lang": "en"}}
    over_http, wanted = client.answer(QUERY, **asked), here.answer(QUERY, **asked)
    assert over_http.answers
    assert over_http.answers == near(wanted.answers)
    assert over_http.question == wanted.question


def test_scores_and_vectors_are_those_of_the_collection(
    client: lurcher.Client, here: Collection
) -> None:
    texts = ["Yeast turns sugar into gas.", "A train.", "sand " * 900]
    assert client.rerank(QUERY, texts) == near(here.rerank(QUERY, texts))
    ids = [hit.id for hit in here.search(QUERY, 3).hits][::-1]
    assert client.rerank(QUERY, passages=ids) == near(here.rerank(QUERY, passages=ids))
    for side in ("query", "passage"):
        found = client.embed(texts * 30, side=side)  # type: ignore[arg-type]  # one of both names
        np.testing.assert_allclose(found, here.embed(texts * 30, side=side), atol=1e-5)  # type: ignore[arg-type]  # as above
        assert found.dtype == np.float32
    assert client.embed([]).shape[0] == 0


def test_passages_of_a_document_and_what_is_served(
    client: lurcher.Client, here: Collection
) -> None:
    document = here.search(QUERY, 1).hits[0].passage.document
    assert client.of_document(document) == here.passages.of_document(document)
    about = client.about()
    assert (about.passages, about.filter_fields) == (len(here.passages), here.passages.fields)


@pytest.mark.parametrize(
    ("call", "arguments", "kind", "says"),
    [
        (
            "search",
            {"query": QUERY, "colour": "red"},
            FieldError,
            "colour: there is no such option",
        ),
        ("search", {"query": QUERY, "filter": "{"}, FieldError, "filter: not JSON"),
        (
            "search",
            {"query": QUERY, "filter": {"colour": 1}},
            FieldError,
            "filter.colour: no passage",
        ),
        ("search", {"query": " "}, FieldError, "query: is empty"),
        ("search", {"query": QUERY, "top_k": 0}, FieldError, "top_k"),
        ("search", {"query": QUERY, "include": ["song"]}, FieldError, "include: 'song'"),
        ("search", {"query": "x" * 9_000}, FieldError, "query: 9000 characters"),
        ("answer", {"question": QUERY, "fold": True}, FieldError, "fold: a server does not"),
        ("answer", {"question": QUERY, "include": ["highlights"]}, FieldError, "include: a server"),
        ("rerank", {"query": QUERY}, FieldError, "documents: give either"),
        ("embed", {"texts": ["a"], "side": "song"}, FieldError, "side: 'song'"),
        ("embed", {"texts": ["a" * 2_000_000]}, InputError, "1048576 bytes"),
        ("of_document", {"id_": "no/such document"}, InputError, "no document has the id"),
    ],
)
def test_error_names_the_field_and_the_reason(
    client: lurcher.Client, call: str, arguments: dict[str, Any], kind: type[Exception], says: str
) -> None:
    with pytest.raises(kind, match=r".*") as caught:
        getattr(client, call)(**arguments)
    assert says in str(caught.value)


def test_key_address_and_server_that_do_not_fit(served: Raw) -> None:
    with lurcher.Client(served.url) as stranger, pytest.raises(AccessRefused, match="API key"):
        stranger.search(QUERY)
    with lurcher.Client(f"{served.url}/elsewhere", KEY) as lost, pytest.raises(VersionMismatch):
        lost.search(QUERY)
    with (
        lurcher.Client("http://127.0.0.1:9", retries=0) as nobody,
        pytest.raises(ServerUnreachable, match=r"127\.0\.0\.1:9"),
    ):
        nobody.search(QUERY)
    with pytest.raises(FieldError, match="must begin with http"):
        lurcher.Client("localhost:8080")


def test_async_client_gives_the_same(served: Raw, here: Collection) -> None:
    async def ask() -> list[SearchResult]:
        async with lurcher.AsyncClient(served.url, KEY) as client:
            with pytest.raises(FieldError, match="query: is empty"):
                await client.search(" ")
            (vector,) = await client.embed([QUERY])
            np.testing.assert_allclose(vector, here.embed([QUERY])[0], atol=1e-5)
            assert await client.rerank(QUERY, ["a"]) == near(here.rerank(QUERY, ["a"]))
            assert (await client.about()).name == here.manifest.name
            assert (await client.answer(QUERY, min_score=0)).answers
            assert await client.of_document(here.search(QUERY).hits[0].passage.document)
            many = await client.search_many([QUERY] * 4, 2)
            return [many[0], *await asyncio.gather(*(client.search(QUERY, 2) for _ in range(3)))]

    wanted = near(here.search(QUERY, 2))
    assert asyncio.run(ask()) == [wanted] * 4
