"""What a write does, resolved: which passages go and which come. As such it stands in the write-ahead log.

What was asked for may depend on the bundle as it was (a filter, a document's passages); this does not, so
that the log gives the same bundle whenever it is read.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, get_args

from lurcher.bundle.passages import Passage

Op = Literal["upsert", "delete", "patch"]

_DEFAULTS = {one.name: one.default for one in fields(Passage)} | {"metadata": {}}


@dataclass(frozen=True, slots=True)
class Mark:
    """Whose request a write was: a repetition of it is answered by the same receipt.

    digest     of what was asked
    receipt    what was answered, JSON
    """

    client: str
    key: str
    digest: str
    receipt: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Change:
    """A write, resolved.

    removed    ids of passages that go
    passages   that come, with ``sources`` of each
    since      of each of them, when its text took the place of another; None: it keeps what it had
    metadata   id and all metadata of passages that stay and get another
    """

    op: Op
    removed: tuple[str, ...] = ()
    passages: tuple[Passage, ...] = ()
    sources: tuple[bytes | None, ...] = ()
    since: tuple[float | None, ...] = ()
    metadata: tuple[tuple[str, dict[str, Any]], ...] = ()
    mark: Mark | None = None

    @property
    def ids(self) -> set[str]:
        """The passages that it is about."""
        added = (one.id for one in self.passages)
        return {*self.removed, *added, *(id_ for id_, _ in self.metadata)}

    @property
    def forgotten(self) -> set[str]:
        """The passages that go, and do not come back as what they were."""
        passages = zip(self.passages, self.since, strict=True)
        return set(self.removed) - {one.id for one, since in passages if since is None}

    def body(self) -> dict[str, Any]:
        """It as JSON, without ``op``; without what is empty."""
        body: dict[str, Any] = {}
        if self.removed:
            body["removed"] = self.removed
        if self.passages:
            body["passages"] = [_given(passage) for passage in self.passages]
            body["sources"] = [None if one is None else one.hex() for one in self.sources]
            body["since"] = self.since
        if self.metadata:
            body["metadata"] = self.metadata
        if self.mark is not None:
            mark = self.mark
            body["mark"] = [mark.client, mark.key, mark.digest, mark.receipt]
        return body

    @classmethod
    def of(cls, op: str, body: Mapping[str, Any]) -> Change:
        """What ``body`` gave. Raises ValueError for an ``op`` or a body that this version does not know."""
        known = {"removed", "passages", "sources", "since", "metadata", "mark"}
        if op not in get_args(Op) or not body.keys() <= known:
            raise ValueError(f"a write of another version: {op} of {', '.join(body)}")
        passages = [_passage(one) for one in body.get("passages", ())]
        sources = [None if one is None else bytes.fromhex(one) for one in body.get("sources", ())]
        since = tuple(body.get("since", ())) or (None,) * len(passages)
        metadata = [(id_, values) for id_, values in body.get("metadata", ())]
        mark = None if "mark" not in body else Mark(*body["mark"])
        return cls(
            op,  # type: ignore[arg-type]  # one of Op, as was asked
            tuple(body.get("removed", ())), tuple(passages), tuple(sources), since, tuple(metadata),
            mark,
        )  # fmt: skip


@dataclass(slots=True)
class Added:
    """A passage that comes, as in ``Change``; ``since`` None: as what it takes the place of."""

    passage: Passage
    source: bytes | None
    since: float | None


@dataclass(slots=True)
class Sum:
    """What several changes do together: passages of the bundle that go, and those that come, by id."""

    removed: dict[str, None] = field(default_factory=dict)  # in order, each once
    added: dict[str, Added] = field(default_factory=dict)


def summed(
    changes: Iterable[Change], stored: Callable[[Sequence[str]], Mapping[str, Passage]]
) -> Sum:
    """What ``changes`` do one after the other to a bundle whose passages ``stored`` gives by their ids."""
    total = Sum()
    for change in changes:
        asked = [id_ for id_, _ in change.metadata if id_ not in total.added]
        before = stored(asked) if asked else {}
        for id_, metadata in change.metadata:
            known = total.added.get(id_)
            found = before.get(id_) if known is None else known.passage
            if found is not None:
                total.removed[id_] = None
                # What the corpus says is not what the bundle has any more.
                since = None if known is None else known.since
                total.added[id_] = Added(replace(found, metadata=metadata), None, since)
        went = {id_: total.added.pop(id_, None) for id_ in change.removed}
        total.removed |= dict.fromkeys(change.removed)
        parts = zip(change.passages, change.sources, change.since, strict=True)
        for passage, source, since in parts:
            if since is None and (before_it := went.get(passage.id)) is not None:
                since = before_it.since
            total.added[passage.id] = Added(passage, source, since)
    return total


def _given(passage: Passage) -> dict[str, Any]:
    """The fields of ``passage`` that are not as they are by default."""
    found = {one.name: getattr(passage, one.name) for one in fields(Passage)}
    if found["document"] == passage.id:
        del found["document"]
    if found["end"] == passage.start + len(passage.text):
        del found["end"]
    return {name: value for name, value in found.items() if value != _DEFAULTS[name]}


def written_passage(passage: Passage) -> bytes:
    """All of ``passage``, the same for equal ones."""
    return json.dumps(_given(passage), ensure_ascii=False, sort_keys=True).encode()


def _passage(given: Mapping[str, Any]) -> Passage:
    # An empty text is the text's default in no file, but may be a passage's.
    return Passage(**{"text": "", **given, "section": tuple(given.get("section", ()))})
