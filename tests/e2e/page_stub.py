"""A server of the search page with canned replies, chosen by the query."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
import select
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

PAGE = Path(__file__).parents[2] / "server" / "ui" / "index.html"
NO_VALUE = 1  # a year that no passage has
ATTACK = "<script>window.pwned=1</script><img src=x onerror='window.pwned=1'>"
LONG_WORD = "antidisestablishmentarianism" * 20


def policy(page: str) -> str:
    """The Content-Security-Policy that lets through the page's own style and script, no other."""

    def source(tag: str) -> str:
        (body,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
        return f"{tag}-src 'sha256-{digest}'"

    return (
        f"default-src 'none'; {source('style')}; {source('script')}; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def hit(text: str, best: str = "", **others: Any) -> dict[str, Any]:
    start = text.index(best)
    spans = [{"start": start, "end": start + len(best)}] if best else []
    plain = {
        "id": "4983",
        "score": 0.7312,
        "scores": {
            "dense": 0.5512,
            "lexical": 0.31,
            "fused": 0.6312,
            "maxsim": 0.7912,
            "rank": 0.7312,
        },
        "title": "Aspirin and stroke",
    }
    return {**plain, "text": text, "metadata": {"year": 2015}, "highlights": spans, **others}


def known(query: str, share: float, **others: Any) -> dict[str, Any]:
    return {"id": "q1", "query": query, "similarity": 0.9, "share": share, **others}


BEST = "Aspirin lowered the rate of ischaemic stroke."
LONG = "Background comes first. " * 30 + BEST + " More was measured." * 30
HITS = {
    "emoji": [hit("🐕🐕‍🦺 Hunde 🏃. Best one é🎯. Rest.", "Best one é🎯.")],
    "attack": [hit(ATTACK, ATTACK, id=ATTACK, title=ATTACK, metadata={ATTACK: [ATTACK]})],
    "long words": [
        hit(
            f"{LONG_WORD}. End.",
            "End.",
            id=LONG_WORD,
            title=LONG_WORD,
            metadata={LONG_WORD: LONG_WORD},
        )
    ],
    "no title": [hit("Bare.", title="")],
    "known": [
        hit(
            "Words that nobody asked with.",
            score=0.8,
            scores={"dense": 0.1, "neighbours": 0.9, "fused": 0.8},
            contributing_neighbours=[
                known(ATTACK, 0.617),
                known(LONG_WORD, 0.25, id=""),
                known("asked once", 0.001),
                known("a fourth", 0.001),
            ],
        ),
        hit(
            "Nobody asked for this.",
            id="28",
            scores={"dense": 0.1, "neighbours": 0, "fused": 0.05},
            contributing_neighbours=[],
        ),
    ],
}
NORMAL = [
    hit(f"A trial. {BEST} It did not lower mortality.", BEST),
    hit(
        LONG,
        BEST,
        id="27",
        title="A long one",
        score=0.52,
        scores={"dense": 0.52, "lexical": 0, "fused": 0.52, "maxsim": 0.52, "rank": 0.52},
    ),
    *[hit("Other words.", id=f"n{i}", title=f"Hit {i}", score=0.5 - i / 50) for i in range(3, 11)],
]
PROBLEM = {
    "type": "about:blank",
    "title": "A field cannot be used",
    "status": 422,
    "detail": "filter.colour: no passage has this field; there are: year",
    "errors": [{"field": "filter.colour", "reason": "no passage has this field; there are: year"}],
}
FAULTS = {
    "title": "Two fields cannot be used",
    "status": 422,
    "detail": "See errors.",
    "errors": [
        {"field": "query", "reason": "is too long"},
        {"field": "filter.year", "reason": "is no number"},
    ],
}
# What follows an answer's words must not be cut, and its offsets count in the whole text.
SENTENCE = "The 🐕🐕‍🦺 lay e\u0301te\u0301 🎯 on the warm windowsill."
ANSWER = {
    "text": "e\u0301te\u0301 🎯",
    "score": 0.87346,
    "passage": {"id": "27", "title": "A long one"},
    "part": "text",
    "start": 40 + SENTENCE.index("e\u0301"),
    "end": 40 + SENTENCE.index("🎯") + 1,
    "sentence": {"start": 40, "end": 40 + len(SENTENCE), "text": SENTENCE},
}
_ATTACKED = {"start": 0, "end": len(ATTACK)}
ANSWERS = {
    "attack": {
        **ANSWER, "text": ATTACK, "passage": {"id": ATTACK, "title": ATTACK}, **_ATTACKED,
        "sentence": {**_ATTACKED, "text": ATTACK},
    },
    "long words": {
        **ANSWER, "text": LONG_WORD, "passage": {"id": LONG_WORD, "title": LONG_WORD},
        "start": 0, "end": len(LONG_WORD),
        "sentence": {"start": 0, "end": len(LONG_WORD), "text": LONG_WORD},
    },
    "elsewhere": {**ANSWER, "passage": {"id": "no hit", "title": ""}},
    "long sentence": {
        **ANSWER, "text": "Aspirin", "start": LONG.index("Aspirin"),
        "end": LONG.index("Aspirin") + len("Aspirin"),
        "sentence": {"start": 0, "end": len(LONG), "text": LONG},
    },
    "nothing": None,
}  # fmt: skip
FIELDS = {"year"}
OFF: dict[str, Any] = {"title": "Forbidden", "status": 403, "detail": "feedback is off"}
NO_KEY: dict[str, Any] = {"title": "Unauthorized", "status": 401, "detail": "this needs an API key"}
BAD_KEY: dict[str, Any] = {
    "title": "Unauthorized",
    "status": 401,
    "detail": "this API key is not known here",
}
READ_KEY: dict[str, Any] = {"title": "Forbidden", "status": 403, "detail": "this key may search"}
TAKEN: dict[str, Any] = {"accepted": 1, "refused": [], "held_back": 0, "key": "k"}
BUNDLE = {
    "name": "scifact",
    "passages": 5183,
    "encoder": {"name": "minilm-l6", "dimension": 384},
    "filter_fields": sorted(FIELDS),
    "lexical": {"language": "english"},
    "tokens": {"bits": 160, "keep_ratio": 0.36},
}


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
    the bundle's, None where it has none.
    ``feedback`` is the answer to judgements, None while none are taken. ``keys`` are the API keys that
    may search, ``write_keys`` those that may judge; where there are none, everyone may.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.page = PAGE.read_text(encoding="utf-8")
        self.asked: list[Asked] = []
        self.feedback: dict[str, Any] | None = None
        self.keys: set[str] = set()
        self.write_keys: set[str] = set()
        self.reader: dict[str, Any] | None = None
        self.held = ""
        self.slow = threading.Event()
        self.hung_up = threading.Event()
        self.up = True

    def of(self, method: str, path: str) -> list[Asked]:
        """The requests of ``method`` for ``path``, in the order they came."""
        return [asked for asked in self.asked if (asked.method, asked.path) == (method, path)]

    @property
    def searches(self) -> list[dict[str, Any]]:
        return [asked.body for asked in self.of("POST", "/v1/search")]

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
        writes = self.path == "/v1/feedback" and self.command == "POST"
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
            else:
                self.reply(404, "text/plain", "the page asks for no more")
        elif urlsplit(self.path).path == "/":
            headers = {"Content-Security-Policy": policy(self.stub.page)}
            self.reply(200, "text/html; charset=utf-8", self.stub.page, **headers)
        else:
            self.reply(404, "text/plain", "no such page")

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
