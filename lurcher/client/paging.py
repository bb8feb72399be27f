"""Steps of looking at passages without a search: one by its id, a page of all of them, counts of values."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from lurcher.client.replies import facets as facets_of
from lurcher.client.replies import stored_passage, stored_passages
from lurcher.client.steps import Request, Steps

if TYPE_CHECKING:
    from lurcher.bundle.facets import Facet
    from lurcher.bundle.passages import Passage

PAGE = 200


def get(id_: str) -> Steps[Passage]:
    """Return the passage with that id."""
    return stored_passage((yield Request(f"/v1/passages/{quote(id_, safe='')}")))


def page(
    filter_: Mapping[str, Any] | str | None, cursor: str | None
) -> Steps[tuple[list[Passage], str | None]]:
    """Return the passages after ``cursor``, and where the next ones begin; None at the end."""
    parameters = [("limit", str(PAGE))]
    parameters += _filter(filter_)
    if cursor is not None:
        parameters.append(("cursor", cursor))
    return stored_passages((yield Request("/v1/passages", parameters=tuple(parameters))))


def facets(
    fields: Sequence[str], filter_: Mapping[str, Any] | str | None, limit: int
) -> Steps[dict[str, Facet]]:
    """Return the facet of each of ``fields``."""
    parameters = [("limit", str(limit)), *(("field", one) for one in fields), *_filter(filter_)]
    return facets_of((yield Request("/v1/facets", parameters=tuple(parameters))))


def _filter(given: Mapping[str, Any] | str | None) -> list[tuple[str, str]]:
    if given is None:
        return []
    return [("filter", given if isinstance(given, str) else json.dumps(given, ensure_ascii=False))]
