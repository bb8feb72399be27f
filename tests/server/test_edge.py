"""What a connection may not do: heads and bodies without end, replies unread, other names, too many of it."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.server.serving import PATIENCE, Client, running, settings, until

LIMITS = {
    "max_connections": 6,
    "max_header_bytes": 2_000,
    "read_seconds": 0.4,
    "write_seconds": 0.4,
}
GET = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n"
HEAD = b"POST /v1/search HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@pytest.fixture(scope="module")
def edged(small_bundle: Path) -> Iterator[Client]:
    with running(settings(small_bundle, **LIMITS)) as client:
        yield client


def connected(client: Client) -> socket.socket:
    return socket.create_connection(("127.0.0.1", client.port), PATIENCE)


def sent(client: Client, raw: bytes) -> tuple[int, dict[str, Any]]:
    """The status and problem that the bytes ``raw`` get, on a connection that the server then closes."""
    with closing(connected(client)) as connection:
        connection.sendall(raw)
        return problem(connection)


def problem(connection: socket.socket) -> tuple[int, dict[str, Any]]:
    reply = b"".join(iter(lambda: connection.recv(65_536), b""))
    head, _, body = reply.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head
    found = json.loads(body)
    assert found["request_id"].encode() in head
    return int(head.split()[1]), found


LONG = b"X-Long: " + b"x" * 3_000


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(GET + LONG, id="no end"),
        pytest.param(GET + LONG + b"\r\n\r\n", id="one header"),
        pytest.param(GET + b"X-One: y\r\n" * 400 + b"\r\n", id="many headers"),
        pytest.param(b"GET /" + b"x" * 3_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", id="path"),
    ],
)
def test_a_head_that_is_too_large_is_refused(edged: Client, head: bytes) -> None:
    status, found = sent(edged, head)
    assert status == found["status"] == 431
    assert "2000 bytes" in found["detail"]


def test_a_head_that_does_not_come_is_waited_for_no_longer(edged: Client) -> None:
    assert sent(edged, b"GET /livez HTTP/1.1\r\nHost:")[0] == 408


def test_a_body_that_does_not_come_is_waited_for_no_longer(edged: Client) -> None:
    status, found = sent(edged, HEAD + b'Content-Length: 100\r\n\r\n{"query"')
    assert (status, found["detail"]) == (408, "the body of the request did not come within 0.4 s")


def test_a_connection_on_which_nothing_is_asked_is_closed_without_a_word(edged: Client) -> None:
    with closing(connected(edged)) as connection:
        assert connection.recv(100) == b""


def test_a_reply_that_nobody_reads_is_not_kept(edged: Client, small_bundle: Path) -> None:
    with closing(socket.socket()) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        connection.settimeout(PATIENCE)
        connection.connect(("127.0.0.1", edged.port))
        ask = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"
        connection.sendall(ask * 90)
        with pytest.raises(OSError, match=r"reset|Broken"):
            until(lambda: connection.send(ask) == 0)


def test_what_is_no_http_is_told_so(edged: Client) -> None:
    status, found = sent(edged, b"\x16\x03\x01\x02 hello\r\n\r\n")
    assert (status, found["title"]) == (400, "Bad Request")


def test_more_connections_than_there_may_be_are_refused_until_others_end(edged: Client) -> None:
    held = [connected(edged) for _ in range(LIMITS["max_connections"])]
    for connection in held:
        connection.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX:")
    with closing(connected(edged)) as one_more:
        head = one_more.recv(65_536, socket.MSG_PEEK).partition(b"\r\n\r\n")[0]
        assert b"\r\nRetry-After: 1\r\n" in head
        assert problem(one_more)[0] == 503
    for connection in held:
        connection.close()
    until(lambda: edged.get("/livez").status == 200)


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "localhost.evil.example"])
def test_another_name_for_this_machine_is_refused(edged: Client, host: str) -> None:
    reply = edged.request("GET", "/livez", headers={"Host": host})
    assert reply.status == 421
    assert "allowed_hosts" in reply.json()["detail"]


def test_two_names_are_refused(edged: Client) -> None:
    twice = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n"
    assert sent(edged, twice)[0] == 400


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8080", "127.0.0.1:1", "[::1]:80", "localhost."]
)
def test_names_and_addresses_of_this_machine_are_answered(edged: Client, host: str) -> None:
    assert edged.request("GET", "/livez", headers={"Host": host}).status == 200


def test_slow_but_steady_requests_on_one_connection_are_answered(edged: Client) -> None:
    with closing(connected(edged)) as connection:
        for _ in range(3):
            for part in (b"GET /livez HTTP/1.1\r\n", b"Host: localhost\r\n", b"\r\n"):
                connection.sendall(part)
            assert b"200 OK" in connection.recv(65_536)


def test_refusals_are_counted(edged: Client) -> None:
    before = edged.metric('lurcher_refused_connections_total{status="431"}')
    sent(edged, b"GET /" + b"x" * 3_000 + b" HTTP/1.1\r\n\r\n")
    assert edged.metric('lurcher_refused_connections_total{status="431"}') == before + 1
