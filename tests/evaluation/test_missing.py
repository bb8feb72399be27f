"""Judgements of another corpus are no measure: what is missing is counted, and nothing at all is an error."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from lurcher.errors import InputError
from lurcher.evaluation.evaluate import evaluate
from lurcher.evaluation.missing import missing_queries, relevant_passages, unknown_passages
from lurcher.evaluation.runs import Ranking
from lurcher.evaluation.searchers import Shown

pytest.importorskip("ir_measures", reason="the extra [eval] is not installed")

QRELS = {"q1": {"a": 1, "b": 0}, "q2": {"c": 2, "a": 1}, "q3": {"d": 1}, "q4": {"e": 0}}
QUERIES = {"q1": "one", "q2": "two", "q3": "three"}


class Finder:
    """Finds the same passages for every query; ``ids`` None: does not say which it has."""

    name = "finder"

    def __init__(self, found: list[str], ids: set[str] | None) -> None:
        self._found, self._ids = found, ids

    def search(self, queries: Sequence[str], k: int) -> list[Ranking]:
        return [[(id_, -float(i)) for i, id_ in enumerate(self._found[:k])] for _ in queries]

    def known(self, ids: Sequence[str]) -> set[str] | None:
        return None if self._ids is None else self._ids & set(ids)

    def shown(self, _queries: Sequence[str], _k: int) -> list[dict[str, Shown]]:
        raise AssertionError("nobody looks at these hits")


def test_relevant_passages_are_counted_once() -> None:
    assert relevant_passages(["q1", "q2"], QRELS) == ["a", "c"]


def test_missing_queries_are_counted() -> None:
    assert list(missing_queries(["q1", "q2"], QUERIES)) == []
    (warning,) = missing_queries(["q1", "x", "y"], QUERIES)
    assert warning.startswith("2 of 3 judged queries are not among the queries and are left out")
    with pytest.raises(InputError, match=r"none of the 2 judged queries .* \(first: 'x', 'y'\)"):
        list(missing_queries(["x", "y"], QUERIES))


def test_unknown_passages_are_counted() -> None:
    assert list(unknown_passages("b", ["a", "c"], {"a", "c", "z"})) == []
    (warning,) = unknown_passages("b", ["a", "c", "d"], {"a"})
    assert warning == "b lacks 2 of 3 judged passages (first: 'c', 'd'), which count as not found"
    with pytest.raises(InputError, match="b has none of the 5 judged passages"):
        list(unknown_passages("b", list("acdef"), {"z"}))


def test_evaluation_carries_its_warnings() -> None:
    whole = evaluate(Finder(["a", "c", "d"], set("abcd")), QUERIES, QRELS)
    assert whole.warnings == ()
    part = evaluate(Finder(["a"], {"a"}), {"q1": "one", "q2": "two"}, QRELS)
    assert [warning.split()[0] for warning in part.warnings] == ["1", "finder"]
    with pytest.raises(InputError, match="are the judgements of its corpus"):
        evaluate(Finder(["z"], {"z"}), QUERIES, QRELS)
    with pytest.raises(InputError, match="are the judgements of its corpus"):
        evaluate(Finder(["a"], set("acd")), QUERIES, QRELS, against=[Finder(["z"], {"z"})])
    with pytest.raises(InputError, match="no judgement has a grade above 0"):
        evaluate(Finder(["e"], {"e"}), QUERIES, {"q4": {"e": 0}})


def test_target_that_cannot_tell_is_judged_by_what_it_finds() -> None:
    assert evaluate(Finder(["d"], None), QUERIES, QRELS).warnings == ()
    (warning,) = evaluate(Finder(["z"], None), QUERIES, QRELS).warnings
    assert warning.startswith("finder found none of the 3 judged passages")
