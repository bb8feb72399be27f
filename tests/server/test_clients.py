"""Whose a request is where nobody shows a key."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from lurcher.server.keys import client_of


@pytest.mark.parametrize(
    ("host", "client"),
    [("10.0.0.1", "address:10.0.0.1"), ("2001:DB8::1", "address:2001:db8::1"),
     ("z" * 3_000, "address:unknown"), ("", "address:unknown")],
)  # fmt: skip
def test_an_address_that_is_none_is_nobodys(host: str, client: str) -> None:
    assert client_of(Request({"type": "http", "client": (host, 1)})) == client
