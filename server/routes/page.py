"""``GET /``: the search page."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

from fastapi import APIRouter, Response

router = APIRouter(include_in_schema=False)

_PAGE = (Path(__file__).parents[1] / "ui" / "index.html").read_text(encoding="utf-8")


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


_HEADERS = {
    "Content-Security-Policy": content_security_policy(_PAGE),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


@router.get("/")
async def page() -> Response:
    """The search page: one file with its style and script inside."""
    return Response(_PAGE, headers=_HEADERS, media_type="text/html")
