"""``GET /v1/facets`` and ``facets`` of a client give what a collection in this process gives."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

import lurcher
from tests.server.serving import Client, assert_problem, running, settings


@pytest.fixture(scope="module")
def server(small_bundle: Path) -> Iterator[Client]:
    with running(settings(small_bundle)) as client:
        yield client


def test_client_gives_what_a_collection_gives(server: Client, small_bundle: Path) -> None:
    fields, narrowed = ["lang", "flag", "year", "score"], {"tags": "odd"}
    with lurcher.open(small_bundle, threads=1) as here, lurcher.Client(server.url) as client:
        for filter in (None, narrowed, json.dumps(narrowed)):
            assert client.facets(fields, filter, 3) == here.facets(fields, filter, 3)


def test_reply_says_how_many_passages_meet_the_filter(server: Client) -> None:
    filter = quote(json.dumps({"lang": "en"}))
    reply = server.get(f"/v1/facets?field=lang&filter={filter}").json()
    assert reply["passages"] == 20
    assert reply["facets"] == [
        {"field": "lang", "values": [{"value": "en", "count": 20}], "distinct": 1, "passages": 20}
    ]


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("", "field"),
        ("field=colour", "no passage has the field 'colour'"),
        ("field=lang&limit=1001", "limit"),
        ("field=lang&filter=[]", "filter"),
        ("&".join(["field=lang"] * 17), "field"),
        ("field=lang&colour=red", "colour"),
    ],
)
def test_what_cannot_be_counted_is_named(server: Client, query: str, says: str) -> None:
    problem = assert_problem(server.get(f"/v1/facets?{query}"), 422)
    assert says in json.dumps(problem)
