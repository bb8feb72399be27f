"""``lurcher load``: an open loop, whose latencies count from when a request was due."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from lurcher.benchmarks.load import Outcome, capacity, check_search, main, offer, request_of
from lurcher.errors import FieldError, ServiceError
from tests.server.serving import running, settings

REQUESTS = [request_of({"query": text}, None) for text in ("a cat", "a dog")]


def outcome(served: int = 100, ms: float = 5.0, refused: int = 0, failed: int = 0) -> Outcome:
    return Outcome(10.0, 1.0, [ms] * served, [1.0] * refused, failed)


@pytest.mark.parametrize(
    ("found", "carries"),
    [
        (outcome(), True),
        (outcome(ms=10.1), False),
        (outcome(refused=1), True),
        (outcome(refused=2), False),
        (outcome(failed=2), False),
        (outcome(served=0, failed=1), False),
    ],
)
def test_a_rate_is_carried_if_nearly_all_are_served_in_time(found: Outcome, carries: bool) -> None:
    assert found.carries(10.0) is carries


def test_each_request_is_sent_and_accounted_for(small_bundle: Path) -> None:
    with running(settings(small_bundle, max_wait_ms=30_000)) as client:
        found = asyncio.run(offer(("127.0.0.1", client.port), REQUESTS, 40.0, 0.5))
        assert (len(found.served), found.refused, found.failed) == (20, [], 0)
        assert client.metric('lurcher_requests_total{route="/v1/search",status="200"}') == 20


def test_a_server_that_stands_still_does_not_stop_the_clock() -> None:
    """Ten requests are due within a tenth of a second; the server answers one in twenty milliseconds."""

    async def story() -> Outcome:
        turn = asyncio.Lock()

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while await reader.readuntil(b"}"):
                async with turn:
                    await asyncio.sleep(0.02)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        address = server.sockets[0].getsockname()[:2]
        found = await offer(address, REQUESTS, 100.0, 0.1)
        server.close()
        return found

    found = asyncio.run(story())
    assert len(found.served) == 10
    assert max(found.served) > 60


def test_replies_that_are_no_answers_are_told_apart() -> None:
    async def story(status: bytes) -> Outcome:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"}")
            if status:
                writer.write(
                    b"HTTP/1.1 %s\r\nConnection: close\r\nContent-Length: 0\r\n\r\n" % status
                )
            writer.close()
            await writer.wait_closed()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        found = await offer(server.sockets[0].getsockname()[:2], REQUESTS, 100.0, 0.03)
        server.close()
        return found

    refused, failed, silent = (
        asyncio.run(story(status)) for status in (b"429 Too Many", b"500 Oh", b"")
    )
    assert (len(refused.refused), refused.failed) == (3, 0)
    assert (len(failed.refused), failed.failed) == (0, 3)
    assert (silent.served, silent.failed) == ([], 3)


def test_capacity_ends_where_a_server_does_not_keep_up(small_bundle: Path) -> None:
    with running(settings(small_bundle)) as client:
        tried = capacity(("127.0.0.1", client.port), REQUESTS, 0.01, 0.1)
    assert len(tried) == 5
    assert not any(one.carries(0.01) for one in tried)


@pytest.mark.parametrize(
    "server",
    ["ftp://host", "http://", "https://host:1", "http://host/v1", "http://host:99999", "http://[::1",
     "http://me@host", "http://host?a=b"],
)  # fmt: skip
def test_what_is_no_server_is_named(tmp_path: Path, server: str) -> None:
    file = tmp_path / "queries.jsonl"
    file.write_text('{"_id": "1", "text": "a cat"}\n')
    with pytest.raises(FieldError, match="http://HOST:PORT"):
        main(server, file)


def test_options_that_are_no_object_are_named(tmp_path: Path) -> None:
    file = tmp_path / "queries.jsonl"
    file.write_text('{"_id": "1", "text": "a cat"}\n')
    with pytest.raises(FieldError, match=r"^options: '\[1\]'"):
        main("http://localhost:1", file, options="[1]")


REPLIES = {
    "another server": (
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n<p/>",
        "no server of Lurcher's",
    ),
    "other JSON": (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", "no server of Lurcher's"),
    "no length": (b"HTTP/1.1 200 OK\r\n\r\n{}", "without its length"),
    "no HTTP": (b"HELLO\r\n\r\n", "no reply"),
    "nothing": (b"", "no reply"),
    "an endless head": (b"x" * 100_000, "no reply"),
}


@pytest.mark.parametrize("kind", REPLIES)
def test_what_does_not_answer_searches_is_told_before_it_is_measured(kind: str) -> None:
    reply, reason = REPLIES[kind]

    async def story() -> None:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"}")
            writer.write(reply)
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        try:
            await check_search(server.sockets[0].getsockname()[:2], REQUESTS[0])
        finally:
            server.close()

    with pytest.raises(ServiceError, match=reason):
        asyncio.run(story())


def test_a_search_that_is_refused_is_told_with_the_servers_reason(small_bundle: Path) -> None:
    with running(settings(small_bundle, allowed_hosts=["a.example"])) as client:
        address = ("127.0.0.1", client.port)
        asyncio.run(check_search(address, request_of({"query": "a cat"}, None, "a.example")))
        with pytest.raises(ServiceError, match="421: Host"):
            asyncio.run(check_search(address, request_of({"query": "a cat"}, None, "b.example")))
        with pytest.raises(ServiceError, match="422: nope"):
            asyncio.run(
                check_search(address, request_of({"query": "a cat", "nope": 1}, None, "[::1]"))
            )
