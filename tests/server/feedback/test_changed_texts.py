"""Feedback of a server whose passages change: it counts for the text that was judged."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from tests.server.feedback.giving import CAT, TRAIN, counted, give, pair
from tests.server.serving import JSON, Client, running, settings

DOG = "de-animals-0"


def put(client: Client, id_: str, text: str, **options: Any) -> None:
    body = {"records": [{"id": id_, "text": text}], **options}
    reply = client.request("PUT", "/v1/passages", json.dumps(body).encode(), JSON)
    assert reply.status == 200, reply.body


def helped(client: Client) -> set[str]:
    """The passages that known queries raise for a query that only they find."""
    hits = client.search("zyx wvu", top_k=60, fold=False).json()["hits"]
    return {hit["id"] for hit in hits if hit["scores"].get("neighbours", 0) > 0}


def test_a_changed_text_has_no_feedback_unless_it_is_asked_for(
    small_bundle: Path, tmp_path: Path
) -> None:
    bundle = shutil.copytree(small_bundle, tmp_path / "w.lurcher")
    how = settings(bundle, writable=True, feedback=tmp_path / "feedback.log")
    with running(how) as client:
        give(client, *(pair("zyx wvu", id_) for id_ in (CAT, TRAIN, DOG)))
        assert helped(client) == {CAT, TRAIN, DOG}
        put(client, CAT, "The tomcat is out")
        put(client, TRAIN, "Trains leave every half hour", keep_feedback=True)
        assert helped(client) == {TRAIN, DOG}
        assert counted(client)["pairs"] == 2
        delete = json.dumps({"ids": [DOG]}).encode()
        assert client.request("DELETE", "/v1/passages", delete, JSON).status == 200
        put(client, DOG, "Der Hund ist wieder da")
        assert helped(client) == {TRAIN}
    with running(how) as client:  # by the bundle, as the log has it all
        assert helped(client) == {TRAIN}
        give(client, pair("zyx wvu", CAT))
        assert helped(client) == {TRAIN, CAT}
