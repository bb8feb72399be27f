"""What all protocols share that embed texts: which texts, by which model, and what happens to long ones."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from fastapi import Request
from starlette.exceptions import HTTPException

from lurcher.bundle.vectors import Vectors
from lurcher.errors import FieldError
from lurcher.models.encoders.tokenizer import Tokens
from lurcher.retrieval.embedder import Embedder, EmbedWork, Side
from lurcher.retrieval.query import check_text
from lurcher.server.keys import caller_of
from lurcher.server.limits import too_many
from lurcher.server.lookup import is_called
from lurcher.server.protocols.inputs import Input
from lurcher.server.serving import Serving
from lurcher.text import lone_surrogate

Cut = Literal["never", "end", "start"]
"""Which part of a text that is too long is left out; never: it is an error."""

# As NVIDIA's, Voyage's and Cohere's servers call them.
_QUERY_NAMES, _PASSAGE_NAMES = ("query", "search_query"), ("passage", "document", "search_document")


@dataclass(frozen=True, slots=True)
class Embedded:
    """The vectors (n, d) float32, how many tokens the encoder read for them, and which texts were cut.

    Special tokens and those of prompts count: the encoder reads them, too.
    """

    vectors: Vectors
    tokens: int
    cut: list[int]


async def embedded(
    serving: Serving, request: Request, field: str, texts: Sequence[Input], side: Side, *,
    cut: Cut = "never", max_tokens: int | None = None, timeout_ms: int | None = None,
) -> Embedded:  # fmt: skip
    """Return the vectors of the ``texts`` in ``field`` of ``request``.

    One that is longer than the encoder reads, or has more than ``max_tokens``, is cut as ``cut`` says.
    Raises HTTPException 413 for too many of them, or one that is too long and may not be cut, FieldError for
    one that is empty or has an id that is no token, and what ``Serving.embed`` raises.
    """
    limit = request.app.state.service.settings.max_inputs
    if not texts:
        raise FieldError(field, "is empty")
    if len(texts) > limit:
        raise too_many(field, len(texts), limit)
    alone = len(texts) == 1
    for place, text in enumerate(texts):
        _check(field if alone else f"{field}.{place}", text)
    embedder = serving.embedder
    try:
        tokens = await asyncio.to_thread(_tokens, embedder, field, texts, side, cut, max_tokens)
    except FieldError as error:  # its field is the text's place
        raise FieldError(field if alone else f"{field}.{error.field}", error.reason) from error
    works = [EmbedWork(side, one) for one in tokens]
    vectors = await serving.embed(works, timeout_ms, caller_of(request))
    return Embedded(
        np.stack(vectors), sum(len(one.ids) for one in tokens),
        [place for place, one in enumerate(tokens) if one.truncated],
    )  # fmt: skip


def side_of(field: str, name: str | None) -> Side:
    """Return the side that ``name`` in ``field`` asks for; queries if it is None. Raises FieldError."""
    if name is None or name in _QUERY_NAMES:
        return "query"
    if name in _PASSAGE_NAMES:
        return "passage"
    raise FieldError(field, f"{name!r} is neither 'query' nor 'passage'")


def check_dimension(field: str, wanted: int | None, embedder: Embedder) -> None:
    """Raise FieldError unless vectors have the ``wanted`` number of dimensions, if there is one."""
    config = embedder.config
    if wanted is not None and wanted != config.dimension:
        reason = (
            f"{config.name} has vectors of {config.dimension} dimensions, and was not trained to have "
            f"them cut to {wanted}"
        )
        raise FieldError(field, reason)


def check_model(name: str, embedder: Embedder) -> None:
    """Raise HTTPException 404 unless ``name`` is the encoder's, alone or behind that of who made it.

    Vectors of two models cannot be compared, so that to take any name would spoil somebody's index.
    """
    known = embedder.config.name
    if not is_called(name, known):
        shown = name if len(name) <= 100 else f"{name[:100]}…"
        raise HTTPException(404, f"model: there is no {shown!r} here, there is {known!r}")


def _check(field: str, text: Input) -> None:
    if not text:
        raise FieldError(field, "is empty")
    if isinstance(text, str):
        check_text(field, text)
        if lone_surrogate(text) is not None:
            raise FieldError(field, "is not valid Unicode")


def _tokens(
    embedder: Embedder, field: str, texts: Sequence[Input], side: Side, cut: Cut, most: int | None
) -> list[Tokens]:
    """Return the tokens of ``texts``, cut as ``cut`` says. Raises HTTPException or FieldError."""
    tokens, room = embedder.tokenise(texts, side), embedder.room(side)
    most = room if most is None else min(room, most)
    for place, one in enumerate(tokens):
        if not embedder.is_longer(one, side, most):
            continue
        if cut == "never":
            where = field if len(texts) == 1 else f"{field}.{place}"
            reads = "that are allowed" if most < room else f"that {embedder.config.name} reads"
            raise HTTPException(413, f"{where}: is longer than the {most} tokens {reads}")
        tokens[place] = (
            embedder.last_tokens(texts[place], side, most)
            if cut == "start"
            else embedder.first_tokens(one, side, most)
        )
    return tokens
