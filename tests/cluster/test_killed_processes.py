"""A cluster on several nodes whose processes are killed, one by one, while it is searched and written to.

``make test-ray-faults`` prints what became of the requests; KILLS says how often each process is killed. No
reply may be wrong: one that is not whole says so, and a hit has the score that it has in a whole one. No
write that was acknowledged may be lost, and the next search has to know it.
"""

from __future__ import annotations

import os
import random
import signal
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from threading import Event, Thread

import httpx
import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of Ray's own use of pydantic
    pytest.importorskip("ray", reason="ray is not installed: make test-ray-faults")
    serve = pytest.importorskip(
        "ray.serve", reason="ray[serve] is not installed: make test-ray-faults"
    )
    from ray.cluster_utils import Cluster

from lurcher.cluster.build import build_cluster
from lurcher.cluster.deploying import deploy
from lurcher.cluster.on_ray import joined
from lurcher.cluster.serving import ServeOptions
from tests.cluster.ray_processes import (
    CONTROLLER,
    INGRESS,
    SHARD,
    WRITER,
    free_port,
    parent,
    processes,
)
from tests.tiny import TinyOptions

# Ray and Serve leave sockets and loops to the end of the process.
pytestmark = [pytest.mark.nightly, pytest.mark.filterwarnings("ignore")]

KILLS = int(os.environ.get("KILLS", "3"))
# Of what is written, nothing has a year.
BODY = {"query": "the cat sleeps on the windowsill", "top_k": 8, "filter": {"year": {"gte": 0}}}
# Two worker nodes of two cores, two shards of two replicas, two ingresses: none on the head node.
NODES, CPUS, SHARDS, REPLICAS, INGRESSES = 2, 2, 2, 2, 2
# Seconds for everything to be there again; and without a bad reply, after which it is.
PATIENCE, QUIET = 180.0, 2.0


@dataclass(frozen=True)
class Reply:
    """When a request was answered, and how: whole, partial, wrong, failed or disconnected."""

    end: float
    verdict: str


class Load:
    """Two clients that search until they are stopped."""

    def __init__(self, url: str) -> None:
        self._url, self._stop = url, Event()
        self.replies: list[Reply] = []
        self._truth = self._ask(BODY)["hits"]
        self._scores = {hit["id"]: hit["score"] for hit in self._ask({**BODY, "top_k": 60})["hits"]}
        self._threads = [Thread(target=self._run) for _ in range(2)]

    def __enter__(self) -> Load:
        for one in self._threads:
            one.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for one in self._threads:
            one.join()

    def _ask(self, body: dict) -> dict:  # type: ignore[type-arg]  # JSON
        """A whole reply."""
        last = time.monotonic() + PATIENCE
        while True:
            reply = httpx.post(f"{self._url}/v1/search", json=body, timeout=30)
            if reply.status_code == 200 and not reply.json()["degraded"]:
                return dict(reply.json())
            assert time.monotonic() < last, reply.text
            time.sleep(0.1)

    def _run(self) -> None:
        with httpx.Client(timeout=30) as client:
            while not self._stop.is_set():
                try:
                    verdict = self._verdict(client.post(f"{self._url}/v1/search", json=BODY))
                except httpx.TransportError:
                    verdict = "disconnected"
                self.replies.append(Reply(time.monotonic(), verdict))
                time.sleep(0.02)  # for the processes that start

    def _verdict(self, reply: httpx.Response) -> str:
        if reply.status_code != 200:
            print(f"{reply.status_code}: {reply.text[:200]}")
            return "failed"
        hits, degraded = reply.json()["hits"], reply.json()["degraded"]
        if not degraded:
            return "whole" if hits == self._truth else "wrong"
        known = all(self._scores.get(hit["id"]) == hit["score"] for hit in hits)
        missing = all(one.startswith("shard:") for one in degraded)
        return "partial" if known and missing else "wrong"


class Writing:
    """A client that writes pairs of documents over and over, in several shards, and looks for each."""

    def __init__(self, url: str) -> None:
        self._url, self._stop = url, Event()
        self.counts: Counter[str] = (
            Counter()
        )  # of writes: acknowledged, failed; of searches after: stale
        self._acknowledged: dict[str, int] = {}  # the last version of each id
        self._thread = Thread(target=self._run)

    def __enter__(self) -> Writing:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        with httpx.Client(base_url=self._url, timeout=90) as client:
            version = 0
            while not self._stop.is_set():
                version += 1
                self._write(client, version, [f"written-{version % 20}-{side}" for side in "ab"])
                time.sleep(0.05)  # for the processes that start

    def _write(self, client: httpx.Client, version: int, ids: list[str]) -> None:
        records = [
            {"id": one, "text": f"version {version}", "metadata": {"version": version}}
            for one in ids
        ]
        try:
            reply = client.put("/v1/passages", json={"records": records})
            if reply.status_code != 200:
                print(f"write: {reply.status_code}: {reply.text[:200]}")
                self.counts["failed"] += 1
                return
            self.counts["acknowledged"] += 1
            self._acknowledged |= dict.fromkeys(ids, version)
            asked = {"query": "version", "filter": {"version": version}}
            found = client.post("/v1/search", json=asked)
        except httpx.TransportError:
            self.counts["failed"] += 1
            return
        if found.status_code == 200 and not found.json()["degraded"]:
            self.counts["stale"] += {one["id"] for one in found.json()["hits"]} != set(ids)

    def lost(self) -> list[str]:
        """The ids of which an acknowledged version is gone."""
        versions = {}
        for id_ in self._acknowledged:
            reply = httpx.get(f"{self._url}/v1/passages/{id_}", timeout=30)
            if reply.status_code == 200:
                versions[id_] = reply.json()["metadata"]["version"]
        return [id_ for id_, one in self._acknowledged.items() if versions.get(id_, 0) < one]


@pytest.fixture(scope="module")
def nodes() -> Iterator[Cluster]:
    with ExitStack() as stack:
        cluster = Cluster(
            initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False}
        )
        stack.callback(cluster.shutdown)
        for _ in range(NODES):
            cluster.add_node(num_cpus=CPUS)
        stack.enter_context(joined(cluster.address))
        stack.callback(serve.shutdown)
        yield cluster


@pytest.fixture(scope="module")
def url(nodes: Cluster, small_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("killed") / "small"
    build_cluster(small_corpus, folder, SHARDS, TinyOptions(seed=1))
    port = free_port()
    serve.start(http_options={"port": port, "host": "127.0.0.1"}, proxy_location="HeadOnly")
    deploy(
        ServeOptions(
            cluster=folder, replicas=REPLICAS, ingresses=INGRESSES, shard_cpus=0.5, ingress_cpus=0.5,
            shard_timeout_ms=1_000, writable=True, settings={"max_wait_ms": 60_000, "timeout_ms": 60_000},
        )
    )  # fmt: skip
    return f"http://127.0.0.1:{port}"


def kill_one(title: bytes) -> None:
    pid = random.choice(processes(title))
    os.kill(pid, signal.SIGKILL)
    while pid in processes(title):
        time.sleep(0.01)


def kill_node(nodes: Cluster) -> None:
    """Kill the raylet of a worker node, with which its workers end; another node takes its place."""
    node = random.choice(list(nodes.worker_nodes))
    (raylet,) = node.all_processes["raylet"]
    os.kill(raylet.process.pid, signal.SIGKILL)
    nodes.remove_node(node, allow_graceful=False)
    nodes.add_node(num_cpus=CPUS)


def are_all_there() -> bool:
    wanted = {SHARD: SHARDS * REPLICAS, WRITER: SHARDS, INGRESS: INGRESSES, CONTROLLER: 1}
    return all(len(processes(title)) == count for title, count in wanted.items())


def until_whole(load: Load, killed: float) -> float:
    """Seconds from ``killed`` to the last reply that was not whole, once all processes are there again."""
    last = killed + PATIENCE
    while not are_all_there():
        assert time.monotonic() < last, "a process is missing"
        time.sleep(0.1)
    there = time.monotonic()
    while True:
        bad = max((one.end for one in load.replies if one.verdict != "whole"), default=0.0)
        if time.monotonic() > max(bad, there) + QUIET:
            return max(0.0, bad - killed)
        assert time.monotonic() < last, "replies do not become whole"
        time.sleep(0.1)


def test_shards_are_spread_over_the_nodes(nodes: Cluster, url: str) -> None:
    del url  # which serves them
    raylets = {node.all_processes["raylet"][0].process.pid for node in nodes.worker_nodes}
    assert {parent(pid) for pid in processes(SHARD)} == raylets


@pytest.mark.parametrize("process", ["shard", "writer", "ingress", "controller", "raylet"])
def test_no_reply_is_wrong_whatever_is_killed(nodes: Cluster, url: str, process: str) -> None:
    kill: Callable[[], None] = {
        "shard": lambda: kill_one(SHARD),
        "writer": lambda: kill_one(WRITER),
        "ingress": lambda: kill_one(INGRESS),
        "controller": lambda: kill_one(CONTROLLER),
        "raylet": lambda: kill_node(nodes),
    }[process]
    times = []
    with Load(url) as load, Writing(url) as writing:
        for _ in range(KILLS):
            killed = time.monotonic()
            kill()
            times.append(until_whole(load, killed))
    found = Counter(one.verdict for one in load.replies)
    counts = " | ".join(str(found[one]) for one in ("wrong", "partial", "failed", "disconnected"))
    print(
        f"\n| {process} | {KILLS} | {len(load.replies)} | {counts} | {median(times):.1f} | {max(times):.1f} |"
    )
    lost, writes = writing.lost(), writing.counts
    counts = " | ".join(str(writes[one]) for one in ("acknowledged", "failed", "stale"))
    print(f"| {process} | writes | {counts} | lost {len(lost)} |")
    assert found["wrong"] == 0
    assert lost == []
    assert writes["stale"] == 0
    assert writes["acknowledged"] > 0
    assert found["whole"] > 0
