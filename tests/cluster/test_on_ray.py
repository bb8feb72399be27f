"""A cluster of two shards on a Ray of this machine: built there, and served over HTTP by Ray Serve.

It runs where Ray is installed: ``make test-ray``, and what is marked as quick in ``make test-ray-quick``.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of Ray's own use of pydantic
    ray = pytest.importorskip("ray", reason="ray is not installed: make test-ray")
    serve = pytest.importorskip("ray.serve", reason="ray[serve] is not installed: make test-ray")

from lurcher.bundle.bundle import Bundle
from lurcher.cluster.build import build_cluster
from lurcher.cluster.cluster_file import read_cluster
from lurcher.cluster.deploying import deploy
from lurcher.cluster.encoding import RayEncoders
from lurcher.cluster.on_ray import joined
from lurcher.cluster.serving import ServeOptions, ingress, shards
from lurcher.errors import BundleNotFound, LurcherError
from lurcher.index_builder.progress import Silent
from lurcher.retrieval.query import Query
from lurcher.retrieval.results import SearchResult
from lurcher.retrieval.snapshot import Snapshot
from tests.cluster.ray_processes import SHARD, WRITER, free_port, processes
from tests.tiny import TinyOptions, build

# Ray and Serve leave sockets and loops to the end of the process.
pytestmark = pytest.mark.filterwarnings("ignore")

PATIENCE = 60.0
SECOND_SHARD = SHARD + b"001"
BODY = {"query": "the cat sleeps on the windowsill", "top_k": 8}


@pytest.fixture(scope="module", autouse=True)
def on_ray() -> Iterator[None]:
    with joined("local", cpus=8):
        yield
        serve.shutdown()


@pytest.fixture(scope="module")
def folder(small_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("on-ray") / "small"
    build_cluster(
        small_corpus, out, 2, TinyOptions(seed=1), encode=RayEncoders(2).encode, chunk_size=16
    )
    return out


@pytest.fixture(scope="module")
def served(folder: Path) -> tuple[str, ServeOptions]:
    options = ServeOptions(
        cluster=folder, replicas=2, shard_cpus=0.5, ingress_cpus=0.5, shard_timeout_ms=5_000,
        engine="onnxruntime", writable=True, settings={"max_wait_ms": 60_000, "timeout_ms": 60_000},
    )  # fmt: skip
    port = free_port()
    serve.start(http_options={"port": port, "host": "127.0.0.1"})
    return f"http://127.0.0.1:{port}", deploy(options)


@pytest.fixture(scope="module")
def url(served: tuple[str, ServeOptions]) -> str:
    return served[0]


def ask(url: str, **more: Any) -> httpx.Response:
    return httpx.post(f"{url}/v1/search", json={**BODY, **more}, timeout=30)


def pairs(reply: dict[str, Any]) -> list[tuple[str, float]]:
    """What was found, and its scores."""
    return [(one["id"], one["score"]) for one in reply["hits"]]


def whole(url: str, patience: float = PATIENCE) -> dict[str, Any]:
    """The first reply that is of all shards."""
    last = time.monotonic() + patience
    while True:
        reply = ask(url)
        if reply.status_code == 200 and not reply.json()["degraded"]:
            return dict(reply.json())
        assert time.monotonic() < last, reply.text
        time.sleep(0.1)


@pytest.mark.parametrize("application", [shards, ingress])
def test_a_config_file_gives_its_args_as_a_dictionary(
    application: Callable[[dict[str, Any]], object], tmp_path: Path
) -> None:
    with pytest.raises(BundleNotFound):
        application({"cluster": str(tmp_path), "shards": "wiki-1"})


# First of those that take cores: a worker needs one, and what is served below keeps them.
def test_what_a_killed_worker_was_about_is_done_again(small_corpus: Path, tmp_path: Path) -> None:
    killed: list[int] = []

    class Killing(Silent):
        def advance(self, _steps: int) -> None:
            pids = processes(b"ray::_Worker")
            if not killed and pids:
                os.kill(pids[0], signal.SIGKILL)
                killed.append(pids[0])

    out = tmp_path / "killed"
    encode = RayEncoders(1).encode
    build_cluster(small_corpus, out, 1, TinyOptions(seed=1), Killing(), encode=encode, chunk_size=8)
    assert killed
    assert read_cluster(out).passages == 60


@pytest.mark.quick
def test_serves_what_one_bundle_finds(url: str, small_corpus: Path, tmp_path: Path) -> None:
    found = whole(url)
    queries = ["cat", "bread"]
    batch = httpx.post(f"{url}/v1/search/batch", json={"queries": queries}, timeout=60).json()
    build(small_corpus, tmp_path / "one", TinyOptions(seed=1), chunk_size=16)
    with closing(Snapshot(Bundle.open(tmp_path / "one"), 1, "onnxruntime")) as one_bundle:
        asked = [Query(BODY["query"], 8), *(Query(text, 10) for text in queries)]
        wanted = [one for one in one_bundle.run(asked) if isinstance(one, SearchResult)]
    assert [pairs(one) for one in (found, *batch["results"])] == [
        # The server rounds to six places.
        [(hit.id, round(hit.score, 6)) for hit in one.hits]
        for one in wanted
    ]
    about = httpx.get(f"{url}/v1/bundle").json()
    assert about["passages"] == 60
    assert len(about["shards"]) == 2


def test_a_replica_that_hangs_costs_nothing_where_there_is_another(url: str) -> None:
    wanted = [whole(url)["hits"] for _ in range(40)][-1]  # as many as tell what is slow
    one, _ = processes(SECOND_SHARD)
    os.kill(one, signal.SIGSTOP)
    try:
        replies = [ask(url) for _ in range(3)]
    finally:
        os.kill(one, signal.SIGCONT)
    for reply in replies:
        assert reply.json()["degraded"] == []
        assert reply.json()["hits"] == wanted
    assert 'lurcher_hedged_requests_total{reply="second"} 0' not in httpx.get(f"{url}/metrics").text


@pytest.mark.parametrize("killed", [pytest.param(1, marks=pytest.mark.quick), 2])
def test_killed_replicas_cost_a_part_of_some_replies_and_no_reply_is_wrong(
    url: str, killed: int
) -> None:
    wanted = pairs(whole(url))
    before = dict(wanted)
    for replica in processes(SECOND_SHARD)[:killed]:
        os.kill(replica, signal.SIGKILL)
    for _ in range(5):
        reply = ask(url)
        assert reply.status_code == 200
        for id_, score in pairs(reply.json()):
            assert before.get(id_, score) == score
        if missing := reply.json()["degraded"]:
            assert missing == ["shard:1"]
            assert ask(url, partial=False).status_code in (200, 503)
        else:
            assert pairs(reply.json()) == wanted
    assert pairs(whole(url)) == wanted


def test_what_is_acknowledged_is_found_at_once_and_outlives_its_writer(url: str) -> None:
    def put(version: int) -> httpx.Response:
        records = [
            {"id": f"new-{i}", "text": "A narwhal", "metadata": {"version": version}}
            for i in range(6)
        ]
        return httpx.put(f"{url}/v1/passages", json={"records": records}, timeout=90)

    def found(version: int) -> set[str]:
        reply = ask(url, filter={"version": version}).json()
        assert reply["degraded"] == []
        return {one["id"] for one in reply["hits"]}

    everything = {f"new-{i}" for i in range(6)}  # of both shards
    for version in range(10):  # either replica may answer
        assert put(version).json()["upserted"] == 6
        assert found(version) == everything
    with ThreadPoolExecutor(1) as client:
        written = client.submit(put, 10)
        for writer in processes(WRITER):
            os.kill(writer, signal.SIGKILL)
        assert written.result().status_code == 200, written.result().text
    assert found(10) == everything
    assert httpx.get(f"{url}/v1/bundle").json()["passages"] == 66
    ids = {"ids": sorted(everything)}
    deleted = httpx.request("DELETE", f"{url}/v1/passages", json=ids, timeout=90).json()
    assert deleted["removed"] == 6
    gone = httpx.get(f"{url}/v1/passages/new-0")
    assert gone.status_code == 404


def test_a_version_that_cannot_be_served_changes_nothing(
    served: tuple[str, ServeOptions], folder: Path, tmp_path: Path
) -> None:
    url, before = served
    broken = tmp_path / "broken"
    shutil.copytree(folder, broken)
    text = (broken / "cluster.json").read_text()
    (broken / "cluster.json").write_text(text.replace('"name": "small"', '"name": "broken"'))
    with (broken / "shard-001.lurcher/segments/000000/tokens.bin").open("ab") as tokens:
        tokens.write(b"x")
    wanted = whole(url)["hits"]
    with pytest.raises(LurcherError, match=r"cannot be served: .*tokens.bin"):
        deploy(before.model_copy(update={"cluster": broken}), before)
    assert whole(url)["hits"] == wanted


def test_goes_over_to_another_version_without_a_wrong_partial_or_failed_reply(
    served: tuple[str, ServeOptions], small_corpus: Path, tmp_path: Path
) -> None:
    url, before = served
    corpus = tmp_path / "half.jsonl"
    corpus.write_text("\n".join(small_corpus.read_text().splitlines()[::2]))
    build_cluster(corpus, tmp_path / "half", 2, TinyOptions(seed=1))
    old, stop, replies = whole(url)["hits"], Event(), list[httpx.Response]()

    def load() -> None:
        with httpx.Client(timeout=60) as client:
            while not stop.is_set():
                replies.append(client.post(f"{url}/v1/search", json=BODY))
                time.sleep(0.02)  # for the processes that start

    with ThreadPoolExecutor(2) as clients:
        loads = [clients.submit(load) for _ in range(2)]
        try:
            deploy(before.model_copy(update={"cluster": tmp_path / "half"}), before)
        finally:
            stop.set()
        for one in loads:
            one.result()
    new = whole(url)["hits"]
    assert new != old
    assert {one.status_code for one in replies} == {200}
    assert all(one.json()["degraded"] == [] for one in replies)
    hits = [one.json()["hits"] for one in replies]
    assert all(one in (old, new) for one in hits)
    assert old in hits
    assert httpx.get(f"{url}/v1/bundle").json()["passages"] == 30


def test_what_ray_builds_is_what_one_process_builds(folder: Path, small_corpus: Path) -> None:
    out = folder.parent / "here"
    build_cluster(small_corpus, out, 2, TinyOptions(seed=1), chunk_size=16)
    for entry in read_cluster(folder).shards:
        for name in ("vectors.faiss", "tokens.bin", "tokens.pos", "lexical.rows"):
            file = f"{entry.path}/segments/000000/{name}"
            assert (folder / file).read_bytes() == (out / file).read_bytes(), file
