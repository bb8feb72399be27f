"""A bundle's reader's scores of judged queries' candidates, for a decoder to learn from.

A reader reads every token of a passage, in the detail of its own store, and takes far longer than a
decoder. Its score of a passage is the logit of the passage's best span: readers are trained by one softmax
over the spans of all candidates. The file is what ``lurcher train ranker --cross-scores`` takes::

    python -m lurcher.training.ranker.reader_scores BUNDLE --queries FILE --qrels FILE --out FILE
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.passages import Rows
from lurcher.errors import ModelError
from lurcher.models.reader.spans import best_logits
from lurcher.threads import available_cpus
from lurcher.training.partial import begin, partial
from lurcher.training.ranker.questions import Questions
from lurcher.training.ranker.train import Sources, mined, split
from lurcher.training.reader.lower import LOWER, lower_states
from lurcher.training.reader.spans import Texts

# As `lurcher train ranker` has them, unless it is told otherwise.
_CANDIDATES = 50
_REPORT_EVERY = 500  # questions


def write_reader_scores(
    target: Path, sources: Sources, out: Path, questions: int, candidates: int,
    report: Callable[[str], None] = lambda _: None,
) -> None:  # fmt: skip
    """Write to ``out`` the scores by the reader of the bundle ``target`` for at most so many ``questions``.

    Of each question that is the passages which answer it and its best ``candidates`` by late interaction. A
    run that was killed goes on where it was. Raises CorpusError, FieldError, ModelError and BundleError.
    """
    with partial(out) as work, closing(Bundle.open(target)) as bundle:
        _write(bundle, sources, work, questions, candidates, report)
        (work / "scores.tsv").rename(out)


def _write(
    bundle: Bundle, sources: Sources, work: Path, questions: int, candidates: int,
    report: Callable[[str], None],
) -> None:  # fmt: skip
    reader, store = bundle.reader(available_cpus()), bundle.reading
    if reader is None or store is None:
        reason = "has no reader; `lurcher build --answers` makes a bundle that has"
        raise ModelError(f"{bundle.path}: {reason}")
    judged, _ = split(bundle, sources, 0, questions)
    begin(work, [bundle.manifest.checksum, asdict(judged), candidates])
    found = mined(
        work / "questions",
        bundle,
        bundle.query_encoder(available_cpus()),
        judged,
        _CANDIDATES,
        report,
    )
    lower = lower_states(work / "questions" / LOWER, bundle, judged, found)
    texts, file = Texts(bundle), work / "scores.tsv"
    done = _whole(file)
    with file.open("a", encoding="utf-8") as lines:
        for question in range(done, len(found)):
            rows = _rows(found, question, candidates)
            span = found.tokens(question)
            asks = store.coder.query(lower[span].astype(np.float32))
            weights = np.asarray(found.weights[span])
            logits, counts = texts.read(reader, store, rows, asks, weights)
            best = best_logits(logits, counts, reader.config.longest)
            query = judged.ids[int(found.kept[question])]
            for passage, logit in zip(bundle.passages.get(rows.tolist()), best, strict=True):
                lines.write(f"{query}\t{passage.id}\t{logit:.3f}\n")
            if question % _REPORT_EVERY == 0:
                report(f"{question:,} of {len(found):,} questions read for")


def _rows(found: Questions, question: int, candidates: int) -> Rows:
    """The passages (C,) that are read for a question, in order."""
    rows = found.rows[question][:candidates]
    return np.unique(np.concatenate([rows[rows >= 0], found.relevant[found.answers(question)]]))


def _whole(file: Path) -> int:
    """Of how many questions ``file`` has all scores; what comes after those is cut off."""
    if not file.exists():
        return 0
    lines = file.read_bytes().splitlines(keepends=True)
    queries = [line.split(b"\t")[0] for line in lines]
    whole = queries.index(queries[-1]) if queries else 0
    with file.open("r+b") as kept:
        kept.truncate(sum(len(line) for line in lines[:whole]))
    return len(set(queries[:whole]))


def main(
    bundle: Annotated[Path, typer.Argument(help="One that was built with --answers.")],
    queries: Annotated[Path, typer.Option(help="queries.jsonl: one {_id, text} a line.")],
    qrels: Annotated[Path, typer.Option(help="What answers them: query id, passage id, grade.")],
    out: Annotated[Path, typer.Option(help="The file to write.")],
    questions: Annotated[int, typer.Option(help="How many, at most.")] = 8_000,
    candidates: Annotated[int, typer.Option(help="Read for each: the best by tokens.")] = 20,
) -> None:
    """Write the bundle's reader's scores of judged queries' candidates."""
    write_reader_scores(bundle, Sources(queries, qrels), out, questions, candidates, print)


if __name__ == "__main__":
    typer.run(main)
