"""From a server's replies, read by its own schemas, to the objects that `lurcher.open` gives."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from pydantic import BaseModel, ValidationError

from lurcher.bundle.facets import Facet
from lurcher.bundle.passages import Passage
from lurcher.client.failures import error_of
from lurcher.errors import VersionMismatch
from lurcher.retrieval.questions import is_question
from lurcher.retrieval.results import (
    Answer,
    ContributingNeighbour,
    Explanation,
    Hit,
    RerankResult,
    SearchResult,
    TokenMatch,
    WrittenAnswer,
)
from lurcher.server.protocols.cohere.rerank_schemas import RerankReply
from lurcher.server.protocols.tei.schemas import Info
from lurcher.server.schemas.answer import AnswerReply, FoundAnswer
from lurcher.server.schemas.bundle import BundleReply
from lurcher.server.schemas.documents import DocumentReply
from lurcher.server.schemas.facets import FacetsReply
from lurcher.server.schemas.feedback import (
    FeedbackCounts,
    FeedbackReply,
    RefusedPair,
    RemovalReply,
)
from lurcher.server.schemas.passages import PassageList, StoredPassage
from lurcher.server.schemas.search import BatchReply, SearchReply
from lurcher.server.schemas.search import Hit as SentHit

if TYPE_CHECKING:
    from lurcher.bundle.vectors import Vectors

_Reply = TypeVar("_Reply", bound=BaseModel)


def found(raw: bytes) -> SearchResult:
    """Return the result of a search. Raises VersionMismatch, as all here do."""
    reply = _read(SearchReply, raw)
    seconds = _seconds(reply.timings_ms.model_dump(exclude_unset=True))
    return SearchResult(
        [_hit(one) for one in reply.hits], reply.truncated, seconds, reply.degraded,
        question=reply.question,
    )  # fmt: skip


def found_many(raw: bytes, queries: Sequence[str], first: int) -> list[SearchResult]:
    """Return the result of each of ``queries``, which stand from ``first`` on. Raises a query's error."""
    reply = _read(BatchReply, raw)
    _check_count("results", len(reply.results), len(queries))
    seconds, results = _seconds(reply.timings_ms), []
    for place, (query, item) in enumerate(zip(queries, reply.results, strict=True), first):
        if item.error is not None:
            raise error_of(item.error, {}, {f"queries.{place - first}": f"queries.{place}"})
        hits = [_hit(one) for one in item.hits]
        results.append(
            SearchResult(hits, item.truncated, seconds, reply.degraded, question=is_question(query))
        )
    return results


def answered(raw: bytes) -> SearchResult:
    """Return the answers to a question, without the hits that were read for them."""
    reply = _read(AnswerReply, raw)
    written = reply.written
    return SearchResult(
        [], reply.truncated, _seconds(reply.timings_ms.model_dump(exclude_unset=True)),
        reply.degraded, [_answer(one) for one in reply.answers],
        None if written is None else WrittenAnswer(written.text, written.score, written.passages),
        reply.question,
    )  # fmt: skip


def scored(raw: bytes) -> RerankResult:
    """Return the scores of what was reranked, in the order in which it was sent."""
    reply = _read(RerankReply, raw)
    scores = [one.score for one in sorted(reply.results, key=lambda one: one.index)]
    return RerankResult(scores, reply.meta.truncated, reply.meta.truncated_documents)


def vectors(replies: Sequence[bytes], count: int) -> Vectors:
    """Return the ``count`` vectors (n, d) float32 in ``replies``, in order."""
    rows: list[Vectors] = []
    for raw in replies:
        try:
            sent = json.loads(raw)["embeddings"]["base64"]
            rows += [np.frombuffer(base64.b64decode(one), "<f4") for one in sent]
        except (ValueError, KeyError, TypeError) as error:
            raise VersionMismatch(f"no vectors in its reply: {error!r}") from error
    _check_count("embeddings", len(rows), count)
    return np.stack(rows).astype(np.float32) if rows else np.zeros((0, 0), np.float32)


def most_texts(raw: bytes) -> int:
    """Return how many texts a server embeds in one request."""
    return _read(Info, raw).max_client_batch_size


def bundle(raw: bytes) -> BundleReply:
    """Return what a server says of its bundle."""
    return _read(BundleReply, raw)


def document_passages(raw: bytes) -> list[Passage]:
    """Return the passages of a document."""
    reply = _read(DocumentReply, raw)
    return [
        Passage(
            part.id, reply.text[part.start : part.end], reply.title, reply.metadata, reply.id,
            tuple(part.section), part.start, part.end, part.anchor, part.url,
        )
        for part in reply.passages
    ]  # fmt: skip


def stored_passage(raw: bytes) -> Passage:
    """Return a passage as it is stored."""
    return _stored(_read(StoredPassage, raw))


def stored_passages(raw: bytes) -> tuple[list[Passage], str | None]:
    """Return a page of passages, and where the next one begins."""
    reply = _read(PassageList, raw)
    return [_stored(one) for one in reply.passages], reply.cursor


def facets(raw: bytes) -> dict[str, Facet]:
    """Return the facet of each field."""
    return {
        one.field: Facet([(v.value, v.count) for v in one.values], one.distinct, one.passages)
        for one in _read(FacetsReply, raw).facets
    }


def feedback_given(raw: bytes, first: int) -> FeedbackReply:
    """Return what became of the pairs that stand from ``first`` on, by their places among all."""
    reply = _read(FeedbackReply, raw)
    reply.refused = [
        RefusedPair(
            index=one.index + first, field=f"pairs.{one.index + first}.passage", reason=one.reason
        )
        for one in reply.refused
    ]
    return reply


def feedback_removed(raw: bytes) -> int:
    """Return how many judgements were removed."""
    return _read(RemovalReply, raw).removed


def feedback_counts(raw: bytes) -> FeedbackCounts:
    """Return the counts of feedback."""
    return _read(FeedbackCounts, raw)


def _stored(one: StoredPassage) -> Passage:
    return Passage(
        one.id, one.text, one.title, one.metadata, one.document, tuple(one.section), one.start,
        one.end, one.anchor, one.url,
    )  # fmt: skip


def _read(kind: type[_Reply], raw: bytes) -> _Reply:
    try:
        return kind.model_validate_json(raw)
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"])) or "its reply"
        raise VersionMismatch(f"{where}: {fault['msg']}") from error


def _check_count(what: str, count: int, wanted: int) -> None:
    if count != wanted:
        raise VersionMismatch(f"{what}: {count} of them, for {wanted} that were asked for")


def _seconds(timings: dict[str, float]) -> dict[str, float]:
    return {stage: spent / 1_000 for stage, spent in timings.items() if stage != "total"}


def _hit(sent: SentHit) -> Hit:
    passage = _passage(
        sent.id, sent.text, sent.title, sent.section, sent.metadata, sent.document, sent.start,
        sent.end, sent.anchor, sent.url,
    )  # fmt: skip
    scores = {} if sent.scores is None else sent.scores.model_dump(exclude_none=True)
    given = sent.model_fields_set
    explanation = Explanation(
        [
            ContributingNeighbour(one.id, one.query, one.similarity, one.share)
            for one in sent.contributing_neighbours
        ]
        if "contributing_neighbours" in given
        else None,
        [
            TokenMatch(
                (one.query.start, one.query.end), one.part, (one.passage.start, one.passage.end),
                one.similarity, one.weight,
            )
            for one in sent.token_alignment
        ]
        or None,  # empty in a reply if nothing was ranked by tokens
        [(one.start, one.end) for one in sent.highlights]
        if "highlights" in given
        else None,
    )  # fmt: skip
    return Hit(passage, sent.score, scores, explanation, sent.duplicates)


def _answer(sent: FoundAnswer) -> Answer:
    whole = sent.passage
    passage = _passage(
        whole.id, whole.text, whole.title, whole.section, whole.metadata, whole.document,
        whole.start, whole.end, whole.anchor, whole.url,
    )  # fmt: skip
    return Answer(sent.text, sent.score, passage, sent.part, (sent.start, sent.end))


def _passage(
    id_: str, text: str, heading: str, section: Sequence[str], metadata: dict[str, Any],
    document: str, start: int, end: int, anchor: str, url: str,
) -> Passage:  # fmt: skip
    """Return a passage whose title and section a server sends in one line, as ``heading``."""
    below = " > ".join(section)
    title = "" if heading == below else heading.removesuffix(f" > {below}" if below else "")
    return Passage(id_, text, title, metadata, document, tuple(section), start, end, anchor, url)
