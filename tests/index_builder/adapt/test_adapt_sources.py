"""Where judgements come from: files and feedback logs, folded in once or again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lurcher.errors import CorpusError, FieldError
from lurcher.feedback.aggregation import Limits
from lurcher.feedback.log import FeedbackLog
from lurcher.feedback.records import LimitsChange, Removal
from lurcher.index_builder.adapt import adapt, read_sources
from lurcher.index_builder.judged.known import Known
from lurcher.index_builder.neighbours import Judged, NeighbourOptions
from tests.index_builder.adapt.known import (
    OPTIONS,
    WriteJsonl,
    content,
    given,
    known_queries,
    write_log,
)


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
