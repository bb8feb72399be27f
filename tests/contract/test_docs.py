"""The documentation names every route, field, setting, metric, verb, flag and error status."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, cast

import pytest
import typer.main
from fastapi.routing import APIRoute

import lurcher.cli
from lurcher.server.app import create_app
from lurcher.server.errors import _TABLE
from lurcher.server.metrics import Metrics
from lurcher.server.schemas import answer, feedback, problems, rerank, search
from lurcher.server.settings import Settings, load_settings

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.fixture(scope="module")
def docs() -> str:
    return "\n".join(page.read_text(encoding="utf-8") for page in PAGES)


def verbs() -> dict[str, Any]:
    """Each command by its verb."""
    return dict(cast(Any, typer.main.get_command(lurcher.cli.app)).commands)


def flags() -> list[tuple[str, str]]:
    """Each flag with its verb; of a pair such as --int8/--no-int8 the first."""
    return [
        (verb, max(parameter.opts, key=len))
        for verb, command in verbs().items()
        for parameter in command.params
        if parameter.param_type_name == "option" and parameter.name != "help"
    ]


def routes() -> list[tuple[str, str]]:
    document = create_app(load_settings(None, {"bundle": "b"})).openapi()
    listed = [(m.upper(), path) for path, methods in document["paths"].items() for m in methods]
    return [*listed, ("GET", "/"), ("GET", "/docs"), ("GET", "/openapi.json"), ("GET", "/metrics")]


def fields() -> list[str]:
    models = (search.SearchRequest, search.BatchRequest, search.SearchReply, search.Hit,
              search.Timings, search.BatchReply, problems.Problem, feedback.FeedbackRequest,
              feedback.FeedbackPair, feedback.FeedbackReply, feedback.RefusedPair,
              feedback.RemovalQuery, feedback.RemovalReply, feedback.FeedbackCounts,
              search.Scores, search.TokenMatch, rerank.RerankRequest, rerank.RerankReply,
              rerank.RerankResult, rerank.RerankMeta, answer.AnswerRequest, answer.AnswerReply,
              answer.FoundAnswer, answer.AnswerTimings)  # fmt: skip
    return sorted({name for model in models for name in model.model_fields})


@pytest.mark.parametrize("route", routes(), ids=" ".join)
def test_route_is_documented(docs: str, route: tuple[str, str]) -> None:
    assert re.search(rf"`({route[0]} )?{re.escape(route[1])}`", docs)


def test_every_route_of_the_application_is_checked() -> None:
    app = create_app(load_settings(None, {"bundle": "b"}))
    found = {r.path for r in app.routes if isinstance(r, APIRoute) and r.include_in_schema}
    assert found <= {path for _, path in routes()}


@pytest.mark.parametrize("field", fields())
def test_field_is_documented(docs: str, field: str) -> None:
    assert re.search(rf"[`\"]{field}[`\"]", docs)


@pytest.mark.parametrize("name", Settings.model_fields)
def test_setting_is_documented_as_it_describes_itself(docs: str, name: str) -> None:
    row = rf"^\| `{name}` \| `LURCHER_{name.upper()}` \| .* \| (.*) \|$"
    assert re.findall(row, docs, re.MULTILINE) == [Settings.model_fields[name].description]


@pytest.mark.parametrize("name", [m.name for m in Metrics()._registry.collect()])
def test_metric_is_documented(docs: str, name: str) -> None:
    assert re.search(rf"`{name}(_total)?[`{{]", docs)


@pytest.mark.parametrize("verb", list(verbs()))
def test_verb_is_documented(docs: str, verb: str) -> None:
    assert f"`lurcher {verb}" in docs


@pytest.mark.parametrize(("verb", "flag"), flags())
def test_flag_is_documented(docs: str, verb: str, flag: str) -> None:
    if verb == "serve" and flag != "--config":  # the setting of that name is documented
        assert f"`{flag.removeprefix('--').replace('-', '_')}`" in docs
    else:
        assert re.search(rf"`{flag}\b", docs)


@pytest.mark.parametrize("status", sorted({400, 404, 405, 413, *(s for s, _ in _TABLE.values())}))
def test_error_status_is_documented(docs: str, status: int) -> None:
    assert re.search(rf"^\| [\d, ]*\b{status}\b", docs, re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_page_names_only_files_that_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    links = {ROOT / page.parent / one for one in re.findall(r"\]\((?!https?:|#)([^)#]+)", text)}
    modules = {ROOT / one for one in re.findall(r"`((?:retrieval|server|bundle)/[\w/.]+)`", text)}
    assert [str(file) for file in sorted(links | modules) if not file.exists()] == []
