"""The probabilities of a bundle's answers, fitted to its own passages: a new generation, no file changed.

A user's questions with answers say how often answers are right here. Where there are none, sentences of
the corpus with a phrase left out do. What is fitted is one factor and one offset of the log-odds that the
reader's calibration gives, held close to 1 and 0, so that few questions do no harm; it is taken only if it is
better on questions held out. The manifest alone changes: the reader's files stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.fail_points import FailPoint, carry_on
from lurcher.bundle.generations import publish_generation
from lurcher.bundle.locks import Held, hold, is_there
from lurcher.bundle.manifest import Manifest
from lurcher.bundle.wal import LOCK, WAL
from lurcher.errors import BundleError, FieldError, LurcherError
from lurcher.evaluation.answer_calibration import Recalibration, recalibrate, threshold
from lurcher.evaluation.answer_measures import exact_match, read_answers
from lurcher.evaluation.judgements import read_queries
from lurcher.index_builder.cloze import cloze_questions
from lurcher.models.reader.answers import logistic
from lurcher.models.reader.evidence import Evidence, logit_of
from lurcher.models.reader.reader import ReaderConfig
from lurcher.retrieval.capabilities import NO_READER
from lurcher.retrieval.query import Query, ReadOptions
from lurcher.retrieval.snapshot import Snapshot
from lurcher.threads import available_cpus

# Questions that are asked, at most, and that must have been answered, rightly and wrongly, at least.
MOST, FEWEST, FEWEST_OF_EACH = 500, 60, 10
# How much the log-odds of so many answers must say before the fit leaves those of the reader.
_RIDGE = 4.0
_TOGETHER = 16


@dataclass(frozen=True, slots=True)
class Asked:
    """Questions with their right answers, and in words what they are."""

    texts: list[str]
    answers: list[list[str]]
    what: str
    by: str  # "questions" or "cloze"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it: the bundle's reader as it is now described, and why it is as it was, if it is.

    ``asked`` questions were asked, of which ``answered`` have an answer, whatever its probability, and
    ``right`` a right one.
    """

    reader: ReaderConfig
    asked: int
    answered: int
    right: int
    fitted: Recalibration | None
    kept: str | None  # why the values stay as they were; None: they are new


def calibrate(
    path: Path, questions: Path | None = None, *, threads: int | None = None, seed: int = 0,
    report: Callable[[int, int], None] = lambda _, __: None,
    fail_point: FailPoint = carry_on,
) -> Outcome:  # fmt: skip
    """Fit the answers' probabilities of the bundle at ``path`` to ``questions``, or to its own sentences.

    ``questions`` is a ``queries.jsonl`` with ``answers``. Raises FieldError for a bundle without a reader, or
    that another process writes; CorpusError for a file that has no such questions; BundleError where the disk
    fails, or another folder is at ``path`` by the end. The bundle is one generation or the next, whatever
    happens.
    """
    Bundle.open(path, check_hashes=False).close()  # says what is wrong before anything is made
    try:
        (path / WAL).mkdir(exist_ok=True)
        held = hold(path / LOCK)
    except Held as error:
        reason = f"{path} is being written by {error.by}; a bundle has one writer"
        raise FieldError("bundle", reason) from error
    except OSError as error:
        raise BundleError(path, f"cannot be written: {error}") from error
    with held:
        bundle = Bundle.open(path)
        with closing(Snapshot(bundle, threads or available_cpus())) as snapshot:
            reader = bundle.manifest.reader
            if reader is None:
                raise FieldError("bundle", NO_READER)
            asked = _from(questions) if questions is not None else _cloze(bundle, seed)
            found = _evidence(snapshot, asked, report)
            outcome = fitted(bundle.manifest, reader, asked, found)
        if outcome.kept is None:
            manifest = bundle.manifest
            if not is_there(held, path / LOCK):
                raise BundleError(
                    path, "was moved away, or replaced by another; neither is changed"
                )
            new = {"reader": outcome.reader, "generation": manifest.generation + 1}
            try:
                publish_generation(path, manifest.model_copy(update=new), fail_point)
            except OSError as error:
                raise BundleError(path, f"cannot be written: {error}; it is as it was") from error
    return outcome


def _from(questions: Path) -> Asked:
    texts, answers = read_queries(questions), read_answers(questions)
    ids = [id_ for id_ in texts if answers.get(id_)]
    # In their order: whoever has more puts what counts first.
    ids = ids[:MOST]
    what = f"questions of {questions.name}"
    return Asked([texts[id_] for id_ in ids], [answers[id_] for id_ in ids], what, "questions")


def _cloze(bundle: Bundle, seed: int) -> Asked:
    made = cloze_questions(bundle.passages, MOST, seed)
    what = "questions made of its own sentences"
    return Asked([one.text for one in made], [[one.answer] for one in made], what, "cloze")


def _evidence(
    snapshot: Snapshot, asked: Asked, report: Callable[[int, int], None]
) -> list[tuple[Evidence, float]]:
    """What is known of the best answer to each question that has any, and whether it is right."""
    found: list[tuple[Evidence, float]] = []
    options = ReadOptions(answers=1, min_score=0.0)
    for first in range(0, len(asked.texts), _TOGETHER):
        texts = asked.texts[first : first + _TOGETHER]
        results = snapshot.run([Query(text, read=options) for text in texts])
        for result, right in zip(results, asked.answers[first : first + _TOGETHER], strict=True):
            if isinstance(result, LurcherError):
                raise result
            for answer in result.answers:
                if answer.evidence is not None:
                    found.append((answer.evidence, exact_match(answer.text, right)))
        report(min(first + _TOGETHER, len(asked.texts)), len(asked.texts))
    return found


def fitted(
    manifest: Manifest, reader: ReaderConfig, asked: Asked, found: Sequence[tuple[Evidence, float]]
) -> Outcome:
    """The description of ``reader`` after it, and why it is the one before where it is."""
    right = np.array([one for _, one in found], np.float64)
    rights = int(right.sum())

    def outcome(config: ReaderConfig, fitted: Recalibration | None, kept: str | None) -> Outcome:
        return Outcome(config, len(asked.texts), len(found), rights, fitted, kept)

    if len(found) < FEWEST:
        reason = f"only {len(found):,} of {len(asked.texts):,} {asked.what} were answered at all"
        return outcome(reader, None, f"{reason}; {FEWEST} are needed")
    if min(rights, len(found) - rights) < FEWEST_OF_EACH:
        reason = f"{rights:,} of {len(found):,} answers were right"
        return outcome(reader, None, f"{reason}; {FEWEST_OF_EACH} of either kind are needed")
    logits = np.array(
        [logit_of(one, reader.slope, reader.offset, reader.weights) for one, _ in found]
    )
    refit = recalibrate(logits, right, _RIDGE)
    if refit.loss_after >= refit.loss_before:
        return outcome(reader, refit, "the values that it has fit these questions at least as well")
    a = refit.slope
    config = reader.model_copy(
        update={
            "slope": round(a * reader.slope, 4),
            "offset": round(a * reader.offset + refit.offset, 4),
            "weights": {name: round(a * weight, 4) for name, weight in reader.weights.items()},
            "calibrated_by": asked.by,
            "calibrated_on": f"{len(found):,} {asked.what}",
            "calibration_corpus": manifest.corpus_hash,
        }
    )
    scores = np.array(
        [logistic(logit_of(one, config.slope, config.offset, config.weights)) for one, _ in found]
    )
    config = config.model_copy(update={"min_score": threshold(scores, right)})
    return outcome(config, refit, None)
