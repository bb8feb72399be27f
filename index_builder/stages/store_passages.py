"""Stage ``passages``: a corpus's documents, split, into the passages file; fails on the first bad one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path

from lurcher.bundle.bundle import PASSAGES
from lurcher.bundle.passages import Passage, PassageWriter
from lurcher.errors import CorpusError
from lurcher.index_builder.build_context import BuildContext
from lurcher.index_builder.corpus.records import Record
from lurcher.index_builder.judged.labels import named, to_labels
from lurcher.index_builder.split import Splitter
from lurcher.index_builder.split.source import characters

# As many of text are split together; it bounds the memory.
_CHARACTERS = 4_000_000

# Below the workspace's scratch folder: what ``_store`` counted.
STORED = "stored.json"


def skipped_file(out: Path) -> Path:
    """Where the records of ``--skip-bad-lines`` go, beside the bundle ``out``."""
    return out.with_name(out.name + ".skipped.jsonl")


def files_set_aside(out: Path) -> set[Path]:
    """The files of which there are bad records in ``skipped_file``."""
    file = skipped_file(out)
    if not file.exists():
        return set()
    with file.open(encoding="utf-8") as lines:
        return {Path(json.loads(line)["file"]) for line in lines}


def depends_on(context: BuildContext) -> object:
    """The corpus as it is on disk, and how it is split: by what the encoder reads, too."""
    options = context.options
    stamps = [(str(f.resolve()), f.stat().st_size, f.stat().st_mtime_ns) for f in context.files]
    splitter = context.models.splitter
    return [
        stamps, splitter.window, splitter.overlap, options.window is None, options.url_prefix,
        options.skip_bad_lines, asdict(options.reading), context.models.config.fingerprint,
    ]  # fmt: skip


def run(context: BuildContext) -> None:
    """Store the passages. Raises CorpusError."""
    (context.bundle / PASSAGES).parent.mkdir(parents=True, exist_ok=True)
    (context.scratch / STORED).write_text(json.dumps(_store(context)))


def check_judged(context: BuildContext) -> None:
    """Raise FieldError if judgements do not fit the passages: better now than after encoding."""
    options = context.options
    if options.judged is not None:
        skip = options.neighbours.skip_unknown
        to_labels(options.judged.known, named(context.passages), skip)


def _store(context: BuildContext) -> dict[str, int]:
    """Store every good record; how many were set aside, how many characters there are and are read."""
    report = context.report
    report.stage("reading", None)
    aside = skipped_file(context.workspace.out)
    writer = PassageWriter(context.bundle / PASSAGES)
    try:
        with aside.open("a", encoding="utf-8") as skipped:
            _truncate_lines(aside, writer.skipped)
            records = islice(context.records, writer.records, None)
            for batch in _batched(records, context.chunk_size):
                good, sources, bad, counts = _sift(batch, context.models.splitter, writer)
                if bad and not context.options.skip_bad_lines:
                    raise CorpusError(bad[0].file, bad[0].line, bad[0].reason or "")
                skipped.writelines(_describe(record) for record in bad)
                skipped.flush()
                writer.append(
                    good, writer.records + len(batch), writer.skipped + len(bad),
                    writer.characters + counts[0], writer.read + counts[1], sources,
                )  # fmt: skip
                report.advance(len(batch))
        if not writer.count:
            raise CorpusError(context.corpus, None, "no passage in it")
        writer.finish()
        return {"skipped": writer.skipped, "characters": writer.characters, "read": writer.read}
    finally:
        writer.close()
        if not aside.stat().st_size:
            aside.unlink()


def _sift(
    batch: Sequence[Record], splitter: Splitter, writer: PassageWriter
) -> tuple[list[Passage], list[bytes], list[Record], tuple[int, int]]:
    """The passages of the good records, a hash of each one's document, and the bad records.

    Then how many characters the good ones have, and how many of these are read. A record whose ids are
    another's is a bad one.
    """
    documents = [record.document for record in batch if record.document is not None]
    split = iter(splitter.split(documents))
    # The ids of this batch's documents and passages, and whose they are.
    owners: dict[str, str] = {}
    good: list[Passage] = []
    sources: list[bytes] = []
    bad: list[Record] = []
    total = read = 0
    for record in batch:
        if record.document is None:
            bad.append(record)
            continue
        id_, passages = record.document.id, next(split)
        ids = {id_, *(passage.id for passage in passages)}
        if taken := writer.owners(ids) | {one: owners[one] for one in ids & owners.keys()}:
            reason = _taken(id_, *min(taken.items()))
            bad.append(Record(record.file, record.line, reason=reason, raw=id_))
            continue
        owners |= dict.fromkeys(ids, id_)
        good += passages
        sources += [record.document.source(len(passages))] * len(passages)
        more, covered = characters(record.document, passages)
        total, read = total + more, read + covered
    return good, sources, bad, (total, read)


def _taken(document: str, id_: str, owner: str) -> str:
    """Why ``document`` cannot be stored: its ``id_`` is that of ``owner``, or of a passage of it."""
    if document == id_ == owner:
        return f"id {id_!r} was used before; ids must be unique"
    if document == id_:
        return f"id {id_!r} is that of a passage of {owner!r}; ids must be unique"
    return (
        f"id {document!r}: its passage {id_!r} has the id of {owner!r}, or of a passage of it; ids "
        "must be unique"
    )


def _batched(records: Iterable[Record], size: int) -> Iterator[list[Record]]:
    """Batches of at most ``size`` records, and of one, or at most ``_CHARACTERS`` of text."""
    batch: list[Record] = []
    characters = 0
    for record in records:
        more = 0 if record.document is None else len(record.document.text)
        if batch and (len(batch) == size or characters + more > _CHARACTERS):
            yield batch
            batch, characters = [], 0
        batch.append(record)
        characters += more
    if batch:
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
