"""Schemas of facets: the values of metadata fields, counted."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from lurcher.retrieval.filters import Text


class FacetQuery(BaseModel):
    """What to count."""

    model_config = ConfigDict(extra="forbid")

    field: Annotated[
        list[Text],
        Field(min_length=1, max_length=16, description="Fields of metadata; may be there again."),
    ]
    filter: Annotated[
        Text | None, Field(description="Conditions on metadata, as in a search, as JSON.")
    ] = None
    limit: Annotated[int, Field(ge=1, le=1_000, description="Values of a field.")] = 10


class FacetValue(BaseModel):
    """A value, and how many passages have it."""

    value: str | bool | int | float
    count: int


class FieldFacet(BaseModel):
    """The most frequent values of a field, the most frequent first."""

    field: str
    values: list[FacetValue]
    distinct: int | None = Field(
        description="How many different values there are; null: too many to count."
    )
    passages: int | None = Field(
        description="How many passages have a value; null: too many values to count."
    )


class FacetsReply(BaseModel):
    """The facets, in the order of the request."""

    facets: list[FieldFacet]
    passages: int = Field(description="How many passages meet the filter.")
    bundle: str
