"""Requests that are wrong in their form: each a problem that says what, none a fault of the server."""

from __future__ import annotations

import socket

import pytest

from tests.server.serving import JSON, PATIENCE, Client, assert_problem

SEARCH = "/v1/search"
BATCH = "/v1/search/batch"


@pytest.mark.parametrize("path", [SEARCH, BATCH])
@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"{", "not JSON"),
        (b'{"query": "a",}', "not JSON"),
        (b"query=cat", "not JSON"),
        (b'{"query": "\xff"}', "body: cannot be read: not UTF-8 at byte 11"),
        (b"\x00\x01\x02", "not JSON"),
        (b'{"query": ' + b"9" * 5_000 + b"}", "body: cannot be read: a number has too many digits"),
        (b'{"query": ' * 15_000, "body: cannot be read: nested too deeply"),
        (b"[" * 50_000 + b"]" * 50_000, "body: cannot be read: nested too deeply"),
    ],
)
def test_body_that_is_no_json(live: Client, path: str, body: bytes, says: str) -> None:
    problem = assert_problem(live.post(path, body), 400)
    assert says in problem["detail"]


def test_place_where_the_json_breaks_is_given(live: Client) -> None:
    problem = assert_problem(live.post(SEARCH, b'{"query": cat}'), 400)
    (error,) = problem["errors"]
    assert error["field"] == "body"
    assert "at character 10" in error["reason"]


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b'"cat"', b"3", b"true"])
def test_body_that_is_no_object(live: Client, body: bytes) -> None:
    problem = assert_problem(live.post(SEARCH, body), 422)
    assert problem["errors"][0]["field"] == "body"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"{}", "query"),
        (b'{"query": null}', "query"),
        (b'{"query": 3}', "query"),
        (b'{"query": ["cat"]}', "query"),
        (b'{"query": "\\ud800"}', "query"),
        (b'{"query": "cat", "topk": 3}', "topk"),
        (b'{"query": "cat", "\\ud800": 3}', "body"),
        (b'{"query": "cat", "filter": {"\\udfff": 3}}', "filter"),
        (b'{"query": "cat", "filter": {"lang": "\\ud800"}}', "filter.lang"),
        (b'{"query": "cat", "filter": {"lang": {"in": ["\\udc00"]}}}', "filter.lang"),
        (b'{"query": "cat", "filter": []}', "filter"),
        (b'{"query": "cat", "filter": {"year": NaN}}', "filter.year"),
        (b'{"query": "cat", "filter": {"year": {"gt": 1, "lt": "b"}}}', "filter.year"),
        (b'{"query": "cat", "filter": {"year": null}}', "filter.year"),
        (b'{"query": "cat", "filter": {"year": [1, 2]}}', "filter.year"),
        (
            b'{"query": "cat", "include": ["text", "text", "text", "text", "text", "text", "text"]}',
            "include",
        ),
    ],
)
def test_field_that_is_wrong_is_named(live: Client, body: bytes, field: str) -> None:
    problem = assert_problem(live.post(SEARCH, body), 422)
    named = [error["field"] for error in problem["errors"]]
    assert any(name == field or name.startswith(f"{field}.") for name in named), named


def test_wrong_value_of_a_filter_has_one_reason(live: Client) -> None:
    problem = assert_problem(live.search("cat", filter={"year": None}), 422)
    assert [error["field"] for error in problem["errors"]] == ["filter.year"]


@pytest.mark.parametrize("path", [SEARCH, BATCH])
def test_body_beyond_the_limit_is_refused_before_it_is_read(live: Client, path: str) -> None:
    """Only the headers are sent: the length they state is enough."""
    with socket.create_connection(("127.0.0.1", live.port), PATIENCE) as connection:
        connection.sendall(
            f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            "Content-Length: 200001\r\n\r\n".encode()
        )
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")


def test_chunked_body_beyond_the_limit_is_refused_while_it_is_read(live: Client) -> None:
    pieces = iter([b'{"query": "', *[b"x" * 1_000] * 210, b'"}'])
    problem = assert_problem(live.request("POST", SEARCH, pieces, JSON | CHUNKED), 413)
    assert "200000 bytes" in problem["detail"]


def test_chunked_body_within_the_limit_is_read(live: Client) -> None:
    pieces = iter([b'{"query"', b': "the', b' cat"}'])
    assert live.request("POST", SEARCH, pieces, JSON | CHUNKED).status == 200


CHUNKED = {"Transfer-Encoding": "chunked"}


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", SEARCH, "POST"),
        ("PUT", BATCH, "POST"),
        ("DELETE", "/v1/bundle", "GET"),
        ("POST", "/livez", "GET, HEAD"),
    ],
)
def test_wrong_method_says_which_is_right(
    live: Client, method: str, path: str, allowed: str
) -> None:
    reply = live.request(method, path)
    assert_problem(reply, 405)
    assert allowed in reply.headers["allow"]


@pytest.mark.parametrize(
    "path",
    [
        "/v1/nothing",
        "/v2/search",
        "/%00",
        "/v1/search/batch/more",
        "/docs/x",
        "/..%2f..%2fetc/passwd",
    ],
)
def test_unknown_route_is_not_found(live: Client, path: str) -> None:
    assert_problem(live.get(path), 404)


def test_what_was_sent_is_not_sent_back(live: Client) -> None:
    reply = live.search("cat", top_k="<script>secret</script>")
    assert_problem(reply, 422)
    assert b"secret" not in reply.body


def test_lone_surrogate_in_a_batch_is_named(live: Client) -> None:
    problem = assert_problem(live.post(BATCH, b'{"queries": ["cat", "\\ud800"]}'), 422)
    assert problem["errors"][0]["field"] == "queries.1"


def test_large_body_that_is_sent_all_the_same_gets_its_answer(live: Client) -> None:
    assert_problem(live.post(SEARCH, b" " * 2_000_000), 413)


def test_too_many_hits_in_all_are_refused(live: Client) -> None:
    problem = assert_problem(live.post(BATCH, {"queries": ["cat"] * 11, "top_k": 100}), 413)
    assert "1000 hits" in problem["detail"]
    assert live.post(BATCH, {"queries": ["cat"] * 10, "top_k": 100}).status == 200


def test_tokens_are_aligned_for_so_many_hits_only(live: Client) -> None:
    batch = {"queries": ["cat", "dog", "food"], "include": ["token_alignment"], "top_k": 67}
    problem = assert_problem(live.post("/v1/search/batch", batch), 413)
    assert problem["detail"] == "token_alignment: at most 200 hits in one request"
    assert live.post("/v1/search/batch", {**batch, "top_k": 66}).status == 200
