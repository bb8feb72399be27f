"""A bundle on disk, opened: the parts that a search needs.

::

    NAME.lurcher/
      manifest.json              what is inside, measured figures, hashes      bundle.manifest
      encoder/                   encoder.onnx, vocabulary.bin, tokenizer.json,
                                 config.json; query.onnx, if there is a student   models.encoders
      segments/000000/
        passages.db              ids, titles, texts, metadata                  bundle.passages
        vectors.faiss            one vector a passage, unless left out         bundle.vectors
        copies.npy               which passages have nearly the same text      bundle.copies
        lexical.*                which passages have each term, unless left out   bundle.lexical_index
        tokens.*                 packed 1-bit tokens, unless left out          bundle.token_store
        reading.*                the tokens in more detail, if it answers      bundle.reading_store
        states.*                 a T5's states of the passages, if one ranks   bundle.state_store
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

from dataclasses import dataclass
from pathlib import Path

from lurcher.bundle.copies import read_copies
from lurcher.bundle.lexical_index import LexicalIndex
from lurcher.bundle.manifest import (
    MANIFEST,
    Manifest,
    changed_files,
    check_parts,
    read_manifest,
)
from lurcher.bundle.neighbours import QUERIES, Neighbours
from lurcher.bundle.passages import Passages, Rows
from lurcher.bundle.reading_store import READING_CODER, ReadingStore
from lurcher.bundle.state_store import StateStore
from lurcher.bundle.token_store import CODER, TokenStore
from lurcher.bundle.vectors import VectorIndex
from lurcher.errors import BundleCorrupt, BundleError, LurcherError, ModelError
from lurcher.models.encoders.config import CONFIG_FILE, EncoderConfig, load_config
from lurcher.models.encoders.encoder import Encoder
from lurcher.models.engines import EngineName
from lurcher.models.ranker.decoder import DECODER_FILE, Decoder, DecoderConfig, load_decoder_config
from lurcher.models.ranker.seq2seq import RankerConfig, Seq2SeqDecoder, load_ranker_config
from lurcher.models.reader.reader import READER_FILE, Reader, check_reader, load_reader_config

ENCODER = "encoder"
RANKER = "ranker"
READER = "reader"
SEGMENT = "segments/000000"
PASSAGES = f"{SEGMENT}/passages.db"
VECTORS = f"{SEGMENT}/vectors.faiss"
COPIES = f"{SEGMENT}/copies.npy"

NO_VECTORS = "this bundle has no vectors; `lurcher build` without --no-vectors makes one that has"


@dataclass(frozen=True, slots=True)
class Bundle:
    """An opened bundle; safe to share between threads."""

    path: Path
    manifest: Manifest
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
        terms = manifest.lexical
        lexical = (
            None if terms is None else LexicalIndex.open(path, SEGMENT, terms, manifest.passages)
        )
        check_parts(path, manifest)
        index, tokens = _index(path, manifest), _tokens(path, manifest)
        # Format 2 has none.
        named = COPIES in manifest.files
        copies = read_copies(path, COPIES, manifest.passages) if named else None
        reading, states = _reading(path, manifest, tokens), _states(path, manifest)
        known = manifest.neighbours
        passages = Passages(path / PASSAGES)
        try:
            neighbours = (
                None
                if known is None or index is None
                else Neighbours.open(path, known, index.count, passages.rows_of)
            )
        except BaseException:
            passages.close()
            raise
        bundle = cls(
            path, manifest, passages, index, copies, lexical, tokens, reading, states, neighbours
        )
        for problem in bundle.inconsistencies():
            bundle.close()
            raise problem
        return bundle

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
        """Close the files."""
        self.passages.close()
        if self.neighbours is not None:
            self.neighbours.close()


def _index(path: Path, manifest: Manifest) -> VectorIndex | None:
    """The vectors of the bundle at ``path``, if there are any. Raises BundleCorrupt."""
    if manifest.encoder is None:
        return None
    return VectorIndex.open(path / VECTORS, manifest.figures.search_effort)


def _tokens(path: Path, manifest: Manifest) -> TokenStore | None:
    """The tokens of the bundle at ``path``, if there are any. Raises BundleCorrupt."""
    if manifest.tokens is None or manifest.encoder is None:
        return None
    return TokenStore.open(path, SEGMENT, manifest.tokens, manifest.encoder, manifest.passages)


def _reading(path: Path, manifest: Manifest, tokens: TokenStore | None) -> ReadingStore | None:
    """What a reader of the bundle at ``path`` reads, if there is it. Raises BundleCorrupt."""
    reading = manifest.reading
    if reading is None and manifest.reader is None:
        return None
    if reading is None or tokens is None or manifest.encoder is None:
        missing = "tokens" if tokens is None else "a reading store"
        raise BundleCorrupt(path, MANIFEST, f"what is to answer needs {missing}, which it has not")
    store = ReadingStore.open(path, SEGMENT, reading, manifest.encoder, manifest.passages)
    has, wants = len(store.coder.centres), len(tokens.coder.frequency)
    if has != wants:
        raise BundleCorrupt(path, READING_CODER, f"of {has} different tokens, expected {wants}")
    return store


def _states(path: Path, manifest: Manifest) -> StateStore | None:
    """The states of the bundle at ``path``, if it is a T5 that ranks it. Raises BundleCorrupt."""
    ranker, states = manifest.ranker, manifest.states
    if isinstance(ranker, RankerConfig) and states is not None:
        return StateStore.open(path, SEGMENT, states, ranker, manifest.passages)
    if isinstance(ranker, RankerConfig) or states is not None:
        raise BundleCorrupt(
            path, MANIFEST, "of states and a ranker that reads them it has only one"
        )
    return None


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
