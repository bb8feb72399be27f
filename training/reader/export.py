"""A trained reader as an ONNX graph of INT8 products and a description, checked against torch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from lurcher.errors import ParityError
from lurcher.models.reader.reader import READER_FILE, READER_GRAPH, ReaderConfig
from lurcher.models.reader.reader import Reader as Exported
from lurcher.training.compression.int8_static import quantize_static_int8
from lurcher.training.compression.tensors import Inputs
from lurcher.training.graph import OPSET, quiet_tracing
from lurcher.training.reader.batches import Batch, Library
from lurcher.training.reader.network import Reader

# Of float32 products, which differ only by the order of sums.
_FURTHEST = 1e-3
# What INT8 may leave of agreement: the correlation of logits. Measured on trained ones: .999.
_LEAST_CORRELATION = 0.98
_LOOKED_AT = 32  # questions


def export_reader(
    reader: Reader, config: ReaderConfig, folder: Path, calibration: Sequence[Inputs]
) -> None:
    """Write ``reader`` into ``folder``, which is there, for ``models.reader.reader``.

    ``calibration`` are the graph's inputs for some questions, which the ranges of INT8 are taken from: see
    ``calibration_of``. Raises OSError, and ParityError where the graph does not compute what it computes.
    """
    reader = reader.cpu().eval()
    _write(reader, folder / READER_GRAPH)
    (folder / READER_FILE).write_text(config.model_dump_json(indent=2) + "\n")
    wanted, found = _compared(reader, folder, _odd(reader.shape.dimension))
    # Written so that NaN fails.
    if not (furthest := float(np.abs(found - wanted).max())) <= _FURTHEST * np.abs(wanted).max():
        raise ParityError(
            f"{folder}: the exported graph computes something else: off by {furthest:.2g}"
        )
    graph = onnx.load(folder / READER_GRAPH)
    # Ranges that are fixed beforehand take a sixth less time than those of training.compression.int8.
    quantised = quantize_static_int8(graph, calibration)
    (folder / READER_GRAPH).write_bytes(quantised.SerializeToString())
    wanted, found = _compared(reader, folder, calibration[:_LOOKED_AT])
    if not (alike := float(np.corrcoef(wanted.ravel(), found.ravel())[0, 1])) >= _LEAST_CORRELATION:
        raise ParityError(f"{folder}: INT8 changes too much: logits correlate by {alike:.3f} only")


def calibration_of(library: Library, most: int, seed: int) -> list[Inputs]:
    """The graph's inputs for at most so many questions of ``library``, each with its passage alone."""
    nobody = np.zeros((0, 2), np.int64)
    found: list[Inputs] = []
    for one in np.random.default_rng(seed).permutation(len(library.answered))[:most].tolist():
        read = library.batch([(one, int(library.answered.rows[one]))], nobody, nobody)
        found.append(inputs_of(read))
    return found


def inputs_of(read: Batch) -> Inputs:
    """What the graph is given for ``read``, one question with one passage."""
    return {
        "states": read.states[0].numpy(), "weights": read.weights[0].numpy(),
        "decoded": read.decoded.numpy(), "places": read.places.numpy(),
        "counts": np.array([read.there.shape[1]]),
    }  # fmt: skip


class _Serving(nn.Module):  # type: ignore[misc]  # torch is not there when types are checked
    """One query, unpadded, and C passages."""

    def __init__(self, reader: Reader) -> None:
        super().__init__()
        self.reader = reader

    def forward(
        self, states: Tensor, weights: Tensor, decoded: Tensor, places: Tensor, counts: Tensor
    ) -> Tensor:
        passages, length = decoded.shape[0], states.shape[0]
        there = torch.arange(decoded.shape[1], device=decoded.device) < counts[:, None]
        query_mask = torch.ones_like(weights, dtype=torch.bool)
        found: Tensor = self.reader(
            states.expand(passages, length, -1), weights.expand(passages, length), decoded, places,
            query_mask.expand(passages, length), there,
        )  # fmt: skip
        return found


def _write(reader: Reader, file: Path) -> None:
    d = reader.shape.dimension
    inputs = {
        "states": torch.randn(3, d), "weights": torch.full((3,), 1 / 3),
        "decoded": torch.randn(2, 4, d), "places": torch.arange(4).expand(2, 4).contiguous(),
        "counts": torch.tensor([4, 2]),
    }  # fmt: skip
    passages = {0: "passages", 1: "tokens"}
    axes = {
        "states": {0: "query"}, "weights": {0: "query"}, "decoded": passages, "places": passages,
        "counts": {0: "passages"}, "logits": passages,
    }  # fmt: skip
    with quiet_tracing():
        torch.onnx.export(
            _Serving(reader).eval(), tuple(inputs.values()), str(file), dynamo=False, opset_version=OPSET,
            input_names=list(inputs), output_names=["logits"], dynamic_axes=axes,
        )  # fmt: skip


def _odd(d: int) -> Iterator[Inputs]:
    """Random queries, of one token and of many, and passages: empty ones among others, one alone."""
    generator = np.random.default_rng(0)
    for tokens, lengths in ((1, [3]), (7, [0, 1, 40, 5, 90]), (60, [2, 17])):
        states = generator.standard_normal((tokens, d)).astype(np.float32)
        decoded = generator.standard_normal((len(lengths), max(lengths), d)).astype(np.float32)
        places = np.sort(generator.permuted(np.tile(np.arange(200), (len(lengths), 1)), axis=1))
        yield {
            "states": states / np.linalg.norm(states, axis=1, keepdims=True),
            "weights": generator.dirichlet(np.ones(tokens)).astype(np.float32),
            "decoded": decoded / np.linalg.norm(decoded, axis=2, keepdims=True),
            "places": places[:, : max(lengths)], "counts": np.array(lengths),
        }  # fmt: skip


def _compared(
    reader: Reader, folder: Path, asked: Iterable[Inputs]
) -> tuple[np.ndarray, np.ndarray]:
    """Logits of what is ``asked``, by torch and by the graph in ``folder``, (n, 2) each."""
    exported = Exported.load(folder, 1)
    wanted, found = [], []
    for one in asked:
        states, weights, counts = one["states"], one["weights"], one["counts"]
        here = np.arange(one["decoded"].shape[1]) < counts[:, None]
        decoded, places = one["decoded"][here], one["places"][here]
        found.append(exported.logits(states, weights, decoded, places, counts))
        given = [torch.from_numpy(part)[None] for part in (states, weights)]
        asking = torch.ones(1, len(states), dtype=torch.bool)
        for own in np.split(np.arange(len(decoded)), np.cumsum(counts)[:-1]):
            if len(own):
                with torch.inference_mode():
                    read = reader(
                        *given, torch.from_numpy(decoded[own])[None], torch.from_numpy(places[own])[None],
                        asking, torch.ones(1, len(own), dtype=torch.bool),
                    )  # fmt: skip
                wanted.append(read[0].numpy())
    return np.concatenate(wanted), np.concatenate(found)
