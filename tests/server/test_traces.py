"""OpenTelemetry traces: spans of requests and stages, in the caller's trace, sent where the settings say."""

from __future__ import annotations

import gzip
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from lurcher.errors import FieldError
from lurcher.server.metrics import Metrics
from lurcher.server.middleware import Observe
from lurcher.server.noted import note
from lurcher.server.settings import load_settings
from lurcher.server.traces import Traces
from lurcher.server.tracing import traces_of
from tests.server.serving import running, settings

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PRIVATE = "whatsomebodyasked"
STAGES = {"queue": 0.25, "encode": 0.5, "fuse": 0.125}


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def client(exporter: InMemorySpanExporter) -> Iterator[TestClient]:
    """Of an application with a route that notes what searches note, and one that fails."""
    app = FastAPI()
    app.add_middleware(Observe, metrics=Metrics(), traces=Traces(SimpleSpanProcessor(exporter)))

    @app.get("/search/{word}")
    async def search(request: Request, word: str) -> None:
        since = perf_counter()
        note(request, stages=STAGES, since=since, collection="docs", degraded=["rank"], query=word)

    @app.get("/fail")
    async def fail() -> None:
        raise RuntimeError

    with TestClient(app, raise_server_exceptions=False) as found:
        yield found


def parented(sampled: str = "01") -> dict[str, str]:
    return {"traceparent": f"00-{TRACE}-{PARENT}-{sampled}"}


def test_stages_follow_each_other_below_the_requests_span(
    client: TestClient, exporter: InMemorySpanExporter
) -> None:
    reply = client.get(f"/search/{PRIVATE}", headers=parented())
    *children, root = exporter.get_finished_spans()
    assert [one.name for one in children] == list(STAGES)
    assert root.name == "GET /search/{word}"
    assert root.attributes == {
        "http.request.method": "GET", "http.route": "/search/{word}",
        "http.response.status_code": 200, "lurcher.collection": "docs",
        "lurcher.degraded": ("rank",),
    }  # fmt: skip
    assert root.parent is not None
    assert (root.context.trace_id, root.parent.span_id) == (int(TRACE, 16), int(PARENT, 16))
    assert reply.headers["traceparent"] == f"00-{TRACE}-{root.context.span_id:016x}-01"
    at = children[0].start_time
    assert at is not None
    assert root.start_time is not None
    assert at >= root.start_time
    for child, seconds in zip(children, STAGES.values(), strict=True):
        assert child.parent == root.context
        assert (child.start_time, child.end_time) == (at, at + int(seconds * 1e9))
        at += int(seconds * 1e9)
    assert PRIVATE not in str([one.to_json() for one in exporter.get_finished_spans()])


def test_a_caller_that_is_not_sampled_is_not_traced(
    client: TestClient, exporter: InMemorySpanExporter
) -> None:
    reply = client.get("/search/x", headers=parented("00"))
    assert exporter.get_finished_spans() == ()
    assert reply.headers["traceparent"].startswith(f"00-{TRACE}-")
    assert reply.headers["traceparent"].endswith("-00")


@pytest.mark.parametrize("odd", ["", "00-0-0-01", f"00-{'0' * 32}-{PARENT}-01", "x" * 10_000])
def test_an_odd_parent_begins_a_trace(
    client: TestClient, exporter: InMemorySpanExporter, odd: str
) -> None:
    client.get("/search/x", headers={"traceparent": odd})
    assert exporter.get_finished_spans()[-1].parent is None


def test_a_failure_is_a_span_of_an_error(
    client: TestClient, exporter: InMemorySpanExporter
) -> None:
    assert client.get("/fail").status_code == 500
    (span,) = exporter.get_finished_spans()
    assert not span.status.is_ok


@contextmanager
def collector() -> Iterator[tuple[str, list[Any]]]:
    """Its URL, and the spans that it was sent, with whose they are."""
    spans: list[Any] = []

    class Take(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers["content-encoding"] == "gzip":
                body = gzip.decompress(body)
            for one in ExportTraceServiceRequest.FromString(body).resource_spans:
                spans.extend(span for scope in one.scope_spans for span in scope.spans)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Take)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", spans
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_server_sends_the_spans_of_a_search_to_its_collector(
    small_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FASTAPI_OTEL_AUTO_CONFIGURE", "true")  # whose spans have what callers sent
    with collector() as (url, spans):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
        with running(settings(small_bundle, traces=url)) as client:
            reply = client.post("/v1/search", {"query": PRIVATE}, **parented())
            assert reply.headers["traceparent"].startswith(f"00-{TRACE}-")
        ours = [one for one in spans if one.trace_id.hex() == TRACE]
    (root,) = [one for one in ours if one.parent_span_id.hex() == PARENT]
    assert root.name == "POST /v1/search"
    children = sorted((o for o in ours if o is not root), key=lambda o: o.start_time_unix_nano)
    assert {one.parent_span_id for one in children} == {root.span_id}
    names = [one.name for one in children]
    assert names[:2] == ["queue", "encode"]
    assert {"retrieve_dense", "fuse", "rank", "fetch"} <= set(names)
    assert all(root.start_time_unix_nano <= o.start_time_unix_nano for o in children)
    assert children[-1].end_time_unix_nano <= root.end_time_unix_nano
    assert PRIVATE not in str(spans)


def test_nothing_is_imported_where_traces_are_off() -> None:
    code = (
        "import sys; from lurcher.server.app import create_app;"
        "from lurcher.server.settings import load_settings;"
        "create_app(load_settings(None, {'bundle': 'b'}));"
        "print({'opentelemetry.sdk', 'opentelemetry.exporter'} & set(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "set()"


def test_the_standard_variables_switch_traces_on_and_off() -> None:
    unset = load_settings(None, {"bundle": "b"})
    given = load_settings(None, {"bundle": "b", "traces": "http://127.0.0.1:9"})
    at = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    assert traces_of(unset, {}) is None
    assert traces_of(given, {"OTEL_SDK_DISABLED": "true"}) is None
    for found in (traces_of(unset, at), traces_of(given, {})):
        assert found is not None
        found.close()


def test_a_collector_that_is_no_url_is_refused() -> None:
    with pytest.raises(FieldError, match=r"^traces: .*must be a URL"):
        load_settings(None, {"bundle": "b", "traces": "localhost:4318"})
