"""Training of the projection to 1-bit codes: the sign's gradient, the score, and what comes out."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="the [train] extra is not installed")
pytest.importorskip("transformers", reason="the [train] extra is not installed")

import torch

from lurcher.bundle.bundle import Bundle
from lurcher.errors import CorpusError, FieldError, ModelError
from lurcher.index_builder.build_models import trained_projection
from lurcher.models.ranker.maxsim import LATE_WEIGHT, blend, maxsim
from lurcher.models.tokens.projection import PROJECTION_FILE, Projection
from lurcher.training.loop import Point
from lurcher.training.ranker.questions import Judged, Questions, token_store
from lurcher.training.tokens.pooled import pooled
from lurcher.training.tokens.projection_training import MEASURE, Material, Plan, quality, train
from lurcher.training.tokens.ste import Scorer, sign
from lurcher.training.tokens.train import train_tokens
from tests.killed import KilledError

PLAN = Plan(steps=20, questions_a_batch=16, negatives=9, learning_rate=3e-3, depth=20, checks=4)


@pytest.fixture(scope="module")
def asked(opened: Bundle) -> Judged:
    """Forty questions in the words of one passage, answered by another: to be learnt by heart."""
    passages = opened.passages.get(range(40))
    texts = [" ".join(p.text.split()[:4]) for p in passages]
    return Judged(
        texts, [f"q{row}" for row in range(40)], [{(row + 40) % 80: 1} for row in range(40)]
    )


@pytest.fixture(scope="module")
def material(opened: Bundle, asked: Judged, tmp_path_factory: pytest.TempPathFactory) -> Material:
    work, encoder = tmp_path_factory.mktemp("tokens"), opened.query_encoder(1)
    questions = Questions.make(work / "questions", opened, encoder, asked, 20, 20)
    keep_ratio = token_store(opened).settings.keep_ratio
    merged = pooled(opened, keep_ratio, work / "passages")
    return Material(questions, encoder.encode(asked.texts), opened, merged)


def test_the_sign_is_hard_forward_and_soft_backward() -> None:
    points = torch.tensor([-0.5, -0.01, 0.0, 0.01, 0.5], requires_grad=True)
    signs = sign(points)
    assert signs.tolist() == [-1, -1, -1, 1, 1]
    signs.sum().backward()
    assert points.grad is not None
    slope = 8 * (1 - torch.tanh(8 * points.detach()) ** 2)
    torch.testing.assert_close(points.grad, slope)


def test_an_untrained_scorer_ranks_as_the_bundle_does(material: Material, opened: Bundle) -> None:
    store = token_store(opened)
    scorer, questions = Scorer(store.coder.projection), material.questions
    with torch.inference_mode():
        found = material.scores(scorer, np.array([3]), questions.rows[[3]])[0] / scorer.scale
    own, rows = questions.tokens(3), questions.rows[3]
    late = maxsim(
        questions.projected[own].astype(np.float32),
        np.array(questions.weights[own]),
        *store.gather(rows),
    )
    dense = opened.vectors.vectors(rows) @ material.vectors[3]
    # Float16, and what else is in a batch, turn a bit here and there.
    off = np.abs(found.numpy() - blend(dense, late))
    assert np.median(off) < 1e-3
    assert (off > 0.02).mean() <= 0.1
    assert off.max() < 0.1


def test_passages_without_tokens_and_missing_candidates_have_scores() -> None:
    scorer = Scorer(Projection(np.eye(8, dtype=np.float32), np.eye(8, dtype=np.float32)))
    scored = scorer(
        [torch.ones(1, 8)], [torch.ones(1)], [torch.ones(2, 8)], [[2, 0]], torch.zeros(1, 2)
    )
    wanted = [[LATE_WEIGHT, -LATE_WEIGHT]]
    np.testing.assert_allclose((scored / scorer.scale).detach().numpy(), wanted, rtol=1e-6)


def test_training_learns_and_keeps_the_best(
    material: Material, opened: Bundle, asked: Judged, tmp_path: Path
) -> None:
    # All questions in every step: how far the loss falls does not hang on which are drawn.
    plan = replace(PLAN, questions_a_batch=len(asked), learning_rate=1e-2)
    curve: list[Point] = []
    found = train(opened, asked, asked, plan, tmp_path, curve.append)
    assert [point.step for point in curve] == [0, 5, 10, 15, 20]
    losses = [point.loss for point in curve[1:] if point.loss is not None]
    assert losses[-1] < 0.9 * losses[0]
    best = max(point.quality[MEASURE] for point in curve if point.quality is not None)
    assert quality(Scorer(found), material) == pytest.approx(best)
    again = train(opened, asked, asked, plan, tmp_path)  # from the checkpoint at its end
    assert again.projection_hash == found.projection_hash


def test_recovery_pulls_codes_towards_the_states(opened: Bundle) -> None:
    scorer = Scorer(token_store(opened).coder.projection)
    merged = torch.randn(50, scorer.passages.shape[0], generator=torch.Generator().manual_seed(0))
    optimiser = torch.optim.Adam(scorer.parameters(), lr=1e-2)
    losses = []
    for _ in range(10):
        loss = scorer.recovery(merged)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


def _files(folder: Path, asked: Judged, bundle: Bundle) -> tuple[Path, Path]:
    queries, qrels = folder / "queries.jsonl", folder / "qrels.tsv"
    lines = [{"_id": id_, "text": text} for id_, text in zip(asked.ids, asked.texts, strict=True)]
    queries.write_text("".join(json.dumps(line) + "\n" for line in lines))
    rows = bundle.passages.get([next(iter(found)) for found in asked.relevant])
    pairs = [f"{id_}\t{p.id}\t1" for id_, p in zip(asked.ids, rows, strict=True)]
    qrels.write_text("\n".join(["query-id\tcorpus-id\tscore", *pairs]) + "\n")
    return queries, qrels


def test_what_is_written_is_found_beside_the_encoder(
    bundle: Path, opened: Bundle, asked: Judged, tmp_path: Path
) -> None:
    files, out = _files(tmp_path, asked, opened), tmp_path / PROJECTION_FILE
    made = train_tokens(bundle, files, files, out, PLAN)
    dimension, bits = made.dimension, made.bits
    found = trained_projection(tmp_path, bits, dimension)
    assert found is not None
    assert found.projection_hash == made.projection_hash
    assert trained_projection(tmp_path, 8, dimension) is None or bits == 8
    with pytest.raises(ModelError, match="dimensions, not 16"):
        trained_projection(tmp_path, 8, 16)
    with pytest.raises(FieldError, match=r"out: .* exists already"):
        train_tokens(bundle, files, files, out, PLAN)


def test_unknown_passages_are_named(
    bundle: Path, opened: Bundle, asked: Judged, tmp_path: Path
) -> None:
    queries, qrels = _files(tmp_path, asked, opened)
    qrels.write_text("q0\tnowhere\t1\n")
    with pytest.raises(CorpusError, match=r"qrels\.tsv.*nowhere"):
        train_tokens(bundle, (queries, qrels), (queries, qrels), tmp_path / "new.npz", PLAN)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"steps": 4}, "steps"), ({"checks": 0}, "checks"), ({"questions_a_batch": 0}, "questions_a_batch"),
        ({"negatives": 0}, "negatives"), ({"depth": 1}, "depth"), ({"seed": -1}, "seed"),
        ({"learning_rate": 0.0}, "learning_rate"), ({"learning_rate": float("nan")}, "learning_rate"),
        ({"recovery": -0.5}, "recovery"), ({"recovery": float("inf")}, "recovery"),
    ],
)  # fmt: skip
def test_plans_that_cannot_be(given: dict[str, Any], field: str) -> None:
    with pytest.raises(FieldError) as caught:
        Plan(**given)
    assert caught.value.field == field


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RuntimeError("memory")])
def test_what_a_machine_runs_out_of_is_an_error_of_ours(
    bundle: Path, opened: Bundle, asked: Judged, tmp_path: Path, error: Exception,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    files, out = _files(tmp_path, asked, opened), tmp_path / PROJECTION_FILE

    def save(_: Projection, file: Path) -> None:
        file.write_bytes(b"PK half")
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(Projection, "save", save)
        with pytest.raises(ModelError, match=r"projection\.npz: cannot be made: .*kept in"):
            train_tokens(bundle, files, files, out, PLAN)
    assert not out.exists()
    train_tokens(bundle, files, files, out, PLAN)
    assert Projection.load(out).bits == token_store(opened).coder.bits


def test_counts_that_were_not_written_whole_are_written_again(
    opened: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def save(file: Path, _: object) -> None:
        file.write_bytes(b"half")
        raise KilledError

    with monkeypatch.context() as patched:
        patched.setattr(np, "save", save)
        with pytest.raises(KilledError):
            pooled(opened, 0.5, tmp_path)
    found = pooled(opened, 0.5, tmp_path)
    assert len(found.starts) == opened.passages.count + 1
