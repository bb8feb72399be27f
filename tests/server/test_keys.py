"""API keys: who may search, who may give feedback, and what is open to all."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lurcher.feedback.log import read_log
from lurcher.server.app import create_app
from lurcher.server.keys import key_hash, new_key
from lurcher.server.settings import load_settings
from tests.server.serving import JSON, Client, Reply, assert_problem, running, settings

READ, WRITE, OTHER = "a-read-key", "a-write-key", "another-write-key"
SEARCH = ("POST", "/v1/search", b'{"query": "a cat"}')
BATCH = ("POST", "/v1/search/batch", b'{"queries": ["a cat"]}')
GIVE = ("POST", "/v1/feedback", b'{"pairs": [{"query": "q", "passage": "en-animals-0"}]}')
REMOVE = ("DELETE", "/v1/feedback?keys=nothing", None)
READING = [SEARCH, BATCH, ("GET", "/v1/bundle", None), ("GET", "/v1/feedback", None)]
WRITING = [GIVE, REMOVE]
OPEN = ["/livez", "/readyz", "/metrics", "/", "/docs", "/openapi.json"]

Route = tuple[str, str, bytes | None]


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys") / "feedback.log"


@pytest.fixture(scope="module")
def guarded(small_bundle: Path, log: Path) -> Iterator[Client]:
    """A server with a read key and two write keys."""
    keys = {"read_keys": [key_hash(READ)], "write_keys": [key_hash(WRITE), key_hash(OTHER)]}
    wanted = settings(small_bundle, feedback=log, feedback_clients=2, **keys)
    with running(wanted) as client:
        yield client


def ask(client: Client, route: Route, **headers: str) -> Reply:
    method, path, body = route
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.request(method, path, body, {**(JSON if body else {}), **named})


@pytest.mark.parametrize("route", [*READING, *WRITING], ids=lambda r: f"{r[0]} {r[1]}")
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Basic {WRITE}"},
        {"Authorization": WRITE},
        {"Authorization": "Bearer "},
        {"Authorization": f"Bearer {key_hash(WRITE)}"},
        {"X_API_Key": ""},
        {"X_API_Key": "é"},
        {"X_API_Key": f"{WRITE}x"},
    ],
    ids=str,
)
def test_without_a_known_key_it_is_401(
    guarded: Client, route: Route, headers: dict[str, str]
) -> None:
    reply = ask(guarded, route, **headers)
    assert_problem(reply, 401)
    assert reply.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("name", ["Authorization", "X_API_Key"])
def test_a_read_key_searches_and_no_more_and_a_write_key_does_both(
    guarded: Client, name: str
) -> None:
    scheme = "Bearer " if name == "Authorization" else ""
    for route in READING:
        assert ask(guarded, route, **{name: scheme + READ}).status == 200
        assert ask(guarded, route, **{name: scheme + WRITE}).status == 200
    for route in WRITING:
        assert_problem(ask(guarded, route, **{name: scheme + READ}), 403)
        assert ask(guarded, route, **{name: scheme + WRITE}).status == 200


@pytest.mark.parametrize("path", OPEN)
def test_health_metrics_and_pages_are_open(guarded: Client, path: str) -> None:
    assert guarded.get(path).status == 200


def test_a_key_is_a_client_whatever_address_it_comes_from(guarded: Client, log: Path) -> None:
    body = b'{"pairs": [{"query": "clients", "passage": "en-animals-0"}]}'
    for key, held_back in ((WRITE, 1), (WRITE, 1), (OTHER, 0)):
        reply = ask(guarded, ("POST", "/v1/feedback", body), X_API_Key=key)
        assert reply.json()["held_back"] == held_back
    clients = [j.client for j in read_log(log).judgements if j.query == "clients"]
    starts = [f"key:{hashlib.sha256(key.encode()).hexdigest()[:16]}" for key in (WRITE, OTHER)]
    assert clients == [starts[0], starts[0], starts[1]]
    assert WRITE.encode() not in log.read_bytes()


def test_the_same_idempotency_key_of_two_clients_is_two_requests(guarded: Client) -> None:
    def counted() -> int:
        reply = ask(guarded, ("GET", "/v1/feedback", None), X_API_Key=READ)
        return int(reply.json()["judgements"])

    before = counted()
    for key in (WRITE, WRITE, OTHER):
        assert ask(guarded, GIVE, X_API_Key=key, Idempotency_Key="1").status == 200
    assert counted() == before + 2


def test_with_write_keys_alone_reading_is_open(small_bundle: Path, tmp_path: Path) -> None:
    keys = {"feedback": tmp_path / "f.log", "write_keys": [key_hash(WRITE)]}
    with running(settings(small_bundle, **keys)) as client:
        for route in READING:
            assert ask(client, route).status == 200
        for route in WRITING:
            assert_problem(ask(client, route), 401)
            assert_problem(ask(client, route, X_API_Key=READ), 401)
            assert ask(client, route, X_API_Key=WRITE).status == 200


def test_a_key_is_asked_for_before_anything_is_said_of_the_request(guarded: Client) -> None:
    assert_problem(ask(guarded, ("POST", "/v1/search", b'{"query": 3}')), 401)
    assert_problem(ask(guarded, ("POST", "/v1/feedback", b'{"pairs": [], "bundle": "x"}')), 401)
    assert_problem(ask(guarded, ("GET", "/v1/nothing", None)), 404)


def security(**keys: Any) -> dict[str, Any]:
    """What the OpenAPI document says of keys, by method and path."""
    document = create_app(load_settings(None, {"bundle": "b", **keys})).openapi()
    return {
        f"{method.upper()} {path}": found.get("security")
        for path, methods in document["paths"].items()
        for method, found in methods.items()
    } | {"schemes": document["components"].get("securitySchemes")}


def test_document_says_where_keys_are_needed() -> None:
    assert set(security().values()) == {None}
    found = security(read_keys=[key_hash(READ)], write_keys=[key_hash(WRITE)])
    assert found.pop("schemes") == {
        "bearer": {"type": "http", "scheme": "bearer"},
        "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    }
    for route, needed in found.items():
        guarded = " /v1/" in route or " /v2/" in route
        wanted = [{"bearer": []}, {"header": []}] if guarded else None
        assert needed == wanted, route
    assert security(write_keys=[key_hash(WRITE)])["POST /v1/search"] is None


def test_lurcher_key_prints_a_new_key_and_its_setting() -> None:
    command = [sys.executable, "-m", "lurcher", "key"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    key, line = said.split()[0], said.splitlines()[-1]
    assert re.fullmatch(r"[\w-]{43}", key)
    assert line == f'write_keys = ["sha256:{hashlib.sha256(key.encode()).hexdigest()}"]'
    assert new_key() != new_key()
