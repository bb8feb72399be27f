"""A server on a real socket in a thread, and a client that knows nothing of the server's code."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from socket import create_connection, create_server
from typing import Any

import uvicorn

from lurcher.bundle.bundle import Bundle
from lurcher.errors import LurcherError
from lurcher.models.engines import EngineName
from lurcher.retrieval.query import Query
from lurcher.retrieval.results import SearchResult
from lurcher.retrieval.snapshot import Snapshot
from lurcher.server.app import create_app
from lurcher.server.opening import OpenSnapshot
from lurcher.server.run import config_of
from lurcher.server.settings import Settings, load_settings

PATIENCE = 30  # seconds until a test that waits for what never comes fails
JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]  # names in lower case
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Client:
    """Speaks HTTP to one port, each request over a connection of its own."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"

    def request(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> Reply:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            chunked = body is not None and not isinstance(body, bytes)
            connection.request(method, path, body, headers or {}, encode_chunked=chunked)
            reply = connection.getresponse()
            found = {name.lower(): value for name, value in reply.getheaders()}
            return Reply(reply.status, found, reply.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Reply:
        return self.request(
            "GET", path, headers={k.replace("_", "-"): v for k, v in headers.items()}
        )

    def post(self, path: str, body: Any, **headers: str) -> Reply:
        """POST ``body`` as JSON; bytes are sent as they are."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        named = {k.replace("_", "-"): v for k, v in headers.items()}
        return self.request("POST", path, raw, {**JSON, **named})

    def search(self, query: str, **options: Any) -> Reply:
        return self.post("/v1/search", {"query": query, **options})

    def metric(self, line: str) -> float:
        """The value of a metric by its name and labels; 0 where it was never counted."""
        text = self.get("/metrics").body.decode()
        values = [
            v for name, _, v in (s.rpartition(" ") for s in text.splitlines()) if name == line
        ]
        return float(values[0]) if values else 0.0

    def until_ready(self) -> None:
        until(lambda: self.get("/readyz").status == 200)


def until(true: Callable[[], bool]) -> None:
    """Look again and again, as a load balancer does, at what a process does not announce."""
    pause = threading.Event()  # never set
    for _ in range(PATIENCE * 100):
        if true():
            return
        pause.wait(0.01)
    raise AssertionError("waited in vain")


def accepts(port: int) -> bool:
    """Whether anything listens on ``port``."""
    try:
        create_connection(("127.0.0.1", port), PATIENCE).close()
    except ConnectionError:
        return False
    return True


def port_of(server: subprocess.Popen[str]) -> int:
    """The port that a server's process logs; its other log lines up to then are dropped."""
    assert server.stderr is not None
    for line in server.stderr:
        entry = json.loads(line)
        if entry["event"] == "listening":
            return int(entry["url"].rpartition(":")[2])
    raise AssertionError("the server ended before it listened")


class Gate:
    """Opens snapshots that note each batch and begin it only while the gate is open."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.open.set()
        self.batches: list[list[str]] = []
        self._begun = threading.Semaphore(0)

    def snapshot(self, bundle: Bundle, threads: int, engine: EngineName) -> Snapshot:
        return _Gated(bundle, threads, engine, self)

    def begun(self) -> None:
        """Wait until one more batch stands before the gate."""
        assert self._begun.acquire(timeout=PATIENCE)

    def enter(self, queries: Sequence[Query]) -> None:
        self.batches.append([query.text for query in queries])
        self._begun.release()
        assert self.open.wait(PATIENCE)


class _Gated(Snapshot):
    def __init__(self, bundle: Bundle, threads: int, engine: EngineName, gate: Gate) -> None:
        super().__init__(bundle, threads, engine)
        self._gate = gate

    def run(self, queries: Sequence[Query]) -> list[SearchResult | LurcherError]:
        self._gate.enter(queries)
        return super().run(queries)


def settings(bundle: Path | Sequence[Path], **others: Any) -> Settings:
    return load_settings(None, {"bundle": bundle, "threads": 1, **others})


@contextmanager
def running(
    wanted: Settings,
    open_snapshot: OpenSnapshot | None = None,
    ready: bool = True,
) -> Iterator[Client]:
    """A client of a server that runs until the end of the block, by default one that is ready."""
    with serving(wanted, open_snapshot, ready) as (client, _):
        yield client


@contextmanager
def serving(
    wanted: Settings,
    open_snapshot: OpenSnapshot | None = None,
    ready: bool = True,
) -> Iterator[tuple[Client, uvicorn.Server]]:
    """The client of a server and the server, to stop it by hand."""
    server = uvicorn.Server(config_of(create_app(wanted, open_snapshot=open_snapshot), wanted))
    listening = create_server(("127.0.0.1", 0))  # takes connections before the server is up
    client = Client(listening.getsockname()[1])
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    try:
        if ready:
            client.until_ready()
        yield client, server
    finally:
        server.should_exit = True
        thread.join(PATIENCE)
        assert not thread.is_alive()


def assert_problem(reply: Reply, status: int) -> dict[str, Any]:
    """The problem that ``reply`` is, checked for what every problem has."""
    assert reply.status == status, reply.body[:500]
    assert reply.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = reply.json()
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"]
    assert problem["type"] == "about:blank"
    assert problem["request_id"] == reply.headers["x-request-id"]
    assert b"Traceback" not in reply.body
    return problem
