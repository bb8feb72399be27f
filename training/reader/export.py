"""A trained reader as an ONNX graph of INT8 products and a description, checked against torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from models.errors import ParityError
from models.reader.reader import READER_FILE, READER_GRAPH, ReaderConfig
from models.reader.reader import Reader as Exported
from training.compression.int8 import quantize_int8
from training.graph import OPSET, quiet_tracing
from training.reader.reader import Reader

# Of float32 products, which differ only by the order of sums.
_FURTHEST = 1e-3
# What INT8 may leave of agreement: the correlation of logits. Measured on trained ones: .999.
_LEAST_CORRELATION = 0.98


def export_reader(reader: Reader, config: ReaderConfig, folder: Path) -> None:
    """Write ``reader`` into ``folder``, which is there, for ``models.reader.reader``.

    Raises OSError, and ParityError where the graph does not compute what it computes.
    """
    reader = reader.cpu().eval()
    _write(reader, folder / READER_GRAPH)
    (folder / READER_FILE).write_text(config.model_dump_json(indent=2) + "\n")
    wanted, found = _compared(reader, folder)
    # Written so that NaN fails.
    if not (furthest := float(np.abs(found - wanted).max())) <= _FURTHEST * np.abs(wanted).max():
        raise ParityError(
            f"{folder}: the exported graph computes something else: off by {furthest:.2g}"
        )
    graph = onnx.load(folder / READER_GRAPH)
    (folder / READER_GRAPH).write_bytes(quantize_int8(graph).SerializeToString())
    wanted, found = _compared(reader, folder)
    if not (alike := float(np.corrcoef(wanted.ravel(), found.ravel())[0, 1])) >= _LEAST_CORRELATION:
        raise ParityError(f"{folder}: INT8 changes too much: logits correlate by {alike:.3f} only")


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
        asked = torch.ones_like(weights, dtype=torch.bool)
        found: Tensor = self.reader(
            states.expand(passages, length, -1), weights.expand(passages, length), decoded, places,
            asked.expand(passages, length), there,
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
        "states": {0: "asked"}, "weights": {0: "asked"}, "decoded": passages, "places": passages,
        "counts": {0: "passages"}, "logits": passages,
    }  # fmt: skip
    with quiet_tracing():
        torch.onnx.export(
            _Serving(reader).eval(), tuple(inputs.values()), str(file), dynamo=False, opset_version=OPSET,
            input_names=list(inputs), output_names=["logits"], dynamic_axes=axes,
        )  # fmt: skip


def _compared(reader: Reader, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Logits of random queries and passages, by torch and by the graph in ``folder``, (n, 2) each."""
    exported, d = Exported.load(folder, 1), reader.shape.dimension
    generator = np.random.default_rng(0)
    wanted, found = [], []
    # Passages without tokens among others, one alone; queries of one token and of many.
    for tokens, lengths in ((1, [3]), (7, [0, 1, 40, 5, 90]), (60, [2, 17])):
        states = generator.standard_normal((tokens, d)).astype(np.float32)
        states /= np.linalg.norm(states, axis=1, keepdims=True)
        weights = generator.dirichlet(np.ones(tokens)).astype(np.float32)
        counts = np.array(lengths)
        decoded = generator.standard_normal((counts.sum(), d)).astype(np.float32)
        decoded /= np.linalg.norm(decoded, axis=1, keepdims=True)
        places = np.concatenate([np.sort(generator.permutation(2 * n + 1)[:n]) for n in lengths])
        found.append(exported.logits(states, weights, decoded, places, counts))
        given = [torch.from_numpy(part)[None] for part in (states, weights)]
        asked = torch.ones(1, tokens, dtype=torch.bool)
        for end, count in zip(np.cumsum(counts), lengths, strict=True):
            if count:
                own = slice(end - count, end)
                with torch.inference_mode():
                    read = reader(
                        *given, torch.from_numpy(decoded[own])[None], torch.from_numpy(places[own])[None],
                        asked, torch.ones(1, count, dtype=torch.bool),
                    )  # fmt: skip
                wanted.append(read[0].numpy())
    return np.concatenate(wanted), np.concatenate(found)
