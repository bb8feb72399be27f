"""``GET /``: the search page; ``GET /docs``: the routes, read from ``/openapi.json``."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

from fastapi import APIRouter, Response

router = APIRouter(include_in_schema=False)

_UI = Path(__file__).parents[1] / "ui"


def content_security_policy(page: str) -> str:
    """The policy that lets ``page`` run its own script and style, call this server, and nothing else."""

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
    """The page in the file ``name`` and its headers."""
    page = (_UI / name).read_text(encoding="utf-8")
    return page, {
        "Content-Security-Policy": content_security_policy(page),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-cache",
    }


_SEARCH, _DOCS = _served("index.html"), _served("docs.html")


@router.get("/")
async def page() -> Response:
    """The search page: one file with its style and script inside."""
    return Response(_SEARCH[0], headers=_SEARCH[1], media_type="text/html")


@router.get("/docs")
async def docs() -> Response:
    """The routes with their fields, from the OpenAPI document; nothing comes from another host."""
    return Response(_DOCS[0], headers=_DOCS[1], media_type="text/html")
