"""Stage ``passages``: every good record of the corpus into the passages file; fails on the first bad one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from lurcher.bundle.bundle import PASSAGES
from lurcher.bundle.passages import Passage, PassageWriter
from lurcher.errors import CorpusError
from lurcher.index_builder.build_context import BuildContext
from lurcher.index_builder.corpus.records import Record
from lurcher.index_builder.judged.labels import to_labels

# Below the workspace's scratch folder: how many bad records were set aside.
SKIPPED = "skipped.json"


def skipped_file(out: Path) -> Path:
    """Where the records of ``--skip-bad-lines`` go, beside the bundle ``out``."""
    return out.with_name(out.name + ".skipped.jsonl")


def depends_on(context: BuildContext) -> object:
    """The corpus as it is on disk, and how it is split."""
    options = context.options
    stamps = [(str(f.resolve()), f.stat().st_size, f.stat().st_mtime_ns) for f in context.files]
    return [stamps, options.window, options.overlap, options.skip_bad_lines]


def run(context: BuildContext) -> None:
    """Store the passages. Raises CorpusError."""
    (context.bundle / PASSAGES).parent.mkdir(parents=True, exist_ok=True)
    skipped = _store(context)
    (context.scratch / SKIPPED).write_text(json.dumps(skipped))


def check_judged(context: BuildContext) -> None:
    """Raise FieldError if judgements do not fit the passages: better now than after encoding."""
    options = context.options
    if options.judged is not None:
        rows_of = context.passages.rows_of
        to_labels(options.judged.known, rows_of, options.neighbours.skip_unknown)


def _store(context: BuildContext) -> int:
    """Store every good record; how many bad ones were set aside."""
    report = context.report
    report.stage("reading", None)
    aside = skipped_file(context.workspace.out)
    writer = PassageWriter(context.bundle / PASSAGES)
    try:
        with aside.open("a", encoding="utf-8") as skipped:
            _truncate_lines(aside, writer.skipped)
            records = islice(context.records, writer.records, None)
            for batch in _batched(records, context.chunk_size):
                good, bad = _sift(batch, writer)
                if bad and not context.options.skip_bad_lines:
                    raise CorpusError(bad[0].file, bad[0].line, bad[0].reason or "")
                skipped.writelines(_describe(record) for record in bad)
                skipped.flush()
                writer.append(good, writer.records + len(batch), writer.skipped + len(bad))
                report.advance(len(batch))
        if not writer.count:
            raise CorpusError(context.corpus, None, "no passage in it")
        writer.finish()
        return writer.skipped
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


def _truncate_lines(path: Path, count: int) -> None:
    """Cut the file after ``count`` lines: what follows was written by a run that was killed."""
    with path.open("rb+") as file:
        for _ in range(count):
            file.readline()
        file.truncate(file.tell())
