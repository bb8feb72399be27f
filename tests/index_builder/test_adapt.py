"""A bundle with known queries put in: what is known_bundle, what is known then, and what stays as it was."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lurcher.bundle.bundle import ENCODER, PASSAGES, SEGMENT, VECTORS, Bundle, verify
from lurcher.bundle.manifest import hash_file, list_files, read_manifest, write_manifest
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
from lurcher.errors import BundleError, CorpusError, FieldError
from lurcher.feedback.aggregation import Limits
from lurcher.feedback.log import FeedbackLog
from lurcher.feedback.records import LimitsChange, Pair, Removal, Submission
from lurcher.index_builder.adapt import adapt, read_sources
from lurcher.index_builder.edit.swap_encoder import swap_encoder
from lurcher.index_builder.judged.known import Known
from lurcher.index_builder.neighbours import Judged, NeighbourOptions
from lurcher.models.encoders.config import CONFIG_FILE, load_config
from tests.tiny import PROFILES

WriteStudent = Callable[..., Path]
State = Callable[[Path], dict[str, Any]]
WriteJsonl = Callable[[Path, Sequence[Any]], Path]

OPTIONS = NeighbourOptions()
TOPICS = ["animals", "travel", "food", "earth", "music"]


def known_queries(source: str = "known.tsv") -> list[Known]:
    """Fifteen queries, each with one or two passages, the second with half the weight."""
    return [
        Known(
            f"{lang}{i}",
            f"question {i} in {lang} about {topic}",
            {f"{lang}-{topic}-{i % 4}": 2.0} | ({f"{lang}-{topic}-2": 1.0} if i % 2 else {}),
            source,
        )
        for lang in ("en", "de", "fr")
        for i, topic in enumerate(TOPICS)
    ]


@pytest.fixture(scope="module")
def known_bundle(small_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with ``known_queries``; only to be read."""
    out = tmp_path_factory.mktemp("shared") / "known.lurcher"
    adapt(small_bundle, Judged(known_queries()), OPTIONS, out)
    return out


def content(bundle: Path) -> dict[str, tuple[str, str, dict[str, float]]]:
    """Text, source and labels of each known query of ``bundle``, by id."""
    with closing(Bundle.open(bundle)) as opened:
        neighbours = opened.neighbours
        assert neighbours is not None
        found = {}
        indptr, rows, weights = (
            neighbours.labels.indptr.tolist(), neighbours.labels.rows.tolist(),
            neighbours.labels.weights.tolist(),
        )  # fmt: skip
        for number, query in enumerate(neighbours.texts.get(range(neighbours.texts.count))):
            own = slice(indptr[number], indptr[number + 1])
            ids = [p.id for p in opened.passages.get(rows[own])]
            labels = dict(zip(ids, weights[own], strict=True))
            found[query.id] = (query.text, query.metadata["source"], labels)
        return found


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
    assert manifest.neighbours.model_dump() == once.model_dump()
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


def test_what_a_log_took_back_goes_and_what_others_said_stays(
    known_bundle: Path, tmp_path: Path
) -> None:
    """Whichever came first: the same text from two sources is two queries."""
    log = tmp_path / "log"
    write_log(log, given("ann", ("question 0 in EN about animals", "en-food-0", 1.0)))
    folded, _ = adapt(known_bundle, read_sources(logs=[log]), OPTIONS, tmp_path / "folded.lurcher")
    assert len(content(folded)) == len(content(known_bundle)) + 1
    qrels = [Known("late", "Question 0 in en about animals", {"fr-food-1": 1.0}, "late.tsv")]
    both, _ = adapt(folded, Judged(qrels), OPTIONS, tmp_path / "both.lurcher")
    opened, _ = FeedbackLog.open(log)
    opened.append([Removal(9.0, before=8.0), given("bob", ("other", "en-food-1", 1.0))])
    opened.close()
    again, _ = adapt(both, read_sources(logs=[log]), OPTIONS, tmp_path / "again.lurcher")
    texts = [text for text, _, _ in content(again).values()]
    assert sorted(set(content(again)) - set(content(known_bundle)))[-1] == "late"
    assert "question 0 in EN about animals" not in texts
    assert "other" in texts


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


# What is refused, before anything is there.


@pytest.fixture
def refuse(state: State) -> Callable[..., None]:
    """A function that fails unless known queries are refused and everything stays as it was."""

    def refused(
        bundle: Path, judged: Judged, named: str, options: NeighbourOptions = OPTIONS
    ) -> None:
        before = state(bundle)
        out = bundle.parent / "new" / "out.lurcher"
        with pytest.raises(FieldError, match=named):
            adapt(bundle, judged, options, out)
        assert state(bundle) == before
        assert list(bundle.parent.rglob("*out*")) == []
        if out.parent.exists():
            assert list(out.parent.iterdir()) == []

    return refused


def test_unknown_passages_are_counted_or_left_out(old: Path, refuse: Callable[..., None]) -> None:
    known = known_queries()
    known[0].labels.update({"nowhere-1": 1.0, "nowhere-2": 1.0})
    known.append(Known("lost", "nobody answers it", {"nowhere-1": 1.0}, "known.tsv"))
    refuse(
        old, Judged(known), r"2 of 23 judged passages .*'nowhere-1', 'nowhere-2'.*--skip-unknown"
    )
    out, _ = adapt(old, Judged(known), NeighbourOptions(skip_unknown=True))
    assert set(content(out)) == {query.id for query in known_queries()}
    assert content(out)["en0"][2] == {"en-animals-0": 1.0}


def test_judgements_of_another_corpus_are_refused(old: Path, refuse: Callable[..., None]) -> None:
    others = [replace(query, labels={f"x{query.id}": 1.0}) for query in known_queries()]
    skipping = NeighbourOptions(skip_unknown=True)
    refuse(old, Judged(others), "none of 15 judged passages is in the bundle", skipping)


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


def test_what_is_there_already_is_left_alone(old: Path, state: State) -> None:
    before = state(old)
    with pytest.raises(FieldError, match=r"out: .*small\.lurcher exists"):
        adapt(old, Judged(known_queries()), OPTIONS, old)
    dangling = old.with_name("dangling.lurcher")
    dangling.symlink_to("nowhere")
    with pytest.raises(FieldError, match=r"out: .*dangling\.lurcher exists"):
        adapt(old, Judged(known_queries()), OPTIONS, dangling)
    assert state(old) == before


@pytest.mark.parametrize("keep", [-0.1, 1.1, float("nan")])
def test_a_share_is_from_0_to_1(keep: float) -> None:
    with pytest.raises(FieldError, match=r"keep_unseen: .* is not from 0 to 1"):
        NeighbourOptions(keep_unseen=keep)


def test_an_encoder_made_for_dot_products_is_refused(
    old: Path, refuse: Callable[..., None]
) -> None:
    config = load_config(old / ENCODER).model_copy(update={"similarity": "dot"})
    (old / ENCODER / CONFIG_FILE).write_text(config.model_dump_json())
    manifest = read_manifest(old)
    changed = {"encoder": config, "files": list_files(old)}
    write_manifest(old, manifest.model_copy(update=changed))
    refuse(old, Judged(known_queries()), "made for dot products")


def test_no_bundle_or_a_damaged_one_is_not_built_upon(old: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no such folder"):
        adapt(tmp_path / "none", Judged(known_queries()), OPTIONS)
    with (old / PASSAGES).open("ab") as file:
        file.write(b"\n")
    with pytest.raises(BundleError, match=PASSAGES):
        adapt(old, Judged(known_queries()), OPTIONS)
    assert list(old.parent.iterdir()) == [old]


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


# Where judgements come from.


def write_log(path: Path, *records: Submission | Removal | LimitsChange) -> str:
    log, _ = FeedbackLog.open(path)
    with closing(log):
        log.append(records)
        return log.id


def given(client: str, *pairs: tuple[str, str, float], key: str = "k") -> Submission:
    return Submission(client, 1.0, key, tuple(Pair(*pair) for pair in pairs))


def test_a_feedback_log_is_folded_in(known_bundle: Path, tmp_path: Path) -> None:
    agreed = ("new question", "en-food-0", 5.0)
    id_ = write_log(
        tmp_path / "feedback.log",
        LimitsChange(0.0, Limits(2, 1.0)),
        given("ann", agreed, ("new question", "en-food-1", 1.0), key="a"),
        given("bob", ("New  question", "en-food-0", 0.5), key="b"),
        given("cem", ("new question", "en-food-1", 1.0), key="c"),
        given("dan", ("alone", "en-food-2", 1.0), key="d"),
        given("ann", ("taken back", "en-food-2", 1.0), key="e"),
        given("bob", ("taken back", "en-food-2", 1.0), key="e"),
        Removal(2.0, ("e",)),
    )
    judged = read_sources(logs=[tmp_path / "feedback.log"])
    out, manifest = adapt(known_bundle, judged, OPTIONS, tmp_path / "out.lurcher")
    assert manifest.neighbours is not None
    assert manifest.neighbours.logs == {id_: 8}
    assert manifest.neighbours.sources == {"known.tsv": 15, "feedback.log": 1}
    (new,) = set(content(out)) - set(content(known_bundle))
    labels = {"en-food-0": 0.75, "en-food-1": 1.0}
    assert content(out)[new] == ("new question", "feedback.log", labels)


def test_a_log_that_has_grown_replaces_what_was_folded_of_it(
    known_bundle: Path, tmp_path: Path
) -> None:
    path = tmp_path / "feedback.log"
    write_log(path, given("ann", ("new question", "en-food-0", 1.0)))
    once, _ = adapt(known_bundle, read_sources(logs=[path]), OPTIONS, tmp_path / "once.lurcher")
    id_ = write_log(path, given("bob", ("new question", "en-food-1", 1.0)))
    twice, manifest = adapt(once, read_sources(logs=[path]), OPTIONS, tmp_path / "twice.lurcher")
    (new,) = set(content(once)) - set(content(known_bundle))
    assert content(once)[new][2] == {"en-food-0": 1.0}
    assert content(twice)[new][2] == {"en-food-0": 1.0, "en-food-1": 1.0}
    assert manifest.neighbours is not None
    assert manifest.neighbours.logs == {id_: 2}


def test_what_was_taken_back_in_a_log_is_gone_when_it_is_folded_again(
    known_bundle: Path, tmp_path: Path
) -> None:
    path = tmp_path / "feedback.log"
    kept, gone = given("ann", ("kept", "en-food-0", 1.0)), given("ann", ("gone", "en-food-0", 1.0))
    write_log(path, kept, replace(gone, key="a mistake"))
    once, _ = adapt(known_bundle, read_sources(logs=[path]), OPTIONS, tmp_path / "once.lurcher")
    id_ = write_log(path, Removal(2.0, ("a mistake",)))
    twice, manifest = adapt(once, read_sources(logs=[path]), OPTIONS, tmp_path / "twice.lurcher")
    texts = {text for text, *_ in content(known_bundle).values()}
    assert {text for text, *_ in content(once).values()} == texts | {"kept", "gone"}
    assert {text for text, *_ in content(twice).values()} == texts | {"kept"}
    assert manifest.neighbours is not None
    assert manifest.neighbours.logs == {id_: 3}


@pytest.mark.parametrize("together", [True, False])
def test_one_log_takes_nothing_from_another(
    known_bundle: Path, tmp_path: Path, together: bool
) -> None:
    """The servers that wrote them do not replay what is folded in, so it must all be there."""
    paths = [tmp_path / "one.log", tmp_path / "two.log"]
    one = write_log(paths[0], given("ann", ("new question", "en-food-0", 1.0)))
    two = write_log(paths[1], given("ann", ("new question", "en-food-1", 1.0)))
    bundle = known_bundle
    for number, logs in enumerate([paths] if together else [paths[:1], paths[1:]]):
        bundle, manifest = adapt(
            bundle, read_sources(logs=logs), OPTIONS, tmp_path / f"{number}.lurcher"
        )
    assert manifest.neighbours is not None
    assert manifest.neighbours.logs == {one: 1, two: 1}
    new = set(content(bundle)) - set(content(known_bundle))
    assert sorted(next(iter(content(bundle)[id_][2])) for id_ in new) == ["en-food-0", "en-food-1"]


def test_replace_forgets_what_was_folded_too(known_bundle: Path, tmp_path: Path) -> None:
    """So that a server replays the log again."""
    id_ = write_log(tmp_path / "log", given("ann", ("new question", "en-food-0", 1.0)))
    once, manifest = adapt(
        known_bundle, read_sources(logs=[tmp_path / "log"]), OPTIONS, tmp_path / "once.lurcher"
    )
    assert manifest.neighbours is not None
    assert manifest.neighbours.logs == {id_: 1}
    _, manifest = adapt(
        once, Judged(known_queries()), NeighbourOptions(replace=True), tmp_path / "out.lurcher"
    )
    assert manifest.neighbours is not None
    assert manifest.neighbours.logs == {}


def test_sources_are_put_together(tmp_path: Path, write_jsonl: WriteJsonl) -> None:
    queries = write_jsonl(tmp_path / "q.jsonl", [{"_id": "1", "text": "What is yeast?"}])
    qrels, development = tmp_path / "known.tsv", tmp_path / "dev.tsv"
    qrels.write_text("1\tp1\t2\n")
    development.write_text("1\tp9\t1\n")
    clicks = write_jsonl(tmp_path / "c.jsonl", [{"query": "what is yeast?", "passage": "p2"}])
    id_ = write_log(tmp_path / "log", given("ann", ("What  is yeast?", "p1", 1.0)))
    judged = read_sources((queries, qrels), [clicks], [tmp_path / "log"], (queries, development))
    assert [(known.text, known.labels, known.source) for known in judged.known] == [
        ("What is yeast?", {"p1": 2.0}, "known.tsv"),
        ("what is yeast?", {"p2": 1.0}, "c.jsonl"),
        ("What is yeast?", {"p1": 1.0}, "log"),
    ]
    assert judged.development == [Known("1", "What is yeast?", {"p9": 1.0}, "dev.tsv")]
    assert judged.logs == {id_: 1}


def test_nothing_to_learn_from_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FieldError, match="qrels: nothing to learn from"):
        read_sources()
    with pytest.raises(CorpusError, match=r"none\.jsonl"):
        read_sources((tmp_path / "none.jsonl", tmp_path / "none.tsv"))


def test_development_queries_are_what_is_tuned_on(old: Path) -> None:
    asked = [replace(query, text=f"{query.text}, please", source="dev.tsv")
             for query in known_queries()]  # fmt: skip
    _, manifest = adapt(old, Judged(known_queries(), asked), OPTIONS)
    assert manifest.neighbours is not None
    assert manifest.neighbours.development == "dev.tsv"
    assert manifest.neighbours.queries == 15
    off, *others = manifest.neighbours.trials
    assert max(trial.ndcg for trial in others) > off.ndcg


# What goes wrong half way.

COMMAND = """
import os, resource, signal, sys
from pathlib import Path
from lurcher.index_builder.adapt import adapt
from lurcher.index_builder.neighbours import Judged, NeighbourOptions
from lurcher.index_builder.progress import Silent
from lurcher.errors import BundleError
from tests.index_builder.test_adapt import {queries} as queries

def fail_point(place):
    if place == {place!r}:
        os.kill(os.getpid(), signal.SIGKILL)

class Deadly(Silent):
    def stage(self, name, total, done=0):
        fail_point(name)

{prologue}
try:
    adapt(
        Path(sys.argv[1]), Judged(queries()), NeighbourOptions(), report=Deadly(),
        fail_point=fail_point,
    )
except BundleError as error:
    print(error)
"""


def long_queries() -> list[Known]:
    """Whose texts take more room than their vectors."""
    return [
        Known(str(i), f"question {i} " * 2_000, {"en-food-1": 1.0}, "long.tsv") for i in range(12)
    ]


def start(
    old: Path, prologue: str = "", place: str = "", queries: str = "known_queries"
) -> subprocess.CompletedProcess[str]:
    command = COMMAND.format(prologue=prologue, place=place, queries=queries)
    return subprocess.run(
        [sys.executable, "-c", command, str(old)],
        capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("limit", "queries"),
    [
        (500, "known_queries"),
        (10_000, "known_queries"),
        (60_000, "long_queries"),
    ],
)
def test_a_full_disk_is_one_error_and_leaves_nothing(
    old: Path, limit: int, queries: str, state: State
) -> None:
    before = state(old)
    # A limit on the size of any one file fails a write as a full disk does, and needs no disk.
    prologue = f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, resource.RLIM_INFINITY))"
    ended = start(old, prologue, queries=queries)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith(f"{old.with_name('small-adapted.lurcher')}: cannot be written: ")
    assert ended.stdout.endswith(f"; {old} is as it was\n")
    assert list(old.parent.iterdir()) == [old]
    assert state(old) == before


@pytest.mark.parametrize(
    "place",
    [
        *(pytest.param(place, marks=pytest.mark.nightly)
          for place in ("encoding known queries", "choosing", "indexing", "manifest: begun")),
        "bundle: synced",
    ],
)  # fmt: skip
def test_killed_half_way_there_is_no_bundle_and_a_rerun_makes_it(
    old: Path, place: str, state: State
) -> None:
    before = state(old)
    assert start(old, place=place).returncode == -signal.SIGKILL
    assert [f for f in old.parent.iterdir() if not f.name.startswith(".")] == [old]
    assert state(old) == before
    out, _ = adapt(old, Judged(known_queries()), OPTIONS)
    assert verify(out) == []
    assert state(old) == before
