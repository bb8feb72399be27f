"""What ``lurcher bench decoder`` compares is what its cells are called."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="the [train] extra is not installed")
pytest.importorskip("transformers", reason="the [train] extra is not installed")

import torch

from lurcher.benchmarks import decoder as bench
from lurcher.benchmarks.decoder_likelihood import Likelihood, Reading, Vocabulary, best_blend
from lurcher.benchmarks.decoder_losses import LOSSES
from lurcher.benchmarks.decoder_states import Ground, Halved, in_float16, strangers, unsaid
from lurcher.benchmarks.token_layers import at_layer
from lurcher.bundle.bundle import ENCODER, Bundle
from lurcher.models.encoders.encoder import Encoder
from lurcher.models.errors import FieldError
from lurcher.models.ranker.maxsim import LATE_WEIGHT, blend, maxsim
from lurcher.models.tokens.coder import unit
from lurcher.training.ranker.decoder import Decoder, Shape
from lurcher.training.ranker.loop import Schedule
from lurcher.training.ranker.questions import NO_SCORE, Judged, Questions, token_store

SHAPE = Shape(32, 16, 16, 2)


@pytest.fixture(scope="module")
def opened(bundle: Path) -> Iterator[Bundle]:
    with closing(Bundle.open(bundle)) as found:
        yield found


@pytest.fixture(scope="module")
def asked(opened: Bundle) -> Judged:
    passages = opened.passages.get(range(12))
    return Judged(
        [" ".join(p.text.split()[:4]) for p in passages],
        [f"q{row}" for row in range(12)],
        [{row + 1: 1} for row in range(12)],
    )


@pytest.fixture(scope="module")
def ground(opened: Bundle, asked: Judged, tmp_path_factory: pytest.TempPathFactory) -> Ground:
    folder = tmp_path_factory.mktemp("decoder") / "questions"
    found = Questions.make(folder, opened, opened.query_encoder(1), asked, 60, 20)
    return Ground(found, found, token_store(opened))


def fixed(scores: list[list[float]], prior: list[list[float]]) -> Any:
    """Stands for a batch that gets those scores."""
    return SimpleNamespace(scores=lambda _: torch.tensor(scores), prior=torch.tensor(prior))


def test_losses_are_what_they_are_called() -> None:
    decoder, one = Decoder(SHAPE), fixed([[0.5, 0.4, 0.7, 9.0]], [[0.5, 0.4, 0.7, NO_SCORE]])
    scale = decoder.scale.item()
    apart = [0.5 - 0.4, 0.5 - 0.7]  # of the two others that there are
    expected = np.mean([np.log1p(np.exp(-scale * each)) for each in apart])
    assert LOSSES["pairs"](decoder, one).item() == pytest.approx(expected, rel=1e-5)
    assert LOSSES["margin"](decoder, one).item() == pytest.approx(scale * 0.25 / 2, rel=1e-5)
    logits = scale * (np.array([0.5, 0.4, 0.7]) - 0.55)
    said = -np.log(1 / (1 + np.exp(-logits * np.array([1, -1, -1])))).sum()
    assert LOSSES["true or false"](decoder, one).item() == pytest.approx(said, rel=1e-5)


@pytest.mark.parametrize("loss", [name for name in LOSSES if name != "listwise"])
def test_every_loss_wants_the_answer_above_the_others(loss: str) -> None:
    decoder, prior = Decoder(SHAPE), [[0.5, 0.5]]
    good, bad = (
        LOSSES[loss](decoder, fixed(scores, prior)).item()
        for scores in ([[0.6, 0.5]], [[0.5, 0.6]])
    )
    assert good < bad


def test_a_decoder_in_float16_reads_points_as_they_are() -> None:
    decoder = Halved(SHAPE)
    points = unit(np.random.default_rng(0).standard_normal((3, 5, 16)).astype(np.float32))
    halves = points.astype(np.float16)
    read = decoder.decode(torch.from_numpy(halves.view(np.uint8)))
    assert read.shape == (3, 5, 16)
    np.testing.assert_array_equal(read.numpy(), halves.astype(np.float32))


def test_in_float16_candidates_are_ordered_by_what_was_not_rounded(
    opened: Bundle, ground: Ground, tmp_path: Path
) -> None:
    encoder = Encoder.load(opened.path / ENCODER, "passage", 1)
    found = in_float16(ground, opened, encoder, tmp_path)
    again = in_float16(ground, opened, encoder, tmp_path)
    np.testing.assert_array_equal(again.questions.prior, found.questions.prior)
    before, after = ground.questions, found.questions
    assert (np.diff(after.prior, axis=1) <= 0).all()
    store = token_store(opened)
    points = before.points[before.tokens(3)].astype(np.float32)
    weights = np.asarray(before.weights[before.tokens(3)])
    for row, score in zip(after.rows[3][:5].tolist(), after.prior[3], strict=False):
        values, _ = found.store.gather(np.array([row]))
        met = (values.view(np.float16).astype(np.float32) @ points.T).max(axis=0) @ weights
        rounded = maxsim(points, weights, *store.gather(np.array([row])))[0]
        was = before.prior[3][before.rows[3] == row][0]
        assert score == pytest.approx(was + LATE_WEIGHT * (met - rounded), abs=1e-5)
    assert sorted(after.rows[3]) == sorted(before.rows[3])


def test_strangers_are_scored_as_late_interaction_would(opened: Bundle, ground: Ground) -> None:
    vectors = unit(np.random.default_rng(1).standard_normal((12, 32)).astype(np.float32))
    found = strangers(ground.questions, vectors, opened, 0)
    rows, tokens = found.rows[7], found.tokens(7)
    late = maxsim(
        found.points[tokens].astype(np.float32), np.asarray(found.weights[tokens]),
        *token_store(opened).gather(rows),
    )  # fmt: skip
    wanted = blend(opened.vectors.vectors(rows) @ vectors[7], late)
    np.testing.assert_allclose(found.prior[7], wanted, atol=1e-6)
    assert not np.array_equal(rows, ground.questions.rows[7])


def test_without_the_prior_every_candidate_begins_alike(ground: Ground) -> None:
    few = replace(ground.questions, rows=np.where(np.arange(20) < 19, ground.questions.rows, -1))
    found = unsaid(few)
    assert (found.prior[:, :19] == 0).all()
    assert (found.prior[:, 19] == NO_SCORE).all()
    assert (found.relevant_prior == 0).all()


def likelihood(bits: int) -> Likelihood:
    torch.manual_seed(0)
    return Likelihood(bits, 16, 2, torch.randn(30, 8)).eval()


def test_a_token_s_likelihood_depends_on_those_before_it_alone() -> None:
    model = likelihood(16)
    codes = torch.randint(0, 256, (1, 2, 5, 2), dtype=torch.uint8)
    counts = torch.tensor([[5, 3]])
    one, other = torch.tensor([[4, 7, 9, 2]]), torch.tensor([[4, 7, 1, 3]])
    with torch.inference_mode():
        first, second = model(one, codes, counts), model(other, codes, counts)
        np.testing.assert_allclose(first[..., :2], second[..., :2], atol=1e-5)
        assert not torch.allclose(first[..., 2:], second[..., 2:])
        # Of every token that might come third, together: one.
        every = [model(torch.tensor([[4, 7, token]]), codes, counts)[..., 2] for token in range(30)]
        np.testing.assert_allclose(torch.stack(every).exp().sum(0), 1, atol=1e-4)


def test_padding_changes_no_likelihood() -> None:
    model = likelihood(16)
    codes = torch.randint(0, 256, (1, 2, 5, 2), dtype=torch.uint8)
    counts, tokens = torch.tensor([[2, 0]]), torch.tensor([[4, 7]])
    with torch.inference_mode():
        found = model(tokens, codes, counts)
        padded = model(torch.tensor([[4, 7, -100]]), codes[:, :, :2], counts)
    np.testing.assert_allclose(padded[..., :1, :2], found[..., :1, :2], atol=1e-5)
    assert (padded[..., 2] == 0).all()
    assert torch.isfinite(found).all()


@pytest.mark.parametrize("loss", ["likelihood", "unlikelihood", "listwise"])
def test_likelihoods_are_learnt(ground: Ground, loss: str, tmp_path: Path) -> None:
    lengths = np.diff(ground.questions.ends, prepend=0)
    tokens = [np.arange(length) % 5 + question for question, length in enumerate(lengths)]
    reading = Reading(
        ground, Vocabulary(tokens, tokens, torch.randn(30, 8)), likelihood(ground.bits)
    )
    before = reading.likelihoods()
    reading.train(loss, Schedule(steps=30, batch=4, learning_rate=1e-2, mean=0.5), tmp_path)
    after = reading.likelihoods()
    assert after.mean() > before.mean() or loss != "likelihood"
    assert np.isfinite(after).all()
    assert (
        best_blend(ground.development, ground.development.prior, after)
        >= (ground.development.quality()["MRR@10"])
    )


def test_an_encoder_puts_out_the_states_of_the_layer_asked_for(
    opened: Bundle, tmp_path: Path
) -> None:
    source = opened.path / ENCODER
    at_layer(source, 1, tmp_path / "layer-1")
    before, after = (
        Encoder.load(folder, "passage", 1) for folder in (source, tmp_path / "layer-1")
    )
    text = before.tokenise(["the wind turbine stands still"])
    vectors, states = after.encode_states(text)
    np.testing.assert_array_equal(vectors, before.encode_tokens(text))
    np.testing.assert_array_equal(states[0], before.lower_states(text)[0])
    assert after.config.fingerprint != before.config.fingerprint
    with pytest.raises(FieldError, match=r"layer.*\[1\]"):
        at_layer(source, 2, tmp_path / "layer-2")
    assert not (tmp_path / "layer-2").exists()


def test_a_table_and_a_plot_of_tiny_decoders(
    bundle: Path, write_jsonl: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second run trains nothing again."""
    data = tmp_path / "data" / bundle.stem
    (data / "qrels").mkdir(parents=True)
    texts = [f"wind turbine {'lithium' if i % 2 else 'water'} {i}" for i in range(12)]
    write_jsonl(data / "queries.jsonl", [{"_id": f"q{i}", "text": t} for i, t in enumerate(texts)])
    for split, some in (("train", range(8)), ("dev", range(8, 12))):
        lines = [f"q{i}\tp{i}\t1\n" for i in some]
        (data / "qrels" / f"{split}.tsv").write_text("q\tp\tg\n" + "".join(lines))
    small = bench.Setting(width=16, heads=2, negatives=3, steps=3, states=bundle.stem)
    monkeypatch.setattr(bench, "_SET", bundle.stem)
    monkeypatch.setattr(bench, "SHIPS", small)
    monkeypatch.setattr(bench, "_SEEDS", (0, 1))
    changes = {
        "loss": {"pairs": replace(small, loss="pairs")},
        "training": {"random": replace(small, random=True), "unsaid": replace(small, prior=False)},
        "states": {"float16": replace(small, states=bench.FLOAT16)},
    }
    monkeypatch.setattr(bench, "_CHANGES", changes)
    out = tmp_path / "out"
    folders = (bundle.parent, tmp_path / "data", tmp_path / "work", out)
    bench.main(*folders)
    written = {file.name: file.read_bytes() for file in out.iterdir()}
    bench.main(*folders)
    assert {file.name: file.read_bytes() for file in out.iterdir()} == written
    assert set(written) == {"cells.jsonl", "table.md", "plot.svg"}
    cells = [json.loads(line) for line in written["cells.jsonl"].decode().splitlines()]
    assert [(cell["label"], cell["seed"]) for cell in cells] == [
        ("as it ships", 0), ("as it ships", 1), ("pairs", 0), ("random", 0), ("unsaid", 0), ("float16", 0),
    ]  # fmt: skip
    assert all(0 <= cell["after"] <= 1 for cell in cells)
    assert "| as it ships, seed 1 |" in written["table.md"].decode()
