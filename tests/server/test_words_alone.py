"""A server of a bundle without vectors: what each route does, and that no encoder is loaded."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lurcher.errors import FieldError
from lurcher.server.service import Service
from tests.server.serving import Client, assert_problem, running, settings

NO_VECTORS = "this bundle has no vectors; `lurcher build` without --no-vectors makes one that has"


@pytest.fixture(scope="module")
def words(words_bundle: Path) -> Iterator[Client]:
    with running(settings(words_bundle)) as client:
        yield client


def test_words_find_passages(words: Client) -> None:
    include = ["scores", "highlights"]
    found = words.search("Wer stimmt nach der Oboe?", top_k=4, include=include).json()
    assert {hit["id"] for hit in found["hits"]} == {f"de-music-{n}" for n in range(4)}
    for hit in found["hits"]:
        assert hit["scores"] == {"lexical": hit["score"]}
        assert hit["highlights"]
    assert found["question"] is True
    assert found["truncated"] is False
    assert {"encode", "retrieve_lexical", "fuse", "total"} <= found["timings_ms"].keys()
    assert "retrieve_dense" not in found["timings_ms"]
    assert (
        words.metric('lurcher_stage_seconds_count{collection="words",stage="retrieve_lexical"}') > 0
    )


def test_a_batch_refuses_each_query_by_its_own_error(words: Client) -> None:
    body = {"queries": ["glacier", " ", "Brot"], "top_k": 2}
    good, blank, bread = words.post("/v1/search/batch", body).json()["results"]
    assert good["hits"][0]["id"].startswith("en-earth")
    assert blank["error"]["errors"][0]["field"] == "queries.1"
    assert bread["hits"][0]["id"].startswith("de-food")


@pytest.mark.parametrize("path", ["/v1/search", "/v1/search/batch"])
@pytest.mark.parametrize(
    ("options", "field", "reason"),
    [
        ({"retrieve": "dense"}, "retrieve", NO_VECTORS),
        ({"retrieve": "hybrid"}, "retrieve", NO_VECTORS),
        ({"neighbours": {"mode": "adapted"}}, "neighbours.mode", NO_VECTORS),
        ({"neighbours": {"mode": "voting"}}, "neighbours.mode", NO_VECTORS),
        ({"rank": "maxsim"}, "rank", "this bundle has no vectors"),
    ],
)
def test_what_reads_vectors_names_its_field(
    words: Client, path: str, options: dict[str, Any], field: str, reason: str
) -> None:
    text = {"queries": ["glacier"]} if path.endswith("batch") else {"query": "glacier"}
    reply = words.post(path, {**text, **options})
    problem = reply.json()
    if path.endswith("batch"):
        problem = problem["results"][0]["error"]
    else:
        assert_problem(reply, 422)
    assert problem["errors"][0]["field"] == field
    assert problem["errors"][0]["reason"].startswith(reason)


def test_routes_that_need_an_encoder_say_why_they_cannot(words: Client) -> None:
    for path, body, reason in [
        ("/v1/answer", {"query": "who tunes?"}, "this bundle has no reader"),
        ("/v1/rerank", {"query": "oboe", "documents": ["a cat"]}, "this bundle has no vectors"),
        ("/v2/rerank", {"query": "oboe", "passages": ["en-music-0"]}, "this bundle has no vectors"),
    ]:
        reply = words.post(path, body)
        assert_problem(reply, 422)
        assert reply.json()["detail"].startswith(reason)
    pairs = {"pairs": [{"query": "oboe", "passage": "en-music-0"}]}
    reply = words.post("/v1/feedback", pairs)
    assert_problem(reply, 403)
    assert "feedback is off" in reply.json()["detail"]


def test_the_bundle_has_no_encoder(words: Client) -> None:
    told = words.get("/v1/bundle").json()
    assert told["encoder"] is told["tokens"] is told["reader"] is None
    assert told["build"]["index"] == "none"
    assert told["figures"]["recall_at_100"] is None
    assert words.get("/readyz").status == words.get("/").status == 200
    document = words.get("/v1/documents/en-music-0")
    assert document.status == 200


def test_a_server_that_is_to_take_feedback_does_not_start(
    words_bundle: Path, tmp_path: Path
) -> None:
    log = tmp_path / "feedback.log"
    with pytest.raises(FieldError, match=f"feedback: this bundle cannot learn: {NO_VECTORS}"):
        asyncio.run(Service(settings(words_bundle, feedback=log)).load())
    assert not log.exists()


_SERVE = """
import asyncio, sys
from pathlib import Path
from lurcher.server.service import Service
from tests.server.serving import settings
from tests.tiny import TinyOptions, build
corpus, out = map(Path, sys.argv[1:])
build(corpus, out, TinyOptions(vectors=False, tokens=None))
asyncio.run(Service(settings(out)).load())  # which answers a query
assert "onnxruntime" not in sys.modules
"""


def test_neither_build_nor_server_load_what_runs_encoders(
    small_corpus: Path, tmp_path: Path
) -> None:
    words = [sys.executable, "-c", _SERVE, str(small_corpus), str(tmp_path / "words.lurcher")]
    ended = subprocess.run(
        words, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=120
    )
    assert ended.returncode == 0, ended.stderr
