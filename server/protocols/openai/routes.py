"""``POST /v1/embeddings``, ``GET /v1/models`` and ``GET /v1/models/{id}``."""

from __future__ import annotations

import base64

from fastapi import APIRouter, Request, Response

from lurcher.server.lookup import collection_of, collection_with_model, collections_for
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
    collection = collection_with_model(request, body.model)
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
    """Return the models: the encoders of all collections, or that of the one in the path."""
    named = "collection" in request.path_params
    collections = [collection_of(request)] if named else collections_for(request)
    found: dict[str, Model] = {}
    for collection in collections:
        with collection.models() as serving:
            if serving.encoder is not None:
                found.setdefault(serving.encoder.name, _model(serving))
    if not found:
        collection_of(request).models().embedder  # noqa: B018 (raises what is missing)
    return ModelsReply(data=list(found.values()))


@router.get("/models/{name:path}")
async def model(name: str, request: Request) -> Model:
    """Return the model of that name."""
    collection = collection_with_model(request, name)
    with collection.models() as serving:
        check_model(name, serving.embedder)
        return _model(serving)


def _model(serving: Serving) -> Model:
    return Model(id=serving.embedder.config.name, created=int(serving.created.timestamp()))
