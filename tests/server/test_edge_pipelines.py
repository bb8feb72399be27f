"""Requests one after another on one connection: many at once, and those that offer another protocol."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.server.serving import PATIENCE, Client, running, settings, until

GET = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
OFFERS = {
    "h2c": b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n",
    "websocket": b"Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
}


@pytest.fixture(scope="module")
def client(small_bundle: Path) -> Iterator[Client]:
    with running(settings(small_bundle)) as client:
        yield client


def search(query: str, headers: bytes = b"") -> bytes:
    body = json.dumps({"query": query, "top_k": 1}).encode()
    head = b"POST /v1/search HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return head + headers + b"Content-Length: %d\r\n\r\n" % len(body) + body


def replies(client: Client, *parts: bytes) -> list[bytes]:
    """The replies to ``parts``, sent one after another, up to the end of the connection."""
    with closing(socket.create_connection(("127.0.0.1", client.port), PATIENCE)) as connection:
        for part in parts:
            connection.sendall(part)
        found = b"".join(iter(lambda: connection.recv(65_536), b""))
    return found.split(b"HTTP/1.1 ")[1:]


LAST = GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")


@pytest.mark.parametrize("offer", OFFERS)
def test_an_offer_of_another_protocol_is_answered_in_this_one(client: Client, offer: str) -> None:
    asked = search("bread", OFFERS[offer])
    found = replies(client, asked[:-5], asked[-5:] + asked + search("bread"), LAST)
    assert [one[:3] for one in found] == [b"200"] * 4
    assert all(b'"hits":[{' in one for one in found[:3])


def test_an_offer_does_not_get_around_the_names_of_the_server(client: Client) -> None:
    asked = search("bread", OFFERS["websocket"]).replace(b"localhost", b"evil.example")
    assert [one[:3] for one in replies(client, asked)] == [b"421"]


def test_a_connection_that_is_to_be_closed_is_closed_with_an_offer_too(client: Client) -> None:
    offer = OFFERS["h2c"].replace(b"Upgrade,", b"close, Upgrade,")
    assert len(replies(client, search("bread", offer))) == 1


@pytest.mark.parametrize(
    ("head", "reason"),
    [(b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n", b"proxies"),
     (b"GET /livez HTTP/1.1\r\n\r\n", b"no Host header")],
)  # fmt: skip
def test_what_no_client_of_this_server_sends_is_told_so(
    client: Client, head: bytes, reason: bytes
) -> None:
    (found,) = replies(client, head)
    assert found.startswith(b"400")
    assert reason in found


def test_an_old_client_need_not_name_the_server(client: Client) -> None:
    (found,) = replies(client, b"GET /livez HTTP/1.0\r\n\r\n")
    assert found.startswith(b"200")


def test_a_hundred_requests_at_once_are_answered_in_turn(client: Client) -> None:
    found = replies(client, GET * 100 + LAST)
    assert [one[:3] for one in found] == [b"200"] * 101


def test_of_thousands_at_once_the_first_are_answered_and_the_connection_ends(
    client: Client,
) -> None:
    found = replies(client, GET * 5_000)
    assert [one[:3] for one in found] == [b"200"] * 101


def test_who_leaves_replies_unread_is_no_fault_of_the_server(
    small_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with running(settings(small_bundle, write_seconds=0.2)) as client:
        with closing(socket.socket()) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            connection.connect(("127.0.0.1", client.port))
            page = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"
            connection.sendall(page * 90)
            answered = 'lurcher_requests_total{route="/openapi.json",status="200"}'
            until(lambda: client.metric(answered) > 2)
            with pytest.raises(OSError, match=r"reset|Broken"):
                until(lambda: connection.send(page) == 0)
        assert client.get("/livez").status == 200
    said = capsys.readouterr().out
    assert "the reply is not read" in said
    assert "unexpected error" not in said
