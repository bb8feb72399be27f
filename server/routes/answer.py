"""``POST /v1/answer``: the words of the passages that answer a query."""

from __future__ import annotations

from time import perf_counter

from fastapi import APIRouter, Request, Response

from lurcher.models.errors import FieldError
from lurcher.retrieval.answering import NO_WRITER, Answered, Question, Written
from lurcher.retrieval.filters import conditions
from lurcher.retrieval.ranking import CANDIDATES
from lurcher.retrieval.reading import NO_READER
from lurcher.retrieval.sentences import sentence_around
from lurcher.server.errors import responses
from lurcher.server.routes.search import check_query
from lurcher.server.schemas.answer import (
    AnswerPassage,
    AnswerReply,
    AnswerRequest,
    AnswerTimings,
    FoundAnswer,
    Sentence,
    WrittenAnswer,
)
from lurcher.server.service import Service

router = APIRouter(tags=["answer"])


@router.post(
    "/v1/answer", response_model=AnswerReply, responses=responses(400, 413, 422, 429, 503, 504)
)
async def answer(body: AnswerRequest, request: Request) -> Response:
    """What answers a query, word by word from the passages found for it; or that nothing in them does."""
    start = perf_counter()
    service: Service = request.app.state.service
    question = _question(body, service)
    result, waited = await service.answer(question, body.timeout_ms, request.is_disconnected)
    seconds = {**result.seconds, "queue": waited}
    timings = AnswerTimings(
        **{stage: round(1_000 * spent, 3) for stage, spent in seconds.items()},
        total=round(1_000 * (perf_counter() - start), 3),
    )
    reply = AnswerReply(
        answers=[_answer(one) for one in result.answers],
        answered=bool(result.answers),
        written=None if result.written is None else _written(result.written),
        timings_ms=timings,
        bundle=service.bundle.manifest.name,
        truncated=result.truncated,
        degraded=result.degraded,
    )
    return Response(
        reply.model_dump_json(exclude=None if reply.written else {"written"}),
        headers={"Server-Timing": ", ".join(f"{stage};dur={ms}" for stage, ms in timings)},
        media_type="application/json",
    )


def _question(body: AnswerRequest, service: Service) -> Question:
    """What ``body`` asks. Raises FieldError for what the settings or the bundle forbid."""
    settings = service.settings
    check_query("query", body.query, settings)
    manifest = service.bundle.manifest
    if body.write and manifest.states is None:
        raise FieldError("write", NO_WRITER)
    if manifest.reader is None and not body.write:
        raise FieldError("passages", NO_READER)
    ranked = body.rank != "off"
    most = min(settings.max_passages, settings.max_candidates) if ranked else settings.max_passages
    if body.passages > most:
        raise FieldError("passages", f"at most {most} are read for one query")
    candidates = body.candidates
    if candidates is None:
        candidates = max(body.passages, min(CANDIDATES, settings.max_candidates))
    elif candidates > settings.max_candidates:
        raise FieldError("candidates", f"at most {settings.max_candidates} are allowed")
    elif candidates < body.passages and ranked:
        raise FieldError("candidates", f"must be at least passages, which is {body.passages}")
    return Question(
        body.query, body.passages, tuple(conditions(body.filter)), body.pefa.mode,
        body.pefa.dense_weight, rank=body.rank, candidates=candidates, answers=body.top_k,
        min_score=body.min_score, write=body.write,
    )  # fmt: skip


def _written(found: Written) -> WrittenAnswer:
    return WrittenAnswer(text=found.text, score=round(found.score, 6), passages=found.ids)


def _answer(found: Answered) -> FoundAnswer:
    passage, (start, end) = found.passage, found.place
    whole = passage.title if found.part == "title" else passage.text
    first, last = sentence_around(whole, start, end)
    return FoundAnswer(
        text=found.text,
        score=round(found.score, 6),
        passage=AnswerPassage(id=passage.id, title=passage.title),
        part=found.part,
        start=start,
        end=end,
        sentence=Sentence(start=first, end=last, text=whole[first:last]),
    )
