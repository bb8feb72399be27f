"""A bundle on disk, opened: the parts that a search needs.

::

    NAME.lurcher/
      manifest.json              what is inside, measured figures, hashes      bundle.manifest
      encoder/                   encoder.onnx, vocabulary.bin, tokenizer.json,
                                 config.json; query.onnx, if there is a student   models.encoders
      segments/000000/ ...       passages with all that is searched; one or more   bundle.segment
      lexical/                   frozen document frequencies, once compacted   bundle.frequencies
      tokens/                    how token states become codes; since a recalibration below a
                                 generation's number                          bundle.places
      states/                    how those states become bits, if they do
      reading/                   how token states become codes of reading.*
      ranker/                    what ranks by request, if there is anything  models.ranker
      reader/                    what finds answers in reading.*, if it does  models.reader
      neighbours/                known queries, if there are any               bundle.neighbours

Nothing in a bundle is ever executed or unpickled: ONNX, FAISS, SQLite and JSON only.

A bundle without vectors has no encoder and nothing that one makes: passages, copies and lexical.* alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from lurcher.bundle.codecs import Codecs
from lurcher.bundle.consistency import ENCODER, RANKER, READER, check_files
from lurcher.bundle.generations import of_newest
from lurcher.bundle.lexical_index import LexicalIndex
from lurcher.bundle.manifest import Manifest, changed_files, check_parts
from lurcher.bundle.model_cache import ModelCache
from lurcher.bundle.moves import followed
from lurcher.bundle.neighbours import NEIGHBOURS, QUERIES, NeighbourFiles, Neighbours
from lurcher.bundle.passages import Rows
from lurcher.bundle.places import place_of
from lurcher.bundle.plain_files import check_plain_files
from lurcher.bundle.reading_store import ReadingStore
from lurcher.bundle.row_space import Mask, RowSpace
from lurcher.bundle.segment import ALIKE_FILE, COPIES_FILE, PASSAGES_FILE, VECTORS_FILE, Segment
from lurcher.bundle.segmented.copies import Copies
from lurcher.bundle.segmented.entries import join_entries
from lurcher.bundle.segmented.passages import PassageStore, join_passages
from lurcher.bundle.segmented.vectors import VectorStore, join_vectors
from lurcher.bundle.state_store import StateStore
from lurcher.bundle.token_store import CODER, TokenStore
from lurcher.bundle.tombstones import read_deleted
from lurcher.bundle.uses import Use
from lurcher.errors import BundleCorrupt, BundleError, ModelError
from lurcher.models.encoders.config import EncoderConfig
from lurcher.models.encoders.encoder import Encoder
from lurcher.models.engines import EngineName
from lurcher.models.ranker.decoder import Decoder, DecoderConfig
from lurcher.models.ranker.presets import PRESETS, Preset
from lurcher.models.ranker.seq2seq import Seq2SeqDecoder
from lurcher.models.reader.reader import Reader

__all__ = [
    "ALIKE", "COPIES", "ENCODER", "NO_VECTORS", "PASSAGES", "RANKER", "READER", "SEGMENT", "VECTORS",
    "Bundle",
]  # fmt: skip

# The segment that a build writes.
SEGMENT = "segments/000000"
PASSAGES = f"{SEGMENT}/{PASSAGES_FILE}"
VECTORS = f"{SEGMENT}/{VECTORS_FILE}"
COPIES = f"{SEGMENT}/{COPIES_FILE}"
ALIKE = f"{SEGMENT}/{ALIKE_FILE}"

NO_VECTORS = "this bundle has no vectors; `lurcher build` without --no-vectors makes one that has"


@dataclass(frozen=True, slots=True)
class Bundle:
    """An opened bundle: a snapshot of its segments; safe to share between threads.

    Stores have the rows of all segments, one after the other (``rows``); those of one segment of which
    nothing is deleted are its own. Several snapshots may share segments, and each is closed for itself.
    """

    path: Path
    manifest: Manifest
    codecs: Codecs
    segments: tuple[Segment, ...]
    rows: RowSpace
    passages: PassageStore
    index: VectorStore | None  # what `vectors` gives; None without vectors
    alike: Copies
    lexical: LexicalIndex | None
    tokens: TokenStore | None
    reading: ReadingStore | None
    states: StateStore | None
    neighbours: Neighbours | None
    uses: tuple[Use, ...]  # of the segments

    @classmethod
    def open(cls, path: Path, check_hashes: bool = True) -> Bundle:
        """The bundle at ``path``, each file checked against the manifest.

        ``check_hashes`` False trusts the disk and reads no file whole. Raises BundleError.
        """
        return _opened_now(path, None, check_hashes)

    def refreshed(self, check_hashes: bool = True) -> Bundle:
        """The bundle's current generation, a snapshot of its own that shares what is the same in both.

        Only files that this one has not are checked. Raises BundleError.
        """
        return _opened_now(self.path, self, check_hashes)

    def with_segments(self, segments: Sequence[Segment], deleted: Sequence[Mask | None]) -> Bundle:
        """A snapshot of ``segments`` without the passages ``deleted`` (n,) of each, None: all are there.

        It shares all else with this one. So what is written is searched before a generation has it.
        """
        return _snapshot(
            self.path, self.manifest, self.codecs, segments, deleted, self, changed=True
        )

    @property
    def preset(self) -> Preset:
        """What scores count beside each other."""
        return PRESETS[self.manifest.build.preset]

    @property
    def copies(self) -> Rows | None:
        """The first row with nearly the same text, (n,); None: no two are alike."""
        return self.alike.first

    def all_rows(self) -> range:
        """The rows of all passages, where none is deleted: what goes by them needs nothing else.

        Raises BundleError where any is.
        """
        if self.rows.live is not None:
            reason = "has deleted passages, which only `lurcher compact` leaves out of its files"
            raise BundleError(self.path, reason)
        return range(self.rows.count)

    def since(self, ids: Sequence[str]) -> dict[str, float | None]:
        """When the text of each of the passages ``ids`` took the place of another, None: the build has it.

        In seconds since 1970, UTC; those that no passage has are left out.
        """
        rows = self.passages.rows_of(ids)
        return dict(zip(rows, self.passages.since(list(rows.values())), strict=True))

    @property
    def vectors(self) -> VectorStore:
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

    def query_encoder(
        self, threads: int, engine: EngineName = "auto", cache: ModelCache | None = None
    ) -> Encoder:
        """The encoder of this bundle's queries; it and what else is loaded may be in ``cache`` already.

        Raises ModelError, BundleError.
        """
        if self.index is None:
            raise BundleError(self.path, NO_VECTORS)
        encoder = (cache or ModelCache()).get(
            self.manifest, ENCODER, ("query", threads, engine),
            lambda: Encoder.load(self.path / ENCODER, "query", threads, engine),
        )  # fmt: skip
        if self.tokens is not None:
            counted = len(self.tokens.coder.frequency)
            if counted != encoder.vocabulary:
                reason = f"counts {counted} tokens, and the encoder knows {encoder.vocabulary}"
                raise BundleCorrupt(self.path, place_of(self.manifest.files, CODER), reason)
        return encoder

    def decoder(self, threads: int, cache: ModelCache | None = None) -> Decoder | None:
        """What ranks better than late interaction, if the bundle has it. Raises BundleCorrupt."""
        if not isinstance(self.manifest.ranker, DecoderConfig) or self.tokens is None:
            return None
        with self._corrupt(RANKER):
            decoder = (cache or ModelCache()).get(
                self.manifest, RANKER, (threads,), lambda: Decoder.load(self.path / RANKER, threads)
            )
            decoder.check(self.encoder, self.tokens.coder)
        return decoder

    def t5(self, threads: int, cache: ModelCache | None = None) -> Seq2SeqDecoder | None:
        """What ranks by ``states``, if the bundle has them. Raises BundleCorrupt."""
        if self.states is None:
            return None
        with self._corrupt(RANKER):
            return (cache or ModelCache()).get(
                self.manifest, RANKER, (threads,),
                lambda: Seq2SeqDecoder.load(self.path / RANKER, threads),
            )  # fmt: skip

    def reader(self, threads: int, cache: ModelCache | None = None) -> Reader | None:
        """What finds answers in ``reading``, if the bundle has it. Raises BundleCorrupt."""
        if self.manifest.reader is None:
            return None
        # As it is calibrated here, which its own folder does not say.
        described = self.manifest.reader
        with self._corrupt(READER):
            return (cache or ModelCache()).get(
                self.manifest, READER, (threads, described.model_dump_json()),
                lambda: Reader.load(self.path / READER, threads, described),
            )  # fmt: skip

    @contextmanager
    def _corrupt(self, folder: str) -> Iterator[None]:
        """Let a model in ``folder`` that cannot be loaded be a fault of the bundle: BundleCorrupt."""
        try:
            yield
        except ModelError as error:
            raise BundleCorrupt(self.path, folder, str(error)) from error

    def files(self) -> list[Path]:
        """Its files but the manifest, relative to it."""
        # From the folder, so that a path in a stranger's manifest leads nowhere else.
        parts = (file.relative_to(self.path) for file in sorted(self.path.rglob("*")))
        return [part for part in parts if part.as_posix() in self.manifest.files]

    def close(self) -> None:
        """Close the files, once no other snapshot uses them."""
        for use in self.uses:
            use.release()
        if self.neighbours is not None:
            self.neighbours.close()


def _opened_now(path: Path, before: Bundle | None, check_hashes: bool) -> Bundle:
    """The snapshot of the current generation, as ``_opened`` makes it. Raises BundleError."""
    return of_newest(path, lambda manifest: _opened(path, manifest, before, check_hashes))


def _opened(path: Path, manifest: Manifest, before: Bundle | None, check_hashes: bool) -> Bundle:
    """The snapshot of ``manifest``, with what ``before`` has open that is the same. Raises BundleError."""
    check_plain_files(path, manifest)
    known = {} if before is None else before.manifest.files
    if check_hashes:
        new = {name: entry for name, entry in manifest.files.items() if known.get(name) != entry}
        for file, reason in changed_files(path, new).items():
            raise BundleCorrupt(path, file, reason)
    check_parts(path, manifest)
    shared = {} if before is None else {one.name: one for one in _same(before, manifest)}
    if before is not None and _frozen(before.manifest) == _frozen(manifest):
        codecs = before.codecs
    else:
        codecs = Codecs.open(path, manifest)
    with ExitStack() as undo:
        segments, deleted = [], []
        for entry in manifest.segments:
            segment = shared.get(entry.name) or Segment.open(path, manifest, entry, codecs)
            # As a user, so that it is closed should anything fail; the snapshot is another.
            segment.uses.retain()
            undo.callback(segment.uses.release)
            segments.append(segment)
            deleted.append(
                None
                if entry.deleted is None
                else read_deleted(path, entry.deleted, entry.passages, entry.deletions)
            )
        check_files(path, manifest, segments)
        bundle = _snapshot(path, manifest, codecs, segments, deleted, before, changed=False)
    neighbours = bundle.neighbours
    if neighbours is not None and (
        (has := neighbours.queries.dimension) != bundle.encoder.dimension
    ):
        bundle.close()
        reason = f"{has} dimensions, the manifest says {bundle.encoder.dimension}"
        raise BundleCorrupt(path, QUERIES, reason)
    return bundle


def _same(before: Bundle, manifest: Manifest) -> Iterator[Segment]:
    """The segments of ``before`` that are in ``manifest`` with the same files."""
    entries = {entry.name: entry for entry in manifest.segments}
    stated = {entry.name: before.manifest.stores_of(entry) for entry in before.manifest.segments}
    for segment in before.segments:
        entry = entries.get(segment.name)
        if entry is not None and segment.name in stated:
            same = before.manifest.files_of(entry) == manifest.files_of(entry)
            if same and manifest.stores_of(entry) == stated[segment.name]:
                yield segment


def _frozen(manifest: Manifest) -> object:
    """What codecs are opened from."""
    files = {k: v for k, v in manifest.files.items() if not k.startswith(("segments/", NEIGHBOURS))}
    return files, manifest.encoder, manifest.ranker


def _snapshot(
    path: Path, manifest: Manifest, codecs: Codecs, segments: Sequence[Segment],
    deleted: Sequence[Mask | None], before: Bundle | None, *, changed: bool,
) -> Bundle:  # fmt: skip
    """The snapshot of ``segments`` without what is ``deleted`` of each; a user of them.

    It follows on ``before``, None: on nothing. ``changed``: it is not as the manifest says.
    """
    space = RowSpace.of([segment.count for segment in segments], deleted)
    passages = join_passages(space, [one.passages for one in segments])
    indexes = [one.vectors for one in segments if one.vectors is not None]
    index = join_vectors(space, indexes) if indexes else None
    lexical = tokens = reading = states = None
    if manifest.lexical is not None and codecs.analyser is not None:
        words = [one.lexical for one in segments if one.lexical is not None]
        lexical = LexicalIndex.of(
            manifest.lexical, codecs.analyser, codecs.frequencies, words, space
        )
    if manifest.tokens is not None and codecs.tokens is not None:
        parts = [one.tokens for one in segments if one.tokens is not None]
        tokens = TokenStore(manifest.tokens, codecs.tokens, join_entries(space, parts))
    if manifest.reading is not None and codecs.reading is not None:
        parts = [one.reading for one in segments if one.reading is not None]
        reading = ReadingStore(manifest.reading, codecs.reading, join_entries(space, parts))
    if manifest.states is not None and codecs.states is not None:
        parts = [one.states for one in segments if one.states is not None]
        states = StateStore(manifest.states, codecs.states, join_entries(space, parts))
    alike = Copies(space, tuple(one.copies for one in segments))
    bundle = Bundle(
        path, manifest, codecs, tuple(segments), space, passages, index, alike, lexical, tokens,
        reading, states, None, (),
    )  # fmt: skip
    if manifest.neighbours is not None and index is not None:
        bundle = replace(bundle, neighbours=_known(bundle, before, changed=changed))
    return replace(bundle, uses=tuple(Use(segment.uses) for segment in segments))


def _known(bundle: Bundle, before: Bundle | None, *, changed: bool) -> Neighbours:
    """The known queries of ``bundle``, which has none yet. Raises BundleCorrupt."""
    path, manifest, rows_of = bundle.path, bundle.manifest, bundle.passages.rows_of
    settings, count = manifest.neighbours, bundle.rows.count
    assert settings is not None  # noqa: S101 (the caller has seen them)
    same = not changed and settings.generation == manifest.generation
    if same and bundle.rows.plain:
        return Neighbours.open(path, settings, count, rows_of)
    known = None if before is None else before.neighbours
    if known is None or before is None or known.settings != settings:
        files = NeighbourFiles.open(path, settings, manifest.files)
        found = rows_of(files.ids)
        rows = np.array([found.get(id_, -1) for id_ in files.ids], np.int64)
    else:
        files = known.files
        rows = followed(known.numbered, files.ids, before, bundle, rows_of)
    return Neighbours.of(files, count, _judged(bundle, rows, settings.judged), bundle.vectors)


def _judged(bundle: Bundle, rows: Rows, time: float | None) -> Rows:
    """``rows`` (n,) with -1 for each passage whose text is another than that judged at ``time``."""
    for place, segment in enumerate(bundle.segments):
        times = segment.passages.rewritten
        if times is not None:
            own = bundle.rows.among(place)
            here = np.flatnonzero((rows >= own.start) & (rows < own.stop))
            later = times[rows[here] - own.start] > (time or 0.0)
            rows[here[later]] = -1
    return rows
