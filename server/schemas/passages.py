"""Schemas of passages: writing, deleting, changing and listing them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from lurcher.retrieval.filters import Filter, Text
from lurcher.server.schemas.body import Body

Id = Annotated[Text, Field(min_length=1)]
Version = Annotated[
    Text | None,
    Field(
        description="Write only if the document or passage is of this version, `*`: of any; else 409."
    ),
]
Wait = Annotated[
    Literal["visible", "durable"],
    Field(
        description="Reply when searches know the write, or as soon as it is on the disk and cannot be lost."
    ),
]


class NewRecord(Body):
    """A document, as a corpus has it."""

    id: Id
    text: Annotated[
        Text | None, Field(description="It is cut into passages as the bundle's build cut others.")
    ] = None
    passages: Annotated[
        list[Any] | None,
        Field(
            description="Passages that are kept as they are, in the place of `text`: strings, or objects "
            "with `text`, `title` and `section`."
        ),
    ] = None
    title: Text | None = None
    metadata: dict[str, Any] = {}  # noqa: RUF012 (pydantic copies it)
    version: Version = None


class PutRequest(Body):
    """Documents to add, or to replace with all of their passages."""

    records: Annotated[list[NewRecord], Field(min_length=1)]
    keep_feedback: Annotated[
        bool,
        Field(
            description="Let feedback and known queries count on for passages whose text is another now."
        ),
    ] = False
    wait: Wait = "visible"


class DeleteRequest(Body):
    """Which passages to delete: exactly one of `ids` and `filter`."""

    ids: Annotated[
        list[Id] | None,
        Field(min_length=1, description="Of passages, or of documents with all of their passages."),
    ] = None
    filter: Annotated[
        Filter | None, Field(description="Conditions on metadata, as in a search.")
    ] = None
    versions: Annotated[
        dict[Text, Text] | None,
        Field(description="Ids and the versions they must have; else nothing is deleted (409)."),
    ] = None
    confirm: Annotated[
        bool, Field(description="Let a filter that all passages meet delete them all.")
    ] = False
    dry_run: Annotated[bool, Field(description="Only count what would be deleted.")] = False
    wait: Wait = "visible"


class MetadataPatch(Body):
    """What to change of a passage's or document's metadata."""

    id: Id
    metadata: Annotated[
        dict[str, Any],
        Field(
            description="Fields to set; one that is null is taken away, others stay as they are."
        ),
    ]
    version: Version = None


class PatchRequest(Body):
    """Metadata to change; texts stay, and nothing is encoded again."""

    records: Annotated[list[MetadataPatch], Field(min_length=1)]
    wait: Wait = "visible"


class WriteReply(BaseModel):
    """What a write did."""

    sequence: int = Field(
        description="Its place in the order of all writes; a search may ask for it as `min_sequence`."
    )
    upserted: int = Field(description="Documents that are new or changed.")
    unchanged: int = Field(description="Documents that are as they were.")
    added: int = Field(description="Passages that are new.")
    removed: int = Field(description="Passages that are gone.")
    patched: int = Field(description="Passages whose metadata changed.")
    unknown: list[str] = Field(description="Ids to delete that nothing has.")
    bundle: str


class StoredPassage(BaseModel):
    """A passage as it is stored."""

    id: str
    document: str
    title: str
    section: list[str]
    text: str
    metadata: dict[str, Any]
    start: int
    end: int
    anchor: str = ""
    url: str = ""
    version: str = Field(description="Changes with anything of the passage; also the header ETag.")


class PassageList(BaseModel):
    """Some passages, in the order of their ids."""

    passages: list[StoredPassage]
    cursor: str | None = Field(description="Where the next ones begin; null at the end.")
    bundle: str


class ListQuery(BaseModel):
    """Which passages to list."""

    model_config = ConfigDict(extra="forbid")

    filter: Annotated[
        Text | None, Field(description="Conditions on metadata, as in a search, as JSON.")
    ] = None
    limit: Annotated[int, Field(ge=1, le=1_000)] = 100
    cursor: Annotated[Text | None, Field(description="What the last reply gave.")] = None
