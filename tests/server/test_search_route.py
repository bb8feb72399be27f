"""``POST /v1/search`` over a socket: what may be asked, and what comes back."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from tests.server.serving import Client, assert_problem

# What each hit has.
BARE = {"id", "score", "title", "document", "section", "start", "end"}

CAT = "The cat sleeps on the warm windowsill"


def ids(client: Client, query: str, **options: Any) -> list[str]:
    reply = client.search(query, **options)
    assert reply.status == 200, reply.body
    return [hit["id"] for hit in reply.json()["hits"]]


def test_reply_has_the_documented_parts(live: Client) -> None:
    reply = live.search(CAT)
    assert reply.status == 200
    assert reply.headers["content-type"] == "application/json"
    body = reply.json()
    assert set(body) == {"hits", "timings_ms", "bundle", "truncated", "question", "degraded"}
    assert body["bundle"] == "small"
    assert body["truncated"] is False
    assert body["degraded"] == []
    assert len(body["hits"]) == 10
    first = body["hits"][0]
    assert set(first) == {*BARE, "text", "metadata", "scores"}
    assert re.fullmatch(r"en-animals-\d", first["id"])
    assert first["text"].startswith(CAT)
    assert first["metadata"]["lang"] == "en"
    assert set(first["scores"]) == {"dense", "lexical", "fused", "maxsim", "rank"}
    assert first["scores"]["rank"] == first["score"]
    scores = [hit["score"] for hit in body["hits"]]
    assert scores == sorted(scores, reverse=True)
    dense = live.search(CAT, retrieve="dense").json()["hits"]
    assert set(dense[0]["scores"]) == {"dense", "maxsim", "rank"}
    assert all(-1 <= hit["score"] <= 1 for hit in dense)


def test_timings_are_in_the_body_and_in_a_header(live: Client) -> None:
    reply = live.search(CAT)
    timings = reply.json()["timings_ms"]
    stages_of_all = [
        "queue",
        "encode",
        "retrieve_dense",
        "retrieve_lexical",
        "fuse",
        "rank",
        "fetch",
    ]
    assert list(timings) == [*stages_of_all, "total"]
    assert all(ms >= 0 for ms in timings.values())
    stages = sum(ms for stage, ms in timings.items() if stage != "total")
    assert stages <= timings["total"]
    stated = dict(re.findall(r"(\w+);dur=([\d.e-]+)", reply.headers["server-timing"]))
    assert {stage: float(ms) for stage, ms in stated.items()} == timings


@pytest.mark.parametrize(
    "part",
    ["text", "metadata", "scores", "highlights", "contributing_neighbours", "token_alignment"],
)
def test_include_picks_the_parts_of_a_hit(live: Client, part: str) -> None:
    (hit,) = live.search(CAT, top_k=1, include=[part]).json()["hits"]
    assert set(hit) == {*BARE, part}
    (bare,) = live.search(CAT, top_k=1, include=[]).json()["hits"]
    assert set(bare) == BARE


def test_highlight_marks_the_sentence_by_code_points(live: Client) -> None:
    (hit,) = live.search(CAT, top_k=1, include=["text", "highlights"]).json()["hits"]
    (span,) = hit["highlights"]
    assert hit["text"][span["start"] : span["end"]].startswith(CAT)
    (hit,) = live.search("zzz", top_k=1, include=["highlights"]).json()["hits"]
    assert hit["highlights"] == []


def test_tokens_are_aligned_in_the_order_of_the_query(live: Client) -> None:
    query = "the cat sleeps 💤"
    (hit,) = live.search(query, top_k=1, include=["text", "scores", "token_alignment"]).json()[
        "hits"
    ]
    matches = hit["token_alignment"]
    assert [set(m) for m in matches] == [{"query", "part", "passage", "similarity", "weight"}] * 4
    asked = [query[m["query"]["start"] : m["query"]["end"]] for m in matches]
    assert asked == ["the", "cat", "sleeps", "💤"]
    met = [hit[m["part"]][m["passage"]["start"] : m["passage"]["end"]] for m in matches]
    assert all(met)
    assert met[1] == "cat"
    assert np.dot(
        [m["similarity"] for m in matches], [m["weight"] for m in matches]
    ) == pytest.approx(hit["scores"]["maxsim"], abs=1e-5)


def test_filter_that_three_of_sixty_pass_returns_those_three(live: Client) -> None:
    found = ids(live, "anything at all", top_k=50, filter={"year": 2007})
    assert sorted(found) == ["de-food-1", "en-food-1", "fr-food-1"]


@pytest.mark.parametrize(
    ("wanted", "count"),
    [
        ({}, 60),
        ({"lang": "en"}, 20),
        ({"lang": {"in": ["en", "fr"]}}, 40),
        ({"tags": "odd"}, 30),
        ({"tags": {"in": ["music", "food"]}}, 24),
        ({"flag": True}, 30),
        ({"year": {"gte": 2000, "lt": 2005}}, 15),
        ({"year": {"gt": 2000.5, "lte": 2004}}, 12),
        ({"score": {"gte": 1.5}}, 18),
        ({"lang": {"gte": "de", "lt": "en"}}, 20),
        ({"lang": "en", "flag": True, "year": {"gte": 2010}}, 5),
        ({"lang": "xx"}, 0),
        ({"year": {"gt": 5, "lt": 5}}, 0),
        ({"year": {"lt": 100000000000000000000}}, 60),
    ],
)
def test_filters_hold(live: Client, wanted: dict[str, Any], count: int) -> None:
    assert len(ids(live, CAT, top_k=200, filter=wanted)) == count


def test_a_filter_that_nothing_can_meet_says_what_its_field_holds(live: Client) -> None:
    reply = live.search(CAT, filter={"lang": {"gt": 1}})
    assert reply.status == 422
    assert reply.json()["errors"] == [
        {
            "field": "filter.lang",
            "reason": "1 is a number, but this field holds texts in 60 passages; compare with a text",
        }
    ]


def test_unknown_filter_field_is_named_with_those_there_are(live: Client) -> None:
    problem = assert_problem(live.search(CAT, filter={"colour": "red"}), 422)
    assert problem["errors"][0]["field"] == "filter.colour"
    for field in ("lang", "year", "tags", "score", "flag"):
        assert field in problem["detail"]


def test_top_k_beyond_the_corpus_returns_all_there_is(live: Client) -> None:
    assert len(set(ids(live, CAT, top_k=200))) == 60
    assert len(ids(live, CAT, top_k=1)) == 1


@pytest.mark.parametrize("top_k", [0, -1, 201, 2**70, True, "10", 1.5, [1]])
def test_wrong_top_k_is_named(live: Client, top_k: object) -> None:
    problem = assert_problem(live.search(CAT, top_k=top_k), 422)
    assert problem["errors"][0]["field"] == "top_k"


@pytest.mark.parametrize("query", ["", " ", "\t\n  "])
def test_query_of_nothing_is_refused(live: Client, query: str) -> None:
    problem = assert_problem(live.search(query), 422)
    assert problem["errors"][0]["field"] == "query"


def test_query_beyond_the_limit_is_refused_and_says_so(live: Client) -> None:
    assert live.search("x" * 2_000).status == 200
    for length in (2_001, 100_000):
        problem = assert_problem(live.search("x" * length), 422)
        assert problem["detail"] == f"query: {length} characters, at most 2000 are allowed"


def test_query_longer_than_the_encoder_reads_is_cut_and_says_so(live: Client) -> None:
    assert live.search("cat " * 499).json()["truncated"] is True


@pytest.mark.parametrize(
    "query",
    [
        "Кошка спит на окне",
        "猫は窓辺で眠る",
        "القطة نائمة",
        "बिल्ली सो रही है",
        "🐈💤",
        "a\x00b\x07\x1b[31m",
        "\ufeff\u202ecat",
        "'; DROP TABLE passages; --",
        "[CLS] [SEP] [PAD]",
    ],
)
def test_any_script_and_any_character_can_be_asked(live: Client, query: str) -> None:
    assert len(ids(live, query)) == 10


@pytest.mark.parametrize("timeout", [0, -5, "1", True, 1.5])
def test_wrong_timeout_is_named(live: Client, timeout: object) -> None:
    problem = assert_problem(live.search(CAT, timeout_ms=timeout), 422)
    assert problem["errors"][0]["field"] == "timeout_ms"


def test_timeout_beyond_the_servers_own_is_the_servers_own(live: Client) -> None:
    assert live.search(CAT, timeout_ms=10**12).status == 200


def test_unknown_part_to_include_is_named(live: Client) -> None:
    problem = assert_problem(live.search(CAT, include=["vectors"]), 422)
    assert problem["errors"][0]["field"] == "include.0"


def test_batch_answers_in_the_order_asked_and_an_error_spoils_only_its_own(live: Client) -> None:
    queries = ["the cat", "  ", "bread and yeast", "x" * 2_001, "the oboe"]
    reply = live.post(
        "/v1/search/batch", {"queries": queries, "top_k": 2, "filter": {"lang": "en"}}
    )
    assert reply.status == 200
    body = reply.json()
    assert set(body) == {"results", "timings_ms", "bundle", "degraded"}
    kinds = [
        item["error"]["status"] if "error" in item else item["hits"][0]["id"].split("-")[1]
        for item in body["results"]
    ]
    assert kinds == ["animals", 422, "food", 422, "music"]
    error = body["results"][1]["error"]
    assert error["errors"][0]["field"] == "queries.1"
    assert error["request_id"] == reply.headers["x-request-id"]
    assert set(body["results"][0]) == {"hits", "truncated"}


def test_batch_finds_what_single_searches_find(live: Client) -> None:
    queries = ["the cat", "trains", "glacier", "Brot"]
    batch = live.post("/v1/search/batch", {"queries": queries, "include": []}).json()["results"]
    assert [[h["id"] for h in item["hits"]] for item in batch] == [ids(live, q) for q in queries]


def test_batch_of_wrong_queries_only_is_answered_without_the_core(live: Client) -> None:
    body = live.post("/v1/search/batch", {"queries": [" ", ""]}).json()
    assert [item["error"]["status"] for item in body["results"]] == [422, 422]


def test_batch_with_a_wrong_filter_has_the_error_on_each_item(live: Client) -> None:
    body = live.post("/v1/search/batch", {"queries": ["a", "b"], "filter": {"colour": 1}}).json()
    assert [i["error"]["errors"][0]["field"] for i in body["results"]] == ["filter.colour"] * 2


def test_option_that_is_wrong_for_all_refuses_the_whole_batch(live: Client) -> None:
    problem = assert_problem(live.post("/v1/search/batch", {"queries": ["a"], "top_k": 201}), 422)
    assert problem["errors"][0]["field"] == "top_k"


def test_too_many_queries_are_refused(live: Client) -> None:
    problem = assert_problem(live.post("/v1/search/batch", {"queries": ["a"] * 21}), 413)
    assert "at most 20" in problem["detail"]
    assert_problem(live.post("/v1/search/batch", {"queries": []}), 422)


def test_pages_are_parts_of_one_order(live: Client) -> None:
    whole = ids(live, CAT)
    pages = [id_ for offset in range(0, 10, 2) for id_ in ids(live, CAT, top_k=2, offset=offset)]
    assert pages == whole
    beyond = assert_problem(live.search(CAT, offset=10**30), 422)
    assert beyond["errors"][0]["field"] == "offset"
    assert "pages are parts of 75 candidates" in beyond["errors"][0]["reason"]
    assert_problem(live.search(CAT, offset=-1), 422)
