"""``GET /``: the search page; ``GET /docs``: a page that shows ``/openapi.json``; the icon."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from fastapi import APIRouter, Request, Response

router = APIRouter(include_in_schema=False)

_UI = Path(__file__).parents[1] / "ui"


def content_security_policy(page: str) -> str:
    """Return the policy that lets ``page`` run its own script and style, and call only this server."""

    def hashes(tag: str) -> str:
        bodies = re.findall(rf"<{tag}[^>]*>(.*?)</{tag}>", page, re.DOTALL)
        digests = (hashlib.sha256(body.encode()).digest() for body in bodies)
        return " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)

    return (
        f"default-src 'none'; style-src {hashes('style')}; script-src {hashes('script')}; "
        "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )


def _served(name: str) -> tuple[str, dict[str, str]]:
    """Return the page in the file ``name``, and its headers."""
    page = (_UI / name).read_text(encoding="utf-8")
    return page, {
        "Content-Security-Policy": content_security_policy(page),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-cache",
    }


_SEARCH, _DOCS = _served("index.html"), _served("docs.html")


def _icon(page: str) -> str:
    """Return the SVG that ``page`` has as its icon in a ``data:`` address."""
    _, _, rest = page.partition('<link rel="icon" href="data:image/svg+xml,')
    return unquote(rest.partition('"')[0])


_ICON = _icon(_SEARCH[0])


@router.get("/")
async def page() -> Response:
    """Return the search page: one file that contains its style and script."""
    return Response(_SEARCH[0], headers=_SEARCH[1], media_type="text/html")


@router.get("/docs")
async def docs() -> Response:
    """Return the page that shows the routes and their fields; it loads nothing from other hosts."""
    return Response(_DOCS[0], headers=_DOCS[1], media_type="text/html")


@router.get("/favicon.ico")
async def favicon() -> Response:
    """Return the icon; browsers ask for it here when they show a reply that is no page, such as JSON."""
    return Response(_ICON, headers={"Cache-Control": "max-age=86400"}, media_type="image/svg+xml")


@router.get("/openapi.json")
async def openapi(request: Request) -> dict[str, Any]:
    """Return the OpenAPI document; its server is the address that the request was sent to."""
    address = str(request.base_url).rstrip("/")
    return {**request.app.openapi(), "servers": [{"url": address}]}
