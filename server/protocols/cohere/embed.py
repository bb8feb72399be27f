"""``POST /v1/embed`` and ``/v2/embed``."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np
from fastapi import APIRouter, Request, Response

from lurcher.bundle.vectors import Vectors
from lurcher.errors import FieldError
from lurcher.server.errors import MEDIA_TYPE
from lurcher.server.lookup import collection_of, collection_with_model
from lurcher.server.protocols.cohere.embed_schemas import (
    EmbedMeta,
    EmbedReply,
    EmbedRequest,
    Form,
    Units,
    Version,
)
from lurcher.server.protocols.cohere.errors import error_reply
from lurcher.server.protocols.embedding import (
    Cut,
    Embedded,
    check_dimension,
    check_model,
    embedded,
)
from lurcher.server.protocols.shape import shaped

# Their shapes are Cohere's to describe.
router = APIRouter(route_class=shaped(error_reply, MEDIA_TYPE), include_in_schema=False)

_CUTS: dict[str, Cut] = {"NONE": "never", "START": "start", "END": "end"}


@router.post("/embed")
async def embed(body: EmbedRequest, request: Request) -> Response:
    """Return the vectors of texts: search queries as queries are encoded, all others as passages."""
    collection = (
        collection_of(request) if body.model is None else collection_with_model(request, body.model)
    )
    with collection.models() as serving:
        if body.model is not None:
            check_model(body.model, serving.embedder)
        check_dimension("output_dimension", body.output_dimension, serving.embedder)
        field, texts = _texts(body)
        forms = _forms(body)
        found = await embedded(
            serving, request, field, texts, "query" if body.input_type == "search_query" else "passage",
            cut=_CUTS[body.truncate], max_tokens=body.max_tokens, timeout_ms=body.timeout_ms,
        )  # fmt: skip
        version = request.url.path[2]
        by_form = body.embedding_types is not None or version == "2"
        reply = EmbedReply(
            id=request.state.request_id,
            response_type="embeddings_by_type" if by_form else "embeddings_floats",
            embeddings={form: _in_form(found.vectors, form) for form in forms}
            if by_form
            else found.vectors.tolist(),
            texts=list(texts), meta=_meta(found, version),
        )  # fmt: skip
    return Response(reply.model_dump_json(exclude_none=True), media_type="application/json")


def _texts(body: EmbedRequest) -> tuple[str, Sequence[str]]:
    """Return the field that has the texts, and the texts. Raises FieldError."""
    if body.images is not None or body.input_type == "image":
        field = "input_type" if body.images is None else "images"
        raise FieldError(field, "images cannot be embedded here, texts can")
    if (body.texts is None) == (body.inputs is None):
        raise FieldError("texts", "give either texts or inputs")
    if body.inputs is None:
        return "texts", body.texts or []
    return "inputs", ["\n".join(part.text for part in one.content) for one in body.inputs]


def _forms(body: EmbedRequest) -> list[Form]:
    """Return the forms that vectors are wanted in. Raises FieldError."""
    forms = body.embedding_types or ["float"]
    for form in forms:
        if form in ("int8", "uint8"):
            reason = (
                f"{form!r} needs ranges that were measured for the model, which it does not have; "
                "there are float, base64, binary and ubinary"
            )
            raise FieldError("embedding_types", reason)
    return forms


def _in_form(vectors: Vectors, form: Form) -> list[Any]:
    """Return ``vectors`` (n, d) in that ``form``: as numbers, as bytes, or by their signs, 8 to a byte."""
    found: list[Any]
    if form == "base64":
        found = [base64.b64encode(one.astype("<f4").tobytes()).decode() for one in vectors]
    elif form == "float":
        found = vectors.tolist()
    else:
        bits = np.packbits(vectors > 0, axis=1).astype(np.int16)
        found = (bits - 128 if form == "binary" else bits).tolist()
    return found


def _meta(found: Embedded, version: str) -> EmbedMeta:
    units = Units(input_tokens=found.tokens)
    cut = ", ".join(map(str, found.cut))
    warnings = [f"cut, because they are longer than is read: texts {cut}"] if found.cut else None
    return EmbedMeta(
        api_version=Version(version=version), billed_units=units, tokens=units, warnings=warnings
    )
