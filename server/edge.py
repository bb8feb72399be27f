"""What stands before the application on every connection: limits of size, time, number and name.

uvicorn's own protocol bounds none of them: a head without end, a body that never comes, a reply that nobody
reads would each be kept for ever. What is refused here gets problem JSON, like any other error, a line in the
log, and the end of its connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from uuid import uuid4

import httptools
import structlog
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from lurcher.server.errors import MEDIA_TYPE
from lurcher.server.hosts import is_allowed
from lurcher.server.schemas.problems import Problem

_log = structlog.get_logger()

# Headers by which a client offers to speak another protocol.
_OFFERS = (b"upgrade", b"http2-settings")

# With a 503: a connection may end, or another server take the place of this one, at any moment.
_RETRY = "Retry-After: 1\r\n"

# Requests that may wait on one connection for the replies of those before them.
_MOST_PIPELINED = 100


@dataclass(frozen=True)
class Limits:
    """What a connection may do. ``hosts`` are the names under which the server may be called, None: any."""

    connections: int
    head_bytes: int
    read_seconds: float  # for a request's head, and as long again for its body
    write_seconds: float  # that a client may leave a reply unread
    hosts: Collection[str] | None = None


class _Refused(Exception):
    """The request was refused while its head was parsed, and the reply is written."""


class Edge(HttpToolsProtocol):
    """uvicorn's protocol within ``limits``; ``count`` is told the status of what is refused."""

    limits: Limits
    count: Callable[[int], None]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._timer: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None
        self._received, self._parsed = 0, 0  # bytes of a request's head
        self._in_head = True
        self._begun = False  # whether a byte of the request has come
        self._refused = False
        self._lost = False
        self._answering: RequestResponseCycle | None = None  # uvicorn's own is the newest one
        self._upgrading = False  # whether the client would rather speak another protocol

    # The connection.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """Take the connection, if there is room for one more."""
        super().connection_made(transport)
        if len(self.connections) > self.limits.connections:
            many = f"there are {self.limits.connections} connections already"
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, many)
        else:
            self._expect("head")

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection; the request in hand is told, too, where others wait behind it."""
        self._lost = True
        self._expect(None)
        self.resume_writing()
        if self._answering is not None and not self._answering.response_complete:
            self._answering.disconnected = True
            self._answering.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Hand ``data`` on to the parser, until there is more of a head than is read."""
        if self._refused:
            return
        if self._in_head:
            if not self._begun:
                self._begun = True
                self._expect("head")
            self._received += len(data)
        self._unset_keepalive_if_required()
        self._parse(data)
        # What the head's end has come with may be a large body; what has no end yet is all head.
        if self._in_head and self._received > self.limits.head_bytes and not self._refused:
            self._refuse_head()

    def pause_writing(self) -> None:
        """Give the client a time in which to read."""
        super().pause_writing()
        if self._unread is None:
            seconds = self.limits.write_seconds
            self._unread = self.loop.call_later(seconds, self._abandon)

    def resume_writing(self) -> None:
        """The client reads."""
        super().resume_writing()
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def shutdown(self) -> None:
        """Close the connection once what was asked on it is answered; half a request is no request."""
        if self.cycle is not None and self.cycle.more_body and not self.cycle.response_started:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, "the server is stopping")
        else:
            super().shutdown()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._answering = cycle
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        """Begin the next request, and read no more of them while others wait."""
        super().on_response_complete()
        if self.pipeline and not self.transport.is_closing():
            self.flow.pause_reading()

    # The request, as it is parsed.

    def _parse(self, data: bytes) -> None:
        while data:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                data = self._staying() + data[upgrade.args[0] :]
            except httptools.HttpParserError as error:
                self.send_400_response(str(error))
                return
            else:
                return

    def _staying(self) -> bytes:
        """The head that was just read without its offer of another protocol, for a parser of its own.

        Of a request with such an offer the parser takes no body, and takes what comes for the next request;
        Java's HttpClient offers HTTP/2 (h2c) with each first request.
        """
        version = self.parser.get_http_version().encode()
        lines = [self.parser.get_method() + b" " + self.url + b" HTTP/" + version]
        for name, value in self.headers:
            if name == b"connection":
                kept = [one for one in value.split(b",") if one.strip().lower() not in _OFFERS]
                lines += [b"connection: " + b",".join(kept)] if kept else []
            elif name not in _OFFERS:
                lines.append(name + b": " + value)
        self._upgrading, self._parsed = False, 0
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's
        return b"\r\n".join([*lines, b"", b""])

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note a header, if there are not too many; a whole head may come at once."""
        self._parsed += len(name) + len(value)
        if self._parsed > self.limits.head_bytes:
            self._refuse_head()
            raise _Refused
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Begin to answer, if this server may be called by that name."""
        if self._parsed + len(self.url) > self.limits.head_bytes:
            self._refuse_head()
            raise _Refused
        if self.parser.get_method() == b"CONNECT":
            self._refuse(HTTPStatus.BAD_REQUEST, "CONNECT is for proxies, and this is none")
            raise _Refused
        if self.parser.should_upgrade():
            self._upgrading = True
            return
        self._check_host()
        if len(self.pipeline) == _MOST_PIPELINED:
            self._answer_no_more()
            raise _Refused
        self._in_head = False
        self._expect("body")
        self.scope["state"]["is_disconnected"] = self._is_lost
        super().on_headers_complete()

    def _is_lost(self) -> bool:
        return self._lost

    def _check_host(self) -> None:
        """Raise _Refused where the request is for another server than this one."""
        hosts = [value for name, value in self.headers if name == b"host"]
        if len(hosts) > 1:
            self._refuse(HTTPStatus.BAD_REQUEST, "two Host headers")
            raise _Refused
        if not hosts and self.parser.get_http_version() != "1.0":
            self._refuse(HTTPStatus.BAD_REQUEST, "no Host header")
            raise _Refused
        host = hosts[0].decode("latin-1") if hosts else ""
        if not is_allowed(host, self.limits.hosts):
            reason = "not a name of this server; the setting allowed_hosts lists them"
            self._refuse(HTTPStatus.MISDIRECTED_REQUEST, f"Host {host[:100]!r} is {reason}")
            raise _Refused

    def on_message_complete(self) -> None:
        """Wait for no more of this request."""
        if self._upgrading:
            return
        self._expect(None)
        self._in_head, self._begun, self._received, self._parsed = True, False, 0, 0
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 (uvicorn's words)
        """Refuse what is no HTTP, unless it was refused for something else."""
        if not self._refused:
            self._refuse(HTTPStatus.BAD_REQUEST, "this is not HTTP/1.1")

    # Refusals.

    def _expect(self, part: str | None) -> None:
        """Wait for the rest of the ``part`` of a request, and no longer than is allowed."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if part is not None:
            seconds = self.limits.read_seconds
            self._timer = self.loop.call_later(seconds, self._too_slow, part)

    def _too_slow(self, part: str) -> None:
        if self._begun or part == "body":
            late = f"the {part} of the request did not come within {self.limits.read_seconds:g} s"
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, late)
        else:  # a connection on which nothing was asked, as browsers open them to have one at hand
            self.transport.close()

    def _abandon(self) -> None:
        _log.warning("refused", reason="the reply is not read", client=self.client)
        self.transport.abort()

    def _answer_no_more(self) -> None:
        """Close the connection once the requests are answered that wait on it; what comes now is not read."""
        reason = f"{_MOST_PIPELINED} requests wait on the connection already"
        _log.warning("refused", reason=reason, client=self.client)
        self._refused = True
        self._expect(None)
        self.cycle.keep_alive = False

    def _refuse_head(self) -> None:
        most = f"the head of the request is larger than {self.limits.head_bytes} bytes"
        self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, most)

    def _refuse(self, status: HTTPStatus, detail: str) -> None:
        """Answer with ``status``, unless another reply is on its way, and close the connection."""
        self._refused = True
        self._expect(None)
        self.count(status)
        request_id = uuid4().hex
        _log.warning(
            "refused", status=int(status), reason=detail, client=self.client, request_id=request_id
        )
        cycle = self.cycle
        if cycle is None or (
            cycle.response_complete if self._in_head else not cycle.response_started
        ):
            body = Problem(
                title=status.phrase, status=status, detail=detail, request_id=request_id, errors=[]
            ).model_dump_json()
            head = (
                f"HTTP/1.1 {int(status)} {status.phrase}\r\nContent-Type: {MEDIA_TYPE}\r\n"
                f"Content-Length: {len(body.encode())}\r\nX-Request-Id: {request_id}\r\n"
                f"{_RETRY if status == HTTPStatus.SERVICE_UNAVAILABLE else ''}"
                "Connection: close\r\n\r\n"
            )
            self.transport.write((head + body).encode())
        self.transport.close()


def edge(limits: Limits, count: Callable[[int], None]) -> type[Edge]:
    """The protocol of a server whose connections have these ``limits``."""
    return type("Edge", (Edge,), {"limits": limits, "count": staticmethod(count)})
