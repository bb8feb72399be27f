"""How these tests give feedback, and snapshots that note what they learn."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lurcher.bundle.bundle import Bundle
from lurcher.feedback.log import read_log
from lurcher.feedback.online import Change
from lurcher.models.engines import EngineName
from lurcher.retrieval.snapshot import Snapshot
from tests.server.serving import PATIENCE, Client, Reply

PATH = "/v1/feedback"
CAT, TRAIN = "en-animals-0", "en-travel-0"


class Recorder:
    """Opens snapshots that note what they learn, while the gate is open, and fail to while they are to."""

    def __init__(self) -> None:
        self.learnt: list[Change] = []
        self.failing = False
        self.gate = threading.Event()
        self.gate.set()
        self.begun = threading.Event()

    def snapshot(self, bundle: Bundle, threads: int, engine: EngineName) -> Snapshot:
        return _Recording(bundle, threads, engine, self)


class _Recording(Snapshot):
    def __init__(
        self, bundle: Bundle, threads: int, engine: EngineName, recorder: Recorder
    ) -> None:
        super().__init__(bundle, threads, engine)
        self._recorder = recorder

    def learn(self, changes: Sequence[Change]) -> None:
        self._recorder.begun.set()
        assert self._recorder.gate.wait(PATIENCE)
        if self._recorder.failing:
            raise ZeroDivisionError("a bug in the core")
        self._recorder.learnt += changes
        super().learn(changes)


def pair(query: str = "a sleepy pet", passage: str = CAT, **others: Any) -> dict[str, Any]:
    return {"query": query, "passage": passage, **others}


def give(client: Client, *pairs: dict[str, Any], key: str | None = None, **others: Any) -> Reply:
    headers = {} if key is None else {"Idempotency_Key": key}
    return client.post(PATH, {"pairs": list(pairs), **others}, **headers)


def remove(client: Client, query: str) -> Reply:
    return client.request("DELETE", f"{PATH}?{query}")


def counted(client: Client) -> dict[str, Any]:
    """What the server counts, without the log's size: a server that stops packs it."""
    counts: dict[str, Any] = client.get(PATH).json()
    del counts["log_bytes"]
    return counts


def judged(log: Path) -> list[tuple[str, str, float]]:
    return [(j.query, j.passage, j.weight) for j in read_log(log).judgements]
