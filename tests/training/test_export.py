"""What an export writes, and when it refuses to."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("torch", reason="the [train] extra is not installed")
pytest.importorskip("optimum.exporters.onnx", reason="the [train] extra is not installed")

import onnx
import torch
from onnx import numpy_helper

from lurcher.errors import FieldError, ModelError, ParityError
from lurcher.models.encoders.config import fingerprint, load_config
from lurcher.models.encoders.encoder import Encoder
from lurcher.models.engines.ort import OnnxRuntimeEngine
from lurcher.training.compression.int8 import quantize_int8
from lurcher.training.export import export_encoder

Array = npt.NDArray[np.float32]
Checkpoint = Callable[..., Path]
States = Callable[..., Array]


def cosine(a: Array, b: Array) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


@pytest.mark.parametrize("architecture", ["bert", "mpnet", "distilbert"])
def test_fp32_computes_what_torch_computes(
    architecture: str, checkpoint: Checkpoint, tmp_path: Path, states: States, corpus: list[str]
) -> None:
    folder = checkpoint(architecture)
    config = export_encoder(folder, tmp_path / "out", int8=False)
    assert (config.architecture, config.dimension, config.precision) == (architecture, 32, "fp32")
    assert (config.pooling, config.similarity) == ("mean", "cosine")
    found = Encoder.load(tmp_path / "out", side="passage", threads=1).encode(corpus)
    for text, vector in zip(corpus, found, strict=True):
        wanted = states(folder, text).mean(axis=0)
        np.testing.assert_allclose(vector, wanted / np.linalg.norm(wanted), atol=1e-5)


@pytest.mark.parametrize("architecture", ["bert", "mpnet", "distilbert"])
@pytest.mark.parametrize("int8", [False, True])
def test_lower_states_are_those_of_a_layer_below(
    architecture: str, int8: bool, checkpoint: Checkpoint, tmp_path: Path, transformers: Any,
    corpus: list[str],
) -> None:  # fmt: skip
    folder = checkpoint(architecture)
    config = export_encoder(folder, tmp_path / "out", int8=int8)
    assert config.lower_states
    encoder = Encoder.load(tmp_path / "out", side="passage", threads=1)
    tokens = encoder.tokenise(corpus)
    network = transformers.AutoModel.from_pretrained(folder).eval()
    for text, found in zip(tokens, encoder.lower_states(tokens), strict=True):
        with torch.inference_mode():
            layers = network(torch.tensor([text.ids]), output_hidden_states=True).hidden_states
        assert len(layers) == 3  # the embeddings, and two layers
        wanted = layers[1][0].numpy()
        if int8:
            assert cosine(found.ravel(), wanted.ravel()) > 0.99
        else:
            np.testing.assert_allclose(found, wanted, atol=1e-5)


@pytest.mark.parametrize("architecture", ["bert", "mpnet", "distilbert"])
def test_int8_is_close_to_torch_and_smaller(
    architecture: str, checkpoint: Checkpoint, tmp_path: Path, states: States, corpus: list[str]
) -> None:
    folder = checkpoint(architecture)
    config = export_encoder(folder, tmp_path / "int8")
    export_encoder(folder, tmp_path / "fp32", int8=False)
    assert config.precision == "int8"
    found = Encoder.load(tmp_path / "int8", side="passage", threads=1).encode(corpus)
    for text, vector in zip(corpus, found, strict=True):
        assert cosine(vector, states(folder, text).mean(axis=0)) > 0.99
    for name in ("encoder.onnx", "vocabulary.bin"):
        sizes = [(tmp_path / kind / name).stat().st_size for kind in ("int8", "fp32")]
        assert sizes[0] < sizes[1]


def test_the_graph_has_the_documented_inputs_and_outputs(
    checkpoint: Checkpoint, tmp_path: Path
) -> None:
    folder = checkpoint("bert")
    export_encoder(folder, tmp_path / "out", int8=False)
    graph = onnx.load(tmp_path / "out" / "encoder.onnx").graph
    assert [i.name for i in graph.input] == ["input_ids", "attention_mask"]
    assert [o.name for o in graph.output] == ["vector", "token_states", "lower_states"]
    engine = OnnxRuntimeEngine(tmp_path / "out" / "encoder.onnx", threads=1)
    ids = np.array([[2, 9, 8, 3], [2, 7, 3, 0]])
    mask = np.array([[1, 1, 1, 1], [1, 1, 1, 0]])
    vector, token_states = engine.run(
        ["vector", "token_states"], {"input_ids": ids, "attention_mask": mask}
    )
    assert vector.shape == (2, 32)
    assert token_states.shape == (2, 4, 32)
    assert vector.dtype == token_states.dtype == np.float32
    wanted = token_states[1, :3].mean(axis=0)  # the padding takes no part
    np.testing.assert_allclose(vector[1], wanted / np.linalg.norm(wanted), atol=1e-6)


def test_what_is_written_describes_itself(checkpoint: Checkpoint, tmp_path: Path) -> None:
    out = tmp_path / "out"
    config = export_encoder(checkpoint("bert"), out)
    assert load_config(out) == config
    assert config.name == "tiny-bert"
    assert config.fingerprint == fingerprint(out, "encoder.onnx", 80, "", "cosine")
    assert config.fingerprint != fingerprint(out, "encoder.onnx", 80, "d: ", "cosine")
    assert sorted(f.name for f in out.iterdir()) == [
        "config.json",
        "encoder.onnx",
        "tokenizer.json",
        "vocabulary.bin",
    ]
    tokens = json.loads((out / "tokenizer.json").read_text())
    assert tokens["padding"] is None
    assert tokens["truncation"] is None


def test_the_same_checkpoint_gives_the_same_bytes(checkpoint: Checkpoint, tmp_path: Path) -> None:
    folder = checkpoint("bert")
    for out in ("first", "second"):
        export_encoder(folder, tmp_path / out)
    for name in ("encoder.onnx", "vocabulary.bin", "tokenizer.json", "config.json"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()


def damage(graph: onnx.ModelProto) -> onnx.ModelProto:
    """A rewriting gone wrong: one layer's weights doubled and negated."""
    damaged = quantize_int8(graph)
    scale = next(
        i for i in damaged.graph.initializer if i.name.endswith("_scale") and len(i.dims) == 1
    )
    scale.CopyFrom(numpy_helper.from_array(-2 * numpy_helper.to_array(scale), scale.name))
    return damaged


def test_a_graph_that_computes_something_else_is_refused(
    checkpoint: Checkpoint, tmp_path: Path
) -> None:
    out = tmp_path / "exports" / "out"
    with pytest.raises(ParityError, match=r"the vector of '.*' is off by"):
        export_encoder(checkpoint("bert"), out, quantize=damage)
    assert list(out.parent.iterdir()) == []


def test_an_existing_folder_is_left_alone(checkpoint: Checkpoint, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(FieldError, match=r"out: .* exists already"):
        export_encoder(checkpoint("bert"), out)
    assert list(out.iterdir()) == []


def test_an_architecture_that_optimum_does_not_know_is_refused(
    checkpoint: Checkpoint, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=r"optimum cannot export it.*ernie"):
        export_encoder(checkpoint("ernie"), tmp_path / "out")
    assert [f.name for f in tmp_path.iterdir()] == ["tiny-ernie"]
