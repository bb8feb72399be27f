"""Reranking beside searches: in pieces, up to the queue's limit and to the deadline."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lurcher.bundle.bundle import Bundle
from lurcher.errors import LurcherError, ModelError
from lurcher.models.engines import EngineName
from lurcher.retrieval.query import Query
from lurcher.retrieval.rerank import Document, EncodedDocument
from lurcher.retrieval.results import SearchResult
from lurcher.retrieval.snapshot import Snapshot
from tests.server.reranking import PATH, QUERY, rerank, scores
from tests.server.serving import JSON, PATIENCE, Client, assert_problem, running, settings, until


class Watched:
    """Opens snapshots that note what they do; encoding begins only while the gate is open."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.open.set()
        self.done: list[str | int] = []  # a search's text, or how many documents were encoded
        self.begun = threading.Event()
        self.broken = False

    def snapshot(self, bundle: Bundle, threads: int, engine: EngineName) -> Snapshot:
        return _Watched(bundle, threads, engine, self)


class _Watched(Snapshot):
    def __init__(self, bundle: Bundle, threads: int, engine: EngineName, watch: Watched) -> None:
        super().__init__(bundle, threads, engine)
        self._watch = watch

    def run(self, queries: Sequence[Query]) -> list[SearchResult | LurcherError]:
        self._watch.done += [query.text for query in queries]
        return super().run(queries)

    def encode_documents(self, documents: Sequence[Document]) -> list[EncodedDocument]:
        self._watch.begun.set()
        assert self._watch.open.wait(PATIENCE)
        self._watch.done.append(len(documents))
        if self._watch.broken:
            raise ModelError("no passages' encoder")
        return super().encode_documents(documents)


@pytest.fixture
def watch() -> Watched:
    return Watched()


@pytest.fixture
def watched(small_bundle: Path, watch: Watched) -> Iterator[Client]:
    """A ready server of one core, whose queue holds twenty; shut its gate and it encodes none to the end."""
    limits = {"max_waiting": 20, "max_queries": 20}
    with running(settings(small_bundle, **limits), watch.snapshot) as client:
        watch.done.clear()
        yield client
        watch.open.set()


def test_searches_get_in_between_the_documents_of_one_request(
    watched: Client, watch: Watched
) -> None:
    watch.open.clear()
    with ThreadPoolExecutor(2) as threads:
        reranking = threads.submit(rerank, watched, QUERY, documents=["bread"] * 12)
        assert watch.begun.wait(PATIENCE)
        searching = threads.submit(watched.search, "between")
        until(lambda: watched.metric("lurcher_waiting_queries") == 1)
        watch.open.set()
        assert searching.result(PATIENCE).status == 200
        assert len(scores(reranking.result(PATIENCE))) == 12
    assert watch.done == [4, "between", 4, 4]


def test_a_queue_shorter_than_what_is_encoded_together_is_enough(small_bundle: Path) -> None:
    with running(settings(small_bundle, max_waiting=2, max_queries=2)) as client:
        assert len(scores(rerank(client, QUERY, documents=["bread"] * 5))) == 5


def test_passed_deadline_is_504_and_the_rest_is_never_encoded(
    watched: Client, watch: Watched
) -> None:
    watch.open.clear()
    problem = assert_problem(rerank(watched, QUERY, documents=["a"] * 40, timeout_ms=1_500), 504)
    assert "within 1500 ms" in problem["detail"]
    watch.open.set()
    assert watched.search("next").status == 200
    assert watch.done == [4, "next"]


def test_documents_of_a_client_that_disconnected_are_not_encoded(
    watched: Client, watch: Watched
) -> None:
    watch.open.clear()
    body = b'{"query": "gone", "documents": [' + b'"a", ' * 39 + b'"a"]}'
    with socket.create_connection(("127.0.0.1", watched.port), PATIENCE) as connection:
        connection.sendall(
            b"POST /v1/rerank HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
        )
        assert watch.begun.wait(PATIENCE)
    for _ in range(3):  # by then the server has heard that the connection is closed
        assert watched.get("/livez").status == 200
    watch.open.set()
    assert watched.search("next").status == 200
    assert watch.done == [4, "next"]


def test_full_queue_is_429(watched: Client, watch: Watched) -> None:
    watch.open.clear()
    with ThreadPoolExecutor(3) as threads:
        first = threads.submit(rerank, watched, QUERY, documents=["bread"] * 2)
        assert watch.begun.wait(PATIENCE)
        second = threads.submit(watched.post, "/v1/search/batch", {"queries": ["a"] * 20})
        until(lambda: watched.metric("lurcher_waiting_queries") == 20)
        refused = watched.post(PATH, {"query": "a", "documents": ["b", "c"]})
        assert_problem(refused, 429)
        assert int(refused.headers["retry-after"]) >= 1
        watch.open.set()
        assert first.result(PATIENCE).status == second.result(PATIENCE).status == 200


def test_searches_are_not_hurt_by_documents_that_cannot_be_encoded(
    watched: Client, watch: Watched
) -> None:
    watch.broken = True
    with ThreadPoolExecutor(8) as threads:
        failing = [threads.submit(rerank, watched, "a", documents=["b"]) for _ in range(3)]
        searches = [threads.submit(watched.search, "a cat") for _ in range(5)]
        assert {reply.result(PATIENCE).status for reply in searches} == {200}
        for reply in failing:
            assert_problem(reply.result(PATIENCE), 500)
    assert rerank(watched, "a", passages=["en-food-0"]).status == 200


def test_stages_are_timed(watched: Client) -> None:
    assert rerank(watched, "a", documents=["b"] * 20).status == 200
    assert (
        watched.metric('lurcher_stage_seconds_count{collection="small",stage="encode_documents"}')
        == 5
    )
    assert watched.metric('lurcher_stage_seconds_count{collection="small",stage="read"}') == 0
    assert watched.metric('lurcher_stage_seconds_count{collection="small",stage="rerank"}') == 1
    assert watched.request("POST", PATH, b"{}", JSON).status == 422
