"""Feedback that names a document is about the passage of it that is nearest to the query."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.server.feedback.giving import PATH, counted, give, judged, pair, remove
from tests.server.serving import Client, running, settings
from tests.tiny import build

QUERY = "bread that rises"
PARTS = ["The cat sleeps", "Bread rises in the oven", "The train leaves in the morning"]


@pytest.fixture(scope="module")
def split_bundle(
    tmp_path_factory: pytest.TempPathFactory, write_jsonl: Callable[[Path, Any], Path]
) -> Path:
    folder = tmp_path_factory.mktemp("split")
    records = [{"id": "long", "passages": PARTS}, {"id": "short", "text": "A warm oven"}]
    build(write_jsonl(folder / "corpus.jsonl", records), folder / "b.lurcher")
    return folder / "b.lurcher"


def scores(client: Client) -> dict[str, float]:
    hits = client.post("/v1/search", {"query": QUERY, "rank": "off"}).json()["hits"]
    return {hit["id"]: hit["score"] for hit in hits}


def test_the_nearest_passage_alone_has_the_judgement(split_bundle: Path, log: Path) -> None:
    with running(settings(split_bundle, feedback=log)) as client:
        before = scores(client)
        given = [pair(QUERY, id_) for id_ in ("long", "none", "short")]
        reply = give(client, *given, key="k").json()
        assert (reply["accepted"], [one["index"] for one in reply["refused"]]) == (2, [1])
        assert judged(log) == [(QUERY, "long#2", 1.0), (QUERY, "short", 1.0)]
        after = scores(client)
        assert {id_ for id_, score in after.items() if score > before[id_] + 1e-3} == {
            "long#2", "short",
        }  # fmt: skip
        assert give(client, *given, key="k").json() == reply
        assert remove(client, "keys=k").json() == {"removed": 2}
        assert scores(client) == pytest.approx(before, abs=1e-6)


def test_the_log_replayed_has_what_was_given(split_bundle: Path, log: Path) -> None:
    with running(settings(split_bundle, feedback=log)) as client:
        give(client, pair(QUERY, "long"))
        after, counts = scores(client), counted(client)
    with running(settings(split_bundle, feedback=log)) as client:
        assert scores(client) == pytest.approx(after, abs=1e-6)
        assert counted(client) == counts
        assert client.request("DELETE", f"{PATH}?before=9999999999").json() == {"removed": 1}


def test_a_query_in_other_letters_is_of_the_same_passage(split_bundle: Path, log: Path) -> None:
    with running(settings(split_bundle, feedback=log, max_queries=2)) as client:
        give(client, pair(QUERY, "long"), pair(f"  {QUERY.upper()}", "long"))
        assert {passage for _, passage, _ in judged(log)} == {"long#2"}
        assert counted(client)["pairs"] == 1
