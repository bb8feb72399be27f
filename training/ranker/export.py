"""A trained decoder as two ONNX graphs and a description, checked against torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from lurcher.errors import ParityError
from lurcher.models.ranker.decoder import (
    DECODER_FILE,
    PAIR_GRAPH,
    QUERY_GRAPH,
    DecoderConfig,
    padded,
)
from lurcher.models.ranker.decoder import Decoder as Exported
from lurcher.training.graph import OPSET, quiet_tracing
from lurcher.training.ranker.network import Decoder

# fp32 differs only by the order of sums; scores are cosines. Measured: 2e-6.
_FURTHEST = 1e-4

_READ, _ASKED = {0: "tokens"}, {0: "candidates"}


def export_decoder(decoder: Decoder, config: DecoderConfig, folder: Path) -> None:
    """Write ``decoder`` into ``folder``, which is there, for ``models.ranker.decoder``.

    Raises OSError, and ParityError where the graphs do not compute what it computes.
    """
    decoder = decoder.cpu().eval()
    shape = decoder.shape
    states, weights = torch.randn(3, shape.dimension), torch.full((3,), 1 / 3)
    with torch.no_grad():
        read, keys = _Query(decoder)(states, weights)
    points = torch.randn(3, shape.bits)
    codes = torch.zeros(2, 4, shape.bits // 8, dtype=torch.uint8)
    counts, prior = torch.tensor([4, 2]), torch.zeros(2)
    _write(
        _Query(decoder), folder / QUERY_GRAPH, {"states": states, "weights": weights}, ["read", "keys"]
    )  # fmt: skip
    _write(
        _Pair(decoder), folder / PAIR_GRAPH,
        {"read": read, "keys": keys, "points": points, "weights": weights, "codes": codes,
         "counts": counts, "prior": prior},
        ["scores"],
    )  # fmt: skip
    (folder / DECODER_FILE).write_text(config.model_dump_json(indent=2) + "\n")
    _check(decoder, folder)


class _Query(nn.Module):  # type: ignore[misc]  # torch is not there when types are checked
    """What runs once a request."""

    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, states: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        read, keys = self.decoder.read(states[None], weights[None], None)
        return read[0], keys[0]


class _Pair(nn.Module):  # type: ignore[misc]  # torch is not there when types are checked
    """What runs for each candidate."""

    def __init__(self, decoder: Decoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(
        self, read: Tensor, keys: Tensor, points: Tensor, weights: Tensor, codes: Tensor,
        counts: Tensor, prior: Tensor,
    ) -> Tensor:  # fmt: skip
        found = self.decoder.score(
            read[None], keys[None], points[None], weights[None], None, codes[None], counts[None], prior[None]
        )  # fmt: skip
        return found[0]


def _write(module: nn.Module, file: Path, inputs: dict[str, Tensor], outputs: list[str]) -> None:
    axes = dict.fromkeys(("states", "weights", "read", "keys", "points"), _READ)
    axes |= dict.fromkeys(("counts", "prior", "scores"), _ASKED)
    axes["codes"] = {0: "candidates", 1: "codes"}
    with quiet_tracing():
        torch.onnx.export(
            module.eval(), tuple(inputs.values()), str(file), dynamo=False, opset_version=OPSET,
            input_names=list(inputs), output_names=outputs,
            dynamic_axes={name: axes[name] for name in (*inputs, *outputs)},
        )  # fmt: skip


def _check(decoder: Decoder, folder: Path) -> None:
    """Raises ParityError unless the graphs in ``folder`` score what ``decoder`` does."""
    exported, shape = Exported.load(folder, 1), decoder.shape
    generator = np.random.default_rng(0)
    # Candidates without codes, alone and among others; queries of one token and of many.
    for tokens, counts in ((1, [3]), (2, [0]), (7, [0, 1, 40, 0, 5, 90]), (60, [2, 17])):
        states = generator.standard_normal((tokens, shape.dimension)).astype(np.float32)
        points = generator.standard_normal((tokens, shape.bits)).astype(np.float32)
        points /= np.linalg.norm(points, axis=1, keepdims=True)
        weights = generator.dirichlet(np.ones(tokens)).astype(np.float32)
        lengths = np.array(counts)
        codes = generator.integers(0, 256, (lengths.sum(), shape.bits // 8), np.uint8)
        prior = generator.uniform(-1, 1, len(counts)).astype(np.float32)
        found = exported.scores(states, weights, points, codes, lengths, prior)
        whole = padded(codes, np.cumsum(lengths), lengths, list(range(len(lengths))))
        given = [
            torch.from_numpy(part)[None]
            for part in (states, weights, points, whole, lengths, prior)
        ]
        with torch.inference_mode():
            read, keys = decoder.read(given[0], given[1], None)
            wanted = decoder.score(read, keys, given[2], given[1], None, *given[3:])[0].numpy()
        # Written so that NaN fails.
        if not (furthest := float(np.abs(found - wanted).max())) <= _FURTHEST:
            raise ParityError(
                f"{folder}: the exported graphs compute something else: a score of {tokens} tokens and "
                f"{len(counts)} candidates is off by {furthest:.2g}, more than {_FURTHEST:g}"
            )
