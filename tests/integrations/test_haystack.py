"""Haystack's retriever, alone, in a pipeline, and stored."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

import lurcher
from lurcher.errors import FieldError
from tests.integrations.frameworks import OPTIONS, QUERY, wanted

pytest.importorskip("haystack", reason="the extra [haystack] is not installed")

from haystack import Pipeline
from haystack.core.errors import DeserializationError
from haystack.utils import Secret

from lurcher.integrations.haystack import LurcherRetriever, lurcher_filter


def test_documents_are_the_hits_with_what_a_citation_needs(here: lurcher.Collection) -> None:
    found = LurcherRetriever(here, top_k=3, options=OPTIONS).run(QUERY)["documents"]
    hits = here.search(QUERY, 3, filter={"lang": "en"}).hits
    assert [(one.id, one.content, one.score) for one in found] == [
        (hit.id, hit.text, hit.score) for hit in hits
    ]
    assert [one.meta for one in found] == [wanted(hit) for hit in hits]


def test_pipeline_over_http_can_be_stored(
    here: lurcher.Collection, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_KEY", "any")
    pipeline = Pipeline()
    key = Secret.from_env_var("A_KEY")
    pipeline.add_component("found", LurcherRetriever(url, top_k=2, api_key=key))
    with pytest.raises(
        DeserializationError, match="allowlist"
    ):  # Haystack asks before it imports ours
        Pipeline.loads(pipeline.dumps())
    again = Pipeline.loads(pipeline.dumps(), allowed_modules=["lurcher.integrations.haystack"])
    filters = {"field": "meta.lang", "operator": "==", "value": "fr"}
    documents = again.run({"found": {"query": QUERY, "filters": filters}})["found"]["documents"]
    assert [one.id for one in documents] == [
        hit.id for hit in here.search(QUERY, 2, filter={"lang": "fr"}).hits
    ]
    again.get_component("found")._calls.client.close()
    with pytest.raises(FieldError, match="cannot be stored"):
        LurcherRetriever(here).to_dict()


def test_event_loop_is_not_held_up(here: lurcher.Collection, url: str, small_bundle: Path) -> None:
    async def ask() -> list[list[str]]:
        async with lurcher.AsyncClient(url) as awaited:
            by_loop = await LurcherRetriever(async_client=awaited).run_async(QUERY, top_k=2)
        by_path = LurcherRetriever(str(small_bundle))
        by_thread = await by_path.run_async(QUERY, top_k=2)
        assert by_path._calls is not None
        by_path._calls.client.close()
        return [[one.id for one in found["documents"]] for found in (by_loop, by_thread)]

    ids = [hit.id for hit in here.search(QUERY, 2).hits]
    assert asyncio.run(ask()) == [ids, ids]


def one(field: str, operator: str, value: Any) -> dict[str, Any]:
    return {"field": field, "operator": operator, "value": value}


@pytest.mark.parametrize(
    ("filters", "conditions"),
    [
        (one("meta.lang", "==", "en"), {"lang": "en"}),
        (one("lang", "in", ["en", "de"]), {"lang": {"in": ["en", "de"]}}),
        (
            {"operator": "AND", "conditions": [
                one("meta.year", ">=", 2000), one("meta.year", "<", 2010), one("meta.flag", "==", True),
            ]},
            {"year": {"gte": 2000, "lt": 2010}, "flag": True},
        ),
    ],
)  # fmt: skip
def test_filters_become_conditions(filters: dict[str, Any], conditions: dict[str, Any]) -> None:
    assert lurcher_filter(filters) == conditions


@pytest.mark.parametrize(
    ("filters", "says"),
    [
        (one("lang", "!=", "en"), "operator '!='"),
        ({"operator": "OR", "conditions": [one("lang", "==", "en")]}, "operator 'OR'"),
        ({"lang": "en"}, "operator None"),
        ({"operator": "AND", "conditions": [one("a", "==", 1), one("a", "==", 2)]}, "'a' has two"),
        ({"operator": "AND", "conditions": [one("a", ">", 1), one("a", ">", 2)]}, "'a' has two"),
    ],
)
def test_filters_that_no_search_has_are_refused(filters: dict[str, Any], says: str) -> None:
    with pytest.raises(FieldError, match="filters: ") as caught:
        lurcher_filter(filters)
    assert says in str(caught.value)
