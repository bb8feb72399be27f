"""``lurcher load``: an open loop, whose latencies count from when a request was due."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from lurcher.benchmarks.fairness import main as fairness
from lurcher.benchmarks.load import capacity, check_search
from lurcher.benchmarks.load import main as load
from lurcher.benchmarks.mixes import drawn, mix_of
from lurcher.benchmarks.open_loop import Outcome, Sent, offer, request_of, together
from lurcher.errors import FieldError, ServiceError
from tests.server.serving import running, settings

REQUESTS = [Sent("search", request_of({"query": text}, None)) for text in ("a cat", "a dog")]


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
        found = asyncio.run(offer(("127.0.0.1", client.port), REQUESTS, 40.0, 0.5))["search"]
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
        return found["search"]

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
        return found["search"]

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
    assert not any(together(one.values()).carries(0.01) for one in tried)


@pytest.mark.parametrize(
    "server",
    ["ftp://host", "http://", "https://host:1", "http://host/v1", "http://host:99999", "http://[::1",
     "http://me@host", "http://host?a=b"],
)  # fmt: skip
def test_what_is_no_server_is_named(tmp_path: Path, server: str) -> None:
    file = tmp_path / "queries.jsonl"
    file.write_text('{"_id": "1", "text": "a cat"}\n')
    with pytest.raises(FieldError, match="http://HOST:PORT"):
        load(server, file)


def test_options_that_are_no_object_are_named(tmp_path: Path) -> None:
    file = tmp_path / "queries.jsonl"
    file.write_text('{"_id": "1", "text": "a cat"}\n')
    with pytest.raises(FieldError, match=r"^options: '\[1\]'"):
        load("http://localhost:1", file, options="[1]")


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
            await check_search(server.sockets[0].getsockname()[:2], REQUESTS[0].content)
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


def test_kinds_of_requests_are_mixed_in_their_proportions(
    small_bundle: Path, tmp_path: Path
) -> None:
    shares = mix_of("search=2, unranked=1,write")
    requests = drawn(shares, ["a cat", "a dog"], {"top_k": 1}, None, "h")
    counts = {kind: sum(one.kind == kind for one in requests) for kind in shares}
    assert counts == pytest.approx({"search": 500, "unranked": 250, "write": 250}, abs=60)
    copy = tmp_path / "copy.lurcher"
    shutil.copytree(small_bundle, copy)
    one_of_each = [next(one for one in requests if one.kind == kind) for kind in shares]
    with running(settings(copy, writable=True, allowed_hosts=["*"], max_wait_ms=30_000)) as client:
        found = asyncio.run(offer(("127.0.0.1", client.port), one_of_each, 30.0, 0.2))
    assert {kind: len(one.served) for kind, one in found.items()} == dict.fromkeys(shares, 2)
    assert together(found.values()).rate == pytest.approx(30)


@pytest.mark.parametrize(
    "mix", ["", "odd=1", "search=1,search=2", "search=0", "search=x", "search=nan"]
)
def test_a_mix_that_is_none_is_named(mix: str) -> None:
    with pytest.raises(FieldError, match=r"^mix: "):
        mix_of(mix)


def test_a_server_that_runs_is_not_written_to(tmp_path: Path) -> None:
    file = tmp_path / "queries.jsonl"
    file.write_text('{"_id": "1", "text": "a cat"}\n')
    with pytest.raises(FieldError, match="mix: a server's passages stay as they are"):
        load("http://localhost:1", file, mix="search,write")


@pytest.mark.nightly
def test_load_and_fairness_say_what_they_found(
    small_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "queries.jsonl"
    file.write_text('{"_id": "1", "text": "a cat"}\n{"_id": "2", "text": "a dog"}\n')
    load(str(small_bundle), file, p99=500.0, seconds=0.5, mix="search=5,write=1")
    printed = capsys.readouterr().out
    assert "requests a second with a p99 of 500 ms" in printed
    assert "second by second" in printed
    fairness(small_bundle, file, others=2, rate=5, seconds=0.5, turns=2)
    assert "2 pairs of turns" in capsys.readouterr().out
