"""The decoder's formulas: torch, the exported graphs and plain NumPy say the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="the [train] extra is not installed")

import onnx
import torch
from onnx import numpy_helper

from lurcher.errors import FieldError, ParityError
from lurcher.models.ranker.decoder import PAIR_GRAPH, DecoderConfig
from lurcher.models.ranker.decoder import Decoder as Exported
from lurcher.models.ranker.decoder_reference import reference_score
from lurcher.training.ranker import export
from lurcher.training.ranker.export import export_decoder
from lurcher.training.ranker.network import Decoder, Shape

Array = np.ndarray[Any, Any]
SHAPES = [
    Shape(24, 16, 8, 2, 1, 1),
    Shape(24, 40, 12, 3, 0, 2),
    Shape(24, 8, 8, 1, 2, 1),
]


@dataclass(frozen=True)
class Given:
    """What a decoder is asked, by random numbers."""

    states: Array
    weights: Array
    points: Array
    codes: list[Array]
    prior: Array

    @classmethod
    def of(cls, shape: Shape, tokens: int, counts: Sequence[int], seed: int) -> Given:
        generator = np.random.default_rng(seed)
        points = generator.standard_normal((tokens, shape.bits)).astype(np.float32)
        return cls(
            generator.standard_normal((tokens, shape.dimension)).astype(np.float32),
            generator.dirichlet(np.ones(tokens)).astype(np.float32),
            points / np.linalg.norm(points, axis=1, keepdims=True),
            [generator.integers(0, 256, (n, shape.bits // 8), np.uint8) for n in counts],
            generator.uniform(-1, 1, len(counts)).astype(np.float32),
        )

    @property
    def counts(self) -> Array:
        return np.array([len(codes) for codes in self.codes])

    def torch(self, decoder: Decoder, tokens: int = 0, codes: int = 1) -> Array:
        """By torch, with so many tokens and codes of padding at least."""
        length = max(len(self.states), tokens)

        def padded(part: Array) -> torch.Tensor:
            out = np.full((length, *part.shape[1:]), 0.3, np.float32)  # whatever it is
            out[: len(part)] = part
            return torch.from_numpy(out)[None]

        width = max(codes, *self.counts)
        packed = np.full((len(self.codes), width, decoder.shape.bits // 8), 85, np.uint8)
        for row, one in enumerate(self.codes):
            packed[row, : len(one)] = one
        mask = torch.arange(length)[None] < len(self.states)
        weights = padded(self.weights)
        with torch.inference_mode():
            x, keys = decoder.read(padded(self.states), weights, mask)
            found = decoder.score(
                x, keys, padded(self.points), weights, mask, torch.from_numpy(packed)[None],
                torch.from_numpy(self.counts)[None], torch.from_numpy(self.prior)[None],
            )  # fmt: skip
        scores: Array = found[0].numpy()
        return scores


def random_decoder(shape: Shape, seed: int = 0) -> Decoder:
    """One whose every weight counts."""
    torch.manual_seed(seed)
    decoder = Decoder(shape).eval()
    with torch.no_grad():
        for part in decoder.parameters():
            part.add_(torch.randn_like(part) * 0.3)
    return decoder


def describe(shape: Shape) -> DecoderConfig:
    hash_ = f"sha256:{'0' * 64}"
    return DecoderConfig(
        name="tiny", encoder=hash_, projection_hash=hash_, bits=shape.bits, dimension=shape.dimension,
        width=shape.width, heads=shape.heads, layers=shape.layers, crossings=shape.crossings,
        candidates=50, questions=3, steps=4, seed=0,
    )  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_torch_graphs_and_numpy_agree(shape: Shape, tmp_path: Path) -> None:
    decoder = random_decoder(shape)
    export_decoder(decoder, describe(shape), tmp_path)
    exported = Exported.load(tmp_path, 1)
    weights = {name: part.numpy() for name, part in decoder.state_dict().items()}
    cases: list[tuple[int, list[int]]] = [
        (1, [1]), (1, [0, 3]), (6, [0]), (5, [0, 0, 12, 1]), (30, [40, 2]),
    ]  # fmt: skip
    for seed, (tokens, counts) in enumerate(cases):
        case = Given.of(shape, tokens, counts, seed)
        wanted = [
            reference_score(
                weights, shape.heads, case.states, case.weights, case.points, codes, prior
            )
            for codes, prior in zip(case.codes, case.prior.tolist(), strict=True)
        ]
        assert np.abs(np.array(wanted) - case.prior).max() > 1e-3  # the decoder has its say
        np.testing.assert_allclose(case.torch(decoder), wanted, atol=2e-5)
        found = exported.scores(
            case.states, case.weights, case.points, np.concatenate(case.codes), case.counts, case.prior
        )  # fmt: skip
        np.testing.assert_allclose(found, wanted, atol=2e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_padding_says_nothing(shape: Shape) -> None:
    decoder = random_decoder(shape)
    case = Given.of(shape, 4, [0, 5, 9], 1)
    np.testing.assert_allclose(case.torch(decoder, 11, 30), case.torch(decoder), atol=1e-5)


def test_untrained_it_scores_what_its_prior_does(tmp_path: Path) -> None:
    shape = SHAPES[0]
    decoder = Decoder(shape).eval()
    case = Given.of(shape, 5, [3, 0, 8], 2)
    np.testing.assert_array_equal(case.torch(decoder), case.prior)
    export_decoder(decoder, describe(shape), tmp_path)
    found = Exported.load(tmp_path, 1).scores(
        case.states, case.weights, case.points, np.concatenate(case.codes), case.counts, case.prior
    )  # fmt: skip
    np.testing.assert_array_equal(found, case.prior)


def test_order_of_candidates_and_codes_does_not_count() -> None:
    shape = SHAPES[1]
    decoder = random_decoder(shape)
    case = Given.of(shape, 5, [3, 7, 8], 3)
    turned = Given(
        case.states[::-1].copy(), case.weights[::-1].copy(), case.points[::-1].copy(),
        [codes[::-1] for codes in case.codes[::-1]], case.prior[::-1].copy(),
    )  # fmt: skip
    np.testing.assert_allclose(turned.torch(decoder)[::-1], case.torch(decoder), atol=1e-5)


def test_description_of_what_was_exported(tmp_path: Path) -> None:
    shape = SHAPES[0]
    export_decoder(Decoder(shape), describe(shape), tmp_path)
    assert Exported.load(tmp_path, 1).config == describe(shape)


def test_graph_that_computes_something_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shape, write = SHAPES[0], export._write

    def spoil(module: Any, file: Path, *rest: Any) -> None:
        write(module, file, *rest)
        if file.name == PAIR_GRAPH:
            graph = onnx.load(file)
            part = max(graph.graph.initializer, key=lambda one: len(one.raw_data))
            part.CopyFrom(numpy_helper.from_array(2 * numpy_helper.to_array(part), part.name))
            onnx.save(graph, file)

    monkeypatch.setattr(export, "_write", spoil)
    with pytest.raises(ParityError, match="compute something else: a score of"):
        export_decoder(random_decoder(shape), describe(shape), tmp_path)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"width": 0}, "width"), ({"heads": 0}, "heads"), ({"width": 10, "heads": 4}, "heads"),
        ({"layers": -1}, "layers"), ({"crossings": 0}, "crossings"),
    ],
)  # fmt: skip
def test_shapes_that_cannot_be(given: dict[str, int], field: str) -> None:
    with pytest.raises(FieldError) as caught:
        Shape(24, 16, **given)
    assert caught.value.field == field
