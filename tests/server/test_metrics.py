"""Metrics: all there before they count, refusals by reason, who may ask for them and on which port."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from socket import create_server
from typing import Any

import pytest
import uvicorn

from lurcher.errors import FieldError
from lurcher.server.admission import OURSELVES
from lurcher.server.admission.batching import Batcher, Bounds
from lurcher.server.app import create_app
from lurcher.server.keys import key_hash
from lurcher.server.run import config_of
from lurcher.server.settings import load_settings
from tests.server.serving import PATIENCE, Client, assert_problem, running, settings, until

ADMIN, READ = "an-admin-key", "a-read-key"


@pytest.fixture(scope="module")
def fresh(words_bundle: Path) -> Iterator[Client]:
    """A server that nobody has asked anything."""
    with running(settings(words_bundle, read_keys=[key_hash(READ)], key_rate=0.01)) as client:
        yield client


def test_counters_are_there_with_zero_before_they_count(fresh: Client) -> None:
    text = fresh.get("/metrics").body.decode()
    zeros = set(re.findall(r"^(lurcher_\S+) 0\.0$", text, re.MULTILINE))
    assert zeros >= {
        *(
            f'lurcher_rejected_requests_total{{reason="{reason}"}}'
            for reason in ("wait", "rate", "key", "forbidden", "deadline", "too_large", "error", "no_room")
        ),
        'lurcher_degraded_searches_total{stage="rank"}',
        'lurcher_refused_connections_total{status="431"}',
        'lurcher_feedback_pairs_total{outcome="accepted"}',
        'lurcher_stage_seconds_count{collection="words",stage="rerank"}',
        'lurcher_engine_collections{engine="native"}',
        "lurcher_wait_seconds_count",
        "lurcher_oldest_wait_seconds",
    }  # fmt: skip
    bounds = re.findall(r'^lurcher_wait_seconds_bucket{le="([\d.]+)"}', text, re.MULTILINE)
    assert (bounds[0], bounds[-1]) == ("0.0001", "10.0")
    assert "lurcher_native_library" in text
    until(lambda: fresh.metric("lurcher_loop_lag_seconds_count") > 0)


def test_refusals_are_counted_by_their_reason(fresh: Client) -> None:
    query = {"query": "cat", "retrieve": "lexical"}
    waits = fresh.metric("lurcher_wait_seconds_count")
    replies = [
        fresh.post("/v1/search", query),
        *(fresh.post("/v1/search", query, X_API_Key=READ) for _ in range(2)),
    ]
    assert [one.status for one in replies] == [401, 200, 429]
    for reason, count in (("key", 1), ("rate", 1), ("wait", 0)):
        assert fresh.metric(f'lurcher_rejected_requests_total{{reason="{reason}"}}') == count
    assert fresh.metric("lurcher_wait_seconds_count") == waits + 1
    assert fresh.metric('lurcher_stage_seconds_count{collection="words",stage="fuse"}') == 1


def test_the_engine_in_use_is_told(live: Client) -> None:
    name = live.get("/v1/bundle").json()["engine"]["name"]
    assert live.metric(f'lurcher_engine_collections{{engine="{name}"}}') == 1


@pytest.mark.parametrize("price", [0.0, 1.0])  # of short work, and of long
def test_what_waits_longest_is_told(price: float) -> None:
    """The age is that of what came first, and 0 again once it is served."""
    free = threading.Event()

    def work(works: Sequence[int]) -> Sequence[int]:
        free.wait(PATIENCE)
        return works

    async def run() -> None:
        batcher = Batcher([work], Bounds(10, 60.0, 1))
        assert batcher.oldest == 0
        asked = [
            asyncio.create_task(batcher.submit(work, [i], [price], None, OURSELVES))
            for i in range(3)
        ]
        while batcher.waiting != 2:
            await asyncio.sleep(0)
        first = batcher.oldest
        assert 0 < first <= batcher.oldest
        free.set()
        await asyncio.gather(*asked)
        assert batcher.oldest == 0
        await batcher.stop()

    asyncio.run(run())


@contextmanager
def with_metrics_port(bundle: Path, **given: Any) -> Iterator[tuple[Client, Client]]:
    """Clients of a server's port and of that of its metrics."""
    sockets = [create_server(("127.0.0.1", 0)) for _ in range(2)]
    own, metrics = (Client(one.getsockname()[1]) for one in sockets)
    wanted = settings(bundle, port=own.port, metrics_port=metrics.port, **given)
    server = uvicorn.Server(config_of(create_app(wanted), wanted))
    thread = threading.Thread(target=server.run, args=(sockets,))
    thread.start()
    try:
        own.until_ready()
        yield own, metrics
    finally:
        server.should_exit = True
        thread.join(PATIENCE)


def test_metrics_on_a_port_of_their_own(words_bundle: Path) -> None:
    with with_metrics_port(words_bundle) as (own, metrics):
        assert metrics.get("/metrics").status == metrics.get("/metrics/").status == 200
        assert_problem(own.get("/metrics"), 404)
        assert own.search("cat", retrieve="lexical").status == 200
        for path in ("/", "/docs", "/v1/bundle", "/openapi.json", "/health"):
            assert_problem(metrics.get(path), 404)
        assert_problem(metrics.search("cat", retrieve="lexical"), 404)
        for client in (own, metrics):
            assert (client.get("/livez").status, client.get("/readyz").status) == (200, 200)


def test_metrics_for_admins_and_no_reference(words_bundle: Path) -> None:
    keys = {"admin_keys": [key_hash(ADMIN)], "read_keys": [key_hash(READ)]}
    with running(settings(words_bundle, metrics="admin", docs=False, **keys)) as client:
        assert_problem(client.get("/metrics"), 401)
        assert_problem(client.get("/metrics", X_API_Key=READ), 403)
        assert client.get("/metrics", Authorization=f"Bearer {ADMIN}").status == 200
        for path in ("/docs", "/openapi.json"):
            assert_problem(client.get(path, X_API_Key=ADMIN), 404)
        assert client.get("/").status == 200


def test_metrics_that_are_off(words_bundle: Path) -> None:
    with running(settings(words_bundle, metrics="off")) as client:
        assert_problem(client.get("/metrics"), 404)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"metrics": "admin", "read_keys": [key_hash(READ)]}, "^metrics: .*needs an admin key"),
        ({"metrics": "off", "metrics_port": 9}, "^metrics_port: .*and metrics is off"),
        ({"port": 9, "metrics_port": 9}, "^metrics_port: .*that of port, too"),
    ],
)
def test_settings_that_contradict_each_other_name_both(
    given: dict[str, object], message: str
) -> None:
    with pytest.raises(FieldError, match=message):
        load_settings(None, {"bundle": "b", **given})
