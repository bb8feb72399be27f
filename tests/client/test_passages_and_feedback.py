"""`lurcher.Client` beyond searches: passages page by page, and feedback in batches."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import lurcher
from lurcher.client import paging
from lurcher.errors import FieldError, InputError, VersionMismatch
from tests.client.scripted import Scripted, problem, reply
from tests.server.serving import running, settings

QUERY = "ticket number 4711 is still open"
OLDER = {"info": {"title": "Lurcher", "version": "0.0.9"}}


@pytest.fixture(scope="module")
def url(small_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    log = tmp_path_factory.mktemp("client") / "feedback.log"
    with running(settings(small_bundle, feedback=log, max_queries=3)) as served:
        yield served.url


@pytest.fixture
def client(url: str) -> Iterator[lurcher.Client]:
    with lurcher.Client(url) as client:
        yield client


def test_all_passages_come_page_by_page(
    client: lurcher.Client, small_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paging, "PAGE", 7)
    with lurcher.open(small_bundle, threads=1) as here:
        wanted = here.passages.get(sorted(one.id for one in client.list_passages()))
    assert len(wanted) == 60
    assert list(client.list_passages()) == wanted
    french = [one for one in wanted if one.metadata["lang"] == "fr"]
    assert list(client.list_passages({"lang": "fr"})) == french
    assert list(client.list_documents('{"lang": "fr"}')) == [one.id for one in french]
    assert client.get_passage(french[3].id) == french[3]
    with pytest.raises(InputError, match="no passage has the id"):
        client.get_passage("no/such passage")
    with pytest.raises(FieldError, match=r"filter\.colour"):
        next(client.list_passages({"colour": "red"}))


def test_feedback_is_given_in_batches_counted_and_removed(client: lurcher.Client) -> None:
    pairs: list[Any] = [(f"{QUERY} {i}", f"fr-food-{i % 4}") for i in range(5)]
    given = client.give_feedback(
        [*pairs[:4], (QUERY, "nowhere"), (QUERY, "fr-food-0", 2.5)], key="k"
    )
    assert (given.accepted, given.keys) == (5, ["k-0", "k-3"])
    assert [(one.index, one.field) for one in given.refused] == [(4, "pairs.4.passage")]
    assert client.count_feedback().pairs == 5
    again = client.give_feedback(
        [*pairs[:4], (QUERY, "nowhere"), (QUERY, "fr-food-0", 2.5)], key="k"
    )
    assert again == given
    assert client.count_feedback().judgements == 5
    alone = client.give_feedback([(QUERY, "fr-food-1")])
    assert len(alone.keys) == 1
    assert client.remove_feedback([*given.keys, *alone.keys]) == 6
    client.give_feedback(pairs[:1])
    assert client.remove_feedback(before="2999-01-01") == 1
    assert client.count_feedback().pairs == 0
    assert client.give_feedback([]).keys == []
    with pytest.raises(FieldError, match="keys: give either"):
        client.remove_feedback()
    with pytest.raises(FieldError, match=r"pairs\.0\.weight"):
        client.give_feedback([(QUERY, "fr-food-0", -1.0)])


def test_async_client_gives_the_same(url: str, client: lurcher.Client) -> None:
    async def ask() -> list[str]:
        async with lurcher.AsyncClient(url) as awaited:
            given = await awaited.give_feedback([(QUERY, "fr-food-0")])
            assert (await awaited.count_feedback()).pairs == 1
            assert await awaited.remove_feedback(given.keys) == 1
            assert (await awaited.get_passage("fr-food-0")).id == "fr-food-0"
            assert [id_ async for id_ in awaited.list_documents({"lang": "de"})]
            return [one.id async for one in awaited.list_passages()]

    assert asyncio.run(ask()) == [one.id for one in client.list_passages()]


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (problem(404, detail="Not Found"), "it has no such route"),
        (problem(405, detail="Method Not Allowed"), "it has no such route"),
        (reply(200, {"passages": [{"id": "a"}], "cursor": None}), "passages.0.document"),
        (
            problem(422, errors=[{"field": "limit", "reason": "Extra inputs are not permitted"}]),
            "it does not know the field limit",
        ),
    ],
)
def test_older_server_is_named_with_both_versions(answer: httpx.Response, says: str) -> None:
    transport = httpx.MockTransport(Scripted([answer, reply(200, OLDER)]))
    with (
        lurcher.Client("http://search.example", transport=transport) as client,
        pytest.raises(
            VersionMismatch, match=r"the server is Lurcher 0\.0\.9, this client"
        ) as caught,
    ):
        list(client.list_passages())
    assert says in str(caught.value)


def test_feedback_is_sent_again_under_its_key() -> None:
    given = {"accepted": 1, "refused": [], "held_back": 0, "key": "k"}
    keys = []

    def answer(request: httpx.Request) -> httpx.Response:
        keys.append(request.headers["Idempotency-Key"])
        if len(keys) == 1:
            raise httpx.ReadError("broke")
        return reply(200, given)

    transport = httpx.MockTransport(answer)
    with lurcher.Client(
        "http://search.example", transport=transport, sleep=lambda _: None
    ) as client:
        found = client.give_feedback([(QUERY, "a")])
    assert keys == found.keys * 2
