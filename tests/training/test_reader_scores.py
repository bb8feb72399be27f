"""A reader's scores of candidates: the file that a decoder is taught by, and how it goes on after a kill."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="the [train] extra is not installed")
pytest.importorskip("transformers", reason="the [train] extra is not installed")

from lurcher.bundle.bundle import ENCODER, Bundle
from lurcher.errors import ModelError
from lurcher.evaluation.judgements import read_queries
from lurcher.index_builder.build import BuildOptions, build
from lurcher.models.encoders.encoder import Encoder
from lurcher.models.reader.spans import Integers, Vectors, best_logits
from lurcher.models.tokens.passages import informative_tokens
from lurcher.training.ranker import reader_scores
from lurcher.training.ranker.cross_scores import read_cross_scores
from lurcher.training.ranker.decoder_training import Schedule as RankerSchedule
from lurcher.training.ranker.reader_scores import write_reader_scores
from lurcher.training.ranker.train import Plan, Sources, train_ranker
from lurcher.training.reader.train import Plan as ReaderPlan
from lurcher.training.reader.train import train_reader
from lurcher.training.schedule import Schedule
from tests.killed import KilledError
from tests.training.reading import write_sources


@pytest.fixture(scope="module")
def files(answering: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Sources:
    return write_sources(tmp_path_factory.mktemp("sources"), answering)


@pytest.fixture(scope="module")
def read(
    answering_path: Path, files: Sources, teacher: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bundle]:
    """A bundle with a reader, opened."""
    folder = tmp_path_factory.mktemp("read")
    plan = ReaderPlan(16, 2, 1, 32, schedule=Schedule(steps=4, batch=4, checks=1))
    train_reader(answering_path, files, folder / "reader", plan)
    options = BuildOptions(teacher, answers=True, reader=folder / "reader")
    build(answering_path.parent / "corpus.jsonl", folder / "read.lurcher", options)
    with closing(Bundle.open(folder / "read.lurcher")) as found:
        yield found


def test_scores_are_the_best_spans_of_what_answers_and_what_is_found(
    read: Bundle, files: Sources, tmp_path: Path
) -> None:
    out = tmp_path / "scores.tsv"
    write_reader_scores(read.path, files, out, 5, 3)
    scores = read_cross_scores(out)
    assert len(scores) == 5
    for query, found in scores.items():
        assert query.replace("q", "p") in found  # which answers it
        assert 3 <= len(found) <= 4
        assert all(np.isfinite(score) for score in found.values())
    assert not out.with_name("scores.tsv.partial").exists()


def test_each_score_is_that_of_the_passage_alone(
    read: Bundle, files: Sources, tmp_path: Path
) -> None:
    out = tmp_path / "scores.tsv"
    write_reader_scores(read.path, files, out, 3, 4)
    reader, store, tokens = read.reader(1), read.reading, read.tokens
    assert reader is not None
    assert store is not None
    assert tokens is not None
    texts, encoder = read_queries(files.queries), Encoder.load(read.path / ENCODER, "passage", 1)
    for query, found in read_cross_scores(out).items():
        (text,) = encoder.tokenise([texts[query]])
        own = encoder.own_tokens(text)
        states = store.coder.query(encoder.lower_states([text])[0][own])
        for passage, score in found.items():
            row = read.passages.rows_of([passage])[passage]
            (there,) = encoder.tokenise([read.passages.get([row])[0].content])
            ((places, ids),) = informative_tokens(encoder, tokens.coder, [there])
            codes, counts = store.gather(np.array([row]))
            weights = tokens.coder.weights(text.ids[own])
            logits = reader.logits(states, weights, store.coder.decode(codes, ids), places, counts)
            wanted = best_logits(logits, counts, reader.config.longest)
            assert score == pytest.approx(wanted[0], abs=0.05)  # states are kept in float16


def test_a_killed_run_goes_on_to_the_same_file(
    read: Bundle, files: Sources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_reader_scores(read.path, files, tmp_path / "whole.tsv", 6, 3)
    whole, out = (tmp_path / "whole.tsv").read_bytes(), tmp_path / "scores.tsv"
    asked = 0

    def killed(logits: Vectors, counts: Integers, longest: int) -> Vectors:
        nonlocal asked
        asked += 1
        if asked == 4:
            raise KilledError
        return best_logits(logits, counts, longest)

    with monkeypatch.context() as patch:
        patch.setattr(reader_scores, "best_logits", killed)
        with pytest.raises(KilledError):
            write_reader_scores(read.path, files, out, 6, 3)
    assert not out.exists()
    file = tmp_path / "scores.tsv.partial" / "scores.tsv"
    lines = file.read_bytes()
    assert whole.startswith(lines)
    assert 0 < len(lines) < len(whole)
    file.write_bytes(lines[:-4])  # a disk that was full
    write_reader_scores(read.path, files, out, 6, 3)
    assert out.read_bytes() == whole


def test_a_decoder_learns_from_them(read: Bundle, files: Sources, tmp_path: Path) -> None:
    write_reader_scores(read.path, files, tmp_path / "scores.tsv", 6, 3)
    plan = Plan(
        width=16, heads=2, candidates=5, schedule=RankerSchedule(steps=2, batch=2, negatives=3)
    )
    taught = Sources(files.queries, files.qrels, files.development, tmp_path / "scores.tsv")
    train_ranker(read.path, taught, tmp_path / "taught", plan)
    train_ranker(read.path, files, tmp_path / "alone", plan)
    curves = [(tmp_path / name / "curve.csv").read_text() for name in ("taught", "alone")]
    assert curves[0] != curves[1]


def test_a_bundle_without_a_reader_is_refused(
    answering_path: Path, files: Sources, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match="has no reader; `lurcher build --answers`"):
        write_reader_scores(answering_path, files, tmp_path / "scores.tsv", 5, 3)
    assert not (tmp_path / "scores.tsv").exists()
