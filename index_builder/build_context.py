"""What the stages of one build work with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from lurcher.bundle.bundle import PASSAGES
from lurcher.bundle.fail_points import FailPoint
from lurcher.bundle.passages import Passages
from lurcher.bundle.reading_store import READING_CODER
from lurcher.bundle.token_store import CODER
from lurcher.index_builder.build_models import BuildModels
from lurcher.index_builder.corpus import Record
from lurcher.index_builder.options import BuildOptions
from lurcher.index_builder.passage_engine import passage_encoder
from lurcher.index_builder.passage_tokens import PassageTokens
from lurcher.index_builder.progress import Reporter
from lurcher.index_builder.workspace import Workspace
from lurcher.models.encoders.encoder import Encoder
from lurcher.models.reader.coder import ReadingCoder
from lurcher.models.tokens.coder import TokenCoder


@dataclass(frozen=True)
class BuildContext:
    """Arguments of the build, its workspace, and what stages made, opened when it is first asked for."""

    corpus: Path
    files: list[Path]  # of the corpus
    records: Iterator[Record]
    options: BuildOptions
    models: BuildModels
    workspace: Workspace
    bundle: Path  # the folder of the unfinished bundle
    scratch: Path  # the folder of files that the bundle does not keep
    report: Reporter
    chunk_size: int  # records or passages that are worked on before anything is written
    fail_point: FailPoint

    @cached_property
    def passages(self) -> Passages:
        """The passages, once they are stored."""
        return Passages(self.bundle / PASSAGES)

    @cached_property
    def encoder(self) -> Encoder:
        """The encoder of passages, run by the engine that suits them, once they are stored."""
        encoder, options = self.models.encoder, self.options
        graph = options.encoder / encoder.config.passage_graph
        return passage_encoder(encoder, graph, options.engine, self.passages, self.scratch)

    @cached_property
    def tokens(self) -> PassageTokens:
        """The tokens of the passages."""
        return PassageTokens(self.passages, self.encoder)

    @cached_property
    def token_coder(self) -> TokenCoder | None:
        """The coder of the token store, once it is fitted; None if there is to be no store."""
        return None if self.options.tokens is None else TokenCoder.load(self.bundle / CODER)

    @cached_property
    def reading_coder(self) -> ReadingCoder | None:
        """The coder of the reading store, once it is fitted; None if there is to be no store."""
        if self.models.answer_bits is None:
            return None
        return ReadingCoder.load(self.bundle / READING_CODER)

    def close(self) -> None:
        """Close the passages if they were opened."""
        if "passages" in self.__dict__:
            self.passages.close()
