"""Schemas of the list of collections."""

from __future__ import annotations

from pydantic import BaseModel, Field


class CollectionReply(BaseModel):
    """A bundle that is served under a name."""

    name: str = Field(
        description="What stands in its routes: `/v1/collections/{collection}/search`."
    )
    default: bool = Field(description="Whether it answers requests that name no collection.")
    aliases: list[str] = Field(description="Other names that it answers to.")
    bundle: str = Field(description="The name of the bundle in service, as replies have it.")
    passages: int
    encoder: str | None = Field(description="The encoder's name; null in a bundle without vectors.")
    fingerprint: str | None = Field(
        description="The encoder's; collections of one fingerprint can be searched together."
    )


class CollectionsReply(BaseModel):
    """The collections that a key is for, the default first."""

    collections: list[CollectionReply]
