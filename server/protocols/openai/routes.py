"""``POST /v1/embeddings``, ``GET /v1/models`` and ``GET /v1/models/{id}``."""

from __future__ import annotations

import base64

from fastapi import APIRouter, Request, Response

from lurcher.server.lookup import collection_of
from lurcher.server.protocols.embedding import check_dimension, check_model, embedded, side_of
from lurcher.server.protocols.openai.errors import error_reply
from lurcher.server.protocols.openai.schemas import (
    Embedding,
    EmbeddingsReply,
    EmbeddingsRequest,
    Model,
    ModelsReply,
    Usage,
)
from lurcher.server.protocols.shape import shaped
from lurcher.server.serving import Serving

# Their shapes are OpenAI's to describe.
router = APIRouter(route_class=shaped(error_reply), include_in_schema=False)


@router.post("/embeddings")
async def embeddings(body: EmbeddingsRequest, request: Request) -> Response:
    """Return the vectors of texts, as queries are encoded unless ``input_type`` says otherwise."""
    collection = collection_of(request)
    with collection.models() as serving:
        check_model(body.model, serving.embedder)
        check_dimension("dimensions", body.dimensions, serving.embedder)
        side = side_of("input_type", body.input_type)
        found = await embedded(
            serving, request, "input", body.input, side, timeout_ms=body.timeout_ms
        )
        packed = body.encoding_format == "base64"
        data = [
            Embedding(
                index=index,
                embedding=base64.b64encode(vector.astype("<f4").tobytes()).decode()
                if packed
                else vector.tolist(),
            )
            for index, vector in enumerate(found.vectors)
        ]
        reply = EmbeddingsReply(
            data=data, model=serving.embedder.config.name,
            usage=Usage(prompt_tokens=found.tokens, total_tokens=found.tokens),
        )  # fmt: skip
    return Response(reply.model_dump_json(), media_type="application/json")


@router.get("/models")
async def models(request: Request) -> ModelsReply:
    """Return the models that are served: the encoder."""
    collection = collection_of(request)
    with collection.models() as serving:
        return ModelsReply(data=[_model(serving)])


@router.get("/models/{name:path}")
async def model(name: str, request: Request) -> Model:
    """Return the model of that name."""
    collection = collection_of(request)
    with collection.models() as serving:
        check_model(name, serving.embedder)
        return _model(serving)


def _model(serving: Serving) -> Model:
    return Model(id=serving.embedder.config.name, created=int(serving.created.timestamp()))
