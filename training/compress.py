"""``lurcher compress``: a smaller query encoder for the passages of a teacher, from texts alone.

The texts are queries, and of a bundle what its own passages say: a student loses most on kinds of text that
it never saw.

::

    OUT.partial/     plan.sha256      what the rest was made for; another plan starts afresh
                     targets/         the teacher's say on every query    training.alignment.targets
                     checkpoint.pt    how far the training is             training.alignment.align
    OUT/             query.onnx, student.json                             models.encoders.student
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from lurcher.bundle.vectors import VectorRows
from lurcher.errors import FieldError
from lurcher.evaluation.judgements import Qrels
from lurcher.models.encoders.encoder import Encoder
from lurcher.models.encoders.student import StudentConfig, load_student
from lurcher.threads import available_cpus
from lurcher.training.alignment.development import Development, agreement
from lurcher.training.alignment.make_student import Plan, make_student, material, untrained
from lurcher.training.alignment.targets import Targets
from lurcher.training.alignment.teacher import Teacher, open_teacher, original_of
from lurcher.training.original import Original, load_original
from lurcher.training.partial import begin, partial
from lurcher.training.texts import drawn_from

_FEWEST_QUERIES = 32
_HELD_OUT = 500  # at most, and at most a tenth


@dataclass(frozen=True)
class Judged:
    """Queries with judgements over the passages of the teacher's bundle."""

    name: str
    queries: dict[str, str]
    qrels: Qrels


def compress(
    target: Path,
    queries: Sequence[str],
    out: Path,
    plan: Plan,
    *,
    original: str | Path | None = None,
    judged: Judged | None = None,
    corpus_texts: int = 0,
    report: Callable[[str], None] = lambda _: None,
) -> StudentConfig:
    """The student now in the new folder ``out``: of the teacher at ``target``, a bundle or an encoder.

    With a bundle it is aligned on at most ``corpus_texts`` titles, sentences and keywords of the passages
    as well, or on these alone if there are no queries.
    Checkpoints are chosen by retrieval on ``judged``, or by how many of the teacher's first ten
    passages the student finds for queries held out (without a bundle the queries themselves are the
    passages). A run that was killed goes on where it was when it is called again.

    Raises FieldError, ModelError, ModelNotFound, BundleError and ParityError; then there is no
    ``out``, and what is done is kept for a rerun.
    """
    with partial(out) as work, open_teacher(target) as teacher:
        told = drawn_from(teacher.texts(), corpus_texts, plan.seed) if corpus_texts else []
        trained, held_out = _split(queries or told, judged, plan.seed)
        trained = list(dict.fromkeys([*trained, *_beside(held_out, judged, told)]))
        if (usable := len(trained) + len(held_out)) < _FEWEST_QUERIES:
            raise FieldError(
                "queries",
                f"{usable} different ones, blank and judged ones left out, are too few to align a "
                f"student on; {_FEWEST_QUERIES} at least",
            )
        if judged is not None:
            _check(judged, teacher, target)
        made = _compress(teacher, trained, held_out, out.name, work, plan, original, judged, report)
        made.rename(out)
    return load_student(out)


def _compress(
    teacher: Teacher, trained: list[str], held_out: list[str], name: str, work: Path, plan: Plan,
    original: str | Path | None, judged: Judged | None, report: Callable[[str], None],
) -> Path:  # fmt: skip
    """The folder of the student, below ``work``."""
    recipe = original_of(teacher.config, original)
    if teacher.passages is None and "scores" in plan.losses:
        raise FieldError("losses", "scores needs passages to score: compress a bundle's encoder")

    def load() -> Original:
        return load_original(recipe, teacher.config.max_tokens)

    untrained(plan, load())  # what cannot be made is heard of before the teacher reads for minutes
    made_for = [
        asdict(plan), teacher.config.model_dump(mode="json"), teacher.checksum, trained, held_out,
        None if judged is None else asdict(judged),
    ]  # fmt: skip
    begin(work, made_for)
    encoder = Encoder.load(teacher.folder, "teacher", available_cpus())
    targets = _targets(work / "targets", encoder, trained, teacher.passages, report)
    development = _development(teacher, judged, targets, held_out, encoder)
    passages = None if teacher.passages is None else teacher.passages[0 : len(teacher.ids)]
    made_of = material(teacher.folder, encoder, load, targets, passages, [development])
    return make_student(name, plan, made_of, work, report)


def _check(judged: Judged, teacher: Teacher, target: Path) -> None:
    """Raises FieldError unless ``judged`` can be measured on ``teacher``."""
    if teacher.passages is None:
        raise FieldError("dev_qrels", f"judge a bundle's passages, and {target} is no bundle")
    judged_ids = judged.queries.keys() & judged.qrels.keys()
    if not judged_ids:
        raise FieldError("dev_qrels", "none of the judged queries is in dev_queries")
    relevant = (
        passage for query in judged_ids for passage, g in judged.qrels[query].items() if g > 0
    )
    if set(teacher.ids).isdisjoint(relevant):
        raise FieldError("dev_qrels", f"none of the relevant passages is in {target}")


def _split(queries: Sequence[str], judged: Judged | None, seed: int) -> tuple[list[str], list[str]]:
    """The queries to train on, and those held out to choose by: none where there are judged ones."""
    unique = [query for query in dict.fromkeys(queries) if query.strip()]
    if judged is not None:
        known = {text for query, text in judged.queries.items() if query in judged.qrels}
        return [query for query in unique if query not in known], []
    order = np.random.default_rng(seed).permutation(len(unique))
    size = min(_HELD_OUT, max(1, len(unique) // 10))
    return [unique[i] for i in sorted(order[size:])], [unique[i] for i in sorted(order[:size])]


def _beside(held_out: list[str], judged: Judged | None, told: list[str]) -> list[str]:
    """The texts of ``told`` that nothing is measured by."""
    measured = {*held_out, *(judged.queries.values() if judged else ())}
    return [text for text in told if text not in measured]


def _targets(
    folder: Path, encoder: Encoder, queries: Sequence[str], passages: VectorRows | None,
    report: Callable[[str], None],
) -> Targets:  # fmt: skip
    with suppress(FileNotFoundError):
        return Targets.open(folder)
    done = 0

    def count(more: int) -> None:
        nonlocal done
        done += more
        report(f"teacher: {done:,} of {len(queries):,} queries")

    return Targets.make(folder, encoder, queries, passages, count)


def _development(
    teacher: Teacher, judged: Judged | None, targets: Targets, held_out: list[str], encoder: Encoder
) -> Development:
    passages = teacher.passages
    if passages is None:
        # Without a corpus the other queries stand in for one.
        return agreement("held-out queries", targets.vectors, held_out, encoder.encode)
    if judged is None:
        return agreement("held-out queries", passages, held_out, encoder.encode)
    return Development(judged.name, passages, teacher.ids, judged.queries, judged.qrels)
