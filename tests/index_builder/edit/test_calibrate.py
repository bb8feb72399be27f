"""Probabilities fitted to a bundle's own answers: what is taken, what stays, and what a kill leaves."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lurcher
from lurcher.bundle.bundle import READER, Bundle
from lurcher.bundle.locks import hold
from lurcher.bundle.manifest import Manifest, read_manifest
from lurcher.bundle.model_cache import ModelCache
from lurcher.bundle.verifying import verify
from lurcher.bundle.wal import LOCK, WAL
from lurcher.errors import BundleError, CorpusError, FieldError, LurcherError
from lurcher.index_builder.edit.calibrate import FEWEST, Asked, calibrate, fitted
from lurcher.models.reader.answers import logistic
from lurcher.models.reader.evidence import Evidence, logit_of
from lurcher.models.reader.reader import ReaderConfig
from lurcher.retrieval.capabilities import Capabilities
from lurcher.retrieval.query import Query, ReadOptions
from lurcher.retrieval.snapshot import Snapshot

MANY = 240
ASKED = Asked([""] * MANY, [[""]] * MANY, "questions of mine.jsonl", "questions")
Found = list[tuple[Evidence, float]]


@pytest.fixture(scope="module")
def manifest(answering_bundle: Path) -> Manifest:
    return read_manifest(answering_bundle)


@pytest.fixture
def reader(manifest: Manifest) -> ReaderConfig:
    assert manifest.reader is not None
    changes = {"slope": 0.8, "offset": 0.1, "weights": {"margin": 0.2, "search": -1.0}}
    return manifest.reader.model_copy(update=changes)


def drawn(reader: ReaderConfig, slope: float, offset: float, count: int = MANY) -> Found:
    """Answers that are right as often as ``slope`` times the reader's log-odds and ``offset`` say."""
    generator = np.random.default_rng(5)
    found = []
    for odds, margin, search in generator.normal(size=(count, 3)) * [2, 3, 0.2] + [0, 0, 0.6]:
        one = Evidence(odds, margin, search=search)
        logit = slope * logit_of(one, reader.slope, reader.offset, reader.weights) + offset
        found.append((one, float(generator.random() < logistic(logit))))
    return found


def test_what_is_too_sure_becomes_as_sure_as_it_may_be(
    manifest: Manifest, reader: ReaderConfig
) -> None:
    found = drawn(reader, 0.4, -1.0, 4_000)
    outcome = fitted(manifest, reader, ASKED, found)
    assert outcome.kept is None
    now = outcome.reader
    assert now.slope / reader.slope == pytest.approx(0.4, abs=0.08)
    # All of what is known keeps its share of the whole.
    for name, weight in reader.weights.items():
        assert now.weights[name] / weight == pytest.approx(now.slope / reader.slope, abs=1e-3)
    assert outcome.fitted is not None
    assert outcome.fitted.error_after < 0.05 < outcome.fitted.error_before
    assert (now.calibrated_by, now.calibrated_on) == (
        "questions", "4,000 questions of mine.jsonl"
    )  # fmt: skip
    assert now.calibration_corpus == manifest.corpus_hash
    scores = np.array([logistic(logit_of(e, now.slope, now.offset, now.weights)) for e, _ in found])
    right = np.array([one for _, one in found]) > 0
    let_through, held_back = (scores[right] >= now.min_score), (scores[~right] < now.min_score)
    assert let_through.mean() == pytest.approx(held_back.mean(), abs=0.05)


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (lambda reader: drawn(reader, 1.0, 0.0, FEWEST - 1), "60 are needed"),
        (lambda reader: [(e, 1.0) for e, _ in drawn(reader, 1.0, 0.0)], "of either kind"),
        (lambda reader: [(e, 0.0) for e, _ in drawn(reader, 1.0, 0.0)], "of either kind"),
        (lambda _: [], "only 0 of"),
        (lambda reader: drawn(reader, 1.0, 0.0), "at least as well"),
    ],
    ids=["too few", "all right", "all wrong", "none", "right already"],
)
def test_values_stay_and_say_why(
    manifest: Manifest, reader: ReaderConfig, found: Callable[[ReaderConfig], Found], why: str
) -> None:
    outcome = fitted(manifest, reader, ASKED, found(reader))
    assert outcome.reader == reader
    assert outcome.kept is not None
    assert why in outcome.kept


@pytest.fixture
def bundle(answering_bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(answering_bundle, tmp_path / "b.lurcher"))


@pytest.fixture(scope="module")
def questions(answering_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of questions that the tiny reader answers; of every third what it answers is called wrong."""
    lines = []
    with lurcher.open(answering_bundle) as docs:
        records = docs.passages.get(_ids(answering_bundle))
        for number in range(72):
            words = records[number % len(records)].text.split()
            text = f"what {' '.join(words[number % 3 :][:4])} {number}"
            answers = docs.answer(text, 1, min_score=0).answers
            right = answers[0].text if answers and number % 3 else "something else"
            lines.append({"_id": str(number), "text": text, "answers": [right]})
    file = tmp_path_factory.mktemp("questions") / "mine.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return file


def _ids(bundle: Path) -> list[str]:
    opened = Bundle.open(bundle)
    rows = opened.passages.rows(()).tolist()[:40]
    ids = [passage.id for passage in opened.passages.get(rows) if passage.text.split()]
    opened.close()
    return ids


def test_calibration_is_the_next_generation(bundle: Path, questions: Path) -> None:
    before = read_manifest(bundle)
    outcome = calibrate(bundle, questions)
    after = read_manifest(bundle)
    assert outcome.kept is None
    assert (after.generation, after.files) == (before.generation + 1, before.files)
    assert after.reader == outcome.reader != before.reader
    assert not verify(bundle)
    opened = Bundle.open(bundle)
    assert Capabilities.of(opened).calibrated
    opened.close()
    with lurcher.open(bundle) as docs:
        text = json.loads(questions.read_text().splitlines()[1])["text"]
        (answer,) = docs.answer(text, 1, min_score=0).answers
    assert answer.evidence is not None
    now = outcome.reader
    logit = logit_of(answer.evidence, now.slope, now.offset, now.weights)
    assert answer.score == pytest.approx(logistic(logit))
    # What it says itself stays in its folder, and is what a bundle made of it begins with.
    said = json.loads((bundle / READER / "reader.json").read_text())
    assert before.reader is not None
    assert said["slope"] == before.reader.slope


def test_who_serves_the_bundle_goes_over_to_the_new_values(bundle: Path, questions: Path) -> None:
    query = Query("what is a lurcher", read=ReadOptions(1, 0.0))
    # Whoever serves several bundles keeps models for all that have the same files, as both generations do.
    before = Snapshot(Bundle.open(bundle), 1, cache=ModelCache())
    outcome = calibrate(bundle, questions)
    after = before.moved(before.bundle.refreshed())
    for snapshot, reader in ((before, read_by(before)), (after, outcome.reader)):
        (result,) = snapshot.run([query])
        assert not isinstance(result, LurcherError)
        (answer,) = result.answers
        assert answer.evidence is not None
        logit = logit_of(answer.evidence, reader.slope, reader.offset, reader.weights)
        assert answer.score == pytest.approx(logistic(logit))
        snapshot.close()


def read_by(snapshot: Snapshot) -> ReaderConfig:
    reader = snapshot.bundle.manifest.reader
    assert reader is not None
    return reader


@pytest.mark.parametrize("moment", ["generation: written", "generation: renamed"])
def test_killed_calibration_leaves_one_generation_or_the_next(
    bundle: Path, questions: Path, moment: str
) -> None:
    class Killed(Exception):
        pass

    def kill(reached: str) -> None:
        if reached == moment:
            raise Killed

    before = read_manifest(bundle)
    with pytest.raises(Killed):
        calibrate(bundle, questions, fail_point=kill)
    moved = moment == "generation: renamed"
    assert read_manifest(bundle).generation == before.generation + moved
    assert not verify(bundle)
    assert calibrate(bundle, questions).asked == 72


def test_a_bundle_that_was_replaced_meanwhile_stays_as_it_is(bundle: Path, questions: Path) -> None:
    moved = bundle.with_name("before.lurcher")
    before = read_manifest(bundle)

    def replace_it(_: int, __: int) -> None:
        if not moved.exists():
            bundle.rename(moved)
            shutil.copytree(moved, bundle)

    with pytest.raises(BundleError, match="was moved away, or replaced by another"):
        calibrate(bundle, questions, report=replace_it)
    assert read_manifest(bundle) == read_manifest(moved) == before


def test_corpus_too_small_for_questions_of_its_own_keeps_its_values(bundle: Path) -> None:
    before = read_manifest(bundle)
    outcome = calibrate(bundle)
    assert outcome.kept is not None
    assert "made of its own sentences" in outcome.kept
    assert read_manifest(bundle) == before


def test_refusals_leave_the_bundle_as_it_was(
    bundle: Path, small_bundle: Path, tmp_path: Path, write_jsonl: Callable[..., Path]
) -> None:
    before: Any = read_manifest(bundle)
    unanswered = write_jsonl(tmp_path / "q.jsonl", [{"_id": "1", "text": "what"}])
    with pytest.raises(CorpusError, match="no query in it has answers"):
        calibrate(bundle, unanswered)
    with (
        hold(bundle / WAL / LOCK.removeprefix(f"{WAL}/")),
        pytest.raises(FieldError, match="one writer"),
    ):
        calibrate(bundle)
    copy = Path(shutil.copytree(small_bundle, tmp_path / "s.lurcher"))
    with pytest.raises(FieldError, match="no reader"):
        calibrate(copy)
    assert read_manifest(bundle) == before
