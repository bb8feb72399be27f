"""``POST /v1/answer``: the words in the passages that answer a question."""

from __future__ import annotations

from time import perf_counter

from fastapi import APIRouter, Request, Response
from starlette.exceptions import HTTPException

from lurcher.bundle.passages import Passage
from lurcher.errors import FieldError
from lurcher.retrieval.capabilities import NO_READER, NO_T5, Capabilities
from lurcher.retrieval.filters import conditions
from lurcher.retrieval.query import Query, ReadOptions, check_text
from lurcher.retrieval.results import Answer
from lurcher.retrieval.sentences import sentence_around
from lurcher.server.asked import asked
from lurcher.server.errors import responses
from lurcher.server.keys import caller_of
from lurcher.server.limits import candidates_for
from lurcher.server.noted import note
from lurcher.server.replies import server_timing, timings
from lurcher.server.schemas.answer import (
    AnswerPassage,
    AnswerReply,
    AnswerRequest,
    AnswerTimings,
    FoundAnswer,
    Sentence,
    WrittenAnswer,
)
from lurcher.server.search_options import check_sums
from lurcher.server.service import Service
from lurcher.server.settings import Settings

router = APIRouter(tags=["answer"])


@router.post(
    "/answer", response_model=AnswerReply, responses=responses(400, 413, 415, 422, 429, 503, 504)
)
async def answer(body: AnswerRequest, request: Request) -> Response:
    """Answer a question with words of the passages found for it, or say that nothing in them answers it."""
    start = perf_counter()
    note(request, query=body.query)
    service: Service = request.app.state.service
    async with asked(body, request) as source:
        question = _question(body, source.capabilities, service.settings)
        result, waited = await source.answer(
            question, body.timeout_ms, caller_of(request), degrade=body.degrade
        )
        spent = timings(request, result, waited, start)
        written, reader = result.written, source.reader
        reply = AnswerReply(
            answers=[_answer(one, whole="passage" in body.include) for one in result.answers],
            answered=bool(result.answers),
            question=result.question,
            calibrated=result.question and source.calibrated,
            calibrated_on=None if reader is None else reader.calibrated_on,
            calibrated_by=None if reader is None else reader.calibrated_by,
            written=None
            if written is None
            else WrittenAnswer(
                text=written.text, score=round(written.score, 6), passages=written.ids
            ),
            timings_ms=AnswerTimings(**spent),
            **source.bundles,
            truncated=result.truncated,
            degraded=result.degraded,
        )
    return Response(
        reply.model_dump_json(exclude_unset=True, exclude=None if reply.written else {"written"}),
        headers=server_timing(spent),
        media_type="application/json",
    )


def _question(body: AnswerRequest, capabilities: Capabilities, settings: Settings) -> Query:
    """Return the query of ``body``. Raises FieldError for what the settings or the bundle do not allow.

    Raises HTTPException if the bundle has nothing that answers.
    """
    if body.write and body.collections is not None:
        reason = "a T5 writes from the passages of one collection; ask that one alone"
        raise FieldError("write", reason)
    if body.write and not capabilities.t5:
        raise FieldError("write", NO_T5)
    if not capabilities.reader and not body.write:
        raise HTTPException(422, NO_READER)  # no field is at fault
    check_text("query", body.query, settings.max_query_chars)
    several = len(body.collections or ())
    if max(1, several) * body.read_depth > settings.max_read_depth:
        together = f", of all {several} collections together" if several > 1 else ""
        reason = f"at most {settings.max_read_depth} hits are read{together}"
        raise FieldError("read_depth", reason)
    default = capabilities.default_candidates(body.rank, body.retrieve)
    candidates = candidates_for("read_depth", body.read_depth, body.candidates, default, settings)
    if several:
        ranked = candidates if capabilities.ranks(body.rank) else 0
        check_sums({"collections": several}, "read_depth", body.read_depth, ranked, settings)
    return Query(
        body.query, body.read_depth, conditions(body.filter), body.neighbours.mode,
        body.neighbours.dense_weight, body.rank, candidates,
        read=ReadOptions(body.top_k, body.min_score, body.write), retrieve=body.retrieve,
        query_syntax=body.query_syntax,
    )  # fmt: skip


def _answer(found: Answer, whole: bool) -> FoundAnswer:
    passage, (start, end) = found.passage, found.span
    part = passage.heading if found.part == "title" else passage.text
    first, last = sentence_around(part, start, end)
    return FoundAnswer(
        **({"collection": found.collection} if found.collection else {}),
        text=found.text,
        score=round(found.score, 6),
        passage=_passage(passage) if whole else AnswerPassage(id=passage.id, title=passage.heading),
        part=found.part,
        start=start,
        end=end,
        sentence=Sentence(start=first, end=last, text=part[first:last]),
    )


def _passage(passage: Passage) -> AnswerPassage:
    return AnswerPassage(
        id=passage.id, title=passage.heading, text=passage.text, document=passage.document,
        section=list(passage.section), start=passage.start, end=passage.end, anchor=passage.anchor,
        url=passage.url, metadata=passage.metadata,
    )  # fmt: skip
