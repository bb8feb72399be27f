"""The stages of a build, run on the passages that a bundle has, to learn anew all that a build learns.

Codes of tokens depend on what is learnt, and an index that stores codes has lost what the encoder gave: then
all passages are encoded. Where vectors are stored as they are and there are no tokens, none is. States of a
T5 are copied, as what makes them is not in the bundle; means and scales of packed ones stay with them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from lurcher.bundle.bundle import ENCODER, PASSAGES, SEGMENT, Bundle
from lurcher.bundle.fail_points import FailPoint
from lurcher.bundle.index_building import default_factory
from lurcher.bundle.manifest import Manifest
from lurcher.bundle.passages import PassageWriter
from lurcher.bundle.state_store import StateWriter, state_files
from lurcher.index_builder.build import CHUNK_SIZE
from lurcher.index_builder.build_context import BuildContext
from lurcher.index_builder.build_models import BuildModels
from lurcher.index_builder.edit.encode import Encoded
from lurcher.index_builder.edit.gather import Gatherer
from lurcher.index_builder.options import BuildOptions, LexicalOptions, TokenOptions
from lurcher.index_builder.passage_engine import ENGINE
from lurcher.index_builder.progress import Reporter
from lurcher.index_builder.split import Splitter
from lurcher.index_builder.stage import Stage, run_stages
from lurcher.index_builder.stages import STAGES
from lurcher.index_builder.stages.encode_passages import FLAGS_FILE, VECTORS_FILE, flags_of
from lurcher.index_builder.workspace import BUNDLE, SCRATCH, Workspace
from lurcher.models.encoders.encoder import Encoder
from lurcher.models.encoders.merge import link_or_copy
from lurcher.models.encoders.side_tokenizer import SideTokenizer
from lurcher.models.lexical.languages import parse_language
from lurcher.models.pretrained import DEFAULT_ENCODER
from lurcher.models.ranker.decoder import DecoderConfig
from lurcher.models.ranker.seq2seq import RankerConfig
from lurcher.models.tokens.projection import Projection
from lurcher.threads import available_cpus

# Stages of a build that learn nothing from passages, or need what a bundle has not.
_OTHERS = ("passages", "judgements", "ranker", "reader", "state codec", "states", "encoder")


def encodes_anew(bundle: Bundle) -> bool:
    """Whether learning anew for ``bundle`` has to encode its passages."""
    return bundle.tokens is not None or any(
        one.vectors is not None and not one.vectors.lossless for one in bundle.segments
    )


def relearn(
    bundle: Bundle, workspace: Workspace, report: Reporter, fail_point: FailPoint
) -> BuildContext:
    """What the stages worked with that have learnt from the passages of ``bundle``, one or more; close it.

    They have written into ``workspace``, and go on with what it has of an interrupted run. Raises ModelError,
    OSError.
    """
    options = _options(bundle)
    context = BuildContext(
        bundle.path, [], iter(()), options, _models(bundle, options), workspace, workspace.bundle,
        workspace.scratch, report, CHUNK_SIZE, fail_point,
    )  # fmt: skip
    try:
        build = bundle.manifest.build
        if build.engine is not None:
            # As a build that goes on: the engine is not chosen again.
            noted = {"engine": build.engine, "reason": build.engine_reason or ""}
            (workspace.scratch / ENGINE).write_text(json.dumps(noted))
        run_stages(_stages(bundle), context)
    except BaseException:
        context.close()
        raise
    return context


def _options(bundle: Bundle) -> BuildOptions:
    """The options that a build of ``bundle`` had, as far as stages ask."""
    manifest = bundle.manifest
    words, tokens = manifest.lexical, manifest.tokens
    chosen = manifest.build.chosen or []
    language = None if words is None or "language" in chosen else parse_language(words.language)
    return BuildOptions(
        encoder=bundle.path / ENCODER, index=_index(manifest, bundle),
        recall=manifest.build.recall_target, seed=manifest.build.seed,
        tokens=None if tokens is None else TokenOptions(tokens.bits, tokens.keep_ratio),
        answers=manifest.reading is not None,
        lexical=None if words is None else LexicalOptions(language),
        vectors=bundle.index is not None,
        preset="auto" if bundle.index is None or "preset" in chosen else manifest.build.preset,
    )  # fmt: skip


def _index(manifest: Manifest, bundle: Bundle) -> str:
    """The index that was asked for; "auto" for one that a build of some size takes by itself."""
    if bundle.index is None or "index" in (manifest.build.chosen or []):
        return "auto"
    largest = max(bundle.segments, key=lambda one: one.count)
    default = manifest.build.index == default_factory(largest.count)
    return "auto" if manifest.build.chosen is None and default else manifest.build.index


def _models(bundle: Bundle, options: BuildOptions) -> BuildModels:
    """What the stages encode with. Raises ModelError."""
    if bundle.index is None:
        tokenizer = SideTokenizer.of_passages(DEFAULT_ENCODER)  # which no stage asks for anything
        return BuildModels(tokenizer, Splitter(tokenizer), None, None, None, None, None)
    encoder = Encoder.load(options.encoder, "passage", available_cpus(), "onnxruntime")
    tokens, reading = bundle.tokens, bundle.manifest.reading
    bits = None if tokens is None else tokens.coder.bits
    projection = None if tokens is None else _projection(bundle, tokens.coder.projection)
    answer_bits = None if reading is None else reading.bits
    return BuildModels(encoder, Splitter(encoder), bits, projection, None, None, answer_bits)


def _projection(bundle: Bundle, projection: Projection) -> Projection | None:
    """The projection, where it was trained or a decoder reads it; None: components of the corpus."""
    read = isinstance(bundle.manifest.ranker, DecoderConfig)
    return projection if read or not projection.is_principal else None


def _stages(bundle: Bundle) -> Iterator[Stage]:
    generation = bundle.manifest.generation
    database = f"{BUNDLE}/{PASSAGES}"
    yield Stage(
        "passages", (), (database, f"{database}-wal", f"{database}-shm"),
        partial(_store_passages, bundle), lambda _: generation,
    )  # fmt: skip
    yield Stage("encoder", (), (), partial(_link_encoder, bundle))
    for stage in STAGES:
        if stage.name == "vectors" and bundle.index is not None and not encodes_anew(bundle):
            outputs = (f"{SCRATCH}/{VECTORS_FILE}", f"{SCRATCH}/{FLAGS_FILE}")
            yield Stage(
                stage.name,
                stage.inputs,
                outputs,
                partial(_copy_vectors, bundle),
                lambda _: "copied",
            )
        elif stage.name not in _OTHERS:
            yield stage
    if bundle.states is not None:
        files = tuple(map(str, state_files(Path(BUNDLE), SEGMENT)))
        copy = partial(_copy_states, bundle)
        yield Stage("states", ("passages",), files, copy, lambda _: "copied")


def _store_passages(bundle: Bundle, context: BuildContext) -> None:
    """Store the passages; in seconds, so that a run that was killed begins again."""
    file = context.bundle / PASSAGES
    file.parent.mkdir(parents=True, exist_ok=True)
    for one in (file, *(file.with_name(f"{file.name}{end}") for end in ("-wal", "-shm"))):
        one.unlink(missing_ok=True)
    context.report.stage("reading", bundle.passages.count)
    writer = PassageWriter(file)
    try:
        for segment, rows in _live(bundle):
            passages = bundle.segments[segment].passages
            written = passages.get(rows.tolist())
            sources, since = passages.sources(rows.tolist()), passages.since(rows.tolist())
            done = writer.count + len(written)
            writer.append(written, done, 0, sources=sources, since=since)
            context.report.advance(len(written))
        writer.finish()
    finally:
        writer.close()


def _live(bundle: Bundle) -> Iterator[tuple[int, np.ndarray]]:
    """Segments by number with rows that are not deleted, some at a time, in the order of all rows."""
    live = bundle.rows.live
    for number, segment in enumerate(bundle.segments):
        own = bundle.rows.among(number)
        rows = np.arange(segment.count) if live is None else np.flatnonzero(live[own])
        for first in range(0, len(rows), CHUNK_SIZE):
            yield number, rows[first : first + CHUNK_SIZE]


def _stored(bundle: Bundle) -> Iterator[Encoded]:
    """What the segments hold of all passages, in order."""
    readers = [
        Gatherer(bundle.path, bundle.manifest, bundle.codecs, one) for one in bundle.segments
    ]
    return (readers[number].read(rows) for number, rows in _live(bundle))


def _link_encoder(bundle: Bundle, context: BuildContext) -> None:
    """Put the encoder where stages look for it."""
    folder = context.bundle / ENCODER
    if bundle.index is None or folder.exists():
        return
    folder.mkdir()
    for file in sorted((bundle.path / ENCODER).iterdir()):
        link_or_copy(file, folder / file.name)


def _copy_vectors(bundle: Bundle, context: BuildContext) -> None:
    """Write the vectors that there are, and flags, as the stage does that encodes."""
    tokens, first = context.tokens, 0
    with (
        (context.scratch / VECTORS_FILE).open("wb") as vectors,
        (context.scratch / FLAGS_FILE).open("wb") as flags,
    ):
        for one in _stored(bundle):
            assert one.vectors is not None  # noqa: S101 (the caller has seen an index)
            vectors.write(one.vectors.tobytes())
            read, empty = tokens.read(range(first, first + len(one)))
            flags.write(flags_of(tokens.encoder, read, empty).tobytes())
            first += len(one)


def _copy_states(bundle: Bundle, context: BuildContext) -> None:
    """Write the states that there are; in seconds, so that a run that was killed begins again."""
    codec, ranker = bundle.codecs.states, bundle.manifest.ranker
    assert codec is not None  # noqa: S101 (they have been written by one)
    assert isinstance(ranker, RankerConfig)  # noqa: S101 (what reads the states)
    segment = context.bundle / SEGMENT
    with StateWriter(segment, codec, ranker.max_tokens, context.fail_point) as writer:
        writer.truncate(0)
        for one in _stored(bundle):
            packed = [state.packed for state in one.states]
            writer.append_states(packed, [state.truncated for state in one.states])
