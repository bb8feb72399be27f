"""Feedback that names a document is about each of its passages."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.server.feedback.giving import PATH, give, judged, pair
from tests.server.serving import assert_problem, running, settings
from tests.tiny import build


def test_a_document_stands_for_its_passages(
    tmp_path: Path, log: Path, write_jsonl: Callable[[Path, Any], Path]
) -> None:
    records = [
        {"id": "long", "passages": ["The cat sleeps", "Bread rises"]},
        {"id": "short", "text": "The train leaves"},
    ]
    build(write_jsonl(tmp_path / "corpus.jsonl", records), tmp_path / "b.lurcher")
    with running(settings(tmp_path / "b.lurcher", feedback=log, max_queries=3)) as client:
        given = [pair(passage=id_) for id_ in ("long", "none")]
        reply = give(client, *given).json()
        assert (reply["accepted"], [one["index"] for one in reply["refused"]]) == (2, [1])
        assert {passage for _, passage, _ in judged(log)} == {"long#1", "long#2"}
        many = [pair(f"query {n}", "long") for n in range(2)]
        problem = assert_problem(client.post(PATH, {"pairs": many}), 413)
        assert problem["detail"].startswith("pairs: 4 of them, at most 3")
