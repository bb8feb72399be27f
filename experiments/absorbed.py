"""``python -m experiments.absorbed``: what absorbing W_K and W_V of cross-attention into the query saves.

One layer of the shipped decoder's sizes reads 100 candidates, all of as many codes, whose signs are unpacked
before the clock runs; float32 on one thread of ONNX Runtime. The plain way projects keys and values of every
code, whatever the query's length. The absorbed one projects no code, but attends over ``bits`` numbers a head
instead of ``width / heads``, for every token of the query: it pays up to some length. The two take turns, and
their multiplications stand beside the times.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from experiments.absorbed_layer import (
    Absorbed,
    Array,
    Graphs,
    Layer,
    Plain,
    Size,
    absorbed_multiplications,
    draw,
    plain_multiplications,
)
from lurcher.benchmarks.timing import Way, ratio, take_turns
from lurcher.errors import ParityError
from lurcher.models.pretrained import DEFAULT_ENCODER
from lurcher.models.ranker.decoder import load_decoder_config

_CANDIDATES = 100
_LENGTHS, _CODES = (8, 16, 32), (64, 128, 256)
PLAIN, ABSORBED = "plain", "absorbed"
# They differ by the order of sums; outputs deviate by 0.1 to 0.2. Measured: 1e-6.
_FURTHEST = 1e-4


def main(
    runs: Annotated[int, typer.Option(min=1, help="Times each way reads, for each size.")] = 200,
) -> None:
    """Print both ways' medians and multiplications, by the query's tokens and the candidates' codes."""
    shipped = load_decoder_config(DEFAULT_ENCODER / "ranker")
    layer = Size(shipped.width, shipped.heads, shipped.bits, _CANDIDATES, 0, 0)
    title = f"{_CANDIDATES} candidates, {layer.width} wide, {layer.heads} heads, {layer.bits} bits"
    table = Table(
        "query tokens", "codes", "plain p50", "absorbed p50", "plain / absorbed",
        "million multiplications", "plain / absorbed", title=title,
    )  # fmt: skip
    for length, codes in product(_LENGTHS, _CODES):
        size = replace(layer, length=length, codes=codes)
        table.add_row(*_cells(size, measured(size, runs)))
    console = Console(width=120)
    console.print(table)
    for codes in _CODES:
        tokens = even_length(replace(layer, codes=codes))
        line = f"{codes} codes: absorbed multiplies less for fewer than {tokens:.1f} query tokens."
        console.print(line, highlight=False)


def measured(size: Size, runs: int) -> dict[str, dict[int, float]]:
    """The seconds of each way by the number of the run. Raises ParityError where they read otherwise."""
    weights, queries, signs = draw(size, seed=0)
    layers: dict[str, Layer] = {
        PLAIN: Plain(weights, size.heads),
        ABSORBED: Absorbed(weights, size.heads),
    }
    return take_turns(agreeing(layers, queries, signs), runs)


def agreeing(layers: Mapping[str, Layer], queries: Array, signs: Array) -> dict[str, Way]:
    """Each of ``layers`` reading ``signs`` (C, M, bits) for ``queries`` (L, width), by ONNX Runtime.

    Raises ParityError unless all read the same.
    """
    ways, read = {}, {}
    for name, layer in layers.items():
        with tempfile.TemporaryDirectory() as scratch:
            graphs = Graphs(layer, queries, signs, Path(scratch))
        read[name] = graphs.read(queries, signs)
        ways[name] = _reading(graphs, queries, signs)
    first, *others = read
    for name in others:
        # Written so that NaN fails.
        if not (furthest := float(np.abs(read[name] - read[first]).max())) <= _FURTHEST:
            raise ParityError(
                f"{name}: off what {first} reads by {furthest:.2g}, more than {_FURTHEST:g}"
            )
    return ways


def _reading(graphs: Graphs, queries: Array, signs: Array) -> Way:
    return Way(lambda _: graphs.read(queries, signs))


def even_length(size: Size) -> float:
    """The query tokens for which both ways multiply as often; both counts are lines in ``length``."""
    none, one = replace(size, length=0), replace(size, length=1)
    project = plain_multiplications(none)
    a_token = plain_multiplications(one) - project
    return project / (absorbed_multiplications(one) - a_token)


def _cells(size: Size, seconds: Mapping[str, Mapping[int, float]]) -> list[str]:
    plain, absorbed = plain_multiplications(size), absorbed_multiplications(size)
    medians = [np.median(list(seconds[name].values())) for name in (PLAIN, ABSORBED)]
    return [
        f"{size.length}",
        f"{size.codes}",
        *(f"{1_000 * median:,.2f} ms" for median in medians),
        f"{ratio(seconds[PLAIN], seconds[ABSORBED]):.2f}",
        f"{plain / 1e6:,.0f} and {absorbed / 1e6:,.0f}",
        f"{plain / absorbed:.2f}",
    ]


if __name__ == "__main__":
    typer.run(main)
