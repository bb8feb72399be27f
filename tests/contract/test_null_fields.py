"""Each field that the OpenAPI document does not require may be null on every route, and is then not given."""

from __future__ import annotations

from typing import Any

import pytest

from lurcher.server.app import create_app
from lurcher.server.settings import load_settings
from tests.server.serving import Client, assert_problem

DOCUMENT = create_app(load_settings(None, {"bundle": "b"})).openapi()
LEAST: dict[str, dict[str, Any]] = {
    "/v1/search": {"query": "cat"},
    "/v1/search/batch": {"queries": ["cat"]},
    "/v1/answer": {"query": "cat"},
    "/v1/rerank": {"query": "cat", "documents": ["cat", "bread"]},
    "/v2/rerank": {"query": "cat", "documents": ["cat", "bread"]},
    "/v1/feedback": {"pairs": [{"query": "cat", "passage": "one"}]},
}


def body_schema(path: str) -> dict[str, Any]:
    content = DOCUMENT["paths"][path]["post"]["requestBody"]["content"]["application/json"]
    found: dict[str, Any] = DOCUMENT["components"]["schemas"][
        content["schema"]["$ref"].rpartition("/")[2]
    ]
    return found


def fields(required: bool) -> list[tuple[str, str]]:
    """Path and name of each field that is required, or that is not and not in the least body."""
    found = []
    for path in LEAST:
        schema = body_schema(path)
        names = (
            set(schema["required"]) if required else set(schema["properties"]) - set(LEAST[path])
        )
        found += [(path, name) for name in sorted(names)]
    return found


def content(reply: Any) -> Any:
    assert reply.status == 200, reply.body
    body = reply.json()
    body.get("meta", body).pop("timings_ms", None)
    return {name: value for name, value in body.items() if name not in ("id", "key")}


def test_every_route_that_takes_a_body_is_here() -> None:
    posted = {path for path, of in DOCUMENT["paths"].items() if "post" in of}
    own = {path for path in posted if "{collection}" not in path}
    assert own - {"/v1/admin/collections"} == set(LEAST)  # which needs an option to be there at all


@pytest.mark.parametrize(("path", "name"), [*fields(required=False), ("/v1/search", "unknown")])
def test_field_that_is_null_is_not_given(served: Client, path: str, name: str) -> None:
    body = LEAST[path]
    assert content(served.post(path, {**body, name: None})) == content(served.post(path, body))


@pytest.mark.parametrize(("path", "name"), fields(required=True))
def test_required_field_that_is_null_is_missing(served: Client, path: str, name: str) -> None:
    (error,) = assert_problem(served.post(path, {**LEAST[path], name: None}), 422)["errors"]
    assert error["field"] == name
    assert "required" in error["reason"]
