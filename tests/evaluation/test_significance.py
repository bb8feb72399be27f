"""The randomisation test against its definition and other tests; Holm's correction by hand."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lurcher.evaluation.significance import holm, randomisation_p

stats = pytest.importorskip("scipy.stats", reason="the extra [eval] is not installed")


@given(st.lists(st.sampled_from([-1.0, -0.5, -0.1, 0.0, 0.1, 0.25, 1.0]), min_size=1, max_size=8))
def test_few_queries_are_counted_exactly(values: list[float]) -> None:
    """Queries that do not differ change nothing, though their signs are tried here."""
    d = np.array(values)
    sums = [abs(np.dot(signs, d)) for signs in product((-1, 1), repeat=len(d))]
    assert randomisation_p(d) == pytest.approx(np.mean([s >= abs(d.sum()) - 1e-12 for s in sums]))


def test_many_queries_agree_with_the_t_test_where_that_holds() -> None:
    d = np.random.default_rng(3).normal(0.17, 1, 200)
    assert randomisation_p(d) == pytest.approx(stats.ttest_1samp(d, 0).pvalue, abs=0.01)


def test_no_difference_is_no_evidence_and_a_large_one_is_much() -> None:
    assert randomisation_p(np.zeros(300)) == 1.0
    assert randomisation_p(np.full(300, 0.1)) == pytest.approx(1 / 10_001)
    d = np.random.default_rng(0).normal(0, 1, 50)
    assert randomisation_p(d) == randomisation_p(d) == pytest.approx(randomisation_p(-d), abs=0.03)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.5]) == pytest.approx([1.0, 1.0])
    assert holm([0.2]) == [0.2]
    assert holm([]) == []
