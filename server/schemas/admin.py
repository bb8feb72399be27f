"""Schemas of the routes that change what is served."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from lurcher.retrieval.filters import Text
from lurcher.server.schemas.body import Body
from lurcher.server.schemas.collections import CollectionReply, CollectionsReply

_PATH = "The bundle's folder, below a folder of the setting `admin_folders`; a relative path is one in them."


_KEPT = "Whether a restart keeps it: with the setting `collections`, if its folder can be written."


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


class ChangedReply(CollectionReply):
    """A collection as it is now."""

    kept: bool = Field(description=_KEPT)


class LeftReply(CollectionsReply):
    """The collections that there are now."""

    kept: bool = Field(description=_KEPT)
