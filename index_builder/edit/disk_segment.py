"""Encoded passages to the files of a segment, by the writers that a build has."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

import faiss
import numpy as np

from lurcher.bundle.chunks import chunks
from lurcher.bundle.codecs import Codecs
from lurcher.bundle.copies import write_copies, write_keys
from lurcher.bundle.fail_points import FailPoint, carry_on
from lurcher.bundle.index_building import build_index, default_factory, empty_index
from lurcher.bundle.index_codes import add_vectors
from lurcher.bundle.lexical_files import describe_lexical
from lurcher.bundle.manifest import FileEntry, Manifest, SegmentEntry, Stores, hash_file
from lurcher.bundle.passages import Passage, Passages, PassageWriter
from lurcher.bundle.reading_store import ReadingWriter, describe_reading
from lurcher.bundle.segment import ALIKE_FILE, COPIES_FILE, PASSAGES_FILE, VECTORS_FILE
from lurcher.bundle.state_store import StateWriter, describe_states
from lurcher.bundle.sync import DISK, Disk
from lurcher.bundle.token_store import TokenWriter, describe_tokens
from lurcher.bundle.vectors import FEW, VectorIndex, write_index
from lurcher.index_builder.edit.encode import Encoded
from lurcher.index_builder.stages.find_copies import copies_of, go_on
from lurcher.index_builder.stages.index_terms import write_index as write_terms
from lurcher.models.ranker.seq2seq import RankerConfig

# Below the segment's folder, until it is written.
_SCRATCH, _VECTORS = ".scratch", "vectors.f32"


def write_segment(
    root: Path, name: str, count: int, blocks: Iterable[Encoded], manifest: Manifest, codecs: Codecs,
    like: VectorIndex | None = None, fail_point: FailPoint = carry_on, disk: Disk = DISK,
    breathe: Callable[[], object] = go_on,
) -> tuple[SegmentEntry, dict[str, FileEntry]]:  # fmt: skip
    """Write ``count`` passages, in ``blocks``, as the new segment ``name`` of the bundle at ``root``.

    Returns what the manifest says of it and of its files, which are on the disk then. Vectors are coded as
    the index ``like`` codes its own, unless they have become too many for that. ``breathe`` is called now and
    then and may wait. Raises OSError, and what it raises.
    """
    entry = SegmentEntry(name=name, passages=count)
    folder = root / entry.folder
    shutil.rmtree(folder, ignore_errors=True)  # of a writer that was killed
    scratch = folder / _SCRATCH
    scratch.mkdir(parents=True)
    outputs = _Outputs(folder, scratch, manifest, codecs, fail_point)
    try:
        texts = outputs.written(blocks)
        settings, analyser = manifest.lexical, codecs.analyser
        if settings is None or analyser is None:
            for _ in texts:
                pass
        else:
            write_terms(
                texts, count, analyser.language, folder, scratch / "runs", settings.average_length,
                fail_point=fail_point,
            )  # fmt: skip
    finally:
        outputs.close()
    if manifest.encoder is not None:
        write_index(_index(scratch, count, manifest, like), folder / VECTORS_FILE)
        fail_point("segment: vectors written")
    passages = Passages(folder / PASSAGES_FILE)
    try:
        first, keys = copies_of(passages, breathe)
    finally:
        passages.close()
    write_copies(root, f"{entry.folder}/{COPIES_FILE}", first)
    write_keys(root, f"{entry.folder}/{ALIKE_FILE}", keys)
    shutil.rmtree(scratch)
    files = sorted(folder.iterdir())
    disk.sync_all([*files, folder, folder.parent])
    fail_point("segment: synced")
    entries = {f"{entry.folder}/{file.name}": hash_file(file) for file in files}
    stores = _stores(root, entry.folder, count, manifest, codecs)
    return entry.model_copy(update={"stores": stores}), entries


class _Outputs:
    """The files of a segment that grow with each passage."""

    def __init__(
        self, folder: Path, scratch: Path, manifest: Manifest, codecs: Codecs, fail_point: FailPoint
    ) -> None:
        self._stack = ExitStack()
        self._passages = PassageWriter(folder / PASSAGES_FILE)
        self._stack.callback(self._passages.close)
        self._vectors = self._stack.enter_context((scratch / _VECTORS).open("wb"))
        self._tokens: TokenWriter | None = None
        self._reading: ReadingWriter | None = None
        self._states: StateWriter | None = None
        encoder, ranker = manifest.encoder, manifest.ranker
        if codecs.tokens is not None and encoder is not None:
            self._tokens = self._stack.enter_context(
                TokenWriter(folder, codecs.tokens.bits, encoder.max_tokens, fail_point)
            )
        if codecs.reading is not None and encoder is not None:
            self._reading = self._stack.enter_context(
                ReadingWriter(folder, codecs.reading.bits, encoder.max_tokens, fail_point)
            )
        if codecs.states is not None and isinstance(ranker, RankerConfig):
            self._states = self._stack.enter_context(
                StateWriter(folder, codecs.states, ranker.max_tokens, fail_point)
            )

    def written(self, blocks: Iterable[Encoded]) -> Iterator[tuple[Passage, ...]]:
        """The passages of each of ``blocks``, which is written first."""
        for block in blocks:
            done = self._passages.count + len(block)
            self._passages.append(block.passages, done, 0, sources=block.sources, since=block.since)
            if block.vectors is not None:
                self._vectors.write(block.vectors.tobytes())
            if self._tokens is not None:
                self._tokens.append_coded([one.coded for one in block.kept])
            if self._reading is not None:
                self._reading.append_codes(
                    [one.reading for one in block.kept if one.reading is not None]
                )
            if self._states is not None:
                packed = [one.packed for one in block.states]
                self._states.append_states(packed, [one.truncated for one in block.states])
            yield block.passages
        self._passages.finish()

    def close(self) -> None:
        """Close the files."""
        self._stack.close()


def _index(scratch: Path, count: int, manifest: Manifest, like: VectorIndex | None) -> faiss.Index:
    """The index of the vectors in ``scratch``, coded as in ``like``; scanned where they are few."""
    assert manifest.encoder is not None  # noqa: S101 (the caller asked)
    shape = count, manifest.encoder.dimension
    if not count:  # an empty file cannot be mapped
        return empty_index(shape[1], "Flat")
    vectors = np.memmap(scratch / _VECTORS, np.float32, "r", shape=shape)
    if like is None or (count > FEW >= like.count):
        return build_index(vectors, default_factory(count), manifest.build.seed, _ignore)
    index = like.emptied(scanned=count <= FEW)
    for rows in chunks(count):
        add_vectors(index, np.ascontiguousarray(vectors[rows]))
    return index


def _ignore(_: int) -> None:
    pass


def _stores(root: Path, folder: str, count: int, manifest: Manifest, codecs: Codecs) -> Stores:
    """What the manifest says of the stores in ``folder``."""
    lexical, encoder, ranker = manifest.lexical, manifest.encoder, manifest.ranker
    return Stores(
        lexical=None if lexical is None else describe_lexical(
            root, folder, lexical.language, count, lexical.average_length, lexical.k1, lexical.b,
            lexical.title_weight,
        ),
        tokens=None if codecs.tokens is None or manifest.tokens is None or encoder is None
        else describe_tokens(root, folder, codecs.tokens, manifest.tokens.keep_ratio, encoder),
        reading=None if codecs.reading is None or encoder is None
        else describe_reading(root, folder, codecs.reading, encoder),
        states=None if codecs.states is None or not isinstance(ranker, RankerConfig)
        else describe_states(root, folder, codecs.states, ranker),
    )  # fmt: skip
