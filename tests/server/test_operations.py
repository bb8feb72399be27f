"""What those who run a server see: ids, health, metrics, the bundle, the page's policy, CORS."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lurcher.index_builder.options import KEEP_RATIO
from lurcher.server.routes.page import content_security_policy
from tests.server.serving import Client, Gate, assert_problem, running, settings

ORIGIN = "https://pages.example"


def test_request_id_of_the_caller_is_kept(live: Client) -> None:
    assert live.get("/livez", X_Request_Id="abc-1.2_Z").headers["x-request-id"] == "abc-1.2_Z"
    problem = assert_problem(live.get("/nothing", X_Request_Id="mine"), 404)
    assert problem["request_id"] == "mine"


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, "<script>", 'a"b', "a;b", "é"])
def test_odd_request_id_is_replaced_by_one_of_the_servers(live: Client, given: str) -> None:
    reply = live.request("GET", "/livez", headers={"X-Request-Id": given} if given else {})
    assert re.fullmatch(r"[0-9a-f]{32}", reply.headers["x-request-id"])


def test_each_request_without_an_id_gets_its_own(live: Client) -> None:
    assert len({live.get("/livez").headers["x-request-id"] for _ in range(5)}) == 5


def test_livez_and_readyz_of_a_healthy_server(live: Client) -> None:
    assert live.get("/livez").json() == {"status": "live"}
    assert live.get("/readyz").json() == {"status": "ready"}


def test_server_is_ready_only_once_a_real_query_went_through(small_bundle: Path) -> None:
    gate = Gate()
    gate.open.clear()
    with running(settings(small_bundle), gate.snapshot, ready=False) as client:
        gate.begun()  # the bundle is open, its first query is under way
        assert client.get("/livez").status == 200
        for reply in (client.get("/readyz"), client.get("/v1/bundle"), client.search("cat"),
                      client.post("/v1/search/batch", {"queries": ["cat"]})):  # fmt: skip
            assert_problem(reply, 503)
            assert int(reply.headers["retry-after"]) >= 1
        assert client.get("/").status == client.get("/openapi.json").status == 200
        gate.open.set()
        client.until_ready()
        assert client.search("cat").status == 200


def test_metrics_count_requests_stages_and_batches(live: Client) -> None:
    counted = {
        'lurcher_requests_total{route="/v1/search",status="200"}': 1,
        'lurcher_requests_total{route="/v1/search",status="422"}': 1,
        'lurcher_request_seconds_count{route="/v1/search"}': 2,
        'lurcher_stage_seconds_count{collection="small",stage="encode"}': 1,
        "lurcher_batch_queries_sum": 1,
    }
    before = {line: live.metric(line) for line in counted}
    assert live.search("the cat").status == 200
    assert live.search(" ").status == 422
    assert {line: live.metric(line) - before[line] for line in counted} == counted
    assert live.metric("lurcher_passages") == 60
    assert live.metric("lurcher_waiting_queries") == 0


def test_metrics_have_no_label_that_callers_choose(live: Client) -> None:
    for path in ("/secret-1", "/secret-2?q=3", "/v1/secret"):
        live.get(path)
    text = live.get("/metrics").body.decode()
    assert "secret" not in text
    assert live.metric('lurcher_requests_total{route="unmatched",status="404"}') >= 3


def test_bundle_says_what_is_loaded_and_the_limits(live: Client) -> None:
    body = live.get("/v1/bundle").json()
    assert body["name"] == "small"
    assert body["passages"] == 60
    assert body["bytes"] > 100_000
    assert body["encoder"]["name"]
    assert body["encoder"]["dimension"] == 96
    assert body["filter_fields"] == ["flag", "lang", "score", "tags", "year"]
    assert body["limits"] == {"top_k": 200, "queries": 20, "hits": 1_000, "query_chars": 2_000,
                              "candidates": 300, "ranked": 2_500, "read_depth": 100, "body_bytes": 200_000,
                              "timeout_ms": 10_000}  # fmt: skip
    assert {"build", "figures", "created", "lurcher_version"} <= set(body)
    tokens = body["tokens"]
    assert set(tokens) == {"bits", "keep_ratio", "tokens", "codes", "bytes", "bytes_per_token"}
    assert (tokens["bits"], tokens["keep_ratio"]) == (96, KEEP_RATIO)
    assert tokens["bytes_per_token"] == pytest.approx(tokens["bytes"] / tokens["tokens"], abs=0.01)


def test_bundle_says_that_it_has_no_tokens(tokenless: Client) -> None:
    body = tokenless.get("/v1/bundle").json()
    assert (body["tokens"], body["ranker"], body["states"]) == (None, None, None)


@pytest.mark.parametrize(("path", "own"), [("/", "'self'"), ("/docs", "'sha256-")])
def test_pages_carry_a_policy_of_their_own_content(live: Client, path: str, own: str) -> None:
    reply = live.get(path)
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    policy = reply.headers["content-security-policy"]
    assert policy == content_security_policy(reply.body.decode())
    assert policy.startswith(f"default-src 'none'; style-src {own}")
    assert f"script-src {own}" in policy
    assert "require-trusted-types-for 'script'; trusted-types 'none'" in policy
    assert "unsafe" not in policy
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert not re.search(rb"(src|href)=\"(https?:)?//", reply.body)


def test_openapi_states_the_limits_of_this_server(live: Client) -> None:
    schemas = live.get("/openapi.json").json()["components"]["schemas"]
    assert schemas["SearchRequest"]["properties"]["top_k"]["anyOf"][0]["maximum"] == 200
    assert schemas["SearchRequest"]["properties"]["query"]["maxLength"] == 2_000
    assert schemas["BatchRequest"]["properties"]["queries"]["maxItems"] == 20
    assert schemas["BatchRequest"]["properties"]["candidates"]["anyOf"][0]["maximum"] == 300
    rerank = schemas["RerankRequest"]["properties"]
    assert rerank["query"]["maxLength"] == 2_000
    assert [rerank[name]["anyOf"][0]["maxItems"] for name in ("documents", "passages")] == [300] * 2
    assert "HTTPValidationError" not in schemas


PREFLIGHT = {
    "Origin": ORIGIN,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "content-type",
}


def test_no_other_origin_may_call_by_default(live: Client) -> None:
    assert live.request("OPTIONS", "/v1/search", headers=PREFLIGHT).status == 405
    reply = live.request("GET", "/v1/bundle", headers={"Origin": ORIGIN})
    assert not [name for name in reply.headers if name.startswith("access-control")]


def test_origins_in_the_settings_may_call(small_bundle: Path) -> None:
    with running(settings(small_bundle, cors_origins=[ORIGIN])) as client:
        reply = client.request("OPTIONS", "/v1/search", headers=PREFLIGHT)
        assert reply.status == 200
        assert reply.headers["access-control-allow-origin"] == ORIGIN
        reply = client.post("/v1/search", {"query": "cat"}, Origin=ORIGIN)
        assert reply.headers["access-control-allow-origin"] == ORIGIN
        assert "X-Request-Id" in reply.headers["access-control-expose-headers"]
        other = client.post("/v1/search", {"query": "cat"}, Origin="https://other.example")
        assert "access-control-allow-origin" not in other.headers
