"""The FastAPI application: routes and middleware, built once from settings."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from typing import Any

import structlog
from fastapi import APIRouter, Depends, FastAPI
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from lurcher.bundle.manifest import lurcher_version
from lurcher.server import errors, keys
from lurcher.server.lookup import NATIVE, OF_COLLECTION, named, of_default
from lurcher.server.metrics_port import MetricsPort
from lurcher.server.middleware import Observe
from lurcher.server.opening import OpenSnapshot
from lurcher.server.protocols.cohere import embed, rerank
from lurcher.server.protocols.mcp import routes as mcp
from lurcher.server.protocols.openai import routes as openai
from lurcher.server.protocols.tei import routes as tei
from lurcher.server.protocols.tei import tokens
from lurcher.server.rates import Times
from lurcher.server.requests import Normalise, ReadBody
from lurcher.server.routes import (
    admin,
    answer,
    bundle,
    collections,
    documents,
    facets,
    feedback,
    health,
    page,
    passages,
    search,
)
from lurcher.server.schemas.problems import Problem
from lurcher.server.service import Service
from lurcher.server.settings import Settings
from lurcher.server.workers.link import Link

_log = structlog.get_logger()

_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]

# FastAPI's own, which the environment can turn on, sends what requests hold; ours (`traces`) does not.
_NO_TELEMETRY: Any = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}

# Of Cohere's second version; the first is where ours are.
COHERE_2 = "/v2"

_ABOUT = """\
Search over collections of passages. Errors are RFC 9457 problem JSON. Every reply has the header
`X-Request-Id`; the server's log has the same id. Bodies are JSON, and may be compressed with gzip or deflate.
A field of a request that is null counts as not given. Routes that name no collection ask the default.
"""


def create_app(
    settings: Settings,
    on_failure: Callable[[Exception], None] | None = None,
    open_snapshot: OpenSnapshot | None = None,
    on_ready: Callable[[], None] | None = None,
    link: Link | None = None,
    times: Times | None = None,
    mount: Callable[[FastAPI, Settings], None] | None = None,
) -> FastAPI:
    """Return the application that serves ``settings.bundle``, opened by ``open_snapshot``.

    The bundle is loaded after start-up, so that ``/livez`` answers meanwhile; then call
    ``on_ready``. If loading fails, call ``on_failure``; without one, log the error and stay up without ever
    getting ready.
    ``link`` leads to other processes of the server, of which one writes, and ``times`` are what they share
    of what each key has sent; None: this one does it alone.
    ``mount`` adds the routes, None: all there are.
    """
    service = Service(settings, open_snapshot, link, times)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async def load() -> None:
            try:
                await service.load()
            # Any error: nobody awaits this task, so it would be lost.
            except Exception as error:
                if on_failure is None:
                    _log.error("the bundle cannot be loaded", reason=str(error))
                else:
                    on_failure(error)
            else:
                if on_ready is not None:
                    on_ready()

        loading = asyncio.create_task(load())
        yield
        await asyncio.wait([loading])
        await service.close()

    middleware = [
        Middleware(
            Observe,
            metrics=service.metrics,
            audit=service.audit,
            traces=service.traces,
            slow_ms=settings.slow_ms,
            log_queries=settings.log_queries,
        ),
        Middleware(Normalise),
        Middleware(ReadBody, limit=settings.max_body_bytes),
    ]
    if settings.metrics_port is not None:
        middleware.insert(2, Middleware(MetricsPort, port=settings.metrics_port))
    if settings.cors_origins:
        exposed = [
            "X-Request-Id", "Server-Timing", "Retry-After", "ETag", "RateLimit-Limit",
            "RateLimit-Remaining", "RateLimit-Reset",
        ]  # fmt: skip
        middleware.append(
            Middleware(
                CORSMiddleware, allow_origins=settings.cors_origins, allow_methods=_METHODS,
                allow_headers=["*"], expose_headers=exposed,
            )
        )  # fmt: skip
    app = FastAPI(
        title="Lurcher", version=lurcher_version(), description=_ABOUT, lifespan=lifespan,
        middleware=middleware, docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False,
        telemetry=_NO_TELEMETRY,
    )  # fmt: skip
    app.state.service, app.state.link = service, link
    app.state.without_keys = not keys.to("read", settings)  # for PlainRoute
    errors.install(app)
    (mount or mount_routes)(app, settings)
    _describe(app, settings)
    return app


def mount_routes(
    app: FastAPI, settings: Settings, without: Collection[APIRouter] = (),
    about: APIRouter = bundle.router,
) -> None:  # fmt: skip
    """Add all routes: those that ask a collection for the default, and below its name for each.

    But for those of ``without``; ``about`` are those that describe a collection.
    """
    reads, writes = keys.to("read", settings), keys.to("write", settings)

    # Which of them a request asks, its body says.
    by_body = (search.router, answer.router, embed.router, openai.router)

    def include(router: APIRouter, demands: list[Any], prefix: str) -> None:
        refusals = errors.responses(401, 403, 429) if demands else {}
        if prefix == OF_COLLECTION:
            demands, refusals = [*demands, Depends(named)], refusals | errors.responses(404, 422)
        elif demands and router not in by_body:
            demands = [*demands, Depends(of_default)]
        app.include_router(router, prefix=prefix, dependencies=demands, responses=refusals)

    for router, demands, prefixes in (
        (search.router, reads, [NATIVE]),
        (answer.router, reads, [NATIVE]),
        (rerank.router, reads, [NATIVE, COHERE_2]),
        (embed.router, reads, [NATIVE, COHERE_2]),
        (openai.router, reads, [NATIVE]),
        (mcp.router, reads, [""]),
        (documents.router, reads, [NATIVE]),
        (about, reads, [NATIVE]),
        (facets.router, reads, [NATIVE]),
        (passages.reading, reads, [NATIVE]),
        (passages.writing, writes, [NATIVE]),
        (feedback.reading, reads, [NATIVE]),
        (feedback.writing, writes, [NATIVE]),
    ):
        for prefix in [*prefixes, OF_COLLECTION]:
            if router not in without:
                include(router, demands, prefix)
    include(tei.router, reads, "")
    include(tokens.router, reads, "")
    for router, demands in (
        (collections.router, reads), (admin.router, keys.to("admin", settings))
    ):  # fmt: skip
        if router in without:
            continue
        refusals = errors.responses(401, 403, 429) if demands else {}
        app.include_router(router, dependencies=demands, responses=refusals)
    for router in (health.router, page.router, tei.health):
        include(router, [], "")
    if settings.docs:
        app.include_router(page.reference)
    if settings.metrics != "off":
        demands = keys.to("admin", settings) if settings.metrics == "admin" else []
        refusals = errors.responses(401, 403, 429) if demands else {}
        app.include_router(health.scraping, dependencies=demands, responses=refusals)


def _describe(app: FastAPI, settings: Settings) -> None:
    """Add the limits from the settings, and the schema of errors, to the OpenAPI document."""
    make = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = make()
            schemas = document["components"]["schemas"]
            schemas["Problem"] = Problem.model_json_schema(
                ref_template="#/components/schemas/{model}"
            )
            schemas.update(schemas["Problem"].pop("$defs"))
            for name in ("HTTPValidationError", "ValidationError"):  # FastAPI's own, never sent
                schemas.pop(name, None)
            _add_limits(schemas, settings)
        return app.openapi_schema or {}

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way


def _add_limits(schemas: dict[str, Any], settings: Settings) -> None:
    """Add the limits from the ``settings`` to the ``schemas`` of the OpenAPI document."""

    def limit(schema: str, field: str, **limits: int) -> None:
        if schema not in schemas:  # of a route that is not mounted
            return
        found = schemas[schema]["properties"][field]
        found.get("anyOf", [found])[0].update(limits)  # what is not required may be null, too

    for name in ("SearchRequest", "BatchRequest"):
        limit(name, "top_k", maximum=settings.max_top_k)
        limit(name, "candidates", maximum=settings.max_candidates)
    for name in ("documents", "passages"):
        limit("RerankRequest", name, maxItems=settings.max_candidates)
    limit("AnswerRequest", "read_depth", maximum=settings.max_read_depth)
    limit("AnswerRequest", "candidates", maximum=settings.max_candidates)
    for name in ("SearchRequest", "AnswerRequest", "RerankRequest", "FeedbackPair"):
        limit(name, "query", maxLength=settings.max_query_chars)
    limit("BatchRequest", "queries", maxItems=settings.max_queries)
    limit("FeedbackRequest", "pairs", maxItems=settings.max_queries)
    limit("PutRequest", "records", maxItems=settings.max_queries)
    limit("PatchRequest", "records", maxItems=settings.max_queries)
    limit("DeleteRequest", "ids", maxItems=settings.max_queries)
