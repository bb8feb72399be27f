"""Replies that no server of this version gives, and what a client sent to get them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import httpx

PROBLEM = {"type": "about:blank", "title": "t", "detail": "why", "request_id": "r", "errors": []}
HITS: dict[str, Any] = {
    "hits": [], "timings_ms": {"queue": 0, "encode": 0, "fuse": 0, "rank": 0, "fetch": 0, "total": 1},
    "bundle": "b", "truncated": False, "question": False, "degraded": [],
}  # fmt: skip


def reply(status: int, body: Any, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, json=body, headers=named)


def problem(status: int, **changes: Any) -> httpx.Response:
    return reply(status, {**PROBLEM, "status": status, **changes})


class Scripted:
    """A transport's handler that gives ``answers`` one after the other, and notes what was asked."""

    def __init__(self, answers: Sequence[httpx.Response | Exception]) -> None:
        self.answers, self.asked = list(answers), list[tuple[str, Any]]()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content) if request.content else None
        self.asked.append((request.url.path, body))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer
