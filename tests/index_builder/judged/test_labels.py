"""Known queries become labels of a bundle's rows, and passages that it lacks are said or left out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lurcher.bundle.labels import Labels
from lurcher.errors import FieldError
from lurcher.index_builder.judged import Known, to_labels

ROWS = {"a": 5, "b": 0, "c": 3, "d": 9}


def rows_of(ids: Sequence[str]) -> dict[str, int]:
    return {id_: ROWS[id_] for id_ in ids if id_ in ROWS}


known_queries = st.lists(
    st.builds(
        Known,
        id=st.integers().map(str),
        text=st.just("text"),
        labels=st.dictionaries(
            st.sampled_from(["a", "b", "c", "d", "x", "y"]), st.floats(1e-320, 1e9), min_size=1
        ),
        source=st.just("known.tsv"),
    ),
    max_size=6,
)
# A query that stays, so that there always is one.
KEPT = Known("kept", "text", {"a": 1.0}, "known.tsv")


@given(known_queries)
def test_labels_are_what_plain_dicts_say(
    tmp_path_factory: pytest.TempPathFactory, known: list[Known]
) -> None:
    known = [*known, KEPT]
    kept, labels, left_out = to_labels(known, rows_of, skip_unknown=True)
    wanted = {
        place: {ROWS[p]: weight for p, weight in query.labels.items() if p in ROWS}
        for place, query in enumerate(known)
    }
    assert [(query.id, query.text, query.source) for query in kept] == [
        (known[place].id, "text", "known.tsv") for place, said in wanted.items() if said
    ]
    assert left_out == len({p for query in known for p in query.labels} - ROWS.keys())
    for number, said in enumerate(filter(None, wanted.values())):
        inside = slice(labels.indptr[number], labels.indptr[number + 1])
        assert labels.rows[inside].tolist() == sorted(said)
        best = max(said.values())
        shares = [said[row] / best for row in sorted(said)]
        assert labels.weights[inside].max() == 1
        np.testing.assert_allclose(labels.weights[inside], shares, rtol=1e-6, atol=2e-38)
        assert kept[number].labels == {p: said[ROWS[p]] for p in ROWS if ROWS[p] in said}
    path = tmp_path_factory.mktemp("labels") / "labels.npz"
    ids = {row: passage for passage, row in ROWS.items()}
    labels.save(path, [ids[row] for row in np.unique(labels.rows).tolist()])
    Labels.load(path, lambda _: ROWS)  # which checks the layout


def test_a_query_that_loses_all_its_labels_goes() -> None:
    lost = Known("lost", "text", {"x": 1.0, "y": 1.0}, "known.tsv")
    kept, labels, left_out = to_labels([lost, KEPT], rows_of, skip_unknown=True)
    assert (kept, labels.rows.tolist(), left_out) == ([KEPT], [5], 2)


def test_passages_that_the_bundle_lacks_are_counted_and_named() -> None:
    strangers = {f"x{number}": 1.0 for number in range(1_200)}
    known = [KEPT, Known("2", "text", {"b": 1.0, **strangers}, "known.tsv")]
    with pytest.raises(FieldError) as caught:
        to_labels(known, rows_of, skip_unknown=False)
    assert caught.value.field == "qrels"
    assert caught.value.reason == (
        "1,200 of 1,202 judged passages are not in the bundle"
        " (first: 'x0', 'x1', 'x2'); pass --skip-unknown to leave them out"
    )


@pytest.mark.parametrize("skip_unknown", [False, True])
def test_when_no_judged_passage_is_there_it_is_the_wrong_bundle(skip_unknown: bool) -> None:
    known = [Known("1", "text", {"x": 1.0}, "known.tsv")]
    with pytest.raises(FieldError, match="none of 1 judged passages is in the bundle"):
        to_labels(known, rows_of, skip_unknown)
    with pytest.raises(FieldError, match="queries: no query with a judged passage"):
        to_labels([], rows_of, skip_unknown)


def test_without_strangers_nothing_is_left_out_and_all_passages_are_asked_for_once() -> None:
    asked: list[Sequence[str]] = []

    def counted(ids: Sequence[str]) -> dict[str, int]:
        asked.append(ids)
        return rows_of(ids)

    known = [KEPT, Known("2", "text", {"a": 2.0, "c": 0.5}, "known.tsv")]
    kept, labels, left_out = to_labels(known, counted, skip_unknown=False)
    assert (kept, left_out, asked) == (known, 0, [["a", "c"]])
    assert labels.indptr.tolist() == [0, 1, 3]
    assert labels.rows.tolist() == [5, 3, 5]
    assert labels.weights.tolist() == [1, 0.25, 1]
