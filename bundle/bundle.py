"""A bundle on disk, opened: the parts that a search needs.

::

    NAME.lurcher/
      manifest.json              what is inside, measured figures, hashes      bundle.manifest
      encoder/                   encoder.onnx, vocabulary.bin, tokenizer.json,
                                 config.json; query.onnx, if there is a student   models.encoders
      segments/000000/ ...       passages with all that is searched; one or more   bundle.segment
      lexical/                   frozen document frequencies, once compacted   bundle.frequencies
      tokens/                    how token states become codes
      states/                    how those states become bits, if they do
      reading/                   how token states become codes of reading.*
      ranker/                    what ranks by request, if there is anything  models.ranker
      reader/                    what finds answers in reading.*, if it does  models.reader
      neighbours/                known queries, if there are any               bundle.neighbours

Nothing in a bundle is ever executed or unpickled: ONNX, FAISS, SQLite and JSON only.

A bundle without vectors has no encoder and nothing that one makes: passages, copies and lexical.* alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from lurcher.bundle.codecs import Codecs
from lurcher.bundle.lexical_index import LexicalIndex
from lurcher.bundle.manifest import Manifest, changed_files, check_parts, read_manifest
from lurcher.bundle.neighbours import QUERIES, Neighbours
from lurcher.bundle.passages import Passages, Rows
from lurcher.bundle.reading_store import ReadingStore
from lurcher.bundle.row_space import RowSpace
from lurcher.bundle.segment import COPIES_FILE, PASSAGES_FILE, VECTORS_FILE, Segment
from lurcher.bundle.segmented.entries import joined
from lurcher.bundle.state_store import StateStore
from lurcher.bundle.token_store import CODER, TokenStore
from lurcher.bundle.vectors import VectorIndex
from lurcher.errors import BundleCorrupt, BundleError, LurcherError, ModelError
from lurcher.models.encoders.config import CONFIG_FILE, EncoderConfig, load_config
from lurcher.models.encoders.encoder import Encoder
from lurcher.models.engines import EngineName
from lurcher.models.ranker.decoder import DECODER_FILE, Decoder, DecoderConfig, load_decoder_config
from lurcher.models.ranker.seq2seq import Seq2SeqDecoder, load_ranker_config
from lurcher.models.reader.reader import READER_FILE, Reader, check_reader, load_reader_config

ENCODER = "encoder"
RANKER = "ranker"
READER = "reader"
# The segment that a build writes.
SEGMENT = "segments/000000"
PASSAGES = f"{SEGMENT}/{PASSAGES_FILE}"
VECTORS = f"{SEGMENT}/{VECTORS_FILE}"
COPIES = f"{SEGMENT}/{COPIES_FILE}"

NO_VECTORS = "this bundle has no vectors; `lurcher build` without --no-vectors makes one that has"


@dataclass(frozen=True, slots=True)
class Bundle:
    """An opened bundle: one generation of it; safe to share between threads.

    Stores have the rows of all segments, one after the other (``rows``). Of a bundle of one segment of which
    nothing is deleted they are that segment's own.
    """

    path: Path
    manifest: Manifest
    codecs: Codecs
    segments: tuple[Segment, ...]
    rows: RowSpace
    passages: Passages
    index: VectorIndex | None  # what `vectors` gives; None without vectors
    copies: Rows | None  # (n,) the first row with nearly the same text; None: no two are alike
    lexical: LexicalIndex | None
    tokens: TokenStore | None
    reading: ReadingStore | None
    states: StateStore | None
    neighbours: Neighbours | None

    @classmethod
    def open(cls, path: Path, check_hashes: bool = True) -> Bundle:
        """The bundle at ``path``, each file checked against the manifest.

        ``check_hashes`` False trusts the disk and reads no file whole. Raises BundleError.
        """
        manifest = read_manifest(path)
        if check_hashes:
            for file, reason in changed_files(path, manifest).items():
                raise BundleCorrupt(path, file, reason)
        check_parts(path, manifest)
        codecs = Codecs.open(path, manifest)
        with ExitStack() as undo:
            segments = []
            for entry in manifest.segments:
                segments.append(Segment.open(path, manifest, entry, codecs))
                segments[-1].uses.retain()
                undo.callback(segments[-1].uses.release)
            bundle = cls._of(path, manifest, codecs, segments)
            if bundle.neighbours is not None:
                undo.callback(bundle.neighbours.close)
            for problem in bundle.inconsistencies():
                raise problem
            undo.pop_all()
        return bundle

    @classmethod
    def _of(
        cls, path: Path, manifest: Manifest, codecs: Codecs, segments: Sequence[Segment]
    ) -> Bundle:
        """The snapshot of ``segments``."""
        (segment,) = segments
        space = RowSpace.of([segment.count], [None])
        known, index, passages = manifest.neighbours, segment.vectors, segment.passages
        lexical = tokens = reading = states = None
        if manifest.lexical is not None and codecs.analyser is not None:
            parts = [one.lexical for one in segments if one.lexical is not None]
            lexical = LexicalIndex.of(
                manifest.lexical, codecs.analyser, codecs.frequencies, parts, space
            )
        if manifest.tokens is not None and codecs.tokens is not None:
            own = [one.tokens for one in segments if one.tokens is not None]
            tokens = TokenStore(manifest.tokens, codecs.tokens, joined(space, own))
        if manifest.reading is not None and codecs.reading is not None:
            own = [one.reading for one in segments if one.reading is not None]
            reading = ReadingStore(manifest.reading, codecs.reading, joined(space, own))
        if manifest.states is not None and codecs.states is not None:
            own = [one.states for one in segments if one.states is not None]
            states = StateStore(manifest.states, codecs.states, joined(space, own))
        neighbours = (
            None
            if known is None or index is None
            else Neighbours.open(path, known, index.count, passages.rows_of)
        )
        return cls(
            path, manifest, codecs, tuple(segments), space, passages, index, segment.copies,
            lexical, tokens, reading, states, neighbours,
        )  # fmt: skip

    @property
    def vectors(self) -> VectorIndex:
        """The index of the passages' vectors. Raises BundleError in a bundle without vectors."""
        if self.index is None:
            raise BundleError(self.path, NO_VECTORS)
        return self.index

    @property
    def encoder(self) -> EncoderConfig:
        """What made the vectors, as the manifest has it. Raises BundleError in a bundle without vectors."""
        if self.manifest.encoder is None:
            raise BundleError(self.path, NO_VECTORS)
        return self.manifest.encoder

    def query_encoder(self, threads: int, engine: EngineName = "auto") -> Encoder:
        """The encoder of this bundle's queries. Raises ModelError, BundleError."""
        if self.index is None:
            raise BundleError(self.path, NO_VECTORS)
        encoder = Encoder.load(self.path / ENCODER, "query", threads, engine)
        if self.tokens is not None:
            counted = len(self.tokens.coder.frequency)
            if counted != encoder.vocabulary:
                reason = f"counts {counted} tokens, and the encoder knows {encoder.vocabulary}"
                raise BundleCorrupt(self.path, CODER, reason)
        return encoder

    def decoder(self, threads: int) -> Decoder | None:
        """What ranks better than late interaction, if the bundle has it. Raises BundleCorrupt."""
        if not isinstance(self.manifest.ranker, DecoderConfig) or self.tokens is None:
            return None
        try:
            decoder = Decoder.load(self.path / RANKER, threads)
            decoder.check(self.encoder, self.tokens.coder)
        except ModelError as error:
            raise BundleCorrupt(self.path, RANKER, str(error)) from error
        return decoder

    def t5(self, threads: int) -> Seq2SeqDecoder | None:
        """What ranks by ``states``, if the bundle has them. Raises BundleCorrupt."""
        if self.states is None:
            return None
        try:
            return Seq2SeqDecoder.load(self.path / RANKER, threads)
        except ModelError as error:
            raise BundleCorrupt(self.path, RANKER, str(error)) from error

    def reader(self, threads: int) -> Reader | None:
        """What finds answers in ``reading``, if the bundle has it. Raises BundleCorrupt."""
        if self.manifest.reader is None:
            return None
        try:
            return Reader.load(self.path / READER, threads)
        except ModelError as error:
            raise BundleCorrupt(self.path, READER, str(error)) from error

    def files(self) -> list[Path]:
        """Its files but the manifest, relative to it."""
        # From the folder, so that a path in a stranger's manifest leads nowhere else.
        parts = (file.relative_to(self.path) for file in sorted(self.path.rglob("*")))
        return [part for part in parts if part.as_posix() in self.manifest.files]

    def inconsistencies(self) -> list[BundleCorrupt]:
        """Where two files of the bundle contradict each other."""
        expected, encoder = self.manifest.passages, self.manifest.encoder
        found = [(PASSAGES, "passages", self.passages.count, expected)]
        if self.index is not None and encoder is not None:
            found.append((VECTORS, "vectors", self.index.count, expected))
            found.append((VECTORS, "dimensions", self.index.dimension, encoder.dimension))
            if self.neighbours is not None:
                has = self.neighbours.queries.dimension
                found.append((QUERIES, "dimensions", has, encoder.dimension))
        problems = [
            BundleCorrupt(self.path, file, f"{has} {what}, the manifest says {wants}")
            for file, what, has, wants in found
            if has != wants
        ]
        if encoder is None:
            return problems
        config = f"{ENCODER}/{CONFIG_FILE}"
        try:
            if load_config(self.path / ENCODER) != encoder:
                problems.append(BundleCorrupt(self.path, config, "not the manifest's encoder"))
        except ModelError as error:
            problems.append(BundleCorrupt(self.path, config, str(error)))
        if self.manifest.ranker is not None:
            decoder = isinstance(self.manifest.ranker, DecoderConfig)
            config = f"{RANKER}/{DECODER_FILE if decoder else CONFIG_FILE}"
            load = load_decoder_config if decoder else load_ranker_config
            try:
                if load(self.path / RANKER) != self.manifest.ranker:
                    problems.append(BundleCorrupt(self.path, config, "not the manifest's decoder"))
            except ModelError as error:
                problems.append(BundleCorrupt(self.path, config, str(error)))
        if self.manifest.reader is not None:
            config = f"{READER}/{READER_FILE}"
            try:
                if load_reader_config(self.path / READER) != self.manifest.reader:
                    problems.append(BundleCorrupt(self.path, config, "not the manifest's reader"))
                check_reader(self.manifest.reader, encoder)
            except ModelError as error:
                problems.append(BundleCorrupt(self.path, config, str(error)))
        return problems

    def close(self) -> None:
        """Close the files, once no other snapshot uses them."""
        for segment in self.segments:
            segment.uses.release()
        if self.neighbours is not None:
            self.neighbours.close()


def verify(path: Path) -> list[str]:
    """Everything that is wrong with the bundle at ``path``, a line each; empty if it is sound.

    Raises BundleError where there is no manifest to verify against.
    """
    manifest = read_manifest(path)
    problems = [f"{file}: {reason}" for file, reason in changed_files(path, manifest).items()]
    if problems:
        return problems
    try:
        bundle = Bundle.open(path, check_hashes=False)
        try:
            if bundle.index is not None:
                bundle.index.search(bundle.query_encoder(1).encode(["a trial query"]), 1)
            if (words := bundle.lexical) is not None:
                words.top(words.look_up(words.analyser.query_terms("a trial query")), 1)
            bundle.decoder(1)
            bundle.t5(1)
            bundle.reader(1)
        finally:
            bundle.close()
    except LurcherError as error:
        return [str(error)]
    return []
