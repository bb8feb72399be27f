"""A corpus to a bundle, in stages that a kill cannot spoil.

::

    passages   corpus readers -> passages.db        fails on the first bad record, within seconds
    tokens     a sample of passages -> tokens/coder.npz
    details    a sample of passages -> reading/coder.npz, if it is to answer
    vectors    passages.db -> scratch/vectors.f32, tokens.*, reading.* if it is to answer
                                                       the long one; resumes at the passage
    index      vectors.f32 -> vectors.faiss
    signs      a sample of passages -> states/signs.npz, where a T5 ranks and its states become bits
    states     passages.db -> states.*                         as long; resumes at the passage
    seal       measure, copy the encoder and what else runs, hash, write the manifest, rename
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import astuple, dataclass, field, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import faiss

from lurcher.bundle.bundle import ENCODER, PASSAGES, RANKER, SEGMENT, VECTORS, Bundle
from lurcher.bundle.manifest import (
    FORMAT_VERSION,
    BuildSettings,
    Figures,
    Manifest,
    Segment,
    list_files,
    lurcher_version,
    write_manifest,
)
from lurcher.bundle.neighbours import NEIGHBOURS
from lurcher.bundle.passages import Passage, Passages, PassageWriter
from lurcher.bundle.reading_store import describe_reading, reading_files
from lurcher.bundle.state_codecs import Form
from lurcher.bundle.token_store import CODER, describe_tokens, token_files
from lurcher.bundle.vectors import (
    VectorIndex,
    build_index,
    default_factory,
    empty_index,
    write_index,
)
from lurcher.index_builder.corpus import corpus_files, read_corpus
from lurcher.index_builder.corpus.records import Record
from lurcher.index_builder.encode import (
    EMPTY,
    TRUNCATED,
    encode_passages,
    encoded_vectors,
    flagged,
    flags_file,
    vectors_file,
)
from lurcher.index_builder.judged.labels import to_labels
from lurcher.index_builder.measure import sample_queries, tune
from lurcher.index_builder.neighbours import (
    Judged,
    NeighbourOptions,
    add_neighbours,
    check_similarity,
)
from lurcher.index_builder.progress import Reporter, Silent
from lurcher.index_builder.ranker import (
    check_ranker,
    open_seq2seq,
    put_ranker,
    put_seq2seq,
    ranker_beside,
    read_ranker,
)
from lurcher.index_builder.reader import choose_reader, put_reader
from lurcher.index_builder.reading import store_coder
from lurcher.index_builder.states import store_states
from lurcher.index_builder.tokens import Coding, TokenOptions, calibrate, trained_projection
from lurcher.index_builder.workspace import Workspace, key
from lurcher.models.encoders.config import EncoderConfig
from lurcher.models.encoders.encoder import Encoder
from lurcher.models.encoders.merge import copy_encoder, merge, student_of
from lurcher.models.errors import BundleError, CorpusError, FieldError
from lurcher.models.pretrained import DEFAULT_ENCODER
from lurcher.models.ranker.decoder import DecoderConfig
from lurcher.models.ranker.seq2seq import RankerConfig, Seq2SeqEncoder
from lurcher.models.threads import available_cpus
from lurcher.models.tokens.coder import TokenCoder
from lurcher.models.tokens.projection import Projection

_BATCH = 1_024


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """What a build is asked for.

    ``index`` is ``auto`` (by size), or a FAISS factory string; ``recall`` the share of exact
    search's first hundred that the index must find; ``window`` and ``overlap`` are in words and
    split the files of a text folder. ``student`` is the folder of one that reads queries instead.
    ``tokens`` None leaves the token store out, and with it late interaction. ``ranker`` is the folder of a
    decoder or of a T5, None: the encoder's own decoder, if it fits. ``states`` is how a T5's are kept, None:
    as float16. ``answers`` adds the reader in the folder ``reader``, None: the encoder's own, and a store for
    it of ``answer_bits`` a token, None: as many as it was trained on. ``judged`` are known queries to put
    in, as ``neighbours`` says.
    """

    encoder: Path = DEFAULT_ENCODER
    index: str = "auto"
    recall: float = 0.98
    skip_bad_lines: bool = False
    window: int = 200
    overlap: int = 40
    seed: int = 0
    student: Path | None = None
    tokens: TokenOptions | None = field(default_factory=TokenOptions)
    ranker: Path | None = None
    states: Form | None = None
    answers: bool = False
    reader: Path | None = None
    answer_bits: int | None = None
    judged: Judged | None = None
    neighbours: NeighbourOptions = field(default_factory=NeighbourOptions)

    def __post_init__(self) -> None:
        if not 0 < self.recall <= 1:
            raise FieldError("recall", f"must be above 0 and at most 1, not {self.recall}")
        for name in ("reader", "answer_bits"):
            if getattr(self, name) is not None and not self.answers:
                raise FieldError(name, "is for answers, which are not asked for")
        if self.answers and self.tokens is None:
            raise FieldError("answers", "need the tokens, which are to be left out")


def skipped_file(out: Path) -> Path:
    """Where the records of ``--skip-bad-lines`` go, beside the bundle ``out``."""
    return out.with_name(out.name + ".skipped.jsonl")


def build(
    corpus: Path, out: Path, options: BuildOptions | None = None, report: Reporter | None = None
) -> Manifest:
    """The manifest of the bundle ``out``, built from ``corpus``.

    A build that was killed goes on where it was when it is called again with the same arguments.
    Raises CorpusError, FieldError or ModelError, and BundleError where the disk gives up; then ``out``
    does not exist.
    """
    options, report = options or BuildOptions(), report or Silent()
    files = corpus_files(corpus)
    records = read_corpus(corpus, options.window, options.overlap)
    encoder = Encoder.load(options.encoder, "passage")
    # What cannot be fails now, not after hours.
    projection = None
    if options.tokens is not None:
        dimension = encoder.config.dimension
        projection = trained_projection(options.encoder, options.tokens, dimension)
    seq2seq = None
    if options.ranker is not None:
        if isinstance(read_ranker(options.ranker), RankerConfig):
            seq2seq = open_seq2seq(options.ranker)
        elif options.tokens is None:
            raise FieldError("ranker", "needs tokens to read, which are to be left out")
    if options.tokens is not None and seq2seq is None:
        _check_ranker(options, encoder.config, options.tokens, projection)
    if options.states is not None and seq2seq is None:
        raise FieldError("states", "is for a T5 as --ranker, that `lurcher export-ranker` wrote")
    if options.answers:
        reader, bits = choose_reader(
            options.reader, options.answer_bits, options.encoder, encoder.config
        )
        options = replace(options, reader=reader, answer_bits=bits)
    if options.judged is not None:
        check_similarity(encoder.config)
    if options.student is not None:
        student_of(encoder.config, options.student)
    if options.index != "auto":
        empty_index(encoder.config.dimension, options.index)
    workspace = Workspace(out)
    try:
        return _build(
            corpus, files, records, encoder, projection, seq2seq, workspace, options, report
        )
    except CorpusError:
        workspace.discard()  # nothing worth going on with: the corpus has to change
        raise
    except (OSError, sqlite3.OperationalError) as error:  # a full disk, most likely
        raise BundleError(
            out, f"cannot be written: {error}; what is done is kept for a rerun"
        ) from error
    finally:
        workspace.close()


def _build(
    corpus: Path, files: list[Path], records: Iterator[Record], encoder: Encoder,
    projection: Projection | None, seq2seq: Seq2SeqEncoder | None, workspace: Workspace,
    options: BuildOptions, report: Reporter,
) -> Manifest:  # fmt: skip
    faiss.omp_set_num_threads(available_cpus())
    root, scratch = workspace.bundle, workspace.scratch
    (root / PASSAGES).parent.mkdir(parents=True, exist_ok=True)
    stamps = [(str(f.resolve()), f.stat().st_size, f.stat().st_mtime_ns) for f in files]
    # What other code wrote is not gone on with.
    written_by = [lurcher_version(), FORMAT_VERSION]
    passages_key = key(written_by, stamps, options.window, options.overlap, options.skip_bad_lines)
    token_options = options.tokens and [*astuple(options.tokens), options.seed]
    space = projection and projection.space
    tokens_key = key(passages_key, encoder.config.fingerprint, token_options, space)
    details_key = key(tokens_key, "details", options.answer_bits)
    vectors_key = key(details_key, "vectors")
    index_key = key(vectors_key, options.index, options.seed)

    skipped_note = scratch / "skipped.json"
    if workspace.begin("passages", passages_key, _database_files(root / PASSAGES)):
        skipped = _store_passages(corpus, records, root / PASSAGES, workspace.out, options, report)
        skipped_note.write_text(json.dumps(skipped))
        workspace.done("passages")
    passages = Passages(root / PASSAGES)
    try:
        if options.judged is not None:  # they may not fit, which is to be heard of first
            to_labels(options.judged.known, passages.rows_of, options.neighbours.skip_unknown)
        if workspace.begin("tokens", tokens_key, [root / CODER]):
            # Without tokens, too: an earlier run may have left a coder.
            shutil.rmtree((root / CODER).parent, ignore_errors=True)
            if options.tokens is not None:
                (root / CODER).parent.mkdir()
                calibrate(passages, encoder, options.tokens, projection, options.seed, report).save(
                    root / CODER
                )
            workspace.done("tokens")
        coder = None if options.tokens is None else TokenCoder.load(root / CODER)
        details = store_coder(
            passages, encoder, coder, options.answer_bits, options.seed, details_key, workspace,
            report,
        )  # fmt: skip
        coding = None
        if coder is not None and options.tokens is not None:
            coding = Coding(coder, options.tokens.share, root / SEGMENT, details)
        # Before the long stage: principal components are known only now.
        ranker = _put_ranker(options, root, encoder.config, coding, seq2seq)
        reader = put_reader(options.reader, root, encoder.config)
        raw = [
            vectors_file(scratch), flags_file(scratch),
            *token_files(root, SEGMENT), *reading_files(root, SEGMENT),
        ]  # fmt: skip
        if workspace.begin("vectors", vectors_key, raw):
            encode_passages(passages, encoder, scratch, report, coding)
            workspace.done("vectors")
        vectors = encoded_vectors(scratch, passages.count, encoder.config.dimension)

        factory = default_factory(passages.count) if options.index == "auto" else options.index
        if workspace.begin("index", index_key, [root / VECTORS]):
            report.stage("indexing", passages.count)
            index = build_index(vectors, factory, options.seed, report.advance)
            write_index(index, root / VECTORS)
            del index  # tuning opens the file, and two copies would double the memory
            workspace.done("index")

        form = options.states or "float16"
        states = store_states(
            passages, passages_key, seq2seq, form, options.seed, workspace, report
        )

        shutil.rmtree(root / NEIGHBOURS, ignore_errors=True)  # of a build that was killed
        encoder_config = _put_encoder(options, root / ENCODER)
        queries = sample_queries(passages, options.seed)
        effort, recall = tune(
            VectorIndex.open(root / VECTORS, None), vectors,
            Encoder.load(root / ENCODER, "query"), queries, options.recall, report,
        )  # fmt: skip
    finally:
        passages.close()

    manifest = Manifest(
        format_version=FORMAT_VERSION,
        lurcher_version=lurcher_version(),
        name=workspace.out.name.removesuffix(".lurcher"),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        encoder=encoder_config,
        build=BuildSettings(
            corpus=corpus.name, index=factory, recall_target=options.recall, seed=options.seed
        ),
        figures=Figures(
            empty_passages=flagged(scratch, EMPTY),
            truncated_passages=flagged(scratch, TRUNCATED),
            skipped_records=json.loads(skipped_note.read_text()),
            search_effort=effort,
            recall_at_100=round(recall, 4),
            recall_queries=len(queries),
        ),
        tokens=None
        if coding is None
        else describe_tokens(root, SEGMENT, coding.coder, coding.share, encoder_config),
        ranker=ranker,
        states=states,
        reading=None
        if details is None
        else describe_reading(root, SEGMENT, details, encoder_config),
        reader=reader,
        segments=[Segment(name="000000", passages=vectors.shape[0])],
        files=list_files(root),
    )
    write_manifest(root, manifest)
    if options.judged is not None:
        manifest = _with_neighbours(root, manifest, options.judged, options.neighbours, report)
    workspace.publish()
    return manifest


def _with_neighbours(
    root: Path, manifest: Manifest, judged: Judged, options: NeighbourOptions, report: Reporter
) -> Manifest:
    """Put ``judged`` into the bundle at ``root``, which is whole without it."""
    with closing(Bundle.open(root, check_hashes=False)) as bundle:
        settings = add_neighbours(bundle, judged, options, root, report)
    files = {"neighbours": settings, "files": list_files(root)}
    manifest = manifest.model_copy(update=files)
    write_manifest(root, manifest)
    return manifest


def _store_passages(
    corpus: Path, records: Iterator[Record], path: Path, out: Path, options: BuildOptions,
    report: Reporter,
) -> int:  # fmt: skip
    """Write every good record to the passages file; how many bad ones were set aside."""
    report.stage("reading", None)
    aside = skipped_file(out)
    writer = PassageWriter(path)
    try:
        with aside.open("a", encoding="utf-8") as skipped:
            _keep_lines(aside, writer.skipped)
            for batch in _batched(islice(records, writer.records, None), _BATCH):
                good, bad = _sift(batch, writer)
                if bad and not options.skip_bad_lines:
                    raise CorpusError(bad[0].file, bad[0].line, bad[0].reason or "")
                skipped.writelines(_describe(record) for record in bad)
                skipped.flush()
                writer.append(good, writer.records + len(batch), writer.skipped + len(bad))
                report.advance(len(batch))
        if not writer.count:
            raise CorpusError(corpus, None, "no passage in it")
        count = writer.skipped
        writer.finish()
        return count
    finally:
        writer.close()
        if not aside.stat().st_size:
            aside.unlink()


def _sift(batch: Sequence[Record], writer: PassageWriter) -> tuple[list[Passage], list[Record]]:
    """The passages of the good records, and the bad ones; an id's second passage is a bad one."""
    ids = {record.passage.id for record in batch if record.passage}
    seen = writer.known(ids)
    good: list[Passage] = []
    bad: list[Record] = []
    for record in batch:
        if record.passage is None:
            bad.append(record)
        elif record.passage.id in seen:
            reason = f"id {record.passage.id!r} was used before; ids must be unique"
            bad.append(Record(record.file, record.line, reason=reason, raw=record.passage.id))
        else:
            seen.add(record.passage.id)
            good.append(record.passage)
    return good, bad


def _batched(records: Iterable[Record], size: int) -> Iterator[list[Record]]:
    iterator = iter(records)
    while batch := list(islice(iterator, size)):
        yield batch


def _describe(record: Record) -> str:
    fields = {
        "file": str(record.file),
        "line": record.line,
        "reason": record.reason,
        "raw": record.raw,
    }
    return json.dumps(fields) + "\n"


def _keep_lines(path: Path, count: int) -> None:
    """Cut the file after ``count`` lines: what follows them was written by a run that was killed."""
    with path.open("rb+") as file:
        for _ in range(count):
            file.readline()
        file.truncate(file.tell())


def _database_files(path: Path) -> list[Path]:
    return [path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")]


def _check_ranker(
    options: BuildOptions, encoder: EncoderConfig, tokens: TokenOptions, projection: Projection | None
) -> None:  # fmt: skip
    """Raises ModelError, ModelNotFound where it is plain that the decoder will not fit, or cannot run."""
    bits = tokens.bits_for(encoder.dimension)
    space = None if projection is None else projection.space
    folder = options.ranker or ranker_beside(options.encoder, encoder, bits, space)
    if folder is not None:
        check_ranker(folder, encoder, bits, space)


def _put_ranker(
    options: BuildOptions, root: Path, encoder: EncoderConfig, coding: Coding | None,
    seq2seq: Seq2SeqEncoder | None,
) -> DecoderConfig | RankerConfig | None:  # fmt: skip
    """Copy what ranks into the bundle, if there is anything to copy."""
    if seq2seq is not None and options.ranker is not None:
        return put_seq2seq(options.ranker, root)
    # An earlier run may have been asked for one.
    shutil.rmtree(root / RANKER, ignore_errors=True)
    if coding is None:
        return None
    coder = coding.coder
    beside = ranker_beside(options.encoder, encoder, coder.bits, coder.space)
    return put_ranker(options.ranker or beside, root, encoder, coder)


def _put_encoder(options: BuildOptions, target: Path) -> EncoderConfig:
    """Copy what serving needs of the encoder's folder, and of the student's, into ``target``."""
    shutil.rmtree(target, ignore_errors=True)  # what a build that was killed put there
    if options.student is None:
        return copy_encoder(options.encoder, target)
    return merge(options.encoder, options.student, target, shutil.copyfile)
