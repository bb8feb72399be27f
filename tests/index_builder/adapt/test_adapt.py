"""A bundle with known queries put in: what is new, what is known then, and what stays as it was."""

from __future__ import annotations

import shutil
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lurcher.bundle.bundle import PASSAGES, SEGMENT, VECTORS, Bundle
from lurcher.bundle.manifest import hash_file, read_manifest
from lurcher.bundle.neighbours import (
    ADAPTED,
    LABELS,
    MEANS,
    NEIGHBOURS,
    QUERIES,
    SCORES,
    TEXTS,
    VotingSettings,
)
from lurcher.bundle.token_store import CODER
from lurcher.bundle.verifying import verify
from lurcher.errors import FieldError
from lurcher.index_builder.adapt import adapt
from lurcher.index_builder.edit.swap_encoder import swap_encoder
from lurcher.index_builder.judged.known import Known
from lurcher.index_builder.neighbours import Judged, NeighbourOptions
from tests.index_builder.adapt.known import OPTIONS, State, content, known_queries
from tests.tiny import PROFILES


def test_the_new_bundle_is_sound_and_says_what_it_knows(old: Path) -> None:
    out, manifest = adapt(old, Judged(known_queries()), OPTIONS)
    assert out == old.with_name("small-adapted.lurcher")
    assert verify(out) == []
    assert read_manifest(out).model_copy(update={"checksum": manifest.checksum}) == manifest
    assert manifest.name == "small-adapted"
    known = manifest.neighbours
    assert known is not None
    assert (known.queries, known.labels, known.passages) == (15, 21, 21)
    assert known.sources == {"known.tsv": 15}
    assert known.logs == {}
    assert known.development == "known queries held out"
    assert known.trials[0].mode == "off"
    before = read_manifest(old)
    for part in ("build", "encoder", "figures", "segments", "swap", "tokens"):
        assert getattr(manifest, part) == getattr(before, part)


def test_passages_are_shared_and_the_old_bundle_stays_as_it_was(old: Path, state: State) -> None:
    before = state(old)
    out, manifest = adapt(old, Judged(known_queries()), OPTIONS)
    assert state(old) == before
    assert sorted(f.name for f in old.parent.iterdir()) == sorted([old.name, out.name])
    for file, entry in read_manifest(old).files.items():
        assert manifest.files[file] == entry == hash_file(out / file)
        assert (out / file).samefile(old / file)
    tokens = {f"{SEGMENT}/tokens.{part}" for part in ("bin", "pos", "idx")}
    assert {PASSAGES, VECTORS, CODER} | tokens < set(read_manifest(old).files)
    new = set(manifest.files) - set(read_manifest(old).files)
    assert {str(Path(file).parent) for file in new} == {NEIGHBOURS}


def test_labels_are_what_was_judged(known_bundle: Path) -> None:
    assert content(known_bundle) == {
        query.id: (query.text, query.source, {p: w / 2 for p, w in query.labels.items()})
        for query in known_queries()
    }


def test_known_queries_are_found_by_their_own_text(known_bundle: Path) -> None:
    with closing(Bundle.open(known_bundle)) as bundle:
        assert bundle.neighbours is not None
        texts = [query.text for query in known_queries()]
        scores, numbers = bundle.neighbours.queries.search(bundle.query_encoder(1).encode(texts), 1)
        np.testing.assert_allclose(scores[:, 0], 1, atol=1e-4)
        found = bundle.neighbours.texts.get(numbers[:, 0].tolist())
        assert [query.text for query in found] == texts


def test_what_follows_from_labels_is_what_loops_make_of_them(known_bundle: Path) -> None:
    with closing(Bundle.open(known_bundle)) as bundle:
        known = bundle.neighbours
        assert known is not None
        passages = bundle.vectors.vectors(np.arange(60))
        vectors = known.queries.vectors(np.arange(15))
        rows = bundle.passages.rows_of([p.id for p in bundle.passages.get(range(60))])
        sums: dict[int, Any] = {}
        scores = []
        for number, (_, _, labels) in enumerate(content(known_bundle).values()):
            for row, weight in sorted((rows[p], w) for p, w in labels.items()):
                sums[row] = sums.get(row, 0) + weight * vectors[number]
                scores.append(passages[row] @ vectors[number])
        np.testing.assert_allclose(known.scores, scores, atol=1e-5)
        means, lengths = known.means_of(np.arange(60))
        weight = known.settings.adapted.dense_weight
        for row in range(60):
            moved = passages[row]
            if row in sums:
                assert lengths[row] == pytest.approx(np.linalg.norm(sums[row]), abs=1e-5)
                mean = sums[row] / np.linalg.norm(sums[row])
                np.testing.assert_allclose(means[row], mean, atol=1e-5)
                moved = weight * passages[row] + (1 - weight) * mean
                moved = moved / np.linalg.norm(moved)
            found = known.adapted.vectors(np.array([row]))[0]
            np.testing.assert_allclose(found, moved, atol=1e-5)


# Queries that are put in where some are known already.


def test_given_twice_is_known_once(known_bundle: Path, tmp_path: Path) -> None:
    again, manifest = adapt(
        known_bundle, Judged(known_queries()), OPTIONS, tmp_path / "again.lurcher"
    )
    assert content(again) == content(known_bundle)
    once = read_manifest(known_bundle).neighbours
    assert once is not None
    assert manifest.neighbours is not None
    when = {"judged"}
    assert manifest.neighbours.model_dump(exclude=when) == once.model_dump(exclude=when)
    for file in (LABELS, SCORES, QUERIES, ADAPTED, MEANS):
        assert hash_file(again / file) == hash_file(known_bundle / file)


def test_new_queries_join_those_that_are_known(known_bundle: Path, tmp_path: Path) -> None:
    new = [
        Known("another", "something else", {"en-food-1": 5.0}, "more.tsv"),
        # The text of en0, whose label is en-animals-0, spelt another way.
        Known(
            "other id",
            "Question 0 in EN  about animals",
            {"en-food-0": 4.0, "en-food-2": 1.0, "en-animals-0": 1.0},
            "more.tsv",
        ),
    ]
    out, manifest = adapt(known_bundle, Judged(new), OPTIONS, tmp_path / "more.lurcher")
    before, after = content(known_bundle), content(out)
    labels = {"en-animals-0": 0.25, "en-food-0": 1.0, "en-food-2": 0.25}
    assert after.pop("other id") == ("Question 0 in EN  about animals", "more.tsv", labels)
    assert after.pop("another") == ("something else", "more.tsv", {"en-food-1": 1.0})
    assert after == before
    assert manifest.neighbours is not None
    assert manifest.neighbours.sources == {"known.tsv": 15, "more.tsv": 2}


def test_a_query_of_the_same_id_takes_the_old_ones_place(
    known_bundle: Path, tmp_path: Path
) -> None:
    new = [Known("en0", "now about bread", {"en-food-1": 1.0}, "more.tsv")]
    out, _ = adapt(known_bundle, Judged(new), OPTIONS, tmp_path / "more.lurcher")
    wanted = content(known_bundle) | {"en0": ("now about bread", "more.tsv", {"en-food-1": 1.0})}
    assert content(out) == wanted


def test_replace_forgets_what_was_known(known_bundle: Path, tmp_path: Path) -> None:
    new = [replace(query, id=f"new-{query.id}", source="n") for query in known_queries()[:11]]
    for query in new:
        query.labels.update({"fr-food-1": 3.0})
    out, manifest = adapt(
        known_bundle,
        Judged(new, logs={"b" * 32: 3}),
        NeighbourOptions(replace=True),
        tmp_path / "out",
    )
    assert set(content(out)) == {query.id for query in new}
    assert manifest.neighbours is not None
    assert manifest.neighbours.sources == {"n": 11}
    assert verify(out) == []
    assert verify(known_bundle) == []


def test_bundle_beside_an_adapted_one_has_the_same_name(known_bundle: Path, tmp_path: Path) -> None:
    once = shutil.copytree(known_bundle, tmp_path / "my-adapted.lurcher")
    with pytest.raises(FieldError, match=r"out: .*my-adapted\.lurcher exists"):
        adapt(once, Judged(known_queries()), OPTIONS)


@pytest.mark.parametrize("count", [1, 9])
def test_queries_too_few_to_tune_on_vote_with_safe_settings(
    old: Path, tmp_path: Path, count: int
) -> None:
    known = known_queries()[:count]
    out, manifest = adapt(old, Judged(known), OPTIONS, tmp_path / "few.lurcher")
    assert verify(out) == []
    neighbours = manifest.neighbours
    assert neighbours is not None
    assert (neighbours.mode, neighbours.voting, neighbours.trials) == (
        "voting",
        VotingSettings(),
        [],
    )
    assert neighbours.development == "nothing: fewer than 10 known queries"
    assert set(content(out)) == {query.id for query in known}


# Where students read queries.


def test_students_share_their_teachers_known_queries(
    old: Path, small_bundle: Path, known_bundle: Path
) -> None:
    student = PROFILES["fast"]
    swapped, _ = swap_encoder(old, student)
    last, _ = adapt(swapped, Judged(known_queries()), OPTIONS)
    assert last == old.with_name("small-fast-adapted.lurcher")
    adapted, _ = adapt(old, Judged(known_queries()), OPTIONS)
    first, manifest = swap_encoder(adapted, student)
    assert manifest.neighbours == read_manifest(adapted).neighbours
    for out in (last, first):
        assert verify(out) == []
        assert content(out) == content(known_bundle)
        for file in (QUERIES, LABELS, SCORES, MEANS):
            assert hash_file(out / file) == hash_file(known_bundle / file)
    for file in (QUERIES, TEXTS, ADAPTED):
        assert (first / file).samefile(adapted / file)
    with closing(Bundle.open(first)) as bundle:
        assert bundle.neighbours is not None
        assert bundle.query_encoder(1).config.student is not None
        texts = [query.text for query in known_queries()]
        scores, numbers = bundle.neighbours.queries.search(bundle.query_encoder(1).encode(texts), 3)
        assert (scores < 1 - 1e-4).all()  # a student is not its teacher
        assert (numbers == np.arange(15)[:, None]).any(axis=1).mean() > 0.9
