"""``GET /``: the search page, and under ``/ui`` its files; ``GET /docs``: the routes; the icon."""

from __future__ import annotations

import base64
import gzip
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException

router = APIRouter(include_in_schema=False)
# Which may be closed.
reference = APIRouter(include_in_schema=False)

_UI = Path(__file__).parents[1] / "ui"
_KINDS = {".css": "text/css", ".js": "text/javascript"}
_SAFE = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
_YEAR = 31_536_000  # seconds


def content_security_policy(page: str) -> str:
    """Return the policy that lets ``page`` load and call this server alone.

    Scripts and styles that stand in it are let through by their hashes. No script can make markup of text.
    """

    def sources(tag: str) -> str:
        bodies = re.findall(rf"<{tag}[^>]*>(.+?)</{tag}>", page, re.DOTALL)
        digests = (hashlib.sha256(body.encode()).digest() for body in bodies)
        hashes = [f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests]
        return " ".join(hashes or ["'self'"])

    return (
        f"default-src 'none'; style-src {sources('style')}; script-src {sources('script')}; "
        "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )


@dataclass(frozen=True)
class _File:
    """A file of the pages as it is sent."""

    body: bytes
    packed: bytes
    kind: str

    def reply(self, request: Request, headers: dict[str, str]) -> Response:
        """Return it, compressed where ``request`` takes that."""
        headers = {**_SAFE, "Vary": "Accept-Encoding", **headers}
        if re.search(
            r"\bgzip\b(?!\s*;\s*q=0(\.0*)?\s*(,|$))", request.headers.get("accept-encoding", "")
        ):
            headers["Content-Encoding"] = "gzip"
            return Response(self.packed, headers=headers, media_type=self.kind)
        return Response(self.body, headers=headers, media_type=self.kind)


def _file(body: str, kind: str) -> _File:
    encoded = body.encode()
    return _File(encoded, gzip.compress(encoded, mtime=0), kind)


def _page(text: str) -> tuple[_File, dict[str, str]]:
    """Return a page, and its headers."""
    policy = content_security_policy(text)
    return _file(text, "text/html"), {
        "Content-Security-Policy": policy, "Cache-Control": "no-cache",
    }  # fmt: skip


def _read(name: str) -> str:
    return (_UI / name).read_text(encoding="utf-8")


_PARTS = {
    path.name: _file(_read(path.name), _KINDS[path.suffix])
    for path in sorted(_UI.iterdir())
    if path.suffix in _KINDS
}
# In the addresses of the page's files, so that a browser keeps them until they change.
_VERSION = hashlib.sha256(b"".join(part.body for part in _PARTS.values())).hexdigest()[:12]
_HTML = _read("index.html")
_SEARCH = _page(_HTML.replace('"ui/', f'"ui/{_VERSION}/'))
_DOCS = _page(_read("docs.html"))


def _icon(page: str) -> str:
    """Return the SVG that ``page`` has as its icon in a ``data:`` address."""
    _, _, rest = page.partition('<link rel="icon" href="data:image/svg+xml,')
    return unquote(rest.partition('"')[0])


_ICON = _icon(_HTML)


@router.get("/")
async def page(request: Request) -> Response:
    """Return the search page."""
    return _SEARCH[0].reply(request, _SEARCH[1])


@router.get("/ui/{version}/{name}")
async def part(version: str, name: str, request: Request) -> Response:
    """Return a script or the style of the search page; of another version, what there is now."""
    found = _PARTS.get(name)
    if found is None:
        raise HTTPException(404)
    kept = f"max-age={_YEAR}, immutable" if version == _VERSION else "no-cache"
    return found.reply(request, {"Cache-Control": kept})


@reference.get("/docs")
async def docs(request: Request) -> Response:
    """Return the page that shows the routes and their fields; it loads nothing from other hosts."""
    return _DOCS[0].reply(request, _DOCS[1])


@router.get("/favicon.ico")
async def favicon() -> Response:
    """Return the icon; browsers ask for it here when they show a reply that is no page, such as JSON."""
    return Response(_ICON, headers={"Cache-Control": "max-age=86400"}, media_type="image/svg+xml")


@reference.get("/openapi.json")
async def openapi(request: Request) -> dict[str, Any]:
    """Return the OpenAPI document; its server is the address that the request was sent to."""
    address = str(request.base_url).rstrip("/")
    return {**request.app.openapi(), "servers": [{"url": address}]}
