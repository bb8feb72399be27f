"""``POST /v1/answer`` over a socket: what may be asked, and what comes back."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from lurcher.retrieval.costs import CostModel
from lurcher.server.keys import key_hash
from tests.server.odd import ODD
from tests.server.pointing import Pointing, pointing
from tests.server.serving import (
    PATIENCE,
    Client,
    Reply,
    assert_problem,
    running,
    settings,
    until,
)

PATH = "/v1/answer"
QUERY = "who built a telescope"
ANSWER = "built a telescope"


@pytest.fixture(scope="module")
def client(answering_bundle: Path) -> Iterator[Client]:
    """A server that answers with what stands at the fifth to the seventh token of a passage."""
    limits = {"max_read_depth": 40, "max_candidates": 30}
    wanted = settings(answering_bundle, **limits)
    with running(wanted, pointing(Pointing(4, 6, 6.0), rank_weight=4.0)) as found:
        yield found


def ask(client: Client, query: str = QUERY, **options: Any) -> Reply:
    return client.post(PATH, {"query": query, **options})


def answers(client: Client, query: str = QUERY, **options: Any) -> list[dict[str, Any]]:
    reply = ask(client, query, **options)
    assert reply.status == 200, reply.body
    found: list[dict[str, Any]] = reply.json()["answers"]
    return found


def test_reply_has_the_documented_parts(client: Client) -> None:
    reply = ask(client, min_score=0)
    assert reply.headers["content-type"] == "application/json"
    body = reply.json()
    assert set(body) == {
        "answers", "answered", "question", "calibrated", "calibrated_on", "calibrated_by", "timings_ms",
        "bundle", "truncated", "degraded",
    }  # fmt: skip
    assert (body["answered"], body["truncated"], body["degraded"]) == (True, False, [])
    assert body["bundle"] == "odd-answering"
    assert len(body["answers"]) == 3
    first = body["answers"][0]
    passage = {"id": "titled", "title": "Galileo Galilei"}
    sentence = {"start": 0, "end": 34, "text": "built a telescope of twenty powers"}
    assert first == {
        "text": ANSWER, "score": first["score"], "passage": passage, "part": "text", "start": 0,
        "end": 17, "sentence": sentence,
    }  # fmt: skip
    scores = [one["score"] for one in body["answers"]]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 and round(score, 6) == score for score in scores)


def test_offsets_are_code_points_of_the_part_named(client: Client) -> None:
    records = {record["id"]: record for record in ODD}
    for one in answers(client, top_k=20, read_depth=17, min_score=0):
        whole = records[one["passage"]["id"]].get(one["part"], "")
        assert whole[one["start"] : one["end"]] == one["text"] != ""
        sentence = one["sentence"]
        assert whole[sentence["start"] : sentence["end"]] == sentence["text"]
        assert sentence["start"] <= one["start"] < one["end"] <= sentence["end"]


def test_timings_are_those_of_a_search_and_of_reading(client: Client) -> None:
    reply = ask(client)
    timings = reply.json()["timings_ms"]
    found_by = {"retrieve_dense", "retrieve_lexical"}
    assert set(timings) == {"queue", "encode", *found_by, "fuse", "rank", "fetch", "read", "total"}
    assert timings["read"] > 0
    assert sum(ms for stage, ms in timings.items() if stage != "total") <= timings["total"]
    stated = dict(re.findall(r"(\w+);dur=([\d.e-]+)", reply.headers["server-timing"]))
    assert {stage: float(ms) for stage, ms in stated.items()} == timings
    assert set(client.search(QUERY).json()["timings_ms"]) == set(timings) - {"read"}


def test_reading_is_measured(client: Client) -> None:
    line = 'lurcher_stage_seconds_count{collection="odd-answering",stage="read"}'
    before = client.metric(line)
    assert client.search(QUERY).status == 200
    assert client.metric(line) == before
    assert ask(client).status == 200
    assert client.metric(line) == before + 1


def test_no_answer_is_an_answer(client: Client) -> None:
    reply = ask(client, min_score=1)
    assert reply.status == 200
    body = reply.json()
    assert (body["answers"], body["answered"]) == ([], False)


def test_min_score_holds(client: Client) -> None:
    every = answers(client, top_k=20, min_score=0)
    for least in (min(0.0001, every[-1]["score"]), every[1]["score"], every[0]["score"] + 1e-4):
        kept = [one for one in every if one["score"] >= least]
        assert answers(client, top_k=20, min_score=max(0, least - 1e-6)) == kept
    assert answers(client) == [one for one in every[:3] if one["score"] >= 0.5]  # the reader's own


@pytest.mark.parametrize("wrong", [-0.1, 1.1, "0.5", True, [0.5], 1e308])
def test_min_score_out_of_range_is_named(client: Client, wrong: object) -> None:
    problem = assert_problem(ask(client, min_score=wrong), 422)
    assert problem["errors"][0]["field"] == "min_score"


@pytest.mark.parametrize("wrong", ["NaN", "Infinity", "-Infinity"])
def test_min_score_is_a_number(client: Client, wrong: str) -> None:
    body = f'{{"query": "a", "min_score": {wrong}}}'.encode()
    assert client.post(PATH, body).status in (400, 422)


@pytest.mark.parametrize(
    ("options", "field", "says"),
    [
        ({"top_k": 0}, "top_k", "1"),
        ({"top_k": 21}, "top_k", "20"),
        ({"top_k": "3"}, "top_k", "integer"),
        ({"read_depth": 0}, "read_depth", "1"),
        ({"read_depth": 31}, "read_depth", "at most 30"),
        ({"read_depth": 41, "rank": "off"}, "read_depth", "at most 40"),
        ({"read_depth": True}, "read_depth", "integer"),
        ({"candidates": 31}, "candidates", "at most 30"),
        ({"candidates": 9}, "candidates", "read_depth, which is 10"),
        ({"candidates": 14, "read_depth": 15}, "candidates", "read_depth, which is 15"),
        ({"rank": True}, "rank", "maxsim"),
        ({"neighbours": {"mode": "adapted"}}, "neighbours.mode", "lurcher adapt"),
        ({"filter": {"colour": "red"}}, "filter.colour", "no passage"),
        ({"timeout_ms": 0}, "timeout_ms", "1"),
        ({"include": ["text"]}, "include.0", "passage"),
        ({"explain": True}, "explain", "xtra"),
        ({"query": ""}, "query", "is empty"),
        ({"query": " \n"}, "query", "white space"),
        ({"query": "x" * 8_001}, "query", "at most 8000"),
    ],
)
def test_what_cannot_be_asked_is_named(
    client: Client, options: dict[str, Any], field: str, says: str
) -> None:
    problem = assert_problem(ask(client, **options), 422)
    assert problem["errors"][0]["field"] == field
    assert says in problem["errors"][0]["reason"]


def test_candidates_below_read_depth_make_no_difference_where_nothing_is_ranked(
    client: Client,
) -> None:
    few = answers(client, rank="off", candidates=1, read_depth=12, top_k=20, min_score=0)
    assert few == answers(client, rank="off", read_depth=12, top_k=20, min_score=0)


def test_only_the_best_passages_are_read(client: Client) -> None:
    best = [hit["id"] for hit in client.search(QUERY, top_k=20).json()["hits"]]
    for depth in (1, 3, 17):
        found = answers(client, read_depth=depth, top_k=20, min_score=0)
        assert {one["passage"]["id"] for one in found} <= set(best[:depth])
    assert "titled" in best[:3]


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
        "[CLS] [SEP] [PAD]",
        "<b>who</b> &amp; what",
    ],
)
def test_any_script_and_any_character_can_be_asked(client: Client, query: str) -> None:
    body = ask(client, query, min_score=0).json()
    assert body["answered"] is bool(body["answers"]) is True


def test_a_question_of_5000_characters_is_cut_and_says_so(client: Client) -> None:
    body = ask(client, "who built a telescope? " * 220).json()
    assert body["truncated"] is True
    assert body["degraded"] == []


def test_a_bundle_without_a_reader_names_the_command_that_makes_one(
    live: Client, tokenless: Client
) -> None:
    for client in (live, tokenless):
        problem = assert_problem(ask(client), 422)
        assert problem["errors"] == []  # no field is at fault
        assert "no reader" in problem["detail"]
        assert "`lurcher build --answers`" in problem["detail"]
        bundle = client.get("/v1/bundle").json()
        assert bundle["reader"] is bundle["reading"] is None


def test_bundle_says_what_reads_and_what_is_read(client: Client) -> None:
    bundle = client.get("/v1/bundle").json()
    assert {"name", "longest", "min_score", "slope", "offset"} <= set(bundle["reader"])
    reading = bundle["reading"]
    assert set(reading) == {"bits", "codes", "bytes", "bytes_per_token"}
    assert 0 < reading["bits"] / 8 * 0.5 < reading["bytes_per_token"]
    assert bundle["limits"]["read_depth"] == 40


def test_openapi_has_the_limits(client: Client) -> None:
    schema = client.get("/openapi.json").json()["components"]["schemas"]["AnswerRequest"]
    assert schema["properties"]["read_depth"]["anyOf"][0]["maximum"] == 40
    assert schema["properties"]["candidates"]["anyOf"][0]["maximum"] == 30
    assert schema["properties"]["query"]["maxLength"] == 8_000


def test_a_key_is_needed_where_searches_need_one(answering_bundle: Path) -> None:
    wanted = settings(answering_bundle, read_keys=[key_hash("secret")])
    with running(wanted, pointing(Pointing())) as client:
        assert_problem(ask(client), 401)
        assert client.post(PATH, {"query": QUERY}, X_API_Key="secret").status == 200


class Slow(Pointing):
    """Once it is shut, each reading needs to be let through."""

    def __init__(self) -> None:
        super().__init__(4, 6, 6.0)
        self.shut = False
        self.begun, self.through = threading.Semaphore(0), threading.Semaphore(0)

    def run(self, *asked: Any) -> Any:
        if self.shut:
            self.begun.release()
            assert self.through.acquire(timeout=PATIENCE)
        return super().run(*asked)


@pytest.fixture
def slow() -> Slow:
    return Slow()


@pytest.fixture
def slowed(answering_bundle: Path, slow: Slow) -> Iterator[Client]:
    """A server that is shut, in which four may wait."""
    limits = {"timeout_ms": 60_000, "max_wait_ms": 60_000, "max_waiting": 4, "max_queries": 4}
    with running(settings(answering_bundle, **limits), pointing(slow)) as client:
        slow.shut = True
        yield client
        slow.through.release(1_000)


def test_a_passed_deadline_is_504(slowed: Client, slow: Slow) -> None:
    problem = assert_problem(ask(slowed, read_depth=1, timeout_ms=100), 504)
    assert "within 100 ms" in problem["detail"]
    slow.through.release()
    slow.shut = False
    assert answers(slowed, min_score=0)


def six_questions(
    threads: ThreadPoolExecutor, client: Client, slow: Slow, **body: Any
) -> list[Future[Reply]]:
    """Six questions, of which one is being read and five wait."""
    questions = [threads.submit(ask, client, read_depth=1, **body)]
    assert slow.begun.acquire(timeout=PATIENCE)  # alone: two that arrive together are one batch
    questions += [threads.submit(ask, client, read_depth=1, **body) for _ in range(5)]
    until(lambda: client.metric("lurcher_waiting_queries") == 5)
    return questions


def test_a_search_waits_for_two_questions_at_most(slowed: Client, slow: Slow) -> None:
    with ThreadPoolExecutor(7) as threads:
        questions = six_questions(threads, slowed, slow, min_score=0)
        search = threads.submit(slowed.search, QUERY)
        until(lambda: slowed.metric("lurcher_waiting_queries") == 6)
        slow.through.release(2)
        assert search.result(PATIENCE).status == 200
        assert sum(question.done() for question in questions) <= 2
        slow.through.release(4)
        for question in questions:
            assert question.result(PATIENCE).json()["answers"][0]["text"] == ANSWER
    assert slowed.metric("lurcher_waiting_queries") == 0


def test_too_many_questions_are_429(slowed: Client, slow: Slow) -> None:
    with ThreadPoolExecutor(6) as threads:
        questions = six_questions(threads, slowed, slow)
        refused = ask(slowed)
        assert_problem(refused, 429)
        assert int(refused.headers["retry-after"]) >= 1
        slow.through.release(6)
        assert {question.result(PATIENCE).status for question in questions} == {200}


def test_a_hurried_question_says_so_and_is_counted(answering_bundle: Path) -> None:
    line = 'lurcher_degraded_searches_total{stage="read"}'
    slow = pointing(Pointing(4, 6, 6.0), CostModel({"read": 1_000.0}))
    with running(settings(answering_bundle), slow) as client:
        body = ask(client, min_score=0, top_k=20).json()
        assert body["degraded"] == ["read"]
        assert client.metric(line) == 1
        best = client.search(QUERY, top_k=1).json()["hits"][0]["id"]
        assert {one["passage"]["id"] for one in body["answers"]} == {best}


def test_a_question_that_the_reader_ranks_reads_no_passage_twice(answering_bundle: Path) -> None:
    engine = Pointing(4, 6, 6.0)
    with running(settings(answering_bundle), pointing(engine)) as client:
        engine.runs.clear()
        body = ask(client, rank="reader", min_score=0, top_k=20).json()
        read = sum(passages for passages, _ in engine.runs)
    assert body["answered"]
    assert body["degraded"] == []
    assert read == len(
        [record for record in ODD if record["text"].strip() or record.get("title", "").strip()]
    )


def test_alone_and_in_a_crowd_a_question_has_the_same_answers(answering_bundle: Path) -> None:
    """By the reader that the build put in, so that its graph is asked."""
    asked = [QUERY, "猫は窓", "moons " * 200, "bread and other things", "what is naïve?"] * 4
    wanted = settings(answering_bundle, timeout_ms=120_000, max_wait_ms=120_000)
    with running(wanted) as client, ThreadPoolExecutor(20) as threads:
        alone = {query: answers(client, query, min_score=0, top_k=5) for query in set(asked)}
        together = threads.map(lambda q: answers(client, q, min_score=0, top_k=5), asked)
        searches = threads.map(lambda q: client.search(q).status, asked)
        assert set(searches) == {200}
        for query, found in zip(asked, together, strict=True):
            wanted = alone[query]
            assert [one | {"score": 0} for one in found] == [one | {"score": 0} for one in wanted]
            assert [one["score"] for one in found] == pytest.approx(
                [one["score"] for one in wanted], abs=1e-5
            )


def test_the_reader_ranks_a_search_if_it_is_asked_to(client: Client) -> None:
    """It is equally sure of every passage that is long enough; the others are far behind."""
    replies = {
        rank: client.post("/v1/search", {"query": QUERY, "rank": rank}).json()["hits"]
        for rank in ("maxsim", "reader")
    }
    before = {hit["id"]: hit["scores"] for hit in replies["maxsim"]}
    found = replies["reader"]
    assert len(found) == 10
    scores = [hit["scores"]["rank"] for hit in found]
    assert scores == sorted(scores, reverse=True)
    raised = {
        hit["id"]: hit["scores"]["rank"] - before[hit["id"]]["rank"]
        for hit in found
        if hit["id"] in before
    }
    assert raised["titled"] == pytest.approx(0.06, abs=1e-4)
    assert max(raised.values()) == pytest.approx(0.06, abs=1e-4)
    together = client.post("/v1/search/batch", {"queries": [QUERY], "rank": "reader"}).json()
    assert [hit["id"] for hit in together["results"][0]["hits"]] == [hit["id"] for hit in found]
