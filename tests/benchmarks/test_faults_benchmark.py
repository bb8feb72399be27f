"""``lurcher bench faults`` counts what becomes of searches while a server is treated badly."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lurcher.benchmarks.faults import FAULTS, Truth, counted, outcome_of

TRUTH = Truth(b"", {frozenset(): ["a", "b"], frozenset({"rank"}): ["b", "a"]})
LATER = [b"retry-after: 1"]


def reply(ids: list[str], *degraded: str) -> bytes:
    return json.dumps({"hits": [{"id": id_} for id_ in ids], "degraded": degraded}).encode()


@pytest.mark.parametrize(
    ("status", "headers", "body", "outcome"),
    [
        (200, [], reply(["a", "b"]), "right"),
        (200, [], reply(["b", "a"]), "wrong"),
        (200, [], reply(["b", "a"], "rank"), "degraded"),
        (200, [], reply(["a", "b"], "rank"), "wrong"),
        (200, [], reply([]), "wrong"),
        (200, [], reply(["a", "b"], "rank", "read"), "wrong"),
        (429, LATER, b"", "refused"),
        (503, LATER, b"", "refused"),
        (503, [], b"", "lost"),
        (500, LATER, b"", "lost"),
    ],
)
def test_a_reply_is_compared_with_what_was_true_before(
    status: int, headers: list[bytes], body: bytes, outcome: str
) -> None:
    assert outcome_of(status, headers, body, TRUTH) == outcome


@pytest.mark.nightly
@pytest.mark.parametrize("name", FAULTS)
def test_no_reply_is_wrong_or_lost(name: str, small_bundle: Path) -> None:
    """But for those that a killed worker had in hand."""
    fault, flags = FAULTS[name]
    counts, _ = counted(small_bundle, ["a cat", "wind turbines"], fault, flags, 20.0, 4.0)
    assert counts["right"]
    assert counts["wrong"] == 0
    assert counts["lost"] <= (10 if name == "a worker of two killed" else 0)
