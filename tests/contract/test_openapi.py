"""The server against its own OpenAPI document, by schemathesis."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import CHECKS
from schemathesis.specs.openapi import checks

from tests.server.serving import Client

BELOW = "/v1/collections/{collection}/"
ONE_BELOW = f"GET {BELOW}bundle"
ROUTES = [
    "POST /v1/search",
    "POST /v1/search/batch",
    "POST /v1/answer",
    "POST /v1/rerank",
    "POST /v2/rerank",
    "GET /v1/documents/{id}",
    "GET /v1/bundle",
    ONE_BELOW,
    "GET /v1/facets",
    "GET /v1/passages",
    "PUT /v1/passages",
    "DELETE /v1/passages",
    "PATCH /v1/passages",
    "GET /v1/passages/{id}",
    "GET /v1/feedback",
    "POST /v1/feedback",
    "DELETE /v1/feedback",
    "GET /v1/collections",
    "POST /v1/admin/collections",
    "PUT /v1/admin/collections/{name}",
    "DELETE /v1/admin/collections/{name}",
    "PUT /v1/admin/aliases/{alias}",
    "DELETE /v1/admin/aliases/{alias}",
    "GET /livez",
    "GET /readyz",
    "GET /metrics",
]

OFF = [
    # The fields of a filter are the bundle's, which no schema knows: a request that is valid by
    # the schema may name a field that no passage has, and is refused with 422. Nor can a schema
    # say that a query holds more than white space.
    checks.positive_data_acceptance,
]


@pytest.fixture(scope="module")
def openapi(served: Client) -> Any:
    # More items than are allowed, or a body that is too large by them, are 413 here; and feedback that is for
    # another bundle is 409, whatever else is wrong with it.
    refusals = {"negative_data_rejection": {"expected-statuses": [400, 409, 413, 422]}}
    config = schemathesis.Config.from_dict({"checks": refusals})
    return schemathesis.openapi.from_url(f"{served.url}/openapi.json", config=config)


def test_document_lists_every_route(openapi: Any) -> None:
    labels = [found.ok().label for found in openapi.get_all_operations()]
    # The same once more, below a collection's name; one of them is asked, too.
    below = [label for label in labels if BELOW in label and label != ONE_BELOW]
    assert [label for label in labels if label not in below] == ROUTES
    assert {label.replace(BELOW, "/v1/") for label in below} < set(ROUTES)


# schemathesis has a decorator for this; it reaches into pytest's internals, which pytest 9 changed.
@pytest.mark.parametrize(
    ("route", "mode"),
    [
        *((route, GenerationMode.POSITIVE) for route in ROUTES),
        # A request without fields cannot be wrong.
        *((route, GenerationMode.NEGATIVE) for route in ROUTES if route.startswith("POST")),
    ],
)
def test_server_keeps_its_contract(openapi: Any, route: str, mode: GenerationMode) -> None:
    method, path = route.split()
    operation = openapi[path][method]

    @settings(
        # A request without a body can hardly be varied.
        max_examples=settings.default.max_examples if method == "POST" else 5,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def keeps(case: Case) -> None:
        patient(case.body)
        case.call_and_validate(excluded_checks=OFF)

    keeps()


def patient(body: object) -> None:
    """Give the server time: a deadline of a millisecond is a 504, which is no fault but looks like one."""
    if isinstance(body, dict) and type(body.get("timeout_ms")) in (int, float):
        asked = body["timeout_ms"]
        if asked > 0 and asked == int(asked):  # 1.0 is an integer, too
            body["timeout_ms"] = 60_000


def test_every_check_but_one_is_on() -> None:
    known = set(CHECKS.get_all_names())
    assert {check.__name__ for check in OFF} < known
    assert {"not_a_server_error", "response_schema_conformance", "status_code_conformance",
            "negative_data_rejection", "unsupported_method", "content_type_conformance"} <= known  # fmt: skip
