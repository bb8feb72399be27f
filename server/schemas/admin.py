"""Schemas of the routes that change what is served."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from lurcher.retrieval.filters import Text
from lurcher.server.schemas.body import Body

_PATH = "The bundle's folder, below a folder of the setting `admin_folders`; a relative path is one in them."


class LoadRequest(Body):
    """A bundle to serve, and under which name."""

    name: Annotated[Text, Field(description="What to call it: letters, digits, `_` and `-`.")]
    path: Annotated[Text, Field(min_length=1, description=_PATH)]


class SwapRequest(Body):
    """Another bundle for a collection."""

    path: Annotated[Text, Field(min_length=1, description=_PATH)]


class AliasRequest(Body):
    """What an alias is to be another name of."""

    collection: Annotated[Text, Field(description="The collection's own name.")]
