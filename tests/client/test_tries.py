"""When a client tries again, how long it waits, what it tells the server; and strange replies."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest

import lurcher
from lurcher.client.failures import retry_after
from lurcher.errors import (
    DeadlinePassed,
    FeedbackNotKept,
    InputError,
    LurcherError,
    NotReady,
    QueueFull,
    ServerUnreachable,
    ServiceError,
    VersionMismatch,
)
from tests.client.scripted import HITS, Scripted, problem, reply

URL = "http://search.example"
FULL = {"detail": "7 are waiting already; try again in 3 s"}


def busy(seconds: str = "3") -> httpx.Response:
    found = problem(429, **FULL)
    found.headers["Retry-After"] = seconds
    return found


def client(server: Scripted, waits: list[float], **how: Any) -> lurcher.Client:
    transport = httpx.MockTransport(server)
    return lurcher.Client(URL, transport=transport, sleep=waits.append, **how)


def test_busy_server_is_asked_again_when_it_said() -> None:
    server, waits = (
        Scripted([busy(), reply(503, {}, Retry_After="2"), reply(200, HITS)]),
        list[float](),
    )
    assert client(server, waits).search("a").hits == []
    assert waits == [3, 2]
    assert [path for path, _ in server.asked] == ["/v1/search"] * 3


def test_server_is_told_what_time_is_left() -> None:
    server = Scripted([reply(200, HITS), reply(200, HITS)])
    asked = client(server, [], timeout=9)
    asked.search("a")
    asked.within(0.5).search("a")
    first, second = (body["timeout_ms"] for _, body in server.asked)
    assert 8_000 < first <= 9_000
    assert 0 < second <= 500


@pytest.mark.parametrize(
    ("answers", "kind", "waits"),
    [
        ([busy("60")], QueueFull, []),  # longer than the call may take
        ([busy()] * 3, QueueFull, [3, 3]),
        ([problem(429, **FULL)], QueueFull, []),  # it does not say when
        ([problem(503)], NotReady, []),
        ([problem(504)], DeadlinePassed, []),
        ([problem(507)], FeedbackNotKept, []),
        ([problem(500)], LurcherError, []),
        ([problem(413)], InputError, []),
        ([httpx.ConnectError("refused")] * 3, ServerUnreachable, [0.1, 0.2]),
        ([httpx.ReadTimeout("slow")], DeadlinePassed, []),
        ([httpx.Response(502, text="<html>bad gateway</html>")], ServiceError, []),
    ],
)
def test_what_does_not_help_is_not_tried(
    answers: list[Any], kind: type[LurcherError], waits: list[float]
) -> None:
    waited: list[float] = []
    with pytest.raises(LurcherError) as caught:
        client(Scripted(answers), waited, timeout=10).search("a")
    assert type(caught.value) is kind
    assert waited == waits


def test_full_queue_says_how_many_wait_and_for_how_long() -> None:
    with pytest.raises(QueueFull, match="7 are waiting already; try again in 60 s") as caught:
        client(Scripted([busy("60")]), []).search("a")
    assert caught.value.retry_after == 60


@pytest.mark.parametrize(
    ("answers", "says"),
    [
        ([reply(200, {"passages": []}), reply(200, {"info": {"title": "Lurcher", "version": "0.0.9"}})],
         "the server is Lurcher 0.0.9, this client"),
        ([reply(404, {"detail": "Not Found"}), reply(404, {})], "no Lurcher server"),
        ([problem(404, detail="Not Found"), reply(200, {"info": {"title": "Lurcher", "version": "9"}})],
         "no such route"),
        ([reply(200, []), httpx.ConnectError("gone")], "no Lurcher server"),
        ([httpx.Response(200, text="<html>"), reply(200, ["x"])], "no Lurcher server"),
    ],
)  # fmt: skip
def test_server_of_another_version_is_named(answers: list[Any], says: str) -> None:
    with pytest.raises(VersionMismatch, match=URL) as caught:
        client(Scripted(answers), []).search("a")
    assert says in str(caught.value)


@pytest.mark.parametrize("embeddings", [{}, {"base64": []}, {"base64": ["AAA"]}, {"base64": [3]}])
def test_reply_without_vectors_is_of_another_version(embeddings: Any) -> None:
    with pytest.raises(VersionMismatch):
        client(Scripted([reply(200, {"embeddings": embeddings}), reply(404, {})]), []).embed(["a"])


def test_async_client_waits_as_long() -> None:
    server, waits = Scripted([busy(), httpx.ConnectError("x"), reply(200, HITS)]), list[float]()

    async def note(seconds: float) -> None:
        waits.append(seconds)

    async def ask() -> None:
        transport = httpx.MockTransport(server)
        async with lurcher.AsyncClient(URL, "key", transport=transport, sleep=note) as client:
            assert (await client.search("a")).hits == []

    asyncio.run(ask())
    assert waits == [3, 0.2]


def test_date_to_wait_for_is_read() -> None:
    then = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    assert retry_after({"retry-after": then}) == pytest.approx(90, abs=5)
    assert retry_after({"retry-after": "soon"}) is None
    assert retry_after({}) is None


@pytest.mark.parametrize("wrong", [{"timeout": 0}, {"timeout": float("nan")}, {"retries": -1}])
def test_settings_that_cannot_be_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(LurcherError, match=next(iter(wrong))):
        lurcher.Client(URL, **wrong)
