"""Metrics of writes: zero at the start, and what was done afterwards."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from lurcher.server.metrics import Metrics
from lurcher.server.write_metrics import WriteState
from tests.server.serving import JSON, Client, Reply, running, settings


def send(client: Client, method: str, **body: Any) -> Reply:
    return client.request(method, "/v1/passages", json.dumps(body).encode(), JSON)


def test_a_server_counts_what_it_writes_and_refuses(small_bundle: Path, tmp_path: Path) -> None:
    bundle = shutil.copytree(small_bundle, tmp_path / "w.lurcher")
    with running(settings(bundle, writable=True)) as client:
        names = (
            "lurcher_write_sequence", "lurcher_waiting_writes", "lurcher_deleted_share",
            'lurcher_write_seconds_count{step="commit"}', 'lurcher_write_seconds_count{step="flush"}',
            'lurcher_failed_writes_total{step="compact"}', 'lurcher_rejected_writes_total{reason="disk"}',
            'lurcher_rejected_writes_total{reason="version"}',
        )  # fmt: skip
        assert [client.metric(name) for name in names] == [0] * len(names)
        assert client.metric("lurcher_segments") == 1
        empty = client.metric("lurcher_write_log_bytes")
        assert empty > 0
        send(client, "PUT", records=[{"id": "n", "text": "a narwhal"}])
        send(client, "DELETE", ids=["en-food-0"])
        stale = [{"id": "n", "text": "x", "version": "0" * 16}]
        assert send(client, "PUT", records=stale).status == 409
        twice = [{"id": "a", "text": "x"}, {"id": "a", "text": "y"}]
        assert send(client, "PUT", records=twice).status == 422
        assert client.metric("lurcher_write_sequence") == 2
        assert client.metric("lurcher_segments") == 2
        assert client.metric("lurcher_deleted_share") == 1 / 61
        assert client.metric("lurcher_write_log_bytes") > empty
        assert client.metric('lurcher_write_seconds_count{step="show"}') == 2
        for reason in ("version", "field"):
            assert client.metric(f'lurcher_rejected_writes_total{{reason="{reason}"}}') == 1


def test_several_writers_are_counted_together() -> None:
    metrics = Metrics()
    metrics.writes.note("a", WriteState(3, 100, 2, 30, 5))
    metrics.writes.note("b", WriteState(1, 50, 1, 10, 5))
    text = metrics.render().decode()
    assert "lurcher_write_sequence 4.0" in text
    assert "lurcher_deleted_share 0.25" in text
    metrics.writes.note("a", None)
    assert "lurcher_write_log_bytes 50.0" in metrics.render().decode()
