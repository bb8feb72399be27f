"""Errors in the shape of a protocol's own server."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.responses import JSONResponse

from lurcher.server.errors import told
from lurcher.server.schemas.problems import Problem

Shape = Callable[[Problem], tuple[int, dict[str, Any]]]
"""Gives the status and the body of the reply that tells a problem."""

_Handler = Callable[[Request], Coroutine[Any, Any, Response]]


def shaped(shape: Shape, media_type: str = "application/json") -> type[APIRoute]:
    """Return the class of routes whose errors, those of keys included, are told in ``shape``."""

    class ShapedRoute(APIRoute):
        def get_route_handler(self) -> _Handler:
            inner = super().get_route_handler()

            async def handle(request: Request) -> Response:
                try:
                    return await inner(request)
                except Exception as error:
                    found, headers = told(error, request.state.request_id)
                    status, body = shape(found)
                    return JSONResponse(body, status, dict(headers), media_type)

            return handle

    return ShapedRoute
