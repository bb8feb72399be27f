"""MCP by its own SDK, over HTTP in old and new revisions and over a pipe; messages that are wrong."""

from __future__ import annotations

import asyncio
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mcp.client.client import Client as McpClient
from mcp.client.stdio import StdioServerParameters, stdio_client

import lurcher
from lurcher.collection import Collection
from lurcher.server.protocols.mcp.pipe import serve_pipe
from tests.server.protocols.conftest import TEXTS
from tests.server.serving import Client, Reply, running, settings

QUESTION = "what did Galileo build"
INITIALIZE = {
    "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "0"},
}  # fmt: skip


@pytest.fixture(scope="module")
def served(answering_bundle: Path) -> Iterator[Client]:
    origins = ["https://docs.example"]
    with running(settings(answering_bundle, cors_origins=origins, max_body_bytes=50_000)) as client:
        yield client


@pytest.fixture(scope="module")
def opened(answering_bundle: Path) -> Iterator[Collection]:
    with lurcher.open(answering_bundle, threads=1) as collection:
        yield collection


def call(client: Client, method: str, **params: Any) -> Reply:
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    return client.post("/mcp", body)


async def talk(client: McpClient, collection: Collection) -> None:
    """Use each tool, and find in each result what the collection says."""
    async with client:
        tools = {tool.name for tool in (await client.list_tools()).tools}
        assert tools == {"search", "answer", "get_passage"}

        found = await client.call_tool("search", {"query": TEXTS[0], "top_k": 3})
        passages = found.structured_content["passages"]
        hits = collection.search(TEXTS[0], top_k=3, fold=True).hits
        assert [one["id"] for one in passages] == [hit.id for hit in hits]
        assert [one["score"] for one in passages] == pytest.approx(
            [h.score for h in hits], abs=1e-5
        )
        for one, hit in zip(passages, hits, strict=True):
            cited = one["citation"]
            assert (cited["document"], cited["start"], cited["end"]) == (
                hit.passage.document, hit.passage.start, hit.passage.end,
            )  # fmt: skip
            assert one["id"] in found.content[0].text

        read = (await client.call_tool("get_passage", {"id": hits[0].id})).structured_content
        assert read["text"] == hits[0].text

        answers = (await client.call_tool("answer", {"question": QUESTION})).structured_content
        wanted = collection.answer(QUESTION).answers
        assert [one["text"] for one in answers["answers"]] == [one.text for one in wanted]
        for one in answers["answers"]:
            place = one["citation"]
            (passage,) = collection.passages.get([one["passage"]])
            if one["text"] in passage.text:
                words = passage.text[place["start"] - passage.start : place["end"] - passage.start]
                assert words == one["text"]

        wrong = await client.call_tool("search", {"query": "", "colour": "red"})
        assert wrong.is_error
        assert "query" in wrong.content[0].text


@pytest.mark.parametrize("mode", ["legacy", "auto"])
def test_sdk_calls_each_tool_over_http(served: Client, opened: Collection, mode: str) -> None:
    asyncio.run(talk(McpClient(f"{served.url}/mcp", mode=mode), opened))


def test_sdk_calls_each_tool_over_a_pipe(answering_bundle: Path, opened: Collection) -> None:
    command = StdioServerParameters(
        command=sys.executable, args=["-m", "lurcher", "mcp", str(answering_bundle)]
    )
    asyncio.run(talk(McpClient(stdio_client(command), mode="auto"), opened))


@pytest.mark.parametrize(
    ("raw", "status", "code", "says"),
    [
        (b"{", 400, -32700, "not JSON"),
        (b"[" * 20_000, 400, -32700, "not JSON"),
        (b"[]", 400, -32600, "batches"),
        (b"3", 400, -32600, "object"),
        (b'{"jsonrpc": "2.0", "id": 1}', 400, -32600, "method"),
        (b'{"jsonrpc": "1.0", "id": 1, "method": "ping"}', 400, -32600, "2.0"),
        (b'{"jsonrpc": "2.0", "id": null, "method": "ping"}', 400, -32600, "id"),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "ping", "params": []}', 400, -32600, "params"),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "songs/sing"}', 404, -32601, "songs/sing"),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "tools/call"}', 400, -32602, "no tool"),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "server/discover"}', 400, -32602, "_meta"),
        (b'{"x": "' + b"y" * 60_000 + b'"}', 413, -32600, "50000 bytes"),
    ],
)  # fmt: skip
def test_message_that_is_wrong_gets_its_error(
    served: Client, raw: bytes, status: int, code: int, says: str
) -> None:
    reply = served.post("/mcp", raw)
    assert reply.status == status, reply.body
    error = reply.json()["error"]
    assert error["code"] == code
    assert says in error["message"]


def test_revisions_are_agreed_on(served: Client) -> None:
    assert (
        call(served, "initialize", **INITIALIZE).json()["result"]["protocolVersion"] == "2025-06-18"
    )
    newer = call(served, "initialize", **INITIALIZE | {"protocolVersion": "2199-01-01"})
    assert newer.json()["result"]["protocolVersion"] == "2025-11-25"
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    unknown = served.post("/mcp", body, MCP_Protocol_Version="2199-01-01")
    assert (unknown.status, unknown.json()["error"]["code"]) == (400, -32022)
    assert "2026-07-28" in unknown.json()["error"]["data"]["supported"]


def test_headers_that_say_otherwise_are_refused(served: Client) -> None:
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": meta}}
    right = {"MCP_Protocol_Version": "2026-07-28", "Mcp_Method": "tools/list"}
    assert served.post("/mcp", body, **right).json()["result"]["resultType"] == "complete"
    for wrong in ({"Mcp_Method": "tools/call"}, {"MCP_Protocol_Version": "2025-06-18"}):
        refused = served.post("/mcp", body, **{**right, **wrong})
        assert (refused.status, refused.json()["error"]["code"]) == (400, -32020)


def test_what_wants_no_answer_gets_none(served: Client) -> None:
    for body in ({"jsonrpc": "2.0", "method": "notifications/initialized"},
                 {"jsonrpc": "2.0", "id": 4, "result": {}}):  # fmt: skip
        reply = served.post("/mcp", body)
        assert (reply.status, reply.body) == (202, b"")
    assert served.get("/mcp").status == 405


@pytest.mark.parametrize(
    ("origin", "status"),
    [("http://evil.example:8080", 403), ("null", 403), ("http://localhost:3000", 200),
     ("https://docs.example", 200)],
)  # fmt: skip
def test_pages_of_other_sites_are_kept_out(served: Client, origin: str, status: int) -> None:
    reply = served.post("/mcp", {"jsonrpc": "2.0", "id": 1, "method": "ping"}, Origin=origin)
    assert reply.status == status


def test_key_is_needed_where_there_are_keys(spoken: Client) -> None:
    reply = call(spoken, "ping")
    assert reply.status == 401
    assert "API key" in reply.json()["error"]["message"]


def test_tool_is_there_only_where_it_can_work(spoken: Client) -> None:
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    reply = spoken.post("/mcp", body, Authorization="Bearer a-read-key")
    names = [tool["name"] for tool in reply.json()["result"]["tools"]]
    assert names == ["search", "get_passage"]


def test_pipe_outlives_what_is_wrong(opened: Collection) -> None:
    lines = [
        b"{", b"", b"x" * 5_000, b'{"jsonrpc": "2.0", "method": "notifications/initialized"}',
        json.dumps({"jsonrpc": "2.0", "id": "a", "method": "ping"}).encode(),
        json.dumps({"jsonrpc": "2.0", "id": 2, "method": "tools/call",
                    "params": {"name": "get_passage", "arguments": {"id": "nobody"}}}).encode(),
    ]  # fmt: skip
    replies = io.BytesIO()
    asyncio.run(serve_pipe(opened, io.BytesIO(b"\n".join(lines)), replies, longest=1_000))
    broken, long, pong, unknown = map(json.loads, replies.getvalue().splitlines())
    assert broken["error"]["code"] == -32700
    assert "1000 bytes" in long["error"]["message"]
    assert pong == {"jsonrpc": "2.0", "id": "a", "result": {}}
    assert unknown["result"]["isError"]
    assert "nobody" in unknown["result"]["content"][0]["text"]
