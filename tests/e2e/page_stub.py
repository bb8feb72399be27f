"""A server of the search page with canned replies, chosen by the query."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
import select
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

PAGE = Path(__file__).parents[2] / "server" / "ui" / "index.html"
NO_VALUE = "a value that no passage has"
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
        "scores": {"dense": 0.7312},
        "title": "Aspirin and stroke",
    }
    return {**plain, "text": text, "metadata": {"year": 2015}, "highlights": spans, **others}


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
}
NORMAL = [
    hit(f"A trial. {BEST} It did not lower mortality.", BEST),
    hit(LONG, BEST, id="27", title="A long one", score=0.52, scores={"dense": 0.52}),
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
FIELDS = {"year"}
BUNDLE = {
    "name": "scifact",
    "passages": 5183,
    "encoder": {"name": "minilm-l6", "dimension": 384},
    "filter_fields": sorted(FIELDS),
}


class Stub(ThreadingHTTPServer):
    """Serves the page and canned replies; holds the query "slow" until ``slow`` is set."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.page = PAGE.read_text(encoding="utf-8")
        self.searches: list[dict[str, Any]] = []
        self.slow = threading.Event()
        self.hung_up = threading.Event()
        self.up = True


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

    def do_GET(self) -> None:
        if self.path == "/v1/bundle":
            self.reply(200, "application/json", json.dumps(BUNDLE))
        elif urlsplit(self.path).path == "/":
            headers = {"Content-Security-Policy": policy(self.stub.page)}
            self.reply(200, "text/html; charset=utf-8", self.stub.page, **headers)
        else:
            self.reply(404, "text/plain", "no such page")

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.stub.searches.append(asked)
        query, wanted = asked["query"], asked.get("filter", {})
        if not self.stub.up:
            return  # closes the connection without a word
        if query == "proxy":
            self.reply(502, "text/html", "<h1>Bad gateway</h1>")
        elif query == "many faults":
            self.reply(422, "application/problem+json", json.dumps(FAULTS))
        elif set(wanted) - FIELDS:
            problem = json.dumps({**PROBLEM, "request_id": "req-7"})
            self.reply(422, "application/problem+json", problem)
        else:
            if query == "slow" and not self.released():
                return
            hits = HITS.get(query, NORMAL)[: asked["top_k"]]
            found = {
                "hits": [] if NO_VALUE in wanted.values() else hits,
                "timings_ms": {
                    "queue": 0.1,
                    "encode": 3.2,
                    "search": 0.4,
                    "fetch": 0.1,
                    "total": 4.0,
                },
                "bundle": "scifact",
                "truncated": query == "late",
                "degraded": ["rank"] if query == "late" else [],
            }
            self.reply(200, "application/json", json.dumps(found))
