"""Tuning never asks what it knows, measures as ir_measures does, and chooses what really helps."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lurcher.bundle.index_building import build_index
from lurcher.bundle.labels import Labels
from lurcher.bundle.neighbours import AdaptedSettings, Trial, VotingSettings
from lurcher.bundle.vectors import VectorIndex, Vectors
from lurcher.index_builder.neighbours.candidates import Candidates
from lurcher.index_builder.neighbours.choose import Grid, choose
from lurcher.index_builder.neighbours.splits import JudgedQueries, Split, hold_out, make_unseen
from lurcher.index_builder.neighbours.sums import label_scores, label_sums
from lurcher.models.neighbours.nearness import FAR, NEAR
from lurcher.models.neighbours.votes import raised

SEEDS = st.integers(0, 2**32 - 1)
DIMENSION = 16


def unit(vectors: Vectors) -> Vectors:
    normed: Vectors = (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)
    return normed


def points(seed: int, count: int) -> Vectors:
    return unit(np.random.default_rng(seed).standard_normal((count, DIMENSION)))


def indexed(vectors: Vectors) -> VectorIndex:
    return VectorIndex(build_index(vectors, "Flat", 0, lambda _: None))


def labels_of(answers: list[dict[int, float]]) -> Labels:
    """The Labels of queries, each given by what answers it."""
    counts = [len(own) for own in answers]
    pairs = [pair for own in answers for pair in sorted(own.items())]
    return Labels(
        np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]),
        np.array([row for row, _ in pairs], np.int64),
        np.array([weight for _, weight in pairs], np.float32),
    )


def answers_of(labels: Labels) -> list[dict[int, float]]:
    return [
        dict(zip(labels.rows[a:b].tolist(), labels.weights[a:b].tolist(), strict=True))
        for a, b in zip(labels.indptr, labels.indptr[1:], strict=False)
    ]


def random_known(seed: int, queries: int, passages: int, most: int = 3) -> JudgedQueries:
    """Queries with 1 to ``most`` passages each, drawn at random."""
    draw = np.random.default_rng(seed)
    answers = [
        {
            int(row): float(draw.choice([0.5, 1.0]))
            for row in draw.choice(passages, draw.integers(1, most + 1), replace=False)
        }
        for _ in range(queries)
    ]
    return JudgedQueries(points(seed + 1, queries), labels_of(answers))


def names(known: JudgedQueries) -> list[bytes]:
    """The queries as something that can be compared."""
    return [vector.tobytes() for vector in known.vectors]


# Who is asked, and who is known meanwhile.


@given(SEEDS, st.integers(10, 80), st.sampled_from([7, 30, 1_000]))
def test_who_is_held_out_is_not_known(seed: int, queries: int, most: int) -> None:
    known = random_known(seed, queries, 20)
    all_answers = dict(zip(names(known), answers_of(known.labels), strict=True))
    splits = hold_out(known, known.vectors, np.arange(queries), seed, most)
    asked = [name for split in splits for name in names(split.queries)]
    assert len(asked) == len(set(asked)) == min(most, queries)
    for split in splits:
        held = names(split.queries)
        assert set(names(split.known)) == set(all_answers) - set(held)
        for part in (split.queries, split.known):
            answers = zip(names(part), answers_of(part.labels), strict=True)
            assert all(all_answers[name] == own for name, own in answers)


def test_who_asks_what_is_known_is_not_asked() -> None:
    """The same text from two sources: neither may answer for the other."""
    known = random_known(0, 40, 20)
    texts = np.arange(40) // 2
    for split in hold_out(known, known.vectors, texts, 0):
        held = {texts[int(n)] for n in numbers_in(known, split.queries)}
        assert held.isdisjoint(texts[int(n)] for n in numbers_in(known, split.known))


def numbers_in(known: JudgedQueries, part: JudgedQueries) -> list[int]:
    all_names = names(known)
    return [all_names.index(name) for name in names(part)]


def test_where_nobody_knows_what_is_lost_only_safe_settings_are_tried() -> None:
    known = random_known(1, 60, 30)
    index = indexed(known.vectors[:30])
    splits = hold_out(known, known.vectors, np.arange(60), 0)
    choice = choose(index, splits, None, 0.99)
    assert choice.mode in ("off", "voting")
    assert choice.voting.margin >= 0.1


@given(SEEDS, st.integers(120, 300), st.sampled_from([110, 1_000]))
def test_nobody_known_points_to_what_unseen_queries_want(
    seed: int, queries: int, most: int
) -> None:
    known = random_known(seed, queries, 500, most=2)
    all_answers = dict(zip(names(known), answers_of(known.labels), strict=True))
    splits = make_unseen(known, known.vectors, 500, seed, most)
    assume(splits is not None)
    assert splits is not None
    asked = [name for split in splits for name in names(split.queries)]
    assert len(asked) == len(set(asked)) <= most
    for split in splits:
        assert not set(names(split.queries)) & set(names(split.known))
        assert not np.isin(split.known.labels.rows, split.queries.labels.rows).any()
        assert (np.diff(split.known.labels.indptr) > 0).all()
        for name, own in zip(names(split.queries), answers_of(split.queries.labels), strict=True):
            assert all_answers[name] == own
        for name, own in zip(names(split.known), answers_of(split.known.labels), strict=True):
            assert own.items() <= all_answers[name].items()


def test_one_passage_each_makes_every_query_unseen_once() -> None:
    known = JudgedQueries(points(1, 150), labels_of([{row: 1.0} for row in range(150)]))
    splits = make_unseen(known, known.vectors, 1_000, 0)
    asked = [name for split in splits for name in names(split.queries)]
    assert sorted(asked) == sorted(names(known))


def test_too_few_unseen_queries_tell_nothing() -> None:
    few = JudgedQueries(points(1, 99), labels_of([{row: 1.0} for row in range(99)]))
    assert make_unseen(few, few.vectors, 1_000, 0) is None


def test_where_nearly_all_is_known_little_is_left_to_protect() -> None:
    known = JudgedQueries(points(1, 150), labels_of([{row: 1.0} for row in range(150)]))
    assert make_unseen(known, known.vectors, 151, 0) == []
    assert make_unseen(known, known.vectors, 170, 0) != []


def test_one_passage_for_all_leaves_nobody_to_ask() -> None:
    known = JudgedQueries(points(1, 150), labels_of([{3: 1.0}] * 150))
    assert make_unseen(known, known.vectors, 1_000, 0) is None


# Sums and scores, against loops.


@given(SEEDS, st.integers(1, 40), st.sampled_from([1, 3, 1_000]))
def test_sums_and_scores_are_those_of_loops(seed: int, queries: int, at_once: int) -> None:
    known, passages = random_known(seed, queries, 12), points(seed, 12)
    labelled = np.unique(known.labels.rows)
    scores = []
    total = dict.fromkeys(labelled.tolist(), np.zeros(DIMENSION))
    for vector, own in zip(known.vectors, answers_of(known.labels), strict=True):
        for row, weight in own.items():
            scores.append(float(vector @ passages[row]))
            total[row] = total[row] + weight * vector
    found = label_scores(indexed(passages), known, at_once)
    summed = label_sums(known, labelled, at_once)
    assert found.dtype == summed.dtype == np.float32
    np.testing.assert_allclose(found, scores, atol=1e-5)
    np.testing.assert_allclose(summed, [total[row] for row in labelled], atol=1e-5)


# Measures, against ir_measures on plain rankings.

Score = Callable[[Vectors, Vectors, JudgedQueries], Vectors]


def bare(queries: Vectors, passages: Vectors, _: JudgedQueries) -> Vectors:
    scores: Vectors = queries @ passages.T
    return scores


def moved(dense_weight: float) -> Score:
    def score(queries: Vectors, passages: Vectors, known: JudgedQueries) -> Vectors:
        vectors = passages.astype(float)
        scores = queries @ vectors.T
        for row in np.unique(known.labels.rows):
            has = [
                own[row] * v
                for v, own in zip(known.vectors, answers_of(known.labels), strict=True)
                if row in own
            ]
            mean = unit(np.sum(has, axis=0))
            vectors[row] = unit(dense_weight * passages[row] + (1 - dense_weight) * mean)
            near = np.clip((queries @ mean - FAR) / (NEAR - FAR), 0, 1)
            scores[:, row] += near * (queries @ vectors[row] - scores[:, row])
        return np.asarray(scores, np.float32)

    return score


def voted(of: VotingSettings) -> Score:
    def score(queries: Vectors, passages: Vectors, known: JudgedQueries) -> Vectors:
        dense = (queries @ passages.T).astype(float)
        answers = answers_of(known.labels)
        said = np.zeros_like(dense)
        for b, similarities in enumerate((queries @ known.vectors.T).astype(float)):
            best = np.argsort(-similarities)[: of.neighbours]
            near = np.clip((similarities[best] - FAR) / (NEAR - FAR), 0, 1)
            force = near * np.exp(similarities[best] / of.temperature)
            for i, weight in zip(best, near * force / max(force.sum(), 1e-30), strict=True):
                for row, label in answers[i].items():
                    own = float(known.vectors[i] @ passages[row])
                    said[b, row] += weight * max(0, similarities[i] - own - of.margin) * label
        boosts = said * (1 - of.dense_weight) / of.dense_weight
        return raised(dense.astype(np.float32), boosts.astype(np.float32))

    return score


def by_ir_measures(scores: Vectors, asked: JudgedQueries) -> list[float]:
    """nDCG@10, Recall@10 and Recall@100 of a full ranking."""
    from lurcher.evaluation.measures import per_query

    ids = [f"q{i}" for i in range(len(scores))]
    qrels = {
        id_: {f"p{row}": round(2 * weight) for row, weight in own.items()}
        for id_, own in zip(ids, answers_of(asked.labels), strict=True)
    }
    rankings = [[(f"p{row}", 0.0) for row in np.argsort(-own)[:100]] for own in scores]
    values = per_query(ids, rankings, qrels)
    return [float(values[name].mean()) for name in ("nDCG@10", "Recall@10", "Recall@100")]


XL = [
    VotingSettings(neighbours=k, temperature=t, margin=m, dense_weight=w)
    for k, t, m, w in [(4, 0.05, -0.2, 0.2), (16, 0.1, 0.1, 0.5), (64, 0.2, 0.0, 0.1)]
]
TRIED: list[tuple[AdaptedSettings | VotingSettings | None, Score]] = [
    (None, bare),
    *[(AdaptedSettings(dense_weight=w), moved(w)) for w in (0.9, 0.5, 0.2)],
    *[(setting, voted(setting)) for setting in XL],
]


# Of many passages, XS takes as candidates what is nearest on either side: those have no plain twin.
SIZES = [(90, 80), (6, 20), (90, 3), (300, 200)]
CASES = [
    (*tried, *size) for tried in TRIED for size in SIZES
    if size[0] <= 100 or not isinstance(tried[0], AdaptedSettings)
]  # fmt: skip


@pytest.mark.parametrize(("setting", "score", "passages", "queries"), CASES)
def test_measures_are_those_of_ir_measures(
    setting: AdaptedSettings | VotingSettings | None, score: Score, passages: int, queries: int
) -> None:
    pytest.importorskip("ir_measures", reason="the extra [eval] is not installed")
    vectors, known = points(1, passages), random_known(2, queries, passages)
    # Queries near known ones, or there would be little to measure.
    near = known.vectors[np.arange(30) % queries] + 0.2 * points(5, 30)
    labels = random_known(3, 30, passages).labels
    asked = JudgedQueries(unit(near), labels)
    found = Candidates(indexed(vectors), Split(known, asked)).measure(setting)
    wanted = by_ir_measures(score(asked.vectors, vectors, known), asked)
    assert [found.ndcg, found.recall_10, found.recall] == pytest.approx(wanted, abs=1e-5)


def test_trials_in_any_order_measure_the_same() -> None:
    """Votes are kept from one setting to the next; they must not be mistaken for another's."""
    vectors, known, asked = points(1, 90), random_known(2, 80, 90), random_known(3, 20, 90)
    split = Split(known, asked)
    candidates = Candidates(indexed(vectors), split)
    for setting in [*XL, AdaptedSettings(), None, *reversed(XL)]:
        fresh = Candidates(indexed(vectors), split).measure(setting)
        assert candidates.measure(setting) == fresh


# What is chosen.


def repeated(noise: float) -> tuple[VectorIndex, Split]:
    """Queries far from what answers them, asked a second time in other words."""
    known = JudgedQueries(points(2, 60), labels_of([{row: 1.0} for row in range(60)]))
    again = unit(known.vectors + noise * points(3, 60))
    return indexed(points(1, 200)), Split(known, JudgedQueries(again, known.labels))


def test_where_queries_repeat_known_ones_are_used() -> None:
    index, split = repeated(0.3)
    choice = choose(index, [split], [], 0.99)
    off, *others = choice.trials
    assert off.mode == "off"
    assert choice.mode in ("adapted", "voting")
    assert {trial.mode for trial in others} == {"adapted", "voting"}
    won = max(others, key=lambda trial: trial.ndcg)
    assert won.mode == choice.mode
    assert won.ndcg > 0.9 > 0.2 > off.ndcg
    assert all(trial.unseen_ndcg is None for trial in choice.trials)


def test_each_mode_gets_the_settings_that_its_trial_had() -> None:
    index, split = repeated(0.8)
    choice = choose(index, [split], [], 0.99)
    candidates = Candidates(index, split)
    by_mode = {trial.mode: trial for trial in choice.trials}
    assert candidates.measure(None).ndcg == by_mode["off"].ndcg
    assert candidates.measure(choice.adapted).ndcg == by_mode["adapted"].ndcg
    assert candidates.measure(choice.voting).ndcg == by_mode["voting"].ndcg
    for weight in (0.2, 0.5, 0.9):
        assert (
            candidates.measure(AdaptedSettings(dense_weight=weight)).ndcg <= by_mode["adapted"].ndcg
        )
    for setting in XL:
        assert candidates.measure(setting).ndcg <= by_mode["voting"].ndcg


def test_random_labels_are_not_used() -> None:
    """Nothing beats the bare order where it is right and what is known is made up."""
    vectors = points(1, 200)
    known = random_known(2, 60, 200)
    asked = JudgedQueries(
        unit(vectors[:40] + 0.2 * points(3, 40)), labels_of([{row: 1.0} for row in range(40)])
    )
    choice = choose(indexed(vectors), [Split(known, asked)], [], 0.0)
    assert choice.mode == "off"
    assert choice.trials[0].ndcg == pytest.approx(1)


def contradiction() -> tuple[VectorIndex, Split, Split]:
    """Known queries that are right when asked again, and wrong for those who ask the same anew."""
    index, split = repeated(0.1)
    scores, rows = index.search(split.queries.vectors, 1)
    assert scores.shape == (60, 1)
    bare = labels_of([{int(row): 1.0} for row in rows[:, 0]])
    return index, split, Split(split.known, JudgedQueries(split.queries.vectors, bare))


def kept(trial: Trial, off: Trial) -> float:
    """The share of the bare figures that is left where nobody asked, of the worst."""
    figures = ("unseen_ndcg", "unseen_recall_10", "unseen_recall")
    return min(float(getattr(trial, name) / getattr(off, name)) for name in figures)


@pytest.mark.parametrize(
    "keep", [0.99, *(pytest.param(k, marks=pytest.mark.nightly) for k in (0.0, 0.5, 0.9, 1.0))]
)
def test_what_is_chosen_keeps_enough_where_nobody_asked(keep: float) -> None:
    index, split, unseen = contradiction()
    choice = choose(index, [split], [unseen], keep)
    off = choice.trials[0]
    assert off.unseen_ndcg == pytest.approx(1)
    allowed = [trial for trial in choice.trials if kept(trial, off) >= keep]
    assert choice.mode == max(allowed, key=lambda trial: trial.ndcg).mode


def test_a_gain_that_costs_more_than_allowed_is_not_taken() -> None:
    index, split, unseen = contradiction()
    free, guarded = choose(index, [split], [unseen], 0), choose(index, [split], [unseen], 1)
    gains = {trial.mode: trial.ndcg for trial in free.trials}
    assert gains[free.mode] > 0.9
    (taken,) = (trial for trial in guarded.trials if trial.mode == guarded.mode)
    assert taken.ndcg < gains[free.mode]
    assert kept(taken, guarded.trials[0]) == 1


def test_where_no_setting_keeps_enough_none_is_used_and_what_keeps_most_is_shown() -> None:
    index, split, unseen = contradiction()
    grid = Grid(adapted_weights=(0.2, 0.4, 0.3), margins=(-0.2,), voting_weights=(0.1, 0.3, 0.2))
    choice = choose(index, [split], [unseen], 1, grid)
    off, *others = choice.trials
    assert choice.mode == "off"
    assert [trial.mode for trial in others] == ["adapted", "voting"]
    assert all(trial.ndcg > off.ndcg and kept(trial, off) < 1 for trial in others)
    candidates = Candidates(index, unseen)
    assert choice.adapted.dense_weight == 0.4
    assert candidates.measure(choice.voting).ndcg == others[1].unseen_ndcg


def test_several_splits_count_by_their_queries() -> None:
    index, split = repeated(0.5)
    few, many = np.arange(5), np.arange(5, 60)
    parts = [Split(split.known, split.queries.select(some)) for some in (few, many)]
    whole, split = choose(index, [split], [], 0.99), choose(index, parts, [], 0.99)
    for one, other in zip(whole.trials, split.trials, strict=True):
        assert one.mode == other.mode
        assert (one.ndcg, one.recall) == pytest.approx((other.ndcg, other.recall), abs=1e-6)
