"""``GET /``: the search page; ``GET /docs``: a page that shows ``/openapi.json``."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

from fastapi import APIRouter, Response

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


@router.get("/")
async def page() -> Response:
    """Return the search page: one file that contains its style and script."""
    return Response(_SEARCH[0], headers=_SEARCH[1], media_type="text/html")


@router.get("/docs")
async def docs() -> Response:
    """Return the page that shows the routes and their fields; it loads nothing from other hosts."""
    return Response(_DOCS[0], headers=_DOCS[1], media_type="text/html")
