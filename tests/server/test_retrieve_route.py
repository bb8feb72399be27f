"""``retrieve`` and ``query_syntax`` over HTTP: scores, timings, metrics, highlights, what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lurcher.index_builder.options import LexicalOptions
from tests.server.serving import Client, assert_problem, running, settings

CAT = "the cat sleeps"
FOUND_BY = {
    "auto": ["retrieve_dense", "retrieve_lexical"],
    "hybrid": ["retrieve_dense", "retrieve_lexical"],
    "dense": ["retrieve_dense"],
    "lexical": ["retrieve_lexical"],
}
PATHS = ["/v1/search", "/v1/search/batch"]


@pytest.fixture(scope="module")
def wordless(build_once: Callable[..., Path]) -> Iterator[Client]:
    """A ready server of a bundle without a lexical index."""
    with running(settings(build_once("wordless", seed=1, lexical=None))) as client:
        yield client


@pytest.fixture(scope="module")
def english(
    build_once: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Client]:
    """A ready server of a bundle whose words are stemmed."""
    corpus = tmp_path_factory.mktemp("english") / "c.jsonl"
    texts = {
        "bridge": "Rain is common here. Engineers inspected old bridges. It was cold.",
        "bread": "Bread rises. Yeast turns sugar into gas.",
    }
    corpus.write_text("".join(json.dumps({"id": i, "text": t}) + "\n" for i, t in texts.items()))
    bundle = build_once("english-words", corpus, lexical=LexicalOptions("english"))
    with running(settings(bundle)) as client:
        yield client


def reply_of(client: Client, path: str, text: str, **options: Any) -> dict[str, Any]:
    """The reply to a search, or the item of a batch of one."""
    asked = {"query": text} if path == PATHS[0] else {"queries": [text]}
    reply = client.post(path, {**asked, **options})
    assert reply.status == 200, reply.body
    found = reply.json()
    item: dict[str, Any] = found if path == PATHS[0] else found["results"][0]
    return item


@pytest.mark.parametrize("mode", FOUND_BY)
def test_only_what_finds_is_timed_and_counted(live: Client, mode: str) -> None:
    lines = {
        stage: f'lurcher_stage_seconds_count{{collection="small",stage="{stage}"}}'
        for stage in ("retrieve_dense", "retrieve_neighbours", "retrieve_lexical", "fuse")
    }
    before = {stage: live.metric(line) for stage, line in lines.items()}
    reply = live.search(CAT, retrieve=mode)
    assert reply.status == 200
    assert [name for name in reply.json()["timings_ms"] if "retrieve" in name] == FOUND_BY[mode]
    assert [f"{name};dur=" in reply.headers["server-timing"] for name in FOUND_BY[mode]]
    counted = {stage for stage, line in lines.items() if live.metric(line) == before[stage] + 1}
    assert counted == {*FOUND_BY[mode], "fuse"}


@pytest.mark.parametrize("path", PATHS)
def test_scores_are_those_of_the_mode(live: Client, path: str) -> None:
    def scores(**options: Any) -> list[str]:
        hits = reply_of(live, path, CAT, top_k=3, **options)["hits"]
        assert len(hits) == 3
        assert all(list(hit["scores"]) == list(hits[0]["scores"]) for hit in hits)
        return list(hits[0]["scores"])

    both = ["dense", "lexical", "fused", "maxsim", "rank"]
    assert scores() == scores(retrieve="auto") == scores(retrieve="hybrid") == both
    assert scores(retrieve="lexical") == both
    assert scores(retrieve="dense") == ["dense", "maxsim", "rank"]
    assert scores(retrieve="hybrid", rank="off") == ["dense", "lexical", "fused"]
    assert scores(retrieve="lexical", rank="off") == ["lexical"]


def test_a_batch_finds_what_searches_find(live: Client) -> None:
    texts = [CAT, "glacier", "xylophone"]
    for mode in FOUND_BY:
        asked = {"queries": texts, "retrieve": mode, "top_k": 5, "rank": "off"}
        items = live.post("/v1/search/batch", asked).json()["results"]
        for text, item in zip(texts, items, strict=True):
            alone = live.search(text, retrieve=mode, top_k=5, rank="off").json()["hits"]
            assert [hit["id"] for hit in item["hits"]] == [hit["id"] for hit in alone]
            scores = [hit["score"] for hit in alone]
            assert [hit["score"] for hit in item["hits"]] == pytest.approx(scores, abs=1e-3)


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"retrieve": "lexical"}, "retrieve"),
        ({"retrieve": "hybrid"}, "retrieve"),
        ({"query_syntax": "phrase"}, "query_syntax"),
    ],
)
def test_a_bundle_without_words_names_the_field_and_the_command(
    wordless: Client, options: dict[str, str], field: str
) -> None:
    problem = assert_problem(wordless.search(CAT, **options), 422)
    (error,) = problem["errors"]
    assert error["field"] == field
    assert "no lexical index; `lurcher build` makes one" in error["reason"]
    batch = wordless.post("/v1/search/batch", {"queries": [CAT], **options}).json()
    assert batch["results"][0]["error"]["errors"] == [error]
    found = wordless.search(CAT).json()
    assert set(found["hits"][0]["scores"]) == {"dense", "maxsim", "rank"}
    assert "retrieve_lexical" not in found["timings_ms"]
    assert wordless.get("/v1/bundle").json()["lexical"] is None


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("options", "field", "says"),
    [
        ({"retrieve": "bm25"}, "retrieve", "lexical"),
        ({"retrieve": True}, "retrieve", "lexical"),
        ({"query_syntax": "lucene"}, "query_syntax", "phrase"),
        ({"retrieve": ["dense"]}, "retrieve", "lexical"),
    ],
)
def test_values_that_there_are_not_are_named(
    live: Client, path: str, options: dict[str, Any], field: str, says: str
) -> None:
    asked = {"query": CAT} if path == PATHS[0] else {"queries": [CAT]}
    problem = assert_problem(live.post(path, {**asked, **options}), 422)
    assert [error["field"] for error in problem["errors"]] == [field]
    assert says in problem["detail"]


def test_known_queries_and_words_alone_do_not_go_together(live: Client) -> None:
    for neighbours in ({"mode": "adapted"}, {"mode": "voting"}):
        asked = live.search(CAT, retrieve="lexical", neighbours=neighbours)
        problem = assert_problem(asked, 422)
        assert problem["errors"][0]["field"] == "neighbours.mode"


def test_null_is_the_default(live: Client) -> None:
    nulls = {"retrieve": None, "query_syntax": None, "candidates": None}
    assert reply_of(live, PATHS[0], CAT, **nulls)["hits"] == reply_of(live, PATHS[0], CAT)["hits"]


@pytest.mark.parametrize("path", PATHS)
def test_phrases_are_asked_for(live: Client, path: str) -> None:
    text = 'where is "the warm windowsill" of "note 3"'
    found = reply_of(live, path, text, query_syntax="phrase", top_k=60)["hits"]
    assert [hit["id"] for hit in found] == ["en-animals-3"]
    assert len(reply_of(live, path, text, top_k=60)["hits"]) == 60
    none = reply_of(live, path, '"warm cat"', query_syntax="phrase")["hits"]
    assert none == []


def test_highlights_mark_other_forms_of_a_word(english: Client) -> None:
    for mode in FOUND_BY:
        found = english.search(
            "an inspection of the bridge", retrieve=mode, include=["text", "highlights"]
        )
        hit = next(one for one in found.json()["hits"] if one["id"] == "bridge")
        (span,) = hit["highlights"]
        assert hit["text"][span["start"] : span["end"]] == "Engineers inspected old bridges."


ODD = [
    "cat AND NOT (bread",
    "+cat -dog title:cat^2",
    '"cat',
    "?!",
    "😀",
    "x",
    "the of " * 1_100,
    "\\",
]


@pytest.mark.parametrize("text", ODD)
def test_no_sign_is_an_error(english: Client, text: str) -> None:
    for mode in FOUND_BY:
        for syntax in ("plain", "phrase"):
            reply = english.search(text, retrieve=mode, query_syntax=syntax)
            assert reply.status == 200, reply.body


def test_answers_are_found_by_words_too(answering_bundle: Path) -> None:
    with running(settings(answering_bundle)) as client:
        asked = {"query": "telescope builders", "min_score": 0, "rank": "off", "read_depth": 3}
        found = {}
        for mode, stages in FOUND_BY.items():
            reply = client.post("/v1/answer", {**asked, "retrieve": mode})
            assert reply.status == 200
            body = reply.json()
            assert [name for name in body["timings_ms"] if "retrieve" in name] == stages
            found[mode] = body["answers"][0]["passage"]["id"]
        assert found["lexical"] in {"one", "titled"}  # which have "telescope"
        phrase = {
            **asked,
            "query": 'who built "a telescope of twenty powers"',
            "query_syntax": "phrase",
        }
        answers = client.post("/v1/answer", phrase).json()["answers"]
        assert {answer["passage"]["id"] for answer in answers} == {"titled"}
        nothing = client.post("/v1/answer", {**asked, "query": "xylophone", "retrieve": "lexical"})
        assert nothing.json()["answers"] == []
        problem = assert_problem(client.post("/v1/answer", {**asked, "retrieve": "bm25"}), 422)
        assert problem["errors"][0]["field"] == "retrieve"
