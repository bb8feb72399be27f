"""Writes as they are asked for, checked against the bundle and resolved to what they do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from hashlib import blake2b
from typing import Any

import numpy as np

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.filter_fields import FilterFields
from lurcher.bundle.passages import Condition, Passage
from lurcher.errors import FieldError, VersionConflict
from lurcher.index_builder.corpus.document import Document
from lurcher.index_builder.corpus.passage import BadRecord, check_metadata
from lurcher.index_builder.edit.changes import Change, Mark, written_passage
from lurcher.index_builder.split import Splitter

ANY = "*"  # a version that every passage has
_READ_AT_ONCE = 10_000
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Sender:
    """Who asks, with which key of idempotency and a digest of what; ``key`` "" for none."""

    client: str = ""
    key: str = ""
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Upsert:
    """Add ``documents``, or replace those of their ids with all passages, if they are of ``versions``.

    ``check_kinds`` refuses a text in a field of metadata that holds numbers, and the reverse; builds do not.
    ``keep_feedback``: what was judged of a passage counts on where its text is another now.
    """

    documents: tuple[Document, ...]
    versions: Mapping[str, str] = field(default_factory=dict)
    sender: Sender = Sender()
    check_kinds: bool = False
    keep_feedback: bool = False


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete passages and documents by ``ids``, or passages that meet all ``conditions``.

    ``confirm`` lets a filter delete everything. ``dry_run`` only counts.
    """

    ids: tuple[str, ...] = ()
    conditions: tuple[Condition, ...] | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    confirm: bool = False
    dry_run: bool = False
    sender: Sender = Sender()


@dataclass(frozen=True, slots=True)
class Patch:
    """Merge ``metadata`` into that of passages and documents, by id; None takes a field away."""

    metadata: Mapping[str, Mapping[str, Any]]
    versions: Mapping[str, str] = field(default_factory=dict)
    sender: Sender = Sender()
    check_kinds: bool = False


Request = Upsert | Delete | Patch


def names_of(request: Request) -> set[str] | None:
    """The ids that ``request`` names; None if it is about all passages of some kind."""
    match request:
        case Upsert():
            return {document.id for document in request.documents}
        case Delete():
            return None if request.conditions is not None else set(request.ids)
        case Patch():
            return set(request.metadata)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a write did; ``sequence`` is its place in the order of all writes.

    upserted   documents that are new or changed
    unchanged  documents that are as they were
    added, removed, patched   passages
    unknown    ids that were to be deleted and are not there
    """

    sequence: int = 0
    upserted: int = 0
    unchanged: int = 0
    added: int = 0
    removed: int = 0
    patched: int = 0
    unknown: tuple[str, ...] = ()

    def json(self) -> dict[str, Any]:
        """It as JSON."""
        return {name: value for name, value in asdict(self).items() if value}

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> Receipt:
        """What ``json`` gave."""
        return cls(**{**found, "unknown": tuple(found.get("unknown", ()))})


def version_of(passages: Sequence[Passage]) -> str:
    """16 hex digits that change with anything of a passage, or of a document's passages."""
    digest = blake2b(digest_size=8)
    for passage in passages:
        digest.update(written_passage(passage))
    return digest.hexdigest()


def resolve(
    request: Request, bundle: Bundle, splitter: Splitter | None, now: float
) -> tuple[Change, Receipt]:
    """What ``request`` does to ``bundle``, and its receipt, without a number. Nothing is changed.

    ``now`` is in seconds since 1970, UTC. Raises FieldError for an id twice, or one of another document;
    VersionConflict.
    """
    match request:
        case Upsert():
            return _upsert(request, bundle, splitter, now)
        case Delete():
            return _delete(request, bundle)
        case Patch():
            return _patch(request, bundle)


def _upsert(
    request: Upsert, bundle: Bundle, splitter: Splitter | None, now: float
) -> tuple[Change, Receipt]:
    documents = request.documents
    check_once(documents)
    if splitter is None:
        raise FieldError("records", _NO_SPLITTER)
    split = splitter.split(documents)
    before = _stored(bundle, [document.id for document in documents])
    _check_versions(request.versions, before)
    _check_owners(documents, split, bundle)
    if request.check_kinds:
        _check_kinds(bundle, [document.metadata for document in documents])
    removed: list[str] = []
    passages: list[Passage] = []
    sources: list[bytes | None] = []
    since: list[float | None] = []
    unchanged = 0
    for document, own in zip(documents, split, strict=True):
        old = before.get(document.id, [])
        if old == own:
            unchanged += 1
            continue
        removed += [one.id for one in old]
        passages += own
        sources += [document.source(len(own))] * len(own)
        had = {one.id: one.content for one in old}
        stays = [
            one.id in had and (request.keep_feedback or had[one.id] == one.content) for one in own
        ]
        since += [None if same else now for same in stays]
    receipt = Receipt(
        upserted=len(documents) - unchanged, unchanged=unchanged, added=len(passages),
        removed=len(removed),
    )  # fmt: skip
    change = Change("upsert", tuple(removed), tuple(passages), tuple(sources), tuple(since))
    return change, receipt


def check_once(documents: Sequence[Document]) -> None:
    """Raise FieldError if two of ``documents`` have one id."""
    places: dict[str, int] = {}
    for place, document in enumerate(documents):
        first = places.setdefault(document.id, place)
        if first != place:
            reason = f"{document.id!r} is that of records.{first}; an id may be there once"
            raise FieldError(f"records.{place}.id", reason)


_NO_SPLITTER = "what split this bundle's documents is not in it"


def _delete(request: Delete, bundle: Bundle) -> tuple[Change, Receipt]:
    if request.conditions is not None:
        rows = bundle.passages.rows(request.conditions)
        check_confirmed(request, len(rows), bundle.rows.passages)
        ids: list[str] = []
        for first in range(0, len(rows), _READ_AT_ONCE):
            ids += [
                one.id for one in bundle.passages.get(rows[first : first + _READ_AT_ONCE].tolist())
            ]
        return Change("delete", tuple(ids)), Receipt(removed=len(ids))
    asked = list(dict.fromkeys(request.ids))
    found = _named(bundle, asked)
    if request.versions:
        _check_versions(
            request.versions, {id_: found[id_] for id_ in request.versions if id_ in found}
        )
    removed = list(dict.fromkeys(one.id for some in found.values() for one in some))
    unknown = tuple(id_ for id_ in asked if id_ not in found)
    return Change("delete", tuple(removed)), Receipt(removed=len(removed), unknown=unknown)


def check_confirmed(request: Delete, removed: int, passages: int) -> None:
    """Raise FieldError if ``request`` deletes all ``passages`` that there are and does not confirm that."""
    if removed and removed == passages and not request.confirm:
        reason = f"this deletes all {removed:,} passages; give confirm: true if that is meant"
        raise FieldError("confirm", reason)


def _patch(request: Patch, bundle: Bundle) -> tuple[Change, Receipt]:
    for number, merged in enumerate(request.metadata.values()):
        try:
            check_metadata(dict(merged))
        except BadRecord as error:
            raise FieldError(f"records.{number}", str(error)) from error
    found = _named(bundle, list(request.metadata))
    _check_versions(request.versions, found)
    for number, id_ in enumerate(request.metadata):
        if id_ not in found:
            raise FieldError(f"records.{number}.id", f"no passage or document has the id {id_!r}")
    if request.check_kinds:
        _check_kinds(bundle, [dict(merged) for merged in request.metadata.values()])
    metadata: dict[str, dict[str, Any]] = {}
    for id_, merged in request.metadata.items():
        for passage in found[id_]:
            values = {**metadata.get(passage.id, passage.metadata), **merged}
            kept = {
                name: value
                for name, value in values.items()
                if value is not None or name not in merged
            }
            if kept != passage.metadata:
                metadata[passage.id] = kept
    return Change("patch", metadata=tuple(metadata.items())), Receipt(patched=len(metadata))


def _named(bundle: Bundle, ids: Sequence[str]) -> dict[str, list[Passage]]:
    """The passages of each of ``ids``, of passages or of documents that were split; others are left out."""
    found = {id_: [one] for id_, one in stored_passages(bundle, ids).items()}
    rest = [id_ for id_ in ids if id_ not in found]
    for document, parts in bundle.passages.parts(rest).items() if rest else ():
        own = stored_passages(bundle, parts).values()
        # Their rows may be in another order: one that was patched lies in a later segment.
        found[document] = sorted(own, key=lambda one: (one.start, one.end))
    return found


def _stored(bundle: Bundle, documents: Sequence[str]) -> dict[str, list[Passage]]:
    """The passages of each of ``documents`` that the bundle has, in the order of its text."""
    found = _named(bundle, documents)
    # A passage of that id, of another document, is not the document; ``_check_owners`` refuses it.
    return {id_: own for id_, own in found.items() if own[0].document == id_}


def stored_passages(bundle: Bundle, ids: Sequence[str]) -> dict[str, Passage]:
    """Those of ``ids`` that are passages of ``bundle``."""
    rows = bundle.passages.rows_of(ids)
    passages = bundle.passages.get(list(rows.values()))
    return dict(zip(rows, passages, strict=True))


def _check_versions(versions: Mapping[str, str], found: Mapping[str, list[Passage]]) -> None:
    """Raise VersionConflict where what was ``found`` is not of the version that was expected."""
    for id_, expected in versions.items():
        has = version_of(found[id_]) if id_ in found else ""
        if has != expected and not (has and expected == ANY):
            raise VersionConflict(id_, expected, has)


def _check_kinds(bundle: Bundle, metadata: Sequence[dict[str, Any]]) -> None:
    """Raise FieldError where a value is of another kind than all that its field holds."""
    fields = FilterFields.joined([one.passages.filter_fields for one in bundle.segments])
    for place, values in enumerate(metadata):
        if found := fields.misfit(values):
            raise FieldError(f"records.{place}.metadata.{found[0]}", found[1])


def _check_owners(
    documents: Sequence[Document], split: Sequence[Sequence[Passage]], bundle: Bundle
) -> None:
    """Raise FieldError where an id of a document or a passage of it belongs to another document."""
    owners: dict[str, str] = {}
    wanted: dict[str, int] = {}
    for place, (document, passages) in enumerate(zip(documents, split, strict=True)):
        for id_ in {document.id, *(one.id for one in passages)}:
            if owners.setdefault(id_, document.id) != document.id:
                raise _taken(place, document.id, id_, owners[id_])
            wanted[id_] = place
    rows = bundle.passages.rows_of(list(wanted))
    of = bundle.passages.documents(np.array(list(rows.values()), np.int64)) if rows else []
    for id_, owner in zip(rows, of, strict=True):
        if owner != owners[id_]:
            raise _taken(wanted[id_], owners[id_], id_, owner)
    for id_ in bundle.passages.parts([id_ for id_ in wanted if id_ != owners[id_]]):
        raise _taken(wanted[id_], owners[id_], id_, id_)


def _taken(place: int, document: str, id_: str, owner: str) -> FieldError:
    if document == id_:
        reason = f"{id_!r} is that of a passage of {owner!r}; ids must be unique"
    else:
        reason = (
            f"{document!r} has a passage {id_!r}, which is an id of {owner!r}; ids must be unique"
        )
    return FieldError(f"records.{place}.id", reason)


def marked(change: Change, sender: Sender, receipt: Receipt) -> Change:
    """``change`` with what answers a repetition, where it has a key."""
    if not sender.key:
        return change
    return replace(change, mark=Mark(sender.client, sender.key, sender.digest, receipt.json()))
