"""``import lurcher``: a bundle in this process, as documented, and as over HTTP."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lurcher
from lurcher.bundle.bundle import Bundle
from lurcher.errors import FieldError
from lurcher.retrieval.snapshot import Snapshot
from tests.server.serving import Client, running, settings

QUERY = "the warm sill of a window"
PATIENCE = 60


@pytest.fixture(scope="module")
def docs(answering_bundle: Path) -> Iterator[lurcher.Collection]:
    with lurcher.open(answering_bundle, threads=1) as opened:
        yield opened


@pytest.fixture(scope="module")
def tokenless(tokenless_bundle: Path) -> Iterator[lurcher.Collection]:
    with lurcher.open(str(tokenless_bundle), threads=1) as opened:
        yield opened


@pytest.fixture(scope="module")
def client(answering_bundle: Path) -> Iterator[Client]:
    with running(settings(answering_bundle)) as served:
        yield served


# What is public.


def test_public_names_are_those_listed_and_each_can_be_imported() -> None:
    assert sorted(lurcher.__all__) == dir(lurcher)
    for name in lurcher.__all__:
        assert getattr(lurcher, name).__doc__, name
    namespace: dict[str, Any] = {}
    exec("from lurcher import *", namespace)  # noqa: S102 (as a user may write)
    assert set(lurcher.__all__) <= set(namespace)


def test_what_is_not_public_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="no attribute 'opne'"):
        lurcher.opne  # type: ignore[attr-defined]  # noqa: B018 (its access is what raises)


def test_importing_lurcher_alone_imports_no_index_no_engine_and_no_server() -> None:
    heavy = ["faiss", "onnxruntime", "fastapi", "numpy", "tokenizers", "pydantic"]
    program = f"import sys, lurcher; print([m for m in {heavy} if m in sys.modules])"
    assert run(program) == "[]"
    used = f"import sys, lurcher; lurcher.open; print([m for m in {heavy} if m in sys.modules])"
    assert "fastapi" not in run(used)
    assert "faiss" in run(used)


def run(program: str) -> str:
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=True)
    return done.stdout.strip()


# Searches.


def test_hits_are_passages_best_first(docs: lurcher.Collection) -> None:
    result = docs.search(QUERY, 7)
    assert isinstance(result, lurcher.SearchResult)
    assert len(result.hits) == 7
    assert [hit.score for hit in result.hits] == sorted(
        (hit.score for hit in result.hits), reverse=True
    )
    for hit in result.hits:
        assert isinstance(hit, lurcher.Hit)
        assert hit.scores["rank"] == hit.score
        assert docs.passages.get([hit.id]) == [hit.passage]
    assert len(docs.search(QUERY).hits) == 10
    assert len(docs.search(QUERY, 1_000).hits) == len(docs.passages) == docs.manifest.passages


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"rank": "off"},
        {"rank": "decoder", "candidates": 15},
        {"rank": "reader"},
        {"filter": {"lang": "fr", "year": {"gte": 2005}}},
        {"filter": '{"tags": {"in": ["music", "food"]}}'},
        {"neighbours": "off"},
    ],
)
def test_scores_equal_those_over_http(
    docs: lurcher.Collection, client: Client, options: dict[str, Any]
) -> None:
    asked = dict(options)
    if "neighbours" in asked:
        asked["neighbours"] = {"mode": asked["neighbours"]}
    if isinstance(asked.get("filter"), str):
        asked["filter"] = json.loads(asked["filter"])
    wanted = client.search(QUERY, top_k=12, **asked).json()["hits"]
    found = docs.search(QUERY, 12, **options).hits
    assert wanted
    assert [(hit.id, hit.title, hit.text, hit.passage.metadata) for hit in found] == [
        (hit["id"], hit["title"], hit["text"], hit["metadata"]) for hit in wanted
    ]
    for mine, theirs in zip(found, wanted, strict=True):
        assert {name: round(score, 6) for name, score in mine.scores.items()} == theirs["scores"]
        assert round(mine.score, 6) == theirs["score"]


def test_explanations_are_those_over_http(docs: lurcher.Collection, client: Client) -> None:
    include = ["highlights", "token_alignment", "contributing_neighbours"]
    wanted = client.search(QUERY, top_k=3, include=include).json()["hits"]
    found = docs.search(QUERY, 3, include=(part for part in include)).hits  # type: ignore[misc]  # of them
    for mine, theirs in zip(found, wanted, strict=True):
        why = mine.explanation
        assert why.contributing_neighbours == theirs["contributing_neighbours"] == []
        assert why.highlights == [(one["start"], one["end"]) for one in theirs["highlights"]]
        assert why.token_alignment
        assert [(m.query, m.part, m.passage) for m in why.token_alignment] == [
            (
                (m["query"]["start"], m["query"]["end"]),
                m["part"],
                (m["passage"]["start"], m["passage"]["end"]),
            )
            for m in theirs["token_alignment"]
        ]
    bare = docs.search(QUERY, 1).hits[0].explanation
    assert (bare.highlights, bare.token_alignment, bare.contributing_neighbours) == (None,) * 3


def test_known_queries_count(ticket_bundle: Path) -> None:
    with lurcher.open(ticket_bundle, threads=1) as known:
        text = "ticket number 7919 is still open"
        (hit,) = known.search(
            text, 1, neighbours="voting", include=["contributing_neighbours"]
        ).hits
        assert hit.explanation.contributing_neighbours
        assert hit.explanation.contributing_neighbours[0].text == text
        dense = known.search(text, 5, neighbours="voting", dense_weight=1.0, rank="off").hits
        bare = known.search(text, 5, neighbours="off", rank="off").hits
        assert [one.id for one in dense] == [one.id for one in bare]


def test_many_queries_find_what_each_finds_alone(docs: lurcher.Collection) -> None:
    texts = [f"{word} {i}" for i in range(35) for word in ("bread", "cats")]  # more than a batch
    results = docs.search_many(texts, 3, filter={"lang": "en"})
    assert len(results) == len(texts)
    for text, result in zip(texts[::9], results[::9], strict=True):
        alone = docs.search(text, 3, filter={"lang": "en"})
        assert [hit.id for hit in result.hits] == [hit.id for hit in alone.hits]
    assert docs.search_many([]) == []


def test_a_long_query_is_cut_and_says_so(docs: lurcher.Collection) -> None:
    assert docs.search("cat " * 2_000, 1).truncated
    assert not docs.search("cat", 1).truncated


# Answers.


def test_answers_are_those_over_http(docs: lurcher.Collection, client: Client) -> None:
    query, options = "how often do trains leave?", {"read_depth": 6, "min_score": 0.0}
    wanted = client.post("/v1/answer", {"query": query, "top_k": 2, **options}).json()["answers"]
    result = docs.answer(query, 2, read_depth=6, min_score=0.0)
    assert len(result.hits) == 6
    assert len(result.answers) == len(wanted) == 2
    for mine, theirs in zip(result.answers, wanted, strict=True):
        assert isinstance(mine, lurcher.Answer)
        assert (mine.text, mine.part, mine.span) == (
            theirs["text"], theirs["part"], (theirs["start"], theirs["end"]),
        )  # fmt: skip
        assert mine.passage.id == theirs["passage"]["id"]
        assert round(mine.score, 6) == theirs["score"]
    assert docs.answer(query, min_score=1.0).answers == []


def test_a_bundle_without_a_reader_says_how_to_get_one(small_bundle: Path) -> None:
    with lurcher.open(small_bundle, threads=1) as small:
        with pytest.raises(FieldError, match="lurcher build --answers") as error:
            small.answer("who")
        assert error.value.field == "question"
        with pytest.raises(FieldError, match="lurcher build --ranker") as error:
            small.answer("who", write=True)
        assert error.value.field == "write"


# Scores of what is named or brought along.


@pytest.mark.parametrize("kind", ["documents", "passages"])
def test_reranked_scores_are_those_over_http(
    docs: lurcher.Collection, client: Client, kind: str
) -> None:
    given = {
        "documents": ["a cat on a sill", "", "bread", "sand dunes wander " * 400],
        "passages": ["en-animals-0", "de-food-1", "en-animals-0"],
    }[kind]
    reply = client.post("/v1/rerank", {"query": QUERY, kind: given}).json()
    wanted = {one["index"]: one["score"] for one in reply["results"]}
    result = docs.rerank(QUERY, **{kind: given})  # type: ignore[arg-type]  # one of both
    assert isinstance(result, lurcher.RerankResult)
    assert {i: round(score, 6) for i, score in enumerate(result.scores)} == wanted
    assert result.truncated_documents == reply["meta"]["truncated_documents"]
    assert result.truncated is False


def test_documents_are_cut_to_so_many_tokens(docs: lurcher.Collection) -> None:
    result = docs.rerank(QUERY, ["bread needs yeast and patience", "a cat"], max_tokens=2)
    assert result.truncated_documents == [0]


def test_vectors_are_those_that_searches_compare(docs: lurcher.Collection) -> None:
    (hit,) = docs.search(QUERY, 1, rank="off").hits
    query, passage = docs.embed([QUERY]), docs.embed([hit.passage.content], "passage")
    assert query.shape == passage.shape == (1, docs.manifest.encoder.dimension)
    assert query.dtype == np.float32
    assert float(query[0] @ passage[0]) == pytest.approx(hit.score, abs=1e-3)
    assert docs.embed([]).shape == (0, docs.manifest.encoder.dimension)


def test_passages_are_there_by_id(
    docs: lurcher.Collection, small_records: list[dict[str, Any]]
) -> None:
    ids = [record["id"] for record in small_records[5::-1]]
    found = docs.passages.get(ids)
    assert [(one.id, one.text) for one in found] == [
        (record["id"], record["text"]) for record in small_records[5::-1]
    ]
    assert all(isinstance(one, lurcher.Passage) for one in found)
    assert docs.passages.fields == ["flag", "lang", "score", "tags", "year"]
    with pytest.raises(FieldError) as error:
        docs.passages.get([ids[0], "nobody"])
    assert error.value.field == "passages.1"


# Errors.

Call = Callable[[lurcher.Collection], object]


@pytest.mark.parametrize(
    ("call", "field", "says"),
    [
        (lambda d: d.search(" "), "query", "white space"),
        (lambda d: d.search("a\ud800"), "query", "Unicode"),
        (lambda d: d.search("a", 0), "top_k", "at least 1"),
        (lambda d: d.search("a", topk=3), "topk", "no such option"),
        (lambda d: d.search("a", rank="best"), "rank", "maxsim"),
        (lambda d: d.search("a", rank="t5"), "rank", "build --ranker"),
        (lambda d: d.search("a", neighbours="xl"), "neighbours", "voting"),
        (lambda d: d.search("a", neighbours="adapted"), "neighbours.mode", "lurcher adapt"),
        (lambda d: d.search("a", dense_weight=1.5), "dense_weight", "between 0 and 1"),
        (lambda d: d.search("a", dense_weight=float("nan")), "dense_weight", "between 0 and 1"),
        (lambda d: d.search("a", candidates=9), "candidates", "top_k, which is 10"),
        (lambda d: d.search("a", candidates=0, rank="off"), "candidates", "at least 1"),
        (lambda d: d.search("a", include=["text"]), "include", "highlights"),
        (lambda d: d.search("a", filter={"colour": "red"}), "filter.colour", "no passage"),
        (lambda d: d.search("a", filter={"year": None}), "filter.year", "is null"),
        (lambda d: d.search("a", filter=""), "filter", "JSON"),
        (lambda d: d.search_many(["a", " "]), "queries.1", "white space"),
        (lambda d: d.answer(""), "question", "white space"),
        (lambda d: d.answer("a", 0), "top_k", "at least 1"),
        (lambda d: d.answer("a", read_depth=0), "read_depth", "at least 1"),
        (lambda d: d.answer("a", min_score=2), "min_score", "between 0 and 1"),
        (lambda d: d.answer("a", candidates=9), "candidates", "read_depth, which is 10"),
        (lambda d: d.rerank("a"), "documents", "documents or passages"),
        (lambda d: d.rerank("a", ["b"], passages=["c"]), "documents", "documents or passages"),
        (lambda d: d.rerank("a", []), "documents", "none"),
        (lambda d: d.rerank("a", passages=[]), "passages", "none"),
        (lambda d: d.rerank("", ["b"]), "query", "white space"),
        (lambda d: d.rerank("a", ["b", "\udfff"]), "documents.1", "Unicode"),
        (lambda d: d.rerank("a", ["b"], max_tokens=0), "max_tokens", "at least 1"),
        (lambda d: d.rerank("a", passages=["en-food-0"], max_tokens=3), "max_tokens", "documents"),
        (lambda d: d.rerank("a", passages=["en-food-0", "nobody"]), "passages.1", "no passage"),
        (lambda d: d.embed(["a", "\ud800"]), "texts.1", "Unicode"),
        (lambda d: d.embed(["a"], "both"), "side", "query, passage"),
    ],
)
def test_errors_name_the_field(docs: lurcher.Collection, call: Call, field: str, says: str) -> None:
    with pytest.raises(lurcher.LurcherError) as error:
        call(docs)
    assert isinstance(error.value, FieldError)
    assert error.value.field == field
    assert says in error.value.reason


@pytest.mark.parametrize(
    ("call", "field"),
    [
        (lambda d: d.search("a", rank="maxsim"), "rank"),
        (lambda d: d.rerank("a", ["b"]), "documents"),
        (lambda d: d.rerank("a", passages=["en-food-0"]), "documents"),
    ],
)
def test_a_bundle_without_tokens_says_how_to_get_them(
    tokenless: lurcher.Collection, call: Call, field: str
) -> None:
    with pytest.raises(FieldError, match="lurcher build") as error:
        call(tokenless)
    assert error.value.field == field
    assert len(tokenless.search("a cat", 60, candidates=5).hits) == 60
    assert tokenless.embed(["a cat"], "passage").shape == (1, tokenless.manifest.encoder.dimension)


def test_a_folder_that_is_no_bundle_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(lurcher.LurcherError, match=str(tmp_path)):
        lurcher.open(tmp_path)


# Threads and the end.


def test_a_collection_can_be_used_from_several_threads(docs: lurcher.Collection) -> None:
    texts = ["a cat", "bread", "glacier", "the oboe"] * 6
    alone = {text: [hit.id for hit in docs.search(text).hits] for text in set(texts)}
    with ThreadPoolExecutor(6) as threads:
        searches = [threads.submit(docs.search, text) for text in texts]
        others = [
            threads.submit(docs.rerank, "a cat", ["a cat", "rain"]),
            threads.submit(docs.embed, ["a cat"], "passage"),
            threads.submit(docs.answer, "what rises?"),
            threads.submit(docs.passages.get, ["en-food-0"]),
        ]
        for text, search in zip(texts, searches, strict=True):
            assert [hit.id for hit in search.result(PATIENCE).hits] == alone[text]
        assert all(other.result(PATIENCE) is not None for other in others)


def test_closing_waits_for_who_is_being_answered(small_bundle: Path) -> None:
    begun, go_on = threading.Event(), threading.Event()

    class Held(Snapshot):
        def run(self, *queries: Any) -> Any:
            begun.set()
            assert go_on.wait(PATIENCE)
            return super().run(*queries)

    with closing(Bundle.open(small_bundle)) as bundle, ThreadPoolExecutor(2) as threads:
        collection = lurcher.Collection(Held(bundle, 1))
        search = threads.submit(collection.search, "a cat")
        assert begun.wait(PATIENCE)
        close = threads.submit(collection.close)
        assert not wait([close], 0.1).done
        go_on.set()
        assert len(search.result(PATIENCE).hits) == 10
        close.result(PATIENCE)
