"""What clients do without thinking: null fields, HEAD, slashes, ``curl -d``, compressed bodies, 5.0 for 5."""

from __future__ import annotations

import gzip
import json
import socket
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.server.serving import JSON, PATIENCE, Client, Reply, assert_problem, running, settings

SEARCH = "/v1/search"
FORM = "application/x-www-form-urlencoded"


@pytest.fixture(scope="module")
def taking(small_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A ready server that takes feedback, without limits that matter here."""
    log = tmp_path_factory.mktemp("habits") / "feedback.log"
    with running(settings(small_bundle, feedback=log)) as client:
        yield client


def content(reply: Reply) -> Any:
    """The parts of a reply that do not change from one request to the next."""
    assert reply.status == 200, reply.body
    body = reply.json()
    body.get("meta", body).pop("timings_ms", None)
    return {name: value for name, value in body.items() if name not in ("id", "key")}


PAIR = {"query": "a cat", "passage": "en-animals-0"}
NULLS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    (SEARCH, {"query": "bread"},
     {"top_k": None, "filter": None, "include": None, "neighbours": None, "rank": None, "candidates": None,
      "timeout_ms": None, "no field of today": None}),
    (SEARCH, {"query": "bread", "neighbours": {}, "filter": {"year": {"gte": 2005}}},
     {"neighbours": {"mode": None, "lambda": None},
      "filter": {"year": {"gte": 2005, "gt": None, "lt": None, "lte": None, "in": None}}}),
    ("/v1/search/batch", {"queries": ["bread", "a cat"]}, {"top_k": None, "include": None, "filter": None}),
    ("/v1/rerank", {"query": "bread", "documents": ["yeast", "the sea"]},
     {"top_n": None, "top_k": None, "return_documents": None, "max_tokens_per_doc": None, "model": None,
      "passages": None, "rank_fields": None, "priority": None, "truncation": None,
      "max_chunks_per_doc": None}),
    ("/v1/feedback", {"pairs": [PAIR]}, {"bundle": None, "pairs": [{**PAIR, "weight": None}]}),
]  # fmt: skip


@pytest.mark.parametrize(("path", "body", "nulls"), NULLS)
def test_null_is_a_field_that_is_not_given(
    taking: Client, path: str, body: dict[str, Any], nulls: dict[str, Any]
) -> None:
    assert content(taking.post(path, {**body, **nulls})) == content(taking.post(path, body))


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        (SEARCH, {"query": None}, "query"),
        ("/v1/search/batch", {"queries": None}, "queries"),
        ("/v1/rerank", {"query": None, "documents": ["a"]}, "query"),
        ("/v1/feedback", {"pairs": None}, "pairs"),
        ("/v1/feedback", {"pairs": [{**PAIR, "passage": None}]}, "pairs.0.passage"),
    ],
)
def test_required_field_that_is_null_is_missing(
    taking: Client, path: str, body: dict[str, Any], field: str
) -> None:
    (error,) = assert_problem(taking.post(path, body), 422)["errors"]
    assert error["field"] == field
    assert "required" in error["reason"]


def test_whole_float_is_an_integer(live: Client) -> None:
    raw = b'{"query": "bread", "top_k": 5.0, "candidates": 2e1, "timeout_ms": 9000.0}'
    found = content(live.post(SEARCH, raw))
    assert found == content(live.search("bread", top_k=5, candidates=20))
    assert len(found["hits"]) == 5


PAGES = ["/", "/docs", "/openapi.json", "/favicon.ico"]
GETS = [*PAGES, "/livez", "/readyz", "/metrics", "/v1/bundle", "/v1/feedback"]
POSTS = [SEARCH, "/v1/search/batch", "/v1/rerank", "/v1/answer", "/v1/feedback"]


@pytest.mark.parametrize("path", [*GETS, "/nothing", SEARCH])
def test_head_is_get_without_the_body(taking: Client, path: str) -> None:
    taking.get(path)  # counters have their final number of digits after a first request
    got, head = taking.get(path), taking.request("HEAD", path)
    assert head.status == got.status
    assert head.body == b""
    changing = {"date", "x-request-id", "content-length" if path == "/metrics" else ""}
    assert {n: v for n, v in head.headers.items() if n not in changing} == {
        n: v for n, v in got.headers.items() if n not in changing
    }
    assert int(head.headers["content-length"]) > 0


def test_nothing_follows_the_headers_of_a_head(live: Client) -> None:
    """Two requests on one connection: a body would be taken for the second reply."""
    with socket.create_connection(("127.0.0.1", live.port), PATIENCE) as connection:
        ask = "HEAD {} HTTP/1.1\r\nHost: localhost\r\nConnection: {}\r\n\r\n"
        connection.sendall(ask.format("/docs", "keep-alive").encode())
        connection.sendall(ask.format("/livez", "close").encode())
        received = b"".join(iter(lambda: connection.recv(65_536), b""))
    first, second, rest = received.split(b"\r\n\r\n")
    assert first.startswith(b"HTTP/1.1 200 ")
    assert second.startswith(b"HTTP/1.1 200 ")
    assert rest == b""


def test_head_is_counted_for_its_route(live: Client) -> None:
    line = 'lurcher_requests_total{route="/livez",status="200"}'
    before = live.metric(line)
    live.request("HEAD", "/livez/")
    assert live.metric(line) == before + 1


@pytest.mark.parametrize("path", [p for p in GETS if p != "/metrics"])
def test_slash_at_the_end_makes_no_difference(taking: Client, path: str) -> None:
    assert taking.get(f"{path}/").body == taking.get(path).body


@pytest.mark.parametrize("slashes", ["/", "//"])
def test_body_reaches_a_path_with_a_slash_at_the_end(live: Client, slashes: str) -> None:
    assert content(live.post(SEARCH + slashes, {"query": "bread"})) == content(live.search("bread"))


def test_slash_elsewhere_is_another_path(live: Client) -> None:
    assert_problem(live.post("//v1//search", {"query": "bread"}), 404)


@pytest.mark.parametrize("headers", [{}, {"Content-Type": FORM}, {"Content-Type": "text/json"}])
def test_json_is_read_as_curl_sends_it(live: Client, headers: dict[str, str]) -> None:
    reply = live.request("POST", SEARCH, b'{"query": "bread"}', headers)
    assert content(reply) == content(live.search("bread"))


@pytest.mark.parametrize("charset", ["utf-8", "utf-16", "utf-32-be", "iso-8859-1", "us-ascii"])
def test_json_in_other_charsets_is_read(live: Client, charset: str) -> None:
    raw = '{"query": "bread é"}' if charset != "us-ascii" else '{"query": "bread \\u00e9"}'
    headers = {"Content-Type": f"application/json; charset={charset}"}
    reply = live.request("POST", SEARCH, raw.encode(charset), headers)
    assert content(reply) == content(live.search("bread é"))


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize(
    "sent", ["text/plain", "application/xml", "multipart/form-data; boundary=x"]
)
def test_other_types_are_refused_and_say_what_to_send(taking: Client, path: str, sent: str) -> None:
    problem = assert_problem(taking.request("POST", path, b"{}", {"Content-Type": sent}), 415)
    assert "Content-Type: application/json" in problem["detail"]


def test_page_of_another_site_gives_no_feedback_without_permission(taking: Client) -> None:
    raw = json.dumps({"pairs": [PAIR]}).encode()
    headers = {"Content-Type": FORM, "Origin": "https://evil.example"}
    assert_problem(taking.request("POST", "/v1/feedback", raw, headers), 415)


def test_unknown_path_stays_unknown_whatever_is_sent(live: Client) -> None:
    headers = {"Content-Type": "application/xml", "Content-Encoding": "br"}
    assert_problem(live.request("POST", "/v1/nothing", b"<a/>", headers), 404)
    assert_problem(live.request("POST", "/livez", b"<a/>", headers), 405)


@pytest.mark.parametrize(
    ("coding", "pack"), [("gzip", gzip.compress), ("x-gzip", gzip.compress), ("deflate", zlib.compress)]
)  # fmt: skip
def test_compressed_body_is_read(live: Client, coding: str, pack: Any) -> None:
    headers = {**JSON, "Content-Encoding": coding}
    reply = live.request("POST", SEARCH, pack(b'{"query": "bread"}'), headers)
    assert content(reply) == content(live.search("bread"))


def test_compressed_body_in_pieces_is_read(live: Client) -> None:
    packed = gzip.compress(b'{"query": "bread"}')
    pieces = iter([packed[i : i + 1] for i in range(len(packed))])
    headers = {**JSON, "Content-Encoding": "gzip", "Transfer-Encoding": "chunked"}
    assert live.request("POST", SEARCH, pieces, headers).status == 200


def test_bomb_is_refused_by_what_it_would_become(live: Client) -> None:
    bomb = gzip.compress(b'{"query": "' + b"x" * 50_000_000 + b'"}')
    assert len(bomb) < 200_000  # the limit of what is sent
    reply = live.request("POST", SEARCH, bomb, {**JSON, "Content-Encoding": "gzip"})
    assert "200000 bytes when decompressed" in assert_problem(reply, 413)["detail"]


@pytest.mark.parametrize(("coding", "status"), [("gzip", 400), ("deflate", 400), ("br", 415)])
def test_body_that_is_not_compressed_as_it_says(live: Client, coding: str, status: int) -> None:
    headers = {**JSON, "Content-Encoding": coding}
    assert coding in assert_problem(live.request("POST", SEARCH, b"{}", headers), status)["detail"]


@pytest.mark.parametrize("query", ["\u200b", "\ufeff \u2060", "\u00ad", "\u2800\u3164", "\x00\x1b"])
def test_query_that_shows_nothing_is_blank(live: Client, query: str) -> None:
    for path, body in (
        (SEARCH, {"query": query}),
        ("/v1/rerank", {"query": query, "documents": ["a"]}),
    ):
        (error,) = assert_problem(live.post(path, body), 422)["errors"]
        assert error["field"] == "query"
        assert error["reason"].startswith("is empty")
    batch = live.post("/v1/search/batch", {"queries": [query, "bread"]}).json()["results"]
    assert batch[0]["error"]["errors"][0]["reason"].startswith("is empty")
    assert batch[1]["hits"]


@pytest.mark.parametrize("path", [SEARCH, "/v1/rerank", "/v1/answer"])
def test_empty_query_is_called_empty(live: Client, path: str) -> None:
    (error,) = assert_problem(live.post(path, {"query": ""}), 422)["errors"]
    assert error == {"field": "query", "reason": "is empty"}


def test_errors_are_cut_to_what_can_be_read(live: Client) -> None:
    raw = live.post("/v1/rerank", {"query": "a", "documents": [3] * 5_000})
    problem = assert_problem(raw, 422)
    assert len(problem["errors"]) == 20
    assert "and 997 more" in problem["detail"]
    long = assert_problem(live.search("a", **{"x" * 100_000: 3}), 422)
    assert len(json.dumps(long)) < 5_000
    long = assert_problem(live.search("a", filter={"x" * 100_000: 3}), 422)
    assert len(json.dumps(long)) < 5_000


def test_openapi_names_the_address_that_was_asked(live: Client) -> None:
    assert live.get("/openapi.json").json()["servers"] == [{"url": live.url}]
    named = live.get("/openapi.json", Host="[::1]:81").json()["servers"]
    assert named == [{"url": "http://[::1]:81"}]


def test_icon_is_the_search_page_s_own(live: Client) -> None:
    reply = live.get("/favicon.ico")
    assert reply.headers["content-type"].startswith("image/svg+xml")
    assert reply.body.startswith(b"<svg ")
    assert reply.body.endswith(b"</svg>")


def test_bundle_says_whether_feedback_is_taken(live: Client, taking: Client) -> None:
    assert live.get("/v1/bundle").json()["feedback"] is False
    assert taking.get("/v1/bundle").json()["feedback"] is True
