"""The documentation names every route, field, setting, metric, verb, flag and error status.

What there is is walked, from the command line and the application: nothing here lists any of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.routing import Route

from lurcher.server.app import create_app
from lurcher.server.metrics import Metrics
from lurcher.server.settings import Settings, load_settings
from tests.verbs import VERBS, flags

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
# What the documentation's site has: docs/site.py.
_EVERY = ("*.md", "docs/**/*.md", "models/**/*.md")
EVERY_PAGE = sorted({page for pattern in _EVERY for page in ROOT.glob(pattern)})
APP = create_app(load_settings(None, {"bundle": "b"}))
OPENAPI = APP.openapi()


@pytest.fixture(scope="module")
def docs() -> str:
    return "\n".join(page.read_text(encoding="utf-8") for page in PAGES)


OF_COLLECTION = "/v1/collections/{collection}"


def walk_routes(routes: Iterable[Any], prefix: str = "") -> Iterator[tuple[str, Route]]:
    """Each route and its path, of included routers, too, which newer FastAPI keeps as they are."""
    for route in routes:
        if isinstance(route, Route):
            yield f"{prefix}{route.path_format}", route
        else:
            below = f"{prefix}{route.include_context.prefix}"
            yield from walk_routes(route.original_router.routes, below)


def routes() -> list[tuple[str, str]]:
    """Method and path of each as OpenAPI has it, those of people and of scrapers included."""
    found = walk_routes(APP.routes)
    return sorted({(m, path) for path, r in found for m in (r.methods or set()) - {"HEAD"}})


def own_routes() -> list[tuple[str, str]]:
    """Those that are not another's once more, below a collection's name."""
    return [one for one in routes() if not one[1].startswith(f"{OF_COLLECTION}/")]


def fields() -> list[str]:
    """Of all that is asked and answered."""
    schemas = OPENAPI["components"]["schemas"].values()
    return sorted({name for schema in schemas for name in schema.get("properties", {})})


def metrics() -> list[str]:
    return re.findall(
        r"^# TYPE (\w+?)(?:_total|_created)? ", Metrics().render().decode(), re.MULTILINE
    )


def statuses() -> list[str]:
    """Of errors: those that routes declare, and those of no route and of a wrong method."""
    declared = {
        status
        for path in OPENAPI["paths"].values()
        for operation in path.values()
        for status in operation["responses"]
    }
    return sorted({"404", "405"} | {status for status in declared if status >= "400"})


def test_what_is_walked_is_found() -> None:
    assert {"build", "serve", "train ranker"} <= set(VERBS)
    assert ("serve", "--host") in flags()
    assert ("train ranker", "--steps") in flags()
    described = {(m.upper(), path) for path, of in OPENAPI["paths"].items() for m in of}
    assert described | {("GET", "/"), ("GET", "/metrics"), ("GET", "/docs")} <= set(routes())
    assert {"query", "hits", "score", "detail"} <= set(fields())
    assert {"lurcher_requests", "lurcher_request_seconds", "lurcher_passages"} <= set(metrics())
    assert {"404", "422", "503"} <= set(statuses())


@pytest.mark.parametrize("route", own_routes(), ids=" ".join)
def test_route_is_documented(docs: str, route: tuple[str, str]) -> None:
    assert re.search(rf"`({route[0]} )?{re.escape(route[1])}`", docs)


def test_routes_of_a_collection_are_those_of_the_default(docs: str) -> None:
    below = {(m, p.removeprefix(OF_COLLECTION)) for m, p in routes() if p.startswith(OF_COLLECTION)}
    assert ("POST", "/search") in below
    assert below <= {(m, p.removeprefix("/v1")) for m, p in own_routes()}
    assert f"`{OF_COLLECTION}/" in docs


@pytest.mark.parametrize("field", fields())
def test_field_is_documented(docs: str, field: str) -> None:
    assert re.search(rf"[`\"]{field}[`\"]", docs)


@pytest.mark.parametrize("name", Settings.model_fields)
def test_setting_is_documented_as_it_describes_itself(docs: str, name: str) -> None:
    row = rf"^\| `{name}` \| `LURCHER_{name.upper()}` \| .* \| (.*) \|$"
    assert re.findall(row, docs, re.MULTILINE) == [Settings.model_fields[name].description]


@pytest.mark.parametrize("name", metrics())
def test_metric_is_documented(docs: str, name: str) -> None:
    assert re.search(rf"`{name}(_total)?[`{{]", docs)


@pytest.mark.parametrize("verb", VERBS)
def test_verb_is_documented(docs: str, verb: str) -> None:
    assert f"`lurcher {verb}" in docs


@pytest.mark.parametrize(("verb", "flag"), flags())
def test_flag_is_documented(docs: str, verb: str, flag: str) -> None:
    if verb == "serve" and flag != "--config":  # the setting of that name is documented
        assert f"`{flag.removeprefix('--').replace('-', '_')}`" in docs
    else:
        assert re.search(rf"`{flag}\b", docs)


@pytest.mark.parametrize("status", statuses())
def test_error_status_is_documented(docs: str, status: str) -> None:
    assert re.search(rf"^\| [\d, ]*\b{status}\b", docs, re.MULTILINE)


@pytest.mark.parametrize("page", EVERY_PAGE, ids=lambda page: str(page.relative_to(ROOT)))
def test_page_links_only_to_files_that_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    links = {ROOT / page.parent / one for one in re.findall(r"\]\((?!https?:|#)([^)#]+)", text)}
    assert [str(file) for file in sorted(links) if not file.exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_page_names_only_modules_that_exist(page: Path) -> None:
    named = re.findall(r"`((?:retrieval|server|bundle)/[\w/.]+)`", page.read_text(encoding="utf-8"))
    assert [one for one in named if not (ROOT / one).exists()] == []


def anchors(page: Path) -> set[str]:
    """What can follow ``#`` in a link to ``page``: its headings, as GitHub writes them, and its marks."""
    found: dict[str, int] = {}
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    marks = set(re.findall(r'<a id="([^"]+)">', text))
    for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE):
        shown = re.sub(r"\[(.*?)\]\(.*?\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", shown).replace(" ", "-")
        found[slug] = found.get(slug, -1) + 1
    return marks | {
        f"{slug}-{n}" if n else slug for slug, most in found.items() for n in range(most + 1)
    }


@pytest.mark.parametrize("page", EVERY_PAGE, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_headings_that_exist(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#\s]*)#([^)\s]+)\)", page.read_text(encoding="utf-8"))
    dead = [
        f"{file}#{anchor}"
        for file, anchor in links
        if anchor not in anchors(page.parent / file if file else page)
    ]
    assert dead == []
