"""An encoder without a corpus, ready to embed and to rerank texts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lurcher.bundle.bundle import ENCODER, NO_VECTORS
from lurcher.bundle.coders import load_coder
from lurcher.bundle.manifest import MANIFEST, changed_files, read_manifest
from lurcher.bundle.places import place_of
from lurcher.bundle.token_store import CODER
from lurcher.errors import BundleCorrupt, BundleError, FieldError, LurcherError
from lurcher.models.encoders.encoder import Encoder
from lurcher.models.engines import Choice, EngineName
from lurcher.models.tokens.coder import TokenCoder
from lurcher.models.tokens.general import general_coder
from lurcher.retrieval.capabilities import NO_TOKENS, Capabilities
from lurcher.retrieval.costs import CostModel
from lurcher.retrieval.embedder import Embedder, EmbedWork
from lurcher.retrieval.models import passage_encoder
from lurcher.retrieval.outcomes import outcome_of_each
from lurcher.retrieval.prices import price_of_rerank, price_of_text
from lurcher.retrieval.rerank import (
    Document,
    EncodedDocument,
    Reranker,
    RerankRequest,
    RerankScores,
)

# Of texts that nobody stores, every token that says something is kept.
_KEEP_RATIO = 1.0


class EncoderAlone:
    """The encoder in a folder, or of a bundle, as a snapshot has it; call it from one thread at a time."""

    def __init__(
        self, folder: Path, threads: int, engine: EngineName = "auto",
        check_hashes: bool = True,
    ) -> None:  # fmt: skip
        """``folder`` is an encoder's, or a bundle's. Raises BundleError or ModelError."""
        encoder, coder, keep_ratio = _models(folder, check_hashes)
        self._queries = Encoder.load(encoder, "query", threads, engine)
        self._passages = passage_encoder(self._queries, encoder, threads, engine)
        self.costs = CostModel()
        self.embedder = Embedder(self._queries, lambda: self._passages)
        self._reranker = (
            None if coder is None else Reranker(self._queries, self._passages, coder, keep_ratio)
        )
        self.capabilities = Capabilities(
            tokens=coder is not None, decoder=False, t5=False, reader=False, known=None
        )

    @property
    def engine(self) -> Choice:
        """What runs the query encoder, and why."""
        return self._queries.choice

    def encode_documents(self, documents: Sequence[Document]) -> list[EncodedDocument]:
        """The ``documents``, ready to be scored. Raises ModelError, FieldError without tokens."""
        return self._ranks().encode(documents)

    def rerank(self, requests: Sequence[RerankRequest]) -> list[RerankScores | LurcherError]:
        """The scores of the documents of each request; an error in the place of one at fault."""
        return outcome_of_each(lambda request: self._ranks().score(request), requests)

    def price_document(self, document: Document) -> float:
        """The seconds that encoding ``document`` should take."""
        return price_of_text(document.text, self.costs, self._queries.config.max_tokens)

    def price_rerank(self, request: RerankRequest) -> float:
        """The seconds that scoring the documents of ``request`` should take."""
        return price_of_rerank(request, self.costs, self._queries.config.max_tokens)

    def warm_up(self) -> None:
        """Embed a text, and rank one if it can."""
        self.embedder.embed([EmbedWork("query", *self.embedder.tokenise(["warm"], "query"))])
        if self._reranker is not None:
            documents = tuple(self._reranker.encode([Document("a text to warm up")]))
            self._reranker.score(RerankRequest("warm", documents))

    def close(self) -> None:
        """Close it; there is no file to close."""

    def _ranks(self) -> Reranker:
        if self._reranker is None:
            raise FieldError("documents", NO_TOKENS)
        return self._reranker


def _models(folder: Path, check_hashes: bool) -> tuple[Path, TokenCoder | None, float]:
    """The encoder's folder, and how its tokens are coded, if they are."""
    if not (folder / MANIFEST).is_file():
        return folder, general_coder(folder), _KEEP_RATIO
    manifest = read_manifest(folder)
    if check_hashes:
        for file, reason in changed_files(folder, manifest.files).items():
            raise BundleCorrupt(folder, file, reason)
    if manifest.encoder is None:
        raise BundleError(folder, NO_VECTORS)
    if manifest.tokens is None:
        return folder / ENCODER, None, _KEEP_RATIO
    tokens = manifest.tokens
    file = place_of(manifest.files, CODER)
    coder = load_coder(folder, file, TokenCoder.load, tokens.bits, manifest.encoder)
    return folder / ENCODER, coder, tokens.keep_ratio
