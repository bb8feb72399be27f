"""Collections are loaded, swapped, unloaded and named while the server runs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from lurcher.server.keys import key_hash
from tests.server.serving import (
    JSON,
    PATIENCE,
    Client,
    Gate,
    Reply,
    assert_problem,
    running,
    settings,
    until,
)

COLLECTIONS, ALIASES = "/v1/admin/collections", "/v1/admin/aliases"


@pytest.fixture(scope="module")
def room(
    small_bundle: Path, plain_odd_bundle: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A folder below which bundles may be loaded, with one outside of it, and one that is damaged."""
    outside = tmp_path_factory.mktemp("admin")
    allowed = outside / "allowed"
    allowed.mkdir()
    for name, source in (("docs", small_bundle), ("odd", plain_odd_bundle)):
        shutil.copytree(source, allowed / f"{name}.lurcher")
    damaged = shutil.copytree(small_bundle, allowed / "damaged.lurcher")
    file = damaged / "segments" / "000000" / "vectors.faiss"
    raw = bytearray(file.read_bytes())
    raw[-1] ^= 1
    file.write_bytes(raw)
    shutil.copytree(small_bundle, outside / "outside.lurcher")
    (allowed / "link.lurcher").symlink_to(outside / "outside.lurcher")
    return allowed


@pytest.fixture(scope="module")
def shared_server(room: Path) -> Iterator[Client]:
    wanted = settings(room / "docs.lurcher", admin_folders=[room], engine="onnxruntime")
    with running(wanted) as client:
        yield client


@pytest.fixture
def server(shared_server: Client) -> Iterator[Client]:
    """A server that has the one collection `docs`, whatever a test did with another."""
    yield shared_server
    for one in shared_server.get("/v1/collections").json()["collections"]:
        for alias in one["aliases"]:
            assert send(shared_server, "DELETE", f"{ALIASES}/{alias}").status == 200
        if one["name"] != "docs":
            assert send(shared_server, "DELETE", f"{COLLECTIONS}/{one['name']}").status == 200
    if bundle(shared_server, "/v1") != "small":
        assert swap(shared_server, "docs", "docs.lurcher").status == 200


def send(client: Client, method: str, path: str, body: Any = None, key: str | None = None) -> Reply:
    raw = None if body is None else json.dumps(body).encode()
    headers = {} if key is None else {"X-API-Key": key}
    return client.request(method, path, raw, {**(JSON if body is not None else {}), **headers})


def load(client: Client, name: str, path: str, **how: Any) -> Reply:
    return send(client, "POST", COLLECTIONS, {"name": name, "path": path}, **how)


def swap(client: Client, name: str, path: str, **how: Any) -> Reply:
    return send(client, "PUT", f"{COLLECTIONS}/{name}", {"path": path}, **how)


def names(client: Client) -> list[str]:
    return [one["name"] for one in client.get("/v1/collections").json()["collections"]]


def bundle(client: Client, prefix: str) -> str:
    reply = client.post(f"{prefix}/search", {"query": "cat", "top_k": 1})
    assert reply.status == 200, reply.body
    found: str = reply.json()["bundle"]
    return found


def test_a_collection_comes_and_goes(server: Client, room: Path) -> None:
    reply = load(server, "tickets", "odd.lurcher")
    assert reply.status == 200, reply.body
    assert reply.json()["name"] == "tickets"
    assert reply.json()["bundle"] == bundle(server, "/v1/collections/tickets") == "odd"
    assert load(server, "again", str(room / "odd.lurcher")).status == 200
    assert names(server) == ["docs", "tickets", "again"]
    assert bundle(server, "/v1") == "small"
    left = send(server, "DELETE", f"{COLLECTIONS}/tickets").json()["collections"]
    assert [one["name"] for one in left] == ["docs", "again"]
    assert_problem(server.get("/v1/collections/tickets/bundle"), 404)
    assert send(server, "DELETE", f"{COLLECTIONS}/docs").status == 200
    assert "'docs', is not loaded" in assert_problem(server.search("cat"), 404)["detail"]
    assert bundle(server, "/v1/collections/again") == "odd"
    assert load(server, "docs", "docs.lurcher").status == 200
    assert bundle(server, "/v1") == "small"


def test_a_swap_puts_another_bundle_there(server: Client) -> None:
    assert swap(server, "docs", "odd.lurcher").json()["bundle"] == "odd"
    assert bundle(server, "/v1") == bundle(server, "/v1/collections/docs") == "odd"
    assert swap(server, "docs", "docs.lurcher").status == 200
    assert bundle(server, "/v1") == "small"


@pytest.mark.parametrize(
    "path", ["../outside.lurcher", "/etc", "", "link.lurcher", ".", "a\x00b", "/nothing/at/all"]
)
def test_no_folder_outside_can_be_loaded(server: Client, path: str) -> None:
    for reply in (load(server, "new", path), swap(server, "docs", path)):
        (error,) = assert_problem(reply, 422)["errors"]
        assert error["field"] == "path"
        assert not path or "is not below a folder of the setting admin_folders" in error["reason"]
    assert names(server) == ["docs"]


def test_what_cannot_be_loaded_leaves_the_one_before_and_says_why(server: Client) -> None:
    for path, says in (("damaged.lurcher", "vectors.faiss"), ("nothing.lurcher", "no such folder")):
        for reply in (load(server, "new", path), swap(server, "docs", path)):
            (error,) = assert_problem(reply, 422)["errors"]
            assert error["field"] == "path"
            assert says in error["reason"]
    assert names(server) == ["docs"]
    assert bundle(server, "/v1") == "small"


@pytest.mark.parametrize("name", ["a.b", "a/b", "a b", "", "x" * 65])
def test_odd_names_are_refused_by_value(server: Client, name: str) -> None:
    (error,) = assert_problem(load(server, name, "odd.lurcher"), 422)["errors"]
    assert error["field"] == "name"
    if name:
        path = f"{COLLECTIONS}/{name.replace(' ', '%20').replace('/', '%2F')}"
        (error,) = assert_problem(send(server, "PUT", path, {"path": "odd.lurcher"}), 422)["errors"]
        assert error["reason"].startswith(f"{name!r}"[:60])


def test_names_that_are_taken_or_not_there_are_told(server: Client) -> None:
    assert send(server, "PUT", f"{ALIASES}/current", {"collection": "docs"}).status == 200
    for reply, field, says in (
        (load(server, "docs", "odd.lurcher"), "name", "is a collection already"),
        (load(server, "current", "odd.lurcher"), "name", "is an alias of 'docs'"),
        (swap(server, "current", "odd.lurcher"), "name", "is an alias; its collection is 'docs'"),
        (swap(server, "wiki", "odd.lurcher"), "name", "there is no collection 'wiki'"),
        (send(server, "DELETE", f"{COLLECTIONS}/wiki"), "name", "there is no collection 'wiki'"),
        (send(server, "DELETE", f"{COLLECTIONS}/docs"), "name", "has the alias 'current'"),
        (
            send(server, "PUT", f"{ALIASES}/docs", {"collection": "docs"}),
            "alias",
            "is a collection",
        ),
        (
            send(server, "PUT", f"{ALIASES}/new", {"collection": "wiki"}),
            "collection",
            "no collection",
        ),
        (send(server, "DELETE", f"{ALIASES}/new"), "alias", "there is no alias 'new'"),
    ):
        (error,) = assert_problem(reply, 422)["errors"]
        assert error["field"] == field
        assert says in error["reason"]


def test_an_alias_is_another_name_and_moves(server: Client) -> None:
    assert load(server, "v2", "odd.lurcher").status == 200
    reply = send(server, "PUT", f"{ALIASES}/current", {"collection": "docs"})
    assert reply.json()["aliases"] == ["current"]
    assert reply.json()["kept"] is False  # there is no folder of collections
    assert bundle(server, "/v1/collections/current") == "small"
    assert send(server, "PUT", f"{ALIASES}/current", {"collection": "v2"}).status == 200
    assert bundle(server, "/v1/collections/current") == "odd"
    found = server.search("cat", collections=["docs", "current"]).json()
    assert set(found["collections"]) == {"docs", "v2"}
    assert send(server, "DELETE", f"{ALIASES}/current").status == 200
    assert_problem(server.get("/v1/collections/current/bundle"), 404)


def test_one_change_of_a_name_at_a_time_and_searches_go_on(room: Path) -> None:
    gate = Gate()
    wanted = settings(room / "docs.lurcher", admin_folders=[room], engine="onnxruntime")
    with running(wanted, gate.snapshot) as client, ThreadPoolExecutor(1) as threads:
        gate.open.clear()
        begun = len(gate.batches)
        slow = threads.submit(swap, client, "docs", "odd.lurcher")
        until(lambda: len(gate.batches) > begun)  # the new bundle is asked its first query
        for reply in (
            swap(client, "docs", "docs.lurcher"),
            send(client, "DELETE", f"{COLLECTIONS}/docs"),
        ):
            assert "'docs' is being changed" in assert_problem(reply, 409)["detail"]
        assert client.get("/v1/bundle").json()["name"] == "small"
        gate.open.set()
        assert slow.result(PATIENCE).status == 200
        assert bundle(client, "/v1") == "odd"


def test_without_folders_nobody_administers(several: Client) -> None:
    for reply in (
        load(several, "a", "b"), swap(several, "docs", "b"),
        send(several, "DELETE", f"{COLLECTIONS}/docs"),
        send(several, "PUT", f"{ALIASES}/a", {"collection": "docs"}),
        send(several, "DELETE", f"{ALIASES}/a"),
    ):  # fmt: skip
        assert "admin_folders" in assert_problem(reply, 403)["detail"]


def test_administration_needs_a_key_for_it_and_for_that_collection(
    room: Path, tmp_path: Path
) -> None:
    file = tmp_path / "keys.toml"
    entries = [("reader", "read", ""), ("writer", "write", ""), ("root", "admin", ""),
               ("own", "admin", 'collections = ["mine"]'),
               ("by alias", "read", 'collections = ["current"]')]  # fmt: skip
    file.write_text(
        "\n".join(f'[[key]]\nhash = "{key_hash(k)}"\nmay = "{m}"\n{w}' for k, m, w in entries)
    )
    wanted = settings(
        room / "docs.lurcher", admin_folders=[room], keys_file=file, engine="onnxruntime"
    )
    with running(wanted) as client:
        assert load(client, "mine", "odd.lurcher").status == 401
        assert load(client, "mine", "odd.lurcher", key="reader").status == 403
        assert load(client, "mine", "odd.lurcher", key="writer").status == 403
        assert load(client, "other", "odd.lurcher", key="own").status == 403
        assert swap(client, "docs", "odd.lurcher", key="own").status == 403
        assert load(client, "mine", "odd.lurcher", key="own").status == 200
        alias = (client, "PUT", f"{ALIASES}/current")
        assert send(*alias, {"collection": "docs"}, key="own").status == 403
        assert send(*alias, {"collection": "docs"}, key="root").status == 200
        # Hits and lists name the collection, so that whoever may ask the alias may ask that name.
        listed = client.get("/v1/collections", X_API_Key="by alias").json()["collections"]
        assert [one["name"] for one in listed] == ["docs"]
        for path, status in (("docs", 200), ("current", 200), ("mine", 403)):
            reply = client.get(f"/v1/collections/{path}/bundle", X_API_Key="by alias")
            assert reply.status == status
        assert send(*alias, {"collection": "mine"}, key="own").status == 403
        assert send(client, "DELETE", f"{COLLECTIONS}/mine", key="own").status == 200
        assert swap(client, "docs", "odd.lurcher", key="root").status == 200


def test_a_server_may_begin_with_none(room: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with running(
        settings([], collections=empty, admin_folders=[room], engine="onnxruntime")
    ) as client:
        assert names(client) == []
        assert "no collection is loaded" in assert_problem(client.search("cat"), 404)["detail"]
        assert load(client, "docs", "docs.lurcher").json()["kept"] is True
        assert bundle(client, "/v1") == "small"
        assert send(client, "DELETE", f"{COLLECTIONS}/docs").json() == {
            "collections": [],
            "kept": True,
        }
