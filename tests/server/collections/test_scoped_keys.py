"""Keys for some collections: on every route, in searches over several, and where a body names a model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lurcher.server.keys import key_hash
from tests.server.serving import JSON, Client, Reply, assert_problem, running, settings

DOCS, TICKETS, ALL = "reads-docs", "reads-tickets", "reads-all"
BODY = {"query": "a cat"}
ROUTES: list[tuple[str, str, Any]] = [
    ("POST", "/search", BODY),
    ("POST", "/search/batch", {"queries": ["a cat"]}),
    ("POST", "/answer", BODY),
    ("POST", "/rerank", {"query": "cat", "documents": ["a cat"]}),
    ("GET", "/bundle", None),
    ("GET", "/passages", None),
    ("GET", "/passages/en-animals-0", None),
    ("GET", "/documents/en-animals-0", None),
    ("GET", "/models", None),
    ("POST", "/embeddings", {"model": "tiny", "input": "a cat"}),
    ("POST", "/embed", {"texts": ["a cat"], "input_type": "search_query"}),
    ("POST", "/mcp", {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}),
]
WRITING: list[tuple[str, str, Any]] = [
    ("PUT", "/passages", {"records": [{"id": "a", "text": "b"}]}),
    ("DELETE", "/passages", {"ids": ["a"]}),
    ("PATCH", "/passages", {"records": [{"id": "a", "metadata": {}}]}),
    ("POST", "/feedback", {"pairs": [{"query": "a", "passage": "b"}]}),
    ("DELETE", "/feedback?keys=none", None),
]


def entry(key: str, may: str, *collections: str) -> str:
    where = f"collections = {json.dumps(collections)}\n" if collections else ""
    return f'[[key]]\nhash = "{key_hash(key)}"\nmay = "{may}"\n{where}'


@pytest.fixture(scope="module")
def guarded(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    file = tmp_path_factory.mktemp("keys") / "keys.toml"
    entries = [
        entry(DOCS, "read", "docs"), entry(TICKETS, "write", "tickets"), entry(ALL, "read")
    ]  # fmt: skip
    file.write_text("".join(entries))
    with running(settings(folder / "docs.lurcher", collections=folder, keys_file=file)) as client:
        yield client


def ask(client: Client, route: tuple[str, str, Any], key: str | None) -> Reply:
    method, path, body = route
    raw = None if body is None else json.dumps(body).encode()
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    return client.request(method, path, raw, {**(JSON if body else {}), **headers})


@pytest.mark.parametrize("route", [*ROUTES, *WRITING], ids=lambda r: f"{r[0]} {r[1]}")
def test_a_key_is_for_its_collections_alone(guarded: Client, route: tuple[str, str, Any]) -> None:
    method, path, body = route
    here = (method, f"/v1/collections/docs{path}", body)
    there = (method, f"/v1/collections/tickets{path}", body)
    assert ask(guarded, here, None).status == 401
    assert ask(guarded, there, "unknown").status == 401
    for refused in (ask(guarded, there, DOCS), ask(guarded, here, TICKETS)):
        assert refused.status == 403
        assert b'"passages":' not in refused.body
    if route in ROUTES and path != "/answer":  # that is 422: there is no reader
        assert ask(guarded, here, DOCS).status == 200
        assert ask(guarded, here, ALL).status == 200
    else:  # writing is off, and of a key that may write that is said
        assert ask(guarded, there, TICKETS).status in (403, 422)


@pytest.mark.parametrize("route", ROUTES, ids=lambda r: f"{r[0]} {r[1]}")
def test_routes_that_name_none_ask_the_default(
    guarded: Client, route: tuple[str, str, Any]
) -> None:
    method, path, body = route
    default = (method, "/mcp" if path == "/mcp" else f"/v1{path}", body)
    wanted = 422 if path == "/answer" else 200
    assert ask(guarded, default, DOCS).status == wanted
    # A model that a body names may be another collection's.
    by_model = path in ("/models", "/embeddings")
    assert ask(guarded, default, TICKETS).status == (200 if by_model else 403)
    assert ask(guarded, default, None).status == 401


@pytest.mark.parametrize("path", ["/embed", "/similarity", "/rerank", "/info"])
def test_other_servers_routes_ask_the_default(guarded: Client, path: str) -> None:
    bodies: dict[str, Any] = {
        "/embed": {"inputs": "a cat"},
        "/similarity": {"inputs": {"source_sentence": "a", "sentences": ["b"]}},
        "/rerank": {"query": "cat", "texts": ["a cat"]},
    }
    route = ("POST" if path in bodies else "GET", path, bodies.get(path))
    assert [ask(guarded, route, key).status for key in (DOCS, TICKETS, None)] == [200, 403, 401]


@pytest.mark.parametrize(
    ("path", "body", "granted"),
    [
        ("/v1/search", BODY, 200),
        ("/v1/search/batch", {"queries": ["cat"]}, 200),
        ("/v1/answer", {"query": "cat"}, 422),  # they have no reader
    ],
    ids=lambda given: given if isinstance(given, str) else "",
)
def test_who_asks_several_needs_a_key_for_each(
    guarded: Client, path: str, body: dict[str, Any], granted: int
) -> None:
    both = ("POST", path, {**body, "collections": ["docs", "tickets"]})
    assert [ask(guarded, both, key).status for key in (ALL, DOCS, TICKETS)] == [granted, 403, 403]
    own = ("POST", path, {**body, "collections": ["tickets"]})
    assert [ask(guarded, own, key).status for key in (ALL, DOCS, TICKETS)] == [
        granted,
        403,
        granted,
    ]
    unknown = ("POST", path, {**body, "collections": ["wiki"]})
    assert [ask(guarded, unknown, key).status for key in (ALL, DOCS)] == [422, 403]


def test_who_may_not_ask_is_not_told_what_there_is(guarded: Client) -> None:
    details = [
        assert_problem(ask(guarded, ("GET", f"/v1/collections/{name}/bundle", None), DOCS), 403)[
            "detail"
        ]
        for name in ("tickets", "nothing")
    ]
    assert details[0].replace("tickets", "nothing") == details[1]
    assert ask(guarded, ("GET", "/v1/collections/nothing/bundle", None), ALL).status == 404
    listed = ("GET", "/v1/collections", None)
    names = [
        [one["name"] for one in ask(guarded, listed, key).json()["collections"]]
        for key in (DOCS, TICKETS, ALL)
    ]
    assert names == [["docs"], ["tickets"], ["docs", "tickets"]]


def test_a_key_that_only_reads_is_told_what_is_needed(guarded: Client) -> None:
    problem = assert_problem(ask(guarded, ("PUT", "/v1/passages", WRITING[0][2]), ALL), 403)
    assert problem["detail"] == "this key may search; for this a key that may write is needed"
