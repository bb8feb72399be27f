"""The tools: search, answer, get_passage."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import BaseModel, ValidationError

from lurcher.bundle.passages import Passage
from lurcher.errors import FieldError, LurcherError
from lurcher.retrieval.results import Answer, SearchResult
from lurcher.retrieval.sentences import sentence_around
from lurcher.server.protocols.mcp.schemas import (
    AnswerArguments,
    AnswersFound,
    Citation,
    FoundAnswer,
    FoundPassage,
    PassageArguments,
    SearchArguments,
    SearchFound,
)
from lurcher.server.schemas.body import Body


class Corpus(Protocol):
    """What the tools work on: a bundle that is served, or one in this process."""

    @property
    def answers(self) -> bool:
        """Whether it finds answers."""

    async def search(self, query: str, top_k: int, conditions: Mapping[str, Any]) -> SearchResult:
        """Return the passages for a query. Raises LurcherError."""

    async def answer(self, question: str, top_k: int) -> SearchResult:
        """Return the answers to a question. Raises LurcherError."""

    async def passage(self, id_: str) -> Passage:
        """Return the passage with that id. Raises FieldError."""


@dataclass(frozen=True, slots=True)
class _Tool:
    name: str
    description: str
    arguments: type[Body]
    result: type[BaseModel]
    run: Callable[[Corpus, Any], Awaitable[BaseModel]]

    def described(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "description": self.description,
            "inputSchema": self.arguments.model_json_schema(by_alias=True),
            "outputSchema": self.result.model_json_schema(mode="serialization"),
            "annotations": {"readOnlyHint": True, "openWorldHint": False},
        }


def described_tools(corpus: Corpus) -> list[dict[str, Any]]:
    """Return the tools that ``corpus`` has, as the protocol describes them."""
    return [tool.described() for tool in _tools(corpus).values()]


async def call_tool(corpus: Corpus, name: Any, arguments: Any) -> dict[str, Any] | None:
    """Return the result of the tool ``name``, None if there is no such tool.

    What is wrong with the arguments, or cannot be done now, is a result, too: a model reads it and tries
    again.
    """
    tool = _tools(corpus).get(name) if isinstance(name, str) else None
    if tool is None:
        return None
    try:
        found = await tool.run(corpus, tool.arguments.model_validate(arguments or {}))
    except ValidationError as error:
        faults = (
            f"{'.'.join(map(str, e['loc'])) or 'arguments'}: {e['msg']}" for e in error.errors()[:3]
        )
        return _failed("; ".join(faults))
    except LurcherError as error:
        return _failed(str(error))
    return {
        "content": [{"type": "text", "text": _readable(found)}],
        "structuredContent": found.model_dump(exclude_none=True),
        "isError": False,
    }


def _failed(reason: str) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": reason[:1_000]}], "isError": True}


async def _search(corpus: Corpus, asked: SearchArguments) -> SearchFound:
    result = await corpus.search(asked.query, asked.top_k, asked.filter)
    return SearchFound(passages=[_passage(hit.passage, hit.score) for hit in result.hits])


async def _answer(corpus: Corpus, asked: AnswerArguments) -> AnswersFound:
    result = await corpus.answer(asked.question, asked.top_k)
    return AnswersFound(answers=[_found(one) for one in result.answers])


async def _get_passage(corpus: Corpus, asked: PassageArguments) -> FoundPassage:
    try:
        passage = await corpus.passage(asked.id)
    except FieldError as error:
        raise FieldError("id", f"{asked.id[:100]!r}: {error.reason}") from error
    return _passage(passage, None)


_SEARCH = _Tool(
    "search",
    "Find the passages of this corpus that say most about a query. Cite one by its document and offsets.",
    SearchArguments, SearchFound, _search,
)  # fmt: skip
_ANSWER = _Tool(
    "answer",
    "Find the exact words of this corpus that answer a question, with the probability that they are right; "
    "no answer means that nothing was found.",
    AnswerArguments, AnswersFound, _answer,
)  # fmt: skip
_GET_PASSAGE = _Tool(
    "get_passage", "Read one passage by its id.", PassageArguments, FoundPassage, _get_passage
)


def _tools(corpus: Corpus) -> dict[str, _Tool]:
    tools = [_SEARCH, *([_ANSWER] if corpus.answers else []), _GET_PASSAGE]
    return {tool.name: tool for tool in tools}


def _passage(passage: Passage, score: float | None) -> FoundPassage:
    return FoundPassage(
        id=passage.id, text=passage.text, citation=_cited(passage, passage.start, passage.end),
        score=None if score is None else round(score, 6), metadata=passage.metadata,
    )  # fmt: skip


def _found(answer: Answer) -> FoundAnswer:
    passage, (start, end) = answer.passage, answer.span
    whole = passage.heading if answer.part == "title" else passage.text
    first, last = sentence_around(whole, start, end)
    # The title stands in no text: then the passage below it is cited.
    place = (
        (passage.start, passage.end)
        if answer.part == "title"
        else (passage.start + start, passage.start + end)
    )
    return FoundAnswer(
        text=answer.text, score=round(answer.score, 6), sentence=whole[first:last],
        passage=passage.id, citation=_cited(passage, *place),
    )  # fmt: skip


def _cited(passage: Passage, start: int, end: int) -> Citation:
    return Citation(
        document=passage.document, title=passage.heading, start=start, end=end,
        url=passage.url or None,
    )  # fmt: skip


def _readable(found: BaseModel) -> str:
    """Return ``found`` for models that read text alone."""
    if isinstance(found, SearchFound):
        return "\n\n".join(map(_shown, found.passages)) or "Nothing was found."
    if isinstance(found, AnswersFound):
        return "\n\n".join(
            f"{one.text} ({one.score:.2f})\n{one.sentence}\n{_source(one.citation)}"
            for one in found.answers
        ) or "Nothing in this corpus answers that."  # fmt: skip
    assert isinstance(found, FoundPassage)  # noqa: S101 (the third kind)
    return _shown(found)


def _shown(passage: FoundPassage) -> str:
    return f"[{passage.id}] {passage.citation.title}\n{passage.text}\n{_source(passage.citation)}"


def _source(citation: Citation) -> str:
    place = f"{citation.document}, characters {citation.start} to {citation.end}"
    return f"Source: {place}" + (f", {citation.url}" if citation.url else "")
