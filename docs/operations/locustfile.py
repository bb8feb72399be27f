"""Searches for Locust: ``locust -f locustfile.py --host http://127.0.0.1:8080``.

The variable QUERIES names a file of queries, lines of JSON with a ``text``. KEY has an API key, and OPTIONS
fields of each search in JSON; both may be left out. Locust's users wait for a reply before they ask again, so
that a slow server is asked less: give enough of them, and use ``lurcher load`` or k6 to find what it carries.
"""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

from locust import FastHttpUser, constant_throughput, task

_LINES = Path(os.environ["QUERIES"]).read_text(encoding="utf-8").splitlines()
QUERIES = [json.loads(line)["text"] for line in _LINES]
OPTIONS = json.loads(os.environ.get("OPTIONS", "{}"))
HEADERS = {"Authorization": f"Bearer {os.environ['KEY']}"} if "KEY" in os.environ else {}


class Searcher(FastHttpUser):
    """Searches once a second."""

    wait_time = constant_throughput(1)

    @task
    def search(self) -> None:
        """Ask one of the queries; a refusal (429) is told apart from what fails."""
        body = {"query": random.choice(QUERIES), **OPTIONS}  # noqa: S311 (no secret)
        with self.client.post(
            "/v1/search", json=body, headers=HEADERS, catch_response=True
        ) as reply:
            if reply.status_code == 429:
                reply.failure("refused")
