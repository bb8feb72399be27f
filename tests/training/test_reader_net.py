"""The reader's formulas: torch, the exported graph and plain NumPy say the same."""

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
from lurcher.models.reader.reader import READER_GRAPH, ReaderConfig
from lurcher.models.reader.reader import Reader as Exported
from lurcher.models.reader.reader_reference import reference_logits
from lurcher.training.reader import export
from lurcher.training.reader.export import export_reader
from lurcher.training.reader.network import Reader, Shape

Array = np.ndarray[Any, Any]
SHAPES = [Shape(24, 16, 4, 2, 32), Shape(32, 12, 1, 1, 8), Shape(16, 24, 6, 3, 16)]
# Tokens of a query and of its passages; places far apart, too.
CASES: list[tuple[int, list[int]]] = [
    (1, [1]),
    (1, [0, 3]),
    (6, [12]),
    (5, [2, 0, 40]),
    (30, [7, 90]),
]


@dataclass(frozen=True)
class Given:
    """A query and passages of random numbers."""

    states: Array
    weights: Array
    decoded: list[Array]
    places: list[Array]

    @classmethod
    def of(cls, shape: Shape, tokens: int, counts: Sequence[int], seed: int) -> Given:
        draw = np.random.default_rng(seed)

        def units(count: int) -> Array:
            found = draw.standard_normal((count, shape.dimension)).astype(np.float32)
            return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True))

        return cls(
            units(tokens),
            draw.dirichlet(np.ones(tokens)).astype(np.float32),
            [units(n) for n in counts],
            [np.sort(draw.permutation(3 * n)[:n]) for n in counts],
        )

    @property
    def counts(self) -> Array:
        return np.array([len(one) for one in self.decoded])

    def torch(self, reader: Reader, tokens: int = 0, codes: int = 1) -> list[Array]:
        """By torch in one batch, with so many tokens and codes of padding at least."""
        length, width = max(len(self.states), tokens), max(codes, *self.counts)
        dimension = reader.shape.dimension
        # Zeros, as batches are padded; but for places, which may be anything.
        states = np.zeros((len(self.decoded), length, dimension), np.float32)
        weights = np.zeros(states.shape[:2], np.float32)
        states[:, : len(self.states)], weights[:, : len(self.states)] = self.states, self.weights
        decoded = np.zeros((len(self.decoded), width, dimension), np.float32)
        places = np.full(decoded.shape[:2], 7)
        for row, (one, stands) in enumerate(zip(self.decoded, self.places, strict=True)):
            decoded[row, : len(one)], places[row, : len(one)] = one, stands
        asked = np.broadcast_to(np.arange(length) < len(self.states), weights.shape)
        there = np.arange(width) < self.counts[:, None]
        parts = (states, weights, decoded, places, asked.copy(), there)
        with torch.inference_mode():
            found = reader(*map(torch.from_numpy, parts)).numpy()
        assert (found[~there] < -1e3).all()  # padding never answers
        return [one[:count] for one, count in zip(found, self.counts, strict=True)]

    def reference(self, reader: Reader) -> list[Array]:
        """By plain NumPy, each passage alone."""
        weights = {name: part.numpy() for name, part in reader.state_dict().items()}
        return [
            reference_logits(
                weights, reader.shape.heads, self.states, self.weights, decoded, places
            )
            for decoded, places in zip(self.decoded, self.places, strict=True)
        ]

    def served(self, reader: Exported) -> list[Array]:
        """By an exported graph."""
        decoded, places = np.concatenate(self.decoded), np.concatenate(self.places)
        found = reader.logits(self.states, self.weights, decoded, places, self.counts)
        return np.split(found, np.cumsum(self.counts)[:-1])


def random_reader(shape: Shape, seed: int = 0) -> Reader:
    """One whose every weight counts."""
    torch.manual_seed(seed)
    reader = Reader(shape)
    reader.eval()
    with torch.no_grad():
        for part in reader.parameters():
            part.add_(torch.randn_like(part) * 0.3)
    return reader


def describe(shape: Shape) -> ReaderConfig:
    return ReaderConfig(
        name="tiny", encoder=f"sha256:{'0' * 64}", dimension=shape.dimension, bits=8,
        width=shape.width, heads=shape.heads, layers=shape.layers, inner=shape.inner, longest=5,
        rank_weight=0, slope=1, offset=0, min_score=0, questions=3, steps=4, seed=0,
    )  # fmt: skip


def check_close(found: list[Array], wanted: list[Array], room: float) -> None:
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, atol=room)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("random", [False, True])
def test_torch_and_numpy_agree(shape: Shape, random: bool) -> None:
    torch.manual_seed(1)
    reader = random_reader(shape) if random else Reader(shape).eval()
    for seed, (tokens, counts) in enumerate(CASES):
        case = Given.of(shape, tokens, counts, seed)
        wanted = case.reference(reader)
        assert [one.shape for one in wanted] == [(n, 2) for n in counts]
        check_close(case.torch(reader), wanted, 1e-4)


def test_every_weight_has_its_say() -> None:
    shape = SHAPES[0]
    reader = random_reader(shape)
    case = Given.of(shape, 5, [9], 0)
    (plain,) = case.reference(reader)
    mute = []
    for name, part in reader.state_dict().items():
        changed = {key: one.numpy() for key, one in reader.state_dict().items()}
        changed[name] = part.numpy() + np.random.default_rng(0).standard_normal(part.shape) / 2
        found = reference_logits(
            changed, shape.heads, case.states, case.weights, case.decoded[0], case.places[0]
        )
        if np.abs(found - plain).max() < 1e-4:
            mute.append(name)
    assert not mute


@pytest.mark.parametrize("shape", SHAPES)
def test_padding_says_nothing(shape: Shape) -> None:
    reader = random_reader(shape)
    for seed, (tokens, counts) in enumerate(CASES):
        case = Given.of(shape, tokens, counts, seed)
        check_close(case.torch(reader, 41, 100), case.torch(reader), 1e-4)


def test_padding_is_not_more_alike_than_what_is_unlike() -> None:
    """All that a query says points away from the passage: zeros of padding would be nearer to it."""
    shape = SHAPES[0]
    reader = random_reader(shape)
    given = Given.of(shape, 3, [6], 0)
    away = Given(-np.abs(given.states), given.weights, [np.abs(given.decoded[0])], given.places)
    assert (away.states @ away.decoded[0].T < 0).all()
    check_close(away.torch(reader, 9), away.reference(reader), 1e-4)


def test_order_of_a_query_does_not_count_and_that_of_a_passage_does() -> None:
    shape = SHAPES[0]
    reader = random_reader(shape)
    case = Given.of(shape, 6, [12], 3)
    wanted = case.reference(reader)
    turned = Given(case.states[::-1], case.weights[::-1], case.decoded, case.places)
    check_close(turned.reference(reader), wanted, 1e-9)
    # Where tokens stand is in their places alone.
    listed = Given(case.states, case.weights, [case.decoded[0][::-1]], [case.places[0][::-1]])
    check_close([listed.reference(reader)[0][::-1]], wanted, 1e-9)
    swapped = Given(case.states, case.weights, [case.decoded[0][::-1]], case.places)
    assert np.abs(swapped.reference(reader)[0][::-1] - wanted[0]).max() > 1e-2


def test_far_is_as_far_as_farther() -> None:
    shape = SHAPES[0]
    reader = random_reader(shape)
    case = Given.of(shape, 4, [2], 5)
    spread = [
        Given(case.states, case.weights, case.decoded, [np.array([0, place])])
        for place in (63, 64, 65, 4_000)
    ]
    near, at, over, far = (one.torch(reader)[0] for one in spread)
    np.testing.assert_array_equal(at, over)
    np.testing.assert_array_equal(at, far)
    assert np.abs(at - near).max() > 1e-5
    np.testing.assert_allclose(spread[3].reference(reader)[0], far, atol=1e-4)


# --- exported


def calibration(shape: Shape) -> list[dict[str, Array]]:
    """What the graph is given for questions of several lengths."""
    given = [Given.of(shape, 1 + seed % 9, [8 + 5 * seed], 100 + seed) for seed in range(24)]
    return [
        {
            "states": one.states, "weights": one.weights, "decoded": one.decoded[0][None],
            "places": one.places[0][None], "counts": one.counts,
        }
        for one in given
    ]  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_exported_it_computes_the_same(
    shape: Shape, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = random_reader(shape)
    monkeypatch.setattr(export, "quantize_static_int8", lambda graph, _: graph)
    export_reader(reader, describe(shape), tmp_path, calibration(shape))
    exported = Exported.load(tmp_path, 1)
    assert exported.config == describe(shape)
    for seed, (tokens, counts) in enumerate(CASES):
        case = Given.of(shape, tokens, counts, seed)
        check_close(case.served(exported), case.reference(reader), 1e-4)
    # Among others each is what it is alone.
    texts = Given.of(shape, 4, [3, 0, 300, 17, 1, 280], 9)
    apart = [
        Given(texts.states, texts.weights, [decoded], [places]).served(exported)[0]
        for decoded, places in zip(texts.decoded, texts.places, strict=True)
    ]
    check_close(texts.served(exported), apart, 1e-4)


@pytest.mark.parametrize("shape", SHAPES)
def test_int8_says_about_the_same(shape: Shape, tmp_path: Path) -> None:
    reader = random_reader(shape)
    export_reader(reader, describe(shape), tmp_path, calibration(shape))
    kinds = {part.data_type for part in onnx.load(tmp_path / READER_GRAPH).graph.initializer}
    assert onnx.TensorProto.INT8 in kinds
    exported, found, wanted = Exported.load(tmp_path, 1), [], []
    for seed, (tokens, counts) in enumerate(CASES):
        case = Given.of(shape, tokens, counts, seed)
        found += case.served(exported)
        wanted += case.reference(reader)
    both = np.concatenate(found), np.concatenate(wanted)
    for part in (0, 1):
        assert np.corrcoef(both[0][:, part], both[1][:, part])[0, 1] > 0.99
    assert np.abs(both[0] - both[1]).max() > 0  # it is not float32


def test_graph_that_computes_something_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shape, write = SHAPES[0], export._write

    def spoil(reader: Reader, file: Path) -> None:
        write(reader, file)
        graph = onnx.load(file)
        part = max(graph.graph.initializer, key=lambda one: len(one.raw_data))
        part.CopyFrom(numpy_helper.from_array(1.1 * numpy_helper.to_array(part), part.name))
        onnx.save(graph, file)

    monkeypatch.setattr(export, "_write", spoil)
    with pytest.raises(ParityError, match="the exported graph computes something else: off by"):
        export_reader(random_reader(shape), describe(shape), tmp_path, calibration(shape))


def test_int8_that_changes_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoil(graph: onnx.ModelProto, _: Any) -> onnx.ModelProto:
        found = onnx.ModelProto()
        found.CopyFrom(graph)
        for part in found.graph.initializer:
            array = numpy_helper.to_array(part)
            if array.ndim == 2 and array.dtype == np.float32:
                part.CopyFrom(numpy_helper.from_array(np.sign(array), part.name))
        return found

    monkeypatch.setattr(export, "quantize_static_int8", spoil)
    with pytest.raises(ParityError, match="INT8 changes too much: logits correlate by"):
        export_reader(
            random_reader(SHAPES[0]), describe(SHAPES[0]), tmp_path, calibration(SHAPES[0])
        )


def test_numbers_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    reader = random_reader(SHAPES[0])
    with torch.no_grad():
        reader.head.bias.fill_(float("nan"))
    with pytest.raises(Exception, match="not finite"):
        export_reader(reader, describe(SHAPES[0]), tmp_path, calibration(SHAPES[0]))


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"width": 0}, "width"), ({"heads": 0}, "heads"), ({"width": 10, "heads": 4}, "heads"),
        ({"layers": 0}, "layers"), ({"inner": -1}, "inner"),
    ],
)  # fmt: skip
def test_shapes_that_cannot_be(given: dict[str, int], field: str) -> None:
    with pytest.raises(FieldError) as caught:
        Shape(24, **given)
    assert caught.value.field == field
