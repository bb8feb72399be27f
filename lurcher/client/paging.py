"""Steps of looking at passages without a search: one by its id, or a page of all of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from lurcher.client.replies import stored_passage, stored_passages
from lurcher.client.steps import Request, Steps

if TYPE_CHECKING:
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
    if filter_ is not None:
        written = filter_ if isinstance(filter_, str) else json.dumps(filter_, ensure_ascii=False)
        parameters.append(("filter", written))
    if cursor is not None:
        parameters.append(("cursor", cursor))
    return stored_passages((yield Request("/v1/passages", parameters=tuple(parameters))))
