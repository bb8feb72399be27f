"""A traced graph with a head and weighted pooling computes what torch computes, at any depth."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("torch", reason="the [train] extra is not installed")
pytest.importorskip("optimum.exporters.onnx", reason="the [train] extra is not installed")

import onnxruntime
import torch

from lurcher.training.compression.int8 import quantize_int8
from lurcher.training.graph import boundary, build_graph, lower_layers
from lurcher.training.original import Pooling, Recipe

Array = npt.NDArray[np.float32]
Checkpoint = Callable[..., Path]

IDS = np.array([[2, 9, 8, 3], [2, 7, 3, 0]])
MASK = np.array([[1, 1, 1, 1], [1, 1, 1, 0]])


def normal(*shape: int, seed: int) -> Array:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def run(graph: Any) -> tuple[Array, Array]:
    session = onnxruntime.InferenceSession(
        graph.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    vector, states = session.run(
        ["vector", "token_states"], {"input_ids": IDS, "attention_mask": MASK}
    )
    return vector, states


@pytest.fixture
def shallow(checkpoint: Checkpoint, transformers: Any) -> Callable[[int], tuple[Path, Any]]:
    """A tiny BERT with its first so many layers, saved without a tokeniser, and loaded."""

    def cut(depth: int) -> tuple[Path, Any]:
        folder = checkpoint("bert")
        network = transformers.AutoModel.from_pretrained(folder).eval()
        network.encoder.layer = network.encoder.layer[:depth]
        network.config.num_hidden_layers = depth
        network.save_pretrained(folder.with_name("cut"))
        return folder.with_name("cut"), network

    return cut


@pytest.mark.parametrize("depth", [0, 1, 2])
@pytest.mark.parametrize("int8", [False, True])
def test_a_head_and_token_weights_are_torchs(
    depth: int, int8: bool, shallow: Callable[[int], tuple[Path, Any]], tmp_path: Path
) -> None:
    folder, network = shallow(depth)
    head = torch.nn.Linear(32, 32)
    weights = np.exp(normal(300, seed=1)) / 100
    graph = build_graph(
        folder,
        Recipe(folder, normalise=True),
        tmp_path,
        head=(head.weight.detach().numpy(), head.bias.detach().numpy()),
        token_weights=weights,
    )
    vector, states = run(quantize_int8(graph) if int8 else graph)
    with torch.inference_mode():
        last = network(torch.tensor(IDS), attention_mask=torch.tensor(MASK)).last_hidden_state
        wanted = head(last).numpy()  # (2, 4, 32)
    column = (MASK * weights[IDS])[..., None]
    pooled = (wanted * column).sum(axis=1) / column.sum(axis=1)
    pooled /= np.linalg.norm(pooled, axis=1, keepdims=True)
    if int8:
        assert (vector * pooled).sum(axis=1).min() > 0.99
    else:
        np.testing.assert_allclose(states[MASK == 1], wanted[MASK == 1], atol=1e-5)
        np.testing.assert_allclose(vector, pooled, atol=1e-5)


@pytest.mark.parametrize("int8", [False, True])
def test_embeddings_are_corrected_before_the_first_layer(
    int8: bool, shallow: Callable[[int], tuple[Path, Any]], tmp_path: Path
) -> None:
    folder, network = shallow(1)
    codes, directions = normal(300, 4, seed=1), normal(4, 32, seed=2) / 10
    graph = build_graph(
        folder, Recipe(folder, normalise=True), tmp_path, correction=(codes, directions)
    )
    vector, _ = run(quantize_int8(graph) if int8 else graph)
    with torch.inference_mode():
        table = network.get_input_embeddings().weight
        table += torch.from_numpy(codes @ directions)
        last = network(torch.tensor(IDS), attention_mask=torch.tensor(MASK)).last_hidden_state
    pooled = (last.numpy() * MASK[..., None]).sum(axis=1)
    pooled /= np.linalg.norm(pooled, axis=1, keepdims=True)
    assert (vector * pooled).sum(axis=1).min() > (0.99 if int8 else 0.99999)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_without_any_the_states_are_the_last_layers(
    pooling: Pooling, shallow: Callable[[int], tuple[Path, Any]], tmp_path: Path
) -> None:
    folder, network = shallow(1)
    vector, states = run(build_graph(folder, Recipe(folder, pooling), tmp_path))
    with torch.inference_mode():
        wanted = network(torch.tensor(IDS[:1])).last_hidden_state[0].numpy()
    np.testing.assert_allclose(states[0], wanted, atol=1e-5)
    pooled = wanted[0] if pooling == "cls" else wanted.mean(axis=0)
    np.testing.assert_allclose(vector[0], pooled, atol=1e-5)


@pytest.mark.parametrize(
    ("layers", "lower"), [(0, -1), (1, 0), (2, 1), (3, 2), (4, 3), (6, 4), (12, 8), (24, 16)]
)
def test_two_thirds_of_the_layers_are_below(layers: int, lower: int) -> None:
    assert lower_layers(layers) == lower


@pytest.mark.parametrize("depth", [0, 1])
def test_where_no_layer_is_above_there_are_no_lower_states(
    depth: int, shallow: Callable[[int], tuple[Path, Any]], tmp_path: Path
) -> None:
    folder, _ = shallow(depth)
    graph = build_graph(folder, Recipe(folder), tmp_path, lower=True).graph
    assert [o.name for o in graph.output] == ["vector", "token_states"]


def test_names_that_do_not_tell_the_layers_give_no_lower_states(
    shallow: Callable[[int], tuple[Path, Any]], tmp_path: Path
) -> None:
    folder, _ = shallow(2)
    graph = build_graph(folder, Recipe(folder), tmp_path, lower=True).graph
    assert boundary(graph) is not None
    for node in graph.node:
        node.name = node.name.replace("layer.", "block")
    assert boundary(graph) is None


def test_more_than_one_value_between_two_layers_gives_no_lower_states(
    shallow: Callable[[int], tuple[Path, Any]], tmp_path: Path
) -> None:
    folder, _ = shallow(2)
    graph = build_graph(folder, Recipe(folder), tmp_path).graph
    below = [node for node in graph.node if "layer.0/" in node.name and node.op_type == "MatMul"]
    above = next(node for node in graph.node if "layer.1/" in node.name)
    above.input.append(below[0].output[0])
    assert boundary(graph) is None


def test_a_graph_has_both_inputs_though_a_table_reads_no_mask(
    shallow: Callable[[int], tuple[Path, Any]], tmp_path: Path
) -> None:
    folder, _ = shallow(0)
    graph = build_graph(folder, Recipe(folder), tmp_path).graph
    assert [i.name for i in graph.input] == ["input_ids", "attention_mask"]
    assert [o.name for o in graph.output] == ["vector", "token_states"]
