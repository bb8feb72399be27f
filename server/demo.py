"""Ask a running server three questions and print its hits for a person to read."""

from __future__ import annotations

import json
import time
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

from rich.console import Console
from rich.text import Text

from lurcher.printed import print_hit

QUESTIONS = (
    "run a function later in another thread",
    "how do I compress a file",
    "split a shell command into words",
)

_READY_WITHIN_SECONDS = 60


def ask(url: str, console: Console) -> None:
    """Wait until the server at ``url`` is ready, then print three questions with their hits.

    Raises TimeoutError if it does not get ready.
    """
    connection = HTTPConnection(urlsplit(url).netloc, timeout=10)
    deadline = time.monotonic() + _READY_WITHIN_SECONDS
    while _request(connection, "GET", "/readyz")[0] != 200:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{url} did not get ready")
        time.sleep(0.05)
    for question in QUESTIONS:
        status, reply = _request(connection, "POST", "/v1/search", _search(question))
        if status != 200:
            raise RuntimeError(f"{url} answered {status}: {reply['detail']}")
        spent = reply["timings_ms"]["total"]
        console.print(Text(f"\n{question}", "bold"), Text(f"{spent:.1f} ms", "dim"))
        for hit in reply["hits"]:
            spans = [(span["start"], span["end"]) for span in hit["highlights"]]
            name = hit.get("url") or hit["id"]
            print_hit(console, hit["score"], hit["title"], name, hit["text"], spans)
    connection.close()


def _search(question: str) -> dict[str, Any]:
    return {"query": question, "top_k": 3, "include": ["text", "highlights"]}


def _request(
    connection: HTTPConnection, method: str, path: str, body: dict[str, Any] | None = None
) -> tuple[int, dict[str, Any]]:
    connection.request(method, path, json.dumps(body), {"Content-Type": "application/json"})
    reply = connection.getresponse()
    return reply.status, json.loads(reply.read())
