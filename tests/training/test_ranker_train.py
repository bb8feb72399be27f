"""Training a decoder from judged queries: what it learns, what it keeps, and how it goes on after a kill."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

pytest.importorskip("torch", reason="the [train] extra is not installed")
pytest.importorskip("transformers", reason="the [train] extra is not installed")

import torch

from lurcher.bundle.bundle import Bundle
from lurcher.bundle.passages import Rows
from lurcher.bundle.token_store import TokenStore
from lurcher.index_builder.build import BuildOptions, build
from lurcher.models.errors import CorpusError, FieldError, LurcherError, ModelError
from lurcher.models.ranker.decoder import Decoder as Exported
from lurcher.models.ranker.maxsim import blend, maxsim
from lurcher.training.plot import write_curve
from lurcher.training.ranker import loop
from lurcher.training.ranker.batches import batch, draw, scores
from lurcher.training.ranker.cross_scores import read_cross_scores
from lurcher.training.ranker.decoder import Decoder, Shape
from lurcher.training.ranker.loop import Schedule, listwise, train
from lurcher.training.ranker.questions import (
    NO_SCORE,
    Judged,
    Questions,
    judged,
    padded_codes,
    token_store,
)
from lurcher.training.ranker.train import Plan, Sources, train_ranker
from lurcher.training.run import Point

SCHEDULE = Schedule(steps=12, batch=8, negatives=9, learning_rate=5e-3, mean=0.5, checks=3)
PLAN = Plan(width=16, heads=2, candidates=20, schedule=SCHEDULE)


class KilledError(Exception):
    """Stands for a kill."""


@pytest.fixture(scope="module")
def opened(bundle: Path) -> Iterator[Bundle]:
    with closing(Bundle.open(bundle)) as found:
        yield found


@pytest.fixture(scope="module")
def store(opened: Bundle) -> TokenStore:
    return token_store(opened)


@pytest.fixture(scope="module")
def asked(opened: Bundle) -> Judged:
    """Forty questions in the words of one passage, answered by another: to be learnt by heart."""
    passages = opened.passages.get(range(40))
    texts = [" ".join(p.text.split()[:4]) for p in passages]
    relevant = [{(row + 40) % 80: 1 + row % 2} for row in range(40)]
    return Judged(texts, [f"q{row}" for row in range(40)], relevant)


@pytest.fixture(scope="module")
def questions(opened: Bundle, asked: Judged, tmp_path_factory: pytest.TempPathFactory) -> Questions:
    folder = tmp_path_factory.mktemp("ranker") / "questions"
    return Questions.make(folder, opened, opened.query_encoder(1), asked, 60, 20)


@pytest.fixture
def decoder(store: TokenStore) -> Callable[[], Decoder]:
    """Makes an untrained one, the same each time."""

    def make() -> Decoder:
        torch.manual_seed(0)
        return Decoder(Shape(32, store.coder.bits, 16, 2), 0.1)

    return make


@pytest.fixture
def files(tmp_path: Path, asked: Judged, opened: Bundle) -> Sources:
    """The questions as files, the last eight to choose weights by."""

    def write(name: str, places: range) -> tuple[Path, Path]:
        queries, qrels = tmp_path / f"{name}.jsonl", tmp_path / f"{name}.tsv"
        lines = [{"_id": asked.ids[i], "text": asked.texts[i]} for i in places]
        queries.write_text("".join(json.dumps(line) + "\n" for line in lines))
        pairs = [(asked.ids[i], row, g) for i in places for row, g in asked.relevant[i].items()]
        rows = opened.passages.get([row for _, row, _ in pairs])
        judgements = [f"{q}\t{p.id}\t{g}" for (q, _, g), p in zip(pairs, rows, strict=True)]
        qrels.write_text("\n".join(["query-id\tcorpus-id\tscore", *judgements]) + "\n")
        return queries, qrels

    return Sources(*write("train", range(32)), write("dev", range(32, 40)))


# --- questions


def test_candidates_are_what_a_search_would_rank(
    opened: Bundle, store: TokenStore, asked: Judged, questions: Questions
) -> None:
    encoder = opened.query_encoder(1)
    assert len(questions) == 40
    assert questions.rows.shape == (40, 20)
    for place in (0, 17, 39):
        (tokens,) = encoder.tokenise([asked.texts[place]])
        vectors, (states,) = encoder.encode_states([tokens])
        own = encoder.own_tokens(tokens)
        points, weights = store.coder.queries(states[own], tokens.ids[own])
        dense, rows = opened.vectors.search(vectors, 60)
        late = maxsim(points, weights, *store.gather(rows[0]))
        final = blend(dense[0], late)
        order = np.argsort(-final, kind="stable")[:20]
        np.testing.assert_array_equal(questions.rows[place], rows[0][order])
        np.testing.assert_allclose(questions.prior[place], final[order], atol=1e-6)
        span = questions.tokens(place)
        np.testing.assert_allclose(questions.states[span], states[own], atol=2e-2)
        np.testing.assert_allclose(questions.points[span], points, atol=1e-3)
        np.testing.assert_allclose(questions.weights[span], weights)
        (answer,) = questions.relevant[questions.answers(place)]
        where = np.flatnonzero(rows[0] == answer)
        if len(where):
            np.testing.assert_allclose(
                questions.relevant_prior[questions.answers(place)], final[where], atol=1e-5
            )


def test_questions_are_found_again(
    opened: Bundle, asked: Judged, questions: Questions, tmp_path: Path
) -> None:
    made = Questions.make(tmp_path / "q", opened, opened.query_encoder(1), asked, 60, 20)
    again = Questions.open(tmp_path / "q", opened)
    for name in Questions.__slots__:
        np.testing.assert_array_equal(getattr(again, name), getattr(questions, name))
        np.testing.assert_array_equal(getattr(again, name), getattr(made, name))
    (tmp_path / "q" / "kept.npy").unlink()  # as a kill would leave it
    with pytest.raises(FileNotFoundError):
        Questions.open(tmp_path / "q", opened)


def test_texts_without_tokens_are_left_out(opened: Bundle, tmp_path: Path) -> None:
    encoder = opened.query_encoder(1)
    some = Judged(["", "water", " "], ["a", "b", "c"], [{0: 1}, {1: 1}, {2: 1}])
    made = Questions.make(tmp_path / "some", opened, encoder, some, 10, 5)
    assert made.kept.tolist() == [1]
    with pytest.raises(FieldError, match="none holds a word"):
        Questions.make(tmp_path / "none", opened, encoder, some.take(np.array([0])), 10, 5)


def test_quality_counts_what_was_not_found(questions: Questions) -> None:
    best = questions.rows == questions.relevant[:, None]  # one answer each
    found = questions.quality(best.astype(np.float32))
    share = best.any(axis=1).mean()
    assert 0 < share < 1
    assert found == pytest.approx({"MRR@10": share, "nDCG@10": share})
    assert questions.quality(questions.prior) == questions.quality()


def test_drawn_negatives_answer_nothing(questions: Questions) -> None:
    every = np.arange(40)
    rows, prior = draw(questions, every, 9, np.random.default_rng(0))
    again, _ = draw(questions, every, 9, np.random.default_rng(0))
    np.testing.assert_array_equal(rows, again)
    np.testing.assert_array_equal(rows[:, 0], questions.relevant)
    assert not (rows[:, 1:] == questions.relevant[:, None]).any()
    for place in range(40):
        assert len(set(rows[place].tolist())) == 10
        others = [r for r in questions.rows[place].tolist() if r != questions.relevant[place]]
        assert rows[place, 1:5].tolist() == others[:4]  # the best of them
    assert (prior > -1.01).all()
    # Of a corpus with fewer there are as many as there are.
    many, score = draw(questions, every, 30, np.random.default_rng(0))
    assert ((many == -1) == (score == NO_SCORE)).all()
    assert (many[:, -1] == -1).all()


def test_the_answer_that_is_drawn_was_found_if_any_was(questions: Questions) -> None:
    """Each question has two more answers: for even ones the second was found, for odd ones none was."""
    strangers = [np.setdiff1d(np.arange(80), rows)[:3] for rows in questions.rows]
    own = [
        [a, int(rows[-1]) if place % 2 == 0 else b, c]
        for place, (rows, (a, b, c)) in enumerate(zip(questions.rows, strangers, strict=True))
    ]
    many = replace(
        questions, relevant=np.array(own).ravel(), relevant_ends=3 * np.arange(1, 41),
        relevant_prior=np.linspace(0, 1, 120, dtype=np.float32), grades=np.ones(120, np.int64),
    )  # fmt: skip
    drawn = [draw(many, np.arange(40), 5, np.random.default_rng(seed)) for seed in range(30)]
    for place in range(40):
        first = {int(rows[place, 0]) for rows, _ in drawn}
        assert first == ({own[place][1]} if place % 2 == 0 else set(own[place]))
        rows, prior = drawn[0]
        at = 3 * place + own[place].index(int(rows[place, 0]))
        assert prior[place, 0] == many.relevant_prior[at]


def test_codes_are_padded_and_nothing_has_none(store: TokenStore) -> None:
    rows: Rows = np.array([3, -1, 5])
    codes, counts = padded_codes(store, rows)
    for place in (0, 2):
        wanted, (count,) = store.gather(rows[place : place + 1])
        assert counts[place] == count
        np.testing.assert_array_equal(codes[place, :count], wanted)
        assert not codes[place, count:].any()
    assert counts[1] == 0
    assert padded_codes(store, np.array([-1]))[0].shape[:2] == (1, 1)


# --- the loss


def test_loss_by_hand(
    store: TokenStore, questions: Questions, decoder: Callable[[], Decoder]
) -> None:
    every = np.arange(4)
    rows, prior = draw(questions, every, 3, np.random.default_rng(0))
    said = {0: {int(rows[0, 0]): 1.0, int(rows[0, 2]): -1.0}, 2: {int(rows[2, 1]): 5.0}}
    one = batch(questions, store, every, rows, prior, said)
    logits = 20.0 * prior.astype(np.float64)  # untrained
    wanted = np.mean(np.log(np.exp(logits).sum(1)) - logits[:, 0])
    plain = batch(questions, store, every, rows, prior)
    assert listwise(decoder().eval(), plain).item() == pytest.approx(wanted, abs=1e-4)
    # Of question 2 one score alone says nothing.
    goal = np.exp([1.0, -1.0]) / np.exp([1.0, -1.0]).sum()
    ours = np.exp(logits[0, [0, 2]]) / np.exp(logits[0, [0, 2]]).sum()
    wanted += (goal * np.log(goal / ours)).sum()
    loss = listwise(model := decoder().eval(), one)
    assert loss.item() == pytest.approx(wanted, abs=1e-4)
    loss.backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


def test_gradients_are_finite_where_candidates_are_missing(
    store: TokenStore, questions: Questions, decoder: Callable[[], Decoder]
) -> None:
    model, every = decoder(), np.arange(5)
    drawn = draw(questions, every, 40, np.random.default_rng(0))
    said = {i: {int(row): 0.5 * row for row in drawn[0][i]} for i in range(5)}
    listwise(model, batch(questions, store, every, *drawn, said)).backward()
    found = [p.grad for p in model.parameters() if p.grad is not None]
    assert all(grad.isfinite().all() for grad in found)
    assert any(grad.any() for grad in found)


# --- the loop


def test_training_learns(
    store: TokenStore, questions: Questions, decoder: Callable[[], Decoder], tmp_path: Path
) -> None:
    schedule = Schedule(steps=120, batch=20, negatives=9, learning_rate=1e-2, mean=0.8, checks=4)
    model = decoder()
    curve = train(model, questions, questions, store, schedule, tmp_path)
    assert [point.step for point in curve] == [0, 30, 60, 90, 120]
    first, last = curve[1].loss, curve[-1].loss
    assert first is not None
    assert last is not None
    assert last < 0.4 * first
    # What is kept is what did best, and more than the prior does.
    kept = questions.quality(scores(model, questions, store))
    best = max(p.quality["nDCG@10"] for p in curve if p.quality is not None)
    assert kept["nDCG@10"] == pytest.approx(best)
    # Twice as much, most times: threads add up in another order each time.
    assert best > 1.5 * questions.quality()["nDCG@10"]


def test_what_learns_nothing_is_left_as_its_prior(
    store: TokenStore, questions: Questions, decoder: Callable[[], Decoder], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def worst(_: Decoder, asked: Questions, __: TokenStore) -> Any:
        return -(asked.rows == asked.relevant[:, None]).astype(np.float32)

    monkeypatch.setattr(loop, "scores", worst)
    model = decoder()
    train(model, questions, questions, store, SCHEDULE, tmp_path)
    np.testing.assert_array_equal(scores(model, questions, store), questions.prior)


def test_run_that_was_killed_ends_as_one_in_one_go(
    store: TokenStore, questions: Questions, decoder: Callable[[], Decoder], tmp_path: Path
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for folder in (whole, parts):
        folder.mkdir()
    one = decoder()
    curve = train(one, questions, questions, store, SCHEDULE, whole)

    def kill(point: Point) -> None:
        if point.step == 8:
            raise KilledError

    with pytest.raises(KilledError):
        train(decoder(), questions, questions, store, SCHEDULE, parts, report=kill)
    seen: list[int] = []
    other = decoder()
    again = train(
        other, questions, questions, store, SCHEDULE, parts, report=lambda p: seen.append(p.step)
    )
    assert seen == [8, 12]
    assert again == curve
    ends = [torch.load(f / "checkpoint.pt", weights_only=True) for f in (whole, parts)]
    for kind in ("model", "mean", "best_weights"):
        for name, part in ends[0][kind].items():
            assert torch.equal(part, ends[1][kind][name]), (kind, name)
    assert all(torch.equal(p, q) for p, q in zip(one.parameters(), other.parameters(), strict=True))


def test_diverging_is_said(
    store: TokenStore, questions: Questions, decoder: Callable[[], Decoder], tmp_path: Path
) -> None:
    model = decoder()
    with torch.no_grad():
        model.value.bias.fill_(float("nan"))
    with pytest.raises(ModelError, match="step 1: the loss is nan: training diverged"):
        train(model, questions, questions, store, SCHEDULE, tmp_path)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"steps": 0}, "steps"), ({"batch": 0}, "batch"), ({"negatives": 0}, "negatives"),
        ({"checks": 0}, "checks"), ({"learning_rate": 0.0}, "learning_rate"),
        ({"learning_rate": float("nan")}, "learning_rate"), ({"seed": -1}, "seed"),
    ],
)  # fmt: skip
def test_schedules_that_cannot_be(given: dict[str, Any], field: str) -> None:
    with pytest.raises(FieldError) as caught:
        Schedule(**given)
    assert caught.value.field == field


def test_curve_is_written(tmp_path: Path) -> None:
    points = [
        Point(0, None, {"MRR@10": 0.5, "nDCG@10": 0.6}), Point(5, 1.25, None),
        Point(10, 1.0, {"MRR@10": 0.55, "nDCG@10": 0.625}),
    ]  # fmt: skip
    write_curve(points, tmp_path)
    assert (tmp_path / "curve.csv").read_text().splitlines() == [
        "step,loss,MRR@10,nDCG@10", "0,,0.50000,0.60000", "5,1.25000,,", "10,1.00000,0.55000,0.62500",
    ]  # fmt: skip
    picture = (tmp_path / "curve.svg").read_text()
    assert picture.count("<polyline") == 3
    assert "nan" not in picture


# --- from files to a folder


def test_decoder_from_files(bundle: Path, files: Sources, opened: Bundle, tmp_path: Path) -> None:
    out, lines = tmp_path / "out", list[str]()
    config = train_ranker(bundle, files, out, PLAN, lines.append)
    assert {file.name for file in out.iterdir()} == {
        "query.onnx", "pair.onnx", "decoder.json", "curve.csv", "curve.svg",
    }  # fmt: skip
    assert not out.with_name("out.partial").exists()
    decoder = Exported.load(out, 1)
    assert decoder.config == config
    assert opened.tokens is not None
    decoder.check(opened.manifest.encoder, opened.tokens.coder)
    assert config.name == "out"
    assert config.questions == 32
    assert config.candidates == 20
    assert config.figures.keys() == {"MRR@10", "nDCG@10"}
    assert config.figures["nDCG@10"][1] >= config.figures["nDCG@10"][0]
    assert lines[0] == "development: 8 of 8 searched"
    assert lines[-1].startswith("step 12 of 12: loss ") or "late interaction" in lines[-1]
    with pytest.raises(FieldError, match="exists already"):
        train_ranker(bundle, files, out, PLAN)


def test_killed_command_goes_on_and_another_plan_starts_afresh(
    bundle: Path, files: Sources, tmp_path: Path
) -> None:
    out = tmp_path / "out"

    def killed(plan: Plan) -> list[str]:
        lines: list[str] = []

        def report(line: str) -> None:
            lines.append(line)
            if line.startswith("step 8"):
                raise KilledError

        with pytest.raises(KilledError):
            train_ranker(bundle, files, out, plan, report)
        assert not out.exists()
        return lines

    assert any("searched" in line for line in killed(PLAN))
    assert [line.split(":")[0] for line in killed(PLAN)] == ["step 8 of 12"]
    wider = Plan(width=24, heads=2, candidates=20, schedule=SCHEDULE)
    assert any("searched" in line for line in killed(wider))
    train_ranker(bundle, files, out, wider)
    assert Exported.load(out, 1).config.width == 24


def test_a_decoder_has_the_name_it_is_given(bundle: Path, files: Sources, tmp_path: Path) -> None:
    config = train_ranker(bundle, files, tmp_path / "out", PLAN, name="ours, of March")
    assert config.name == "ours, of March"
    with pytest.raises(FieldError, match="name: must hold"):
        train_ranker(bundle, files, tmp_path / "other", PLAN, name=" ")


def test_without_development_queries_some_are_held_out(
    bundle: Path, files: Sources, tmp_path: Path
) -> None:
    alone = Sources(files.queries, files.qrels)
    config = train_ranker(bundle, alone, tmp_path / "out", PLAN)
    assert config.questions == 29


def test_scores_of_a_cross_encoder_change_what_is_learnt(
    bundle: Path, files: Sources, tmp_path: Path
) -> None:
    file = tmp_path / "scores.tsv"
    file.write_text("".join(f"q{q}\tp{p}\t{(q * p) % 7}\n" for q in range(40) for p in range(80)))
    said = Sources(files.queries, files.qrels, files.development, file)
    for sources, name in ((files, "plain"), (said, "said")):
        train_ranker(bundle, sources, tmp_path / name, PLAN)
    plain, other = ((tmp_path / n / "curve.csv").read_text() for n in ("plain", "said"))
    assert plain.splitlines()[1] == other.splitlines()[1]
    assert plain != other


# --- bad input


def test_bundle_without_tokens(
    teacher: Path, files: Sources, write_jsonl: Callable[..., Path], tmp_path: Path
) -> None:
    corpus = write_jsonl(tmp_path / "c.jsonl", [{"id": "p0", "text": "water"}])
    build(corpus, tmp_path / "bare.lurcher", BuildOptions(teacher, tokens=None))
    with pytest.raises(ModelError, match="has no tokens to train a ranker on; `lurcher build`"):
        train_ranker(tmp_path / "bare.lurcher", files, tmp_path / "out", PLAN)
    assert not (tmp_path / "out").exists()


def test_unknown_ids_are_named_or_skipped(opened: Bundle) -> None:
    texts, source = {"a": "water", "b": "wind"}, Path("qrels.tsv")
    qrels = {"a": {"p1": 1, "px": 2, "p2": 0}, "z": {"p3": 1}, "b": {"py": 1}}
    with pytest.raises(CorpusError, match=r"qrels.tsv: 1 judged queries .*first: 'z'.*--skip-unkn"):
        judged(opened, texts, qrels, source)
    del qrels["z"]
    with pytest.raises(CorpusError, match=r"2 relevant passages are not in .*first: 'px', 'py'"):
        judged(opened, texts, qrels, source)
    (row,) = opened.passages.rows_of(["p1"]).values()
    found = judged(opened, texts, qrels | {"z": {"p3": 1}}, source, skip_unknown=True)
    assert (found.ids, found.relevant) == (["a"], [{row: 1}])


def test_qrels_without_an_answer_in_the_corpus(opened: Bundle) -> None:
    for qrels in ({"a": {"px": 1}}, {"a": {"p1": 0}}):
        with pytest.raises(CorpusError, match=r"no passage of .* answers any of its queries"):
            judged(opened, {"a": "water"}, qrels, Path("qrels.tsv"), skip_unknown=True)


def test_too_few_to_train_on(bundle: Path, files: Sources, tmp_path: Path) -> None:
    assert files.development is not None
    same = Sources(*files.development, files.development)
    with pytest.raises(FieldError, match="0 judged queries are left to train on"):
        train_ranker(bundle, same, tmp_path / "out", PLAN)


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("q\tp\t1\nq\tp\n", 2, "2 fields"), ("q\tp\tscore\nq\tp\tx\n", 2, "'x' is not a finite"),
        ("q\tp\tnan\n", 1, "not a finite"), (b"q\tp\xff\t1\n", None, "not UTF-8"),
    ],
)  # fmt: skip
def test_cross_scores_that_cannot_be_read(
    tmp_path: Path, text: str | bytes, line: int | None, reason: str
) -> None:
    file = tmp_path / "scores.tsv"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(CorpusError, match=reason) as caught:
        read_cross_scores(file)
    assert caught.value.line == line
    with pytest.raises(CorpusError, match="No such file"):
        read_cross_scores(tmp_path / "nowhere")


def test_cross_scores_of_nothing(bundle: Path, files: Sources, tmp_path: Path) -> None:
    file = tmp_path / "scores.tsv"
    file.write_text("\ufeffquery\tpassage\tscore\nq0\tpx\t1\nqx\tp0\t2e0\n\n")
    assert read_cross_scores(file) == {"q0": {"px": 1.0}, "qx": {"p0": 2.0}}
    sources = Sources(files.queries, files.qrels, files.development, file)
    with pytest.raises(CorpusError, match="no score of a query to train on"):
        train_ranker(bundle, sources, tmp_path / "out", PLAN)


def test_full_disk_leaves_nothing_under_the_name(
    bundle: Path, files: Sources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lurcher.training.ranker.train.write_curve", full)
    with pytest.raises(ModelError, match=r"No space left .* kept in .*out\.partial"):
        train_ranker(bundle, files, tmp_path / "out", PLAN)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"dropout": 1.0}, "dropout"), ({"candidates": 1}, "candidates"),
        ({"candidates": 101}, "candidates"), ({"heads": 5}, "heads"),
    ],
)  # fmt: skip
def test_plans_that_cannot_be(given: dict[str, Any], field: str) -> None:
    with pytest.raises(FieldError) as caught:
        Plan(**given)
    assert caught.value.field == field


# --- the command


def test_command(bundle: Path, files: Sources, tmp_path: Path) -> None:
    assert files.development is not None
    queries, qrels = files.development

    def lurcher(*words: str | Path) -> Any:
        return CliRunner().invoke(
            lurcher.cli.app, ["train", "ranker", str(bundle), *map(str, words)]
        )

    out = tmp_path / "decoder"
    pair = ["--queries", files.queries, "--qrels", files.qrels, "--out", out]
    size = ["--width", "8", "--heads", "1", "--steps", "4", "--batch", "8", "--checks", "2"]
    ended = lurcher(*pair, "--dev-queries", queries, "--dev-qrels", qrels, *size)
    assert ended.exit_code == 0, ended.output
    assert "nDCG@10" in ended.output
    assert Exported.load(out, 1).config.width == 8
    shutil.rmtree(out)
    ended = lurcher(*pair, "--dev-queries", queries, *size)
    assert isinstance(ended.exception, LurcherError)
    assert "goes with dev_queries" in str(ended.exception)
