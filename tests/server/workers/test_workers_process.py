"""``lurcher serve --workers 2`` on a real socket: one server, of which any process may be killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import create_server
from threading import Event, Thread
from typing import Any

import pytest

from tests.server.serving import JSON, PATIENCE, Client, Reply, accepts, until

SERVE = [sys.executable, "-m", "lurcher", "serve"]


class Workers:
    """A server, its client, and what it has logged so far."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process, self.log = process, list[dict[str, Any]]()
        self._listens = Event()
        self._reading = Thread(target=self._read, daemon=True)
        self._reading.start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if line.startswith("{"):
                self.log.append(json.loads(line))
            if self.events("listening"):
                self._listens.set()
        self._listens.set()

    def events(self, name: str) -> list[dict[str, Any]]:
        return [one for one in list(self.log) if one["event"] == name]

    def client(self) -> Client:
        self._listens.wait()  # or until it has ended
        return Client(int(self.events("listening")[0]["url"].rpartition(":")[2]))

    def pids(self) -> list[int]:
        """The processes of the workers, the one that writes first."""
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(one) for one in path.read_text().split()]

    def answered_by(self, request_id: str) -> int:
        until(lambda: any(one["request_id"] == request_id for one in self.events("request")))
        (entry,) = [one for one in self.events("request") if one["request_id"] == request_id]
        return int(entry["worker"])


@contextmanager
def workers(*arguments: str | Path | int) -> Iterator[Workers]:
    command = [*SERVE, *map(str, arguments), "--port", "0", "--workers", "2"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as started:
        try:
            yield Workers(started)
        finally:
            started.kill()


def free_port() -> int:
    with create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def put(client: Client, id_: str, text: str) -> Reply:
    body = json.dumps({"records": [{"id": id_, "text": text}]}).encode()
    return client.request("PUT", "/v1/passages", body, JSON)


def found(reply: Reply) -> list[str]:
    assert reply.status == 200, reply.body
    return [hit["id"] for hit in reply.json()["hits"]]


def test_a_server_of_two_workers_is_one_server(small_bundle: Path, tmp_path: Path) -> None:
    bundle = shutil.copytree(small_bundle, tmp_path / "docs.lurcher")
    audit, scraped = tmp_path / "audit.log", Client(free_port())
    with workers(
        bundle, "--writable", "--feedback", tmp_path / "f.log", "--threads", "2", "--audit", audit,
        "--metrics-port", scraped.port,
    ) as server:  # fmt: skip
        client = server.client()
        writer, other = server.pids()
        # Whichever takes a write, searches of all know it when it is answered.
        taken: set[int] = set()
        sequence = 0
        while len(taken) < 2:
            reply = put(client, f"heron-{sequence}", "A heron fishes in shallow water")
            assert reply.status == 200, reply.body
            assert reply.json()["sequence"] == sequence + 1
            sequence += 1
            taken.add(server.answered_by(reply.headers["x-request-id"]))
            for _ in range(4):
                hits = found(client.search("heron", top_k=sequence))
                assert set(hits) == {f"heron-{number}" for number in range(sequence)}
        body = {"pairs": [{"query": "a bird that fishes", "passage": "en-food-0"}]}
        assert client.post("/v1/feedback", body).json()["accepted"] == 1
        assert client.get("/v1/feedback").json()["pairs"] == 1
        # Each is in the audit log once, whoever took it.
        until(lambda: len(audit.read_text().splitlines()) == sequence + 1)
        lines = [json.loads(line) for line in audit.read_text().splitlines()]
        assert [one.get("sequence") for one in lines] == [*range(1, sequence + 1), None]
        assert [one["address"] for one in lines] == ["127.0.0.1"] * (sequence + 1)
        assert client.get("/metrics").status == 404

        # One set of metrics, whoever is asked; one that is killed is not forgotten.
        passages = 'lurcher_requests_total{route="/v1/passages",status="200"}'
        assert scraped.metric(passages) == sequence
        until(lambda: scraped.metric("lurcher_passages") == 60 + sequence)
        os.kill(writer, signal.SIGKILL)
        until(lambda: bool(server.events("a worker has ended; it is started again")))
        assert scraped.metric(passages) == sequence
        assert found(client.search("heron", top_k=1))  # the other answers meanwhile
        reply = put(client, "late", "written meanwhile")
        while reply.status == 503:
            assert "nothing was changed" in reply.json()["detail"]
            reply = put(client, "late", "written meanwhile")
        assert (reply.status, reply.json()["sequence"]) == (200, sequence + 1)
        assert other in server.pids()

        server.process.terminate()
        assert server.process.wait(PATIENCE) == 0
        assert not accepts(client.port)
        assert not Path(f"/proc/{other}").exists()


@pytest.mark.nightly
def test_workers_end_with_the_process_that_started_them(small_bundle: Path) -> None:
    with workers(small_bundle, "--threads", "2") as server:
        client = server.client()
        assert server.process.poll() is None
        server.process.kill()
        until(lambda: not accepts(client.port))


@pytest.mark.nightly
def test_a_worker_that_cannot_start_ends_the_server_with_its_error(
    small_bundle: Path, tmp_path: Path
) -> None:
    bundle = Path(shutil.copytree(small_bundle, tmp_path / "docs.lurcher"))
    (bundle / "encoder" / "tokenizer.json").write_text("{}")
    command = [*SERVE, str(bundle), "--port", "0", "--workers", "2", "--threads", "2"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=10 * PATIENCE)
    assert ended.returncode == 1
    last = ended.stderr.splitlines()[-1]
    assert last.startswith("error ")
    assert "tokenizer.json" in last
