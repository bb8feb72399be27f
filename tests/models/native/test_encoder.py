"""The native encoder: near to vectors without rounding, the same in any batch, on every instruction set."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lurcher.errors import ModelError
from lurcher.models.encoders.merge import merge
from lurcher.models.engines.native import library, reference
from lurcher.models.engines.native.description import Description, Matrix
from lurcher.models.engines.native.encoder import Form, PackedEncoder
from lurcher.models.engines.native.engine import NativeEngine
from lurcher.models.engines.native.library import Level, Library
from lurcher.models.engines.native.recognition import describe
from lurcher.models.engines.ort import OnnxRuntimeEngine
from lurcher.models.pretrained import DEFAULT_ENCODER
from tests.models.native.threads import all_equal
from tests.tiny import TINY

found = library.load()
if isinstance(found, str):
    pytest.skip(found, allow_module_level=True)
NATIVE: Library = found
HERE = NATIVE.levels

GRAPH = TINY / "encoder.onnx"
TOLD = describe(GRAPH)
OUTPUTS = ("vector", "token_states", "lower_states")
Array = npt.NDArray[Any]


def tokens(seed: int, length: int) -> Array:
    return np.random.default_rng(seed).integers(0, len(TOLD.words), length)


def alone(packed: PackedEncoder, ids: Array) -> list[Array]:
    """The vector, the states and the lower states of one text."""
    found = packed.encode(ids, np.array([len(ids)]), len(ids), OUTPUTS)
    return [one[0] for one in found]


def cosines(one: Array, other: Array) -> Array:
    return np.asarray(
        (one * other).sum(axis=-1) / np.linalg.norm(one, axis=-1) / np.linalg.norm(other, axis=-1)
    )


def thinned(told: Description, share: float) -> Description:
    """The description with that ``share`` of blocks of four weights along the inputs set to zero."""
    draw = np.random.default_rng(3)

    def thin(matrix: Matrix) -> Matrix:
        rows, columns = matrix.weights.shape
        keep = np.repeat(draw.random((rows // 4, columns)) >= share, 4, axis=0)
        return dataclasses.replace(matrix, weights=matrix.weights * keep.astype(np.int8))

    layers = [
        dataclasses.replace(
            layer,
            qkv=thin(layer.qkv),
            out=thin(layer.out),
            up=thin(layer.up),
            down=thin(layer.down),
        )
        for layer in told.layers
    ]
    return dataclasses.replace(told, layers=layers)


PACKED = {
    (level, form): PackedEncoder(NATIVE, TOLD, level, form)
    for level in HERE
    for form in ("dense", "sparse")
}


@pytest.mark.parametrize("length", [1, 2, 4, 7, 8, 9, 15, 16, 17, 31, 32, 33, 64, 129, 256, 512])
@pytest.mark.parametrize("level", HERE)
def test_states_are_near_to_those_without_rounding(level: Level, length: int) -> None:
    if length > len(TOLD.positions):
        pytest.skip(f"the tiny encoder reads {len(TOLD.positions)} tokens")
    ids = tokens(length, length)
    expected = reference.encode(TOLD, ids)
    for form in ("dense", "sparse"):
        for one, other in zip(alone(PACKED[level, form], ids), expected, strict=True):
            assert cosines(one, other).min() > 0.999


@given(st.integers(0, 2**32 - 1), st.integers(1, 40))
def test_dense_and_sparse_give_the_same_bits(seed: int, length: int) -> None:
    ids = tokens(seed, length)
    for level in HERE:
        dense, sparse = (alone(PACKED[level, form], ids) for form in ("dense", "sparse"))
        for one, other in zip(dense, sparse, strict=True):
            np.testing.assert_array_equal(one, other)


@given(st.integers(0, 2**32 - 1), st.lists(st.integers(0, 40), min_size=1, max_size=6))
def test_a_text_gets_the_same_bits_in_any_batch(seed: int, lengths: list[int]) -> None:
    texts = [tokens(seed + i, length) for i, length in enumerate(lengths)]
    for packed in PACKED.values():
        batch = packed.encode(np.concatenate(texts), np.array(lengths), max(lengths), OUTPUTS)
        for text, *own in zip(texts, *batch, strict=True):
            if not len(text):
                assert not any(one.any() for one in own)
                continue
            vector, states, lower = alone(packed, text)
            np.testing.assert_array_equal(own[0], vector)
            np.testing.assert_array_equal(own[1][: len(text)], states)
            np.testing.assert_array_equal(own[2][: len(text)], lower)
            assert not own[1][len(text) :].any()


@pytest.mark.parametrize("share", [0.5, 0.8, 0.97, 1.0])
def test_zeros_are_skipped_without_a_difference(share: float) -> None:
    told, ids = thinned(TOLD, share), tokens(5, 21)
    forms: tuple[Form, ...] = ("dense", "sparse", "auto")
    first, *others = (alone(PackedEncoder(NATIVE, told, form=form), ids) for form in forms)
    for other in others:
        np.testing.assert_array_equal(first[1], other[1])
    assert cosines(first[1], reference.encode(told, ids)[1]).min() > 0.999


def test_threads_get_what_one_gets() -> None:
    packed, ids = PackedEncoder(NATIVE, TOLD), tokens(6, 30)
    all_equal(lambda: alone(packed, ids)[1], alone(packed, ids)[1])


# Against ONNX Runtime.


def pair(graph: Path, ids: Array, outputs: list[str]) -> tuple[list[Array], list[Array]]:
    inputs = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    return NativeEngine(graph).run(outputs, inputs), OnnxRuntimeEngine(graph, 1).run(
        outputs, inputs
    )


def test_the_tiny_encoder_agrees_with_onnx_runtime() -> None:
    ids = np.stack([tokens(seed, 18) for seed in range(4)])
    for one, other in zip(*pair(GRAPH, ids, list(OUTPUTS)), strict=True):
        assert cosines(one, other).min() > 0.9995


def test_the_encoder_that_ships_is_as_near_to_no_rounding_as_onnx_runtime_is() -> None:
    graph = DEFAULT_ENCODER / "encoder.onnx"
    ids = np.array([[101, 2054, 2003, 1996, 3007, 1997, 2605, 102]])
    (native,), (other,) = pair(graph, ids, ["vector"])
    exact = reference.encode(describe(graph), ids[0])[0]
    assert 1 - cosines(native[0], exact) <= 1.5 * (1 - cosines(other[0], exact)) + 1e-4


@pytest.mark.parametrize(
    ("name", "least"), [("fast", 0.999), ("balanced", 0.998), ("sparse", 0.99)]
)
def test_students_that_ship_agree_with_onnx_runtime(
    name: str, least: float, tmp_path: Path
) -> None:
    merge(DEFAULT_ENCODER, DEFAULT_ENCODER / "students" / name, tmp_path / "encoder")
    ids = np.array([[101, 2073, 2003, 1996, 3295, 2000, 1996, 18056, 102]])
    graph = tmp_path / "encoder" / "query.onnx"
    for one, other in zip(*pair(graph, ids, ["vector", "token_states"]), strict=True):
        assert cosines(one, other).min() > least


# What cannot be encoded.


def changed(**fields: Any) -> Description:
    return dataclasses.replace(TOLD, **fields)


def test_numbers_that_are_not_finite_are_refused() -> None:
    layer = TOLD.layers[0]
    broken = layer.up.scale.copy()
    broken[3] = np.nan
    layers = [
        dataclasses.replace(layer, up=dataclasses.replace(layer.up, scale=broken)),
        *TOLD.layers[1:],
    ]
    with pytest.raises(ModelError, match="not finite"):
        PackedEncoder(NATIVE, changed(layers=layers))
    with pytest.raises(ModelError, match="not finite"):
        PackedEncoder(NATIVE, changed(type_row=np.full(TOLD.width, np.inf, np.float32)))


def test_matrices_that_do_not_fit_are_refused() -> None:
    layer = TOLD.layers[0]
    cut = dataclasses.replace(layer.down, weights=layer.down.weights[:-4])
    layers = [dataclasses.replace(layer, down=cut), *TOLD.layers[1:]]
    with pytest.raises(ModelError, match=r"where .* is due"):
        PackedEncoder(NATIVE, changed(layers=layers))
    with pytest.raises(ModelError, match="no kernels for sizes"):
        PackedEncoder(NATIVE, changed(heads=7))


def test_tokens_and_texts_beyond_the_tables_are_errors() -> None:
    packed = PackedEncoder(NATIVE, TOLD)
    for wrong in (-1, len(TOLD.words), 2**62):
        with pytest.raises(ValueError, match="tokens beyond"):
            alone(packed, np.array([1, wrong]))
    with pytest.raises(ValueError, match="at most"):
        alone(packed, np.zeros(len(TOLD.positions) + 1, np.int64))
    with pytest.raises(ValueError, match="lengths add up"):
        packed.encode(np.zeros(3, np.int64), np.array([2]), 2, ("vector",))


def test_a_mask_with_holes_and_unknown_outputs_are_errors() -> None:
    engine = NativeEngine(GRAPH)
    ids = np.zeros((1, 3), np.int64)
    with pytest.raises(ModelError, match="padded at their ends"):
        engine.run(["vector"], {"input_ids": ids, "attention_mask": np.array([[1, 0, 1]])})
    with pytest.raises(ModelError, match="no output 'logits'"):
        engine.run(["logits"], {"input_ids": ids, "attention_mask": np.ones_like(ids)})


def test_a_graph_cut_anywhere_is_an_error(tmp_path: Path) -> None:
    whole, path = GRAPH.read_bytes(), tmp_path / "encoder.onnx"
    for name in ("vocabulary.bin",):
        if (TINY / name).exists():
            (tmp_path / name).write_bytes((TINY / name).read_bytes())
    for place in np.random.default_rng(0).integers(0, len(whole) - 1, 25):
        path.write_bytes(whole[:place])
        with pytest.raises(ModelError, match=r"encoder\.onnx"):
            NativeEngine(path)


def test_another_graph_is_not_taken_for_an_encoder() -> None:
    with pytest.raises(ModelError, match="does not know such a graph"):
        NativeEngine(TINY / "ranker" / "pair.onnx")
