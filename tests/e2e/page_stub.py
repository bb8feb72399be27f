"""A server of the search page with canned replies, chosen by the query."""

from __future__ import annotations

import contextlib
import json
import select
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote, urlsplit

from lurcher.server.routes.page import content_security_policy
from tests.e2e.page_replies import (
    ALIGNED,
    ANSWER,
    ANSWERS,
    BAD_KEY,
    BUNDLE,
    FAULTS,
    FIELDS,
    GUIDE,
    HITS,
    INSTALL,
    NO_KEY,
    NO_VALUE,
    NORMAL,
    OFF,
    PROBLEM,
    READ_KEY,
    WHOLE,
)

UI = Path(__file__).parents[2] / "server" / "ui"
KINDS = {".css": "text/css", ".js": "text/javascript"}


@dataclass(frozen=True)
class Asked:
    """A request under ``/v1`` as the stub got it."""

    method: str
    path: str
    key: str | None  # the API key that it carried
    idempotency_key: str | None
    body: Any


class Stub(ThreadingHTTPServer):
    """Serves the page and canned replies; holds the query "slow" until ``slow`` is set.

    So it does with the answer to "slow answer", and with a refused GET of the path ``held``. ``reader`` is
    the bundle's, None where it has none. ``facets`` are those of every request.
    ``feedback`` is the answer to judgements, None while none are taken. ``keys`` are the API keys that
    may search, ``write_keys`` those that may judge; where there are none, everyone may.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.page = (UI / "index.html").read_text(encoding="utf-8")
        self.collections = [{"name": "scifact", "default": True, "passages": 5183}]
        self.asked: list[Asked] = []
        self.feedback: dict[str, Any] | None = None
        self.keys: set[str] = set()
        self.write_keys: set[str] = set()
        self.reader: dict[str, Any] | None = None
        self.held = ""
        self.facets: list[dict[str, Any]] = []
        self.slow = threading.Event()
        self.hung_up = threading.Event()
        self.up = True

    def of(self, method: str, path: str) -> list[Asked]:
        """The requests of ``method`` for ``path``, in the order they came."""
        return [asked for asked in self.asked if (asked.method, asked.path) == (method, path)]

    @property
    def searches(self) -> list[dict[str, Any]]:
        """What was searched for, but for examples and the words that met."""
        found = [asked.body for asked in self.asked if asked.path.endswith("/search")]
        return [
            body
            for body in found
            if "group_by" not in body and "token_alignment" not in body["include"]
        ]

    @property
    def judgements(self) -> list[Asked]:
        return self.of("POST", "/v1/feedback")


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        """Keep the test's output to the test's."""

    @property
    def stub(self) -> Stub:
        return cast(Stub, self.server)

    def reply(self, status: int, kind: str, body: str, **headers: str) -> None:
        with contextlib.suppress(ConnectionError):  # a cancelled request's browser has gone
            self.send_response(status)
            for name, value in {"Content-Type": kind, "X-Request-Id": "req-7", **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body.encode())

    def released(self) -> bool:
        """Whether the reply was set free, True, before the client hung up, False."""
        while not self.stub.slow.is_set():
            if select.select([self.connection], [], [], 0.02)[0]:
                self.stub.hung_up.set()
                return False
        return True

    def note(self, body: Any = None) -> dict[str, Any] | None:
        """Write the request down; why it may not be asked, None where it may."""
        scheme, _, key = self.headers.get("Authorization", "").partition(" ")
        given = key if scheme == "Bearer" else None
        idempotency_key = self.headers.get("Idempotency-Key")
        self.stub.asked.append(Asked(self.command, self.path, given, idempotency_key, body))
        writes = self.path.startswith("/v1/feedback") and self.command != "GET"
        wanted = self.stub.write_keys if writes else self.stub.keys
        if not wanted or given in wanted:
            return None
        if given in self.stub.keys:
            return READ_KEY
        return NO_KEY if given is None else BAD_KEY

    def problem(self, problem: dict[str, Any]) -> None:
        self.reply(problem["status"], "application/problem+json", json.dumps(problem))

    def do_GET(self) -> None:
        if self.path.startswith("/v1/"):
            refusal = self.note()
            if refusal is not None:
                if self.path != self.stub.held or self.released():
                    self.problem(refusal)
            elif self.path == "/v1/bundle":
                takes = self.stub.feedback is not None
                bundle = {**BUNDLE, "reader": self.stub.reader, "feedback": takes}
                self.reply(200, "application/json", json.dumps(bundle))
            elif self.path == "/v1/collections":
                self.reply(
                    200, "application/json", json.dumps({"collections": self.stub.collections})
                )
            elif self.path == "/v1/collections/others/bundle":
                others = {**BUNDLE, "name": "others", "reader": None, "feedback": False}
                self.reply(200, "application/json", json.dumps(others))
            elif urlsplit(self.path).path.endswith("/facets"):
                self.reply(200, "application/json", json.dumps({"facets": self.stub.facets}))
            elif self.path.startswith("/v1/documents/"):
                self.document(unquote(self.path.removeprefix("/v1/documents/")))
            else:
                self.reply(404, "text/plain", "the page asks for no more")
        elif urlsplit(self.path).path == "/":
            headers = {"Content-Security-Policy": content_security_policy(self.stub.page)}
            self.reply(200, "text/html; charset=utf-8", self.stub.page, **headers)
        elif (part := UI / Path(self.path).name).suffix in KINDS and part.exists():
            self.reply(
                200, f"{KINDS[part.suffix]}; charset=utf-8", part.read_text(encoding="utf-8")
            )
        else:
            self.reply(404, "text/plain", "no such page")

    def document(self, wanted: str) -> None:
        if wanted != GUIDE:
            self.problem({"title": "Not found", "status": 404, "detail": "no document has this id"})
            return
        passages = [
            {"start": 10, "end": 10 + len(INSTALL)},
            {"start": len(WHOLE) - 22, "end": len(WHOLE)},
        ]
        reply = {"id": GUIDE, "title": "Guide", "text": WHOLE, "passages": passages}
        self.reply(200, "application/json", json.dumps(reply))

    def do_DELETE(self) -> None:
        refusal = self.note()
        if refusal is not None:
            self.problem(refusal)
        else:
            self.reply(200, "application/json", json.dumps({"removed": 1}))

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        refusal = self.note(asked)
        if not self.stub.up:
            return  # closes the connection without a word
        if refusal is not None:
            self.problem(refusal)
        elif self.path == "/v1/feedback":
            self.take()
        elif self.path == "/v1/answer":
            self.answer(asked["query"])
        else:
            self.search(asked)

    def take(self) -> None:
        taken = self.stub.feedback or OFF
        if "status" in taken:
            self.problem(taken)
        else:
            self.reply(200, "application/json", json.dumps(taken))

    def answer(self, query: str) -> None:
        if query == "no reading":
            self.problem({**FAULTS, "status": 503, "detail": "the server is stopping"})
        elif query != "slow answer" or self.released():
            found = ANSWERS.get(query, ANSWER)
            reply = {
                "answers": [found] if found else [],
                "answered": found is not None,
                "question": True,
                "calibrated": query != "elsewhere",
                "calibrated_on": "questions about rivers",
                "timings_ms": {"read": 20.0, "total": 31.5},
                "bundle": "scifact",
                "truncated": False,
                "degraded": ["read"] if query == "late" else [],
            }
            self.reply(200, "application/json", json.dumps(reply))

    def search(self, asked: dict[str, Any]) -> None:
        query, wanted = asked["query"], asked.get("filter", {})
        if "group_by" in asked:
            query = "examples"
        if query == "proxy":
            self.reply(502, "text/html", "<h1>Bad gateway</h1>")
        elif query == "many faults":
            self.problem(FAULTS)
        elif set(wanted) - FIELDS:
            self.problem({**PROBLEM, "request_id": "req-7"})
        else:
            if query == "slow" and not self.released():
                return
            hits = HITS.get(query, NORMAL)[: asked["top_k"]]
            if "token_alignment" in asked["include"]:
                hits = [{**one, "token_alignment": ALIGNED} for one in hits]
            found_by = {
                "retrieve_dense": asked.get("retrieve") != "lexical",
                "retrieve_lexical": asked.get("retrieve") != "dense",
            }
            found = {
                "hits": [] if NO_VALUE in wanted.values() else hits,
                "timings_ms": {
                    "queue": 0.1,
                    "encode": 3.2,
                    **{stage: 0.2 for stage, ran in found_by.items() if ran},
                    "fuse": 0.1,
                    "rank": 0.1,
                    "fetch": 0.1,
                    "total": 4.0,
                },
                "bundle": "scifact",
                "truncated": query == "late",
                "question": query != "no question",
                "degraded": ["rank"] if query == "late" else [],
            }
            self.reply(200, "application/json", json.dumps(found))
